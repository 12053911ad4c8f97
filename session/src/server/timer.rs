//! Owns the server's timers: their names, and the idle clock that can stand still. Knows nothing of what a timer does.

use core::time::Duration;

/// The timers of a [`ServerSession`](super::ServerSession). At most one of each runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerTimer {
    /// No `config` has come: a fatal `config_timeout`. Spec: CON-S3.
    Config,
    /// Nothing that counts as activity has come: the session ends as idle. Spec: KA-S2, KA-S4.
    Idle,
    /// The session has reached `max_session_ms`. Spec: LIM-S4.
    Session,
    /// The engine owes something and has given no sign at all for twice `max_step_ms`: it counts as failed. Gives up. Spec: PRG-S4.
    Engine,
    /// The client has not answered this side's Close within `close_ms`: the connection is dropped. Gives up. Spec: CLO-S4.
    Close,
}

impl ServerTimer {
    /// Every timer.
    pub const ALL: &'static [Self] = &[Self::Config, Self::Idle, Self::Session, Self::Engine, Self::Close];

    /// Whether it can only fire because the other party, or the engine, failed to do what it owes. None of these fires in a
    /// session of two parties that keep the protocol. Spec: END-C9.
    #[must_use]
    pub const fn gives_up(self) -> bool {
        match self {
            Self::Config | Self::Idle | Self::Engine | Self::Close => true,
            Self::Session => false,
        }
    }
}

/// Counts down while it runs and stands still while it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct IdleClock {
    left: Duration,
    running_since: Option<Duration>,
}

impl IdleClock {
    pub(super) fn stopped(timeout: Duration) -> Self {
        Self { left: timeout, running_since: None }
    }

    pub(super) fn reset(&mut self, now: Duration, timeout: Duration) {
        self.left = timeout;
        self.running_since = self.running_since.map(|_| now);
    }

    pub(super) fn run(&mut self, now: Duration, running: bool) {
        match (self.running_since, running) {
            (Some(since), false) => {
                self.left = self.left.saturating_sub(now.saturating_sub(since));
                self.running_since = None;
            }
            (None, true) => self.running_since = Some(now),
            (Some(_), true) | (None, false) => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.running_since.map(|since| since + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_clock_stands_still_while_it_does_not_run() {
        let second = Duration::from_secs(1);
        let mut clock = IdleClock::stopped(10 * second);
        assert_eq!(clock.deadline(), None);
        clock.run(second, true);
        assert_eq!(clock.deadline(), Some(11 * second));
        clock.run(4 * second, false);
        clock.run(100 * second, true);
        assert_eq!(clock.deadline(), Some(107 * second));
        clock.reset(101 * second, 10 * second);
        assert_eq!(clock.deadline(), Some(111 * second));
    }
}
