//! Developer commands: what a person types, and what continuous integration runs.
//!
//! Owns the ways to build, check and certify this repository. It must not know whisper.cpp, a socket or a session: it
//! starts other programs and reads files, so that `cargo xtask` compiles in seconds on a bare machine.

mod arrows;
mod bounds;
mod bring;
mod certify;
mod check;
mod facts;
mod r#gen;
mod links;
mod mutants;
mod mutants_record;
mod mutants_state;
mod parts;
mod parts_all;
mod process;
mod runner;
mod slowest;
mod soak;
mod soak_clients;
mod soak_results;
mod soak_shape;
mod soak_shape_client;
mod soak_stacks;
mod tidy;
mod tools;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::workspace::Workspace;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Developer commands of the Lastword repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the reference server and certify it with real speech; the exit code is that of `lastword`.
    Certify(certify::CertifyArgs),
    /// Explore the session machines exhaustively: every course of client, server and the channels between them.
    Check(check::CheckArgs),
    /// Run every check of the repository, part by part, each within its own time.
    Test(TestArgs),
    /// Write the generated files (schemas, requirement consts, tables in the prose, counterexamples).
    Gen(GenArgs),
    /// Check the house rules that are about files: headers, length, forbidden words, links.
    Tidy,
    /// Check which crate may depend on which.
    Arrows,
    /// Change the judge in every way cargo-mutants knows, one at a time, and see whether its tests notice.
    Mutants(mutants::MutantsArgs),
    /// Certify correct servers again and again, under conditions that must not matter.
    Soak(soak::SoakArgs),
    /// Certify correct clients again and again, behind lines that must not matter.
    SoakClients(soak_clients::SoakClientsArgs),
    /// Certify the broken servers that hold the harness longest over real sockets, each within its bound.
    Slowest(slowest::SlowestArgs),
    /// A line with a character of its own before a server; `soak` uses it.
    #[command(hide = true)]
    Shape(soak_shape::ShapeArgs),
    /// The same before a client; `soak-clients` uses it.
    #[command(hide = true)]
    ShapeClient(soak_shape_client::ShapeClientArgs),
    /// Bring the build tools that are missing, and say where each was found.
    Tools(tools::ToolsArgs),
}

#[derive(Args)]
struct TestArgs {
    /// Also run the parts that need Node, PyPI clients, a nightly compiler or much time.
    #[arg(long)]
    all: bool,
    /// Exit non-zero when a part of `--all` could not be run.
    #[arg(long)]
    strict: bool,
    /// Run these parts only (comma-separated names; see `--list`).
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<String>,
    /// List the parts, their time budgets and what they check, and run nothing.
    #[arg(long)]
    list: bool,
    /// How long each fuzz target runs in the part `fuzz`.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    fuzz_seconds: u64,
    /// Let missing build tools be installed with the system's package manager (apt-get).
    #[arg(long)]
    install_system: bool,
}

#[derive(Args)]
struct GenArgs {
    /// Write nothing; exit 1 if a generated file is not up to date.
    #[arg(long)]
    check: bool,
}

fn run(cli: Cli) -> Result<ExitCode> {
    // Asked for only where it is needed: `shape` stands before a server, away from any workspace.
    let here = Workspace::find;
    match cli.command {
        Command::Certify(args) => certify::run(&here()?, &args),
        Command::Check(args) => check::run(&here()?, &args),
        Command::Test(args) => run_parts(&here()?, &args),
        Command::Gen(args) => r#gen::run(&here()?.root, args.check),
        Command::Tidy => Ok(report("tidy", &tidy::check_tree(&here()?.root)?)),
        Command::Arrows => Ok(report("arrows", &arrows::check_workspace(&here()?)?)),
        Command::Mutants(args) => mutants::run(&here()?, &args),
        Command::Soak(args) => soak::run(&here()?, &args),
        Command::SoakClients(args) => soak_clients::run(&here()?, &args),
        Command::Slowest(args) => slowest::run(&here()?, &args),
        Command::Shape(args) => soak_shape::run(&args),
        Command::ShapeClient(args) => soak_shape_client::run(&args),
        Command::Tools(args) => tools::run(&here()?, &args),
    }
}

fn run_parts(workspace: &Workspace, args: &TestArgs) -> Result<ExitCode> {
    let context = parts::Context {
        workspace,
        fuzz_seconds: args.fuzz_seconds,
        install_system: args.install_system,
        cargo_tools: workspace.tools_dir().join("bin"),
    };
    let parts = parts::select(&args.only, args.all)?;
    if args.list {
        print!("{}", runner::list(&parts));
        return Ok(ExitCode::SUCCESS);
    }
    let log_dir: PathBuf = workspace.target_dir.join("test-logs");
    let mut console = std::io::stdout();
    let report = runner::run(&context, &parts, &log_dir, &mut console, process::interrupt_flag()?)?;
    print!("{}", report.summary());
    Ok(if report.is_green(args.strict) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(rule_set: &str, violations: &[String]) -> ExitCode {
    for violation in violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("{rule_set}: in order");
        return ExitCode::SUCCESS;
    }
    println!("{rule_set}: {} violation(s)", violations.len());
    ExitCode::FAILURE
}
