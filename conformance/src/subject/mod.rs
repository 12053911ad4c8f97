//! Owns what a subject is to the harness: an address with credentials, and perhaps a process of ours behind it.
//! Knows nothing of sessions.

mod port;
mod process;
mod tail;
mod target;

pub use port::FreePort;
pub(crate) use process::Group;
pub use process::{Process, ProcessError, await_serving};
pub(crate) use tail::Tail;
pub use target::{Target, TargetError};
