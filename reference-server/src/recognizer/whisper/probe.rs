//! Trying a model in a child process. Owns: the child's side and the parent's side of that trial, and the bundled recording.
//! Must not know: sessions, the layout of a model file.
//!
//! whisper.cpp ends the process on some broken models, and no panic handler can stop it: so the first process to use a file
//! that nobody knows is one that may die.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::load::{ModelError, WhisperOptions, load_checked, try_out};
use crate::recognizer::model_file::check;

/// The subcommand of `lastword-server` that is the child's side. It is not meant for people.
pub const PROBE_SUBCOMMAND: &str = "probe-model";

/// The bundled recording: "please turn on the garage heater", synthesised.
pub(super) const PROBE_WAV: &[u8] = include_bytes!("../../../assets/probe.wav");

/// How long a child may take. A large model on a slow disk needs its time; a broken one may never come back.
const PROBE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// How to start the child process: `program PROBE_SUBCOMMAND MODEL`.
#[derive(Debug, Clone)]
pub struct ProbeCommand {
    program: PathBuf,
}

impl ProbeCommand {
    /// `program` must be a `lastword-server`.
    #[must_use]
    pub const fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// The program that is running, which must be a `lastword-server`.
    ///
    /// # Errors
    /// When the system does not tell which program that is.
    pub fn this_program() -> std::io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProbeAnswer {
    Heard(String),
    Refused(String),
}

/// The child's side: loads the model, has it transcribe the bundled recording, and says on stdout what came of it.
#[must_use]
pub fn probe_child_main(model: &Path) -> ExitCode {
    let (answer, code) = match try_model(model) {
        Ok(heard) => (ProbeAnswer::Heard(heard), ExitCode::SUCCESS),
        Err(error) => (ProbeAnswer::Refused(error.to_string()), ExitCode::FAILURE),
    };
    match serde_json::to_string(&answer) {
        Ok(line) => println!("{line}"),
        Err(_) => return ExitCode::FAILURE,
    }
    code
}

fn try_model(model: &Path) -> Result<String, ModelError> {
    // No child of the child: this is the process that may die.
    let options = WhisperOptions::new(model.to_owned(), NonZeroUsize::MIN, ProbeCommand::new(PathBuf::new()));
    let checked = check(model)?;
    let loaded = std::sync::Arc::new(load_checked(&options, &checked)?);
    let mut worker = loaded.worker().map_err(|error| ModelError::Engine(error.to_string()))?;
    try_out(&mut worker, &checked)
}

/// The parent's side: what the model said, or how the trial failed.
pub(super) fn run_probe(probe: &ProbeCommand, model: &Path) -> Result<String, String> {
    let mut child = Command::new(&probe.program)
        .arg(PROBE_SUBCOMMAND)
        .arg(model)
        // ggml would start a debugger to print where it aborted.
        .env("GGML_NO_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the child process did not start: {error}"))?;
    outcome(&mut child, PROBE_LIMIT)
}

fn outcome(child: &mut Child, limit: Duration) -> Result<String, String> {
    let status = wait(child, limit)?;
    let mut said = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut said).map_err(|error| format!("its answer cannot be read: {error}"))?;
    }
    match serde_json::from_str(said.trim()) {
        Ok(ProbeAnswer::Heard(text)) if status.success() => Ok(text),
        Ok(ProbeAnswer::Refused(why)) => Err(why),
        _ => Err(format!("whisper.cpp ended the process ({})", describe(status))),
    }
}

/// Waits for the child, and ends it when it takes too long. Its one line of output fits the pipe.
fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if started.elapsed() < limit => std::thread::sleep(POLL),
            Ok(None) => {
                // It may have ended meanwhile; either way it is waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {} s", limit.as_secs()));
            }
            Err(error) => return Err(format!("the child process cannot be waited for: {error}")),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return format!("signal {signal}");
        }
    }
    status.code().map_or_else(|| "no exit status".to_owned(), |code| format!("exit status {code}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn outcome_of(script: &str, limit: Duration) -> Result<String, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        outcome(&mut shell.spawn().expect("a shell"), limit)
    }

    #[test]
    fn what_the_child_said_counts_only_when_it_also_ended_well() {
        let said = r#"echo '{"heard":"one two"}'"#;
        assert_eq!(outcome_of(said, PROBE_LIMIT), Ok("one two".to_owned()));
        let refused = r#"echo '{"refused":"it is bad"}'; exit 1"#;
        assert_eq!(outcome_of(refused, PROBE_LIMIT), Err("it is bad".to_owned()));
        let died = outcome_of(&format!("{said}; kill -ABRT $$"), PROBE_LIMIT);
        assert_eq!(died, Err("whisper.cpp ended the process (signal 6)".to_owned()));
    }

    #[test]
    fn a_child_that_dies_is_named_by_its_signal_or_status() {
        for (script, how) in [("kill -SEGV $$", "signal 11"), ("kill -FPE $$", "signal 8"), ("exit 7", "exit status 7")]
        {
            assert_eq!(outcome_of(script, PROBE_LIMIT), Err(format!("whisper.cpp ended the process ({how})")));
        }
    }

    #[test]
    fn a_child_that_never_ends_is_ended() {
        let error = outcome_of("exec sleep 1000", Duration::ZERO).expect_err("it would sleep on");
        assert!(error.contains("did not end"), "{error}");
    }
}
