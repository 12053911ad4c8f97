//! Reads `send`, and finds one side of a rule from the other: `when` and `take` from what is written, and what is written from them.

use serde_json::Value;

use super::take::Wrong;
use crate::condition::{Condition, Shape, Test};
use crate::error::Path;
use crate::field::{Field, Kind, Unit};
use crate::pointer::Pointer;
use crate::rule::{FrameTemplate, Source, TokensRule, WindowRule, what};
use crate::template::{Json, Leaf, Slot, Text};

/// Reads `send`.
pub(super) fn frames(value: &Value, kind: Kind, path: &Path) -> Result<Vec<FrameTemplate>, Wrong> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| frame(item, kind, &path.index(index))).collect()
        }
        one => Ok(vec![frame(one, kind, path)?]),
    }
}

fn frame(value: &Value, kind: Kind, path: &Path) -> Result<FrameTemplate, Wrong> {
    let wrong = || {
        let why = "write exactly one of { json = .. }, { text = \"..\" }, { binary = \"..\" }, { close = CODE }";
        (path.clone(), why.to_owned())
    };
    let members = value.as_object().ok_or_else(wrong)?;
    let mut members = members.iter();
    let (Some((key, value)), None) = (members.next(), members.next()) else { return Err(wrong()) };
    let at = path.key(key);
    Ok(match (key.as_str(), value) {
        ("json", template) => FrameTemplate::Json(Json::parse(template, kind.fields(), &what(kind), &at)?),
        ("text", Value::String(text)) => {
            FrameTemplate::Text(Text::parse(text, kind.fields(), &what(kind)).map_err(|why| (at, why))?)
        }
        ("binary", Value::String(text)) if text == "${audio}" && kind == Kind::Audio => FrameTemplate::Audio,
        ("binary", Value::String(text)) if !text.contains("${") => FrameTemplate::Binary(text.as_bytes().to_vec()),
        ("binary", Value::String(_)) => {
            let why = "a binary message has no placeholders but `${audio}`, alone, in an `audio` rule";
            return Err((at, why.to_owned()));
        }
        ("close", code) => match code.as_u64().and_then(|code| u16::try_from(code).ok()) {
            Some(code @ 1000..=4999) => FrameTemplate::Close(code),
            _ => return Err((at, "write a close code from 1000 to 4999".to_owned())),
        },
        _ => return Err(wrong()),
    })
}

/// What a frame must be to be one that was written so.
pub(super) fn condition_of(send: &[FrameTemplate]) -> Result<Condition, String> {
    let [frame] = send else {
        return Err("`send` is not exactly one frame, so what is read must be said: add `when`".to_owned());
    };
    let mut condition = Condition::default();
    condition.shape = Some(match frame {
        FrameTemplate::Json(json) => {
            for (pointer, leaf) in json.leaves() {
                let at = Pointer::parse(&pointer)?;
                match leaf {
                    Leaf::Constant(Value::Object(_)) => condition.tests.push((at, Test::Exists(true))),
                    Leaf::Constant(value) => condition.tests.push((at, Test::Is(value.clone()))),
                    Leaf::Slot(_) | Leaf::Mixed(_) | Leaf::Each { .. } => {}
                }
            }
            if condition.tests.is_empty() {
                return Err("`send` has no constant that tells this message from others: add `when`".to_owned());
            }
            Shape::Json
        }
        FrameTemplate::Text(text) => match text.as_constant() {
            Some(constant) => Shape::ExactText(constant.to_owned()),
            None => {
                return Err("a text with placeholders does not tell this message from others: add `when`".to_owned());
            }
        },
        FrameTemplate::Binary(bytes) => Shape::ExactBinary(bytes.clone()),
        FrameTemplate::Audio => Shape::Binary,
        FrameTemplate::Close(code) => Shape::Close(vec![*code]),
    });
    Ok(condition)
}

/// Where the fields stand in what is written.
pub(super) fn sources_of(send: &[FrameTemplate]) -> Vec<(Field, Source)> {
    let mut found = Vec::new();
    for frame in send {
        match frame {
            FrameTemplate::Json(json) => {
                for (pointer, leaf) in json.leaves() {
                    let Ok(at) = Pointer::parse(&pointer) else { continue };
                    match leaf {
                        Leaf::Slot(slot) if is_readable(&slot.field) => found.push((slot.field, Source::At(at))),
                        Leaf::Mixed(text) => {
                            if let Some(slot) = sole_slot(text) {
                                found.push((slot.field, Source::Unfill(at, text.clone())));
                            }
                        }
                        Leaf::Each { item } => found.extend(words_of(item, at)),
                        Leaf::Slot(_) | Leaf::Constant(_) => {}
                    }
                }
            }
            FrameTemplate::Text(text) => {
                if let Some(slot) = sole_slot(text) {
                    found.push((slot.field, Source::UnfillFrame(text.clone())));
                }
            }
            FrameTemplate::Audio => {
                if let Some(field) = Kind::Audio.fields().first() {
                    found.push((*field, Source::Frame));
                }
            }
            FrameTemplate::Binary(_) | FrameTemplate::Close(_) => {}
        }
    }
    found
}

fn words_of(item: &Json, list: Pointer) -> Option<(Field, Source)> {
    let take: Vec<(Field, Pointer)> = item
        .leaves()
        .into_iter()
        .filter_map(|(pointer, leaf)| match leaf {
            Leaf::Slot(slot) => Some((slot.field, Pointer::parse(&pointer).ok()?)),
            _ => None,
        })
        .collect();
    let words = Kind::Final.fields().iter().find(|field| field.unit == Unit::Words)?;
    Some((*words, Source::Words { list, take, filter: Vec::new() }))
}

fn sole_slot(text: &Text) -> Option<&Slot> {
    let mut slots = text.slots();
    let slot = slots.next().filter(|slot| is_readable(&slot.field));
    slot.filter(|_| slots.next().is_none())
}

/// Of what a session knows, only what the other side chooses is worth reading.
fn is_readable(field: &Field) -> bool {
    !field.member.is_empty() || matches!(field.name, "uuid" | "token" | "session_id" | "audio_frames")
}

/// What is written so that it would be read so.
pub(super) fn frames_of(when: &Condition, take: &[(Field, Source)]) -> Result<Vec<FrameTemplate>, String> {
    match &when.shape {
        Some(Shape::ExactText(text)) if take.is_empty() => {
            return Ok(vec![FrameTemplate::Text(Text::parse(&text.replace("${", "$${"), &[], "it")?)]);
        }
        Some(Shape::ExactBinary(bytes)) if take.is_empty() => return Ok(vec![FrameTemplate::Binary(bytes.clone())]),
        Some(Shape::Empty) if take.is_empty() => return Ok(vec![FrameTemplate::Binary(Vec::new())]),
        Some(Shape::Close(codes)) if take.is_empty() => {
            return Ok(codes.first().map(|code| vec![FrameTemplate::Close(*code)]).unwrap_or_default());
        }
        Some(Shape::Json) => {}
        _ => return Err(CANNOT.to_owned()),
    }
    let mut leaves = leaves_of(when)?;
    for (field, source) in take {
        let slot = Json::Slot(Slot { field: *field, fallback: None });
        match source {
            Source::At(at) => leaves.push((at.clone(), slot)),
            Source::Any(places) if !places.is_empty() => leaves.push((places[0].clone(), slot)),
            Source::Unfill(at, text) => leaves.push((at.clone(), Json::Mixed(text.clone()))),
            Source::Words { list, take, filter } if filter.is_empty() => {
                leaves.push((list.clone(), each("/words", take.clone(), Vec::new())?));
            }
            _ => return Err(CANNOT.to_owned()),
        }
    }
    Json::from_leaves(&leaves).map(|json| vec![FrameTemplate::Json(json)]).ok_or_else(|| CANNOT.to_owned())
}

const CANNOT: &str =
    "what is written cannot be found from `when` and `take`: add `send`, or `use = \"receive\"` if it is only read";

/// The constants that a condition asks for.
fn leaves_of(when: &Condition) -> Result<Vec<(Pointer, Json)>, String> {
    let mut leaves = Vec::new();
    for (at, test) in &when.tests {
        match test {
            Test::Is(value) if at.is_plain() => leaves.push((at.clone(), Json::Constant(value.clone()))),
            Test::Any(values) if at.is_plain() => leaves.push((at.clone(), Json::Constant(values[0].clone()))),
            // What must not be there is not written, and what must be there is a field.
            Test::Exists(_) | Test::Not(_) | Test::Empty(_) | Test::Null(_) => {}
            Test::Is(_) | Test::Any(_) | Test::Prefix(_) => return Err(CANNOT.to_owned()),
        }
    }
    Ok(leaves)
}

fn each(list: &'static str, take: Vec<(Field, Pointer)>, more: Vec<(Pointer, Json)>) -> Result<Json, String> {
    let mut leaves: Vec<(Pointer, Json)> =
        take.into_iter().map(|(field, at)| (at, Json::Slot(Slot { field, fallback: None }))).collect();
    for (at, leaf) in more {
        if !leaves.iter().any(|(known, _)| *known == at) {
            leaves.push((at, leaf));
        }
    }
    let item = Json::from_leaves(&leaves).ok_or_else(|| CANNOT.to_owned())?;
    Ok(Json::Each { list, item: Box::new(item) })
}

/// The field that tells whether a segment of a window, or a token, is final. It is known to no template of a file.
const IS_FINAL: Field = Field { name: "final", member: "/final", unit: Unit::Boolean };
const KEY: Field = Field { name: "segment", member: "/segment_id", unit: Unit::Plain };

/// What shows a window: all segments that the translator lists.
pub(super) fn window_frames(when: &Condition, window: &WindowRule) -> Result<Vec<FrameTemplate>, String> {
    let mut more = vec![(window.key.clone(), Json::Slot(Slot { field: KEY, fallback: None }))];
    if let Some(flag) = &window.flag {
        more.push((flag.clone(), Json::Slot(Slot { field: IS_FINAL, fallback: None })));
    }
    let mut leaves = leaves_of(when)?;
    leaves.push((window.each.clone(), each("/segments", window.take.clone(), more)?));
    Json::from_leaves(&leaves).map(|json| vec![FrameTemplate::Json(json)]).ok_or_else(|| CANNOT.to_owned())
}

/// What brings tokens: all that the translator lists; where a message is one token, what brings that one.
pub(super) fn token_frames(when: &Condition, tokens: &TokensRule) -> Result<Vec<FrameTemplate>, String> {
    let more: Vec<(Pointer, Json)> =
        tokens.flag.iter().map(|flag| (flag.clone(), Json::Slot(Slot { field: IS_FINAL, fallback: None }))).collect();
    let mut leaves = leaves_of(when)?;
    if tokens.single {
        leaves.extend(
            tokens.take.iter().map(|(field, at)| (at.clone(), Json::Slot(Slot { field: *field, fallback: None }))),
        );
        leaves.extend(more);
    } else {
        leaves.push((tokens.each.clone(), each("/tokens", tokens.take.clone(), more)?));
    }
    Json::from_leaves(&leaves).map(|json| vec![FrameTemplate::Json(json)]).ok_or_else(|| CANNOT.to_owned())
}
