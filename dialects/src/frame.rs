//! What crosses the border: frames of a WebSocket on one side, messages of Lastword on the other, and what a translator has to say
//! about them. Owns the types only; it knows no dialect.

use lastword_spec::close::CloseCode;
use lastword_spec::message::{ClientMessage, ServerMessage};

/// One WebSocket message, or a Close, as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// A text message, whole.
    Text(String),
    /// A binary message, whole.
    Binary(Vec<u8>),
    /// A Close; without a code where the frame had none, or where the connection ended without one.
    Close {
        /// Its code.
        code: Option<CloseCode>,
        /// Its reason; empty for none.
        reason: String,
    },
}

impl Frame {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A Close with this code and no reason.
    #[must_use]
    pub fn close(code: u16) -> Self {
        Self::Close { code: Some(CloseCode(code)), reason: String::new() }
    }
}

/// What a client says in Lastword's terms: a control message, or audio.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FromClient {
    /// A control message.
    Message(ClientMessage),
    /// One frame of audio in the encoding of the `config` (`pcm_s16le` where the wire has `pcm_f32le`). A frame that was not whole
    /// samples on the wire is not whole here either.
    Audio(Vec<u8>),
}

/// One result of a translation, in the order in which things are to happen. `M` is what the peer says: [`FromClient`] where we play
/// the server, [`ServerMessage`] where we play the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output<M> {
    /// To be written to the socket.
    Send(Frame),
    /// The peer said this.
    Heard(Heard<M>),
    /// A frame of the peer to which no rule of the dialect applies. It is never dropped in silence: a runner records it as it came.
    Unmatched(Unmatched),
    /// What we were to say cannot be said in this dialect, wholly or in part.
    Lost(Lost),
    /// A remark for a person, about something of the peer's that has no counterpart in Lastword and needs none.
    Note(String),
}

/// Something the peer said, in Lastword's terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heard<M> {
    /// It as a frame of protocol v1: what goes into a trace. Under the identity dialect it is the peer's own frame, also where that is
    /// no message at all.
    pub v1: Frame,
    /// It as a value; `None` only under the identity dialect, for a frame that is no message of v1.
    pub message: Option<M>,
    /// What of it the peer really said.
    pub origin: Origin,
}

/// What of a message was on the wire. What was not is the translator's own word: a judge neither charges nor credits the peer for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether a frame of the peer stands behind the message. Otherwise the whole message is synthesised.
    pub on_wire: bool,
    /// The members that the translator filled in, as dotted paths in the order of the alphabet, such as `finals` or `limits`. Empty
    /// where the whole message is synthesised: then all of it is.
    pub synthesised: Vec<String>,
}

impl Origin {
    /// All of it was on the wire.
    #[must_use]
    pub fn wire() -> Self {
        Self { on_wire: true, synthesised: Vec::new() }
    }

    /// Nothing of it was.
    #[must_use]
    pub fn synthesised() -> Self {
        Self::default()
    }

    /// Whether the translator made this member of the message up.
    #[must_use]
    pub fn is_synthesised(&self, member: &str) -> bool {
        !self.on_wire || self.synthesised.iter().any(|path| path == member)
    }
}

/// A frame that no rule of the dialect takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unmatched {
    /// The frame, as it came.
    pub frame: Frame,
    /// Why: no rule at all, or the rule that applies and what it misses in the frame. With the line of that rule.
    pub why: String,
}

impl Unmatched {
    /// What stands for the frame before a session of v1, so that it is refused as v1 refuses such a thing: a server gives this to its
    /// session, and translates the refusal. The frame itself might mean something else in v1.
    #[must_use]
    pub fn as_v1(&self) -> Frame {
        match &self.frame {
            Frame::Text(text) if !is_object(text) => Frame::Text(text.clone()),
            Frame::Text(_) | Frame::Binary(_) => Frame::text(r#"{"type":"unmatched"}"#),
            close @ Frame::Close { .. } => close.clone(),
        }
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object())
}

/// What could not be said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// The `type` of the Lastword message, or `audio`.
    pub message_type: &'static str,
    /// Why, in words: what the dialect declares unsupported, or what in the message it cannot carry.
    pub why: String,
}

impl<M> Output<M> {
    /// The frame to be written, if it is one.
    #[must_use]
    pub fn as_send(&self) -> Option<&Frame> {
        match self {
            Self::Send(frame) => Some(frame),
            _ => None,
        }
    }

    /// What the peer said, if it is that.
    #[must_use]
    pub fn as_heard(&self) -> Option<&Heard<M>> {
        match self {
            Self::Heard(heard) => Some(heard),
            _ => None,
        }
    }
}

impl Heard<ServerMessage> {
    pub(crate) fn server(message: ServerMessage, origin: Origin) -> Self {
        Self { v1: Frame::Text(lastword_spec::codec::encode(&message)), message: Some(message), origin }
    }
}

impl Heard<FromClient> {
    pub(crate) fn client(message: FromClient, origin: Origin) -> Self {
        let v1 = match &message {
            FromClient::Message(message) => Frame::Text(lastword_spec::codec::encode(message)),
            FromClient::Audio(bytes) => Frame::Binary(bytes.clone()),
        };
        Self { v1, message: Some(message), origin }
    }
}
