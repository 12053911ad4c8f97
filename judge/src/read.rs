//! What the client sends, as the server must take it: each message becomes an input of the server's state table, and the
//! table's answer becomes a debt. The phase used here is the order of the bytes, not the time of arrival at the server: what
//! comes before `ready` is judged as if it came after it. Owns no rule about what the server sends.

use lastword_spec::codec::{DecodeError, DecodeErrorKind, Decoded, decode_client};
use lastword_spec::message::ClientMessage;
use lastword_spec::requirements as req;
use lastword_spec::table::{Answer, Row, ServerInput, State, server_row};

use crate::conn::{At, Conn};
use crate::oddity::Oddity;
use crate::rules::answers::{Pending, Would};
use crate::rules::cfg::Second;
use crate::rules::{aud, keepalive, security};

impl Conn {
    /// Where the session stands for the message that the client sends now, once the server reads it.
    pub(crate) fn phase(&self) -> State {
        match (self.config.at, self.end.sentinel) {
            (None, _) => State::AwaitConfig,
            (Some(_), None) => State::Streaming,
            (Some(_), Some(_)) => State::Draining,
        }
    }

    /// Whether what the client sends now still means something to the server.
    fn listens(&self) -> bool {
        self.is_live()
            && !matches!(self.state, State::Failing | State::Ended | State::Closed)
            && self.answers.fatal_due.is_none()
    }

    /// Sent between `config` and `ready`.
    pub(crate) fn is_early(&self) -> bool {
        self.config.at.is_some() && self.ready.is_none()
    }
}

/// A text message of the client.
pub(crate) fn client_text(conn: &mut Conn, at: At, text: &str) {
    security::note_token(conn, text);
    if !conn.listens() {
        return;
    }
    let phase = conn.phase();
    if text.len() as u64 > conn.limits.max_text_bytes {
        oversize_text(conn, at, phase, text);
        return;
    }
    if conn.ready.is_none() {
        conn.answers.longest_early_bytes = conn.answers.longest_early_bytes.max(text.len() as u64);
    }
    conn.answers.longest_text_bytes = conn.answers.longest_text_bytes.max(text.len() as u64);
    match decode_client(text, u64::MAX) {
        Ok(Decoded::Message(message)) => good_message(conn, at, phase, text, message),
        Ok(Decoded::Unknown { .. }) => {
            if phase != State::AwaitConfig {
                keepalive::active_by_control(conn, at);
            }
            owe(conn, at, server_row(phase, ServerInput::UnknownType), None, None);
        }
        Err(fault) if fault.message_type.as_deref() == Some("config") && phase == State::AwaitConfig => {
            conn.config.at = Some(at);
            conn.config.fault = Some(fault);
            conn.state = State::Configuring;
        }
        Err(fault) if fault.message_type.as_deref() == Some("config") => {
            keepalive::maybe_active(conn, at);
            owe(conn, at, server_row(phase, ServerInput::RefusedConfig), None, None);
        }
        Err(fault) => bad_message(conn, at, phase, text, &fault),
    }
}

/// A text message above the limit. What it would say is remembered: only a server that accepted it answers that.
fn oversize_text(conn: &mut Conn, at: At, phase: State, text: &str) {
    conn.answers.oversize_text = Some(at);
    // A limit that no server may announce is no limit that every server keeps to.
    let optional = conn.convicted(req::LIM_S1);
    let mut pending = Pending { oversize: true, optional, ..Pending::new(at, "bad_message", req::LIM_S3, phase) };
    match decode_client(text, u64::MAX) {
        Ok(Decoded::Message(ClientMessage::Keepalive(keepalive))) => {
            pending.would = keepalive.seq.map(Would::Acknowledge);
        }
        Ok(Decoded::Message(ClientMessage::Flush(flush))) => pending.would = Some(Would::Flush(Some(flush.id))),
        _ => {}
    }
    conn.answers.pending.push_back(pending);
}

/// A binary message of the client.
pub(crate) fn client_audio(conn: &mut Conn, at: At, bytes: u64, head: &[u8]) {
    if !conn.listens() {
        return;
    }
    let phase = conn.phase();
    let input = aud::classify(conn, phase, bytes);
    aud::note(conn, at, phase, input, bytes, head);
    if input == ServerInput::Audio && phase == State::Streaming {
        keepalive::active(conn, at);
    }
    let row = server_row(phase, input);
    match row.answer {
        Answer::RejectOnce(code) if conn.answers.once.contains(&code) => {}
        Answer::RejectOnce(code) => {
            conn.answers.once.push(code);
            owe(conn, at, row, None, None);
        }
        _ => owe(conn, at, row, None, None),
    }
}

fn good_message(conn: &mut Conn, at: At, phase: State, text: &str, message: ClientMessage) {
    let oddity = Oddity::of(text, matches!(message, ClientMessage::Config(_)));
    conn.answers.note_oddity(at, oddity);
    let (input, id) = match &message {
        ClientMessage::Config(_) => (ServerInput::Config, None),
        ClientMessage::Keepalive(keepalive) if keepalive.seq.is_some() => (ServerInput::KeepaliveSeq, None),
        ClientMessage::Keepalive(_) => (ServerInput::Keepalive, None),
        ClientMessage::Flush(flush) => (ServerInput::Flush, Some(flush.id.clone())),
        ClientMessage::Update(update) => (ServerInput::Update, Some(update.id.clone())),
        ClientMessage::EndOfStream => (ServerInput::EndOfStream, None),
    };
    let row = server_row(phase, input);
    match input {
        _ if phase == State::AwaitConfig => {}
        ServerInput::Keepalive | ServerInput::KeepaliveSeq => keepalive::kept_alive(conn, at),
        ServerInput::EndOfStream => {}
        _ => keepalive::active_by_control(conn, at),
    }
    if let (ServerInput::Config, State::Streaming, ClientMessage::Config(config)) = (input, phase, &message) {
        conn.config.second.get_or_insert(Second {
            at,
            interim_results: config.interim_results,
            vad_events: config.vad_events,
            audio_bytes: conn.audio.accepted_bytes,
            flushed: conn.flush.covers(conn.audio.accepted_bytes),
        });
    }
    match (row.answer, message) {
        (Answer::OweReady, ClientMessage::Config(config)) => {
            conn.config.at = Some(at);
            conn.config.oddity = oddity;
            conn.config.unknown = crate::oddity::unknown_config_paths(text).collect();
            conn.config.request = Some(*config);
            conn.state = State::Configuring;
        }
        (Answer::OweKeepaliveAck, ClientMessage::Keepalive(keepalive)) => {
            let seq = keepalive.seq.unwrap_or_default();
            let early = conn.is_early();
            conn.keepalive.acks.push(seq, keepalive::AckDebt { seq, at, early });
        }
        (Answer::OweFlushed, ClientMessage::Flush(flush)) => crate::rules::flush::asked(conn, at, flush.id),
        (Answer::UpdatedOrError, ClientMessage::Update(update)) => conn.answers.updates.push_back((at, update.id)),
        (Answer::OweSessionEnded, _) => crate::rules::end::sentinel(conn, at, oddity.form),
        (Answer::Nothing, ClientMessage::Keepalive(_)) if phase == State::Draining => {
            conn.keepalive.after_end.push(at);
        }
        _ => owe(conn, at, row, id, None),
    }
    if phase == State::Draining && input == ServerInput::EndOfStream {
        conn.end.more_sentinels.push(at);
    }
}

fn bad_message(conn: &mut Conn, at: At, phase: State, text: &str, fault: &DecodeError) {
    conn.answers.bad_messages += 1;
    conn.answers.malformed = Some(at);
    if conn.answers.bad_messages == 10 {
        conn.answers.fatal_due = Some((at, "bad_message", req::MSG_S7));
        return;
    }
    let hostile = is_hostile(text, fault.kind);
    if hostile {
        conn.answers.hostile = Some(at);
    }
    let param = fault.message_type.as_ref().map(|_| fault.path.clone()).filter(|path| !path.is_empty());
    owe(conn, at, server_row(phase, ServerInput::BadMessage), None, param);
    if let Some(pending) = conn.answers.pending.back_mut().filter(|pending| pending.at == at) {
        pending.hostile = hostile;
        pending.extended = text.contains("\"x_");
        pending.would = match fault.message_type.as_deref() {
            Some("keepalive") => Some(Would::AcknowledgeAnything),
            Some("flush") => Some(Would::Flush(None)),
            None if text.contains("\"keepalive\"") => Some(Would::AcknowledgeAnything),
            _ => None,
        };
    }
}

/// Whether a bad message is of the sort that is sent to break a parser, not by mistake.
fn is_hostile(text: &str, kind: DecodeErrorKind) -> bool {
    use DecodeErrorKind::{LoneSurrogate, NotUtf8, NumberRange, TooDeep};
    // Bytes that are no UTF-8 stand in a trace as replacement characters.
    matches!(kind, TooDeep | NumberRange | LoneSurrogate | NotUtf8)
        || text.contains('\u{fffd}')
        || text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace())
}

/// Turns the table's answer into a debt.
fn owe(conn: &mut Conn, at: At, row: &'static Row<ServerInput>, id: Option<String>, param: Option<String>) {
    let (code, optional) = match row.answer {
        Answer::Reject(code) | Answer::RejectOnce(code) => (code, false),
        Answer::CountMayReject(code) => (code, true),
        Answer::Fatal(code) => {
            conn.answers.fatal_due = Some((at, code, row.ids[0]));
            return;
        }
        _ => return,
    };
    let clause = if param.is_some() && row.state != State::AwaitConfig { req::MSG_S6 } else { row.ids[0] };
    conn.answers.pending.push_back(Pending {
        id,
        param,
        optional,
        input: Some(row.input),
        ..Pending::new(at, code, clause, row.state)
    });
}
