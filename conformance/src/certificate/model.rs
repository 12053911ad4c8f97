//! Owns the form of a certificate, version 1: what stands in the first line of each part. Members that are not known are
//! refused, so that nothing stands in a certificate that the verification does not look at.

use std::collections::BTreeMap;

use lastword_spec::trace::{Side, Spoken};
use serde::{Deserialize, Serialize};

use super::level::LevelReport;
use crate::coverage::Coverage;
use crate::report::{Measured, RequirementReport, SubjectReport};
use crate::run::Expected;
use crate::suite::SuiteSummary;

/// The version of the form, the value of `lastword_certificate` in the first line.
pub const CERTIFICATE_VERSION: u32 = 1;

/// The first line: what the certificate is of, and how it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) lastword_certificate: u32,
    /// The version of the harness that made it.
    pub(super) harness: String,
    /// The protocol, `lastword.v1`.
    pub(super) protocol: String,
    /// The requirements by which it was judged.
    pub(super) requirement_set: SetEntry,
    /// SHA-256 of the case files.
    pub(super) cases_sha256: String,
    /// When, in UTC.
    pub(super) made_at: String,
    pub(super) subject: SubjectReport,
    pub(super) options: Options,
}

/// A frozen requirement set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetEntry {
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) count: usize,
}

/// The options of a run that its verdicts, or the way to them, depend on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// From which the order of the cases was made.
    pub seed: u64,
    /// `--only`.
    pub only: Vec<String>,
    /// `--skip`.
    pub skip: Vec<String>,
    /// `--jobs`.
    pub jobs: usize,
    /// `--max-sessions`.
    pub max_sessions: Option<usize>,
    /// `--rate`.
    pub rate: Option<f64>,
    /// `--audio-budget`, in seconds.
    pub audio_budget_s: Option<u64>,
    /// `--max-wait`, in milliseconds.
    pub max_wait_ms: u64,
    /// Whether a credential was given with `--token`; it stands nowhere in the file.
    pub has_token: bool,
    /// Whether the upgrades showed a credential.
    pub has_credential: bool,
    /// What the subject was said to hear, by the name that cases use for a clip.
    pub expected: BTreeMap<String, Expected>,
    /// The dialect that was spoken, where it is not version 1 itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Spoken>,
    /// How the subject was run, where it is a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientOptions>,
    /// The states beyond those of the table with which the m-complete suite was run; absent where it was left out.
    pub suite_extra_states: Option<usize>,
    /// SHA-256 of the speech that was sent.
    pub speech_sha256: String,
}

/// The options of a run against a client. With them stands what the subject is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientOptions {
    /// What is seen of the client: its frames and its exit (0), or also what a driver tells (1).
    pub level: u8,
    /// `--stdin`: `wav` or `pcm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// `--stream-ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_ms: Option<u64>,
    /// The path of the URL that the client was given.
    pub path: String,
    /// `--tls`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

impl Options {
    /// Which side the subject is.
    #[must_use]
    pub fn role(&self) -> Side {
        if self.client.is_some() { Side::Client } else { Side::Server }
    }
}

/// The requirements of the set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequirementsEntry {
    pub(super) requirements: Vec<RequirementEntry>,
}

/// One requirement of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequirementEntry {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) level: String,
    pub(super) testable: bool,
}

/// What was measured before the cases; its sessions follow as traces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalibrationEntry {
    pub(super) measured: Measured,
}

/// One case; its traces follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseEntry {
    pub(super) case: String,
    pub(super) verdict: String,
    pub(super) reason: Option<String>,
    pub(super) closing: Option<String>,
    pub(super) findings: Vec<FindingEntry>,
    /// What the case waited for in vain.
    pub(super) unmet: Vec<String>,
    /// Why a control session of the case did not complete.
    pub(super) control_failed: Option<String>,
    /// When it began, in microseconds since the run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begun_us: Option<u64>,
    /// `alone`, the name of a case, `not repeated`, `cleared`, or absent.
    pub(super) confirmed: Option<String>,
    pub(super) attempts: u32,
    pub(super) took_ms: u64,
}

/// One breach, as the judge found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FindingEntry {
    pub(super) kind: String,
    pub(super) culprit: String,
    pub(super) requirement: String,
    pub(super) state: String,
    pub(super) message: String,
    pub(super) conn: u32,
    pub(super) frames: Vec<usize>,
    pub(super) t_us: u64,
}

/// The m-complete suite; the traces of its sequences follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteEntry {
    pub(super) summary: SuiteSummary,
    /// Why not all sequences were run, if they were not.
    pub(super) stopped: Option<String>,
    pub(super) sequences: Vec<SequenceEntry>,
}

/// One sequence of the suite. Its traces are called by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SequenceEntry {
    pub(super) number: usize,
    pub(super) inputs: Vec<String>,
    /// `conforming`, `not reached`, or what differs.
    pub(super) outcome: String,
    pub(super) confirmed: Option<String>,
    pub(super) attempts: u32,
}

/// Before the lines of a trace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceMark {
    pub(super) trace: TraceName,
}

/// Which trace, and how many lines it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceName {
    pub(super) run: String,
    pub(super) lines: usize,
}

/// What the run came to as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerdictsEntry {
    pub(super) planned: usize,
    pub(super) requirements: Vec<RequirementReport>,
    pub(super) coverage: Coverage,
    pub(super) level: LevelReport,
}

/// The names of the parts that stand once.
pub(super) const HEAD: &str = "head";
pub(super) const REQUIREMENTS: &str = "requirements";
pub(super) const CALIBRATION: &str = "calibration";
pub(super) const SUITE: &str = "suite";
pub(super) const VERDICTS: &str = "verdicts";
/// The trace of a case, of its second and its third run, of a session of the calibration, of the session that was held alone.
pub(super) const FIRST: &str = "first";
pub(super) const SECOND: &str = "second";
pub(super) const THIRD: &str = "third";
pub(super) const SESSION: &str = "session";
pub(super) const ALONE: &str = "alone";
