//! The `lastword` command. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lastword::cli::run(std::env::args_os()))
}
