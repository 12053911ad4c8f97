//! The certificate of a run: everything that its verdicts follow from, in one file, so that anybody can compute them again
//! without the subject. It owns the form of the file, its digests, the level, and the verification; it must not know sockets or
//! how a case is run. A certificate is not signed: it proves that its verdicts follow from its traces, not who made it.
//!
//! The file is JSON lines in parts: head, requirement set, calibration, one part for each case with its traces (the lines of
//! trace files, as `lastword replay` reads them), and the verdicts. The line before the last gives the length and the SHA-256 of
//! each part, the last line the SHA-256 of all bytes before it. Credentials are replaced by marks before anything is written.

mod client;
mod conclude;
mod digest;
mod level;
mod model;
mod read;
mod rejudge;
mod seal;
mod verify;
mod write;

pub use client::ClientStanding;
pub use conclude::{Conclusion, End, conclude};
pub use digest::speech_sha256;
pub use level::{Aside, Facts, Hindrance, Level, LevelReport, SuiteFacts, level};
pub use model::{CERTIFICATE_VERSION, ClientOptions, Options};
pub use read::ReadError;
pub use seal::Damage;
pub use verify::{Difference, Verified, VerifyError, render, verify};
pub use write::{MIN_CREDENTIAL_BYTES, Origin, WriteError, write};
