//! JSON pointers (RFC 6901) with `*` for any element of an array. Owns reading by them and writing by them; it knows no rules.

use std::fmt;

use serde_json::{Map, Value};

/// A pointer, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer: empty for the whole document, otherwise beginning with `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { tokens: Vec::new() });
        }
        let rest = text.strip_prefix('/').ok_or_else(|| {
            format!("`{text}` is no JSON pointer: write `/{text}`, with `/` before each member on the way")
        })?;
        Ok(Self { tokens: rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect() })
    }

    /// The first value it points to.
    pub(crate) fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        let mut found = Vec::new();
        walk(document, &self.tokens, &mut found);
        found.first().copied()
    }

    /// All values it points to: more than one where it holds `*`.
    pub(crate) fn all<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        let mut found = Vec::new();
        walk(document, &self.tokens, &mut found);
        found
    }

    /// Whether it points to one place only.
    pub(crate) fn is_plain(&self) -> bool {
        !self.tokens.iter().any(|token| token == "*")
    }

    /// Puts a value there, with the objects and arrays on the way; `false` where something else stands in the way.
    pub(crate) fn put(&self, document: &mut Value, value: Value) -> bool {
        let mut at = document;
        for (depth, token) in self.tokens.iter().enumerate() {
            let index = token.parse::<usize>().ok().filter(|index| *index < MAX_INDEX);
            // The root of a message is an object, whatever its keys look like.
            match index.filter(|_| depth > 0 && !at.is_object()) {
                Some(index) => {
                    if at.is_null() {
                        *at = Value::Array(Vec::new());
                    }
                    let Value::Array(items) = at else { return false };
                    while items.len() <= index {
                        items.push(Value::Null);
                    }
                    at = &mut items[index];
                }
                None => {
                    if at.is_null() {
                        *at = Value::Object(Map::new());
                    }
                    let Value::Object(members) = at else { return false };
                    at = members.entry(token.clone()).or_insert(Value::Null);
                }
            }
        }
        if !at.is_null() && *at != value {
            return false;
        }
        *at = value;
        true
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tokens.iter().fold(String::new(), |text, token| join(&text, token)))
    }
}

/// The longest array that a pointer of a file may ask for.
const MAX_INDEX: usize = 64;

fn walk<'v>(value: &'v Value, tokens: &[String], found: &mut Vec<&'v Value>) {
    let Some((token, rest)) = tokens.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Value::Object(members) => {
            if let Some(member) = members.get(token) {
                walk(member, rest, found);
            }
        }
        Value::Array(items) if token == "*" => {
            for item in items {
                walk(item, rest, found);
            }
        }
        Value::Array(items) => {
            if let Some(item) = token.parse::<usize>().ok().and_then(|index| items.get(index)) {
                walk(item, rest, found);
            }
        }
        _ => {}
    }
}

/// The pointer as a text.
pub(crate) fn join(parent: &str, token: &str) -> String {
    format!("{parent}/{}", token.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_is_any_element() {
        let document = json!({"tokens": [{"text": "a"}, {"text": "<fin>"}, {}]});
        let found = Pointer::parse("/tokens/*/text").unwrap();
        assert_eq!(found.all(&document), [&json!("a"), &json!("<fin>")]);
        assert!(!found.is_plain());
        assert_eq!(Pointer::parse("/tokens/1/text").unwrap().get(&document), Some(&json!("<fin>")));
    }

    #[test]
    fn what_is_put_is_found_again() {
        let mut document = Value::Null;
        for (pointer, value) in [("/channel/alternatives/0/transcript", json!("hi")), ("/a~1b", json!(1))] {
            assert!(Pointer::parse(pointer).unwrap().put(&mut document, value.clone()));
            assert_eq!(Pointer::parse(pointer).unwrap().get(&document), Some(&value));
        }
        assert_eq!(document, json!({"a/b": 1, "channel": {"alternatives": [{"transcript": "hi"}]}}));
        assert!(!Pointer::parse("/a~1b").unwrap().put(&mut document, json!(2)), "one place cannot hold two values");
    }

    #[test]
    fn a_name_without_slash_is_told_what_to_write() {
        assert!(Pointer::parse("text").unwrap_err().contains("write `/text`"));
    }
}
