//! How a connection ends (CLO, ERR-S1, ERR-S2, ERR-S4): which Close was due, and whose breach a missing end is.

use lastword_spec::close::{CloseCode, EndReason, close_code_for};
use lastword_spec::finding::FindingKind::{self, ClosedWithoutEnd, Late, WrongClose};
use lastword_spec::message::{ErrorMessage, SessionEnded};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::bounds::ms;
use crate::conn::{At, Closing, Conn};
use crate::ledger;
use crate::rules::answers::Pending;
use crate::rules::{errors, refusal};

/// The client's Close, or the end of its half of the transport.
pub(crate) fn on_client_close(conn: &mut Conn, closing: Closing) {
    if conn.client_close.is_none() {
        conn.client_close = Some(closing);
    }
}

/// The server's Close, or the end of its half of the transport.
pub(crate) fn on_server_close(conn: &mut Conn, closing: Closing) {
    if conn.server_close.is_some() {
        return;
    }
    conn.server_close = Some(closing);
    let judged = !conn.abandoned && conn.refused.is_none() && conn.given_up.is_none();
    let ended = conn.session_ended.clone();
    match (conn.client_close, ended) {
        _ if !judged => {}
        (Some(client), None) if conn.answers.fatal.is_none() => answers_close(conn, closing, client),
        (_, Some((ended_at, ended))) => after_the_end(conn, closing, ended_at, &ended),
        _ => match conn.answers.fatal.clone() {
            Some((error_at, error)) if conn.ready.is_none() => after_refusal(conn, closing, error_at, &error),
            Some((error_at, error)) => {
                let text = format!("closed after the fatal `{}` without `session_ended`", error.code.as_str());
                conn.convict_with(ClosedWithoutEnd, req::END_S11, closing.at, &[error_at.event], text);
            }
            None => unannounced(conn, closing),
        },
    }
}

/// A reply to the client's Close.
fn answers_close(conn: &mut Conn, closing: Closing, client: Closing) {
    if !client.frame {
        return;
    }
    let because = [client.at.event];
    let ready_us = conn.ready.as_ref().map_or(0, |(ready, _)| ready.t_us);
    let waited_us = closing.at.t_us.saturating_sub(client.at.t_us.max(ready_us));
    let may_read = conn.ready.is_some() && conn.audio.backlog_ms <= conn.limits.max_buffered_audio_ms;
    let echo = client.code.is_none() || closing.code == client.code;
    if !closing.frame {
        conn.convict_with(
            WrongClose,
            req::CLO_S3,
            closing.at,
            &because,
            "dropped the connection instead of answering Close",
        );
    } else if !echo {
        let text = format!("answered Close {} with Close {}", code_text(client.code), code_text(closing.code));
        conn.convict_with(WrongClose, req::CLO_S3, closing.at, &because, text);
    } else if may_read && waited_us > conn.scale.patience_us(conn.limits.close_ms) {
        let text = format!("answered Close after {} ms", ms(waited_us));
        conn.convict_with(Late, req::CLO_S3, closing.at, &because, text);
    } else {
        conn.credit(req::CLO_S3);
    }
}

/// A message of the server after the client's Close: what was under way is nobody's fault.
pub(crate) fn message_after_close(conn: &mut Conn, at: At, ends_unasked: bool) {
    let Some(client) = conn.client_close else { return };
    if conn.session_ended.as_ref().is_some_and(|(ended, _)| ended.event < client.at.event) {
        return;
    }
    // A server reads no Close while it reads nothing: while it configures, or while its audio buffer is full.
    let full = conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms;
    let ready_us = match &conn.ready {
        Some((ready, _)) => ready.t_us,
        None if conn.config.at.is_none() => 0,
        None => return,
    };
    if !ends_unasked && (full || !client.frame) {
        return;
    }
    let under_way_us = conn.scale.us(conn.limits.close_ms).max(conn.scale.us(1_000));
    let since_us = client.at.t_us.max(ready_us);
    if ends_unasked || at.t_us.saturating_sub(since_us) > under_way_us {
        let text = if ends_unasked {
            "took the client's Close for the end of the stream"
        } else {
            "went on after the client's Close"
        };
        conn.convict_with(FindingKind::IllegalMessage, req::CLO_S3, at, &[client.at.event], text);
        conn.abandoned = true;
    }
}

/// The Close after `session_ended`.
fn after_the_end(conn: &mut Conn, closing: Closing, ended_at: At, ended: &SessionEnded) {
    // A reply to the client's Close repeats its code: that is no Close of the server's own.
    if conn.client_close.is_some() {
        return;
    }
    let because = [ended_at.event];
    let (Some(code), true) = (closing.code, closing.frame) else {
        no_code(conn, closing, &because);
        return;
    };
    conn.credit(req::CLO_S1);
    let completed = ended.reason == EndReason::COMPLETED;
    let due = close_code_for(&ended.reason);
    if completed != (code == CloseCode::NORMAL) {
        let text = format!("closed with {code} after `session_ended` with reason `{}`", ended.reason.as_str());
        conn.convict_with(WrongClose, req::CLO_1, closing.at, &because, text);
    } else if let Some(due) = due.filter(|due| *due != code) {
        let text = format!("closed with {code} instead of {due} after reason `{}`", ended.reason.as_str());
        conn.convict_with(WrongClose, req::CLO_S5, closing.at, &because, text);
    } else if !completed && conn.answers.fatal.is_none() && !conn.end.late_fatal {
        let text = format!("ended the session as `{}` without a fatal error before", ended.reason.as_str());
        conn.convict_with(WrongClose, req::ERR_S1, closing.at, &because, text);
    } else {
        rightly_closed(conn, completed);
    }
    let waited_us = closing.at.t_us.saturating_sub(ended_at.t_us);
    if waited_us > conn.scale.patience_us(conn.limits.close_ms) {
        let text = format!("closed {} ms after `session_ended`", ms(waited_us));
        conn.convict_with(Late, req::CLO_S2, closing.at, &because, text);
    } else {
        conn.credit(req::CLO_S2);
    }
}

fn rightly_closed(conn: &mut Conn, completed: bool) {
    conn.credit(req::CLO_S5);
    if completed {
        conn.credit(req::CLO_1);
        if conn.answers.last_nonfatal.is_some() {
            conn.credit(req::ERR_S4);
        }
        return;
    }
    for id in [req::ERR_S1, req::ERR_S2, req::ERR_S3] {
        conn.credit(id);
    }
    if conn.keepalive.timed_out {
        conn.credit(req::KA_S2);
        if conn.keepalive.inactive {
            conn.credit(req::KA_S7);
        }
    }
    if let Some((_, clause)) = conn.end.provoked {
        conn.credit(clause);
    }
}

/// The Close after a fatal error before `ready`.
fn after_refusal(conn: &mut Conn, closing: Closing, error_at: At, error: &ErrorMessage) {
    let because = [error_at.event];
    let (Some(code), true) = (closing.code, closing.frame) else {
        no_code(conn, closing, &because);
        return;
    };
    conn.credit(req::CLO_S1);
    let due = close_code_for(&EndReason::from(&error.code));
    let waited_us = closing.at.t_us.saturating_sub(error_at.t_us);
    if code == CloseCode::NORMAL {
        let text = format!("closed with 1000 after the fatal `{}`", error.code.as_str());
        conn.convict_with(WrongClose, req::CLO_1, closing.at, &because, text);
    } else if let Some(due) = due.filter(|due| *due != code) {
        let text = format!("closed with {code} instead of {due} after the fatal `{}`", error.code.as_str());
        conn.convict_with(WrongClose, req::ERR_S2, closing.at, &because, text);
    } else if waited_us > conn.scale.patience_us(conn.limits.close_ms) {
        let text = format!("closed {} ms after the fatal error", ms(waited_us));
        conn.convict_with(Late, req::ERR_S3, closing.at, &because, text);
    } else {
        for id in [req::ERR_S1, req::ERR_S2, req::ERR_S3] {
            conn.credit(id);
        }
        if let Some(clause) = conn.config.refusal.as_ref().and_then(|refusal| refusal.proves) {
            conn.credit(clause);
        }
    }
}

fn no_code(conn: &mut Conn, closing: Closing, because: &[usize]) {
    let text = if closing.frame { "sent a Close without a code" } else { "dropped the connection without a Close" };
    conn.convict_with(WrongClose, req::CLO_S1, closing.at, because, text);
}

/// A close that neither `session_ended` nor a fatal error announced.
fn unannounced(conn: &mut Conn, closing: Closing) {
    let too_big = closing.code == Some(CloseCode::MESSAGE_TOO_BIG);
    if too_big && (conn.audio.oversize.is_some() || conn.answers.oversize_text.is_some()) {
        let clause = if conn.audio.oversize.is_some() { req::LIM_S2 } else { req::LIM_S3 };
        conn.answers.pending.clear();
        conn.credit(clause);
        return;
    }
    let by_library = matches!(closing.code, Some(CloseCode::PROTOCOL_ERROR | CloseCode::INVALID_PAYLOAD));
    let no_message = |one: &Pending| one.code == "bad_message" && !one.hostile && !one.oversize;
    let library = by_library && !conn.answers.pending.iter().find(|one| !one.optional).is_some_and(no_message);
    if library && conn.state != State::Draining {
        // What a library met below the messages is not in the trace.
        conn.unsure(req::ERR_S1, "a WebSocket library may have made this close");
        if conn.answers.hostile.is_some() {
            conn.credit(req::SEC_S3);
        }
        return;
    }
    if conn.tainted {
        conn.abandoned = true;
        conn.unsure(req::END_S2, "a message of the server could not be read, and may have announced the end");
        return;
    }
    let (kind, clause, because, text) = verdict(conn, closing, too_big);
    let because: Vec<usize> = because.map(|at| at.event).into_iter().collect();
    conn.answers.pending.clear();
    conn.convict_with(kind, clause, closing.at, &because, text);
    conn.abandoned = true;
}

type Verdict = (FindingKind, RequirementId, Option<At>, String);

fn verdict(conn: &Conn, closing: Closing, too_big: bool) -> Verdict {
    let how = if closing.frame {
        format!("closed with {}", code_text(closing.code))
    } else {
        "dropped the connection".into()
    };
    if let Some((due, _, clause)) = conn.answers.fatal_due {
        return (ClosedWithoutEnd, clause, Some(due), format!("{how} without the fatal error that was due"));
    }
    if too_big {
        let text = conn.answers.longest_text_bytes > conn.audio.longest_frame_bytes;
        let clause = if text { req::LIM_S3 } else { req::LIM_S2 };
        return (
            FindingKind::WronglyRefused,
            clause,
            conn.client_last,
            format!("{how} though no message was too large"),
        );
    }
    if conn.state == State::AwaitConfig && closing.code == Some(CloseCode::TIMEOUT) {
        return before_config(conn, closing, how);
    }
    if let Some(found) = before_ready(conn, &how) {
        return found;
    }
    if conn.state == State::Streaming && was_idle(conn, closing) {
        return streaming(conn, closing, how);
    }
    let as_if_done = conn.state == State::Draining && closing.code == Some(CloseCode::NORMAL);
    if let Some((error, clause)) =
        errors::ended_by_nonfatal(conn).filter(|_| !as_if_done && conn.state != State::Configuring)
    {
        return (ClosedWithoutEnd, clause, Some(error), format!("{how} after an error that was not fatal"));
    }
    if !as_if_done && let Some(found) = at_a_stimulus(conn, closing, &how) {
        return found;
    }
    match conn.state {
        State::AwaitConfig => before_config(conn, closing, how),
        State::Configuring => {
            (ClosedWithoutEnd, req::CFG_S1, conn.config.at, format!("{how} without answering `config`"))
        }
        State::Draining => (
            ClosedWithoutEnd,
            ledger::clause_of_the_end(conn),
            conn.end.sentinel,
            format!("{how} without `session_ended`"),
        ),
        _ => streaming(conn, closing, how),
    }
}

/// A close that answers something special, where plain sessions work.
fn at_a_stimulus(conn: &Conn, closing: Closing, how: &str) -> Option<Verdict> {
    let (at, clause) = errors::provoked_by(conn, closing.at).filter(|_| conn.plain_works)?;
    let crash = clause == req::SEC_S3 && !closing.frame;
    let kind = if crash { FindingKind::Crash } else { ClosedWithoutEnd };
    Some((kind, clause, Some(at), format!("{how} at a message that it must be able to take")))
}

/// A close before `ready` for what came before `config`, or for what is unusual about the `config`.
fn before_ready(conn: &Conn, how: &str) -> Option<Verdict> {
    if conn.ready.is_some() || !conn.plain_works {
        return None;
    }
    let early = conn.answers.pending.iter().find(|one| one.phase == State::AwaitConfig);
    let early = early.map(|one| (one.at, if one.hostile { req::SEC_S3 } else { one.clause }));
    let audio = conn.audio.before_config.last.map(|at| (at, req::STA_S2));
    let nothing_heard = conn.heard_us.is_none();
    if let Some((at, clause)) = early.or(audio.filter(|_| nothing_heard)) {
        return Some((ClosedWithoutEnd, clause, Some(at), format!("{how} at a message before `config`")));
    }
    let clause = refusal::unusual(conn).filter(|_| conn.state == State::Configuring)?;
    Some((ClosedWithoutEnd, clause, conn.config.at, format!("{how} without answering `config`")))
}

/// Whether the client had been silent for the idle timeout, or the close says so.
fn was_idle(conn: &Conn, closing: Closing) -> bool {
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    conn.keepalive.was_idle_before(closing.at, idle_us) || closing.code == Some(CloseCode::TIMEOUT)
}

fn before_config(conn: &Conn, closing: Closing, how: String) -> Verdict {
    let text = format!("{how} before `config` without a fatal error");
    let waited_us = closing.at.t_us.saturating_sub(conn.opened.map_or(0, |at| at.t_us));
    let timer = closing.code == Some(CloseCode::TIMEOUT) || (conn.client_last.is_none() && waited_us >= 900_000);
    match closing.code {
        _ if timer => (ClosedWithoutEnd, req::CON_S3, conn.opened, text),
        None => (WrongClose, req::CLO_S1, conn.client_last, text),
        Some(CloseCode::NORMAL) => (WrongClose, req::CLO_1, conn.client_last, text),
        Some(_) => (WrongClose, req::ERR_S1, conn.client_last, text),
    }
}

fn streaming(conn: &Conn, closing: Closing, how: String) -> Verdict {
    let text = format!("{how} in the middle of the stream without `session_ended`");
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    let idle = conn.keepalive.was_idle_before(closing.at, idle_us);
    let last = conn.client_last;
    let just_sent = |at: Option<At>| at.is_some() && at == last;
    let clause = if idle {
        req::KA_S2
    } else if just_sent(conn.flush.first) {
        req::FLU_1
    } else if closing.code == Some(CloseCode::TIMEOUT) && conn.keepalive.kept_by_keepalive() {
        req::KA_S3
    } else if just_sent(conn.audio.empty.last().copied()) {
        req::AUD_S3
    } else if conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms {
        req::BP_S1
    } else {
        req::END_S11
    };
    (ClosedWithoutEnd, clause, last, text)
}

fn code_text(code: Option<CloseCode>) -> String {
    code.map_or_else(|| "no code".to_owned(), |code| code.to_string())
}
