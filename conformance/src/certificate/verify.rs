//! Owns the verification of a certificate: whether it is as it was made, whether this harness can judge it, and whether every
//! verdict in it follows from its traces. Pure; the subject is not needed.

use std::fmt;
use std::fmt::Write as _;

use lastword_spec::frozen;
use lastword_spec::trace::{Side, Trace};
use serde::Serialize;

use super::client::ClientStanding;
use super::conclude::{End, conclude};
use super::digest;
use super::level::LevelReport;
use super::model::{CaseEntry, Head, SUITE, SuiteEntry, VerdictsEntry};
use super::read::{CaseContents, Contents, ReadError, read};
use super::rejudge;
use super::write::requirement_entries;
use crate::coverage::Coverage;
use crate::report::{self, requirement_reports};
use crate::select::{choose, select};
use crate::suite;

/// Why a certificate was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read, or bytes of it changed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is as it was made, but another harness is needed to judge it.
    #[error("{0}")]
    OtherVersion(String),
}

/// What a certificate says that does not follow from what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: a case, or a part.
    pub part: String,
    /// What the certificate says, and what follows.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.what)
    }
}

/// A certificate that was judged again.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The address of the subject.
    pub subject: String,
    /// The harness that made it.
    pub harness: String,
    /// The version of the specification.
    pub set: String,
    /// When it was made.
    pub made_at: String,
    /// How many cases it holds, and how many traces were judged.
    pub cases: usize,
    /// How many traces were judged.
    pub traces: usize,
    /// How many cases passed, and how many failed.
    pub passed: usize,
    /// How many cases failed.
    pub failed: usize,
    /// The level that follows from the traces; none for a client.
    pub level: LevelReport,
    /// How the requirements of a client stand by its traces; `None` for a server.
    pub client: Option<ClientStanding>,
    /// The share of the state table that follows from the traces.
    pub coverage: Coverage,
    /// What it says that does not follow; empty for a certificate that holds.
    pub differences: Vec<Difference>,
}

/// Verifies a certificate: every byte, and every verdict.
///
/// # Errors
/// It is no certificate, is not as it was made, or must be judged by another version of the harness.
pub fn verify(bytes: &[u8]) -> Result<Verified, VerifyError> {
    let contents = read(bytes)?;
    same_version(&contents.head)?;
    let mut differences = Vec::new();
    let differ = |part: &str, what: String| Difference { part: part.to_owned(), what };
    if contents.requirements != requirement_entries() {
        differences.push(differ("requirements", "they are not those of the set that the head names".to_owned()));
    }
    if let Some(what) = other_cases(&contents) {
        differences.push(differ("head", what));
    }
    let knowledge = rejudge::knowledge(&contents.head.options, &contents.sessions);
    let (mut results, fell) = match rejudge::cases(
        &contents.cases,
        &contents.sessions,
        contents.alone.as_ref(),
        &contents.head.options,
        &knowledge,
    ) {
        Ok(judged) => judged,
        Err(error) => {
            differences.push(differ(&error.case, error.why));
            (Vec::new(), false)
        }
    };
    for (one, result) in contents.cases.iter().zip(&results) {
        differences.extend(case_differences(&one.entry, &rejudge::entry(result)));
    }
    let whole = results.len() == contents.cases.len();
    let mut suite = None;
    if let (Some(there), Some(extra_states), true) = (&contents.suite, contents.head.options.suite_extra_states, whole)
    {
        match rejudge::suite(there, extra_states, &results, &knowledge) {
            Ok((result, again)) => {
                differences.extend(suite_differences(&there.entry, &rejudge::suite_entry(&again)));
                results.push(result);
                suite = Some(again);
            }
            Err(error) => differences.push(differ(&error.case, error.why)),
        }
    }
    let end = End { died: contents.head.subject.died.is_some(), fell };
    let conclusion = conclude(&results, contents.verdicts.planned, &knowledge, suite.as_ref(), end);
    let verdicts = VerdictsEntry {
        planned: contents.verdicts.planned,
        requirements: requirement_reports(&conclusion.requirements),
        coverage: conclusion.coverage.clone(),
        level: conclusion.level.clone(),
    };
    if whole {
        differences.extend(verdict_differences(&contents.verdicts, &verdicts));
    }
    let client = contents.head.options.client.as_ref();
    let client = client.map(|client| ClientStanding::of(client.level, &verdicts.requirements, &knowledge));
    let count = |wanted: fn(&CaseEntry) -> bool| contents.cases.iter().filter(|one| wanted(&one.entry)).count();
    let both = |first: usize, second: &Option<Trace>| first + usize::from(second.is_some());
    let looks = |one: &CaseContents| usize::from(one.first.is_some()) + usize::from(one.third.is_some());
    let of_cases = contents.cases.iter().map(|one| both(looks(one), &one.second));
    let of_suite = contents.suite.iter().flat_map(|suite| &suite.sequences).map(|one| both(1, &one.second));
    let traces: usize = of_cases.chain(of_suite).sum();
    Ok(Verified {
        subject: contents.head.subject.url.clone(),
        harness: contents.head.harness.clone(),
        set: contents.head.requirement_set.version.clone(),
        made_at: contents.head.made_at.clone(),
        cases: contents.cases.len(),
        traces: traces + contents.sessions.len() + usize::from(contents.alone.is_some()),
        passed: count(|entry| matches!(entry.verdict.as_str(), "PASS" | "NON_STRICT")),
        failed: count(|entry| matches!(entry.verdict.as_str(), "FAIL" | "DEADLOCK" | "LIVELOCK" | "HUNG")),
        level: conclusion.level,
        client,
        coverage: conclusion.coverage,
        differences,
    })
}

/// Whether this harness judges by the same requirements and cases as the one that made the certificate.
fn same_version(head: &Head) -> Result<(), VerifyError> {
    let ours = env!("CARGO_PKG_VERSION");
    let other = |why: String| Err(VerifyError::OtherVersion(why));
    if head.protocol != lastword_spec::PROTOCOL {
        return other(format!(
            "the certificate is about `{}`, and this harness judges `{}`",
            head.protocol,
            lastword_spec::PROTOCOL
        ));
    }
    if is_newer(&head.harness, ours) {
        return other(format!(
            "the certificate was made by lastword {}, which is newer than this one ({ours}): verify it with that version or a later one",
            head.harness
        ));
    }
    let set = &head.requirement_set;
    if set.sha256 != digest::of_requirements() {
        let known = frozen::sets().any(|known| known.version == set.version && known.sha256 == set.sha256);
        let (version, current) = (&set.version, frozen::current().version);
        let which = if known { "an older set" } else { "a set that this harness does not know" };
        return other(format!(
            "the certificate is about version {version} of the specification, {which}; this harness judges by {current}: verify it with lastword {}",
            head.harness
        ));
    }
    if set.version != frozen::current().version {
        return other(format!(
            "the certificate gives version {} the requirements of version {}",
            set.version,
            frozen::current().version
        ));
    }
    if head.cases_sha256 != digest::of_cases(head.options.role()) {
        return other(format!(
            "the certificate was made with other cases than those of this harness ({ours}): verify it with lastword {}",
            head.harness
        ));
    }
    Ok(())
}

fn is_newer(theirs: &str, ours: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let release = version.split(['-', '+']).next().unwrap_or_default();
        release.split('.').map(|number| number.parse().unwrap_or(0)).collect()
    };
    numbers(theirs) > numbers(ours)
}

/// Whether the cases are those that the options choose, in their order.
fn other_cases(contents: &Contents) -> Option<String> {
    let options = &contents.head.options;
    if options.role() == Side::Client && contents.suite.is_some() {
        return Some("there is no m-complete suite about clients".to_owned());
    }
    let cases = rejudge::catalogue_of(options.role());
    let chosen = match options.role() {
        Side::Server => choose(cases, suite::case(), &options.only, &options.skip).map(|choice| choice.cases),
        Side::Client => select(cases, &options.only, &options.skip),
    };
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(error) => return Some(error.to_string()),
    };
    if contents.suite.is_some() != options.suite_extra_states.is_some() {
        return Some("its options and its parts differ about whether the suite was run".to_owned());
    }
    let chosen: Vec<&str> = chosen.iter().map(|case| case.id.as_str()).collect();
    let there: Vec<&str> = contents.cases.iter().map(|one| one.entry.case.as_str()).collect();
    if chosen != there {
        let lacks: Vec<&str> = chosen.iter().filter(|id| !there.contains(id)).copied().collect();
        let (chosen, there) = (chosen.len(), there.len());
        return Some(format!("its options choose {chosen} cases and it holds {there}; missing: {}", list(&lacks)));
    }
    let planned = chosen.len() + usize::from(contents.suite.is_some());
    let said = contents.verdicts.planned;
    (said != planned).then(|| format!("its options choose {planned} cases, and it says that {said} were planned"))
}

fn case_differences(says: &CaseEntry, follows: &CaseEntry) -> Vec<Difference> {
    let findings = |entry: &CaseEntry| json(&entry.findings);
    let pairs = [
        ("the verdict", says.verdict.clone(), follows.verdict.clone()),
        ("the reason", json(&says.reason), json(&follows.reason)),
        ("the findings", findings(says), findings(follows)),
        ("the second look", json(&says.confirmed), json(&follows.confirmed)),
        ("the end of the socket", json(&says.closing), json(&follows.closing)),
    ];
    let differs = pairs.into_iter().filter(|(_, says, follows)| says != follows);
    differs
        .map(|(what, said, followed)| Difference {
            part: says.case.clone(),
            what: format!("{what} is said to be {said}, and from the traces follows {followed}"),
        })
        .collect()
}

fn suite_differences(says: &SuiteEntry, follows: &SuiteEntry) -> Vec<Difference> {
    let mut what: Vec<String> = says
        .sequences
        .iter()
        .zip(&follows.sequences)
        .filter(|(says, follows)| says != follows)
        .map(|(says, follows)| {
            format!(
                "sequence {} is said to be {}, and from its trace follows {}",
                says.number,
                json(says),
                json(follows)
            )
        })
        .collect();
    if says.summary != follows.summary {
        let (said, followed) = (json(&says.summary), json(&follows.summary));
        what.push(format!("the summary is said to be {said}, and from the sequences follows {followed}"));
    }
    what.into_iter().map(|what| Difference { part: SUITE.to_owned(), what }).collect()
}

fn verdict_differences(says: &VerdictsEntry, follows: &VerdictsEntry) -> Vec<Difference> {
    let said_of =
        |id: &str| says.requirements.iter().find(|said| said.id == id).map_or("nothing", |said| &said.verdict);
    let mut what: Vec<String> = follows
        .requirements
        .iter()
        .filter(|one| said_of(&one.id) != one.verdict)
        .map(|one| format!("{} is said to be {}, and from the cases follows {}", one.id, said_of(&one.id), one.verdict))
        .collect();
    if what.is_empty() && json(&says.requirements) != json(&follows.requirements) {
        what.push("the list of requirements is not the one that follows from the cases".to_owned());
    }
    if says.coverage != follows.coverage {
        let (said, followed) = (says.coverage.visited, follows.coverage.visited);
        what.push(format!("{said} transitions of the state table are said to be visited, the traces visit {followed}"));
    }
    if says.level != follows.level {
        let (said, followed) = (level_word(&says.level), level_word(&follows.level));
        let why = json(&follows.level);
        what.push(format!("the level is said to be {said}, and what follows is {followed}: {why}"));
    }
    what.into_iter().map(|what| Difference { part: "verdicts".to_owned(), what }).collect()
}

fn level_word(report: &LevelReport) -> &'static str {
    report.level.map_or("not certified", |level| level.as_str())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What a verification came to, for a person.
#[must_use]
pub fn render(name: &str, verified: &Verified) -> String {
    let mut text = String::new();
    let holds = verified.differences.is_empty();
    let _ = writeln!(text, "{name}: {}", if holds { "holds" } else { "DOES NOT HOLD" });
    let _ = writeln!(
        text,
        "  of {} · specification {} · made by lastword {} at {}",
        verified.subject, verified.set, verified.harness, verified.made_at
    );
    if !holds {
        for difference in &verified.differences {
            let _ = writeln!(text, "  {difference}");
        }
        return report::visible(&text);
    }
    let _ = writeln!(
        text,
        "  every byte is as it was made; {} traces of {} cases were judged again to the same verdicts: {} passed, {} failed",
        verified.traces, verified.cases, verified.passed, verified.failed
    );
    if let Some(client) = &verified.client {
        text.push_str(&client.lines("  "));
    } else {
        text.push_str(&report::level_lines(&verified.level, "  "));
        let _ = writeln!(
            text,
            "  {} of {} transitions of the state table were visited",
            verified.coverage.visited, verified.coverage.transitions
        );
    }
    text.push_str("  not shown by this: who made the file, and that its traces were recorded; it is not signed\n");
    report::visible(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_newer("0.10.0", "0.9.9") && is_newer("1.0.0", "0.1.0") && is_newer("0.1.1-rc.1", "0.1.0"));
        assert!(!is_newer("0.1.0", "0.1.0") && !is_newer("0.1.0", "0.2.0"));
    }
}
