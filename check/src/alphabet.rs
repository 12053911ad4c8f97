//! What a peer without manners may send: one of each class of the state tables, legal or not, and what a peer with manners owes. Owns
//! the choice of examples. It must not know who reads them.

use lastword_spec::PROTOCOL;
use lastword_spec::close::EndReason;
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{
    Capabilities, ClientMessage, EffectiveConfig, ErrorMessage, Final, Flush, Flushed, Keepalive, KeepaliveAck,
    Partial, Progress, Ready, ServerMessage, SessionEnded, SpeechEnded, SpeechStarted, Update, Updated, Warning,
};
use lastword_spec::table::{ServerInput, State};

use crate::pair::setup::limits;
use crate::wire::{MAX_FRAME_BYTES, Wire};

/// What a client owes a server that stands here.
pub(crate) fn owed_to_server(state: State) -> Option<Wire> {
    match state {
        State::AwaitConfig => Some(config()),
        State::Streaming => Some(Wire::Client(ClientMessage::EndOfStream)),
        State::Ended => Some(Wire::Close(Some(1000))),
        State::Configuring | State::Draining | State::Failing | State::Closed => None,
    }
}

/// What a server owes a client that stands here.
pub(crate) fn owed_to_client(state: State) -> Option<Wire> {
    match state {
        State::Configuring => Some(ready()),
        State::Draining => Some(session_ended(true, 20)),
        State::Failing | State::Ended => Some(Wire::Close(Some(1000))),
        // The application owes the end of its input.
        State::AwaitConfig | State::Streaming | State::Closed => None,
    }
}

/// What a client may send: an example of each input of the server's table.
pub(crate) fn of_a_client() -> Vec<Wire> {
    let text = |text: &str, class| Wire::Text(text.to_owned(), class);
    vec![
        config(),
        text(r#"{"type":"config","sample_rate_hz":8000}"#, ServerInput::RefusedConfig),
        Wire::Audio(640),
        Wire::Audio(0),
        Wire::Audio(641),
        Wire::Audio(MAX_FRAME_BYTES + 2),
        Wire::Client(ClientMessage::Keepalive(Keepalive { seq: None })),
        Wire::Client(ClientMessage::Keepalive(Keepalive { seq: Some(7) })),
        Wire::Client(ClientMessage::Flush(Flush { id: "a".into() })),
        Wire::Client(ClientMessage::Update(Box::new(Update { id: "u".into(), ..Update::default() }))),
        Wire::Client(ClientMessage::EndOfStream),
        text(r#"{"type":"x_unheard_of"}"#, ServerInput::UnknownType),
        bad_message(),
        text(&format!(r#"{{"type":"keepalive","x_pad":"{}"}}"#, "x".repeat(70_000)), ServerInput::OversizeText),
        Wire::Close(Some(1000)),
        Wire::Close(None),
        Wire::Gone,
    ]
}

/// For a server that counts: ten of these end the session.
pub(crate) fn of_a_babbling_client() -> Vec<Wire> {
    vec![bad_message()]
}

/// What a server may send: examples of each input of the client's table.
pub(crate) fn of_a_server() -> Vec<Wire> {
    let text = |text: &str, class| Wire::Text(text.to_owned(), class);
    let error = |fatal, id: Option<&str>| {
        Wire::Server(ServerMessage::Error(ErrorMessage {
            code: ErrorCode::INTERNAL,
            message: "trouble".into(),
            fatal,
            retryable: false,
            retry_after_ms: None,
            param: None,
            id: id.map(str::to_owned),
        }))
    };
    let result = |segment_id| Wire::Server(ServerMessage::Final(Final { segment_id, ..Final::default() }));
    vec![
        ready(),
        replaced_ready(),
        text(r#"{"type":"ready","session_id":"s"}"#, ServerInput::BadMessage),
        Wire::Server(ServerMessage::Partial(Partial { revision: 1, text: "some".into(), ..Partial::default() })),
        result(0),
        result(2),
        Wire::Server(ServerMessage::SpeechStarted(SpeechStarted { start_ms: 0, channel: 0 })),
        Wire::Server(ServerMessage::SpeechEnded(SpeechEnded { end_ms: 0, channel: 0 })),
        Wire::Server(ServerMessage::Flushed(Flushed { id: "f0".into() })),
        Wire::Server(ServerMessage::Updated(Box::new(Updated { id: "u".into(), config: EffectiveConfig::default() }))),
        Wire::Server(ServerMessage::KeepaliveAck(KeepaliveAck { seq: 1 })),
        Wire::Server(ServerMessage::Progress(Progress { seq: 1, audio_processed_ms: 0 })),
        Wire::Server(ServerMessage::Warning(Warning { code: "x_w".into(), message: "warned".into() })),
        error(false, None),
        error(false, Some("f0")),
        error(true, None),
        session_ended(true, 20),
        session_ended(true, 0),
        session_ended(false, 0),
        text(r#"{"type":"x_unheard_of"}"#, ServerInput::UnknownType),
        bad_message(),
        Wire::Audio(4),
        Wire::Close(Some(1000)),
        Wire::Close(None),
        Wire::Gone,
    ]
}

fn config() -> Wire {
    Wire::Client(ClientMessage::Config(Box::default()))
}

fn bad_message() -> Wire {
    Wire::Text("[]".to_owned(), ServerInput::BadMessage)
}

fn ready_with(config: EffectiveConfig) -> Wire {
    Wire::Server(ServerMessage::Ready(Box::new(Ready {
        session_id: "s".into(),
        protocol: PROTOCOL.into(),
        config,
        limits: limits(),
        capabilities: Capabilities::default(),
        ignored: Vec::new(),
    })))
}

fn ready() -> Wire {
    ready_with(EffectiveConfig::default())
}

/// Another audio format than was asked for: no client can live with it.
fn replaced_ready() -> Wire {
    let mut config = EffectiveConfig::default();
    config.audio.sample_rate_hz = 8_000;
    ready_with(config)
}

fn session_ended(complete: bool, ms: u64) -> Wire {
    Wire::Server(ServerMessage::SessionEnded(SessionEnded {
        reason: if complete { EndReason::COMPLETED } else { EndReason::GOING_AWAY },
        complete,
        audio_received_ms: ms,
        audio_processed_ms: ms,
        rejected_frames: 0,
        finals: 0,
        message: None,
    }))
}
