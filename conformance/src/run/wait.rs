//! Owns waiting: until something has come, the connection is over, or patience ends with a control session as witness.
//! Every wait ends, and none of its bounds is a verdict.

use std::sync::Arc;
use std::time::Duration;

use lastword_spec::trace::EventKind;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::control::Control;
use super::env::Env;
use super::patience::{Patience, Waiting};
use crate::case::Within;
use crate::memory::Seen;
use crate::record::Recorder;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// What was waited for has come.
    Came,
    /// The connection is over.
    Over,
    /// It has not come, and that is written down together with a control session.
    GaveUp,
}

/// One wait on one connection.
pub(crate) struct Wait<'a> {
    env: &'a Arc<Env>,
    recorder: &'a Arc<Recorder>,
    conn: u32,
    within: Option<Within>,
    controls: &'a mut Vec<Control>,
    since_us: u64,
    witness: Witness,
    /// How often the process moved while it was watched for quiescence.
    interruptions: u32,
}

/// The control session of a suspicion.
enum Witness {
    None,
    Running(oneshot::Receiver<Option<Control>>),
    Heard,
}

/// Control sessions stand in a trace under numbers that no connection of a case has.
const CONTROL_CONN: u32 = 1_000;
/// The control session before a case.
pub(crate) const CONTROL_BEFORE: u32 = 998;
/// The control session after a case.
pub(crate) const CONTROL_AFTER: u32 = 999;
/// What the wait for a timer outlasts the timer's own bound by.
const TIMER_MARGIN_US: u64 = 200_000;
/// Who moves so often while it is watched is not watched any longer.
const INTERRUPTIONS: u32 = 8;
/// A server that reads nothing is given this long at least.
const WRITE_FLOOR_MS: u64 = 10_000;

impl<'a> Wait<'a> {
    pub(crate) fn new(
        env: &'a Arc<Env>,
        recorder: &'a Arc<Recorder>,
        conn: u32,
        within: Option<Within>,
        controls: &'a mut Vec<Control>,
    ) -> Self {
        let since_us = recorder.now_us();
        Self { env, recorder, conn, within, controls, since_us, witness: Witness::None, interruptions: 0 }
    }

    /// Waits until `done`.
    pub(crate) async fn until(mut self, done: impl Fn(&Recorder) -> bool) -> Waited {
        let mut changes = self.recorder.changes();
        loop {
            if done(self.recorder) {
                return Waited::Came;
            }
            if self.recorder.is_over(self.conn) {
                return Waited::Over;
            }
            let now_us = self.recorder.now_us();
            let (suspicious_us, until_us) = self.bounds();
            if now_us >= until_us && self.is_witnessed() {
                // What has happened so far has been looked at.
                changes.borrow_and_update();
                tokio::select! {
                    biased;
                    _ = changes.changed(), if self.interruptions < INTERRUPTIONS => self.interruptions += 1,
                    quiescent = self.quiescent() => return self.note_giving_up(quiescent),
                }
                continue;
            }
            let suspicious = suspicious_us.is_some_and(|suspicious_us| now_us >= suspicious_us);
            if (suspicious || now_us >= until_us) && matches!(self.witness, Witness::None) {
                self.call_witness();
            }
            let next_us = match suspicious_us {
                Some(suspicious_us) if suspicious_us > now_us => suspicious_us.min(until_us),
                _ => until_us,
            };
            let wake = self.recorder.instant(next_us.max(now_us + 1_000));
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(wake), if now_us < until_us => {}
                heard = hear(&mut self.witness) => self.heard(heard),
            }
        }
    }

    /// Writes down that the harness waits no longer, with a control session to witness that the subject still serves.
    pub(crate) async fn give_up(mut self) -> Waited {
        self.call_witness();
        let heard = hear(&mut self.witness).await;
        self.heard(heard);
        let quiescent = self.quiescent().await;
        self.note_giving_up(quiescent)
    }

    /// Whether every task of the process waits, where that can be seen.
    async fn quiescent(&self) -> Option<bool> {
        let watch = self.env.watch?;
        if self.interruptions == INTERRUPTIONS {
            return Some(false);
        }
        Some(matches!(watch.observe().await, Seen::Quiescent { .. }))
    }

    fn bounds(&self) -> (Option<u64>, u64) {
        if let Some(timer) = self.within.and_then(|_| self.recorder.timer(self.conn)) {
            let latest_us = self.since_us + self.env.max_wait_ms * 1_000;
            return (Some(timer.since_us), (timer.due_us + TIMER_MARGIN_US).min(latest_us));
        }
        let owed = self.recorder.owed_by_server(self.conn);
        let limits = self.recorder.limits(self.conn);
        let waiting = Waiting {
            owed: &owed,
            last_us: self.recorder.last_us(self.conn),
            since_us: self.since_us,
            progress_interval_ms: limits.progress_interval_ms,
            scale_percent: self.env.controls.current_scale_percent(),
            max_wait_ms: self.env.max_wait_ms,
        };
        (Patience::suspicious_us(&waiting), self.env.patience.until_us(&waiting))
    }

    fn is_witnessed(&self) -> bool {
        matches!(self.witness, Witness::Heard)
    }

    fn call_witness(&mut self) {
        let (tell, hear) = oneshot::channel();
        let env = Arc::clone(self.env);
        tokio::spawn(async move {
            let _ = tell.send(env.controls.fresh().await);
        });
        self.witness = Witness::Running(hear);
    }

    fn heard(&mut self, control: Option<Control>) {
        self.witness = Witness::Heard;
        let Some(control) = control else {
            let why = "no control session could be held: no further session is allowed".to_owned();
            self.recorder.note(self.conn, EventKind::Note(why));
            return;
        };
        let number = CONTROL_CONN + u32::try_from(self.controls.len()).unwrap_or(0);
        if let Some(why) = control.why.as_ref().filter(|_| control.answered) {
            self.recorder.note(number, EventKind::Note(format!("the subject answers, but {why}")));
        }
        self.recorder.note(number, control.event());
        self.controls.push(control);
    }

    fn note_giving_up(&self, quiescent: Option<bool>) -> Waited {
        self.env.patience.remember(&self.recorder.owed_by_server(self.conn));
        let silent_us = self.recorder.now_us().saturating_sub(self.recorder.last_us(self.conn));
        self.recorder.note(self.conn, EventKind::GaveUp { after_ms: silent_us / 1_000, quiescent });
        Waited::GaveUp
    }
}

async fn hear(witness: &mut Witness) -> Option<Control> {
    match witness {
        Witness::Running(hear) => hear.await.ok().flatten(),
        Witness::None | Witness::Heard => std::future::pending().await,
    }
}

/// How long one write may take in which the server says nothing.
pub(crate) fn write_bound(env: &Env, recorder: &Recorder, conn: u32) -> Duration {
    let limits = recorder.limits(conn);
    let scale = env.controls.current_scale_percent();
    let silence_ms = (2 * limits.progress_interval_ms).max(WRITE_FLOOR_MS) * scale / 100;
    Duration::from_millis(silence_ms.min(env.max_wait_ms))
}

/// Waits for a write; every message of the server extends the bound.
pub(crate) async fn sending(
    recorder: &Arc<Recorder>,
    conn: u32,
    bound: Duration,
    write: impl Future<Output = bool>,
) -> Waited {
    tokio::pin!(write);
    let mut changes = recorder.changes();
    let mut deadline = Instant::now() + bound;
    loop {
        tokio::select! {
            biased;
            written = &mut write => return if written { Waited::Came } else { Waited::Over },
            _ = changes.changed() => {
                if recorder.is_over(conn) {
                    return Waited::Over;
                }
                deadline = Instant::now() + bound;
            }
            () = sleep_until(deadline) => return Waited::GaveUp,
        }
    }
}

/// Waits without patience or witness; nothing is written down.
pub(crate) async fn quietly(recorder: &Arc<Recorder>, until: Instant, done: impl Fn(&Recorder) -> bool) {
    let mut changes = recorder.changes();
    while !done(recorder) {
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = sleep_until(until) => return,
        }
    }
}
