//! Owns the question whether anything in this process can still move by itself. It is meant for subjects in memory under
//! paused time, where the clock jumps only when every task waits, so that the answer is observed and not estimated.
//!
//! Everybody who asks waits for the same moments, so that those who ask do not take each other for movement.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

/// What was seen of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Every task waited, all through this much of the virtual clock, and for nothing that time brings: whatever is owed
    /// comes only if somebody outside moves first.
    Quiescent {
        /// How long that was looked at.
        over: Duration,
    },
    /// Something keeps moving: a timer, other sessions. Nothing is shown.
    Moving,
}

/// Longer and longer looks, so that who moves often is found out before it has moved often. The last is longer than any
/// timer of a session.
const LOOKS: [Look; 3] = [
    Look { over: Duration::from_secs(10), tries: 30 },
    Look { over: Duration::from_secs(600), tries: 4 },
    Look { over: Duration::from_secs(24 * 3600), tries: 6 },
];
/// How often the runtime may rest and go on in a quiet look: a far timer is passed down the levels of its wheel, and each level
/// is a rest. Whatever recurs does so more often.
const RESTS: u64 = 8;
/// Who moves so often in the first look is not looked at again: cases that still run beside the suspect do not.
const RESTLESS: u64 = 4_000;

/// A stretch of time in which nothing may move.
struct Look {
    over: Duration,
    /// So often somebody may have moved in it after all: other cases take their time to come to their end.
    tries: u32,
}

/// Watches a run whose time is paused.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    epoch: Instant,
}

impl Watch {
    /// For the run that begins now; `None` where time is not paused, or the runtime has several threads: quiescence cannot be
    /// seen there.
    #[must_use]
    pub fn new() -> Option<Self> {
        (rests().is_some() && is_paused()).then(|| Self { epoch: Instant::now() })
    }

    /// Whether every task of this runtime waits. Costs days of the virtual clock and next to none of the other.
    pub async fn observe(&self) -> Seen {
        let mut seen = Seen::Moving;
        for look in LOOKS {
            sleep_until(self.next(look.over)).await;
            if !self.is_quiet(&look).await {
                return Seen::Moving;
            }
            seen = Seen::Quiescent { over: look.over };
        }
        seen
    }

    async fn is_quiet(&self, look: &Look) -> bool {
        for _ in 0..look.tries {
            let began = rests();
            sleep_until(self.next(look.over)).await;
            match rested_since(began) {
                Some(..=RESTS) => return true,
                Some(..RESTLESS) => {}
                Some(_) | None => return false,
            }
        }
        false
    }

    /// The next moment that is a whole number of periods away from the epoch.
    fn next(&self, period: Duration) -> Instant {
        let passed = self.epoch.elapsed().as_nanos() / period.as_nanos() + 1;
        self.epoch + period.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX))
    }
}

/// Whether the clock of this runtime stands still while its thread works.
fn is_paused() -> bool {
    let (real, virtual_) = (std::time::Instant::now(), Instant::now());
    while real.elapsed() < Duration::from_micros(20) {
        std::hint::spin_loop();
    }
    virtual_.elapsed().is_zero()
}

fn rested_since(began: Option<u64>) -> Option<u64> {
    Some(rests()?.saturating_sub(began?))
}

/// How often the runtime has come to rest; `None` where it has several threads, for then rest is not one thing, or where the
/// platform cannot count.
fn rests() -> Option<u64> {
    let metrics = Handle::try_current().ok()?.metrics();
    #[cfg(target_has_atomic = "64")]
    return (metrics.num_workers() == 1).then(|| metrics.worker_park_count(0));
    #[cfg(not(target_has_atomic = "64"))]
    return None;
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use tokio::time::{interval, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_that_wait_for_each_other_are_quiescent_however_many_ask() {
        let never = std::sync::Arc::new(Notify::new());
        for _ in 0..20 {
            let never = std::sync::Arc::clone(&never);
            tokio::spawn(async move { never.notified().await });
        }
        let watch = Watch::new().expect("paused");
        let asked = (0..20).map(|delay| {
            tokio::spawn(async move {
                sleep(Duration::from_millis(delay * 377)).await;
                watch.observe().await
            })
        });
        let asked: Vec<_> = asked.collect();
        for one in asked {
            assert_eq!(one.await.expect("no panic"), Seen::Quiescent { over: LOOKS[2].over });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_moves_by_a_timer_is_not_quiescent_be_it_quick_or_slow() {
        for period in [Duration::from_millis(5), Duration::from_secs(30), Duration::from_secs(5_400)] {
            let ticking = tokio::spawn(async move {
                let mut ticks = interval(period);
                loop {
                    ticks.tick().await;
                }
            });
            assert_eq!(Watch::new().expect("paused").observe().await, Seen::Moving, "{period:?}");
            ticking.abort();
        }
    }

    #[tokio::test]
    async fn without_paused_time_nothing_is_watched() {
        assert!(Watch::new().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fires_once_is_waited_out() {
        tokio::spawn(sleep(Duration::from_secs(3_600)));
        assert_eq!(Watch::new().expect("paused").observe().await, Seen::Quiescent { over: LOOKS[2].over });
    }
}
