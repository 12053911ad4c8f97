//! The SDK of this house (`lastword-client`) behind the driver protocol. Owns the translation of its public interface and nothing
//! else: what an application could not write is not done here either.
//!
//! `AudioSender::finish(self)` takes the sender away. Audio and a flush after it cannot be written down: such a call fails with that
//! reason. A second end finds nothing that could be ended, as in any application that keeps its sender in an `Option`.

mod events;

use std::future::Future;
use std::process::ExitCode;

use lastword_client::{AudioSender, ConnectError, ConnectOptions, Events, Retry};
use lastword_driver::{Client, ClientOutcome, Ended, NotStarted};
use tokio::sync::{mpsc, oneshot};

use events::Asked;
pub use events::SdkEvents;

/// How the SDK comes to its server, and what is left of its sessions.
pub trait Reach: Send {
    /// Connects and begins a session.
    fn connect(
        &mut self,
        url: &str,
        options: ConnectOptions,
    ) -> impl Future<Output = Result<(AudioSender, Events), ConnectError>> + Send;

    /// How many tasks or transports of the SDK live.
    fn living(&self) -> u64;
}

/// The SDK, driven.
pub struct Sdk<R> {
    reach: R,
    retry: Option<Retry>,
    redial: Option<Retry>,
    sender: Option<AudioSender>,
    asking: Option<mpsc::UnboundedSender<Asked>>,
    leaving: Option<oneshot::Sender<()>>,
    closed: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<R: Reach> Sdk<R> {
    /// Nothing has begun.
    pub fn new(reach: R) -> Self {
        Self { reach, retry: None, redial: None, sender: None, asking: None, leaving: None, closed: None }
    }
}

impl<R> Sdk<R> {
    /// The same, and attempts to connect are repeated.
    #[must_use]
    pub fn retrying(self, retry: Retry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// The same, and a session that is lost goes on on a new connection.
    #[must_use]
    pub fn redialling(self, redial: Retry) -> Self {
        Self { redial: Some(redial), ..self }
    }
}

/// Sockets, in a runtime that has no tasks but the SDK's. Of `wss` it trusts the root that the harness names, too.
#[derive(Clone, Copy, Debug)]
pub struct Sockets;

impl Reach for Sockets {
    async fn connect(&mut self, url: &str, mut options: ConnectOptions) -> Result<(AudioSender, Events), ConnectError> {
        if let Some(file) = std::env::var_os("LASTWORD_CA") {
            let root = std::fs::read_to_string(file).map_err(|error| ConnectError::Certificates(error.to_string()))?;
            options = options.extra_roots_pem(root);
        }
        lastword_client::connect(url, options).await
    }

    fn living(&self) -> u64 {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64
    }
}

/// The client's name and version, as the driver says hello.
#[must_use]
pub fn name() -> String {
    format!("lastword-client {}", env!("CARGO_PKG_VERSION"))
}

/// Drives the SDK over sockets, on standard input and output. With the argument `--retry` it repeats attempts to connect as it does by
/// default where an application asks for that, with `--redial` it goes on with lost sessions so; any other argument is refused.
#[must_use]
pub fn command() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sdk = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Sdk::new(Sockets),
        ["--retry"] => Sdk::new(Sockets).retrying(Retry::default()),
        ["--redial"] => Sdk::new(Sockets).redialling(Retry::default()),
        _ => {
            eprintln!("lastword-client-driver: the only argument is --retry or --redial, not {}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    lastword_driver::run(sdk, &name(), &[])
}

const FINISHED: &str = "the sender is gone: `finish(self)` took it, so this call cannot be written";

impl<R: Reach> Client for Sdk<R> {
    type Events = SdkEvents;

    async fn start(&mut self, url: &str, token: Option<&str>) -> Result<SdkEvents, NotStarted> {
        let options = ConnectOptions::default();
        let options = token.map_or(Ok(options.clone()), |token| options.token(token)).map_err(not_started)?;
        let options = self.retry.map_or(options.clone(), |retry| options.retry(retry));
        let options = self.redial.map_or(options.clone(), |redial| options.redial(redial));
        let (sender, events) = self.reach.connect(url, options).await.map_err(not_started)?;
        let (asking, asked) = mpsc::unbounded_channel();
        let (leaving, left) = oneshot::channel();
        (self.sender, self.asking, self.leaving) = (Some(sender), Some(asking), Some(leaving));
        self.closed = Some(Box::pin(events.closed()));
        Ok(SdkEvents::new(events, asked, left))
    }

    async fn push(&mut self, pcm: Vec<u8>) -> Result<(), String> {
        let sender = self.sender.as_mut().ok_or(FINISHED)?;
        sender.push_bytes(&pcm).await.map_err(|error| error.to_string())
    }

    async fn flush(&mut self, number: u32) -> Result<(), String> {
        let sender = self.sender.as_mut().ok_or(FINISHED)?;
        let answer = Box::pin(sender.flush());
        if let Some(asking) = &self.asking {
            // An application that does not listen any more is not told.
            let _ = asking.send(Asked { number, answer });
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), String> {
        if let Some(sender) = self.sender.take() {
            sender.finish();
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), String> {
        match self.sender.take() {
            Some(sender) => sender.cancel(),
            // After the end the events are what is left to be dropped.
            None => drop(self.leaving.take().map(|leaving| leaving.send(()))),
        }
        Ok(())
    }

    async fn left(&mut self) -> u64 {
        if let Some(closed) = self.closed.take() {
            closed.await;
        }
        self.reach.living()
    }
}

/// What the SDK's own type says of a connection that did not come about.
fn not_started(error: ConnectError) -> NotStarted {
    let code = match &error {
        ConnectError::Timeout { .. } => "timeout",
        ConnectError::Io(_) => "connect_failed",
        ConnectError::Refused { .. } => "refused",
        ConnectError::Handshake(_) => "handshake",
        ConnectError::BadUrl(_) | ConnectError::BadHeader { .. } | ConnectError::Options(_) => "misuse",
        ConnectError::Certificates(_) => "certificates",
    };
    let retryable = Some(error.is_retryable());
    let ended = Ended { outcome: ClientOutcome::Error, code: Some(code.to_owned()), retryable };
    NotStarted { failed: error.to_string(), ended }
}
