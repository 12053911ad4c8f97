//! Two sessions, an engine and two pipes under a virtual clock. It moves to the next moment at which something can happen, and keeps
//! what happened: the wire, the events, the timers that fired by name.

use core::time::Duration;
use std::collections::VecDeque;

use lastword_session::{
    ClientEvent, ClientOptions, ClientOutput, ClientSession, EngineResult, Outcome, ServerOutput, ServerPolicy,
    ServerSession, TransportError,
};
use lastword_spec::codec;
use lastword_spec::message::ServerMessage;

use crate::engine::{Engine, Pace, Report};

#[derive(Clone, Debug)]
enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<u16>),
}

impl Frame {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Close(_) => 2,
        }
    }
}

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Pushes so many milliseconds; what does not fit waits and is pushed later, before the next act.
    Push(u64),
    Flush(&'static str),
    End,
    Cancel,
}

pub(crate) struct Setup {
    pub(crate) policy: ServerPolicy,
    pub(crate) pace: Pace,
    pub(crate) latency: Duration,
    /// Bytes that the pipe to the server holds.
    pub(crate) capacity_bytes: usize,
    pub(crate) script: Vec<(Duration, Act)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policy: ServerPolicy::default(),
            pace: Pace::default(),
            latency: Duration::from_millis(1),
            capacity_bytes: 64 * 1024,
            script: vec![],
        }
    }
}

#[derive(Clone)]
pub(crate) struct World {
    now: Duration,
    client: ClientSession,
    server: ServerSession,
    engine: Engine,
    to_server: VecDeque<(Duration, Frame)>,
    to_client: VecDeque<(Duration, Frame)>,
    in_flight: Option<Frame>,
    latency: Duration,
    capacity_bytes: usize,
    script: VecDeque<(Duration, Act)>,
    unpushed_ms: u64,
    audio_pushed_ms: u64,
    cut: bool,
    /// `>` is what the client sent, `<` what the server sent, with the kind of message.
    pub(crate) wire: Vec<String>,
    pub(crate) events: Vec<ClientEvent>,
    pub(crate) fired: Vec<String>,
    pub(crate) gave_up: Vec<String>,
    /// The most audio that was accepted and not processed.
    pub(crate) most_unprocessed_ms: u64,
    processed_ms: u64,
    pub(crate) steps: usize,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            now: Duration::ZERO,
            client: ClientSession::new(ClientOptions::default()).unwrap(),
            server: ServerSession::new(setup.policy, "s-1").unwrap(),
            engine: Engine::new(setup.pace),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            in_flight: None,
            latency: setup.latency,
            capacity_bytes: setup.capacity_bytes,
            script: setup.script.into(),
            unpushed_ms: 0,
            audio_pushed_ms: 0,
            cut: false,
            wire: Vec::new(),
            events: Vec::new(),
            fired: Vec::new(),
            gave_up: Vec::new(),
            most_unprocessed_ms: 0,
            processed_ms: 0,
            steps: 0,
        }
    }

    /// Runs until nothing can happen any more.
    pub(crate) fn run(mut self) -> Self {
        while self.step() {}
        self
    }

    /// Does the next thing that can happen; `false` when there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.steps += 1;
        assert!(self.steps < 2_000_000, "the world does not come to rest");
        self.happen() || self.let_time_pass()
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn cancel(&mut self) {
        self.client.cancel(self.now).unwrap();
        self.drain_client();
    }

    /// The network is gone for both.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.to_client.clear();
        self.to_server.clear();
        self.in_flight = None;
        self.client.handle_loss(self.now, TransportError::Eof).unwrap();
        self.drain_client();
        self.server.handle_loss(self.now).unwrap();
        self.drain_server();
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        let outcomes: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| if let ClientEvent::Ended(one) = event { Some(one) } else { None })
            .collect();
        let [outcome] = outcomes[..] else { panic!("told {} outcomes: {:#?}", outcomes.len(), self.wire) };
        assert!(matches!(self.events.last(), Some(ClientEvent::Ended(_))), "the outcome is the last event");
        outcome
    }

    /// Both sides are through, each by itself, and no timer gave anything up.
    pub(crate) fn assert_ended_by_messages(&self) {
        assert!(self.client.is_closed() && self.server.is_closed(), "{:#?}", self.wire);
        assert_eq!(self.gave_up, [""; 0], "a give-up timer fired in a session of two conforming parties");
        let _ = self.outcome();
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        let text =
            |event: &ClientEvent| if let ClientEvent::Final(one) = event { Some(one.text.clone()) } else { None };
        self.events.iter().filter_map(text).collect()
    }

    pub(crate) fn said(&self) -> &[String] {
        &self.engine.words
    }

    pub(crate) fn audio_pushed_ms(&self) -> u64 {
        self.audio_pushed_ms
    }

    pub(crate) fn sent(&self, line: &str) -> usize {
        self.wire.iter().filter(|one| *one == line).count()
    }

    fn happen(&mut self) -> bool {
        self.act() || self.transmit() || self.deliver_to_client() || self.deliver_to_server() || self.work()
    }

    fn act(&mut self) -> bool {
        while self.unpushed_ms > 0 {
            let ms = self.unpushed_ms.min(100);
            let bytes = vec![1; ms as usize * 32];
            if !self.client.can_push(bytes.len()) {
                return false;
            }
            match self.client.push(&bytes) {
                Ok(()) => self.audio_pushed_ms += ms,
                // The session is over: what the application still has goes nowhere.
                Err(_) => self.unpushed_ms = ms,
            }
            self.unpushed_ms -= ms;
        }
        let Some((_, act)) = self.script.front().copied().filter(|(at, _)| *at <= self.now) else { return false };
        self.script.pop_front();
        match act {
            Act::Push(ms) => self.unpushed_ms += ms,
            Act::Flush(id) => drop(self.client.flush(id)),
            Act::End => self.client.end(self.now).unwrap(),
            Act::Cancel => self.client.cancel(self.now).unwrap(),
        }
        self.drain_client();
        true
    }

    fn transmit(&mut self) -> bool {
        self.drain_client();
        let Some(frame) = self.in_flight.take() else { return false };
        let held: usize = self.to_server.iter().map(|(_, frame)| frame.bytes()).sum();
        if held > 0 && held + frame.bytes() > self.capacity_bytes {
            self.in_flight = Some(frame);
            return false;
        }
        self.to_server.push_back((self.now + self.latency, frame));
        self.client.handle_transmitted(self.now).unwrap();
        self.drain_client();
        true
    }

    fn deliver_to_client(&mut self) -> bool {
        if !self.client.wants_read() || self.to_client.front().is_none_or(|(at, _)| *at > self.now) {
            return false;
        }
        match self.to_client.pop_front() {
            Some((_, Frame::Text(text))) => self.client.handle_text(self.now, &text).unwrap(),
            Some((_, Frame::Binary(bytes))) => self.client.handle_binary(self.now, &bytes).unwrap(),
            Some((_, Frame::Close(code))) => self.client.handle_close(self.now, code).unwrap(),
            None => {}
        }
        self.drain_client();
        true
    }

    fn deliver_to_server(&mut self) -> bool {
        if !self.server.wants_read() || self.to_server.front().is_none_or(|(at, _)| *at > self.now) {
            return false;
        }
        match self.to_server.pop_front() {
            Some((_, Frame::Text(text))) => self.server.handle_text(self.now, &text).unwrap(),
            Some((_, Frame::Binary(bytes))) => self.server.handle_binary(self.now, &bytes).unwrap(),
            Some((_, Frame::Close(code))) => self.server.handle_close(self.now, code).unwrap(),
            None => {}
        }
        self.drain_server();
        self.most_unprocessed_ms = self.most_unprocessed_ms.max(self.server.audio_received_ms() - self.processed_ms);
        true
    }

    fn work(&mut self) -> bool {
        if self.engine.next_at().is_none_or(|at| at > self.now) {
            return false;
        }
        let result = |segment, text, start_ms, end_ms| EngineResult {
            segment,
            text,
            start_ms,
            end_ms,
            ..EngineResult::default()
        };
        for report in self.engine.step(self.now) {
            let now = self.now;
            match report {
                Report::Ready => {
                    let config = self.server.config().cloned().unwrap();
                    self.server.engine_ready(now, config, Vec::new()).unwrap();
                    self.drain_server();
                    self.server.engine_backlog(now, 0).unwrap();
                }
                Report::Partial { segment, text, start_ms, end_ms } => {
                    self.server.engine_partial(now, result(segment, text, start_ms, end_ms)).unwrap();
                }
                Report::Final { segment, text, start_ms, end_ms } => {
                    self.server.engine_final(now, result(segment, text, start_ms, end_ms)).unwrap();
                }
                Report::Progress { processed_ms } => {
                    self.processed_ms = processed_ms;
                    self.server.engine_progress(now, processed_ms).unwrap();
                    self.drain_server();
                    let waiting_ms = self.server.audio_received_ms() - processed_ms;
                    self.server.engine_backlog(now, waiting_ms).unwrap();
                }
                Report::Flushed { token } => self.server.engine_flushed(now, token).unwrap(),
                Report::Drained { processed_ms } => self.server.engine_drained(now, processed_ms).unwrap(),
            }
            self.drain_server();
        }
        true
    }

    fn let_time_pass(&mut self) -> bool {
        let to_server = self.to_server.front().filter(|_| self.server.wants_read()).map(|(at, _)| *at);
        let to_client = self.to_client.front().filter(|_| self.client.wants_read()).map(|(at, _)| *at);
        let act = self.script.front().filter(|_| self.unpushed_ms == 0).map(|(at, _)| *at);
        let events = [to_server, to_client, act, self.engine.next_at()];
        let next_event = events.into_iter().flatten().min();
        let timers = [self.client.poll_timeout(), self.server.poll_timeout()];
        let Some(next) = timers.into_iter().chain([next_event]).flatten().min() else { return false };
        self.now = self.now.max(next);
        if next_event.is_some_and(|at| at <= self.now) {
            return true;
        }
        if let Some((timer, at)) = self.client.next_timer().filter(|(_, at)| *at <= self.now) {
            self.note_timer(format!("client {timer:?}"), timer.gives_up());
            self.client.handle_timeout(at.max(self.now)).unwrap();
            self.drain_client();
        }
        if let Some((timer, at)) = self.server.next_timer().filter(|(_, at)| *at <= self.now) {
            self.note_timer(format!("server {timer:?}"), timer.gives_up());
            self.server.handle_timeout(at.max(self.now)).unwrap();
            self.drain_server();
        }
        true
    }

    fn note_timer(&mut self, name: String, gives_up: bool) {
        if gives_up {
            self.gave_up.push(name.clone());
        }
        self.fired.push(name);
    }

    fn drain_client(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Send(message) => {
                    self.wire.push(format!("> {}", message.message_type()));
                    self.in_flight = Some(Frame::Text(codec::encode(&message)));
                }
                ClientOutput::SendAudio(bytes) => {
                    self.wire.push("> audio".into());
                    self.in_flight = Some(Frame::Binary(bytes));
                }
                ClientOutput::Event(event) => self.events.push(event),
                ClientOutput::Violation(violation) => {
                    assert!(self.cut, "a conforming server was accused: {violation}");
                }
                ClientOutput::Close { code } | ClientOutput::EchoClose { code: Some(code) } => {
                    self.wire.push(format!("> Close {code}"));
                    // What was being sent goes first, whole or not at all.
                    self.in_flight = None;
                    if !self.cut {
                        self.to_server.push_back((self.now + self.latency, Frame::Close(Some(code.0))));
                    }
                }
                ClientOutput::EchoClose { code: None } | ClientOutput::Drop => self.wire.push("> drop".into()),
            }
        }
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                ServerOutput::StartEngine(_) => self.engine.start(self.now),
                ServerOutput::Audio(bytes) => self.engine.audio(self.now, bytes.len()),
                ServerOutput::FlushEngine { token } => self.engine.flush(self.now, token),
                ServerOutput::FinishEngine => self.engine.finish(self.now),
                ServerOutput::CancelEngine => self.engine.cancel(),
                ServerOutput::Release => {}
                ServerOutput::Send(message) => self.send_to_client(&message),
                ServerOutput::Close { code, .. } => self.close_to_client(code.0),
                ServerOutput::EchoClose { code } => self.close_to_client(code.map_or(1005, |code| code.0)),
                ServerOutput::Drop => self.wire.push("< drop".into()),
                ServerOutput::Violation(violation) => panic!("a conforming client was accused: {violation}"),
            }
        }
    }

    fn send_to_client(&mut self, message: &ServerMessage) {
        let name = match message {
            ServerMessage::Flushed(flushed) => format!("< flushed {}", flushed.id),
            ServerMessage::SessionEnded(ended) => format!("< session_ended {}", ended.reason),
            other => format!("< {}", other.message_type()),
        };
        self.wire.push(name);
        if !self.cut {
            self.to_client.push_back((self.now + self.latency, Frame::Text(codec::encode(message))));
        }
    }

    fn close_to_client(&mut self, code: u16) {
        self.wire.push(format!("< Close {code}"));
        if !self.cut {
            self.to_client.push_back((self.now + self.latency, Frame::Close(Some(code))));
        }
    }
}
