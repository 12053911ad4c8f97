//! Owns one connection of a session after its upgrade: what is sent when, and what the server's messages mean. Most
//! faults have their place here, each beside what is right.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::fault::Fault;
use crate::handle::Order;
use crate::link::{Incoming, Link};
use crate::messages::{self, Limits};
use crate::session::{End, Next, Session};

/// One connection, from its `config` to its end.
pub(crate) struct Conversation<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) limits: Limits,
    pub(crate) configured: Instant,
    pub(crate) is_ready: bool,
    became_ready: Option<Instant>,
    pub(crate) sentinel: Option<Instant>,
    pub(crate) fatal: Option<(Instant, String, bool)>,
    /// The server's last word, where a fault does not let go.
    pub(crate) held: Option<End>,
    /// A result that came too late, which a fault takes for a sign that the session goes on.
    pub(crate) is_reopened: bool,
    pub(crate) spoke: Instant,
    pub(crate) heard: Instant,
    /// What extends a bound came last.
    pub(crate) extended: Instant,
    pub(crate) probed: Option<Instant>,
    pub(crate) probes: u64,
    pub(crate) sent_bytes: u64,
    /// Audio since the last result.
    pub(crate) unanswered_bytes: u64,
    /// A fault sends nothing more of its input.
    pub(crate) no_more_audio: bool,
    /// Audio that a chunker holds.
    pub(crate) chunk: Vec<u8>,
    pub(crate) finals: BTreeSet<u64>,
    pub(crate) flushes: VecDeque<(u64, Instant)>,
    pub(crate) audio_since_flush: bool,
    pub(crate) outbox: VecDeque<Message>,
    /// The transport has ended, and a fault takes no notice.
    pub(crate) is_deaf: bool,
    /// What reads is over, and a fault goes on without it.
    reads_no_more: bool,
    pub(crate) late_audio: bool,
    /// When a client that is late sends its sentinel.
    pub(crate) late: Option<Instant>,
}

/// How long a client takes over its config that is not ready for a Close meanwhile.
const CONFIG_TAKES: Duration = ms(100);
/// How much a client in lock step sends before it waits for a result: half a second.
const STEP_BYTES: u64 = 16_000;
/// The same of a client with a window: three seconds.
const WINDOW_BYTES: u64 = 96_000;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(session: &'a mut Session) -> Self {
        let now = Instant::now();
        Self {
            session,
            limits: Limits::USUAL,
            configured: now,
            is_ready: false,
            became_ready: None,
            sentinel: None,
            fatal: None,
            held: None,
            is_reopened: false,
            spoke: now,
            heard: now,
            extended: now,
            probed: None,
            probes: 0,
            sent_bytes: 0,
            unanswered_bytes: 0,
            no_more_audio: false,
            chunk: Vec::new(),
            finals: BTreeSet::new(),
            flushes: VecDeque::new(),
            audio_since_flush: false,
            outbox: VecDeque::new(),
            is_deaf: false,
            reads_no_more: false,
            late_audio: false,
            late: None,
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.session.has(fault)
    }

    pub(crate) async fn run(
        mut self,
        link: &mut Link,
        orders: &mut mpsc::Receiver<Order>,
        cancelled: &mut watch::Receiver<bool>,
    ) -> Next {
        let config = messages::config(&self.session.options);
        if !self.has(Fault::ConfigMissing) {
            self.outbox.push_back(Message::text(config.clone()));
        }
        if self.has(Fault::ConfigTwice) {
            self.outbox.push_back(Message::text(config));
        }
        let Link { incoming, outgoing, .. } = link;
        if self.has(Fault::CloseBeforeConfigHangs) {
            let early = timeout(CONFIG_TAKES, incoming.recv()).await;
            if matches!(early, Ok(Some(Incoming::Close(_) | Incoming::Over | Incoming::Lost) | None)) {
                let _ = cancelled.wait_for(|is| *is).await;
            }
        }
        loop {
            let takes_orders = self.takes_orders();
            let takes_cancel = match () {
                () if self.has(Fault::CancelWaitsForReady) => self.is_ready,
                () if self.has(Fault::CancelWaitsForTheDrain) => self.sentinel.is_none(),
                () => true,
            };
            let deadline = self.deadline();
            let next = tokio::select! {
                biased;
                _ = cancelled.wait_for(|is| *is), if takes_cancel => {
                    let outcome = if self.has(Fault::CancelIsComplete) { "complete" } else { "cancelled" };
                    Some(Next::End(End::new(outcome, "cancelled", Some(1_000), self.limits.close_ms)))
                }
                came = incoming.recv(), if !self.is_deaf && !self.reads_no_more => self.hears(came),
                room = outgoing.room(), if !self.outbox.is_empty() && !self.is_deaf => self.sends(room),
                order = orders.recv(), if takes_orders => {
                    self.obeys(order);
                    None
                }
                () = sleep_until(deadline) => self.times_out(),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn takes_orders(&self) -> bool {
        if self.no_more_audio {
            return false;
        }
        let is_open = self.is_ready || self.has(Fault::AudioBeforeReady);
        let is_over =
            self.sentinel.is_some() && !self.has(Fault::AudioAfterEnd) || self.fatal.is_some() || self.held.is_some();
        let waits = self.has(Fault::SendsInLockStep) && self.unanswered_bytes >= STEP_BYTES
            || self.has(Fault::SendsInWindows) && self.unanswered_bytes >= WINDOW_BYTES;
        is_open && !is_over && !waits && self.outbox.is_empty()
    }

    fn sends(&mut self, room: Option<mpsc::Permit<'_, Message>>) -> Option<Next> {
        match (room, self.outbox.pop_front()) {
            (Some(room), Some(message)) => {
                room.send(message);
                None
            }
            _ => self.lost("connection_lost"),
        }
    }

    // What the application asks for.

    fn obeys(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Audio(pcm)) if self.sentinel.is_some() => {
                // Only a fault comes here.
                if !std::mem::replace(&mut self.late_audio, true) {
                    self.outbox.push_back(Message::binary(pcm));
                }
            }
            Some(Order::Audio(pcm)) => self.takes_audio(&pcm),
            Some(Order::Flush(number)) => self.flushes(number),
            Some(Order::End) | None => self.ends(),
        }
    }

    fn flushes(&mut self, number: u64) {
        if self.has(Fault::FlushSwallowed) {
            return;
        }
        if self.has(Fault::FlushIsEnd) {
            return self.sentinel_now();
        }
        if self.has(Fault::FlushAndCloseEachEnd) {
            self.outbox.push_back(Message::text(r#"{"type":"end_of_stream"}"#));
        }
        self.empties_chunker();
        if self.has(Fault::FlushOfNothingUnsent) && !self.audio_since_flush {
            self.session.tell(json!({"what": "flushed", "number": number}));
            return;
        }
        self.audio_since_flush = false;
        self.outbox.push_back(Message::text(json!({"type": "flush", "id": number.to_string()}).to_string()));
        if self.has(Fault::FlushedAtOnce) {
            return self.session.tell(json!({"what": "flushed", "number": number}));
        }
        self.flushes.push_back((number, Instant::now()));
    }

    pub(crate) fn ends(&mut self) {
        self.empties_chunker();
        if self.has(Fault::NeverEnds) || self.has(Fault::NeverEndsInSilence) {
            return;
        }
        if self.has(Fault::NeverEndsAndKeepsTail) || self.no_more_audio {
            return;
        }
        if self.has(Fault::LateEnd) && self.late.is_none() {
            self.late = Some(Instant::now() + ms(3_000));
            return;
        }
        if self.has(Fault::LeavesWithoutEnd) {
            self.held = Some(End::new("complete", "completed", Some(1_000), self.limits.close_ms));
            return;
        }
        if self.has(Fault::NotAnObject) {
            self.outbox.push_back(Message::text(r#"["end_of_stream"]"#));
        }
        self.sentinel_now();
        if self.has(Fault::EndsTwice) {
            self.outbox.push_back(Message::text(r#"{"type":"end_of_stream"}"#));
        }
    }

    fn sentinel_now(&mut self) {
        let now = Instant::now();
        self.outbox.push_back(Message::text(r#"{"type":"end_of_stream"}"#));
        self.sentinel = Some(now);
        self.extended = now;
        self.spoke = now;
        if self.has(Fault::CompleteTooEarly) {
            self.session.tell(json!({"what": "ended", "outcome": "complete"}));
        }
    }

    // What the server says.

    fn hears(&mut self, incoming: Option<Incoming>) -> Option<Next> {
        self.heard = Instant::now();
        self.probed = None;
        match incoming {
            Some(Incoming::Text(text)) => match messages::read(&text, &self.session.options) {
                Some((kind, message)) => self.message(&kind, &message),
                None => self.garbage(),
            },
            Some(Incoming::Binary) => self.garbage(),
            Some(Incoming::Sign) => None,
            Some(Incoming::Close(code)) => self.closed(code),
            Some(Incoming::Over) if self.has(Fault::EndOfTransportIsComplete) && self.is_open() => {
                Some(Next::End(End::new("complete", "completed", None, 0)))
            }
            Some(Incoming::Over | Incoming::Lost) | None => self.lost("connection_lost"),
        }
    }

    /// Whether audio may be sent.
    fn is_open(&self) -> bool {
        self.is_ready && self.sentinel.is_none()
    }

    fn garbage(&mut self) -> Option<Next> {
        if self.has(Fault::GarbageCrashes) || self.has(Fault::GarbageExits) {
            return Some(Next::Crash);
        }
        if self.has(Fault::GarbageEnds) {
            return Some(Next::End(End::new("incomplete", "bad_message", Some(1_002), self.limits.close_ms)));
        }
        self.session.tell(json!({"what": "other"}));
        self.reads_no_more = self.has(Fault::GarbageDeafens);
        None
    }

    fn message(&mut self, kind: &str, message: &Map<String, Value>) -> Option<Next> {
        let now = Instant::now();
        if matches!(kind, "partial" | "final") {
            self.unanswered_bytes = 0;
        }
        match kind {
            "ready" => self.ready(message),
            "partial" => {
                self.is_reopened |= self.has(Fault::PartialReopens) && self.sentinel.is_some();
                let is_final = message["segment_id"].as_u64().is_some_and(|id| self.finals.contains(&id));
                if !is_final {
                    self.session.tell(messages::result("partial", message, self.session.offset_ms));
                }
            }
            "final" => return self.last_word(message),
            "progress" => self.extended = now,
            "flushed" => {
                self.extended = now;
                if let Some((number, _)) = self.flushes.pop_front() {
                    self.session.tell(json!({"what": "flushed", "number": number}));
                }
            }
            "keepalive_ack" => {}
            "error" => return self.error(message),
            "session_ended" => return self.session_ended(message),
            "warning" | "speech_started" | "speech_ended" | "updated" => self.session.tell(json!({"what": "other"})),
            _ => return self.garbage(),
        }
        None
    }

    fn ready(&mut self, message: &Map<String, Value>) {
        self.limits = Limits::of(message);
        self.is_ready = true;
        self.became_ready = Some(Instant::now());
        self.spoke = Instant::now();
        self.session.shared.is_ready.store(true, Ordering::SeqCst);
        self.session.tell(json!({"what": "ready"}));
        if self.has(Fault::UpdateUncalled) {
            let update = json!({"type": "update", "id": "u1", "language": "en"});
            self.outbox.push_back(Message::text(update.to_string()));
        }
    }

    fn last_word(&mut self, message: &Map<String, Value>) -> Option<Next> {
        self.extended = Instant::now();
        self.is_reopened |= self.has(Fault::FinalReopens) && self.held.is_some();
        self.session.restores_budget(true);
        let id = message.get("segment_id").and_then(Value::as_u64).unwrap_or(0);
        if self.has(Fault::LastFinalLost) && self.sentinel.is_some() {
            return None;
        }
        let is_new = self.finals.insert(id);
        if is_new || self.has(Fault::FinalTwice) {
            let offset_ms = if self.has(Fault::TimesRestart) { 0 } else { self.session.offset_ms };
            self.session.tell(messages::result("final", message, offset_ms));
        }
        if self.has(Fault::PartialAfterFinal) && is_new {
            self.session.tell(messages::result("partial", message, self.session.offset_ms));
        }
        if self.has(Fault::LeavesAtLastResult) && self.sentinel.is_some() {
            return Some(Next::End(End::new("complete", "completed", Some(1_000), self.limits.close_ms)));
        }
        None
    }

    fn error(&mut self, message: &Map<String, Value>) -> Option<Next> {
        if !self.has(Fault::ErrorSwallowed) && !self.has(Fault::FatalIsSilence) {
            let mut told = messages::error(message);
            if self.has(Fault::AlwaysRetryable) && message.get("fatal") == Some(&Value::Bool(true)) {
                told["retryable"] = Value::Bool(true);
            }
            if self.has(Fault::FatalToldAsPassing) {
                told["fatal"] = Value::Bool(false);
            }
            self.session.tell(told);
        }
        let is_fatal = message.get("fatal") == Some(&Value::Bool(true));
        if !is_fatal {
            return self.goes_on();
        }
        if is_fatal && self.has(Fault::FatalIsSilence) {
            return Some(Next::End(End::new("complete", "completed", Some(1_000), self.limits.close_ms)));
        }
        if is_fatal && self.has(Fault::FatalNeverEnds) {
            self.held = Some(End::new("error", "never", None, 0));
        } else if is_fatal {
            let retryable = message.get("retryable") == Some(&Value::Bool(true));
            let code = message.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            let code = match &self.session.options.token {
                Some(token) if self.has(Fault::TokenTold) => format!("{code} (with {token})"),
                _ => code,
            };
            self.fatal = Some((Instant::now(), code, retryable));
        }
        None
    }

    /// What an error brings that ends nothing: nothing, but for a fault.
    fn goes_on(&mut self) -> Option<Next> {
        let is_draining = self.sentinel.is_some();
        if self.has(Fault::ErrorEnds) || is_draining && self.has(Fault::ErrorEndsDrain) {
            return Some(Next::End(End::new("error", "internal", Some(1_000), self.limits.close_ms)));
        }
        self.no_more_audio |= self.has(Fault::ErrorStopsAudio);
        if !is_draining && self.has(Fault::ErrorCutsInput) {
            self.sentinel_now();
        }
        None
    }

    fn session_ended(&mut self, message: &Map<String, Value>) -> Option<Next> {
        let close = Some(1_000);
        let number = |name: &str| message.get(name).and_then(Value::as_u64).unwrap_or(0);
        let sent_ms = self.sent_bytes / 32;
        let contradicts = number("audio_received_ms") < sent_ms || number("finals") < self.finals.len() as u64;
        let is_complete = message.get("complete") == Some(&Value::Bool(true));
        let is_answer = self.sentinel.is_some() && !contradicts || self.has(Fault::EarlyEndIsComplete);
        let (outcome, code) = if let Some((_, code, _)) = &self.fatal {
            ("error", code.clone())
        } else if is_complete && !is_answer {
            ("incomplete", "protocol_violation".to_owned())
        } else if is_complete || self.has(Fault::IncompleteIsComplete) {
            let gap = self.session.offset_ms > 0 && !self.has(Fault::GapIsComplete);
            (if gap { "incomplete" } else { "complete" }, "completed".to_owned())
        } else {
            ("incomplete", message.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        let end = End::new(outcome, &code, close, self.limits.close_ms);
        if self.has(Fault::ExitsAtTheEnd) {
            return Some(Next::Crash);
        }
        if self.is_reopened {
            return None;
        }
        if self.has(Fault::KeepaliveHoldsEnd) || self.has(Fault::OwnTimer) || self.has(Fault::FinalReopens) {
            self.extended = Instant::now();
            self.held = Some(end);
            return None;
        }
        Some(Next::End(end))
    }

    // How the server leaves.

    /// Whether the client has patience for another attempt. [REC-C5]
    fn may_redial(&mut self) -> bool {
        if self.became_ready.is_some_and(|since| since.elapsed() >= ms(self.limits.idle_timeout_ms)) {
            self.session.restores_budget(false);
        }
        self.session.may_redial()
    }

    fn closed(&mut self, code: Option<u16>) -> Option<Next> {
        if self.has(Fault::Close1000IsComplete) && code == Some(1_000) && self.is_ready {
            return Some(Next::End(End::new("complete", "completed", None, 0)));
        }
        if self.has(Fault::CutIsComplete) && code != Some(1_000) && self.is_ready {
            return Some(Next::End(End::new("complete", "completed", None, 0)));
        }
        if self.has(Fault::CloseBeforeReadyIsFine) && !self.is_ready {
            return Some(Next::End(End::new("complete", "completed", None, 0)));
        }
        self.lost("connection_closed")
    }

    fn lost(&mut self, code: &str) -> Option<Next> {
        let holds = [Fault::OwnTimer, Fault::KeepaliveHoldsEnd, Fault::FatalNeverEnds];
        if self.held.is_some() && holds.iter().any(|fault| self.has(*fault)) {
            self.is_deaf = true;
            return None;
        }
        if self.has(Fault::KeepaliveFailureSwallowed) && self.is_open() {
            self.is_deaf = true;
            return None;
        }
        if self.has(Fault::FinalReopens) && self.held.is_some() {
            self.is_deaf = self.is_reopened;
            return self.held.take_if(|_| !self.is_reopened).map(Next::End);
        }
        if self.has(Fault::ResetIsComplete) && self.is_open() {
            return Some(Next::End(End::new("complete", "completed", None, 0)));
        }
        let redials = match &self.fatal {
            Some((_, _, retryable)) => self.has(Fault::RedialsAfterFatal) && !retryable,
            None if self.sentinel.is_some() => self.has(Fault::RedialsAfterEnd),
            None if self.is_ready && (self.has(Fault::GapIsComplete) || self.has(Fault::TimesRestart)) => true,
            None => self.may_redial(),
        };
        if redials {
            self.session.offset_ms += self.sent_bytes / 32;
            return Some(Next::Again);
        }
        let end = match &self.fatal {
            Some((_, code, _)) => End::new("error", code, None, 0),
            None if !self.is_ready => End::new("error", "closed_before_ready", None, 0),
            None => End::new("incomplete", code, None, 0),
        };
        Some(Next::End(end))
    }
}
