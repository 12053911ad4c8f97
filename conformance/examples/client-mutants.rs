//! The client that the harness is tested with, as a program beside the tests: `client-mutants URL --audio FILE [--mutant NAME]`, or
//! `client-mutants --driver [--mutant NAME]`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lastword_client_mutants::command().await
}
