//! Clients that are late now and then, as behind a line that stands still every few seconds, and one that always is; and such as give
//! up for want of audio, and for want of attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lastword::client::{Program, Surroundings};
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

/// What is said of a program that dials again so often, by how many minutes of audio it was given, whatever its connections lived.
fn dials_again(attempts: impl Fn(u64) -> u32 + Send + Sync + 'static) -> (String, String) {
    let broken = find("budget-never-restored").expect("a mutant of this name").options();
    let (_, stdin) = crowd::program(&broken, 0);
    let program = move |around: Surroundings| {
        let bytes = std::fs::metadata(&around.audio).expect("the audio").len();
        let attempts = attempts(bytes / 32_000 / 60);
        let (Program::InMemory(client), _) = crowd::program(&Options { attempts, ..broken.clone() }, 0) else {
            panic!("clients of these tests are in memory");
        };
        client(around)
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), stdin);
    plan.looks_again = true;
    plan.cases.retain(|case| case.id == "client/reconnect/budget-restored");
    let certified = crowd::carried_out(plan);
    let result = &certified.run.results[0];
    (result.verdict.as_str().to_owned(), result.reason.clone().unwrap_or_default())
}

#[test]
fn who_gives_up_as_soon_with_twice_the_audio_has_a_budget_that_nothing_restores() {
    for attempts in [1, 3, 5] {
        assert_eq!(dials_again(move |_| attempts), ("FAIL".to_owned(), String::new()), "{attempts}");
    }
}

/// As one does that drops with each connection what it has queued: four minutes of audio, two, one and a half.
#[test]
fn who_gives_up_later_with_twice_the_audio_had_none_left() {
    for of_a_minute in [(1, 4), (1, 2), (5, 8)] {
        let (parts, minutes) = of_a_minute;
        let dials = move |given| u32::try_from(given * parts / minutes).expect("a few").saturating_sub(1);
        let (verdict, reason) = dials_again(dials);
        assert_eq!(verdict, "NOT_TESTED", "{of_a_minute:?}: {reason}");
        assert!(reason.contains("no audio left"), "{reason}");
    }
}
