//! Owns the harness's end of the driver protocol: it numbers the calls, notes them and what comes back. What the lines look like
//! stands in `lastword_spec::driver`; what is asked when is the script's business.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use lastword_spec::driver::{DRIVER_VERSION, Hello, Line, Order};
use lastword_spec::trace::{Called, EventKind, ToldWhat};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::host::Numbers;
use super::launch::{Input, Output};
use crate::record::Recorder;

/// The harness's end of a driver.
pub(super) struct Driver {
    stdin: Input,
    number: u32,
    heard: watch::Receiver<Said>,
    /// What a driver says after it was let go belongs to nobody.
    _listening: JoinSet<()>,
}

/// What the driver has said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) hello: Option<Hello>,
    pub(super) returned: BTreeSet<u32>,
    pub(super) told: Vec<ToldWhat>,
    /// Why its first line that is none of the protocol is none.
    pub(super) unread: Option<String>,
    /// Its output ended.
    pub(super) is_over: bool,
}

impl Said {
    /// The public iterator of the session ended.
    pub(super) fn is_ended(&self) -> bool {
        self.is_over || self.told.contains(&ToldWhat::Ended)
    }
}

impl Driver {
    /// Takes over both ends of a driver's process. What it says is noted as it comes.
    pub(super) fn new(stdin: Input, stdout: Output, numbers: Arc<Numbers>, recorder: Arc<Recorder>) -> Self {
        let (saying, heard) = watch::channel(Said::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(stdout, saying, numbers, recorder));
        Self { stdin, number: 0, heard, _listening: listening }
    }

    /// Something to wait on.
    pub(super) fn heard(&self) -> watch::Receiver<Said> {
        self.heard.clone()
    }

    pub(super) async fn hello(&mut self) {
        self.write(&Order::Hello { version: DRIVER_VERSION }).await;
    }

    /// Makes a call and notes it; its number.
    pub(super) async fn call(&mut self, call: &Calling<'_>, conn: u32, recorder: &Recorder) -> u32 {
        self.number += 1;
        let number = self.number;
        let order = match call {
            Calling::Start { url, token } => {
                Order::Start { number, url: (*url).to_owned(), token: token.map(str::to_owned) }
            }
            Calling::Push(pcm) => {
                Order::Push { number, audio_ms: pcm.len() as u64 / 32, pcm_s16le_base64: STANDARD.encode(pcm) }
            }
            Calling::Flush => Order::Flush { number },
            Calling::End => Order::End { number },
            Calling::Close => Order::Close { number },
        };
        let audio_ms = if let Order::Push { audio_ms, .. } = &order { Some(*audio_ms) } else { None };
        if let Some((number, what)) = order.call() {
            recorder.note(conn, EventKind::Called(Called { number, what, audio_ms }));
        }
        self.write(&order).await;
        number
    }

    /// How many calls were made.
    pub(super) const fn calls(&self) -> u32 {
        self.number
    }

    /// Asks what is left of the session.
    pub(super) async fn report(&mut self) {
        self.write(&Order::Report {}).await;
    }

    /// Tells the driver to go.
    pub(super) async fn quit(mut self) {
        self.write(&Order::Quit {}).await;
    }

    async fn write(&mut self, order: &Order) {
        // A driver that is gone is seen by the end of its output.
        let _ = self.stdin.write_all(order.write().as_bytes()).await;
        let _ = self.stdin.flush().await;
    }
}

/// A call with what it carries.
pub(super) enum Calling<'a> {
    Start { url: &'a str, token: Option<&'a str> },
    Push(&'a [u8]),
    Flush,
    End,
    Close,
}

async fn listen(stdout: Output, saying: watch::Sender<Said>, numbers: Arc<Numbers>, recorder: Arc<Recorder>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let conn = numbers.latest();
        match Line::read(&text) {
            Ok(Line::Hello(hello)) => saying.send_modify(|said| said.hello = Some(hello)),
            Ok(Line::Returned(returned)) => {
                let number = returned.number;
                recorder.note(conn, EventKind::Returned(returned));
                saying.send_modify(|said| {
                    said.returned.insert(number);
                });
            }
            Ok(Line::Told(told)) => {
                let what = told.what;
                recorder.note(conn, EventKind::Told(told));
                saying.send_modify(|said| said.told.push(what));
            }
            Err(error) => {
                recorder
                    .note(conn, EventKind::Note(format!("the driver wrote no line of its protocol ({error}): {text}")));
                saying.send_modify(|said| {
                    said.unread.get_or_insert_with(|| error.to_string());
                });
            }
        }
    }
    saying.send_modify(|said| said.is_over = true);
}
