//! A line between a client and the scripted server of `lastword certify client`.
//!
//! Owns the hidden command `cargo xtask shape-client`: the harness starts it in the place of the client, and it starts the
//! client with the address of the line wherever the harness wrote its own. What a line does is `soak_shape`'s business.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::soak_shape::{Line, Random, accept};

/// Options of `cargo xtask shape-client`.
#[derive(Args)]
pub(crate) struct ShapeClientArgs {
    /// What the line is like.
    #[arg(long)]
    line: Line,
    /// From which, with the port of the server, the delays are made: a client that runs twice does not meet the same twice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The port of the scripted server.
    #[arg(long)]
    server: u16,
    /// The client's command, as the harness filled it in.
    #[arg(last = true, required = true)]
    client: Vec<OsString>,
}

/// Starts the client behind a line and ends as it ends, when what it sent has arrived.
///
/// The address of the server becomes that of the line in the client's arguments, in the environment that the harness gives
/// it, and in what comes on its standard input, where a driver is told its URL.
///
/// # Errors
/// No port is free, or the client cannot be started.
pub(crate) fn run(args: &ShapeClientArgs) -> Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    let moved = Moved::new(args.server, listener.local_addr()?.port());
    let words: Vec<OsString> = args.client.iter().map(|word| moved.word(word)).collect();
    let (program, rest) = words.split_first().context("no command for the client")?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::piped());
    for (name, value) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with(HARNESS)) {
            let is_port = name.to_str() == Some(PORT);
            command.env(name, if is_port { moved.near.to_string().into() } else { moved.word(&value) });
        }
    }
    let mut client = command.spawn().context("cannot start the client")?;
    let under_way = Arc::new(AtomicUsize::new(0));
    let (line, server, counted) = (args.line, args.server, Arc::clone(&under_way));
    let seed = Random::new(args.seed ^ u64::from(server)).next();
    thread::spawn(move || accept(&listener, server, line, seed, &counted));
    if let Some(stdin) = client.stdin.take() {
        // It ends with the input of this process, or with the client.
        thread::spawn(move || pass_on(io::stdin(), stdin, &moved));
    }
    let status = client.wait().context("cannot wait for the client")?;
    arrive(&under_way);
    Ok(ExitCode::from(code(status)))
}

/// The address that the harness wrote, and what stands in its place.
struct Moved {
    far: String,
    near_address: String,
    near: u16,
}

impl Moved {
    fn new(far: u16, near: u16) -> Self {
        let address = |port: u16| format!("{}:{port}", Ipv4Addr::LOCALHOST);
        Self { far: address(far), near_address: address(near), near }
    }

    fn word(&self, word: &OsString) -> OsString {
        word.to_str().map_or_else(|| word.clone(), |text| text.replace(&self.far, &self.near_address).into())
    }

    /// Bytes that are no text (the audio) are left alone.
    fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match String::from_utf8(bytes) {
            Ok(text) => text.replace(&self.far, &self.near_address).into_bytes(),
            Err(error) => error.into_bytes(),
        }
    }
}

/// Copies line by line, each as soon as it has come, until either end is gone.
fn pass_on(from: impl Read, mut to: impl Write, moved: &Moved) {
    let mut from = BufReader::new(from);
    loop {
        let mut bytes = Vec::new();
        // Audio has few line ends: what is long goes on in pieces, as it comes.
        match (&mut from).take(MOST_BYTES).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if to.write_all(&moved.bytes(bytes)).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// What a process sent before it ended is delivered by the network all the same. A server that reads nothing more is not waited
/// for beyond what the slowest line takes.
fn arrive(under_way: &AtomicUsize) {
    let until = Instant::now() + ARRIVES;
    // A connection that the client opened last may not have been accepted yet.
    thread::sleep(LOOK);
    while under_way.load(Ordering::Acquire) > 0 && Instant::now() < until {
        thread::sleep(LOOK);
    }
}

/// The exit code; of a client that a signal ended the one that a shell gives.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or_else(|| signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(70)
}

const HARNESS: &str = "LASTWORD_";
const PORT: &str = "LASTWORD_PORT";
const MOST_BYTES: u64 = 1 << 20;
const ARRIVES: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_server_becomes_that_of_the_line_wherever_it_stands() {
        let moved = Moved::new(4711, 815);
        assert_eq!(moved.word(&"ws://127.0.0.1:4711/v1/listen".into()), "ws://127.0.0.1:815/v1/listen");
        assert_eq!(moved.word(&"--audio".into()), "--audio");
        let mut told = Vec::new();
        let orders = "{\"do\":\"hello\"}\n{\"do\":\"start\",\"url\":\"ws://127.0.0.1:4711/\"}\n";
        pass_on(orders.as_bytes(), &mut told, &moved);
        assert_eq!(String::from_utf8(told).unwrap(), orders.replace("4711", "815"));
    }

    #[test]
    fn audio_passes_unchanged() {
        let audio: Vec<u8> = (0..200_000_u32).map(|number| (number * 7 % 251) as u8).collect();
        let mut heard = Vec::new();
        pass_on(audio.as_slice(), &mut heard, &Moved::new(1, 2));
        assert_eq!(heard, audio);
    }

    #[test]
    fn what_is_on_its_way_arrives_before_the_end_and_nothing_is_waited_for_where_nothing_is() {
        let started = Instant::now();
        arrive(&AtomicUsize::new(0));
        assert!(started.elapsed() < ARRIVES);
        let under_way = Arc::new(AtomicUsize::new(1));
        let lands = Arc::clone(&under_way);
        let landing = thread::spawn(move || {
            thread::sleep(5 * LOOK);
            lands.store(0, Ordering::Release);
        });
        arrive(&under_way);
        assert_eq!(under_way.load(Ordering::Acquire), 0);
        landing.join().unwrap();
    }
}
