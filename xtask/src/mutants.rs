//! `cargo xtask mutants`: does a test of the judge notice when one operator or one return value of the judge changes?
//!
//! Owns the run of cargo-mutants on all of `judge/`: a small workspace of its own under the target folder, shards that stop
//! in time, and the next run that goes on. What is known of each mutant is in `mutants_state`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::bring;
use crate::mutants_record;
use crate::mutants_state::{Accepted, Mutant, Outcome, Sources, State, read_list, read_outcomes};
use crate::process::{Ended, interrupt_flag, run_in_group};
use crate::workspace::Workspace;

/// Options of `cargo xtask mutants`.
#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// For how long mutants are tested before the command ends; the next run goes on from there.
    #[arg(long, default_value_t = 25, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=25))]
    minutes: u64,
    /// Only the K-th of N parts of all mutants, K from 1 on.
    #[arg(long, value_name = "K/N", value_parser = part_of)]
    shard: Option<(usize, usize)>,
    /// Only mutants of files whose path contains this.
    #[arg(long, value_name = "TEXT")]
    file: Option<String>,
    /// Test nothing; say what is known.
    #[arg(long)]
    status: bool,
    /// Forget what earlier runs found.
    #[arg(long, conflicts_with = "status")]
    fresh: bool,
    /// Write down what is known in `judge/mutants.known`, which a run in another clone goes on from.
    #[arg(long)]
    record: bool,
}

/// Tests mutants until all are known or the time is up, and prints the score.
///
/// The exit code is 0 when all are known, enough are killed and the list of accepted survivors is right; 3 when some are
/// not tested yet; 1 otherwise.
///
/// # Errors
/// cargo-mutants cannot be had or started, or the judge's tests fail without any change.
pub(crate) fn run(workspace: &Workspace, args: &MutantsArgs) -> Result<ExitCode> {
    let program = bring::cargo_mutants(workspace)?;
    let home = workspace.target_dir.join("mutants");
    // Apart from that of a run that may be under way: to lay it out again puts back what a mutant has changed.
    let tree = Tree::lay_out(workspace, &if args.status { home.join("status") } else { home.clone() })?;
    let mut accepted = Accepted::read(&workspace.root.join(ACCEPTED))?;
    let mut mutants = tree.list(workspace, &program)?;
    let sources = Sources::read(&workspace.root)?;
    let record = workspace.root.join(mutants_record::FILE);
    let mut state = State::empty(&home);
    if !args.fresh {
        state = State::load(&home)?;
        state.forget_stale(&mutants, &sources);
        state.recall(mutants_record::read(&record, bring::CARGO_MUTANTS, &mutants, &sources)?);
    }
    let all = mutants.clone();
    if !args.status {
        narrow(&mut mutants, args);
        if args.file.is_some() || args.shard.is_some() {
            accepted.keep_those_about(&mutants);
        }
        let budget = Duration::from_secs(args.minutes * 60);
        test(workspace, &tree, &program, &mutants, &sources, &mut state, budget)?;
    }
    if args.record {
        write_changed(&record, mutants_record::text(bring::CARGO_MUTANTS, &all, &state, &sources).as_bytes())?;
    }
    let report = state.report(&mutants, &accepted);
    print!("{}", report.text());
    Ok(match (report.is_complete(), report.is_good()) {
        (true, true) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(UNFINISHED),
        (true, false) => ExitCode::FAILURE,
    })
}

/// Keeps the mutants that the options name.
fn narrow(mutants: &mut Vec<Mutant>, args: &MutantsArgs) {
    if let Some(text) = &args.file {
        mutants.retain(|mutant| mutant.file.contains(text.as_str()));
    }
    if let Some((k, n)) = args.shard {
        let mut index = 0;
        mutants.retain(|_| {
            index += 1;
            index % n == k % n
        });
    }
}

/// Tests what is not known yet, a batch at a time, and writes down each batch.
fn test(
    workspace: &Workspace,
    tree: &Tree,
    program: &Path,
    mutants: &[Mutant],
    sources: &Sources,
    state: &mut State,
    budget: Duration,
) -> Result<()> {
    let interrupted = interrupt_flag()?;
    let deadline = Instant::now() + budget;
    let mut open: Vec<&Mutant> = mutants.iter().filter(|mutant| state.outcome(mutant).is_none()).collect();
    if open.is_empty() {
        // The machine may have been busy.
        open.extend(mutants.iter().filter(|mutant| state.outcome(mutant) == Some(Outcome::TimedOut)));
    }
    if open.is_empty() {
        return Ok(());
    }
    println!("{} mutants to test, for at most {} minutes", open.len(), budget.as_secs() / 60);
    tree.run_baseline(workspace)?;
    for batch in open.chunks(BATCH) {
        // A batch takes about two minutes; one more is begun only where it can end in time.
        if Instant::now() + EXPECTED_BATCH > deadline {
            break;
        }
        let ended = run_in_group(tree.mutate(workspace, program, batch)?, deadline, interrupted);
        let ended = ended.context("cannot start cargo-mutants")?;
        let outcomes = read_outcomes(&tree.output.join("mutants.out").join("outcomes.json"))?;
        state.learn(&outcomes, sources);
        state.save()?;
        let found = outcomes.len();
        println!("{found} of a batch of {} tested, {} known", batch.len(), state.len());
        match ended {
            Ended::Exited { .. } if found == 0 => bail!("cargo-mutants tested nothing; see {}", tree.output.display()),
            Ended::Exited { .. } => {}
            Ended::OverBudget | Ended::Interrupted => break,
        }
    }
    Ok(())
}

/// A workspace of the judge and what it needs, in which cargo-mutants may change files.
struct Tree {
    root: PathBuf,
    output: PathBuf,
    build: PathBuf,
}

impl Tree {
    /// Brings the copy up to date. Only files that differ are written, so that a build goes on from the last one.
    fn lay_out(workspace: &Workspace, home: &Path) -> Result<Self> {
        let tree = Self { root: home.join("tree"), output: home.to_path_buf(), build: home.join("build") };
        fs::create_dir_all(&tree.root).with_context(|| format!("cannot create {}", tree.root.display()))?;
        for member in MEMBERS {
            mirror(&workspace.root.join(member), &tree.root.join(member))?;
        }
        tree.join_tests()?;
        copy_changed(&workspace.root.join("Cargo.lock"), &tree.root.join("Cargo.lock"))?;
        let manifest = fs::read_to_string(workspace.root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
        write_changed(&tree.root.join("Cargo.toml"), small_manifest(&manifest).as_bytes())?;
        Ok(tree)
    }

    /// Makes the integration tests a module of the judge itself: each mutant is then compiled and linked once, not three times,
    /// and the first test that fails ends the run.
    fn join_tests(&self) -> Result<()> {
        let lib = self.root.join("judge/src/lib.rs");
        let text = fs::read_to_string(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
        fs::write(&lib, format!("{text}{JOINED}")).with_context(|| format!("cannot write {}", lib.display()))?;
        rename_snapshots(&self.root.join("judge/tests"))
    }

    fn list(&self, workspace: &Workspace, program: &Path) -> Result<Vec<Mutant>> {
        let mut command = workspace.program(program);
        command.current_dir(&self.root).args(["mutants", "--list", "--json", "--no-config", "--package", PACKAGE]);
        command.args(["--exclude-re", NOT_MUTATED]).stderr(Stdio::inherit());
        let output = command.output().context("cannot start cargo-mutants")?;
        if !output.status.success() {
            bail!("cargo-mutants cannot list the mutants ({})", output.status);
        }
        read_list(&output.stdout, &self.root)
    }

    fn run_baseline(&self, workspace: &Workspace) -> Result<()> {
        let mut command = workspace.cargo();
        command.current_dir(&self.root).args(["test", "--quiet", "--package", PACKAGE, "--lib"]);
        command.stdout(Stdio::null());
        let status = self.prepare(command).status().context("cannot start cargo")?;
        if !status.success() {
            bail!("the judge's own tests fail without any change ({status}); mend them first");
        }
        Ok(())
    }

    fn mutate(&self, workspace: &Workspace, program: &Path, batch: &[&Mutant]) -> Result<Command> {
        let config = self.output.join("batch.toml");
        // cargo-mutants takes mutants of another form ("delete field") whatever `examine_re` says: the files keep them few.
        let files: BTreeSet<&str> = batch.iter().map(|mutant| mutant.file.as_str()).collect();
        let mut text = format!("examine_globs = {}\nexamine_re = [\n", serde_json::to_string(&files)?);
        for mutant in batch {
            let _ = writeln!(text, "    {},", serde_json::to_string(&format!("^{}$", escape(&mutant.name)))?);
        }
        text.push_str("]\n");
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let _ = fs::remove_dir_all(self.output.join("mutants.out"));
        let mut command = workspace.program(program);
        command.current_dir(&self.root).args(["mutants", "--in-place", "--no-shuffle", "--baseline", "skip"]);
        command.args(["--package", PACKAGE, "--colors", "never", "--timeout", TIMEOUT_S, "--config"]).arg(config);
        command.arg("--output").arg(&self.output);
        command.arg("--cargo-arg=--lib");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(self.prepare(command))
    }

    /// One build folder for all, and tests that do the same each time and leave nothing behind.
    fn prepare(&self, mut command: Command) -> Command {
        command.env("CARGO_TARGET_DIR", &self.build).env("RUST_BACKTRACE", "0");
        // To show how a long snapshot differs takes longer than all tests.
        command.env("INSTA_UPDATE", "no").env("INSTA_OUTPUT", "none");
        command.env_remove("INSTA_FORCE_PASS").env_remove("RUSTFLAGS").env_remove("CARGO_MUTANTS_JOBS");
        // In their order, so that the broad tests, whose names come last, run only where no other fails.
        command.env("RUST_TEST_THREADS", "1");
        for (name, value) in [("RNG_SEED", "1"), ("DISABLE_FAILURE_PERSISTENCE", "true"), ("MAX_SHRINK_ITERS", "0")] {
            command.env(format!("PROPTEST_{name}"), value);
        }
        command
    }
}

/// The root manifest with two members and without the dependencies on the others.
fn small_manifest(manifest: &str) -> String {
    let mut text = String::new();
    let mut in_members = false;
    for line in manifest.lines() {
        let names_kept = || MEMBERS.iter().any(|member| line.contains(&format!("\"{member}\"")));
        if line.starts_with("[profile") {
            break;
        }
        let ends = line.trim() == "]";
        let keep = if in_members { ends || names_kept() } else { !line.contains("path = \"") || names_kept() };
        if keep && !line.starts_with("exclude") {
            let _ = writeln!(text, "{line}");
        }
        in_members = (in_members && !ends) || line.starts_with("members");
    }
    text.push_str(PROFILES);
    text
}

/// Makes `to` hold the files of `from` and no others.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &to.join(&name))?;
        } else {
            copy_changed(&entry.path(), &to.join(&name))?;
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)?.flatten().filter(|entry| !names.contains(&entry.file_name())) {
        let path = entry.path();
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Gives the snapshots the names that insta looks for where the tests are a module of the judge.
fn rename_snapshots(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            rename_snapshots(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "snap") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let renamed = folder.join(format!("{JOINED_PREFIX}{name}"));
            fs::rename(&path, renamed).with_context(|| format!("cannot rename {}", path.display()))?;
        }
    }
    Ok(())
}

fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_changed(to, &bytes)
}

fn write_changed(to: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))
}

/// The text as a regular expression that matches only it. An angle bracket must stay bare: escaped it means a word's edge.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn part_of(text: &str) -> Result<(usize, usize), String> {
    let wrong = || "it must be K/N with K from 1 to N, such as 2/4".to_owned();
    let (k, n) = text.split_once('/').ok_or_else(wrong)?;
    let (k, n): (usize, usize) = (k.parse().map_err(|_| wrong())?, n.parse().map_err(|_| wrong())?);
    if (1..=n).contains(&k) { Ok((k, n)) } else { Err(wrong()) }
}

const ACCEPTED: &str = "judge/mutants.toml";
const PACKAGE: &str = "lastword-judge";
const MEMBERS: [&str; 2] = ["spec", "judge"];
/// Texts for people decide no verdict.
const NOT_MUTATED: &str = r"impl (fmt::)?(Display|Debug) for";
/// Many times what the tests take, for the machine may be busy; a mutant that loops must not take the shard with it.
const TIMEOUT_S: &str = "90";
/// What the judge's tests are as one module of it. The name of the first module makes its test the first.
const JOINED: &str = r#"
#[cfg(test)]
extern crate self as lastword_judge;

#[cfg(test)]
mod a_failure {
    #[test]
    fn ends_the_run() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            std::process::exit(101);
        }));
    }
}

#[cfg(test)]
#[path = "../tests/it/main.rs"]
mod it;
"#;
/// What insta puts before the names of snapshots there.
const JOINED_PREFIX: &str = "lastword_judge__";
const BATCH: usize = 40;
const EXPECTED_BATCH: Duration = Duration::from_secs(150);
const UNFINISHED: u8 = 3;
/// No debug information: nobody debugs a mutant. Only the judge is compiled again for each, so that all else may be quick.
/// The judge itself is not optimised: that builds a mutant in half the time, and nearly all are killed before most tests run.
const PROFILES: &str = r#"
[profile.dev]
debug = false
opt-level = 0

[profile.dev.package.lastword-spec]
opt-level = 2

[profile.dev.package."*"]
opt-level = 1
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_manifest_has_two_members_and_no_dependency_on_others() {
        let root = Workspace::find().unwrap().root;
        let small = small_manifest(&fs::read_to_string(root.join("Cargo.toml")).unwrap());
        let table: toml::Table = small.parse().unwrap();
        let members = table["workspace"]["members"].as_array().unwrap();
        assert_eq!(members.len(), 2, "{small}");
        let dependencies = table["workspace"]["dependencies"].as_table().unwrap();
        let own: Vec<&String> =
            dependencies.iter().filter(|(_, value)| value.get("path").is_some()).map(|(name, _)| name).collect();
        assert_eq!(own, ["lastword-judge", "lastword-spec"]);
        assert!(dependencies.contains_key("proptest") && table["workspace"].get("exclude").is_none());
    }

    #[test]
    fn a_copy_loses_what_the_original_lost_and_keeps_the_age_of_what_did_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("in")).unwrap();
        fs::write(from.join("in").join("same"), "1").unwrap();
        fs::write(from.join("gone"), "2").unwrap();
        mirror(&from, &to).unwrap();
        let age = fs::metadata(to.join("in").join("same")).unwrap().modified().unwrap();
        fs::remove_file(from.join("gone")).unwrap();
        fs::write(to.join("in").join("strange"), "3").unwrap();
        mirror(&from, &to).unwrap();
        assert!(!to.join("gone").exists() && !to.join("in").join("strange").exists());
        assert_eq!(fs::metadata(to.join("in").join("same")).unwrap().modified().unwrap(), age);
    }

    #[test]
    fn snapshots_get_the_names_that_the_joined_tests_look_for() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = dir.path().join("it").join("snapshots");
        fs::create_dir_all(&snapshots).unwrap();
        fs::write(snapshots.join("it__traces__findings.snap"), "").unwrap();
        fs::write(dir.path().join("it").join("traces.rs"), "").unwrap();
        rename_snapshots(dir.path()).unwrap();
        assert!(snapshots.join("lastword_judge__it__traces__findings.snap").exists());
        assert!(dir.path().join("it").join("traces.rs").exists());
    }

    #[test]
    fn a_name_is_escaped_to_match_itself_only() {
        assert_eq!(
            escape("a.rs:1:2: replace f -> Vec<T> with vec![]"),
            r"a\.rs:1:2: replace f \-> Vec<T> with vec!\[\]"
        );
    }

    #[test]
    fn a_part_is_k_of_n() {
        assert_eq!(part_of("2/4"), Ok((2, 4)));
        for wrong in ["0/4", "5/4", "2", "a/b", "1/0"] {
            assert!(part_of(wrong).is_err(), "{wrong}");
        }
    }
}
