//! Owns the command line of `lastword`: its arguments, and which exit code an outcome has. What a command does is in its own
//! module.

#[cfg(test)]
mod again_tests;
mod certify;
mod certify_client;
mod explain;
mod explore;
mod list;
mod replay;
mod report_args;
mod shell;
mod subject;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use self::report_args::ReportArgs;
use self::subject::SubjectArgs;
use crate::exit;
use crate::suite::{DEFAULT_EXTRA_STATES, MOST_EXTRA_STATES};

/// Certifies streaming speech-to-text servers and clients against the Lastword protocol.
///
/// Exit codes: 0 nothing broke a MUST; 1 the subject broke one; 2 the command line is wrong, the subject cannot be started, or a
/// report cannot be written; 3 something remained undecided, or nothing was decided; 4 the known-failure list is stale; 70 a defect
/// of the harness.
#[derive(Parser)]
#[command(name = "lastword", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Certify a subject.
    #[command(subcommand)]
    Certify(Certify),
    /// Run random sessions against a server, and shrink one that fails to a minimal transcript.
    Explore(Box<explore::ExploreArgs>),
    /// Show the requirements with their cases.
    List(ListArgs),
    /// Explain a requirement (END-S4), a case (server/end/second-sentinel) or a kind of finding (LOST_FINAL).
    Explain(ExplainArgs),
    /// Judge traces again, without the subject.
    Replay(replay::ReplayArgs),
    /// Verify a certificate: every byte, and every verdict from its traces, without the subject.
    Verify(verify::VerifyArgs),
}

#[derive(Subcommand)]
enum Certify {
    /// Certify a server, at a URL or started here: `lastword certify server ws://127.0.0.1:8080/v1/listen`, or
    /// `lastword certify server -- my-server --port {port}`.
    Server(Box<ServerArgs>),
    /// Certify a client: `lastword certify client -- my-client {url} {audio}`, or its driver with `--driver`.
    Client(Box<certify_client::ClientArgs>),
}

/// How long anything of a server is waited for, in seconds, unless it is said otherwise.
const DEFAULT_MAX_WAIT_S: u64 = 45;

/// Arguments of `certify server`.
#[derive(Args)]
struct ServerArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// A folder of WAVs (16 kHz mono s16le) instead of the built-in speech; `refs.tsv` in it holds FILE<TAB>TEXT.
    #[arg(long, value_name = "DIR")]
    audio: Option<PathBuf>,
    /// What a server with stub words hears, FILE<TAB>TEXT: what it leaves out is a lost final.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
    /// How many states more than the state table the m-complete suite allows the subject to have: each multiplies its length by
    /// the number of inputs.
    #[arg(long, value_name = "K", default_value_t = DEFAULT_EXTRA_STATES, value_parser = extra_states)]
    extra_states: usize,
    /// Leave the m-complete suite out; without it nothing is certified.
    #[arg(long)]
    no_suite: bool,
    /// Write a certificate: verdicts, level and all traces in one file, which `lastword verify` judges again.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// List the transitions of the state table that were not visited.
    #[arg(long)]
    verbose: bool,
    /// How many cases run side by side.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    jobs: usize,
    /// How many sessions are open at once at most, control sessions included.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_sessions: Option<usize>,
    /// How many connections are opened a second at most.
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// How many seconds of audio the cases may send in all.
    #[arg(long, value_name = "S")]
    audio_budget: Option<u64>,
    /// The longest wait for anything, in seconds. Cases about a longer timer of the server are not run.
    #[arg(long, value_name = "S", default_value_t = DEFAULT_MAX_WAIT_S, value_parser = clap::value_parser!(u64).range(1..))]
    max_wait: u64,
    /// Leave out the transcripts of the recordings.
    #[arg(long)]
    no_transcripts: bool,
}

#[derive(Args)]
struct ListArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ExplainArgs {
    /// END-S4, server/end/second-sentinel, LOST_FINAL.
    what: String,
}

/// The command line as `clap` knows it: every command with its options, their defaults and what they do.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command of these arguments and gives its exit code. Prints; ends no process.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; clap knows the difference.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::PASS };
        }
    };
    let outcome = match cli.command {
        Command::Certify(Certify::Server(arguments)) => certify::server(*arguments),
        Command::Certify(Certify::Client(arguments)) => certify_client::run(&arguments),
        Command::Explore(arguments) => explore::run(*arguments),
        Command::List(arguments) => {
            shell::print(&list::text(arguments.json));
            Ok(exit::PASS)
        }
        Command::Explain(arguments) => explain::text(&arguments.what).map(|text| {
            shell::print(&text);
            exit::PASS
        }),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        exit::USAGE
    })
}

/// Why a command did nothing. Always the caller's fault; shown as it stands.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl UsageError {
    fn from(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn extra_states(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 0..=MOST_EXTRA_STATES) => Ok(number),
        _ => Err(format!("it must be a whole number from 0 to {MOST_EXTRA_STATES}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("it must be a number above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error_and_help_is_none() {
        for wrong in [
            vec!["lastword"],
            vec!["lastword", "certify", "server"],
            vec!["lastword", "certify", "server", "ws://a/", "--jobs", "0"],
            vec!["lastword", "certify", "server", "ws://a/", "--rate", "-1"],
            vec!["lastword", "certify", "server", "ws://a/", "--", "command", "{port}"],
            vec!["lastword", "certify", "server", "http://a/"],
            vec!["lastword", "explore"],
            vec!["lastword", "explore", "ws://a/", "--max-steps", "0"],
            vec!["lastword", "explore", "ws://a/", "--dialect", "smallest-pulse"],
            vec!["lastword", "explain", "END-S99"],
            vec!["lastword", "replay"],
            vec!["lastword", "verify"],
            vec!["lastword", "verify", "no-such-certificate"],
            vec!["lastword", "replay", "no-such-file.jsonl"],
        ] {
            assert_eq!(run(wrong.clone()), exit::USAGE, "{wrong:?}");
        }
        assert_eq!(run(["lastword", "--version"]), exit::PASS);
    }
}
