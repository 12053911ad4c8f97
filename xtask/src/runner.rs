//! Runs named parts in order, each within its own time, and accounts for every one of them.
//!
//! Owns the log files, the console lines and the closing table. It must not know what any part checks: see `parts`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::bounds::Told;
use crate::parts::{Context, Part, Plan, Step, Tier};
use crate::process::{Ended, run_in_group};
use crate::tools;

/// Runs `parts` in order. A failed part does not stop the next one; an interrupt does, and the rest counts as not run.
///
/// # Errors
/// The log folder or the console cannot be written. A part's failure is in the report, never an error.
pub(crate) fn run(
    context: &Context<'_>,
    parts: &[Part],
    log_dir: &Path,
    console: &mut dyn Write,
    interrupted: &AtomicBool,
) -> Result<Report> {
    fs::create_dir_all(log_dir).with_context(|| format!("cannot create {}", log_dir.display()))?;
    let mut report = Report::default();
    let mut build_tools_failed = false;
    for part in parts {
        let started = Instant::now();
        let outcome = if report.interrupted {
            Outcome::NotRun("interrupted".to_owned())
        } else if part.needs_build_tools && build_tools_failed {
            Outcome::NotRun(format!("part {} failed", tools::PART))
        } else {
            run_part(context, part, log_dir, console, interrupted)?
        };
        build_tools_failed |= part.name == tools::PART && outcome != Outcome::Passed;
        report.interrupted |= outcome == Outcome::Failed(INTERRUPTED.to_owned());
        let row = Row { name: part.name, tier: part.tier, outcome, seconds: started.elapsed().as_secs() };
        writeln!(console, "{}", row.console_line())?;
        console.flush()?;
        report.rows.push(row);
    }
    Ok(report)
}

/// The table of `test --list`.
pub(crate) fn list(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        let tier = if part.tier == Tier::All { "--all" } else { "" };
        let _ = writeln!(text, "{:<16} {:>5} s {tier:<6} {}", part.name, part.budget_s, part.about);
    }
    text
}

/// How a part ended. Nothing but `Passed` is good news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    NotRun(String),
}

/// One part's line in the closing table.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    tier: Tier,
    outcome: Outcome,
    seconds: u64,
}

/// What became of every part that was planned.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    interrupted: bool,
}

impl Report {
    /// The table, what was not run, and the closing line `N passed, N failed` alone on the last line.
    ///
    /// A part of the plain test that did not run counts as failed; one of `--all` counts as neither.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("\n");
        let _ = writeln!(text, "{:<16} {:<8} {:>7}", "part", "result", "seconds");
        for row in &self.rows {
            let (result, detail) = row.words();
            let detail = detail.map(|detail| format!("  {detail}")).unwrap_or_default();
            let _ = writeln!(text, "{:<16} {result:<8} {:>7}{detail}", row.name, row.seconds);
        }
        let not_run = self.rows.iter().filter(|row| matches!(row.outcome, Outcome::NotRun(_))).count();
        if not_run > 0 {
            let _ = writeln!(text, "\n{not_run} part(s) NOT RUN: nothing is known of what they check");
        }
        let passed = self.rows.iter().filter(|row| row.outcome == Outcome::Passed).count();
        let failed = self.rows.iter().filter(|row| row.counts_as_failed()).count();
        let _ = writeln!(text, "\n{passed} passed, {failed} failed");
        text
    }

    /// True if every part passed; without `strict`, a part of `--all` may also have stayed unrun. Never true of nothing.
    pub(crate) fn is_green(&self, strict: bool) -> bool {
        let decided = self.rows.iter().any(|row| row.outcome == Outcome::Passed);
        let bad = |row: &Row| row.counts_as_failed() || (strict && row.outcome != Outcome::Passed);
        decided && !self.interrupted && !self.rows.iter().any(bad)
    }
}

impl Row {
    fn counts_as_failed(&self) -> bool {
        match &self.outcome {
            Outcome::Passed => false,
            Outcome::Failed(_) => true,
            Outcome::NotRun(_) => self.tier == Tier::Plain,
        }
    }

    fn words(&self) -> (&'static str, Option<&str>) {
        match &self.outcome {
            Outcome::Passed => ("ok", None),
            Outcome::Failed(why) => ("FAILED", Some(why)),
            Outcome::NotRun(why) => ("NOT RUN", Some(why)),
        }
    }

    fn console_line(&self) -> String {
        match self.words() {
            (result, None) => format!("=== {}: {result} ({} s)", self.name, self.seconds),
            (result, Some(why)) => format!("=== {}: {result} ({why}) ({} s)", self.name, self.seconds),
        }
    }
}

fn run_part(
    context: &Context<'_>,
    part: &Part,
    log_dir: &Path,
    console: &mut dyn Write,
    interrupted: &AtomicBool,
) -> Result<Outcome> {
    let steps = match (part.plan)(context) {
        Plan::Run(steps) => steps,
        Plan::NotRun(why) => return Ok(Outcome::NotRun(why)),
    };
    let log_path = log_dir.join(format!("{}.log", part.name));
    writeln!(console, "--- {}: at most {} s, log: {}", part.name, part.budget_s, log_path.display())?;
    console.flush()?;
    File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let environment = if part.needs_build_tools { tools::located_environment(context.workspace) } else { Vec::new() };
    let mut outcome = run_steps(steps, &environment, part.budget_s, &log_path, interrupted)?;
    let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
    let told: Vec<Told> = part.bounds.iter().filter_map(|bound| bound.tell(&log)).collect();
    if outcome == Outcome::Passed
        && let Some(broken) = told.iter().find(|told| !told.is_fine)
    {
        outcome = Outcome::Failed(broken.line.clone());
    }
    if outcome == Outcome::Passed {
        for line in log.lines().filter(|line| (part.shows)(line)) {
            writeln!(console, "{}", line.trim())?;
        }
    } else {
        write_tail(&log, &log_path, console)?;
    }
    for told in told {
        writeln!(console, "{}", told.line)?;
    }
    Ok(outcome)
}

fn run_steps(
    steps: Vec<Step>,
    environment: &[(&'static str, OsString)],
    budget_s: u64,
    log_path: &Path,
    interrupted: &AtomicBool,
) -> Result<Outcome> {
    if steps.is_empty() {
        return Ok(Outcome::Failed("the part has no step".to_owned()));
    }
    let deadline = Instant::now() + Duration::from_secs(budget_s);
    for step in steps {
        let mut log = OpenOptions::new().append(true).open(log_path)?;
        let shown = shown_command(&step.command);
        writeln!(log, "$ {shown}")?;
        let mut command = step.command;
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        // A log is no terminal, whatever the person's settings say.
        command.env("CARGO_TERM_COLOR", "never").envs(environment.iter().map(|(name, value)| (name, value)));
        let failure = match run_in_group(command, deadline, interrupted) {
            Ok(Ended::Exited { status, left_behind }) => {
                if left_behind {
                    writeln!(log, "note: the command left processes running in its group; they were ended")?;
                }
                if status.success() {
                    continue;
                }
                format!("`{shown}`: {status}")
            }
            Ok(Ended::OverBudget) => {
                return Ok(Outcome::Failed(format!("over its budget of {budget_s} s in `{shown}`")));
            }
            Ok(Ended::Interrupted) => return Ok(Outcome::Failed(INTERRUPTED.to_owned())),
            Err(error) => {
                writeln!(log, "cannot start: {error}")?;
                format!("cannot start `{shown}`: {error}")
            }
        };
        return Ok(match step.prerequisite {
            Some(what) => Outcome::NotRun(format!("{what} could not be had; {failure}")),
            None => Outcome::Failed(failure),
        });
    }
    Ok(Outcome::Passed)
}

fn write_tail(log: &str, log_path: &Path, console: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    writeln!(console, "last {} of {} lines of {}:", tail.len(), lines.len(), log_path.display())?;
    for line in tail {
        writeln!(console, "    {line}")?;
    }
    Ok(())
}

/// The command as a person could type it: the program's file name and its arguments.
fn shown_command(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(shown, " {}", argument.to_string_lossy());
    }
    shown
}

const TAIL_LINES: usize = 60;
const INTERRUPTED: &str = "interrupted";

#[cfg(all(test, unix))]
#[path = "runner_tests.rs"]
mod tests;
