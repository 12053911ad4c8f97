//! `POST /v1/audio/transcriptions`, as clients of OpenAI's interface know it. Owns: the shapes of its requests and answers.
//! Must not know: sessions, how audio becomes text.
//!
//! What is served is what this server knows: `file` (WAV, 16-bit PCM), `model`, `language`, `response_format` (`json`,
//! `verbose_json`, `text`) and `timestamp_granularities[]`. `temperature` and `prompt` are taken and have no effect: this engine
//! does not sample, and each window is heard by itself. In `verbose_json` a segment has no `no_speech_prob` and no
//! `compression_ratio`: the engine does not say.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde_json::json;

use crate::audio::read_wav;
use crate::recognizer::{BatchOptions, EngineError, Transcript};
use crate::server::App;
use crate::ws::upgrade::{Credentials, credentials};

/// The field of the form that holds the recording.
const FILE: &str = "file";
/// The name by which clients of OpenAI's interface ask for whatever transcribes.
const USUAL_MODEL: &str = "whisper-1";
pub(crate) const RETRY_AFTER_S: u64 = 2;

/// An error in the shape that those clients read.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Refusal {
    fn bad(param: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), param: Some(param), code: None }
    }

    fn busy(message: &str) -> Self {
        let message = message.to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message, param: None, code: Some("overloaded") }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.message, "type": kind, "param": self.param, "code": self.code});
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}

/// The fields of a request.
#[derive(Debug, Default)]
pub(crate) struct Form {
    file: Option<Vec<u8>>,
    model: Option<String>,
    language: Option<String>,
    response_format: Option<String>,
    words: bool,
    segments: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    VerboseJson,
    Text,
}

/// `POST /v1/audio/transcriptions`.
pub(crate) async fn transcribe(State(app): State<Arc<App>>, request: Request) -> Response {
    match answer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(app: &App, request: Request) -> Result<Response, Refusal> {
    let (form, transcript) = hear(app, request, FILE).await?;
    Ok(match form.format()? {
        Format::Json => Json(json!({ "text": transcript.text })).into_response(),
        Format::Text => format!("{}\n", transcript.text).into_response(),
        Format::VerboseJson => Json(Verbose::new(transcript, form.words, form.segments || !form.words)).into_response(),
    })
}

/// Reads a request whose recording is in this field, and has it transcribed. Everything that can be refused is refused before the work
/// begins.
pub(crate) async fn hear(app: &App, request: Request, field: &str) -> Result<(Form, Transcript), Refusal> {
    if credentials(request.headers(), app.token.as_ref()) != Credentials::Good {
        let message = "no valid credentials: send them as `Authorization: Bearer TOKEN`".to_owned();
        return Err(Refusal { status: StatusCode::UNAUTHORIZED, message, param: None, code: Some("invalid_api_key") });
    }
    let _place = app.transcriptions.try_acquire().map_err(|_| Refusal::busy("too many transcriptions at once"))?;
    let mut form = read_form(request, field).await?;
    form.format()?;
    let options = form.options(app)?;
    let file = form
        .file
        .take()
        .ok_or_else(|| Refusal::bad("file", format!("the field `{field}` is missing: send a WAV file")))?;
    // Resampling an hour of audio takes long enough to hold others up.
    let samples = tokio::task::spawn_blocking(move || read_wav(&file)).await;
    let samples = samples
        .map_err(|_panic| failed("reading the file failed"))?
        .map_err(|error| Refusal::bad("file", error.to_string()))?;
    let transcript = app.recognizer.transcribe(&samples, &options).await.map_err(|error| engine_refusal(&error))?;
    Ok((form, transcript))
}

async fn read_form(request: Request, file_field: &str) -> Result<Form, Refusal> {
    let not_a_form = |rejection: MultipartRejection| {
        let message = format!("send multipart/form-data with a field `{file_field}`: {rejection}");
        Refusal { status: StatusCode::BAD_REQUEST, message, param: None, code: None }
    };
    let mut multipart = Multipart::from_request(request, &()).await.map_err(not_a_form)?;
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(|error| unreadable(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == file_field {
            form.file = Some(field.bytes().await.map_err(|error| unreadable(&error))?.to_vec());
            continue;
        }
        let value = field.text().await.map_err(|error| unreadable(&error))?;
        match name.as_str() {
            "model" => form.model = Some(value),
            "language" => form.language = Some(value).filter(|language| !language.is_empty()),
            "response_format" => form.response_format = Some(value),
            "timestamp_granularities[]" | "timestamp_granularities" => match value.as_str() {
                "word" => form.words = true,
                "segment" => form.segments = true,
                _ => return Err(Refusal::bad("timestamp_granularities", "choose `word`, `segment` or both")),
            },
            // `temperature`, `prompt`, and what other servers serve.
            _ => {}
        }
    }
    Ok(form)
}

impl Form {
    fn format(&self) -> Result<Format, Refusal> {
        match self.response_format.as_deref() {
            None | Some("json") => Ok(Format::Json),
            Some("verbose_json") => Ok(Format::VerboseJson),
            Some("text") => Ok(Format::Text),
            Some(_) => Err(Refusal::bad("response_format", "choose `json`, `verbose_json` or `text`")),
        }
    }

    fn options(&self, app: &App) -> Result<BatchOptions, Refusal> {
        let info = app.recognizer.info();
        if let Some(model) = self.model.as_deref().filter(|model| ![USUAL_MODEL, &info.model].contains(model)) {
            let message =
                format!("there is no model {model:?} here; there is {:?}, also as {USUAL_MODEL:?}", info.model);
            let status = StatusCode::NOT_FOUND;
            return Err(Refusal { status, message, param: Some("model"), code: Some("model_not_found") });
        }
        let options = BatchOptions { language: self.language.clone(), words: self.words };
        app.recognizer.check_language(options.language.as_deref()).map_err(|error| engine_refusal(&error))?;
        Ok(options)
    }
}

fn unreadable(error: &MultipartError) -> Refusal {
    Refusal { status: error.status(), message: error.body_text(), param: None, code: None }
}

fn engine_refusal(error: &EngineError) -> Refusal {
    match error {
        EngineError::UnsupportedLanguage { .. } => Refusal::bad("language", error.to_string()),
        EngineError::Decode(_) => failed(&error.to_string()),
        EngineError::ShutDown => Refusal::busy(&error.to_string()),
    }
}

fn failed(message: &str) -> Refusal {
    Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.to_owned(), param: None, code: None }
}

/// The answer in `verbose_json`.
#[derive(Debug, Serialize)]
struct Verbose {
    task: &'static str,
    language: Option<String>,
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<VerboseSegment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<VerboseWord>>,
}

#[derive(Debug, Serialize)]
struct VerboseSegment {
    id: u64,
    seek: u64,
    start: f64,
    end: f64,
    text: String,
    tokens: [u32; 0],
    temperature: f64,
    avg_logprob: Option<f64>,
}

#[derive(Debug, Serialize)]
struct VerboseWord {
    word: String,
    start: f64,
    end: f64,
}

impl Verbose {
    fn new(transcript: Transcript, with_words: bool, with_segments: bool) -> Self {
        let words = transcript.segments.iter().flat_map(|segment| &segment.words);
        let words = words.map(|word| VerboseWord {
            word: word.text.clone(),
            start: seconds(word.start_ms),
            end: seconds(word.end_ms),
        });
        let words = with_words.then(|| words.collect());
        let segments = transcript.segments.into_iter().map(|segment| VerboseSegment {
            id: segment.segment,
            seek: 0,
            start: seconds(segment.start_ms),
            end: seconds(segment.end_ms),
            text: segment.text,
            tokens: [],
            temperature: 0.0,
            avg_logprob: segment.confidence.map(f64::ln),
        });
        let segments = with_segments.then(|| segments.collect());
        let duration = seconds(transcript.duration_ms);
        Self { task: "transcribe", language: transcript.language, duration, text: transcript.text, segments, words }
    }
}

pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
