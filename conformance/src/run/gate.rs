//! Owns what the operator allows: open sessions, connections a second, seconds of audio. Knows nothing of what they are
//! used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

/// The operator's limits on the load of a run.
pub(crate) struct Gate {
    sessions: Arc<Semaphore>,
    max_sessions: usize,
    interval: Option<Duration>,
    next_dial: Mutex<Instant>,
    audio_budget_ms: Option<u64>,
    audio_spent_ms: AtomicU64,
    dialled: AtomicU64,
}

/// The right to have one session open; it ends when this is dropped.
pub(crate) type SessionPermit = OwnedSemaphorePermit;

impl Gate {
    pub(crate) fn new(max_sessions: usize, per_second: Option<f64>, audio_budget_ms: Option<u64>) -> Self {
        Self {
            sessions: Arc::new(Semaphore::new(max_sessions)),
            max_sessions,
            interval: per_second.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            next_dial: Mutex::new(Instant::now()),
            audio_budget_ms,
            audio_spent_ms: AtomicU64::new(0),
            dialled: AtomicU64::new(0),
        }
    }

    /// Whether only one session may be open at a time.
    pub(crate) fn is_for_one(&self) -> bool {
        self.max_sessions <= 1
    }

    /// How many sessions may be open at a time.
    pub(crate) fn max_sessions(&self) -> usize {
        self.max_sessions
    }

    /// How many sessions are open.
    pub(crate) fn open_sessions(&self) -> usize {
        self.max_sessions.saturating_sub(self.sessions.available_permits())
    }

    /// Waits until one more session may be opened.
    pub(crate) async fn session(&self) -> SessionPermit {
        let permit = Arc::clone(&self.sessions).acquire_owned().await;
        let permit = permit.unwrap_or_else(|_| unreachable!("the semaphore is never closed"));
        self.pace().await;
        permit
    }

    /// As [`Gate::session`], but only for so long: the caller may itself hold the session it waits for.
    pub(crate) async fn session_within(&self, bound: Duration) -> Option<SessionPermit> {
        let permit = timeout(bound, Arc::clone(&self.sessions).acquire_owned()).await.ok()?.ok()?;
        self.pace().await;
        Some(permit)
    }

    /// Takes audio from the budget; `false` where it is not there any more.
    pub(crate) fn take_audio(&self, audio_ms: u64) -> bool {
        let spend = |spent: u64| {
            let total = spent + audio_ms;
            self.audio_budget_ms.is_none_or(|budget| total <= budget).then_some(total)
        };
        self.audio_spent_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// Milliseconds of audio taken so far.
    pub(crate) fn audio_spent_ms(&self) -> u64 {
        self.audio_spent_ms.load(Ordering::Relaxed)
    }

    /// How many connections were dialled so far.
    pub(crate) fn dialled(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed)
    }

    async fn pace(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        let Some(interval) = self.interval else { return };
        let mut next = self.next_dial.lock().await;
        let at = (*next).max(Instant::now());
        *next = at + interval;
        drop(next);
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_sessions_than_allowed_are_open_and_a_budget_is_never_overdrawn() {
        let gate = Gate::new(1, None, Some(1_000));
        let first = gate.session().await;
        assert!(gate.session_within(Duration::from_millis(10)).await.is_none());
        drop(first);
        assert!(gate.session_within(Duration::from_secs(5)).await.is_some());
        assert!(gate.take_audio(700));
        assert!(!gate.take_audio(400));
        assert!(gate.take_audio(300));
        assert_eq!(gate.audio_spent_ms(), 1_000);
    }
}
