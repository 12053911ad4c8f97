//! The parts of `cargo xtask test`: what each runs, how long it may take, what of its output is worth a console line.
//!
//! Owns the list of the plain parts; those of `--all` stand in `parts_all`. It must not run anything: see `runner`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::bounds::Bound;
use crate::tools;
use crate::workspace::Workspace;

/// What a part may look at when it makes its plan.
pub(crate) struct Context<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) fuzz_seconds: u64,
    pub(crate) install_system: bool,
    /// Where cargo plugins brought by this program live.
    pub(crate) cargo_tools: PathBuf,
}

/// One named check with a time of its own.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// For all steps together; a part still running then is killed and has failed.
    pub(crate) budget_s: u64,
    pub(crate) tier: Tier,
    /// True if it compiles whisper.cpp.
    pub(crate) needs_build_tools: bool,
    /// Which lines of its log are shown when it passes.
    pub(crate) shows: fn(line: &str) -> bool,
    /// What its test programs may take; told whether it passes or not.
    pub(crate) bounds: &'static [Bound],
    pub(crate) plan: fn(context: &Context<'_>) -> Plan,
}

/// Whether a part belongs to every run or to `--all` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Plain,
    All,
}

/// What a part will do here, or why it cannot.
pub(crate) enum Plan {
    Run(Vec<Step>),
    NotRun(String),
}

/// One command of a part.
pub(crate) struct Step {
    pub(crate) command: Command,
    /// What the step brings from outside, if it does: its failure means NOT RUN and not FAILED.
    pub(crate) prerequisite: Option<&'static str>,
}

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Self { command, prerequisite: None }
    }
}

impl Step {
    pub(crate) fn bringing(self, what: &'static str) -> Self {
        Self { prerequisite: Some(what), ..self }
    }
}

/// The parts to run, in order. Build tools are found first if any part needs them.
///
/// # Errors
/// `only` names a part that does not exist.
pub(crate) fn select(only: &[String], all: bool) -> Result<Vec<Part>> {
    let mut every: Vec<Part> = plain_parts();
    every.extend(crate::parts_all::parts());
    if only.is_empty() {
        every.retain(|part| all || part.tier == Tier::Plain);
        return Ok(every);
    }
    if let Some(unknown) = only.iter().find(|name| every.iter().all(|part| part.name != **name)) {
        let names: Vec<&str> = every.iter().map(|part| part.name).collect();
        bail!("no part is called `{unknown}`; the parts are {}", names.join(", "));
    }
    let is_named = |part: &Part| only.iter().any(|name| name == part.name);
    let needs_tools = every.iter().any(|part| is_named(part) && part.needs_build_tools);
    every.retain(|part| is_named(part) || (needs_tools && part.name == tools::PART));
    Ok(every)
}

fn plain_parts() -> Vec<Part> {
    let quiet = |_: &str| false;
    let part = |name, about, budget_s, plan| Part {
        name,
        about,
        budget_s,
        tier: Tier::Plain,
        needs_build_tools: false,
        shows: quiet,
        bounds: &[],
        plan,
    };
    let building = |part: Part| Part { needs_build_tools: true, ..part };
    vec![
        Part {
            shows: |line| line.contains(": "),
            ..part(tools::PART, "C++ compiler and cmake: found, or brought", 600, build_tools)
        },
        part("fmt", "formatting", 120, fmt),
        part("gen-check", "generated files are up to date", 300, |context| own(context, &["gen", "--check"])),
        part("tidy", "headers, length, forbidden words, links", 120, |context| own(context, &["tidy"])),
        part("arrows", "which crate may depend on which", 120, |context| own(context, &["arrows"])),
        building(part("clippy", "lints, warnings are errors", 1500, clippy)),
        building(Part {
            shows: |line| {
                let mut starts = ["test result:", "default bound:"].iter();
                line.contains("Summary [") || starts.any(|start| line.starts_with(start))
            },
            bounds: MATRIX_TOLD,
            ..part("tests", "unit, property, snapshot, schema, table walk, fuzz seeds", 2400, tests)
        }),
        building(Part {
            shows: |line| line.starts_with("test result:"),
            ..part("doctests", "examples in the documentation", 900, doctests)
        }),
        building(part("docs", "documentation builds without warnings", 600, docs)),
        building(Part {
            shows: |_| true,
            ..part("certify", "the reference server with the fixture model, on real speech", 1800, |context| {
                own(context, &["certify", "--profile", GATE_PROFILE])
            })
        }),
        building(Part {
            shows: |line| !line.is_empty(),
            ..part("soak", "correct servers in Rust are certified under conditions that must not matter", 1800, soak)
        }),
    ]
}

/// A command of this very program, as a step: so it is timed, logged and killed like any other.
fn own(context: &Context<'_>, arguments: &[&str]) -> Plan {
    Plan::Run(vec![own_step(context, arguments)])
}

pub(crate) fn own_step(context: &Context<'_>, arguments: &[&str]) -> Step {
    let mut command = context.workspace.program(&context.workspace.xtask);
    command.args(arguments);
    Step::from(command)
}

fn build_tools(context: &Context<'_>) -> Plan {
    own(context, if context.install_system { &["tools", "--install-system"] } else { &["tools"] })
}

fn fmt(context: &Context<'_>) -> Plan {
    let mut steps = vec![cargo(context, &["fmt", "--all", "--check", "--", "--color", "never"])];
    if has_fuzz(context) {
        steps.push(cargo(context, &["fmt", "--manifest-path", FUZZ_MANIFEST, "--check", "--", "--color", "never"]));
    }
    Plan::Run(steps)
}

fn clippy(context: &Context<'_>) -> Plan {
    let mut steps =
        vec![cargo(context, &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])];
    if has_fuzz(context) {
        // Fuzz targets cannot rot: they compile on stable at the gate, and run under nightly in `--all`.
        let mut step = cargo(context, &["clippy", "--locked", "--manifest-path", FUZZ_MANIFEST]);
        step.command.arg("--target-dir").arg(context.workspace.target_dir.join("fuzz-stable"));
        step.command.args(["--", "-D", "warnings"]);
        steps.push(step);
    }
    Plan::Run(steps)
}

fn tests(context: &Context<'_>) -> Plan {
    let mut has_nextest = context.workspace.cargo();
    has_nextest.args(["nextest", "--version"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut steps = if has_nextest.status().is_ok_and(|status| status.success()) {
        let others = format!("not ({})", CROWDS.map(|name| format!("binary({name})")).join(" or "));
        let mut crowds = vec!["test", "--locked", "--workspace", "--no-fail-fast"];
        crowds.extend(CROWDS.iter().flat_map(|name| ["--test", name]));
        vec![
            cargo(context, &["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "-E", &others]),
            cargo(context, &crowds),
        ]
    } else {
        vec![cargo(context, &["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])]
    };
    steps.iter_mut().for_each(|step| keep_snapshots(&mut step.command));
    // What the default bound took; the part `slowest` holds it.
    steps.push(own_step(context, &["check"]));
    Plan::Run(steps)
}

/// A snapshot that differs is a failure and never a new file.
fn keep_snapshots(tests: &mut Command) {
    tests.env("INSTA_UPDATE", "no").env_remove("INSTA_FORCE_PASS").env_remove("INSTA_FORCE_UPDATE");
}

/// Every mutant of a server against every case, in memory and nothing else. With the features of the whole workspace: others would
/// build everything anew.
pub(crate) fn matrix(context: &Context<'_>) -> Step {
    let mut step = cargo(context, &["test", "--locked", "--workspace", "--test", "mutants", "--", MATRIX_TESTS]);
    keep_snapshots(&mut step.command);
    step
}

/// What all cases with all mutants may take in memory, on two cores. The program has more tests than those of [`matrix`].
const MATRIX_BOUND: Bound =
    Bound { what: "all cases with all mutants in memory", program: "tests/mutants/main.rs", most_s: 30, is_held: true };
pub(crate) const MATRIX_HELD: &[Bound] = &[MATRIX_BOUND];
/// Where the machine may be busy, and the program runs its other tests, too.
const MATRIX_TOLD: &[Bound] = &[Bound { is_held: false, ..MATRIX_BOUND }];
const MATRIX_TESTS: &str = "kill_matrix::";

/// Test programs whose tests look at one crowd of certifications, which is made once in a process: nextest, which starts a process
/// for each test, would make it again for each.
const CROWDS: [&str; 2] = ["mutants", "client_mutants"];

fn doctests(context: &Context<'_>) -> Plan {
    Plan::Run(vec![cargo(context, &["test", "--locked", "--doc", "--workspace"])])
}

fn docs(context: &Context<'_>) -> Plan {
    let mut step = cargo(context, &["doc", "--locked", "--workspace", "--no-deps"]);
    step.command.env("RUSTDOCFLAGS", "-D warnings");
    Plan::Run(vec![step])
}

/// Few and quick ones: less than a minute on two idle cores, behind the build that `certify` has made. `soak-all` has every server
/// and profile.
fn soak(context: &Context<'_>) -> Plan {
    let servers = ["--stack", "scripted", "--stack", "tungstenite"];
    let profiles = ["--profile", "bytes", "--profile", "busy"];
    let build = ["soak", "--seed", "1", "--cargo-profile", GATE_PROFILE];
    own(context, &[&build[..], &servers, &profiles].concat())
}

/// The tests have built nearly all of it; a release build would take longer than what is done with it.
const GATE_PROFILE: &str = "dev";

fn cargo(context: &Context<'_>, arguments: &[&str]) -> Step {
    let mut command = context.workspace.cargo();
    command.args(arguments);
    Step::from(command)
}

pub(crate) fn has_fuzz(context: &Context<'_>) -> bool {
    context.workspace.root.join(FUZZ_MANIFEST).is_file()
}

pub(crate) const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

#[cfg(test)]
mod tests_of_the_list {
    use std::collections::BTreeSet;

    use super::*;

    fn names(only: &[&str], all: bool) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        select(&only, all).unwrap().iter().map(|part| part.name).collect()
    }

    #[test]
    fn names_are_unique_and_every_part_has_a_budget() {
        let parts = select(&[], true).unwrap();
        assert_eq!(parts.iter().map(|part| part.name).collect::<BTreeSet<_>>().len(), parts.len());
        assert!(parts.iter().all(|part| part.budget_s > 0));
    }

    #[test]
    fn all_adds_parts_and_loses_none() {
        let (plain, all) = (names(&[], false), names(&[], true));
        assert!(all.len() > plain.len());
        assert_eq!(&all[..plain.len()], &plain[..]);
    }

    #[test]
    fn a_part_that_compiles_brings_the_tools_part_with_it() {
        assert_eq!(names(&["fmt"], false), ["fmt"]);
        assert_eq!(names(&["clippy", "fmt"], false), ["tools", "fmt", "clippy"]);
    }

    #[test]
    fn the_matrix_is_where_it_is_looked_for() {
        let root = Workspace::find().unwrap().root;
        let program = std::fs::read_to_string(root.join("conformance").join(MATRIX_BOUND.program)).unwrap();
        assert!(program.contains(&format!("mod {};", MATRIX_TESTS.trim_end_matches(':'))));
    }

    #[test]
    fn an_unknown_part_is_an_error_that_lists_the_known_ones() {
        let message = select(&["clipy".to_owned()], false).err().unwrap().to_string();
        assert!(message.contains("`clipy`") && message.contains("clippy"), "{message}");
    }
}
