//! The shape of a dialect file, as serde and the schema see it. Owns members and their documentation; what the strings inside mean
//! (`${...}`, pointers, conditions) is read in `compile/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[cfg(feature = "schema")]
use crate::capability::Capability;

/// A dialect: how one service's wire maps to Lastword's messages and back.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Dialect"))]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectFile {
    /// The name by which the dialect is chosen: small letters, digits and hyphens.
    pub(crate) dialect: String,
    /// What it is, in a line.
    pub(crate) title: String,
    /// The wire is protocol v1 itself: frames pass unchanged, and there are no rules.
    #[serde(default)]
    pub(crate) native: bool,
    /// What the service lacks. Every message and ability of v1 is either carried by a rule or listed here; the requirements bound to a
    /// listed one are NOT_APPLICABLE.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Capability>"))]
    pub(crate) unsupported: Vec<String>,
    /// What a final of this service restates.
    #[serde(default)]
    pub(crate) finals: Finals,
    /// How a client gets in.
    #[serde(default)]
    pub(crate) connect: Connect,
    /// The form of the audio.
    #[serde(default)]
    pub(crate) audio: Audio,
    /// How a session ends.
    #[serde(default)]
    pub(crate) end: End,
    /// Bounds that the service documents, by the names of `ready.limits`; they fill a `ready` that the wire does not carry.
    #[serde(default)]
    pub(crate) limits: BTreeMap<String, u64>,
    /// For a field (`encoding`, `code`, `task`, ...) the service's word for each of Lastword's. A list means: any of these is
    /// read, the first is written.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, BTreeMap<String, Words>>"))]
    pub(crate) values: BTreeMap<String, BTreeMap<String, Value>>,
    /// How the service is asked for the transcript of a whole recording, by HTTP. Only a server that speaks this dialect uses it.
    #[serde(default)]
    pub(crate) batch: Option<Batch>,
    /// What clients send. The first rule that applies to a frame is taken.
    #[serde(default)]
    pub(crate) client: Vec<Rule>,
    /// What servers send. The first rule that applies to a frame is taken.
    #[serde(default)]
    pub(crate) server: Vec<Rule>,
}

/// What a final of the service restates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finals {
    /// Nothing: each final is a new piece of the transcript.
    #[default]
    Incremental,
    /// Each final is the whole transcript so far.
    Cumulative,
    /// Some finals say again what earlier finals of the same utterance said; what is new in them counts.
    Restating,
    /// There are no finals: each message is the state of the whole transcript or of a window of it. Needs a `window` rule.
    Snapshot,
}

/// How the service is asked for the transcript of a whole recording: a POST of a form (`multipart/form-data`) with a WAV file in it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// The path of the request.
    pub(crate) path: String,
    /// The field of the form that holds the file; `file` unless said otherwise.
    #[serde(default = "file_field")]
    pub(crate) file: String,
    /// The answer, as a JSON template with `${text}`, `${language}`, `${duration_ms}`, `${duration_s}` and `${segments}`.
    pub(crate) json: Value,
    /// One of the segments, as a JSON template with the fields of a `final`.
    pub(crate) segment: Value,
    /// The answer that refuses, as a JSON template with `${message}`.
    pub(crate) refusal: Value,
}

fn file_field() -> String {
    "file".to_owned()
}

/// How a client gets in. All values are templates with the fields of `config` and `${token}`, `${uuid}`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    /// The path of the socket, which replaces an empty path of the URL given.
    #[serde(default)]
    pub(crate) path: String,
    /// Query parameters. One whose placeholder has no value is left out.
    #[serde(default)]
    pub(crate) query: BTreeMap<String, String>,
    /// Header fields of the upgrade.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Subprotocols that the client offers; the first one that holds no placeholder is the one selected.
    #[serde(default)]
    pub(crate) subprotocols: Vec<String>,
    /// Whether a client may leave the `config` message out: audio that comes first then stands for the defaults.
    #[serde(default)]
    pub(crate) config_is_optional: bool,
    /// An HTTP request that comes first and yields the URL of the socket, or a token.
    #[serde(default)]
    pub(crate) http: Option<PreRequest>,
}

/// An HTTP request before the upgrade.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PreRequest {
    /// `POST` unless said otherwise.
    #[serde(default = "post")]
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// Header fields.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body, as a JSON template. Absent: no body.
    #[serde(default)]
    pub(crate) json: Option<Value>,
    /// Where the answer holds the URL of the socket, as a JSON pointer.
    #[serde(default)]
    pub(crate) socket_url: Option<String>,
    /// Where the answer holds a token, which is `${token}` from then on.
    #[serde(default)]
    pub(crate) token: Option<String>,
    /// What the answer holds besides, as a JSON template: for clients that look for more than the URL and the token.
    #[serde(default)]
    pub(crate) answer: Option<Value>,
    /// The status of a good answer, 200 unless said otherwise.
    #[serde(default = "ok")]
    pub(crate) status: u16,
}

fn post() -> String {
    "POST".to_owned()
}

fn ok() -> u16 {
    200
}

/// The form of the audio on the wire.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Audio {
    /// `pcm_f32le` for services that read 32-bit floats: samples are converted from and to `pcm_s16le`. Absent: bytes pass as they
    /// are, in the encoding of the `config`.
    #[serde(default)]
    pub(crate) encoding: Option<WireEncoding>,
    /// The sample rate in Hz where the wire does not tell it, from 4000 to 192000; 16000 unless said otherwise.
    #[serde(default)]
    pub(crate) sample_rate_hz: Option<u32>,
}

/// How samples are written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireEncoding {
    /// As the `config` says.
    PcmS16le,
    /// 32-bit little-endian floats in -1..=1.
    PcmF32le,
}

/// How a session ends.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// What tells the client that it has everything.
    #[serde(default)]
    pub(crate) by: EndedBy,
    /// Who closes the connection then.
    #[serde(default)]
    pub(crate) closed_by: ClosedBy,
    /// The close codes of an ending in order; the first one is sent. 1005 is a Close without a code. Absent: 1000.
    #[serde(default)]
    pub(crate) codes: Vec<u16>,
    /// The close codes that (also) mean: the client was silent for too long.
    #[serde(default)]
    pub(crate) idle_codes: Vec<u16>,
}

/// What tells the client that it has everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndedBy {
    /// A message of its own: a `session_ended` rule.
    #[default]
    Message,
    /// The server's Close after the client's end.
    Close,
    /// The server sends the client's own end message back.
    Echo,
    /// Nothing does.
    None,
}

/// Who closes the connection after the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClosedBy {
    /// The server.
    #[default]
    Server,
    /// The client.
    Client,
    /// Nobody: it stays open until somebody leaves.
    Nobody,
}

/// One form of a message on the wire. `send` and `when` with `take` say the same from two sides; where one can be had from the other
/// it may be left out.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The Lastword message: its `type`; or `audio` and `audio_ack`; or `window` and `tokens`, which become partials and finals; or
    /// `ignore`, for what has no counterpart and needs none.
    pub(crate) message: String,
    /// Whether the rule is for reading, for writing, or for both.
    #[serde(default, rename = "use")]
    pub(crate) direction: Direction,
    /// What a frame must be for the rule to apply: `frame`, `text`, `binary`, `empty`, `close`, `first`, `after_end`, or a JSON
    /// pointer (`*` for any element) with a constant or `{ exists | empty | null = BOOL, not = X, any = [..], prefix = ".." }`.
    #[serde(default)]
    pub(crate) when: Option<BTreeMap<String, Value>>,
    /// Where each field is read from: a JSON pointer, or `{ any = [..] }`, `{ each, value, join | pick, where }`, `{ frame = "text" }`.
    #[serde(default)]
    pub(crate) take: Option<BTreeMap<String, Value>>,
    /// Fields that the frame does not tell and that are always so; they count as synthesised.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Value>,
    /// In writing: the rule is for messages with these members only.
    #[serde(default, rename = "for")]
    pub(crate) guard: BTreeMap<String, Value>,
    /// What is written: `{ json | text | binary | close = .. }`, or a list of these; `[]` for nothing on purpose.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Send>"))]
    pub(crate) send: Option<Value>,
    /// In reading: the rules below are tried on the same frame, too.
    #[serde(default, rename = "continue")]
    pub(crate) goes_on: bool,
    /// `partial` only: the text is a piece to be appended to the text of the segment so far.
    #[serde(default)]
    pub(crate) append: bool,
    /// `window` only: the segments of a message that shows several at once.
    #[serde(default)]
    pub(crate) window: Option<Window>,
    /// `tokens` only: the tokens of a message, final ones sent once and others replaced.
    #[serde(default)]
    pub(crate) tokens: Option<Tokens>,
}

/// Whether a rule is for reading, for writing, or for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// Both.
    #[default]
    Both,
    /// Reading only.
    Receive,
    /// Writing only.
    Send,
}

/// A message that shows several segments at once, and shows them again later.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// Pointer to the list.
    pub(crate) each: String,
    /// Pointer within an element to what tells it apart from others: an id, or its start.
    pub(crate) key: String,
    /// Which elements are final.
    #[serde(default)]
    pub(crate) commit: Commit,
    /// Pointer within an element to the boolean that says so, for `commit = "flag"`.
    #[serde(default, rename = "final")]
    pub(crate) flag: Option<String>,
    /// Fields of an element, by pointers within it: `text`, `start_s`, ...
    pub(crate) take: BTreeMap<String, String>,
    /// In writing: the most segments shown at once.
    #[serde(default)]
    pub(crate) last: Option<usize>,
}

/// When a segment of a window is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Commit {
    /// When its flag says so.
    #[default]
    Flag,
    /// When another segment stands behind it.
    Superseded,
    /// At the end of the session.
    End,
}

/// A message that brings tokens.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    /// Pointer to the list; empty where the message itself is one token.
    pub(crate) each: String,
    /// Pointer within a token to the boolean that tells a final one. Absent: all are.
    #[serde(default, rename = "final")]
    pub(crate) flag: Option<String>,
    /// Fields of a token, by pointers within it: `text`, `start_ms`, `end_ms`, `language`, `speaker`, `confidence`.
    pub(crate) take: BTreeMap<String, String>,
    /// What stands between the texts of two tokens. Absent: nothing, tokens bring their own spaces.
    #[serde(default)]
    pub(crate) join: String,
    /// The text of the token that makes a final of what came before it.
    #[serde(default)]
    pub(crate) end: Option<String>,
    /// The text of the token that answers a flush.
    #[serde(default)]
    pub(crate) flushed: Option<String>,
}

/// The service's word, or words, for one of Lastword's.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "shows the schema what is read by hand")]
pub(crate) enum Words {
    /// One word.
    One(Word),
    /// Any of these is read, the first is written.
    Several(Vec<Word>),
}

/// A word of the service.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "shows the schema what is read by hand")]
pub(crate) enum Word {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// What is written.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "shows the schema what is read by hand")]
pub(crate) enum Send {
    /// One frame.
    One(FrameTemplate),
    /// Several frames in this order, or none.
    Several(Vec<FrameTemplate>),
}

/// One frame: exactly one of the members.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "shows the schema what is read by hand")]
pub(crate) struct FrameTemplate {
    /// A text message with this JSON. A string that is one placeholder becomes the value itself, with its type; a member whose
    /// placeholder has no value is left out; a table with the one key `${words}` becomes an array.
    json: Option<Value>,
    /// A text message, byte for byte but for placeholders.
    text: Option<String>,
    /// A binary message: these characters as UTF-8, byte for byte; `${audio}` for the samples.
    binary: Option<String>,
    /// A Close with this code.
    close: Option<u16>,
}
