//! The SDK of this house behind the driver protocol, as a program beside the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    lastword_client_driver::command()
}
