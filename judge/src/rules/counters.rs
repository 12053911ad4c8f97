//! The counters of `session_ended` against what the client sent and what arrived (END-S4, END-S8, END-S9, AUD-S2, AUD-S3,
//! STA-S2, STA-S3, FLU-1, LIM-S2, BP): a counter that is wrong is blamed on the rule about the frames that explain the difference.

use lastword_spec::finding::FindingKind::{self, SilentTruncation, WrongValue, WronglyAccepted, WronglyRefused};
use lastword_spec::message::SessionEnded;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};
use crate::rules::{aud, end};

/// A server that drops audio drops a frame at least; less is a wrong sum.
const SHORTEST_LOSS_MS: u64 = 100;

/// The members that count.
const COUNTERS: [&str; 4] = ["audio_received_ms", "audio_processed_ms", "finals", "rejected_frames"];

type Blame = (FindingKind, RequirementId, String);

/// The session is over: compares the counters.
pub(crate) fn settle(conn: &mut Conn) {
    let Some((at, ended)) = conn.session_ended.clone() else { return };
    let cancelled = conn.client_close.is_some_and(|close| close.at.event < at.event);
    if cancelled || conn.has_findings_about_end() {
        return;
    }
    let counted_finals = conn.results.finals.len() as u64 + conn.end.late_finals.len() as u64;
    // A second final of a segment, or one that is lost, is blamed already: counted or not, it is no further breach.
    let finals = conn.results.closed.len() as u64..=counted_finals;
    let lost = [req::FIN_S2, req::FIN_S4, req::FLU_S1].into_iter().any(|id| conn.convicted(id));
    if !conn.tainted && !lost && conn.end.told("finals") && !finals.contains(&ended.finals) {
        let text = format!("counts {} finals and sent {}", ended.finals, conn.results.finals.len());
        conn.convict(WrongValue, req::END_S9, at, text);
        return;
    }
    if !conn.completed() {
        early_end(conn, at, &ended);
        return;
    }
    let told = |members: &[&str]| members.iter().all(|member| conn.end.told(member));
    let blames = [
        received(conn, &ended).filter(|_| told(&["audio_received_ms"])),
        rejected(conn, at, &ended).filter(|_| told(&["rejected_frames"])),
        processed(conn, &ended).filter(|_| told(&["audio_processed_ms", "audio_received_ms", "complete"])),
        complete(conn, &ended).filter(|_| told(&["complete"])),
    ];
    match blames.into_iter().flatten().next() {
        Some((kind, clause, text)) => conn.convict(kind, clause, at, text),
        None => proves(conn, at, &ended),
    }
}

impl Conn {
    /// Whether the way the session ended is blamed already, so that its counters mean nothing.
    fn has_findings_about_end(&self) -> bool {
        let about_the_end = [req::FLU_1, req::AUD_S1, req::AUD_S3, req::AUD_S5, req::END_S10, req::END_S6, req::END_S1];
        about_the_end.into_iter().any(|id| self.convicted(id))
    }
}

/// A session that did not complete: frames under way may or may not have been read.
fn early_end(conn: &mut Conn, at: At, ended: &SessionEnded) {
    let Some(sent_ms) = aud::to_ms_up(conn.audio.accepted_bytes, &conn.format()) else { return };
    if !conn.end.told("audio_received_ms") || !conn.end.told("audio_processed_ms") {
        return;
    }
    if ended.audio_received_ms > sent_ms || ended.audio_processed_ms > ended.audio_received_ms {
        let text = format!(
            "counts {} ms received and {} ms processed of {sent_ms} ms sent",
            ended.audio_received_ms, ended.audio_processed_ms
        );
        conn.convict(WrongValue, req::END_S9, at, text);
    }
}

fn received(conn: &Conn, ended: &SessionEnded) -> Option<Blame> {
    let sent = &conn.audio;
    let format = conn.format();
    let ms_of = |bytes: u64| aud::to_ms(bytes, &format);
    let counted = ended.audio_received_ms;
    let expected = ms_of(sent.accepted_bytes)?;
    if counted == expected {
        return None;
    }
    let text = format!("counts {counted} ms of audio received; {expected} ms had to be accepted");
    let with = |bytes: u64| bytes > 0 && ms_of(sent.accepted_bytes.saturating_add(bytes)) == Some(counted);
    let without = |bytes: u64| bytes > 0 && ms_of(sent.accepted_bytes.saturating_sub(bytes)) == Some(counted);
    let broken_whole = sent.broken.bytes.saturating_sub(sent.broken.frames);
    let flooded = sent.backlog_ms > conn.limits.max_buffered_audio_ms;
    let mut late_bytes = 0_u64;
    let counts_late = sent.after_end.iter().any(|(_, bytes)| {
        late_bytes = late_bytes.saturating_add(*bytes);
        with(late_bytes)
    });
    Some(if counts_late || (counted > expected && end::after_end_ms(conn) == Some(counted)) {
        (WronglyAccepted, req::END_S4, text)
    } else if with(sent.broken.bytes) || with(broken_whole) {
        (WronglyAccepted, req::AUD_S2, text)
    } else if with(sent.before_config.bytes) {
        (WronglyAccepted, req::STA_S2, text)
    } else if counted > expected {
        (WrongValue, req::END_S9, text)
    } else if without(sent.early_bytes) {
        (WronglyRefused, req::STA_S3, text)
    } else if without(sent.since_flush_bytes) {
        (SilentTruncation, req::FLU_1, text)
    } else if without(sent.command_bytes) {
        (WronglyRefused, req::AUD_S5, text)
    } else if [sent.short_bytes, sent.long_bytes, sent.short_bytes.saturating_add(sent.long_bytes)]
        .into_iter()
        .any(without)
    {
        (WronglyRefused, req::AUD_S4, text)
    } else if flooded && expected - counted >= SHORTEST_LOSS_MS {
        (SilentTruncation, req::BP_S2, text)
    } else {
        (WrongValue, req::END_S9, text)
    })
}

fn rejected(conn: &Conn, at: At, ended: &SessionEnded) -> Option<Blame> {
    let sent = &conn.audio;
    let counted = ended.rejected_frames;
    let before = sent.broken.frames + sent.before_config.frames;
    let (surely, possibly) = end::refused_after_end(conn, at);
    if (before + surely..=before + possibly).contains(&counted) {
        return None;
    }
    // Frames behind a keepalive at which it stopped reading were never read.
    if conn.convicted(req::KA_S5) && (before..=before + possibly).contains(&counted) {
        return None;
    }
    let text = format!(
        "counts {counted} rejected frames; {before} before and {surely} to {possibly} after the sentinel were due"
    );
    let without =
        |frames: u64| frames > 0 && (before - frames + surely..=before - frames + possibly).contains(&counted);
    let empties = sent.empty.len() as u64;
    // Two sorts of refused frames and a count of none: the count is wrong, not the treatment of one sort.
    let sorts = [sent.broken.frames, sent.before_config.frames, surely].into_iter().filter(|frames| *frames > 0);
    let never_counts = counted == 0 && sorts.count() > 1;
    let clause = if empties > 1 && (before + empties + surely..=before + empties + possibly).contains(&counted) {
        req::AUD_S3
    } else if never_counts || counted > before + possibly {
        req::END_S9
    } else if counted == before && conn.convicted(req::END_S4) {
        req::END_S4
    } else if without(sent.broken.frames) {
        req::AUD_S2
    } else if without(sent.before_config.frames) {
        req::STA_S2
    } else if possibly > 0 {
        req::END_S4
    } else {
        req::END_S9
    };
    Some((WrongValue, clause, text))
}

fn processed(conn: &Conn, ended: &SessionEnded) -> Option<Blame> {
    let (processed, received) = (ended.audio_processed_ms, ended.audio_received_ms);
    let warned = conn.answers.audio_dropped;
    if processed > received {
        return Some((WrongValue, req::END_S9, format!("counts {processed} ms processed of {received} ms received")));
    }
    if processed == received {
        return None;
    }
    let text = format!("processed {processed} ms of {received} ms received");
    // A session that is incomplete because of refused frames is not incomplete because of lost ones.
    let explained = conn.audio.broken.frames + conn.audio.before_config.frames > 0;
    match (ended.complete, warned) {
        (false, None) if explained => Some((WrongValue, req::END_S9, text)),
        (true, _) => Some((WrongValue, req::END_S9, format!("{text} and calls the session complete"))),
        (false, None) => Some((SilentTruncation, req::BP_S2, format!("{text} without a warning"))),
        (false, Some(_)) => None,
    }
}

fn complete(conn: &Conn, ended: &SessionEnded) -> Option<Blame> {
    let refused_before = conn.audio.broken.frames + conn.audio.before_config.frames > 0;
    match (ended.complete, conn.answers.audio_dropped) {
        (true, Some(_)) => Some((SilentTruncation, req::BP_S2, "dropped audio and calls the session complete".into())),
        // Frames before `config` belong to no stream: whether they count here is open.
        (true, None) if conn.audio.broken.frames > 0 => {
            Some((WrongValue, req::END_S8, "calls a session complete of which it refused frames".into()))
        }
        (false, None) if !refused_before => {
            Some((WrongValue, req::END_S8, "calls a session incomplete of which nothing was refused or dropped".into()))
        }
        _ => None,
    }
}

/// The counters agree.
fn proves(conn: &mut Conn, at: At, ended: &SessionEnded) {
    if COUNTERS.iter().all(|member| conn.end.told(member)) {
        conn.credit(req::END_S9);
    }
    if conn.end.told("complete") {
        conn.credit(req::END_S8);
    }
    let (surely, possibly) = end::refused_after_end(conn, at);
    let refused_late = conn.answers.answered.iter().any(|one| one.code == "audio_after_end");
    if refused_late && possibly > 0 && ended.rejected_frames > 0 {
        conn.credit(req::END_S4);
    } else if possibly > 0 && surely == 0 && !refused_late {
        conn.unsure(req::END_S4, "the drain was too fast: the frames may have been read after session_ended");
    }
    aud::credit(conn, ended.complete);
}
