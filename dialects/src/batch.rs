//! The request of a service for a whole recording: where it is made, and how it is answered. Owns the answers' shapes; it reads no
//! request and knows no audio.

use serde_json::{Value, json};

use crate::session::{Seed, Session};
use crate::template::{Json, Scope, Values};

/// How a service is asked for the transcript of a whole recording: a POST of a form with a WAV file in it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) path: String,
    pub(crate) file: String,
    pub(crate) json: Json,
    pub(crate) segment: Json,
    pub(crate) refusal: Json,
    pub(crate) values: Values,
}

/// The transcript of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchTranscript {
    /// All of it.
    pub text: String,
    /// The language, where it is known.
    pub language: Option<String>,
    /// How long the recording is, in milliseconds.
    pub duration_ms: u64,
    /// Its parts, in their order.
    pub segments: Vec<BatchSegment>,
}

/// A part of a transcript.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchSegment {
    /// What was said.
    pub text: String,
    /// Where it begins, in milliseconds of the recording.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// How sure the recognizer is, from 0 to 1, where it says so.
    pub confidence: Option<f64>,
}

impl Batch {
    /// The path of the request.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The field of the form that holds the recording.
    #[must_use]
    pub fn file_field(&self) -> &str {
        &self.file
    }

    /// The body of a good answer.
    #[must_use]
    pub fn answer(&self, transcript: &BatchTranscript) -> Value {
        let segments = transcript.segments.iter().map(|one| {
            let BatchSegment { text, start_ms, end_ms, confidence } = one;
            let message = json!({
                "text": text, "start_ms": start_ms, "end_ms": end_ms, "duration_ms": end_ms.saturating_sub(*start_ms),
                "confidence": confidence,
            });
            self.fill(&self.segment, &message)
        });
        let BatchTranscript { text, language, duration_ms, .. } = transcript;
        let segments: Vec<Value> = segments.collect();
        let message = json!({ "text": text, "language": language, "duration_ms": duration_ms, "segments": segments });
        self.fill(&self.json, &message)
    }

    /// The body of an answer that refuses the request.
    #[must_use]
    pub fn refusal(&self, message: &str) -> Value {
        self.fill(&self.refusal, &json!({ "message": message }))
    }

    fn fill(&self, template: &Json, message: &Value) -> Value {
        // There is no session.
        let session = Session::new(Seed::default(), None);
        template.fill(&Scope { message, session: &session, values: &self.values }).unwrap_or(Value::Null)
    }
}
