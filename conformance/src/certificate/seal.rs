//! Owns the last two lines of a certificate: the digests of its parts, and the seal over all bytes before it. A changed byte
//! is noticed wherever it is, also in white space, and the part that it stands in is named. Knows nothing of what a part says.

use serde::{Deserialize, Serialize};

use super::digest::sha256;

/// A part of a certificate: its name, and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<T> {
    pub(super) name: String,
    pub(super) text: T,
}

/// The bytes of the file are not those that were sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The last line is no seal, or not written as it was.
    #[error("the last line is not the seal of a certificate, or was changed")]
    Seal,
    /// The line before it does not have the digest that the seal gives it.
    #[error("the table of digests (the line before the last) was changed")]
    Table,
    /// These parts do not have the digests that the table gives them.
    #[error("changed: {}", .0.join(", "))]
    Parts(Vec<String>),
    /// There are more or fewer bytes than the table says.
    #[error("bytes were added or taken away{}: the parts should have {expected} bytes and have {found}", first.as_ref().map(|name| format!(", first in {name}")).unwrap_or_default())]
    Length {
        /// The first part that is not as it was.
        first: Option<String>,
        /// How many bytes the parts have by the table.
        expected: usize,
        /// How many they have.
        found: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    digests: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    part: String,
    bytes: usize,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    seal: Digests,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    digests_sha256: String,
    sha256: String,
}

/// The parts as one text, with their digests and the seal.
pub(super) fn seal(parts: &[Part<String>]) -> String {
    let mut text: String = parts.iter().map(|part| part.text.as_str()).collect();
    let entry = |part: &Part<String>| Entry {
        part: part.name.clone(),
        bytes: part.text.len(),
        sha256: sha256(part.text.as_bytes()),
    };
    let table = line(&Table { digests: parts.iter().map(entry).collect() });
    text.push_str(&table);
    let seal = Digests { digests_sha256: sha256(table.as_bytes()), sha256: sha256(text.as_bytes()) };
    text.push_str(&line(&Seal { seal }));
    text
}

/// The parts of a sealed text.
///
/// # Errors
/// A byte is not as it was when the text was sealed.
pub(super) fn open(bytes: &[u8]) -> Result<Vec<Part<&[u8]>>, Damage> {
    let (rest, last) = split_last_line(bytes).ok_or(Damage::Seal)?;
    let seal: Digests = exactly::<Seal>(last).ok_or(Damage::Seal)?.seal;
    let (sealed, table) = split_last_line(rest).ok_or(Damage::Table)?;
    if sha256(table) != seal.digests_sha256 {
        // Where all bytes before it are those that were sealed, the seal itself says something else.
        return Err(if sha256(rest) == seal.sha256 { Damage::Seal } else { Damage::Table });
    }
    let entries = exactly::<Table>(table).ok_or(Damage::Table)?.digests;
    let parts = cut(sealed, &entries)?;
    // With the table and every part as they were, only the seal is left.
    if sha256(rest) == seal.sha256 { Ok(parts) } else { Err(Damage::Seal) }
}

fn cut<'a>(sealed: &'a [u8], entries: &[Entry]) -> Result<Vec<Part<&'a [u8]>>, Damage> {
    let expected = entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.bytes));
    let mut parts = Vec::new();
    let mut changed = Vec::new();
    let mut from = 0_usize;
    for entry in entries {
        let to = from.saturating_add(entry.bytes).min(sealed.len());
        let text = &sealed[from..to];
        if sha256(text) != entry.sha256 {
            changed.push(entry.part.clone());
        }
        parts.push(Part { name: entry.part.clone(), text });
        from = to;
    }
    if expected != sealed.len() {
        return Err(Damage::Length { first: changed.into_iter().next(), expected, found: sealed.len() });
    }
    if changed.is_empty() { Ok(parts) } else { Err(Damage::Parts(changed)) }
}

/// The last line with its end, and what stands before it. Every line has an end.
fn split_last_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let without_end = bytes.strip_suffix(b"\n")?;
    let start = without_end.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    Some(bytes.split_at(start))
}

/// The line read, if it is written exactly as it would be written.
fn exactly<T: Serialize + serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(text).ok()?;
    (line(&value).as_bytes() == text).then_some(value)
}

/// A value as one line.
pub(super) fn line<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string(value).expect("the lines of a certificate have string keys");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> String {
        let part = |name: &str, text: &str| Part { name: name.to_owned(), text: text.to_owned() };
        seal(&[part("head", "{\"a\": 1}\n"), part("case x", "{}\n{ }\n"), part("verdicts", "{\"v\":[]}\n")])
    }

    #[test]
    fn what_was_sealed_is_opened() {
        let text = sealed();
        let names: Vec<String> =
            open(text.as_bytes()).expect("it is whole").into_iter().map(|part| part.name).collect();
        assert_eq!(names, ["head", "case x", "verdicts"]);
    }

    #[test]
    fn every_bit_of_every_byte_counts_and_the_part_is_named() {
        let text = sealed();
        let (head, case) = (9, 16);
        for index in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let damage = open(&bytes).expect_err("a changed bit");
                let named = |name: &str| Damage::Parts(vec![name.to_owned()]);
                match index {
                    _ if index < head => assert_eq!(damage, named("head"), "byte {index}"),
                    _ if index < case => assert_eq!(damage, named("case x"), "byte {index}"),
                    _ => assert!(!matches!(damage, Damage::Length { .. }) || bytes[index] == b'\n', "byte {index}"),
                }
            }
        }
    }

    #[test]
    fn bytes_that_come_or_go_are_noticed_everywhere() {
        let text = sealed();
        for index in 0..=text.len() {
            let (before, after) = text.split_at(index);
            assert!(open(format!("{before} {after}").as_bytes()).is_err(), "a space at {index}");
            if index < text.len() {
                assert!(open(format!("{before}{}", &after[1..]).as_bytes()).is_err(), "byte {index} taken away");
            }
        }
        assert!(open(b"").is_err() && open(b"\n").is_err() && open(b"\n\n\n").is_err());
    }
}
