//! A line with a character of its own between the harness and a subject: late, standing still now and then, one byte at a
//! time, or all at once.
//!
//! Owns the hidden command `cargo xtask shape`, the profiles of a line and the copying of bytes. It keeps every byte and
//! their order; it must not know what they mean. A reset of one side reaches the other as an end of the stream. Before a
//! client stands `soak_shape_client`.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

/// Options of `cargo xtask shape`.
#[derive(Args)]
pub(crate) struct ShapeArgs {
    /// What the line is like.
    #[arg(long)]
    line: Line,
    /// From which the delays are made.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the harness connects.
    #[arg(long)]
    port: u16,
    /// The subject's command, `{inner}` in the place of its port.
    #[arg(last = true, required = true)]
    subject: Vec<OsString>,
}

/// What a line does to the bytes, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Line {
    /// What is sent together arrives together, up to 500 ms later; the order stays.
    Jitter,
    /// Every 3 to 8 s nothing passes for 2 s, on each connection by itself, both ways.
    Stalls,
    /// The same for 0.7 s: less than the second that clauses about clients give them.
    Pauses,
    /// What is small goes as segments of one byte, and so do the first and last 64 bytes of what is larger. The upgrade goes
    /// whole: tungstenite, for one, takes a request in tiny pieces for an attack.
    Bytes,
    /// What is sent within 50 ms of each other arrives as one segment, up to 300 ms later.
    Coalesced,
}

impl Line {
    /// As on a command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Starts the subject and copies between it and whoever connects, until the subject ends.
///
/// # Errors
/// The port is taken, or the subject cannot be started.
pub(crate) fn run(args: &ShapeArgs) -> Result<ExitCode> {
    let (inner, mark) = free_port()?;
    let command: Vec<OsString> = args
        .subject
        .iter()
        .map(|word| {
            word.to_str().map_or_else(|| word.clone(), |text| text.replace("{inner}", &inner.to_string()).into())
        })
        .collect();
    let (program, rest) = command.split_first().context("no command for the subject")?;
    let mut subject =
        Command::new(program).args(rest).stdin(Stdio::null()).spawn().context("cannot start the subject")?;
    let patience = Instant::now() + START;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, inner)).is_err() {
        if subject.try_wait()?.is_some() || Instant::now() > patience {
            bail!("the subject does not listen on its port");
        }
        thread::sleep(LOOK);
    }
    drop(mark);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).context("cannot listen")?;
    let (line, seed) = (args.line, args.seed);
    thread::spawn(move || accept(&listener, inner, line, seed, &Arc::default()));
    let status = subject.wait()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(70)))
}

/// A port of the loopback interface that nobody listens on now. No harness beside us chooses it for its subject while the second
/// value lives: the name is the one that `lastword` marks its ports with (`conformance/src/subject/port.rs`).
#[cfg(target_os = "linux")]
fn free_port() -> Result<(u16, impl Sized)> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    loop {
        let port = unused_port()?;
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("lastword-port-{port}"))?) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            marked => return Ok((port, marked.context("a port cannot be marked")?)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn free_port() -> Result<(u16, impl Sized)> {
    Ok((unused_port()?, ()))
}

fn unused_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?.local_addr()?.port())
}

/// Copies between whoever connects and the port `inner`, for ever. `under_way`: on how many connections something of the one
/// who connected may still be on its way.
pub(crate) fn accept(listener: &TcpListener, inner: u16, line: Line, seed: u64, under_way: &Arc<AtomicUsize>) {
    let mut random = Random::new(seed);
    for client in listener.incoming().flatten() {
        let seed = random.next();
        under_way.fetch_add(1, Ordering::AcqRel);
        let under_way = Arc::clone(under_way);
        thread::spawn(move || match TcpStream::connect((Ipv4Addr::LOCALHOST, inner)) {
            Ok(server) => connect(client, server, line, seed, &under_way),
            Err(_) => drop(under_way.fetch_sub(1, Ordering::AcqRel)),
        });
    }
}

/// Copies both ways until both have ended.
fn connect(client: TcpStream, server: TcpStream, line: Line, seed: u64, under_way: &Arc<AtomicUsize>) {
    let (Ok(client_out), Ok(server_out)) = (client.try_clone(), server.try_clone()) else {
        under_way.fetch_sub(1, Ordering::AcqRel);
        return;
    };
    for socket in [&client, &server] {
        // The segments are what this is about.
        let _ = socket.set_nodelay(true);
    }
    let stalls = Stalls::new(seed, if line == Line::Pauses { PAUSE } else { STALL });
    let there = thread::spawn({
        let (stalls, under_way) = (stalls.clone(), Arc::clone(under_way));
        move || {
            copy(client, server_out, line, stalls, seed);
            under_way.fetch_sub(1, Ordering::AcqRel);
        }
    });
    copy(server, client_out, line, stalls, seed ^ 1);
    let _ = there.join();
}

/// Copies one way. What waits is bounded, so that a reader who does not read still holds up the writer.
fn copy(from: TcpStream, to: TcpStream, line: Line, stalls: Stalls, seed: u64) {
    let (sender, receiver) = sync_channel(CHUNKS);
    let mut source = from;
    let Ok(source_end) = source.try_clone() else { return };
    let writer = thread::spawn(move || {
        let mut target = to;
        if write_all(&receiver, &mut target, line).is_err() {
            // Nobody takes what the other side sends: it must not go on as if.
            let _ = source_end.shutdown(Shutdown::Read);
        }
        let _ = target.shutdown(Shutdown::Write);
    });
    read_all(&mut source, &sender, line, stalls, seed);
    drop(sender);
    let _ = writer.join();
}

struct Chunk {
    bytes: Vec<u8>,
    /// Not written before.
    due: Instant,
}

fn read_all(source: &mut TcpStream, sender: &SyncSender<Chunk>, line: Line, mut stalls: Stalls, seed: u64) {
    let mut random = Random::new(seed);
    let mut due = Instant::now();
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length) = source.read(&mut buffer) {
        if length == 0 {
            break;
        }
        let now = Instant::now();
        let wanted = match line {
            Line::Jitter => now + Duration::from_millis(random.below(501)),
            Line::Stalls | Line::Pauses => stalls.passes(now),
            Line::Bytes | Line::Coalesced => now,
        };
        due = due.max(wanted);
        if sender.send(Chunk { bytes: buffer[..length].to_vec(), due }).is_err() {
            break;
        }
    }
}

fn write_all(receiver: &Receiver<Chunk>, target: &mut TcpStream, line: Line) -> io::Result<()> {
    let mut is_first = true;
    while let Ok(Chunk { mut bytes, due }) = receiver.recv() {
        if line == Line::Coalesced {
            gather(receiver, &mut bytes);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if line == Line::Bytes && !is_first {
            write_bytes(target, &bytes)?
        } else {
            target.write_all(&bytes)?
        }
        is_first = false;
    }
    Ok(())
}

/// Takes what comes until it is quiet, or for long enough.
fn gather(receiver: &Receiver<Chunk>, bytes: &mut Vec<u8>) {
    let until = Instant::now() + GATHER;
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(QUIET);
        match receiver.recv_timeout(left) {
            Ok(more) => bytes.extend(more.bytes),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        if bytes.len() > GATHER_BYTES {
            return;
        }
    }
}

fn write_bytes(target: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let (head, rest) = bytes.split_at(bytes.len().min(if bytes.len() <= SMALL { SMALL } else { EDGE }));
    let (middle, tail) = rest.split_at(rest.len().saturating_sub(EDGE));
    for byte in head {
        target.write_all(std::slice::from_ref(byte))?;
    }
    target.write_all(middle)?;
    for byte in tail {
        target.write_all(std::slice::from_ref(byte))?;
    }
    Ok(())
}

/// When a connection stands still. Both directions have the same.
#[derive(Clone)]
struct Stalls {
    random: Random,
    begins: Instant,
    length: Duration,
}

impl Stalls {
    fn new(seed: u64, length: Duration) -> Self {
        let mut random = Random::new(seed);
        let begins = Instant::now() + Duration::from_millis(random.below(4_000));
        Self { random, begins, length }
    }

    /// When a byte that is sent now passes.
    fn passes(&mut self, now: Instant) -> Instant {
        while now >= self.begins + self.length {
            self.begins += self.length + Duration::from_millis(3_000 + self.random.below(5_001));
        }
        if now >= self.begins { self.begins + self.length } else { now }
    }
}

/// SplitMix64: no more than delays are made from it.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

const STALL: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(700);
const QUIET: Duration = Duration::from_millis(50);
const GATHER: Duration = Duration::from_millis(300);
const GATHER_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 16 * 1024;
const CHUNKS: usize = 64;
const SMALL: usize = 512;
const EDGE: usize = 64;
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// An echoing server behind a line; gives what comes back and how long it took.
    fn through(line: Line, parts: &[&[u8]]) -> (Vec<u8>, Duration) {
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let outer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (inner_port, address) = (inner.local_addr().unwrap().port(), outer.local_addr().unwrap());
        thread::spawn(move || {
            let (mut socket, _) = inner.accept().unwrap();
            let mut all = Vec::new();
            socket.read_to_end(&mut all).unwrap();
            socket.write_all(&all).unwrap();
        });
        thread::spawn(move || accept(&outer, inner_port, line, 7, &Arc::default()));
        let started = Instant::now();
        let mut socket = TcpStream::connect(address).unwrap();
        for part in parts {
            socket.write_all(part).unwrap();
        }
        socket.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        socket.read_to_end(&mut back).unwrap();
        (back, started.elapsed())
    }

    #[test]
    fn every_line_keeps_every_byte_and_their_order_and_passes_the_end_on() {
        let large: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let parts: [&[u8]; 3] = [b"first", &large, b"last"];
        for line in [Line::Jitter, Line::Stalls, Line::Pauses, Line::Bytes, Line::Coalesced] {
            let (back, _) = through(line, &parts);
            assert_eq!(back, parts.concat(), "{line:?}");
        }
    }

    #[test]
    fn the_same_seed_stands_still_at_the_same_times() {
        let start = Instant::now();
        let times = |seed| {
            let mut stalls = Stalls { begins: start, ..Stalls::new(seed, STALL) };
            (0..60_u64).map(|second| stalls.passes(start + Duration::from_secs(second)) - start).collect::<Vec<_>>()
        };
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
        assert_eq!(times(3)[0], STALL);
    }

    #[test]
    fn a_stall_lets_nothing_pass_and_ends() {
        let start = Instant::now();
        for length in [STALL, PAUSE] {
            let mut stalls = Stalls { random: Random::new(1), begins: start, length };
            assert_eq!(stalls.passes(start), start + length);
            assert_eq!(stalls.passes(start + length), start + length);
        }
    }
}
