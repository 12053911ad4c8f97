//! Where a message may go: the marks `x-legal-in` and `x-requirements`, read off the state table. Knows the names of
//! messages and inputs, and nothing of schemas.

use std::collections::BTreeSet;

use crate::table::{Answer, CLIENT_ROWS, ClientInput, SERVER_ROWS, ServerInput, Side, State};

/// When a message is legal, and by which requirements.
pub(super) struct Direction {
    /// The states of its receiver in which it is acted on. Messages that wait for `ready` are counted where they are
    /// handled, and those that are refused, discarded or charged to the sender are not counted.
    pub(super) legal_in: Vec<&'static str>,
    /// The requirements that the receiver's rows for those states cite.
    pub(super) requirements: BTreeSet<&'static str>,
}

impl Direction {
    pub(super) fn of(sent_by: Side, message_type: &str) -> Self {
        let mut direction = Self { legal_in: Vec::new(), requirements: BTreeSet::new() };
        for state in State::ALL {
            let ids: Vec<&'static str> = match sent_by {
                Side::Client => SERVER_ROWS
                    .iter()
                    .filter(|row| row.state == *state && is_acted_on(row.answer))
                    .filter(|row| client_type(row.input) == Some(message_type))
                    .flat_map(|row| row.ids.iter().map(|id| id.as_str()).chain([""]))
                    .collect(),
                Side::Server => CLIENT_ROWS
                    .iter()
                    .filter(|row| row.state == *state && is_acted_on(row.answer))
                    .filter(|row| server_type(row.input) == Some(message_type))
                    .flat_map(|row| row.ids.iter().map(|id| id.as_str()).chain([""]))
                    .collect(),
            };
            if !ids.is_empty() {
                direction.legal_in.push(state.as_str());
                direction.requirements.extend(ids.into_iter().filter(|id| !id.is_empty()));
            }
        }
        direction
    }
}

/// The `type` of the message that is this input of a server; `None` for what is no well-formed message of v1, and for a
/// keepalive without `seq`, whose answer (nothing) tells legal from tolerated as little as silence does.
fn client_type(input: ServerInput) -> Option<&'static str> {
    match input {
        ServerInput::Config => Some("config"),
        ServerInput::KeepaliveSeq => Some("keepalive"),
        ServerInput::Flush => Some("flush"),
        ServerInput::Update => Some("update"),
        ServerInput::EndOfStream => Some("end_of_stream"),
        ServerInput::RefusedConfig
        | ServerInput::Audio
        | ServerInput::EmptyAudio
        | ServerInput::BrokenAudio
        | ServerInput::OversizeAudio
        | ServerInput::Keepalive
        | ServerInput::UnknownType
        | ServerInput::BadMessage
        | ServerInput::TenthBadMessage
        | ServerInput::OversizeText
        | ServerInput::Close
        | ServerInput::Loss
        | ServerInput::ConfigTimeout
        | ServerInput::EngineReady
        | ServerInput::IdleTimeout
        | ServerInput::EngineFailed
        | ServerInput::Drained => None,
    }
}

/// The `type` of the message that is this input of a client.
fn server_type(input: ClientInput) -> Option<&'static str> {
    match input {
        ClientInput::Ready => Some("ready"),
        ClientInput::Partial => Some("partial"),
        ClientInput::Final => Some("final"),
        ClientInput::SpeechStarted => Some("speech_started"),
        ClientInput::SpeechEnded => Some("speech_ended"),
        ClientInput::Flushed => Some("flushed"),
        ClientInput::Updated => Some("updated"),
        ClientInput::KeepaliveAck => Some("keepalive_ack"),
        ClientInput::Progress => Some("progress"),
        ClientInput::Warning => Some("warning"),
        ClientInput::Error | ClientInput::FatalError => Some("error"),
        ClientInput::SessionEnded => Some("session_ended"),
        ClientInput::UnknownType | ClientInput::Garbage | ClientInput::Close | ClientInput::Loss => None,
    }
}

fn is_acted_on(answer: Answer) -> bool {
    match answer {
        Answer::Accept
        | Answer::OweReady
        | Answer::SendReady
        | Answer::OweFlushed
        | Answer::UpdatedOrError
        | Answer::OweKeepaliveAck
        | Answer::OweSessionEnded
        | Answer::SendSessionEnded
        | Answer::Deliver
        | Answer::Note => true,
        Answer::Nothing
        | Answer::CountMayReject(_)
        | Answer::RejectOnce(_)
        | Answer::Reject(_)
        | Answer::Wait
        | Answer::Fatal(_)
        | Answer::FatalByCause
        | Answer::EchoClose
        | Answer::Discard
        | Answer::Violation => false,
    }
}
