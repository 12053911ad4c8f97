//! The end of the stream (END): `session_ended`, when it may come and what may follow. Its counters are the business of
//! `counters`, loss that only a comparison shows of `compare`.

use lastword_spec::close::EndReason;
use lastword_spec::finding::FindingKind;
use lastword_spec::message::{Final, ServerMessage, SessionEnded};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::ALL_MADE_UP;

use crate::bounds::ms;
use crate::conn::{At, Conn};
use crate::rules::{answers, aud, blame, keepalive};

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) sentinel: Option<At>,
    /// When the server had last been heard by then, in microseconds.
    pub(crate) heard_us: Option<u64>,
    /// It was sent before `ready` had come.
    pub(crate) sentinel_early: bool,
    /// Its form was unusual: white space, escapes, another order of members.
    pub(crate) sentinel_odd: bool,
    pub(crate) more_sentinels: Vec<At>,
    /// The message that provoked the fatal end, and by which requirement it must.
    pub(crate) provoked: Option<(At, RequirementId)>,
    /// Something came after `session_ended`.
    pub(crate) late: bool,
    /// Among it a fatal error.
    pub(crate) late_fatal: bool,
    /// Finals that came after `session_ended`, or where they are illegal.
    pub(crate) late_finals: Vec<Final>,
    /// What `session_ended` did not say itself: the wire does not tell it.
    pub(crate) made_up: Vec<String>,
}

impl End {
    /// Whether `session_ended` said this member itself.
    pub(crate) fn told(&self, member: &str) -> bool {
        !self.made_up.iter().any(|path| path == member || path == ALL_MADE_UP)
    }
}

/// The first sentinel.
pub(crate) fn sentinel(conn: &mut Conn, at: At, is_odd: bool) {
    keepalive::silence_before(conn, at);
    conn.end.sentinel_odd = is_odd;
    conn.end.sentinel = Some(at);
    conn.end.heard_us = conn.heard_us;
    conn.end.sentinel_early = conn.ready.is_none();
    if conn.state == State::Streaming {
        conn.state = State::Draining;
    }
}

/// `session_ended` in its place.
pub(crate) fn on_session_ended(conn: &mut Conn, at: At, ended: &SessionEnded) {
    conn.end.made_up.clone_from(&conn.made_up);
    let cancelled = conn.client_close.is_some();
    let completed = ended.reason == EndReason::COMPLETED;
    if completed {
        keepalive::heard(conn, at);
    }
    if let Some((due, _, clause)) = conn.answers.fatal_due.filter(|_| completed && conn.state != State::Failing) {
        let text = "completed a session that it had to end by a fatal error";
        conn.convict_with(FindingKind::WronglyAccepted, clause, at, &[due.event], text);
        conn.abandoned = true;
        conn.session_ended = Some((at, ended.clone()));
        conn.state = State::Ended;
        return;
    }
    if conn.state != State::Failing && completed && !cancelled {
        match conn.end.sentinel {
            Some(sentinel) => answers_the_sentinel(conn, at, sentinel),
            None => unasked(conn, at),
        }
    }
    if conn.state == State::Failing {
        agrees_with_the_error(conn, at, ended);
    }
    if !completed && ended.complete && conn.state == State::Draining {
        let text = format!("answered the sentinel with a complete session of reason `{}`", ended.reason.as_str());
        conn.convict(FindingKind::WrongValue, req::END_S8, at, text);
        // The close code fits what was meant, or what was said.
        conn.abandoned = true;
    }
    conn.session_ended = Some((at, ended.clone()));
    conn.state = State::Ended;
}

fn answers_the_sentinel(conn: &mut Conn, at: At, sentinel: At) {
    conn.answers.read(sentinel.event);
    conn.credit(req::END_S2);
    conn.credit(req::END_S10);
    if conn.end.sentinel_early {
        conn.credit(req::END_S1);
    }
    if conn.end.sentinel_odd {
        conn.credit(req::MSG_3);
    }
    let ready_us = conn.ready.as_ref().map_or(0, |(ready, _)| ready.t_us);
    let since_us = sentinel.t_us.max(ready_us);
    let unhelped = conn.client_last.is_some_and(|last| last.event == sentinel.event);
    if unhelped && conn.audio.accepted_bytes > 0 {
        conn.credit(req::END_S7);
    }
    if at.t_us > conn.extended_due_us(since_us, conn.limits.drain_ms) && !conn.convicted(req::END_S7) {
        let text = format!("sent `session_ended` {} ms after the sentinel", ms(at.t_us.saturating_sub(since_us)));
        conn.convict_with(FindingKind::Late, req::END_S2, at, &[sentinel.event], text);
    }
}

/// `completed` before the sentinel: something else was taken for the end.
fn unasked(conn: &mut Conn, at: At) {
    let clause = blame::taken_for_the_end(conn, at);
    let (because, text) = match clause {
        id if id == req::FLU_1 => (conn.flush.first, "took a flush for the end"),
        id if id == req::AUD_S3 => (conn.audio.empty.last().copied(), "took an empty binary message for the end"),
        id if id == req::AUD_S5 => (conn.client_last, "took the content of audio for the end"),
        _ => (None, "sent `session_ended` with reason `completed` before the sentinel"),
    };
    let because: Vec<usize> = because.map(|at| at.event).into_iter().collect();
    // That a later flush was refused is a consequence.
    conn.retract(req::FLU_S2);
    conn.convict_with(FindingKind::IllegalMessage, clause, at, &because, text);
    conn.abandoned = true;
}

fn agrees_with_the_error(conn: &mut Conn, at: At, ended: &SessionEnded) {
    let Some((error_at, error)) = conn.answers.fatal.clone() else { return };
    if ended.reason.as_str() != error.code.as_str() {
        let text = format!(
            "gave the reason `{}` for a session that the fatal `{}` ended",
            ended.reason.as_str(),
            error.code.as_str()
        );
        conn.convict_with(FindingKind::WrongValue, req::END_S11, at, &[error_at.event], text);
        // Its close code and its counters speak of another end than this one.
        conn.abandoned = true;
    }
    if at.t_us.saturating_sub(error_at.t_us) > conn.scale.patience_us(conn.limits.close_ms) {
        let text =
            format!("sent `session_ended` {} ms after the fatal error", ms(at.t_us.saturating_sub(error_at.t_us)));
        conn.convict_with(FindingKind::Late, req::ERR_S3, at, &[error_at.event], text);
    }
}

/// A message in the state Ended: nothing but Close is legal there. Each is blamed on the clause that it breaks most.
pub(crate) fn after_the_end(conn: &mut Conn, at: At, message: Option<&ServerMessage>) {
    let Some((ended_at, _)) = conn.session_ended else {
        let (clause, text) = match message {
            _ if conn.convicted(req::CFG_S2) || conn.convicted(req::ERR_S3) => return,
            Some(ServerMessage::SessionEnded(_)) => (req::CFG_S2, "sent `session_ended` though there was no `ready`"),
            _ => (req::ERR_S3, "sent a message after a fatal error before `ready`"),
        };
        let because: Vec<usize> = conn.answers.fatal.iter().map(|(at, _)| at.event).collect();
        conn.convict_with(FindingKind::IllegalMessage, clause, at, &because, text);
        return;
    };
    conn.end.late = true;
    let ended = [ended_at.event];
    match message {
        Some(ServerMessage::SessionEnded(_)) if conn.plain_works && owes_for_a_sentinel(conn) => {
            let text = "answered a second sentinel with a second `session_ended`";
            let because = [ended_at.event, conn.end.more_sentinels[0].event];
            // The wrong answer is an answer: the error that was due is not missed on top of it.
            conn.answers.pending.retain(|one| one.clause != req::END_S5);
            conn.convict_with(FindingKind::DuplicateAnswer, req::END_S5, at, &because, text);
        }
        Some(ServerMessage::Flushed(flushed)) if conn.flush.open.contains(&flushed.id) => {
            // Not answered before the end: `flush` blames that.
            conn.flush.late.push(flushed.id.clone());
        }
        Some(ServerMessage::KeepaliveAck(ack)) if conn.keepalive.acks.contains(&ack.seq) => {
            conn.keepalive.acks.take(&ack.seq);
            let text = format!("acknowledged keepalive {} only after `session_ended`", ack.seq);
            conn.convict_with(FindingKind::Late, req::KA_S6, at, &ended, text);
        }
        _ => {
            if let Some(ServerMessage::Final(late)) = message {
                conn.end.late_finals.push(late.clone());
            }
            if let Some(ServerMessage::Error(error)) = message {
                conn.end.late_fatal |= error.fatal;
                answers::came_too_late(conn, error);
            }
            let what = message.map_or("a message", ServerMessage::message_type);
            let text = format!("sent `{what}` after `session_ended`");
            conn.convict_with(FindingKind::IllegalMessage, req::END_S3, at, &ended, text);
        }
    }
}

/// Whether a second sentinel came and has not been answered as it must be.
fn owes_for_a_sentinel(conn: &Conn) -> bool {
    conn.answers.pending.iter().any(|one| one.clause == req::END_S5)
}

/// The session is over.
pub(crate) fn settle(conn: &mut Conn) {
    let Some((ended_at, ended)) = conn.session_ended.clone() else { return };
    if conn.server_close.is_some_and(|close| close.frame) && !conn.end.late {
        conn.credit(req::END_S3);
    }
    let second = conn.end.more_sentinels.first().copied();
    if let Some(second) = second
        && conn.answers.answered.iter().any(|one| one.code == "duplicate_end_of_stream" && one.at.event > second.event)
    {
        conn.credit(req::END_S5);
    }
    if ended.reason != EndReason::COMPLETED {
        if ended.complete && !conn.convicted(req::END_S8) {
            let text = format!("called a session complete that ended as `{}`", ended.reason.as_str());
            conn.convict(FindingKind::WrongValue, req::END_S8, ended_at, text);
        } else {
            conn.credit(req::END_S11);
        }
        return;
    }
    let untouched = conn.audio.accepted_bytes == 0 && conn.audio.broken.frames == 0;
    if untouched && conn.end.sentinel.is_some() {
        without_audio(conn, ended_at, &ended);
    }
}

fn without_audio(conn: &mut Conn, at: At, ended: &SessionEnded) {
    conn.credit(req::END_S6);
    if !ended.complete && conn.end.told("complete") && conn.audio.before_config.frames == 0 && conn.plain_works {
        conn.convict(FindingKind::WrongValue, req::END_S6, at, "called a session without audio incomplete");
    }
}

/// How many of the frames after the sentinel the server has surely and has possibly read before it ended the session.
pub(crate) fn refused_after_end(conn: &Conn, ended_at: At) -> (u64, u64) {
    let possibly = conn.audio.after_end.iter().filter(|(at, _)| at.event < ended_at.event);
    let surely = possibly.clone().filter(|(at, _)| blame::read_in_time(conn, *at, State::Draining));
    // The one that was answered was read, whatever was read behind it.
    let answered = conn.answers.answered.iter().any(|one| one.code == "audio_after_end");
    ((surely.count() as u64).max(u64::from(answered)), possibly.count() as u64)
}

/// The audio after the sentinel, in milliseconds, if it had been accepted.
pub(crate) fn after_end_ms(conn: &Conn) -> Option<u64> {
    let bytes =
        conn.audio.after_end.iter().fold(conn.audio.accepted_bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
    aud::to_ms(bytes, &conn.format())
}
