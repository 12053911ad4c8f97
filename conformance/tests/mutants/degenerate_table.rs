//! Peers that serve nothing pass nothing, fail the run, and do not hold the harness.

use std::time::Duration;

use lastword_mutants::{Degenerate, degenerates};

use crate::crowd::{self, Outcome};
use crate::tables::{hold, row};

/// What no certification may take of the real clock, however busy the machine is with the others.
const WALL_TIME: Duration = Duration::from_secs(60);
/// What a case may take of the virtual clock, one with another. A wait that ends by proof of stillness watches that clock for two days,
/// and for a good seven where something still moves; a case waits a few times, and failures are looked at again. The harness gives up
/// a single case after 300.
const VIRTUAL_TIME_EACH: Duration = Duration::from_secs(30 * 24 * 3600);

#[test]
fn a_peer_that_serves_nothing_passes_nothing_and_fails_the_run() {
    let all: Vec<&'static Degenerate> = degenerates().iter().collect();
    let outcomes = crowd::each(&all, |kind| crowd::degenerate(kind));
    let told: String = all.iter().zip(&outcomes).map(|(kind, outcome)| wrong_with(&kind.name, outcome)).collect();
    assert!(told.is_empty(), "\n{told}");
    let head = ["peer", "what it does", "passed", "failed", "inconclusive", "not applicable or tested", "exit code"];
    let mut table = row(&head);
    table += &row(&["---"; 7]);
    for (kind, outcome) in all.iter().zip(&outcomes) {
        table += &row_of(kind, outcome);
    }
    let intro = "# Peers that serve nothing\n\nA conformance suite is worth what it refuses. Each of these peers is certified as a whole in the tests; none of them \
         may pass a single case or be credited with a single requirement.\nThe command must exit with 1 where a case failed, and with 3 where none did.\nFor `good-five-times-...` the \
         first five sessions are served by a server that is right: enough for the harness to measure it and to take it for one.";
    hold("degenerate-peers.md", "mutants", intro, &table);
}

/// What is wrong with how a peer fared, a line each.
fn wrong_with(name: &str, outcome: &Outcome) -> String {
    let mut told = String::new();
    let passed = outcome.passed();
    if !passed.is_empty() {
        told += &format!("{name} passes {passed:?}\n");
    }
    // A requirement that is NON_STRICT was broken.
    let kept = outcome.requirements.iter().filter(|(_, verdict)| *verdict == "PASS");
    let kept: Vec<&str> = kept.map(|(id, _)| id.as_str()).collect();
    if !kept.is_empty() {
        told += &format!("{name} is credited with {kept:?}\n");
    }
    // Neither our own defect nor a wrong command line may look like a failure of the subject.
    let failed = outcome.failed().count();
    let due = if failed > 0 { lastword::exit::VIOLATION } else { lastword::exit::UNDECIDED };
    if outcome.exit_code != due {
        told += &format!("{name}: {failed} cases failed, and the exit code is {}\n", outcome.exit_code);
    }
    let counted = passed.len() + failed + inconclusive(outcome) + not_tested(outcome);
    if counted != outcome.cases.len() {
        told += &format!("{name}: of {} cases {counted} have a verdict of the table\n", outcome.cases.len());
    }
    let cases = u32::try_from(outcome.cases.len()).expect("a handful of cases");
    let took = outcome.took;
    if took.wall_time >= WALL_TIME || took.virtual_time >= VIRTUAL_TIME_EACH * cases {
        told += &format!("{name} held the harness: {took:?}\n");
    }
    told
}

fn inconclusive(outcome: &Outcome) -> usize {
    outcome.with_verdict(&["INCONCLUSIVE"]).len()
}

fn not_tested(outcome: &Outcome) -> usize {
    outcome.with_verdict(&["NOT_APPLICABLE", "NOT_TESTED"]).len()
}

fn row_of(kind: &Degenerate, outcome: &Outcome) -> String {
    let cells = [
        format!("`{}`", kind.name),
        kind.what.clone(),
        outcome.passed().len().to_string(),
        outcome.failed().count().to_string(),
        inconclusive(outcome).to_string(),
        not_tested(outcome).to_string(),
        outcome.exit_code.to_string(),
    ];
    row(&cells.each_ref().map(String::as_str))
}
