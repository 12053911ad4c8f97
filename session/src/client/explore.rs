//! Owns what an exhaustive checker needs of a client's session: a state without time in it, and timers that fire by name. Off in
//! ordinary builds; changes nothing that a session does.

use core::time::Duration;

use super::input::Input;
use super::{ClientSession, ClientTimer};
use crate::fault::ApiMisuse;

impl ClientSession {
    /// The timers that run, whenever each would fire.
    pub fn running_timers(&self) -> impl Iterator<Item = ClientTimer> {
        ClientTimer::ALL.iter().copied().filter(|timer| self.deadline(*timer).is_some())
    }

    /// Fires this timer at `now`, as if its time had come. Nothing happens if it does not run.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn fire(&mut self, now: Duration, timer: ClientTimer) -> Result<(), ApiMisuse> {
        match self.deadline(timer) {
            Some(_) => self.take(now, Input::from(timer)),
            None => Ok(()),
        }
    }

    /// Forgets how long ago everything was, as if all of it had happened at zero, and how many `progress` came: what is left is the
    /// same after every course that differs in nothing but time. To be called without pending outputs.
    pub fn forget_time(&mut self) {
        let Self { ready_bound, drain_bound, fatal_at, closing_at, received_at, probed_at, .. } = self;
        *ready_bound = ready_bound.begun_at_zero();
        *drain_bound = drain_bound.map(super::timer::Bound::begun_at_zero);
        (*fatal_at, *closing_at, *received_at) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        *probed_at = probed_at.map(|_| Duration::ZERO);
        (self.active_at, self.moved_at, self.now) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for flush in &mut self.flushes {
            flush.bound = flush.bound.map(super::timer::Bound::begun_at_zero);
        }
        self.progress_seq = 0;
    }
}
