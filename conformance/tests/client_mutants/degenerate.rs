//! Programs that are no clients pass nothing, fail the run, and do not hold the harness.

use lastword_client_mutants::{Degenerate, degenerates};

use crate::crowd;
use crate::tables::{hold, row};

const INTRO: &str = "# Programs that are no clients

Each of these programs is certified as a client in the tests, as a command (level 0) and as a driver (level 1); none of them may pass a single case or be said to keep
a single requirement, and the run must not exit with 0: it exits with 1 where a case failed, and with 3 where none did. What a program that always gives up does rightly
now and then is undecided, because no session of it ever completed.";

#[test]
fn a_program_that_is_no_client_passes_nothing_and_fails_the_run() {
    let all: Vec<(&'static Degenerate, u8)> = degenerates().iter().flat_map(|kind| [(kind, 0), (kind, 1)]).collect();
    let outcomes = crowd::each(&all, |(kind, level)| crowd::degenerate(kind, *level));
    let mut told = String::new();
    let heads = [
        "program",
        "what it does",
        "level",
        "passed",
        "failed",
        "inconclusive",
        "not applicable or tested",
        "exit code",
    ];
    let mut table = row(&heads) + &row(&["---"; 8]);
    for ((kind, level), outcome) in all.iter().zip(&outcomes) {
        let count = |which: &[&str]| {
            let such = outcome.cases.values().filter(|(verdict, _)| which.contains(&verdict.as_str()));
            such.count().to_string()
        };
        let failed = count(&["FAIL", "DEADLOCK", "LIVELOCK", "HUNG", "CRASH"]);
        let (name, level_told, code) = (format!("`{}`", kind.name), level.to_string(), outcome.exit_code.to_string());
        let (passed, open) = (count(&["PASS", "NON_STRICT"]), count(&["INCONCLUSIVE"]));
        let others = count(&["NOT_APPLICABLE", "NOT_TESTED"]);
        table += &row(&[&name, kind.what, &level_told, &passed, &failed, &open, &others, &code]);
        let passed = outcome.passed();
        if !passed.is_empty() || !outcome.kept.is_empty() || outcome.exit_code == lastword::exit::PASS {
            let (name, code, kept) = (kind.name, outcome.exit_code, &outcome.kept);
            told += &format!("{name} at level {level}: exit code {code}, passed {passed:?}, kept {kept:?}\n");
        }
    }
    assert!(told.is_empty(), "\n{told}");
    hold("degenerate-clients.md", "client_mutants", INTRO, &table);
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
