//! Clients that are late now and then, as behind a line that stands still every few seconds, and one that always is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lastword::client::Program;
use lastword::memory;
use lastword_client_mutants::{Options, find};

use crate::crowd;

const CASE: &str = "client/end/ideal";

/// The verdict of a case and its reason, with looks at what failed, of a client that says its end late in so many runs from the
/// first, which calibrates.
fn late_in(runs: usize) -> (String, String) {
    let late = find("late-end").expect("a mutant of this name").options();
    let (late, stdin) = crowd::program(&late, 0);
    let (right, _) = crowd::program(&Options::default(), 0);
    let (Program::InMemory(late), Program::InMemory(right)) = (late, right) else {
        panic!("clients of these tests are in memory");
    };
    let started = AtomicUsize::new(0);
    let program = move |around| {
        let is_late = started.fetch_add(1, Ordering::Relaxed) < runs;
        if is_late { late(around) } else { right(around) }
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), stdin);
    plan.looks_again = true;
    plan.cases.retain(|case| case.id == CASE);
    let certified = crowd::carried_out(plan);
    let result = &certified.run.results[0];
    (result.verdict.as_str().to_owned(), result.reason.clone().unwrap_or_default())
}

#[test]
fn what_was_late_in_some_runs_and_not_in_all_convicts_nobody() {
    assert_eq!(late_in(1), ("PASS".to_owned(), String::new()));
    for runs in [2, 3, 7] {
        let (verdict, reason) = late_in(runs);
        assert_eq!(verdict, "INCONCLUSIVE", "late in {runs} runs: {reason}");
    }
}

#[test]
fn who_is_late_in_every_look_is_convicted() {
    let (verdict, _) = late_in(usize::MAX);
    assert_eq!(verdict, "FAIL");
}
