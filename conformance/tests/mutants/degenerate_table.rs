//! Peers that serve nothing pass nothing, fail the run, and do not hold the harness.

use lastword_mutants::{Degenerate, degenerates};

use crate::crowd::{self, Outcome};
use crate::tables::{hold, row};

/// In virtual time: no peer may hold the harness for longer. A wait that ends by proof of stillness counts its watch of a day.
const BOUND_S: u64 = 20;

#[test]
fn a_peer_that_serves_nothing_passes_nothing_and_fails_the_run() {
    let all: Vec<&'static Degenerate> = degenerates().iter().collect();
    let outcomes = crowd::each(&all, |kind| crowd::degenerate(kind));
    let mut table = row(&["peer", "what it does", "passed", "failed", "undecided", "exit code"]);
    table += &row(&["---"; 6]);
    for (kind, outcome) in all.iter().zip(&outcomes) {
        let passed = outcome.passed();
        assert_eq!(passed, [] as [&str; 0], "{} passes", kind.name);
        assert_ne!(outcome.exit_code, lastword::exit::PASS, "{}", kind.name);
        assert!(outcome.took.as_secs() < BOUND_S, "{} took {:?}", kind.name, outcome.took);
        table += &row_of(kind, outcome);
    }
    let intro = "# Peers that serve nothing\n\nA conformance suite is worth what it refuses. Each of these peers is certified as a whole in the tests; none of them \
         may pass a single case, and the command must not exit with 0.\nFor `good-five-times-...` the first five sessions are served by a server that is right: \
         enough for the harness to measure it and to take it for one.";
    hold("degenerate-peers.md", "mutants", intro, &table);
}

fn row_of(kind: &Degenerate, outcome: &Outcome) -> String {
    let failed = outcome.failed().count();
    let undecided = outcome.cases.len() - failed;
    let cells = [
        format!("`{}`", kind.name),
        kind.what.clone(),
        "0".to_owned(),
        failed.to_string(),
        undecided.to_string(),
        outcome.exit_code.to_string(),
    ];
    row(&cells.each_ref().map(String::as_str))
}
