//! Templates: texts and JSON with `${field}` in them, filled from a message, and read backwards from what was filled. Owns both
//! directions of one form; it knows no rules and no session but through [`Scope`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::Path;
use crate::field::{self, Field, Unit, WORD};
use crate::pointer::{self, Pointer};

/// What every template may ask for, whatever its message: by name, in v1's units.
pub(crate) trait Known {
    fn value(&self, name: &str) -> Option<Value>;
}

/// From what a template is filled.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The message as a v1 object, with `duration_ms` and the like added.
    pub(crate) message: &'a Value,
    pub(crate) session: &'a dyn Known,
    pub(crate) values: &'a Values,
}

impl Scope<'_> {
    /// The value of a field as the wire has it.
    pub(crate) fn value(&self, field: &Field) -> Option<Value> {
        let v1 = if field.member.is_empty() {
            self.session.value(field.name)?
        } else {
            Pointer::parse(field.member).ok()?.get(self.message)?.clone()
        };
        Some(self.values.write(field, &v1)).filter(|value| !value.is_null())
    }
}

/// The service's words for Lastword's, by field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(BTreeMap<String, Vec<(String, Vec<Value>)>>);

impl Values {
    pub(crate) fn insert(&mut self, field: &str, ours: &str, theirs: Vec<Value>) {
        self.0.entry(field.to_owned()).or_default().push((ours.to_owned(), theirs));
    }

    /// The wire value of a v1 value.
    pub(crate) fn write(&self, field: &Field, v1: &Value) -> Value {
        let ours = plain_text(v1);
        let row = self.0.get(field.name).and_then(|rows| rows.iter().find(|(key, _)| Some(key) == ours.as_ref()));
        row.and_then(|(_, theirs)| theirs.first().cloned()).unwrap_or_else(|| field.unit.write(v1))
    }

    /// The v1 value of a wire value.
    pub(crate) fn read(&self, field: &Field, wire: &Value) -> Result<Value, String> {
        let theirs = plain_text(wire);
        let row = self.0.get(field.name).and_then(|rows| {
            rows.iter().find(|(_, words)| theirs.is_some() && words.iter().any(|word| plain_text(word) == theirs))
        });
        match row {
            Some((ours, _)) => field.unit.read(&Value::String(ours.clone())),
            None => field.unit.read(wire),
        }
    }
}

/// A value as it stands within a text; `None` for what has no such form.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(items) => items.iter().map(plain_text).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        Value::Null | Value::Object(_) => None,
    }
}

/// One `${field}` or `${field|fallback}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    pub(crate) field: Field,
    pub(crate) fallback: Option<Value>,
}

impl Slot {
    fn fill(&self, scope: &Scope<'_>) -> Option<Value> {
        scope.value(&self.field).or_else(|| self.fallback.clone())
    }
}

/// A text with slots.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Slot(Slot),
}

impl Text {
    /// Reads a template whose slots are among these fields.
    pub(crate) fn parse(text: &str, fields: &[Field], what: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            // `$${` is how a file writes `${` itself.
            if rest[..at].ends_with('$') {
                literal.push_str(&rest[..at - 1]);
                literal.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                return Err(format!("`{}` has no `}}`: close the placeholder", &rest[at..]));
            };
            let (name, fallback) = match rest[at + 2..at + end].split_once('|') {
                Some((name, fallback)) => (name, Some(constant(fallback))),
                None => (&rest[at + 2..at + end], None),
            };
            let found = field::find(fields, name).ok_or_else(|| {
                format!(
                    "there is no `${{{name}}}` in {what}; it has {}, and every template has {}",
                    field::names(fields),
                    field::names(field::SESSION)
                )
            })?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Slot(Slot { field: found, fallback }));
            rest = &rest[at + end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// The text without slots, if it has none.
    pub(crate) fn as_constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    fn as_slot(&self) -> Option<&Slot> {
        match self.0.as_slice() {
            [Part::Slot(slot)] => Some(slot),
            _ => None,
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().filter_map(|part| match part {
            Part::Slot(slot) => Some(slot),
            Part::Literal(_) => None,
        })
    }

    /// The text; `None` where a slot has no value.
    pub(crate) fn fill(&self, scope: &Scope<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Slot(slot) => text.push_str(&plain_text(&slot.fill(scope)?)?),
            }
        }
        Some(text)
    }

    /// What stood in the slots of a text that was filled; `None` where the text does not fit. A slot reaches to the next occurrence
    /// of what follows it.
    pub(crate) fn unfill(&self, text: &str) -> Option<Vec<(Field, Value)>> {
        let mut found = Vec::new();
        let mut rest = text;
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Slot(slot) => {
                    let end = match self.0.get(index + 1) {
                        Some(Part::Literal(literal)) => rest.find(literal.as_str())?,
                        _ => rest.len(),
                    };
                    found.push((slot.field, Value::String(rest[..end].to_owned())));
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(found)
    }
}

/// What stands behind `|`: JSON where it is JSON, otherwise the text itself.
fn constant(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => value,
        _ => Value::String(text.to_owned()),
    }
}

/// JSON with slots.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Constant(Value),
    Slot(Slot),
    Mixed(Text),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// An array with an element for each of a list of the message, by the pointer to that list.
    Each {
        list: &'static str,
        item: Box<Self>,
    },
}

/// A constant or a slot of a JSON template, with the place where it stands.
pub(crate) enum Leaf<'t> {
    Constant(&'t Value),
    Slot(&'t Slot),
    /// A text that is only partly a slot.
    Mixed(&'t Text),
    Each {
        item: &'t Json,
    },
}

impl Json {
    /// Reads a template.
    pub(crate) fn parse(value: &Value, fields: &[Field], what: &str, path: &Path) -> Result<Self, (Path, String)> {
        Ok(match value {
            Value::String(text) => {
                let text = Text::parse(text, fields, what).map_err(|why| (path.clone(), why))?;
                match (text.as_constant(), text.as_slot()) {
                    (Some(constant), _) => Self::Constant(Value::String(constant.to_owned())),
                    (_, Some(slot)) if slot.field.unit == Unit::Words => {
                        let why = "words are written one by one: `{ \"${words}\" = { word = \"${text}\", .. } }`";
                        return Err((path.clone(), why.to_owned()));
                    }
                    (_, Some(slot)) => Self::Slot(slot.clone()),
                    _ => Self::Mixed(text),
                }
            }
            Value::Array(items) => {
                let mut parsed = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    parsed.push(Self::parse(item, fields, what, &path.index(index))?);
                }
                Self::Array(parsed)
            }
            Value::Object(members) if members.is_empty() => Self::Constant(value.clone()),
            Value::Object(members) => {
                if let Some(item) = members.get("${words}").filter(|_| members.len() == 1) {
                    if !fields.iter().any(|field| field.unit == Unit::Words) {
                        return Err((path.clone(), format!("{what} has no words")));
                    }
                    let item = Self::parse(item, WORD, "a word", &path.key("${words}"))?;
                    return Ok(Self::Each { list: "/words", item: Box::new(item) });
                }
                let mut parsed = Vec::new();
                for (name, member) in members {
                    parsed.push((name.clone(), Self::parse(member, fields, what, &path.key(name))?));
                }
                Self::Object(parsed)
            }
            constant => Self::Constant(constant.clone()),
        })
    }

    /// The template that holds what stands at these pointers.
    pub(crate) fn from_leaves(leaves: &[(Pointer, Self)]) -> Option<Self> {
        // Built as JSON in which each leaf is its number, which is then replaced.
        let mut document = Value::Null;
        for (index, (pointer, _)) in leaves.iter().enumerate() {
            if !pointer.put(&mut document, Value::String(index.to_string())) {
                return None;
            }
        }
        fn build(value: &Value, leaves: &[(Pointer, Json)]) -> Json {
            match value {
                Value::String(index) => index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| leaves.get(index))
                    .map_or_else(|| Json::Constant(Value::Null), |(_, leaf)| leaf.clone()),
                Value::Array(items) => Json::Array(items.iter().map(|item| build(item, leaves)).collect()),
                Value::Object(members) => {
                    Json::Object(members.iter().map(|(name, member)| (name.clone(), build(member, leaves))).collect())
                }
                other => Json::Constant(other.clone()),
            }
        }
        Some(build(&document, leaves))
    }

    /// The value; `None` for a slot without one. Members without a value are left out, elements become `null`.
    pub(crate) fn fill(&self, scope: &Scope<'_>) -> Option<Value> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Slot(slot) => slot.fill(scope),
            Self::Mixed(text) => text.fill(scope).map(Value::String),
            Self::Array(items) => {
                Some(Value::Array(items.iter().map(|item| item.fill(scope).unwrap_or(Value::Null)).collect()))
            }
            Self::Object(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    if let Some(value) = member.fill(scope) {
                        object.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
            Self::Each { list, item } => {
                // What tells none has none: a reader that wants the array finds it.
                let items = Pointer::parse(list).ok()?.get(scope.message).and_then(Value::as_array);
                let items = items.cloned().unwrap_or_default();
                let fill = |one: &Value| item.fill(&Scope { message: one, ..*scope });
                Some(Value::Array(items.iter().filter_map(fill).collect()))
            }
        }
    }

    /// Its constants and slots with the pointers to them.
    pub(crate) fn leaves(&self) -> Vec<(String, Leaf<'_>)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'t>(&'t self, at: &str, found: &mut Vec<(String, Leaf<'t>)>) {
        match self {
            Self::Constant(value) => found.push((at.to_owned(), Leaf::Constant(value))),
            Self::Slot(slot) => found.push((at.to_owned(), Leaf::Slot(slot))),
            Self::Mixed(text) => found.push((at.to_owned(), Leaf::Mixed(text))),
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect(&pointer::join(at, &index.to_string()), found);
                }
            }
            Self::Object(members) => {
                for (name, member) in members {
                    member.collect(&pointer::join(at, name), found);
                }
            }
            Self::Each { item, .. } => found.push((at.to_owned(), Leaf::Each { item })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::Kind;

    struct Named;

    impl Known for Named {
        fn value(&self, name: &str) -> Option<Value> {
            (name == "uuid").then(|| json!("u-1"))
        }
    }

    fn fill(template: &Value, kind: Kind, message: &Value) -> Option<Value> {
        let json = Json::parse(template, kind.fields(), "it", &Path::default()).unwrap();
        json.fill(&Scope { message, session: &Named, values: &Values::default() })
    }

    #[test]
    fn a_slot_has_the_type_of_its_value_and_is_left_out_without_one() {
        let template = json!({"a": "${start_s}", "b": "x-${text}-y", "c": "${language}", "d": "${speaker|nobody}", "e": "${uuid}"});
        let message = json!({"start_ms": 1500, "text": "hi"});
        assert_eq!(
            fill(&template, Kind::Final, &message),
            Some(json!({"a": 1.5, "b": "x-hi-y", "d": "nobody", "e": "u-1"}))
        );
    }

    #[test]
    fn words_become_an_array() {
        let template = json!({"w": {"${words}": {"word": "${text}", "start": "${start_s}"}}});
        let message = json!({"words": [{"text": "a", "start_ms": 0}, {"text": "b", "start_ms": 250}]});
        assert_eq!(
            fill(&template, Kind::Final, &message),
            Some(json!({"w": [{"word": "a", "start": 0.0}, {"word": "b", "start": 0.25}]}))
        );
    }

    #[test]
    fn a_text_is_read_backwards() {
        let text = Text::parse("Token ${token}", Kind::Config.fields(), "it").unwrap();
        let (field, value) = text.unfill("Token s3").unwrap().pop().unwrap();
        assert_eq!((field.name, value), ("token", json!("s3")));
        assert_eq!(text.unfill("Bearer s3"), None);
        let literal = Text::parse("cost: $${5}", &[], "it").unwrap();
        assert_eq!(literal.as_constant(), Some("cost: ${5}"));
    }

    #[test]
    fn unknown_and_open_placeholders_are_told() {
        let why = Text::parse("${txt}", Kind::Final.fields(), "a `final`").unwrap_err();
        assert!(why.contains("there is no `${txt}` in a `final`; it has segment, revision, text"), "{why}");
        assert!(Text::parse("${text", Kind::Final.fields(), "it").unwrap_err().contains("close the placeholder"));
    }
}
