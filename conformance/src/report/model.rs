//! Owns the form of the JSON report, version 1. New members may come within a version; none changes its meaning or goes.
//! All times are what their names say, all texts are without secrets.

use serde::{Deserialize, Serialize};

use super::latency::LatencyReport;
use super::suspicion::SuspicionReport;
use super::unmatched::UnmatchedReport;
use crate::certificate::LevelReport;
use crate::coverage::Coverage;
use crate::suite::SuiteSummary;

/// The version of this form, the value of `lastword_report`.
pub(super) const REPORT_VERSION: u32 = 1;

/// Everything a run came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of the form: 1.
    pub lastword_report: u32,
    /// The version of the harness.
    pub harness: String,
    /// Which side the subject is: `server` or `client`.
    #[serde(default = "server")]
    pub role: String,
    /// Whom the run was about.
    pub subject: SubjectReport,
    /// From which the order of the cases was made.
    pub seed: u64,
    /// The exit code of the command, 0 only if all was decided and nothing broke a MUST.
    pub exit_code: u8,
    /// How many cases have which verdict.
    pub counts: Counts,
    /// What the subject announced in its first `ready`; absent without one.
    pub announced: Option<Announced>,
    /// What was measured with nothing else running.
    pub measured: Measured,
    /// The cases, in the order of the suite.
    pub cases: Vec<CaseReport>,
    /// The m-complete suite in figures, if it was run; among the cases it stands as one.
    #[serde(default)]
    pub suite: Option<SuiteSummary>,
    /// The requirements that a case covers or a finding names, by their identifiers.
    pub requirements: Vec<RequirementReport>,
    /// The level, or what stands in its way.
    pub level: LevelReport,
    /// The share of the server's state table that the subject was seen to go through.
    pub coverage: Coverage,
    /// Of a client in a dialect: its messages that no rule of the dialect matched.
    #[serde(default)]
    pub unmatched: Vec<UnmatchedReport>,
    /// What is wrong with the known-failure list.
    pub list_faults: Vec<String>,
    /// What the subject heard of the recordings, if that was asked for.
    pub transcripts: Option<TranscriptsReport>,
    /// How many cases ran side by side in the end.
    pub jobs_at_end: usize,
    /// How many connections were opened.
    pub connections: u64,
    /// How much audio the cases sent, in milliseconds.
    pub audio_ms: u64,
    /// How long the run took, in milliseconds.
    pub took_ms: u64,
}

fn server() -> String {
    "server".to_owned()
}

/// Whom a run was about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubjectReport {
    /// Its address, without query and credentials.
    pub url: String,
    /// The command that was started for it, if one was.
    pub command: Option<String>,
    /// How its process ended before the run did, with the last of what it wrote. A subject that dies broke SEC-S3.
    pub died: Option<String>,
    /// How it lost all its sessions in one moment, as a process does that dies, where that is seen from outside. It broke SEC-S3, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell: Option<String>,
}

/// How many cases have which verdict. Known failures count apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Every covered requirement was exercised and kept.
    pub pass: usize,
    /// Only a SHOULD was broken.
    pub non_strict: usize,
    /// FAIL, DEADLOCK, LIVELOCK or HUNG, and not on the known-failure list.
    pub failed: usize,
    /// The same, and on the list.
    pub known: usize,
    /// INCONCLUSIVE.
    pub inconclusive: usize,
    /// HARNESS_ERROR.
    pub harness_error: usize,
    /// NOT_APPLICABLE.
    pub not_applicable: usize,
    /// NOT_TESTED.
    pub not_tested: usize,
}

/// The bounds by which the subject was judged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announced {
    /// `ready.limits`, with defaults where members were missing.
    pub limits: serde_json::Value,
}

/// What calibration measured, each the middle of its sessions; absent where no session came so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// From the upgrade to `ready`, in microseconds.
    pub ready_us: Option<u64>,
    /// From the sentinel to the last final, in microseconds.
    pub last_final_us: Option<u64>,
    /// From the sentinel to `session_ended`, in microseconds.
    pub ended_us: Option<u64>,
    /// A whole control session, in milliseconds.
    pub session_ms: Option<u64>,
    /// Why no control session completed, if none did.
    pub broken: Option<String>,
}

/// What one case came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its name.
    pub id: String,
    /// Its area, the middle part of the name.
    pub area: String,
    /// What it looks for.
    pub title: String,
    /// The requirements it covers.
    pub covers: Vec<String>,
    /// PASS, NON_STRICT, NOT_APPLICABLE, NOT_TESTED, FAIL, DEADLOCK, LIVELOCK, HUNG, INCONCLUSIVE or HARNESS_ERROR.
    pub verdict: String,
    /// Whether the verdict is one of the four failures.
    pub failed: bool,
    /// Why, where the findings do not say it.
    pub reason: Option<String>,
    /// How the socket closed: the second axis.
    pub closing: Option<String>,
    /// What was found against the subject.
    pub findings: Vec<FindingReport>,
    /// Where the server owed something for too long, or suspiciously long: the evidence, and what it comes to. Release probes that
    /// show a server to be slow and not stuck stand here too.
    #[serde(default)]
    pub suspicions: Vec<SuspicionReport>,
    /// The longest wait for work, where it was a long one and the case passed: a note, and no fault.
    #[serde(default)]
    pub latency: Option<LatencyReport>,
    /// What was late in the first run and not in two further ones, by which the case passed.
    #[serde(default)]
    pub late_once: Vec<FindingReport>,
    /// The entry of the known-failure list that covers it.
    pub known: Option<KnownReport>,
    /// `alone`, `release probes` or the name of the case by which the failure was seen again; `not repeated`; `cleared` where
    /// something was late once and not in two further runs; absent where there was no failure.
    pub confirmed: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long they took, in milliseconds.
    pub took_ms: u64,
    /// The last frames of a failure: from the trace, shortened.
    pub wire_log: Vec<WireLine>,
    /// The last frames of the second run, where it did not repeat the first.
    pub second_wire_log: Vec<WireLine>,
    /// The file with the whole trace, under the log folder.
    pub trace_file: Option<String>,
    /// The command that runs this case again.
    pub again: String,
}

/// One breach of one requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingReport {
    /// The kind, `LOST_FINAL`.
    pub kind: String,
    /// The verdict that the kind gives.
    pub verdict: String,
    /// `server`, `client`, `network` or `harness`.
    pub culprit: String,
    /// The requirement.
    pub requirement: String,
    /// MUST, MUST NOT, SHOULD, SHOULD NOT or MAY.
    pub level: String,
    /// Its sentence.
    pub clause: String,
    /// The state of the session.
    pub state: String,
    /// What happened.
    pub message: String,
    /// The connection.
    pub conn: u32,
    /// The events of the trace that show it, from 0.
    pub frames: Vec<usize>,
    /// When it was certain, in microseconds of the trace.
    pub t_us: u64,
}

/// The entry of the known-failure list that covers a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownReport {
    /// The case, or the glob.
    pub id: String,
    /// Why it is tolerated.
    pub reason: String,
    /// Where it is followed up.
    pub issue: Option<String>,
    /// The day from which it is tolerated no longer.
    pub expires: Option<String>,
}

/// One line of a wire log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireLine {
    /// Microseconds since the start of the trace.
    pub t_us: u64,
    /// The number of the event in the trace.
    pub event: usize,
    /// The connection.
    pub conn: u32,
    /// What happened, shortened.
    pub text: String,
}

/// What a requirement came to over all cases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequirementReport {
    /// Its identifier.
    pub id: String,
    /// MUST, MUST NOT, SHOULD, SHOULD NOT or MAY.
    pub level: String,
    /// The best evidence over its cases, or the failure.
    pub verdict: String,
    /// The cases that cover it.
    pub cases: Vec<String>,
}

/// What the subject heard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscriptsReport {
    /// Words that were replaced, left out or added.
    pub errors: usize,
    /// Words that were said.
    pub words: usize,
    /// Errors for each hundred words; absent where no text is known.
    pub word_error_rate_percent: Option<f64>,
    /// One for each recording.
    pub each: Vec<TranscriptReport>,
}

/// What the subject heard of one recording, sent at the pace at which it was spoken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscriptReport {
    /// The recording.
    pub name: String,
    /// What is said in it.
    pub said: Option<String>,
    /// What was heard; absent where the session did not complete.
    pub heard: Option<String>,
    /// Word errors.
    pub errors: Option<usize>,
    /// The length of the recording, in milliseconds.
    pub audio_ms: u64,
    /// From the first frame to the first partial, in microseconds.
    pub first_partial_us: Option<u64>,
    /// From the last frame to the last final, in microseconds.
    pub last_final_us: Option<u64>,
    /// From the sentinel to `session_ended`, in microseconds.
    pub ended_us: Option<u64>,
}
