//! `cargo xtask slowest`: servers that are right, and the broken servers and empty peers that hold the harness longest, certified
//! over real sockets, each within its bound.
//!
//! Owns their list, the bounds and the table. It must not know what is wrong with them: that is the catalogue of `lastword-mutants`.

use std::ffi::OsString;
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

use crate::certify::{self, Recognizer};
use crate::process::{Ended, interrupt_flag, run_in_group};
use crate::soak_stacks::{build_tungstenite, tungstenite_beside};
use crate::workspace::Workspace;

/// Options of `cargo xtask slowest`.
#[derive(Args)]
pub(crate) struct SlowestArgs {
    /// Certify these instead, as `lastword-mutants --list` names them; `none` is the server without a fault, and `lastword-server` the
    /// reference server with scripted words.
    names: Vec<String>,
    /// Certify every mutant and every peer, to see whether others are slower than those of the list. Takes half an hour or more, and
    /// holds the times alone: some mutants need more than their name to show, a credential for one.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// How many certifications run side by side, but for the right servers; they mostly wait. Who took too long so is timed again by
    /// itself.
    #[arg(long, value_name = "N", default_value_t = 4)]
    parallel: usize,
    /// The cargo profile to build with.
    #[arg(long, default_value = "release", value_name = "NAME")]
    cargo_profile: String,
}

/// Those that took longest when all that there were by 2026-11-21 were timed, of every kind of hang one at least. To make the list
/// anew, run `--all` on a quiet machine and take the upper end of its table.
const SLOWEST: &[&str] = &[
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

/// Younger ones that say nothing or let a client wait, chosen for that: no run of all has timed them, nor the others that are younger.
const NOT_TIMED_YET: &[&str] =
    &["never-ends-with-language", "waits-for-room", "idle-drops", "idle-timer-runs-in-drain"];

/// The longest that a broken subject may hold the harness.
const BOUND: Duration = Duration::from_secs(60);
/// The same for one that is right.
const RIGHT_BOUND: Duration = Duration::from_secs(10);
/// Whoever is not through by then is ended.
const MOST: Duration = Duration::from_secs(240);
/// The server by hand without a fault, and the reference server with scripted words.
const RIGHT: [&str; 2] = ["none", REFERENCE];
const REFERENCE: &str = "lastword-server";

/// Certifies each and prints the table, the slowest first. The exit code is 1 if one took too long, or came to what it should not.
///
/// # Errors
/// Something cannot be built, started or written, or there is no subject of that name.
pub(crate) fn run(workspace: &Workspace, args: &SlowestArgs) -> Result<ExitCode> {
    let programs = Programs::build(workspace, &args.cargo_profile)?;
    let kinds = programs.kinds(workspace)?;
    let is_known = |name: &str| RIGHT.contains(&name) || kinds.iter().any(|(known, _)| known == name);
    let names = chosen(args, &kinds);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        bail!("lastword-mutants has neither a mutant nor a peer called `{unknown}`; --list shows them");
    }
    let home = workspace.target_dir.join("slowest");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let interrupted = interrupt_flag()?;
    let certify = |name: &str| {
        let is_mutant = kinds.iter().any(|(known, is_mutant)| known == name && *is_mutant);
        programs.certify(workspace, &home, name, is_mutant, interrupted)
    };
    let (right, broken): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| RIGHT.contains(name));
    // One after the other: what runs beside them would be in their times.
    let mut rows = right.into_iter().map(certify).collect::<Result<Vec<Row>>>()?;
    let next = AtomicUsize::new(0);
    let others = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.parallel.max(1) {
            scope.spawn(|| {
                while let Some(name) = broken.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let row = certify(name);
                    others.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    let others = others.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
    for row in others.collect::<Result<Vec<Row>>>()? {
        // What ran beside it took time from it, and made the harness more patient: its own time shows without that.
        let again = args.parallel > 1 && row.has_verdict() && !row.is_in_time();
        rows.push(if again { Row { beside_s: Some(row.took.as_secs_f64()), ..certify(&row.name)? } } else { row });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.took));
    println!("{:<44} {:>7} {:>7} {:>5} {:>7} {:>7}", "subject", "s", "at most", "exit", "passed", "failed");
    for row in &rows {
        println!("{row}");
    }
    let is_fine = |row: &Row| if args.all { row.has_verdict() && row.is_in_time() } else { row.is_right() };
    Ok(if rows.iter().all(is_fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The subjects to certify, of those that there are.
fn chosen<'a>(args: &'a SlowestArgs, kinds: &'a [(String, bool)]) -> Vec<&'a str> {
    if !args.names.is_empty() {
        return args.names.iter().map(String::as_str).collect();
    }
    let every = kinds.iter().map(|(name, _)| name.as_str());
    let listed = SLOWEST.iter().chain(NOT_TIMED_YET).copied();
    if args.all { RIGHT.into_iter().chain(every).collect() } else { RIGHT.into_iter().chain(listed).collect() }
}

/// The harness and its subjects, built.
struct Programs {
    harness: PathBuf,
    reference: PathBuf,
    mutants: PathBuf,
}

impl Programs {
    fn build(workspace: &Workspace, profile: &str) -> Result<Self> {
        let certify::Programs { harness, server } = certify::build(workspace, profile, false)?;
        build_tungstenite(workspace, profile)?;
        Ok(Self { mutants: tungstenite_beside(&harness), harness, reference: server })
    }

    /// Every name, and whether it is a mutant rather than a peer that serves nothing.
    fn kinds(&self, workspace: &Workspace) -> Result<Vec<(String, bool)>> {
        let output =
            workspace.program(&self.mutants).arg("--list").output().context("cannot start lastword-mutants")?;
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

    /// The command of a subject, `{port}` in the place of its port.
    fn subject(&self, name: &str, is_mutant: bool) -> Vec<OsString> {
        if name == REFERENCE {
            let program = self.reference.clone().into_os_string();
            return std::iter::once(program).chain(certify::server_arguments(&Recognizer::Scripted)).collect();
        }
        let mut words: Vec<OsString> = vec![self.mutants.clone().into(), "{port}".into()];
        if !RIGHT.contains(&name) {
            let option = if is_mutant { "--mutant" } else { "--degenerate" };
            words.extend([option.into(), name.into()]);
        }
        words
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
        command.args(["certify", "server", "--quiet", "--json"]).arg(&report).arg("--");
        command.args(self.subject(name, is_mutant));
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
        Ok(Row { name: name.to_owned(), is_mutant, took, code, passed, failed, beside_s: None })
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
    /// How long it took beside others, where it was timed again without them.
    beside_s: Option<f64>,
}

impl Row {
    /// The longest that it may take.
    fn bound(&self) -> Duration {
        if RIGHT.contains(&self.name.as_str()) { RIGHT_BOUND } else { BOUND }
    }

    fn is_in_time(&self) -> bool {
        self.took <= self.bound()
    }

    /// Whether the harness came to an end, and neither to a defect of its own nor to a wrong command line.
    fn has_verdict(&self) -> bool {
        matches!(self.code, Some(0 | 1 | 3))
    }

    /// Whether it ended in time, and with what it had to: a mutant has broken a MUST, and a peer that serves nothing passed nothing.
    fn is_right(&self) -> bool {
        let came_to = match (self.is_mutant, self.code) {
            (_, code) if RIGHT.contains(&self.name.as_str()) => code == Some(0),
            (true, code) => code == Some(1),
            (false, Some(1 | 3)) => self.passed == Some(0),
            (false, _) => false,
        };
        came_to && self.is_in_time()
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let code = self.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let mark = match () {
            () if !self.is_in_time() => "  <- too long",
            () if !self.is_right() => "  <- not as it should be",
            () => "",
        };
        let (passed, failed) = (number(self.passed), number(self.failed));
        let (took_s, most_s) = (self.took.as_secs_f64(), self.bound().as_secs());
        write!(f, "{:<44} {took_s:>7.1} {most_s:>7} {code:>5} {passed:>7} {failed:>7}{mark}", self.name)?;
        match self.beside_s {
            Some(beside_s) => write!(f, "  (by itself; {beside_s:.1} s beside others)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, is_mutant: bool, took_s: u64, code: i32, passed: u64) -> Row {
        let took = Duration::from_secs(took_s);
        Row {
            name: name.to_owned(),
            is_mutant,
            took,
            code: Some(code),
            passed: Some(passed),
            failed: Some(1),
            beside_s: None,
        }
    }

    #[test]
    fn a_row_is_right_only_within_its_bound_and_with_the_code_that_its_kind_deserves() {
        assert!(row("never-ends", true, 59, 1, 0).is_right());
        assert!(!row("never-ends", true, 61, 1, 0).is_right());
        assert!(!row("never-ends", true, 5, 3, 0).is_right());
        assert!(row("tcp-sink", false, 50, 3, 0).is_right());
        assert!(!row("tcp-sink", false, 50, 2, 0).is_right());
        assert!(!row("echo", false, 50, 1, 1).is_right());
        for name in RIGHT {
            assert!(row(name, false, 9, 0, 83).is_right());
            assert!(!row(name, false, 11, 0, 83).is_right());
            assert!(!row(name, false, 9, 1, 83).is_right());
        }
        assert!(!Row { code: None, ..row("flood", false, 240, 0, 0) }.is_right());
    }

    #[test]
    fn a_row_that_was_timed_again_says_so() {
        let row = Row { beside_s: Some(60.6), ..row("never-ends", true, 51, 1, 0) };
        let shown = row.to_string();
        assert!(shown.contains(" 51.0 ") && shown.ends_with("(by itself; 60.6 s beside others)"), "{shown}");
    }

    #[test]
    fn a_row_is_in_time_and_has_a_verdict_whatever_that_is() {
        assert!(row("any-token-served", true, 59, 0, 83).is_in_time());
        assert!(!row("any-token-served", true, 61, 1, 83).is_in_time());
        assert!(row("any-token-served", true, 59, 0, 83).has_verdict());
        assert!(!row("any-token-served", true, 59, 70, 83).has_verdict());
        assert!(!Row { code: None, ..row("flood", false, 240, 0, 0) }.has_verdict());
    }

    #[test]
    fn right_servers_come_first_but_where_names_are_given() {
        let args = |all, names: &[&str]| SlowestArgs {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            all,
            parallel: 1,
            cargo_profile: String::new(),
        };
        let kinds = [("a".to_owned(), true), ("b".to_owned(), false)];
        assert_eq!(chosen(&args(true, &[]), &kinds), [RIGHT[0], RIGHT[1], "a", "b"]);
        assert_eq!(chosen(&args(false, &["b"]), &kinds), ["b"]);
        let usual = args(false, &[]);
        let listed = chosen(&usual, &kinds);
        assert_eq!(listed.len(), RIGHT.len() + SLOWEST.len() + NOT_TIMED_YET.len());
        assert_eq!(listed.iter().collect::<std::collections::BTreeSet<_>>().len(), listed.len());
    }
}
