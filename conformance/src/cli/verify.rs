//! Owns `lastword verify`: a certificate in, whether it holds out.

use std::path::PathBuf;

use clap::Args;

use super::UsageError;
use super::shell::print;
use crate::certificate::{self, ReadError, VerifyError};
use crate::exit;

/// Arguments of `verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The certificate, as `certify ... --certificate FILE` wrote it.
    file: PathBuf,
    /// List the transitions of the state table that were not visited.
    #[arg(long)]
    verbose: bool,
}

/// Verifies a certificate and says what it shows. 0: it holds, whatever it says of its subject. 1: it was changed, or says
/// what does not follow from its traces.
///
/// # Errors
/// The file cannot be read, or must be verified by another version of the harness.
pub(super) fn run(arguments: &VerifyArgs) -> Result<u8, UsageError> {
    let name = arguments.file.display().to_string();
    let bytes = std::fs::read(&arguments.file).map_err(|error| UsageError(format!("{name}: {error}")))?;
    match certificate::verify(&bytes) {
        Ok(verified) => {
            print(&certificate::render(&name, &verified));
            if arguments.verbose {
                print(&crate::report::unvisited(&verified.coverage));
            }
            Ok(if verified.differences.is_empty() { exit::PASS } else { exit::VIOLATION })
        }
        Err(VerifyError::Read(error @ (ReadError::Damaged(_) | ReadError::Malformed { .. }))) => {
            print(&format!("{name}: DOES NOT HOLD\n  {error}\n"));
            Ok(exit::VIOLATION)
        }
        Err(error) => Err(UsageError(format!("{name}: {error}"))),
    }
}
