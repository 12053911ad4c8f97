//! The harness of the Lastword protocol: it certifies servers and clients from outside. This crate owns the I/O around the pure judge:
//! cases, sockets, processes, reports and the command line. It must not know the session machines of its subjects: the
//! judge and the tables of the specification are all it goes by.
//!
//! The binary `lastword` is [`cli::run`] with the arguments of the process.

mod audio_frames;
pub mod case;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod coverage;
pub mod dialect;
pub mod exit;
pub mod explore;
pub mod known;
pub mod limit;
pub mod memory;
pub mod record;
pub mod redact;
pub mod replay;
pub mod report;
pub mod run;
pub mod select;
pub mod speech;
pub mod subject;
pub mod suite;
mod talk;
pub mod verdict;
pub mod wer;
pub mod wire;
