//! The member tables of section 15 of the prose, read off the bundle of schemas. Owns what a table looks like; what it
//! says is the schema's.

use serde_json::Value;
use std::fmt::Write as _;

use super::bundle;

/// One table a message, then one for each object inside messages, in Markdown.
#[must_use]
pub fn message_tables() -> String {
    let bundle = bundle();
    let Some(definitions) = bundle["$defs"].as_object() else { return String::new() };
    let mut out = String::new();
    for (side, heading) in [("client.", "## 15.1 From the client"), ("server.", "## 15.2 From the server")] {
        let _ = writeln!(out, "{heading}\n");
        for (name, schema) in definitions.iter().filter(|(name, _)| name.starts_with(side)) {
            table(&mut out, &format!("`{}`", &name[side.len()..]), schema);
        }
    }
    let _ = writeln!(out, "## 15.3 Objects inside messages\n");
    for (name, schema) in definitions.iter().filter(|(name, _)| name.starts_with(char::is_uppercase)) {
        table(&mut out, name, schema);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn table(out: &mut String, title: &str, schema: &Value) {
    let _ = writeln!(out, "### {title}\n\n{}\n", schema["description"].as_str().unwrap_or_default());
    let Some(members) = schema["properties"].as_object() else { return };
    let members: Vec<_> =
        members.iter().filter(|(name, member)| *name != "type" || member["const"].is_null()).collect();
    if members.is_empty() {
        return;
    }
    out.push_str("| member | type | required | meaning |\n|---|---|---|---|\n");
    for (name, member) in members {
        if *member == Value::Bool(false) {
            let _ = writeln!(out, "| `{name}` | must not stand here | no | It belongs inside `audio` (CFG-S8). |");
            continue;
        }
        let required = schema["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
        let required = if required { "yes" } else { "no" };
        let _ = writeln!(out, "| `{name}` | {} | {required} | {} |", kind(member), text(&member["description"]));
    }
    out.push('\n');
}

fn kind(member: &Value) -> String {
    if let Some(name) = member["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    if let Some(choices) = member["anyOf"].as_array() {
        return choices.iter().map(kind).filter(|kind| kind != "null").collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<&str> = match &member["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        other => other.as_str().into_iter().collect(),
    };
    match names.join(" or ").as_str() {
        "array" => format!("array of {}", kind(&member["items"])),
        "" => member["const"].as_str().map_or_else(|| "any".to_owned(), |value| format!("`{value}`")),
        name => format!("{name}{}", range(member)),
    }
}

/// The bounds that a reader would not guess: those of JSON integers themselves are left out.
fn range(member: &Value) -> String {
    let bound = |name: &str| member[name].as_u64();
    let lengths = (bound("minLength"), bound("maxLength"));
    if let (Some(low), Some(high)) = lengths {
        return format!(", {low} to {high} bytes");
    }
    match (bound("minimum"), bound("maximum").filter(|high| *high < u64::from(u32::MAX))) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        (Some(low), None) if low > 0 => format!(", at least {low}"),
        _ => String::new(),
    }
}

/// Descriptions are paragraphs; a table cell is one line.
fn text(description: &Value) -> String {
    description
        .as_str()
        .unwrap_or_default()
        .split("\n\n")
        .map(|part| part.replace('\n', " "))
        .collect::<Vec<_>>()
        .join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_table_or_says_that_it_has_no_members() {
        let tables = message_tables();
        for heading in ["### `config`", "### `end_of_stream`", "### `session_ended`", "### Limits", "### Word"] {
            assert!(tables.contains(heading), "{heading}");
        }
        assert!(tables.contains("| `segment_id` | integer | yes |"), "{tables}");
        assert!(tables.contains("| `audio` | AudioRequest | no |"), "{tables}");
    }
}
