//! Decoding with whisper.cpp. Owns: one worker's whisper state, the parameters of a decode, and turning tokens into words.
//! Must not know: sessions, streams, when a segment ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperSegment, WhisperState,
    WhisperTokenId,
};

use super::pool::{DecodeState, JobControl};
use super::{DecodeRequest, Decoded, DecodedWord, EngineError};
use crate::audio::{SAMPLES_PER_MS, ms_to_samples};

pub(crate) mod load;
pub mod probe;

pub use load::{ModelError, WhisperOptions, load};
pub use probe::{PROBE_SUBCOMMAND, ProbeCommand, probe_child_main};

/// One encoder position.
const POSITION_SAMPLES: usize = 20 * SAMPLES_PER_MS as usize;
/// whisper.cpp reads 200 samples beyond the start of a shorter input, and hears nothing below 100 ms. Zeros do not change
/// what it hears: it pads with them itself.
const LEAST_SAMPLES: usize = ms_to_samples(200) as usize;
/// Encoder sizes to choose from: the cost of a decode is that of the encoder size, not of the audio.
const AUDIO_CONTEXTS: [u32; 7] = [128, 192, 256, 512, 768, 1_024, 1_500];
/// A model with the full context of 30 s was not trained on windows shorter than this would make them.
const LEAST_CONTEXT_OF_FULL_MODELS: u32 = 768;
const FULL_CONTEXT: u32 = 1_500;

/// A loaded model.
pub(crate) struct WhisperModel {
    context: WhisperContext,
    audio_context: u32,
    threads: u16,
}

impl WhisperModel {
    /// Hands a file that [`super::model_file::check`] has passed to whisper.cpp.
    pub(crate) fn load(path: &std::path::Path, audio_context: u32, threads: u16) -> Result<Self, WhisperError> {
        // With neither of whisper-rs's log features this silences whisper.cpp and ggml.
        whisper_rs::install_logging_hooks();
        let mut parameters = WhisperContextParameters::default();
        // Flash attention reads unmasked padding when the encoder size is reduced: wrong words.
        parameters.flash_attn(false);
        Ok(Self { context: WhisperContext::new_with_params(path, parameters)?, audio_context, threads })
    }

    /// A state to decode with, for one thread.
    pub(crate) fn worker(self: &Arc<Self>) -> Result<WhisperWorker, EngineError> {
        let state = self.context.create_state().map_err(|error| engine_error(&error))?;
        Ok(WhisperWorker { model: Arc::clone(self), state, current: Rc::default(), parameters: HashMap::new() })
    }

    /// The smallest encoder size that holds this much audio.
    fn context_for(&self, samples: usize) -> u32 {
        let positions = samples / POSITION_SAMPLES + 1;
        let least = if self.audio_context >= FULL_CONTEXT { LEAST_CONTEXT_OF_FULL_MODELS } else { 0 };
        AUDIO_CONTEXTS
            .into_iter()
            .find(|size| *size >= least && *size as usize >= positions)
            .map_or(self.audio_context, |size| size.min(self.audio_context))
    }
}

/// The job that a worker's callback speaks for.
type CurrentJob = Rc<RefCell<Option<JobControl>>>;

/// One worker's state, kept from job to job.
pub(crate) struct WhisperWorker {
    model: Arc<WhisperModel>,
    state: WhisperState,
    current: CurrentJob,
    /// By language. Made once and cloned: whisper-rs never frees the callback and the language string of a set.
    parameters: HashMap<Option<String>, FullParams<'static, 'static>>,
}

impl DecodeState for WhisperWorker {
    fn decode(&mut self, request: &DecodeRequest, control: &JobControl) -> Result<Decoded, EngineError> {
        let mut samples: Vec<f32> = request.samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        samples.resize(samples.len().max(LEAST_SAMPLES), 0.0);
        let mut parameters = self.parameters_for(request.language.as_deref());
        parameters.set_audio_ctx(self.model.context_for(samples.len()) as i32);
        self.current.replace(Some(control.clone()));
        let outcome = self.state.full(parameters, &samples);
        self.current.replace(None);
        match outcome {
            Ok(()) => self.heard(),
            // Nobody reads this answer. The state is as good as before.
            Err(_) if control.is_cancelled() => Ok(Decoded::default()),
            Err(error) => Err(engine_error(&error)),
        }
    }
}

impl WhisperWorker {
    fn parameters_for(&mut self, language: Option<&str>) -> FullParams<'static, 'static> {
        let key = language.map(str::to_owned);
        if let Some(parameters) = self.parameters.get(&key) {
            return parameters.clone();
        }
        let mut parameters = base_parameters(self.model.threads);
        match language {
            // Asked for by name, because whisper.cpp's own names live as long as the parameters.
            Some(language) => {
                if let Some(name) = whisper_rs::get_lang_id(language).and_then(whisper_rs::get_lang_str) {
                    parameters.set_language(Some(name));
                }
            }
            None if self.model.context.is_multilingual() => parameters.set_language(None),
            None => {}
        }
        let current = Rc::clone(&self.current);
        // The type is spelled out: with any other closure type the trampoline of this setter is undefined behaviour.
        parameters.set_abort_callback_safe::<_, Box<dyn FnMut() -> bool>>(Box::new(move || {
            let current = current.borrow();
            let Some(control) = current.as_ref() else { return false };
            control.tick();
            control.is_cancelled()
        }) as Box<dyn FnMut() -> bool>);
        self.parameters.insert(key, parameters.clone());
        parameters
    }

    fn heard(&self) -> Result<Decoded, EngineError> {
        let end_of_text = self.model.context.token_eot();
        let mut words = WordBuilder::default();
        for segment in self.state.as_iter() {
            for (bytes, probability) in text_tokens(&segment, end_of_text) {
                if !probability.is_finite() {
                    return Err(EngineError::Decode(
                        "the model computes no numbers: its weights are broken".to_owned(),
                    ));
                }
                words.push(&bytes, probability);
            }
        }
        let language = whisper_rs::get_lang_str(self.state.full_lang_id_from_state()).map(str::to_owned);
        Ok(words.finish(language))
    }
}

fn base_parameters(threads: u16) -> FullParams<'static, 'static> {
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(i32::from(threads));
    parameters.set_language(Some("en"));
    parameters.set_no_context(true);
    parameters.set_no_timestamps(true);
    parameters.set_single_segment(true);
    // With it, end-of-text cannot come first, and silence is made to say something.
    parameters.set_suppress_blank(false);
    // No fallback to sampling: slow, and not the same every time.
    parameters.set_temperature_inc(0.0);
    // Scaled wrongly for models with a short context.
    parameters.set_max_initial_ts(0.0);
    parameters.set_print_special(false);
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_timestamps(false);
    parameters
}

fn text_tokens(segment: &WhisperSegment<'_>, end_of_text: WhisperTokenId) -> Vec<(Vec<u8>, f64)> {
    (0..segment.n_tokens())
        .filter_map(|index| segment.get_token(index))
        .filter(|token| token.token_id() < end_of_text)
        .filter_map(|token| Some((token.to_bytes().ok()?.to_vec(), f64::from(token.token_probability()))))
        .collect()
}

/// Puts tokens, which may be parts of a word or even of a character, together to words.
#[derive(Default)]
struct WordBuilder {
    words: Vec<(Vec<u8>, f64, u32)>,
    log_probability: f64,
    tokens: u32,
}

impl WordBuilder {
    fn push(&mut self, bytes: &[u8], probability: f64) {
        self.log_probability += probability.max(f64::MIN_POSITIVE).ln();
        self.tokens += 1;
        let starts_word = bytes.first().is_some_and(u8::is_ascii_whitespace);
        match self.words.last_mut() {
            Some((word, sum, count)) if !starts_word => {
                word.extend_from_slice(bytes);
                *sum += probability;
                *count += 1;
            }
            _ => self.words.push((bytes.to_vec(), probability, 1)),
        }
    }

    fn finish(self, language: Option<String>) -> Decoded {
        let words: Vec<DecodedWord> = self
            .words
            .iter()
            .map(|(bytes, sum, count)| (String::from_utf8_lossy(bytes).trim().to_owned(), sum / f64::from(*count)))
            .filter(|(text, _)| !text.is_empty())
            .map(|(text, confidence)| DecodedWord { text, confidence: Some(confidence), span: None })
            .collect();
        let confidence = (!words.is_empty()).then(|| (self.log_probability / f64::from(self.tokens)).exp());
        Decoded { words, confidence, language }
    }
}

/// whisper-rs compares with codes that whisper.cpp does not return: the number is all there is.
fn engine_error(error: &WhisperError) -> EngineError {
    EngineError::Decode(match error {
        WhisperError::GenericError(-6) => "whisper.cpp could not encode the audio".to_owned(),
        WhisperError::GenericError(code @ -9..=-7) => format!("whisper.cpp could not decode the audio ({code})"),
        other => format!("whisper.cpp: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_words_even_when_a_character_is_split_between_them() {
        let mut words = WordBuilder::default();
        for (bytes, probability) in [(&b" caf"[..], 1.0), (b"\xc3", 0.5), (b"\xa9", 0.5), (b" ", 1.0), (b" two", 0.25)]
        {
            words.push(bytes, probability);
        }
        let decoded = words.finish(Some("fr".to_owned()));
        assert_eq!(decoded.text(), "café two");
        assert_eq!(decoded.words[1].confidence, Some(0.25));
        let mean = (0.5f64 * 0.5 * 0.25).powf(0.2);
        assert!((decoded.confidence.expect("there is text") - mean).abs() < 1e-12);
    }

    #[test]
    fn no_tokens_are_an_empty_text_without_confidence() {
        assert_eq!(WordBuilder::default().finish(None), Decoded::default());
    }
}
