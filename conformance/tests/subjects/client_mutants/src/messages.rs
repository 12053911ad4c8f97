//! Owns the form of the messages: those that are sent, and how those of the server are told apart.

use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::options::Options;

/// The bounds of a session, as `ready` announces them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle_timeout_ms: u64,
    pub(crate) keepalive_interval_ms: u64,
    pub(crate) flush_ms: u64,
    pub(crate) drain_ms: u64,
    pub(crate) close_ms: u64,
    pub(crate) max_frame_bytes: u64,
}

impl Limits {
    /// What holds before `ready`, and where it says nothing.
    pub(crate) const USUAL: Self = Self {
        idle_timeout_ms: 30_000,
        keepalive_interval_ms: 10_000,
        flush_ms: 5_000,
        drain_ms: 15_000,
        close_ms: 2_000,
        max_frame_bytes: 64_000,
    };

    pub(crate) fn of(ready: &Map<String, Value>) -> Self {
        let number =
            |name: &str, usual: u64| ready.get("limits").and_then(|limits| limits[name].as_u64()).unwrap_or(usual);
        let usual = Self::USUAL;
        Self {
            idle_timeout_ms: number("idle_timeout_ms", usual.idle_timeout_ms),
            keepalive_interval_ms: number("keepalive_interval_ms", usual.keepalive_interval_ms),
            flush_ms: number("flush_ms", usual.flush_ms),
            drain_ms: number("drain_ms", usual.drain_ms),
            close_ms: number("close_ms", usual.close_ms),
            max_frame_bytes: number("max_frame_bytes", usual.max_frame_bytes),
        }
    }
}

pub(crate) fn config(options: &Options) -> String {
    if options.has(Fault::ConfigMalformed) {
        return json!({"type": "config", "interim_results": "yes"}).to_string();
    }
    let audio = json!({"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1});
    json!({"type": "config", "audio": audio, "interim_results": true}).to_string()
}

/// The message in a text of the server, if it is one.
pub(crate) fn read(text: &str, options: &Options) -> Option<(String, Map<String, Value>)> {
    if options.has(Fault::MatchesByBytes) && !text.starts_with("{\"") {
        return None;
    }
    let Ok(Value::Object(message)) = serde_json::from_str(text) else { return None };
    if options.has(Fault::StrictMembers) && message.keys().any(|name| name.starts_with("x_")) {
        return None;
    }
    if options.has(Fault::MatchesByBytes) {
        // It looks for the spelling that it knows.
        let known = |kind: &str| text.contains(&format!("\"type\":\"{kind}\""));
        let kind = message["type"].as_str().filter(|kind| known(kind))?.to_owned();
        return Some((kind, message));
    }
    let kind = message.get("type").and_then(Value::as_str)?.to_owned();
    Some((kind, message))
}

/// What the application is told of a partial or a final, its times moved by what was sent on earlier connections.
pub(crate) fn result(what: &str, message: &Map<String, Value>, offset_ms: u64) -> Value {
    let moved = |name: &str| message.get(name).and_then(Value::as_u64).map(|ms| ms + offset_ms);
    json!({
        "what": what, "segment_id": message.get("segment_id"), "text": message.get("text"),
        "start_ms": moved("start_ms"), "end_ms": moved("end_ms"),
    })
}

pub(crate) fn error(message: &Map<String, Value>) -> Value {
    json!({
        "what": "error", "code": message.get("code"), "text": message.get("message"),
        "fatal": message.get("fatal"), "retryable": message.get("retryable"),
    })
}
