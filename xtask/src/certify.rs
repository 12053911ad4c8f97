//! `cargo xtask certify`: builds the reference server and the harness, and lets the one certify the other.
//!
//! Owns the command lines of the two programs (see [`harness_arguments`] and [`server_arguments`]) and the folder of the
//! reports. It must not judge anything: the verdict and the exit code are the harness's.

use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;
use clap::Args;

use crate::tools;
use crate::workspace::Workspace;

/// Options of `cargo xtask certify`.
#[derive(Args)]
pub(crate) struct CertifyArgs {
    /// Certify the server with its scripted recognizer: deterministic, no model, no speech recognised.
    #[arg(long, conflicts_with = "model")]
    scripted: bool,
    /// A model in whisper.cpp's format instead of the fixture model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The cargo profile to build with.
    #[arg(long, default_value = "release", value_name = "NAME")]
    profile: String,
    /// Where reports and wire logs go, instead of `certify` (or `certify-scripted`) in the target folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Let missing build tools be installed with the system's package manager (apt-get).
    #[arg(long)]
    install_system: bool,
    /// More options for `lastword certify server`, after `--`.
    #[arg(last = true, value_name = "OPTION")]
    harness_options: Vec<OsString>,
}

/// Brings what is missing, builds both programs, certifies, and passes the harness's exit code through.
///
/// # Errors
/// A build tool is missing, a build fails, or the harness cannot be started. A failed certification is no error.
pub(crate) fn run(workspace: &Workspace, args: &CertifyArgs) -> Result<ExitCode> {
    let recognizer = match (&args.model, args.scripted) {
        (_, true) => Recognizer::Scripted,
        (Some(model), false) => Recognizer::Whisper(model.clone()),
        (None, false) => Recognizer::Whisper(workspace.root.join(FIXTURE_MODEL)),
    };
    let folder = if args.scripted { "certify-scripted" } else { "certify" };
    let out = args.out.clone().unwrap_or_else(|| workspace.target_dir.join(folder));
    let programs = build(workspace, &args.profile, args.install_system)?;
    let mut harness = Command::new(&programs.harness);
    harness
        .args(harness_arguments(&out, Some(&workspace.root.join(FIXTURE_AUDIO))))
        .args(&args.harness_options)
        .arg("--")
        .arg(&programs.server)
        .args(server_arguments(&recognizer));
    let status = run_harness(harness, &out)?;
    eprintln!("reports and wire logs: {}", out.display());
    Ok(exit_code(status))
}

/// What the server recognises with.
pub(crate) enum Recognizer {
    Scripted,
    Whisper(PathBuf),
}

/// The options of `lastword certify server`, up to the `--` before the subject's command.
fn harness_arguments(out: &Path, audio: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["certify".into(), "server".into()];
    for (option, path) in [
        ("--audio", audio.map(Path::to_path_buf)),
        ("--json", Some(out.join("report.json"))),
        ("--junit", Some(out.join("junit.xml"))),
        ("--log-dir", Some(out.join("logs"))),
        ("--certificate", Some(out.join(CERTIFICATE))),
    ] {
        if let Some(path) = path {
            arguments.extend([option.into(), path.into_os_string()]);
        }
    }
    arguments
}

/// The options of `lastword-server`; the harness puts a free port for `{port}`. The timers are small ones (CNF-S2), so that the rules
/// about them show in seconds.
pub(crate) fn server_arguments(recognizer: &Recognizer) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--listen".into(), "127.0.0.1:{port}".into()];
    for (option, ms) in SMALL_TIMERS {
        arguments.extend([option.into(), ms.into()]);
    }
    match recognizer {
        Recognizer::Scripted => arguments.extend(["--recognizer".into(), "scripted".into()]),
        Recognizer::Whisper(model) => {
            arguments.extend(["--recognizer".into(), "whisper".into(), "--model".into(), model.into()]);
        }
    }
    arguments
}

pub(crate) const SMALL_TIMERS: [(&str, &str); 3] =
    [("--idle-timeout-ms", "3000"), ("--keepalive-interval-ms", "1000"), ("--config-timeout-ms", "2000")];

/// The command that certifies a foreign server; `subject` is started with `{port}` replaced. For the parts of `--all`.
pub(crate) fn foreign_command(programs: &Programs, out: &Path, subject: &[OsString]) -> Command {
    let mut command = Command::new(&programs.harness);
    command.args(harness_arguments(out, None)).arg("--").args(subject);
    command
}

/// The two programs, as cargo built them.
pub(crate) struct Programs {
    pub(crate) harness: PathBuf,
    pub(crate) server: PathBuf,
}

impl Programs {
    /// Where a release build puts them, for a command line that is only run after the build.
    pub(crate) fn expected(workspace: &Workspace) -> Self {
        Self::of_folder(&workspace.target_dir.join("release"))
    }

    /// Those that lie in a folder.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let path = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Self { harness: path(HARNESS), server: path(SERVER) }
    }
}

/// The build of both programs, as one command.
pub(crate) fn build_command(workspace: &Workspace, profile: &str) -> Command {
    let mut command = workspace.cargo();
    command.args(["build", "--locked", "--profile", profile, "--package", "lastword", "--package", "lastword-server"]);
    command.args(["--bin", HARNESS, "--bin", SERVER]);
    command
}

/// Builds both programs, with the build tools that are missing.
///
/// # Errors
/// A build tool cannot be had, or the build fails.
pub(crate) fn build(workspace: &Workspace, profile: &str, install_system: bool) -> Result<Programs> {
    let tools = tools::ensure(workspace, install_system)?;
    let mut command = build_command(workspace, profile);
    command.envs(tools.environment()).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut cargo = command.spawn().context("cannot start cargo")?;
    let output = BufReader::new(cargo.stdout.take().context("cargo has no standard output")?);
    let mut programs = Programs::expected(workspace);
    for message in Message::parse_stream(output) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read what cargo says")?
            && let Some(path) = artifact.executable
        {
            match artifact.target.name.as_str() {
                HARNESS => programs.harness = path.into(),
                SERVER => programs.server = path.into(),
                _ => {}
            }
        }
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("the build failed ({status}); cargo's own message stands above");
    }
    Ok(programs)
}

/// Clears the folder first: a harness that dies must not leave the reports of an earlier run behind as its own.
fn run_harness(mut harness: Command, out: &Path) -> Result<ExitStatus> {
    for stale in ["report.json", "junit.xml", CERTIFICATE] {
        let _ = fs::remove_file(out.join(stale));
    }
    let _ = fs::remove_dir_all(out.join("logs"));
    fs::create_dir_all(out.join("logs")).with_context(|| format!("cannot create {}", out.display()))?;
    harness.status().with_context(|| format!("cannot start {}", harness.get_program().display()))
}

/// The harness's own code; a signal is "our bug" (70), for no verdict was reached.
fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => ExitCode::from(code),
        _ => {
            eprintln!("error: the harness did not exit by itself ({status})");
            ExitCode::from(70)
        }
    }
}

/// What `lastword verify` judges again.
const CERTIFICATE: &str = "certificate.jsonl";
const HARNESS: &str = "lastword";
const SERVER: &str = "lastword-server";
pub(crate) const FIXTURE_MODEL: &str = "fixtures/model/tiny118-en-q5_0.bin";
pub(crate) const FIXTURE_AUDIO: &str = "fixtures/wavs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixtures_are_where_certify_looks_for_them() {
        let root = Workspace::find().unwrap().root;
        assert!(root.join(FIXTURE_MODEL).is_file());
        let wavs = fs::read_dir(root.join(FIXTURE_AUDIO)).unwrap().flatten();
        assert!(wavs.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "wav")).count() > 0);
    }

    #[test]
    fn stale_reports_are_gone_before_the_harness_starts() {
        let out = tempfile::tempdir().unwrap();
        fs::write(out.path().join("report.json"), "old").unwrap();
        let mut harness = Command::new(std::env::current_exe().unwrap());
        harness.arg("--help").stdout(Stdio::null());
        assert!(run_harness(harness, out.path()).unwrap().success());
        assert!(!out.path().join("report.json").exists() && out.path().join("logs").is_dir());
    }
}
