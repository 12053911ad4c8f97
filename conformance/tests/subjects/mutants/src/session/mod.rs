//! Owns one session: its states, its clock, and the loop over what comes, what the recogniser has done, and what time it is.

mod audio;
mod control;
mod ending;
mod output;
mod setup;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::Settings;
use crate::engine::{Done, Engine};
use crate::fault::Fault;
use crate::link::{Incoming, Link};
use crate::mouth::Mouth;
use crate::options::Limits;
use crate::server::{Server, Slot};

/// The states of section 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitConfig,
    Configuring,
    Streaming,
    Draining,
    /// A fatal error is owed, behind the finals of what was accepted.
    Failing,
    Ended,
}

/// How the connection is left.
#[derive(Debug, PartialEq, Eq)]
enum Leaving {
    /// By a Close of either side, and reading until the client is gone.
    Politely,
    /// Without the library's Close: these bytes after that time, and gone.
    Dropping { after: Duration, last_words: Vec<u8> },
    /// It stays open, and nobody is behind it. Only a fault does this.
    Never,
}

impl Leaving {
    /// Without another byte.
    const AT_ONCE: Self = Self::Dropping { after: Duration::ZERO, last_words: Vec::new() };
}

/// Of what comes before `ready`, so much waits here; the rest waits unread.
const EARLY_BYTES: usize = 128_000;
/// A client that takes so little is not read until it takes more.
const MOST_UNSENT_BYTES: usize = 1 << 20;

pub(crate) struct Session<T> {
    link: Link<T>,
    server: Arc<Server>,
    slot: Option<Slot>,
    limits: Limits,
    /// The header of the upgrade held the credential.
    authorized: bool,
    mouth: Mouth,
    state: State,
    leaving: Leaving,
    settings: Settings,
    engine: Option<Engine>,
    early: VecDeque<Incoming>,
    early_bytes: usize,
    ignored: Vec<String>,
    opened_at: Instant,
    ready_at: Instant,
    /// When something last came that counts as activity.
    active_at: Instant,
    /// When progress was last told, or owing began.
    told_at: Instant,
    owing: bool,
    open_flushes: usize,
    received_samples: usize,
    rejected_frames: u64,
    /// Something sent before the sentinel was refused.
    incomplete: bool,
    told_invalid_audio: bool,
    told_late_audio: bool,
    head: Vec<u8>,
    /// Which one of the server's sessions it is, from `ready` on.
    number: u64,
    bad_messages: u32,
    finals: u64,
    progress_seq: u64,
    failure: Option<&'static str>,
    memory: Memory,
}

/// What faults need to remember.
#[derive(Default)]
struct Memory {
    /// Something came after the sentinel.
    poked: bool,
    /// Audio came behind the sentinel.
    late_audio: bool,
    sentinels: u32,
    /// A half sample that a fault did not drop.
    half: bool,
    per_frame_ms: u64,
    token: Option<String>,
    /// `config` asked for a language.
    language: bool,
    deaf: bool,
    /// When a timer of a fault ends the drain.
    drained_at: Option<Instant>,
    /// It tells no progress.
    muted: bool,
    /// The drain is over, and the end is held back.
    waits: bool,
    held: Vec<serde_json::Value>,
    last_final: Option<serde_json::Value>,
    finals_at_flush: u64,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(crate) fn new(link: Link<T>, server: Arc<Server>, slot: Slot, authorized: bool) -> Self {
        let now = Instant::now();
        let mut limits = server.options.limits;
        limits.max_step_ms = limits.max_step_ms.max(2 * server.options.engine.longest_step_ms());
        Self {
            link,
            limits,
            mouth: Mouth::new(server.fault()),
            server,
            slot: Some(slot.of_a_session()),
            authorized,
            state: State::AwaitConfig,
            leaving: Leaving::Politely,
            settings: Settings::default(),
            engine: None,
            early: VecDeque::new(),
            early_bytes: 0,
            ignored: Vec::new(),
            opened_at: now,
            ready_at: now,
            active_at: now,
            told_at: now,
            owing: false,
            open_flushes: 0,
            received_samples: 0,
            rejected_frames: 0,
            incomplete: false,
            told_invalid_audio: false,
            told_late_audio: false,
            head: Vec::new(),
            number: 0,
            bad_messages: 0,
            finals: 0,
            progress_seq: 0,
            failure: None,
            memory: Memory::default(),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.server.is(fault)
    }

    pub(crate) async fn run(mut self) {
        while self.state != State::Ended {
            let reads = self.reads();
            if reads
                && self.state != State::Configuring
                && let Some(incoming) = self.next_early()
            {
                self.take(incoming);
            } else {
                let wake = self.wake();
                let incoming = tokio::select! {
                    biased;
                    incoming = self.link.next(reads) => Some(incoming),
                    () = until(wake) => None,
                };
                if let Some(incoming) = incoming {
                    self.take(incoming);
                }
            }
            self.timers();
            self.work();
        }
        self.leave().await;
    }

    /// Whether it reads: always, unless its audio buffer is full or the client takes nothing.
    fn reads(&self) -> bool {
        if self.link.unsent_bytes() > MOST_UNSENT_BYTES {
            return false;
        }
        match self.state {
            State::Configuring => self.early_bytes < EARLY_BYTES,
            State::Streaming => !self.is_full(),
            _ => true,
        }
    }

    fn is_full(&self) -> bool {
        let frame_ms = crate::hearing::ms(self.limits.max_frame_bytes / 2);
        let backlog_ms = self.engine.as_ref().map_or(0, Engine::backlog_ms);
        let spills = matches!(
            self.server.fault(),
            Fault::FullBufferDrops | Fault::FullBufferDropsWithWarning | Fault::FullBufferEnds | Fault::FullBufferFails
        );
        backlog_ms + frame_ms > self.limits.max_buffered_audio_ms && !spills
    }

    fn next_early(&mut self) -> Option<Incoming> {
        if self.is(Fault::EarlyEndFirst)
            && let Some(at) = self.early.iter().position(is_sentinel)
        {
            return self.early.remove(at);
        }
        self.early.pop_front()
    }

    fn take(&mut self, incoming: Incoming) {
        let pieces = self.link.pieces();
        let first = pieces.filter(|_| self.is(Fault::FirstFrameIsMessage)).map(|pieces| pieces.first_bytes);
        match incoming {
            Incoming::Close(frame) => self.closed_by_client(frame),
            Incoming::Gone => self.leave_by(Leaving::AT_ONCE),
            Incoming::Broken(code) => self.close(code),
            early if self.state == State::Configuring => self.keep_early(early),
            Incoming::Text(_) if self.is(Fault::FramesReadAlone) && pieces.is_some_and(|all| all.cuts_character) => {
                self.close(1007);
            }
            Incoming::Text(text) => match first {
                Some(first) => self.text(&String::from_utf8_lossy(&text.as_bytes()[..first])),
                None => self.text(&text),
            },
            Incoming::Audio(bytes) => self.audio(first.map_or(bytes.clone(), |first| bytes.slice(..first))),
        }
    }

    fn leave_by(&mut self, leaving: Leaving) {
        self.state = State::Ended;
        self.leaving = leaving;
    }

    async fn leave(&mut self) {
        if self.leaving != Leaving::Never {
            self.slot = None;
        }
        match std::mem::replace(&mut self.leaving, Leaving::Politely) {
            Leaving::Politely => self.link.linger().await,
            Leaving::Dropping { after, last_words } => {
                self.link.written().await;
                sleep(after).await;
                self.link.write_raw(&last_words).await;
            }
            Leaving::Never => {
                self.link.written().await;
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether it owes the client something that takes work.
    fn owes(&self) -> bool {
        match self.state {
            State::Configuring | State::Draining | State::Failing => true,
            State::Streaming => self.open_flushes > 0 || self.is_full(),
            State::AwaitConfig | State::Ended => false,
        }
    }

    /// Progress is told by the recogniser at work, four times in each interval: one that died tells nothing.
    fn tick(&self) -> Option<Instant> {
        let beside = matches!(
            self.server.fault(),
            Fault::ProgressOutlivesWorker | Fault::AcknowledgesForEver | Fault::HeldBehindProgress
        );
        let alive = beside || !self.memory.muted && self.engine.as_ref().is_none_or(|engine| !engine.is_dead());
        (self.owing && alive).then(|| self.told_at + Duration::from_millis(self.limits.progress_interval_ms / 4))
    }

    fn wake(&self) -> Option<Instant> {
        let state_timer = match self.state {
            State::AwaitConfig => self.config_due(),
            State::Configuring => Some(self.ready_at),
            State::Streaming => self.idle_due(),
            State::Draining if self.is(Fault::IdleTimerRunsInDrain) => self.idle_due(),
            _ => self.memory.drained_at,
        };
        let engine = self.engine.as_ref().and_then(Engine::next_done);
        [state_timer, engine, self.tick(), self.link.cut_at()].into_iter().flatten().min()
    }

    fn config_due(&self) -> Option<Instant> {
        let never = self.is(Fault::ConfigTimeoutNever);
        (!never).then(|| self.opened_at + Duration::from_millis(self.limits.config_timeout_ms))
    }

    /// The idle clock stands still during an open flush and while nothing is read.
    fn idle_due(&self) -> Option<Instant> {
        let idle_ms = match self.server.fault() {
            Fault::IdleTimeoutNever => return None,
            Fault::IdleTimeoutEarly => self.limits.idle_timeout_ms / 2,
            Fault::IdleTimeoutLate => self.limits.idle_timeout_ms * 3,
            _ => self.limits.idle_timeout_ms,
        };
        (self.open_flushes == 0 && !self.is_full()).then(|| self.active_at + Duration::from_millis(idle_ms))
    }

    /// What the recogniser has done by now.
    fn work(&mut self) {
        let now = Instant::now();
        if self.state == State::Configuring && now >= self.ready_at {
            self.ready();
        }
        let mut done = Vec::new();
        if let Some(engine) = &mut self.engine {
            engine.work(now, &mut done);
        }
        for one in done {
            match one {
                _ if self.state == State::Ended => {}
                Done::Sound(sound) => self.result(sound),
                Done::Flushed(id) => self.flushed(id),
                Done::Ended => self.drained(),
            }
        }
        let owing = self.owes();
        if owing && !self.owing {
            self.told_at = now;
        }
        self.owing = owing;
    }

    fn timers(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.link.cut_at()) {
            self.leave_by(Leaving::AT_ONCE);
        }
        match self.state {
            State::AwaitConfig if due(self.config_due()) => self.config_timeout(),
            State::Streaming if self.open_flushes > 0 && self.is(Fault::FlushIsNoActivity) => {}
            State::Streaming if self.open_flushes > 0 || self.is_full() => self.active_at = now,
            State::Streaming if due(self.idle_due()) => self.idle_timeout(),
            State::Draining if self.is(Fault::IdleTimerRunsInDrain) && due(self.idle_due()) => self.idle_timeout(),
            State::Draining | State::Failing if due(self.memory.drained_at) || self.released() => self.masked_end(),
            _ => {}
        }
        if due(self.tick()) {
            self.progress();
        }
    }
}

fn is_sentinel(incoming: &Incoming) -> bool {
    matches!(incoming, Incoming::Text(text) if text.contains("\"end_of_stream\""))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
