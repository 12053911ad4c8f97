//! Owns the frozen requirement sets: which text of the requirements each version of the specification means. A verdict means
//! something only for a set that can still be told tomorrow, so a set never changes: another text is another version. The list
//! is `v1/sets.txt`, to which `cargo xtask gen` only ever adds. Knows nothing of digests: whoever computes one compares it here.

use crate::registry::{Level, Role};
use crate::requirements;

/// One frozen set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequirementSet {
    /// The version of the specification, `1.0.0`, or `1.0.0-draft.3` for a text that was not released.
    pub version: &'static str,
    /// SHA-256 of [`canonical`], in lower-case hexadecimal digits.
    pub sha256: &'static str,
    /// How many requirements it holds.
    pub count: usize,
}

/// The list as it stands in the repository.
pub const LIST: &str = include_str!("../v1/sets.txt");

/// Every set, the oldest first. The last one is the set of this version.
pub fn sets() -> impl Iterator<Item = RequirementSet> {
    LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (version, sha256) = (words.next()?, words.next()?);
        Some(RequirementSet { version, sha256, count: words.next()?.parse().ok()? })
    })
}

/// The set of this version.
///
/// # Panics
/// Never: a test reads the same list.
#[must_use]
pub fn current() -> RequirementSet {
    sets().last().expect("the list holds a set")
}

/// What of a requirement is frozen: everything but the place where it stands. One line.
#[must_use]
pub fn canonical_line(id: &str, role: Role, level: Level, untestable: Option<&str>, text: &str) -> String {
    let testable = if untestable.is_some() { "untestable" } else { "testable" };
    format!("{id}\t{}\t{}\t{testable}\t{text}\n", role.as_str(), level.as_str())
}

/// The requirements of this version as the text whose digest stands in the list.
#[must_use]
pub fn canonical() -> String {
    let lines = requirements::ALL.iter();
    lines.map(|one| canonical_line(one.id.as_str(), one.role, one.level, one.untestable, one.text)).collect()
}

/// The version that comes after this one for a text that is not released.
#[must_use]
pub fn next_draft(version: &str) -> String {
    if let Some((release, number)) = version.split_once("-draft.") {
        return format!("{release}-draft.{}", number.parse().map_or(1, |number: u64| number + 1));
    }
    let mut parts = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    format!("{major}.{}.0-draft.1", minor + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_is_readable_and_no_version_and_no_text_stands_in_it_twice() {
        let lines = LIST.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(sets().count(), lines);
        assert_eq!(sets().map(|set| set.version).collect::<BTreeSet<_>>().len(), lines);
        assert!(sets().all(|set| set.sha256.len() == 64 && set.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(current().count, requirements::ALL.len());
    }

    #[test]
    fn a_draft_is_followed_by_the_next_draft_and_a_release_by_a_draft_of_the_next() {
        assert_eq!(next_draft("1.0.0-draft.9"), "1.0.0-draft.10");
        assert_eq!(next_draft("1.0.0"), "1.1.0-draft.1");
    }
}
