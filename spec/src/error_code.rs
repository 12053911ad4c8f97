//! The error codes of protocol v1: names, and as data what each does to the session. Knows nothing of when one is due.

use crate::close::CloseCode;
use crate::message::vocabulary::open_vocabulary;

open_vocabulary! {
    /// What went wrong. A reader treats a code it does not know by the bits `fatal` and `retryable`.
    pub struct ErrorCode {
        /// No `config` came in time.
        CONFIG_TIMEOUT = "config_timeout",
        /// The configuration has a wrong type or an impossible value.
        INVALID_CONFIG = "invalid_config",
        /// An option that the client requires, or an `update`, is not served here.
        UNSUPPORTED_OPTION = "unsupported_option",
        /// The audio format makes sense but is not served here.
        UNSUPPORTED_AUDIO = "unsupported_audio",
        /// There is no such model here.
        UNKNOWN_MODEL = "unknown_model",
        /// The credentials are missing or wrong.
        UNAUTHENTICATED = "unauthenticated",
        /// The credentials are good but do not allow this.
        FORBIDDEN = "forbidden",
        /// The quota is used up.
        QUOTA_EXCEEDED = "quota_exceeded",
        /// Too many sessions or requests from this client.
        RATE_LIMITED = "rate_limited",
        /// The server has no free capacity.
        OVERLOADED = "overloaded",
        /// A text message that is no well-formed control message. The tenth ends the session.
        BAD_MESSAGE = "bad_message",
        /// A control message of a type the server does not know. It is ignored, and never ends a session.
        UNKNOWN_TYPE = "unknown_type",
        /// A message that is not legal in this state.
        INVALID_STATE = "invalid_state",
        /// Audio after `end_of_stream`; reported once a session, every frame is counted.
        AUDIO_AFTER_END = "audio_after_end",
        /// A second `end_of_stream`.
        DUPLICATE_END_OF_STREAM = "duplicate_end_of_stream",
        /// A binary message that is not whole sample groups; it is dropped whole and counted.
        INVALID_AUDIO = "invalid_audio",
        /// A message larger than the limit.
        MESSAGE_TOO_LARGE = "message_too_large",
        /// The client sent nothing for `idle_timeout_ms`.
        IDLE_TIMEOUT = "idle_timeout",
        /// The session reached `max_session_ms`.
        MAX_DURATION = "max_duration",
        /// The server shuts down.
        GOING_AWAY = "going_away",
        /// The server failed.
        INTERNAL = "internal",
    }
}

/// Whether an error with a given code ends the session. The `fatal` bit of the message decides; this says what to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fatality {
    /// It ends the session.
    Fatal,
    /// It never ends the session.
    NonFatal,
    /// The session goes on, unless the server ends it by this in the cases the specification names.
    NonFatalUsually,
}

/// One row of the table of error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCodeSpec {
    /// The code on the wire.
    pub code: &'static str,
    /// Whether it ends the session.
    pub fatality: Fatality,
    /// The close code where it does; `None` where it never does.
    pub close: Option<CloseCode>,
    /// Whether `retryable` is true unless the server knows better.
    pub retryable: bool,
}

impl ErrorCodeSpec {
    /// What the code means, in a sentence.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        ErrorCode::KNOWN.iter().find(|(code, _)| *code == self.code).map_or("", |(_, doc)| doc.trim())
    }
}

/// The row of a code; `None` where this version does not define it.
#[must_use]
pub fn error_code_spec(code: &str) -> Option<&'static ErrorCodeSpec> {
    ERROR_CODES.iter().find(|spec| spec.code == code)
}

/// Every error code this version defines.
pub const ERROR_CODES: &[ErrorCodeSpec] = &[
    fatal("config_timeout", CloseCode::TIMEOUT, true),
    fatal("invalid_config", CloseCode::BAD_REQUEST, false),
    // Fatal for a required option; an `update` that is not served gets it as a non-fatal answer.
    usually_not("unsupported_option", CloseCode::UNPROCESSABLE),
    fatal("unsupported_audio", CloseCode::UNPROCESSABLE, false),
    fatal("unknown_model", CloseCode::NOT_FOUND, false),
    fatal("unauthenticated", CloseCode::UNAUTHENTICATED, false),
    fatal("forbidden", CloseCode::FORBIDDEN, false),
    fatal("quota_exceeded", CloseCode::QUOTA_EXCEEDED, false),
    fatal("rate_limited", CloseCode::RATE_LIMITED, true),
    fatal("overloaded", CloseCode::TRY_AGAIN_LATER, true),
    usually_not("bad_message", CloseCode::BAD_REQUEST),
    never("unknown_type"),
    usually_not("invalid_state", CloseCode::CONFLICT),
    never("audio_after_end"),
    never("duplicate_end_of_stream"),
    never("invalid_audio"),
    fatal("message_too_large", CloseCode::MESSAGE_TOO_BIG, false),
    fatal("idle_timeout", CloseCode::TIMEOUT, true),
    fatal("max_duration", CloseCode::MAX_DURATION, true),
    fatal("going_away", CloseCode::GOING_AWAY, true),
    fatal("internal", CloseCode::INTERNAL, true),
];

const fn fatal(code: &'static str, close: CloseCode, retryable: bool) -> ErrorCodeSpec {
    ErrorCodeSpec { code, fatality: Fatality::Fatal, close: Some(close), retryable }
}

const fn usually_not(code: &'static str, close: CloseCode) -> ErrorCodeSpec {
    ErrorCodeSpec { code, fatality: Fatality::NonFatalUsually, close: Some(close), retryable: false }
}

const fn never(code: &'static str) -> ErrorCodeSpec {
    ErrorCodeSpec { code, fatality: Fatality::NonFatal, close: None, retryable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_constants_name_the_same_codes_in_the_same_order() {
        let table: Vec<&str> = ERROR_CODES.iter().map(|spec| spec.code).collect();
        let constants: Vec<&str> = ErrorCode::KNOWN.iter().map(|(code, _)| *code).collect();
        assert_eq!(table, constants);
    }

    #[test]
    fn a_code_has_a_close_code_if_and_only_if_it_can_end_a_session() {
        for spec in ERROR_CODES {
            assert_eq!(spec.close.is_none(), spec.fatality == Fatality::NonFatal, "{}", spec.code);
            assert!(!spec.doc().is_empty(), "{}", spec.code);
        }
    }
}
