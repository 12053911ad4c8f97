//! `cargo xtask soak`: correct servers are certified again and again, under conditions that must not matter. Every failure
//! is a false alarm of the harness, or a fault of a server that was believed to be correct.
//!
//! Owns which certification runs when, and its folder. The servers stand in `soak_stacks`, what was found in `soak_results`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::process::{Ended, interrupt_flag, run_in_group};
use crate::soak_results::{Record, Results, Verdict};
use crate::soak_stacks::{Parts, Profile, Source, Stack, TOKEN};
use crate::workspace::Workspace;

/// Options of `cargo xtask soak`.
#[derive(Args)]
pub(crate) struct SoakArgs {
    /// How many certifications in all. Without it: each stack under each profile once.
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Begin none after so many minutes.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Only this server. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = stack)]
    stack: Vec<Stack>,
    /// Only under these conditions. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Vec<Profile>,
    /// The seed of the first certification of each server and profile; the next has the next one. Without it they go on from
    /// the last run.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many certifications run side by side, and as many of the slow profile; they mostly wait.
    #[arg(long, value_name = "N", default_value_t = lanes())]
    parallel: usize,
    /// The cargo profile to build with.
    #[arg(long, default_value = "release", value_name = "NAME")]
    cargo_profile: String,
    /// Build nothing: `lastword`, `lastword-server` and `lastword-mutants` lie in this folder, so that a long soak keeps one
    /// build while the sources go on.
    #[arg(long, value_name = "DIR", conflicts_with = "cargo_profile")]
    programs: Option<PathBuf>,
    /// Certify nothing; print what was found so far and what the names mean.
    #[arg(long)]
    status: bool,
}

/// Certifies until the number or the time is reached, and prints the table.
///
/// The exit code is 0 if there was no failure and every server passed at least once; 1 after a failure; 3 if a server never
/// passed.
///
/// # Errors
/// Something cannot be built, brought or written.
pub(crate) fn run(workspace: &Workspace, args: &SoakArgs) -> Result<ExitCode> {
    let home = workspace.target_dir.join("soak");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let mut stacks = if args.stack.is_empty() { Stack::ALL.to_vec() } else { args.stack.clone() };
    let mut profiles = if args.profile.is_empty() { Profile::ALL.to_vec() } else { args.profile.clone() };
    stacks.dedup();
    profiles.dedup();
    if args.status {
        print!("{}", names());
        print!("{}", Results::load(&home, None)?.table("server", &rows(&stacks, &profiles)));
        return Ok(ExitCode::SUCCESS);
    }
    let source = match &args.programs {
        Some(folder) => Source::Folder(folder),
        None => Source::Build(&args.cargo_profile),
    };
    let parts = Parts::bring(workspace, &stacks, source)?;
    let results = Results::load(&home, Some(&parts.harness))?;
    let cells: Vec<Cell> = stacks
        .iter()
        .flat_map(|stack| profiles.iter().map(move |profile| Cell { stack: *stack, profile: *profile }))
        .filter(|cell| cell.profile.fits(cell.stack))
        .collect();
    if cells.is_empty() {
        bail!("no server is certified under that profile: the model's speed is what it is");
    }
    let runs = args.runs.unwrap_or(cells.len());
    let deadline = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    println!("{runs} certifications of {} servers under {} profiles", stacks.len(), profiles.len());
    let started = Instant::now();
    let soak = Soak {
        workspace,
        parts: &parts,
        home: &home,
        schedule: Mutex::new(Schedule::new(cells, runs, args.seed, &results)),
        results: Mutex::new(results),
        deadline,
        interrupted: interrupt_flag()?,
    };
    soak.run(args.parallel.max(1));
    let results = soak.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    print!("{}", results.table("server", &rows(&stacks, &profiles)));
    println!("this run took {} s", started.elapsed().as_secs());
    Ok(match results.verdict_of_this_run(|record| Some(record.stack.clone())) {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed | Verdict::Broken => ExitCode::FAILURE,
        Verdict::Undecided => ExitCode::from(3),
    })
}

/// Every server under every profile, for the table.
fn rows(stacks: &[Stack], profiles: &[Profile]) -> Vec<(&'static str, &'static str, bool)> {
    let of = |stack: Stack| profiles.iter().map(move |profile| (stack.name(), profile.name(), profile.fits(stack)));
    stacks.iter().flat_map(|stack| of(*stack)).collect()
}

/// One server under one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    stack: Stack,
    profile: Profile,
}

/// A certification to run.
struct Job {
    cell: Cell,
    seed: u64,
}

/// Which certification comes next: one of the server and profile that has had the fewest.
struct Schedule {
    cells: Vec<(Cell, usize, u64)>,
    left: usize,
    /// How many certifications of the busy profile run now.
    busy: usize,
    /// Whether it is the turn of that profile.
    is_busy_turn: bool,
}

impl Schedule {
    fn new(cells: Vec<Cell>, runs: usize, seed: Option<u64>, results: &Results) -> Self {
        let cells = cells
            .into_iter()
            .map(|cell| {
                let next = results.recorded(cell.stack.name(), cell.profile.name()) as u64 + 1;
                (cell, 0, seed.unwrap_or(next))
            })
            .collect();
        Self { cells, left: runs, busy: 0, is_busy_turn: false }
    }

    /// `slow`: of the profile that takes minutes, or of the others.
    fn next(&mut self, slow: bool) -> Option<Job> {
        if self.left == 0 {
            return None;
        }
        self.take_turns();
        let fewest = self.cells.iter().map(|(_, runs, _)| *runs).min()?;
        let is_busy_turn = self.is_busy_turn;
        let (cell, runs, seed) = self
            .cells
            .iter_mut()
            .filter(|(cell, ..)| cell.profile.is_slow() == slow && (is_busy_turn || cell.profile != Profile::Busy))
            .min_by_key(|(_, runs, _)| *runs)?;
        // The slow ones must not fall behind without end, nor the quick ones wait for them for ever.
        if *runs > fewest + MOST_AHEAD {
            return None;
        }
        let job = Job { cell: *cell, seed: *seed };
        (*runs, *seed) = (*runs + 1, *seed + 1);
        self.left -= 1;
        self.busy += usize::from(cell.profile == Profile::Busy);
        Some(job)
    }

    /// While one certification of the busy profile runs, the cores compute something else for all that run. So several rounds of
    /// it come together, when they are due.
    fn take_turns(&mut self) {
        let fewest = |busy: bool| {
            let quick = self.cells.iter().filter(|(cell, ..)| !cell.profile.is_slow());
            quick.filter(|(cell, ..)| (cell.profile == Profile::Busy) == busy).map(|(_, runs, _)| *runs).min()
        };
        let (Some(busy), Some(others)) = (fewest(true), fewest(false)) else {
            self.is_busy_turn = true;
            return;
        };
        let is_last_chance = self.left <= BUSY_ROUNDS * self.cells.len();
        if busy >= others {
            self.is_busy_turn = false;
        } else if busy + BUSY_ROUNDS <= others || is_last_chance {
            self.is_busy_turn = true;
        }
    }
}

struct Soak<'a> {
    workspace: &'a Workspace,
    parts: &'a Parts,
    home: &'a Path,
    schedule: Mutex<Schedule>,
    results: Mutex<Results>,
    deadline: Option<Instant>,
    interrupted: &'a AtomicBool,
}

impl Soak<'_> {
    fn run(&self, parallel: usize) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..cores() {
                scope.spawn(|| compute_something_else(&is_over, || self.schedule().busy > 0));
            }
            thread::scope(|lanes| {
                for lane in 0..2 * parallel {
                    lanes.spawn(move || self.lane(lane >= parallel));
                }
            });
            is_over.store(true, Ordering::Relaxed);
        });
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Certifies as long as there is something to certify.
    fn lane(&self, slow: bool) {
        while !self.interrupted.load(Ordering::Relaxed) && self.deadline.is_none_or(|at| Instant::now() < at) {
            let (job, is_over) = {
                let mut schedule = self.schedule();
                let has_kind = schedule.cells.iter().any(|(cell, ..)| cell.profile.is_slow() == slow);
                (schedule.next(slow), schedule.left == 0 || !has_kind)
            };
            let Some(job) = job else {
                if is_over {
                    return;
                }
                thread::sleep(LOOK);
                continue;
            };
            let record = self.certify(&job);
            self.schedule().busy -= usize::from(job.cell.profile == Profile::Busy);
            if self.interrupted.load(Ordering::Relaxed) {
                // Cut short: it says nothing.
                return;
            }
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{}", record.line());
            if let Err(error) = results.add(record) {
                eprintln!("error: {error:#}");
            }
        }
    }

    fn certify(&self, job: &Job) -> Record {
        let Cell { stack, profile } = job.cell;
        let name = format!("{}-{}-{}", stack.name(), profile.name(), job.seed);
        let out = self.home.join("running").join(&name);
        let started = Instant::now();
        let mut record = Record::new(stack.name(), profile.name(), job.seed);
        match self.run_harness(job, &out) {
            Ok(code) => record.read(&out.join("report.json"), code),
            Err(error) => record.broke(&format!("{error:#}")),
        }
        record.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.interrupted.load(Ordering::Relaxed) {
            let _ = fs::remove_dir_all(&out);
        } else {
            record.keep(self.home, &out, &name);
        }
        record
    }

    fn run_harness(&self, job: &Job, out: &Path) -> Result<Option<i32>> {
        let _ = fs::remove_dir_all(out);
        fs::create_dir_all(out.join("logs")).with_context(|| format!("cannot create {}", out.display()))?;
        let mut command = self.workspace.program(&self.parts.harness);
        command.args(["certify", "server", "--quiet", "--no-transcripts", "--start-wait", "120", "--token", TOKEN]);
        command.args(["--seed", &job.seed.to_string()]);
        command.arg("--json").arg(out.join("report.json")).arg("--log-dir").arg(out.join("logs"));
        if job.cell.profile.is_slow() {
            command.args(["--jobs", job.cell.stack.slow_jobs(), "--max-wait", SLOW_MAX_WAIT_S]);
        }
        self.add_subject(&mut command, job);
        command.env("NODE_PATH", &self.parts.node_modules).stdin(std::process::Stdio::null());
        let log = File::create(out.join("output.txt")).context("cannot write the output")?;
        command.stderr(log.try_clone()?).stdout(log);
        match run_in_group(command, Instant::now() + MOST, self.interrupted).context("cannot start the harness")? {
            Ended::Exited { status, .. } => Ok(status.code()),
            Ended::OverBudget => bail!("the certification did not end within {} s", MOST.as_secs()),
            Ended::Interrupted => bail!("interrupted"),
        }
    }

    /// The subject, behind a line if the profile has one.
    fn add_subject(&self, command: &mut Command, job: &Job) {
        let Cell { stack, profile } = job.cell;
        command.arg("--");
        let Some(line) = profile.line() else {
            command.args(self.parts.subject(stack, profile, "{port}"));
            return;
        };
        command.arg(&self.workspace.xtask).args(["shape", "--line", &line.name(), "--seed", &job.seed.to_string()]);
        command.args(["--port", "{port}", "--"]).args(self.parts.subject(stack, profile, "{inner}"));
    }
}

/// Keeps a core busy as long as `is_busy` says so, until it is over.
pub(crate) fn compute_something_else(is_over: &AtomicBool, is_busy: impl Fn() -> bool) {
    let mut number = 1_u64;
    while !is_over.load(Ordering::Relaxed) {
        if !is_busy() {
            thread::sleep(LOOK);
            continue;
        }
        let until = Instant::now() + LOOK;
        while Instant::now() < until {
            for _ in 0..10_000 {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    }
}

/// What the names of servers and profiles mean.
fn names() -> String {
    let stacks = Stack::ALL.iter().map(|stack| format!("{:<12} {}\n", stack.name(), stack.about()));
    let profiles = Profile::ALL.iter().map(|profile| format!("{:<12} {}\n", profile.name(), profile.about()));
    stacks.chain(["\n".to_owned()]).chain(profiles).chain(["\n".to_owned()]).collect()
}

fn stack(name: &str) -> Result<Stack, String> {
    let known = || Stack::ALL.iter().map(|stack| stack.name()).collect::<Vec<_>>().join(", ");
    Stack::ALL.into_iter().find(|stack| stack.name() == name).ok_or_else(|| format!("the servers are {}", known()))
}

fn profile(name: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
    Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == name)
        .ok_or_else(|| format!("the profiles are {}", known()))
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn lanes() -> usize {
    2 * cores()
}

/// So many runs of each server under the busy profile come one after the other.
const BUSY_ROUNDS: usize = 4;
/// So many more runs than the one with the fewest a server under a profile may have.
const MOST_AHEAD: usize = 200;
const LOOK: Duration = Duration::from_millis(200);
/// A certification that takes longer than this hangs.
const MOST: Duration = Duration::from_secs(90 * 60);
/// A case of many segments waits for many times 50 s.
const SLOW_MAX_WAIT_S: &str = "900";

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cells: &[Cell], runs: usize) -> Schedule {
        let home = tempfile::tempdir().unwrap();
        Schedule::new(cells.to_vec(), runs, None, &Results::load(home.path(), None).unwrap())
    }

    fn cell(stack: Stack, profile: Profile) -> Cell {
        Cell { stack, profile }
    }

    #[test]
    fn the_one_with_the_fewest_runs_is_next_and_seeds_go_on() {
        let cells = [cell(Stack::Python, Profile::Plain), cell(Stack::Node, Profile::Plain)];
        let mut schedule = schedule(&cells, 5);
        let jobs: Vec<(Stack, u64)> =
            std::iter::from_fn(|| schedule.next(false)).map(|job| (job.cell.stack, job.seed)).collect();
        let (python, node) = (Stack::Python, Stack::Node);
        assert_eq!(jobs, [(python, 1), (node, 1), (python, 2), (node, 2), (python, 3)]);
    }

    #[test]
    fn rounds_of_the_busy_profile_come_together_and_none_is_left_out() {
        let cells = [cell(Stack::Python, Profile::Busy), cell(Stack::Python, Profile::Plain)];
        let order = |runs| {
            let mut schedule = schedule(&cells, runs);
            let jobs = std::iter::from_fn(|| schedule.next(false));
            jobs.map(|job| if job.cell.profile == Profile::Busy { 'b' } else { 'p' }).collect::<String>()
        };
        assert_eq!(order(2), "pb");
        assert_eq!(order(24), "ppppbbbbppppbbbbpbpbpbpb");
        let mut alone = schedule(&cells[..1], 3);
        assert!(alone.next(false).is_some_and(|job| job.cell.profile == Profile::Busy));
    }

    #[test]
    fn slow_ones_have_lanes_of_their_own() {
        let cells = [cell(Stack::Python, Profile::Slow), cell(Stack::Python, Profile::Plain)];
        let mut schedule = schedule(&cells, 9);
        assert_eq!(schedule.next(true).unwrap().cell.profile, Profile::Slow);
        assert_eq!(schedule.next(false).unwrap().cell.profile, Profile::Plain);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        assert!(stack("perl").unwrap_err().contains("fastapi"));
        assert!(profile("windy").unwrap_err().contains("jitter"));
        assert_eq!(stack("node"), Ok(Stack::Node));
    }

    #[test]
    fn every_name_is_explained() {
        let text = names();
        let all = Stack::ALL.iter().map(|stack| stack.name()).chain(Profile::ALL.iter().map(|profile| profile.name()));
        for name in all {
            assert!(text.lines().any(|line| line.starts_with(name) && line.len() > name.len() + 8), "{name}");
        }
    }
}
