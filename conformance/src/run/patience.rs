//! Owns how long is waited for what a server owes: the full bound for the first stalls of a kind, less for those that repeat
//! what is already known. Knows nothing of verdicts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lastword_judge::Obligation;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::PRG_S1;
use lastword_spec::table::State;

/// What is known of stalls in this run.
#[derive(Default)]
pub(crate) struct Patience {
    stalls: Mutex<BTreeMap<(State, RequirementId), u32>>,
}

/// How many stalls of one kind are given the whole bound of their clause; those under way together all are.
const FULL_WAITS: u32 = 1;
/// What the wait outlasts a bound by, so that a message on its way still arrives.
const MARGIN: Duration = Duration::from_millis(750);
/// How long something is waited for that nobody owes.
const UNOWED: Duration = Duration::from_secs(4);

/// The state of one wait, as far as patience goes.
pub(crate) struct Waiting<'a> {
    /// What the server owes, oldest first.
    pub(crate) owed: &'a [Obligation],
    /// When the server, or the harness, last did something on the connection, in microseconds of the record.
    pub(crate) last_us: u64,
    /// When the wait began, in microseconds of the record.
    pub(crate) since_us: u64,
    /// The announced `progress_interval_ms`.
    pub(crate) progress_interval_ms: u64,
    /// How much slower than usual everything is, in percent.
    pub(crate) scale_percent: u64,
    /// The operator's own bound, in milliseconds.
    pub(crate) max_wait_ms: u64,
}

impl Patience {
    /// Until when to wait, in microseconds of the record. It moves as the server proves that it works.
    pub(crate) fn until_us(&self, waiting: &Waiting<'_>) -> u64 {
        let scaled = |ms: u64| ms * 1_000 * waiting.scale_percent / 100;
        let margin = scaled(millis(MARGIN));
        let two_intervals = scaled(2 * waiting.progress_interval_ms);
        let quiet = waiting.last_us.max(waiting.since_us) + two_intervals + margin;
        let until = match primary(waiting.owed) {
            None => waiting.last_us.max(waiting.since_us) + scaled(millis(UNOWED)),
            // Only where progress is owed too does a shorter silence show anything.
            Some(obligation) if self.is_known(obligation) && owes_progress(waiting.owed) => {
                quiet.min(obligation.due_us + margin)
            }
            Some(obligation) => obligation.due_us + margin,
        };
        until.min(waiting.since_us + waiting.max_wait_ms * 1_000)
    }

    /// From when on the silence is suspicious, if the server owes something: two progress intervals.
    pub(crate) fn suspicious_us(waiting: &Waiting<'_>) -> Option<u64> {
        primary(waiting.owed)?;
        Some(waiting.last_us + 2 * waiting.progress_interval_ms * 1_000 * waiting.scale_percent / 100)
    }

    /// Remembers that this was waited for in vain.
    pub(crate) fn remember(&self, owed: &[Obligation]) {
        if let Some(obligation) = primary(owed) {
            *self.lock().entry((obligation.state, obligation.requirement)).or_default() += 1;
        }
    }

    fn is_known(&self, obligation: &Obligation) -> bool {
        self.lock().get(&(obligation.state, obligation.requirement)).is_some_and(|stalls| *stalls >= FULL_WAITS)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(State, RequirementId), u32>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owes_progress(owed: &[Obligation]) -> bool {
    owed.iter().any(|obligation| obligation.requirement == PRG_S1)
}

/// What is really owed: progress is only the sign of life on the way to it.
pub(crate) fn primary(owed: &[Obligation]) -> Option<&Obligation> {
    owed.iter().find(|obligation| obligation.requirement != PRG_S1).or_else(|| owed.first())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
