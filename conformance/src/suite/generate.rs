//! Owns the W-method: from the abstract machine to the sequences that prove it. Pure; knows nothing of how they are carried out.
//!
//! With a sequence to each state (the cover), one or more sequences that tell any two states apart (the separators) and a bound k
//! on the states that a subject may have more than the machine, the suite is cover x all sequences of up to k + 1 inputs x
//! separators. Why that is enough: take a shortest sequence, counted from the end of a cover sequence, that a subject which
//! passes would still fail. If it is longer than k + 1, it and the covers pass through more than n + k states of the subject that
//! were separated, so two of them are one state, and by the separators the same state of the machine: the part between them can
//! be cut out, and a shorter failing sequence remains. Answers that may be left out do no harm: separators only count where no
//! observation fits both states.

use std::collections::{BTreeSet, VecDeque};

use lastword_spec::table::ServerInput;

use super::machine::Machine;

/// A sequence of inputs. It ends where the connection does, or is brought to its end by [`Machine::completion`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Test {
    /// The inputs, in order.
    pub inputs: Vec<ServerInput>,
}

/// The suite of a machine.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The machine.
    pub machine: Machine,
    /// How many states more than the machine a subject may have.
    pub extra_states: usize,
    /// For each state a shortest sequence that leads there.
    pub cover: Vec<Vec<ServerInput>>,
    /// The sequences that together tell any two states apart.
    pub separators: Vec<Vec<ServerInput>>,
    /// The sequences, none of them a prefix of another.
    pub tests: Vec<Test>,
}

/// No separator is searched for beyond this length.
const LONGEST_SEPARATOR: usize = 3;

impl Suite {
    /// The suite that holds for subjects with so many states more than the table.
    #[must_use]
    pub fn generate(extra_states: usize) -> Self {
        Self::of(Machine::of_the_table(), extra_states)
    }

    /// The suite of this machine.
    ///
    /// # Panics
    /// A state of the machine cannot be reached, or two of them cannot be told apart by a short sequence. The machine of the table is
    /// minimal and connected; a test holds that.
    #[must_use]
    pub fn of(machine: Machine, extra_states: usize) -> Self {
        let cover = cover(&machine);
        let separators = separators(&machine);
        let mut sequences = BTreeSet::new();
        for prefix in &cover {
            extend(&machine, prefix.clone(), extra_states + 1, &separators, &mut sequences);
        }
        let tests = without_prefixes(sequences).map(|inputs| Test { inputs }).collect();
        Self { machine, extra_states, cover, separators, tests }
    }

    /// How many tests go on behind the sentinel.
    #[must_use]
    pub fn draining(&self) -> usize {
        self.tests.iter().filter(|test| self.goes_on_behind_the_sentinel(&test.inputs)).count()
    }

    /// Whether some of these inputs are meant for a state that the subject leaves by itself.
    pub(super) fn goes_on_behind_the_sentinel(&self, inputs: &[ServerInput]) -> bool {
        let is_held = |next: Option<usize>| next.is_some_and(|state| self.machine.is_held(state));
        self.machine.walk(inputs).iter().rev().skip(1).any(|step| is_held(step.next))
    }

    /// How many inputs the tests send in all.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.tests.iter().map(|test| test.inputs.len()).sum()
    }
}

/// A shortest sequence to each state.
fn cover(machine: &Machine) -> Vec<Vec<ServerInput>> {
    let mut found: Vec<Option<Vec<ServerInput>>> = vec![None; machine.states().len()];
    found[0] = Some(Vec::new());
    let mut open = VecDeque::from([0]);
    while let Some(state) = open.pop_front() {
        let path = found[state].clone().unwrap_or_default();
        for (input, transition) in machine.inputs().iter().zip(&machine.states()[state].transitions) {
            if let Some(next) = transition.next.filter(|next| found[*next].is_none()) {
                found[next] = Some([path.as_slice(), &[*input]].concat());
                open.push_back(next);
            }
        }
    }
    found.into_iter().map(|path| path.expect("every state can be reached")).collect()
}

/// Adds the separated sequences that begin with this one and go on with up to so many inputs.
fn extend(
    machine: &Machine,
    sequence: Vec<ServerInput>,
    further: usize,
    separators: &[Vec<ServerInput>],
    into: &mut BTreeSet<Vec<ServerInput>>,
) {
    for separator in separators {
        let mut whole = [sequence.as_slice(), separator].concat();
        whole.truncate(machine.walk(&whole).len());
        into.insert(whole);
    }
    let over = machine.walk(&sequence).last().is_some_and(|last| last.next.is_none());
    if further == 0 || over {
        return;
    }
    for input in machine.inputs() {
        extend(machine, [sequence.as_slice(), &[*input]].concat(), further - 1, separators, into);
    }
}

/// The sequences that are no prefix of another; in order, a prefix stands directly before what it is a prefix of.
fn without_prefixes(sequences: BTreeSet<Vec<ServerInput>>) -> impl Iterator<Item = Vec<ServerInput>> {
    let mut sorted = sequences.into_iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let one = sorted.next()?;
            if !sorted.peek().is_some_and(|next| next.starts_with(&one)) {
                return Some(one);
            }
        }
    })
}

/// One sequence that tells all states apart, the shortest there is; else several that do it together.
fn separators(machine: &Machine) -> Vec<Vec<ServerInput>> {
    let states = machine.states().len();
    let all: BTreeSet<(usize, usize)> = (0..states).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    let mut candidates: Vec<Vec<ServerInput>> = vec![Vec::new()];
    let mut tried = Vec::new();
    for _ in 0..LONGEST_SEPARATOR {
        let longer = |one: &Vec<ServerInput>| {
            let one = one.clone();
            machine.inputs().iter().map(move |input| [one.as_slice(), &[*input]].concat())
        };
        candidates = candidates.iter().flat_map(longer).collect();
        let complete = candidates.iter().filter(|one| separated(machine, one) == all);
        // Among equals the one that can be seen to have been read: its last input is answered wherever the subject may be gone.
        if let Some(best) = complete.max_by_key(|one| (answered(machine, one), std::cmp::Reverse((*one).clone()))) {
            return vec![best.clone()];
        }
        tried.extend(candidates.iter().cloned());
    }
    together(machine, &tried, all)
}

/// Separators chosen one by one, each for the most pairs that are left.
fn together(
    machine: &Machine,
    candidates: &[Vec<ServerInput>],
    mut left: BTreeSet<(usize, usize)>,
) -> Vec<Vec<ServerInput>> {
    let mut chosen = Vec::new();
    while !left.is_empty() {
        let gain = |one: &&Vec<ServerInput>| {
            let pairs = separated(machine, one).intersection(&left).count();
            (pairs, std::cmp::Reverse(one.len()))
        };
        let best = candidates.iter().max_by_key(gain).expect("there is an alphabet");
        let pairs = separated(machine, best);
        assert!(!pairs.is_disjoint(&left), "two states of the machine cannot be told apart");
        left.retain(|pair| !pairs.contains(pair));
        chosen.push(best.clone());
    }
    chosen
}

/// The pairs of states of which no subject can be both, given what it answers to this sequence.
fn separated(machine: &Machine, sequence: &[ServerInput]) -> BTreeSet<(usize, usize)> {
    let states = machine.states().len();
    let apart = |a: usize, b: usize| {
        let (mut a, mut b) = (Some(a), Some(b));
        for input in sequence {
            let (Some(left), Some(right)) = (a, b) else { return false };
            let (left, right) = (machine.transition(left, *input), machine.transition(right, *input));
            if left.response.excludes(&right.response) {
                return true;
            }
            (a, b) = (left.next, right.next);
        }
        false
    };
    (0..states).flat_map(|b| (0..b).map(move |a| (a, b))).filter(|(a, b)| apart(*a, *b)).collect()
}

/// In how many states the last input of the sequence is answered for certain; states that the subject leaves by itself come first.
fn answered(machine: &Machine, sequence: &[ServerInput]) -> (usize, usize) {
    let ends_answered = |state: usize| {
        let mut state = Some(state);
        let mut answered = false;
        for input in sequence {
            let Some(from) = state else { return answered };
            let transition = machine.transition(from, *input);
            answered = transition.response.is_due();
            state = transition.next;
        }
        answered
    };
    let all: Vec<usize> = (0..machine.states().len()).filter(|state| ends_answered(*state)).collect();
    (all.iter().filter(|state| machine.is_held(**state)).count(), all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(inputs: &[ServerInput]) -> String {
        inputs.iter().map(|input| input.as_str()).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_state_has_a_way_to_it_and_one_short_sequence_tells_all_states_apart() {
        let suite = Suite::generate(0);
        let cover: Vec<String> = suite.cover.iter().map(|path| words(path)).collect();
        assert_eq!(
            cover,
            ["", "config", "config, audio (broken)", "config, end_of_stream", "config, end_of_stream, audio"]
        );
        let separators: Vec<String> = suite.separators.iter().map(|one| words(one)).collect();
        assert_eq!(separators, ["audio (broken), end_of_stream"]);
    }

    #[test]
    fn separators_can_also_be_several() {
        let machine = Machine::of_the_table();
        let single: Vec<Vec<ServerInput>> = machine.inputs().iter().map(|input| vec![*input]).collect();
        let pairs = separated(&machine, &suite_separator());
        let chosen = together(&machine, &single, pairs.clone());
        let all: BTreeSet<(usize, usize)> = chosen.iter().flat_map(|one| separated(&machine, one)).collect();
        assert!(chosen.len() > 1 && all.is_superset(&pairs));
    }

    fn suite_separator() -> Vec<ServerInput> {
        Suite::generate(0).separators.remove(0)
    }

    #[test]
    fn no_test_is_a_prefix_of_another_and_none_goes_on_after_the_close() {
        for extra_states in 0..2 {
            let suite = Suite::generate(extra_states);
            for pair in suite.tests.windows(2) {
                assert!(!pair[1].inputs.starts_with(&pair[0].inputs), "{pair:?}");
            }
            for test in &suite.tests {
                assert_eq!(suite.machine.walk(&test.inputs).len(), test.inputs.len(), "{test:?}");
            }
        }
    }

    #[test]
    fn no_test_sends_so_many_bad_messages_that_one_of_them_is_fatal() {
        let suite = Suite::generate(2);
        let bad = |test: &Test| test.inputs.iter().filter(|input| **input == ServerInput::BadMessage).count();
        assert!(suite.tests.iter().map(bad).max().unwrap_or(0) < 10);
    }

    #[test]
    fn the_suite_grows_with_the_states_that_a_subject_may_have_more() {
        let sizes: Vec<(usize, usize)> =
            (0..3).map(Suite::generate).map(|suite| (suite.tests.len(), suite.steps())).collect();
        insta::assert_debug_snapshot!(sizes);
    }
}
