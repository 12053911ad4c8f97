//! The control messages of protocol v1 as Rust types. Their doc comments are the descriptions in the published schemas,
//! so they are written for readers who have no Rust. This module knows nothing of states, time or transport.
//!
//! Integers on the wire are at most 2^53-1 ([`crate::ijson::MAX_INTEGER`]). The types hold any `u64`; the codec refuses a
//! larger number when it reads and does not look when it writes.

mod client;
mod config;
mod result;
mod server;
pub(crate) mod strict;
pub(crate) mod vocabulary;

pub use client::{ClientMessage, EndOfStream, Flush, Keepalive, Update};
pub use config::{AudioFormat, AudioRequest, Config, EffectiveConfig, Endpointing, EndpointingRequest};
pub use result::{Final, Partial, Probability, SpeechEnded, SpeechStarted, Word};
pub use server::{
    Capabilities, ErrorMessage, Flushed, KeepaliveAck, Progress, Ready, ServerMessage, SessionEnded, Updated, Warning,
};
pub use strict::MAX_ID_BYTES;
pub use vocabulary::{Encoding, EndpointingMode, Task, WarningCode};
