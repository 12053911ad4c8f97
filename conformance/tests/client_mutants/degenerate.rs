//! Programs that are no clients pass nothing, fail the run, and do not hold the harness.

use lastword_client_mutants::{Degenerate, degenerates};

use crate::crowd;

#[test]
fn a_program_that_is_no_client_passes_nothing_and_fails_the_run() {
    let all: Vec<(&'static Degenerate, u8)> = degenerates().iter().flat_map(|kind| [(kind, 0), (kind, 1)]).collect();
    let outcomes = crowd::each(&all, |(kind, level)| crowd::degenerate(kind, *level));
    let mut told = String::new();
    for ((kind, level), outcome) in all.iter().zip(&outcomes) {
        let passed = outcome.passed();
        if !passed.is_empty() || outcome.exit_code == lastword::exit::PASS {
            told += &format!("{} at level {level}: exit code {}, passed {passed:?}\n", kind.name, outcome.exit_code);
        }
    }
    assert!(told.is_empty(), "\n{told}");
}
