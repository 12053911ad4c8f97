//! Owns the server's side of a session: its public face. The parts: [`step`] is the state machine, [`act`] and [`end`] what its arms
//! do, [`engine`] what the engine tells, [`input`] what bytes are, [`negotiate`] the answer to a `config`, [`results`] the account of segments. Must not know I/O.

mod act;
mod end;
mod engine;
#[cfg(feature = "explore")]
mod explore;
mod input;
mod negotiate;
mod policy;
mod results;
mod step;
mod timer;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use lastword_spec::close::CloseCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::{EffectiveConfig, ServerMessage};
use lastword_spec::table::State;

use self::end::Failure;
use self::input::Input;
use self::negotiate::Agreement;
pub use self::negotiate::Refusal;
pub use self::policy::{ServerPolicy, Token};
pub use self::results::EngineResult;
use self::results::Results;
use self::timer::IdleClock;
pub use self::timer::ServerTimer;
use crate::fault::{ApiMisuse, Violation};

/// What a [`ServerSession`] wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerOutput {
    /// Take a slot and prepare the engine; answer with [`engine_ready`](ServerSession::engine_ready) or
    /// [`engine_refused`](ServerSession::engine_refused). Once at most.
    StartEngine(Box<EffectiveConfig>),
    /// Audio for the engine: whole sample groups in the agreed format.
    Audio(Vec<u8>),
    /// The engine gives the finals of all audio so far, then [`engine_flushed`](ServerSession::engine_flushed) with this token.
    FlushEngine {
        /// Rises by one with each flush, from 0.
        token: u64,
    },
    /// No more audio: the engine gives its last finals, then [`engine_drained`](ServerSession::engine_drained).
    FinishEngine,
    /// Stop the engine: nothing it still does is wanted. Comes only where it has neither drained nor failed.
    CancelEngine,
    /// The session needs its slot no longer. Exactly once after a `StartEngine`, before the last message. Spec: REC-S2.
    Release,
    /// Send this as a text message.
    Send(ServerMessage),
    /// Send a Close; go on reading until the client's Close or the end of the connection. Once at most.
    Close {
        /// The code, by the table of the specification.
        code: CloseCode,
        /// A short reason, at most 123 bytes.
        reason: &'static str,
    },
    /// Answer the client's Close with its own code and close the connection. WebSocket libraries do this by themselves.
    EchoClose {
        /// The client's code; `None` for a Close without one.
        code: Option<CloseCode>,
    },
    /// Drop the connection: the client's Close did not come in time.
    Drop,
    /// The client broke the protocol. For logs: the answer, if one is due, is an output of its own.
    Violation(Violation),
}

/// The server's side of one session. See the [crate] for how to drive it.
///
/// Every `handle_..` and `engine_..` returns [`ApiMisuse`] only for the caller's or the engine's faults; then the call changed
/// nothing. After the session is over every input is taken and ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerSession {
    policy: Arc<ServerPolicy>,
    session_id: String,
    state: State,
    outputs: VecDeque<ServerOutput>,
    /// The policy's limits, fitted to the agreed audio.
    limits: Limits,
    agreement: Option<Agreement>,
    /// What came between `config` and `ready`, and what waits behind too many flushes.
    waiting: VecDeque<Input>,
    waiting_audio_bytes: usize,
    configured_at: Duration,
    ended_at: Duration,
    idle: IdleClock,
    engine: engine::Account,
    flushes: VecDeque<OpenFlush>,
    next_flush_token: u64,
    results: Results,
    accepted_bytes: u64,
    rejected_frames: u64,
    /// A frame was refused before the sentinel.
    refused_before_end: bool,
    invalid_audio_told: bool,
    audio_after_end_told: bool,
    container_checked: bool,
    bad_messages: u8,
    failure: Option<Failure>,
    /// The client's sentinel was handled.
    sentinel_seen: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenFlush {
    token: u64,
    id: String,
    /// All audio before this belongs to it.
    position_ms: u64,
}

/// Messages that may wait for `ready`.
const MAX_WAITING: usize = 256;
/// Flushes that may be open; with more the server does not read, and answers what it has first.
const MAX_OPEN_FLUSHES: usize = 64;
/// After its Close a server reads and discards for so long at most. Spec: CLO-S4.
const MAX_LINGER_MS: u64 = 5_000;
/// Before `ready` the engine may be silent for so long: the longest that `ready` can take. Spec: CFG-S1.
const START_BOUND: Duration = Duration::from_secs(60);

impl ServerSession {
    /// A session on a connection that has just been upgraded; that moment is zero of its `now`. `session_id` goes into `ready`.
    ///
    /// # Errors
    /// [`ApiMisuse::BadOption`]: a policy that the protocol does not allow.
    pub fn new(policy: impl Into<Arc<ServerPolicy>>, session_id: impl Into<String>) -> Result<Self, ApiMisuse> {
        let policy: Arc<ServerPolicy> = policy.into();
        policy.check()?;
        let limits = policy.limits.clone();
        let idle = IdleClock::stopped(Duration::from_millis(limits.idle_timeout_ms));
        Ok(Self {
            policy,
            session_id: session_id.into(),
            state: State::AwaitConfig,
            outputs: VecDeque::new(),
            limits,
            agreement: None,
            waiting: VecDeque::new(),
            waiting_audio_bytes: 0,
            configured_at: Duration::ZERO,
            ended_at: Duration::ZERO,
            idle,
            engine: engine::Account::default(),
            flushes: VecDeque::new(),
            next_flush_token: 0,
            results: Results::default(),
            accepted_bytes: 0,
            rejected_frames: 0,
            refused_before_end: false,
            invalid_audio_told: false,
            audio_after_end_told: false,
            container_checked: false,
            bad_messages: 0,
            failure: None,
            sentinel_seen: false,
        })
    }

    /// The next thing to be done, or `None`. To be taken until `None` after every input.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<ServerOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. May change with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_timer().map(|(_, at)| at)
    }

    /// The timer that fires next, and when.
    #[must_use]
    pub fn next_timer(&self) -> Option<(ServerTimer, Duration)> {
        let deadlines = ServerTimer::ALL.iter().filter_map(|timer| Some((*timer, self.deadline(*timer)?)));
        deadlines.min_by_key(|(timer, at)| (*at, *timer))
    }

    /// Whether to read from the connection. False while what waits for `ready`, the audio buffer or the open flushes have reached
    /// their bound; the engine's work makes it true again. Spec: BP-S1, STA-S3.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.state {
            State::AwaitConfig | State::Draining | State::Failing | State::Ended => true,
            State::Configuring => self.waiting.len() < MAX_WAITING && self.waiting_audio_bytes < self.buffer_bytes(),
            State::Streaming => self.can_take() && self.waiting.is_empty(),
            State::Closed => false,
        }
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the connection is over and nothing is left to be done.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed && self.outputs.is_empty()
    }

    /// What is in force, once there is an agreement.
    #[must_use]
    pub fn config(&self) -> Option<&EffectiveConfig> {
        self.agreement.as_ref().map(|agreement| &agreement.effective)
    }

    /// The limits that hold, as `ready` announces them.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Accepted audio of one channel, in milliseconds, rounded down. Spec: END-S9.
    #[must_use]
    pub fn audio_received_ms(&self) -> u64 {
        self.bytes_to_ms(self.accepted_bytes)
    }

    /// A text message came.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`], [`ApiMisuse::NotReading`].
    pub fn handle_text(&mut self, now: Duration, text: &str) -> Result<(), ApiMisuse> {
        self.read(now, |session| input::from_text(text, session.in_force(|limits| limits.max_text_bytes)))
    }

    /// A binary message came.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`], [`ApiMisuse::NotReading`].
    pub fn handle_binary(&mut self, now: Duration, bytes: &[u8]) -> Result<(), ApiMisuse> {
        self.read(now, |session| {
            let format = session.agreement.as_ref().map(|agreement| &agreement.effective.audio);
            input::from_binary(bytes, format, session.in_force(|limits| limits.max_frame_bytes))
        })
    }

    /// The client's Close came, with its code if it had one.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_close(&mut self, now: Duration, code: Option<u16>) -> Result<(), ApiMisuse> {
        self.take(now, Input::Close(code))
    }

    /// The connection is over without a Close: read or write failed, or it ended.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_loss(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        self.take(now, Input::Loss)
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; nothing happens if it has not. One timer fires a call.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        match self.next_timer() {
            Some((timer, at)) if at <= now => self.take(now, Input::from(timer)),
            Some(_) | None => Ok(()),
        }
    }

    /// The server shuts down: a session ends with reason `going_away` once the audio it accepted is final; one that drains is
    /// left to it. Spec: REC-S1.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn shut_down(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        self.take(now, Input::ShutDown)
    }

    /// A limit on what the client sends. Before `ready` it cannot know a smaller one than the default. Spec: LIM-S2, LIM-S3.
    fn in_force(&self, limit: impl Fn(&Limits) -> u64) -> u64 {
        match self.state {
            State::AwaitConfig | State::Configuring => limit(&self.limits).max(limit(&Limits::DEFAULT)),
            State::Streaming | State::Draining | State::Failing | State::Ended | State::Closed => limit(&self.limits),
        }
    }

    fn read(&mut self, now: Duration, classify: impl FnOnce(&Self) -> Input) -> Result<(), ApiMisuse> {
        if self.state == State::Closed {
            return Ok(());
        }
        if !self.wants_read() {
            return Err(ApiMisuse::NotReading);
        }
        let input = classify(self);
        self.take(now, input)
    }

    /// One input, then whatever waited and can now be handled.
    fn take(&mut self, now: Duration, input: Input) -> Result<(), ApiMisuse> {
        if !self.outputs.is_empty() {
            return Err(ApiMisuse::OutputPending);
        }
        self.step(now, input)?;
        while self.state != State::Configuring && self.can_take() {
            let Some(waited) = self.waiting.pop_front() else { break };
            self.waiting_audio_bytes -= waited.audio_bytes();
            self.step(now, waited)?;
        }
        self.settle_clocks(now);
        Ok(())
    }

    /// Whether one more message of the client can be handled at once.
    fn can_take(&self) -> bool {
        self.state != State::Streaming || (!self.buffer_is_full() && self.flushes.len() < MAX_OPEN_FLUSHES)
    }

    fn deadline(&self, timer: ServerTimer) -> Option<Duration> {
        let ms = Duration::from_millis;
        match timer {
            ServerTimer::Config => (self.state == State::AwaitConfig).then(|| ms(self.policy.config_timeout_ms)),
            ServerTimer::Idle => self.idle.deadline(),
            ServerTimer::Session => {
                (self.state == State::Streaming).then(|| self.configured_at + ms(self.limits.max_session_ms))
            }
            ServerTimer::Engine => self.engine_owes().then(|| {
                let bound =
                    if self.state == State::Configuring { START_BOUND } else { 2 * ms(self.limits.max_step_ms) };
                self.engine.heard_at + bound
            }),
            // [CLO-S4]
            ServerTimer::Close => {
                (self.state == State::Ended).then(|| self.ended_at + ms(self.limits.close_ms.min(MAX_LINGER_MS)))
            }
        }
    }

    fn settle_clocks(&mut self, now: Duration) {
        // [KA-S4]
        let idle_runs = self.state == State::Streaming && self.flushes.is_empty() && self.wants_read();
        self.idle.run(now, idle_runs);
        let owes = self.engine_owes();
        if owes && !self.engine.owed {
            self.engine.heard_at = now;
        }
        self.engine.owed = owes;
    }
}
