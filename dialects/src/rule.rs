//! A rule as it is used: what a frame must be, where its fields are, what is written. Owns the reading of one frame by one rule and
//! the writing of one message by one rule; which rule it is, and what becomes of the fields, is decided elsewhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use crate::condition::{Condition, Seen, Test};
use crate::field::{self, Field, Kind};
use crate::file::Commit;
use crate::frame::Frame;
use crate::pointer::Pointer;
use crate::template::{Json, Scope, Text, Values};

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    /// Where it stands in its file.
    pub(crate) line: usize,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) when: Condition,
    pub(crate) take: Vec<(Field, Source)>,
    /// In v1's units.
    pub(crate) set: Vec<(Field, Value)>,
    pub(crate) guard: Vec<(Field, Value)>,
    pub(crate) send: Vec<FrameTemplate>,
    pub(crate) goes_on: bool,
    pub(crate) append: bool,
    pub(crate) window: Option<WindowRule>,
    pub(crate) tokens: Option<TokensRule>,
}

/// Where a field is read from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    At(Pointer),
    /// The first of these that is there.
    Any(Vec<Pointer>),
    /// A text that was filled.
    Unfill(Pointer, Text),
    /// Values of several elements, made one.
    Each {
        list: Pointer,
        value: Pointer,
        filter: Vec<(Pointer, Test)>,
        fold: Fold,
    },
    Words {
        list: Pointer,
        take: Vec<(Field, Pointer)>,
        filter: Vec<(Pointer, Test)>,
    },
    /// The whole message as a text.
    Frame,
    /// The whole text message, as it was filled.
    UnfillFrame(Text),
}

/// How several values become one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fold {
    Join(String),
    First,
    Last,
    Min,
    Max,
    Count,
}

/// A frame to be written.
#[derive(Clone, Debug)]
pub(crate) enum FrameTemplate {
    Json(Json),
    Text(Text),
    Binary(Vec<u8>),
    /// The samples in a binary message.
    Audio,
    Close(u16),
}

/// A message that shows several segments.
#[derive(Clone, Debug)]
pub(crate) struct WindowRule {
    pub(crate) each: Pointer,
    pub(crate) key: Pointer,
    pub(crate) commit: Commit,
    pub(crate) flag: Option<Pointer>,
    pub(crate) take: Vec<(Field, Pointer)>,
    pub(crate) last: Option<usize>,
}

/// A message that brings tokens.
#[derive(Clone, Debug)]
pub(crate) struct TokensRule {
    pub(crate) each: Pointer,
    /// The message itself is the token.
    pub(crate) single: bool,
    pub(crate) flag: Option<Pointer>,
    pub(crate) take: Vec<(Field, Pointer)>,
    pub(crate) join: String,
    pub(crate) end: Option<String>,
    pub(crate) flushed: Option<String>,
}

/// The fields that one frame told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// By the member of the v1 message, in its units.
    pub(crate) members: BTreeMap<&'static str, Value>,
    /// What the session keeps, by name.
    pub(crate) session: Vec<(&'static str, Value)>,
    /// The members that the file sets: not on the wire.
    pub(crate) set: Vec<&'static str>,
    pub(crate) audio: Option<Vec<u8>>,
}

impl Rule {
    /// Reads the fields of a frame for which the rule applies.
    pub(crate) fn read(&self, seen: &Seen<'_>, values: &Values) -> Result<Taken, String> {
        let mut taken = Taken::default();
        for (field, source) in &self.take {
            if field.name == "audio" {
                if let Frame::Binary(bytes) = seen.frame {
                    taken.audio = Some(bytes.clone());
                }
                continue;
            }
            let Some(wire) = source.find(seen, values).map_err(|why| format!("`{}`: {why}", field.name))? else {
                continue;
            };
            if field.name == "audio_base64" {
                let text = wire.as_str().ok_or("`audio_base64`: a string is wanted")?;
                let bytes = BASE64.decode(text.trim()).map_err(|why| format!("`audio_base64`: {why}"))?;
                taken.audio = Some(bytes);
                continue;
            }
            if wire.is_null() {
                continue;
            }
            let value = values.read(field, &wire).map_err(|why| format!("`{}`: {why}", field.name))?;
            if field.member.is_empty() {
                taken.session.push((field.name, value));
            } else {
                taken.members.insert(field.member, value);
            }
        }
        for (field, value) in &self.set {
            if !taken.members.contains_key(field.member) {
                taken.members.insert(field.member, value.clone());
                taken.set.push(field.member);
            }
        }
        Ok(taken)
    }

    /// Whether the rule is for writing this message.
    pub(crate) fn admits(&self, message: &Value) -> bool {
        self.guard.iter().all(|(field, wanted)| {
            Pointer::parse(field.member).ok().and_then(|at| at.get(message).cloned()).unwrap_or(Value::Null) == *wanted
        })
    }

    /// The frames of a message.
    pub(crate) fn write(&self, scope: &Scope<'_>, audio: &[u8]) -> Vec<Frame> {
        self.send.iter().filter_map(|template| template.fill(scope, audio)).collect()
    }
}

impl FrameTemplate {
    pub(crate) fn fill(&self, scope: &Scope<'_>, audio: &[u8]) -> Option<Frame> {
        Some(match self {
            Self::Json(json) => Frame::Text(json.fill(scope)?.to_string()),
            Self::Text(text) => Frame::Text(text.fill(scope)?),
            Self::Binary(bytes) => Frame::Binary(bytes.clone()),
            Self::Audio => Frame::Binary(audio.to_vec()),
            Self::Close(code) => Frame::close(*code),
        })
    }
}

/// As base64 in a message: padding is written, and not missed in reading.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes as base64.
pub(crate) fn to_base64(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

impl Source {
    fn find(&self, seen: &Seen<'_>, values: &Values) -> Result<Option<Value>, String> {
        let text = match seen.frame {
            Frame::Text(text) => Some(text.clone()),
            Frame::Binary(bytes) => String::from_utf8(bytes.clone()).ok(),
            Frame::Close { reason, .. } => Some(reason.clone()),
        };
        match self {
            Self::Frame => return Ok(text.map(Value::String)),
            Self::UnfillFrame(template) => {
                return Ok(text.and_then(|text| template.unfill(&text)?.pop()).map(|(_, value)| value));
            }
            _ => {}
        }
        let Some(document) = &seen.json else { return Ok(None) };
        Ok(match self {
            Self::At(at) => at.get(document).cloned(),
            Self::Any(places) => {
                places.iter().find_map(|at| at.get(document).filter(|value| !value.is_null())).cloned()
            }
            Self::Unfill(at, template) => {
                at.get(document).and_then(Value::as_str).and_then(|text| template.unfill(text)?.pop()).map(|(_, v)| v)
            }
            Self::Each { list, value, filter, fold } => {
                let Some(items) = items(list, document, filter) else { return Ok(None) };
                fold.apply(&items.into_iter().filter_map(|item| value.get(item)).collect::<Vec<_>>())
            }
            Self::Words { list, take, filter } => {
                let Some(items) = items(list, document, filter) else { return Ok(None) };
                let words: Result<Vec<Value>, String> =
                    items.into_iter().map(|item| piece(item, take, values).map(with_end)).collect();
                Some(Value::Array(words?))
            }
            Self::Frame | Self::UnfillFrame(_) => None,
        })
    }
}

/// The elements of a list that pass; `None` where there is no list.
fn items<'v>(list: &Pointer, document: &'v Value, filter: &[(Pointer, Test)]) -> Option<Vec<&'v Value>> {
    let items = list.get(document)?.as_array()?;
    let passes = |item: &&Value| filter.iter().all(|(at, test)| test.holds(&at.all(item)));
    Some(items.iter().filter(passes).collect())
}

/// The fields of one element of a list, as an object with v1's members.
pub(crate) fn piece(item: &Value, take: &[(Field, Pointer)], values: &Values) -> Result<Value, String> {
    let mut object = json!({});
    for (field, at) in take {
        let Some(wire) = at.get(item).filter(|wire| !wire.is_null()) else { continue };
        object[&field.member[1..]] = values.read(field, wire).map_err(|why| format!("`{}`: {why}", field.name))?;
    }
    Ok(object)
}

/// A start and a duration make an end.
pub(crate) fn with_end(mut object: Value) -> Value {
    let Some(members) = object.as_object_mut() else { return object };
    let number = |name: &str, members: &serde_json::Map<String, Value>| members.get(name).and_then(Value::as_u64);
    if let (Some(start), Some(duration), None) =
        (number("start_ms", members), number("duration_ms", members), number("end_ms", members))
    {
        members.insert("end_ms".to_owned(), Value::from(start.saturating_add(duration)));
    }
    members.remove("duration_ms");
    object
}

/// An end and a start make a duration.
pub(crate) fn with_duration(object: &mut Value) {
    let number = |name: &str| object.get(name).and_then(Value::as_u64);
    if let (Some(start), Some(end)) = (number("start_ms"), number("end_ms")) {
        object["duration_ms"] = Value::from(end.saturating_sub(start));
    }
}

impl Fold {
    fn apply(&self, found: &[&Value]) -> Option<Value> {
        let as_number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let by_number = |left: &&&Value, right: &&&Value| {
            as_number(left).unwrap_or_default().total_cmp(&as_number(right).unwrap_or_default())
        };
        match self {
            Self::Join(between) => {
                let texts: Vec<String> = found.iter().filter_map(|value| crate::template::plain_text(value)).collect();
                Some(Value::String(texts.join(between)))
            }
            Self::First => found.first().map(|value| (*value).clone()),
            Self::Last => found.last().map(|value| (*value).clone()),
            Self::Min => found.iter().min_by(by_number).map(|value| (*value).clone()),
            Self::Max => found.iter().max_by(by_number).map(|value| (*value).clone()),
            Self::Count => Some(Value::from(found.len())),
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "first" => Self::First,
            "last" => Self::Last,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            _ => return None,
        })
    }
}

/// What a rule tells of a field that no message needs: an error names it so.
pub(crate) fn what(kind: Kind) -> String {
    format!("a `{}`", kind.as_str())
}

/// The field of a kind; otherwise what there is.
pub(crate) fn field_of(kind: Kind, name: &str) -> Result<Field, String> {
    field::find(kind.fields(), name)
        .ok_or_else(|| format!("{} has no field `{name}`; it has {}", what(kind), field::names(kind.fields())))
}
