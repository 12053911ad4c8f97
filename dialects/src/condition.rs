//! Conditions: what a frame must be for a rule to apply. Owns the comparison; it knows no messages.

use serde_json::Value;

use crate::frame::Frame;
use crate::pointer::Pointer;
use crate::template::plain_text;

/// All of it must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) shape: Option<Shape>,
    /// The first message on the connection.
    pub(crate) first: Option<bool>,
    /// Behind the client's end of stream.
    pub(crate) after_end: Option<bool>,
    pub(crate) tests: Vec<(Pointer, Test)>,
}

/// What a frame is, before its content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A text message that is JSON.
    Json,
    /// A text message.
    Text,
    /// This text message, byte for byte.
    ExactText(String),
    /// A binary message.
    Binary,
    /// This binary message, byte for byte.
    ExactBinary(Vec<u8>),
    /// An empty message, text or binary.
    Empty,
    /// A Close, with one of these codes; with any where the list is empty.
    Close(Vec<u16>),
}

/// What the values at a pointer must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// One of them is this.
    Is(Value),
    /// None of them is this.
    Not(Value),
    /// One of them is one of these.
    Any(Vec<Value>),
    /// There is one, null or not.
    Exists(bool),
    /// There is one that is null.
    Null(bool),
    /// There is one, and it is (not) an empty string, array or object.
    Empty(bool),
    /// One of them is a string that begins so.
    Prefix(String),
}

/// A frame, read once, and where it stands.
pub(crate) struct Seen<'f> {
    pub(crate) frame: &'f Frame,
    pub(crate) json: Option<Value>,
    pub(crate) first: bool,
    pub(crate) after_end: bool,
}

impl<'f> Seen<'f> {
    pub(crate) fn new(frame: &'f Frame, first: bool, after_end: bool) -> Self {
        let json = match frame {
            Frame::Text(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        Self { frame, json, first, after_end }
    }
}

impl Condition {
    pub(crate) fn holds(&self, seen: &Seen<'_>) -> bool {
        self.first.is_none_or(|first| first == seen.first)
            && self.after_end.is_none_or(|after| after == seen.after_end)
            && self.shape.as_ref().is_none_or(|shape| shape.holds(seen))
            && (self.tests.is_empty()
                || seen.json.as_ref().is_some_and(|json| self.tests.iter().all(|(at, test)| test.holds(&at.all(json)))))
    }
}

impl Shape {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        match (self, seen.frame) {
            (Self::Json, Frame::Text(_)) => seen.json.is_some(),
            (Self::Text, Frame::Text(_)) | (Self::Binary, Frame::Binary(_)) => true,
            (Self::ExactText(wanted), Frame::Text(text)) => wanted == text,
            (Self::ExactBinary(wanted), Frame::Binary(bytes)) => wanted == bytes,
            (Self::Empty, Frame::Text(text)) => text.is_empty(),
            (Self::Empty, Frame::Binary(bytes)) => bytes.is_empty(),
            (Self::Close(codes), Frame::Close { code, .. }) => {
                codes.is_empty() || codes.contains(&code.map_or(NO_CODE, |code| code.0))
            }
            _ => false,
        }
    }
}

impl Test {
    pub(crate) fn holds(&self, found: &[&Value]) -> bool {
        match self {
            Self::Is(wanted) => found.iter().any(|value| same(value, wanted)),
            Self::Not(wanted) => !found.iter().any(|value| same(value, wanted)),
            Self::Any(wanted) => found.iter().any(|value| wanted.iter().any(|one| same(value, one))),
            Self::Exists(wanted) => found.is_empty() != *wanted,
            Self::Null(wanted) => found.iter().any(|value| value.is_null()) == *wanted,
            Self::Empty(wanted) => found.iter().any(|value| is_empty(value) == *wanted),
            Self::Prefix(prefix) => {
                found.iter().any(|value| value.as_str().is_some_and(|text| text.starts_with(prefix)))
            }
        }
    }
}

/// Equality by value: `1` and `1.0` are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_)) => {
            plain_text(left) == plain_text(right)
        }
        _ => left == right,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What stands for a Close without a code (RFC 6455 section 7.4.1).
pub(crate) const NO_CODE: u16 = 1005;
