//! `cargo xtask slowest`: the broken servers and empty peers that hold the harness longest, certified over real sockets, each
//! within its bound.
//!
//! Owns their list, the bound and the table. It must not know what is wrong with them: that is the catalogue of `lastword-mutants`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::process::{Ended, interrupt_flag, run_in_group};
use crate::workspace::Workspace;

/// Options of `cargo xtask slowest`.
#[derive(Args)]
pub(crate) struct SlowestArgs {
    /// Certify these instead, as `lastword-mutants --list` names them; `none` is the server without a fault.
    names: Vec<String>,
    /// How many certifications run side by side; they mostly wait.
    #[arg(long, value_name = "N", default_value_t = 4)]
    parallel: usize,
    /// The cargo profile to build with.
    #[arg(long, default_value = "release", value_name = "NAME")]
    cargo_profile: String,
}

/// Those that took longest when all were timed, of every kind of hang one at least; and the server that is right.
const SLOWEST: &[&str] = &[
    "none",
    "tcp-sink",
    "silent",
    "echo",
    "flood",
    "accept-all",
    "good-five-times-then-silent",
    "good-five-times-then-flood",
    "good-five-times-then-hang-after-1-message",
    "good-five-times-then-accept-all",
    "ready-never",
    "never-ends",
    "progress-without-motion",
    "progress-outlives-worker",
    "acknowledges-for-ever",
    "held-by-read-timer",
    "good-five-times-then-hang-after-3-messages",
    "held-behind-progress",
    "idle-timeout-late",
    "idle-timeout-never",
    "config-timeout-never",
    "depth-hangs-process",
    "refused-config-unanswered",
];

/// The longest that a broken subject may hold the harness.
const BOUND: Duration = Duration::from_secs(60);
/// The same for one that is right.
const RIGHT_BOUND: Duration = Duration::from_secs(10);
/// Whoever is not through by then is ended.
const MOST: Duration = Duration::from_secs(240);
const RIGHT: &str = "none";

/// Certifies each and prints the table, the slowest first. The exit code is 1 if one took too long, or came to what it should not.
///
/// # Errors
/// Something cannot be built, started or written, or there is no subject of that name.
pub(crate) fn run(workspace: &Workspace, args: &SlowestArgs) -> Result<ExitCode> {
    let programs = Programs::build(workspace, &args.cargo_profile)?;
    let names: Vec<&str> =
        if args.names.is_empty() { SLOWEST.to_vec() } else { args.names.iter().map(String::as_str).collect() };
    let kinds = programs.kinds(workspace)?;
    if let Some(unknown) = names.iter().find(|name| **name != RIGHT && !kinds.iter().any(|(known, _)| known == *name)) {
        bail!("lastword-mutants has neither a mutant nor a peer called `{unknown}`; --list shows them");
    }
    let home = workspace.target_dir.join("slowest");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let interrupted = interrupt_flag()?;
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.parallel.max(1) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let is_mutant = kinds.iter().any(|(known, is_mutant)| known == name && *is_mutant);
                    let row = programs.certify(workspace, &home, name, is_mutant, interrupted);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    let mut rows =
        rows.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect::<Result<Vec<Row>>>()?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.took));
    println!("{:<44} {:>7} {:>5} {:>7} {:>7}", "subject", "s", "exit", "passed", "failed");
    for row in &rows {
        println!("{row}");
    }
    Ok(if rows.iter().all(Row::is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The harness and its subject, built.
struct Programs {
    harness: PathBuf,
    subject: PathBuf,
}

impl Programs {
    fn build(workspace: &Workspace, profile: &str) -> Result<Self> {
        let mut build = workspace.cargo();
        build.args([
            "build",
            "--locked",
            "--profile",
            profile,
            "--package",
            "lastword",
            "--package",
            "lastword-mutants",
        ]);
        if !build.status().context("cannot start cargo")?.success() {
            bail!("the build failed");
        }
        let folder = workspace.target_dir.join(if profile == "dev" { "debug" } else { profile });
        let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Ok(Self { harness: program("lastword"), subject: program("lastword-mutants") })
    }

    /// Every name, and whether it is a mutant rather than a peer that serves nothing.
    fn kinds(&self, workspace: &Workspace) -> Result<Vec<(String, bool)>> {
        let output =
            workspace.program(&self.subject).arg("--list").output().context("cannot start lastword-mutants")?;
        let text = String::from_utf8(output.stdout).context("its list is no UTF-8")?;
        let kind = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            // A mutant breaks a requirement, whose name follows.
            let is_mutant = words.next().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_uppercase()));
            Some((name, is_mutant))
        };
        Ok(text.lines().filter_map(kind).collect())
    }

    fn certify(
        &self,
        workspace: &Workspace,
        home: &Path,
        name: &str,
        is_mutant: bool,
        interrupted: &AtomicBool,
    ) -> Result<Row> {
        let report = home.join(format!("{name}.json"));
        let _ = fs::remove_file(&report);
        let mut command = workspace.program(&self.harness);
        command.args(["certify", "server", "--quiet", "--json"]).arg(&report).arg("--").arg(&self.subject);
        command.arg("{port}");
        if name != RIGHT {
            command.args([if is_mutant { "--mutant" } else { "--degenerate" }, name]);
        }
        let log = File::create(home.join(format!("{name}.txt"))).context("cannot write the output")?;
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let started = Instant::now();
        let code = match run_in_group(command, started + MOST, interrupted).context("cannot start the harness")? {
            Ended::Exited { status, .. } => status.code(),
            Ended::OverBudget => None,
            Ended::Interrupted => bail!("interrupted"),
        };
        let took = started.elapsed();
        let counts = fs::read(&report).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let count = |kinds: &[&str]| {
            let counts = counts.as_ref()?.get("counts")?;
            kinds.iter().map(|kind| counts.get(kind)?.as_u64()).sum::<Option<u64>>()
        };
        let (passed, failed) = (count(&["pass", "non_strict"]), count(&["failed"]));
        Ok(Row { name: name.to_owned(), is_mutant, took, code, passed, failed })
    }
}

/// What became of one certification.
struct Row {
    name: String,
    is_mutant: bool,
    took: Duration,
    /// The exit code of the harness, if it ended.
    code: Option<i32>,
    passed: Option<u64>,
    failed: Option<u64>,
}

impl Row {
    /// Whether it ended in time, and with what it had to: a mutant has broken a MUST, and a peer that serves nothing passed nothing.
    fn is_right(&self) -> bool {
        if self.name == RIGHT {
            return self.code == Some(0) && self.took <= RIGHT_BOUND;
        }
        let came_to = match (self.is_mutant, self.code) {
            (true, code) => code == Some(1),
            (false, Some(1 | 3)) => self.passed == Some(0),
            (false, _) => false,
        };
        came_to && self.took <= BOUND
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let code = self.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let mark = if self.is_right() { "" } else { "  <- not as it should be" };
        let (passed, failed) = (number(self.passed), number(self.failed));
        write!(f, "{:<44} {:>7.1} {code:>5} {passed:>7} {failed:>7}{mark}", self.name, self.took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, is_mutant: bool, took_s: u64, code: i32, passed: u64) -> Row {
        let took = Duration::from_secs(took_s);
        Row { name: name.to_owned(), is_mutant, took, code: Some(code), passed: Some(passed), failed: Some(1) }
    }

    #[test]
    fn a_row_is_right_only_within_its_bound_and_with_the_code_that_its_kind_deserves() {
        assert!(row("never-ends", true, 59, 1, 0).is_right());
        assert!(!row("never-ends", true, 61, 1, 0).is_right());
        assert!(!row("never-ends", true, 5, 3, 0).is_right());
        assert!(row("tcp-sink", false, 50, 3, 0).is_right());
        assert!(!row("tcp-sink", false, 50, 2, 0).is_right());
        assert!(!row("echo", false, 50, 1, 1).is_right());
        assert!(row("none", false, 9, 0, 83).is_right());
        assert!(!row("none", false, 11, 0, 83).is_right());
        assert!(!Row { code: None, ..row("flood", false, 240, 0, 0) }.is_right());
    }
}
