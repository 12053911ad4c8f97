//! Owns the client's process: its command with the places filled in, its environment, its input and the end of its output. Knows
//! nothing of what it sends.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lastword_spec::trace::Exited;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments, with `{url}`, `{http_url}`, `{host}`, `{port}`, `{audio}` and `{case}` in them.
    pub command: Vec<OsString>,
    /// What goes to its standard input.
    pub stdin: Stdin,
}

/// What a client gets on its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: it is closed from the start.
    #[default]
    Null,
    /// The audio as a WAV file.
    Wav,
    /// The audio as bare samples, 16 kHz mono s16le.
    Pcm,
    /// The driver protocol.
    Driver,
}

/// Why a client could not be started. The caller's fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{command}`: {cause}")]
pub struct LaunchError {
    command: String,
    cause: String,
}

impl LaunchError {
    pub(super) fn new(command: &str, cause: &dyn std::fmt::Display) -> Self {
        Self { command: command.to_owned(), cause: cause.to_string() }
    }
}

/// The values of the places of a command, and of its environment.
#[derive(Clone, Debug)]
pub(super) struct Places(pub(super) Vec<(&'static str, String)>);

/// A running client. Dropping it kills the whole group.
pub(super) struct Running {
    child: Box<dyn ChildWrapper>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    tail: Tail,
}

type Tail = Arc<Mutex<VecDeque<String>>>;

/// How many lines of its output are kept.
const TAIL_LINES: usize = 40;
const GRACE: Duration = Duration::from_secs(1);

impl Launch {
    /// Whether the command names a place of this name.
    #[must_use]
    pub fn names(&self, place: &str) -> bool {
        let place = format!("{{{place}}}");
        self.command.iter().any(|argument| argument.to_string_lossy().contains(&place))
    }

    pub(super) fn start(&self, places: &Places) -> Result<Running, LaunchError> {
        let arguments: Vec<OsString> = self.command.iter().map(|argument| places.fill(argument)).collect();
        let Some((program, rest)) = arguments.split_first() else {
            return Err(LaunchError { command: String::new(), cause: "there is no command after `--`".to_owned() });
        };
        let mut process = Command::new(program);
        process.args(rest).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.stdin(if self.stdin == Stdin::Null { Stdio::null() } else { Stdio::piped() });
        for (name, value) in &places.0 {
            process.env(format!("LASTWORD_{}", name.to_uppercase()), value);
        }
        let mut wrap = CommandWrap::from(process);
        wrap.wrap(KillOnDrop);
        #[cfg(unix)]
        wrap.wrap(process_wrap::tokio::ProcessGroup::leader());
        #[cfg(windows)]
        wrap.wrap(process_wrap::tokio::JobObject);
        let mut child = wrap.spawn().map_err(|error| LaunchError {
            command: program.to_string_lossy().into_owned(),
            cause: error.to_string(),
        })?;
        let tail = Tail::default();
        let stdin = child.stdin().take();
        let mut stdout = child.stdout().take();
        if self.stdin != Stdin::Driver
            && let Some(output) = stdout.take()
        {
            keep_tail(output, Arc::clone(&tail));
        }
        if let Some(output) = child.stderr().take() {
            keep_tail(output, Arc::clone(&tail));
        }
        Ok(Running { child, stdin, stdout, tail })
    }
}

impl Places {
    fn fill(&self, argument: &OsString) -> OsString {
        let Some(text) = argument.to_str() else { return argument.clone() };
        let filled =
            self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        filled.into()
    }
}

impl Running {
    /// How it ended, if it has.
    pub(super) fn exited(&mut self) -> Option<Exited> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(exited(status)),
            Ok(None) => None,
            Err(_) => Some(Exited { code: None, signal: None }),
        }
    }

    /// The last lines it wrote.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Ends the whole group and waits until it is gone.
    pub(super) async fn reap(mut self) -> Vec<String> {
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.tail()
    }
}

fn exited(status: ExitStatus) -> Exited {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exited { code: status.code(), signal }
}

/// Reads the output for as long as the client lives: a full pipe must not be what stops it.
fn keep_tail(output: impl AsyncRead + Unpin + Send + 'static, tail: Tail) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
}
