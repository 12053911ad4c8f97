//! Owns `lastword list`: the requirements with their cases, and those that no peer can observe with the reason.

use std::fmt::Write as _;

use lastword_spec::registry::Requirement;
use lastword_spec::requirements;
use serde::Serialize;

use crate::case::{self, Case};
use crate::client;

/// Every case, those about servers first.
pub(super) fn cases() -> impl Iterator<Item = &'static Case> {
    case::catalogue().iter().chain(client::catalogue())
}

/// What there is to certify by, as text or as JSON.
pub(super) fn text(as_json: bool) -> String {
    if as_json {
        let list = List {
            requirements: requirements::ALL.iter().map(requirement_entry).collect(),
            cases: cases().map(case_entry).collect(),
        };
        return serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    }
    let mut text = String::new();
    for requirement in requirements::ALL {
        let cases = cases_of(requirement);
        let _ =
            write!(text, "{:<7} {:<6} {:<10}", requirement.id, requirement.role.as_str(), requirement.level.as_str());
        let _ = match (requirement.untestable, cases.is_empty()) {
            (Some(why), _) => writeln!(text, " untestable: {why}"),
            (None, false) => writeln!(text, " {}", cases.join(" ")),
            (None, true) => writeln!(text, " -"),
        };
    }
    for (whom, cases) in [("servers", case::catalogue()), ("clients", client::catalogue())] {
        let _ = writeln!(text, "\n{} cases about {whom}:", cases.len());
        for case in cases {
            let covers: Vec<&str> = case.covers.iter().map(|id| id.as_str()).collect();
            let _ = writeln!(text, "{:<44} {} [{}]", case.id, case.title, covers.join(" "));
        }
    }
    text
}

#[derive(Serialize)]
struct List {
    requirements: Vec<RequirementEntry>,
    cases: Vec<CaseEntry>,
}

#[derive(Serialize)]
struct RequirementEntry {
    id: &'static str,
    role: &'static str,
    level: &'static str,
    text: &'static str,
    section: &'static str,
    untestable: Option<&'static str>,
    cases: Vec<&'static str>,
}

#[derive(Serialize)]
struct CaseEntry {
    id: &'static str,
    title: &'static str,
    covers: Vec<&'static str>,
}

fn requirement_entry(requirement: &'static Requirement) -> RequirementEntry {
    RequirementEntry {
        id: requirement.id.as_str(),
        role: requirement.role.as_str(),
        level: requirement.level.as_str(),
        text: requirement.text,
        section: requirement.section,
        untestable: requirement.untestable,
        cases: cases_of(requirement),
    }
}

fn case_entry(case: &'static Case) -> CaseEntry {
    CaseEntry { id: &case.id, title: &case.title, covers: case.covers.iter().map(|id| id.as_str()).collect() }
}

/// The names of the cases that cover a requirement.
pub(super) fn cases_of(requirement: &Requirement) -> Vec<&'static str> {
    cases().filter(|case| case.covers.contains(&requirement.id)).map(|case| case.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use lastword_spec::registry::Role;

    use super::*;

    #[test]
    fn the_json_list_holds_every_requirement_and_every_case() {
        let list: serde_json::Value = serde_json::from_str(&text(true)).expect("JSON");
        let length = |member: &str| list[member].as_array().map(Vec::len);
        assert_eq!(length("requirements"), Some(requirements::ALL.len()));
        assert_eq!(length("cases"), Some(case::catalogue().len() + client::catalogue().len()));
    }

    /// Without a case of its own: how a client dials again is watched in every case where it does.
    const WATCHED: [&str; 1] = ["REC-C1"];

    #[test]
    fn every_testable_must_has_a_case() {
        let bare: Vec<&str> = requirements::ALL
            .iter()
            .filter(|one| one.level.is_absolute() && one.untestable.is_none() && cases_of(one).is_empty())
            .map(|requirement| requirement.id.as_str())
            .collect();
        assert_eq!(bare, WATCHED);
    }

    #[test]
    fn no_case_claims_what_no_peer_can_observe_or_what_binds_the_other_side_only() {
        for (cases, other) in [(case::catalogue(), Role::Client), (client::catalogue(), Role::Server)] {
            for case in cases {
                for id in &case.covers {
                    let requirement = requirements::find(id.as_str()).expect("it exists");
                    assert!(requirement.untestable.is_none(), "{} covers {id}", case.id);
                    assert_ne!(requirement.role, other, "{} covers {id}", case.id);
                }
            }
        }
    }
}
