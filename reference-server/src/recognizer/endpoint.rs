//! Where speech starts and ends. Owns: the energy endpointer, which cuts a stream of samples into segments, and those into the
//! windows that are decoded. Must not know: engines, tasks, clocks, events on the wire. Pure: samples in, decisions out.
//!
//! A frame of 10 ms is *voiced* when its RMS reaches a threshold. Three voiced frames in a row open a segment; `silence_ms`
//! without such a run close it. What a segment is is the client's choice; what an engine hears best is its own, so a segment
//! is one or more *windows*, each of which can be decoded as soon as it is cut: a long one ends at a short pause, and its
//! final is never far behind its last word. A window or segment that grows to its greatest length is cut at the quietest frame
//! near its end, so that a word is seldom cut in two. Everything that is cut away is below the threshold, but for runs too
//! short to be speech.

use std::collections::VecDeque;
use std::ops::Range;

use crate::audio::{SAMPLES_PER_MS, ms_to_samples};

/// Samples in one frame of 10 ms.
pub const FRAME_SAMPLES: usize = 10 * SAMPLES_PER_MS as usize;
/// Voiced frames in a row that open a segment.
const ONSET_FRAMES: u32 = 3;
/// Audio before the first voiced frame that belongs to the segment: a soft onset is below the threshold.
const PRE_ROLL_SAMPLES: u64 = ms_to_samples(250);
/// Audio after the last voiced frame that belongs to the segment.
const POST_ROLL_SAMPLES: u64 = ms_to_samples(200);
/// A pause of this length ends a window however short that is: engines make words out of long silence.
const LONGEST_PAUSE_MS: u64 = 500;
/// No segment and no window has a greatest length below this.
const LEAST_LENGTH_MS: u64 = 500;
/// How far back from the greatest length a forced cut looks for a quiet frame.
const CUT_SEARCH_FRAMES: usize = 200;

/// When a pause ends a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointMode {
    /// Silence of `silence_ms` ends a segment.
    Vad,
    /// Silence ends nothing: only a flush, the end, or the greatest length does.
    None,
}

/// How a stream is cut into segments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointConfig {
    /// Whether silence ends a segment.
    pub mode: EndpointMode,
    /// Silence that ends a segment, in milliseconds; at least one frame of 10 ms counts.
    pub silence_ms: u64,
    /// The greatest length of a segment in milliseconds, pre-roll included; at least 500.
    pub max_segment_ms: u64,
    /// A frame is voiced from this RMS on, where full scale is 1.
    pub rms_threshold: f32,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self { mode: EndpointMode::Vad, silence_ms: 500, max_segment_ms: 30_000, rms_threshold: 0.004 }
    }
}

/// What an engine hears best in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowConfig {
    /// The greatest length of a window in milliseconds, pre-roll included; at least 500.
    pub max_ms: u64,
    /// A window whose speech is this long, in milliseconds, ends at a pause of `pause_ms` already.
    pub long_ms: u64,
    /// The pause that ends a long window, in milliseconds.
    pub pause_ms: u64,
}

impl WindowConfig {
    /// Windows of up to this length, which end where the segment does.
    #[must_use]
    pub const fn up_to(max_ms: u64) -> Self {
        Self { max_ms, long_ms: max_ms, pause_ms: max_ms }
    }
}

/// One window, in samples from the first of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSpan {
    /// What is to be decoded: the speech with a little audio on both sides.
    pub audio: Range<u64>,
    /// From the first to the end of the last voiced frame.
    pub speech: Range<u64>,
}

/// A decision of the endpointer. For each segment `SpeechStarted`, its windows, `SpeechEnded`, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointEvent {
    /// A segment opened; the sample at which its speech starts.
    SpeechStarted(u64),
    /// The next part of the open segment.
    Window(WindowSpan),
    /// The open segment closed; its speech.
    SpeechEnded(Range<u64>),
}

#[derive(Debug, Clone)]
enum State {
    /// No window is open. `run_start` is the first of `run` voiced frames in a row at the very end of the audio.
    Idle { run: u32, run_start: u64 },
    /// A window, and with it a segment, is open.
    Open { audio_start: u64, speech_start: u64, voiced_end: u64 },
}

/// The open segment.
#[derive(Debug, Clone)]
struct Segment {
    audio_start: u64,
    /// Its speech up to the end of its last window.
    speech: Range<u64>,
}

/// Cuts one stream into segments.
///
/// The answer depends on the samples alone, not on how they are divided into calls of [`push`](Self::push).
#[derive(Debug, Clone)]
pub struct Endpointer {
    config: EndpointConfig,
    windows: WindowConfig,
    state: State,
    segment: Option<Segment>,
    /// The end of the last whole frame.
    position: u64,
    /// Samples of the frame that is not whole yet.
    rest: Vec<i16>,
    /// The end of the audio that belongs to earlier windows.
    taken_until: u64,
    /// The mean square of the last frames, newest at the back, while a window is open.
    recent: VecDeque<f32>,
}

impl Endpointer {
    /// A new stream, at sample 0.
    #[must_use]
    pub fn new(config: EndpointConfig, windows: WindowConfig) -> Self {
        let state = State::Idle { run: 0, run_start: 0 };
        let config = EndpointConfig { max_segment_ms: config.max_segment_ms.max(LEAST_LENGTH_MS), ..config };
        let max_ms = windows.max_ms.max(LEAST_LENGTH_MS).min(config.max_segment_ms);
        Self {
            config,
            windows: WindowConfig { max_ms, ..windows },
            state,
            segment: None,
            position: 0,
            rest: Vec::with_capacity(FRAME_SAMPLES),
            taken_until: 0,
            recent: VecDeque::new(),
        }
    }

    /// Takes the next samples of the stream and appends what was decided to `out`.
    pub fn push(&mut self, mut samples: &[i16], out: &mut Vec<EndpointEvent>) {
        if !self.rest.is_empty() {
            let missing = (FRAME_SAMPLES - self.rest.len()).min(samples.len());
            self.rest.extend_from_slice(&samples[..missing]);
            samples = &samples[missing..];
            if self.rest.len() < FRAME_SAMPLES {
                return;
            }
            let frame = std::mem::take(&mut self.rest);
            self.frame(mean_square(&frame), FRAME_SAMPLES as u64, out);
            self.rest = frame;
            self.rest.clear();
        }
        let mut frames = samples.chunks_exact(FRAME_SAMPLES);
        for frame in &mut frames {
            self.frame(mean_square(frame), FRAME_SAMPLES as u64, out);
        }
        self.rest.extend_from_slice(frames.remainder());
    }

    /// Closes what is open: afterwards no voiced frame at the end of the audio so far is outside a window.
    ///
    /// A rest of less than a frame is judged as if zeros followed it. A run of voiced frames too short to open a segment
    /// on its own is made one here, because nobody can know what would have followed.
    pub fn flush(&mut self, out: &mut Vec<EndpointEvent>) {
        if !self.rest.is_empty() {
            let length = self.rest.len() as u64;
            let energy = mean_square(&self.rest);
            self.rest.clear();
            self.frame(energy, length, out);
        }
        if let State::Idle { run, run_start } = self.state
            && run > 0
        {
            self.open(run_start, out);
        }
        self.close_window(out);
        self.close_segment(out);
        self.taken_until = self.position;
        self.state = State::Idle { run: 0, run_start: self.position };
    }

    /// The window that is open as it would be if it ended now, if one is.
    #[must_use]
    pub const fn open_window(&self) -> Option<WindowSpan> {
        match self.state {
            State::Open { audio_start, speech_start, voiced_end } => {
                Some(WindowSpan { audio: audio_start..self.position, speech: speech_start..voiced_end })
            }
            State::Idle { .. } => None,
        }
    }

    /// Where the speech of the open segment starts, if one is open.
    #[must_use]
    pub fn open_segment(&self) -> Option<u64> {
        self.segment.as_ref().map(|segment| segment.speech.start)
    }

    /// The end of the audio that was looked at.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Everything before this sample is in a window that was cut, or holds no speech. Never falls.
    #[must_use]
    pub const fn settled_until(&self) -> u64 {
        match self.state {
            State::Open { speech_start, .. } => speech_start,
            State::Idle { run: 0, .. } => self.position,
            State::Idle { run_start, .. } => run_start,
        }
    }

    /// Samples before this one will not be asked for again.
    #[must_use]
    pub const fn needed_from(&self) -> u64 {
        match self.state {
            State::Open { audio_start, .. } => audio_start,
            State::Idle { run_start, run, .. } => {
                let start = if run == 0 { self.position } else { run_start };
                max(start.saturating_sub(PRE_ROLL_SAMPLES), self.taken_until)
            }
        }
    }

    fn frame(&mut self, energy: f32, length: u64, out: &mut Vec<EndpointEvent>) {
        let start = self.position;
        self.position += length;
        let voiced = energy >= self.config.rms_threshold * self.config.rms_threshold;
        match &mut self.state {
            State::Idle { run, run_start } => {
                if voiced && *run == 0 {
                    *run_start = start;
                }
                *run = if voiced { *run + 1 } else { 0 };
                let opens = (*run >= ONSET_FRAMES).then_some(*run_start);
                self.close_segment_that_is_over(out);
                if let Some(speech_start) = opens {
                    self.open(speech_start, out);
                }
            }
            State::Open { voiced_end, .. } => {
                if voiced {
                    *voiced_end = self.position;
                }
                if self.recent.len() == CUT_SEARCH_FRAMES {
                    self.recent.pop_front();
                }
                self.recent.push_back(energy);
                self.end_what_is_over(out);
            }
        }
    }

    fn open(&mut self, speech_start: u64, out: &mut Vec<EndpointEvent>) {
        let audio_start = max(speech_start.saturating_sub(PRE_ROLL_SAMPLES), self.taken_until);
        self.state = State::Open { audio_start, speech_start, voiced_end: self.position };
        self.recent.clear();
        self.open_segment_at(audio_start, speech_start, out);
    }

    fn open_segment_at(&mut self, audio_start: u64, speech_start: u64, out: &mut Vec<EndpointEvent>) {
        if self.segment.is_none() {
            self.segment = Some(Segment { audio_start, speech: speech_start..speech_start });
            out.push(EndpointEvent::SpeechStarted(speech_start));
        }
    }

    /// Ends the open window, and with it the segment, if a pause or its length says so.
    fn end_what_is_over(&mut self, out: &mut Vec<EndpointEvent>) {
        let State::Open { audio_start, voiced_end, .. } = self.state else { return };
        let silence = self.position - voiced_end;
        if silence > 0 && silence >= ms_to_samples(self.ending_pause_ms(voiced_end - audio_start)) {
            self.close_window(out);
            self.close_segment_that_is_over(out);
        } else if self.segment_is_full() {
            self.cut_at_quietest(true, out);
        } else if is_full(self.position - audio_start, self.windows.max_ms) {
            self.cut_at_quietest(false, out);
        }
    }

    /// The pause that ends a window of this length.
    fn ending_pause_ms(&self, length: u64) -> u64 {
        let is_long = length >= ms_to_samples(self.windows.long_ms);
        let pause_ms = if is_long { self.windows.pause_ms.min(LONGEST_PAUSE_MS) } else { LONGEST_PAUSE_MS };
        match self.config.mode {
            EndpointMode::Vad => pause_ms.min(self.config.silence_ms),
            EndpointMode::None => pause_ms,
        }
    }

    fn segment_is_full(&self) -> bool {
        let segment = self.segment.as_ref();
        segment.is_some_and(|segment| is_full(self.position - segment.audio_start, self.config.max_segment_ms))
    }

    /// Between windows: ends the segment if it has been silent for long enough.
    fn close_segment_that_is_over(&mut self, out: &mut Vec<EndpointEvent>) {
        let Some(segment) = &self.segment else { return };
        // Speech that may be beginning right now is no silence.
        let silence = self.settled_until() - segment.speech.end;
        let is_silent = self.config.mode == EndpointMode::Vad && silence >= ms_to_samples(self.config.silence_ms);
        if is_silent || self.segment_is_full() {
            self.close_segment(out);
        }
    }

    fn close_segment(&mut self, out: &mut Vec<EndpointEvent>) {
        if let Some(segment) = self.segment.take() {
            out.push(EndpointEvent::SpeechEnded(segment.speech));
        }
    }

    fn close_window(&mut self, out: &mut Vec<EndpointEvent>) {
        let State::Open { audio_start, speech_start, voiced_end } = self.state else { return };
        let audio_end = (voiced_end + POST_ROLL_SAMPLES).min(self.position);
        self.emit(WindowSpan { audio: audio_start..audio_end, speech: speech_start..voiced_end }, out);
        self.state = State::Idle { run: 0, run_start: self.position };
    }

    /// The window is as long as it may be: ends it behind the quietest of its last frames and goes on with the rest, in the
    /// same segment or in a new one.
    fn cut_at_quietest(&mut self, ends_segment: bool, out: &mut Vec<EndpointEvent>) {
        let State::Open { audio_start, speech_start, voiced_end } = self.state else { return };
        // A quarter of what a window may be, and half of what this one is: a cut always makes headway.
        let quarter = ms_to_samples(self.windows.max_ms) as usize / FRAME_SAMPLES / 4;
        let half = (self.position - audio_start) as usize / FRAME_SAMPLES / 2;
        let searched = self.recent.len().min(quarter).min(half).max(1);
        let quietest = self
            .recent
            .iter()
            .rev()
            .take(searched)
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(frames_back, _)| frames_back as u64);
        let cut = self.position - quietest * FRAME_SAMPLES as u64;
        if voiced_end <= cut {
            self.close_window(out);
        } else {
            self.emit(WindowSpan { audio: audio_start..cut, speech: speech_start.min(cut)..cut }, out);
            self.state = State::Open { audio_start: cut, speech_start: cut, voiced_end };
        }
        if ends_segment {
            self.close_segment(out);
        }
        if matches!(self.state, State::Open { .. }) {
            self.open_segment_at(cut, cut, out);
        }
    }

    fn emit(&mut self, span: WindowSpan, out: &mut Vec<EndpointEvent>) {
        self.taken_until = span.audio.end;
        if let Some(segment) = &mut self.segment {
            segment.speech.end = span.speech.end;
        }
        out.push(EndpointEvent::Window(span));
    }
}

/// Whether a window or segment has no room for another frame.
fn is_full(length: u64, max_ms: u64) -> bool {
    length + FRAME_SAMPLES as u64 > ms_to_samples(max_ms)
}

/// The mean square of a frame with full scale 1. A short rest counts as a whole frame with zeros behind it.
pub(crate) fn mean_square(frame: &[i16]) -> f32 {
    // Exact in integers: a frame of full-scale samples sums to 1.7e11.
    let sum: i64 = frame.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    sum as f32 / (FRAME_SAMPLES as f32 * 32_768.0 * 32_768.0)
}

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
