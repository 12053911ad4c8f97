//! The client without a fault, in several shapes: nothing may be found.

use lastword_client_mutants::Options;
use lastword_spec::trace::{ClientOutcome, EventKind};

use crate::crowd::{self, Outcome};

/// The cases that neither passed nor say why they could not be decided.
fn not_clean(outcome: &Outcome) -> Vec<String> {
    let told =
        |case: &str| outcome.told.iter().filter(|told| told.starts_with(case)).cloned().collect::<Vec<_>>().join("; ");
    let unclean = outcome.cases.iter().filter(|(_, (verdict, _))| !matches!(verdict.as_str(), "PASS" | "NOT_TESTED"));
    unclean
        .map(|(case, (verdict, _))| {
            let why = outcome.reasons.get(case).map_or("", String::as_str);
            format!("{case} {verdict} {why} {}", told(case))
        })
        .collect()
}

#[test]
fn the_client_without_a_fault_is_clean_at_both_levels_at_every_pace() {
    let shapes: Vec<(u8, f64)> = vec![(0, 1.0), (0, 4.0), (0, 50.0), (1, 4.0)];
    let outcomes =
        crowd::each(&shapes, |(level, pace)| crowd::client(&Options { pace: *pace, ..Options::default() }, *level));
    for (shape, outcome) in shapes.iter().zip(&outcomes) {
        assert_eq!(not_clean(outcome), [] as [String; 0], "{shape:?}");
        assert_eq!(outcome.exit_code, lastword::exit::PASS, "{shape:?}");
    }
}

/// It loses its connections as the others do, but it does not end with the first.
#[test]
fn the_client_that_dials_again_within_a_budget_is_clean_too_and_shows_that_it_is_restored() {
    let shapes: Vec<(u8, f64, u32)> =
        vec![(0, 1.0, 3), (0, 4.0, 1), (0, 4.0, 10), (0, 50.0, 3), (1, 4.0, 1), (1, 4.0, 3)];
    let outcomes = crowd::each(&shapes, |(level, pace, attempts)| {
        crowd::client(&Options { pace: *pace, attempts: *attempts, ..Options::default() }, *level)
    });
    for (shape, outcome) in shapes.iter().zip(&outcomes) {
        assert_eq!(not_clean(outcome), [] as [String; 0], "{shape:?}");
        assert_eq!(outcome.exit_code, lastword::exit::PASS, "{shape:?}");
        // At fifty times the pace of speech its input is over before.
        let expected = if shape.1 < 50.0 { "PASS" } else { "NOT_TESTED" };
        assert_eq!(outcome.cases["client/reconnect/budget-restored"].0, expected, "{shape:?}");
    }
}

/// By the play, and by what the client makes of it: what takes back the passes of a client that completes nothing asks for both.
#[test]
fn the_client_completes_its_sessions_in_just_the_cases_that_let_it() {
    let (program, stdin) = crowd::program(&Options::default(), 1);
    let certified = crowd::carried_out(lastword::memory::client_plan(program, stdin));
    for result in &certified.run.results {
        let trace = &result.evidence.as_ref().expect("it ran").trace;
        let told = trace.events.iter().filter_map(|event| match &event.kind {
            EventKind::Told(told) => told.outcome,
            _ => None,
        });
        let outcomes: Vec<ClientOutcome> = told.collect();
        let is_complete = outcomes.iter().all(|outcome| *outcome == ClientOutcome::Complete);
        let lets_complete = result.case.script.as_ref().expect("a script").lets_complete();
        assert_eq!(lets_complete, is_complete, "{}: {outcomes:?}", result.case.id);
    }
}

/// What nobody can see of this client at a level is not claimed.
#[test]
fn what_is_not_tested_says_why() {
    let mut text = String::new();
    for level in [0, 1] {
        let outcome = crowd::client(&Options::default(), level);
        for (case, (verdict, _)) in outcome.cases.iter().filter(|(_, (verdict, _))| verdict != "PASS") {
            let why = outcome.reasons.get(case).map_or("", String::as_str);
            text += &format!("level {level}: {case} {verdict}: {why}\n");
        }
    }
    insta::assert_snapshot!(text);
}
