//! Owns the output of a process as the harness keeps it: its last lines, for a message, and what of it repeats a credential.
//! Knows nothing of what the process is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::task::JoinHandle;

/// The last lines that a process wrote.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    /// What no line may repeat.
    secret: Option<String>,
    /// What lines repeated it, and nobody has asked for yet.
    leaked: Vec<String>,
    leaks: usize,
    /// Who reads the outputs.
    readers: Vec<JoinHandle<()>>,
}

/// How many lines of a process's output are kept for a message.
const TAIL_LINES: usize = 40;
/// How many leaks are told of one process: more show nothing new.
const MOST_LEAKS: usize = 8;
/// How much of a line is told on either side of a secret, in characters.
const AROUND: usize = 120;
/// How long what is left of an output is read.
const DRAINED: Duration = Duration::from_millis(500);
/// A shorter secret stands in a line by chance.
const MIN_SECRET_BYTES: usize = 8;

impl Tail {
    /// One that notes what repeats the secret, if there is one, and if it is long enough to be known again.
    pub(crate) fn looking_for(secret: Option<&str>) -> Self {
        let secret = secret.filter(|secret| secret.len() >= MIN_SECRET_BYTES).map(str::to_owned);
        Self(Arc::new(Mutex::new(Kept { secret, ..Kept::default() })))
    }

    /// Reads an output for as long as the process lives: a full pipe must not be what stops it.
    pub(crate) fn keep(&self, output: impl AsyncRead + Unpin + Send + 'static) {
        let tail = self.clone();
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(output).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                tail.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        self.lock().readers.push(reader);
    }

    /// Waits until everything is read that a process wrote which is gone; not for long, for what it has started may hold its outputs.
    pub(crate) async fn drained(&self) {
        let readers = std::mem::take(&mut self.lock().readers);
        let all = async {
            for reader in readers {
                let _ = reader.await;
            }
        };
        let _ = tokio::time::timeout(DRAINED, all).await;
    }

    fn push(&self, line: String) {
        let mut kept = self.lock();
        let leak = kept.secret.as_deref().and_then(|secret| near(&line, secret)).filter(|_| kept.leaks < MOST_LEAKS);
        if let Some(leak) = leak {
            kept.leaks += 1;
            kept.leaked.push(leak);
        }
        if kept.lines.len() == TAIL_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    /// They, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    /// What repeated the secret since this was asked last.
    pub(crate) fn leaked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().leaked)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line near the secret, if it stands there.
fn near(line: &str, secret: &str) -> Option<String> {
    let (before, after) = line.split_once(secret)?;
    let skipped = before.chars().count().saturating_sub(AROUND);
    let before: String = before.chars().skip(skipped).collect();
    let after: String = after.chars().take(AROUND).collect();
    Some(format!("{before}{secret}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_the_secret_is_told_once_and_cut_around_it() {
        let tail = Tail::looking_for(Some("sesame-open"));
        let long = "x".repeat(500);
        for line in ["nothing", "Bearer sesame-open", &format!("{long}sesame-open{long}")] {
            tail.push(line.to_owned());
        }
        let around = "x".repeat(AROUND);
        assert_eq!(tail.leaked(), ["Bearer sesame-open", &format!("{around}sesame-open{around}")]);
        assert!(tail.leaked().is_empty());
        (0..20).for_each(|_| tail.push("sesame-open".to_owned()));
        assert_eq!(tail.leaked().len(), MOST_LEAKS - 2);
        assert_eq!(tail.lines().len(), 23);
    }

    #[test]
    fn a_short_secret_is_not_looked_for() {
        let tail = Tail::looking_for(Some("key"));
        tail.push("a key".to_owned());
        assert!(tail.leaked().is_empty());
    }
}
