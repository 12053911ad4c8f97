//! Owns what an exhaustive checker needs of a server's session: a state without time in it, and timers that fire by name. Off in
//! ordinary builds; changes nothing that a session does.

use core::time::Duration;

use super::input::Input;
use super::timer::IdleClock;
use super::{ServerSession, ServerTimer};
use crate::fault::ApiMisuse;

impl ServerSession {
    /// The timers that run, whenever each would fire.
    pub fn running_timers(&self) -> impl Iterator<Item = ServerTimer> {
        ServerTimer::ALL.iter().copied().filter(|timer| self.deadline(*timer).is_some())
    }

    /// Fires this timer at `now`, as if its time had come. Nothing happens if it does not run.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn fire(&mut self, now: Duration, timer: ServerTimer) -> Result<(), ApiMisuse> {
        match self.deadline(timer) {
            Some(_) => self.take(now, Input::from(timer)),
            None => Ok(()),
        }
    }

    /// Forgets how long ago everything was, as if all of it had happened at zero, and how many `progress` went out, the next being
    /// due at once: what is left is the same after every course that differs in nothing but time. To be called without pending outputs.
    pub fn forget_time(&mut self) {
        (self.configured_at, self.ended_at) = (Duration::ZERO, Duration::ZERO);
        let running = self.idle.deadline().is_some();
        self.idle = IdleClock::stopped(Duration::from_millis(self.limits.idle_timeout_ms));
        self.idle.run(Duration::ZERO, running);
        self.engine.heard_at = Duration::ZERO;
        (self.engine.progress_at, self.engine.progress_seq) = (None, 0);
    }
}
