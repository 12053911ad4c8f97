//! Owns the step with several sessions at once: those that serve are held for as long as others are told nothing, and are then ended
//! one by one. Whether somebody waited for that is for the judge.

use std::time::Duration;

use serde_json::{Map, json};
use tokio::time::{Instant, sleep_until};

use super::{Flow, Player, conn_number, wanted};
use crate::case::Open;
use crate::run::{control, stimulus};
use crate::wire::Outgoing;

/// How long sessions are held while others are told nothing: far longer than a server may be silent before `ready`.
const HELD: Duration = Duration::from_secs(6);
/// How long they need nothing to stay open.
const UNTOUCHED: Duration = Duration::from_millis(300);
/// How many are ended, one after the other, to see whether somebody waits for that.
const ENDED: usize = 3;
/// How long a session has for its `ready` once another one has ended.
const FREED: Duration = Duration::from_secs(2);

impl Player {
    /// Opens so many sessions, holds them where it must, and ends them all.
    pub(super) async fn side_by_side(&mut self, sessions: u32) -> Flow {
        let first = self.sessions.len();
        let token = self.env.dialler.target().token.clone();
        for _ in 0..sessions {
            // Who is turned away has its answer.
            let opened = self.open(&Open::default(), None).await;
            if opened == Flow::Stop {
                return Flow::Stop;
            }
            let config = control::config_message(token.as_deref(), &Map::new());
            if opened == Flow::Go && self.send(vec![Outgoing::Text(config)]).await == Flow::Stop {
                return Flow::Stop;
            }
        }
        let all: Vec<usize> = (first..self.sessions.len()).collect();
        let waiting = self.hold(&all).await;
        if !waiting.is_empty() {
            let serving: Vec<usize> = all.iter().copied().filter(|index| self.serves(*index)).collect();
            for index in serving.into_iter().take(ENDED) {
                if self.end(index).await == Flow::Stop {
                    return Flow::Stop;
                }
                self.answered(&waiting).await;
            }
        }
        for index in all {
            if self.is_answered_otherwise(index) {
                continue;
            }
            self.current = index;
            let is_ready = self.serves(index) || self.wait_for(&wanted("ready")).await == Flow::Go;
            if !is_ready || self.end(index).await == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// Ends a session and lets go of its connection: a server may give room only then.
    async fn end(&mut self, index: usize) -> Flow {
        self.current = index;
        let flow = self.finish().await;
        if let Some(opened) = self.sessions.get_mut(index) {
            opened.session = None;
        }
        flow
    }

    /// Keeps the sessions that serve alive until all are answered or the time is up. Gives back those that are not.
    async fn hold(&mut self, all: &[usize]) -> Vec<usize> {
        let end = Instant::now() + self.env.controls.scaled(HELD);
        let mut changes = self.recorder.changes();
        let mut next = Instant::now() + UNTOUCHED;
        loop {
            changes.borrow_and_update();
            let waiting: Vec<usize> = all.iter().copied().filter(|index| !self.is_answered(*index)).collect();
            let now = Instant::now();
            if waiting.is_empty() || now >= end {
                return waiting;
            }
            if now >= next {
                next = now + self.keep_alive(all).await;
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(next.min(end)) => {}
            }
        }
    }

    /// Sends a keepalive on each session that serves; says when the next ones are due.
    async fn keep_alive(&mut self, all: &[usize]) -> Duration {
        let mut interval_ms = 1_000;
        for index in all.iter().copied().filter(|index| self.has_barrier && self.serves(*index)).collect::<Vec<usize>>()
        {
            self.current = index;
            interval_ms = interval_ms.min(self.recorder.limits(self.conn()).keepalive_interval_ms / 2);
            let keepalive = Outgoing::Text(stimulus::plain(&json!({"type": "keepalive"})));
            let _ = self.send(vec![keepalive]).await;
        }
        Duration::from_millis(interval_ms.max(100))
    }

    /// Waits until one of these is answered, for a moment.
    async fn answered(&mut self, waiting: &[usize]) {
        let end = Instant::now() + self.env.controls.scaled(FREED);
        let mut changes = self.recorder.changes();
        let before = waiting.iter().filter(|index| self.is_answered(**index)).count();
        while waiting.iter().filter(|index| self.is_answered(**index)).count() == before && Instant::now() < end {
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(end) => {}
            }
        }
    }

    /// It was told `ready` and goes on.
    fn serves(&self, index: usize) -> bool {
        let conn = conn_number(index);
        self.recorder.ready(conn).is_some() && !self.recorder.is_closed(conn) && !self.recorder.is_over(conn)
    }

    /// It was turned away, or ended.
    fn is_answered_otherwise(&self, index: usize) -> bool {
        let conn = conn_number(index);
        let opened = self.sessions.get(index).is_some_and(|opened| opened.session.is_some());
        !opened || self.recorder.is_closed(conn) || self.recorder.is_over(conn)
    }

    fn is_answered(&self, index: usize) -> bool {
        self.is_answered_otherwise(index) || self.recorder.ready(conn_number(index)).is_some()
    }
}
