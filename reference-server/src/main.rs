//! `lastword-server`: the reference server's program. Owns nothing: all of it is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use lastword_server::cli;

fn main() -> ExitCode {
    cli::main(cli::Cli::parse())
}
