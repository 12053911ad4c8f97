//! A recognizer behind a session. Owns: the translation between the words of the two. Must not know: sockets, when anything is
//! due.

use core::time::Duration;

use lastword_session::{ApiMisuse, EngineResult, Refusal, ServerSession};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{Capabilities, EffectiveConfig, Encoding, EndpointingMode, Probability, Word};

use crate::recognizer::{
    AudioInput, Backlog, EndpointConfig, EndpointMode, EngineError, EngineEvent, EngineEvents, EngineInfo, Hypothesis,
    Recognizer, StreamOptions,
};

/// What a server with this engine can do.
pub(crate) fn capabilities(info: &EngineInfo) -> Capabilities {
    Capabilities {
        encodings: Some(vec![Encoding::PCM_S16LE]),
        sample_rates_hz: Some(vec![crate::audio::SAMPLE_RATE_HZ]),
        max_channels: Some(1),
        languages: Some(info.languages.clone()),
        models: Some(vec![info.model.clone()]),
        words: Some(true),
        vad_events: Some(true),
        update: Some(false),
    }
}

/// The stream of one session.
pub(super) struct Engine {
    /// `None` once the audio has ended.
    input: Option<AudioInput>,
    events: EngineEvents,
    backlog: Backlog,
}

impl Engine {
    /// Opens a stream for a session, and says what is in force in it.
    pub(super) fn open(
        recognizer: &Recognizer,
        mut config: EffectiveConfig,
    ) -> Result<(Self, EffectiveConfig), Refusal> {
        let info = recognizer.info();
        config.model = Some(info.model.clone());
        let (input, events) = recognizer.open(options(&config)).map_err(|error| refusal(&error))?;
        let backlog = input.backlog();
        Ok((Self { input: Some(input), events, backlog }, config))
    }

    /// Hands over whole samples as they stand on the wire.
    pub(super) fn push(&self, bytes: &[u8]) {
        if let Some(input) = &self.input {
            let samples = bytes.as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect();
            input.push(samples);
        }
    }

    pub(super) fn flush(&self, token: u64) {
        if let Some(input) = &self.input {
            input.flush(token);
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(input) = self.input.take() {
            input.finish();
        }
    }

    /// The next event; for ever none once the stream is over. Safe to cancel.
    pub(super) async fn next(&mut self) -> EngineEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}

/// Tells a session what its engine told.
pub(super) fn tell(session: &mut ServerSession, now: Duration, event: EngineEvent) -> Result<(), ApiMisuse> {
    // One channel is served.
    const CHANNEL: u32 = 0;
    match event {
        EngineEvent::SpeechStarted { start_ms } => session.engine_speech_started(now, CHANNEL, start_ms),
        EngineEvent::SpeechEnded { end_ms } => session.engine_speech_ended(now, CHANNEL, end_ms),
        EngineEvent::Partial(heard) => session.engine_partial(now, result(*heard)),
        EngineEvent::Final(heard) => session.engine_final(now, result(*heard)),
        EngineEvent::Progress { audio_processed_ms } => session.engine_progress(now, audio_processed_ms),
        EngineEvent::Flushed { token } => session.engine_flushed(now, token),
        EngineEvent::Drained { audio_processed_ms } => session.engine_drained(now, audio_processed_ms),
        EngineEvent::Failed { message } => session.engine_failed(now, message),
    }
}

fn options(config: &EffectiveConfig) -> StreamOptions {
    let endpointing = &config.endpointing;
    let mode = if endpointing.mode == EndpointingMode::NONE { EndpointMode::None } else { EndpointMode::Vad };
    StreamOptions {
        language: config.language.as_deref().map(primary_subtag),
        interim_results: config.interim_results,
        words: config.words,
        endpointing: EndpointConfig {
            mode,
            silence_ms: endpointing.silence_ms,
            max_segment_ms: endpointing.max_segment_ms,
            ..EndpointConfig::default()
        },
    }
}

/// Engines know languages, not their varieties.
fn primary_subtag(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

fn refusal(error: &EngineError) -> Refusal {
    let (code, param) = match error {
        EngineError::UnsupportedLanguage { .. } => (ErrorCode::UNSUPPORTED_OPTION, Some("language".to_owned())),
        EngineError::Decode(_) => (ErrorCode::INTERNAL, None),
        EngineError::ShutDown => (ErrorCode::GOING_AWAY, None),
    };
    Refusal { code, message: error.to_string(), param, retry_after_ms: None }
}

fn result(heard: Hypothesis) -> EngineResult {
    let words = heard.words.into_iter().map(|word| Word {
        text: word.text,
        start_ms: word.start_ms,
        end_ms: word.end_ms,
        confidence: word.confidence.and_then(Probability::new),
    });
    EngineResult {
        segment: heard.segment,
        channel: 0,
        words: Some(words.collect()),
        text: heard.text,
        start_ms: heard.start_ms,
        end_ms: heard.end_ms,
        confidence: heard.confidence.and_then(Probability::new),
        language: heard.language,
        speaker: None,
    }
}
