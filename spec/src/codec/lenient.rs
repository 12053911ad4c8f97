//! Reading a `ready` that breaks the rule of completeness, so that a session with such a server can still be judged.
//! Owns what stands in for a missing member; the judge decides what its absence means.

use serde_json::{Map, Value, json};

use super::{DecodeError, body, scan_for_type};
use crate::limits::Limits;
use crate::message::{EffectiveConfig, Ready};

/// A `ready` in which every missing member of `config` and `limits` has its default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LenientReady {
    /// The message, completed.
    pub ready: Ready,
    /// Dotted paths of the members that were missing or `null`, such as `limits.close_ms`, sorted. A
    /// missing object stands for its members. Empty for a `ready` that the strict codec takes.
    pub missing: Vec<String>,
}

/// Reads a `ready` in spite of missing members of `config` and `limits`; the default then applies.
///
/// # Errors
/// The text is no `ready` even so: another message, or a member has a wrong type or value. The server's fault.
pub fn decode_ready_lenient(text: &str, max_text_bytes: u64) -> Result<LenientReady, DecodeError> {
    scan_for_type(text, max_text_bytes)?;
    let mut missing = Vec::new();
    let completed = match serde_json::from_str(text) {
        Ok(Value::Object(mut ready)) if ready.get("type") == Some(&Value::from("ready")) => {
            complete(&mut ready, "config", config_defaults(), &mut missing);
            complete(&mut ready, "limits", json!(Limits::DEFAULT), &mut missing);
            Value::Object(ready).to_string()
        }
        _ => text.to_owned(),
    };
    missing.sort();
    let ready = body("ready", &completed)?;
    Ok(LenientReady { ready, missing })
}

/// The members of `ready.config` that must be there.
fn config_defaults() -> Value {
    json!(EffectiveConfig::default())
}

/// Fills what `defaults` has and `parent.member` lacks, down to the leaves.
fn complete(parent: &mut Map<String, Value>, member: &str, default: Value, missing: &mut Vec<String>) {
    fill(parent.entry(member).or_insert(Value::Null), default, member, missing);
}

fn fill(value: &mut Value, default: Value, path: &str, missing: &mut Vec<String>) {
    match (value, default) {
        (Value::Object(members), Value::Object(defaults)) => {
            for (name, default) in defaults {
                fill(members.entry(&name).or_insert(Value::Null), default, &format!("{path}.{name}"), missing);
            }
        }
        (value @ Value::Null, default) => {
            note_leaves(&default, path, missing);
            *value = default;
        }
        _ => {}
    }
}

fn note_leaves(default: &Value, path: &str, missing: &mut Vec<String>) {
    match default {
        Value::Object(members) => {
            for (name, member) in members {
                note_leaves(member, &format!("{path}.{name}"), missing);
            }
        }
        _ => missing.push(path.to_owned()),
    }
}
