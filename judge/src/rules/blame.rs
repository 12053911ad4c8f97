//! When a session is over: which debts of single answers were never paid though the server surely read the message, and which
//! clause an unasked error breaks. One breach, one clause: an unpaid debt and an unasked error beside it are one wrong answer.

use lastword_spec::finding::FindingKind;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{ServerInput, State};

use crate::conn::{At, Conn};
use crate::rules::answers::{Answered, Pending, Stray};

/// Whether the server has surely read what the client sent at `at`, before it ended the session.
pub(crate) fn surely_read(conn: &Conn, at: At, phase: State) -> bool {
    if conn.answers.read_upto > at.event {
        return true;
    }
    let before_the_end = conn.session_ended.as_ref().is_some_and(|(ended, _)| at.event < ended.event);
    (before_the_end && counted_after_end(conn, at)) || read_in_time(conn, at, phase)
}

/// As [`surely_read`], without what the server's own counters say.
pub(crate) fn read_in_time(conn: &Conn, at: At, phase: State) -> bool {
    if conn.answers.read_upto > at.event {
        return true;
    }
    let Some((ended, _)) = &conn.session_ended else { return false };
    if at.event > ended.event || !conn.completed() {
        return false;
    }
    // A server may stop reading while its audio buffer is full; else a second is plenty to read a small message.
    let may_have_stopped = conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms;
    let waited_us = ended.t_us.saturating_sub(at.t_us);
    phase != State::Draining || (!may_have_stopped && waited_us >= conn.scale.surely_read_us())
}

/// Whether the server's own count of refused frames shows that it read the frame at `at` after the sentinel.
fn counted_after_end(conn: &Conn, at: At) -> bool {
    let Some((_, ended)) = &conn.session_ended else { return false };
    let before = conn.audio.broken.frames + conn.audio.before_config.frames;
    let index = conn.audio.after_end.iter().position(|(sent, _)| sent.event == at.event);
    index.is_some_and(|index| ended.rejected_frames > before.saturating_add(index as u64))
}

/// Settles all single answers.
///
/// Where the trace just stops, what comes next might explain what has come: nothing is settled.
pub(crate) fn settle(conn: &mut Conn) {
    if !conn.is_over() {
        return;
    }
    let mut pending: Vec<Pending> = std::mem::take(&mut conn.answers.pending).into_iter().collect();
    let mut strays = std::mem::take(&mut conn.answers.strays);
    name_members(conn, &mut strays);
    for (index, stray) in strays.iter().enumerate() {
        let may_answer = |one: &Pending| {
            !one.optional
                && one.at.event < stray.at.event
                && (one.id.is_some() || stray.id.is_none())
                && is_refusal(&stray.code)
        };
        let without_id = |one: &Pending| may_answer(one) && one.code == stray.code && stray.id.is_none();
        let owed = pending.iter().position(without_id).or_else(|| pending.iter().position(may_answer));
        match owed {
            Some(found) if without_id(&pending[found]) && pending[found].id.is_some() => {
                let one = pending.remove(found);
                let id = one.id.unwrap_or_default();
                let text = format!("refused the message with id {id:?} without repeating the id");
                conn.convict_with(FindingKind::WrongAnswer, one.clause, stray.at, &[one.at.event], text);
            }
            Some(found)
                if !speaks_of_an_end(conn, stray) && !meant_for_keepalive(conn, &strays[index..], &pending[found]) =>
            {
                let one = pending.remove(found);
                // Who does not know `update` breaks the rule about updates, wherever one comes.
                let unknown = one.input == Some(ServerInput::Update) && stray.code == "unknown_type";
                let clause = if unknown { req::UPD_S1 } else { one.clause };
                let text = format!("answered with the error `{}` where `{}` was due", stray.code, one.code);
                conn.convict_with(FindingKind::WrongAnswer, clause, stray.at, &[one.at.event], text);
            }
            _ => unasked(conn, stray, &strays),
        }
    }
    let end = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
    let stopped = stopped_reading_at(conn, &pending, end);
    for one in pending.into_iter().filter(|one| !one.optional) {
        if stopped.is_some_and(|stopped| one.at.event > stopped.event) {
            conn.unsure(one.clause, "nothing is answered any more since a message before this one");
        } else if surely_read(conn, one.at, one.phase) {
            let text = format!("never sent the error `{}` that was due, though it read on past the message", one.code);
            conn.convict_with(FindingKind::Unanswered, one.clause, end, &[one.at.event], text);
        } else {
            conn.unsure(one.clause, "the message may not have been read before the session ended");
        }
    }
    for (asked, id) in std::mem::take(&mut conn.answers.updates) {
        if surely_read(conn, asked, State::Streaming) {
            let text = format!("never answered the update {id:?}");
            conn.convict_with(FindingKind::Unanswered, req::UPD_S1, end, &[asked.event], text);
        } else {
            conn.unsure(req::UPD_S1, "the update may not have been read before the session ended");
        }
    }
}

/// Behind the sentinel: the first message behind which nothing is answered any more. A server that stops reading there has one fault,
/// not one for each message that it never read. Where that is a keepalive, it is the fault of that.
fn stopped_reading_at(conn: &mut Conn, pending: &[Pending], end: At) -> Option<At> {
    let unread = |at: At| at.event > conn.answers.read_upto;
    let owed = |one: &&Pending| !one.optional && one.phase == State::Draining && unread(one.at);
    let first = pending.iter().find(owed).filter(|one| surely_read(conn, one.at, one.phase))?.at;
    let ignored = conn.keepalive.after_end.iter().copied().find(|at| unread(*at) && at.event < first.event);
    if let Some(keepalive) = ignored {
        let text = "answers nothing any more since a keepalive behind the sentinel, which it must ignore";
        conn.convict_with(FindingKind::Unanswered, req::KA_S5, end, &[keepalive.event], text);
    }
    Some(ignored.unwrap_or(first))
}

/// Codes that refuse one message of the client.
fn is_refusal(code: &str) -> bool {
    !matches!(code, "internal" | "going_away" | "max_duration" | "rate_limited" | "quota_exceeded" | "overloaded")
}

/// Whether the first of these errors answers a keepalive after the sentinel: then there is one for each of those.
fn meant_for_keepalive(conn: &Conn, strays: &[Stray], owed: &Pending) -> bool {
    let is_generic = |code: &str| matches!(code, "invalid_state" | "bad_message" | "unknown_type");
    let keepalives = conn.keepalive.after_end.iter().filter(|at| at.event < owed.at.event).count();
    let generic = strays.iter().filter(|stray| is_generic(&stray.code)).count();
    is_generic(&strays[0].code) && !is_generic(owed.code) && keepalives > 0 && generic >= keepalives
}

/// An error that says that the stream is over, though the client has not ended it.
fn speaks_of_an_end(conn: &Conn, stray: &Stray) -> bool {
    matches!(stray.code.as_str(), "audio_after_end" | "duplicate_end_of_stream")
        && conn.end.sentinel.is_none_or(|sentinel| sentinel.event > stray.at.event)
}

/// Settles the `bad_message`s that do not name the member at fault. One that nothing asked for may have taken the place of the
/// right one, which then came as one too many.
fn name_members(conn: &mut Conn, strays: &mut [Stray]) {
    for one in std::mem::take(&mut conn.answers.misnamed) {
        let is_right = |stray: &Stray| stray.code == "bad_message" && stray.param == one.to.param;
        if let Some(stray) = strays.iter_mut().find(|stray| is_right(stray)) {
            (stray.at, stray.param) = (one.at, one.param);
            continue;
        }
        if strays.iter().any(|stray| stray.code == "bad_message") {
            continue;
        }
        let wanted = one.to.param.as_deref().unwrap_or_default();
        let clause = if one.to.extended && one.param.is_some() { req::VER_3 } else { req::MSG_S6 };
        let text = format!("answered a `bad_message` whose `param` does not name the member at fault, `{wanted}`");
        conn.convict_with(FindingKind::WrongAnswer, clause, one.at, &[one.to.at.event], text);
    }
}

/// An error of a well-known code that nothing asked for. Unknown codes are nobody's breach.
fn unasked(conn: &mut Conn, stray: &Stray, strays: &[Stray]) {
    let code = stray.code.as_str();
    if unknown_here(conn, stray) {
        return;
    }
    let before = |one: &&Answered| one.code == code && one.at.event < stray.at.event;
    let repeated = conn.answers.answered.iter().rev().find(before).copied();
    // What was sent before the last message that rightly got this error was handled before it.
    let since = repeated.map_or(0, |one| one.to.event);
    let alike = strays.iter().filter(|other| other.code == code).count() as u64;
    let Some((kind, clause)) = suspect(conn, stray, repeated.is_some(), since, alike) else { return };
    let because: Vec<usize> = match kind {
        FindingKind::DuplicateAnswer => repeated.map(|one| one.at.event).into_iter().collect(),
        _ => reason(conn, clause, stray.at).into_iter().collect(),
    };
    let text = match kind {
        FindingKind::DuplicateAnswer => format!("sent the error `{code}` once more than was due"),
        _ => format!("sent the error `{code}`, which nothing asked for"),
    };
    conn.convict_with(kind, clause, stray.at, &because, text);
}

/// A keepalive, a flush or an update whose type the server says it does not know: what it owes for that is the breach.
fn unknown_here(conn: &mut Conn, stray: &Stray) -> bool {
    if stray.code != "unknown_type" || !conn.keepalive.after_end.is_empty() {
        return false;
    }
    let before = |at: At| at.event < stray.at.event;
    let odd = |at: At| conn.answers.odd_form == Some(at) || conn.answers.extension == Some(at);
    let ack = conn.keepalive.acks.front().map(|debt| (debt.at, debt.seq)).filter(|(at, _)| before(*at));
    let flush = conn.flush.open.front().map(|flush| (flush.at, flush.id.clone())).filter(|(at, _)| before(*at));
    match (ack, flush) {
        (Some((at, seq)), _) if !odd(at) || conn.convicted(req::KA_S6) => {
            conn.keepalive.acks.take(&seq);
            let text = "answered a keepalive as a message of a type that it does not know";
            conn.convict_with(FindingKind::WrongAnswer, req::KA_S6, stray.at, &[at.event], text);
        }
        (None, Some((at, id))) if !odd(at) || conn.convicted(req::FLU_S2) => {
            conn.flush.open.take(&id);
            let text = format!("answered the flush {id:?} as a message of a type that it does not know");
            conn.convict_with(FindingKind::WrongAnswer, req::FLU_S2, stray.at, &[at.event], text);
        }
        _ => return false,
    }
    true
}

/// What the server took for the end of the stream, if it speaks of an end at `at` that the client did not send.
pub(crate) fn taken_for_the_end(conn: &Conn, at: At) -> RequirementId {
    let before = |stimulus: &At| stimulus.event < at.event;
    let was_idle = conn.keepalive.was_idle_before(at, conn.limits.idle_timeout_ms.saturating_mul(1_000));
    let flushed = conn.flush.first.filter(before).is_some() && !conn.flush.first_refused;
    if conn.audio.early_bytes > 0 && conn.end.sentinel_early {
        req::STA_S3
    } else if flushed {
        req::FLU_1
    } else if conn.audio.empty.first().is_some_and(before) && !was_idle {
        req::AUD_S3
    } else if conn.audio.command_frames > 0 {
        req::AUD_S5
    } else {
        req::END_S10
    }
}

fn suspect(
    conn: &Conn,
    stray: &Stray,
    repeated: bool,
    since: usize,
    alike: u64,
) -> Option<(FindingKind, RequirementId)> {
    use FindingKind::{DuplicateAnswer, WronglyRefused};
    let audio = &conn.audio;
    let code = stray.code.as_str();
    let sent = |at: Option<At>| at.is_some_and(|at| at.event > since);
    let kept_alive = sent(conn.keepalive.after_end.last().copied());
    let early_end = conn.end.sentinel_early;
    let early = audio.early_bytes > 0 || conn.flush.any_early;
    Some(match code {
        "audio_after_end" if audio.empty_after_end > 0 && audio.after_end.is_empty() => (WronglyRefused, req::AUD_S3),
        "audio_after_end" if repeated => (DuplicateAnswer, req::END_S4),
        // It said before that the stream was over: this sentinel is a second one to it.
        "duplicate_end_of_stream" if refused_audio_too_soon(conn) => return None,
        "duplicate_end_of_stream" if repeated => (DuplicateAnswer, req::END_S5),
        "duplicate_end_of_stream" if conn.end.sentinel_early && audio.early_bytes == 0 => (WronglyRefused, req::END_S1),
        "audio_after_end" | "duplicate_end_of_stream" => (WronglyRefused, taken_for_the_end(conn, stray.at)),
        "invalid_audio" if !audio.empty.is_empty() && alike >= audio.broken.frames.max(1) => {
            (WronglyRefused, req::AUD_S3)
        }
        "invalid_audio" if repeated => (DuplicateAnswer, req::AUD_S2),
        "invalid_audio" if audio.command_frames > 0 => (WronglyRefused, req::AUD_S5),
        "invalid_audio" if audio.accepted_bytes == 0 => return None,
        "invalid_audio" if audio.unusual_frames == 0 => (WronglyRefused, req::AUD_S1),
        "invalid_audio" => (WronglyRefused, req::AUD_S4),
        "invalid_state" | "unknown_type" | "bad_message" if kept_alive => (WronglyRefused, req::KA_S5),
        "invalid_state" if early && !repeated && !(early_end && alike == 1) => (WronglyRefused, req::STA_S3),
        "invalid_state" if repeated => (DuplicateAnswer, req::STA_S1),
        "invalid_state" if conn.end.sentinel.is_some_and(|sentinel| sentinel.event < stray.at.event) => {
            (WronglyRefused, req::END_S1)
        }
        "invalid_state" => (WronglyRefused, req::STA_S1),
        "bad_message" | "unknown_type" if sent(conn.answers.extension) => (WronglyRefused, req::VER_3),
        "bad_message" | "unknown_type" if sent(conn.answers.odd_form) => (WronglyRefused, req::MSG_3),
        "bad_message" if conn.answers.longest_text_bytes * 2 > conn.limits.max_text_bytes => {
            (WronglyRefused, req::LIM_S3)
        }
        "unknown_type" if repeated => (DuplicateAnswer, req::MSG_S5),
        "bad_message" if repeated => (DuplicateAnswer, req::MSG_S4),
        "bad_message" | "unknown_type" => (WronglyRefused, req::MSG_3),
        "message_too_large" if conn.answers.longest_text_bytes > conn.audio.longest_frame_bytes => {
            (WronglyRefused, req::LIM_S3)
        }
        "message_too_large" => (WronglyRefused, req::LIM_S2),
        _ => return None,
    })
}

/// Whether audio was refused as late before the client ended the stream.
fn refused_audio_too_soon(conn: &Conn) -> bool {
    [req::FLU_1, req::AUD_S3, req::AUD_S5, req::END_S10].into_iter().any(|id| conn.convicted(id))
}

/// The event of the client that most likely led to it.
fn reason(conn: &Conn, clause: RequirementId, before: At) -> Option<usize> {
    let at = match clause {
        id if id == req::KA_S5 => conn.keepalive.after_end.last().copied(),
        id if id == req::AUD_S3 => conn.audio.empty.last().copied(),
        id if id == req::FLU_1 => conn.flush.first,
        id if id == req::END_S1 => conn.end.sentinel,
        id if id == req::VER_3 => conn.answers.extension,
        id if id == req::MSG_3 => conn.answers.odd_form,
        _ => conn.client_last,
    };
    at.map(|at| at.event).filter(|event| *event < before.event)
}
