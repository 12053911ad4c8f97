//! The Lastword protocol, version 1, as code: wire types, strict codec, error and close codes, limits, trace format.
//!
//! This crate owns the nouns of the protocol. It must not know a socket, a clock, a task or a source of randomness, and
//! no other crate of the house: all arrows end here. The normative prose lies beside it in `v1/`.

pub mod clause;
pub mod close;
pub mod codec;
pub mod driver;
pub mod error_code;
pub mod finding;
pub mod frozen;
pub mod generate;
pub mod ijson;
pub mod limits;
pub mod message;
pub mod prose;
pub mod registry;
#[rustfmt::skip]
pub mod requirements;
#[cfg(feature = "schema")]
pub mod schema;
pub mod table;
pub mod trace;

/// The WebSocket subprotocol token of this version, which is also the value of `ready.protocol`.
pub const PROTOCOL: &str = "lastword.v1";
