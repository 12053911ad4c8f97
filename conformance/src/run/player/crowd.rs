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
/// How long at most between two keepalives: their answers show that a session is served.
const LONGEST_PAUSE_MS: u64 = 1_000;
/// And at least, whatever a server announces.
const SHORTEST_PAUSE_MS: u64 = 100;
/// So many are ended in a row without anybody being answered before the rest is waited for as anywhere else.
const IN_VAIN: usize = 2;
/// How long a session has for its `ready` once another one has ended.
const FREED: Duration = Duration::from_secs(2);

impl Player {
    /// Opens so many sessions, holds them where it must, and ends them all.
    pub(super) async fn side_by_side(&mut self, sessions: u32) -> Flow {
        let first = self.sessions.len();
        let token = self.env.dialler.target().token.clone();
        for _ in 0..sessions {
            match self.open(&Open::default(), None).await {
                Flow::Stop => return Flow::Stop,
                // Who is turned away has its answer; nobody need be asked again who gave none.
                Flow::Skip if self.recorder.is_refused(conn_number(self.current)) => continue,
                Flow::Skip => {
                    self.unmet.push("one more upgrade got no answer while other sessions were open".to_owned());
                    break;
                }
                Flow::Go => {}
            }
            let config = control::config_message(token.as_deref(), &Map::new());
            if self.send(vec![Outgoing::Text(config)]).await == Flow::Stop {
                return Flow::Stop;
            }
        }
        let all: Vec<usize> = (first..self.sessions.len()).collect();
        if self.hold(&all).await == Flow::Stop {
            return Flow::Stop;
        }
        let mut in_vain = 0;
        while in_vain < IN_VAIN && all.iter().any(|index| !self.is_answered(*index)) {
            let Some(index) = all.iter().copied().find(|index| self.serves(*index)) else { break };
            let before = self.count_answered(&all);
            if self.keep_alive(&all).await == Flow::Stop || self.end(index).await == Flow::Stop {
                return Flow::Stop;
            }
            in_vain = if self.more_answered(&all, before).await { 0 } else { in_vain + 1 };
        }
        if self.end_all(&all).await == Flow::Stop {
            return Flow::Stop;
        }
        for index in all.iter().copied() {
            self.current = index;
            if !self.is_answered(index) && self.wait_for(&wanted("ready")).await == Flow::Stop {
                return Flow::Stop;
            }
            if self.serves(index) && self.end(index).await == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// Ends the sessions that serve: all are told so before any is waited for, so that none falls idle meanwhile.
    async fn end_all(&mut self, all: &[usize]) -> Flow {
        let serving: Vec<usize> = all.iter().copied().filter(|index| self.serves(*index)).collect();
        for index in serving.iter().copied() {
            self.current = index;
            if self.say_the_end().await == Flow::Stop {
                return Flow::Stop;
            }
        }
        for index in serving {
            self.current = index;
            if self.see_the_end().await == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// Ends a session and lets go of its connection: a server may give room only then.
    async fn end(&mut self, index: usize) -> Flow {
        self.current = index;
        let flow = self.finish().await;
        // One that is left open is left in order when the case is over.
        if let Some(opened) = self.sessions.get_mut(index).filter(|_| flow != Flow::Stop) {
            opened.session = None;
        }
        flow
    }

    /// Keeps the sessions that serve alive until all are answered or the time is up.
    async fn hold(&mut self, all: &[usize]) -> Flow {
        let end = Instant::now() + self.env.controls.scaled(HELD);
        let mut changes = self.recorder.changes();
        let mut next = Instant::now() + UNTOUCHED;
        loop {
            changes.borrow_and_update();
            let now = Instant::now();
            if now >= end || all.iter().all(|index| self.is_answered(*index)) {
                return Flow::Go;
            }
            if now >= next {
                if self.keep_alive(all).await == Flow::Stop {
                    return Flow::Stop;
                }
                next = now + self.pause(all);
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(next.min(end)) => {}
            }
        }
    }

    /// Sends a keepalive on each session that serves, to be acknowledged where the wire has that: so it shows that it is served.
    async fn keep_alive(&mut self, all: &[usize]) -> Flow {
        if !self.env.knowledge().has_message("keepalive") {
            return Flow::Go;
        }
        for index in all.iter().copied() {
            if !self.serves(index) {
                continue;
            }
            self.current = index;
            let mut keepalive = json!({"type": "keepalive"});
            if self.has_barrier {
                self.next_seq += 1;
                keepalive["seq"] = json!(self.next_seq);
            }
            if self.send(vec![Outgoing::Text(stimulus::plain(&keepalive))]).await == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// When the next keepalives are due.
    fn pause(&self, all: &[usize]) -> Duration {
        let serving = all.iter().copied().filter(|index| self.serves(*index));
        let intervals_ms = serving.map(|index| self.recorder.limits(conn_number(index)).keepalive_interval_ms / 2);
        Duration::from_millis(intervals_ms.min().unwrap_or(LONGEST_PAUSE_MS).clamp(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS))
    }

    fn count_answered(&self, all: &[usize]) -> usize {
        all.iter().filter(|index| self.is_answered(**index)).count()
    }

    /// Whether more than so many are answered within a moment.
    async fn more_answered(&self, all: &[usize], before: usize) -> bool {
        let end = Instant::now() + self.env.controls.scaled(FREED);
        let mut changes = self.recorder.changes();
        while self.count_answered(all) <= before && Instant::now() < end {
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(end) => {}
            }
        }
        self.count_answered(all) > before
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
