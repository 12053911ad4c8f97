//! A message of the server: read strictly (MSG, TIM-1, ERR-1, CFG-S3, LIM-S1, FIN-S8), held against the state table, and handed
//! to the rules of its area. A malformed message is one breach; what it said is taken as far as it can be read.

use lastword_spec::close::EndReason;
use lastword_spec::codec::{DecodeError, DecodeErrorKind, Decoded, decode_ready_lenient, decode_server};
use lastword_spec::finding::FindingKind;
use lastword_spec::message::{ServerMessage, Warning};
use lastword_spec::requirements as req;
use lastword_spec::table::{Answer, ClientInput, ServerInput, State, client_row};

use crate::conn::{At, Conn, Context};
use crate::rules::answers::{Pending, Would};
use crate::rules::{answers, cfg, close, end, errors, flush, keepalive, progress, results, security, vad};

/// A text message of the server.
pub(crate) fn on_text(conn: &mut Conn, context: &Context<'_>, at: At, text: &str) {
    if conn.state == State::Closed {
        return;
    }
    if conn.abandoned {
        // Nothing is judged any more, but whoever waits for the end must learn of it.
        if let Ok(Decoded::Message(ServerMessage::SessionEnded(ended))) = decode_server(text, u64::MAX) {
            conn.session_ended.get_or_insert((at, ended));
            conn.state = State::Ended;
        }
        return;
    }
    security::scan(conn, context, at, text);
    match decode_server(text, conn.limits.max_text_bytes) {
        Ok(Decoded::Message(message)) => on_message(conn, context, at, &message, true),
        Ok(Decoded::Unknown { message_type }) if conn.session_ended.is_none() => of_clients(conn, at, &message_type),
        Ok(Decoded::Unknown { .. }) => {}
        Err(fault) => malformed(conn, context, at, text, &fault),
    }
    conn.heard_us = Some(at.t_us);
}

/// A type that the server's schema lacks: later versions may add some, but none that is a client's already.
fn of_clients(conn: &mut Conn, at: At, message_type: &str) {
    if matches!(message_type, "config" | "keepalive" | "flush" | "update" | "end_of_stream") {
        let text = format!("sent `{message_type}`, which only clients send");
        conn.convict(FindingKind::MalformedMessage, req::MSG_2, at, text);
    }
}

/// A binary message of the server.
pub(crate) fn on_binary(conn: &mut Conn, at: At) {
    if conn.abandoned || conn.state == State::Closed {
        return;
    }
    if conn.session_ended.is_some() {
        end::after_the_end(conn, at, None);
    } else {
        conn.convict(FindingKind::MalformedMessage, req::MSG_1, at, "sent a binary message");
        // It may hold anything that was due.
        conn.tainted = true;
    }
    conn.heard_us = Some(at.t_us);
}

/// What is no WebSocket frame: whatever was to follow cannot be read.
pub(crate) fn unreadable(conn: &mut Conn, at: At) {
    if conn.abandoned || conn.state == State::Closed {
        return;
    }
    if conn.session_ended.is_some() {
        let text = "sent what is no WebSocket frame where Close was due";
        conn.convict(FindingKind::WrongClose, req::CLO_S1, at, text);
    } else {
        conn.convict(FindingKind::MalformedMessage, req::MSG_1, at, "sent what is no WebSocket message");
    }
    conn.abandoned = true;
}

fn on_message(conn: &mut Conn, context: &Context<'_>, at: At, message: &ServerMessage, whole: bool) {
    security::scan_message(conn, at, message);
    if let Some(given_up) = &mut conn.given_up {
        given_up.heard(message);
    }
    match message {
        ServerMessage::KeepaliveAck(_) | ServerMessage::Warning(_) => conn.progress.idle_talk += 1,
        ServerMessage::Progress(progress) if progress.audio_processed_ms <= conn.progress.worked_off_ms => {
            conn.progress.idle_talk += 1;
            conn.progress.moved_us = Some(at.t_us);
        }
        _ => {
            conn.progress.idle_talk = 0;
            conn.progress.moved_us = Some(at.t_us);
        }
    }
    let unasked_end = conn.end.sentinel.is_none()
        && matches!(message, ServerMessage::SessionEnded(ended) if ended.reason == EndReason::COMPLETED);
    close::message_after_close(conn, at, unasked_end);
    if conn.abandoned {
        return;
    }
    let input = input_of(message);
    let row = client_row(conn.state, input);
    if row.answer == Answer::Violation {
        illegal(conn, at, message, row.ids[0]);
        return;
    }
    if conn.state != State::Ended {
        let is_progress = matches!(message, ServerMessage::Progress(_));
        let ends = matches!(message, ServerMessage::SessionEnded(_) | ServerMessage::Final(_));
        progress::on_heard(conn, context, at, is_progress, ends);
    }
    match message {
        ServerMessage::Ready(ready) => cfg::on_ready(conn, at, ready, whole),
        ServerMessage::Partial(partial) => results::on_partial(conn, at, partial),
        ServerMessage::Final(result) => results::on_final(conn, at, result),
        ServerMessage::Flushed(flushed) => flush::on_flushed(conn, at, flushed),
        ServerMessage::Updated(updated) => answers::updated(conn, at, updated),
        ServerMessage::SessionEnded(ended) => end::on_session_ended(conn, at, ended),
        ServerMessage::SpeechStarted(event) => vad::on_started(conn, at, event),
        ServerMessage::SpeechEnded(event) => vad::on_ended(conn, at, event),
        ServerMessage::KeepaliveAck(ack) => keepalive::on_ack(conn, at, ack),
        ServerMessage::Progress(message) => progress::on_progress(conn, at, message),
        ServerMessage::Warning(warning) => on_warning(conn, at, warning),
        ServerMessage::Error(error) => errors::on_error(conn, at, error),
    }
}

fn illegal(conn: &mut Conn, at: At, message: &ServerMessage, clause: lastword_spec::registry::RequirementId) {
    if conn.state == State::Ended {
        end::after_the_end(conn, at, Some(message));
        return;
    }
    if matches!(message, ServerMessage::Flushed(_)) && conn.convicted(req::KA_S4) {
        return;
    }
    let what = message.message_type();
    let state = conn.state.as_str();
    let twice = matches!(message, ServerMessage::Ready(_)) && conn.ready.is_some();
    let second_config = |one: &Pending| one.input == Some(ServerInput::Config) && one.clause == req::STA_S1;
    // Two in a row are one answer given twice; a second one later is the answer to something else.
    let later = conn.ready.as_ref().is_some_and(|(ready, _)| conn.heard_us.is_some_and(|heard| heard > ready.t_us));
    if twice
        && later
        && let Some(asked) = conn.answers.pending.iter().find(|one| second_config(one)).map(|one| one.at)
    {
        let text = "answered a second `config` with a second `ready`";
        conn.convict_with(FindingKind::WronglyAccepted, req::STA_S1, at, &[asked.event], text);
        conn.abandoned = true;
        return;
    }
    let kind = if twice { FindingKind::DuplicateAnswer } else { FindingKind::IllegalMessage };
    // It is illegal here, and it was said all the same: no debt is left over for it.
    match message {
        ServerMessage::Final(result) => conn.end.late_finals.push(result.clone()),
        ServerMessage::Flushed(flushed) => drop(conn.flush.open.take(&flushed.id)),
        ServerMessage::KeepaliveAck(ack) => drop(conn.keepalive.acks.take(&ack.seq)),
        _ => {}
    }
    conn.tainted |= clause == req::CFG_S2 && conn.ready.is_none();
    let because: Vec<usize> = conn.answers.fatal.iter().map(|(error, _)| error.event).collect();
    conn.convict_with(kind, clause, at, &because, format!("sent `{what}`, which is illegal in {state}"));
    // An end before `ready` is an end all the same: nothing that follows means anything.
    conn.abandoned |= matches!(message, ServerMessage::SessionEnded(_));
}

fn input_of(message: &ServerMessage) -> ClientInput {
    match message {
        ServerMessage::Ready(_) => ClientInput::Ready,
        ServerMessage::Partial(_) => ClientInput::Partial,
        ServerMessage::Final(_) => ClientInput::Final,
        ServerMessage::SpeechStarted(_) => ClientInput::SpeechStarted,
        ServerMessage::SpeechEnded(_) => ClientInput::SpeechEnded,
        ServerMessage::Flushed(_) => ClientInput::Flushed,
        ServerMessage::Updated(_) => ClientInput::Updated,
        ServerMessage::KeepaliveAck(_) => ClientInput::KeepaliveAck,
        ServerMessage::Progress(_) => ClientInput::Progress,
        ServerMessage::Warning(_) => ClientInput::Warning,
        ServerMessage::Error(error) if error.fatal => ClientInput::FatalError,
        ServerMessage::Error(_) => ClientInput::Error,
        ServerMessage::SessionEnded(_) => ClientInput::SessionEnded,
    }
}

fn on_warning(conn: &mut Conn, at: At, warning: &Warning) {
    match warning.code.as_str() {
        "audio_dropped" => {
            conn.answers.audio_dropped = Some(at);
            if conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms {
                let text = "dropped audio when its buffer was full instead of reading no further";
                conn.convict(FindingKind::WronglyRefused, req::BP_S1, at, text);
            }
        }
        "container_in_raw_audio" => conn.answers.container_warned = true,
        _ => {}
    }
}

fn malformed(conn: &mut Conn, context: &Context<'_>, at: At, text: &str, fault: &DecodeError) {
    if conn.session_ended.is_some() {
        end::after_the_end(conn, at, None);
        return;
    }
    let kind = fault.message_type.as_deref();
    let acknowledges = kind == Some("keepalive_ack") || kind.is_none() && text.contains("\"keepalive_ack\"");
    if acknowledges && answers::accepted(conn, at, &Would::AcknowledgeAnything) {
        return;
    }
    let probability = fault.kind == DecodeErrorKind::BadValue && fault.path.ends_with("confidence");
    let clause = if probability { req::FIN_S8 } else { fault.clause };
    let ready = (kind == Some("ready")).then(|| decode_ready_lenient(text, u64::MAX).ok()).flatten();
    match &ready {
        Some(lenient) if !lenient.missing.is_empty() => missing(conn, at, &lenient.missing),
        _ => conn.convict(
            FindingKind::MalformedMessage,
            clause,
            at,
            format!("sent a malformed message: {}", plain(fault)),
        ),
    }
    if fault.kind == DecodeErrorKind::TooLong
        && let Ok(Decoded::Message(message)) = decode_server(text, u64::MAX)
    {
        on_message(conn, context, at, &message, true);
        return;
    }
    match (kind, ready) {
        (Some("ready"), Some(lenient)) => {
            on_message(conn, context, at, &ServerMessage::Ready(Box::new(lenient.ready)), false);
        }
        // Badly made, it still is the answer to something.
        (Some("error"), _) if !says_fatal(text) => answers::answered_badly(conn, text),
        (Some("keepalive_ack"), _) => {
            conn.keepalive.acks.take_front();
        }
        (Some("flushed"), _) => {
            conn.flush.open.take_front();
        }
        (Some("ready" | "session_ended" | "error"), _) => conn.abandoned = true,
        _ => conn.tainted = true,
    }
}

/// A `ready` that lacks members: one breach for each of the two objects that must be whole.
fn missing(conn: &mut Conn, at: At, missing: &[String]) {
    for (prefix, clause) in [("config", req::CFG_S3), ("limits", req::LIM_S1)] {
        let paths: Vec<&str> = missing.iter().map(String::as_str).filter(|path| path.starts_with(prefix)).collect();
        if !paths.is_empty() {
            let text = format!("sent a `ready` without {}", paths.join(", "));
            conn.convict(FindingKind::MalformedMessage, clause, at, text);
        }
    }
}

/// What is wrong, without the clause in brackets.
fn plain(fault: &DecodeError) -> String {
    let place = match (&fault.message_type, fault.path.as_str()) {
        (None, _) => String::new(),
        (Some(kind), "") => format!("`{kind}` "),
        (Some(kind), path) => format!("`{path}` of `{kind}` "),
    };
    format!("{place}{}", fault.detail)
}

/// Whether a malformed error claims to be fatal.
fn says_fatal(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("\"fatal\"") else { return false };
    rest.trim_start().strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with("true"))
}

/// The session is over: what its messages prove.
pub(crate) fn settle(conn: &mut Conn) {
    if conn.session_ended.is_some() {
        conn.credit(req::MSG_1);
        conn.credit(req::MSG_2);
        conn.credit(req::CFG_S2);
        if conn.results.saw_confidence {
            conn.credit(req::FIN_S8);
        }
    }
    let Some(container) = conn.audio.container.filter(|_| conn.completed()) else { return };
    if conn.answers.container_warned {
        conn.credit(req::AUD_S6);
    } else {
        let at = conn.last;
        let text = "did not warn of a container at the start of raw audio";
        conn.convict_with(FindingKind::Unanswered, req::AUD_S6, at, &[container.event], text);
    }
}
