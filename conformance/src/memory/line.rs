//! Owns what a network does to bytes between two ends in memory: it delays them, stands still, cuts them up and puts them
//! together. It loses none and changes no order. By the same seed it does the same.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

/// What the line between harness and subject is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Every byte is there at once.
    Direct,
    /// Everything takes a while, which is drawn anew for each read, from 0 to this many milliseconds, in each direction.
    Jitter {
        /// The longest delay.
        max_ms: u64,
    },
    /// Now and then nothing gets through.
    Stalls {
        /// From the beginning of one stall to the beginning of the next; when the first begins is drawn for each connection.
        every_ms: u64,
        /// How long nothing gets through.
        for_ms: u64,
    },
    /// One byte arrives at a time: all of a short message, the ends of a long one, whose middle comes in pieces. The upgrade
    /// arrives whole, for there are libraries that take it for an attack otherwise.
    OneByte,
    /// What was sent within this many milliseconds after something else arrives with it, all at once, and at most five times
    /// that later.
    Coalesced {
        /// The silence that ends a segment.
        quiet_ms: u64,
    },
}

/// What one end holds of what the other has sent.
const PIPE_BYTES: usize = 64 << 10;
/// What is read at once.
const CHUNK_BYTES: usize = 16 << 10;
/// How much may be on its way, in chunks.
const IN_FLIGHT: usize = 16;
/// Longer pieces are cut up only at their ends.
const SHORT_BYTES: usize = 512;
const ENDS_BYTES: usize = 32;
const PIECE_BYTES: usize = 1_021;

/// The subject behind a line: for [`super::plan`] and [`crate::wire::Dialler::in_memory`].
pub fn over(
    line: Line,
    seed: u64,
    accept: impl Fn(DuplexStream) + Send + Sync + 'static,
) -> impl Fn(DuplexStream) + Send + Sync + 'static {
    let opened = Arc::new(AtomicU64::new(0));
    move |theirs| {
        if line == Line::Direct {
            return accept(theirs);
        }
        let number = opened.fetch_add(1, Ordering::Relaxed);
        let (ours, subject) = duplex(PIPE_BYTES);
        accept(subject);
        let (from_harness, to_harness) = split(theirs);
        let (from_subject, to_subject) = split(ours);
        let draw = |direction: u64| Draw::new(seed ^ (2 * number + direction).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let phase = Draw::new(seed ^ number).below(10_000);
        let opened = Instant::now();
        let weather = |draw| Weather { line, opened, phase, draw, due: opened };
        tokio::spawn(carry(from_harness, to_subject, weather(draw(0))));
        tokio::spawn(carry(from_subject, to_harness, weather(draw(1))));
    }
}

/// One direction, until its end.
async fn carry(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, weather: Weather) {
    let (leave, mut arrive) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let line = weather.line;
    let deliver = async {
        let mut upgraded = false;
        while let Some((due, bytes)) = arrive.recv().await {
            sleep_until(due).await;
            let cut = line == Line::OneByte && std::mem::replace(&mut upgraded, true);
            let written = if cut { piecemeal(&mut to, &bytes).await } else { to.write_all(&bytes).await };
            if written.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(collect(from, leave, weather), deliver);
}

/// Reads to the end, or until nobody takes it any more.
async fn collect(mut from: impl AsyncRead + Unpin, leave: mpsc::Sender<(Instant, Vec<u8>)>, mut weather: Weather) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let mut bytes = chunk[..count].to_vec();
        if let Line::Coalesced { quiet_ms } = weather.line {
            let latest = Instant::now() + Duration::from_millis(5 * quiet_ms);
            let until = || latest.min(Instant::now() + Duration::from_millis(quiet_ms));
            while bytes.len() < PIPE_BYTES
                && let Ok(Ok(count @ 1..)) = timeout_at(until(), from.read(&mut chunk)).await
            {
                bytes.extend_from_slice(&chunk[..count]);
            }
        }
        if leave.send((weather.due(), bytes)).await.is_err() {
            return;
        }
    }
}

async fn piecemeal(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let single = |place: usize| bytes.len() <= SHORT_BYTES || place < ENDS_BYTES || place + ENDS_BYTES >= bytes.len();
    let mut place = 0;
    while place < bytes.len() {
        let length = if single(place) { 1 } else { PIECE_BYTES.min(bytes.len() - ENDS_BYTES - place) };
        to.write_all(&bytes[place..place + length]).await?;
        place += length;
        // So that the reader sees this piece alone.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// When what is sent now arrives.
struct Weather {
    line: Line,
    opened: Instant,
    phase: u64,
    draw: Draw,
    due: Instant,
}

impl Weather {
    fn due(&mut self) -> Instant {
        let now = Instant::now();
        let due = match self.line {
            Line::Direct | Line::OneByte | Line::Coalesced { .. } => now,
            Line::Jitter { max_ms } => now + Duration::from_millis(self.draw.below(max_ms + 1)),
            Line::Stalls { every_ms, for_ms } => {
                let age_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(0) + self.phase;
                let into_ms = age_ms % every_ms;
                now + Duration::from_millis(for_ms.saturating_sub(into_ms))
            }
        };
        self.due = self.due.max(due);
        self.due
    }
}

/// Numbers that only look random.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below this, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What arrives, and when, of two messages sent 10 ms apart and an end.
    async fn arrivals(line: Line, seed: u64) -> Vec<(u64, usize)> {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (done, mut finished) = mpsc::channel(1);
        let noted = Arc::clone(&arrived);
        let accept = over(line, seed, move |mut pipe: DuplexStream| {
            let (noted, done, began) = (Arc::clone(&noted), done.clone(), Instant::now());
            tokio::spawn(async move {
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
                    let at_ms = u64::try_from(began.elapsed().as_millis()).expect("short");
                    noted.lock().expect("no panic").push((at_ms, count));
                }
                done.send(()).await.expect("waited for");
            });
        });
        let (mut ours, theirs) = duplex(PIPE_BYTES);
        accept(theirs);
        ours.write_all(&[1; 40]).await.expect("there is room");
        tokio::time::sleep(Duration::from_millis(10)).await;
        ours.write_all(&[2; 3_000]).await.expect("there is room");
        ours.shutdown().await.expect("it ends");
        finished.recv().await.expect("it ends there too");
        let arrived = arrived.lock().expect("no panic").clone();
        assert_eq!(arrived.iter().map(|(_, count)| count).sum::<usize>(), 3_040, "{line:?}");
        arrived
    }

    #[tokio::test(start_paused = true)]
    async fn every_line_carries_everything_in_its_own_time_and_the_same_by_the_same_seed() {
        assert_eq!(arrivals(Line::Direct, 1).await, [(0, 40), (10, 3_000)]);
        assert_eq!(arrivals(Line::Coalesced { quiet_ms: 40 }, 1).await, [(10, 3_040)]);
        let jitter = arrivals(Line::Jitter { max_ms: 500 }, 1).await;
        assert_eq!(jitter, arrivals(Line::Jitter { max_ms: 500 }, 1).await);
        assert_ne!(jitter, arrivals(Line::Jitter { max_ms: 500 }, 2).await);
        let single = arrivals(Line::OneByte, 1).await;
        assert_eq!(single[0], (0, 40));
        assert!(single[1..33].iter().all(|arrival| *arrival == (10, 1)), "{single:?}");
        assert_eq!(single.last(), Some(&(10, 1)));
        let stalled = arrivals(Line::Stalls { every_ms: 2_000, for_ms: 1_999 }, 1).await;
        assert!(stalled.iter().all(|(at_ms, _)| *at_ms > 10), "{stalled:?}");
    }
}
