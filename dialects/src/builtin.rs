//! The dialects that come with the crate. Owns the list; what they say stands in `dialects/files/*.toml`.

use std::sync::LazyLock;

use crate::dialect::Dialect;

/// Name of the file and its text.
const FILES: &[(&str, &str)] = &[
    ("lastword.toml", include_str!("../files/lastword.toml")),
    ("whisper-fastapi.toml", include_str!("../files/whisper-fastapi.toml")),
    ("smallest-pulse.toml", include_str!("../files/smallest-pulse.toml")),
    ("smallest-pulse-end.toml", include_str!("../files/smallest-pulse-end.toml")),
];

static ALL: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| match Dialect::from_toml(name, text) {
        Ok(dialect) => dialect,
        Err(errors) => panic!("a dialect of this crate does not read, which its tests would have told:\n{errors}"),
    };
    FILES.iter().map(read).collect()
});

pub(crate) fn all() -> impl Iterator<Item = &'static Dialect> {
    ALL.iter()
}

pub(crate) fn find(name: &str) -> Option<&'static Dialect> {
    ALL.iter().find(|dialect| dialect.name() == name)
}

pub(crate) fn lastword() -> &'static Dialect {
    &ALL[0]
}
