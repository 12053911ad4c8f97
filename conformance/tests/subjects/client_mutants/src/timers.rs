//! Owns the timers of a connection: when each is due, and what it comes to.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::{Conversation, ms};
use crate::fault::Fault;
use crate::session::{End, Next};

/// How long `ready` may take, and with progress at most.
const READY: Duration = Duration::from_secs(10);
const READY_AT_MOST: Duration = Duration::from_secs(60);

impl Conversation<'_> {
    /// When something is due next.
    pub(crate) fn deadline(&self) -> Instant {
        let late = self.late.filter(|_| self.sentinel.is_none());
        let all = [self.flush_deadline(), self.keepalive_deadline(), self.end_deadline(), late];
        let never = self.configured + Duration::from_secs(86_400);
        all.into_iter().flatten().min().unwrap_or(never)
    }

    fn keepalive_deadline(&self) -> Option<Instant> {
        let is_open = self.is_ready && self.fatal.is_none();
        let holds = self.has(Fault::KeepaliveHoldsEnd) && self.held.is_some();
        let goes_on = self.sentinel.is_none() || self.has(Fault::KeepalivesAfterEnd) || holds;
        let sends = is_open && goes_on && !self.has(Fault::KeepalivesMissing) && !self.has(Fault::NeverEndsInSilence);
        let due = self.spoke + ms(self.limits.keepalive_interval_ms);
        (sends && self.outbox.is_empty() && !self.is_deaf).then_some(due)
    }

    /// When a bound of the protocol ends what is waited for.
    fn end_deadline(&self) -> Option<Instant> {
        if self.held.is_some() {
            return match self.sentinel {
                _ if self.has(Fault::LeavesWithoutEnd) => Some(self.configured),
                Some(sentinel) if self.has(Fault::OwnTimer) => Some(sentinel + ms(5_000)),
                _ if self.has(Fault::FinalReopens) && !self.is_reopened => Some(self.extended + ms(200)),
                _ => None,
            };
        }
        if let Some((fatal, ..)) = &self.fatal {
            return Some(*fatal + ms(self.limits.close_ms));
        }
        if !self.is_ready {
            let at = (self.extended + READY).min(self.configured + READY_AT_MOST);
            return Some(at).filter(|_| !self.has(Fault::WaitsForReadyForEver));
        }
        if let Some(sentinel) = self.sentinel {
            return match () {
                () if self.has(Fault::LeavesAtSentinel) => Some(sentinel + ms(20)),
                () if self.has(Fault::OwnDrain) => Some(sentinel + ms(1_000)),
                () if self.has(Fault::OwnTimer) => Some(sentinel + ms(5_000).max(ms(self.limits.drain_ms))),
                () if self.has(Fault::ProgressIgnored) => Some(sentinel + ms(self.limits.drain_ms)),
                () if self.has(Fault::DrainsForEver) => None,
                () => Some(self.extended + ms(self.limits.drain_ms)),
            };
        }
        if self.has(Fault::HalfOpenForEver) || self.is_deaf {
            return None;
        }
        let idle = ms(self.limits.idle_timeout_ms);
        Some(self.probed.map_or(self.heard + idle, |probed| probed + idle))
    }

    fn flush_deadline(&self) -> Option<Instant> {
        let waits = !self.has(Fault::FlushWaitsForEver) && self.sentinel.is_none();
        let oldest = self.flushes.front().filter(|_| waits);
        oldest.map(|(_, asked)| (*asked).max(self.extended) + ms(self.limits.flush_ms))
    }

    /// Something is due.
    pub(crate) fn times_out(&mut self) -> Option<Next> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.end_deadline()) {
            return self.bound_passed(now);
        }
        if is_due(self.flush_deadline())
            && let Some((number, _)) = self.flushes.pop_front()
        {
            self.session.tell(json!({"what": "flush_failed", "number": number}));
        }
        if is_due(self.late) && self.sentinel.is_none() {
            self.ends();
        }
        if is_due(self.keepalive_deadline()) {
            self.spoke = now;
            self.outbox.push_back(Message::text(r#"{"type":"keepalive"}"#));
        }
        None
    }

    fn bound_passed(&mut self, now: Instant) -> Option<Next> {
        let close_ms = self.limits.close_ms;
        if let Some(end) = self.held.take() {
            return Some(Next::End(end));
        }
        if let Some((_, code, _)) = &self.fatal {
            return Some(Next::End(End::new("error", code, Some(1_000), close_ms)));
        }
        if !self.is_ready {
            return Some(Next::End(End::new("error", "ready_timeout", None, 0)));
        }
        if self.sentinel.is_some() {
            return Some(Next::End(End::new("incomplete", "drain_timeout", None, 0)));
        }
        if self.probed.is_some() {
            return Some(Next::End(End::new("incomplete", "connection_lost", None, 0)));
        }
        self.probed = Some(now);
        self.spoke = now;
        self.probes += 1;
        self.outbox.push_back(Message::text(json!({"type": "keepalive", "seq": self.probes}).to_string()));
        None
    }
}
