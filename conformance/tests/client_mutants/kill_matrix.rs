//! The kill matrix of clients: every mutant against every case, at both levels. Each mutant must be killed by the case meant for
//! it, with the requirement that it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use lastword::client::catalogue;
use lastword_client_mutants::{Mutant, find, mutants};
use lastword_spec::registry::Role;
use lastword_spec::requirements;

use crate::crowd::{self, Outcome};
use crate::tables::{hold, row};

/// Every mutant at both levels.
static MATRIX: LazyLock<Vec<(&'static Mutant, [Outcome; 2])>> = LazyLock::new(|| {
    let all: Vec<(&'static Mutant, u8)> = mutants().iter().flat_map(|mutant| [(mutant, 0), (mutant, 1)]).collect();
    let mut outcomes = crowd::each(&all, |(mutant, level)| crowd::mutant(mutant, *level)).into_iter();
    let mut next = || outcomes.next().expect("one for each");
    mutants().iter().map(|mutant| (mutant, [next(), next()])).collect()
});

/// What is wrong with how a mutant was killed at a level, if anything.
fn survival(mutant: &Mutant, outcome: &Outcome) -> Option<String> {
    let Some((verdict, ids)) = outcome.cases.get(mutant.case) else {
        return Some(format!("{}: there is no case {}", mutant.name, mutant.case));
    };
    if ids.iter().any(|id| id == mutant.breaks) {
        return None;
    }
    let elsewhere: Vec<String> = outcome.failed().map(|(case, ids)| format!("{case} by {}", ids.join(" "))).collect();
    Some(format!(
        "{} ({}) should be killed by {} with {}; that says {verdict} {}. Elsewhere: {}",
        mutant.name,
        mutant.what,
        mutant.case,
        mutant.breaks,
        ids.join(" "),
        if elsewhere.is_empty() { "nothing".to_owned() } else { elsewhere.join(", ") }
    ))
}

#[test]
fn every_mutant_is_killed_by_the_case_meant_for_it_with_its_requirement() {
    let mut told = String::new();
    for (mutant, outcomes) in MATRIX.iter() {
        let outcome = &outcomes[usize::from(mutant.level)];
        if let Some(how) = survival(mutant, outcome) {
            told += &format!("{how}\n");
        }
        if outcome.exit_code != lastword::exit::VIOLATION {
            told += &format!("{}: the command would exit with {}\n", mutant.name, outcome.exit_code);
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

#[test]
fn every_must_of_a_client_has_a_mutant_or_says_why_not() {
    let broken: BTreeSet<&str> = mutants().iter().map(|mutant| mutant.breaks).collect();
    let musts = requirements::ALL.iter().filter(|requirement| {
        let binds_clients = matches!(requirement.role, Role::Client | Role::Both);
        binds_clients && requirement.level.is_absolute() && requirement.untestable.is_none()
    });
    let without: Vec<&str> = musts.map(|must| must.id.as_str()).filter(|id| !broken.contains(id)).collect();
    assert!(without.is_empty(), "no mutant breaks {without:?}");
}

/// Cases that no mutant is meant for, and why they stay.
const STAYS: [(&str, &str); 0] = [];

#[test]
fn every_case_is_meant_for_a_mutant_or_says_why_it_stays() {
    let meant: BTreeSet<&str> = mutants().iter().map(|mutant| mutant.case).collect();
    let stays: BTreeSet<&str> = STAYS.iter().map(|(case, _)| *case).collect();
    let cases: BTreeSet<&str> = catalogue().iter().map(|case| case.id.as_str()).collect();
    let without: Vec<_> = cases.iter().filter(|case| !meant.contains(*case) && !stays.contains(*case)).collect();
    assert!(without.is_empty(), "no mutant is meant for {without:?}");
    let needless: Vec<_> = stays.iter().filter(|case| meant.contains(*case) || !cases.contains(*case)).collect();
    assert!(needless.is_empty(), "{needless:?} need no reason to stay");
}

#[test]
fn mutants_have_names_of_their_own_and_break_what_exists() {
    let names: BTreeSet<&str> = mutants().iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), mutants().len());
    for mutant in mutants() {
        assert!(requirements::find(mutant.breaks).is_some(), "{} breaks {}", mutant.name, mutant.breaks);
    }
}

#[test]
fn the_matrix_is_the_one_of_the_snapshot() {
    let mut text = String::new();
    for (mutant, outcomes) in MATRIX.iter() {
        writeln!(text, "{} [{}]", mutant.name, mutant.breaks).expect("a string");
        for (level, outcome) in outcomes.iter().enumerate() {
            // Cases that fail alike stand together.
            let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (case, ids) in outcome.failed() {
                alike.entry(ids.join(" ")).or_default().push(case.trim_start_matches("client/"));
            }
            for (ids, cases) in alike {
                writeln!(text, "    level {level}: {ids}: {}", cases.join(" ")).expect("a string");
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_table_in_the_docs_is_up_to_date() {
    let mut table =
        row(&["mutant", "what it does wrong", "breaks", "level", "meant for it", "cases that fail", "also named"]);
    table += &row(&["---"; 7]);
    for (mutant, outcomes) in MATRIX.iter() {
        let outcome = &outcomes[usize::from(mutant.level)];
        let also: BTreeSet<&str> =
            outcome.failed().flat_map(|(_, ids)| ids).map(String::as_str).filter(|id| *id != mutant.breaks).collect();
        let failed = outcome.failed().count().to_string();
        let also = also.into_iter().collect::<Vec<_>>().join(" ");
        let (name, case) = (format!("`{}`", mutant.name), mutant.case.trim_start_matches("client/"));
        let level = mutant.level.to_string();
        table += &row(&[&name, mutant.what, mutant.breaks, &level, case, &failed, &also]);
    }
    let intro = format!(
        "# The kill matrix of clients\n\nThe harness is tested with one small client that is right, and broken in one of {} ways: `lastword-client-mutants --mutant NAME`, at level 0 \
         with a URL and a file, at level 1 as a driver.\nEvery certification runs all {} cases. Each mutant must be killed by the case that is meant for it, with the requirement \
         that it breaks, at the level that is named.\nWhat else is named is what one fault brings with it.",
        MATRIX.len(),
        catalogue().len()
    );
    hold("client-kill-matrix.md", "client_mutants", &intro, &table);
}

/// For looking at single mutants: `LASTWORD_MUTANTS=a,b cargo test -p lastword --test client_mutants look -- --nocapture`.
#[test]
fn look_at_the_mutants_of_the_environment() {
    let Some(wanted) = std::env::var_os("LASTWORD_MUTANTS") else { return };
    let wanted = wanted.to_string_lossy().into_owned();
    let chosen: Vec<&Mutant> = wanted.split(',').map(|name| find(name).expect("a mutant of this name")).collect();
    for mutant in chosen {
        for level in [0, 1] {
            let outcome = crowd::mutant(mutant, level);
            let how = survival(mutant, &outcome).unwrap_or_else(|| format!("{} is killed as meant", mutant.name));
            println!("level {level}: {how}");
            for told in &outcome.told {
                println!("    {told}");
            }
        }
    }
}
