//! Owns what a subject is to the harness: an address with credentials, and perhaps a process of ours behind it.
//! Knows nothing of sessions.

mod port;
mod process;
mod target;

pub use port::FreePort;
pub(crate) use process::Group;
pub use process::{Process, ProcessError, await_serving};
pub use target::{Target, TargetError};
