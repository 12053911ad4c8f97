//! Owns what is known of each case when a run is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use lastword_judge::{Finding, Judgement};
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::trace::{EventKind, Trace};

use super::calibrate::Calibration;
use super::knowledge::Knowledge;
use super::transcribe::Transcripts;
use crate::case::Case;
use crate::suite::SuiteRun;
use crate::verdict::{self, Circumstances};

/// How the reason begins where a control session failed, and nothing was decided.
pub(crate) const CONTROL_FAILED: &str = "control failed: ";

/// How the reason begins where nobody was there when the case wanted to connect.
pub(crate) const NO_LONGER_ANSWERS: &str = "the subject no longer answers: ";

/// Everything a run brought.
pub struct Run {
    /// One for each case, in the order of the plan.
    pub results: Vec<CaseResult>,
    /// How many cases were to be run.
    pub planned: usize,
    /// What was measured first.
    pub calibration: Calibration,
    /// What verdicts depend on besides the traces.
    pub knowledge: Knowledge,
    /// A session that was held alone because the subject had answered nothing; `None` where that was not needed.
    pub alone: Option<Evidence>,
    /// What the m-complete suite came to, if it was run; in `results` it stands as one case.
    pub suite: Option<SuiteRun>,
    /// What the subject heard, if that was asked for.
    pub transcripts: Option<Transcripts>,
    /// How many cases ran side by side in the end.
    pub jobs_at_end: usize,
    /// How many connections were opened.
    pub connections: u64,
    /// How much audio the cases sent, in milliseconds.
    pub audio_ms: u64,
    /// How long it took.
    pub took_ms: u64,
}

/// What one case came to.
#[derive(Clone)]
pub struct CaseResult {
    /// The case.
    pub case: &'static Case,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, where the findings do not say it.
    pub reason: Option<String>,
    /// What the verdict stands on: what happened, and what the judge made of it; `None` where the case was not run.
    pub evidence: Option<Evidence>,
    /// What stood beside the trace when the verdict was made.
    pub circumstances: Circumstances,
    /// What happened when the case ran again, alone; `None` where it did not.
    pub second: Option<Evidence>,
    /// What happened when it ran once more, because all that was found was a matter of time and the second run was clean.
    pub third: Option<Evidence>,
    /// Whether a failure was seen again with nothing else running.
    pub confirmation: Confirmation,
    /// What was found once and not again, beside other things that were: it convicts nobody.
    pub unrepeated: BTreeSet<(RequirementId, FindingKind)>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long they took, in milliseconds.
    pub took_ms: u64,
}

/// A trace and its judgement.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What happened.
    pub trace: Arc<Trace>,
    /// What the judge made of it.
    pub judgement: Arc<Judgement>,
}

/// Whether a failure was seen again.
#[derive(Clone)]
pub enum Confirmation {
    /// There was nothing to confirm, or it was not looked at again.
    None,
    /// The same was found again when the case ran alone.
    Alone,
    /// The same was found again when copies of the case ran side by side, and not when one ran alone.
    Company,
    /// The release probes of the case itself have shown it, five times over.
    Probes,
    /// The same was found again in another case, which ran alone or has shown it by release probes.
    By(String),
    /// It was not found again; this is what happened then.
    NotRepeated(Evidence),
    /// Something was late, once, and not again in two further runs, by which the case passed; this is what had happened at first.
    Cleared(Evidence),
}

impl Confirmation {
    /// Whether the case itself has shown the same again.
    #[must_use]
    pub fn is_again(&self) -> bool {
        matches!(self, Self::Alone | Self::Company)
    }

    /// By what a failure was seen again, as reports say it: `alone`, `in company`, the name of a case, `not repeated`, or
    /// `cleared`.
    #[must_use]
    pub fn word(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Alone => Some("alone".to_owned()),
            Self::Company => Some("in company".to_owned()),
            Self::Probes => Some("release probes".to_owned()),
            Self::By(case) => Some(case.clone()),
            Self::NotRepeated(_) => Some("not repeated".to_owned()),
            Self::Cleared(_) => Some("cleared".to_owned()),
        }
    }
}

impl Evidence {
    /// The findings against the subject.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let subject = verdict::culprit(self.trace.header.subject);
        self.judgement.findings.iter().filter(move |finding| finding.culprit == subject)
    }
}

impl CaseResult {
    /// What happened when the case ran again, if the subject was there to be asked: a run that reached nobody repeats nothing and
    /// clears nothing.
    pub(super) fn looked_again(&self) -> Option<&Evidence> {
        let reached = |kind: &EventKind| matches!(kind, EventKind::Open(_) | EventKind::Refused { .. });
        let none = |look: &&Evidence| {
            look.trace.events.iter().any(|event| matches!(event.kind, EventKind::ConnectFailed { .. }))
                && !look.trace.events.iter().any(|event| reached(&event.kind))
        };
        self.second.as_ref().filter(|look| !none(look))
    }

    /// What became of looking for something again.
    pub(super) fn why_not_again(&self) -> &'static str {
        match (&self.second, self.looked_again()) {
            (Some(_), None) => "the subject no longer answered when the case was to run again",
            _ => "not again when the case ran alone",
        }
    }

    /// Whether nothing was decided because the subject did not serve: a control session failed, or nobody was there.
    pub(super) fn is_without_control(&self) -> bool {
        let failed = |reason: &String| reason.starts_with(CONTROL_FAILED) || reason.starts_with(NO_LONGER_ANSWERS);
        self.verdict == Verdict::Inconclusive && self.reason.as_ref().is_some_and(failed)
    }

    /// What happened when the case ran for the first time.
    #[must_use]
    pub fn first(&self) -> Option<&Evidence> {
        match &self.confirmation {
            Confirmation::Cleared(first) => Some(first),
            _ => self.evidence.as_ref(),
        }
    }

    /// The findings against the subject, without those that were not repeatable beside others that were.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let stands = |finding: &&Finding| !self.unrepeated.contains(&(finding.requirement, finding.kind));
        self.evidence.iter().flat_map(Evidence::findings).filter(stands)
    }

    /// How the socket of the case's last connection closed, the second axis beside the verdict.
    #[must_use]
    pub fn closing(&self) -> Option<String> {
        let last = self.evidence.as_ref()?.judgement.connections.last()?;
        if let Some(status) = last.refused {
            return Some(format!("refused with HTTP {status}"));
        }
        let closed = last.close?;
        Some(match (closed.frame, closed.code) {
            (true, Some(code)) => format!("{} closed with {code}", closed.by.as_str()),
            (true, None) => format!("{} closed without a code", closed.by.as_str()),
            (false, _) => format!("{} ended the transport without a Close", closed.by.as_str()),
        })
    }
}

/// The result of a case that was not run.
pub(crate) fn skipped(case: &'static Case, verdict: Verdict, reason: &str) -> CaseResult {
    CaseResult {
        case,
        verdict,
        reason: Some(reason.to_owned()),
        evidence: None,
        circumstances: Circumstances::default(),
        second: None,
        third: None,
        confirmation: Confirmation::None,
        unrepeated: BTreeSet::new(),
        attempts: 0,
        took_ms: 0,
    }
}

/// The result of a case whose subject could not be reached at all.
pub(super) fn unreachable(case: &&'static Case, why: &str) -> CaseResult {
    skipped(case, Verdict::Inconclusive, &format!("{CONTROL_FAILED}{why}"))
}
