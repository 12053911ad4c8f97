//! The proof of the suite over its abstraction: every subject that has at most so many states more than the table and answers some
//! sequence wrongly fails a test. Subjects here are machines, broken one by one, exhaustively where that can be done.

use std::collections::{BTreeSet, VecDeque};

use super::generate::Suite;
use super::machine::{Completion, Machine};
use super::response::Output;

type Observed = Vec<Output>;

/// A deterministic subject: for each state and input what it says and where it is then; `None`: it is gone and says nothing.
#[derive(Clone, Debug)]
struct Subject {
    steps: Vec<Vec<(Observed, Option<usize>)>>,
    /// What it says in each state when it is left alone.
    alone: Vec<Observed>,
}

impl Subject {
    /// A subject that keeps the table. Where an answer may be left out, the bits say whether it is.
    fn honest(machine: &Machine, silent: u64) -> Self {
        let mut bit = 0;
        let steps = machine
            .states()
            .iter()
            .map(|state| {
                let step = |one: &super::machine::Transition| {
                    let optional = !one.response.outputs().is_empty() && !one.response.is_due();
                    bit += usize::from(optional);
                    let said =
                        if optional && silent >> bit & 1 == 1 { Vec::new() } else { one.response.outputs().to_vec() };
                    (said, one.next)
                };
                state.transitions.iter().map(step).collect()
            })
            .collect();
        let alone = (0..machine.states().len())
            .map(|state| match machine.completion(state) {
                (Completion::Drain, due) => due.outputs().to_vec(),
                (Completion::Close, _) => Vec::new(),
            })
            .collect();
        Self { steps, alone }
    }

    fn step(&self, state: Option<usize>, input: usize) -> (&[Output], Option<usize>) {
        state.map_or((&[], None), |state| {
            let (said, next) = &self.steps[state][input];
            (said, *next)
        })
    }

    /// A further state that does what this one does.
    fn copy_of(&mut self, state: usize) -> usize {
        self.steps.push(self.steps[state].clone());
        self.alone.push(self.alone[state].clone());
        self.steps.len() - 1
    }
}

fn index(machine: &Machine, input: lastword_spec::table::ServerInput) -> usize {
    machine.inputs().iter().position(|known| *known == input).expect("an input of the alphabet")
}

/// Whether a test finds something wrong.
fn fails(suite: &Suite, subject: &Subject, test: &[usize]) -> bool {
    let machine = &suite.machine;
    let (mut ours, mut theirs) = (Some(0), Some(0));
    for input in test {
        let Some(state) = ours else { break };
        let transition = &machine.states()[state].transitions[*input];
        let (said, next) = subject.step(theirs, *input);
        if !transition.response.accepts(said) {
            return true;
        }
        (ours, theirs) = (transition.next, next);
    }
    ours.is_some_and(|state| wrong_at_the_end(machine, subject, state, theirs))
}

fn wrong_at_the_end(machine: &Machine, subject: &Subject, state: usize, theirs: Option<usize>) -> bool {
    let (how, due) = machine.completion(state);
    let close = index(machine, lastword_spec::table::ServerInput::Close);
    let said = match (how, theirs) {
        (_, None) => &[],
        (Completion::Close, _) => subject.step(theirs, close).0,
        (Completion::Drain, Some(theirs)) => subject.alone[theirs].as_slice(),
    };
    !due.accepts(said)
}

/// Whether any sequence at all, of whatever length, is answered wrongly: the product of both machines, walked to its end.
fn is_broken(machine: &Machine, subject: &Subject) -> bool {
    let mut seen = BTreeSet::from([(0, Some(0))]);
    let mut open = VecDeque::from([(0, Some(0))]);
    while let Some((ours, theirs)) = open.pop_front() {
        if wrong_at_the_end(machine, subject, ours, theirs) {
            return true;
        }
        for (input, transition) in machine.states()[ours].transitions.iter().enumerate() {
            let (said, next) = subject.step(theirs, input);
            if !transition.response.accepts(said) {
                return true;
            }
            if let Some(ours) = transition.next
                && seen.insert((ours, next))
            {
                open.push_back((ours, next));
            }
        }
    }
    false
}

/// A suite with its tests as numbers.
struct Bench {
    suite: Suite,
    tests: Vec<Vec<usize>>,
}

impl Bench {
    fn new(extra_states: usize) -> Self {
        let suite = Suite::generate(extra_states);
        let numbers = |test: &super::Test| test.inputs.iter().map(|input| index(&suite.machine, *input)).collect();
        let tests = suite.tests.iter().map(numbers).collect();
        Self { suite, tests }
    }

    fn kills(&self, subject: &Subject) -> bool {
        self.tests.iter().any(|test| fails(&self.suite, subject, test))
    }

    /// The claim of the suite, for one subject.
    fn holds_for(&self, subject: &Subject) -> bool {
        self.kills(subject) == is_broken(&self.suite.machine, subject)
    }
}

/// Every answer that occurs anywhere in the machine, silence, an answer twice, and one that occurs nowhere.
fn every_observation(machine: &Machine) -> BTreeSet<Observed> {
    let all = machine.states().iter().flat_map(|state| &state.transitions);
    let mut said: BTreeSet<Observed> = all.map(|transition| transition.response.outputs().to_vec()).collect();
    said.insert(Vec::new());
    said.insert(vec![Output::Ack, Output::Ack]);
    said.insert(vec![Output::Error("teapot".into())]);
    said.insert(vec![Output::Gone]);
    said
}

/// The subject with one fault at this state: each other answer, and each other target.
fn broken_at<'a>(machine: &'a Machine, honest: &'a Subject, state: usize) -> impl Iterator<Item = Subject> + 'a {
    let said = every_observation(machine);
    let targets: Vec<Option<usize>> = (0..honest.steps.len()).map(Some).chain([None]).collect();
    (0..machine.inputs().len()).flat_map(move |input| {
        let other_answers = said.clone().into_iter().map(move |said| {
            let mut subject = honest.clone();
            subject.steps[state][input].0 = said;
            subject
        });
        let other_targets = targets.clone().into_iter().map(move |target| {
            let mut subject = honest.clone();
            subject.steps[state][input].1 = target;
            subject
        });
        other_answers.chain(other_targets)
    })
}

/// A small generator of numbers, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("small")
    }
}

#[test]
fn subjects_that_keep_the_table_pass_every_suite_whatever_they_leave_out_that_they_may() {
    for extra_states in 0..2 {
        let bench = Bench::new(extra_states);
        for silent in 0..8 {
            let honest = Subject::honest(&bench.suite.machine, silent);
            assert!(!is_broken(&bench.suite.machine, &honest) && !bench.kills(&honest));
        }
    }
}

#[test]
fn every_subject_with_one_wrong_answer_or_one_wrong_target_is_found_without_extra_states() {
    let bench = Bench::new(0);
    let machine = &bench.suite.machine;
    let mut broken = 0;
    for silent in [0, 7] {
        let honest = Subject::honest(machine, silent);
        for state in 0..machine.states().len() {
            for subject in broken_at(machine, &honest, state) {
                assert!(bench.holds_for(&subject), "{subject:?}");
                broken += usize::from(is_broken(machine, &subject));
            }
        }
    }
    assert!(broken > 1_000, "only {broken} of the subjects were broken");
}

#[test]
fn every_subject_with_one_state_more_that_hides_one_fault_is_found_with_one_extra_state_and_some_only_then() {
    let (none, one) = (Bench::new(0), Bench::new(1));
    let machine = &one.suite.machine;
    let honest = Subject::honest(machine, 0);
    let mut only_then = 0;
    for (from, state) in machine.states().iter().enumerate() {
        for (input, transition) in state.transitions.iter().enumerate() {
            let Some(target) = transition.next else { continue };
            let mut doubled = honest.clone();
            let copy = doubled.copy_of(target);
            doubled.steps[from][input].1 = Some(copy);
            for subject in broken_at(machine, &doubled, copy) {
                assert!(one.holds_for(&subject), "{subject:?}");
                only_then += usize::from(is_broken(machine, &subject) && !none.kills(&subject));
            }
        }
    }
    assert!(only_then > 100, "the extra state found only {only_then} more");
}

#[test]
fn subjects_with_two_states_more_behind_each_other_are_found_with_two_extra_states_and_some_only_then() {
    let (one, two) = (Bench::new(1), Bench::new(2));
    let machine = &two.suite.machine;
    let honest = Subject::honest(machine, 0);
    let mut dice = Dice(0x5eed);
    let (mut broken, mut only_then) = (0, 0);
    while broken < 200 {
        let from = dice.below(machine.states().len());
        let (first, second) = (dice.below(machine.inputs().len()), dice.below(machine.inputs().len()));
        let mut subject = honest.clone();
        let Some(target) = subject.steps[from][first].1 else { continue };
        let copy = subject.copy_of(target);
        subject.steps[from][first].1 = Some(copy);
        let Some(target) = subject.steps[copy][second].1.filter(|target| *target < machine.states().len()) else {
            continue;
        };
        let hidden = subject.copy_of(target);
        subject.steps[copy][second].1 = Some(hidden);
        let all: Vec<Subject> = broken_at(machine, &subject, hidden).collect();
        let subject = &all[dice.below(all.len())];
        assert!(two.holds_for(subject), "{subject:?}");
        broken += usize::from(is_broken(machine, subject));
        only_then += usize::from(is_broken(machine, subject) && !one.kills(subject));
    }
    assert!(only_then > 10, "the second extra state found only {only_then} of {broken}");
}

#[test]
fn subjects_with_any_number_of_faults_within_the_bound_are_found() {
    let benches = [Bench::new(0), Bench::new(1), Bench::new(2)];
    let mut dice = Dice(0x0fa_0001);
    for round in 0..1_200 {
        let extra_states = if round % 10 == 0 { 2 } else { round % 2 };
        let bench = &benches[extra_states];
        let machine = &bench.suite.machine;
        let said: Vec<Observed> = every_observation(machine).into_iter().collect();
        let mut subject = Subject::honest(machine, round as u64);
        for _ in 0..extra_states {
            let state = dice.below(subject.steps.len());
            let copy = subject.copy_of(state);
            // Some way leads there.
            let (from, input) = (dice.below(subject.steps.len()), dice.below(machine.inputs().len()));
            subject.steps[from][input].1 = Some(copy);
        }
        for _ in 0..dice.below(4) {
            let (state, input) = (dice.below(subject.steps.len()), dice.below(machine.inputs().len()));
            match dice.below(2) {
                0 => subject.steps[state][input].0.clone_from(&said[dice.below(said.len())]),
                _ => subject.steps[state][input].1 = Some(dice.below(subject.steps.len())),
            }
        }
        assert!(bench.holds_for(&subject), "round {round}: {subject:?}");
    }
}
