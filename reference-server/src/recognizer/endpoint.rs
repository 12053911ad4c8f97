//! Where speech starts and ends. Owns: the energy endpointer, which cuts a stream of samples into segments.
//! Must not know: engines, tasks, clocks, events on the wire. Pure: samples in, decisions out.
//!
//! A frame of 10 ms is *voiced* when its RMS reaches a threshold. Three voiced frames in a row open a segment; `silence_ms`
//! without one close it; a segment that grows to its greatest length is cut at the quietest frame near its end, so that a
//! word is seldom cut in two. Everything that is cut away is below the threshold: no voiced frame is ever left out.

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
        Self { mode: EndpointMode::Vad, silence_ms: 500, max_segment_ms: 9_000, rms_threshold: 0.004 }
    }
}

/// One segment, in samples from the first of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSpan {
    /// What is to be decoded: the speech with a little audio on both sides.
    pub audio: Range<u64>,
    /// From the first to the end of the last voiced frame.
    pub speech: Range<u64>,
}

/// A decision of the endpointer. For each segment `SpeechStarted`, `SpeechEnded`, `Cut`, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointEvent {
    /// A segment opened; the sample at which its speech starts.
    SpeechStarted(u64),
    /// The open segment closed; the sample at which its speech ended.
    SpeechEnded(u64),
    /// The segment that just closed.
    Cut(SegmentSpan),
}

#[derive(Debug, Clone)]
enum State {
    /// No segment is open. `run_start` is the first of `run` voiced frames in a row at the very end of the audio.
    Idle { run: u32, run_start: u64 },
    /// A segment is open.
    Open { audio_start: u64, speech_start: u64, voiced_end: u64 },
}

/// Cuts one stream into segments.
///
/// The answer depends on the samples alone, not on how they are divided into calls of [`push`](Self::push).
#[derive(Debug, Clone)]
pub struct Endpointer {
    config: EndpointConfig,
    state: State,
    /// The end of the last whole frame.
    position: u64,
    /// Samples of the frame that is not whole yet.
    rest: Vec<i16>,
    /// The end of the audio that belongs to earlier segments.
    taken_until: u64,
    /// The mean square of the last frames, newest at the back, while a segment is open.
    recent: VecDeque<f32>,
}

impl Endpointer {
    /// A new stream, at sample 0.
    #[must_use]
    pub fn new(config: EndpointConfig) -> Self {
        let state = State::Idle { run: 0, run_start: 0 };
        Self {
            config,
            state,
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

    /// Closes what is open: afterwards no voiced frame of the audio so far is outside a segment.
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
        self.close(out);
        self.taken_until = self.position;
        self.state = State::Idle { run: 0, run_start: self.position };
    }

    /// Where the audio of the open segment starts, if one is open, and where its speech starts.
    #[must_use]
    pub const fn open_segment(&self) -> Option<(u64, u64)> {
        match self.state {
            State::Open { audio_start, speech_start, .. } => Some((audio_start, speech_start)),
            State::Idle { .. } => None,
        }
    }

    /// The end of the last voiced frame of the open segment, if one is open.
    #[must_use]
    pub const fn open_speech_end(&self) -> Option<u64> {
        match self.state {
            State::Open { voiced_end, .. } => Some(voiced_end),
            State::Idle { .. } => None,
        }
    }

    /// The end of the audio that was looked at.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Everything before this sample is in a segment that was cut, or holds no speech. Never falls.
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
                if !voiced {
                    *run = 0;
                    return;
                }
                if *run == 0 {
                    *run_start = start;
                }
                *run += 1;
                if *run >= ONSET_FRAMES {
                    let speech_start = *run_start;
                    self.open(speech_start, out);
                }
            }
            State::Open { audio_start, voiced_end, .. } => {
                if voiced {
                    *voiced_end = self.position;
                }
                let silence = self.position - *voiced_end;
                let ends_segment = self.config.mode == EndpointMode::Vad && silence > 0;
                let too_long = self.position - *audio_start >= ms_to_samples(self.config.max_segment_ms.max(500));
                if self.recent.len() == CUT_SEARCH_FRAMES {
                    self.recent.pop_front();
                }
                self.recent.push_back(energy);
                if ends_segment && silence >= ms_to_samples(self.config.silence_ms) {
                    self.close(out);
                } else if too_long {
                    self.cut_at_quietest(out);
                }
            }
        }
    }

    fn open(&mut self, speech_start: u64, out: &mut Vec<EndpointEvent>) {
        let audio_start = max(speech_start.saturating_sub(PRE_ROLL_SAMPLES), self.taken_until);
        self.state = State::Open { audio_start, speech_start, voiced_end: self.position };
        self.recent.clear();
        out.push(EndpointEvent::SpeechStarted(speech_start));
    }

    fn close(&mut self, out: &mut Vec<EndpointEvent>) {
        let State::Open { audio_start, speech_start, voiced_end } = self.state else { return };
        let audio_end = (voiced_end + POST_ROLL_SAMPLES).min(self.position);
        self.emit(SegmentSpan { audio: audio_start..audio_end, speech: speech_start..voiced_end }, out);
        self.state = State::Idle { run: 0, run_start: self.position };
    }

    /// The segment is as long as it may be: ends it behind the quietest of its last frames and goes on with the rest.
    fn cut_at_quietest(&mut self, out: &mut Vec<EndpointEvent>) {
        let State::Open { audio_start, speech_start, voiced_end } = self.state else { return };
        // At most a quarter of the segment is searched, so that a cut always makes headway.
        let longest = ms_to_samples(self.config.max_segment_ms.max(500)) as usize / FRAME_SAMPLES / 4;
        let searched = self.recent.len().min(longest).max(1);
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
            self.close(out);
            return;
        }
        self.emit(SegmentSpan { audio: audio_start..cut, speech: speech_start.min(cut)..cut }, out);
        self.state = State::Open { audio_start: cut, speech_start: cut, voiced_end };
        out.push(EndpointEvent::SpeechStarted(cut));
    }

    fn emit(&mut self, span: SegmentSpan, out: &mut Vec<EndpointEvent>) {
        self.taken_until = span.audio.end;
        out.push(EndpointEvent::SpeechEnded(span.speech.end));
        out.push(EndpointEvent::Cut(span));
    }
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
