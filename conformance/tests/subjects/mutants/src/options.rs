//! Owns how the server is set up: what it announces, how long its pretended recogniser takes, who may come in.

use crate::catalogue::Mutant;

/// How a server is set up. The default is right, quick, and demands no credential.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is wrong with it, if anything.
    pub mutant: Option<&'static Mutant>,
    /// The credential it demands.
    pub token: Option<String>,
    /// What its recogniser costs.
    pub engine: Engine,
    /// What it announces.
    pub limits: Limits,
    /// How many sessions it holds at a time; further ones are answered with 503.
    pub max_sessions: usize,
    /// Whether it never frees the slot of a session that was lost or cancelled.
    pub keeps_slots: bool,
    /// Whether the process falls; `None` for one that stands.
    pub falls: Option<Falls>,
}

/// How the process falls, and every session with it, whatever it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Falls {
    /// When this many sessions more have become ready.
    pub at_session: u64,
    /// After so many milliseconds it serves again, as if somebody had started it anew; `None` for one that is gone for good.
    pub back_after_ms: Option<u64>,
    /// So often at most.
    pub times: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mutant: None,
            token: None,
            engine: Engine::default(),
            limits: Limits::default(),
            max_sessions: 500,
            keeps_slots: false,
            falls: None,
        }
    }
}

/// What the pretended recogniser costs, in milliseconds of tokio's clock. It tells progress while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// From `config` to `ready`.
    pub load_ms: u64,
    /// For each second of audio.
    pub cost_ms_per_audio_s: u64,
    /// For each final, by the second of its audio.
    pub decode_ms_per_audio_s: u64,
    /// For each final.
    pub cost_ms_per_segment: u64,
    /// For each partial and each final, however short its audio: an encoder with a constant window.
    pub window_ms: u64,
    /// Between the last final and `session_ended`: a voice detector that waits out its own delay.
    pub hangover_ms: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Engine {
    /// Twenty times as fast as speech.
    pub const USUAL: Self = Self {
        load_ms: 0,
        cost_ms_per_audio_s: 50,
        decode_ms_per_audio_s: 0,
        cost_ms_per_segment: 0,
        window_ms: 0,
        hangover_ms: 0,
    };

    /// The longest time in which `audio_processed_ms` stands still although everything is well.
    pub(crate) fn longest_step_ms(&self) -> u64 {
        let decode_ms = self.cost_ms_per_segment + self.window_ms + self.decode_ms_per_audio_s * LONGEST_SEGMENT_S;
        self.cost_ms_per_audio_s.max(decode_ms).max(self.hangover_ms)
    }
}

/// By default a segment is no longer.
const LONGEST_SEGMENT_S: u64 = 30;

/// The bounds that the server announces and keeps, in milliseconds and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of section 10 of the specification")]
pub struct Limits {
    pub idle_timeout_ms: u64,
    pub keepalive_interval_ms: u64,
    pub ready_ms: u64,
    pub flush_ms: u64,
    pub drain_ms: u64,
    pub close_ms: u64,
    pub progress_interval_ms: u64,
    /// Raised to twice the longest step of the recogniser where that is more.
    pub max_step_ms: u64,
    pub max_frame_bytes: usize,
    pub max_text_bytes: usize,
    pub max_session_ms: u64,
    pub max_buffered_audio_ms: u64,
    /// From the upgrade to `config`. Not announced: a server may choose a second or more.
    pub config_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle_timeout_ms: 3_000,
            keepalive_interval_ms: 1_000,
            ready_ms: 10_000,
            flush_ms: 8_000,
            drain_ms: 8_000,
            close_ms: 2_000,
            progress_interval_ms: 400,
            max_step_ms: 2_000,
            max_frame_bytes: 64_000,
            max_text_bytes: 65_536,
            max_session_ms: 3_600_000,
            max_buffered_audio_ms: 8_000,
            config_timeout_ms: 2_000,
        }
    }
}
