//! Errors that come (ERR): whether an error may be fatal, what a fatal one means for the session, and that a non-fatal one
//! does not end it.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::ErrorMessage;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::conn::{At, Conn, Control, Failed};
use crate::rules::{answers, flush, keepalive, limits, refusal};

/// An `error`, where the state allows one.
pub(crate) fn on_error(conn: &mut Conn, at: At, error: &ErrorMessage) {
    conn.answers.codes.push(error.code.as_str().to_owned());
    conn.credit(req::ERR_1);
    if !error.fatal {
        needs_retry_after(conn, at, error);
        conn.answers.last_nonfatal = Some((at, error.code.as_str().to_owned()));
        conn.answers.bad_answers += u32::from(error.code == "bad_message");
        answers::settle_by(conn, at, error);
        return;
    }
    let before_ready = matches!(conn.state, State::AwaitConfig | State::Configuring);
    if before_ready {
        refusal::on_fatal(conn, at, error);
    } else {
        after_ready(conn, at, error);
    }
    needs_retry_after(conn, at, error);
    conn.answers.fatal = Some((at, error.clone()));
    conn.state = if before_ready { State::Ended } else { State::Failing };
    flush::abandoned(conn);
}

fn needs_retry_after(conn: &mut Conn, at: At, error: &ErrorMessage) {
    let wants = matches!(error.code.as_str(), "rate_limited" | "overloaded" | "quota_exceeded");
    if wants && error.retry_after_ms.is_none() && !conn.convicted(req::BP_S1) {
        let text = format!("sent `{}` without `retry_after_ms`", error.code.as_str());
        conn.convict(FindingKind::WrongAnswer, req::ERR_S5, at, text);
    } else if wants {
        conn.credit(req::ERR_S5);
    }
}

fn after_ready(conn: &mut Conn, at: At, error: &ErrorMessage) {
    let code = error.code.as_str();
    if code == "message_too_large" && conn.answers.oversize_text.is_some() {
        conn.end.provoked = conn.answers.oversize_text.map(|asked| (asked, req::LIM_S3));
        conn.answers.pending.retain(|one| !one.oversize);
        return;
    }
    if code == "bad_message" && too_many_bad_messages(conn, at) {
        return;
    }
    if let Some((asked, due, clause)) = conn.answers.fatal_due {
        if code == "idle_timeout" {
            went_on_past(conn, at, asked, clause);
            return;
        }
        if code == due {
            conn.answers.read(asked.event);
            conn.end.provoked = Some((asked, clause));
            return;
        }
        if clause == req::MSG_S7 && code != "internal" {
            let text = format!("answered the tenth bad message with the fatal `{code}` instead of `{due}`");
            conn.convict_with(FindingKind::WrongAnswer, clause, at, &[asked.event], text);
            return;
        }
    }
    if code == "message_too_large" && limits::early_may_be_too_large(conn) {
        conn.unsure(req::LIM_S2, "the message was sent before the limit was known");
        return;
    }
    if code == "idle_timeout" {
        keepalive::timed_out(conn, at, error);
        return;
    }
    if code == "internal" {
        conn.failed = provoked_by(conn, at).map(|(because, clause)| Failed { at, because, clause });
        conn.failed_at_the_end = conn.end.sentinel.map(|because| Failed { at, because, clause: req::END_S2 });
        return;
    }
    if let Some(clause) = never_fatal(conn, code) {
        // The message that provoked it has its answer, be it a wrong one.
        conn.answers.pending.retain(|one| one.code != code);
        let text = format!("ended the session by a fatal `{code}`");
        conn.convict(FindingKind::WrongAnswer, clause, at, text);
    } else if conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms && blames_the_load(code) {
        let text =
            format!("ended the session by `{code}` when its audio buffer was full instead of reading no further");
        conn.convict(FindingKind::WronglyRefused, req::BP_S1, at, text);
    }
}

/// A fatal `bad_message`: only the tenth bad message may have one.
pub(crate) fn too_many_bad_messages(conn: &mut Conn, at: At) -> bool {
    let number = conn.answers.bad_answers + 1;
    if conn.answers.bad_messages == 0 || number >= 10 {
        return false;
    }
    let (clause, text) = if number > 1 {
        (req::MSG_S7, format!("ended the session at bad message {number}, not at the tenth"))
    } else {
        (req::MSG_S4, "answered a bad message with a fatal error".to_owned())
    };
    conn.answers.pending.retain(|one| one.code != "bad_message");
    conn.convict(FindingKind::WrongAnswer, clause, at, text);
    true
}

/// The session was ended as idle, long after a message that had to end it at once.
fn went_on_past(conn: &mut Conn, at: At, asked: At, clause: RequirementId) {
    let unanswered = conn.answers.pending.iter().find(|one| one.code == "bad_message").map(|one| one.at);
    let (clause, asked) = match unanswered {
        Some(first) if clause == req::MSG_S7 => (req::MSG_S4, first),
        _ => (clause, asked),
    };
    conn.answers.pending.clear();
    let text = "went on past a message that had to end the session, until it was idle";
    conn.convict_with(FindingKind::Unanswered, clause, at, &[asked.event], text);
    conn.abandoned = true;
}

/// What a server most likely failed at, where a plain session works: by the order of the bytes the first thing that it owes an answer
/// for, or that asks for none and is not known to have done no harm.
pub(crate) fn provoked_by(conn: &Conn, now: At) -> Option<(At, RequirementId)> {
    let first =
        [first_unanswered(conn), first_unsurvived(conn, now)].into_iter().flatten().min_by_key(|(at, _)| at.event);
    first.or_else(|| last_sent(conn))
}

/// The first message that asks for an answer at once and has none.
fn first_unanswered(conn: &Conn) -> Option<(At, RequirementId)> {
    let error = conn.answers.pending.iter().find(|one| !one.optional);
    let error = error.map(|one| (one.at, if one.hostile { req::SEC_S3 } else { one.clause }));
    let update = conn.answers.updates.front().map(|(at, _)| (*at, req::UPD_S1));
    let ack = conn.keepalive.acks.front().map(|debt| (debt.at, keepalive::clause_of_ack(conn, debt)));
    [error, update, ack].into_iter().flatten().min_by_key(|(at, _)| at.event)
}

/// The first message that asks for no answer, special as it is, behind which nothing has been answered yet; only just now sent.
fn first_unsurvived(conn: &Conn, now: At) -> Option<(At, RequirementId)> {
    let recent = |at: &At| now.t_us.saturating_sub(at.t_us) <= conn.scale.surely_read_us();
    let unread = |at: &&At| at.event > conn.answers.read_upto && recent(at);
    let empty = conn.audio.empty.iter().find(unread).map(|at| (*at, req::AUD_S3));
    let late = conn.keepalive.after_end.iter().find(unread).map(|at| (*at, req::KA_S5));
    let command = conn.audio.last_command.as_ref().filter(unread).map(|at| (*at, req::AUD_S5));
    [empty, late, command].into_iter().flatten().min_by_key(|(at, _)| at.event)
}

/// The last thing of all, if it is special.
fn last_sent(conn: &Conn) -> Option<(At, RequirementId)> {
    let audio = &conn.audio;
    let sentinel = conn.end.sentinel;
    let untouched = audio.accepted_bytes == 0 && audio.broken.frames == 0;
    let ready_event = conn.ready.as_ref().map_or(0, |(at, _)| at.event);
    let last = conn.client_last?;
    let stimuli = [
        (sentinel.filter(|_| conn.end.sentinel_early), req::END_S1),
        (sentinel.filter(|_| untouched), req::END_S6),
        (conn.flush.open.front().map(|flush| flush.at), req::FLU_S2),
        (conn.keepalive.after_end.last().copied(), req::KA_S5),
        (audio.empty.last().copied(), req::AUD_S3),
        (audio.last_command, req::AUD_S5),
        (audio.broken.last, req::AUD_S2),
        (audio.last_unusual, req::AUD_S4),
    ];
    let found = stimuli.into_iter().find_map(|(at, clause)| at.filter(|at| *at == last).map(|at| (at, clause)));
    let early = audio.early_bytes > 0 && last.event < ready_event;
    let full = audio.backlog_ms > conn.limits.max_buffered_audio_ms;
    found.or(early.then_some((last, req::STA_S3))).or(full.then_some((last, req::BP_S1)))
}

/// The trace is over: a failure right after such a stimulus is the breach of its clause, if plain sessions work.
pub(crate) fn settle(conn: &mut Conn, controls: &[Control]) {
    if let Some(failed) = conn.failed_at_the_end.take().filter(|_| !Control::plain_works(controls)) {
        let text = "failed with the fatal `internal` when the stream had ended, as plain sessions do";
        conn.convict_with(FindingKind::WrongAnswer, failed.clause, failed.at, &[failed.because.event], text);
        return;
    }
    let Some(failed) = conn.failed.take() else { return };
    if controls.iter().any(Control::completed) {
        let text = "failed with the fatal `internal` at a message that it must be able to take";
        conn.convict_with(FindingKind::WrongAnswer, failed.clause, failed.at, &[failed.because.event], text);
    } else {
        conn.unsure(failed.clause, "the server failed, and no control session shows that it works otherwise");
    }
}

/// Codes by which a server could cut off a client that sends faster than it works.
fn blames_the_load(code: &str) -> bool {
    !matches!(code, "internal" | "going_away" | "max_duration" | "forbidden" | "quota_exceeded" | "unauthenticated")
}

/// The clause that a fatal error of this code breaks after `ready`, if it may not be fatal there.
fn never_fatal(conn: &Conn, code: &str) -> Option<RequirementId> {
    // By the order of the bytes, a keepalive that was read without harm did none.
    let after_end = conn.keepalive.after_end.iter().any(|at| at.event > conn.answers.read_upto);
    let unanswered = conn.answers.pending.iter().find(|one| !one.optional);
    Some(match code {
        "unknown_type" => req::MSG_S5,
        "audio_after_end" if conn.audio.after_end.is_empty() && !conn.audio.empty.is_empty() => req::AUD_S3,
        "audio_after_end" => req::END_S4,
        "duplicate_end_of_stream" => req::END_S5,
        "invalid_audio" if conn.audio.broken.frames == 0 && !conn.audio.empty.is_empty() => req::AUD_S3,
        "invalid_audio" if conn.audio.broken.frames == 0 && conn.audio.unusual_frames > 0 => req::AUD_S4,
        "invalid_audio" => req::AUD_S2,
        "invalid_state" if after_end && !conn.answers.pending.iter().any(|one| one.code == code) => req::KA_S5,
        "invalid_state" if conn.answers.pending.is_empty() && conn.end.sentinel_early => req::END_S1,
        "invalid_state" if conn.answers.pending.is_empty() && conn.flush.any_early => req::STA_S3,
        "invalid_state" => unanswered.map_or(req::STA_S1, |one| one.clause),
        "bad_message" if conn.answers.pending.front().is_some_and(|one| one.code == "unknown_type") => req::MSG_S5,
        "bad_message" if conn.answers.bad_messages == 0 && conn.answers.extension.is_some() => req::VER_3,
        "bad_message" if conn.answers.bad_messages == 0 => req::MSG_3,
        "bad_message" => req::MSG_S4,
        "unsupported_option" => req::UPD_S1,
        "message_too_large" if conn.answers.longest_text_bytes > conn.audio.longest_frame_bytes => req::LIM_S3,
        "message_too_large" => req::LIM_S2,
        "config_timeout" => req::CON_S3,
        _ => return None,
    })
}

/// The clause of a close that nothing but a non-fatal error announced.
pub(crate) fn ended_by_nonfatal(conn: &Conn) -> Option<(At, RequirementId)> {
    let (at, code) = conn.answers.last_nonfatal.as_ref()?;
    let nothing_since = conn.heard_us.is_some_and(|heard| heard <= at.t_us);
    // What came after it got no answer: unless that is of the same sort, it is what the server closed for.
    // And what no parser takes is what it closed for, whatever it had said of others before.
    let first = conn.answers.pending.iter().find(|one| !one.optional);
    let same_sort = first.is_none_or(|one| one.code == code && !one.hostile);
    let clause = match code.as_str() {
        "audio_after_end" => req::END_S4,
        "duplicate_end_of_stream" => req::END_S5,
        "unknown_type" => req::MSG_S5,
        _ => req::ERR_S4,
    };
    (nothing_since && same_sort).then_some((*at, clause))
}
