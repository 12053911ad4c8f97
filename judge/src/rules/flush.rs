//! Flushes (FLU): each one answered once, in order, after the finals of its audio; and never taken for the end.

use std::collections::BTreeSet;

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{Final, Flushed};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;

use crate::bounds::ms;
use crate::conn::{At, Conn};
use crate::queue::Queue;
use crate::rules::answers::{self, Would};
use crate::rules::results::{Place, Segment};
use crate::rules::{aud, keepalive, vad};

/// How far before a flush a segment may have begun and still belong to the audio after it, in milliseconds.
const PRE_ROLL_MS: u64 = 500;

/// A `flushed` that the server owes.
#[derive(Clone, Debug)]
pub(crate) struct FlushDebt {
    pub(crate) id: String,
    pub(crate) at: At,
    pub(crate) early: bool,
    /// The audio that was sent before it.
    bytes: u64,
}

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    pub(crate) open: Queue<String, FlushDebt>,
    answered: usize,
    done: BTreeSet<String>,
    pub(crate) refused: BTreeSet<String>,
    /// The first one was refused, as illegal where it came.
    pub(crate) first_refused: bool,
    /// A later flush was answered before all those up to this event.
    overtaken_upto: Option<usize>,
    pub(crate) first: Option<At>,
    pub(crate) any_early: bool,
    /// One that was sent after `ready` was answered.
    later_answered: bool,
    /// The audio that the answered flushes cover.
    covered_bytes: u64,
    /// The last `flushed`, and the audio it covers in milliseconds.
    pub(crate) last: Option<(At, u64)>,
    /// The last flush that was answered had come before `ready`.
    last_early: bool,
    /// The segment that was found open at a `flushed`.
    pub(crate) blamed: Option<u64>,
    /// What came after the end.
    pub(crate) late: Vec<String>,
    /// The flush that took longest, and its answer.
    pub(crate) slowest: Option<(At, At)>,
}

impl Flushes {
    /// The oldest open flush that no later one has overtaken.
    pub(crate) fn unanswered(&self) -> Option<&FlushDebt> {
        let upto = self.overtaken_upto.unwrap_or(0);
        self.open.iter().map(|(_, flush)| flush).find(|flush| flush.at.event >= upto)
    }

    /// Whether all of so much audio lies before a flush that was answered.
    pub(crate) fn covers(&self, bytes: u64) -> bool {
        self.open.is_empty() && self.answered > 0 && self.covered_bytes == bytes
    }

    /// Whether a flush of this id has its answer, whichever.
    pub(crate) fn was_answered(&self, id: &str) -> bool {
        self.done.contains(id) || self.refused.contains(id)
    }
}

/// A `flush` that must be served.
pub(crate) fn asked(conn: &mut Conn, at: At, id: String) {
    let early = conn.is_early();
    let bytes = conn.audio.accepted_bytes;
    conn.flush.any_early |= early;
    conn.flush.first.get_or_insert(at);
    conn.flush.open.push(id.clone(), FlushDebt { id, at, early, bytes });
}

/// `flushed` in its place.
pub(crate) fn on_flushed(conn: &mut Conn, at: At, flushed: &Flushed) {
    keepalive::heard(conn, at);
    let since_us = conn.working_since_us().unwrap_or(at.t_us);
    let Some((flush, ahead)) = conn.flush.open.take(&flushed.id) else {
        unasked(conn, at, flushed);
        return;
    };
    let ahead = ahead.cloned();
    conn.answers.read(flush.at.event);
    conn.flush.done.insert(flush.id.clone());
    conn.flush.answered += 1;
    conn.flush.covered_bytes = conn.flush.covered_bytes.max(flush.bytes);
    conn.credit(req::FLU_S2);
    if flush.early {
        conn.credit(req::STA_S3);
    }
    conn.flush.later_answered |= !flush.early;
    let known = |debt: &FlushDebt| conn.flush.overtaken_upto.is_some_and(|upto| debt.at.event < upto);
    if let Some(ahead) = ahead.filter(|ahead| !known(ahead)) {
        conn.flush.overtaken_upto = Some(flush.at.event);
        let text = format!("answered the flush {:?} before the flush {:?}", flush.id, ahead.id);
        let clause = clause_of(conn, &ahead);
        conn.convict_with(FindingKind::WrongAnswer, clause, at, &[ahead.at.event, flush.at.event], text);
    }
    let ready_us = conn.ready.as_ref().map_or(0, |(ready, _)| ready.t_us);
    let asked_us = flush.at.t_us.max(ready_us);
    let took_us = |(asked, answered): (At, At)| answered.t_us.saturating_sub(asked.t_us);
    let this = (At { t_us: asked_us, ..flush.at }, at);
    if conn.flush.slowest.is_none_or(|slowest| took_us(slowest) < took_us(this)) {
        conn.flush.slowest = Some(this);
    }
    // Flushes are answered in order: the bound of this one cannot pass before the one ahead of it is done.
    let due_us = conn.extended_due_us(asked_us.max(since_us), conn.limits.flush_ms);
    if at.t_us > due_us && conn.end.sentinel.is_none() {
        let text = format!("answered the flush {:?} after {} ms", flush.id, ms(at.t_us.saturating_sub(asked_us)));
        conn.convict_with(FindingKind::Late, req::FLU_S2, at, &[flush.at.event], text);
    }
    conn.progress.advanced_us = Some(at.t_us);
    if conn.end.sentinel.is_some_and(|sentinel| sentinel.event > flush.at.event) {
        conn.credit(req::FLU_S4);
    }
    covers(conn, at, &flush);
}

/// What `flushed` says of the audio before the flush.
fn covers(conn: &mut Conn, at: At, flush: &FlushDebt) {
    let Some(upto_ms) = aud::to_ms_up(flush.bytes, &conn.format()) else { return };
    conn.progress.worked_off_ms = conn.progress.worked_off_ms.max(upto_ms);
    conn.flush.last = Some((at, upto_ms));
    conn.flush.last_early = flush.early;
    if !conn.results.finals.is_empty() {
        conn.credit(req::FLU_S1);
        conn.credit(req::FLU_S3);
    }
    vad::on_flushed(conn, at, upto_ms);
    if conn.tainted {
        return;
    }
    let starts_before = |start_ms: u64| start_ms.saturating_add(PRE_ROLL_MS) < upto_ms;
    let belongs = |one: &Segment| one.end_ms <= upto_ms || one.start_ms.is_some_and(starts_before);
    let open = conn.results.open.iter().find(|(_, one)| belongs(one)).map(|(id, one)| (*id, *one));
    if let Some((id, segment)) = open {
        conn.flush.blamed = Some(id);
        let text = format!("sent `flushed` for {:?} while segment {id} of that audio was open", flush.id);
        conn.convict_with(FindingKind::WrongAnswer, req::FLU_S1, at, &[segment.at.event], text);
    }
}

/// The clause by which a `flushed` is owed: that the flush was early says something only where others are answered.
pub(crate) fn clause_of(conn: &Conn, flush: &FlushDebt) -> RequirementId {
    if flush.early && conn.flush.later_answered { req::STA_S3 } else { req::FLU_S2 }
}

/// A final: does it belong to audio for which `flushed` has come already? Where it does not say where it lies, its end is no earlier
/// than it can be.
pub(crate) fn on_final(conn: &mut Conn, at: At, result: &Final, place: Place) {
    let Some((flushed, upto_ms)) = conn.flush.last.filter(|_| !conn.convicted(req::TIM_1)) else { return };
    let before = result.end_ms <= upto_ms && place.start_ms.is_none_or(|start_ms| start_ms < upto_ms);
    if before && conn.flush.blamed.is_none() && !result.text.is_empty() {
        let clause = late_or_misdated(conn, result, place);
        let text = match clause {
            id if id == req::TIM_1 => {
                format!("sent a final up to {} ms after `flushed`, where finals of that audio had come", result.end_ms)
            }
            _ => format!("sent a final of audio up to {} ms after `flushed` for it", result.end_ms),
        };
        conn.convict_with(FindingKind::IllegalMessage, clause, at, &[flushed.event], text);
    } else if place.end_ms.is_some_and(|end_ms| end_ms > upto_ms) {
        conn.credit(req::FLU_1);
    }
}

/// A final that lies before the flush: it came too late, or its times are counted from somewhere else than the first sample.
fn late_or_misdated(conn: &Conn, result: &Final, place: Place) -> RequirementId {
    let back = conn.results.finals.iter().any(|one| {
        let inside = place.start_ms.is_some_and(|start_ms| start_ms.saturating_add(PRE_ROLL_MS / 5) < one.end_ms);
        one.channel == result.channel && !one.text.is_empty() && inside
    });
    if conn.flush.last_early {
        req::STA_S3
    } else if back {
        req::TIM_1
    } else {
        req::FLU_S1
    }
}

fn unasked(conn: &mut Conn, at: At, flushed: &Flushed) {
    let id = &flushed.id;
    if conn.flush.refused.contains(id) {
        return;
    }
    let illegal =
        conn.answers.pending.iter().position(|one| one.id.as_ref() == Some(id) && one.code == "invalid_state");
    if let Some(pending) = illegal.and_then(|index| conn.answers.pending.remove(index)) {
        let text = format!("sent `flushed` for the flush {id:?}, which was illegal where it came");
        conn.convict_with(FindingKind::WronglyAccepted, pending.clause, at, &[pending.at.event], text);
    } else if conn.flush.done.contains(id) {
        let text = format!("answered the flush {id:?} twice");
        conn.convict(FindingKind::DuplicateAnswer, req::FLU_S2, at, text);
    } else if answers::accepted(conn, at, &Would::Flush(Some(id.clone()))) {
        // Blamed already.
    } else {
        let text = format!("sent `flushed` for {id:?}, which no flush carried");
        conn.convict(FindingKind::IllegalMessage, req::FLU_S5, at, text);
        // If a flush is open, this is its answer.
        if let Some(flush) = conn.flush.open.take_front() {
            conn.answers.read(flush.at.event);
        }
    }
}

/// A fatal error: no flush can be answered any more.
pub(crate) fn abandoned(conn: &mut Conn) {
    conn.flush.open.clear();
}

/// The session is over.
pub(crate) fn settle(conn: &mut Conn) {
    let Some(ended_at) = conn.session_ended.as_ref().map(|(at, _)| *at) else { return };
    if !conn.flush.done.is_empty() {
        conn.credit(req::FLU_S5);
    }
    let Some(sentinel) = conn.end.sentinel.filter(|_| conn.completed()) else { return };
    if conn.flush.answered > 1 {
        conn.credit(req::FLU_S3);
    }
    let late = std::mem::take(&mut conn.flush.late);
    let blamed = [req::FLU_S2, req::FLU_1, req::END_S10, req::MSG_3, req::VER_3].iter().any(|id| conn.convicted(*id));
    let unanswered = conn.flush.unanswered().filter(|_| !conn.tainted && !blamed).cloned();
    if let Some(flush) = unanswered {
        let due_us = conn.extended_due_us(flush.at.t_us, conn.limits.flush_ms);
        let clause = if sentinel.t_us > due_us && !late.contains(&flush.id) { req::FLU_S2 } else { req::FLU_S4 };
        let text = format!("ended the session without `flushed` for {:?}", flush.id);
        conn.convict_with(FindingKind::Unanswered, clause, ended_at, &[flush.at.event], text);
    }
}
