//! Owns what can be known of the transport under a client's connection: how much of each direction is on its way. On Linux through
//! `/proc`, in memory from the pipe itself; elsewhere only what the transport takes of the harness.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lastword_spec::trace::EventKind;

use crate::memory::Levels;
use crate::run::queues;

/// Where the queues of a transport can be looked up.
#[derive(Clone, Debug)]
pub(super) enum Queues {
    /// Those of a TCP connection on this machine, by its ends.
    Tcp {
        /// The harness's end.
        ours: SocketAddr,
        /// The client's end.
        theirs: SocketAddr,
    },
    /// Those of a pipe.
    Memory(Levels),
    /// Nowhere.
    Unknown,
}

/// A transport, seen from outside: what went through it, and how it is to end.
#[derive(Debug)]
pub(super) struct Gauge {
    queues: Queues,
    written: AtomicU64,
    /// It ends by a reset when it is dropped.
    pub(super) reset: AtomicBool,
}

/// How much of a connection is on its way, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Of the harness's: taken by the transport, and not by the client's end of it.
    pub(super) unacknowledged: Option<u64>,
    /// Of the harness's: at the client's end, and not read by the client.
    pub(super) unread: Option<u64>,
    /// Of the harness's: not taken by the transport.
    pub(super) unsent: u64,
    /// Of the client's: not read by the harness.
    pub(super) waiting: Option<u64>,
}

impl Gauge {
    pub(super) fn new(queues: Queues) -> Self {
        Self { queues, written: AtomicU64::new(0), reset: AtomicBool::new(false) }
    }

    /// The transport took so many bytes of the harness.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::AcqRel);
    }

    /// How many bytes the transport took so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// What is on its way, where the harness still has so much to write.
    pub(super) fn flow(&self, unsent: u64) -> Flow {
        let (unacknowledged, unread, waiting) = match &self.queues {
            Queues::Tcp { ours, theirs } => match (queues(*ours, *theirs), queues(*theirs, *ours)) {
                (Some(near), Some(far)) => (Some(near.0), Some(far.1), Some(near.1 + far.0)),
                // The socket of a client that has gone.
                (Some(near), None) => (Some(near.0), None, None),
                (None, _) => (None, None, None),
            },
            Queues::Memory(levels) => (Some(0), Some(levels.unread()), Some(levels.waiting())),
            Queues::Unknown => (None, None, None),
        };
        Flow { unacknowledged, unread, unsent, waiting }
    }
}

impl Flow {
    /// What the client has not read of the harness's, as far as that is known.
    pub(super) fn outstanding(&self) -> u64 {
        self.unsent + self.unacknowledged.unwrap_or(0) + self.unread.unwrap_or(0)
    }

    pub(super) fn event(&self) -> EventKind {
        EventKind::Transport {
            unacknowledged_bytes: self.unacknowledged,
            unread_bytes: self.unread,
            unsent_bytes: Some(self.unsent),
            waiting_bytes: self.waiting,
            retransmits: None,
        }
    }
}
