//! Clients that are late now and then, as behind a line that stands still every few seconds, and one that always is; and such as give
//! up for want of audio, and for want of attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lastword::client::{ClientPlan, Program, Surroundings};
use lastword::memory;
use lastword_client_mutants::{Options, find};

use crate::crowd;

const CASE: &str = "client/end/ideal";

/// A plan with one case and looks at what failed, for a client that says its end late in these runs, counted from the one that
/// calibrates, which is 0; and the count of the runs.
pub(crate) fn plan_of_late(late_in: impl Fn(usize) -> bool + Send + Sync + 'static) -> (ClientPlan, Arc<AtomicUsize>) {
    let late = find("late-end").expect("a mutant of this name").options();
    let (late, stdin) = crowd::program(&late, 0);
    let (right, _) = crowd::program(&Options::default(), 0);
    let (Program::InMemory(late), Program::InMemory(right)) = (late, right) else {
        panic!("clients of these tests are in memory");
    };
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let program = move |around| {
        let is_late = late_in(started.fetch_add(1, Ordering::Relaxed));
        if is_late { late(around) } else { right(around) }
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), stdin);
    plan.looks_again = true;
    plan.cases.retain(|case| case.id == CASE);
    (plan, count)
}

/// What comes of it: the verdict, how that stands, its reason, and how many runs there were.
fn late_in(late_in: impl Fn(usize) -> bool + Send + Sync + 'static) -> (&'static str, String, String, usize) {
    let (plan, count) = plan_of_late(late_in);
    let certified = crowd::carried_out(plan);
    let result = &certified.run.results[0];
    let how = result.confirmation.word().unwrap_or_default();
    let late_once = certified.report.cases[0].late_once.len();
    assert_eq!(late_once, usize::from(how == "cleared"), "what was late is told although it convicts nobody");
    (result.verdict.as_str(), how, result.reason.clone().unwrap_or_default(), count.load(Ordering::Relaxed))
}

/// The first run calibrates, and the second is the case's own.
#[test]
fn what_was_late_is_cleared_by_two_clean_looks_at_least_and_half_as_many_as_were_late() {
    for (late, how, runs) in [
        (&[0][..], "", 2),
        (&[1], "cleared", 4),
        (&[0, 1], "cleared", 4),
        (&[1, 2], "cleared", 5),
        (&[1, 3], "cleared", 5),
        (&[1, 2, 3, 4], "cleared", 7),
        (&[1, 3, 4, 5], "cleared", 7),
        (&[1, 2, 3, 4, 5, 6], "cleared", 10),
        (&[1, 2, 3, 4, 5, 7, 8], "cleared", 12),
    ] {
        let (verdict, seen, reason, count) = late_in(|run| late.contains(&run));
        assert_eq!((verdict, seen.as_str(), reason.as_str(), count), ("PASS", how, "", runs), "late in {late:?}");
    }
}

#[test]
fn what_was_late_more_often_than_that_and_not_in_all_looks_convicts_nobody_and_clears_nobody() {
    for clean in [&[7][..], &[2], &[2, 13], &[3, 8, 13], &[7, 12, 13]] {
        let (verdict, how, reason, count) = late_in(|run| run > 0 && !clean.contains(&run));
        let seen = (verdict, how.as_str(), count);
        assert_eq!(seen, ("INCONCLUSIVE", "not repeated", 14), "clean in {clean:?}: {reason}");
    }
}

#[test]
fn who_is_late_in_every_look_is_convicted() {
    let (verdict, how, _, runs) = late_in(|_| true);
    assert_eq!((verdict, how.as_str(), runs), ("FAIL", "alone", 8));
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
