//! Owns the way from the bytes of a certificate to what stands in it. Whether it is true is for the verification.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use lastword_spec::trace::{self, Trace};

use super::model::{
    ALONE, CALIBRATION, CERTIFICATE_VERSION, CalibrationEntry, CaseEntry, FIRST, HEAD, Head, REQUIREMENTS,
    RequirementEntry, RequirementsEntry, SECOND, SESSION, SUITE, SuiteEntry, THIRD, TraceMark, VERDICTS, VerdictsEntry,
};
use super::seal::{self, Damage, Part};

/// Why a file cannot be verified: it is no certificate, is not as it was made, or is of another version.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Bytes of it changed.
    #[error("the file is not as it was made: {0}")]
    Damaged(#[from] Damage),
    /// The form is of another version.
    #[error(
        "this is a certificate of form {found}, and this harness reads form {CERTIFICATE_VERSION}: use the lastword that made it ({harness})"
    )]
    Form {
        /// The version of the form.
        found: u64,
        /// The harness that made it.
        harness: String,
    },
    /// It is sealed, and yet not of the form that its version says: it was not made by this program.
    #[error("the part `{part}` is not of the form of a certificate: {detail}")]
    Malformed {
        /// The part.
        part: String,
        /// What is wrong.
        detail: String,
    },
}

/// Everything that stands in a certificate.
pub(super) struct Contents {
    pub(super) head: Head,
    pub(super) requirements: Vec<RequirementEntry>,
    pub(super) sessions: Vec<Trace>,
    pub(super) alone: Option<Trace>,
    pub(super) cases: Vec<CaseContents>,
    pub(super) suite: Option<SuiteContents>,
    pub(super) verdicts: VerdictsEntry,
}

/// A case and its traces.
pub(super) struct CaseContents {
    pub(super) entry: CaseEntry,
    pub(super) first: Option<Trace>,
    pub(super) second: Option<Trace>,
    pub(super) third: Option<Trace>,
}

/// The suite and the traces of its sequences.
pub(super) struct SuiteContents {
    pub(super) entry: SuiteEntry,
    pub(super) sequences: Vec<SequenceContents>,
}

/// The traces of a sequence.
pub(super) struct SequenceContents {
    pub(super) first: Trace,
    pub(super) second: Option<Trace>,
}

/// Reads a certificate whose every byte is as it was.
///
/// # Errors
/// It is not as it was made, of another form, or malformed.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, ReadError> {
    if let Some(other) = other_form(bytes) {
        return Err(other);
    }
    let mut parts = seal::open(bytes)?.into_iter();
    let (head, none) = of_part::<Head>(&mut parts, HEAD)?;
    expect_no_traces(HEAD, &none)?;
    let (requirements, none) = of_part::<RequirementsEntry>(&mut parts, REQUIREMENTS)?;
    expect_no_traces(REQUIREMENTS, &none)?;
    let (_, sessions) = of_part::<CalibrationEntry>(&mut parts, CALIBRATION)?;
    let (alone, sessions): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|(run, _)| run == ALONE);
    let mut alone = alone.into_iter().map(|(_, trace)| trace);
    let mut cases = Vec::new();
    let (mut suite, mut verdicts) = (None, None);
    for part in parts {
        match part.name.as_str() {
            _ if verdicts.is_some() => return Err(malformed(&part.name, "it stands after the verdicts")),
            VERDICTS => {
                let (entry, none) = parse::<VerdictsEntry>(&part)?;
                expect_no_traces(VERDICTS, &none)?;
                verdicts = Some(entry);
            }
            SUITE if suite.is_none() => suite = Some(suite_of(&part)?),
            _ => cases.push(case_of(&part)?),
        }
    }
    let requirements = requirements.requirements;
    let verdicts = verdicts.ok_or_else(|| malformed(VERDICTS, "it is missing"))?;
    Ok(Contents {
        head,
        requirements,
        alone: alone.next(),
        sessions: named(CALIBRATION, sessions, SESSION)?,
        cases,
        suite,
        verdicts,
    })
}

/// A form of another version, told from a damaged file of this one by its whole first line.
fn other_form(bytes: &[u8]) -> Option<ReadError> {
    let first = bytes.split(|byte| *byte == b'\n').next()?;
    let head: Value = serde_json::from_slice(first).ok()?;
    let found = head.get("lastword_certificate")?.as_u64()?;
    let harness = head.get("harness").and_then(Value::as_str).unwrap_or("an unknown version").to_owned();
    // A seal that holds a head of another version is no accident.
    let sealed = matches!(seal::open(bytes), Ok(_) | Err(Damage::Seal));
    (found != u64::from(CERTIFICATE_VERSION) && sealed).then_some(ReadError::Form { found, harness })
}

fn case_of(part: &Part<&[u8]>) -> Result<CaseContents, ReadError> {
    let (entry, traces) = parse::<CaseEntry>(part)?;
    if part.name != part_of_case(&entry.case) {
        return Err(malformed(&part.name, "the case in it has another name"));
    }
    let (mut first, mut second, mut third) = (None, None, None);
    for (run, trace) in traces {
        let place = match run.as_str() {
            FIRST => &mut first,
            SECOND => &mut second,
            THIRD => &mut third,
            _ => return Err(malformed(&part.name, &format!("a case has no trace of name `{run}`"))),
        };
        if place.replace(trace).is_some() {
            return Err(malformed(&part.name, &format!("two traces of name `{run}`")));
        }
    }
    Ok(CaseContents { entry, first, second, third })
}

fn suite_of(part: &Part<&[u8]>) -> Result<SuiteContents, ReadError> {
    let (entry, traces) = parse::<SuiteEntry>(part)?;
    let mut traces: BTreeMap<String, Trace> = traces.into_iter().collect();
    let mut sequences = Vec::new();
    for one in &entry.sequences {
        let mut take = |run: &str| traces.remove(&trace_of_sequence(run, one.number));
        let first = take(FIRST).ok_or_else(|| malformed(SUITE, &format!("sequence {} has no trace", one.number)))?;
        sequences.push(SequenceContents { first, second: take(SECOND) });
    }
    if let Some(run) = traces.keys().next() {
        return Err(malformed(SUITE, &format!("no sequence has the trace `{run}`")));
    }
    Ok(SuiteContents { entry, sequences })
}

/// The name of a trace of a sequence.
pub(super) fn trace_of_sequence(run: &str, number: usize) -> String {
    format!("{run} {number}")
}

/// The name of the part of a case.
pub(super) fn part_of_case(case: &str) -> String {
    format!("case {case}")
}

type Traces = Vec<(String, Trace)>;

fn of_part<'a, T: DeserializeOwned>(
    parts: &mut impl Iterator<Item = Part<&'a [u8]>>,
    name: &str,
) -> Result<(T, Traces), ReadError> {
    let part = parts.next().filter(|part| part.name == name).ok_or_else(|| malformed(name, "it is missing"))?;
    parse(&part)
}

/// The first line of a part, and the traces that follow it.
fn parse<T: DeserializeOwned>(part: &Part<&[u8]>) -> Result<(T, Traces), ReadError> {
    let wrong = |detail: &dyn std::fmt::Display| malformed(&part.name, &detail.to_string());
    let text = std::str::from_utf8(part.text).map_err(|error| wrong(&error))?;
    let mut lines = text.lines();
    let first = lines.next().ok_or_else(|| wrong(&"it is empty"))?;
    let entry = serde_json::from_str(first).map_err(|error| wrong(&error))?;
    let mut traces = Vec::new();
    while let Some(line) = lines.next() {
        let mark: TraceMark = serde_json::from_str(line).map_err(|error| wrong(&error))?;
        let mut written = String::new();
        for _ in 0..mark.trace.lines {
            let line = lines.next().ok_or_else(|| wrong(&format!("the trace `{}` breaks off", mark.trace.run)))?;
            written.push_str(line);
            written.push('\n');
        }
        let read = trace::read(&written).map_err(|error| wrong(&format!("the trace `{}`: {error}", mark.trace.run)))?;
        traces.push((mark.trace.run, read));
    }
    Ok((entry, traces))
}

fn named(part: &str, traces: Traces, name: &str) -> Result<Vec<Trace>, ReadError> {
    if let Some((run, _)) = traces.iter().find(|(run, _)| run != name) {
        return Err(malformed(part, &format!("it has no trace of name `{run}`")));
    }
    Ok(traces.into_iter().map(|(_, trace)| trace).collect())
}

fn expect_no_traces(part: &str, traces: &Traces) -> Result<(), ReadError> {
    if traces.is_empty() { Ok(()) } else { Err(malformed(part, "there are traces in it")) }
}

fn malformed(part: &str, detail: &str) -> ReadError {
    ReadError::Malformed { part: part.to_owned(), detail: detail.to_owned() }
}
