//! `POST /transcribe`, as the clients of a small self-hosted service on FastAPI know it. Owns: the shapes of its answers.
//! Must not know: sessions, how audio becomes text, how a request is read.
//!
//! The request is a form with `file` (WAV, 16-bit PCM) and perhaps `language`. The answer is `text`, `segments` (`start` and `end`
//! in seconds, `text`, and `confidence` as a log probability), `language` and `duration` in seconds; a refusal is `detail`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde_json::json;

use crate::rest::{RETRY_AFTER_S, Refusal, hear, seconds};
use crate::server::App;

/// The dialect whose service this belongs to.
pub(crate) const DIALECT: &str = "whisper-fastapi";

#[derive(Debug, Serialize)]
struct Answer {
    text: String,
    segments: Vec<Segment>,
    language: Option<String>,
    duration: f64,
}

#[derive(Debug, Serialize)]
struct Segment {
    text: String,
    start: f64,
    end: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

/// `POST /transcribe`.
pub(crate) async fn transcribe(State(app): State<Arc<App>>, request: Request) -> Response {
    match hear(&app, request).await {
        Ok((_, heard)) => {
            let segments = heard.segments.into_iter().map(|segment| Segment {
                text: segment.text,
                start: seconds(segment.start_ms),
                end: seconds(segment.end_ms),
                confidence: segment.confidence.map(f64::ln),
            });
            let duration = seconds(heard.duration_ms);
            Json(Answer { text: heard.text, segments: segments.collect(), language: heard.language, duration })
                .into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let mut response = (refusal.status, Json(json!({ "detail": refusal.message }))).into_response();
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    }
    response
}
