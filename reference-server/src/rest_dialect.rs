//! The request for a whole recording in the words of another service, as its dialect's `[batch]` has them. Owns the route's conduct.
//! Must not know: sessions, how audio becomes text, how a request is read, what any service calls anything.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use lastword_dialects::{Batch, BatchSegment, BatchTranscript};

use crate::rest::{RETRY_AFTER_S, Refusal, hear};
use crate::server::App;

/// Answers a request for the transcript of a recording.
pub(crate) async fn transcribe(batch: &Batch, app: &App, request: Request) -> Response {
    match hear(app, request, batch.file_field()).await {
        Ok((_, heard)) => {
            let segments = heard.segments.into_iter().map(|segment| BatchSegment {
                text: segment.text,
                start_ms: segment.start_ms,
                end_ms: segment.end_ms,
                confidence: segment.confidence,
            });
            let transcript = BatchTranscript {
                text: heard.text,
                language: heard.language,
                duration_ms: heard.duration_ms,
                segments: segments.collect(),
            };
            Json(batch.answer(&transcript)).into_response()
        }
        Err(refusal) => refused(batch, &refusal),
    }
}

fn refused(batch: &Batch, refusal: &Refusal) -> Response {
    let mut response = (refusal.status, Json(batch.refusal(&refusal.message))).into_response();
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    }
    response
}
