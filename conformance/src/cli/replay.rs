//! Owns `lastword replay`: trace files in, their verdicts out.

use std::path::{Path, PathBuf};

use clap::Args;
use lastword_spec::trace::{self, Trace};
use serde::Serialize;

use super::UsageError;
use super::shell::print;
use crate::exit;
use crate::replay::{self, REPLAY_VERSION, Replayed};

/// Arguments of `replay`.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// Trace files: JSON lines, as `--log-dir` writes them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The credential of the session in the trace, where it was not hidden: no message may repeat it.
    #[arg(long, value_name = "TOKEN", env = "LASTWORD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    lastword_replay: u32,
    exit_code: u8,
    traces: Vec<&'a Replayed>,
}

/// Judges every file and prints what it came to; the gravest of them gives the exit code.
///
/// # Errors
/// A file cannot be read or is no trace. Nothing is printed then.
pub(super) fn run(arguments: &ReplayArgs) -> Result<u8, UsageError> {
    let secrets: Vec<String> = arguments.token.iter().cloned().collect();
    let traces: Vec<(&PathBuf, Trace)> =
        arguments.files.iter().map(|path| read(path).map(|trace| (path, trace))).collect::<Result<_, _>>()?;
    let judged: Vec<(Replayed, &Trace)> = traces
        .iter()
        .map(|(path, trace)| (replay::replay(&path.display().to_string(), trace, &secrets), trace))
        .collect();
    let exit_code = exit::strongest(judged.iter().map(|(replayed, _)| replayed.exit_code));
    if arguments.json {
        let traces = judged.iter().map(|(replayed, _)| replayed).collect();
        let document = Document { lastword_replay: REPLAY_VERSION, exit_code, traces };
        print(&(serde_json::to_string_pretty(&document).map_err(UsageError::from)? + "\n"));
        return Ok(exit_code);
    }
    for (replayed, trace) in &judged {
        print(&replay::render(replayed, trace, &secrets));
    }
    if judged.len() > 1 {
        print(&summary(&judged));
    }
    Ok(exit_code)
}

fn read(path: &Path) -> Result<Trace, UsageError> {
    let named = |cause: &dyn std::fmt::Display| UsageError(format!("{}: {cause}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    trace::read(&text).map_err(|error| named(&error))
}

fn summary(judged: &[(Replayed, &Trace)]) -> String {
    let count = |wanted: fn(&Replayed) -> bool| judged.iter().filter(|(replayed, _)| wanted(replayed)).count();
    let broken = count(|one| !one.findings.is_empty());
    let surprises = count(|one| one.expectation.as_ref().is_some_and(|expectation| !expectation.met));
    format!("{} traces: {broken} with findings, {surprises} not as their headers expect\n", judged.len())
}
