//! A client session under arbitrary events: the events, and the invariants of what it sends and tells.

use core::time::Duration;
use std::collections::BTreeSet;

use lastword_spec::close::EndReason;
use lastword_spec::codec;
use lastword_spec::limits::Limits;
use lastword_spec::message::{
    ClientMessage, EffectiveConfig, ErrorMessage, Final, Flushed, KeepaliveAck, Partial, Progress, Ready,
    ServerMessage, SessionEnded, SpeechStarted, Warning,
};
use lastword_spec::table::State;
use lastword_spec::{PROTOCOL, error_code::ErrorCode};

use super::Bytes;
use crate::{ApiMisuse, ClientEvent, ClientOptions, ClientOutput, ClientSession, ClientTimer, Outcome, TransportError};

/// One event at a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the messages and of the session's functions")]
pub enum ClientOp {
    Ready,
    Partial { id: u8 },
    Final { id: u8 },
    SpeechStarted,
    Flushed { id: u8 },
    Ack { seq: u8 },
    Progress { seq: u8, ms: u32 },
    Warning,
    Error { fatal: bool },
    SessionEnded { complete: bool, honest: bool },
    Raw(String),
    Binary,
    Close(Option<u16>),
    Loss,
    Transmitted,
    Push { bytes: u16 },
    Flush { id: u8 },
    End,
    Cancel,
    Advance { ms: u32 },
}

impl ClientOp {
    /// An event from a fuzzer's bytes.
    pub fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.byte() % 24 {
            0 => Self::Ready,
            1 => Self::Partial { id: bytes.byte() },
            2 | 3 => Self::Final { id: bytes.byte() },
            4 => Self::SpeechStarted,
            5 => Self::Flushed { id: bytes.byte() },
            6 => Self::Ack { seq: bytes.byte() },
            7 => Self::Progress { seq: bytes.byte(), ms: u32::from(bytes.two_bytes()) },
            8 => Self::Warning,
            9 => Self::Error { fatal: bytes.byte() == 0 },
            10 => Self::SessionEnded { complete: bytes.byte() & 1 == 0, honest: bytes.byte() & 1 == 0 },
            11 => Self::Raw(String::from_utf8_lossy(bytes.chunk()).into_owned()),
            12 => Self::Binary,
            13 | 14 => Self::Push { bytes: bytes.two_bytes() },
            15 => Self::Flush { id: bytes.byte() },
            16..=19 => Self::Transmitted,
            20 => Self::Advance { ms: u32::from(bytes.two_bytes()) },
            21 => Self::End,
            _ => match bytes.byte() % 16 {
                0 => Self::Close(Some(1000)),
                1 => Self::Close(None),
                2 => Self::Loss,
                3 => Self::Cancel,
                4 => Self::End,
                _ => Self::Transmitted,
            },
        }
    }
}

/// A client session and an account of all that came out.
#[derive(Clone, Debug)]
pub struct ClientRig {
    session: ClientSession,
    now: Duration,
    transmitting: bool,
    messages_sent: u64,
    bytes_sent: u64,
    sentinel_sent: bool,
    ready_given: bool,
    finals_given: u64,
    closed: bool,
    flushes_open: BTreeSet<String>,
    finals: BTreeSet<u64>,
    outcome: Option<Outcome>,
    fired: Vec<ClientTimer>,
}

impl Default for ClientRig {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientRig {
    /// A session with default options.
    #[must_use]
    pub fn new() -> Self {
        let session = ClientSession::new(ClientOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let mut rig = Self {
            session,
            now: Duration::ZERO,
            transmitting: false,
            messages_sent: 0,
            bytes_sent: 0,
            sentinel_sent: false,
            ready_given: false,
            finals_given: 0,
            closed: false,
            flushes_open: BTreeSet::new(),
            finals: BTreeSet::new(),
            outcome: None,
            fired: Vec::new(),
        };
        rig.drain_outputs();
        rig
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.session.state()
    }

    /// How it ended, once it did.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// The timers that fired, in order.
    #[must_use]
    pub fn fired(&self) -> &[ClientTimer] {
        &self.fired
    }

    /// Gives the session one event and checks what comes out.
    ///
    /// # Panics
    /// An invariant is broken.
    pub fn apply(&mut self, op: &ClientOp) {
        let before = self.session.clone();
        let now = self.now;
        let result = match op {
            ClientOp::Push { bytes } => self.session.push(&vec![1; usize::from(*bytes)]),
            ClientOp::Flush { id } => {
                let id = format!("f{id}");
                let result = self.session.flush(id.clone());
                if result.is_ok() {
                    assert!(self.flushes_open.insert(id), "two open flushes have one id");
                }
                result
            }
            ClientOp::End => self.session.end(now),
            ClientOp::Cancel => self.session.cancel(now),
            ClientOp::Transmitted => {
                let result = self.session.handle_transmitted(now);
                self.transmitting = self.transmitting && result.is_err();
                result
            }
            ClientOp::Close(code) => self.session.handle_close(now, *code),
            ClientOp::Loss => self.session.handle_loss(now, TransportError::Eof),
            ClientOp::Binary => self.session.handle_binary(now, b"x"),
            ClientOp::Advance { ms } => {
                self.advance(Duration::from_millis(u64::from(*ms)));
                Ok(())
            }
            ClientOp::Raw(text) => self.session.handle_text(now, text),
            ClientOp::Ready
            | ClientOp::Partial { .. }
            | ClientOp::Final { .. }
            | ClientOp::SpeechStarted
            | ClientOp::Flushed { .. }
            | ClientOp::Ack { .. }
            | ClientOp::Progress { .. }
            | ClientOp::Warning
            | ClientOp::Error { .. }
            | ClientOp::SessionEnded { .. } => {
                let message = self.message(op);
                match &message {
                    ServerMessage::Ready(_) => self.ready_given |= self.session.state() == State::Configuring,
                    ServerMessage::Final(_) => {
                        self.finals_given +=
                            u64::from(matches!(self.session.state(), State::Streaming | State::Draining));
                    }
                    _ => {}
                }
                self.session.handle_text(now, &codec::encode(&message))
            }
        };
        match result {
            Ok(()) => {}
            Err(ApiMisuse::OutputPending) => panic!("outputs were taken, and the session says they were not"),
            Err(_) => assert_eq!(self.session, before, "a refused call changed the session: {op:?}"),
        }
        self.drain_outputs();
    }

    /// Lets the time pass, and every timer fire that is due on the way.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        let mut at_once = 0;
        while let Some((timer, at)) = self.session.next_timer().filter(|(_, at)| *at <= until) {
            at_once = if at <= self.now { at_once + 1 } else { 0 };
            assert!(at_once < 100, "{timer:?} fires without end");
            self.now = self.now.max(at);
            self.fired.push(timer);
            assert_eq!(self.session.handle_timeout(self.now), Ok(()));
            self.drain_outputs();
        }
        self.now = until;
    }

    /// Drives the session to its end by steps that the two parties owe, without a timer.
    ///
    /// # Panics
    /// It does not end, or an invariant is broken.
    pub fn finish(&mut self) {
        for _ in 0..20_000 {
            if self.transmitting {
                self.apply(&ClientOp::Transmitted);
                continue;
            }
            match self.session.state() {
                State::AwaitConfig => panic!("the `config` is the first output"),
                State::Configuring => self.apply(&ClientOp::Ready),
                State::Streaming => self.apply(&ClientOp::End),
                State::Draining => self.apply(&ClientOp::SessionEnded { complete: true, honest: true }),
                State::Failing | State::Ended => self.apply(&ClientOp::Close(Some(1000))),
                State::Closed => break,
            }
        }
        assert!(self.session.is_closed(), "no way to the end from {:?}", self.session.state());
        assert!(self.outcome.is_some(), "the session ended and nobody was told");
        assert_eq!(self.flushes_open, BTreeSet::new(), "the caller of a flush was left waiting");
        let over = self.session.clone();
        for op in [ClientOp::Ready, ClientOp::End, ClientOp::Cancel, ClientOp::Loss] {
            self.apply(&op);
        }
        self.advance(Duration::from_secs(10_000));
        assert_eq!(self.session, over, "an ended session changed");
    }

    fn message(&self, op: &ClientOp) -> ServerMessage {
        match op {
            ClientOp::Ready => ServerMessage::Ready(Box::new(Ready {
                session_id: "s".into(),
                protocol: PROTOCOL.into(),
                config: EffectiveConfig::default(),
                limits: Limits::DEFAULT,
                capabilities: lastword_spec::message::Capabilities::default(),
                ignored: Vec::new(),
            })),
            ClientOp::Partial { id } => ServerMessage::Partial(Partial {
                segment_id: u64::from(*id),
                revision: 1,
                text: "some".into(),
                ..Partial::default()
            }),
            ClientOp::Final { id } => {
                ServerMessage::Final(Final { segment_id: u64::from(*id), text: "some".into(), ..Final::default() })
            }
            ClientOp::SpeechStarted => ServerMessage::SpeechStarted(SpeechStarted { start_ms: 0, channel: 0 }),
            ClientOp::Flushed { id } => ServerMessage::Flushed(Flushed { id: format!("f{id}") }),
            ClientOp::Ack { seq } => ServerMessage::KeepaliveAck(KeepaliveAck { seq: u64::from(*seq) }),
            ClientOp::Progress { seq, ms } => {
                ServerMessage::Progress(Progress { seq: u64::from(*seq), audio_processed_ms: u64::from(*ms) })
            }
            ClientOp::Error { fatal } => ServerMessage::Error(ErrorMessage {
                code: ErrorCode::INTERNAL,
                message: "trouble".into(),
                fatal: *fatal,
                retryable: true,
                retry_after_ms: None,
                param: None,
                id: None,
            }),
            ClientOp::SessionEnded { complete, honest } => {
                let sent_ms = self.session.audio_sent_ms() + u64::from(!honest);
                ServerMessage::SessionEnded(SessionEnded {
                    reason: if *complete { EndReason::COMPLETED } else { EndReason::GOING_AWAY },
                    complete: *complete,
                    audio_received_ms: sent_ms,
                    audio_processed_ms: sent_ms,
                    rejected_frames: 0,
                    finals: self.finals_given,
                    message: None,
                })
            }
            _ => ServerMessage::Warning(Warning { code: "x".into(), message: "x".into() }),
        }
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                ClientOutput::Send(message) => self.sent(&message),
                ClientOutput::SendAudio(bytes) => {
                    assert!(self.ready_given, "audio before `ready`");
                    assert!(!self.sentinel_sent, "audio after the sentinel");
                    // [AUD-1] [AUD-C1]
                    assert!(bytes.len().is_multiple_of(2) && (1..=32_000).contains(&bytes.len()));
                    self.bytes_sent += bytes.len() as u64;
                    self.start_transmission();
                }
                ClientOutput::Event(event) => self.told(event),
                ClientOutput::Violation(violation) => assert!(violation.to_string().contains('[')),
                ClientOutput::Close { .. } | ClientOutput::EchoClose { .. } => {
                    assert!(!self.closed, "a second Close");
                    self.closed = true;
                    self.transmitting = false;
                }
                ClientOutput::Drop => assert_eq!(self.session.state(), State::Closed),
            }
        }
        assert_eq!(self.session.audio_sent_ms(), self.bytes_sent / 32);
        self.transmitting &= !matches!(self.session.state(), State::Ended | State::Closed);
    }

    fn sent(&mut self, message: &ClientMessage) {
        assert!(!self.sentinel_sent, "`{}` after the sentinel", message.message_type());
        match message {
            // [CFG-C1]
            ClientMessage::Config(_) => assert_eq!(self.messages_sent, 0, "`config` is the first message, once"),
            // [CFG-C2]
            ClientMessage::Keepalive(_) | ClientMessage::Flush(_) => assert!(self.ready_given),
            ClientMessage::EndOfStream => {
                assert!(self.ready_given);
                self.sentinel_sent = true;
            }
            ClientMessage::Update(_) => panic!("an `update` that nobody asked for"),
        }
        self.start_transmission();
    }

    fn start_transmission(&mut self) {
        assert!(!self.closed, "a message after Close");
        assert!(!self.transmitting, "two messages at the transport");
        self.messages_sent += 1;
        self.transmitting = true;
    }

    fn told(&mut self, event: ClientEvent) {
        assert!(self.outcome.is_none(), "an event after the last");
        match event {
            ClientEvent::Final(result) => assert!(self.finals.insert(result.segment_id), "a final was told twice"),
            ClientEvent::Partial(partial) => assert!(!self.finals.contains(&partial.segment_id), "partial after final"),
            ClientEvent::Flushed { id } | ClientEvent::FlushFailed { id } => {
                assert!(self.flushes_open.remove(&id), "a flush was answered twice");
            }
            ClientEvent::Ended(outcome) => {
                // [END-C7]
                assert!(!outcome.is_complete() || self.sentinel_sent, "complete without a sentinel");
                self.outcome = Some(outcome);
            }
            ClientEvent::Ready(_)
            | ClientEvent::SpeechStarted(_)
            | ClientEvent::SpeechEnded(_)
            | ClientEvent::Updated(_)
            | ClientEvent::Warning(_)
            | ClientEvent::Error(_) => {}
        }
    }
}
