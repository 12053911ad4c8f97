//! `cargo xtask soak-clients`: correct clients are certified again and again, behind lines that must not matter. Every failure is
//! a false alarm of the harness, or a fault of a client that was believed to be correct.
//!
//! Owns the clients, how each is started, and which certification runs when. What was found stands in `soak_results`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::bring;
use crate::process::{Ended, interrupt_flag, run_in_group};
use crate::soak::{compute_something_else, cores};
use crate::soak_results::{Record, Results, Verdict};
use crate::soak_stacks::Profile;
use crate::tools::{self, Host};
use crate::workspace::Workspace;

/// Options of `cargo xtask soak-clients`.
#[derive(Args)]
pub(crate) struct SoakClientsArgs {
    /// How often each client is certified under each profile at each level.
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: usize,
    /// Begin none after so many minutes.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Only this client. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = client)]
    client: Vec<Client>,
    /// Only under these conditions. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Vec<Profile>,
    /// Only at this level.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=1))]
    level: Option<u8>,
    /// Only this case, as `lastword certify client --only` takes it. May be given more than once.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// The seed of the first certification of each. Without it they go on from the last run.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many certifications run side by side; they mostly wait.
    #[arg(long, value_name = "N", default_value_t = cores())]
    parallel: usize,
    /// How many cases of one certification run side by side.
    #[arg(long, value_name = "N", default_value_t = 12)]
    jobs: usize,
    /// The cargo profile to build with.
    #[arg(long, default_value = "release", value_name = "NAME")]
    cargo_profile: String,
    /// Build nothing: `lastword`, `lastword-client-driver` and `lastword-transcribe` lie in this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "cargo_profile")]
    programs: Option<PathBuf>,
    /// Certify nothing; print what was found so far and what the names mean.
    #[arg(long)]
    status: bool,
}

/// Certifies each client as often as was asked for, and prints the table.
///
/// The exit code is 0 if there was no failure and every client passed at least once under each condition but `stalls`; 1 after a
/// failure; 3 if a client never passed under one of them.
///
/// # Errors
/// Something cannot be built, brought or written.
pub(crate) fn run(workspace: &Workspace, args: &SoakClientsArgs) -> Result<ExitCode> {
    let home = workspace.target_dir.join("soak-clients");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let cells = cells(args);
    let rows: Vec<(&str, &str, bool)> = cells.iter().map(|cell| (cell.name(), cell.profile.name(), true)).collect();
    if args.status {
        print!("{}", names());
        print!("{}", Results::load(&home, None)?.table("client", &rows));
        return Ok(ExitCode::SUCCESS);
    }
    let parts = Parts::bring(workspace, args)?;
    let results = Results::load(&home, Some(&parts.harness))?;
    let first =
        |cell: &Cell| args.seed.unwrap_or_else(|| results.recorded(cell.name(), cell.profile.name()) as u64 + 1);
    let firsts: Vec<u64> = cells.iter().map(first).collect();
    let jobs = (0..args.rounds as u64)
        .flat_map(|round| cells.iter().zip(&firsts).map(move |(cell, first)| Job { cell: *cell, seed: first + round }))
        .collect();
    let started = Instant::now();
    let soak = Soak {
        workspace,
        parts: &parts,
        home: &home,
        args,
        jobs,
        next: AtomicUsize::new(0),
        busy: AtomicUsize::new(0),
        results: Mutex::new(results),
        deadline: args.minutes.map(|minutes| started + Duration::from_secs(minutes * 60)),
        interrupted: interrupt_flag()?,
    };
    println!("{} certifications", soak.jobs.len());
    soak.run();
    let results = soak.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    print!("{}", results.table("client", &rows));
    println!("this run took {} s", started.elapsed().as_secs());
    Ok(match results.verdict_of_this_run(must_pass) {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed | Verdict::Broken => ExitCode::FAILURE,
        Verdict::Undecided => ExitCode::from(3),
    })
}

/// A correct client on a stack of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Sdk,
    Python,
    Node,
}

impl Client {
    const ALL: [Self; 3] = [Self::Sdk, Self::Python, Self::Node];

    fn name(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Sdk => "lastword-client (tokio, lastword-session)",
            Self::Python => "Python websockets",
            Self::Node => "Node ws",
        }
    }
}

/// Under which conditions. There is none that is slow: how late a scripted server answers is the business of its cases, which
/// take up to 8 s with progress, and a client has no work of its own that could take longer. Behind a line that stands still for 2 s
/// a clause that gives a client 1 s shows nothing, and a case may end undecided; behind all others each is decided.
const PROFILES: [Profile; 7] = [
    Profile::Plain,
    Profile::Jitter,
    Profile::Pauses,
    Profile::Stalls,
    Profile::Bytes,
    Profile::Coalesced,
    Profile::Busy,
];

/// What one certification of must pass at least.
fn must_pass(record: &Record) -> Option<String> {
    (record.profile != Profile::Stalls.name()).then(|| format!("{} {}", record.stack, record.profile))
}

/// One client at one level under one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    client: Client,
    level: u8,
    profile: Profile,
}

impl Cell {
    fn name(self) -> &'static str {
        match (self.client, self.level) {
            (Client::Sdk, 0) => "sdk level 0",
            (Client::Sdk, _) => "sdk level 1",
            (Client::Python, 0) => "python level 0",
            (Client::Python, _) => "python level 1",
            (Client::Node, 0) => "node level 0",
            (Client::Node, _) => "node level 1",
        }
    }
}

/// What was asked for; the profiles change slowest, so that all clients have had one before the next.
fn cells(args: &SoakClientsArgs) -> Vec<Cell> {
    let mut cells = Vec::new();
    for profile in PROFILES.into_iter().filter(|profile| args.profile.is_empty() || args.profile.contains(profile)) {
        for client in Client::ALL.into_iter().filter(|client| args.client.is_empty() || args.client.contains(client)) {
            for level in [1, 0].into_iter().filter(|level| args.level.is_none_or(|only| only == *level)) {
                cells.push(Cell { client, level, profile });
            }
        }
    }
    cells
}

/// A certification to run.
#[derive(Clone, Copy)]
struct Job {
    cell: Cell,
    seed: u64,
}

/// Where everything is that the clients are made of.
struct Parts {
    harness: PathBuf,
    driver: PathBuf,
    transcribe: PathBuf,
    python: PathBuf,
    python_client: PathBuf,
    node: PathBuf,
    node_client: PathBuf,
}

impl Parts {
    fn bring(workspace: &Workspace, args: &SoakClientsArgs) -> Result<Self> {
        let folder = match &args.programs {
            Some(folder) => folder.clone(),
            None => build(workspace, &args.cargo_profile)?,
        };
        let wants = |client| args.client.is_empty() || args.client.contains(&client);
        let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let mut parts = Self {
            harness: program("lastword"),
            driver: program("lastword-client-driver"),
            transcribe: program("lastword-transcribe"),
            python: PathBuf::new(),
            python_client: workspace.root.join(PYTHON_CLIENT),
            node: PathBuf::new(),
            node_client: PathBuf::new(),
        };
        if wants(Client::Python) {
            parts.python = bring::python_clients(workspace).context("for the client python")?;
        }
        if wants(Client::Node) {
            parts.node = Host::from_env().find("node").context("no node on PATH; install Node.js")?;
            parts.node_client = bring::node_client(workspace).context("for the client node")?;
        }
        Ok(parts)
    }

    /// The command of a client, with the places that the harness fills in.
    fn command(&self, cell: Cell) -> Vec<OsString> {
        let script = |program: &Path, script: &Path| {
            let options: &[&str] = if cell.level == 0 { &["{url}", "--audio", "{audio}"] } else { &["--driver"] };
            let mut words = vec![program.into(), script.into()];
            words.extend(options.iter().map(OsString::from));
            words
        };
        match (cell.client, cell.level) {
            (Client::Sdk, 0) => vec![self.transcribe.clone().into(), "{audio}".into(), "{url}".into()],
            (Client::Sdk, _) => vec![self.driver.clone().into()],
            (Client::Python, _) => script(&self.python, &self.python_client),
            (Client::Node, _) => script(&self.node, &self.node_client),
        }
    }
}

/// Builds the harness and the SDK's programs; the folder that they are in.
fn build(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args(["build", "--locked", "--profile", profile, "--package", "lastword", "--package", "lastword-client"]);
    command.args(["--package", "lastword-client-driver", "--bins"]);
    command.envs(tools::located_environment(workspace));
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the build failed ({status}); cargo's own message stands above");
    Ok(workspace.target_dir.join(if profile == "dev" { "debug" } else { profile }))
}

struct Soak<'a> {
    workspace: &'a Workspace,
    parts: &'a Parts,
    home: &'a Path,
    args: &'a SoakClientsArgs,
    jobs: Vec<Job>,
    next: AtomicUsize,
    /// How many certifications of the busy profile run now.
    busy: AtomicUsize,
    results: Mutex<Results>,
    deadline: Option<Instant>,
    interrupted: &'a AtomicBool,
}

impl Soak<'_> {
    fn run(&self) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..cores() {
                scope.spawn(|| compute_something_else(&is_over, || self.busy.load(Ordering::Relaxed) > 0));
            }
            thread::scope(|lanes| {
                for _ in 0..self.args.parallel.max(1) {
                    lanes.spawn(|| self.lane());
                }
            });
            is_over.store(true, Ordering::Relaxed);
        });
    }

    fn lane(&self) {
        while !self.is_stopped() && self.deadline.is_none_or(|at| Instant::now() < at) {
            let Some(job) = self.jobs.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let is_busy = job.cell.profile == Profile::Busy;
            self.busy.fetch_add(usize::from(is_busy), Ordering::Relaxed);
            let record = self.certify(*job);
            self.busy.fetch_sub(usize::from(is_busy), Ordering::Relaxed);
            if self.is_stopped() {
                // Cut short: it says nothing.
                return;
            }
            println!("{}", record.line());
            if let Err(error) = self.results.lock().unwrap_or_else(PoisonError::into_inner).add(record) {
                eprintln!("error: {error:#}");
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn certify(&self, job: Job) -> Record {
        let name = format!("{}-{}-{}", job.cell.name().replace(' ', "-"), job.cell.profile.name(), job.seed);
        let out = self.home.join("running").join(&name);
        let started = Instant::now();
        let mut record = Record::new(job.cell.name(), job.cell.profile.name(), job.seed);
        match self.run_harness(job, &out) {
            Ok(code) => record.read(&out.join("report.json"), code),
            Err(error) => record.broke(&format!("{error:#}")),
        }
        record.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.is_stopped() {
            let _ = fs::remove_dir_all(&out);
        } else {
            record.keep(self.home, &out, &name);
        }
        record
    }

    fn run_harness(&self, job: Job, out: &Path) -> Result<Option<i32>> {
        let _ = fs::remove_dir_all(out);
        fs::create_dir_all(out.join("logs")).with_context(|| format!("cannot create {}", out.display()))?;
        let mut command = self.workspace.program(&self.parts.harness);
        command.args(["certify", "client", "--quiet", "--seed", &job.seed.to_string()]);
        command.args(["--jobs", &self.args.jobs.to_string()]);
        command.arg("--json").arg(out.join("report.json")).arg("--log-dir").arg(out.join("logs"));
        command.args(self.args.only.iter().flat_map(|case| ["--only", case]));
        if job.cell.level == 1 {
            command.arg("--driver");
        }
        command.arg("--");
        if let Some(line) = job.cell.profile.line() {
            command.arg(&self.workspace.xtask).args(["shape-client", "--line", &line.name()]);
            command.args(["--seed", &job.seed.to_string(), "--server", "{port}", "--"]);
        }
        command.args(self.parts.command(job.cell));
        let log = File::create(out.join("output.txt")).context("cannot write the output")?;
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command.stderr(log.try_clone()?).stdout(log);
        match run_in_group(command, Instant::now() + MOST, self.interrupted).context("cannot start the harness")? {
            Ended::Exited { status, .. } => Ok(status.code()),
            Ended::OverBudget => bail!("the certification did not end within {} s", MOST.as_secs()),
            Ended::Interrupted => bail!("interrupted"),
        }
    }
}

/// What the names of clients and profiles mean.
fn names() -> String {
    let clients = Client::ALL.iter().map(|client| format!("{:<14} {}\n", client.name(), client.about()));
    let profiles = PROFILES.iter().map(|profile| format!("{:<14} {}\n", profile.name(), profile.about()));
    clients.chain(["\n".to_owned()]).chain(profiles).chain(["\n".to_owned()]).collect()
}

fn client(name: &str) -> Result<Client, String> {
    let known = || Client::ALL.iter().map(|client| client.name()).collect::<Vec<_>>().join(", ");
    Client::ALL.into_iter().find(|client| client.name() == name).ok_or_else(|| format!("the clients are {}", known()))
}

fn profile(name: &str) -> Result<Profile, String> {
    let known = || PROFILES.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
    PROFILES.into_iter().find(|profile| profile.name() == name).ok_or_else(|| format!("the profiles are {}", known()))
}

const PYTHON_CLIENT: &str = "conformance/tests/subjects/client_python/client.py";
/// A certification that takes longer than this hangs.
const MOST: Duration = Duration::from_secs(20 * 60);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: SoakClientsArgs,
    }

    fn typed(words: &[&str]) -> SoakClientsArgs {
        Typed::parse_from(["soak-clients"].iter().chain(words)).args
    }

    #[test]
    fn each_client_is_certified_at_both_levels_under_every_profile_once() {
        let all = cells(&typed(&[]));
        let names: std::collections::BTreeSet<(&str, &str)> =
            all.iter().map(|cell| (cell.name(), cell.profile.name())).collect();
        assert_eq!((all.len(), names.len()), (42, 42));
        let few = cells(&typed(&["--client", "node", "--profile", "stalls", "--level", "1"]));
        assert_eq!(few, [Cell { client: Client::Node, level: 1, profile: Profile::Stalls }]);
    }

    #[test]
    fn a_client_is_given_the_url_and_audio_or_is_driven() {
        let parts = Parts {
            harness: "lastword".into(),
            driver: "driver".into(),
            transcribe: "transcribe".into(),
            python: "python".into(),
            python_client: "client.py".into(),
            node: "node".into(),
            node_client: "client.js".into(),
        };
        for cell in cells(&typed(&[])) {
            let words = parts.command(cell);
            let has = |word: &str| words.iter().any(|one| one == word);
            let is_given_both = has("{url}") && has("{audio}");
            assert_eq!(is_given_both, cell.level == 0, "{cell:?}: {words:?}");
            assert_eq!(has("--driver"), cell.level == 1 && cell.client != Client::Sdk, "{cell:?}: {words:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        assert!(client("perl").unwrap_err().contains("python"));
        assert!(profile("slow").unwrap_err().contains("stalls"));
        assert_eq!(client("sdk"), Ok(Client::Sdk));
    }
}
