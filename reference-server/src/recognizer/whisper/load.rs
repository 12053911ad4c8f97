//! Taking a model into service. Owns: the order of the checks that a model must pass before a session is accepted.
//! Must not know: sessions, the layout of a model file.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::probe::{PROBE_WAV, ProbeCommand, run_probe};
use super::{FULL_CONTEXT, WhisperModel, WhisperWorker};
use crate::audio::{ms_to_samples, read_wav};
use crate::recognizer::model_file::{CheckedModel, ModelFileError, check};
use crate::recognizer::pool::{DecodeState, JobControl, Pool, StateFactory};
use crate::recognizer::{DecodeRequest, EngineError, EngineInfo, FIXTURE_WINDOWS, Recognizer, WindowConfig};

/// The least length of a window that can be asked for.
const LEAST_WINDOW_MS: u64 = 1_000;
/// A model with the full context of 30 s hears better the more it hears at once. A window stays short enough for a quick step,
/// and ends early only to be spared a cut inside a word.
const FULL_MODEL_WINDOWS: WindowConfig = WindowConfig { max_ms: 9_000, long_ms: 6_000, pause_ms: 300 };

/// How to run a whisper.cpp model.
#[derive(Debug, Clone)]
pub struct WhisperOptions {
    /// The model file.
    pub model: PathBuf,
    /// Windows decoded at once.
    pub workers: NonZeroUsize,
    /// Threads inside one decode: 1 for throughput, more for a large model's latency.
    pub threads_per_decode: u16,
    /// How segments are divided; `None` for what suits the model. No window is longer than nine tenths of what it holds.
    pub windows: Option<WindowConfig>,
    /// How to start the child process in which a model that is not known byte for byte is tried first.
    pub probe: ProbeCommand,
}

impl WhisperOptions {
    /// `model` on `workers` workers of one thread each.
    #[must_use]
    pub const fn new(model: PathBuf, workers: NonZeroUsize, probe: ProbeCommand) -> Self {
        Self { model, workers, threads_per_decode: 1, windows: None, probe }
    }
}

/// Why a model was not taken into service. No session may be accepted then.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file is not whole, or no model.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The file looks whole, but a child process that used it did not come back well.
    #[error("the model failed its trial in a child process: {0}; choose another model file")]
    Trial(String),
    /// whisper.cpp refused the model, or failed with it.
    #[error("whisper.cpp cannot run the model: {0}; choose another model file")]
    Engine(String),
    /// The model says no word, or not what it must, to the bundled recording.
    #[error("the model transcribes the bundled recording as {heard:?}, expected {expected}; choose another model file")]
    Speech {
        /// What it said.
        heard: String,
        /// What it had to say.
        expected: String,
    },
    /// The system gave no thread.
    #[error("cannot start the worker threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Checks the file, tries an unknown one in a child process, loads it, and has it transcribe the bundled recording.
///
/// Blocking; 0.3 s for the fixture model. What this does not prove is that the model recognises well.
///
/// # Errors
/// [`ModelError`], with one clear message; nothing is left running.
pub fn load(options: &WhisperOptions) -> Result<Recognizer, ModelError> {
    let checked = check(&options.model)?;
    if checked.known.is_none() {
        run_probe(&options.probe, &options.model).map_err(ModelError::Trial)?;
    }
    let model = Arc::new(load_checked(options, &checked)?);
    let mut first = model.worker().map_err(|error| ModelError::Engine(error.to_string()))?;
    try_out(&mut first, &checked)?;
    let windows = windows(&checked, options.windows);
    let step_ms = measure_step_ms(&mut first, windows.max_ms)?;

    let pool = Pool::start(options.workers, &factory(model))?;
    let (languages, detects_language) = languages(&checked);
    let info = EngineInfo {
        engine: "whisper".to_owned(),
        model: model_name(options),
        languages,
        detects_language,
        windows,
        step_ms,
        workers: options.workers.get(),
    };
    Ok(Recognizer::new(info, Arc::new(pool)))
}

pub(super) fn load_checked(options: &WhisperOptions, checked: &CheckedModel) -> Result<WhisperModel, ModelError> {
    WhisperModel::load(&options.model, checked.header.n_audio_ctx, options.threads_per_decode.max(1))
        .map_err(|error| ModelError::Engine(error.to_string()))
}

/// What the model says to the bundled recording; refused when that is no word, or a known model says something else.
pub(super) fn try_out(worker: &mut WhisperWorker, checked: &CheckedModel) -> Result<String, ModelError> {
    let samples = read_wav(PROBE_WAV).map_err(|error| ModelError::Engine(error.to_string()))?;
    let heard = decode(worker, samples)?;
    let right = match checked.known {
        Some(known) => heard == known.probe_text,
        // A model whose weights are broken is fond of one sign over and over.
        None => heard.chars().any(char::is_alphanumeric),
    };
    if right {
        return Ok(heard);
    }
    let expected = checked.known.map_or_else(|| "words".to_owned(), |known| format!("{:?}", known.probe_text));
    Err(ModelError::Speech { heard, expected })
}

/// The longest step: a window of the greatest length, the recording over and over.
fn measure_step_ms(worker: &mut WhisperWorker, max_window_ms: u64) -> Result<u64, ModelError> {
    let recording = read_wav(PROBE_WAV).map_err(|error| ModelError::Engine(error.to_string()))?;
    let samples = recording.into_iter().cycle().take(ms_to_samples(max_window_ms) as usize).collect();
    let started = Instant::now();
    decode(worker, samples)?;
    Ok(started.elapsed().as_millis() as u64)
}

fn decode(worker: &mut WhisperWorker, samples: Vec<i16>) -> Result<String, ModelError> {
    let request = DecodeRequest { samples, speech_start: 0, language: None, interim: false };
    let decoded = worker.decode(&request, &JobControl::detached());
    decoded.map(|decoded| decoded.text()).map_err(|error| ModelError::Engine(error.to_string()))
}

fn factory(model: Arc<WhisperModel>) -> StateFactory {
    Arc::new(move || -> Result<Box<dyn DecodeState>, EngineError> { Ok(Box::new(model.worker()?)) })
}

fn windows(checked: &CheckedModel, wanted: Option<WindowConfig>) -> WindowConfig {
    let suitable = if checked.header.n_audio_ctx >= FULL_CONTEXT { FULL_MODEL_WINDOWS } else { FIXTURE_WINDOWS };
    let wanted = wanted.unwrap_or(suitable);
    let held_ms = u64::from(checked.header.n_audio_ctx) * 20;
    // What lies beyond is skipped in silence: keep well inside.
    WindowConfig { max_ms: wanted.max_ms.clamp(LEAST_WINDOW_MS, (held_ms * 9 / 10).max(LEAST_WINDOW_MS)), ..wanted }
}

fn languages(checked: &CheckedModel) -> (Vec<String>, bool) {
    if !checked.is_multilingual() {
        return (vec!["en".to_owned()], false);
    }
    let served = (0..=whisper_rs::get_lang_max_id()).filter_map(whisper_rs::get_lang_str).map(str::to_owned).collect();
    (served, true)
}

fn model_name(options: &WhisperOptions) -> String {
    options.model.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
