//! The trace format: what happened on the connections of one case, as the judge reads it. Owns the types and the file
//! format (JSON lines, version 1); it knows nothing of what is right or wrong in a trace, and does no I/O.

mod app;
mod line;
mod shape;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::table::Side;
pub use app::{Call, Called, ClientOutcome, Exited, InputEnd, InputEnded, Returned, Started, Told, ToldWhat};
pub use line::{read, write, write_event, write_header};
#[cfg(feature = "schema")]
pub(crate) use shape::{EventLine, HeaderLine};

use crate::close::CloseCode;

/// The version of the format, the value of `lastword_trace` in the first line.
pub const TRACE_VERSION: u64 = 1;

/// The longest line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// The most events that are read.
pub const MAX_EVENTS: usize = 1_000_000;

/// The most leading bytes of a binary message that are kept.
pub const MAX_HEAD_BYTES: usize = 4;

/// Everything that happened in one case, in the order of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The first line.
    pub header: Header,
    /// The other lines. Times never fall.
    pub events: Vec<Event>,
}

/// What the trace is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Who is under test; the other side is the harness.
    pub subject: Side,
    /// The case that was run.
    pub case: Option<String>,
    /// The seed from which the case made its choices.
    pub seed: Option<u64>,
    /// A remark for a person.
    pub note: Option<String>,
    /// What the bounds of the protocol are multiplied with in judging this trace, in percent; 100 unless the machine was
    /// measured to be slower.
    pub time_scale_percent: u64,
    /// The dialect in which the connections were held, where it is not this protocol itself; the trace shows what they said in
    /// the words of this protocol.
    pub dialect: Option<Spoken>,
    /// The requirement IDs a judge must find broken, no more and no fewer; empty for a trace without a fault. `None`: the
    /// file does not say.
    pub expect: Option<Vec<String>>,
}

/// The wire of another service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Spoken {
    /// The name of its dialect.
    pub name: String,
    /// The IDs of the requirements that cannot be kept or seen in it. Nobody is judged by them.
    pub not_binding: Vec<String>,
    /// The messages of this protocol that it has nothing for, and `TYPE.MEMBER` for what a message of it does not tell.
    pub lacks: Vec<String>,
}

impl Header {
    /// A header that says no more than who is under test.
    #[must_use]
    pub fn new(subject: Side) -> Self {
        Self { subject, case: None, seed: None, note: None, time_scale_percent: 100, dialect: None, expect: None }
    }
}

/// One thing that happened on one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Microseconds since the start of the trace, on the clock of the harness: when it sent, or when it received.
    pub t_us: u64,
    /// The connection, by a number the harness gave it. Numbers need not start at 0 or be dense. What is known of a client
    /// apart from its connections stands with the one that it opened last, or with 0 before.
    pub conn: u32,
    /// What happened.
    pub kind: EventKind,
    /// The members of a text that its sender did not say and the harness made up, because the wire of a dialect does not tell them:
    /// dotted paths in the order of the alphabet, or `*` alone where nothing of the message was on the wire. Nobody is judged by
    /// them. Empty for everything but texts.
    pub made_up: Vec<String>,
}

impl Event {
    /// An event of which nothing was made up.
    #[must_use]
    pub fn new(t_us: u64, conn: u32, kind: EventKind) -> Self {
        Self { t_us, conn, kind, made_up: Vec::new() }
    }
}

/// Stands for all members of a message in [`Event::made_up`].
pub const ALL_MADE_UP: &str = "*";

/// A text without the members of it that were [made up](Event::made_up); the text itself where none was, or where it is no object.
#[must_use]
pub fn as_said<'a>(text: &'a str, made_up: &[String]) -> Cow<'a, str> {
    if made_up.is_empty() {
        return text.into();
    }
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else { return text.into() };
    for path in made_up {
        let (parents, name) =
            path.rsplit_once('.').map_or((None, path.as_str()), |(parents, name)| (Some(parents), name));
        let place = parents
            .iter()
            .flat_map(|parents| parents.split('.'))
            .try_fold(&mut message, |place, parent| place.get_mut(parent).and_then(Value::as_object_mut));
        match place {
            Some(place) if name == ALL_MADE_UP => place.clear(),
            Some(place) => drop(place.remove(name)),
            None => {}
        }
    }
    Value::Object(message).to_string().into()
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The WebSocket upgrade succeeded.
    Open(Open),
    /// The server refused the upgrade.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The value of `Retry-After`.
        retry_after: Option<String>,
        /// The subprotocol tokens that the client offered; `None` where it was not noted.
        offered: Option<Vec<String>>,
        /// The credential that the upgrade showed; `None` where it was not noted.
        authorization: Option<Shown>,
    },
    /// No HTTP answer at all.
    ConnectFailed {
        /// What the transport said.
        error: String,
    },
    /// A text message, whole, as it came: it need not be JSON.
    Text {
        /// Who sent it.
        from: Side,
        /// Its text.
        text: String,
    },
    /// A binary message from whichever side; its samples are not kept.
    Audio {
        /// Who sent it.
        from: Side,
        /// Its length in bytes.
        bytes: u64,
        /// Its first bytes, [`MAX_HEAD_BYTES`] at most; may be left out.
        head: Vec<u8>,
    },
    /// A Close frame.
    Close {
        /// Who sent it.
        from: Side,
        /// Its code; `None` for a Close without one.
        code: Option<CloseCode>,
        /// Its reason; empty for none.
        reason: String,
    },
    /// The transport ended.
    Eof {
        /// Whose half ended.
        from: Side,
        /// How.
        how: Eof,
    },
    /// A Ping.
    Ping {
        /// Who sent it.
        from: Side,
    },
    /// A Pong.
    Pong {
        /// Who sent it.
        from: Side,
    },
    /// A session on another connection, run to its end to see whether the subject still serves.
    Control {
        /// What came of it.
        outcome: ControlOutcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// On the connection of a release probe: the moment of its stimulus. The frame itself follows where there is one.
    Stimulus(Stimulus),
    /// What the operating system says of the transport under a connection; `None` where it does not say.
    Transport {
        /// Bytes that the harness wrote and the peer's kernel has not acknowledged.
        unacknowledged_bytes: Option<u64>,
        /// Bytes that the peer's kernel has acknowledged and the peer has not read; known only on the same machine.
        unread_bytes: Option<u64>,
        /// Bytes that the harness has to write and that the transport does not take yet.
        unsent_bytes: Option<u64>,
        /// Bytes that the peer wrote and the harness has not read, at either end; known only on the same machine.
        waiting_bytes: Option<u64>,
        /// How often the oldest unacknowledged segment was sent again.
        retransmits: Option<u64>,
    },
    /// What the subject's processes worked while the harness waited.
    Cpu {
        /// Their CPU time, in milliseconds.
        busy_ms: u64,
        /// The length of the window, in milliseconds.
        over_ms: u64,
        /// Whether nothing else of the harness was running against the subject meanwhile.
        alone: bool,
    },
    /// The harness stopped to read this connection, or reads it again; what was sent meanwhile is noted when it is read.
    Reads {
        /// Whether it reads from here on.
        reads: bool,
    },
    /// Before this connection was opened nobody had had a session with the subject for so long: the harness held none, and only the
    /// harness knows where the subject is.
    LeftAlone {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The harness stopped waiting.
    GaveUp {
        /// How long it had waited since the last event on this connection, in milliseconds.
        after_ms: u64,
        /// Whether every task of an in-memory subject was waiting, so that nothing could ever come; `None` over a real socket,
        /// where that cannot be seen.
        quiescent: Option<bool>,
    },
    /// Where a client is the subject: a new run of it began.
    Started(Started),
    /// Where a client is the subject: its input ended, as far as the harness can know.
    InputEnded(InputEnded),
    /// Where a client is the subject: the harness made a call of its public interface.
    Called(Called),
    /// Such a call came back.
    Returned(Returned),
    /// Where a client is the subject: what it told its application.
    Told(Told),
    /// Where a client is the subject: its output, which is its log, repeated the credential that it was given; the line, or what
    /// stands near the credential.
    Logged(String),
    /// Where a client is the subject: its process ended.
    Exited(Exited),
    /// A remark for a person; it means nothing to a judge.
    Note(String),
}

impl EventKind {
    /// Who did it, where that is one of the two sides.
    #[must_use]
    pub fn from(&self) -> Option<Side> {
        match self {
            Self::Text { from, .. }
            | Self::Audio { from, .. }
            | Self::Close { from, .. }
            | Self::Eof { from, .. }
            | Self::Ping { from }
            | Self::Pong { from } => Some(*from),
            Self::Open(_)
            | Self::Refused { .. }
            | Self::ConnectFailed { .. }
            | Self::Control { .. }
            | Self::Stimulus(_)
            | Self::Transport { .. }
            | Self::Cpu { .. }
            | Self::Reads { .. }
            | Self::LeftAlone { .. }
            | Self::GaveUp { .. }
            | Self::Started(_)
            | Self::InputEnded(_)
            | Self::Called(_)
            | Self::Returned(_)
            | Self::Told(_)
            | Self::Logged(_)
            | Self::Exited(_)
            | Self::Note(_) => None,
        }
    }
}

/// How a connection was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Open {
    /// The subprotocol tokens that the client offered.
    pub offered: Vec<String>,
    /// The token that the server selected.
    pub selected: Option<String>,
    /// What this connection is for in the case.
    pub label: Option<String>,
    /// The speech that is sent on it, by the name of its file.
    pub speech: Option<String>,
    /// The URL, without secrets.
    pub url: Option<String>,
    /// The credential that the upgrade showed; `None` where it was not noted.
    pub authorization: Option<Shown>,
    /// What the connection tries, where it is a release probe: it repeats what the client sent on another one.
    pub probe: Option<Probe>,
}

/// A release probe: a connection on which the harness repeats what it sent on another connection of the trace, up to the
/// point from which the server owes something there, and then gives one stimulus. What the server does then shows what it
/// waits for; it is judged as evidence about that other connection and not for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The connection under suspicion.
    pub of: u32,
    /// The stimulus.
    pub stimulus: Stimulus,
    /// The repetition, from 1.
    pub round: u32,
}

/// What a release probe gives to a server that owes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum Stimulus {
    /// Nothing: the control, against which the others are compared.
    Nothing,
    /// One more audio frame.
    Audio,
    /// An `end_of_stream`, be it the first or one more.
    EndOfStream,
    /// A `keepalive`.
    Keepalive,
    /// The end of the client's half of the transport.
    HalfClose,
    /// A Close with code 1000.
    Close,
}

impl Stimulus {
    /// Every stimulus, the control first.
    pub const ALL: &'static [Self] =
        &[Self::Nothing, Self::Audio, Self::EndOfStream, Self::Keepalive, Self::HalfClose, Self::Close];

    /// Its name in a trace.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Audio => "audio",
            Self::EndOfStream => "end_of_stream",
            Self::Keepalive => "keepalive",
            Self::HalfClose => "half_close",
            Self::Close => "close",
        }
    }
}

/// What came of a control session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlOutcome {
    /// It ran to its end.
    Completed,
    /// The subject answered, but the session did not complete.
    Answered,
    /// The subject answered nothing.
    Unanswered,
}

impl ControlOutcome {
    /// Whether the subject could speak, which is all that a silence on another connection needs as its witness.
    #[must_use]
    pub const fn speaks(self) -> bool {
        matches!(self, Self::Completed | Self::Answered)
    }
}

/// Which credential the `Authorization` header of an upgrade showed. The credential itself never stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// There was no such header.
    None,
    /// The one that the subject was said to accept.
    Good,
    /// One that cannot be right.
    Wrong,
}

/// How a transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum Eof {
    /// In order: the peer will send no more.
    Fin,
    /// By a reset or another error of the transport.
    Reset,
    /// By what is no WebSocket frame, or no UTF-8 in a text: the peer sent it, and nothing behind it can be read.
    Unreadable,
}

/// Why a text is no trace, and where. A trace is evidence, perhaps from a stranger: nothing of it is used then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("trace line {line}{}: {detail}", self.place())]
pub struct TraceError {
    /// The line, counted from 1.
    pub line: usize,
    /// The member at fault as a dotted path; empty for the line itself.
    pub path: String,
    /// What is wrong and what would be right, in words.
    pub detail: String,
}

impl TraceError {
    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(", `{}`", self.path) }
    }
}
