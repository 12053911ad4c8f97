//! What a forger of certificates can do, by other code than the harness's: cut one into its parts, change some, and seal it again.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parts of a certificate by their names, as the table of digests cuts them.
pub(crate) fn parts(text: &str) -> Vec<(String, String)> {
    let table: Value = serde_json::from_str(text.lines().rev().nth(1).expect("a table")).expect("JSON");
    let mut rest = text;
    let mut parts = Vec::new();
    for entry in table["digests"].as_array().expect("digests") {
        let bytes = usize::try_from(entry["bytes"].as_u64().expect("a length")).expect("small");
        let (part, after) = rest.split_at(bytes);
        parts.push((entry["part"].as_str().expect("a name").to_owned(), part.to_owned()));
        rest = after;
    }
    parts
}

/// What a forger can do: any parts, with digests that fit.
pub(crate) fn sealed(parts: &[(String, String)]) -> String {
    let mut text: String = parts.iter().map(|(_, part)| part.as_str()).collect();
    let entries: Vec<String> = parts
        .iter()
        .map(|(name, part)| {
            format!(r#"{{"part":{},"bytes":{},"sha256":"{}"}}"#, Value::from(name.as_str()), part.len(), digest(part))
        })
        .collect();
    let table = format!("{{\"digests\":[{}]}}\n", entries.join(","));
    text.push_str(&table);
    let seal = format!(r#"{{"seal":{{"digests_sha256":"{}","sha256":"{}"}}}}"#, digest(&table), digest(&text));
    format!("{text}{seal}\n")
}

/// The certificate with one part changed and everything sealed again.
pub(crate) fn forged(text: &str, part: &str, change: impl Fn(&str) -> String) -> String {
    let mut parts = parts(text);
    let found = parts.iter_mut().find(|(name, _)| name == part).unwrap_or_else(|| panic!("no part {part}"));
    let changed = change(&found.1);
    assert_ne!(changed, found.1, "nothing changed in {part}");
    found.1 = changed;
    sealed(&parts)
}
