//! The speech engine as a session sees it. Owns: what goes in (samples, flushes, the end), what comes out
//! ([`EngineEvent`]), and the seam ([`Decoder`]) between streaming, which all engines share, and decoding one segment.
//! Must not know: sockets, JSON, protocol states, wire names.
//!
//! The parts: [`endpoint`] cuts audio into segments and windows, [`stream`] drives one session over it, [`batch`] a whole
//! recording; [`scripted`] and [`whisper`] decode windows, and `assemble` makes results of them; [`pool`] bounds what decodes at once; [`model_file`] and [`whisper`]'s
//! loader keep a broken model away from whisper.cpp.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

mod assemble;
pub mod batch;
pub mod endpoint;
pub mod model_file;
pub mod pool;
pub mod scripted;
pub mod stream;
pub mod wer;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use batch::{BatchOptions, Transcript};
pub use endpoint::{EndpointConfig, EndpointMode, WindowConfig};
pub use stream::{AudioInput, Backlog, EngineEvents};

/// What suits the fixture model: it was mostly trained on shorter audio than its window holds.
pub(crate) const FIXTURE_WINDOWS: WindowConfig = WindowConfig { max_ms: 9_000, long_ms: 1_000, pause_ms: 200 };

/// What an engine is and can do; fixed once it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `whisper` or `scripted`.
    pub engine: String,
    /// The name of the model, for instance the file name without its ending.
    pub model: String,
    /// The languages it serves, as ISO 639-1 codes. Never empty.
    pub languages: Vec<String>,
    /// Whether it finds out the language itself when none is asked for.
    pub detects_language: bool,
    /// How a segment is divided into windows to be decoded.
    pub windows: WindowConfig,
    /// How long a window of the greatest length took to decode when the engine was loaded, in milliseconds: a server
    /// advertises no step bound near it. Load and other machines make it longer.
    pub step_ms: u64,
    /// How many windows are decoded at once, over all streams.
    pub workers: usize,
}

/// What one stream asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamOptions {
    /// ISO 639-1 code, or the engine's own choice.
    pub language: Option<String>,
    /// Whether [`EngineEvent::Partial`] is wanted.
    pub interim_results: bool,
    /// Whether results carry words.
    pub words: bool,
    /// How the audio is cut.
    pub endpointing: EndpointConfig,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { language: None, interim_results: true, words: false, endpointing: EndpointConfig::default() }
    }
}

/// One word of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word, without white space around it.
    pub text: String,
    /// Its start, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// Its end, on the same clock.
    pub end_ms: u64,
    /// The probability that the engine gives it, 0 to 1.
    pub confidence: Option<f64>,
    /// Whether the times are guessed from the length of the words rather than found in the audio.
    pub estimated: bool,
}

/// What was heard in one segment. `0 <= start_ms <= end_ms <=` audio received.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The number of the segment: from 0, rising by one.
    pub segment: u64,
    /// The text, without white space around it. Empty only in a final.
    pub text: String,
    /// Where the speech of the segment starts, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// The probability that the engine gives the text, 0 to 1.
    pub confidence: Option<f64>,
    /// The words, if they were asked for; otherwise empty.
    pub words: Vec<Word>,
    /// The language of the text, where the engine knows it.
    pub language: Option<String>,
}

/// What an engine tells about one stream.
///
/// Order: for each segment `SpeechStarted`, any number of `Partial`, `SpeechEnded`, one `Final`; finals in the order of
/// their segments. The events of a segment may come before the final of the one before it. Exactly one of `Drained` and
/// `Failed` comes, and nothing after it.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// Speech began.
    SpeechStarted {
        /// Where, in milliseconds from the first sample.
        start_ms: u64,
    },
    /// Speech ended; the final of this segment follows.
    SpeechEnded {
        /// Where, in milliseconds from the first sample.
        end_ms: u64,
    },
    /// What the open segment sounds like so far. May be left out, and may be contradicted by a later one.
    Partial(Box<Hypothesis>),
    /// What a segment is. Exactly one for each.
    Final(Box<Hypothesis>),
    /// The engine did a piece of work. Comes from that work alone, never from a clock.
    Progress {
        /// All audio before this is decoded or holds no speech, in milliseconds. Never falls.
        audio_processed_ms: u64,
    },
    /// The finals of all audio before this flush have come.
    Flushed {
        /// What [`AudioInput::flush`] was given.
        token: u64,
    },
    /// All audio is final; the answer to [`AudioInput::finish`].
    Drained {
        /// All of it, in milliseconds.
        audio_processed_ms: u64,
    },
    /// The engine cannot go on with this stream. The segments that have no final yet are lost.
    Failed {
        /// What went wrong, fit for a client: no path, no stack trace.
        message: String,
    },
}

/// Why an engine refused or gave up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The caller's fault: the model does not serve this language.
    #[error("the model {model} does not serve the language {language:?}; it serves {}", .served.join(", "))]
    UnsupportedLanguage {
        /// What was asked for.
        language: String,
        /// The model.
        model: String,
        /// What it serves.
        served: Vec<String>,
    },
    /// The engine's fault: decoding failed. Other streams are not touched.
    #[error("the speech engine failed: {0}")]
    Decode(String),
    /// The engine is being taken down.
    #[error("the speech engine is shutting down")]
    ShutDown,
}

/// Told at each piece of work that is done for a request, from whatever thread does it. Must return at once.
pub type Tick = Arc<dyn Fn() + Send + Sync>;

/// One window of audio to be decoded, at most [`WindowConfig::max_ms`] long.
#[derive(Debug, Clone)]
pub struct DecodeRequest {
    /// 16 kHz mono samples.
    pub samples: Vec<i16>,
    /// Where the speech starts in `samples`.
    pub speech_start: usize,
    /// ISO 639-1 code, one of [`EngineInfo::languages`], or the engine's own choice.
    pub language: Option<String>,
    /// Whether the audio goes on after `samples`.
    pub interim: bool,
}

/// One decoded word.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedWord {
    /// The word, without white space around it.
    pub text: String,
    /// Its probability, 0 to 1.
    pub confidence: Option<f64>,
    /// Where it is in the samples, if the engine knows.
    pub span: Option<std::ops::Range<usize>>,
}

/// What was heard in one window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The words in order; their texts joined by one space are the text.
    pub words: Vec<DecodedWord>,
    /// The probability of the whole, 0 to 1; none for an empty text.
    pub confidence: Option<f64>,
    /// The language, where the engine knows it.
    pub language: Option<String>,
}

impl Decoded {
    /// The text, without white space around it.
    #[must_use]
    pub fn text(&self) -> String {
        self.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// A decode under way. Dropping it cancels it.
pub type DecodeFuture = Pin<Box<dyn Future<Output = Result<Decoded, EngineError>> + Send>>;

/// Decodes one window at a time. What [`Recognizer`] needs of an engine; the seam for engines that misbehave on purpose.
pub trait Decoder: Send + Sync + 'static {
    /// Starts to decode; takes its turn in a fair queue. `tick` is called as the work goes on.
    fn decode(&self, request: DecodeRequest, tick: Tick) -> DecodeFuture;

    /// Starts to decode only if nothing else has to wait for it.
    fn decode_if_idle(&self, request: DecodeRequest, tick: Tick) -> Option<DecodeFuture>;
}

/// A speech engine, shared by all sessions of a server. Cheap to clone.
#[derive(Clone)]
pub struct Recognizer {
    info: Arc<EngineInfo>,
    decoder: Arc<dyn Decoder>,
}

impl Recognizer {
    /// An engine over `decoder`.
    #[must_use]
    pub fn new(info: EngineInfo, decoder: Arc<dyn Decoder>) -> Self {
        Self { info: Arc::new(info), decoder }
    }

    /// What it is and can do.
    #[must_use]
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Whether this language is served; `None` always is.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedLanguage`].
    pub fn check_language(&self, language: Option<&str>) -> Result<(), EngineError> {
        match language {
            Some(language) if !self.info.languages.iter().any(|served| served == language) => {
                Err(EngineError::UnsupportedLanguage {
                    language: language.to_owned(),
                    model: self.info.model.clone(),
                    served: self.info.languages.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Opens a stream: a task on the current tokio runtime, the end to give it audio by and the end to hear from it by.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedLanguage`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(&self, options: StreamOptions) -> Result<(AudioInput, EngineEvents), EngineError> {
        self.check_language(options.language.as_deref())?;
        Ok(stream::open(&self.info, Arc::clone(&self.decoder), options))
    }

    /// Transcribes a whole recording of 16 kHz mono samples, segment by segment, on the same workers as the streams.
    ///
    /// # Errors
    /// [`EngineError`]; nothing of the recording is returned then. Dropping the future cancels the work.
    pub async fn transcribe(&self, samples: &[i16], options: &BatchOptions) -> Result<Transcript, EngineError> {
        self.check_language(options.language.as_deref())?;
        batch::transcribe(&self.info, self.decoder.as_ref(), samples, options).await
    }
}

impl std::fmt::Debug for Recognizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recognizer").field("info", &self.info).finish_non_exhaustive()
    }
}
