//! Owns the digests of a certificate: SHA-256 in lower-case hexadecimal digits.

use lastword_spec::frozen;
use lastword_spec::trace::Side;
use sha2::{Digest as _, Sha256};

use crate::case;
use crate::client;
use crate::speech::Speech;

/// The digest of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// The digest of the case files about this side of this version, with their names.
pub(super) fn of_cases(role: Side) -> String {
    let sources = match role {
        Side::Server => case::sources(),
        Side::Client => client::case_sources(),
    };
    let mut hasher = Sha256::new();
    for (name, text) in sources {
        hasher.update(format!("{name} {}\n", text.len()));
        hasher.update(text);
    }
    hex(hasher)
}

/// The digest of what was said to a subject.
#[must_use]
pub fn speech_sha256(speech: &Speech) -> String {
    let mut hasher = Sha256::new();
    for clip in speech.recordings() {
        hasher.update(format!("{} {}\n", clip.name, clip.pcm.len()));
        hasher.update(&clip.pcm);
    }
    hex(hasher)
}

/// The digest of the requirements of this version, as they are compiled in.
pub(super) fn of_requirements() -> String {
    sha256(frozen::canonical().as_bytes())
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_requirements_are_those_of_the_frozen_set_of_this_version() {
        assert_eq!(
            of_requirements(),
            frozen::current().sha256,
            "the text of a requirement changed: another text is another version; run `cargo xtask gen`, which adds one to spec/v1/sets.txt"
        );
    }
}
