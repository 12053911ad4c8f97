//! Owns a subject that the harness starts itself: its process group, the end of its stderr, and its certain end.
//! Knows nothing of WebSockets; whether the subject serves is asked elsewhere.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::tail::Tail;

/// A running subject. Dropping it kills the whole group.
pub struct Process {
    group: Group,
}

/// Why a subject could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such command, or it may not be run.
    #[error("cannot start `{command}`: {cause}")]
    Start {
        /// The program.
        command: String,
        /// Why.
        cause: String,
    },
    /// The command has no place for the port.
    #[error("the command after `--` has no `{{port}}` in it: the subject must be told on which port to listen")]
    NoPort,
    /// No port could be had.
    #[error("cannot find a free port: {0}")]
    FreePort(std::io::Error),
}

impl Process {
    /// Starts a command in a process group of its own, with `{port}` replaced in every argument.
    ///
    /// # Errors
    /// The command cannot be started or names no port. The caller's fault.
    pub fn start(command: &[OsString], port: u16) -> Result<Self, ProcessError> {
        let arguments: Vec<OsString> = command.iter().map(|argument| with_port(argument, port)).collect();
        if arguments == command {
            return Err(ProcessError::NoPort);
        }
        let (program, rest) = arguments.split_first().ok_or(ProcessError::NoPort)?;
        let mut process = Command::new(program);
        process.args(rest).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::spawn(process).map_err(|error| ProcessError::Start {
            command: program.to_string_lossy().into_owned(),
            cause: error.to_string(),
        })?;
        group.keep_tail();
        Ok(Self { group })
    }

    /// The process id, as long as it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.group.child.id()
    }

    /// How it exited, if it has.
    pub fn exited(&mut self) -> Option<String> {
        match self.group.exited() {
            Ok(Some(status)) => Some(status.to_string()),
            Ok(None) => None,
            Err(error) => Some(format!("its state cannot be read: {error}")),
        }
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.group.tail.lines()
    }

    /// Ends the whole group and waits until it is gone: kindly at first, then not.
    pub async fn reap(mut self) {
        #[cfg(unix)]
        {
            const SIGTERM: i32 = 15;
            let _ = self.group.child.signal(SIGTERM);
            let gone = tokio::time::timeout(GRACE, self.group.child.wait()).await;
            if gone.is_ok() {
                // Stragglers of the group outlive their leader; they end with the handle.
                return;
            }
        }
        self.group.kill().await;
    }
}

const GRACE: Duration = Duration::from_secs(2);

fn with_port(argument: &OsString, port: u16) -> OsString {
    match argument.to_str() {
        Some(text) => text.replace("{port}", &port.to_string()).into(),
        None => argument.clone(),
    }
}

/// A process in a group of its own, and the last lines it wrote. Dropping it kills the whole group.
pub(crate) struct Group {
    child: Box<dyn ChildWrapper>,
    pub(crate) tail: Tail,
}

impl Group {
    /// Starts a command.
    pub(crate) fn spawn(process: Command) -> std::io::Result<Self> {
        let mut wrap = CommandWrap::from(process);
        wrap.wrap(KillOnDrop);
        #[cfg(unix)]
        wrap.wrap(process_wrap::tokio::ProcessGroup::leader());
        #[cfg(windows)]
        wrap.wrap(process_wrap::tokio::JobObject);
        Ok(Self { child: wrap.spawn()?, tail: Tail::default() })
    }

    /// Keeps the end of what it writes from here on, on every output that nobody has taken.
    pub(crate) fn keep_tail(&mut self) {
        if let Some(stdout) = self.child.stdout().take() {
            self.tail.keep(stdout);
        }
        if let Some(stderr) = self.child.stderr().take() {
            self.tail.keep(stderr);
        }
    }

    /// Its standard input, the first time.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin().take()
    }

    /// Its standard output, the first time and before its tail is kept.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout().take()
    }

    /// How it exited, if it has.
    ///
    /// # Errors
    /// Its state cannot be read.
    pub(crate) fn exited(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends the whole group at once and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What the library kills by itself is the leader only.
        let _ = self.child.start_kill();
    }
}

/// How long between two looks at a subject that starts.
const LOOK: Duration = Duration::from_millis(50);

/// How long the last look at it may take.
const CONNECT: Duration = Duration::from_secs(1);

/// Waits until the subject answers an upgrade, in whatever way; at the end of the bound it is enough that it takes connections,
/// for what becomes of them then is what a certification is about.
///
/// # Errors
/// It exited, or nobody takes connections within the bound. Says which.
pub async fn await_serving(process: &mut Process, target: &super::Target, bound: Duration) -> Result<(), String> {
    let dialler =
        crate::wire::Dialler::new(target.clone(), &crate::wire::Roots::Public).map_err(|error| error.to_string())?;
    let deadline = tokio::time::Instant::now() + bound;
    let offer = [lastword_spec::PROTOCOL.to_owned()];
    loop {
        if let Some(status) = process.exited() {
            return Err(format!("it ended ({status}) before it listened"));
        }
        let opening = dialler.open(&offer, crate::case::Credential::Good, crate::wire::OPENING);
        let opened = tokio::time::timeout_at(deadline, opening).await;
        match opened {
            Ok(crate::wire::Opened::Socket { .. } | crate::wire::Opened::Refused { .. }) => return Ok(()),
            Ok(crate::wire::Opened::Failed(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOOK).await;
            }
            Ok(crate::wire::Opened::Failed(_)) | Err(_) => {
                let address = (target.host.as_str(), target.port);
                return match tokio::time::timeout(CONNECT, tokio::net::TcpStream::connect(address)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(format!("nobody listens after {} s: {error}", bound.as_secs())),
                    Err(_) => Err(format!("no connection after {} s", bound.as_secs())),
                };
            }
        }
    }
}
