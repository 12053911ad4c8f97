//! A server session under arbitrary events: the events, a well-meant engine behind it, and the invariants of what it sends.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lastword_spec::close::CloseCode;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::{
    Capabilities, ClientMessage, EffectiveConfig, Flush, Keepalive, ServerMessage, SessionEnded,
};
use lastword_spec::table::State;

use super::Bytes;
use crate::{ApiMisuse, EngineResult, Refusal, ServerOutput, ServerPolicy, ServerSession, ServerTimer};

/// A text message from the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// A `config`, with or without partials.
    Config {
        /// The option of that name.
        interim_results: bool,
        /// The option of that name.
        vad_events: bool,
    },
    /// A `keepalive`.
    Keepalive(Option<u64>),
    /// A `flush` with this number as its id.
    Flush(u8),
    /// An `update`.
    Update,
    /// The sentinel.
    EndOfStream,
    /// A type that v1 does not define.
    Unknown,
    /// No message.
    Bad,
    /// A `config` that cannot be.
    BadConfig,
    /// Longer than the limit.
    Oversize,
    /// Anything.
    Raw(String),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::Config { interim_results, vad_events } => {
                format!(r#"{{"type":"config","interim_results":{interim_results},"vad_events":{vad_events}}}"#)
            }
            Self::Keepalive(seq) => codec::encode(&ClientMessage::Keepalive(Keepalive { seq: *seq })),
            Self::Flush(id) => codec::encode(&ClientMessage::Flush(Flush { id: format!("f{id}") })),
            Self::Update => r#"{"type":"update","id":"u"}"#.into(),
            Self::EndOfStream => codec::encode(&ClientMessage::EndOfStream),
            Self::Unknown => r#"{"type":"x_unknown"}"#.into(),
            Self::Bad => "[]".into(),
            Self::BadConfig => r#"{"type":"config","sample_rate":8000}"#.into(),
            Self::Oversize => format!(r#"{{"type":"keepalive","x_":"{}"}}"#, "x".repeat(70_000)),
            Self::Raw(text) => text.clone(),
        }
    }
}

/// A binary message from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audio {
    /// So many milliseconds.
    Ms(u16),
    /// No bytes.
    Empty,
    /// Half a sample too much.
    Broken,
    /// Longer than the limit.
    Oversize,
}

/// One event at a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the session's functions")]
pub enum ServerOp {
    Text(Text),
    Binary(Audio),
    Close(Option<u16>),
    Loss,
    Advance { ms: u32 },
    EngineReady,
    EngineRefused,
    Partial { segment: u8, text: bool, start_ms: u32, end_ms: u32 },
    Final { segment: u8, text: bool, start_ms: u32, end_ms: u32 },
    SpeechStarted { start_ms: u32 },
    SpeechEnded { end_ms: u32 },
    Progress { ms: u32 },
    Backlog { ms: u32 },
    Flushed { wrong: bool },
    Drained,
    Failed,
    ShutDown,
}

impl ServerOp {
    /// An event from a fuzzer's bytes.
    pub fn read(bytes: &mut Bytes<'_>) -> Self {
        let ms = |bytes: &mut Bytes<'_>| u32::from(bytes.two_bytes());
        match bytes.byte() % 30 {
            0 => Self::Text(Text::Config { interim_results: bytes.byte() & 1 == 0, vad_events: bytes.byte() & 1 == 0 }),
            1 => Self::Text(Text::Keepalive(None)),
            2 => Self::Text(Text::Keepalive(Some(u64::from(bytes.byte())))),
            3 | 4 => Self::Text(Text::Flush(bytes.byte())),
            5 => Self::Text(Text::Update),
            6 => Self::Text(Text::EndOfStream),
            7 => Self::Text(Text::Unknown),
            8 => Self::Text(Text::Bad),
            9 => Self::Text(Text::BadConfig),
            10 => Self::Text(Text::Oversize),
            11 => Self::Text(Text::Raw(String::from_utf8_lossy(bytes.chunk()).into_owned())),
            12..=14 => Self::Binary(Audio::Ms(bytes.two_bytes() % 2_000)),
            15 => Self::Binary(Audio::Empty),
            16 => Self::Binary(Audio::Broken),
            17 => Self::Binary(Audio::Oversize),
            18 => Self::Advance { ms: ms(bytes) },
            19 => Self::EngineReady,
            20 | 21 => {
                Self::Partial { segment: bytes.byte(), text: bytes.byte() > 20, start_ms: ms(bytes), end_ms: ms(bytes) }
            }
            22 | 23 => {
                Self::Final { segment: bytes.byte(), text: bytes.byte() > 20, start_ms: ms(bytes), end_ms: ms(bytes) }
            }
            24 => Self::SpeechStarted { start_ms: ms(bytes) },
            25 => Self::SpeechEnded { end_ms: ms(bytes) },
            26 => Self::Progress { ms: ms(bytes) },
            27 => Self::Flushed { wrong: bytes.byte() == 0 },
            28 => Self::Drained,
            _ => match bytes.byte() % 8 {
                0 => Self::Close(Some(1000)),
                1 => Self::Close(None),
                2 => Self::Loss,
                3 => Self::EngineRefused,
                4 => Self::Failed,
                5 => Self::ShutDown,
                _ => Self::Backlog { ms: ms(bytes) },
            },
        }
    }
}

/// A server session, its engine, and an account of all that came out.
#[derive(Clone, Debug)]
pub struct ServerRig {
    session: ServerSession,
    now: Duration,
    engine_config: Option<EffectiveConfig>,
    engine_released: bool,
    engine_cancelled: bool,
    tokens: VecDeque<u64>,
    fired: Vec<ServerTimer>,
    seen: Seen,
}

/// What was sent so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    ready: Option<EffectiveConfig>,
    partials: BTreeMap<u64, u64>,
    finals: BTreeSet<u64>,
    finals_sent: u64,
    ids_opened: u64,
    last_start_ms: BTreeMap<u32, u64>,
    speaking: BTreeSet<u32>,
    progress_seq: u64,
    processed_ms: u64,
    flushes_owed: VecDeque<String>,
    fatal: Option<ErrorCode>,
    ended: Option<SessionEnded>,
    closed: Option<CloseCode>,
    over: bool,
    acks_owed: VecDeque<u64>,
    /// The sentinel was taken; it may still wait for `ready`.
    sentinel_given: bool,
}

impl ServerRig {
    /// A session with one of three policies: default limits, small limits, a small buffer.
    #[must_use]
    pub fn new(policy: u8) -> Self {
        let limits = match policy % 3 {
            0 => Limits::DEFAULT,
            1 => Limits {
                idle_timeout_ms: 3_000,
                keepalive_interval_ms: 1_000,
                progress_interval_ms: 200,
                max_step_ms: 1_000,
                max_session_ms: 60_000,
                ..Limits::DEFAULT
            },
            _ => Limits { max_buffered_audio_ms: 1_000, ..Limits::DEFAULT },
        };
        let capabilities = Capabilities { vad_events: Some(true), ..ServerPolicy::default().capabilities };
        let policy = ServerPolicy { limits, capabilities, ..ServerPolicy::default() };
        let session = ServerSession::new(policy, "s").unwrap_or_else(|error| panic!("{error}"));
        Self {
            session,
            now: Duration::ZERO,
            engine_config: None,
            engine_released: false,
            engine_cancelled: false,
            tokens: VecDeque::new(),
            fired: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.session.state()
    }

    /// The timers that fired, in order.
    #[must_use]
    pub fn fired(&self) -> &[ServerTimer] {
        &self.fired
    }

    /// Gives the session one event and checks what comes out. What the session does not take is checked to have changed nothing.
    ///
    /// # Panics
    /// An invariant is broken.
    pub fn apply(&mut self, op: &ServerOp) {
        let before = self.session.clone();
        let now = self.now;
        let result = match op {
            ServerOp::Text(text) => {
                let text = text.text();
                self.expect_answers(&text);
                self.session.handle_text(now, &text)
            }
            ServerOp::Binary(Audio::Ms(ms)) => self.session.handle_binary(now, &vec![1; usize::from(*ms) * 32]),
            ServerOp::Binary(Audio::Empty) => self.session.handle_binary(now, &[]),
            ServerOp::Binary(Audio::Broken) => self.session.handle_binary(now, &[1; 321]),
            ServerOp::Binary(Audio::Oversize) => self.session.handle_binary(now, &[1; 64_002]),
            ServerOp::Close(code) => self.session.handle_close(now, *code),
            ServerOp::Loss => self.session.handle_loss(now),
            ServerOp::Advance { ms } => {
                self.advance(Duration::from_millis(u64::from(*ms)));
                Ok(())
            }
            ServerOp::EngineReady => {
                let config = self.engine_config.clone().unwrap_or_default();
                self.session.engine_ready(now, config, Vec::new())
            }
            ServerOp::EngineRefused => self.session.engine_refused(
                now,
                Refusal { code: ErrorCode::OVERLOADED, message: "full".into(), param: None, retry_after_ms: Some(1) },
            ),
            ServerOp::Partial { segment, text, start_ms, end_ms } => {
                self.session.engine_partial(now, heard(*segment, *text, *start_ms, *end_ms))
            }
            ServerOp::Final { segment, text, start_ms, end_ms } => {
                self.session.engine_final(now, heard(*segment, *text, *start_ms, *end_ms))
            }
            ServerOp::SpeechStarted { start_ms } => self.session.engine_speech_started(now, 0, u64::from(*start_ms)),
            ServerOp::SpeechEnded { end_ms } => self.session.engine_speech_ended(now, 0, u64::from(*end_ms)),
            ServerOp::Progress { ms } => self.session.engine_progress(now, u64::from(*ms)),
            ServerOp::Backlog { ms } => self.session.engine_backlog(now, u64::from(*ms)),
            ServerOp::Flushed { wrong: false } => {
                let token = self.tokens.front().copied().unwrap_or(u64::MAX);
                self.session.engine_flushed(now, token)
            }
            ServerOp::Flushed { wrong: true } => self.session.engine_flushed(now, u64::MAX),
            ServerOp::Drained => self.session.engine_drained(now, self.session.audio_received_ms()),
            ServerOp::Failed => self.session.engine_failed(now, "no more"),
            ServerOp::ShutDown => self.session.shut_down(now),
        };
        match result {
            Ok(()) => {}
            Err(ApiMisuse::OutputPending) => panic!("outputs were taken, and the session says they were not"),
            Err(_) => assert_eq!(self.session, before, "a refused input changed the session: {op:?}"),
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
        for _ in 0..2_000 {
            match self.session.state() {
                State::AwaitConfig => {
                    self.apply(&ServerOp::Text(Text::Config { interim_results: true, vad_events: false }));
                }
                State::Configuring => self.apply(&ServerOp::EngineReady),
                State::Streaming => {
                    self.apply(&ServerOp::Backlog { ms: 0 });
                    if self.tokens.is_empty() {
                        self.apply(&ServerOp::Text(Text::EndOfStream));
                    } else {
                        self.apply(&ServerOp::Flushed { wrong: false });
                    }
                }
                State::Draining | State::Failing => {
                    assert!(self.session.wants_read(), "nothing keeps a server from reading once the sentinel came");
                    self.apply(&ServerOp::Drained);
                }
                State::Ended => self.apply(&ServerOp::Close(Some(1000))),
                State::Closed => break,
            }
        }
        assert!(self.session.is_closed(), "no way to the end from {:?}", self.session.state());
        self.seen.check_end(self.engine_config.is_some(), self.engine_released);
        // Nothing that comes now changes anything.
        let over = self.session.clone();
        for op in [ServerOp::Text(Text::EndOfStream), ServerOp::Drained, ServerOp::Loss, ServerOp::ShutDown] {
            self.apply(&op);
        }
        self.advance(Duration::from_secs(10_000));
        assert_eq!(self.session, over, "an ended session changed");
    }

    /// Answers that are owed to a message, where it will be handled as the session stands.
    fn expect_answers(&mut self, text: &str) {
        if !self.session.wants_read() || !matches!(self.session.state(), State::Configuring | State::Streaming) {
            return;
        }
        match codec::decode_client(text, Limits::DEFAULT.max_text_bytes) {
            _ if self.seen.sentinel_given => {}
            Ok(Decoded::Message(ClientMessage::Flush(flush))) => self.seen.flushes_owed.push_back(flush.id),
            Ok(Decoded::Message(ClientMessage::Keepalive(Keepalive { seq: Some(seq) }))) => {
                self.seen.acks_owed.push_back(seq);
            }
            Ok(Decoded::Message(ClientMessage::EndOfStream)) => self.seen.sentinel_given = true,
            Ok(_) | Err(_) => {}
        }
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                ServerOutput::StartEngine(config) => {
                    assert!(self.engine_config.is_none(), "the engine was started twice");
                    self.engine_config = Some(*config);
                }
                ServerOutput::Audio(bytes) => {
                    assert!(self.seen.ended.is_none() && self.seen.closed.is_none() && !bytes.is_empty());
                }
                ServerOutput::FlushEngine { token } => self.tokens.push_back(token),
                ServerOutput::FinishEngine => assert!(!self.engine_cancelled),
                ServerOutput::CancelEngine => self.engine_cancelled = true,
                ServerOutput::Release => {
                    assert!(self.engine_config.is_some() && !self.engine_released);
                    assert!(self.seen.ended.is_none() && self.seen.fatal.is_none(), "the slot is freed too late");
                    self.engine_released = true;
                }
                ServerOutput::Send(message) => {
                    if matches!(message, ServerMessage::Flushed(_)) {
                        self.tokens.pop_front();
                    }
                    self.seen.message(&message, &self.session);
                }
                ServerOutput::Close { code, reason } => {
                    assert!(reason.len() <= 123);
                    self.seen.close(code);
                }
                ServerOutput::EchoClose { .. } => {
                    assert!(self.seen.closed.is_none() && !self.seen.over);
                    self.seen.over = true;
                }
                ServerOutput::Drop => assert!(self.seen.closed.is_some()),
                ServerOutput::Violation(violation) => assert!(violation.to_string().contains('[')),
            }
        }
    }
}

fn heard(segment: u8, text: bool, start_ms: u32, end_ms: u32) -> EngineResult {
    let text = if text { " some words " } else { "  " };
    EngineResult {
        segment: u64::from(segment),
        text: text.into(),
        start_ms: u64::from(start_ms),
        end_ms: u64::from(end_ms),
        ..EngineResult::default()
    }
}

impl Seen {
    fn message(&mut self, message: &ServerMessage, session: &ServerSession) {
        let name = message.message_type();
        // [END-S3] [CLO-S3]
        assert!(self.ended.is_none() && self.closed.is_none() && !self.over, "`{name}` after the end");
        // [ERR-S3]
        assert!(self.fatal.is_none() || name == "session_ended", "`{name}` after a fatal error");
        // [CFG-S2]
        let may_precede_ready = matches!(name, "ready" | "error" | "warning" | "progress");
        assert!(self.ready.is_some() || may_precede_ready, "`{name}` before `ready`");
        let received_ms = session.audio_received_ms();
        match message {
            ServerMessage::Ready(ready) => {
                assert!(self.ready.is_none(), "a second `ready`");
                self.ready = Some(ready.config.clone());
            }
            ServerMessage::Partial(partial) => {
                assert!(!self.finals.contains(&partial.segment_id), "a partial after its final");
                assert!(self.ready.as_ref().is_some_and(|config| config.interim_results));
                assert!(!partial.text.is_empty() && partial.text == partial.text.trim());
                assert!(partial.start_ms <= partial.end_ms && partial.end_ms <= received_ms);
                self.open_id(partial.segment_id);
                let revision = self.partials.insert(partial.segment_id, partial.revision);
                assert!(revision < Some(partial.revision), "`revision` did not rise");
            }
            ServerMessage::Final(result) => {
                assert!(result.start_ms <= result.end_ms && result.end_ms <= received_ms);
                assert_eq!(result.text, result.text.trim());
                self.open_id(result.segment_id);
                assert!(self.finals.insert(result.segment_id), "a second final for a segment");
                let before = self.last_start_ms.insert(result.channel, result.start_ms);
                assert!(before <= Some(result.start_ms), "`start_ms` of finals fell");
                self.finals_sent += 1;
            }
            ServerMessage::Flushed(flushed) => {
                assert_eq!(self.flushes_owed.pop_front().as_deref(), Some(flushed.id.as_str()), "an unowed `flushed`");
            }
            ServerMessage::KeepaliveAck(ack) => assert_eq!(self.acks_owed.pop_front(), Some(ack.seq)),
            ServerMessage::SpeechStarted(speech) => assert!(self.speaking.insert(speech.channel)),
            ServerMessage::SpeechEnded(speech) => assert!(self.speaking.remove(&speech.channel)),
            ServerMessage::Progress(progress) => {
                assert_eq!(progress.seq, self.progress_seq + 1);
                assert!((self.processed_ms..=received_ms).contains(&progress.audio_processed_ms));
                (self.progress_seq, self.processed_ms) = (progress.seq, progress.audio_processed_ms);
            }
            ServerMessage::Error(error) if error.fatal => self.fatal = Some(error.code.clone()),
            ServerMessage::SessionEnded(ended) => self.session_ended(ended, received_ms),
            ServerMessage::Error(_) | ServerMessage::Warning(_) | ServerMessage::Updated(_) => {}
        }
    }

    fn session_ended(&mut self, ended: &SessionEnded, received_ms: u64) {
        // [FIN-S2]
        assert!(self.partials.keys().all(|id| self.finals.contains(id)), "a segment stays open");
        assert!(self.speaking.is_empty(), "speech stays open");
        assert_eq!((ended.finals, ended.audio_received_ms), (self.finals_sent, received_ms));
        assert!(ended.audio_processed_ms <= received_ms && ended.audio_processed_ms >= self.processed_ms);
        if ended.reason.as_str() == "completed" {
            // [FLU-S4] [KA-S6]
            assert!(self.flushes_owed.is_empty() && self.acks_owed.is_empty(), "the end came before an answer");
            assert!(self.fatal.is_none());
        } else {
            assert_eq!(self.fatal.as_ref().map(ErrorCode::as_str), Some(ended.reason.as_str()));
            assert!(!ended.complete);
        }
        assert!(!ended.complete || ended.audio_processed_ms == received_ms);
        self.ended = Some(ended.clone());
    }

    fn close(&mut self, code: CloseCode) {
        assert!(self.closed.is_none() && !self.over, "a second Close");
        // [END-S11]
        assert_eq!(self.ended.is_some(), self.ready.is_some(), "`session_ended` if and only if `ready`");
        // [CLO-1]
        let completed = self.ended.as_ref().is_some_and(|ended| ended.reason.as_str() == "completed");
        assert_eq!(code == CloseCode::NORMAL, completed);
        // [ERR-S1]
        assert!(completed || self.fatal.is_some(), "an abnormal close without an error");
        self.closed = Some(code);
    }

    fn open_id(&mut self, id: u64) {
        if self.partials.contains_key(&id) || self.finals.contains(&id) {
            return;
        }
        assert_eq!(id, self.ids_opened, "segment ids do not rise by one");
        self.ids_opened += 1;
    }

    fn check_end(&self, started: bool, released: bool) {
        assert_eq!(started, released, "a slot was not given back");
    }
}
