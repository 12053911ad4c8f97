//! Where a mutant of the protocol can put its hand in: between a machine and its transport, and at its engine. Owns the places, each
//! honest by default. It must not know any mutant.

use crate::wire::Wire;

/// A way of doing the protocol. The default of each hook is what the protocol says. `memory` is the mutant's own, one byte a side.
pub trait Twist {
    /// What goes to the client's transport for what its machine sends. Empty: the machine is told that it was sent.
    fn client_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        let _ = memory;
        vec![wire]
    }

    /// What the client's machine is told of what it read.
    fn client_hears(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        let _ = memory;
        vec![wire]
    }

    /// Whether the client reads, where its machine wants to.
    fn client_reads(&self, memory: u8, writing: bool) -> bool {
        let _ = (memory, writing);
        true
    }

    /// Something that the client sends of its own accord, whenever its transport is free. Without end if it is always something.
    fn client_adds(&self, memory: &mut u8, input_ended: bool) -> Option<Wire> {
        let _ = (memory, input_ended);
        None
    }

    /// What goes to the server's transport for what its machine sends.
    fn server_sends(&self, memory: &mut u8, wire: Wire) -> Vec<Wire> {
        let _ = memory;
        vec![wire]
    }

    /// What the server's machine is told of what it read, and what is sent at once.
    fn server_hears(&self, memory: &mut u8, wire: Wire) -> (Vec<Wire>, Vec<Wire>) {
        let _ = memory;
        (vec![wire], Vec::new())
    }

    /// Whether the server reads. `wants` is what its machine wants, `writing` whether something waits to be written.
    fn server_reads(&self, memory: u8, wants: bool, writing: bool) -> bool {
        let _ = (memory, writing);
        wants
    }

    /// Whether the engine does its work.
    fn engine_works(&self, memory: u8) -> bool {
        let _ = memory;
        true
    }
}

/// The protocol as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Twist for Honest {}
