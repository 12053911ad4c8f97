//! What is known of a suspicion that a server is stuck: who owes what since when, the evidence gathered about it step by step,
//! and what the release probes say. Owns the shapes and their words; how the conclusion is drawn is `rules/release.rs`.

use std::fmt;

use lastword_spec::registry::RequirementId;
use lastword_spec::table::State;
use lastword_spec::trace::Stimulus;

/// A debt of the server that was not paid in time, or suspiciously late, with everything that was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// The connection.
    pub conn: u32,
    /// Where the session stood when the debt arose.
    pub state: State,
    /// What the server owes, as a message type or a short phrase.
    pub what: String,
    /// The requirement that says so.
    pub requirement: RequirementId,
    /// Since when, in microseconds of the trace.
    pub since_us: u64,
    /// The event that made the debt.
    pub event: usize,
    /// How long the server said nothing before the harness gave up, or before it paid after all.
    pub silent_us: u64,
    /// When it was paid after all.
    pub paid_us: Option<u64>,
    /// The control sessions that ended during the silence.
    pub during: Controls,
    /// The control sessions that ended after the suspect was let go.
    pub afterwards: Controls,
    /// What the operating system said of the transport last.
    pub transport: Option<Transport>,
    /// What came of a Ping. An answer is no proof of life: some libraries answer while their application is stuck.
    pub ping: Ping,
    /// What the subject's processes worked.
    pub cpu: Option<Cpu>,
    /// Who waits for whom.
    pub waits: Vec<WaitsFor>,
    /// The release probes, the control first; empty where there were none.
    pub probes: Vec<ProbeRow>,
    /// What all of it comes to.
    pub conclusion: Conclusion,
}

/// Control sessions, counted by what came of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Those that ran to their end.
    pub completed: usize,
    /// Those that the subject answered and did not complete.
    pub answered: usize,
    /// Those that it did not answer.
    pub unanswered: usize,
    /// How long each took, in milliseconds.
    pub took_ms: Vec<u64>,
}

impl Controls {
    /// Those in which the subject spoke.
    #[must_use]
    pub fn spoke(&self) -> usize {
        self.completed + self.answered
    }
}

/// The transport under a connection; `None` where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Bytes of the harness that are not acknowledged.
    pub unacknowledged_bytes: Option<u64>,
    /// Bytes that the subject has not read.
    pub unread_bytes: Option<u64>,
    /// How often the oldest segment was sent again.
    pub retransmits: Option<u64>,
}

/// What came of a Ping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ping {
    /// None was sent.
    #[default]
    NotSent,
    /// A Pong came, after so many microseconds.
    Answered(u64),
    /// None came.
    Unanswered,
}

/// The work of the subject's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// CPU time, in milliseconds.
    pub busy_ms: u64,
    /// The window, in milliseconds.
    pub over_ms: u64,
    /// Whether nothing else of the harness ran against the subject.
    pub alone: bool,
}

impl Cpu {
    /// Less than a twentieth of one core: nobody computes.
    #[must_use]
    pub fn is_idle(self) -> bool {
        self.over_ms > 0 && self.busy_ms.saturating_mul(20) <= self.over_ms
    }

    /// More than a fifth of one core with nobody else to work for.
    #[must_use]
    pub fn is_working(self) -> bool {
        self.alone && self.busy_ms.saturating_mul(5) >= self.over_ms
    }
}

/// A part of one of the two sides that can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Node {
    /// The client's sending half.
    ClientSend,
    /// The client's receiving half.
    ClientRecv,
    /// The server's receiving half.
    ServerRecv,
    /// The recogniser and what drives it.
    ServerWork,
    /// A timer of the server that ends a wait for something else.
    ServerTimer,
    /// The server's sending half.
    ServerSend,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClientSend => "client.send",
            Self::ClientRecv => "client.recv",
            Self::ServerRecv => "server.recv",
            Self::ServerWork => "server.work",
            Self::ServerTimer => "server.timer",
            Self::ServerSend => "server.send",
        })
    }
}

/// One edge of the wait-for graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// Who waits.
    pub who: Node,
    /// For whom.
    pub whom: Node,
    /// Why, as a clause.
    pub why: String,
}

/// The probes of one stimulus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRow {
    /// The stimulus.
    pub stimulus: Stimulus,
    /// One for each repetition, in their order.
    pub outcomes: Vec<Outcome>,
}

impl ProbeRow {
    /// How many repetitions showed anything.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome != Outcome::Missing).count()
    }

    /// How often the stimulus brought what was owed.
    #[must_use]
    pub fn released(&self) -> usize {
        self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Released { .. })).count()
    }

    /// How often it came, but not by the stimulus.
    #[must_use]
    pub fn by_itself(&self) -> usize {
        self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::ByItself { .. })).count()
    }
}

/// What one release probe showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was owed came by the stimulus: at once, or after the work that was left, and not without it.
    Released {
        /// So long after the stimulus, in microseconds.
        after_us: u64,
        /// So long after it was owed.
        total_us: u64,
    },
    /// It came, and not because of the stimulus.
    ByItself {
        /// So long after it was owed, in microseconds.
        total_us: u64,
        /// The longest silence in that time.
        gap_us: u64,
        /// The longest time in it in which nothing moved, whatever `progress` was told.
        still_us: u64,
        /// When it came, in microseconds of the trace.
        at_us: u64,
    },
    /// The session ended without it.
    Ended {
        /// So long after the stimulus, in microseconds.
        after_us: u64,
    },
    /// It did not come.
    Nothing {
        /// As long as it was watched for since it was owed, in microseconds.
        watched_us: u64,
    },
    /// The probe did not get as far as that: turned away, or cut off.
    Missing,
}

impl Conclusion {
    /// Whether it is a proof that the server is stuck, or would be without a timer.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        matches!(self, Self::WaitsFor(_) | Self::Masked { .. } | Self::Unreleasable)
    }
}

/// What the evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The server waits for one of these: each brought the owed message in every repetition, and without them it never came.
    WaitsFor(Vec<Stimulus>),
    /// What is owed comes by a timer.
    Masked {
        /// The length of the timer as it was seen, in microseconds.
        timer_us: u64,
        /// The announced limit that it follows.
        limit: Option<&'static str>,
        /// What brings it forward.
        forward: Vec<Stimulus>,
    },
    /// Nothing brings it.
    Unreleasable,
    /// It came whatever the client did: late perhaps, but not stuck.
    Slow {
        /// The middle of the delays, in microseconds.
        middle_us: u64,
        /// Each time nothing at all was said for longer than the progress rule allows, and for just as long.
        too_silent: bool,
    },
    /// Messages flow and nothing moves.
    Livelock,
    /// The subject as a whole does not answer.
    Hung,
    /// Not decided; what is missing, in words.
    Open(String),
}
