//! Owns `lastword explain`: a requirement with its clause, its rows in the state tables and its cases; a case; a kind of finding.

use std::fmt::Write as _;

use lastword_spec::finding::FindingKind;
use lastword_spec::registry::{Requirement, RequirementId};
use lastword_spec::requirements;
use lastword_spec::table::{Bound, CLIENT_ROWS, DEBTS, SERVER_ROWS};
use lastword_spec::trace::{self, Trace};

use super::{UsageError, list};
use crate::case::Case;
use crate::redact::Redactor;
use crate::report;
use crate::suite;

include!(concat!(env!("OUT_DIR"), "/breaking_traces.rs"));

/// Everything there is to say about a requirement, a case or a kind of finding.
///
/// # Errors
/// There is nothing of this name.
pub(super) fn text(what: &str) -> Result<String, UsageError> {
    if let Some(requirement) = requirements::find(&what.to_uppercase()) {
        return Ok(of_requirement(requirement));
    }
    if let Some(case) = list::cases().find(|case| case.id == what) {
        return Ok(of_case(case));
    }
    if what == suite::CASE_ID {
        return Ok(format!("{what}: {}\n\n{}", suite::case().title, suite::explain()));
    }
    if let Some(kind) = FindingKind::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(what)) {
        return Ok(of_kind(*kind));
    }
    Err(UsageError(format!(
        "`{what}` is no requirement (END-S4), no case (server/end/second-sentinel) and no kind of finding (LOST_FINAL); `lastword list` shows what there is"
    )))
}

fn of_requirement(requirement: &Requirement) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} ({}, {})", requirement.id, requirement.role.as_str(), requirement.level.as_str());
    let _ = writeln!(text, "{}", requirement.text);
    let _ = writeln!(text, "spec/v1/{}", requirement.section);
    if let Some(why) = requirement.untestable {
        let _ = writeln!(text, "untestable: {why}");
    }
    rows(&mut text, requirement.id);
    debts(&mut text, requirement.id);
    let cases = list::cases_of(requirement);
    if !cases.is_empty() {
        text.push_str("\ncases:\n");
        for id in cases {
            let title = list::cases().find(|case| case.id == id).map_or("", |case| case.title.as_str());
            let _ = writeln!(text, "  {id}: {title}");
        }
    }
    if let Some(trace) = breaking_trace(requirement.id) {
        text.push_str("\na session that breaks it:\n");
        transcript(&mut text, &trace);
    }
    text
}

fn rows(text: &mut String, id: RequirementId) {
    let mut lines = Vec::new();
    for row in SERVER_ROWS.iter().filter(|row| row.ids.contains(&id)) {
        lines.push(format!(
            "server  {:<12} {:<18} {:?} -> {}",
            row.state.as_str(),
            row.input.as_str(),
            row.answer,
            row.next.as_str()
        ));
    }
    for row in CLIENT_ROWS.iter().filter(|row| row.ids.contains(&id)) {
        lines.push(format!(
            "client  {:<12} {:<18} {:?} -> {}",
            row.state.as_str(),
            row.input.as_str(),
            row.answer,
            row.next.as_str()
        ));
    }
    if !lines.is_empty() {
        text.push_str("\nin the state tables:\n");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
}

fn debts(text: &mut String, id: RequirementId) {
    for debt in DEBTS.iter().filter(|debt| debt.ids.contains(&id)) {
        let bound = match debt.within {
            Bound::Limit(name) => name.to_owned(),
            Bound::Extensible(name) => format!("{name}, extended by progress"),
            Bound::Fixed(ms) => format!("{ms} ms"),
        };
        let _ = writeln!(
            text,
            "\nwho owes: in {} the {} owes {}, from {} on, within {bound}",
            debt.state.as_str(),
            debt.debtor.as_str(),
            debt.what,
            debt.since
        );
    }
}

fn of_case(case: &Case) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n{}", case.id, case.title);
    for id in &case.covers {
        let clause = requirements::find(id.as_str()).map_or("", |found| found.text);
        let _ = writeln!(text, "\n[{id}] {clause}");
    }
    text.push_str(if case.script.is_some() { "\nwhat the server plays:\n" } else { "\nsteps:\n" });
    for step in &case.steps_as_written {
        let _ = writeln!(text, "  {step}");
    }
    text
}

fn of_kind(kind: FindingKind) -> String {
    format!(
        "{kind}: {}\nIt gives a MUST the verdict {}, a SHOULD the verdict NON_STRICT.\n",
        kind.meaning(),
        kind.verdict()
    )
}

/// The trace of the judge's own tests that breaks this requirement and nothing else.
fn breaking_trace(id: RequirementId) -> Option<Trace> {
    BREAKING_TRACES.iter().find_map(|text| {
        let trace = trace::read(text).ok()?;
        let expect = trace.header.expect.as_ref()?;
        (expect.len() == 1 && expect[0] == id.as_str()).then_some(trace)
    })
}

fn transcript(text: &mut String, trace: &Trace) {
    if let Some(note) = &trace.header.note {
        let _ = writeln!(text, "  ({note})");
    }
    let redactor = Redactor::default();
    for line in report::all(trace, &redactor) {
        let _ = writeln!(text, "  {:>8} ms  {}", line.t_us / 1_000, line.text);
    }
}

#[cfg(test)]
mod tests {
    use lastword_spec::registry::Role;

    use super::*;

    #[test]
    fn a_requirement_a_case_and_a_kind_are_explained_and_nonsense_is_refused() {
        let end = text("end-s2").expect("a requirement");
        assert!(end.contains("who owes: in Draining the server owes"), "{end}");
        assert!(text("server/end/second-sentinel").expect("a case").contains("[END-S5]"));
        let client = text("client/end/ideal").expect("a case");
        assert!(client.contains("[END-C1]") && client.contains("what the server plays:"), "{client}");
        assert!(text("lost_final").expect("a kind").contains("verdict FAIL"));
        assert!(text("END-S99").is_err());
    }

    #[test]
    fn every_testable_must_of_a_server_has_a_session_that_breaks_it_and_nothing_else() {
        let bare: Vec<&str> = requirements::ALL
            .iter()
            .filter(|requirement| requirement.is_testable_server_must() && breaking_trace(requirement.id).is_none())
            .map(|requirement| requirement.id.as_str())
            .collect();
        assert!(bare.is_empty(), "no breaking trace for {bare:?}");
    }

    #[test]
    fn a_must_of_a_client_shows_a_run_that_breaks_it() {
        let bare: Vec<&str> = requirements::ALL
            .iter()
            .filter(|one| one.role == Role::Client && one.level.is_absolute() && one.untestable.is_none())
            .filter(|one| !list::cases_of(one).is_empty() && breaking_trace(one.id).is_none())
            .map(|one| one.id.as_str())
            .collect();
        assert!(bare.is_empty(), "no breaking trace for {bare:?}");
        let flush = text("FLU-C1").expect("a requirement");
        assert!(flush.contains("a session that breaks it:") && flush.contains("call 3: flush"), "{flush}");
    }

    #[test]
    fn every_case_and_every_requirement_can_be_explained() {
        for case in list::cases() {
            assert!(text(&case.id).is_ok());
        }
        for requirement in requirements::ALL {
            assert!(text(requirement.id.as_str()).expect("it exists").contains(requirement.text));
        }
    }
}
