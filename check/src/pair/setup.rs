//! What is explored: how much the two applications do, how large the buffers are, and what may go wrong. Owns the numbers that keep the
//! model finite. It must not know how anything is done.

use core::time::Duration;

use lastword_session::{ClientOptions, ServerPolicy};
use lastword_spec::limits::Limits;

/// A configuration of the model.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The name in reports.
    pub name: &'static str,
    /// Audio frames that the application may push.
    pub frames: u8,
    /// Flushes that it may ask for, at most 8.
    pub flushes: u8,
    /// Whether it waits for the answer to a flush before it does anything else.
    pub awaits_flush: bool,
    /// Whether it may end its input with something left to push.
    pub ends_early: bool,
    /// Partials that the engine may give.
    pub partials: u8,
    /// Finals that the engine may give, at most 8.
    pub finals: u8,
    /// Whether the client's keepalive timer runs.
    pub keepalives: bool,
    /// Keepalives with `seq` that the client may send.
    pub probes: u8,
    /// Whether the engine may tell a step of work at any time.
    pub ticks: bool,
    /// Messages that the channel to the server holds.
    pub up: usize,
    /// Messages that the channel to the client holds.
    pub down: usize,
    /// Messages that the server queues beyond that before it takes nothing that may bring more.
    pub queued: usize,
    /// What the engine says waits for it for each frame; the server's buffer holds 1,000 ms.
    pub backlog_ms_per_frame: u64,
    /// What may go wrong.
    pub faults: Faults,
}

/// What may go wrong, at every point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The connection is lost.
    pub loss: bool,
    /// A party's process dies.
    pub death: bool,
    /// The application cancels.
    pub cancel: bool,
    /// A timer that gives up fires.
    pub timers: bool,
    /// The engine refuses or fails.
    pub engine: bool,
    /// The operator shuts the server down.
    pub shut_down: bool,
}

impl Faults {
    /// Everything goes well.
    pub const NONE: Self =
        Self { loss: false, death: false, cancel: false, timers: false, engine: false, shut_down: false };
    /// Everything may go wrong.
    pub const ALL: Self = Self { loss: true, death: true, cancel: true, timers: true, engine: true, shut_down: true };
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            name: "default",
            frames: 2,
            flushes: 1,
            awaits_flush: false,
            ends_early: true,
            partials: 1,
            finals: 1,
            keepalives: true,
            probes: 0,
            ticks: false,
            up: 2,
            down: 2,
            queued: 2,
            backlog_ms_per_frame: 500,
            faults: Faults::ALL,
        }
    }
}

/// One frame of audio: 20 ms of 16 kHz, 16 bit, one channel.
pub(crate) const FRAME_BYTES: u32 = 640;

/// The limits that the model's server announces. Time does not pass in the model; they matter to its traces.
pub(crate) fn limits() -> Limits {
    Limits {
        idle_timeout_ms: 9_000,
        keepalive_interval_ms: 3_000,
        max_buffered_audio_ms: 1_000,
        max_step_ms: 10_000,
        ..Limits::DEFAULT
    }
}

pub(crate) fn policy() -> ServerPolicy {
    ServerPolicy { limits: limits(), ..ServerPolicy::default() }
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions::default()
}

/// Time stands still: what depends on its passing fires by name.
pub(crate) const NOW: Duration = Duration::ZERO;
