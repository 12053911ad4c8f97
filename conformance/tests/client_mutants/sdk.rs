//! Our own SDK behind the driver protocol, over pipes in memory and under paused time: clean in every case, and the same every time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use lastword::client::{EndsAs, Program, Stdin, Surroundings};
use lastword::memory;
use lastword_client::{AudioSender, ConnectError, ConnectOptions, Events, connect_over};
use lastword_client_driver::{Reach, Sdk, name};
use lastword_client_mutants::find;
use lastword_driver::drive;
use lastword_spec::trace::Exited;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::crowd::{self, Outcome, PIPE_BYTES};

/// Pipes to the scripted server. What is left of a session is told by the pipes that its tasks still hold.
struct Pipes {
    dial: mpsc::UnboundedSender<memory::Pipe>,
    living: Arc<AtomicU64>,
}

impl Reach for Pipes {
    async fn connect(&mut self, url: &str, options: ConnectOptions) -> Result<(AudioSender, Events), ConnectError> {
        let (near, far) = memory::pipe(PIPE_BYTES);
        self.dial.send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        self.living.fetch_add(1, Ordering::SeqCst);
        connect_over(Pipe { near, living: Arc::clone(&self.living) }, url, options).await
    }

    fn living(&self) -> u64 {
        self.living.load(Ordering::SeqCst)
    }
}

/// One end of a pipe, counted while it lives.
struct Pipe {
    near: memory::Pipe,
    living: Arc<AtomicU64>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.living.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}

fn sdk() -> Outcome {
    let program = |around: Surroundings| -> EndsAs {
        Box::pin(async move {
            let Surroundings { dial, stdin, stdout, .. } = around;
            let pipes = Pipes { dial, living: Arc::default() };
            let driven = drive(Sdk::new(pipes), &name(), &[], stdin, stdout).await;
            Exited { code: Some(i32::from(driven.is_err())), signal: None }
        })
    };
    crowd::certify(Program::InMemory(Arc::new(program)), Stdin::Driver)
}

/// What a certification came to, case by case.
fn verdicts(outcome: &Outcome) -> Vec<String> {
    outcome.cases.iter().map(|(case, (verdict, ids))| format!("{case} {verdict} {}", ids.join(" "))).collect()
}

#[test]
fn the_sdk_is_clean_at_level_1_in_every_case() {
    let outcome = sdk();
    let not_passed: Vec<String> =
        verdicts(&outcome).into_iter().filter(|verdict| !verdict.ends_with(" PASS ")).collect();
    // It never dials again by itself.
    let alone = ["client/closing/reset-and-again NOT_TESTED ", "client/reconnect/budget-restored NOT_TESTED "];
    assert_eq!(not_passed, alone, "{:?} {:?}", outcome.told, outcome.reasons);
    assert_eq!(outcome.cases.len(), lastword::client::catalogue().len());
    assert_eq!(outcome.exit_code, lastword::exit::PASS);
}

/// One that is right, one that hangs at the end, one whose end comes by a timer.
#[test]
fn ten_runs_give_ten_equal_verdict_vectors() {
    let runs: Vec<u8> = (0..10).collect();
    for subject in ["the SDK", "never-ends", "own-timer"] {
        let run = |_: &u8| match find(subject) {
            Some(mutant) => verdicts(&crowd::mutant(mutant, 1)),
            None => verdicts(&sdk()),
        };
        let vectors = crowd::each(&runs, run);
        assert_eq!(vectors.len(), 10);
        for (number, vector) in (1..).zip(&vectors) {
            assert_eq!(vector, &vectors[0], "{subject}, run {number}");
        }
        let failed =
            vectors[0].iter().filter(|verdict| !verdict.ends_with(" PASS ") && !verdict.contains("NOT_TESTED"));
        assert_eq!(failed.count() == 0, subject == "the SDK", "{subject}");
    }
}
