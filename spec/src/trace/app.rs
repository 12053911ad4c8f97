//! What is known of a client under test apart from its connections: what its application was asked, what it was told, the end
//! of its input and of its process. Owns the types and their form in a trace file; what is right is the judge's business.

use serde::{Deserialize, Serialize};

use crate::message::strict::object_only;

/// The client's process was started: a new run of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Started {
    /// Whether a driver makes its calls; without one only its frames and its exit are seen.
    pub driven: bool,
    /// How much audio the program was given, in milliseconds; absent with a driver, and where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
}

/// The input of a client ended, as far as the harness can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct InputEnded {
    /// By what that is known.
    pub known_by: InputEnd,
    /// The length of the whole input in milliseconds of audio; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
}

/// By what it is known that the input of a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum InputEnd {
    /// The client was given an audio file of known length, and that much audio has arrived.
    File,
    /// The length of the input was stated, and that much audio has arrived.
    Stated,
    /// The harness closed the client's standard input.
    Stdin,
    /// The harness told the application to end, by the driver protocol.
    Driver,
}

/// The calls of a client's public interface that the driver protocol can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Connect and begin a session.
    Start,
    /// Hand over audio.
    Push,
    /// Ask for the finals of what was handed over.
    Flush,
    /// The input is over.
    End,
    /// Cancel: leave the session.
    Close,
}

impl Call {
    /// Every call, in the order in which a session makes them.
    pub const ALL: &'static [Self] = &[Self::Start, Self::Push, Self::Flush, Self::End, Self::Close];

    /// Its name in a trace and in the driver protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Push => "push",
            Self::Flush => "flush",
            Self::End => "end",
            Self::Close => "close",
        }
    }
}

/// The harness made a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Called {
    /// Its number in the session, from 1.
    pub number: u32,
    /// Which call.
    pub what: Call,
    /// How much audio a push hands over, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
}

/// A call came back to the harness.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Returned {
    /// The number of the call.
    pub number: u32,
    /// Which call.
    pub what: Call,
    /// Why it failed, in the client's words; absent where it did what it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// How a client says that its session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum ClientOutcome {
    /// Everything was transcribed, and the server said so.
    Complete,
    /// The server, or the attempt to reach it, failed.
    Error,
    /// The application cancelled.
    Cancelled,
    /// It ended otherwise: something may be missing.
    Incomplete,
}

impl ClientOutcome {
    /// Its name in a trace and in the driver protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What a client can tell its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum ToldWhat {
    /// The session was accepted.
    Ready,
    /// A partial.
    Partial,
    /// A final.
    Final,
    /// A flush was answered.
    Flushed,
    /// A flush failed: its answer did not come.
    FlushFailed,
    /// An error of the server, fatal or not.
    Error,
    /// A warning, speech events, or whatever else the client passes on.
    Other,
    /// The public iterator ended, with its outcome. Nothing comes after it.
    Ended,
    /// After the end: how many tasks, threads or sockets of the session are left.
    Left,
}

impl ToldWhat {
    /// Its name in a trace and in the driver protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Partial => "partial",
            Self::Final => "final",
            Self::Flushed => "flushed",
            Self::FlushFailed => "flush_failed",
            Self::Error => "error",
            Self::Other => "other",
            Self::Ended => "ended",
            Self::Left => "left",
        }
    }
}

/// The client told its application something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Told {
    /// What.
    pub what: ToldWhat,
    /// The segment of a partial or a final, where the client passes it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<u64>,
    /// The text of a partial or a final; the message of an error, also of one that was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it starts, in milliseconds of the audio that the application handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// Where it ends, in the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// The number of the flush call that is answered or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The code of an error, or why the session ended as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether an error ends the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fatal: Option<bool>,
    /// Whether the same may succeed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// How the session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ClientOutcome>,
    /// Whether the client said that by raising: an exception out of its iterator, or out of the call that begins a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised: Option<bool>,
    /// How many tasks, threads or sockets are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Told {
    /// Only what it is; everything else is not said.
    #[must_use]
    pub const fn new(what: ToldWhat) -> Self {
        Self {
            what,
            segment_id: None,
            text: None,
            start_ms: None,
            end_ms: None,
            number: None,
            code: None,
            fatal: None,
            retryable: None,
            outcome: None,
            raised: None,
            count: None,
        }
    }
}

/// The client's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Exited {
    /// Its exit code; absent where a signal ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

object_only!(Started, InputEnded, Called, Returned, Told, Exited);
