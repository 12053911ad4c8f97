//! Owns what a client can meet, as one enum, and how text becomes it. Knows nothing of what is done with it.

use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::{
    ErrorMessage, Final, Flushed, KeepaliveAck, Partial, Progress, Ready, ServerMessage, SessionEnded, SpeechEnded,
    SpeechStarted, Updated, Warning,
};

use super::timer::ClientTimer;
use crate::fault::TransportError;

/// Everything a client can meet: what the server sends, the ends of the connection, its transport, its timers, its application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// With the members that were missing and now have their defaults.
    Ready(Box<Ready>, Vec<String>),
    Partial(Partial),
    Final(Final),
    SpeechStarted(SpeechStarted),
    SpeechEnded(SpeechEnded),
    Flushed(Flushed),
    Updated(Box<Updated>),
    KeepaliveAck(KeepaliveAck),
    Progress(Progress),
    Warning(Warning),
    Error(ErrorMessage),
    FatalError(ErrorMessage),
    SessionEnded(SessionEnded),
    UnknownType,
    GarbageText,
    GarbageBinary,
    Close(Option<u16>),
    Loss(TransportError),
    Transmitted,
    ReadyTimeout,
    KeepaliveDue,
    ProbeDue,
    SilenceTimeout,
    FlushTimeout,
    DrainTimeout,
    AfterErrorTimeout,
    CloseTimeout,
    End,
    Cancel,
}

impl From<ClientTimer> for Input {
    fn from(timer: ClientTimer) -> Self {
        match timer {
            ClientTimer::Ready => Self::ReadyTimeout,
            ClientTimer::Keepalive => Self::KeepaliveDue,
            ClientTimer::Probe => Self::ProbeDue,
            ClientTimer::Silence => Self::SilenceTimeout,
            ClientTimer::Flush => Self::FlushTimeout,
            ClientTimer::Drain => Self::DrainTimeout,
            ClientTimer::AfterError => Self::AfterErrorTimeout,
            ClientTimer::Close => Self::CloseTimeout,
        }
    }
}

/// Far above any legal message; only bounds what the codec is asked to look at.
const MAX_TEXT_BYTES: u64 = 16 * 1024 * 1024;

/// What a text message from the server is.
pub(super) fn from_text(text: &str) -> Input {
    match codec::decode_server(text, MAX_TEXT_BYTES) {
        Ok(Decoded::Message(message)) => from_message(message),
        Ok(Decoded::Unknown { .. }) => Input::UnknownType,
        // A `ready` that lacks members is a violation; the defaults then hold.
        Err(error) if error.message_type.as_deref() == Some("ready") => {
            match codec::decode_ready_lenient(text, MAX_TEXT_BYTES) {
                Ok(lenient) => Input::Ready(Box::new(lenient.ready), lenient.missing),
                Err(_) => Input::GarbageText,
            }
        }
        Err(_) => Input::GarbageText,
    }
}

fn from_message(message: ServerMessage) -> Input {
    match message {
        ServerMessage::Ready(body) => Input::Ready(body, Vec::new()),
        ServerMessage::Partial(body) => Input::Partial(body),
        ServerMessage::Final(body) => Input::Final(body),
        ServerMessage::Flushed(body) => Input::Flushed(body),
        ServerMessage::Updated(body) => Input::Updated(body),
        ServerMessage::SessionEnded(body) => Input::SessionEnded(body),
        ServerMessage::SpeechStarted(body) => Input::SpeechStarted(body),
        ServerMessage::SpeechEnded(body) => Input::SpeechEnded(body),
        ServerMessage::KeepaliveAck(body) => Input::KeepaliveAck(body),
        ServerMessage::Progress(body) => Input::Progress(body),
        ServerMessage::Warning(body) => Input::Warning(body),
        ServerMessage::Error(body) if body.fatal => Input::FatalError(body),
        ServerMessage::Error(body) => Input::Error(body),
    }
}
