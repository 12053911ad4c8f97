//! Owns how a run becomes a report: known failures applied, secrets hidden, the exit code counted out.

use std::collections::BTreeMap;

use lastword_judge::Finding;
use lastword_spec::finding::Verdict;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements;
use lastword_spec::trace::Side;

use super::model::{
    Announced, CaseReport, Counts, FindingReport, KnownReport, Measured, REPORT_VERSION, Report, RequirementReport,
    SubjectReport, TranscriptReport, TranscriptsReport,
};
use super::unmatched::{self, UnmatchedReport};
use super::{latency, stall, wirelog};
use crate::certificate::{End, conclude};
use crate::client::IDEAL_CLIENT_CASE;
use crate::exit;
use crate::known::KnownFailures;
use crate::redact::Redactor;
use crate::run::{CaseResult, Confirmation, Run, Transcripts, fallen};
use crate::verdict::{self, OfRequirement};

/// What a report says besides the run.
pub struct Context {
    /// The address of the subject, without secrets.
    pub url: String,
    /// The command behind it.
    pub command: Option<String>,
    /// How the subject's process ended before the run did, if it did.
    pub died: Option<String>,
    /// The seed of the run.
    pub seed: u64,
    /// The command line with a place for one case, `{case}`.
    pub again: String,
    /// The known failures.
    pub known: KnownFailures,
    /// Hides the secrets of the run.
    pub redactor: Redactor,
    /// Whether whole traces are written beside the report.
    pub has_logs: bool,
}

/// Makes the report of a run.
#[must_use]
pub fn build(run: &Run, context: &Context) -> Report {
    let cases: Vec<CaseReport> = run.results.iter().map(|result| case_report(result, context)).collect();
    let verdict_of = |id: &str| run.results.iter().find(|result| result.case.id == id).map(|result| result.verdict);
    let list_faults = context.known.faults(
        |id| verdict_of(id).is_some_and(|verdict| matches!(verdict, Verdict::Pass | Verdict::NonStrict)),
        |id| verdict_of(id).is_some_and(|verdict| !matches!(verdict, Verdict::NotTested | Verdict::NotApplicable)),
    );
    let counts = counts(&cases);
    let executed_all = run.results.len() == run.planned;
    let role = run.results.first().map_or(Side::Server, |result| result.case.subject());
    let fell = (role == Side::Server).then(|| fallen(&run.results, run.alone.as_ref())).flatten();
    let end = End { died: context.died.is_some(), fell: fell.is_some() };
    let conclusion = conclude(&run.results, run.planned, &run.knowledge, run.suite.as_ref(), end);
    let mut report = Report {
        lastword_report: REPORT_VERSION,
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        role: role.as_str().to_owned(),
        subject: SubjectReport {
            url: context.url.clone(),
            command: context.command.as_deref().map(|command| context.redactor.redact(command)),
            died: context.died.as_deref().map(|how| context.redactor.redact(how)),
            fell: fell.map(|fell| context.redactor.redact(&fell.tell())),
        },
        seed: context.seed,
        exit_code: exit_code(&counts, &list_faults, executed_all, end.died || end.fell, no_session_completes(run)),
        counts,
        announced: run
            .calibration
            .limits
            .as_ref()
            .map(|limits| Announced { limits: serde_json::to_value(limits).unwrap_or_default() }),
        measured: Measured {
            ready_us: run.calibration.ready_us,
            last_final_us: run.calibration.last_final_us,
            ended_us: run.calibration.ended_us,
            session_ms: run.calibration.session_ms,
            broken: run.calibration.broken.as_deref().map(|why| context.redactor.redact(why)),
        },
        cases,
        suite: run.suite.as_ref().map(|suite| suite.summary.redacted(&context.redactor)),
        requirements: requirement_reports(&conclusion.requirements),
        level: conclusion.level,
        unmatched: match role {
            Side::Client => unmatched(run, &context.redactor),
            Side::Server => Vec::new(),
        },
        coverage: conclusion.coverage,
        list_faults,
        transcripts: run.transcripts.as_ref().map(|transcripts| transcripts_report(transcripts, &context.redactor)),
        jobs_at_end: run.jobs_at_end,
        connections: run.connections,
        audio_ms: run.audio_ms,
        took_ms: run.took_ms,
    };
    if !executed_all {
        report.list_faults.push(format!("{} cases were planned and {} ran", run.planned, run.results.len()));
    }
    report
}

fn unmatched(run: &Run, redactor: &Redactor) -> Vec<UnmatchedReport> {
    let evidence = run.results.iter().filter_map(|result| result.evidence.as_ref());
    unmatched::unmatched(evidence.map(|evidence| &*evidence.trace), redactor)
}

/// Whether not one session that has nothing against it came to its end: what passes then may have passed for that alone. The case
/// that is such a session shows that the first one was an accident.
fn no_session_completes(run: &Run) -> bool {
    let completes = |result: &CaseResult| {
        result.case.id == IDEAL_CLIENT_CASE && matches!(result.verdict, Verdict::Pass | Verdict::NonStrict)
    };
    run.calibration.broken.is_some() && !run.results.iter().any(completes)
}

/// 70 for our own errors, 1 for failures that are not known, 4 for a wrong list, 3 where something is open, nothing passed, or no
/// session completes and no failure says why.
fn exit_code(counts: &Counts, list_faults: &[String], executed_all: bool, died: bool, no_session: bool) -> u8 {
    let decided = counts.pass + counts.non_strict + counts.failed + counts.known;
    let mut codes = vec![exit::PASS];
    if counts.harness_error > 0 || !executed_all {
        codes.push(exit::INTERNAL);
    }
    if counts.failed > 0 || died {
        codes.push(exit::VIOLATION);
    }
    if !list_faults.is_empty() {
        codes.push(exit::STALE_LIST);
    }
    let unexplained = no_session && counts.failed + counts.known == 0;
    if counts.inconclusive > 0 || decided == 0 || unexplained {
        codes.push(exit::UNDECIDED);
    }
    exit::strongest(codes)
}

fn counts(cases: &[CaseReport]) -> Counts {
    let mut counts = Counts::default();
    for case in cases {
        let counter = match case.verdict.as_str() {
            "PASS" => &mut counts.pass,
            "NON_STRICT" => &mut counts.non_strict,
            "NOT_APPLICABLE" => &mut counts.not_applicable,
            "NOT_TESTED" => &mut counts.not_tested,
            "INCONCLUSIVE" => &mut counts.inconclusive,
            "HARNESS_ERROR" => &mut counts.harness_error,
            _ if case.known.is_some() => &mut counts.known,
            _ => &mut counts.failed,
        };
        *counter += 1;
    }
    counts
}

fn case_report(result: &CaseResult, context: &Context) -> CaseReport {
    let redactor = &context.redactor;
    let failed = result.verdict.is_failure();
    let open = failed || matches!(result.verdict, Verdict::Inconclusive | Verdict::HarnessError | Verdict::NonStrict);
    let passed = matches!(result.verdict, Verdict::Pass | Verdict::NonStrict);
    let pointed: Vec<usize> = result.findings().flat_map(|finding| finding.frames.iter().copied()).collect();
    let log = |trace| wirelog::tail(trace, &pointed, redactor);
    let known = context.known.entry_of(&result.case.id).map(|known| KnownReport {
        id: known.id.clone(),
        reason: known.reason.clone(),
        issue: known.issue.clone(),
        expires: known.expires.map(|date| date.to_string()),
    });
    CaseReport {
        id: result.case.id.clone(),
        area: result.case.area().to_owned(),
        title: result.case.title.clone(),
        covers: result.case.covers.iter().map(ToString::to_string).collect(),
        verdict: result.verdict.as_str().to_owned(),
        failed,
        reason: result.reason.as_deref().map(|reason| redactor.redact(reason)),
        closing: result.closing(),
        findings: result.findings().map(|finding| finding_report(finding, redactor)).collect(),
        suspicions: result
            .evidence
            .iter()
            .flat_map(|evidence| evidence.judgement.suspicions.iter().map(|one| (one, &evidence.trace)))
            .filter(|(suspicion, _)| open || !suspicion.probes.is_empty())
            .map(|(suspicion, trace)| stall::report(suspicion, trace))
            .collect(),
        latency: result.evidence.as_ref().filter(|_| passed).and_then(|evidence| latency::longest(&evidence.trace)),
        late_once: match &result.confirmation {
            Confirmation::Cleared(first) => first.findings().map(|finding| finding_report(finding, redactor)).collect(),
            _ => Vec::new(),
        },
        known: known.filter(|_| failed),
        confirmed: result.confirmation.word(),
        attempts: result.attempts,
        took_ms: result.took_ms,
        wire_log: result.evidence.as_ref().filter(|_| open).map(|one| log(&one.trace)).unwrap_or_default(),
        second_wire_log: match &result.confirmation {
            Confirmation::NotRepeated(second) => wirelog::tail(&second.trace, &[], redactor),
            _ => Vec::new(),
        },
        trace_file: (context.has_logs && result.evidence.is_some()).then(|| trace_file(&result.case.id)),
        again: context.again.replace("{case}", &result.case.id),
    }
}

/// The name of the file that holds the trace of a case.
#[must_use]
pub(super) fn trace_file(case: &str) -> String {
    format!("{}.jsonl", case.replace('/', "."))
}

/// A finding as reports have it.
#[must_use]
pub(crate) fn finding_report(finding: &Finding, redactor: &Redactor) -> FindingReport {
    let requirement = requirements::find(finding.requirement.as_str());
    let strict = verdict::breaks_a_must(finding);
    FindingReport {
        kind: finding.kind.as_str().to_owned(),
        verdict: if strict { finding.kind.verdict() } else { Verdict::NonStrict }.as_str().to_owned(),
        culprit: finding.culprit.as_str().to_owned(),
        requirement: finding.requirement.to_string(),
        level: requirement.map_or("", |found| found.level.as_str()).to_owned(),
        clause: requirement.map_or("", |found| found.text).to_owned(),
        state: finding.state.as_str().to_owned(),
        message: redactor.redact(&finding.message),
        conn: finding.conn,
        frames: finding.frames.clone(),
        t_us: finding.t_us,
    }
}

/// The requirements as reports have them.
#[must_use]
pub(crate) fn requirement_reports(all: &BTreeMap<RequirementId, OfRequirement>) -> Vec<RequirementReport> {
    all.iter()
        .map(|(id, one)| RequirementReport {
            id: id.to_string(),
            level: requirements::find(id.as_str()).map_or("", |found| found.level.as_str()).to_owned(),
            verdict: one.verdict.as_str().to_owned(),
            cases: one.cases.clone(),
        })
        .collect()
}

fn transcripts_report(transcripts: &Transcripts, redactor: &Redactor) -> TranscriptsReport {
    TranscriptsReport {
        errors: transcripts.total.errors,
        words: transcripts.total.words,
        word_error_rate_percent: transcripts.total.percent(),
        each: transcripts
            .each
            .iter()
            .map(|one| TranscriptReport {
                name: one.name.clone(),
                said: one.said.clone(),
                heard: one.heard.as_deref().map(|heard| redactor.redact(heard)),
                errors: one.errors.map(|errors| errors.errors),
                audio_ms: one.audio_ms,
                first_partial_us: one.first_partial_us,
                last_final_us: one.last_final_us,
                ended_us: one.ended_us,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_decided_is_never_green_and_our_own_error_outranks_all() {
        let code = |counts: Counts, faults: &[String]| exit_code(&counts, faults, true, false, false);
        let pass = Counts { pass: 1, ..Counts::default() };
        let stale = ["stale".to_owned()];
        assert_eq!(code(pass.clone(), &[]), exit::PASS);
        assert_eq!(code(Counts { not_tested: 9, ..Counts::default() }, &[]), exit::UNDECIDED);
        assert_eq!(code(Counts { inconclusive: 1, ..pass.clone() }, &[]), exit::UNDECIDED);
        assert_eq!(code(Counts { inconclusive: 1, ..pass.clone() }, &stale), exit::STALE_LIST);
        assert_eq!(code(Counts { failed: 1, inconclusive: 1, ..pass.clone() }, &stale), exit::VIOLATION);
        assert_eq!(code(Counts { failed: 1, harness_error: 1, ..pass.clone() }, &stale), exit::INTERNAL);
        assert_eq!(code(Counts { known: 1, ..pass.clone() }, &[]), exit::PASS);
        assert_eq!(exit_code(&pass, &[], false, false, false), exit::INTERNAL);
        assert_eq!(exit_code(&pass, &[], true, true, false), exit::VIOLATION);
        assert_eq!(exit_code(&pass, &[], true, false, true), exit::UNDECIDED, "no session completes");
        let known = Counts { known: 1, ..pass };
        assert_eq!(exit_code(&known, &[], true, false, true), exit::PASS, "a known failure says why");
    }
}
