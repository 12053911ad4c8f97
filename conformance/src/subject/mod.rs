//! Owns what a subject is to the harness: an address with credentials, and perhaps a process of ours behind it.
//! Knows nothing of sessions.

mod process;
mod target;

pub(crate) use process::Group;
pub use process::{Process, ProcessError, await_serving, free_port};
pub use target::{Target, TargetError};
