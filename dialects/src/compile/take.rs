//! Reads `when` and `take`: conditions and sources, from the values of a file. Owns their syntax.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::condition::{Condition, Shape, Test};
use crate::error::Path;
use crate::field::{Field, Kind, PIECE, Unit, WORD, names};
use crate::pointer::Pointer;
use crate::rule::{Fold, Source, field_of};

/// What is wrong, and where.
pub(super) type Wrong = (Path, String);

/// Reads `when`.
pub(super) fn condition(when: &BTreeMap<String, Value>, path: &Path) -> Result<Condition, Wrong> {
    let mut condition = Condition::default();
    for (key, value) in when {
        let at = path.key(key);
        let fail = |why: &str| Err((at.clone(), why.to_owned()));
        match key.as_str() {
            "frame" => match value.as_str() {
                Some("text") => condition.shape = Some(Shape::Text),
                Some("json") => condition.shape = Some(Shape::Json),
                Some("binary") => condition.shape = Some(Shape::Binary),
                Some("close") => condition.shape = Some(Shape::Close(Vec::new())),
                _ => return fail("write one of \"text\", \"json\", \"binary\", \"close\""),
            },
            "text" => match value.as_str() {
                Some(text) => condition.shape = Some(Shape::ExactText(text.to_owned())),
                None => return fail("write the whole text message as a string"),
            },
            "binary" => match value.as_str() {
                Some(text) => condition.shape = Some(Shape::ExactBinary(text.as_bytes().to_vec())),
                None => return fail("write the whole binary message as a string"),
            },
            "empty" => match value.as_bool() {
                Some(true) => condition.shape = Some(Shape::Empty),
                _ => return fail("write `empty = true`, for an empty message of either kind"),
            },
            "close" => {
                let codes = match value {
                    Value::Array(codes) => codes.iter().map(code).collect::<Option<Vec<_>>>(),
                    one => code(one).map(|code| vec![code]),
                };
                match codes {
                    Some(codes) => condition.shape = Some(Shape::Close(codes)),
                    None => return fail("write a close code from 1000 to 4999, or a list of them"),
                }
            }
            "first" | "after_end" => {
                let Some(wanted) = value.as_bool() else { return fail("write true or false") };
                *(if key == "first" { &mut condition.first } else { &mut condition.after_end }) = Some(wanted);
            }
            pointer if pointer.is_empty() || pointer.starts_with('/') => {
                condition.tests.push((pointer_at(pointer, &at)?, test(value, &at)?));
            }
            other => {
                let why = format!(
                    "`{other}` is no condition: write a JSON pointer such as \"/{other}\", or one of frame, text, binary, empty, \
                     close, first, after_end"
                );
                return Err((at, why));
            }
        }
    }
    if !condition.tests.is_empty() && condition.shape.as_ref().is_some_and(|shape| *shape != Shape::Json) {
        let why = "a JSON pointer needs a JSON message: take away `frame`, `text`, `binary`, `empty` or `close`";
        return Err((path.clone(), why.to_owned()));
    }
    if condition.shape.is_none() && !condition.tests.is_empty() {
        condition.shape = Some(Shape::Json);
    }
    Ok(condition)
}

/// Reads the conditions of a list's elements.
fn filter(value: Option<&Value>, path: &Path) -> Result<Vec<(Pointer, Test)>, Wrong> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let at = path.key("where");
    let Value::Object(members) = value else { return Err((at, "write a table of JSON pointers".to_owned())) };
    members.iter().map(|(key, value)| Ok((pointer_at(key, &at.key(key))?, test(value, &at.key(key))?))).collect()
}

fn test(value: &Value, path: &Path) -> Result<Test, Wrong> {
    let Value::Object(members) = value else { return Ok(Test::Is(value.clone())) };
    let wrong = || {
        let why = "write a constant, or exactly one of { exists = BOOL }, { empty = BOOL }, { null = BOOL }, { not = CONSTANT }, \
                   { any = [CONSTANTS] }, { prefix = \"TEXT\" }";
        (path.clone(), why.to_owned())
    };
    let mut members = members.iter();
    let (Some((key, value)), None) = (members.next(), members.next()) else { return Err(wrong()) };
    Ok(match (key.as_str(), value) {
        ("exists", Value::Bool(wanted)) => Test::Exists(*wanted),
        ("empty", Value::Bool(wanted)) => Test::Empty(*wanted),
        ("null", Value::Bool(wanted)) => Test::Null(*wanted),
        ("not", constant) if !constant.is_object() => Test::Not(constant.clone()),
        ("any", Value::Array(constants)) if !constants.is_empty() => Test::Any(constants.clone()),
        ("prefix", Value::String(prefix)) => Test::Prefix(prefix.clone()),
        _ => return Err(wrong()),
    })
}

/// Reads `take`.
pub(super) fn sources(take: &BTreeMap<String, Value>, kind: Kind, path: &Path) -> Result<Vec<(Field, Source)>, Wrong> {
    let mut found: Vec<(Field, Source)> = Vec::new();
    for (name, value) in take {
        let at = path.key(name);
        let field = field_of(kind, name).map_err(|why| (at.clone(), why))?;
        if let Some((other, _)) =
            found.iter().find(|(other, _)| !field.member.is_empty() && other.member == field.member)
        {
            return Err((at, format!("`{name}` and `{}` are one member in two units: keep one", other.name)));
        }
        found.push((field, source(field, value, &at)?));
    }
    Ok(found)
}

fn source(field: Field, value: &Value, path: &Path) -> Result<Source, Wrong> {
    let wrong = |why: &str| Err((path.clone(), why.to_owned()));
    match value {
        Value::String(_) if field.unit == Unit::Words => {
            wrong("words are taken by { each = \"/LIST\", text = \"/TEXT\", start_s = \"/START\", .. }")
        }
        Value::String(pointer) => Ok(Source::At(pointer_at(pointer, path)?)),
        Value::Object(members) if field.unit == Unit::Words => {
            let list = required(members, "each", path)?;
            let mut take = BTreeMap::new();
            for (name, value) in members.iter().filter(|(name, _)| !matches!(name.as_str(), "each" | "where")) {
                let Some(pointer) = value.as_str() else { return wrong("write JSON pointers within a word") };
                take.insert(name.clone(), pointer.to_owned());
            }
            Ok(Source::Words {
                list,
                take: pieces(&take, WORD, "a word", path)?,
                filter: filter(members.get("where"), path)?,
            })
        }
        Value::Object(members) => {
            const KNOWN: &[&str] = &["any", "each", "value", "join", "pick", "where", "frame"];
            if let Some(other) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
                return wrong(&format!("`{other}` is no member of a source; it has {}", KNOWN.join(", ")));
            }
            if let Some(any) = members.get("any") {
                let pointers = any.as_array().and_then(|any| any.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
                let Some(pointers) = pointers else { return wrong("`any` is a list of JSON pointers") };
                return Ok(Source::Any(
                    pointers.into_iter().map(|pointer| pointer_at(pointer, path)).collect::<Result<_, _>>()?,
                ));
            }
            if members.get("frame").and_then(Value::as_str) == Some("text") {
                return Ok(Source::Frame);
            }
            let list = required(members, "each", path)?;
            let value = match members.get("value") {
                Some(_) => required(members, "value", path)?,
                None => pointer_at("", path)?,
            };
            let fold = match (members.get("join").map(Value::as_str), members.get("pick").map(Value::as_str)) {
                (Some(Some(between)), None) => Some(Fold::Join(between.to_owned())),
                (None, Some(Some(name))) => Fold::find(name),
                _ => None,
            };
            let Some(fold) = fold else {
                return wrong("write either `join = \"TEXT\"` or `pick` with one of first, last, min, max, count");
            };
            Ok(Source::Each { list, value, filter: filter(members.get("where"), path)?, fold })
        }
        _ => wrong("write a JSON pointer, or a table { any | each, .. | frame = \"text\" }"),
    }
}

/// Reads the fields of an element by pointers within it.
pub(super) fn pieces(
    take: &BTreeMap<String, String>,
    fields: &[Field],
    what: &str,
    path: &Path,
) -> Result<Vec<(Field, Pointer)>, Wrong> {
    let mut found = Vec::new();
    for (name, pointer) in take {
        let at = path.key(name);
        let field = fields.iter().find(|field| field.name == name && field.unit != Unit::Words);
        let Some(field) = field else {
            return Err((at, format!("{what} has no field `{name}`; it has {}", names(fields))));
        };
        found.push((*field, pointer_at(pointer, &at)?));
    }
    if !found.iter().any(|(field, _)| field.name == "text") {
        return Err((path.clone(), format!("{what} needs `text`, a JSON pointer")));
    }
    Ok(found)
}

/// [`pieces`] for windows and tokens.
pub(super) fn segments(
    take: &BTreeMap<String, String>,
    what: &str,
    path: &Path,
) -> Result<Vec<(Field, Pointer)>, Wrong> {
    pieces(take, PIECE, what, path)
}

pub(super) fn pointer_at(text: &str, path: &Path) -> Result<Pointer, Wrong> {
    Pointer::parse(text).map_err(|why| (path.clone(), why))
}

fn required(members: &serde_json::Map<String, Value>, name: &str, path: &Path) -> Result<Pointer, Wrong> {
    match members.get(name).map(Value::as_str) {
        Some(Some(pointer)) => pointer_at(pointer, &path.key(name)),
        _ => Err((path.clone(), format!("`{name}` is missing: a JSON pointer"))),
    }
}

fn code(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (1000..=4999).contains(code))
}
