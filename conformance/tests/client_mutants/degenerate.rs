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
        if !passed.is_empty() || !outcome.kept.is_empty() || outcome.exit_code == lastword::exit::PASS {
            let (name, code, kept) = (kind.name, outcome.exit_code, &outcome.kept);
            told += &format!("{name} at level {level}: exit code {code}, passed {passed:?}, kept {kept:?}\n");
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

/// Where it is told no, a client that gives up is right, and so is by accident whoever gives up always.
#[test]
fn what_gives_up_whatever_it_meets_is_told_why_that_proves_nothing() {
    let mut text = String::new();
    for kind in degenerates() {
        let outcome = crowd::degenerate(kind, 0);
        let never = outcome.reasons.iter().filter(|(_, why)| why.contains("no session of it ever completed"));
        let never: Vec<&str> = never.map(|(case, _)| case.trim_start_matches("client/")).collect();
        text += &format!("{}: {}\n", kind.name, never.join(" "));
    }
    insta::assert_snapshot!(text);
}
