//! The command `lastword-client-mutants`; see [`lastword_client_mutants::command`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lastword_client_mutants::command().await
}
