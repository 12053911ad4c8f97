//! A small streaming speech-to-text server of Lastword v1, written by hand on tokio and tungstenite, and the catalogue of its
//! faults: a [`Mutant`] is this server with exactly one of them, a [`Degenerate`] a peer that serves nothing at all.
//!
//! It owns what the harness is tested with. It knows the prose of the specification and neither `lastword-spec` nor
//! `lastword-session` nor the judge: what tests the harness must not share its errors. All its time is `tokio::time`, so that
//! it runs under paused time over in-memory pipes, and nothing in it is random.

mod catalogue;
mod config;
mod degenerate;
mod engine;
mod fault;
mod hearing;
mod json;
mod link;
mod mouth;
mod options;
mod pieces;
mod server;
mod session;

pub use catalogue::{Mutant, Needs, find, mutants};
pub use degenerate::{Degenerate, Peer, degenerates};
pub use options::{Engine, Falls, Limits, Options};
pub use server::Server;
