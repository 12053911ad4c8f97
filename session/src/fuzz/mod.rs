//! Arbitrary events into both machines, with the invariants of the protocol asserted on everything that comes out. For fuzz targets
//! and property tests; owns no rule of its own beyond what the specification says of any session. Must not know I/O.

mod client;
mod server;

pub use client::{ClientOp, ClientRig};
pub use server::{Audio, ServerOp, ServerRig, Text};

/// Takes `data` for a sequence of events, gives each to a [`ServerSession`](crate::ServerSession) and a
/// [`ClientSession`](crate::ClientSession), and drives what is left of both to its end.
///
/// # Panics
/// An invariant is broken: that is a finding.
pub fn drive(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut server = ServerRig::new(bytes.byte());
    let mut client = ClientRig::new();
    while !bytes.0.is_empty() {
        if bytes.byte() & 1 == 0 {
            server.apply(&ServerOp::read(&mut bytes));
        } else {
            client.apply(&ClientOp::read(&mut bytes));
        }
    }
    server.finish();
    client.finish();
}

/// The fuzzer's bytes; zeros for ever behind their end.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Two bytes as a number.
    pub fn two_bytes(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Up to 255 bytes, as many as the next byte says.
    pub fn chunk(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (chunk, rest) = self.0.split_at(length);
        self.0 = rest;
        chunk
    }
}
