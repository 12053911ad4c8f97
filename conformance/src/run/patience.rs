//! Owns how long is waited for what a server owes: the full bound for the first stall of a kind, less for those that repeat
//! what is already known. Knows nothing of verdicts.

use std::time::Duration;

use lastword_judge::Obligation;
use lastword_spec::requirements::PRG_S1;
use lastword_spec::table::State;

/// What the wait outlasts a bound by, so that a message on its way still arrives.
const MARGIN: Duration = Duration::from_millis(750);
/// So many times what a session usually takes is conspicuous, however rarely the subject has promised to speak.
const TIMES_USUAL: u64 = 8;
/// How long something is waited for that nobody owes.
const UNOWED: Duration = Duration::from_secs(4);

/// The state of one wait, as far as patience goes.
pub(super) struct Waiting<'a> {
    /// What the server owes, oldest first.
    pub(super) owed: &'a [Obligation],
    /// When the server, or the harness, last did something on the connection, in microseconds of the record.
    pub(super) last_us: u64,
    /// When the wait began, in microseconds of the record.
    pub(super) since_us: u64,
    /// The announced `progress_interval_ms`.
    pub(super) progress_interval_ms: u64,
    /// How much slower than usual everything is, in percent.
    pub(super) scale_percent: u64,
    /// What a whole session usually takes on this subject, in milliseconds.
    pub(super) usual_ms: u64,
    /// The operator's own bound, in milliseconds.
    pub(super) max_wait_ms: u64,
}

impl Waiting<'_> {
    /// Until when to wait, in microseconds of the record; it moves as the server proves that it works. `is_known`: others have
    /// waited for the whole bound of this in vain.
    pub(super) fn until_us(&self, is_known: bool) -> u64 {
        let margin = self.scaled(millis(MARGIN));
        let two_intervals = self.scaled(2 * self.progress_interval_ms);
        let from_us = self.last_us.max(self.since_us);
        let until = match principal(self.owed) {
            None => from_us + self.scaled(millis(UNOWED)),
            // Only where progress is owed too does a shorter silence show anything.
            Some(obligation) if is_known && owes_progress(self.owed) => {
                (from_us + two_intervals + margin).min(obligation.due_us + margin)
            }
            Some(obligation) => obligation.due_us + margin,
        };
        until.min(self.since_us + self.max_wait_ms * 1_000)
    }

    /// From when on the silence is suspicious, if the server owes something: two progress intervals, or sooner where that is far
    /// longer than anything took that this subject was seen to do.
    pub(super) fn suspicious_us(&self) -> Option<u64> {
        principal(self.owed)?;
        let calibrated_ms = (TIMES_USUAL * self.usual_ms).max(millis(UNOWED));
        Some(self.last_us + self.scaled((2 * self.progress_interval_ms).min(calibrated_ms)))
    }

    fn scaled(&self, ms: u64) -> u64 {
        ms * 1_000 * self.scale_percent / 100
    }
}

fn owes_progress(owed: &[Obligation]) -> bool {
    owed.iter().any(|obligation| obligation.requirement == PRG_S1)
}

/// What is really owed: progress is only the sign of life on the way to it, and in the drain everything else is part of the way.
pub(super) fn principal(owed: &[Obligation]) -> Option<&Obligation> {
    let ends = |obligation: &&Obligation| obligation.state == State::Draining && obligation.what == "session_ended";
    let work = || owed.iter().find(|obligation| obligation.requirement != PRG_S1);
    owed.iter().find(ends).or_else(work).or_else(|| owed.first())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
