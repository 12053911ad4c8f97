//! The shape of the lines of a trace file, member by member. Owns what serde and the schema see; how lines become events is
//! in `line.rs`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::app::{Called, Exited, InputEnded, Returned, Started, Told};
use super::{ControlOutcome, Eof, MAX_HEAD_BYTES, Probe, Shown, Side, Spoken, Stimulus, TRACE_VERSION};
use crate::message::strict::{BAD_VALUE, object_only};

/// The first line of a trace file.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Header"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct HeaderLine {
    /// The version of the format: 1.
    #[serde(deserialize_with = "this_version")]
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub(super) lastword_trace: u64,
    /// Who is under test; the other side is the harness.
    pub(super) subject: Side,
    /// The case that was run.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) case: Option<String>,
    /// The seed from which the case made its choices.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub(super) seed: Option<u64>,
    /// A remark for a person.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) note: Option<String>,
    /// What the bounds of the protocol are multiplied with in judging this trace, in percent. Absent: 100.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub(super) time_scale_percent: Option<u64>,
    /// The dialect in which the connections were held, where it is not this protocol itself.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Spoken"))]
    pub(super) dialect: Option<Spoken>,
    /// The requirement IDs a judge must find broken, no more and no fewer; empty for a trace without a fault.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub(super) expect: Option<Vec<String>>,
}

/// Any other line of a trace file: when, on which connection, and exactly one thing that happened. `from` stands with the
/// things that one of the sides did: `text`, `audio`, `close`, `eof`, `ping`, `pong`.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Event", transform = crate::schema::exactly_one_thing))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct EventLine {
    /// Microseconds since the start of the trace, on the clock of the harness. Never falls within a file.
    pub(super) t_us: u64,
    /// The connection, by a number the harness gave it.
    pub(super) conn: u32,
    /// Who did it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Side"))]
    pub(super) from: Option<Side>,
    /// The WebSocket upgrade succeeded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "OpenMember"))]
    pub(super) open: Option<OpenMember>,
    /// The server refused the upgrade.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RefusedMember"))]
    pub(super) refused: Option<RefusedMember>,
    /// No HTTP answer at all.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ConnectFailedMember"))]
    pub(super) connect_failed: Option<ConnectFailedMember>,
    /// A text message, whole, as it came.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) text: Option<String>,
    /// With a `text`: the members of it that its sender did not say and the harness made up, because the wire of a dialect does not
    /// tell them, as dotted paths; `*` alone for all of it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    pub(super) made_up: Option<Vec<String>>,
    /// A binary message.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "AudioMember"))]
    pub(super) audio: Option<AudioMember>,
    /// A Close frame.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "CloseMember"))]
    pub(super) close: Option<CloseMember>,
    /// The transport ended: `fin` in order, `reset` otherwise.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Eof"))]
    pub(super) eof: Option<Eof>,
    /// A Ping.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Yes"))]
    pub(super) ping: Option<Yes>,
    /// A Pong.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Yes"))]
    pub(super) pong: Option<Yes>,
    /// A session on another connection, run to its end to see whether the subject still serves.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ControlMember"))]
    pub(super) control: Option<ControlMember>,
    /// On a release probe: the moment of its stimulus.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Stimulus"))]
    pub(super) stimulus: Option<Stimulus>,
    /// What the operating system says of the transport.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "TransportMember"))]
    pub(super) transport: Option<TransportMember>,
    /// What the subject's processes worked meanwhile.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "CpuMember"))]
    pub(super) cpu: Option<CpuMember>,
    /// Whether the harness reads this connection from here on.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub(super) reads: Option<bool>,
    /// For how long nobody had had a session with the subject, in milliseconds.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub(super) left_alone_ms: Option<u64>,
    /// The harness stopped waiting.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "GaveUpMember"))]
    pub(super) gave_up: Option<GaveUpMember>,
    /// A new run of a client under test began.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Started"))]
    pub(super) started: Option<Started>,
    /// The input of a client under test ended; by what that is known.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "InputEnded"))]
    pub(super) input_ended: Option<InputEnded>,
    /// The harness made a call of the client's public interface.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Called"))]
    pub(super) called: Option<Called>,
    /// Such a call came back.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Returned"))]
    pub(super) returned: Option<Returned>,
    /// What the client told its application.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Told"))]
    pub(super) told: Option<Told>,
    /// What of the client's output repeats its credential.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) logged: Option<String>,
    /// The client's process ended.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Exited"))]
    pub(super) exited: Option<Exited>,
    /// A remark for a person.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) note: Option<String>,
}

/// How a connection was opened.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Open"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct OpenMember {
    /// The subprotocol tokens that the client offered.
    pub(super) offered: Vec<String>,
    /// The token that the server selected; `null` for none.
    pub(super) selected: Option<String>,
    /// What this connection is for in the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// The speech that is sent on it, by the name of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speech: Option<String>,
    /// The URL, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// The credential that the `Authorization` header showed; absent where it was not noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<Shown>,
    /// What it tries, where it is a release probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<ProbeMember>,
}

/// What a release probe tries: which connection it repeats, with which stimulus.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Probe"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ProbeMember {
    /// The connection under suspicion.
    pub(super) of: u32,
    /// The stimulus.
    pub(super) stimulus: Stimulus,
    /// The repetition, from 1.
    pub(super) round: u32,
}

impl From<Probe> for ProbeMember {
    fn from(Probe { of, stimulus, round }: Probe) -> Self {
        Self { of, stimulus, round }
    }
}

impl From<ProbeMember> for Probe {
    fn from(ProbeMember { of, stimulus, round }: ProbeMember) -> Self {
        Self { of, stimulus, round }
    }
}

/// An HTTP answer instead of the upgrade.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Refused"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct RefusedMember {
    /// The HTTP status.
    #[cfg_attr(feature = "schema", schemars(range(max = 65_535)))]
    pub(super) status: u16,
    /// The value of `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<String>,
    /// The subprotocol tokens that the client offered; absent where it was not noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offered: Option<Vec<String>>,
    /// The credential that the `Authorization` header showed; absent where it was not noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<Shown>,
}

/// A connection that did not come about.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ConnectFailed"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ConnectFailedMember {
    /// What the transport said.
    pub(super) error: String,
}

/// A binary message without its samples.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Audio"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct AudioMember {
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// Its first bytes, four at most, as lower-case hexadecimal digits.
    #[serde(default, with = "head", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^([0-9a-f]{2}){0,4}$")))]
    pub(super) head: Vec<u8>,
}

/// A Close frame.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Close"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct CloseMember {
    /// Its code; `null` for a Close without one.
    #[cfg_attr(feature = "schema", schemars(range(max = 65_535)))]
    pub(super) code: Option<u16>,
    /// Its reason; empty for none.
    pub(super) reason: String,
}

/// A session on another connection.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Control"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ControlMember {
    /// Whether it completed.
    pub(super) ok: bool,
    /// Whether the subject answered at all; absent where that is what `ok` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answered: Option<bool>,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
}

impl ControlMember {
    pub(super) fn new(outcome: ControlOutcome, took_ms: u64) -> Self {
        let answered = (outcome == ControlOutcome::Answered).then_some(true);
        Self { ok: outcome == ControlOutcome::Completed, answered, took_ms }
    }

    pub(super) fn outcome(&self) -> ControlOutcome {
        match (self.ok, self.answered) {
            (true, _) => ControlOutcome::Completed,
            (false, Some(true)) => ControlOutcome::Answered,
            (false, _) => ControlOutcome::Unanswered,
        }
    }
}

/// The transport under a connection.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Transport"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct TransportMember {
    /// Bytes written and not acknowledged; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unacknowledged_bytes: Option<u64>,
    /// Bytes acknowledged and not read by the peer; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unread_bytes: Option<u64>,
    /// Bytes that the harness has to write and that the transport does not take; absent where it has none or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unsent_bytes: Option<u64>,
    /// Bytes that the peer wrote and the harness has not read; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting_bytes: Option<u64>,
    /// How often the oldest segment was sent again; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retransmits: Option<u64>,
}

/// The work of the subject's processes.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Cpu"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct CpuMember {
    /// CPU time in milliseconds.
    pub(super) busy_ms: u64,
    /// The window in milliseconds.
    pub(super) over_ms: u64,
    /// Whether nothing else of the harness ran against the subject.
    pub(super) alone: bool,
}

/// The end of the harness's patience.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "GaveUp"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct GaveUpMember {
    /// How long it had waited since the last event on this connection, in milliseconds.
    pub(super) after_ms: u64,
    /// Whether every task of an in-memory subject was waiting; absent where that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quiescent: Option<bool>,
}

object_only!(
    HeaderLine,
    Spoken,
    EventLine,
    OpenMember,
    ProbeMember,
    RefusedMember,
    ConnectFailedMember,
    AudioMember,
    CloseMember,
    ControlMember,
    TransportMember,
    CpuMember,
    GaveUpMember,
);

/// A member that may be absent but not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn this_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        TRACE_VERSION => Ok(TRACE_VERSION),
        other => {
            Err(D::Error::custom(format_args!("{BAD_VALUE} version {other} is not known, only {TRACE_VERSION} is")))
        }
    }
}

impl Serialize for Side {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        [Self::Client, Self::Server]
            .into_iter()
            .find(|side| side.as_str() == name)
            .ok_or_else(|| D::Error::custom(format_args!("{BAD_VALUE} must be `client` or `server`")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Side {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Side".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["client", "server"] })
    }
}

/// `true`, and nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Yes;

impl Serialize for Yes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            return Ok(Self);
        }
        Err(D::Error::custom(format_args!("{BAD_VALUE} must be true, or absent")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Yes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Yes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": true })
    }
}

/// The first bytes of a binary message as hexadecimal digits.
mod head {
    use super::{BAD_VALUE, Deserialize, Deserializer, Error, MAX_HEAD_BYTES};

    pub(super) fn serialize<S: serde::Serializer>(head: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = head.iter().take(MAX_HEAD_BYTES).map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes.filter(|bytes| bytes.len() <= MAX_HEAD_BYTES).ok_or_else(|| {
            D::Error::custom(format_args!(
                "{BAD_VALUE} must be up to {MAX_HEAD_BYTES} bytes in lower-case hexadecimal digits"
            ))
        })
    }

    fn byte(digits: &[u8]) -> Option<u8> {
        let digit = |digit: &u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        match digits {
            [high, low] => Some(digit(high)? * 16 + digit(low)?),
            _ => None,
        }
    }
}
