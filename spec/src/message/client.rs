//! The messages a client sends. Owns their bodies (but for the configuration); knows nothing of when they are legal.

use serde::{Deserialize, Serialize};

use super::config::{Config, EndpointingRequest};
use super::strict::{self, object_only};

/// A control message from the client. Exhaustive on purpose: a new message is a compile error in every state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientMessage {
    /// `config`
    Config(Box<Config>),
    /// `keepalive`
    Keepalive(Keepalive),
    /// `flush`
    Flush(Flush),
    /// `update`
    Update(Box<Update>),
    /// `end_of_stream`
    EndOfStream,
}

impl ClientMessage {
    /// The `type` of every client message, in the order of the variants.
    pub const TYPES: &'static [&'static str] = &["config", "keepalive", "flush", "update", "end_of_stream"];

    /// The `type` on the wire.
    #[must_use]
    pub fn message_type(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Keepalive(_) => "keepalive",
            Self::Flush(_) => "flush",
            Self::Update(_) => "update",
            Self::EndOfStream => "end_of_stream",
        }
    }
}

/// Says that the client is alive while it has no audio to send. It resets the server's idle clock and changes nothing
/// else. Due one `keepalive_interval_ms` after the last audio or keepalive; none is due before `ready` or after the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Keepalive {
    /// A number that the server repeats in `keepalive_ack`. Absent: no acknowledgement is owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Asks for the finals of all audio sent so far, without ending the stream. The server answers with those finals and then
/// with exactly one `flushed` with this id, also when there was nothing to flush.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Flush {
    /// The client's name for this flush, 1 to 128 bytes of UTF-8.
    #[serde(deserialize_with = "strict::id")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), extend("x-max-bytes" = 128)))]
    pub id: String,
}

/// Changes options while the stream runs. Only for servers with the capability `update`. The server answers with
/// `updated`, or with a non-fatal `error` that carries the id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Update {
    /// The client's name for this update, 1 to 128 bytes of UTF-8.
    #[serde(deserialize_with = "strict::id")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), extend("x-max-bytes" = 128)))]
    pub id: String,
    /// New endpointing; members that are absent stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpointing: Option<EndpointingRequest>,
    /// The language from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The words and phrases to favour from here on; they replace the old ones. Absent: the old ones stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyterms: Option<Vec<String>>,
}

/// Says that no more audio will come. Sent exactly once, unless the client cancels by closing. The server answers with the
/// finals and `flushed` still due, then `session_ended`, then Close.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct EndOfStream {}

object_only!(Keepalive, Flush, Update, EndOfStream);
