//! Progress (PRG): its numbers, how long the server may be silent while it owes, and how long it may run in place.

use lastword_spec::finding::FindingKind;
use lastword_spec::limits::Limits;
use lastword_spec::message::Progress;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::bounds::ms;
use crate::conn::{At, Conn, Context};
use crate::rules::{aud, keepalive};

/// The longest a server may take to become ready, whatever its progress says.
const READY_AT_MOST_MS: u64 = 60_000;
/// The progress interval before `ready`.
pub(crate) const INTERVAL_BEFORE_READY_MS: u64 = 2_000;

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    seq: u64,
    processed_ms: u64,
    /// What is known to be worked off: by progress, or by a final that reaches so far.
    pub(crate) worked_off_ms: u64,
    /// When the server last got on: by progress that advances, a final, a `flushed`.
    pub(crate) advanced_us: Option<u64>,
    /// When progress last came, advancing or not.
    pub(crate) told_us: Option<u64>,
    /// When a message last came that can be the fruit of work.
    pub(crate) moved_us: Option<u64>,
    /// How many messages came since then that are none: acknowledgements, warnings, the same progress again.
    pub(crate) idle_talk: usize,
    blamed: bool,
}

impl Conn {
    /// The bound of silence that holds now, in milliseconds.
    pub(crate) fn interval_ms(&self) -> u64 {
        if self.ready.is_none() { INTERVAL_BEFORE_READY_MS } else { self.limits.progress_interval_ms }
    }

    /// Since when the server has owed work without a break, if it does.
    pub(crate) fn working_since_us(&self) -> Option<u64> {
        if !self.is_live() {
            return None;
        }
        let ready_us = self.ready.as_ref().map_or(0, |(at, _)| at.t_us);
        match self.state {
            State::Configuring => self.config.at.map(|at| at.t_us),
            State::Streaming => self.flush.open.front().map(|flush| flush.at.t_us.max(ready_us)),
            State::Draining => {
                let flush = self.flush.open.front().map(|flush| flush.at.t_us.max(ready_us));
                let sentinel = self.end.sentinel.map(|at| at.t_us.max(ready_us));
                flush.into_iter().chain(sentinel).min()
            }
            _ => None,
        }
    }

    /// The start of the bound for what is owed since `since_us`: progress that advances restarts it.
    pub(crate) fn restarted_us(&self, since_us: u64) -> u64 {
        self.progress.advanced_us.map_or(since_us, |advanced| advanced.max(since_us))
    }

    /// The bound for what is owed since `since_us` within `bound_ms`, extended by progress, as a moment. While progress is told
    /// the server may stand still for `max_step_ms`, so the bound is never shorter then.
    pub(crate) fn extended_due_us(&self, since_us: u64, bound_ms: u64) -> u64 {
        let restarted_us = self.restarted_us(since_us);
        let told = self.progress.told_us.is_some_and(|told| told > restarted_us);
        let bound_ms = if told { bound_ms.max(self.limits.max_step_ms) } else { bound_ms };
        restarted_us.saturating_add(self.scale.patience_us(bound_ms))
    }
}

/// The latest moment for `ready`.
pub(crate) fn ready_due_us(conn: &Conn, asked: At) -> u64 {
    let extended = conn.restarted_us(asked.t_us).saturating_add(conn.scale.patience_us(Limits::DEFAULT.ready_ms));
    extended.min(asked.t_us.saturating_add(conn.scale.patience_us(READY_AT_MOST_MS)))
}

/// `ready` came: was it in time?
pub(crate) fn ready_came(conn: &mut Conn, at: At, asked: At) {
    let due_us = ready_due_us(conn, asked);
    if at.t_us > due_us {
        let text = format!("sent `ready` {} ms after `config`", ms(at.t_us.saturating_sub(asked.t_us)));
        conn.convict_with(FindingKind::Late, req::CFG_S1, at, &[asked.event], text);
    }
    conn.progress.advanced_us = None;
    conn.progress.told_us = None;
}

/// `progress` in its place.
pub(crate) fn on_progress(conn: &mut Conn, at: At, progress: &Progress) {
    let next = conn.progress.seq.saturating_add(1);
    let is_numbered = !conn.is_made_up("seq");
    if is_numbered {
        conn.credit(req::PRG_S2);
    }
    if is_numbered && progress.seq != next {
        let text = format!("numbered a progress {} where {next} was next", progress.seq);
        conn.convict(FindingKind::WrongValue, req::PRG_S2, at, text);
    }
    conn.progress.seq = progress.seq;
    conn.progress.told_us = Some(at.t_us);
    keepalive::worked(conn, at);
    if conn.is_made_up("audio_processed_ms") {
        // That it works is all it says, and nothing speaks against it.
        conn.progress.advanced_us = Some(at.t_us);
        return;
    }
    let processed_ms = progress.audio_processed_ms;
    let counted = conn.answers.fatal_due.is_none();
    let sent_ms = aud::to_ms_up(conn.audio.accepted_bytes, &conn.format()).filter(|_| counted);
    if sent_ms.is_some_and(|sent_ms| sent_ms > 0) {
        conn.credit(req::PRG_S3);
    }
    if processed_ms < conn.progress.processed_ms {
        let text = format!("let audio_processed_ms fall from {} to {processed_ms}", conn.progress.processed_ms);
        conn.convict(FindingKind::WrongValue, req::PRG_S3, at, text);
    } else if let Some(sent_ms) = sent_ms.filter(|sent_ms| processed_ms > *sent_ms) {
        let text = format!("says that it processed {processed_ms} ms when only {sent_ms} ms had been sent");
        aud::reaches_too_far(conn, at, processed_ms, req::PRG_S3, text);
    }
    // Before `ready` there is no audio to count: every progress counts there.
    if processed_ms > conn.progress.processed_ms || conn.ready.is_none() {
        conn.progress.advanced_us = Some(at.t_us);
        if conn.ready.is_some() && conn.working_since_us().is_some() {
            conn.credit(req::PRG_S4);
        }
    }
    conn.progress.processed_ms = conn.progress.processed_ms.max(processed_ms);
    conn.progress.worked_off_ms = conn.progress.worked_off_ms.max(processed_ms);
}

/// A final shows that the audio up to its end has been worked off, where it says where that is.
pub(crate) fn advanced_by_final(conn: &mut Conn, at: At, end_ms: Option<u64>) {
    conn.progress.worked_off_ms = conn.progress.worked_off_ms.max(end_ms.unwrap_or(0));
    conn.progress.advanced_us = Some(at.t_us);
}

/// How a server gets on with the work that it owes, as far as its messages show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Motion {
    /// When it last got on: by progress that advances, a final, a `flushed`; or since when it owes.
    pub advanced_us: u64,
    /// From when on whoever gives up has seen it run in place, although it speaks; `None` where it says nothing, or nothing but
    /// what gets it on.
    pub in_place_us: Option<u64>,
}

/// How the server gets on; `None` where it owes no work.
pub(crate) fn motion(conn: &Conn) -> Option<Motion> {
    let since_us = conn.working_since_us()?;
    let advanced_us = conn.restarted_us(since_us);
    let told = conn.progress.told_us.is_some_and(|told| told > advanced_us);
    let moved_us = conn.progress.moved_us.map_or(since_us, |moved| moved.max(since_us));
    let talks = conn.heard_us.is_some_and(|heard| heard > moved_us);
    let on_audio = conn.ready.is_some() && conn.audio.accepted_bytes > 0;
    let in_place_us = if told && on_audio {
        Some(advanced_us.saturating_add(step_us(conn)))
    } else {
        talks.then(|| moved_us.saturating_add(conn.scale.us(conn.interval_ms()).saturating_mul(2)))
    };
    Some(Motion { advanced_us, in_place_us })
}

/// How long the server has stood still at `t_us` while it owed work on audio, in microseconds; `None` if it owed none.
pub(crate) fn stood_still_us(conn: &Conn, t_us: u64) -> Option<u64> {
    let since_us = conn.working_since_us()?;
    let on_audio = conn.ready.is_some() && conn.audio.accepted_bytes > 0;
    on_audio.then(|| t_us.saturating_sub(conn.restarted_us(since_us)))
}

/// Any message of the server, before it is looked at: ends a silence. `moves` is whether the message itself moves the session on.
pub(crate) fn on_heard(conn: &mut Conn, context: &Context<'_>, at: At, is_progress: bool, ends: bool) {
    let Some(since_us) = conn.working_since_us() else { return };
    let interval_ms = conn.interval_ms();
    let lasted_us = at.t_us.saturating_sub(since_us);
    if is_progress && lasted_us >= conn.scale.us(interval_ms) / 2 {
        conn.credit(req::PRG_S1);
    }
    if conn.progress.blamed {
        return;
    }
    if let Some(still_us) = stood_still_us(conn, at.t_us).filter(|still| *still > step_us(conn)) {
        let told = conn.progress.told_us.is_some_and(|told| told > conn.restarted_us(since_us));
        if told || is_progress {
            conn.progress.blamed = true;
            let text = format!("stood still for {} ms while audio was owed work", ms(still_us));
            conn.convict(FindingKind::NoProgress, req::PRG_S4, at, text);
            return;
        }
    }
    silence(conn, context, at, since_us, ends);
}

fn step_us(conn: &Conn) -> u64 {
    conn.scale.patience_us(conn.limits.max_step_ms)
}

fn silence(conn: &mut Conn, context: &Context<'_>, at: At, since_us: u64, ends: bool) {
    let silent_from_us = conn.heard_us.map_or(since_us, |heard| heard.max(since_us));
    let silent_us = at.t_us.saturating_sub(silent_from_us);
    let bound_us = conn.scale.us(conn.interval_ms()).saturating_mul(2);
    if silent_us <= bound_us {
        // [PRG-S1]
        if silent_us > bound_us / 2 {
            let text = format!(
                "was silent for {} ms while it owed something, longer than the progress interval of {} ms and no longer than two, which is not held against it",
                ms(silent_us),
                conn.interval_ms()
            );
            conn.tolerate(req::PRG_S1, text);
        }
        return;
    }
    let during = |control: &&crate::conn::Control| control.t_us > silent_from_us && control.t_us <= at.t_us;
    let Some(control) = context.controls.iter().rev().find(during).copied().filter(|control| control.outcome.speaks())
    else {
        conn.doubt(req::PRG_S1, "the server was silent for too long, but no control session shows that it could speak");
        return;
    };
    // A machine on which the control session itself was slow gets that much more time.
    if silent_us <= bound_us.saturating_add(control.took_ms.saturating_mul(1_000)) {
        conn.doubt(req::PRG_S1, "the control session was slow too");
        return;
    }
    if let Some(stimulus) = released_by(conn, at, silent_from_us.saturating_add(bound_us)).filter(|_| ends) {
        let text = format!(
            "kept silent for {} ms and went on only when the client sent something more",
            ms(stimulus.t_us.saturating_sub(silent_from_us))
        );
        conn.convict_with(FindingKind::UnboundedWait, req::END_S7, at, &[stimulus.event], text);
    } else if conn.extended_due_us(since_us, owed_ms(conn)) >= at.t_us {
        // A message that is late altogether is blamed by the clause that bounds it.
        let text = format!("was silent for {} ms while it owed something", ms(silent_us));
        conn.convict(FindingKind::Late, req::PRG_S1, at, text);
    }
    conn.progress.blamed = true;
}

fn owed_ms(conn: &Conn) -> u64 {
    match conn.state {
        State::Configuring => conn.limits.ready_ms,
        State::Streaming => conn.limits.flush_ms,
        _ => conn.limits.drain_ms,
    }
}

/// The message of the client, sent after the silence was too long already, that the server seems to have waited for.
fn released_by(conn: &Conn, at: At, after_us: u64) -> Option<At> {
    let stimulus = conn.client_last?;
    let draining = conn.end.sentinel.is_some_and(|sentinel| sentinel.event < stimulus.event);
    let prompt = at.t_us.saturating_sub(stimulus.t_us) <= conn.scale.release_us();
    (draining && prompt && stimulus.t_us > after_us).then_some(stimulus)
}
