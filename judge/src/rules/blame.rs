//! When a session is over: which debts of single answers were never paid though the server surely read the message, and which
//! clause an unasked error breaks. One breach, one clause: an unpaid debt and an unasked error beside it are one wrong answer.

use lastword_spec::finding::FindingKind;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

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
pub(crate) fn settle(conn: &mut Conn) {
    let mut pending: Vec<Pending> = std::mem::take(&mut conn.answers.pending).into_iter().collect();
    for stray in std::mem::take(&mut conn.answers.strays) {
        let owed = pending.iter().position(|one| {
            !one.optional
                && one.at.event < stray.at.event
                && (one.id.is_some() || stray.id.is_none())
                && is_refusal(&stray.code)
        });
        match owed {
            Some(index) if !meant_for_keepalive(conn, &stray, &pending[index]) => {
                let one = pending.remove(index);
                let text = format!("answered with the error `{}` where `{}` was due", stray.code, one.code);
                conn.convict_with(FindingKind::WrongAnswer, one.clause, stray.at, &[one.at.event], text);
            }
            _ => unasked(conn, &stray),
        }
    }
    let end = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
    for one in pending.into_iter().filter(|one| !one.optional) {
        if surely_read(conn, one.at, one.phase) {
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

/// Codes that refuse one message of the client.
fn is_refusal(code: &str) -> bool {
    !matches!(code, "internal" | "going_away" | "max_duration" | "rate_limited" | "quota_exceeded" | "overloaded")
}

fn meant_for_keepalive(conn: &Conn, stray: &Stray, owed: &Pending) -> bool {
    let generic = matches!(stray.code.as_str(), "invalid_state" | "bad_message" | "unknown_type");
    generic && !matches!(owed.code, "invalid_state" | "bad_message" | "unknown_type") && has_keepalive_after_end(conn)
}

fn has_keepalive_after_end(conn: &Conn) -> bool {
    !conn.keepalive.after_end.is_empty()
}

/// An error of a well-known code that nothing asked for. Unknown codes are nobody's breach.
fn unasked(conn: &mut Conn, stray: &Stray) {
    let code = stray.code.as_str();
    let before = |one: &&Answered| one.code == code && one.at.event < stray.at.event;
    let repeated = conn.answers.answered.iter().rev().find(before).copied();
    // What was sent before the last message that rightly got this error was handled before it.
    let since = repeated.map_or(0, |one| one.to.event);
    let Some((kind, clause)) = suspect(conn, code, repeated.is_some(), since) else { return };
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

fn suspect(conn: &Conn, code: &str, repeated: bool, since: usize) -> Option<(FindingKind, RequirementId)> {
    use FindingKind::{DuplicateAnswer, WronglyRefused};
    let audio = &conn.audio;
    let sent = |at: Option<At>| at.is_some_and(|at| at.event > since);
    let kept_alive = sent(conn.keepalive.after_end.last().copied());
    let early_end = conn.end.sentinel_early;
    let early = conn.answers.pending.iter().any(|one| one.early) || audio.early_bytes > 0 || conn.flush.any_early;
    Some(match code {
        "audio_after_end" if audio.empty_after_end > 0 && audio.after_end.is_empty() => (WronglyRefused, req::AUD_S3),
        "audio_after_end" if repeated => (DuplicateAnswer, req::END_S4),
        "audio_after_end" | "duplicate_end_of_stream" if conn.flush.first.is_some() && !repeated => {
            (WronglyRefused, req::FLU_1)
        }
        "audio_after_end" | "duplicate_end_of_stream" if !audio.empty.is_empty() && !repeated => {
            (WronglyRefused, req::AUD_S3)
        }
        "audio_after_end" | "duplicate_end_of_stream" if audio.command_frames > 0 && !repeated => {
            (WronglyRefused, req::AUD_S5)
        }
        "audio_after_end" => (WronglyRefused, req::END_S4),
        "duplicate_end_of_stream" if repeated => (DuplicateAnswer, req::END_S5),
        "duplicate_end_of_stream" => (WronglyRefused, req::END_S1),
        "invalid_audio" if repeated => (DuplicateAnswer, req::AUD_S2),
        "invalid_audio" if !audio.empty.is_empty() => (WronglyRefused, req::AUD_S3),
        "invalid_audio" if audio.command_frames > 0 => (WronglyRefused, req::AUD_S5),
        "invalid_audio" if audio.accepted_bytes == 0 => return None,
        "invalid_audio" => (WronglyRefused, req::AUD_S4),
        "invalid_state" | "unknown_type" | "bad_message" if kept_alive => (WronglyRefused, req::KA_S5),
        "invalid_state" if early_end && !repeated => (WronglyRefused, req::END_S1),
        "invalid_state" if early && !repeated => (WronglyRefused, req::STA_S3),
        "invalid_state" if repeated => (DuplicateAnswer, req::STA_S1),
        "invalid_state" if conn.end.sentinel.is_some() => (WronglyRefused, req::END_S1),
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
