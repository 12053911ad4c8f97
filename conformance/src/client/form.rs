//! Owns how a message of the scripted server is written; what it says is the play's business.

use serde_json::{Value, json};

use super::script::Form;

/// A message in this form; `ready` always in the usual one, since nothing is known of a session that has not begun.
pub(super) fn written(message: &Value, form: Form) -> String {
    let Value::Object(members) = message else { return message.to_string() };
    if members.get("type").is_some_and(|kind| kind == "ready") {
        return message.to_string();
    }
    match form {
        Form::Usual => message.to_string(),
        Form::Extended => {
            let mut members = members.clone();
            members.insert("x_note".to_owned(), json!({"of": ["nobody", 1]}));
            members.insert("since_a_later_version".to_owned(), json!(true));
            Value::Object(members).to_string()
        }
        Form::Odd => {
            let is_type = |(name, _): &(&String, &Value)| *name == "type";
            let (kind, rest): (Vec<_>, Vec<_>) = members.iter().partition(is_type);
            let member = |(name, value): &(&String, &Value)| format!("\n  \"{name}\" :\t{}", escaped(value));
            let all: Vec<String> = rest.iter().chain(&kind).map(member).collect();
            format!(" {{{} }}\n", all.join(" ,"))
        }
    }
}

/// A value whose string, if it is one, begins with an escape that nobody needs.
fn escaped(value: &Value) -> String {
    match value.as_str().and_then(|text| text.chars().next().map(|first| (first, text))) {
        Some((first, text)) if first.is_ascii_lowercase() => {
            let rest = Value::from(&text[1..]).to_string();
            format!("\"\\u{:04x}{}", u32::from(first), &rest[1..])
        }
        _ => value.to_string(),
    }
}
