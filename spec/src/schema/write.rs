//! JSON and YAML as text, with the members in an order for readers. The order is fixed here and not left to the JSON
//! library, for it depends on a feature of it that any crate of a build may switch on.

use serde_json::{Map, Value};

/// A document as indented JSON with a line end.
pub(super) fn json(document: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, document, 0);
    text.push('\n');
    text
}

/// The members of an object in the order of this house: what it is, what it says, what it holds.
pub(super) fn ordered(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_by_key(|(name, _)| (rank(name), *name));
    members
}

fn rank(name: &str) -> usize {
    const FIRST: &[&str] = &[
        "asyncapi",
        "$schema",
        "$id",
        "$comment",
        "$ref",
        "info",
        "title",
        "name",
        "description",
        "summary",
        "type",
        "const",
        "state",
        "input",
        "answer",
        "code",
        "next",
        "ids",
    ];
    const LAST: &[&str] = &["required", "properties", "$defs", "components", "x-lastword-state-table"];
    let first = FIRST.iter().position(|known| *known == name);
    let last = LAST.iter().position(|known| *known == name).map(|at| FIRST.len() + 1 + at);
    first.or(last).unwrap_or(FIRST.len())
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            text.push('{');
            for (index, (name, member)) in ordered(object).into_iter().enumerate() {
                next_line(text, index, depth + 1);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push_str(": ");
                write_value(text, member, depth + 1);
            }
            last_line(text, depth);
            text.push('}');
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                next_line(text, index, depth + 1);
                write_value(text, item, depth + 1);
            }
            last_line(text, depth);
            text.push(']');
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            text.push_str(&format!("[{}]", items.join(", ")));
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn next_line(text: &mut String, index: usize, depth: usize) {
    if index > 0 {
        text.push(',');
    }
    last_line(text, depth);
}

fn last_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}
