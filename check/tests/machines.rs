//! Every property holds for the shipped machines, in every course of the default bound; and the courses go everywhere.

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::rc::Rc;

use lastword_check::{Act, Course, Honest, Pair, Parties, State, explore};

#[test]
fn every_property_holds_for_the_shipped_machines() {
    let mut states = 0;
    for course in Course::default_bound() {
        let result = course.run();
        let told: Vec<String> = result.violations.iter().map(|one| one.told.join("\n")).collect();
        assert!(result.holds(), "{}: {:?}\n{}", result.name, result.violations, told.join("\n\n"));
        states += result.states;
    }
    // What a quiet machine explores in two seconds.
    assert!((500_000..1_000_000).contains(&states), "the default bound has {states} states");
}

#[test]
fn the_courses_go_through_every_state_every_step_and_every_kind_of_waiting() {
    let mut stands = BTreeSet::new();
    let mut acts = Vec::new();
    for course in Course::default_bound().iter().filter(|course| course.parties == Parties::Both) {
        let mut pair = Pair::new(&course.setup, Rc::new(Honest));
        let found = explore(&mut pair, 1_000_000);
        stands.extend(found.states.iter().map(|state| pair.stand(*state)));
        acts.extend(found.acts());
    }
    for state in [State::Configuring, State::Streaming, State::Draining, State::Failing, State::Ended, State::Closed] {
        assert!(stands.iter().any(|stand| stand.client == state), "no client in {state:?}");
        assert!(stands.iter().any(|stand| stand.server == state), "no server in {state:?}");
    }
    assert!(stands.iter().any(|stand| stand.client_blocked && stand.server_blocked), "both wait for their transport");
    assert!(stands.iter().any(|stand| stand.server_deaf && stand.server == State::Streaming), "a full audio buffer");
    assert!(stands.iter().any(|stand| stand.client == State::Streaming && stand.server == State::Failing));
    assert!(
        stands.iter().any(|stand| stand.client == State::Ended && stand.server == State::Draining),
        "a late cancel"
    );
    let taken = |act: Act| acts.iter().any(|one| discriminant(one) == discriminant(&act));
    for act in [
        Act::Push,
        Act::Flush,
        Act::End,
        Act::Cancel,
        Act::ClientDies,
        Act::EngineReady,
        Act::EngineRefuses,
        Act::EngineHears,
        Act::EnginePartial,
        Act::EngineFinal,
        Act::EngineFlushed,
        Act::EngineDrained,
        Act::EngineTick,
        Act::EngineFails,
        Act::ServerDies,
        Act::ShutDown,
        Act::Loss,
    ] {
        assert!(taken(act), "{act:?} was never taken");
    }
    let timers: BTreeSet<String> = acts
        .iter()
        .filter(|act| matches!(act, Act::ClientTimer(_) | Act::ServerTimer(_)))
        .map(|act| format!("{act:?}"))
        .collect();
    assert_eq!(timers.len(), 8 + 5, "every timer of either side fires somewhere: {timers:?}");
}
