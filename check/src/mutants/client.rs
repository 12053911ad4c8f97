//! Clients that break the protocol. Owns one hand for each, put between the shipped machine and its transport. It must not know the
//! machines.

use lastword_spec::message::{ClientMessage, Keepalive, ServerMessage};

use crate::pair::Twist;
use crate::wire::Wire;

pub(super) const SENTINEL: Wire = Wire::Client(ClientMessage::EndOfStream);
pub(super) const KEEPALIVE: Wire = Wire::Client(ClientMessage::Keepalive(Keepalive { seq: None }));
/// One more frame than the application pushed.
const EXTRA_AUDIO: Wire = Wire::Audio(640);

/// What a client's mutant remembers.
const BEGUN: u8 = 1;
const ENDED: u8 = 2;
const GONE: u8 = 3;

/// Its input ends and it never says so; optionally its keepalives live on.
pub(super) struct NoSentinel {
    pub(super) keepalive: bool,
}

impl Twist for NoSentinel {
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire != SENTINEL {
            return vec![wire];
        }
        *memory = ENDED;
        Vec::new()
    }

    fn client_adds(&self, memory: &mut u8, _input_ended: bool) -> Option<Wire> {
        (self.keepalive && *memory == ENDED).then_some(KEEPALIVE)
    }
}

/// It says the sentinel twice.
pub(super) struct DoubleSentinel;

impl Twist for DoubleSentinel {
    fn client_sends(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire == SENTINEL { vec![SENTINEL, SENTINEL] } else { vec![wire] }
    }
}

/// Audio follows its sentinel; optionally to a server that drops that without a word.
pub(super) struct AudioAfterEnd {
    pub(super) dropped_silently: bool,
}

impl Twist for AudioAfterEnd {
    fn client_sends(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire == SENTINEL { vec![SENTINEL, EXTRA_AUDIO] } else { vec![wire] }
    }

    fn client_hears(&self, _memory: &mut u8, wire: Wire) -> Vec<Wire> {
        // It would not wonder that frames were refused.
        match wire {
            Wire::Server(ServerMessage::SessionEnded(mut ended)) => {
                ended.rejected_frames = 0;
                vec![Wire::Server(ServerMessage::SessionEnded(ended))]
            }
            wire => vec![wire],
        }
    }

    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        if self.dropped_silently && *memory == ENDED && matches!(wire, Wire::Audio(_)) {
            return (Vec::new(), Vec::new());
        }
        if wire == SENTINEL {
            *memory = ENDED;
        }
        (vec![wire], Vec::new())
    }
}

/// Its receiver returns at the first final after the end; optionally its keepalives live on.
pub(super) struct ReceiverGone {
    pub(super) keepalive: bool,
}

impl Twist for ReceiverGone {
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire == SENTINEL {
            *memory = ENDED;
        }
        vec![wire]
    }

    fn client_hears(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if *memory == ENDED && matches!(wire, Wire::Server(ServerMessage::Final(_))) {
            *memory = GONE;
        }
        vec![wire]
    }

    fn client_reads(&self, memory: u8, _writing: bool) -> bool {
        memory != GONE
    }

    fn client_adds(&self, memory: &mut u8, _input_ended: bool) -> Option<Wire> {
        (self.keepalive && *memory == GONE).then_some(KEEPALIVE)
    }
}

/// Its keepalive timer does not stop at the sentinel.
pub(super) struct KeepaliveAfterEnd;

impl Twist for KeepaliveAfterEnd {
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire == SENTINEL {
            *memory = ENDED;
        }
        vec![wire]
    }

    fn client_hears(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if matches!(wire, Wire::Server(ServerMessage::SessionEnded(_)) | Wire::Close(_)) {
            *memory = GONE;
        }
        vec![wire]
    }

    fn client_adds(&self, memory: &mut u8, _input_ended: bool) -> Option<Wire> {
        (*memory == ENDED).then_some(KEEPALIVE)
    }
}

/// It sends everything before it reads anything but `ready`; optionally to a server that does not read while it writes.
pub(super) struct SendsBeforeItReads {
    pub(super) server_blocks: bool,
}

impl Twist for SendsBeforeItReads {
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if wire == SENTINEL || matches!(wire, Wire::Close(_)) {
            *memory = ENDED;
        }
        vec![wire]
    }

    fn client_hears(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if *memory == 0 && matches!(wire, Wire::Server(ServerMessage::Ready(_))) {
            *memory = BEGUN;
        }
        vec![wire]
    }

    fn client_reads(&self, memory: u8, writing: bool) -> bool {
        memory != BEGUN && !(memory == ENDED && writing)
    }

    fn server_reads(&self, _memory: u8, wants: bool, writing: bool) -> bool {
        wants && !(self.server_blocks && writing)
    }
}

/// Its input ends before `ready`, and it says so at once; optionally to a server that refuses what is early.
pub(super) struct EarlySentinel {
    pub(super) refused: bool,
}

impl Twist for EarlySentinel {
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        match (&wire, *memory) {
            (Wire::Client(ClientMessage::Config(_)), _) => *memory = BEGUN,
            (wire, ENDED) if *wire == SENTINEL => return Vec::new(),
            _ => {}
        }
        vec![wire]
    }

    fn client_hears(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if *memory == BEGUN {
            *memory = GONE;
        }
        vec![wire]
    }

    fn client_adds(&self, memory: &mut u8, input_ended: bool) -> Option<Wire> {
        let early = input_ended && *memory == BEGUN;
        early.then(|| {
            *memory = ENDED;
            SENTINEL
        })
    }

    fn server_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        if matches!(wire, Wire::Server(ServerMessage::Ready(_))) {
            *memory = BEGUN;
        }
        vec![wire]
    }

    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        if self.refused && *memory != BEGUN && wire == SENTINEL {
            return (Vec::new(), vec![super::server::complaint("invalid_state")]);
        }
        (vec![wire], Vec::new())
    }
}
