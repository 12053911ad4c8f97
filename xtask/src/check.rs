//! `cargo xtask check`: explores the session machines exhaustively, by the checker's own program.
//!
//! Owns the starting of that program, also for the counterexamples that `gen` writes. It must not know what is explored, and is not
//! linked with it: a requirement that is new must be generated before the machines that cite it compile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::r#gen::Files;
use crate::workspace::Workspace;

/// Options of `cargo xtask check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Options of the checker: `--deep` for more than twenty million states (about a minute, 2 to 3 GiB), `--in-time`, `--mutants`, `--mutant NAME`, `--json FILE`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

/// Builds the checker, runs it, and passes its exit code through.
///
/// # Errors
/// Cargo cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &CheckArgs) -> Result<ExitCode> {
    let mut command = checker(workspace);
    let status = command.args(&args.options).status().context("cannot start cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The shortest counterexamples of the checker's mutants, as trace files.
///
/// # Errors
/// The checker does not compile, or cannot be started.
pub(crate) fn counterexamples(_root: &Path) -> Result<Files> {
    let mut command = checker(&Workspace::find()?);
    let output = command.arg("--traces").stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the checker failed ({})", output.status);
    }
    let by_name: BTreeMap<String, String> =
        serde_json::from_slice(&output.stdout).context("the checker wrote no JSON object of texts")?;
    let file = |(name, text)| (PathBuf::from(format!("check/traces/{name}.jsonl")), text);
    Ok(by_name.into_iter().map(file).collect())
}

fn checker(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", "lastword-check", "--"]);
    command
}
