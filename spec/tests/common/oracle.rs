//! A second opinion on whether a text is a message: the published schema in an independent validator, an independent JSON
//! parser, and the I-JSON side conditions written once more. Owns nothing of the codec and must not call it.

use std::collections::HashSet;
use std::fmt;

use jsonschema::{Keyword, ValidationError, Validator};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What the second opinion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// A message of a known type.
    Message,
    /// Well-formed, of a type that the schemas do not know.
    Unknown,
    /// Not a message.
    Refused,
}

/// The validators of one side's messages, by type.
pub(crate) struct Oracle {
    messages: Vec<(String, Validator)>,
}

impl Oracle {
    /// Takes `(type, schema)` pairs.
    pub(crate) fn new(schemas: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { messages: schemas.into_iter().map(|(name, schema)| (name, validator(&schema))).collect() }
    }

    /// The opinion on a text of at most `max_text_bytes`.
    pub(crate) fn opinion(&self, text: &str, max_text_bytes: usize) -> Opinion {
        let Some(Value::Object(message)) = parse_ijson(text).filter(|_| text.len() <= max_text_bytes) else {
            return Opinion::Refused;
        };
        let Some(message_type) = message.get("type").and_then(Value::as_str) else {
            return Opinion::Refused;
        };
        match self.messages.iter().find(|(name, _)| name == message_type) {
            None => Opinion::Unknown,
            Some((_, validator)) if validator.is_valid(&integer_spelling(&Value::Object(message))) => Opinion::Message,
            Some(_) => Opinion::Refused,
        }
    }
}

/// A validator that also knows `x-max-bytes`, for which JSON Schema has no word.
pub(crate) fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .with_keyword("x-max-bytes", |_, limit, _| Ok(Box::new(MaxBytes(limit.as_u64().unwrap_or(0)))))
        .build(schema)
        .expect("the published schema is one")
}

/// A string has at most so many bytes of UTF-8.
struct MaxBytes(u64);

impl<'i> Keyword<'i> for MaxBytes {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("more bytes than x-max-bytes")) }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        instance.as_str().is_none_or(|text| text.len() as u64 <= self.0)
    }
}

/// The value of a text that is JSON and keeps the side conditions of the protocol's I-JSON.
pub(crate) fn parse_ijson(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    serde_json::from_str::<UniqueKeys>(text).ok()?;
    (depth(&value) <= 16 && integer_literals_in_range(text)).then_some(value)
}

/// A copy in which a number spelt with fraction or exponent is no integer to JSON Schema either, which goes by value:
/// `1.0` and `1e2` are refused where an integer is due, and keep to their side of 0..1 where a number is.
pub(crate) fn integer_spelling(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() != 0.0 => value.clone(),
            Some(0.0 | 1.0) => Value::from(0.5),
            Some(float) if float < 0.0 => Value::from(-1.5),
            _ => Value::from(1.5),
        },
        Value::Array(items) => items.iter().map(integer_spelling).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), integer_spelling(member))).collect())
        }
        _ => value.clone(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Looks at the text, for a parser has forgotten the spelling. The text is JSON.
fn integer_literals_in_range(text: &str) -> bool {
    let outside_strings = outside_strings(text);
    outside_strings
        .split(|character: char| !matches!(character, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        .filter(|token| token.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
        .filter(|token| !token.contains(['.', 'e', 'E']))
        .all(|token| token.parse::<i128>().is_ok_and(|integer| integer.abs() < 1 << 53))
}

fn outside_strings(text: &str) -> String {
    let mut outside = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '"' {
            outside.push(character);
            continue;
        }
        outside.push(' ');
        while let Some(inside) = characters.next() {
            match inside {
                '\\' => drop(characters.next()),
                '"' => break,
                _ => {}
            }
        }
    }
    outside
}

/// Any JSON in which no object has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
        while items.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueKeys, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, _)) = members.next_entry::<String, UniqueKeys>()? {
            if !keys.insert(key) {
                return Err(serde::de::Error::custom("a key twice"));
            }
        }
        Ok(UniqueKeys)
    }
}
