//! Owns the client's program: its command with the places filled in, its environment, its input and the end of its output; or, in
//! tests, a task of this process that stands for it. Knows nothing of what it sends.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use lastword_spec::trace::Exited;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::memory::Pipe;
use crate::subject::{Group, Tail};

/// What a client is started with.
#[derive(Clone)]
pub struct Launch {
    /// The client.
    pub program: Program,
    /// What goes to its standard input.
    pub stdin: Stdin,
}

/// What a client is.
#[derive(Clone)]
pub enum Program {
    /// A program and its arguments, with `{url}`, `{http_url}`, `{host}`, `{port}`, `{audio}`, `{case}` and, where it dials by
    /// TLS, `{ca}` in them.
    Command(Vec<OsString>),
    /// A task of this process whose connections are pipes in memory: with paused time a run costs what it computes, and nothing of
    /// what it waits. The future ends as the process would.
    InMemory(Arc<dyn Fn(Surroundings) -> EndsAs + Send + Sync>),
}

/// How a client in memory ends.
pub type EndsAs = Pin<Box<dyn Future<Output = Exited> + Send>>;

/// What a client in memory has in the place of arguments, sockets and standard streams.
pub struct Surroundings {
    /// The URL that it would be given.
    pub url: String,
    /// The file of its audio.
    pub audio: PathBuf,
    /// Where it hands over the far ends of the connections that it opens; nobody listens any more where that fails.
    pub dial: mpsc::UnboundedSender<Pipe>,
    /// Its standard input, of a driver.
    pub stdin: DuplexStream,
    /// Its standard output, of a driver.
    pub stdout: DuplexStream,
    /// Its standard error, where its log goes.
    pub stderr: DuplexStream,
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

/// The place of the file with the root that a client of `wss` must trust, and what TLS libraries take such a file from.
pub(super) const ROOT_PLACE: &str = "ca";
const ROOT_VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];

/// The writing end of a client's standard input.
pub(super) type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// The reading end of a client's standard output.
pub(super) type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A running client. Dropping it ends it and everything it started.
pub(super) struct Running {
    body: Body,
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Option<Output>,
}

enum Body {
    Process(Group),
    Task { task: JoinHandle<Exited>, tail: Tail },
}

/// How much a standard stream in memory holds.
const STREAM_BYTES: usize = 1 << 20;

impl Launch {
    /// Whether the command names a place of this name.
    #[must_use]
    pub fn names(&self, place: &str) -> bool {
        let place = format!("{{{place}}}");
        match &self.program {
            Program::Command(command) => command.iter().any(|argument| argument.to_string_lossy().contains(&place)),
            Program::InMemory(_) => true,
        }
    }

    /// Starts the client; in memory it dials by `dial`. Its output is looked through for the credential.
    pub(super) fn start(
        &self,
        places: &Places,
        token: Option<&str>,
        dial: mpsc::UnboundedSender<Pipe>,
    ) -> Result<Running, LaunchError> {
        match &self.program {
            Program::Command(command) => self.start_process(command, places, token),
            Program::InMemory(client) => {
                let (ours_in, stdin) = tokio::io::duplex(STREAM_BYTES);
                let (ours_out, stdout) = tokio::io::duplex(STREAM_BYTES);
                let (url, audio) = (
                    places.value("url").unwrap_or_default().to_owned(),
                    places.value("audio").unwrap_or_default().into(),
                );
                let (stderr, ours_err) = tokio::io::duplex(STREAM_BYTES);
                let tail = Tail::looking_for(token);
                tail.keep(ours_err);
                let task = tokio::spawn(client(Surroundings { url, audio, dial, stdin, stdout, stderr }));
                let is_piped = self.stdin != Stdin::Null;
                Ok(Running {
                    body: Body::Task { task, tail },
                    stdin: is_piped.then_some(Box::new(ours_in)),
                    stdout: (self.stdin == Stdin::Driver).then_some(Box::new(ours_out)),
                })
            }
        }
    }

    fn start_process(
        &self,
        command: &[OsString],
        places: &Places,
        token: Option<&str>,
    ) -> Result<Running, LaunchError> {
        let arguments: Vec<OsString> = command.iter().map(|argument| places.fill(argument)).collect();
        let Some((program, rest)) = arguments.split_first() else {
            return Err(LaunchError { command: String::new(), cause: "there is no command after `--`".to_owned() });
        };
        let mut process = Command::new(program);
        process.args(rest).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.stdin(if self.stdin == Stdin::Null { Stdio::null() } else { Stdio::piped() });
        for (name, value) in &places.0 {
            process.env(format!("LASTWORD_{}", name.to_uppercase()), value);
        }
        if let Some(root) = places.value(ROOT_PLACE) {
            process.envs(ROOT_VARIABLES.map(|name| (name, root)));
        }
        let mut group = Group::spawn(process).map_err(|error| LaunchError::new(&program.to_string_lossy(), &error))?;
        group.tail = Tail::looking_for(token);
        let stdin = group.take_stdin().map(|stdin| Box::new(stdin) as Input);
        let stdout = if self.stdin == Stdin::Driver { group.take_stdout() } else { None };
        group.keep_tail();
        let stdout = stdout.map(|stdout| Box::new(stdout) as Output);
        Ok(Running { body: Body::Process(group), stdin, stdout })
    }
}

impl Places {
    fn fill(&self, argument: &OsString) -> OsString {
        let Some(text) = argument.to_str() else { return argument.clone() };
        let filled =
            self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        filled.into()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(place, _)| *place == name).map(|(_, value)| value.as_str())
    }
}

impl Running {
    /// How it ended, if it has.
    pub(super) async fn exited(&mut self) -> Option<Exited> {
        match &mut self.body {
            Body::Process(group) => match group.exited() {
                Ok(Some(status)) => Some(exited(status)),
                Ok(None) => None,
                Err(_) => Some(Exited { code: None, signal: None }),
            },
            // A task that panicked is a process that ends with the code of a panic.
            Body::Task { task, .. } if task.is_finished() => {
                Some(task.await.unwrap_or(Exited { code: Some(101), signal: None }))
            }
            Body::Task { .. } => None,
        }
    }

    /// What of its output repeated the credential since this was asked last.
    pub(super) fn leaked(&self) -> Vec<String> {
        match &self.body {
            Body::Process(group) => group.tail.leaked(),
            Body::Task { tail, .. } => tail.leaked(),
        }
    }

    /// Ends it with everything it started and waits until it is gone: the last lines it wrote, and what repeated the credential
    /// since that was asked last.
    pub(super) async fn reap(self) -> (Vec<String>, Vec<String>) {
        let tail = match self.body {
            Body::Process(mut group) => {
                group.kill().await;
                group.tail.clone()
            }
            Body::Task { task, tail } => {
                task.abort();
                tail
            }
        };
        tail.drained().await;
        (tail.lines(), tail.leaked())
    }
}

fn exited(status: ExitStatus) -> Exited {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exited { code: status.code(), signal }
}
