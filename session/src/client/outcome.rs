//! Owns what a client's application is told: events, and the outcome that ends them. Knows nothing of when each is due.

use lastword_spec::close::CloseCode;
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{
    ErrorMessage, Final, Partial, Ready, SessionEnded, SpeechEnded, SpeechStarted, Updated, Warning,
};

use crate::fault::TransportError;

/// What the application is told, in order. [`Ended`](Self::Ended) comes exactly once, and is the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientEvent {
    /// The session is ready: what is in force, and the limits that hold.
    Ready(Box<Ready>),
    /// What an open segment sounds like so far. Never after its final.
    Partial(Partial),
    /// What a segment is. At most one for each. Spec: FIN-C1.
    Final(Final),
    /// Speech began.
    SpeechStarted(SpeechStarted),
    /// Speech ended.
    SpeechEnded(SpeechEnded),
    /// The finals of all audio before this flush have come. For each flush exactly one of this and `FlushFailed`.
    Flushed {
        /// What [`flush`](crate::ClientSession::flush) was given.
        id: String,
    },
    /// The flush was not answered in time, was refused, or the session ended before its answer. The session goes on if it can.
    FlushFailed {
        /// What [`flush`](crate::ClientSession::flush) was given.
        id: String,
    },
    /// The server changed the configuration.
    Updated(Box<Updated>),
    /// Something the operator may want to know. Changes nothing.
    Warning(Warning),
    /// The server complains. A fatal one ends the session. Spec: ERR-C1.
    Error(ErrorMessage),
    /// The session is over.
    Ended(Outcome),
}

/// How a session ended. Spec: END-C7.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// All audio was accepted and processed, and every final came.
    Complete(SessionEnded),
    /// A fatal error, or no `ready`.
    Error {
        /// The server's code; `closed_before_ready` and `ready_timeout` are this side's.
        code: ErrorCode,
        /// What is wrong, for a person.
        message: String,
        /// Whether the same thing may work in a new session.
        retryable: bool,
        /// When to try again, if the server said so.
        retry_after_ms: Option<u64>,
        /// The server's account, if it came.
        ended: Option<SessionEnded>,
    },
    /// The application cancelled.
    Cancelled,
    /// Anything else: what came is true, and something may be missing.
    Incomplete {
        /// Why.
        reason: IncompleteReason,
        /// The server's account, if it came.
        ended: Option<SessionEnded>,
    },
}

impl Outcome {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete(_))
    }

    /// Whether the same thing may work in a new session, as far as this one can tell. Whether to try is the application's to decide:
    /// not after it ended its input, and not without saying the lost audio again. Spec: REC-C2, REC-C3, KA-C4.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Error { retryable, .. } => *retryable,
            Self::Incomplete { reason, .. } => matches!(reason, IncompleteReason::ConnectionLost(_)),
            Self::Complete(_) | Self::Cancelled => false,
        }
    }
}

/// Why an outcome is incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IncompleteReason {
    /// The server says itself that it is not complete.
    #[error("the server ended the session and says that it is not complete")]
    NotComplete,
    /// `session_ended` came before the client's own sentinel.
    #[error("the server ended the session before the client did")]
    EndedEarly,
    /// `session_ended` says complete, and its numbers say otherwise. Spec: END-C8.
    #[error("the server's account contradicts what was sent and received")]
    AccountContradicts,
    /// The server closed without `session_ended`.
    #[error("the server closed the connection without `session_ended`")]
    Closed {
        /// Its close code, if it gave one.
        code: Option<CloseCode>,
    },
    /// `session_ended` did not come within `drain_ms`, extended by progress. Spec: END-C5.
    #[error("the server did not end the session in time")]
    DrainTimeout,
    /// The server put another audio format in force than was asked: its results would be noise. Spec: CFG-S6.
    #[error("the server put another audio format in force than was asked for")]
    AudioReplaced,
    /// The network failed, or the server fell silent: `connection_lost`, worth another try.
    #[error("connection lost: {0}")]
    ConnectionLost(TransportError),
    /// An earlier connection of the same session was lost with audio on it, and the rest came: told by whoever goes on with a lost
    /// session on a new connection, never by one [`ClientSession`](crate::ClientSession). Spec: REC-C4.
    #[error("audio was lost with an earlier connection of the session; all after it is complete")]
    AudioLost,
}
