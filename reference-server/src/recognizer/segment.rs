//! Segments made of windows. Owns: which windows that an engine decodes one by one belong to one segment.
//! Must not know: engines, tasks, clocks, events on the wire. Pure: samples in, decisions out.
//!
//! What is a segment is the client's choice; what an engine hears best is its own. So the endpointer cuts *windows* as the
//! engine likes them, each decoded as soon as it is cut, and this joins those into one segment that no pause of `silence_ms`
//! parts. A short pause inside a long segment costs the words around it nothing, and its final is not far behind its last word.

use std::ops::Range;

use super::endpoint::{EarlyEnd, EndpointConfig, EndpointEvent, EndpointMode, Endpointer, WindowSpan};
use crate::audio::{SAMPLES_PER_MS, ms_to_samples};

/// A pause of this length ends a window however short it is: engines make words out of long silence.
const LONGEST_PAUSE_MS: u64 = 500;

/// What an engine hears best in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// No window is longer, in milliseconds.
    pub max_ms: u64,
    /// When a window ends before that.
    pub early_end: EarlyEnd,
}

/// A decision. For each segment `Started`, any number of `Window`, `Ended`, `Closed`, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SegmentEvent {
    /// A segment opened; the sample at which its speech starts.
    Started(u64),
    /// A part of the open segment that is to be decoded now.
    Window(WindowSpan),
    /// The open segment ended; the sample at which its speech ended.
    Ended(u64),
    /// The segment that just ended has no further windows; its speech.
    Closed(Range<u64>),
}

/// Cuts one stream into segments and those into windows.
///
/// The sequence of answers depends on the samples alone, not on how they are divided into calls of [`push`](Self::push).
#[derive(Debug, Clone)]
pub(super) struct Segmenter {
    mode: EndpointMode,
    silence: u64,
    /// A segment that has become this long ends with its window.
    long_enough: u64,
    windows: Endpointer,
    decisions: Vec<EndpointEvent>,
    /// The speech of the open segment so far.
    open: Option<Range<u64>>,
}

impl Segmenter {
    /// A new stream, at sample 0.
    pub(super) fn new(config: EndpointConfig, windows: WindowConfig) -> Self {
        let window_ms = windows.max_ms.min(config.max_segment_ms);
        let window_config = EndpointConfig {
            mode: EndpointMode::Vad,
            silence_ms: config.silence_ms.min(LONGEST_PAUSE_MS),
            max_segment_ms: window_ms,
            early_end: Some(windows.early_end),
            ..config
        };
        Self {
            mode: config.mode,
            silence: ms_to_samples(config.silence_ms),
            // The next window may be of full length: there must be room for it.
            long_enough: ms_to_samples(config.max_segment_ms - window_ms),
            windows: Endpointer::new(window_config),
            decisions: Vec::new(),
            open: None,
        }
    }

    /// Takes the next samples of the stream and appends what was decided to `out`.
    pub(super) fn push(&mut self, samples: &[i16], out: &mut Vec<SegmentEvent>) {
        self.windows.push(samples, &mut self.decisions);
        self.join(out);
        self.close_after_silence(self.windows.settled_until(), out);
    }

    /// Closes what is open: no voiced frame of the audio so far is outside a window.
    pub(super) fn flush(&mut self, out: &mut Vec<SegmentEvent>) {
        self.windows.flush(&mut self.decisions);
        self.join(out);
        self.close(out);
    }

    /// The audio of the window that is being spoken and its speech so far, if there is one.
    pub(super) fn open_window(&self) -> Option<WindowSpan> {
        let (audio_start, speech_start) = self.windows.open_segment()?;
        let end = self.position();
        let speech_end = self.windows.open_speech_end().unwrap_or(end);
        Some(WindowSpan { audio: audio_start..end, speech: speech_start..speech_end })
    }

    /// Whether a segment is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The end of the audio that was looked at.
    pub(super) fn position(&self) -> u64 {
        self.windows.position()
    }

    /// Everything before this sample is in a window that was cut, or holds no speech. Never falls.
    pub(super) fn settled_until(&self) -> u64 {
        self.windows.settled_until()
    }

    /// Samples before this one will not be asked for again.
    pub(super) fn needed_from(&self) -> u64 {
        self.windows.needed_from()
    }

    fn join(&mut self, out: &mut Vec<SegmentEvent>) {
        for decision in std::mem::take(&mut self.decisions) {
            match decision {
                EndpointEvent::SpeechStarted(at) => {
                    self.close_after_silence(at, out);
                    if self.open.is_none() {
                        self.open = Some(at..at);
                        out.push(SegmentEvent::Started(at));
                    }
                }
                EndpointEvent::SpeechEnded(at) => {
                    if let Some(speech) = &mut self.open {
                        speech.end = at;
                    }
                }
                EndpointEvent::Cut(span) => {
                    out.push(SegmentEvent::Window(span));
                    if self.open.as_ref().is_some_and(|speech| speech.end - speech.start >= self.long_enough) {
                        self.close(out);
                    }
                }
            }
        }
    }

    /// Closes the open segment if it is silent from its last window to `until` and that is long enough.
    fn close_after_silence(&mut self, until: u64, out: &mut Vec<SegmentEvent>) {
        let Some(speech) = &self.open else { return };
        let between_windows = self.windows.open_segment().is_none() || until >= speech.end && speech.end > speech.start;
        let silent = until.saturating_sub(speech.end);
        let too_long = until.saturating_sub(speech.start) >= self.long_enough.max(SAMPLES_PER_MS);
        let ends = match self.mode {
            EndpointMode::Vad => silent >= self.silence,
            EndpointMode::None => too_long,
        };
        if between_windows && ends {
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<SegmentEvent>) {
        if let Some(speech) = self.open.take() {
            out.push(SegmentEvent::Ended(speech.end));
            out.push(SegmentEvent::Closed(speech));
        }
    }
}
