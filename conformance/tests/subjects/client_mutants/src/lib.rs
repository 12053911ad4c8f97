//! A small client of Lastword v1, written by hand on tokio and tungstenite, and the catalogue of its faults: a [`Mutant`] is this
//! client with exactly one of them, a [`Degenerate`] something that is no client at all.
//!
//! It owns what the harness is tested with. It knows the prose of the specification and neither `lastword-spec` nor
//! `lastword-session` nor the judge: what tests the harness must not share its errors. All its time is `tokio::time`, so that
//! it runs under paused time over in-memory pipes, and nothing in it is random.

mod catalogue;
mod chunker;
mod command;
mod conversation;
mod degenerate;
mod driver;
mod fault;
mod handle;
mod link;
mod messages;
mod options;
mod session;
mod stream;
mod timers;

pub use catalogue::{Mutant, find, mutants};
pub use command::command;
pub use degenerate::{Degenerate, degenerates};
pub use driver::drive;
pub use link::{Dial, Dialled, Duplex};
pub use options::{Ending, Options};
pub use stream::stream;
