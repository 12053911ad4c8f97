//! The messages a server sends. Owns the bodies about the session itself; knows nothing of when they are legal.

use serde::{Deserialize, Serialize};

use super::config::EffectiveConfig;
use super::result::{Final, Partial, SpeechEnded, SpeechStarted};
use super::strict::{self, object_only};
use super::vocabulary::{Encoding, WarningCode};
use crate::close::EndReason;
use crate::error_code::ErrorCode;
use crate::limits::Limits;

/// A control message from the server. Exhaustive on purpose: a new message is a compile error in every state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerMessage {
    /// `ready`
    Ready(Box<Ready>),
    /// `partial`
    Partial(Partial),
    /// `final`
    Final(Final),
    /// `flushed`
    Flushed(Flushed),
    /// `updated`
    Updated(Box<Updated>),
    /// `session_ended`
    SessionEnded(SessionEnded),
    /// `speech_started`
    SpeechStarted(SpeechStarted),
    /// `speech_ended`
    SpeechEnded(SpeechEnded),
    /// `keepalive_ack`
    KeepaliveAck(KeepaliveAck),
    /// `progress`
    Progress(Progress),
    /// `warning`
    Warning(Warning),
    /// `error`
    Error(ErrorMessage),
}

impl ServerMessage {
    /// The `type` of every server message, in the order of the variants.
    pub const TYPES: &'static [&'static str] = &[
        "ready",
        "partial",
        "final",
        "flushed",
        "updated",
        "session_ended",
        "speech_started",
        "speech_ended",
        "keepalive_ack",
        "progress",
        "warning",
        "error",
    ];

    /// The `type` on the wire.
    #[must_use]
    pub fn message_type(&self) -> &'static str {
        match self {
            Self::Ready(_) => "ready",
            Self::Partial(_) => "partial",
            Self::Final(_) => "final",
            Self::Flushed(_) => "flushed",
            Self::Updated(_) => "updated",
            Self::SessionEnded(_) => "session_ended",
            Self::SpeechStarted(_) => "speech_started",
            Self::SpeechEnded(_) => "speech_ended",
            Self::KeepaliveAck(_) => "keepalive_ack",
            Self::Progress(_) => "progress",
            Self::Warning(_) => "warning",
            Self::Error(_) => "error",
        }
    }
}

/// The answer to `config`: the session may start, and this is what holds in it. From here on the client sends audio.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Ready {
    /// The server's name for the session, for logs and support.
    pub session_id: String,
    /// The protocol that is spoken: `lastword.v1`.
    pub protocol: String,
    /// What is in effect: complete, also where the client said nothing.
    pub config: EffectiveConfig,
    /// The bounds that hold in this session.
    pub limits: Limits,
    /// What else the server can do. Absent: nothing is promised.
    #[serde(default, deserialize_with = "strict::null_as_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Capabilities>"))]
    pub capabilities: Capabilities,
    /// Dotted paths of the members of `config` that have no effect here: those v1 does not define, and options this server
    /// does not serve. Absent: none.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub ignored: Vec<String>,
}

/// What a server can do beyond the core. An absent member promises nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Capabilities {
    /// The audio encodings it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encodings: Option<Vec<Encoding>>,
    /// The sample rates it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rates_hz: Option<Vec<u32>>,
    /// The most channels it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<u32>,
    /// Whether it can give words with times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<bool>,
    /// Whether it can send speech events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_events: Option<bool>,
    /// Whether it serves `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<bool>,
    /// The languages it knows, as BCP 47 tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<String>>,
    /// The models a client may name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
}

/// All audio sent before the `flush` with this id has its finals. Exactly one for each flush.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Flushed {
    /// The id of the flush, 1 to 128 bytes of UTF-8.
    #[serde(deserialize_with = "strict::id")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), extend("x-max-bytes" = 128)))]
    pub id: String,
}

/// The `update` with this id is in effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Updated {
    /// The id of the update, 1 to 128 bytes of UTF-8.
    #[serde(deserialize_with = "strict::id")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), extend("x-max-bytes" = 128)))]
    pub id: String,
    /// What is in effect from here on, complete.
    pub config: EffectiveConfig,
}

/// The last message of a session, exactly one after `ready` in every ending the server can still write to. The proof that
/// nothing was lost is `complete`, not the close code that follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct SessionEnded {
    /// Why it ended: `completed`, `idle_timeout`, `max_duration`, `going_away`, or the code of the fatal error.
    pub reason: EndReason,
    /// True if all accepted audio has its finals, they were sent, and nothing was dropped. Only with `completed`.
    pub complete: bool,
    /// Milliseconds of audio the server accepted, for one channel, rounded down.
    pub audio_received_ms: u64,
    /// Milliseconds of it that the recognizer worked off.
    pub audio_processed_ms: u64,
    /// Binary messages that were refused, before or after the end.
    pub rejected_frames: u64,
    /// Finals that were sent, empty ones included.
    pub finals: u64,
    /// A sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Repeats the `seq` of a `keepalive`. One for each that had one, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct KeepaliveAck {
    /// The number from the keepalive.
    pub seq: u64,
}

/// The server owes something and works on it. Sent at least every `progress_interval_ms` while that is so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Progress {
    /// Counts the progress messages of the session, from 1.
    pub seq: u64,
    /// Milliseconds of audio that the recognizer worked off. Never falls.
    pub audio_processed_ms: u64,
}

/// Something the client's operator may want to know. It changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// A sentence for a person.
    pub message: String,
}

/// Something went wrong. A fatal one ends the session: `session_ended` (after `ready`) and Close follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct ErrorMessage {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for a person. Never a stack trace, a path or a secret.
    pub message: String,
    /// Whether the session ends by this. A reader that does not know the code goes by this.
    pub fatal: bool,
    /// Whether the same thing may work in a new session.
    pub retryable: bool,
    /// How long to wait before trying again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The member at fault as a dotted path, such as `audio.sample_rate_hz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// The id of the `flush` or `update` that this answers, 1 to 128 bytes of UTF-8.
    #[serde(default, deserialize_with = "strict::opt_id", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), extend("x-max-bytes" = 128)))]
    pub id: Option<String>,
}

object_only!(Ready, Capabilities, Flushed, Updated, SessionEnded, KeepaliveAck, Progress, Warning, ErrorMessage,);
