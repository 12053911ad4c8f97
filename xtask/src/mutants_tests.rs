//! The bookkeeping of mutants: what is forgotten when, and what the score is made of.

use super::*;
use crate::mutants_record;

fn mutant(name: &str, line: &str) -> Mutant {
    Mutant { name: name.into(), file: name.split(':').next().unwrap().into(), line: line.into() }
}

fn mutants() -> Vec<Mutant> {
    vec![
        mutant("judge/src/a.rs:1:2: replace < with <= in f", "a < b"),
        mutant("judge/src/a.rs:2:2: replace f with ()", "fn f() {"),
        mutant("judge/src/b.rs:1:2: replace && with || in g", "c && d"),
    ]
}

fn sources(whole: u64, a: u64, b: u64) -> Sources {
    Sources { whole, files: [("judge/src/a.rs".into(), a), ("judge/src/b.rs".into(), b)].into() }
}

fn state(outcomes: [Outcome; 3]) -> State {
    let mut state = State::empty(Path::new("nowhere"));
    let found = mutants().into_iter().map(|mutant| mutant.name).zip(outcomes).collect();
    state.learn(&found, &sources(1, 1, 1));
    state
}

fn accepted(text: &str) -> Accepted {
    toml::from_str(text).unwrap()
}

use Outcome::{Killed, Survived, TimedOut, Unviable};

#[test]
fn a_kill_outlives_a_change_elsewhere_and_a_survivor_does_not() {
    let mut state = state([Killed, Survived, Killed]);
    state.forget_stale(&mutants(), &sources(1, 1, 1));
    assert_eq!(state.len(), 3);
    state.forget_stale(&mutants(), &sources(2, 1, 9));
    let left: Vec<&String> = state.known.keys().collect();
    assert_eq!(left, ["judge/src/a.rs:1:2: replace < with <= in f"]);
}

#[test]
fn a_mutant_that_is_gone_is_forgotten() {
    let mut state = state([Killed, Killed, Killed]);
    state.forget_stale(&mutants()[1..], &sources(1, 1, 1));
    assert_eq!(state.len(), 2);
}

#[test]
fn timeouts_count_apart_and_not_as_kills() {
    let (mutants, none) = (mutants(), Accepted::default());
    let report = state([Killed, TimedOut, Unviable]);
    let report = report.report(&mutants, &none);
    assert!(report.is_complete() && !report.is_good());
    let text = report.text();
    assert!(text.contains("1 unviable, 2 viable: 1 killed, 1 timeouts, 0 survived"), "{text}");
    assert!(text.contains("score: 50.0 %") && text.contains("100.0 % with timeouts"), "{text}");
}

#[test]
fn what_is_not_tested_is_neither_killed_nor_complete() {
    let (mutants, none) = (mutants(), Accepted::default());
    let report = State::empty(Path::new("nowhere"));
    let report = report.report(&mutants, &none);
    assert!(!report.is_complete() && !report.is_good());
}

#[test]
fn survivors_of_one_reason_stand_in_one_class() {
    let list = accepted(
        "[[class]]\nreason = \"never equal\"\nsurvivors = [\n  [\"judge/src/a.rs\", \"replace < with <= in f\", \"a < b\"],\n]\n",
    );
    let mutants = mutants();
    let found = state([Survived, Killed, Killed]);
    let text = found.report(&mutants, &list).text();
    assert!(text.contains("accepted  judge/src/a.rs:1:2") && text.contains("never equal"), "{text}");
}

#[test]
fn an_accepted_survivor_is_listed_with_its_reason_and_a_stale_entry_is_an_error() {
    let list = accepted(
        "[[survivor]]\nfile = \"judge/src/a.rs\"\nmutant = \"replace < with <= in f\"\nline = \"a < b\"\nreason = \"equal is the same\"\n",
    );
    let mutants = mutants();
    let found = state([Survived, Killed, Killed]);
    let text = found.report(&mutants, &list).text();
    assert!(text.contains("accepted  judge/src/a.rs:1:2") && text.contains("equal is the same"), "{text}");
    assert!(found.report(&mutants, &list).stale.is_empty());
    let killed = state([Killed, Killed, Killed]);
    let report = killed.report(&mutants, &list);
    assert!(!report.is_good() && report.text().contains("error: judge/mutants.toml"), "{}", report.text());
    let elsewhere = accepted(
        "[[survivor]]\nfile = \"judge/src/a.rs\"\nmutant = \"replace < with <= in f\"\nline = \"x < y\"\nreason = \"r\"\n",
    );
    assert_eq!(killed.report(&mutants, &elsewhere).stale.len(), 1);
}

#[test]
fn an_entry_whose_mutant_waits_to_be_tested_is_not_stale() {
    let list =
        accepted("[[survivor]]\nfile = \"judge/src/a.rs\"\nmutant = \"replace < with <= in f\"\nreason = \"r\"\n");
    let mutants = mutants();
    assert!(State::empty(Path::new("nowhere")).report(&mutants, &list).stale.is_empty());
}

#[test]
fn an_entry_about_a_mutant_that_is_not_looked_at_is_not_stale() {
    let mut list =
        accepted("[[survivor]]\nfile = \"judge/src/a.rs\"\nmutant = \"replace < with <= in f\"\nreason = \"r\"\n");
    let killed = state([Killed, Killed, Killed]);
    let others = &mutants()[2..];
    assert_eq!(killed.report(others, &list).stale.len(), 1, "no such file any more");
    list.keep_those_about(others);
    assert!(killed.report(others, &list).stale.is_empty());
}

#[test]
fn what_was_recorded_is_known_again_as_far_as_its_file_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known");
    let text = mutants_record::text("1.2.3", &mutants(), &state([Killed, Survived, TimedOut]), &sources(1, 1, 1));
    assert!(text.contains("judge/src/a.rs 0000000000000001 KS\n"), "{text}");
    fs::write(&file, text).unwrap();
    let recalled = |version: &str, sources: &Sources| {
        let state = mutants_record::read(&file, version, &mutants(), sources).unwrap();
        mutants().iter().map(|mutant| state.outcome(mutant)).collect::<Vec<_>>()
    };
    assert_eq!(recalled("1.2.3", &sources(1, 1, 1)), [Some(Killed), Some(Survived), Some(TimedOut)]);
    assert_eq!(recalled("1.2.3", &sources(2, 1, 9)), [Some(Killed), None, None], "other tests, another b.rs");
    assert_eq!(recalled("1.2.4", &sources(1, 1, 1)), [None; 3], "another order");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("KS", "KSK")).unwrap();
    assert_eq!(recalled("1.2.3", &sources(1, 1, 1)), [None, None, Some(TimedOut)], "not as many mutants");
}

#[test]
fn what_a_run_found_is_newer_than_the_record() {
    let mut found = state([Killed, Killed, Killed]);
    found.forget_stale(&mutants()[..2], &sources(1, 1, 1));
    found.recall(state([Survived, Survived, Survived]));
    let outcomes: Vec<_> = mutants().iter().map(|mutant| found.outcome(mutant)).collect();
    assert_eq!(outcomes, [Some(Killed), Some(Killed), Some(Survived)]);
}
