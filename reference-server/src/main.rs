//! `lastword-server`: the reference server's command line. Owns: arguments and exit codes. Must not know: how anything is done.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The reference server of the Lastword protocol.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Loads a model and has it transcribe the bundled recording; the server runs this for a model that it does not know.
    #[command(hide = true)]
    ProbeModel {
        /// The model file.
        model: PathBuf,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(feature = "whisper")]
        Command::ProbeModel { model } => lastword_server::recognizer::whisper::probe_child_main(&model),
        #[cfg(not(feature = "whisper"))]
        Command::ProbeModel { .. } => {
            eprintln!("this lastword-server was built without whisper.cpp; build it with the feature `whisper`");
            ExitCode::FAILURE
        }
    }
}
