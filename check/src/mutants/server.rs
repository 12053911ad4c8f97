//! Servers that break the protocol. Owns one hand for each, put between the shipped machine and its transport or at its engine. It must
//! not know the machines.

use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{ErrorMessage, Final, Partial, ServerMessage, SessionEnded};

use super::client::SENTINEL;
use crate::pair::Twist;
use crate::wire::Wire;

/// What a server's mutant remembers; a count of what it dropped comes on top.
const ENDING: u8 = 0x80;
const CLOSED: u8 = 0x40;

/// A non-fatal error.
pub(super) fn complaint(code: &str) -> Wire {
    Wire::Server(ServerMessage::Error(ErrorMessage {
        code: ErrorCode::from(code),
        message: "refused".into(),
        fatal: false,
        retryable: false,
        retry_after_ms: None,
        param: None,
        id: None,
    }))
}

/// It takes the sentinel for said only when the audio after it comes.
pub(super) struct WaitsForAudioAfterEnd;

impl Twist for WaitsForAudioAfterEnd {
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        match wire {
            wire if wire == SENTINEL => {
                *memory = ENDING;
                (Vec::new(), Vec::new())
            }
            Wire::Audio(_) if *memory == ENDING => (vec![SENTINEL, wire], Vec::new()),
            wire => (vec![wire], Vec::new()),
        }
    }
}

/// It says `session_ended` only when the client has closed.
pub(super) struct EndsOnClientClose;

impl Twist for EndsOnClientClose {
    fn server_hears(&self, _memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        // The rest of the drain would follow the Close, to nobody.
        (if wire == SENTINEL { Vec::new() } else { vec![wire] }, Vec::new())
    }
}

/// What it does to the messages that its machine sends, one rule a mutant.
pub(super) enum Sends {
    /// It closes without `session_ended`.
    NoSessionEnded,
    /// A final follows `session_ended`.
    FinalAfterEnd,
    /// `session_ended` comes twice.
    SessionEndedTwice,
    /// `flushed` comes twice.
    FlushedTwice,
    /// `flushed` never comes.
    NoFlushed,
    /// `keepalive_ack` never comes.
    NoAck,
    /// `ready` never comes.
    NoReady,
    /// `ready` comes twice.
    ReadyTwice,
    /// A partial follows the final of its segment.
    PartialAfterFinal,
    /// The fatal error is swallowed.
    NoError,
    /// No partial is ever sent.
    NoPartials,
    /// Completed sessions are closed with 1011.
    ClosesWith1011,
}

impl Twist for Sends {
    fn server_sends(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        let Wire::Server(message) = &wire else {
            return match (self, wire) {
                (Self::ClosesWith1011, Wire::Close(Some(1000))) => vec![Wire::Close(Some(1011))],
                (_, wire) => vec![wire],
            };
        };
        match (self, message) {
            (Self::NoSessionEnded, ServerMessage::SessionEnded(_))
            | (Self::NoFlushed, ServerMessage::Flushed(_))
            | (Self::NoAck, ServerMessage::KeepaliveAck(_))
            | (Self::NoReady, ServerMessage::Ready(_))
            | (Self::NoPartials, ServerMessage::Partial(_)) => Vec::new(),
            (Self::NoError, ServerMessage::Error(error)) if error.fatal => Vec::new(),
            (Self::SessionEndedTwice, ServerMessage::SessionEnded(_))
            | (Self::FlushedTwice, ServerMessage::Flushed(_))
            | (Self::ReadyTwice, ServerMessage::Ready(_)) => vec![wire.clone(), wire],
            (Self::FinalAfterEnd, ServerMessage::SessionEnded(ended)) => {
                let late = Final { segment_id: ended.finals, text: "w7".into(), ..Final::default() };
                vec![wire, Wire::Server(ServerMessage::Final(late))]
            }
            (Self::PartialAfterFinal, ServerMessage::Final(result)) => {
                let (segment_id, end_ms) = (result.segment_id, result.end_ms);
                let late = Partial { segment_id, revision: 9, text: "late".into(), end_ms, ..Partial::default() };
                vec![wire, Wire::Server(ServerMessage::Partial(late))]
            }
            _ => vec![wire],
        }
    }
}

/// It drops the finals that come after the sentinel; optionally its account says so.
pub(super) struct DropsPendingFinals {
    pub(super) counts_them: bool,
}

impl Twist for DropsPendingFinals {
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        if wire == SENTINEL {
            *memory |= ENDING;
        }
        (vec![wire], Vec::new())
    }

    fn server_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        match wire {
            Wire::Server(ServerMessage::Final(_)) if *memory & ENDING != 0 => {
                *memory += 1;
                Vec::new()
            }
            Wire::Server(ServerMessage::SessionEnded(ended)) if !self.counts_them => {
                let finals = ended.finals - u64::from(*memory & !ENDING);
                vec![Wire::Server(ServerMessage::SessionEnded(SessionEnded { finals, ..ended }))]
            }
            wire => vec![wire],
        }
    }
}

/// It drops the first frame of audio; optionally its account says so.
pub(super) struct DropsAudio {
    pub(super) counts_it: bool,
}

impl Twist for DropsAudio {
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        match wire {
            Wire::Audio(bytes) if *memory == 0 => {
                *memory = u8::try_from(bytes / 32).unwrap_or(u8::MAX);
                (Vec::new(), Vec::new())
            }
            wire => (vec![wire], Vec::new()),
        }
    }

    fn server_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        match wire {
            Wire::Server(ServerMessage::SessionEnded(mut ended)) if self.counts_it => {
                ended.audio_received_ms += u64::from(*memory);
                ended.audio_processed_ms += u64::from(*memory);
                vec![Wire::Server(ServerMessage::SessionEnded(ended))]
            }
            wire => vec![wire],
        }
    }
}

/// Its engine dies at the sentinel without a word. Whether something still tells progress is the setup's matter.
pub(super) struct DeadEngine;

impl Twist for DeadEngine {
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        if wire == SENTINEL {
            *memory = ENDING;
        }
        (vec![wire], Vec::new())
    }

    fn engine_works(&self, memory: u8) -> bool {
        memory != ENDING
    }
}

/// It ignores the client's Close.
pub(super) struct IgnoresClose;

impl Twist for IgnoresClose {
    fn server_hears(&self, _memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        (if matches!(wire, Wire::Close(_)) { Vec::new() } else { vec![wire] }, Vec::new())
    }
}

/// When it does not read.
pub(super) enum Deaf {
    /// Once its Close is on its way.
    AfterItsClose,
    /// Between the sentinel and `session_ended`.
    WhileDraining,
    /// While anything waits to be written.
    WhileWriting,
}

impl Twist for Deaf {
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        if wire == SENTINEL {
            *memory |= ENDING;
        }
        (vec![wire], Vec::new())
    }

    fn server_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if matches!(wire, Wire::Close(_)) {
            *memory = CLOSED;
        }
        vec![wire]
    }

    fn server_reads(&self, memory: u8, wants: bool, writing: bool) -> bool {
        let deaf = match self {
            Self::AfterItsClose => memory == CLOSED,
            Self::WhileDraining => memory == ENDING,
            Self::WhileWriting => writing,
        };
        wants && !deaf
    }
}

/// It does not close before the client has; optionally to a client that does not close before the server has.
pub(super) struct WaitsForClose {
    pub(super) client_waits: bool,
}

impl Twist for WaitsForClose {
    fn server_sends(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if matches!(wire, Wire::Close(_)) { Vec::new() } else { vec![wire] }
    }

    fn server_hears(&self, _memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        let answer = if let Wire::Close(code) = wire { vec![Wire::Close(code)] } else { Vec::new() };
        (vec![wire], answer)
    }

    fn client_sends(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if self.client_waits && matches!(wire, Wire::Close(_)) { Vec::new() } else { vec![wire] }
    }
}
