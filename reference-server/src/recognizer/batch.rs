//! A whole recording at once. Owns: cutting it into windows and putting the results together.
//! Must not know: HTTP, file formats, which engine decodes.

use std::sync::Arc;

use super::assemble::Assembly;
use super::endpoint::{EndpointConfig, EndpointEvent, EndpointMode, Endpointer, WindowConfig, WindowSpan};
use super::{DecodeRequest, Decoder, EngineError, EngineInfo, Hypothesis};
use crate::audio::samples_to_ms;

/// The pause at which a long recording is cut: the best of those measured for the fixture model.
const SILENCE_MS: u64 = 200;

/// What a transcription of a recording asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchOptions {
    /// ISO 639-1 code, or the engine's own choice.
    pub language: Option<String>,
    /// Whether the segments carry words.
    pub words: bool,
}

/// What was heard in a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The texts of the segments, joined by one space.
    pub text: String,
    /// The segments in order, those without text left out.
    pub segments: Vec<Hypothesis>,
    /// The language of the first segment that has one.
    pub language: Option<String>,
    /// The length of the recording.
    pub duration_ms: u64,
}

pub(super) async fn transcribe(
    info: &EngineInfo,
    decoder: &dyn Decoder,
    samples: &[i16],
    options: &BatchOptions,
) -> Result<Transcript, EngineError> {
    let mut segments = Vec::new();
    for span in spans(info.windows.max_ms, samples) {
        let request = DecodeRequest {
            samples: samples[span.audio.start as usize..span.audio.end as usize].to_vec(),
            speech_start: (span.speech.start - span.audio.start) as usize,
            language: options.language.clone(),
            interim: false,
        };
        let decoded = decoder.decode(request, Arc::new(|| {})).await?;
        let number = segments.len() as u64;
        let mut assembly = Assembly::default();
        assembly.add(decoded, span.audio.start, &span.speech);
        let heard = assembly.result(number, &span.speech, options.words);
        if !heard.text.is_empty() {
            segments.push(heard);
        }
    }
    let text = segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
    let language = segments.iter().find_map(|segment| segment.language.clone());
    Ok(Transcript { text, segments, language, duration_ms: samples_to_ms(samples.len() as u64) })
}

/// A recording that fits one window is decoded whole, whatever its energy: an endpointer can only take something away.
fn spans(max_ms: u64, samples: &[i16]) -> Vec<WindowSpan> {
    let whole = 0..samples.len() as u64;
    let fits = samples_to_ms(whole.end) <= max_ms;
    let mode = if fits { EndpointMode::None } else { EndpointMode::Vad };
    let config = EndpointConfig { mode, silence_ms: SILENCE_MS, max_segment_ms: max_ms, ..EndpointConfig::default() };
    let mut endpointer = Endpointer::new(config, WindowConfig::up_to(max_ms));
    let mut decisions = Vec::new();
    endpointer.push(samples, &mut decisions);
    endpointer.flush(&mut decisions);
    let found = decisions.into_iter().filter_map(|decision| match decision {
        EndpointEvent::Window(span) => Some(span),
        EndpointEvent::SpeechStarted(_) | EndpointEvent::SpeechEnded(_) => None,
    });
    if !fits {
        return found.collect();
    }
    if samples.is_empty() {
        return Vec::new();
    }
    let speech =
        found.map(|span| span.speech).reduce(|first, last| first.start..last.end).unwrap_or_else(|| whole.clone());
    vec![WindowSpan { audio: whole, speech }]
}
