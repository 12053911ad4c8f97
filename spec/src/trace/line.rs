//! One line of a trace file: reading, strictly, and writing. Owns the shape of the lines; the meaning of an event is
//! beside it in the module. Input is hostile: lengths are bounded, and every line must be I-JSON.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Eof, Event, EventKind, Header, MAX_EVENTS, MAX_HEAD_BYTES, MAX_LINE_BYTES, Open, Side, TRACE_VERSION, Trace, TraceError,
};
use crate::close::CloseCode;
use crate::codec::{self, DecodeError};
use crate::ijson;
use crate::message::strict::{BAD_VALUE, object_only};

/// Reads a trace file.
///
/// # Errors
/// The first line that is no line of a trace, or whose time is before that of the line above it. Nothing is returned then.
pub fn read(text: &str) -> Result<Trace, TraceError> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let (number, first) = lines.next().ok_or_else(|| fault(1, "", "the file is empty: a trace starts with a header"))?;
    let header = read_line::<HeaderLine>(number, first)?.into_header();
    let mut events: Vec<Event> = Vec::new();
    for (number, line) in lines {
        if events.len() == MAX_EVENTS {
            return Err(fault(number, "", &format!("more than {MAX_EVENTS} events")));
        }
        let event = read_line::<EventLine>(number, line)?.into_event().map_err(|detail| fault(number, "", &detail))?;
        if let Some(last) = events.last().filter(|last| event.t_us < last.t_us) {
            let detail = format!("{} is before the line above it, {}: times never fall", event.t_us, last.t_us);
            return Err(fault(number, "t_us", &detail));
        }
        events.push(event);
    }
    Ok(Trace { header, events })
}

/// The trace as a file. [`read`] gives it back, provided that its times do not fall and its numbers are at most 2^53-1.
#[must_use]
pub fn write(trace: &Trace) -> String {
    let mut text = write_header(&trace.header);
    for event in &trace.events {
        text.push_str(&write_event(event));
    }
    text
}

/// The first line of a trace file, line end included.
#[must_use]
pub fn write_header(header: &Header) -> String {
    line_of(&HeaderLine {
        lastword_trace: TRACE_VERSION,
        subject: header.subject,
        case: header.case.clone(),
        seed: header.seed,
        note: header.note.clone(),
        time_scale_percent: Some(header.time_scale_percent).filter(|percent| *percent != 100),
        expect: header.expect.clone(),
    })
}

/// One event as a line of a trace file, line end included.
#[must_use]
pub fn write_event(event: &Event) -> String {
    line_of(&EventLine::from_event(event))
}

/// The first line of a trace file.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Header"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct HeaderLine {
    /// The version of the format: 1.
    #[serde(deserialize_with = "this_version")]
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    lastword_trace: u64,
    /// Who is under test; the other side is the harness.
    subject: Side,
    /// The case that was run.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    case: Option<String>,
    /// The seed from which the case made its choices.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    seed: Option<u64>,
    /// A remark for a person.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    note: Option<String>,
    /// What the bounds of the protocol are multiplied with in judging this trace, in percent. Absent: 100.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    time_scale_percent: Option<u64>,
    /// The requirement IDs a judge must find broken, no more and no fewer; empty for a trace without a fault.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    expect: Option<Vec<String>>,
}

/// Any other line of a trace file: when, on which connection, and exactly one thing that happened. `from` stands with the
/// things that one of the sides did: `text`, `audio`, `close`, `eof`, `ping`, `pong`.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Event", transform = crate::schema::exactly_one_thing))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct EventLine {
    /// Microseconds since the start of the trace, on the clock of the harness. Never falls within a file.
    t_us: u64,
    /// The connection, by a number the harness gave it.
    conn: u32,
    /// Who did it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Side"))]
    from: Option<Side>,
    /// The WebSocket upgrade succeeded.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "OpenMember"))]
    open: Option<OpenMember>,
    /// The server refused the upgrade.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RefusedMember"))]
    refused: Option<RefusedMember>,
    /// No HTTP answer at all.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ConnectFailedMember"))]
    connect_failed: Option<ConnectFailedMember>,
    /// A text message, whole, as it came.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    text: Option<String>,
    /// A binary message.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "AudioMember"))]
    audio: Option<AudioMember>,
    /// A Close frame.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "CloseMember"))]
    close: Option<CloseMember>,
    /// The transport ended: `fin` in order, `reset` otherwise.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Eof"))]
    eof: Option<Eof>,
    /// A Ping.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Yes"))]
    ping: Option<Yes>,
    /// A Pong.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Yes"))]
    pong: Option<Yes>,
    /// A session on another connection, run to its end to see whether the subject still serves.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ControlMember"))]
    control: Option<ControlMember>,
    /// The harness stopped waiting.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "GaveUpMember"))]
    gave_up: Option<GaveUpMember>,
    /// A remark for a person.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    note: Option<String>,
}

/// How a connection was opened.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Open"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct OpenMember {
    /// The subprotocol tokens that the client offered.
    offered: Vec<String>,
    /// The token that the server selected; `null` for none.
    selected: Option<String>,
    /// What this connection is for in the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The speech that is sent on it, by the name of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    speech: Option<String>,
    /// The URL, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// An HTTP answer instead of the upgrade.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Refused"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct RefusedMember {
    /// The HTTP status.
    #[cfg_attr(feature = "schema", schemars(range(max = 65_535)))]
    status: u16,
    /// The value of `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
}

/// A connection that did not come about.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ConnectFailed"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ConnectFailedMember {
    /// What the transport said.
    error: String,
}

/// A binary message without its samples.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Audio"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct AudioMember {
    /// Its length in bytes.
    bytes: u64,
    /// Its first bytes, four at most, as lower-case hexadecimal digits.
    #[serde(default, with = "head", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^([0-9a-f]{2}){0,4}$")))]
    head: Vec<u8>,
}

/// A Close frame.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Close"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct CloseMember {
    /// Its code; `null` for a Close without one.
    #[cfg_attr(feature = "schema", schemars(range(max = 65_535)))]
    code: Option<u16>,
    /// Its reason; empty for none.
    reason: String,
}

/// A session on another connection.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Control"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ControlMember {
    /// Whether it completed.
    ok: bool,
    /// How long it took, in milliseconds.
    took_ms: u64,
}

/// The end of the harness's patience.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "GaveUp"))]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct GaveUpMember {
    /// How long it had waited since the last event on this connection, in milliseconds.
    after_ms: u64,
}

object_only!(
    HeaderLine,
    EventLine,
    OpenMember,
    RefusedMember,
    ConnectFailedMember,
    AudioMember,
    CloseMember,
    ControlMember,
    GaveUpMember,
);

impl HeaderLine {
    fn into_header(self) -> Header {
        Header {
            subject: self.subject,
            case: self.case,
            seed: self.seed,
            note: self.note,
            time_scale_percent: self.time_scale_percent.unwrap_or(100),
            expect: self.expect,
        }
    }
}

impl EventLine {
    fn from_event(event: &Event) -> Self {
        let line = Self { t_us: event.t_us, conn: event.conn, from: event.kind.from(), ..Self::default() };
        match event.kind.clone() {
            EventKind::Open(open) => {
                let Open { offered, selected, label, speech, url } = open;
                Self { open: Some(OpenMember { offered, selected, label, speech, url }), ..line }
            }
            EventKind::Refused { status, retry_after } => {
                Self { refused: Some(RefusedMember { status, retry_after }), ..line }
            }
            EventKind::ConnectFailed { error } => Self { connect_failed: Some(ConnectFailedMember { error }), ..line },
            EventKind::Text { text, .. } => Self { text: Some(text), ..line },
            EventKind::Audio { bytes, head, .. } => Self { audio: Some(AudioMember { bytes, head }), ..line },
            EventKind::Close { code, reason, .. } => {
                Self { close: Some(CloseMember { code: code.map(|code| code.0), reason }), ..line }
            }
            EventKind::Eof { how, .. } => Self { eof: Some(how), ..line },
            EventKind::Ping { .. } => Self { ping: Some(Yes), ..line },
            EventKind::Pong { .. } => Self { pong: Some(Yes), ..line },
            EventKind::Control { ok, took_ms } => Self { control: Some(ControlMember { ok, took_ms }), ..line },
            EventKind::GaveUp { after_ms } => Self { gave_up: Some(GaveUpMember { after_ms }), ..line },
            EventKind::Note(note) => Self { note: Some(note), ..line },
        }
    }

    fn into_event(self) -> Result<Event, String> {
        let (t_us, conn) = (self.t_us, self.conn);
        let kind = self.into_kind()?;
        Ok(Event { t_us, conn, kind })
    }

    fn into_kind(self) -> Result<EventKind, String> {
        // Each member that is there, as the kind it makes; the sides' own acts need to know whose.
        let (sides, others) = (self.from, self.from.is_none());
        let by_side = |make: &dyn Fn(Side) -> EventKind| sides.map(make);
        let mut kinds: Vec<Option<EventKind>> = Vec::new();
        if let Some(OpenMember { offered, selected, label, speech, url }) = self.open {
            kinds.push(others.then_some(EventKind::Open(Open { offered, selected, label, speech, url })));
        }
        if let Some(RefusedMember { status, retry_after }) = self.refused {
            kinds.push(others.then_some(EventKind::Refused { status, retry_after }));
        }
        if let Some(ConnectFailedMember { error }) = self.connect_failed {
            kinds.push(others.then_some(EventKind::ConnectFailed { error }));
        }
        if let Some(text) = self.text {
            kinds.push(sides.map(|from| EventKind::Text { from, text }));
        }
        if let Some(AudioMember { bytes, head }) = self.audio {
            kinds.push(sides.map(|from| EventKind::Audio { from, bytes, head }));
        }
        if let Some(CloseMember { code, reason }) = self.close {
            kinds.push(sides.map(|from| EventKind::Close { from, code: code.map(CloseCode), reason }));
        }
        if let Some(how) = self.eof {
            kinds.push(by_side(&|from| EventKind::Eof { from, how }));
        }
        if self.ping.is_some() {
            kinds.push(by_side(&|from| EventKind::Ping { from }));
        }
        if self.pong.is_some() {
            kinds.push(by_side(&|from| EventKind::Pong { from }));
        }
        if let Some(ControlMember { ok, took_ms }) = self.control {
            kinds.push(others.then_some(EventKind::Control { ok, took_ms }));
        }
        if let Some(GaveUpMember { after_ms }) = self.gave_up {
            kinds.push(others.then_some(EventKind::GaveUp { after_ms }));
        }
        if let Some(note) = self.note {
            kinds.push(others.then_some(EventKind::Note(note)));
        }
        match (kinds.len(), kinds.pop().flatten()) {
            (1, Some(kind)) => Ok(kind),
            (1, None) => Err(FROM_RULE.to_owned()),
            (count, _) => Err(format!("a line tells exactly one thing, this one {count}")),
        }
    }
}

const FROM_RULE: &str = "`from` stands with `text`, `audio`, `close`, `eof`, `ping` and `pong`, and with nothing else";

fn read_line<T: DeserializeOwned>(number: usize, line: &str) -> Result<T, TraceError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(fault(number, "", &format!("longer than {MAX_LINE_BYTES} bytes")));
    }
    let at = |error: DecodeError| fault(number, &error.path, &error.detail);
    ijson::scan(line).map_err(|error| at(DecodeError::not_ijson(error)))?;
    serde_json::from_str(line).map_err(|_| at(codec::explain::<T>("", line)))
}

fn fault(line: usize, path: &str, detail: &str) -> TraceError {
    TraceError { line, path: path.to_owned(), detail: detail.to_owned() }
}

fn line_of<T: Serialize>(line: &T) -> String {
    let mut text = serde_json::to_string(line).expect("a line has string keys and is written to memory");
    text.push('\n');
    text
}

/// A member that may be absent but not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn this_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        TRACE_VERSION => Ok(TRACE_VERSION),
        other => Err(D::Error::custom(format_args!("{BAD_VALUE} version {other} is not known, only {TRACE_VERSION} is"))),
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
        [Self::Client, Self::Server].into_iter().find(|side| side.as_str() == name).ok_or_else(|| {
            D::Error::custom(format_args!("{BAD_VALUE} must be `client` or `server`"))
        })
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
            D::Error::custom(format_args!("{BAD_VALUE} must be up to {MAX_HEAD_BYTES} bytes in lower-case hexadecimal digits"))
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
