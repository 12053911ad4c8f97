//! The driver protocol of `lastword certify client --driver`, version 1, for clients in Rust.
//!
//! Owns the lines on standard input and output, and nothing of any client. A client is adapted by a [`Client`] and its [`Events`];
//! [`run`] then obeys the harness until it says quit. Nothing here repairs a client: there are no timeouts, no retries and no calls
//! that the harness did not ask for. Everything runs in one task, and no other is started: what else lives in the runtime is the
//! client's.

mod obey;

use std::future::Future;
use std::process::ExitCode;

use lastword_spec::driver::LineError;
pub use lastword_spec::driver::{DRIVER_VERSION, Lack};
pub use lastword_spec::trace::{ClientOutcome, Told, ToldWhat};
pub use obey::drive;

/// What a client's public interface is asked for. The calls come in the harness's order, each when the one before has come back; an
/// `Err` is the client's refusal in its own words. A `close` does not wait for a push, a flush or an end: the future of that call is
/// dropped first, as an application does that cancels. A panic ends an application, and so the driver.
pub trait Client: Send {
    /// What the application iterates over.
    type Events: Events;

    /// Connect and begin a session; it need not be ready when this returns.
    fn start(
        &mut self,
        url: &str,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Self::Events, NotStarted>> + Send;

    /// Hand over audio: 16 kHz, mono, signed 16 bit little endian.
    fn push(&mut self, pcm: Vec<u8>) -> impl Future<Output = Result<(), String>> + Send;

    /// Ask for the finals of what was handed over; the number comes back in [`ToldWhat::Flushed`] or [`ToldWhat::FlushFailed`].
    fn flush(&mut self, number: u32) -> impl Future<Output = Result<(), String>> + Send;

    /// The input is over.
    fn end(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Cancel.
    fn close(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// After the end, when the client has closed: how many tasks, threads or sockets of the session are left.
    fn left(&mut self) -> impl Future<Output = u64> + Send;
}

/// The client's own iterator.
pub trait Events: Send {
    /// The next event, or the client's `Err` in its own words; `None` at the end of the session. An `Err` behind which nothing comes
    /// is the end that the client raised, and [`ended`](Self::ended) is not asked.
    fn next(&mut self) -> impl Future<Output = Option<Result<Told, String>>> + Send;

    /// After the last event: how the session ended.
    fn ended(&mut self) -> Ended;
}

/// How a session ended, in the client's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the application is told.
    pub outcome: ClientOutcome,
    /// Why, where the client gives a code.
    pub code: Option<String>,
    /// Whether the same may succeed later, where the client says.
    pub retryable: Option<bool>,
}

/// A session that never began. There is nothing to iterate over: the call failed, and that is its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// The client's refusal.
    pub failed: String,
    /// What that is among the ways in which a session ends.
    pub ended: Ended,
}

/// Why a driver stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The harness's fault.
    #[error("an order cannot be read: {0}")]
    Order(#[from] LineError),
    /// Standard input or output broke.
    #[error("the harness cannot be heard or told: {0}")]
    Io(#[from] std::io::Error),
}

/// Obeys the harness on standard input and output until it says quit or goes away, in a runtime of its own. `name` is the client
/// with its version, `lacks` the calls that it does not have. What the client leaves behind was counted; it does not keep the
/// process.
pub fn run<C: Client>(client: C, name: &str, lacks: &[Lack]) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&error.into()),
    };
    let driving = drive(client, name, lacks, tokio::io::stdin(), tokio::io::stdout());
    let driven = runtime.block_on(driving);
    // A read of standard input that nobody waits for any more would hold an orderly shutdown.
    runtime.shutdown_background();
    driven.map_or_else(|error| told(&error), |()| ExitCode::SUCCESS)
}

fn told(error: &DriveError) -> ExitCode {
    eprintln!("lastword-driver: {error}");
    ExitCode::FAILURE
}
