//! Text to message and back, strictly. Owns the tag dispatch; it knows nothing of states: whether a message is legal now
//! is the session's and the judge's matter. What a well-formed message says (an empty `partial`, times that run
//! backwards) is theirs too.

mod error;
mod lenient;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use error::explain;
pub use error::{DecodeError, DecodeErrorKind};
pub use lenient::{LenientReady, decode_ready_lenient};

use crate::ijson::{self, TypeMember};
use crate::message::strict::Forbidden;
use crate::message::{ClientMessage, Config, EndOfStream, ServerMessage};

/// What a well-formed control message is to this version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decoded<M> {
    /// A message of a type that v1 defines for its sender.
    Message(M),
    /// A well-formed object whose `type` v1 does not define for its sender. No violation in itself: a client ignores it, a
    /// server answers with `unknown_type`.
    Unknown {
        /// The value of `type`. It comes from the peer and may be as long as a message.
        message_type: String,
    },
}

/// The messages of one side. Sealed: [`ClientMessage`] and [`ServerMessage`].
pub trait WireMessage: Sized + private::Sealed {
    /// Decodes one text message; see [`decode_client`] and [`decode_server`].
    ///
    /// # Errors
    /// The text is not a message of this side. The peer's fault; the session is still usable.
    fn decode(text: &str, max_text_bytes: u64) -> Result<Decoded<Self>, DecodeError>;

    /// The message as text; see [`encode`].
    fn encode(&self) -> String;
}

/// Decodes one text message from a client.
///
/// `max_text_bytes` is the largest text taken, in bytes. Unknown members are ignored, at every level; `null` in an optional
/// member is as good as its absence. Spec: MSG-1, MSG-2.
///
/// # Errors
/// The text is no message of a client; path and clause say where and why. The client's fault; the session is still usable.
pub fn decode_client(text: &str, max_text_bytes: u64) -> Result<Decoded<ClientMessage>, DecodeError> {
    ClientMessage::decode(text, max_text_bytes)
}

/// Decodes one text message from a server; as [`decode_client`].
///
/// # Errors
/// The text is no message of a server; path and clause say where and why. The server's fault; the session is still usable.
pub fn decode_server(text: &str, max_text_bytes: u64) -> Result<Decoded<ServerMessage>, DecodeError> {
    ServerMessage::decode(text, max_text_bytes)
}

/// [`WireMessage::decode`] for bytes that nobody has checked to be UTF-8, as from a fuzzer or a file.
///
/// # Errors
/// As [`decode_client`], and [`DecodeErrorKind::NotUtf8`].
pub fn decode_bytes<M: WireMessage>(bytes: &[u8], max_text_bytes: u64) -> Result<Decoded<M>, DecodeError> {
    if bytes.len() as u64 > max_text_bytes {
        return Err(DecodeError::too_long(bytes.len(), max_text_bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::not_utf8(&error))?;
    M::decode(text, max_text_bytes)
}

/// The message as one JSON object: `type` first, absent members left out. Decoding it gives the same message, provided
/// that it holds what a message may hold: integers up to 2^53-1, ids of 1 to 128 bytes, values in their ranges. That is
/// not checked here.
#[must_use]
pub fn encode<M: WireMessage>(message: &M) -> String {
    message.encode()
}

/// Dotted paths of the members of a `config` that v1 does not define, in the order of the text: what a server puts into
/// `ready.ignored` beside the options it does not serve. For a text that decodes to a `config`; what it gives for any other is
/// without meaning.
#[must_use]
pub fn config_paths_unknown(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read: Result<Config, _> = serde_ignored::deserialize(&mut reader, |path| paths.push(dotted(&path)));
    paths.retain(|path| path != "type");
    if read.is_ok() { paths } else { Vec::new() }
}

impl WireMessage for ClientMessage {
    fn decode(text: &str, max_text_bytes: u64) -> Result<Decoded<Self>, DecodeError> {
        let message_type = scan_for_type(text, max_text_bytes)?;
        Ok(Decoded::Message(match &*message_type {
            "config" => {
                let config = body("config", text)?;
                let AudioAtTopLevel { .. } = body("config", text)?;
                Self::Config(Box::new(config))
            }
            "keepalive" => Self::Keepalive(body("keepalive", text)?),
            "flush" => Self::Flush(body("flush", text)?),
            "update" => Self::Update(Box::new(body("update", text)?)),
            "end_of_stream" => {
                let EndOfStream {} = body("end_of_stream", text)?;
                Self::EndOfStream
            }
            _ => return Ok(Decoded::Unknown { message_type: message_type.into_owned() }),
        }))
    }

    fn encode(&self) -> String {
        let message_type = self.message_type();
        match self {
            Self::Config(body) => tagged(message_type, body),
            Self::Keepalive(body) => tagged(message_type, body),
            Self::Flush(body) => tagged(message_type, body),
            Self::Update(body) => tagged(message_type, body),
            Self::EndOfStream => tagged(message_type, &EndOfStream {}),
        }
    }
}

impl WireMessage for ServerMessage {
    fn decode(text: &str, max_text_bytes: u64) -> Result<Decoded<Self>, DecodeError> {
        let message_type = scan_for_type(text, max_text_bytes)?;
        Ok(Decoded::Message(match &*message_type {
            "ready" => Self::Ready(Box::new(body("ready", text)?)),
            "partial" => Self::Partial(body("partial", text)?),
            "final" => Self::Final(body("final", text)?),
            "flushed" => Self::Flushed(body("flushed", text)?),
            "updated" => Self::Updated(Box::new(body("updated", text)?)),
            "session_ended" => Self::SessionEnded(body("session_ended", text)?),
            "speech_started" => Self::SpeechStarted(body("speech_started", text)?),
            "speech_ended" => Self::SpeechEnded(body("speech_ended", text)?),
            "keepalive_ack" => Self::KeepaliveAck(body("keepalive_ack", text)?),
            "progress" => Self::Progress(body("progress", text)?),
            "warning" => Self::Warning(body("warning", text)?),
            "error" => Self::Error(body("error", text)?),
            _ => return Ok(Decoded::Unknown { message_type: message_type.into_owned() }),
        }))
    }

    fn encode(&self) -> String {
        let message_type = self.message_type();
        match self {
            Self::Ready(body) => tagged(message_type, body),
            Self::Partial(body) => tagged(message_type, body),
            Self::Final(body) => tagged(message_type, body),
            Self::Flushed(body) => tagged(message_type, body),
            Self::Updated(body) => tagged(message_type, body),
            Self::SessionEnded(body) => tagged(message_type, body),
            Self::SpeechStarted(body) => tagged(message_type, body),
            Self::SpeechEnded(body) => tagged(message_type, body),
            Self::KeepaliveAck(body) => tagged(message_type, body),
            Self::Progress(body) => tagged(message_type, body),
            Self::Warning(body) => tagged(message_type, body),
            Self::Error(body) => tagged(message_type, body),
        }
    }
}

/// Members that belong inside `audio`. Read beside the configuration, so that a client that put them at top level learns
/// it at once: ignoring them would transcribe noise.
#[derive(Deserialize)]
struct AudioAtTopLevel {
    #[serde(default, rename = "sample_rate")]
    _sample_rate: Forbidden,
    #[serde(default, rename = "sample_rate_hz")]
    _sample_rate_hz: Forbidden,
    #[serde(default, rename = "encoding")]
    _encoding: Forbidden,
    #[serde(default, rename = "channels")]
    _channels: Forbidden,
}

fn scan_for_type(text: &str, max_text_bytes: u64) -> Result<std::borrow::Cow<'_, str>, DecodeError> {
    if text.len() as u64 > max_text_bytes {
        return Err(DecodeError::too_long(text.len(), max_text_bytes));
    }
    match ijson::scan(text).map_err(DecodeError::not_ijson)?.message_type {
        TypeMember::Text(message_type) => Ok(message_type),
        TypeMember::Missing => Err(DecodeError::type_missing()),
        TypeMember::NotString => Err(DecodeError::type_not_string()),
    }
}

fn body<T: DeserializeOwned>(message_type: &'static str, text: &str) -> Result<T, DecodeError> {
    // The path costs time, so a message that cannot be read is read a second time for it.
    serde_json::from_str(text).map_err(|_| explain::<T>(message_type, text))
}

/// Writes the body behind its tag. A body is a struct, so its JSON is an object.
fn tagged<T: Serialize>(message_type: &str, body: &T) -> String {
    let mut json = format!(r#"{{"type":"{message_type}""#).into_bytes();
    let body_start = json.len();
    serde_json::to_writer(&mut json, body).expect("a message body has string keys and writes to memory");
    match json[body_start + 1] {
        b'}' => {
            json.remove(body_start);
        }
        _ => json[body_start] = b',',
    }
    String::from_utf8(json).expect("serde_json writes UTF-8")
}

fn dotted(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Map { parent, key } => match dotted(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Seq { parent, index } => format!("{}[{index}]", dotted(parent)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => dotted(parent),
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for crate::message::ClientMessage {}
    impl Sealed for crate::message::ServerMessage {}
}
