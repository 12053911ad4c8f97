//! Silence as a fault. A harness that gave up waiting is a suspicion; it becomes a finding only where a control session on
//! another connection shows that the server could have spoken, and it is blamed on the debt that the other side waits for most.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::ServerMessage;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::Side;

use crate::bounds::ms;
use crate::conn::{At, Conn, Control};
use crate::ledger::{self, Obligation};
use crate::rules::progress;

/// The harness stopped waiting on a connection.
#[derive(Clone, Debug)]
pub(crate) struct GivenUp {
    at: At,
    /// What was owed most.
    debt: Option<Obligation>,
    /// Since when the server had been silent, or since when it owed.
    silent_from_us: u64,
    /// Progress was still being told when the harness gave up, though nothing moved.
    stood_still_us: Option<u64>,
    long_enough: bool,
    /// A message that pays came after all.
    answered: bool,
}

impl GivenUp {
    /// A message came after all: it may be the one that was owed.
    pub(crate) fn heard(&mut self, message: &ServerMessage) {
        let fatal = matches!(message, ServerMessage::Error(error) if error.fatal);
        let owed = self.debt.as_ref().is_some_and(|debt| debt.what.contains(message.message_type()));
        self.answered |= fatal || owed;
    }
}

/// The harness gives up on a connection.
pub(crate) fn gave_up(conn: &mut Conn, at: At) {
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
    let stood_still_us = progress::stood_still_us(conn, at.t_us).filter(|still| told && *still > step_us);
    let long_enough = stood_still_us.is_some() || at.t_us >= due_us || (must_speak && silent_us > two_intervals_us);
    conn.given_up = Some(GivenUp { at, debt, silent_from_us, stood_still_us, long_enough, answered: false });
}

/// The debt that a stall is blamed on.
fn primary(conn: &Conn, now_us: u64) -> Option<Obligation> {
    let mut owed: Vec<Obligation> = ledger::owed(conn);
    owed.retain(|debt| debt.debtor == Side::Server);
    if conn.state == State::Draining && conn.client_close.is_none() {
        return owed.into_iter().find(|debt| debt.what == "session_ended");
    }
    let timers = ledger::timers(conn).into_iter().filter(|debt| debt.since_us <= now_us);
    owed.into_iter().chain(timers).next()
}

/// The trace is over: what came of the suspicion.
pub(crate) fn settle(conn: &mut Conn, controls: &[Control]) {
    let Some(given_up) = conn.given_up.take() else { return };
    if given_up.answered {
        return;
    }
    let Some(debt) = &given_up.debt else { return };
    if !given_up.long_enough {
        conn.doubt(debt.requirement, "the harness gave up before the bound of the debt");
        return;
    }
    let from_us = if given_up.stood_still_us.is_some() { debt.since_us } else { given_up.silent_from_us };
    let Some(control) = controls.iter().rev().find(|control| control.t_us > from_us) else {
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
        None => {
            let text = format!("owes {what} since t={since} s ({state}), silent for {silent} s");
            (FindingKind::Stalled, debt.requirement, text)
        }
    };
    if given_up.stood_still_us.is_some() && conn.convicted(clause) {
        return;
    }
    if control.ok {
        conn.convict_with(kind, clause, given_up.at, &[debt.event], text);
    } else {
        let text = format!("{text}; a control session failed too, after {} ms", control.took_ms);
        conn.convict_with(FindingKind::Unresponsive, debt.requirement, given_up.at, &[debt.event], text);
    }
    conn.last_finding_arose_in(debt.state);
}

fn seconds(us: u64) -> String {
    format!("{:.2}", ms(us) as f64 / 1_000.0)
}
