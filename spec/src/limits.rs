//! The bounds a server advertises in `ready.limits`: their names, defaults and minima as data, and the message part.
//! Knows nothing of which clock a bound belongs to: that is the state table's.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ijson::MAX_INTEGER;
use crate::message::strict::object_only;

/// The bounds that hold in a session. All but the last are required on the wire; where one is missing, which is a
/// violation, its default holds. Times are milliseconds of the clock, sizes are bytes of one message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Limits {
    /// The server ends a session in which it received nothing for so long.
    pub idle_timeout_ms: u64,
    /// The client sends a keepalive when it has sent nothing for so long.
    pub keepalive_interval_ms: u64,
    /// From `config` to `ready`; extended by progress.
    pub ready_ms: u64,
    /// From `flush` to `flushed`; extended by progress.
    pub flush_ms: u64,
    /// From `end_of_stream` to `session_ended`; extended by progress.
    pub drain_ms: u64,
    /// From `session_ended` to the server's Close.
    pub close_ms: u64,
    /// The longest silence of a server that owes something and works on it.
    pub progress_interval_ms: u64,
    /// The longest time `audio_processed_ms` may stand still while work is owed.
    pub max_step_ms: u64,
    /// The largest binary message, in bytes.
    pub max_frame_bytes: u64,
    /// The largest text message, in bytes.
    pub max_text_bytes: u64,
    /// The longest session.
    pub max_session_ms: u64,
    /// The most audio the server holds that the recognizer has not worked off, in milliseconds of audio.
    pub max_buffered_audio_ms: u64,
    /// The most output the server holds for a client that does not read, in bytes. Absent: not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_buffered_output_bytes: Option<u64>,
}

object_only!(Limits);

impl Limits {
    /// What holds where nothing else is advertised.
    pub const DEFAULT: Self = Self {
        idle_timeout_ms: 30_000,
        keepalive_interval_ms: 10_000,
        ready_ms: 10_000,
        flush_ms: 5_000,
        drain_ms: 15_000,
        close_ms: 2_000,
        progress_interval_ms: 2_000,
        max_step_ms: 30_000,
        max_frame_bytes: 64_000,
        max_text_bytes: 65_536,
        max_session_ms: 3_600_000,
        max_buffered_audio_ms: 30_000,
        max_buffered_output_bytes: None,
    };

    /// Reads what there is of a `limits` object and fills the rest with defaults.
    ///
    /// Returns the limits and the names of the required members that were missing or unreadable, in the order of
    /// [`LIMITS`]. A member that is no integer in 0..2^53-1 counts as missing.
    #[must_use]
    pub fn from_partial(object: &Map<String, Value>) -> (Self, Vec<&'static str>) {
        let mut limits = Self::DEFAULT;
        let mut missing = Vec::new();
        for spec in LIMITS {
            match object.get(spec.name).and_then(Value::as_u64).filter(|value| *value <= MAX_INTEGER) {
                Some(value) => *(spec.member)(&mut limits) = value,
                None => missing.push(spec.name),
            }
        }
        limits.max_buffered_output_bytes =
            object.get("max_buffered_output_bytes").and_then(Value::as_u64).filter(|value| *value <= MAX_INTEGER);
        (limits, missing)
    }

    /// The limits that are below the minimum the protocol allows, each with its value.
    #[must_use]
    pub fn below_minimum(&self) -> Vec<(&'static LimitSpec, u64)> {
        let mut limits = self.clone();
        LIMITS
            .iter()
            .map(|spec| (spec, *(spec.member)(&mut limits)))
            .filter(|(spec, value)| *value < spec.minimum)
            .collect()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a limit is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
}

/// One row of the table of limits.
#[derive(Clone, Copy, Debug)]
pub struct LimitSpec {
    /// The member of `ready.limits`.
    pub name: &'static str,
    /// What holds where the member is missing.
    pub default: u64,
    /// The least value a server may advertise.
    pub minimum: u64,
    /// What it is counted in.
    pub unit: Unit,
    /// What it bounds, in a sentence.
    pub doc: &'static str,
    member: fn(&mut Limits) -> &mut u64,
}

macro_rules! limit_table {
    ($( $member:ident, $minimum:literal, $unit:ident, $doc:literal; )+) => {
        /// The required members of `ready.limits`, in the order of [`Limits`].
        pub const LIMITS: &[LimitSpec] = &[$(
            LimitSpec {
                name: stringify!($member),
                default: Limits::DEFAULT.$member,
                minimum: $minimum,
                unit: Unit::$unit,
                doc: $doc,
                member: |limits| &mut limits.$member,
            },
        )+];
    };
}

limit_table! {
    idle_timeout_ms, 1_000, Milliseconds, "A session in which the server received nothing for so long is ended.";
    keepalive_interval_ms, 100, Milliseconds, "A client that sent nothing for so long sends a keepalive.";
    ready_ms, 1_000, Milliseconds, "From `config` to `ready`; extended by progress.";
    flush_ms, 500, Milliseconds, "From `flush` to `flushed`; extended by progress.";
    drain_ms, 1_000, Milliseconds, "From `end_of_stream` to `session_ended`; extended by progress.";
    close_ms, 500, Milliseconds, "From `session_ended` to the server's Close.";
    progress_interval_ms, 100, Milliseconds, "The longest silence of a server that owes something and works on it.";
    max_step_ms, 1_000, Milliseconds, "The longest time `audio_processed_ms` may stand still while work is owed.";
    max_frame_bytes, 32_000, Bytes, "The largest binary message; never less than 1,000 ms of the session's audio.";
    max_text_bytes, 4_096, Bytes, "The largest text message.";
    max_session_ms, 60_000, Milliseconds, "The longest session.";
    max_buffered_audio_ms, 1_000, Milliseconds, "The most accepted audio that waits for the recognizer.";
}
