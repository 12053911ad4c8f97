//! Owns the form in which a suspicion stands in the JSON report: the ladder of evidence, the wait-for graph, the release table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A debt of the server under suspicion, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspicionReport {
    /// The connection.
    pub conn: u32,
    /// The requirement by which it is owed, or which is broken by how it comes.
    pub requirement: String,
    /// Where the session stood.
    pub state: String,
    /// What the server owes.
    pub owes: String,
    /// The event that made the debt.
    pub event: usize,
    /// Since when, in microseconds of the trace.
    pub since_us: u64,
    /// How long the server was silent, in microseconds.
    pub silent_us: u64,
    /// When it was paid after all.
    pub paid_us: Option<u64>,
    /// What the server said while it owed this, by type; of a flood the first thousand messages.
    #[serde(default)]
    pub said: BTreeMap<String, usize>,
    /// E2: the control sessions that it outlived.
    pub controls: ControlsReport,
    /// Control sessions after it was let go.
    pub controls_afterwards: ControlsReport,
    /// E1: what the kernel says of the transport; absent where it says nothing.
    pub transport: Option<TransportReport>,
    /// E3: what came of a Ping, in words.
    pub ping: String,
    /// E3: what the subject's processes worked; absent where they are not known.
    pub cpu: Option<CpuReport>,
    /// E4: who waits for whom.
    pub waits: Vec<WaitsForReport>,
    /// The nodes of the circle in it, the first one again at the end; empty where what is known closes none.
    pub cycle: Vec<String>,
    /// The release probes; empty where none were held for this case.
    pub probes: Vec<ProbeReport>,
    /// What it comes to, in words.
    pub conclusion: String,
    /// Whether that is proof of a deadlock, be it one that a timer hides.
    pub is_proved: bool,
    /// Whether messages came all the time, and none of them was work.
    #[serde(default)]
    pub is_livelock: bool,
    /// Whether what was owed comes whatever the client does: a latency, and no fault.
    pub is_slow: bool,
}

/// Control sessions by what came of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlsReport {
    /// Ran to their end.
    pub completed: usize,
    /// Were answered and not completed.
    pub answered: usize,
    /// Were not answered.
    pub unanswered: usize,
    /// How long each took, in milliseconds.
    pub took_ms: Vec<u64>,
}

/// The transport under a connection; absent members are not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportReport {
    /// Bytes of the harness that are not acknowledged.
    pub unacknowledged_bytes: Option<u64>,
    /// Bytes that the subject has not read.
    pub unread_bytes: Option<u64>,
    /// How often the oldest segment was sent again.
    pub retransmits: Option<u64>,
}

/// The work of the subject's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuReport {
    /// CPU time, in milliseconds.
    pub busy_ms: u64,
    /// The window, in milliseconds.
    pub over_ms: u64,
    /// Whether nothing else of the harness ran against the subject.
    pub alone: bool,
}

/// An edge of the wait-for graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsForReport {
    /// Who waits.
    pub who: String,
    /// For whom.
    pub whom: String,
    /// Why.
    pub why: String,
}

/// The release probes of one stimulus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// `nothing`, `audio`, `end_of_stream`, `keepalive`, `half_close` or `close`.
    pub stimulus: String,
    /// How many repetitions showed anything.
    pub tried: usize,
    /// In how many of them what was owed followed at once.
    pub released: usize,
    /// In how many it came, but not by the stimulus.
    pub by_itself: usize,
    /// What came of them, in words.
    pub outcome: String,
}
