//! The kill matrix: every mutant against every case. Each mutant must be killed by the case meant for it, with the
//! requirement that it breaks; each case must kill something that no other case kills, or say why it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use lastword::case::catalogue;
use lastword_mutants::{Mutant, find, mutants};
use lastword_spec::registry::{Requirement, Role};
use lastword_spec::requirements;

use crate::bug_classes::quoted;
use crate::crowd::{self, Outcome};
use crate::tables::{hold, row};

/// Cases that kill nothing alone, and why they stay.
static STAYS: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| toml::from_str(include_str!("stays.toml")).expect("a table of reasons"));

static MATRIX: LazyLock<Vec<(&'static Mutant, Outcome)>> = LazyLock::new(|| {
    let outcomes = crowd::each(mutants(), |mutant| crowd::mutant(mutant));
    mutants().iter().copied().zip(outcomes).collect()
});

/// What is wrong with how a mutant was killed, if anything.
fn survival(mutant: &Mutant, outcome: &Outcome) -> Option<String> {
    let (verdict, ids) = outcome.cases.get(mutant.case)?;
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
    for (mutant, outcome) in MATRIX.iter() {
        if let Some(how) = survival(mutant, outcome) {
            told += &format!("{how}\n");
        }
        if !lastword::case::catalogue().iter().any(|case| case.id == mutant.case) {
            told += &format!("{}: there is no case {}\n", mutant.name, mutant.case);
        }
        let code = outcome.exit_code;
        if code != lastword::exit::VIOLATION {
            told += &format!("{}: the command would exit with {code}\n", mutant.name);
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

/// What looks, in place of a mutant, for what no peer can observe: for each such requirement. A name in backticks is a mutant, of this
/// catalogue or of the one of the checker of the state machines (`cargo xtask check --mutants`).
const INSTEAD: [(&str, &str); 5] = [
    (
        "VER-2",
        "`spec/v1/sets.txt` gives each version the digest of its requirements, and the generator makes another text another version",
    ),
    (
        "PRG-S5",
        "`progress-outlives-worker`, `progress-without-motion` and `held-behind-progress` break PRG-S4; the checker finds \
         `engine-dies-progress` by its livelock",
    ),
    (
        "CLO-S4",
        "the checker finds `deaf-after-close` by its deadlock, around the machines that the reference server is made of",
    ),
    (
        "BP-S3",
        "nothing convicts a server of it. The checker shows what depends on it: `deaf-while-writing` is harmless to a client that reads \
         while it writes, and with one that does not, `both-blocked-on-write`, it is a deadlock; clients are held to that [BP-C2]",
    ),
    (
        "REC-S2",
        "of a subject nothing but its slots: one that the harness started, that is left alone for more than 5 s and still says that it \
         has no room, is named [REC-S2]; one that others may use is asked again for as long, and what it then turns away stays \
         undecided (`tests/mutants/slots.rs`). The tests of the reference server count its sessions",
    ),
];

/// What a server must and no mutant is meant to break.
fn musts_without_a_mutant() -> Vec<&'static Requirement> {
    let broken: BTreeSet<&str> = mutants().iter().map(|mutant| mutant.breaks).collect();
    let musts = requirements::ALL.iter().filter(|requirement| {
        let binds_servers = matches!(requirement.role, Role::Server | Role::Both);
        binds_servers && requirement.level.is_absolute()
    });
    musts.filter(|must| !broken.contains(must.id.as_str())).collect()
}

#[test]
fn every_must_of_a_server_that_can_be_tested_has_a_mutant() {
    let testable = musts_without_a_mutant().into_iter().filter(|must| must.untestable.is_none());
    let without: Vec<&str> = testable.map(|must| must.id.as_str()).collect();
    assert_eq!(without, [] as [&str; 0]);
}

#[test]
fn every_must_without_a_mutant_says_what_looks_for_it_instead() {
    let without: BTreeSet<&str> = musts_without_a_mutant().into_iter().map(|must| must.id.as_str()).collect();
    assert_eq!(INSTEAD.iter().map(|(id, _)| *id).collect::<BTreeSet<&str>>(), without);
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../check/src/mutants/mod.rs");
    let checker = std::fs::read_to_string(checker).expect("the mutants of the checker");
    for (id, instead) in INSTEAD {
        let is_known = |name: &&str| find(name).is_some() || checker.contains(&format!("    \"{name}\" "));
        let unknown: Vec<&str> = quoted(instead).filter(|name| !name.contains('/') && !is_known(name)).collect();
        assert_eq!(unknown, [] as [&str; 0], "{id}");
    }
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
fn every_case_kills_something_alone_or_says_why_it_stays() {
    let mut told = String::new();
    for case in catalogue() {
        let alone = killed_by(&case.id).any(|(_, outcome)| outcome.failed().count() == 1);
        match (alone, STAYS.get(&case.id)) {
            (false, None) => told += &format!("{} kills nothing that no other case kills: say why it stays\n", case.id),
            (true, Some(_)) => told += &format!("{} kills something alone: take its reason away\n", case.id),
            _ => {}
        }
    }
    assert!(told.is_empty(), "\n{told}");
    let known: BTreeSet<&str> = catalogue().iter().map(|case| case.id.as_str()).collect();
    assert!(STAYS.keys().all(|id| known.contains(id.as_str())), "a reason for a case that does not exist");
}

fn killed_by(case: &str) -> impl Iterator<Item = &'static (&'static Mutant, Outcome)> {
    let case = case.to_owned();
    MATRIX.iter().filter(move |(_, outcome)| outcome.failed().any(|(failed, _)| failed == case))
}

/// The requirements that a failure names, behind its verdict where that says more than FAIL.
fn how_it_failed(verdict: &str, ids: &[String]) -> String {
    let ids = ids.join(" ");
    if verdict == "FAIL" { ids } else { format!("{verdict} {ids}") }
}

#[test]
fn the_matrix_is_the_one_of_the_snapshot() {
    let mut text = String::new();
    for (mutant, outcome) in MATRIX.iter() {
        // Cases that fail alike stand together.
        let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (case, ids) in outcome.failed() {
            let how = how_it_failed(outcome.verdict(case), ids);
            alike.entry(how).or_default().push(case.trim_start_matches("server/"));
        }
        writeln!(text, "{} [{}]", mutant.name, mutant.breaks).expect("a string");
        for (how, cases) in alike {
            writeln!(text, "    {how}: {}", cases.join(" ")).expect("a string");
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_table_in_the_docs_is_up_to_date() {
    let mut table = row(&["mutant", "what it does wrong", "breaks", "meant for it", "cases that fail", "also named"]);
    table += &row(&["---"; 6]);
    for (mutant, outcome) in MATRIX.iter() {
        let also: BTreeSet<&str> =
            outcome.failed().flat_map(|(_, ids)| ids).map(String::as_str).filter(|id| *id != mutant.breaks).collect();
        let failed = outcome.failed().count().to_string();
        let also = also.into_iter().collect::<Vec<_>>().join(" ");
        let (name, case) = (format!("`{}`", mutant.name), mutant.case.trim_start_matches("server/"));
        table += &row(&[&name, mutant.what, mutant.breaks, case, &failed, &also]);
    }
    table += "\n## By case\n\nHow many mutants each case kills, and how many of them no other case kills.\n\n";
    table += &row(&["case", "kills", "alone", "stays because"]);
    table += &row(&["---"; 4]);
    for case in catalogue() {
        let all = killed_by(&case.id).count().to_string();
        let alone = killed_by(&case.id).filter(|(_, outcome)| outcome.failed().count() == 1).count().to_string();
        let why = STAYS.get(&case.id).map_or("", String::as_str);
        table += &row(&[case.id.trim_start_matches("server/"), &all, &alone, why]);
    }
    table += "\n## Without a mutant\n\nWhat a server must and no mutant is meant to break: no peer can see it.\n\n";
    table += &row(&["requirement", "why", "what looks for it instead"]);
    table += &row(&["---"; 3]);
    for must in musts_without_a_mutant() {
        let instead = INSTEAD.iter().find(|(id, _)| *id == must.id.as_str()).map_or("", |(_, instead)| instead);
        table += &row(&[must.id.as_str(), must.untestable.unwrap_or_default(), instead]);
    }
    let skipped: Vec<String> = nowhere_applicable().map(|id| format!("`{id}`")).collect();
    let intro = format!(
        "# The kill matrix\n\nThe harness is tested with one small server that is right, and broken in one of {} ways: `lastword-mutants --mutant NAME`. Every certification \
         is planned with all {} cases; those that apply to none of these servers: {}.\nEach mutant must be killed by the case that is meant for it, with the requirement that it breaks. \
         What else is named is what one fault brings with it.\n[What no mutant breaks](#without-a-mutant) stands at the end.",
        MATRIX.len(),
        catalogue().len(),
        if skipped.is_empty() { "none".to_owned() } else { skipped.join(", ") }
    );
    hold("kill-matrix.md", "mutants", &intro, &table);
}

/// The cases that no mutant meets.
fn nowhere_applicable() -> impl Iterator<Item = &'static str> {
    let applies = |id: &str| MATRIX.iter().any(|(_, outcome)| outcome.verdict(id) != "NOT_APPLICABLE");
    catalogue().iter().map(|case| case.id.as_str()).filter(move |id| !applies(id))
}

/// For looking at single mutants: `LASTWORD_MUTANTS=a,b cargo test -p lastword --test mutants look -- --nocapture`.
#[test]
fn look_at_the_mutants_of_the_environment() {
    let Some(wanted) = std::env::var_os("LASTWORD_MUTANTS") else { return };
    let wanted = wanted.to_string_lossy().into_owned();
    let chosen: Vec<&Mutant> = wanted.split(',').map(|name| find(name).expect("a mutant of this name")).collect();
    for (mutant, outcome) in chosen.iter().zip(crowd::each(&chosen, |mutant| crowd::mutant(mutant))) {
        let how = survival(mutant, &outcome).unwrap_or_else(|| format!("{} is killed as meant", mutant.name));
        println!("{how}\n  {} cases failed, {:?}", outcome.failed().count(), outcome.took);
        for (case, ids) in outcome.failed() {
            println!("    {case} {}", ids.join(" "));
        }
    }
}
