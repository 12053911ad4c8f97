//! Owns how long is waited for what a server owes: the full bound for the first stall of a kind, less for those that repeat
//! what is already known. Knows nothing of verdicts.

use std::time::Duration;

use lastword_judge::{Motion, Obligation};
use lastword_spec::table::State;

/// What the wait outlasts a bound by, so that a message on its way still arrives.
const MARGIN: Duration = Duration::from_millis(750);
/// So many times what a session usually takes is conspicuous, however rarely the subject has promised to speak.
const TIMES_USUAL: u64 = 8;
/// How long something is waited for that nobody owes.
const UNOWED: Duration = Duration::from_secs(4);
/// A server that gets on is waited for so many times the operator's bound at most.
const MOST_WAITS: u64 = 4;

/// The state of one wait, as far as patience goes.
pub(super) struct Waiting<'a> {
    /// What the server owes, oldest first.
    pub(super) owed: &'a [Obligation],
    /// How it gets on with the work among it.
    pub(super) motion: Option<Motion>,
    /// When the server, or the harness, last did something on the connection, in microseconds of the record.
    pub(super) last_us: u64,
    /// When the wait began, in microseconds of the record.
    pub(super) since_us: u64,
    /// The announced `progress_interval_ms`.
    pub(super) progress_interval_ms: u64,
    /// How much slower than usual everything is, in percent.
    pub(super) scale_percent: u64,
    /// How much slower than the clock that `owed` and `motion` go by, in percent, at least 100.
    pub(super) stretch_percent: u64,
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
        let from_us = self.last_us.max(self.since_us);
        let latest_us = self.latest_us();
        let Some(debt) = principal(self.owed) else {
            return (from_us + self.scaled(millis(UNOWED))).min(latest_us);
        };
        let due_us = self.stretched(debt.since_us, debt.due_us);
        let mut until = due_us.saturating_add(margin);
        // Only where the server has to speak does a shorter silence show anything.
        if is_known && is_work(debt) {
            let silent_us = from_us + self.scaled(2 * self.progress_interval_ms);
            let in_place_us = self.in_place_us(debt).unwrap_or(u64::MAX);
            until = until.min(silent_us.min(in_place_us).saturating_add(margin));
            if due_us > latest_us {
                // The bound is more than the operator affords, and one wait has used that up already.
                until = until.min(self.advanced_us() + self.scaled(self.conspicuous_ms()));
            }
        }
        until.min(latest_us)
    }

    /// From when on the wait is suspicious, if the server owes something: two progress intervals of silence, or sooner where that is
    /// far longer than anything took that this subject was seen to do; or when it runs in place for too long.
    pub(super) fn suspicious_us(&self) -> Option<u64> {
        let debt = principal(self.owed)?;
        let silent_us = self.last_us + self.scaled((2 * self.progress_interval_ms).min(self.conspicuous_ms()));
        Some(self.in_place_us(debt).map_or(silent_us, |in_place_us| in_place_us.min(silent_us)))
    }

    /// The operator's bound, which begins again whenever a ready server gets on, but not for ever.
    fn latest_us(&self) -> u64 {
        let max_wait_us = self.max_wait_ms.saturating_mul(1_000);
        let again_us = self.advanced_us().saturating_add(max_wait_us);
        again_us.min(self.since_us.saturating_add(max_wait_us.saturating_mul(MOST_WAITS)))
    }

    /// When the server last got on, or since when it is waited for. Before `ready` every progress counts, so none does here.
    fn advanced_us(&self) -> u64 {
        let is_ready = principal(self.owed).is_some_and(|debt| debt.state != State::Configuring);
        let advanced_us = self.motion.filter(|_| is_ready).map_or(self.since_us, |motion| motion.advanced_us);
        advanced_us.max(self.since_us)
    }

    fn in_place_us(&self, debt: &Obligation) -> Option<u64> {
        Some(self.stretched(debt.since_us, self.motion?.in_place_us?))
    }

    fn conspicuous_ms(&self) -> u64 {
        TIMES_USUAL.saturating_mul(self.usual_ms).max(millis(UNOWED))
    }

    fn scaled(&self, ms: u64) -> u64 {
        (ms.saturating_mul(1_000) / 100).saturating_mul(self.scale_percent)
    }

    /// A moment by the clock of the record, by the clock that the control sessions beside the wait show.
    fn stretched(&self, from_us: u64, t_us: u64) -> u64 {
        let lasts_us = t_us.saturating_sub(from_us);
        t_us.saturating_add((lasts_us / 100).saturating_mul(self.stretch_percent.saturating_sub(100)))
    }
}

/// Whether it takes work, while which the server has to speak.
fn is_work(debt: &Obligation) -> bool {
    let works = matches!(debt.state, State::Configuring | State::Streaming | State::Draining);
    works && ["ready", "flushed", "session_ended"].iter().any(|work| debt.what.starts_with(work))
}

/// What is really owed: in the drain everything else is part of the way to its end.
pub(super) fn principal(owed: &[Obligation]) -> Option<&Obligation> {
    let ends = |obligation: &&Obligation| obligation.state == State::Draining && obligation.what == "session_ended";
    owed.iter().find(ends).or_else(|| owed.first())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use lastword_spec::registry::RequirementId;
    use lastword_spec::requirements::{END_S2, KA_S3};
    use lastword_spec::table::Side;

    use super::*;

    const S: u64 = 1_000_000;

    fn debt(what: &str, state: State, requirement: RequirementId, due_us: u64) -> Obligation {
        let (what, debtor) = (what.to_owned(), Side::Server);
        Obligation { debtor, what, state, since_us: 0, due_us, requirement, conn: 0, event: 0 }
    }

    fn waiting(owed: &[Obligation]) -> Waiting<'_> {
        Waiting {
            owed,
            motion: Some(Motion { advanced_us: 0, in_place_us: None }),
            last_us: 0,
            since_us: 0,
            progress_interval_ms: 400,
            scale_percent: 100,
            stretch_percent: 100,
            usual_ms: 100,
            max_wait_ms: 45_000,
        }
    }

    #[test]
    fn what_is_known_not_to_come_is_waited_for_two_intervals_and_only_where_the_server_must_speak() {
        let drain = [debt("session_ended", State::Draining, END_S2, 8 * S)];
        assert_eq!(waiting(&drain).until_us(false), 8 * S + 750_000);
        assert_eq!(waiting(&drain).until_us(true), 800_000 + 750_000);
        let answer = [debt("keepalive_ack", State::Streaming, KA_S3, 2 * S)];
        assert_eq!(waiting(&answer).until_us(true), 2 * S + 750_000);
    }

    #[test]
    fn a_server_that_speaks_and_runs_in_place_is_suspicious_when_it_has_done_so_for_too_long() {
        let drain = [debt("session_ended", State::Draining, END_S2, 8 * S)];
        let motion = Some(Motion { advanced_us: 0, in_place_us: Some(2 * S) });
        let speaks = Waiting { motion, last_us: 5 * S, ..waiting(&drain) };
        assert_eq!(speaks.suspicious_us(), Some(2 * S));
        assert_eq!(speaks.until_us(false), 8 * S + 750_000);
        assert_eq!(speaks.until_us(true), 2 * S + 750_000);
    }

    #[test]
    fn the_operators_bound_begins_again_when_the_server_gets_on_but_not_for_ever() {
        let drain = [debt("session_ended", State::Draining, END_S2, 900 * S)];
        let at = |advanced_us| {
            let motion = Some(Motion { advanced_us, in_place_us: None });
            Waiting { motion, last_us: advanced_us, ..waiting(&drain) }.until_us(false)
        };
        assert_eq!([at(0), at(40 * S), at(500 * S)], [45 * S, 85 * S, 180 * S]);
    }

    #[test]
    fn a_bound_beyond_the_operators_is_waited_for_once() {
        let drain = [debt("session_ended", State::Draining, END_S2, 900 * S)];
        let slow = |usual_ms| Waiting { progress_interval_ms: 600_000, usual_ms, ..waiting(&drain) };
        assert_eq!(slow(100).until_us(false), 45 * S);
        assert_eq!(slow(100).until_us(true), 4 * S);
        assert_eq!(slow(2_000).until_us(true), 16 * S, "as long as sessions take is no excess");
    }

    #[test]
    fn a_slow_control_session_beside_the_wait_stretches_what_the_record_reckoned_without_it() {
        let drain = [debt("session_ended", State::Draining, END_S2, 8 * S)];
        let slow = Waiting { stretch_percent: 200, scale_percent: 200, ..waiting(&drain) };
        assert_eq!(slow.until_us(false), 16 * S + 1_500_000);
    }
}
