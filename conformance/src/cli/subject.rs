//! Owns the subject of a command: the arguments that say where it is and how it is started, its process, and what becomes of it
//! however the command ends.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::UsageError;
use super::shell::{option, quote};
use crate::exit;
use crate::redact::Redactor;
use crate::subject::{FreePort, Process, Target, await_serving};
use crate::wire::{Dialler, Roots};

/// Where the subject is, or how it is started.
#[derive(Args)]
pub(super) struct SubjectArgs {
    /// The address of a server that runs already: ws:// or wss://.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub(super) url: Option<String>,
    /// A header for every upgrade, `NAME:VALUE`. May be given more than once. The value is shown nowhere.
    #[arg(long, value_name = "NAME:VALUE")]
    pub(super) header: Vec<String>,
    /// The credential of a server that demands one. It is sent as `Authorization: Bearer` and in `config`, and shown nowhere.
    #[arg(long, value_name = "TOKEN", env = "LASTWORD_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// A PEM file with further roots for `wss`, besides the public ones.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// The wire that the server speaks: a dialect that comes with the harness, or a file that describes one.
    #[arg(long, value_name = "NAME|FILE", default_value = DEFAULT_DIALECT)]
    pub(super) dialect: String,
    /// The path of the WebSocket on a server that is started here [default: /v1/listen, or that of the dialect].
    #[arg(long, value_name = "PATH", requires = "command")]
    pub(super) path: Option<String>,
    /// How many seconds a server that is started here may take until it answers an upgrade; then it is certified as it is.
    #[arg(long, value_name = "S", default_value_t = DEFAULT_START_WAIT_S, value_parser = clap::value_parser!(u64).range(1..), requires = "command")]
    pub(super) start_wait: u64,
    /// The command that starts the server, `{port}` in the place of the port. Everything after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl SubjectArgs {
    /// The certificates that a `wss` subject may show.
    pub(super) fn roots(&self) -> Roots {
        self.ca.clone().map_or(Roots::Public, Roots::With)
    }

    /// What reaches the subject, in its wire.
    pub(super) fn dialler(&self, target: Target) -> Result<Dialler, UsageError> {
        let dialect = crate::dialect::choose(&self.dialect).map_err(UsageError::from)?;
        Ok(Dialler::new(target, &self.roots()).map_err(UsageError::from)?.speaking(dialect))
    }

    /// The path of the WebSocket on a server that is started here.
    fn path(&self) -> Result<String, UsageError> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let own = crate::dialect::choose(&self.dialect).map_err(UsageError::from)?.socket_path();
        Ok(if own.is_empty() { DEFAULT_PATH.to_owned() } else { own })
    }

    /// The command behind the subject, as a person would type it; `None` where it is not started here.
    pub(super) fn command_line(&self) -> Option<String> {
        let words: Vec<String> = self.command.iter().map(|word| quote(&word.to_string_lossy())).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The words of a command line that reach the same subject, without secrets, but for the command.
    pub(super) fn words(&self, target: &Target) -> Vec<String> {
        let mut words = Vec::new();
        if self.url.is_some() {
            words.push(quote(&target.shown()));
        }
        for header in &self.header {
            let name = header.split(':').next().unwrap_or_default().trim();
            words.push(format!("--header {}", quote(&format!("{name}: ..."))));
        }
        if self.token.is_some() {
            words.push("--token \"$LASTWORD_TOKEN\"".to_owned());
        }
        if let Some(ca) = &self.ca {
            words.push(format!("--ca {}", quote(&ca.display().to_string())));
        }
        if self.dialect != DEFAULT_DIALECT {
            words.push(format!("--dialect {}", quote(&self.dialect)));
        }
        if let Some(path) = &self.path {
            words.push(format!("--path {}", quote(path)));
        }
        words.extend(option("--start-wait", Some(self.start_wait).filter(|wait_s| *wait_s != DEFAULT_START_WAIT_S)));
        words
    }
}

const DEFAULT_PATH: &str = "/v1/listen";
/// Version 1 itself.
pub(super) const DEFAULT_DIALECT: &str = "lastword";
const DEFAULT_START_WAIT_S: u64 = 45;

/// Runs a command that may start a process for its subject. Nothing of that is left behind, however the command ends.
pub(super) fn driven(
    command: impl AsyncFnOnce(&mut Option<Process>) -> Result<u8, UsageError>,
) -> Result<u8, UsageError> {
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let mut process = None;
        let last_words = || eprintln!("interrupted: nothing was decided");
        let code = unless_interrupted(command(&mut process), last_words).await.unwrap_or(Ok(exit::UNDECIDED));
        if let Some(process) = process {
            process.reap().await;
        }
        code
    });
    // A task that still waits for a dead peer must not keep the command.
    runtime.shutdown_timeout(SHUTDOWN);
    code
}

/// Runs a command that starts processes and drops what holds them when it ends; `None` where a person ended it first, which
/// `last_words` tells of.
///
/// # Errors
/// There is no runtime.
pub(super) fn until_interrupted<T>(
    command: impl Future<Output = T>,
    last_words: impl FnOnce(),
) -> Result<Option<T>, UsageError> {
    let runtime = runtime()?;
    let came = runtime.block_on(unless_interrupted(command, last_words));
    // The processes of tasks that are dropped here end with their groups.
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(came)
}

const SHUTDOWN: Duration = Duration::from_secs(1);

fn runtime() -> Result<tokio::runtime::Runtime, UsageError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| UsageError(format!("cannot start: {error}")))
}

async fn unless_interrupted<T>(command: impl Future<Output = T>, last_words: impl FnOnce()) -> Option<T> {
    tokio::select! {
        // Who can say what had been done by then says it.
        biased;
        came = command => Some(came),
        () = interrupted() => {
            last_words();
            None
        }
    }
}

/// Ends when a person or a supervisor wants the command to end.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// The subject: an address, or a process of ours that answers an upgrade.
pub(super) async fn open(arguments: &SubjectArgs, process: &mut Option<Process>) -> Result<Target, UsageError> {
    let mut port = None;
    let mut target = match &arguments.url {
        Some(url) => Target::parse(url).map_err(UsageError::from)?,
        None => {
            let chosen = port.insert(FreePort::choose().map_err(UsageError::from)?).number();
            *process = Some(Process::start(&arguments.command, chosen).map_err(UsageError::from)?);
            let pid = process.as_ref().and_then(Process::id);
            Target { pid, ..Target::local(chosen, &arguments.path()?) }
        }
    };
    for header in &arguments.header {
        target.add_header(header).map_err(UsageError::from)?;
    }
    target.token.clone_from(&arguments.token);
    if let Some(process) = process {
        let bound = Duration::from_secs(arguments.start_wait);
        if let Err(why) = await_serving(process, &target, bound).await {
            let tail = process.tail();
            let said = if tail.is_empty() { "it wrote nothing".to_owned() } else { tail.join("\n  ") };
            let redactor = Redactor::new(&target.secrets());
            return Err(UsageError(redactor.redact(&format!("the subject does not serve: {why}\n  {said}"))));
        }
    }
    // From here on the subject holds it.
    drop(port);
    Ok(target)
}
