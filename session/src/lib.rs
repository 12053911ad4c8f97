//! The two parties of a Lastword session as state machines without I/O: [`ServerSession`] and [`ClientSession`].
//!
//! Bytes and time are arguments. This crate owns what each side does with each message, timer and sign of its engine; it must
//! not know a socket, a task, a clock or a source of chance, nor how speech is recognised.
//!
//! # How to drive one
//! `now` is the time since the connection opened. Give one input, then take outputs from `poll_output` until it returns `None`,
//! and be back at `poll_timeout` at the latest, with `handle_timeout`. Read from the connection only while `wants_read` is true.
//!
//! # Three kinds of fault
//! A fault of the peer is a [`Violation`]: an output beside the answer that the protocol asks for, never an `Err`, because the
//! session goes on. A fault of the caller is an [`ApiMisuse`]: the call changed nothing. A fault of the network is a
//! [`TransportError`]: it is told *to* the session, and ends it.
//!
//! ```
//! use core::time::Duration;
//! use lastword_session::{ServerOutput, ServerPolicy, ServerSession};
//!
//! let mut session = ServerSession::new(ServerPolicy::default(), "s-1")?;
//! session.handle_text(Duration::ZERO, r#"{"type":"config"}"#)?;
//! assert!(matches!(session.poll_output(), Some(ServerOutput::StartEngine(_))));
//! # Ok::<(), lastword_session::ApiMisuse>(())
//! ```

mod client;
mod fault;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod server;

pub use client::{ClientEvent, ClientOptions, ClientOutput, ClientSession, ClientTimer, IncompleteReason, Outcome};
pub use fault::{ApiMisuse, Fact, TransportError, Violation};
pub use lastword_spec::table::State;
pub use server::{EngineResult, Refusal, ServerOutput, ServerPolicy, ServerSession, ServerTimer, Token};
