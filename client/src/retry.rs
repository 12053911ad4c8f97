//! Owns when to try again where no connection comes about. Knows nothing of sessions; who goes on with one that was lost is `redial`.

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::connect::ConnectError;

/// How often, and for how long, to try to connect. The pauses grow exponentially and vary by chance; the attempts are bounded in
/// number and in time. Spec: REC-C1.
///
/// Only what may be different later is tried again, see [`ConnectError::is_retryable`]. A `Retry-After` of the server is kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    within: Duration,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Default for Retry {
    /// Five attempts within 30 s, with pauses of 0.5 s to 8 s.
    fn default() -> Self {
        Self {
            attempts: 5,
            within: Duration::from_secs(30),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(8),
        }
    }
}

impl Retry {
    /// At most so many attempts, the first included; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// No attempt begins later than this after the first one began.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The longest that the first pause can be, at least 10 ms; each further one is twice as long, up to `longest`.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first.max(SHORTEST);
        self.longest_pause = longest.max(self.first_pause);
        self
    }

    /// Between the half and the whole of its step, and not before the server wants to be asked again.
    pub(crate) fn pause(&self, attempt: u32, chance: f64, not_before: Option<Duration>) -> Duration {
        let doubled = self.first_pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        let pause = doubled.min(self.longest_pause).mul_f64(0.5 + chance / 2.0);
        not_before.map_or(pause, |not_before| pause.max(not_before))
    }

    /// Whether there may be an attempt of this number, so long after the first.
    pub(crate) fn allows(&self, attempt: u32, after: Duration) -> bool {
        attempt <= self.attempts && after <= self.within
    }
}

/// Nobody is asked again sooner.
const SHORTEST: Duration = Duration::from_millis(10);

/// Attempts until one succeeds, or the last error. Dropped in a pause, it has left nothing behind.
pub(crate) async fn again<T, F>(retry: Retry, mut attempt: impl FnMut() -> F) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let began = Instant::now();
    let mut number = 1;
    loop {
        let error = match attempt().await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let pause = retry.pause(number, chance(), error.retry_after());
        if !error.is_retryable() || !retry.allows(number + 1, began.elapsed() + pause) {
            return Err(error);
        }
        sleep(pause).await;
        number += 1;
    }
}

/// A number from 0 to 1. Many clients that a server sent away at once must not come back at once; nothing else depends on it.
pub(crate) fn chance() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(number >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after_s: Option<u64>) -> ConnectError {
        ConnectError::Refused { status, retry_after_s }
    }

    /// When attempts were made, in milliseconds, and what came of them.
    async fn attempts(retry: Retry, error: impl Fn(usize) -> Option<ConnectError>) -> (Vec<u128>, bool) {
        let began = Instant::now();
        let mut at = Vec::new();
        let result = again(retry, || {
            at.push(began.elapsed().as_millis());
            std::future::ready(error(at.len()).map_or(Ok(()), Err))
        });
        let connected = result.await.is_ok();
        (at, connected)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_vary_and_the_attempts_end() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let (at, connected) = attempts(Retry::default(), |_| Some(refused(503, None))).await;
            assert!(!connected && at.len() == 5, "{at:?}");
            for (step, pair) in [500, 1_000, 2_000, 4_000].iter().zip(at.windows(2)) {
                assert!((step / 2..=step + 2).contains(&(pair[1] - pair[0])), "{at:?}");
            }
            seen.insert(at);
        }
        assert!(seen.len() > 1, "by chance");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded_in_time_too() {
        let retry = Retry::default().attempts(1_000).within(Duration::from_secs(60));
        let (at, connected) = attempts(retry, |_| Some(refused(503, None))).await;
        assert!(!connected && (8..25).contains(&at.len()) && at.last() < Some(&60_001), "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_change_is_not_tried_again_and_what_succeeds_ends_it() {
        for error in [refused(401, None), refused(404, None), refused(400, None)] {
            let error = std::cell::RefCell::new(Some(error));
            assert_eq!(attempts(Retry::default(), |_| error.take()).await.0, [0]);
        }
        let (at, connected) = attempts(Retry::default(), |number| (number < 3).then(|| refused(503, None))).await;
        assert!(connected && at.len() == 3, "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_says_when_to_come_back_or_that_it_is_too_late() {
        let (at, _) = attempts(Retry::default().attempts(2), |_| Some(refused(503, Some(7)))).await;
        assert!(at.len() == 2 && (7_000..7_010).contains(&at[1]), "{at:?}");
        assert_eq!(attempts(Retry::default(), |_| Some(refused(503, Some(31)))).await.0, [0]);
    }
}
