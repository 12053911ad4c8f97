//! What a judgement says: findings, what was exercised, what stayed undecided, and the record of each connection. Knows no
//! rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lastword_spec::close::CloseCode;
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::message::SessionEnded;
use lastword_spec::registry::RequirementId;
use lastword_spec::table::State;
use lastword_spec::trace::Side;

use crate::suspicion::Suspicion;
use crate::visited::Rows;

/// One breach of one requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of breach.
    pub kind: FindingKind,
    /// Whose fault.
    pub culprit: Culprit,
    /// The requirement that is broken, the most specific one.
    pub requirement: RequirementId,
    /// What happened, one sentence without end mark. Repeats no text of the subject that may be a secret.
    pub message: String,
    /// The connection.
    pub conn: u32,
    /// Where the session stood, as its client saw it.
    pub state: State,
    /// The events that show it, by their number in the trace from 0, ascending.
    pub frames: Vec<usize>,
    /// When it was certain, in microseconds of the trace.
    pub t_us: u64,
}

/// Everything the judge has to say about a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The breaches, in the order of time.
    pub findings: Vec<Finding>,
    /// The requirements whose stimulus and response were both seen. Silence, an early close or a refusal give no credit; that a
    /// requirement is here says nothing about whether it was kept.
    pub exercised: BTreeSet<RequirementId>,
    /// Requirements that a suspicion fell on which the trace neither proves nor dispels, each with the reason.
    pub undecided: BTreeMap<RequirementId, String>,
    /// Requirements that were not kept to the letter, within what is granted to a line and a machine, each with what happened.
    pub tolerated: BTreeMap<RequirementId, String>,
    /// Where a server owed something for too long or suspiciously long: the evidence, and what it comes to.
    pub suspicions: Vec<Suspicion>,
    /// The connections, by their numbers; release probes are not among them.
    pub connections: Vec<Connection>,
    /// The rows of the server's state table that the connections went through, whatever the server made of them.
    pub visited: Rows,
    /// The requirements that the dialect of the trace leaves nobody to be judged by.
    pub not_binding: BTreeSet<RequirementId>,
}

/// The record of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number in the trace.
    pub conn: u32,
    /// What it was for.
    pub label: Option<String>,
    /// What was spoken on it.
    pub speech: Option<String>,
    /// Where the session stood at the end of the trace, as its client saw it.
    pub state: State,
    /// The HTTP status, where the upgrade was refused.
    pub refused: Option<u16>,
    /// The finals, in the order of their arrival.
    pub finals: Vec<FinalText>,
    /// The texts of the finals, joined with spaces.
    pub transcript: String,
    /// How many partials came.
    pub partials: usize,
    /// The codes of the errors, in the order of their arrival.
    pub errors: Vec<String>,
    /// The audio that the server had to accept, in milliseconds of one channel; 0 where the encoding has no fixed rate.
    pub audio_sent_ms: u64,
    /// The end of the session, as the server told it.
    pub session_ended: Option<SessionEnded>,
    /// How the socket closed.
    pub close: Option<Closed>,
    /// When the connection was open, in microseconds of the trace.
    pub opened_us: Option<u64>,
    /// When `ready` came.
    pub ready_us: Option<u64>,
    /// When the sentinel was sent.
    pub sentinel_us: Option<u64>,
    /// When the first partial came.
    pub first_partial_us: Option<u64>,
    /// When the last final came.
    pub last_final_us: Option<u64>,
    /// When `session_ended` came.
    pub session_ended_us: Option<u64>,
    /// When the connection was over.
    pub closed_us: Option<u64>,
}

/// A final as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalText {
    /// Its segment.
    pub segment_id: u64,
    /// Its text.
    pub text: String,
    /// Where the segment starts, in milliseconds of audio.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// Its channel.
    pub channel: u32,
    /// When it arrived, in microseconds of the trace.
    pub t_us: u64,
}

/// Who closed first, and how: the second axis beside the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Who closed first.
    pub by: Side,
    /// The code of its Close; `None` for a Close without one, or none at all.
    pub code: Option<CloseCode>,
    /// Whether there was a Close frame; without one the transport just ended.
    pub frame: bool,
}

/// A finding as one line: what happened, when, in which state, by which requirement.
#[must_use]
pub fn render(finding: &Finding) -> String {
    let mut line = String::new();
    let seconds = finding.t_us as f64 / 1_000_000.0;
    let _ = write!(
        line,
        "{}: {} {} (conn {}, {}, t={seconds:.2} s, {}) [{}]",
        finding.kind,
        finding.culprit.as_str(),
        finding.message,
        finding.conn,
        finding.state.as_str(),
        frames(&finding.frames),
        finding.requirement
    );
    line
}

fn frames(frames: &[usize]) -> String {
    let word = if frames.len() == 1 { "event" } else { "events" };
    let list: Vec<String> = frames.iter().map(usize::to_string).collect();
    format!("{word} {}", list.join(", "))
}
