//! The traces of `traces/`: each breaks the one requirement that its name says and is judged by exactly that; the ones in
//! `traces/good/` break none. Together they cover every testable MUST of a server. Those in `traces/client/` are runs of a client and
//! break one requirement of a client each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lastword_judge::{Judgement, Options, judge, render};
use lastword_spec::finding::Culprit;
use lastword_spec::registry::Role;
use lastword_spec::requirements;
use lastword_spec::trace::{self, Trace};

/// Requirements that no good trace shows to be kept, each with the reason.
const ONLY_BREACHES: &[(&str, &str)] = &[];

pub(crate) fn options() -> Options {
    Options { secrets: vec!["right-token".into()], ..Options::default() }
}

pub(crate) fn traces(folder: &str) -> BTreeMap<String, Trace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut traces = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of traces") {
        let path = entry.expect("an entry of the folder").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a trace is text");
            let trace = trace::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            traces.insert(name, trace);
        }
    }
    traces
}

pub(crate) fn findings(judgement: &Judgement) -> String {
    judgement.findings.iter().map(|finding| format!("\n    {}", render(finding))).collect()
}

fn testable() -> BTreeSet<&'static str> {
    requirements::ALL.iter().filter(|one| one.is_testable_server_must()).map(|one| one.id.as_str()).collect()
}

/// The traces of a folder that are not judged by exactly the requirement that their name says, against this culprit.
fn misjudged(folder: &str, culprit: Culprit) -> String {
    let mut wrong = String::new();
    for (name, trace) in traces(folder) {
        let judgement = judge(&trace, &options());
        let id = name.split("--").next().expect("a split has a first part");
        let found: BTreeSet<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
        let by_it = judgement.findings.iter().all(|finding| finding.culprit == culprit);
        if found != BTreeSet::from([id]) || !by_it || trace.header.expect != Some(vec![id.to_owned()]) {
            wrong.push_str(&format!("\n  {name}: {found:?}{}", findings(&judgement)));
        }
    }
    wrong
}

#[test]
fn each_broken_trace_is_judged_by_exactly_the_requirement_that_it_breaks() {
    let wrong = misjudged("traces", Culprit::Server);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_broken_run_of_a_client_is_judged_by_exactly_the_requirement_that_it_breaks() {
    let wrong = misjudged("traces/client", Culprit::Client);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_testable_must_of_a_client_has_a_run_that_breaks_it_or_says_why_not() {
    let broken: BTreeSet<String> =
        traces("traces/client").keys().map(|name| name.split("--").next().expect("a first part").to_owned()).collect();
    let musts = requirements::ALL
        .iter()
        .filter(|one| one.role == Role::Client && one.level.is_absolute() && one.untestable.is_none());
    let missing: Vec<&str> = musts.map(|one| one.id.as_str()).filter(|id| !broken.contains(*id)).collect();
    assert!(missing.is_empty(), "no trace breaks {missing:?}");
    let unknown: Vec<&String> = broken.iter().filter(|id| requirements::find(id).is_none()).collect();
    assert!(unknown.is_empty(), "no such requirement: {unknown:?}");
}

#[test]
fn no_good_trace_has_a_finding() {
    let mut wrong = String::new();
    for (name, trace) in traces("traces/good") {
        let judgement = judge(&trace, &options());
        if !judgement.findings.is_empty() || trace.header.expect != Some(Vec::new()) {
            wrong.push_str(&format!("\n  {name}:{}", findings(&judgement)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_testable_must_has_a_trace_that_breaks_it() {
    let broken: BTreeSet<String> =
        traces("traces").keys().map(|name| name.split("--").next().expect("a first part").to_owned()).collect();
    let missing: Vec<&str> = testable().into_iter().filter(|id| !broken.contains(*id)).collect();
    assert!(missing.is_empty(), "no trace breaks {missing:?}");
    let unknown: Vec<&String> = broken.iter().filter(|id| requirements::find(id).is_none()).collect();
    assert!(unknown.is_empty(), "no such requirement: {unknown:?}");
}

#[test]
fn every_testable_must_is_exercised_by_a_good_trace() {
    let mut exercised = BTreeSet::new();
    for trace in traces("traces/good").values() {
        exercised.extend(judge(trace, &options()).exercised.iter().map(|id| id.as_str()));
    }
    let excused: BTreeSet<&str> = ONLY_BREACHES.iter().map(|(id, _)| *id).collect();
    let missing: Vec<&str> =
        testable().into_iter().filter(|id| !exercised.contains(id) && !excused.contains(id)).collect();
    assert!(missing.is_empty(), "no good trace exercises {missing:?}");
    let stale: Vec<&&str> = excused.iter().filter(|id| exercised.contains(*id)).collect();
    assert!(stale.is_empty(), "exercised after all: {stale:?}");
}

#[test]
fn what_each_good_trace_exercises_is_as_it_was() {
    let mut table = String::new();
    for (name, trace) in traces("traces/good") {
        let judgement = judge(&trace, &options());
        let ids: Vec<&str> = judgement.exercised.iter().map(|id| id.as_str()).collect();
        table.push_str(&format!("{name}: {}\n", ids.join(" ")));
        for (id, why) in &judgement.undecided {
            table.push_str(&format!("    undecided {id}: {why}\n"));
        }
    }
    insta::assert_snapshot!("exercised", table);
}

#[test]
fn what_the_judge_says_of_each_broken_run_of_a_client_is_as_it_was() {
    let mut text = String::new();
    for (name, trace) in traces("traces/client") {
        text.push_str(&format!("{name}{}\n", findings(&judge(&trace, &options()))));
    }
    insta::assert_snapshot!("client_findings", text);
}

#[test]
fn what_the_judge_says_of_each_broken_trace_is_as_it_was() {
    let mut text = String::new();
    for (name, trace) in traces("traces") {
        text.push_str(&format!("{name}{}\n", findings(&judge(&trace, &options()))));
    }
    insta::assert_snapshot!("findings", text);
}
