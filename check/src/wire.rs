//! What travels between two parties, and the table that gives a number to each thing once. Owns the classes of messages that the state
//! tables speak of. It must not know who sends what when.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

use lastword_spec::codec;
use lastword_spec::message::{ClientMessage, Keepalive, ServerMessage};
use lastword_spec::table::{ClientInput, ServerInput};
use rustc_hash::FxHashMap;

/// One thing in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// A text message of a client.
    Client(ClientMessage),
    /// A text message of a server.
    Server(ServerMessage),
    /// A text message that need not be one of the protocol, and its class.
    Text(String, ServerInput),
    /// A binary message of silence.
    Audio(u32),
    /// A Close.
    Close(Option<u16>),
    /// The end of the connection.
    Gone,
}

/// The number of a [`Wire`] in its table.
pub type WireId = u32;

impl Wire {
    /// The text of a text message.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Client(message) => Some(codec::encode(message).into()),
            Self::Server(message) => Some(codec::encode(message).into()),
            Self::Text(text, _) => Some(text.into()),
            Self::Audio(_) | Self::Close(_) | Self::Gone => None,
        }
    }

    /// What it is to a server, by the words of its table.
    #[must_use]
    pub fn server_input(&self) -> ServerInput {
        match self {
            Self::Client(message) => match message {
                ClientMessage::Config(_) => ServerInput::Config,
                ClientMessage::Keepalive(Keepalive { seq: None }) => ServerInput::Keepalive,
                ClientMessage::Keepalive(Keepalive { seq: Some(_) }) => ServerInput::KeepaliveSeq,
                ClientMessage::Flush(_) => ServerInput::Flush,
                ClientMessage::Update(_) => ServerInput::Update,
                ClientMessage::EndOfStream => ServerInput::EndOfStream,
            },
            Self::Text(_, class) => *class,
            Self::Server(_) => ServerInput::BadMessage,
            Self::Audio(0) => ServerInput::EmptyAudio,
            Self::Audio(bytes) if *bytes > MAX_FRAME_BYTES => ServerInput::OversizeAudio,
            Self::Audio(bytes) if bytes % 2 == 1 => ServerInput::BrokenAudio,
            Self::Audio(_) => ServerInput::Audio,
            Self::Close(_) => ServerInput::Close,
            Self::Gone => ServerInput::Loss,
        }
    }

    /// What it is to a client, by the words of its table.
    #[must_use]
    pub fn client_input(&self) -> ClientInput {
        match self {
            Self::Server(message) => match message {
                ServerMessage::Ready(_) => ClientInput::Ready,
                ServerMessage::Partial(_) => ClientInput::Partial,
                ServerMessage::Final(_) => ClientInput::Final,
                ServerMessage::Flushed(_) => ClientInput::Flushed,
                ServerMessage::Updated(_) => ClientInput::Updated,
                ServerMessage::SessionEnded(_) => ClientInput::SessionEnded,
                ServerMessage::SpeechStarted(_) => ClientInput::SpeechStarted,
                ServerMessage::SpeechEnded(_) => ClientInput::SpeechEnded,
                ServerMessage::KeepaliveAck(_) => ClientInput::KeepaliveAck,
                ServerMessage::Progress(_) => ClientInput::Progress,
                ServerMessage::Warning(_) => ClientInput::Warning,
                ServerMessage::Error(error) if error.fatal => ClientInput::FatalError,
                ServerMessage::Error(_) => ClientInput::Error,
            },
            Self::Text(_, ServerInput::UnknownType) => ClientInput::UnknownType,
            Self::Client(_) | Self::Text(..) | Self::Audio(_) => ClientInput::Garbage,
            Self::Close(_) => ClientInput::Close,
            Self::Gone => ClientInput::Loss,
        }
    }
}

/// The largest binary message that the model's server takes.
pub(crate) const MAX_FRAME_BYTES: u32 = 64_000;

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(ClientMessage::Keepalive(Keepalive { seq: Some(seq) })) => write!(f, "keepalive {seq}"),
            Self::Client(ClientMessage::Flush(flush)) => write!(f, "flush {}", flush.id),
            Self::Client(message) => f.write_str(message.message_type()),
            Self::Server(ServerMessage::Final(result)) => write!(f, "final {}", result.segment_id),
            Self::Server(ServerMessage::Flushed(flushed)) => write!(f, "flushed {}", flushed.id),
            Self::Server(ServerMessage::Error(error)) => {
                write!(f, "{} {}", if error.fatal { "fatal error" } else { "error" }, error.code)
            }
            Self::Server(ServerMessage::SessionEnded(ended)) => write!(f, "session_ended {}", ended.reason),
            Self::Server(message) => f.write_str(message.message_type()),
            Self::Text(_, class) => f.write_str(class.as_str()),
            Self::Audio(bytes) => write!(f, "audio of {bytes} bytes"),
            Self::Close(Some(code)) => write!(f, "Close {code}"),
            Self::Close(None) => f.write_str("Close"),
            Self::Gone => f.write_str("end of connection"),
        }
    }
}

/// Gives each value a number once.
#[derive(Debug)]
pub(crate) struct Table<T> {
    values: Vec<Rc<T>>,
    numbers: FxHashMap<Rc<T>, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: FxHashMap::default() }
    }
}

impl<T: Eq + Hash> Table<T> {
    /// The number of `value`, and whether it is new.
    pub(crate) fn number(&mut self, value: T) -> (u32, bool) {
        if let Some(number) = self.numbers.get(&value) {
            return (*number, false);
        }
        let number = u32::try_from(self.values.len()).expect("a model has fewer than 2^32 parts");
        let value = Rc::new(value);
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        (number, true)
    }

    pub(crate) fn get(&self, number: u32) -> &Rc<T> {
        &self.values[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
