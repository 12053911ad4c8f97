//! The core on graphs small enough to see through: what each property means, and that fairness is strong.

use super::*;

/// Steps as (from, to, kind, owner); state 9 is the end.
struct Toy(&'static [(u8, u8, Kind, u8)]);

const END: u8 = 9;
use Kind::{Cooperative as Coop, Rescue};

impl Model for Toy {
    type State = u8;
    type Act = (u8, u8);

    fn start(&mut self) -> u8 {
        0
    }

    fn steps(&mut self, state: u8, into: &mut Vec<Step<u8, (u8, u8)>>) {
        let own = self.0.iter().filter(|(from, ..)| *from == state);
        into.extend(own.map(|(from, to, kind, owner)| Step {
            act: (*from, *to),
            next: *to,
            kind: *kind,
            owner: Owner(*owner),
            breaches: if *to == 8 { Breaches::NONE.with(Property::Lost) } else { Breaches::NONE },
        }));
    }

    fn is_end(&self, state: u8) -> bool {
        state == END
    }
}

/// Name and length of what is violated, and the cycle of a livelock.
fn violations(steps: &'static [(u8, u8, Kind, u8)]) -> Vec<(&'static str, usize, usize)> {
    let mut toy = Toy(steps);
    let found = explore(&mut toy, 100);
    assert!(found.complete);
    found.counterexamples(&mut toy).iter().map(|one| (one.property.as_str(), one.path.len(), one.cycle.len())).collect()
}

#[test]
fn a_way_to_the_end_satisfies_everything() {
    assert_eq!(violations(&[(0, 1, Coop, 0), (1, END, Coop, 1), (0, END, Rescue, 7)]), []);
}

#[test]
fn a_state_that_only_a_rescue_leaves_is_a_deadlock_and_a_trap() {
    let found = violations(&[(0, 1, Coop, 0), (1, END, Rescue, 7), (0, END, Coop, 0)]);
    assert_eq!(found, [("DEADLOCK", 1, 0), ("TRAPPED", 1, 0)]);
}

#[test]
fn a_clock_that_ticks_in_a_deadlock_makes_it_a_livelock() {
    let found = violations(&[(0, 1, Coop, 0), (1, 2, Coop, 7), (2, 1, Coop, 1)]);
    assert_eq!(found, [("TRAPPED", 0, 0), ("LIVELOCK", 1, 2)]);
}

#[test]
fn fairness_is_strong_an_owner_who_can_act_now_and_then_acts() {
    // Owner 0 can leave the cycle from state 1 alone, owner 1 goes round.
    assert_eq!(violations(&[(0, 1, Coop, 1), (1, 0, Coop, 1), (1, END, Coop, 0)]), []);
    // If the way out belongs to the one who goes round, he may never take it.
    assert_eq!(violations(&[(0, 1, Coop, 1), (1, 0, Coop, 1), (1, END, Coop, 1)]), [("LIVELOCK", 0, 2)]);
    // A clock may stand still for ever: that it could help is no help.
    assert_eq!(violations(&[(0, 1, Coop, 1), (1, 0, Coop, 1), (1, END, Coop, 7)]), [("LIVELOCK", 0, 2)]);
}

#[test]
fn a_cycle_within_a_cycle_is_found_when_the_outer_one_is_unfair() {
    // Owner 2 leaves from state 3; the inner cycle 1, 2 does not pass it.
    let steps =
        &[(0, 1, Coop, 0), (1, 2, Coop, 0), (2, 1, Coop, 0), (2, 3, Coop, 0), (3, 1, Coop, 0), (3, END, Coop, 2)];
    assert_eq!(violations(steps), [("LIVELOCK", 1, 2)]);
}

#[test]
fn the_cycle_that_is_shown_has_a_step_of_everybody_who_acts_in_it() {
    let steps =
        &[(0, 1, Coop, 0), (1, 0, Coop, 0), (1, 2, Coop, 1), (2, 0, Coop, 2), (0, 0, Coop, 3), (0, END, Rescue, 7)];
    let mut toy = Toy(steps);
    let found = explore(&mut toy, 100);
    let all = found.counterexamples(&mut toy);
    let livelock = all.iter().find(|one| one.property == Property::Livelock).unwrap();
    let mut at = 0;
    for (from, to) in &livelock.cycle {
        assert_eq!(*from, at, "the cycle is a walk: {:?}", livelock.cycle);
        at = *to;
    }
    assert_eq!(at, 0);
    for step in [(0, 1), (1, 2), (2, 0), (0, 0)] {
        assert!(livelock.cycle.contains(&step), "{step:?} is missing in {:?}", livelock.cycle);
    }
}

#[test]
fn the_first_breach_has_the_shortest_way() {
    let found = violations(&[
        (0, 1, Coop, 0),
        (1, 8, Coop, 0),
        (0, 2, Coop, 0),
        (2, 3, Coop, 0),
        (3, 8, Coop, 0),
        (8, END, Coop, 0),
    ]);
    assert_eq!(found, [("LOST", 2, 0)]);
}

#[test]
fn a_search_that_meets_its_bound_says_so() {
    let mut toy = Toy(&[(0, 1, Coop, 0), (1, 2, Coop, 0), (2, END, Coop, 0)]);
    assert!(!explore(&mut toy, 2).complete);
    assert!(explore(&mut toy, 4).complete);
}
