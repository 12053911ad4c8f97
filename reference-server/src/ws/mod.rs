//! Sessions over WebSocket. Owns: sockets, tasks and clocks, and carrying bytes between them and a
//! [`ServerSession`](lastword_session::ServerSession). Must not know: any rule of the protocol; those are all in the session.
//!
//! The parts: [`upgrade`] turns an HTTP request into a connection, [`socket`] reads and writes one without either waiting for
//! the other, [`drive`] runs a session over it, [`engine`] puts a recognizer behind it, [`wire`] lets it speak another service's wire.

mod drive;
pub(crate) mod engine;
mod socket;
pub(crate) mod upgrade;
mod wire;
