//! Owns `lastword replay`: trace files in, their verdicts out, or those of the server that they are played to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lastword_spec::table::Side;
use lastword_spec::trace::{self, Trace};
use serde::Serialize;
use serde_json::Value;

use super::shell::print;
use super::{UsageError, positive};
use crate::exit;
use crate::redact::Redactor;
use crate::replay::{self, Played, REPLAY_VERSION, Repeats, Replayed};
use crate::run::Plan;
use crate::speech::Speech;
use crate::subject::Target;
use crate::wire::{Dialler, Roots};

/// Arguments of `replay`.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// Trace files: JSON lines, as `--log-dir` writes them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The credential of the session in the trace, where it was not hidden: no message may repeat it. With --against, the one
    /// that the server demands.
    #[arg(long, value_name = "TOKEN", env = "LASTWORD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Play the client's side of the traces to this server and judge what it answers: frame for frame, with the recorded gaps.
    /// A trace holds no samples: speech of the recorded lengths is sent, the clip that the trace names or a sentence.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// How many times each trace is played.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive, requires = "against")]
    times: usize,
    /// The longest gap between two frames that is kept, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2_000, requires = "against")]
    max_gap_ms: u64,
    /// The longest wait for anything, in seconds.
    #[arg(long, value_name = "S", default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..), requires = "against")]
    max_wait: u64,
    /// A header for every upgrade, `NAME:VALUE`. May be given more than once. The value is shown nowhere.
    #[arg(long, value_name = "NAME:VALUE", requires = "against")]
    header: Vec<String>,
    /// A PEM file with further roots for `wss`, besides the public ones.
    #[arg(long, value_name = "FILE", requires = "against")]
    ca: Option<PathBuf>,
    /// A folder of WAVs (16 kHz mono s16le) instead of the built-in speech.
    #[arg(long, value_name = "DIR", requires = "against")]
    audio: Option<PathBuf>,
    /// Write the trace of the most telling round into this file; one trace can be played then.
    #[arg(long, value_name = "FILE", requires = "against")]
    record: Option<PathBuf>,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
}

/// One trace that was played to a server.
#[derive(Serialize)]
struct Against<'a> {
    name: &'a str,
    url: &'a str,
    recorded: &'a [String],
    repeats: &'a Repeats,
    exit_code: u8,
    rounds: Vec<&'a Replayed>,
}

#[derive(Serialize)]
struct AgainstDocument {
    lastword_replay: u32,
    exit_code: u8,
    against: Vec<Value>,
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
    if let Some(url) = &arguments.against {
        return against(arguments, url, &traces);
    }
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

fn against(arguments: &ReplayArgs, url: &str, traces: &[(&PathBuf, Trace)]) -> Result<u8, UsageError> {
    if arguments.record.is_some() && traces.len() > 1 {
        return Err(UsageError("--record takes one trace; play the others on their own".to_owned()));
    }
    if let Some((path, _)) = traces.iter().find(|(_, trace)| trace.header.subject != Side::Server) {
        return Err(UsageError(format!("{}: its subject is a client, and --against takes a server", path.display())));
    }
    let plan = plan(arguments, url)?;
    let redactor = Redactor::new(&plan.dialler.target().secrets());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| UsageError(format!("cannot start: {error}")))?;
    let max_gap = Duration::from_millis(arguments.max_gap_ms);
    let mut played = Vec::new();
    for (path, trace) in traces {
        let name = path.display().to_string();
        let one = runtime.block_on(replay::against(&name, trace, &plan, arguments.times, max_gap));
        played.push((name, one));
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    let mut codes: Vec<u8> = played.iter().map(|(_, one)| one.exit_code()).collect();
    if let (Some(path), Some((new, judged))) = (&arguments.record, played.first().and_then(|(_, one)| one.telling())) {
        let mut new = new.clone();
        let found: BTreeSet<String> = judged.findings.iter().map(|found| found.requirement.clone()).collect();
        new.header.expect = Some(found.into_iter().collect());
        if let Err(error) = std::fs::write(path, redactor.redact(&trace::write(&new))) {
            eprintln!("error: cannot write {}: {error}", path.display());
            codes.push(exit::USAGE);
        }
    }
    let exit_code = exit::strongest(codes);
    let shown = plan.dialler.target().shown();
    let text = if arguments.json {
        let entry = |(name, one): &(String, Played)| -> Result<Value, UsageError> {
            let rounds = one.rounds.iter().map(|(_, judged)| judged).collect();
            let (recorded, repeats, exit_code) = (one.recorded.as_slice(), &one.repeats, one.exit_code());
            serde_json::to_value(Against { name, url: &shown, recorded, repeats, exit_code, rounds })
                .map_err(UsageError::from)
        };
        let against = played.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let document = AgainstDocument { lastword_replay: REPLAY_VERSION, exit_code, against };
        serde_json::to_string_pretty(&document).map_err(UsageError::from)? + "\n"
    } else {
        played.iter().map(|(name, one)| page(name, one, &shown, &plan)).collect()
    };
    print(&redactor.redact(&text));
    Ok(exit_code)
}

fn page(name: &str, one: &Played, url: &str, plan: &Plan) -> String {
    let secrets = plan.dialler.target().secrets();
    let mut text = format!("{name} against {url}:\n{}", one.summary());
    if let Some((trace, judged)) = one.telling() {
        text.push_str(&replay::render(judged, trace, &secrets));
    }
    text
}

fn plan(arguments: &ReplayArgs, url: &str) -> Result<Plan, UsageError> {
    let mut target = Target::parse(url).map_err(UsageError::from)?;
    for header in &arguments.header {
        target.add_header(header).map_err(UsageError::from)?;
    }
    target.token.clone_from(&arguments.token);
    let speech = match &arguments.audio {
        Some(folder) => Speech::from_folder(folder).map_err(UsageError::from)?,
        None => Speech::built_in(),
    };
    let roots = arguments.ca.clone().map_or(Roots::Public, Roots::With);
    Ok(Plan {
        dialler: Dialler::new(target, &roots).map_err(UsageError::from)?,
        speech,
        cases: Vec::new(),
        jobs: 1,
        max_sessions: None,
        rate: None,
        audio_budget_s: None,
        seed: 1,
        max_wait_ms: arguments.max_wait.saturating_mul(1_000),
        transcribe: false,
        suite: None,
        expect: Vec::new(),
    })
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
