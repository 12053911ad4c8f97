//! Owns what a server can meet, as one enum, and how bytes become it. Knows nothing of what is done with it.

use lastword_spec::codec::{self, DecodeError, DecodeErrorKind, Decoded};
use lastword_spec::message::{AudioFormat, ClientMessage, Config, EffectiveConfig, Flush, Keepalive, Update};

use super::negotiate::{ConfigRequest, Refusal, cut};
use super::policy::Token;
use super::results::EngineResult;
use super::timer::ServerTimer;

/// Everything a server can meet: what the client sends, the ends of the connection, its timers, its engine, its operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Config(Box<ConfigRequest>),
    Audio(Vec<u8>),
    EmptyAudio,
    BrokenAudio,
    OversizeAudio,
    Keepalive,
    KeepaliveSeq(u64),
    Flush(String),
    Update(String),
    EndOfStream,
    UnknownType,
    BadMessage(DecodeError),
    TenthBadMessage(DecodeError),
    OversizeText,
    Close(Option<u16>),
    Loss,
    ConfigTimeout,
    IdleTimeout,
    SessionTimeout,
    EngineTimeout,
    CloseTimeout,
    EngineReady(Box<(EffectiveConfig, Vec<String>)>),
    EngineRefused(Refusal),
    EnginePartial(EngineResult),
    EngineFinal(EngineResult),
    EngineSpeechStarted { channel: u32, start_ms: u64 },
    EngineSpeechEnded { channel: u32, end_ms: u64 },
    EngineProgress { audio_processed_ms: u64 },
    EngineBacklog { waiting_ms: u64 },
    EngineFlushed { token: u64 },
    EngineDrained { audio_processed_ms: u64 },
    EngineFailed { message: String },
    ShutDown,
}

impl From<ServerTimer> for Input {
    fn from(timer: ServerTimer) -> Self {
        match timer {
            ServerTimer::Config => Self::ConfigTimeout,
            ServerTimer::Idle => Self::IdleTimeout,
            ServerTimer::Session => Self::SessionTimeout,
            ServerTimer::Engine => Self::EngineTimeout,
            ServerTimer::Close => Self::CloseTimeout,
        }
    }
}

/// What a text message from the client is.
pub(super) fn from_text(text: &str, max_text_bytes: u64) -> Input {
    match codec::decode_client(text, max_text_bytes) {
        Ok(Decoded::Message(message)) => from_message(message, text),
        Ok(Decoded::Unknown { .. }) => Input::UnknownType,
        Err(error) if error.kind == DecodeErrorKind::TooLong => Input::OversizeText,
        Err(error) if error.message_type.as_deref() == Some("config") => Input::Config(Box::new(ConfigRequest {
            token: token_of(text),
            config: Err(error),
            unknown_paths: Vec::new(),
        })),
        Err(error) => Input::BadMessage(error),
    }
}

fn from_message(message: ClientMessage, text: &str) -> Input {
    match message {
        ClientMessage::Config(mut config) => Input::Config(Box::new(ConfigRequest {
            token: config.token.take().map(Token::new),
            config: Ok(*config),
            unknown_paths: codec::config_paths_unknown(text),
        })),
        ClientMessage::Keepalive(Keepalive { seq: None }) => Input::Keepalive,
        ClientMessage::Keepalive(Keepalive { seq: Some(seq) }) => Input::KeepaliveSeq(seq),
        ClientMessage::Flush(Flush { id }) => Input::Flush(id),
        ClientMessage::Update(update) => {
            let Update { id, .. } = *update;
            Input::Update(id)
        }
        ClientMessage::EndOfStream => Input::EndOfStream,
    }
}

/// What a binary message from the client is. Before a `config` the format is not known and any length is whole.
pub(super) fn from_binary(bytes: &[u8], format: Option<&AudioFormat>, max_frame_bytes: u64) -> Input {
    let group_bytes = format.and_then(AudioFormat::bytes_per_sample_group).unwrap_or(1).max(1);
    match bytes.len() as u64 {
        // [AUD-S3]
        0 => Input::EmptyAudio,
        length if length > max_frame_bytes => Input::OversizeAudio,
        // [AUD-S2]
        length if !length.is_multiple_of(group_bytes) => Input::BrokenAudio,
        _ => Input::Audio(bytes.to_vec()),
    }
}

impl Input {
    /// The same with nothing in it that will not be looked at after `ready`, so that what waits stays small: a second `config` is
    /// refused unread, and of a bad message only the beginning of its path is told.
    pub(super) fn fit_to_wait(self) -> Self {
        match self {
            Self::Config(_) => Self::Config(Box::new(ConfigRequest {
                config: Ok(Config::default()),
                token: None,
                unknown_paths: Vec::new(),
            })),
            Self::BadMessage(mut error) => {
                error.path = cut(&error.path).to_owned();
                Self::BadMessage(error)
            }
            other => other,
        }
    }

    /// Bytes of audio that it keeps while it waits for `ready`.
    pub(super) fn audio_bytes(&self) -> usize {
        match self {
            Self::Audio(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// Whether the server can have activity of it: well-formed and not refused. Spec: KA-S7.
    pub(super) fn is_wellformed_control(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Keepalive
            | Self::KeepaliveSeq(_)
            | Self::Flush(_)
            | Self::Update(_)
            | Self::EndOfStream
            | Self::UnknownType => true,
            Self::Audio(_)
            | Self::EmptyAudio
            | Self::BrokenAudio
            | Self::OversizeAudio
            | Self::BadMessage(_)
            | Self::TenthBadMessage(_)
            | Self::OversizeText
            | Self::Close(_)
            | Self::Loss
            | Self::ConfigTimeout
            | Self::IdleTimeout
            | Self::SessionTimeout
            | Self::EngineTimeout
            | Self::CloseTimeout
            | Self::EngineReady(_)
            | Self::EngineRefused(_)
            | Self::EnginePartial(_)
            | Self::EngineFinal(_)
            | Self::EngineSpeechStarted { .. }
            | Self::EngineSpeechEnded { .. }
            | Self::EngineProgress { .. }
            | Self::EngineBacklog { .. }
            | Self::EngineFlushed { .. }
            | Self::EngineDrained { .. }
            | Self::EngineFailed { .. }
            | Self::ShutDown => false,
        }
    }

    /// The name of what the engine reported, for [`crate::ApiMisuse::EngineOutOfTurn`].
    pub(super) fn engine_name(&self) -> &'static str {
        match self {
            Self::EngineReady(_) => "ready",
            Self::EngineRefused(_) => "refused",
            Self::EnginePartial(_) => "partial",
            Self::EngineFinal(_) => "final",
            Self::EngineSpeechStarted { .. } => "speech started",
            Self::EngineSpeechEnded { .. } => "speech ended",
            Self::EngineProgress { .. } => "progress",
            Self::EngineBacklog { .. } => "backlog",
            Self::EngineFlushed { .. } => "flushed",
            Self::EngineDrained { .. } => "drained",
            Self::EngineFailed { .. } => "failed",
            _ => "nothing",
        }
    }
}

/// The credential in a `config` that the codec refuses for another member.
fn token_of(text: &str) -> Option<Token> {
    let config: serde_json::Value = serde_json::from_str(text).ok()?;
    config.get("token")?.as_str().map(Token::new)
}
