//! Owns the choice of a dialect on the command line, and what a record of a run says of it. The dialects themselves are in their
//! own crate.

use std::path::Path;

use lastword_dialects::{Capability, Dialect, Origin};
use lastword_spec::trace::{ALL_MADE_UP, Spoken};

/// Why there is no such dialect. The caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum DialectError {
    /// The name is none that comes with the harness, and no file.
    #[error("`{given}` is no dialect that comes with the harness ({known}) and no file that can be read: {source}")]
    Unknown {
        /// What was given.
        given: String,
        /// The names that there are.
        known: String,
        /// What the system said of the file.
        source: std::io::Error,
    },
    /// The file is wrong.
    #[error("{0}")]
    File(#[from] lastword_dialects::DialectErrors),
}

/// The dialect of that name, or in that file. It stays for as long as the process runs.
///
/// # Errors
/// There is none, or its file is wrong.
pub fn choose(given: &str) -> Result<&'static Dialect, DialectError> {
    match Dialect::builtin(given) {
        Some(dialect) => Ok(dialect),
        None => read(given),
    }
}

fn read(given: &str) -> Result<&'static Dialect, DialectError> {
    let text = std::fs::read_to_string(Path::new(given)).map_err(|source| {
        let known = Dialect::builtins().map(Dialect::name).collect::<Vec<_>>().join(", ");
        DialectError::Unknown { given: given.to_owned(), known, source }
    })?;
    // One for each command line.
    Ok(Box::leak(Box::new(Dialect::from_toml(given, &text)?)))
}

/// What a trace says of the dialect; `None` for version 1 itself.
#[must_use]
pub fn spoken(dialect: &Dialect) -> Option<Spoken> {
    if dialect.is_native() {
        return None;
    }
    let not_binding = dialect.not_applicable().iter().map(ToString::to_string).collect();
    let messages = MESSAGES.iter().filter(|(_, capability)| dialect.lacks(*capability)).map(|(message, _)| *message);
    let tells_complete = dialect.carried("session_ended").is_some_and(|members| members.contains("/complete"));
    let errors = [dialect.tells_error(true), dialect.tells_error(false), !dialect.tells_errors_by_close()];
    let tells = errors.into_iter().chain([tells_complete, !dialect.ends_by_close()]);
    let members = MEMBERS.iter().zip(tells).filter(|(_, tells)| !tells).map(|(name, _)| *name);
    let lacks = messages.chain(members).map(str::to_owned).collect();
    Some(Spoken { name: dialect.name().to_owned(), not_binding, lacks })
}

/// What a trace says of the members that nobody said.
pub(crate) fn made_up(origin: Origin) -> Vec<String> {
    if origin.on_wire { origin.synthesised } else { vec![ALL_MADE_UP.to_owned()] }
}

/// The types of the messages that a wire may have nothing for, and the members that it may not tell.
pub(crate) fn message_types() -> impl Iterator<Item = &'static str> {
    MESSAGES.iter().map(|(message, _)| *message).chain(MEMBERS)
}

/// What a message may not tell on a wire that has the message, by which everything changes.
const MEMBERS: [&str; 5] = ["error.fatal", "error.not_fatal", ERROR_APART, "session_ended.complete", ENDED_APART];

/// A fatal error that is told apart from the Close.
pub(crate) const ERROR_APART: &str = "error.apart";

/// A `session_ended` that is told apart from the Close: there is none where the server's Close is all that says it.
pub(crate) const ENDED_APART: &str = "session_ended.apart";

/// The messages that a wire may have nothing for. `session_ended` is made up where there is none, and so is `ready`: only when it
/// comes cannot be played.
const MESSAGES: &[(&str, Capability)] = &[
    ("ready", Capability::Ready),
    ("keepalive", Capability::Keepalive),
    ("keepalive_ack", Capability::KeepaliveAck),
    ("flush", Capability::Flush),
    ("flushed", Capability::Flushed),
    ("update", Capability::Update),
    ("updated", Capability::Updated),
    ("end_of_stream", Capability::EndOfStream),
    ("partial", Capability::Partials),
    ("progress", Capability::Progress),
    ("speech_started", Capability::SpeechEvents),
    ("speech_ended", Capability::SpeechEvents),
    ("warning", Capability::Warnings),
    ("error", Capability::Errors),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_known_by_its_name_or_read_from_its_file() {
        assert!(spoken(choose("lastword").expect("the wire itself")).is_none());
        let spoken = spoken(choose("whisper-fastapi").expect("built in")).expect("another wire");
        assert_eq!(spoken.name, "whisper-fastapi");
        for has_not in ["flush", "flushed", "keepalive_ack", "partial"] {
            assert!(spoken.lacks.iter().any(|one| one == has_not), "{has_not}: {:?}", spoken.lacks);
        }
        assert!(!spoken.lacks.iter().any(|one| one == "end_of_stream"));
        assert!(
            spoken.not_binding.iter().any(|one| one == "FLU-S2")
                && !spoken.not_binding.iter().any(|one| one == "END-S2")
        );
    }

    #[test]
    fn a_name_that_means_nothing_tells_what_there_is() {
        let error = choose("no-such-dialect").expect_err("there is none").to_string();
        assert!(error.contains("no-such-dialect") && error.contains("whisper-fastapi"), "{error}");
    }
}
