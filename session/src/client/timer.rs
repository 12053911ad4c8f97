//! Owns the client's timers: their names, and the bound that progress extends. Knows nothing of what a timer does.

use core::time::Duration;

/// The timers of a [`ClientSession`](crate::ClientSession). At most one of each runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientTimer {
    /// Neither `ready` nor a fatal error came within `ready_ms`, extended by progress to 60 s at most. Gives up. Spec: CON-C2.
    Ready,
    /// Nothing was sent for `keepalive_interval_ms`: a keepalive is due. Spec: KA-C1.
    Keepalive,
    /// Nothing came for `idle_timeout_ms`: a keepalive with `seq` asks whether the server lives. Spec: KA-C4.
    Probe,
    /// Nothing came for as long again: the connection is lost. Gives up. Spec: KA-C4.
    Silence,
    /// The oldest flush was not answered within `flush_ms`, extended by progress: it fails. Gives up on it. Spec: FLU-C3.
    Flush,
    /// No `session_ended` within `drain_ms`, extended by progress. Gives up. Spec: END-C5.
    Drain,
    /// Neither `session_ended` nor Close within `close_ms` of a fatal error: the events end. Gives up. Spec: ERR-C1.
    AfterError,
    /// No Close within `close_ms` of this side's: the connection is dropped. Gives up. Spec: CLO-C4.
    Close,
}

impl ClientTimer {
    /// Every timer.
    pub const ALL: &'static [Self] = &[
        Self::Ready,
        Self::Keepalive,
        Self::Probe,
        Self::Silence,
        Self::Flush,
        Self::Drain,
        Self::AfterError,
        Self::Close,
    ];

    /// Whether it can only fire because the other party failed to do what it owes. None of these fires in a session of two
    /// parties that keep the protocol. Spec: END-C9.
    #[must_use]
    pub const fn gives_up(self) -> bool {
        match self {
            Self::Keepalive | Self::Probe => false,
            Self::Ready | Self::Silence | Self::Flush | Self::Drain | Self::AfterError | Self::Close => true,
        }
    }
}

/// A wait that progress extends by its whole length, up to a cap. Spec: PRG-C1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    whole: Duration,
    at: Duration,
    latest: Option<Duration>,
}

impl Bound {
    pub(super) fn new(now: Duration, whole: Duration) -> Self {
        Self { whole, at: now + whole, latest: None }
    }

    pub(super) fn capped(now: Duration, whole: Duration, cap: Duration) -> Self {
        Self { whole, at: now + whole.min(cap), latest: Some(now + cap) }
    }

    pub(super) fn restart(&mut self, now: Duration) {
        self.at = self.latest.map_or(now + self.whole, |latest| latest.min(now + self.whole));
    }

    /// The same bound, as if it had begun at zero.
    #[cfg(feature = "explore")]
    pub(super) fn begun_at_zero(self) -> Self {
        match self.latest {
            // Only `ready` has a cap, and its bound begins where the cap does.
            Some(_) => Self { at: self.whole, latest: Some(self.whole), ..self },
            None => Self { at: self.whole, ..self },
        }
    }

    pub(super) fn at(&self) -> Duration {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_restarts_whole_and_stays_below_its_cap() {
        let s = Duration::from_secs;
        let mut bound = Bound::capped(s(1), s(10), s(60));
        assert_eq!(bound.at(), s(11));
        bound.restart(s(9));
        assert_eq!(bound.at(), s(19));
        bound.restart(s(59));
        assert_eq!(bound.at(), s(61));
    }
}
