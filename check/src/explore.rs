//! The core: every state of a finite model, breadth first, and what is wrong among them. Owns the search, the definitions of deadlock,
//! trap and livelock, and the shortest way to each. It must not know what a state or a step means.

use std::collections::hash_map::Entry;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::fair;

/// Something with states and steps. Deterministic: the same state has the same steps in the same order.
pub trait Model {
    /// A state, small: a few numbers.
    type State: Copy + Eq + Hash;
    /// The name of a step, for a person and for a replay.
    type Act: Copy;

    /// Where it begins.
    fn start(&mut self) -> Self::State;
    /// Every step that can be taken in `state`.
    fn steps(&mut self, state: Self::State, into: &mut Vec<Step<Self::State, Self::Act>>);
    /// Whether everything is over. What is over needs no step.
    fn is_end(&self, state: Self::State) -> bool;
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step<S, A> {
    /// What happens.
    pub act: A,
    /// The state then.
    pub next: S,
    /// Whether the step counts as a way out.
    pub kind: Kind,
    /// Who takes it.
    pub owner: Owner,
    /// What is wrong with taking it.
    pub breaches: Breaches,
}

/// Whether a step is one that the parties owe, or one that helps them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Part of the work: it may be relied on.
    Cooperative,
    /// A loss, a death, a change of mind, a timer that gives up: possible at any time, and never a reason to call a state fine.
    Rescue,
}

/// A part of the model that is scheduled fairly: what it can do again and again, it does again and again (strong fairness).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u8);

impl Owner {
    /// Owes nothing and may wait for ever: a clock that ticks.
    pub const NOBODY: Self = Self(7);
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Property {
    /// The client never sends what the protocol forbids it.
    IllegalClient,
    /// The server never sends what the protocol forbids it.
    IllegalServer,
    /// Nothing that was owed is missing when the other side is told that all is well.
    Lost,
    /// Some cooperative step can be taken until everything is over.
    Deadlock,
    /// The end can be reached by cooperative steps alone.
    Trapped,
    /// No fair course of cooperative steps goes on for ever.
    Livelock,
}

impl Property {
    /// Every property, in the order of the reports.
    pub const ALL: [Self; 6] =
        [Self::IllegalClient, Self::IllegalServer, Self::Lost, Self::Deadlock, Self::Trapped, Self::Livelock];

    /// The word used in reports for its violation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IllegalClient => "ILLEGAL-C",
            Self::IllegalServer => "ILLEGAL-S",
            Self::Lost => "LOST",
            Self::Deadlock => "DEADLOCK",
            Self::Trapped => "TRAPPED",
            Self::Livelock => "LIVELOCK",
        }
    }
}

/// A set of properties that a step violates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaches(u8);

impl Breaches {
    /// No property.
    pub const NONE: Self = Self(0);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, property: Property) -> Self {
        Self(self.0 | 1 << property as u8)
    }

    /// What is in either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set holds the property.
    #[must_use]
    pub const fn has(self, property: Property) -> bool {
        self.0 & 1 << property as u8 != 0
    }
}

/// Everything that can be reached, as a graph over state numbers. Number 0 is the start; numbers rise with the distance from it.
pub struct Explored<M: Model> {
    /// The states.
    pub states: Vec<M::State>,
    /// Whether the search came to its own end, and not to the bound.
    pub complete: bool,
    parents: Vec<(u32, Option<M::Act>)>,
    pub(crate) graph: Graph,
    /// The first step that violates each property, in the order of the search.
    first_breach: Vec<(Property, u32, M::Act)>,
}

/// The steps without their names: 5 bytes each.
pub(crate) struct Graph {
    /// Where the steps of a state begin; one more than there are states.
    starts: Vec<u32>,
    targets: Vec<u32>,
    /// The owner, and whether it is cooperative.
    marks: Vec<u8>,
    pub(crate) is_end: Vec<bool>,
}

const COOPERATIVE: u8 = 0x80;

/// A violated property and the shortest way to it.
#[derive(Clone, Debug)]
pub struct Counterexample<A> {
    /// What is violated.
    pub property: Property,
    /// The steps from the start.
    pub path: Vec<A>,
    /// For a livelock, the steps that go round for ever after it; else empty.
    pub cycle: Vec<A>,
}

/// Explores `model` up to `max_states`.
pub fn explore<M: Model>(model: &mut M, max_states: usize) -> Explored<M> {
    let start = model.start();
    let mut found = Explored {
        states: vec![start],
        complete: true,
        parents: vec![(0, None)],
        graph: Graph { starts: vec![0], targets: Vec::new(), marks: Vec::new(), is_end: Vec::new() },
        first_breach: Vec::new(),
    };
    let mut numbers = FxHashMap::default();
    numbers.insert(start, 0_u32);
    let mut steps = Vec::new();
    let mut at = 0;
    while at < found.states.len() {
        let state = found.states[at];
        let number = number(at);
        steps.clear();
        model.steps(state, &mut steps);
        for step in &steps {
            for property in Property::ALL {
                if step.breaches.has(property) && found.first_breach.iter().all(|(known, ..)| *known != property) {
                    found.first_breach.push((property, number, step.act));
                }
            }
            let target = match numbers.entry(step.next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(_) if found.states.len() >= max_states => {
                    found.complete = false;
                    continue;
                }
                Entry::Vacant(new) => {
                    let target = self::number(found.states.len());
                    found.states.push(step.next);
                    found.parents.push((number, Some(step.act)));
                    *new.insert(target)
                }
            };
            found.graph.push(target, step.kind, step.owner);
        }
        found.graph.is_end.push(model.is_end(state));
        found.graph.starts.push(self::number(found.graph.targets.len()));
        at += 1;
    }
    found
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a model of this checker has fewer than 2^32 states and steps")
}

impl<M: Model> Explored<M> {
    /// How many steps were found.
    pub fn edges(&self) -> usize {
        self.graph.targets.len()
    }

    /// Every violated property with its shortest counterexample, in the order of [`Property::ALL`].
    pub fn counterexamples(&self, model: &mut M) -> Vec<Counterexample<M::Act>> {
        let mut found = Vec::new();
        for property in Property::ALL {
            let simple = |path| Counterexample { property, path, cycle: Vec::new() };
            match property {
                Property::IllegalClient | Property::IllegalServer | Property::Lost => {
                    let first = self.first_breach.iter().find(|(one, ..)| *one == property);
                    found.extend(first.map(|(_, from, act)| {
                        let mut path = self.path_to(*from);
                        path.push(*act);
                        simple(path)
                    }));
                }
                Property::Deadlock => found.extend(self.graph.deadlock().map(|state| simple(self.path_to(state)))),
                Property::Trapped => found.extend(self.graph.trap().map(|state| simple(self.path_to(state)))),
                Property::Livelock => {
                    if let Some(lasso) = fair::cycle(&self.graph) {
                        let path = self.path_to(lasso.first().map_or(0, |(state, _)| *state));
                        let cycle = lasso.iter().map(|(state, edge)| self.act(model, *state, *edge)).collect();
                        found.push(Counterexample { property, path, cycle });
                    }
                }
            }
        }
        found
    }

    /// The steps by which the states were first reached.
    pub fn acts(&self) -> impl Iterator<Item = M::Act> {
        self.parents.iter().filter_map(|(_, act)| *act)
    }

    /// A shortest way from the start to a state.
    pub fn path_to(&self, state: u32) -> Vec<M::Act> {
        let mut path = Vec::new();
        let mut at = state;
        while let (parent, Some(act)) = self.parents[at as usize] {
            path.push(act);
            at = parent;
        }
        path.reverse();
        path
    }

    /// The name of the step with this place among those of a state.
    fn act(&self, model: &mut M, state: u32, edge: usize) -> M::Act {
        let mut steps = Vec::new();
        model.steps(self.states[state as usize], &mut steps);
        steps[edge].act
    }
}

impl Graph {
    fn push(&mut self, target: u32, kind: Kind, owner: Owner) {
        self.targets.push(target);
        self.marks.push(owner.0 | if kind == Kind::Cooperative { COOPERATIVE } else { 0 });
    }

    pub(crate) fn len(&self) -> u32 {
        number(self.is_end.len())
    }

    /// The cooperative steps of a state: the place among its steps, the target, the owner.
    pub(crate) fn cooperative(&self, state: u32) -> impl Iterator<Item = (usize, u32, u8)> {
        let from = self.starts[state as usize] as usize;
        let to = self.starts[state as usize + 1] as usize;
        (from..to)
            .filter(|edge| self.marks[*edge] & COOPERATIVE != 0)
            .map(move |edge| (edge - from, self.targets[edge], self.marks[edge] & !COOPERATIVE))
    }

    /// The nearest state that is not the end and from which nobody has a cooperative step.
    fn deadlock(&self) -> Option<u32> {
        (0..self.len()).find(|state| !self.is_end[*state as usize] && self.cooperative(*state).next().is_none())
    }

    /// The nearest state from which no cooperative steps lead to the end: backwards from all ends, who is left?
    fn trap(&self) -> Option<u32> {
        let len = self.is_end.len();
        let mut starts = vec![0_u32; len + 1];
        for state in 0..self.len() {
            for (_, target, _) in self.cooperative(state) {
                starts[target as usize + 1] += 1;
            }
        }
        for at in 0..len {
            starts[at + 1] += starts[at];
        }
        let mut sources = vec![0_u32; starts[len] as usize];
        let mut free = starts.clone();
        for state in 0..self.len() {
            for (_, target, _) in self.cooperative(state) {
                sources[free[target as usize] as usize] = state;
                free[target as usize] += 1;
            }
        }
        let mut can_end = self.is_end.clone();
        let mut open: Vec<u32> = (0..self.len()).filter(|state| self.is_end[*state as usize]).collect();
        while let Some(state) = open.pop() {
            for source in &sources[starts[state as usize] as usize..starts[state as usize + 1] as usize] {
                if !std::mem::replace(&mut can_end[*source as usize], true) {
                    open.push(*source);
                }
            }
        }
        can_end.iter().position(|can| !can).map(number)
    }
}

#[cfg(test)]
#[path = "explore_tests.rs"]
mod tests;
