//! Why a text is no message: kind, path, clause, and a sentence for the person who sent it. Knows serde's wording, which
//! it turns into JSON's; it never repeats a string of the peer's, for that may be a secret.

use serde::de::DeserializeOwned;

use crate::clause;
use crate::ijson::{IjsonError, IjsonErrorKind, MAX_DEPTH, MAX_INTEGER};
use crate::registry::RequirementId;

/// Why a text is no control message of its sender. Always the sender's fault.
///
/// Displayed as one line: what is wrong, where, and by which clause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}{detail} [{clause}]", self.place())]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The member at fault as a dotted path, such as `audio.sample_rate_hz` or `words[2].text`; empty for the message
    /// itself. It is what `error.param` carries.
    pub path: String,
    /// The `type` of the message, where it was a known one.
    pub message_type: Option<String>,
    /// What is wrong and what would be right, in words. Holds no string that the peer sent.
    pub detail: String,
    /// The requirement that the message breaks.
    pub clause: RequirementId,
}

/// The ways in which a text can fail to be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// Longer than the limit.
    TooLong,
    /// Not JSON.
    NotJson,
    /// JSON, but no object.
    NotObject,
    /// A key twice in one object.
    DuplicateKey,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A number out of the range of I-JSON.
    NumberRange,
    /// Half a surrogate pair in a string.
    LoneSurrogate,
    /// No member `type`.
    MissingType,
    /// `type` is no string.
    TypeNotString,
    /// A required member is missing.
    MissingMember,
    /// A member has another JSON type than the table says.
    WrongType,
    /// An integer written with a fraction or an exponent, such as `1.0`.
    IntegerForm,
    /// A member has the right type and an impossible value.
    BadValue,
}

impl DecodeError {
    pub(super) fn too_long(length: usize, max_text_bytes: u64) -> Self {
        let detail = format!("the message has {length} bytes, and {max_text_bytes} is the limit");
        Self::whole(DecodeErrorKind::TooLong, detail)
    }

    pub(super) fn not_utf8(error: &std::str::Utf8Error) -> Self {
        Self::whole(DecodeErrorKind::NotUtf8, format!("not UTF-8 from byte {} on", error.valid_up_to()))
    }

    pub(super) fn type_missing() -> Self {
        Self::at(DecodeErrorKind::MissingType, "type", "is missing: every message says what it is".into())
    }

    pub(super) fn type_not_string() -> Self {
        Self::at(DecodeErrorKind::TypeNotString, "type", "must be a string".into())
    }

    pub(crate) fn not_ijson(error: IjsonError) -> Self {
        let at = error.offset_bytes;
        let (kind, what) = match error.kind {
            IjsonErrorKind::NotJson => (DecodeErrorKind::NotJson, "not JSON".to_owned()),
            IjsonErrorKind::NotObject => (DecodeErrorKind::NotObject, "a message is one JSON object".to_owned()),
            IjsonErrorKind::DuplicateKey => (DecodeErrorKind::DuplicateKey, "the key stands here twice".to_owned()),
            IjsonErrorKind::TooDeep => (DecodeErrorKind::TooDeep, format!("nested deeper than {MAX_DEPTH} levels")),
            IjsonErrorKind::NumberRange => {
                (DecodeErrorKind::NumberRange, format!("the number is beyond ±{MAX_INTEGER} or no double"))
            }
            IjsonErrorKind::LoneSurrogate => {
                (DecodeErrorKind::LoneSurrogate, "the string holds half a surrogate pair".to_owned())
            }
        };
        Self::at(kind, &error.path, format!("{what} (byte {at})"))
    }

    fn whole(kind: DecodeErrorKind, detail: String) -> Self {
        Self::at(kind, "", detail)
    }

    fn at(kind: DecodeErrorKind, path: &str, detail: String) -> Self {
        let clause = match kind {
            DecodeErrorKind::NotObject | DecodeErrorKind::MissingType | DecodeErrorKind::TypeNotString => {
                clause::MESSAGE_IS_OBJECT
            }
            _ => clause::MESSAGE_FORM,
        };
        Self { kind, path: path.to_owned(), message_type: None, detail, clause }
    }

    /// Where it is, as the beginning of a sentence.
    fn place(&self) -> String {
        match (&self.message_type, self.path.as_str()) {
            (None, "") => String::new(),
            (None, path) => format!("`{path}`: "),
            (Some(message_type), "") => format!("in `{message_type}`: "),
            (Some(message_type), path) => format!("in `{message_type}`, `{path}`: "),
        }
    }
}

/// Reads a refused body again, slowly, to say where and why it was refused.
pub(crate) fn explain<T: DeserializeOwned>(message_type: &'static str, text: &str) -> DecodeError {
    let mut reader = serde_json::Deserializer::from_str(text);
    let (path, wording) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => (error.path().to_string(), error.into_inner().to_string()),
        Ok(_) => (String::new(), String::from("refused by one reading and taken by the next")),
    };
    let path = if path == "." { String::new() } else { path };
    // serde_json adds " at line 1 column 2", which says less than the path.
    let wording = wording.rsplit_once(" at line ").map_or(wording.as_str(), |(wording, _)| wording);
    let fault = Fault::from_wording(path, wording);
    DecodeError {
        kind: fault.kind,
        clause: clause_of(message_type, &fault.path),
        path: fault.path,
        message_type: Some(message_type.to_owned()),
        detail: fault.detail,
    }
}

struct Fault {
    kind: DecodeErrorKind,
    path: String,
    detail: String,
}

impl Fault {
    fn from_wording(path: String, wording: &str) -> Self {
        if let Some(member) = wording.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            let path = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
            return Self { kind: DecodeErrorKind::MissingMember, path, detail: "is missing".into() };
        }
        if let Some((found, expected)) = wording.strip_prefix("invalid type: ").and_then(split_expected) {
            let (found, expected) = (json_kind(found), json_kind(expected));
            return if found == "a number" && expected == "an integer" {
                let detail = "must be an integer written without fraction and exponent".into();
                Self { kind: DecodeErrorKind::IntegerForm, path, detail }
            } else {
                Self { kind: DecodeErrorKind::WrongType, path, detail: format!("must be {expected}, not {found}") }
            };
        }
        if let Some(rest) = wording.strip_prefix("unknown field ") {
            let detail =
                format!("is not known here, only {}", split_expected(rest).map_or("others", |(_, known)| known));
            return Self { kind: DecodeErrorKind::BadValue, path, detail };
        }
        let detail = match wording.strip_prefix("invalid value: ") {
            Some(rest) => match split_expected(rest) {
                Some((_, "u32")) => format!("must be an integer from 0 to {}", u32::MAX),
                Some((_, "u64")) => format!("must be an integer from 0 to {MAX_INTEGER}"),
                Some((_, expected)) => format!("must be {expected}"),
                None => rest.to_owned(),
            },
            None => wording.to_owned(),
        };
        Self { kind: DecodeErrorKind::BadValue, path, detail }
    }
}

fn split_expected(wording: &str) -> Option<(&str, &str)> {
    wording.rsplit_once(", expected ")
}

/// serde's name of a type, in the words of JSON; the value that may follow it is left out.
fn json_kind(serde_kind: &str) -> &'static str {
    match serde_kind {
        "null" | "unit value" | "Option value" => "null",
        "map" | "an object" => "an object",
        "sequence" | "a sequence" => "an array",
        "u32" | "u64" => "an integer",
        "f64" => "a number",
        "a boolean" => "a boolean",
        "a string" => "a string",
        other if other.starts_with("boolean ") => "a boolean",
        other if other.starts_with("integer ") => "an integer",
        other if other.starts_with("floating point ") => "a number",
        other if other.starts_with("string ") => "a string",
        _ => "another type",
    }
}

fn clause_of(message_type: &str, path: &str) -> RequirementId {
    match message_type {
        "partial" | "final" | "speech_started" | "speech_ended" if path.ends_with("_ms") => clause::TIMES,
        "error" if matches!(path, "code" | "message" | "fatal" | "retryable") => clause::ERROR_FORM,
        "ready" if path == "limits" || path.starts_with("limits.") => clause::LIMITS_COMPLETE,
        "ready" if path == "config" || path.starts_with("config.") => clause::CONFIG_COMPLETE,
        _ => clause::MESSAGE_FORM,
    }
}
