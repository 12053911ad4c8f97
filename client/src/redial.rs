//! Owns a session that outlives its connections: whether a loss is gone on with, the budget of attempts and the pauses. What is taken
//! over is in `carried`. Knows no socket and no message.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::connect::{Connection, Dialler};
use crate::driver::Driver;
use crate::retry::{Retry, chance};
use crate::shared::{Loss, Shared};

/// Runs a session to its end: on its connection, and, if the application wants it, on others when that is lost. `living` goes last.
pub(crate) async fn keep(shared: Arc<Shared>, first: Connection, dialler: Dialler, living: watch::Sender<()>) {
    let mut budget = dialler.redial().map(Budget::new);
    let mut connection = first;
    loop {
        match connection {
            Connection::Plain(socket) => Driver::new(Arc::clone(&shared), *socket).run().await,
            Connection::Tls(socket) => Driver::new(Arc::clone(&shared), *socket).run().await,
        }
        let Some(budget) = &mut budget else { break };
        let Some(loss) = shared.begin_anew() else { break };
        let Some(another) = unless_over(&shared, budget.dial(&dialler, &loss)).await else { break };
        let Some(another) = another else {
            shared.give_up(loss.outcome);
            break;
        };
        shared.connected();
        connection = another;
    }
    drop(living);
}

/// What comes of this, or nothing, if the session is over first: cancelled, while there is no connection.
async fn unless_over<T>(shared: &Shared, what: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shared.over() => None,
        done = what => Some(done),
    }
}

/// How often, and for how long, it is dialled again before a connection counts. Spec: REC-C1, REC-C5.
struct Budget {
    policy: Retry,
    attempts: u32,
    began: Option<Instant>,
}

impl Budget {
    fn new(policy: Retry) -> Self {
        Self { policy, attempts: 0, began: None }
    }

    /// Dials until there is a connection, or the budget is spent. A pause comes before each attempt.
    async fn dial(&mut self, dialler: &Dialler, loss: &Loss) -> Option<Connection> {
        // [REC-C5] Number and time alike.
        if loss.has_lived {
            *self = Self::new(self.policy);
        }
        let mut not_before = loss.retry_after;
        loop {
            let pause = self.next_pause(not_before)?;
            sleep(pause).await;
            match dialler.dial().await {
                Ok(connection) => return Some(connection),
                // [REC-C2]
                Err(error) if !error.is_retryable() => return None,
                Err(error) => not_before = error.retry_after(),
            }
        }
    }

    /// The pause before the next attempt, if there may be one. [REC-C1]
    fn next_pause(&mut self, not_before: Option<Duration>) -> Option<Duration> {
        let began = *self.began.get_or_insert_with(Instant::now);
        self.attempts += 1;
        let pause = self.policy.pause(self.attempts, chance(), not_before);
        self.policy.allows(self.attempts, began.elapsed() + pause).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_the_budget_is_spent_in_number_or_in_time() {
        let pauses = |policy: Retry| {
            let mut budget = Budget::new(policy);
            std::iter::from_fn(move || budget.next_pause(None)).collect::<Vec<_>>()
        };
        let all = pauses(Retry::default());
        assert_eq!(all.len(), 5, "{all:?}");
        for (pause, step_ms) in all.iter().zip([500, 1_000, 2_000, 4_000, 8_000]) {
            assert!((step_ms / 2..=step_ms).contains(&pause.as_millis()), "{all:?}");
        }
        let mut budget = Budget::new(Retry::default());
        assert!(budget.next_pause(None).is_some());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(budget.next_pause(None), None);
        assert_eq!(Budget::new(Retry::default()).next_pause(Some(Duration::from_secs(31))), None);
        let asked = Budget::new(Retry::default()).next_pause(Some(Duration::from_secs(7)));
        assert_eq!(asked, Some(Duration::from_secs(7)));
    }
}
