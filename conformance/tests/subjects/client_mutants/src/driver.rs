//! Owns level 1: the driver protocol of the harness, JSON lines in and out, and nothing of what it drives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::handle::{Canceller, Handle};
use crate::link::Dial;
use crate::options::{Ending, Options};

/// Makes the calls that it is told to, one after the other, and says what came of them. `dialler` makes the way to a URL.
pub async fn drive(
    stdin: impl AsyncRead + Unpin + Send + 'static,
    stdout: impl AsyncWrite + Unpin + Send + 'static,
    dialler: impl Fn(&str) -> Dial + Send + 'static,
    options: Options,
) -> Ending {
    let (saying, said) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write(stdout, said));
    let dies = match () {
        () if options.has(Fault::GarbageCrashes) => Some(Ending::Abort),
        () if options.has(Fault::GarbageExits) => Some(Ending::Code(1)),
        () if options.has(Fault::ExitsAtTheEnd) => Some(Ending::Code(0)),
        () => None,
    };
    let (crash, crashed) = tokio::sync::oneshot::channel();
    let obeying = obey(stdin, saying, dialler, options, crash);
    tokio::select! {
        () = obeying => {
            let _ = writing.await;
            Ending::Code(0)
        }
        Ok(()) = crashed, if dies.is_some() => dies.unwrap_or(Ending::Abort),
    }
}

async fn obey(
    stdin: impl AsyncRead + Unpin,
    saying: mpsc::UnboundedSender<Value>,
    dialler: impl Fn(&str) -> Dial,
    options: Options,
    crash: tokio::sync::oneshot::Sender<()>,
) {
    let mut lines = BufReader::new(stdin).lines();
    let mut handle: Option<Handle> = None;
    let mut crash = Some(crash);
    // What came while a call was under way.
    let mut queue = VecDeque::new();
    loop {
        let line = match queue.pop_front() {
            Some(line) => line,
            None => match lines.next_line().await {
                Ok(Some(line)) => line,
                _ => return,
            },
        };
        let order: Value = serde_json::from_str(&line).unwrap_or_default();
        let number = order["number"].as_u64().unwrap_or(0);
        let returned = |what, result| returned(number, what, result);
        let what = order["do"].as_str().unwrap_or_default();
        let answer = match (what, &mut handle) {
            ("hello", _) => {
                let client = format!("lastword-client-mutants {}", env!("CARGO_PKG_VERSION"));
                json!({"hello": {"version": 1, "client": client, "lacks": []}})
            }
            ("start", _) => {
                let url = order["url"].as_str().unwrap_or_default().to_owned();
                let token = order["token"].as_str().map(str::to_owned).or_else(|| options.token.clone());
                let (started, told) = Handle::start(dialler(&url), url, Options { token, ..options.clone() });
                tokio::spawn(pass_on(told, saying.clone(), crash.take()));
                handle = Some(started);
                returned(what, Ok(()))
            }
            ("push", Some(handle)) => {
                let pcm = BASE64_STANDARD.decode(order["pcm_s16le_base64"].as_str().unwrap_or_default());
                let beside = Beside { canceller: handle.canceller(), living: handle.living(), saying: &saying };
                let mut cancels = false;
                let result = match pcm {
                    Ok(pcm) => {
                        let pushing = handle.push(pcm);
                        tokio::pin!(pushing);
                        loop {
                            let line = tokio::select! {
                                biased;
                                result = &mut pushing => break result,
                                line = lines.next_line() => line,
                            };
                            let Ok(Some(line)) = line else { return };
                            match beside.takes(&line) {
                                Taken::Quit => return,
                                Taken::Close => cancels = true,
                                Taken::Report => {}
                                Taken::Not => queue.push_back(line),
                            }
                        }
                    }
                    Err(error) => Err(error.to_string()),
                };
                if cancels {
                    handle.closes();
                }
                returned(what, result)
            }
            ("flush", Some(handle)) => returned(what, handle.flush(number).await),
            ("end", Some(handle)) => returned(what, handle.end().await),
            ("close", Some(handle)) => {
                handle.closes();
                returned(what, handle.canceller().cancel())
            }
            ("report", Some(handle)) => {
                handle.closed().await;
                // The last task is counted until it has returned.
                tokio::task::yield_now().await;
                left(&handle.living())
            }
            ("quit", _) => return,
            _ => continue,
        };
        if saying.send(answer).is_err() {
            return;
        }
    }
}

fn returned(number: u64, what: &str, result: Result<(), String>) -> Value {
    match result {
        Ok(()) => json!({"returned": {"number": number, "what": what}}),
        Err(why) => json!({"returned": {"number": number, "what": what, "failed": why}}),
    }
}

fn left(living: &AtomicUsize) -> Value {
    json!({"told": {"what": "left", "count": living.load(Ordering::SeqCst)}})
}

/// What does not wait for a push that has not come back.
struct Beside<'a> {
    canceller: Canceller,
    living: Arc<AtomicUsize>,
    saying: &'a mpsc::UnboundedSender<Value>,
}

enum Taken {
    Close,
    Report,
    Quit,
    /// It waits.
    Not,
}

impl Beside<'_> {
    fn takes(&self, line: &str) -> Taken {
        let order: Value = serde_json::from_str(line).unwrap_or_default();
        let (answer, taken) = match order["do"].as_str().unwrap_or_default() {
            "close" => {
                let number = order["number"].as_u64().unwrap_or(0);
                (returned(number, "close", self.canceller.cancel()), Taken::Close)
            }
            "report" => (left(&self.living), Taken::Report),
            "quit" => return Taken::Quit,
            _ => return Taken::Not,
        };
        let _ = self.saying.send(answer);
        taken
    }
}

async fn pass_on(
    mut told: mpsc::UnboundedReceiver<Value>,
    saying: mpsc::UnboundedSender<Value>,
    crash: Option<tokio::sync::oneshot::Sender<()>>,
) {
    let mut has_ended = false;
    while let Some(one) = told.recv().await {
        has_ended |= one["what"] == "ended";
        let _ = saying.send(json!({"told": one}));
    }
    if let Some(crash) = crash.filter(|_| !has_ended) {
        let _ = crash.send(());
    }
}

async fn write(mut stdout: impl AsyncWrite + Unpin, mut said: mpsc::UnboundedReceiver<Value>) {
    while let Some(one) = said.recv().await {
        let line = format!("{one}\n");
        if stdout.write_all(line.as_bytes()).await.is_err() || stdout.flush().await.is_err() {
            return;
        }
    }
}
