//! Turns a JSON text into one that is wrong in a way real peers are wrong: an object where an array is due, a key twice,
//! an integer spelt `1.0`, half a surrogate. Owns a JSON tree that, unlike a parsed value, can hold all of that; it draws
//! its choices from the caller and knows no message.

use serde_json::Value;

/// A JSON tree that keeps spellings and duplicate keys.
enum Tree {
    /// A scalar as it is spelt; need not be JSON.
    Raw(String),
    Array(Vec<Self>),
    /// Keys as they are spelt, with their quotes.
    Object(Vec<(String, Self)>),
}

/// Draws a number below its argument, which is at least 1.
pub(crate) type Choose<'a> = dyn FnMut(usize) -> usize + 'a;

/// The text with `count` mutations. A text that is not JSON comes back as it is.
pub(crate) fn mutate(text: &str, count: usize, choose: &mut Choose<'_>) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let mut tree = Tree::from_value(&value);
    for _ in 0..count {
        let target = choose(tree.size());
        tree.nth(target, &mut 0, &mut |node| mutate_node(node, choose));
    }
    tree.to_text()
}

const SPELLINGS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1",
    "1.0",
    "1e2",
    "1E+2",
    "100e-2",
    "0.5",
    "1.5",
    "-1",
    "2",
    "60001",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "-9007199254740992",
    "9007199254740991.0",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551616.0",
    "1e19",
    "1e308",
    "1e400",
    "-1e400",
    "1e-400",
    "00",
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "0x10",
    "NaN",
    "Infinity",
    "-",
    "true",
    "false",
    "null",
    "True",
    "nul",
    "\"\"",
    "\"1\"",
    "\"text\"",
    "\"\\u0000\"",
    "\"\\u00e9\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\u0041\"",
    "\"\\ud800\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\uD8\"",
    "\"\\x\"",
    "\"\u{1f600}\"",
    "\"\u{1}\"",
    "'x'",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[1,]",
    "{,}",
    "\"config\"",
    "\"final\"",
    "",
];

const KEYS: &[&str] = &[
    "\"type\"",
    "\"\\u0074ype\"",
    "\"id\"",
    "\"seq\"",
    "\"audio\"",
    "\"channels\"",
    "\"sample_rate\"",
    "\"sample_rate_hz\"",
    "\"encoding\"",
    "\"config\"",
    "\"limits\"",
    "\"token\"",
    "\"x_new\"",
    "\"\"",
    "\"\\u0000\"",
    "\"a.b\"",
    "\"\\ud800\"",
    "key",
];

fn mutate_node(node: &mut Tree, choose: &mut Choose<'_>) {
    match choose(9) {
        0..=2 => *node = Tree::Raw(SPELLINGS[choose(SPELLINGS.len())].to_owned()),
        3 => swap_object_and_array(node),
        4 => duplicate_a_key(node, choose),
        5 => remove_a_member(node, choose),
        6 => add_a_member(node, choose),
        7 => nest(node, choose),
        _ => grow(node, choose),
    }
}

/// An object becomes the array of its values, which a derived reader would take for it; an array becomes an object.
fn swap_object_and_array(node: &mut Tree) {
    *node = match std::mem::replace(node, Tree::Raw(String::new())) {
        Tree::Object(members) => Tree::Array(members.into_iter().map(|(_, member)| member).collect()),
        Tree::Array(items) => {
            Tree::Object(items.into_iter().enumerate().map(|(index, item)| (format!("\"{index}\""), item)).collect())
        }
        scalar => Tree::Array(vec![scalar]),
    };
}

fn duplicate_a_key(node: &mut Tree, choose: &mut Choose<'_>) {
    if let Tree::Object(members) = node
        && !members.is_empty()
    {
        let (key, member) = &members[choose(members.len())];
        let key = if choose(2) == 0 { key.clone() } else { with_escaped_first(key) };
        let copy = if choose(2) == 0 { member.to_text() } else { "1".to_owned() };
        members.insert(choose(members.len() + 1), (key, Tree::Raw(copy)));
    }
}

/// The same key in another spelling: its first character as a `\u` escape.
fn with_escaped_first(key: &str) -> String {
    match key.as_bytes() {
        [b'"', first, rest @ ..] if first.is_ascii_alphanumeric() || *first == b'_' => {
            format!("\"\\u{:04x}{}", first, String::from_utf8_lossy(rest))
        }
        _ => key.to_owned(),
    }
}

fn remove_a_member(node: &mut Tree, choose: &mut Choose<'_>) {
    match node {
        Tree::Object(members) if !members.is_empty() => drop(members.remove(choose(members.len()))),
        Tree::Array(items) if !items.is_empty() => drop(items.remove(choose(items.len()))),
        _ => {}
    }
}

fn add_a_member(node: &mut Tree, choose: &mut Choose<'_>) {
    let member = Tree::Raw(SPELLINGS[choose(SPELLINGS.len())].to_owned());
    match node {
        Tree::Object(members) => {
            let key = KEYS[choose(KEYS.len())].to_owned();
            members.insert(choose(members.len() + 1), (key, member));
        }
        Tree::Array(items) => items.push(member),
        Tree::Raw(_) => {}
    }
}

/// Wraps the node in arrays or objects, to about the depth that is allowed.
fn nest(node: &mut Tree, choose: &mut Choose<'_>) {
    for _ in 0..1 + choose(17) {
        let inner = std::mem::replace(node, Tree::Raw(String::new()));
        *node = if choose(2) == 0 { Tree::Array(vec![inner]) } else { Tree::Object(vec![("\"k\"".into(), inner)]) };
    }
}

/// Makes strings long, to about the lengths that are allowed, and objects wide.
fn grow(node: &mut Tree, choose: &mut Choose<'_>) {
    match node {
        Tree::Raw(text) => {
            let unit = ["a", "\u{e9}", "\u{1f600}", "\\u0041"][choose(4)];
            *text = format!("\"{}\"", unit.repeat([1, 32, 64, 127, 128, 129, 5_000][choose(7)]));
        }
        Tree::Object(members) => {
            members.extend((0..40).map(|index| (format!("\"x_{index}\""), Tree::Raw(index.to_string()))));
        }
        Tree::Array(items) => items.extend((0..40).map(|index| Tree::Raw(index.to_string()))),
    }
}

impl Tree {
    fn from_value(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::Array(items.iter().map(Self::from_value).collect()),
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(key, member)| (Value::from(key.as_str()).to_string(), Self::from_value(member)))
                    .collect(),
            ),
            scalar => Self::Raw(scalar.to_string()),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Raw(_) => 1,
            Self::Array(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Object(members) => 1 + members.iter().map(|(_, member)| member.size()).sum::<usize>(),
        }
    }

    /// Calls `visit` with the node that comes `target`-th from the top.
    fn nth(&mut self, target: usize, seen: &mut usize, visit: &mut dyn FnMut(&mut Self)) {
        if *seen == target {
            *seen += 1;
            return visit(self);
        }
        *seen += 1;
        match self {
            Self::Raw(_) => {}
            Self::Array(items) => {
                for item in items {
                    if *seen <= target {
                        item.nth(target, seen, visit);
                    }
                }
            }
            Self::Object(members) => {
                for (_, member) in members {
                    if *seen <= target {
                        member.nth(target, seen, visit);
                    }
                }
            }
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Array(items) => format!("[{}]", items.iter().map(Self::to_text).collect::<Vec<_>>().join(",")),
            Self::Object(members) => {
                let members = members.iter().map(|(key, member)| format!("{key}:{}", member.to_text()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }
}
