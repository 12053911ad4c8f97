//! Owns the vocabulary of steps: what a scripted client can do, as typed data. A step says what is sent and what is waited
//! for; it never says what is right, for that is the judge's.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::speech::Speech;

/// One thing a scripted client does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Open a connection, send `config`, wait for `ready`.
    Start(Start),
    /// Open a connection and send nothing.
    Open(Open),
    /// Open so many connections and send `config` on each. Hold those that are told `ready`, as long as others are told nothing; then end
    /// one after the other.
    SideBySide(u32),
    /// Go on with the connection opened under this label.
    Use(String),
    /// Send this object as a message.
    Send(Map<String, Value>),
    /// Send this text as it stands; it need not be JSON.
    Raw(String),
    /// Send this object, filled up with an extension member to a length.
    Padded(Padded),
    /// Send this many opening brackets and nothing that closes them.
    Nested(u32),
    /// Send speech or silence, cut into frames.
    Audio(Audio),
    /// Send one binary message.
    Binary(Bytes),
    /// Send one WebSocket frame that the library would refuse to make.
    Frame(RawFrame),
    /// Send these as one write to the transport.
    Burst(Vec<Self>),
    /// Send each of these messages in three WebSocket frames.
    Fragmented(Vec<Self>),
    /// Send these again and again.
    Repeat(Repeat),
    /// Send these at a fixed interval for some time.
    Tick(Tick),
    /// Wait for a message.
    Await(Await),
    /// Send a keepalive with a fresh `seq` and wait for its acknowledgement: what the server had to say before is said then.
    Barrier,
    /// Wait until the server owes nothing.
    Settle,
    /// Send `end_of_stream`, wait for `session_ended` and for the Close.
    Finish,
    /// Send a Close, or an empty one.
    Close(Close),
    /// Wait for the end of the connection.
    ExpectClose,
    /// Cut the connection without a Close.
    Drop,
}

impl Step {
    /// The first step within this one that stands where only steps that send may stand.
    #[must_use]
    pub fn misplaced(&self) -> Option<&Self> {
        let inner = match self {
            Self::Burst(steps) | Self::Fragmented(steps) => steps,
            Self::Repeat(repeat) => &repeat.steps,
            Self::Tick(tick) => &tick.send,
            _ => return None,
        };
        inner.iter().find(|step| !step.is_stimulus())
    }

    /// Whether the step takes as long as its audio.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        matches!(self, Self::Audio(audio) if audio.pace == Pace::Real)
    }

    /// Whether the step only sends: the kind that a burst, a repetition or a tick may hold.
    #[must_use]
    pub fn is_stimulus(&self) -> bool {
        match self {
            Self::Send(_) | Self::Raw(_) | Self::Padded(_) | Self::Nested(_) | Self::Audio(_) | Self::Binary(_) => true,
            Self::Frame(_) | Self::Close(_) | Self::Fragmented(_) => true,
            Self::Start(_)
            | Self::Open(_)
            | Self::SideBySide(_)
            | Self::Use(_)
            | Self::Burst(_)
            | Self::Repeat(_)
            | Self::Tick(_) => false,
            Self::Await(_) | Self::Barrier | Self::Settle | Self::Finish => false,
            Self::ExpectClose | Self::Drop => false,
        }
    }
}

/// The types of the messages that these steps send, and of those that they insist on.
pub(super) fn messages<'a>(steps: &'a [Step], found: &mut BTreeSet<&'a str>) {
    let kind = |message: &'a Map<String, Value>| message.get("type").and_then(Value::as_str);
    for step in steps {
        match step {
            Step::Send(message) => found.extend(kind(message)),
            Step::Padded(padded) => found.extend(kind(&padded.message)),
            // `ready` may be made up where there is none.
            Step::Await(wanted) if !wanted.optional => {
                found.extend(kind(&wanted.message).filter(|kind| *kind != "ready"))
            }
            Step::Burst(steps) | Step::Fragmented(steps) => messages(steps, found),
            Step::Repeat(repeat) => messages(&repeat.steps, found),
            Step::Tick(tick) => messages(&tick.send, found),
            Step::Finish | Step::SideBySide(_) => {
                found.insert("end_of_stream");
            }
            // The same here, and a barrier can be done without.
            Step::Start(_) | Step::Open(_) | Step::Use(_) | Step::Raw(_) | Step::Nested(_) | Step::Audio(_) => {}
            Step::Binary(_) | Step::Frame(_) | Step::Await(_) | Step::Barrier | Step::Settle | Step::Close(_) => {}
            Step::ExpectClose | Step::Drop => {}
        }
    }
}

/// How a session is started.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// The members of `config` besides `type` and `token`.
    pub config: Map<String, Value>,
    /// The name of the connection.
    pub label: Option<String>,
    /// The speech that will be sent, for comparison with other connections.
    pub speech: Option<String>,
}

/// How a connection is opened.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Open {
    /// The subprotocols offered.
    pub offer: Vec<String>,
    /// The name of the connection.
    pub label: Option<String>,
    /// The credential sent as `Authorization`: the one of the command line, a wrong one, or none.
    pub authorization: Credential,
}

impl Default for Open {
    fn default() -> Self {
        Self { offer: vec![lastword_spec::PROTOCOL.to_owned()], label: None, authorization: Credential::Good }
    }
}

/// Which credential is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The one that was given on the command line, if one was.
    #[default]
    Good,
    /// One that cannot be right.
    Wrong,
    /// None.
    None,
}

/// A number that may depend on what the server announced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// A member of `ready.limits`; none for a plain number.
    #[serde(default)]
    pub limit: Option<String>,
    /// This much of it.
    #[serde(default = "hundred")]
    pub percent: u64,
    /// And this much more.
    #[serde(default)]
    pub plus: i64,
}

fn hundred() -> u64 {
    100
}

impl Amount {
    /// The number, given the value of a limit by its name.
    #[must_use]
    pub fn resolve(&self, limit: impl Fn(&str) -> Option<u64>) -> u64 {
        let base = self.limit.as_deref().and_then(limit).unwrap_or(0);
        (base.saturating_mul(self.percent) / 100).saturating_add_signed(self.plus)
    }
}

/// A message made as long as wanted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Padded {
    /// The message.
    pub message: Map<String, Value>,
    /// Its length on the wire, in bytes.
    pub bytes: Amount,
}

/// Audio, cut into frames.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Which speech: `word`, `sentence`, `pause` or `long`.
    pub speech: Option<String>,
    /// Silence after it, in milliseconds.
    pub silence_ms: u64,
    /// Silence after it, as a share of a limit in milliseconds.
    pub silence: Option<Amount>,
    /// How fast.
    pub pace: Pace,
    /// The length of a frame in milliseconds.
    pub frame_ms: u64,
    /// The length of a frame in bytes, instead.
    pub frame_bytes: Option<Amount>,
    /// Whether a later attempt of the case sends more of it.
    pub grows: bool,
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            speech: None,
            silence_ms: 0,
            silence: None,
            pace: Pace::Fast,
            frame_ms: 100,
            frame_bytes: None,
            grows: false,
        }
    }
}

/// How fast audio is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As fast as the transport takes it.
    #[default]
    Fast,
    /// As fast as it was spoken.
    Real,
    /// Four times as fast as it was spoken.
    Quick,
}

impl Pace {
    /// How long a stretch of audio takes, in milliseconds; 0 for as fast as possible.
    #[must_use]
    pub fn takes_ms(self, audio_ms: u64) -> u64 {
        match self {
            Self::Fast => 0,
            Self::Real => audio_ms,
            Self::Quick => audio_ms / 4,
        }
    }
}

/// One binary message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    /// Its length.
    #[serde(default)]
    pub bytes: Option<Amount>,
    /// What it begins with, as text; its length is at least this.
    #[serde(default)]
    pub head: String,
}

/// One WebSocket data frame with any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFrame {
    /// The payload as hexadecimal digits, sent as a text frame.
    pub text_hex: String,
}

/// The same again and again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub times: u32,
    /// What.
    pub steps: Vec<Step>,
}

/// The same at an interval.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// The interval in milliseconds.
    pub every_ms: Amount,
    /// For how long in milliseconds; it ends sooner when the connection does.
    pub during_ms: Amount,
    /// What is sent.
    pub send: Vec<Step>,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Await {
    /// Members that the message must have; the others do not matter.
    pub message: Map<String, Value>,
    /// The timer of the server that will bring it, where it is not owed at once.
    #[serde(default)]
    pub within: Option<Within>,
    /// Whether the case goes on without it; nothing is decided by its absence.
    #[serde(default)]
    pub optional: bool,
}

/// A timer of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// `idle_timeout_ms`.
    Idle,
    /// The 10 s in which `config` must come.
    Config,
}

/// A Close of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// Its code; none for a Close without one.
    #[serde(default)]
    pub code: Option<u16>,
}

/// How many milliseconds of audio the steps send; what depends on a limit counts with its default.
pub(super) fn audio_ms(steps: &[Step], speech: &Speech, attempt: u32) -> u64 {
    let limits = |name: &str| crate::limit::default_of(name);
    steps
        .iter()
        .map(|step| match step {
            Step::Audio(audio) => {
                let clip = audio.speech.as_deref().map_or(0, |name| speech.clip(name).duration_ms());
                let repeats = if audio.grows { u64::from(attempt) } else { 1 };
                clip * repeats + audio.silence_ms + audio.silence.as_ref().map_or(0, |sized| sized.resolve(limits))
            }
            Step::Burst(steps) | Step::Fragmented(steps) => audio_ms(steps, speech, attempt),
            Step::Repeat(repeat) => u64::from(repeat.times) * audio_ms(&repeat.steps, speech, attempt),
            _ => 0,
        })
        .sum()
}
