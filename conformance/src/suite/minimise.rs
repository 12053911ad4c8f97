//! Owns the merging of states that no sequence tells apart, by refinement of partitions. Knows nothing of what the states mean.

use std::collections::BTreeMap;

use super::machine::{Abstract, Machine, Transition};
use super::response::Response;

/// The machine with one state for each class of states that allow the same observations for ever. States keep their order.
#[must_use]
pub(super) fn merged(machine: &Machine) -> Machine {
    let blocks = blocks(machine);
    let count = blocks.iter().max().map_or(0, |last| last + 1);
    let states = (0..count)
        .map(|block| {
            let members: Vec<&Abstract> =
                machine.states().iter().zip(&blocks).filter(|(_, of)| **of == block).map(|(state, _)| state).collect();
            let places = members.iter().flat_map(|state| state.places.clone()).collect();
            let transitions = members[0]
                .transitions
                .iter()
                .map(|transition| Transition { next: transition.next.map(|next| blocks[next]), ..transition.clone() })
                .collect();
            Abstract { places, transitions }
        })
        .collect();
    Machine::new(machine.inputs().to_vec(), states)
}

/// For each state the number of its class; classes are numbered by their first state.
fn blocks(machine: &Machine) -> Vec<usize> {
    let mut blocks = vec![0; machine.states().len()];
    loop {
        let mut numbers: BTreeMap<Vec<(&Response, Option<usize>)>, usize> = BTreeMap::new();
        let refined: Vec<usize> = machine
            .states()
            .iter()
            .map(|state| {
                let signature = state.transitions.iter().map(|one| (&one.response, one.next.map(|next| blocks[next])));
                let fresh = numbers.len();
                *numbers.entry(signature.collect()).or_insert(fresh)
            })
            .collect();
        if refined == blocks {
            return blocks;
        }
        blocks = refined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::machine::ALPHABET;

    #[test]
    fn merging_twice_is_merging_once_and_no_two_states_of_a_merged_machine_are_alike() {
        let merged_once = merged(&Machine::unrolled(&ALPHABET));
        assert!(merged_once.states().len() < Machine::unrolled(&ALPHABET).states().len());
        let classes = blocks(&merged_once);
        assert_eq!(classes, (0..merged_once.states().len()).collect::<Vec<_>>());
    }
}
