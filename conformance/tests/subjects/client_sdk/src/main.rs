//! `lastword certify client --driver -- lastword-client-driver`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastword_client_driver::command()
}
