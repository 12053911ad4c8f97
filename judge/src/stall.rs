//! Silence as a fault. A harness that gave up waiting is a suspicion; it becomes a finding only where a control session on
//! another connection shows that the server could have spoken, and it is blamed on the debt that the other side waits for most.
//! What kind of finding it is, the evidence says: without release probes a stall stays a stall.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::ServerMessage;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::{Side, Stimulus};

use crate::bounds::ms;
use crate::conn::{At, Conn, Control};
use crate::evidence;
use crate::ledger::{self, Obligation};
use crate::rules::{progress, release};
use crate::suspicion::{Conclusion, Suspicion};

/// The harness stopped waiting on a connection.
#[derive(Clone, Debug)]
pub(crate) struct GivenUp {
    pub(crate) at: At,
    /// What was owed most.
    pub(crate) debt: Option<Obligation>,
    /// Since when the server had been silent, or since when it owed.
    pub(crate) silent_from_us: u64,
    /// Progress was still being told when the harness gave up, though nothing moved.
    pub(crate) stood_still_us: Option<u64>,
    /// Messages were still coming when the harness gave up, and none of them was work.
    pub(crate) flows: bool,
    long_enough: bool,
    /// The server had been silent for two intervals, whether it had to speak or not, and by an unhurried clock.
    silent_for_two: bool,
    /// Nothing could ever come: every task of the subject waited.
    pub(crate) quiescent: bool,
    /// A message that pays came after all.
    pub(crate) answered: bool,
}

impl GivenUp {
    /// Since when nothing moves: from then on a control session shows that the server could have gone on.
    pub(crate) fn still_from_us(&self) -> u64 {
        let owed_us = self.debt.as_ref().map_or(self.silent_from_us, |debt| debt.since_us);
        if self.stood_still_us.is_some() || self.flows { owed_us } else { self.silent_from_us }
    }

    /// A message came after all: it may be the one that was owed.
    pub(crate) fn heard(&mut self, message: &ServerMessage) {
        let fatal = matches!(message, ServerMessage::Error(error) if error.fatal);
        let owed = self.debt.as_ref().is_some_and(|debt| debt.what.contains(message.message_type()));
        self.answered |= fatal || owed;
    }
}

/// The harness gives up on a connection.
pub(crate) fn gave_up(conn: &mut Conn, at: At, quiescent: bool) {
    if conn.abandoned || conn.given_up.is_some() {
        return;
    }
    let debt = primary(conn, at.t_us);
    let since_us = debt.as_ref().map_or(at.t_us, |debt| debt.since_us);
    let heard_us = conn.heard_us.unwrap_or(0);
    let silent_from_us = since_us.max(heard_us);
    let two_intervals_us = conn.scale.us(conn.interval_ms()).saturating_mul(2);
    let silent_us = at.t_us.saturating_sub(silent_from_us);
    let must_speak = conn.working_since_us().is_some() || conn.state == State::Failing;
    let due_us = debt.as_ref().map_or(u64::MAX, |debt| debt.due_us);
    let told = conn.progress.told_us.is_some_and(|told| at.t_us.saturating_sub(told) <= two_intervals_us);
    let step_us = conn.scale.patience_us(conn.limits.max_step_ms);
    // A fatal error comes behind the finals of the audio that is not worked on yet.
    let for_finals = debt.as_ref().is_some_and(|debt| debt.what.starts_with("fatal")) && conn.audio.accepted_bytes > 0;
    let behind_work_us = for_finals.then(|| at.t_us.saturating_sub(conn.restarted_us(since_us)));
    let stood_still_us = progress::stood_still_us(conn, at.t_us).or(behind_work_us);
    let stood_still_us = stood_still_us.filter(|still| told && *still > step_us);
    let heard_of_late =
        conn.heard_us.is_some_and(|heard| heard > since_us && at.t_us.saturating_sub(heard) <= two_intervals_us);
    let moved_us = conn.progress.moved_us.map_or(since_us, |moved| moved.max(since_us));
    let is_work = debt.as_ref().is_some_and(|debt| WORK.iter().any(|work| debt.what.starts_with(work)));
    let unmoved = at.t_us.saturating_sub(moved_us) > two_intervals_us || at.t_us >= due_us;
    // A flood is not read to its end; that it stops is the harness's doing.
    let is_flood = conn.progress.idle_talk >= FLOOD;
    let flows = stood_still_us.is_none() && is_work && (is_flood || (heard_of_late && unmoved));
    let long_enough =
        stood_still_us.is_some() || flows || at.t_us >= due_us || (must_speak && silent_us > two_intervals_us);
    let silent_for_two = silent_us > conn.interval_ms().saturating_mul(2_000);
    conn.given_up = Some(GivenUp {
        at,
        debt,
        silent_from_us,
        stood_still_us,
        flows,
        long_enough,
        silent_for_two,
        quiescent,
        answered: false,
    });
}

/// So many messages without work between them are a flood: a server that tells progress ten times a second and stands still for
/// the default `max_step_ms` sends fewer.
const FLOOD: usize = 400;

/// What only work can bring; anything else is the answer to one message, and a session goes on without it.
const WORK: &[&str] = &["session_ended", "flushed", "ready"];

/// The debt that a stall is blamed on.
fn primary(conn: &Conn, now_us: u64) -> Option<Obligation> {
    let mut owed: Vec<Obligation> = ledger::owed(conn);
    owed.retain(|debt| debt.debtor == Side::Server);
    if conn.state == State::Draining && conn.client_close.is_none() {
        return principal(&owed, conn.state).cloned();
    }
    let timers = ledger::timers(conn, false).into_iter().filter(|debt| debt.since_us <= now_us);
    owed.into_iter().chain(timers).next()
}

/// Of several debts the one that the client waits for most.
pub(crate) fn principal(owed: &[Obligation], state: State) -> Option<&Obligation> {
    if state == State::Draining { owed.iter().find(|debt| debt.what == "session_ended") } else { owed.first() }
}

/// The trace is over: what came of the suspicion.
pub(crate) fn settle(conn: &mut Conn, probes: &[&Conn], controls: &[Control], suspicion: Option<&Suspicion>) {
    // What came after all but only behind the harness's own end of the session was never paid: then the suspicion has it so.
    let was_freed = suspicion.is_some_and(|suspicion| suspicion.paid_us.is_none());
    let given_up = conn.given_up.take().filter(|given_up| !given_up.answered || was_freed);
    let Some(given_up) = given_up else {
        if let Some(suspicion) = suspicion {
            paid_after_all(conn, probes, suspicion);
        }
        return;
    };
    let Some(debt) = &given_up.debt else { return };
    let from_us = given_up.still_from_us();
    let control = controls.iter().rev().find(|control| control.t_us > from_us);
    // Where the subject answers nobody, two intervals are enough for any debt: it is not this answer that is slow.
    let answers_nobody = given_up.silent_for_two && control.is_some_and(|control| !control.outcome.speaks());
    if !given_up.long_enough && !answers_nobody {
        conn.doubt(debt.requirement, "the harness gave up before the bound of the debt");
        return;
    }
    let Some(control) = control else {
        conn.doubt(
            debt.requirement,
            "the harness gave up, and no control session shows that the server could have answered",
        );
        return;
    };
    let since = seconds(debt.since_us);
    let silent = seconds(given_up.at.t_us.saturating_sub(given_up.silent_from_us));
    let (what, state) = (&debt.what, debt.state.as_str());
    let (kind, clause, text) = match given_up.stood_still_us {
        Some(still_us) => {
            let still = seconds(still_us);
            let text = format!("owes {what} since t={since} s ({state}), tells progress and stood still for {still} s");
            (FindingKind::NoProgress, req::PRG_S4, text)
        }
        None if given_up.flows => {
            let text = format!("owes {what} since t={since} s ({state}) and sends messages of which none moves it");
            (FindingKind::NoProgress, debt.requirement, text)
        }
        None => {
            let text = format!("owes {what} since t={since} s ({state}), silent for {silent} s");
            (FindingKind::Stalled, debt.requirement, text)
        }
    };
    if given_up.stood_still_us.is_some() && conn.convicted(clause) {
        return;
    }
    if !control.outcome.speaks() {
        let text = format!("{text}; a control session failed too, after {} ms", control.took_ms);
        // What stopped the subject as a whole is worse than that it was not answered.
        let hostile = conn.answers.hostile.is_some();
        let clause = if hostile { req::SEC_S3 } else { debt.requirement };
        conn.convict_with(FindingKind::Unresponsive, clause, given_up.at, &[debt.event], text);
    } else if let Some((kind, clause, stimuli, why)) =
        suspicion.filter(|_| kind == FindingKind::Stalled).and_then(proved)
    {
        let mut because = release::frames(probes, what, &stimuli);
        because.push(debt.event);
        conn.convict_with(kind, clause, given_up.at, &because, format!("{why}: {text}"));
    } else {
        conn.convict_with(kind, clause, given_up.at, &[debt.event], text);
    }
    conn.last_finding_arose_in(debt.state);
}

/// What is owed came in the end: a fault only where it was shown that it came by a timer.
fn paid_after_all(conn: &mut Conn, probes: &[&Conn], suspicion: &Suspicion) {
    if let Conclusion::Slow { middle_us, too_silent: true } = suspicion.conclusion {
        silent_each_time(conn, suspicion, middle_us);
        return;
    }
    let Some((kind @ FindingKind::MaskedByTimer, clause, stimuli, why)) = proved(suspicion) else { return };
    let paid_us = suspicion.paid_us.unwrap_or(conn.last.t_us);
    let mut because = release::frames(probes, &suspicion.what, &stimuli);
    because.push(suspicion.event);
    let came = seconds(paid_us.saturating_sub(suspicion.since_us));
    let at = At { t_us: paid_us, ..conn.last };
    // The silence before it is the same breach.
    conn.acquit(FindingKind::Late, req::PRG_S1);
    conn.convict_with(kind, clause, at, &because, format!("{why}: {} came after {came} s", suspicion.what));
    conn.last_finding_arose_in(suspicion.state);
}

/// It was silent for too long here, and for just as long on every connection that was made to see: no machine or line stands still
/// like that, and no control session is needed to show it.
fn silent_each_time(conn: &mut Conn, suspicion: &Suspicion, middle_us: u64) {
    if conn.has_findings() || suspicion.silent_us < middle_us / 4 * 3 {
        return;
    }
    let at = At { t_us: suspicion.paid_us.unwrap_or(conn.last.t_us), ..conn.last };
    let (what, took) = (evidence::short(&suspicion.what), seconds(middle_us));
    let text = format!("tells no progress on the way to {what}, which comes after {took} s of silence each time");
    conn.convict_with(FindingKind::Late, req::PRG_S1, at, &[suspicion.event], text);
    conn.last_finding_arose_in(suspicion.state);
}

/// The kind, the clause and the words of what the evidence proves, and the stimuli that do.
fn proved(suspicion: &Suspicion) -> Option<(FindingKind, RequirementId, Vec<Stimulus>, String)> {
    let clause = suspicion.requirement;
    let where_ = match suspicion.state {
        State::Configuring => "before it sends ready",
        State::Streaming => "before it sends flushed",
        State::Ended => "after session_ended",
        _ => "after end_of_stream",
    };
    Some(match &suspicion.conclusion {
        Conclusion::WaitsFor(stimuli) => {
            let thing = evidence::thing(stimuli, suspicion.state);
            let (_, slowest_us) = evidence::release_times(suspicion, stimuli)?;
            let text = format!(
                "waits for {thing} {where_}, which brings {} within {} ms in every release probe and without which it never comes",
                evidence::short(&suspicion.what),
                slowest_us.div_ceil(1_000)
            );
            (FindingKind::UnboundedWait, clause, stimuli.clone(), text)
        }
        Conclusion::Masked { timer_us, limit, forward } => {
            let timer = tenths(*timer_us);
            let follows = limit.map(|limit| format!(" (as long as `{limit}`)")).unwrap_or_default();
            let text = if forward.is_empty() {
                format!("ends a wait by a timer of {timer} s{follows}, whatever the audio")
            } else {
                let thing = evidence::thing(forward, suspicion.state);
                format!("waits for {thing} {where_}, and a timer of {timer} s{follows} hides it")
            };
            (FindingKind::MaskedByTimer, clause, forward.clone(), text)
        }
        Conclusion::Unreleasable => {
            let text = "is stuck, and nothing that a client can send releases it".to_owned();
            (FindingKind::Stuck, clause, Vec::new(), text)
        }
        Conclusion::Slow { .. } | Conclusion::Livelock | Conclusion::Hung | Conclusion::Open(_) => return None,
    })
}

fn seconds(us: u64) -> String {
    format!("{:.2}", ms(us) as f64 / 1_000.0)
}

fn tenths(us: u64) -> String {
    format!("{:.1}", ms(us) as f64 / 1_000.0)
}
