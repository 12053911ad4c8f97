//! The wires of other streaming speech-to-text services, translated to and from Lastword's messages, so that the judge, the cases and
//! the requirement IDs stay the same whatever is spoken.
//!
//! A dialect is one declarative file (`docs/dialects.md`), read once by [`Dialect::from_toml`] or taken from [`Dialect::builtin`].
//! From the same file two translators are made, one for each side that the harness or a server of ours can play: [`ClientSide`] and
//! [`ServerSide`]. They hold what a session needs (numbers of segments, counters, what was said) and nothing else: no socket, clock,
//! task or source of chance. This crate must not know a session's states, nor what is right or wrong in one.
//!
//! # How to drive one
//! A runner that plays the client: [`ClientSide::pre_request`] where the dialect has one, [`ClientSide::upgrade`], then
//! [`ClientSide::send`] with the `config` first, [`ClientSide::send_audio`], and [`ClientSide::receive`] with every frame that comes, the
//! Close included. What is written past the translator on purpose is told to [`ClientSide::wrote`]. A server of ours, or a scripted
//! one: [`ServerSide::opened`] with the upgrade, [`ServerSide::receive`] with every frame, [`ServerSide::send`], and
//! [`ServerSide::close`] for the Close. [`Heard::v1`] is what a session of v1, or a trace, is given; for an unmatched frame that is
//! [`Unmatched::as_v1`]. The identity takes the same calls and passes everything through.
//!
//! What the wire does not carry and Lastword's messages require is synthesised and marked ([`Origin`]); a frame to which no rule
//! applies is [`Output::Unmatched`]; what cannot be said is [`Output::Lost`]. Nothing is dropped in silence.
//!
//! ```
//! use lastword_dialects::{ClientSide, Dialect, Frame, Output, Seed};
//! use lastword_spec::message::{ClientMessage, ServerMessage};
//!
//! let dialect = Dialect::builtin("whisper-fastapi").expect("it comes with the crate");
//! let mut client = ClientSide::new(dialect, Seed::default());
//! let upgrade = client.upgrade("ws://127.0.0.1:8000", &Default::default())?;
//! assert_eq!(upgrade.url, "ws://127.0.0.1:8000/ws/transcribe");
//!
//! let said = client.send(&ClientMessage::EndOfStream);
//! assert_eq!(said, [Output::Send(Frame::text(r#"{"type":"end_of_stream"}"#))]);
//! let heard = client.receive(&Frame::text(r#"{"type":"session_ended","message":"bye"}"#));
//! let heard = heard[0].as_heard().expect("a message");
//! assert!(matches!(heard.message, Some(ServerMessage::SessionEnded(_))));
//! assert!(heard.origin.is_synthesised("finals"), "this service counts nothing");
//! # Ok::<(), lastword_dialects::ConnectError>(())
//! ```

mod batch;
mod build;
mod builtin;
mod capability;
mod client_side;
mod compile;
mod condition;
mod connect;
mod dialect;
mod error;
mod field;
mod file;
mod frame;
mod pointer;
mod results;
mod rule;
#[cfg(feature = "schema")]
pub mod schema;
mod server_side;
mod session;
mod template;

pub use batch::{Batch, BatchSegment, BatchTranscript};
pub use capability::{ALWAYS, Capability, Told, requirements_of};
pub use client_side::ClientSide;
pub use connect::{ConnectError, HttpRequest, HttpResponse, Upgrade};
pub use dialect::{Closer, Dialect};
pub use error::{DialectError, DialectErrors};
pub use frame::{Frame, FromClient, Heard, Lost, Origin, Output, Unmatched};
pub use server_side::ServerSide;
pub use session::Seed;
