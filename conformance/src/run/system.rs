//! Owns what the operating system knows of a suspect: the queues of its connection and the CPU time of its processes. Linux only,
//! through `/proc`; elsewhere, in memory and for a subject on another machine the answer is that it is not known.

use std::net::SocketAddr;
use std::time::Duration;

use lastword_spec::trace::EventKind;
use tokio::time::Instant;

/// What the kernel holds of a connection, as an event of the trace; `None` where nothing is known.
pub(super) fn transport(addresses: Option<(SocketAddr, SocketAddr)>) -> Option<EventKind> {
    let (ours, theirs) = addresses?;
    let unacknowledged_bytes = queues(ours, theirs).map(|(sending, _)| sending);
    let unread_bytes = queues(theirs, ours).map(|(_, receiving)| receiving);
    unacknowledged_bytes.is_some().then_some(EventKind::Transport {
        unacknowledged_bytes,
        unread_bytes,
        unsent_bytes: None,
        waiting_bytes: None,
        retransmits: None,
    })
}

/// A stretch of time in which the CPU time of a process tree is measured.
pub(super) struct CpuWindow {
    pid: u32,
    started: Instant,
    busy_at_start: Duration,
}

impl CpuWindow {
    /// Starts to measure a process with its descendants and its group; `None` where that cannot be done.
    pub(super) fn open(pid: Option<u32>) -> Option<Self> {
        let pid = pid?;
        Some(Self { pid, started: Instant::now(), busy_at_start: busy(pid)? })
    }

    /// What was measured, as an event of the trace.
    pub(super) fn close(self, alone: bool) -> Option<EventKind> {
        let busy = busy(self.pid)?.saturating_sub(self.busy_at_start);
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Some(EventKind::Cpu { busy_ms: ms(busy), over_ms: ms(self.started.elapsed()), alone })
    }
}

/// The bytes in the sending and the receiving queue of the socket with these ends.
#[cfg(target_os = "linux")]
pub(crate) fn queues(local: SocketAddr, remote: SocketAddr) -> Option<(u64, u64)> {
    let same = |one: SocketAddr, other: SocketAddr| {
        one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
    };
    // A server that listens on an IPv6 socket has its IPv4 clients in the other table.
    let mut entries = procfs::net::tcp().into_iter().chain(std::iter::once_with(procfs::net::tcp6).flatten()).flatten();
    let entry = entries.find(|entry| same(entry.local_address, local) && same(entry.remote_address, remote))?;
    Some((u64::from(entry.tx_queue), u64::from(entry.rx_queue)))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn queues(_: SocketAddr, _: SocketAddr) -> Option<(u64, u64)> {
    None
}

/// The CPU time that the processes of a tree have used so far.
#[cfg(target_os = "linux")]
fn busy(root: u32) -> Option<Duration> {
    use std::collections::BTreeSet;

    let root = i32::try_from(root).ok()?;
    let stats: Vec<_> = procfs::process::all_processes().ok()?.flatten().filter_map(|one| one.stat().ok()).collect();
    let mut tree = BTreeSet::from([root]);
    // A child may stand before its parent in the list: again until nobody joins.
    loop {
        let before = tree.len();
        tree.extend(
            stats
                .iter()
                .filter(|one| one.pgrp == root || tree.contains(&one.ppid))
                .map(|one| one.pid)
                .collect::<Vec<_>>(),
        );
        if tree.len() == before {
            break;
        }
    }
    let ticks: u64 = stats.iter().filter(|one| tree.contains(&one.pid)).map(|one| one.utime + one.stime).sum();
    Some(Duration::from_millis(ticks.saturating_mul(1_000) / procfs::ticks_per_second().max(1)))
}

#[cfg(not(target_os = "linux"))]
fn busy(_: u32) -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_a_peer_does_not_read_is_seen_in_its_queue_and_not_in_ours() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let mut ours = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (theirs, _) = listener.accept().expect("the other end");
        ours.write_all(&[7; 1_234]).expect("written");
        let addresses = (ours.local_addr().expect("an address"), theirs.local_addr().expect("an address"));
        let Some(EventKind::Transport { unacknowledged_bytes, unread_bytes, .. }) = transport(Some(addresses)) else {
            panic!("known on this system");
        };
        assert_eq!((unacknowledged_bytes, unread_bytes), (Some(0), Some(1_234)));
        assert_eq!(transport(None), None);
    }

    #[tokio::test]
    async fn a_process_that_computes_is_told_from_one_that_sleeps() {
        let own = std::process::id();
        let window = CpuWindow::open(Some(own)).expect("known on this system");
        let started = std::time::Instant::now();
        let mut sum = 0_u64;
        while started.elapsed() < Duration::from_millis(300) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert_ne!(sum, 0);
        let Some(EventKind::Cpu { busy_ms, .. }) = window.close(true) else { panic!("measured") };
        assert!(busy_ms > 0);
        assert!(CpuWindow::open(None).is_none());
    }
}
