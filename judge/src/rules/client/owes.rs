//! What a client owes, since when and until when, and what it comes to when it never comes. It reads the record of a run and
//! decides nothing but that.

use lastword_spec::finding::FindingKind;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::{Call, Side};

use super::outcome::INPUT_TAIL_MS;
use super::wire::Wire;
use super::{Run, seconds};
use crate::bounds::{Scale, us};
use crate::conn::At;
use crate::ledger::Obligation;
use crate::report::Finding;
use crate::rules::aud;

/// How long a client has for its `config` after the upgrade, and for `ready` where nothing else was announced.
const CONFIG_MS: u64 = 10_000;
/// How far progress can extend the wait for `ready`.
const READY_AT_MOST_MS: u64 = 60_000;
/// How long a client has for the sentinel, and for the end of its iterator.
const END_MS: u64 = 1_000;
/// A process has more to do at its end than an iterator.
const EXIT_MS: u64 = 4_000;
/// How long a push may wait while all that was handed over before has arrived.
const PUSH_MS: u64 = 5_000;
/// How long a client may wait before it dials for the second time. [REC-C1]
const FIRST_PAUSE_MS: u64 = 10_000;
/// A backoff that doubles grows by this much at most, with its jitter.
const GROWTH: u64 = 3;

/// What is owed, in a few words, since when, and for how long.
struct Debt {
    what: &'static str,
    at: At,
    within_ms: u64,
    requirement: RequirementId,
}

impl Debt {
    fn due_us(&self) -> u64 {
        self.at.t_us.saturating_add(us(self.within_ms))
    }
}

/// What the client owes on a connection now.
pub(super) fn owed(run: &Run, conn: u32, scale: Scale) -> Option<Obligation> {
    let wire = run.wires.get(&conn)?;
    if run.exited.is_some() || run.told_end().is_some() {
        return None;
    }
    let debt = debt(run, wire, scale)?;
    Some(Obligation {
        debtor: Side::Client,
        what: debt.what.to_owned(),
        state: wire.state,
        since_us: debt.at.t_us,
        due_us: debt.at.t_us.saturating_add(scale.patience_us(debt.within_ms)),
        requirement: debt.requirement,
        conn,
        event: debt.at.event,
    })
}

fn debt(run: &Run, wire: &Wire, scale: Scale) -> Option<Debt> {
    let facts = &wire.facts;
    let limits = &wire.limits;
    // What the harness does not read may have been sent long ago. Only that it hears nothing itself, a client must notice.
    let deaf = facts.is_deaf();
    if run.started.is_none() {
        return on_the_wire(wire);
    }
    // Whoever dialled again has let go of a connection on which nobody reads, and nobody sees it.
    if deaf && run.wires.values().any(|other| other.conn > wire.conn && other.facts.dialled().is_some()) {
        return None;
    }
    let ending_ms = if run.is_driven() { END_MS } else { END_MS + EXIT_MS };
    let ending = |at: At, extra_ms: u64, requirement| {
        let what = if run.is_driven() { "the end of its iterator" } else { "its end" };
        Some(Debt { what, at, within_ms: extra_ms.saturating_add(ending_ms), requirement })
    };
    // Nothing else is owed once the application cancels, wherever the session is.
    if let Some(close) = run.cancelled() {
        return ending(close, wire.close_ms(), req::CLO_C4);
    }
    // Whoever may dial again backs off first.
    let pause_ms = if may_dial(run, wire, scale) { pause_ms(run) } else { 0 };
    let lost = |at: At, extra_ms: u64, requirement| {
        let mut debt = ending(at, extra_ms.max(pause_ms), requirement)?;
        if pause_ms > 0 {
            debt.what = if run.is_driven() {
                "the end of its iterator, or a new connection"
            } else {
                "its end, or a new connection"
            };
        }
        Some(debt)
    };
    // Nobody sees when it leaves a connection on which nobody reads.
    let unseen_ms = if deaf { pause_ms } else { 0 };
    if let Some((at, error)) = facts.fatal_and_read(scale)
        && error.retryable
    {
        return lost(*at, limits.close_ms, req::ERR_C1);
    }
    if let Some((at, _)) = &facts.ended {
        // At level 0 the end of the iterator is the Close or the exit; what comes after a Close is the process's end.
        return match facts.client_left() {
            Some(left) if !run.is_driven() => ending(left, 0, req::END_C3),
            _ if run.is_driven() => ending(*at, 0, req::END_C3),
            // Whether it closed nobody can have read; that it does not wait for an answer shows by its end.
            _ if deaf => ending(*at, wire.close_ms(), req::CLO_C4),
            _ => Some(Debt { what: "its Close", at: *at, within_ms: END_MS, requirement: req::END_C3 }),
        };
    }
    if let Some((at, _)) = facts.fatal_and_read(scale) {
        return ending(*at, limits.close_ms, req::ERR_C1);
    }
    if let Some(left) = facts.client_left() {
        return lost(left, limits.close_ms, req::CLO_C4);
    }
    if let Some(left) = facts.server_left() {
        let requirement = match () {
            () if facts.ready.is_none() => req::CON_C3,
            () if run.owed_only_keepalives() => req::KA_C5,
            () => req::END_C5,
        };
        return lost(left, 0, requirement);
    }
    if let Some(failed) = facts.failed {
        return lost(failed, CONFIG_MS, req::CON_C1);
    }
    let Some((opened, _)) = &facts.opened else {
        // It asked for an upgrade that nobody answers.
        let (asked, _) = *facts.deaf.first()?;
        return lost(asked, unseen_ms.saturating_add(CONFIG_MS), req::CON_C1);
    };
    let Some(config) = facts.config else {
        return Some(Debt { what: "config", at: *opened, within_ms: CONFIG_MS, requirement: req::CFG_C1 });
    };
    let Some(ready) = facts.ready else {
        let extended = facts.progress.last().copied().unwrap_or(config);
        let most = READY_AT_MOST_MS.saturating_sub(extended.t_us.saturating_sub(config.t_us) / 1_000);
        return ending(extended, CONFIG_MS.min(most), req::CON_C2);
    };
    if let Some(sentinel) = facts.sentinel {
        let extended = facts.progress.iter().rev().find(|at| at.event > sentinel.event).copied().unwrap_or(sentinel);
        return ending(extended, limits.drain_ms, req::END_C5);
    }
    // What was sent while nobody read is noted only afterwards.
    let again = facts.deaf.last().and_then(|(_, until)| *until);
    if let Some((ended, _)) = run.input_ended.as_ref().filter(|_| !deaf) {
        let early = ended.event < ready.event;
        let requirement = if early { req::STA_C1 } else { req::END_C1 };
        // Audio that is still on its way comes first.
        let audio = facts.audio.last().map(|(at, _)| *at);
        let late = audio.into_iter().chain(again).filter(|at| at.event > ended.event).max_by_key(|at| at.event);
        let at = late.filter(|at| at.event > ready.event).unwrap_or(if early { ready } else { *ended });
        return Some(Debt { what: "end_of_stream", at, within_ms: END_MS, requirement });
    }
    let heard = facts.heard.unwrap_or(ready);
    let half_open_ms = limits.idle_timeout_ms.saturating_mul(2);
    let spoke = wire.spoke.into_iter().chain(again).max_by_key(|at| at.event).unwrap_or(ready);
    // Whoever is silent and hears nothing owes the keepalive first.
    let speaks_by_us = spoke.t_us.saturating_add(us(limits.keepalive_interval_ms));
    if !deaf && speaks_by_us < heard.t_us.saturating_add(us(half_open_ms)) {
        let within_ms = limits.keepalive_interval_ms;
        let speaks = Debt { what: "audio, keepalive or end_of_stream", at: spoke, within_ms, requirement: req::KA_C1 };
        let takes = waiting_push(run, wire, ready, again).filter(|takes| takes.due_us() <= speaks.due_us());
        return takes.or(Some(speaks));
    }
    ending(heard, half_open_ms.saturating_add(unseen_ms), req::KA_C4)
}

/// [BP-C1] A push waits while the buffer is full: not where the server reads, and nothing of what was handed over comes.
fn waiting_push(run: &Run, wire: &Wire, ready: At, again: Option<At>) -> Option<Debt> {
    let is_back = |number: u32| run.returns.iter().any(|(_, one)| one.number == number);
    let mut waiting = run.calls.iter().filter(|(_, called)| called.what == Call::Push && !is_back(called.number));
    let (called, _) = waiting.next()?;
    let audio = wire.facts.audio.last().map(|(at, _)| *at);
    let at = [*called, ready].into_iter().chain(audio).chain(again).max_by_key(|at| at.event)?;
    Some(Debt { what: "to take the audio of a push", at, within_ms: PUSH_MS, requirement: req::BP_C1 })
}

/// Whether the client may dial again once this connection is lost. [REC-C2] [REC-C3]
fn may_dial(run: &Run, wire: &Wire, scale: Scale) -> bool {
    let facts = &wire.facts;
    let is_over = facts.sentinel.is_some() || run.call(Call::Close).is_some();
    !is_over && facts.fatal_and_read(scale).map_or(facts.ended.is_none(), |(_, error)| error.retryable)
}

/// How long the next pause between two connections may be: far longer than the longest so far.
fn pause_ms(run: &Run) -> u64 {
    let wires = run.wires.values().zip(run.wires.values().skip(1));
    let pauses = wires.filter_map(|(before, after)| {
        // Nobody sees when it lets go of an upgrade that is never answered.
        let (over, again) = (before.facts.over().or(before.facts.dialled())?, after.facts.dialled()?);
        Some(again.t_us.saturating_sub(over.t_us) / 1_000)
    });
    FIRST_PAUSE_MS.max(pauses.max().unwrap_or_default().saturating_mul(GROWTH))
}

/// What is owed where nothing is known but the wire.
fn on_the_wire(wire: &Wire) -> Option<Debt> {
    let facts = &wire.facts;
    if facts.client_left().is_some() {
        return None;
    }
    let (what, at, within_ms, requirement) = match wire.state {
        State::AwaitConfig => ("config", facts.opened.as_ref()?.0, CONFIG_MS, req::CFG_C1),
        State::Streaming => {
            let interval_ms = wire.limits.keepalive_interval_ms;
            ("audio, keepalive or end_of_stream", wire.spoke?, interval_ms, req::KA_C1)
        }
        State::Ended => ("Close", facts.ended.as_ref()?.0, END_MS.max(wire.limits.close_ms), req::END_C3),
        State::Configuring | State::Draining | State::Failing | State::Closed => return None,
    };
    Some(Debt { what, at, within_ms, requirement })
}

/// What comes of a debt that was not paid until the harness stopped waiting.
pub(super) fn breach(run: &Run, debt: &Obligation, at: At) -> Finding {
    let (kind, message) = match debt.requirement {
        id if id == req::END_C1 || id == req::STA_C1 => (FindingKind::UnboundedWait, no_sentinel(run, debt)),
        id if id == req::END_C3 => (
            FindingKind::UnboundedWait,
            format!(
                "did not end although session_ended came at {}: it waits for something that nobody owes it",
                seconds(debt.since_us)
            ),
        ),
        id if id == req::BP_C1 => (
            FindingKind::UnboundedWait,
            format!(
                "its application has waited for a push since t={}, although the server reads and no audio is on its way",
                seconds(debt.since_us)
            ),
        ),
        id if id == req::END_C5 => (
            FindingKind::UnboundedWait,
            format!("still waits {} after its bound for an end that did not come", seconds(late_us(debt, at))),
        ),
        id if id == req::CLO_C4 && run.cancelled().is_some_and(|close| close.event == debt.event) => (
            FindingKind::UnboundedWait,
            format!("did not end although its application cancelled at {}", seconds(debt.since_us)),
        ),
        id if id == req::CON_C2
            || id == req::CON_C3
            || id == req::CON_C1
            || [req::KA_C4, req::KA_C5, req::CLO_C4].contains(&id) =>
        {
            (
                FindingKind::UnboundedWait,
                format!("still waits {} after its bound, in {}", seconds(late_us(debt, at)), debt.state.as_str()),
            )
        }
        id if id == req::ERR_C1 => (
            FindingKind::UnboundedWait,
            format!("did not end although a fatal error came at {}", seconds(debt.since_us)),
        ),
        _ => {
            let (what, state) = (&debt.what, debt.state.as_str());
            let silent = seconds(at.t_us.saturating_sub(debt.since_us));
            let since = seconds(debt.since_us);
            (FindingKind::Stalled, format!("owes {what} since t={since} ({state}), silent for {silent}"))
        }
    };
    let mut finding = run.finding(kind, debt.requirement, debt.conn, at, message);
    finding.frames.insert(0, debt.event);
    finding
}

fn late_us(debt: &Obligation, at: At) -> u64 {
    at.t_us.saturating_sub(debt.due_us)
}

/// The sentence about the bug that this project began with.
pub(super) fn no_sentinel(run: &Run, debt: &Obligation) -> String {
    let input = match &run.input_ended {
        Some((_, ended)) => match ended.audio_ms {
            Some(ms) => format!("its input ended at {}", seconds(us(ms))),
            None => "its input ended".to_owned(),
        },
        None => "its input ended".to_owned(),
    };
    let wire = run.wires.get(&debt.conn);
    let after = wire.map_or(0, |wire| wire.facts.keepalives.iter().filter(|(at, _)| at.event > debt.event).count());
    let went_on = match after {
        0 => String::new(),
        1 => ", a keepalive followed".to_owned(),
        _ => ", keepalives went on".to_owned(),
    };
    let came_ms = wire.and_then(|wire| aud::to_ms(wire.facts.audio_bytes(), wire.facts.audio_format.as_ref()?));
    let whole_ms = run.input_ended.as_ref().and_then(|(_, ended)| ended.audio_ms);
    let missing_ms = whole_ms.zip(came_ms).map_or(0, |(whole, came)| whole.saturating_sub(came));
    let kept = if missing_ms > INPUT_TAIL_MS && !run.is_driven() {
        format!(", of which {missing_ms} ms never came")
    } else {
        String::new()
    };
    let waits = if wire.is_some_and(|wire| wire.state == State::Streaming) { ": each waits for the other" } else { "" };
    format!("sent no end_of_stream although {input}{kept}{went_on}{waits}")
}
