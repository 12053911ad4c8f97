//! Every mutant of the protocol is found by the properties that it violates and by no others, at the shortest distance; the harmless
//! ones are proved harmless.

use lastword_check::mutants::{MUTANTS, Mutant};
use lastword_check::{Course, Faults, Parties, Property, Setup, explore_pair};

#[test]
fn every_mutant_violates_exactly_the_properties_of_the_catalogue() {
    for mutant in MUTANTS {
        let result = explore_pair(&mutant.setup(), mutant.twist());
        assert!(result.complete, "{}", mutant.name);
        let mut found: Vec<(Property, usize)> =
            result.violations.iter().map(|one| (one.property, one.length)).collect();
        let mut expected = mutant.violates.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{}: {}", mutant.name, mutant.what);
    }
}

#[test]
fn the_catalogue_is_large_enough_and_shows_every_property() {
    let harmless = MUTANTS.iter().filter(|mutant| mutant.violates.is_empty()).count();
    assert!(MUTANTS.len() - harmless >= 15 && harmless >= 1);
    for property in Property::ALL.into_iter().filter(|property| *property != Property::Trapped) {
        assert!(MUTANTS.iter().any(|mutant| mutant.violates.first().is_some_and(|(first, _)| *first == property)));
    }
}

#[test]
fn what_is_harmless_is_harmless_with_losses_deaths_and_cancels_too() {
    for mutant in MUTANTS.iter().filter(|mutant| mutant.violates.is_empty()) {
        let faults = Faults { loss: true, death: true, cancel: true, ..Faults::NONE };
        let result = explore_pair(&Setup { frames: 1, faults, ..mutant.setup() }, mutant.twist());
        assert!(result.holds(), "{}: {:?}", mutant.name, result.violations);
    }
}

#[test]
fn a_peer_that_sends_anything_finds_what_a_conforming_one_finds() {
    let alone = |client: bool| {
        let is_client = |course: &Course| matches!(course.parties, Parties::ClientAndChaos { .. });
        let is_server = |course: &Course| matches!(course.parties, Parties::ServerAndChaos { babble: false, .. });
        let mut all = Course::default_bound().into_iter();
        all.find(|course| if client { is_client(course) } else { is_server(course) }).unwrap()
    };
    for (name, client, property) in [
        ("double-sentinel", true, Property::IllegalClient),
        ("keepalive-after-end", true, Property::IllegalClient),
        ("flushed-twice", false, Property::IllegalServer),
        ("flushed-never", false, Property::Lost),
        ("final-after-end", false, Property::IllegalServer),
        ("engine-dies", false, Property::Deadlock),
        ("ignores-close", false, Property::IllegalServer),
    ] {
        let result = alone(client).run_as(Mutant::named(name).unwrap().twist());
        let found: Vec<Property> = result.violations.iter().map(|one| one.property).collect();
        assert!(found.contains(&property), "{name}: {found:?}");
    }
}

#[test]
fn a_counterexample_is_told_step_by_step() {
    let mutant = MUTANTS.iter().find(|mutant| mutant.name == "no-sentinel-keepalive").unwrap();
    let result = explore_pair(&mutant.setup(), mutant.twist());
    let livelock = result.violations.iter().find(|one| one.property == Property::Livelock).unwrap();
    insta::assert_snapshot!(livelock.told.join("\n"));
}
