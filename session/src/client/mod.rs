//! Owns the client's side of a session: its public face. The parts: [`step`] is the state machine, [`act`] and [`end`] what its
//! arms do, [`input`] what text is, [`queue`] what waits to be sent, [`outcome`] what the application is told. Must not know I/O.

mod act;
mod end;
#[cfg(feature = "explore")]
mod explore;
mod input;
mod outcome;
mod queue;
mod step;
mod timer;

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use lastword_spec::close::CloseCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::{ClientMessage, Config, Flush, Keepalive, MAX_ID_BYTES, Ready};
use lastword_spec::table::State;

use self::end::FatalError;
use self::input::Input;
pub use self::outcome::{ClientEvent, IncompleteReason, Outcome};
use self::queue::{Next, Queue};
use self::timer::Bound;
pub use self::timer::ClientTimer;
use crate::fault::{ApiMisuse, TransportError, Violation};

/// What a client asks for, and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientOptions {
    /// The `config` to send.
    pub config: Config,
    /// How much audio may wait to be sent, in milliseconds: at least 10,000, so that a slow `ready` stops nobody. Spec: BP-C1.
    pub buffer_ms: u64,
}

impl Default for ClientOptions {
    /// The default configuration and a buffer of 15 s.
    fn default() -> Self {
        Self { config: Config::default(), buffer_ms: 15_000 }
    }
}

/// What a [`ClientSession`] wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientOutput {
    /// Give this to the transport as a text message; [`handle_transmitted`](ClientSession::handle_transmitted) when it was accepted.
    Send(ClientMessage),
    /// Give this to the transport as a binary message; [`handle_transmitted`](ClientSession::handle_transmitted) when accepted.
    SendAudio(Vec<u8>),
    /// Tell the application. None comes after [`ClientEvent::Ended`].
    Event(ClientEvent),
    /// The server broke the protocol. May come after the last event, too; then it is for logs only.
    Violation(Violation),
    /// Send a Close, behind what is at the transport, and go on reading until the server's. Once at most; nothing is sent after it.
    Close {
        /// 1000, or 1002 after a violation that this side will not live with. Spec: CLO-C5.
        code: CloseCode,
    },
    /// Answer the server's Close with its own code and close the connection. WebSocket libraries do this by themselves.
    EchoClose {
        /// The server's code; `None` for a Close without one.
        code: Option<CloseCode>,
    },
    /// Drop the connection: it is of no more use.
    Drop,
}

/// The client's side of one session. See the [crate] for how to drive it.
///
/// One message is at the transport at a time: after [`ClientOutput::Send`] or [`ClientOutput::SendAudio`] no other comes until
/// `handle_transmitted`; what the application pushes meanwhile waits here, within a bound. Reading never waits for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientSession {
    options: ClientOptions,
    state: State,
    /// Events, violations, Close: never a message, which comes from `queue`.
    outputs: VecDeque<ClientOutput>,
    queue: Queue,
    keepalive: Option<Keepalive>,
    in_flight: Option<InFlight>,
    limits: Limits,
    ready: Option<Box<Ready>>,
    now: Duration,
    input_ended: bool,
    /// The outcome has been told.
    told: bool,
    ready_bound: Bound,
    drain_bound: Option<Bound>,
    fatal: Option<FatalError>,
    /// The server has said its last word; what it still sends is a violation, and not merely late.
    server_done: bool,
    fatal_at: Duration,
    closing_at: Duration,
    /// The last message of the server, of any kind.
    received_at: Duration,
    /// When a keepalive asked whether the server lives, if nothing came since.
    probed_at: Option<Duration>,
    /// The last audio or keepalive that the transport accepted, or `ready`.
    active_at: Duration,
    next_seq: u64,
    open_seqs: VecDeque<u64>,
    flushes: VecDeque<OpenFlush>,
    progress_seq: u64,
    processed_ms: u64,
    /// When the server's work last moved.
    moved_at: Duration,
    sent_bytes: u64,
    finals_received: u64,
    final_below: u64,
    final_above: BTreeSet<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenFlush {
    id: String,
    /// Runs from the moment the transport accepted the flush.
    bound: Option<Bound>,
    /// Its caller has been told that it failed; the answer may still come.
    failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum InFlight {
    Config,
    Audio,
    Keepalive,
    Flush(String),
    End,
}

/// Flushes that may wait, sent or not.
const MAX_FLUSHES: usize = 64;
/// The longest that `ready` may take, progress or not. Spec: CON-C2.
const READY_CAP: Duration = Duration::from_secs(60);

impl ClientSession {
    /// A session on a connection that is open and upgraded; that moment is zero of its `now`. Its first output is the `config`.
    ///
    /// # Errors
    /// [`ApiMisuse::BadOption`]: an encoding without a fixed sample size, or a buffer below 10,000 ms.
    pub fn new(options: ClientOptions) -> Result<Self, ApiMisuse> {
        let bad = |name, why| ApiMisuse::BadOption { name, why };
        if options.buffer_ms < Limits::DEFAULT.ready_ms {
            return Err(bad("buffer_ms", "must hold at least 10000 ms: what is pushed before `ready` waits in it"));
        }
        let format = options.config.effective().audio;
        let queue = Queue::new(&format, options.buffer_ms)
            .ok_or(bad("audio.encoding", "must have samples of a fixed size: pcm_s16le, pcm_f32le, mulaw or alaw"))?;
        Ok(Self {
            options,
            state: State::AwaitConfig,
            outputs: VecDeque::new(),
            queue,
            keepalive: None,
            in_flight: None,
            limits: Limits::DEFAULT,
            ready: None,
            now: Duration::ZERO,
            input_ended: false,
            told: false,
            ready_bound: Bound::new(Duration::ZERO, READY_CAP),
            drain_bound: None,
            fatal: None,
            server_done: false,
            fatal_at: Duration::ZERO,
            closing_at: Duration::ZERO,
            received_at: Duration::ZERO,
            probed_at: None,
            active_at: Duration::ZERO,
            next_seq: 1,
            open_seqs: VecDeque::new(),
            flushes: VecDeque::new(),
            progress_seq: 0,
            processed_ms: 0,
            moved_at: Duration::ZERO,
            sent_bytes: 0,
            finals_received: 0,
            final_below: 0,
            final_above: BTreeSet::new(),
        })
    }

    /// The next thing to be done, or `None`. To be taken until `None` after every input.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front().or_else(|| self.next_message())
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. May change with every input and every output.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_timer().map(|(_, at)| at)
    }

    /// The timer that fires next, and when.
    #[must_use]
    pub fn next_timer(&self) -> Option<(ClientTimer, Duration)> {
        let deadlines = ClientTimer::ALL.iter().filter_map(|timer| Some((*timer, self.deadline(*timer)?)));
        deadlines.min_by_key(|(timer, at)| (*at, *timer))
    }

    /// Whether to read from the connection: always, until it is over. Spec: BP-C2.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        self.state != State::Closed
    }

    /// Where the session stands, as this side sees it.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the connection is over and nothing is left to be done.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed && self.outputs.is_empty()
    }

    /// What is in force, once `ready` came.
    #[must_use]
    pub fn ready(&self) -> Option<&Ready> {
        self.ready.as_deref()
    }

    /// Audio given to the transport, for one channel, in milliseconds, rounded down.
    #[must_use]
    pub fn audio_sent_ms(&self) -> u64 {
        self.queue.bytes_to_ms(self.sent_bytes)
    }

    /// Whether audio was given to the transport.
    #[must_use]
    pub fn has_sent_audio(&self) -> bool {
        self.sent_bytes > 0
    }

    /// Bytes of one sample of every channel: what is pushed is a multiple of this.
    #[must_use]
    pub fn sample_group_bytes(&self) -> usize {
        self.queue.group_bytes()
    }

    /// Whether so many bytes can be pushed now. Never, for more than the whole buffer. Spec: BP-C1.
    #[must_use]
    pub fn can_push(&self, bytes: usize) -> bool {
        self.queue.has_room(bytes)
    }

    /// Audio to be sent: whole sample groups in the configured format, any length; frames are cut from it. May be pushed before
    /// `ready`; it waits. Nothing is dropped.
    ///
    /// # Errors
    /// [`ApiMisuse::BrokenFrame`], [`ApiMisuse::BufferFull`], [`ApiMisuse::AfterEnd`], [`ApiMisuse::Over`].
    pub fn push(&mut self, audio: &[u8]) -> Result<(), ApiMisuse> {
        self.may_send()?;
        let group_bytes = self.queue.group_bytes();
        if !audio.len().is_multiple_of(group_bytes) {
            return Err(ApiMisuse::BrokenFrame { group_bytes, length: audio.len() });
        }
        if !self.can_push(audio.len()) {
            return Err(ApiMisuse::BufferFull);
        }
        self.queue.push_audio(audio);
        Ok(())
    }

    /// Asks for the finals of all audio pushed so far. Answered by exactly one [`ClientEvent::Flushed`] or
    /// [`ClientEvent::FlushFailed`] with this id. Spec: FLU-C1, FLU-C2.
    ///
    /// # Errors
    /// [`ApiMisuse::BadFlushId`], [`ApiMisuse::TooManyFlushes`], [`ApiMisuse::AfterEnd`], [`ApiMisuse::Over`].
    pub fn flush(&mut self, id: impl Into<String>) -> Result<(), ApiMisuse> {
        self.may_send()?;
        let id: String = id.into();
        let known = self.flushes.iter().any(|flush| flush.id == id) || self.queue.holds_flush(&id);
        if known || id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(ApiMisuse::BadFlushId);
        }
        if self.flushes.len() + self.queue.flushes() >= MAX_FLUSHES {
            return Err(ApiMisuse::TooManyFlushes { limit: MAX_FLUSHES });
        }
        self.queue.push_flush(id);
        Ok(())
    }

    /// The input has ended: the sentinel goes out behind all that was pushed. A second time nothing happens. Spec: END-C1, END-C2.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn end(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        self.take(now, Input::End)
    }

    /// The application does not want the rest: a Close with 1000, and the outcome `Cancelled`. What waits is thrown away. Nothing
    /// happens once the outcome has been told. Spec: CLO-C3.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn cancel(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        self.take(now, Input::Cancel)
    }

    /// A text message came.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_text(&mut self, now: Duration, text: &str) -> Result<(), ApiMisuse> {
        self.receive(now, input::from_text(text))
    }

    /// A binary message came, which no server may send.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_binary(&mut self, now: Duration, _bytes: &[u8]) -> Result<(), ApiMisuse> {
        self.receive(now, Input::GarbageBinary)
    }

    /// The server's Close came, with its code if it had one.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_close(&mut self, now: Duration, code: Option<u16>) -> Result<(), ApiMisuse> {
        self.take(now, Input::Close(code))
    }

    /// The connection is over without a Close, or a message could not be sent. Spec: ERR-C3, KA-C5.
    ///
    /// # Errors
    /// [`ApiMisuse::OutputPending`].
    pub fn handle_loss(&mut self, now: Duration, error: TransportError) -> Result<(), ApiMisuse> {
        self.take(now, Input::Loss(error))
    }

    /// The transport accepted the message that was last given out.
    ///
    /// # Errors
    /// [`ApiMisuse::NothingInFlight`], [`ApiMisuse::OutputPending`].
    pub fn handle_transmitted(&mut self, now: Duration) -> Result<(), ApiMisuse> {
        if self.in_flight.is_none() && !matches!(self.state, State::Ended | State::Closed) {
            return Err(ApiMisuse::NothingInFlight);
        }
        self.take(now, Input::Transmitted)
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

    fn receive(&mut self, now: Duration, input: Input) -> Result<(), ApiMisuse> {
        self.take(now, input)?;
        if self.state != State::Closed {
            self.received_at = now;
            self.probed_at = None;
        }
        Ok(())
    }

    fn take(&mut self, now: Duration, input: Input) -> Result<(), ApiMisuse> {
        if !self.outputs.is_empty() {
            return Err(ApiMisuse::OutputPending);
        }
        if self.state != State::Closed {
            self.now = now;
        }
        self.step(now, input);
        Ok(())
    }

    fn may_send(&self) -> Result<(), ApiMisuse> {
        match self.state {
            State::AwaitConfig | State::Configuring | State::Streaming if !self.input_ended => Ok(()),
            State::AwaitConfig | State::Configuring | State::Streaming | State::Draining => Err(ApiMisuse::AfterEnd),
            State::Failing | State::Ended | State::Closed => Err(ApiMisuse::Over),
        }
    }

    /// The one path on which messages leave. Spec: END-C6.
    fn next_message(&mut self) -> Option<ClientOutput> {
        if self.in_flight.is_some() {
            return None;
        }
        let (message, sent) = match self.state {
            // [CFG-C1]
            State::AwaitConfig => {
                self.state = State::Configuring;
                self.ready_bound = Bound::new(self.now, READY_CAP);
                let config = Box::new(self.options.config.clone());
                (ClientOutput::Send(ClientMessage::Config(config)), InFlight::Config)
            }
            State::Streaming => self.next_in_stream()?,
            // [CFG-C2] [END-C6] [KA-C3]
            State::Configuring | State::Draining | State::Failing | State::Ended | State::Closed => return None,
        };
        self.in_flight = Some(sent);
        Some(message)
    }

    fn next_in_stream(&mut self) -> Option<(ClientOutput, InFlight)> {
        if let Some(keepalive) = self.keepalive.take() {
            return Some((ClientOutput::Send(ClientMessage::Keepalive(keepalive)), InFlight::Keepalive));
        }
        Some(match self.queue.next(self.limits.max_frame_bytes)? {
            Next::Audio(bytes) => {
                self.sent_bytes += bytes.len() as u64;
                (ClientOutput::SendAudio(bytes), InFlight::Audio)
            }
            Next::Flush(id) => {
                self.flushes.push_back(OpenFlush { id: id.clone(), bound: None, failed: false });
                (ClientOutput::Send(ClientMessage::Flush(Flush { id: id.clone() })), InFlight::Flush(id))
            }
            // [END-C1] [STA-C1]
            Next::End => {
                self.state = State::Draining;
                (ClientOutput::Send(ClientMessage::EndOfStream), InFlight::End)
            }
        })
    }

    fn deadline(&self, timer: ClientTimer) -> Option<Duration> {
        let ms = Duration::from_millis;
        let idle = ms(self.limits.idle_timeout_ms);
        let at_work = self.state == State::Streaming;
        match timer {
            ClientTimer::Ready => {
                matches!(self.state, State::AwaitConfig | State::Configuring).then(|| self.ready_bound.at())
            }
            // [KA-C1]
            ClientTimer::Keepalive => (at_work && self.in_flight.is_none() && self.keepalive.is_none())
                .then(|| self.active_at + ms(self.limits.keepalive_interval_ms)),
            // [KA-C4]
            ClientTimer::Probe => (at_work && self.probed_at.is_none()).then(|| self.received_at + idle),
            ClientTimer::Silence => match (self.state, self.probed_at) {
                (State::Streaming, probed_at) => probed_at.map(|at| at + idle),
                // The sentinel cannot be given away, and the drain bound does not run yet.
                (State::Draining, _) if self.drain_bound.is_none() => Some(self.received_at + 2 * idle),
                (
                    State::AwaitConfig
                    | State::Configuring
                    | State::Draining
                    | State::Failing
                    | State::Ended
                    | State::Closed,
                    _,
                ) => None,
            },
            ClientTimer::Flush => {
                let oldest = self.flushes.iter().filter(|flush| !flush.failed).filter_map(|flush| flush.bound).next();
                oldest.filter(|_| at_work).map(|bound| bound.at())
            }
            ClientTimer::Drain => self.drain_bound.filter(|_| self.state == State::Draining).map(|bound| bound.at()),
            ClientTimer::AfterError => (self.state == State::Failing).then(|| self.fatal_at + ms(self.limits.close_ms)),
            ClientTimer::Close => (self.state == State::Ended).then(|| self.closing_at + ms(self.limits.close_ms)),
        }
    }
}
