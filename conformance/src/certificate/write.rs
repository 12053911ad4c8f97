//! Owns the way from a run to its certificate. What is written is what the verification will compute: the traces are redacted
//! first and judged again as they stand in the file, and a certificate that would say anything else than the run is not written.

use std::sync::Arc;

use lastword_spec::frozen;
use lastword_spec::requirements;
use lastword_spec::trace::{self, Trace};

use super::conclude::{End, conclude};
use super::digest;
use super::model::{
    ALONE, CALIBRATION, CERTIFICATE_VERSION, CalibrationEntry, CaseEntry, FIRST, HEAD, Head, Options, REQUIREMENTS,
    RequirementEntry, RequirementsEntry, SECOND, SESSION, SUITE, SetEntry, THIRD, TraceMark, TraceName, VERDICTS,
    VerdictsEntry,
};
use super::read::{CaseContents, SequenceContents, SuiteContents, part_of_case, trace_of_sequence};
use super::rejudge;
use super::seal::{self, Part, line};
use super::verify::verify;
use crate::redact::Redactor;
use crate::report::{Measured, SubjectReport, requirement_reports};
use crate::run::{CaseResult, Evidence, Run};
use crate::suite::{CASE_ID, SuiteRun};

/// A shorter credential cannot be told from ordinary text, and so cannot be kept out of a certificate.
pub const MIN_CREDENTIAL_BYTES: usize = 4;

/// What a certificate says besides the run.
pub struct Origin {
    /// Whom the run was about.
    pub subject: SubjectReport,
    /// The options of the run; what the run itself knows is filled in.
    pub options: Options,
    /// The credential of `--token`.
    pub token: Option<String>,
    /// Everything that must stand in no output.
    pub secrets: Vec<String>,
    /// When it was made, in UTC.
    pub made_at: String,
}

/// Why there is no certificate. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The credential is so short that it would be found in ordinary text.
    #[error(
        "a credential of fewer than {MIN_CREDENTIAL_BYTES} bytes cannot be kept out of a certificate: use a longer one"
    )]
    ShortCredential,
    /// Judged again from the file, the run would come to something else. A defect of the harness.
    #[error("the certificate would not say what the run says, which is a defect of the harness; please report it:\n  {}", .0.join("\n  "))]
    Differs(Vec<String>),
}

/// The certificate of a run, as the text of its file.
///
/// # Errors
/// The credential cannot be hidden, or what would be written does not verify.
pub fn write(run: &Run, origin: &Origin) -> Result<String, WriteError> {
    if origin.token.as_ref().is_some_and(|token| token.len() < MIN_CREDENTIAL_BYTES) {
        return Err(WriteError::ShortCredential);
    }
    let redactor = Redactor::telling_apart(origin.token.as_deref(), &origin.secrets);
    let hidden = |evidence: &Evidence| redacted(&evidence.trace, &redactor);
    let differs = |why: String| WriteError::Differs(vec![why]);
    let sessions = run.calibration.sessions.iter().map(hidden).collect::<Result<Vec<_>, _>>().map_err(differs)?;
    let alone = run.alone.as_ref().map(hidden).transpose().map_err(differs)?;
    let mut cases = Vec::new();
    for result in run.results.iter().filter(|result| result.case.id != CASE_ID) {
        let first = result.first().map(hidden).transpose().map_err(differs)?;
        let second = result.second.as_ref().map(hidden).transpose().map_err(differs)?;
        let third = result.third.as_ref().map(hidden).transpose().map_err(differs)?;
        let entry = redacted_entry(rejudge::entry(result), &redactor);
        cases.push(CaseContents { entry, first, second, third });
    }
    let options = Options {
        max_wait_ms: run.knowledge.max_wait_ms,
        has_token: origin.token.is_some(),
        has_credential: run.knowledge.has_credential,
        expected: run.knowledge.expected.clone(),
        dialect: run.knowledge.dialect.clone(),
        suite_extra_states: run.suite.as_ref().map(|suite| suite.summary.extra_states),
        ..origin.options.clone()
    };
    let knowledge = rejudge::knowledge(&options, &sessions);
    let (mut results, fell) = rejudge::cases(&cases, &sessions, alone.as_ref(), &options, &knowledge)
        .map_err(|error| differs(format!("{}: {}", error.case, error.why)))?;
    let suite = match run.suite.as_ref() {
        None => None,
        Some(suite) => {
            let contents = suite_contents(suite, &redactor).map_err(differs)?;
            let (result, again) = rejudge::suite(&contents, suite.summary.extra_states, &results, &knowledge)
                .map_err(|error| differs(error.why))?;
            results.push(result);
            Some((contents, again))
        }
    };
    same(&run.results, &results)?;
    let end = End { died: origin.subject.died.is_some(), fell };
    let conclusion = conclude(&results, run.planned, &knowledge, suite.as_ref().map(|(_, again)| again), end);
    let verdicts = VerdictsEntry {
        planned: run.planned,
        requirements: requirement_reports(&conclusion.requirements),
        coverage: conclusion.coverage,
        level: conclusion.level,
    };

    let head = head(origin, options);
    let mut parts = vec![
        part(HEAD, line(&head), &redactor),
        part(REQUIREMENTS, line(&RequirementsEntry { requirements: requirement_entries() }), &redactor),
        part(CALIBRATION, calibration(run, &sessions, alone.as_ref()), &redactor),
    ];
    for (contents, result) in cases.iter().zip(&results) {
        let mut text = line(&rejudge::entry(result));
        append(&mut text, FIRST, contents.first.as_ref());
        append(&mut text, SECOND, contents.second.as_ref());
        append(&mut text, THIRD, contents.third.as_ref());
        parts.push(part(&part_of_case(&result.case.id), text, &redactor));
    }
    if let Some((contents, again)) = &suite {
        parts.push(part(SUITE, suite_text(contents, again), &redactor));
    }
    parts.push(part(VERDICTS, line(&verdicts), &redactor));
    let text = seal::seal(&parts);
    let verified = verify(text.as_bytes()).map_err(|error| differs(error.to_string()))?;
    if !verified.differences.is_empty() {
        return Err(WriteError::Differs(verified.differences.iter().map(ToString::to_string).collect()));
    }
    Ok(text)
}

fn head(origin: &Origin, options: Options) -> Head {
    let set = frozen::current();
    Head {
        lastword_certificate: CERTIFICATE_VERSION,
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: lastword_spec::PROTOCOL.to_owned(),
        requirement_set: SetEntry {
            version: set.version.to_owned(),
            sha256: digest::of_requirements(),
            count: requirements::ALL.len(),
        },
        cases_sha256: digest::of_cases(options.role()),
        made_at: origin.made_at.clone(),
        subject: origin.subject.clone(),
        options,
    }
}

/// The requirements of this version, as a certificate has them.
pub(super) fn requirement_entries() -> Vec<RequirementEntry> {
    let entry = |one: &lastword_spec::registry::Requirement| RequirementEntry {
        id: one.id.to_string(),
        role: one.role.as_str().to_owned(),
        level: one.level.as_str().to_owned(),
        testable: one.untestable.is_none(),
    };
    requirements::ALL.iter().map(entry).collect()
}

fn calibration(run: &Run, sessions: &[Trace], alone: Option<&Trace>) -> String {
    let calibration = &run.calibration;
    let measured = Measured {
        ready_us: calibration.ready_us,
        last_final_us: calibration.last_final_us,
        ended_us: calibration.ended_us,
        session_ms: calibration.session_ms,
        broken: calibration.broken.clone(),
    };
    let mut text = line(&CalibrationEntry { measured });
    for trace in sessions {
        append(&mut text, SESSION, Some(trace));
    }
    append(&mut text, ALONE, alone);
    text
}

fn suite_contents(run: &SuiteRun, redactor: &Redactor) -> Result<SuiteContents, String> {
    let hidden = |evidence: &Evidence| redacted(&evidence.trace, redactor);
    let mut sequences = Vec::new();
    for one in &run.sequences {
        let first = one.evidence.as_ref().ok_or_else(|| format!("sequence {} has no trace", one.number))?;
        sequences
            .push(SequenceContents { first: hidden(first)?, second: one.second.as_ref().map(hidden).transpose()? });
    }
    let mut entry = rejudge::suite_entry(run);
    entry.summary = entry.summary.redacted(redactor);
    entry.stopped = entry.stopped.map(|why| redactor.redact(&why));
    Ok(SuiteContents { entry, sequences })
}

fn suite_text(contents: &SuiteContents, again: &SuiteRun) -> String {
    let mut text = line(&rejudge::suite_entry(again));
    for (entry, traces) in contents.entry.sequences.iter().zip(&contents.sequences) {
        append(&mut text, &trace_of_sequence(FIRST, entry.number), Some(&traces.first));
        append(&mut text, &trace_of_sequence(SECOND, entry.number), traces.second.as_ref());
    }
    text
}

fn append(text: &mut String, run: &str, trace: Option<&Trace>) {
    let Some(trace) = trace else { return };
    let name = TraceName { run: run.to_owned(), lines: trace.events.len() + 1 };
    text.push_str(&line(&TraceMark { trace: name }));
    text.push_str(&trace::write(trace));
}

/// Whatever else a part holds, no secret leaves by it.
fn part(name: &str, text: String, redactor: &Redactor) -> Part<String> {
    Part { name: name.to_owned(), text: redactor.redact(&text) }
}

fn redacted(trace: &Arc<Trace>, redactor: &Redactor) -> Result<Trace, String> {
    let name = trace.header.case.as_deref().unwrap_or("a trace");
    trace::read(&redactor.redact(&trace::write(trace))).map_err(|error| format!("{name}, without its secrets: {error}"))
}

fn redacted_entry(entry: CaseEntry, redactor: &Redactor) -> CaseEntry {
    let hide = |text: String| redactor.redact(&text);
    CaseEntry {
        reason: entry.reason.map(hide),
        unmet: entry.unmet.into_iter().map(hide).collect(),
        control_failed: entry.control_failed.map(hide),
        ..entry
    }
}

/// Whether the file says of every case what the run said.
fn same(ran: &[CaseResult], judged: &[CaseResult]) -> Result<(), WriteError> {
    let found = |result: &CaseResult| -> Vec<String> {
        result.findings().map(|finding| format!("{} [{}]", finding.kind, finding.requirement)).collect()
    };
    let differences: Vec<String> = ran
        .iter()
        .zip(judged)
        .filter(|(ran, judged)| ran.verdict != judged.verdict || found(ran) != found(judged))
        .map(|(ran, judged)| {
            let (one, other) = (found(ran).join(", "), found(judged).join(", "));
            format!("{}: {} ({one}) in the run, {} ({other}) from the file", ran.case.id, ran.verdict, judged.verdict)
        })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(WriteError::Differs(differences)) }
}
