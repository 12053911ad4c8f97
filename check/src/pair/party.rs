//! What the two sides have in common in the model: steps of their own, things to write, things to read. Owns the interface and the
//! memory of what a side does, so that the shipped code runs once for each pair of a side's state and an input.

use std::hash::Hash;
use std::rc::Rc;

use lastword_spec::table::State;
use rustc_hash::FxHashMap;

use super::act::Act;
use crate::explore::{Breaches, Kind, Owner};
use crate::monitor::Breach;
use crate::wire::{Table, Wire, WireId};

/// One side: its machine, its driver, its application or engine, and the monitor that watches it.
pub(crate) trait Party: Clone + Eq + Hash {
    /// What holds for every side of this kind.
    type Context;
    /// What the rest of the model may see.
    type Facts: Copy;

    /// Steps that need nothing from the connection.
    fn own_moves(&self, context: &Self::Context) -> Vec<Move<Self>>;
    /// What waits to be written, in order.
    fn waiting(&self) -> Vec<Wire>;
    /// The first of that.
    fn outgoing(&self) -> Option<&Wire>;
    /// The transport accepted that.
    fn wrote(&self, context: &Self::Context) -> After<Self>;
    /// Whether the side reads.
    fn reads(&self, context: &Self::Context) -> bool;
    /// The side read this.
    fn read(&self, context: &Self::Context, wire: &Wire) -> After<Self>;
    /// Where its machine stands.
    fn state(&self) -> State;
    /// Whether it has left, with all that it wrote.
    fn is_over(&self) -> bool;
    fn facts(&self) -> Self::Facts;
}

/// A side after a step, and what was wrong with the step.
pub(crate) struct After<P> {
    pub(crate) party: P,
    pub(crate) breaches: Vec<Breach>,
}

/// A step of a side's own.
pub(crate) struct Move<P> {
    pub(crate) act: Act,
    pub(crate) kind: Kind,
    pub(crate) owner: Owner,
    pub(crate) after: After<P>,
}

/// The same with numbers.
#[derive(Clone, Copy)]
pub(crate) struct KnownMove {
    pub(crate) act: Act,
    pub(crate) kind: Kind,
    pub(crate) owner: Owner,
    pub(crate) to: Known,
}

/// A side's state by its number, and what was wrong with coming there.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) party: u32,
    pub(crate) breaches: Breaches,
}

/// What the rest of the model asks of a side, without running it.
#[derive(Clone)]
pub(crate) struct Glance<P: Party> {
    pub(crate) moves: Rc<[KnownMove]>,
    pub(crate) outgoing: Option<WireId>,
    pub(crate) reads: bool,
    pub(crate) facts: P::Facts,
}

/// Every state of one side that was met, and where its steps lead.
pub(crate) struct Memory<P: Party> {
    pub(crate) context: P::Context,
    parties: Table<P>,
    glances: Vec<Option<Glance<P>>>,
    wrote: Vec<Option<Known>>,
    read: FxHashMap<(u32, WireId), Known>,
}

impl<P: Party> Memory<P> {
    pub(crate) fn new(context: P::Context) -> Self {
        Self { context, parties: Table::default(), glances: Vec::new(), wrote: Vec::new(), read: FxHashMap::default() }
    }

    pub(crate) fn number(&mut self, party: P) -> u32 {
        let (number, is_new) = self.parties.number(party);
        if is_new {
            self.glances.push(None);
            self.wrote.push(None);
        }
        number
    }

    pub(crate) fn party(&self, number: u32) -> &Rc<P> {
        self.parties.get(number)
    }

    /// How many states of this side were met.
    pub(crate) fn len(&self) -> usize {
        self.parties.len()
    }

    pub(crate) fn glance(&mut self, number: u32, wires: &mut Table<Wire>) -> Glance<P> {
        if let Some(glance) = &self.glances[number as usize] {
            return glance.clone();
        }
        let party = Rc::clone(self.party(number));
        let mut moves = Vec::new();
        for Move { act, kind, owner, after } in party.own_moves(&self.context) {
            let to = self.know(after);
            // A step that changes nothing is none, unless it is wrong.
            if to.party != number || to.breaches != Breaches::NONE {
                moves.push(KnownMove { act, kind, owner, to });
            }
        }
        let glance = Glance {
            moves: moves.into(),
            outgoing: party.outgoing().map(|wire| wires.number(wire.clone()).0),
            reads: party.reads(&self.context),
            facts: party.facts(),
        };
        self.glances[number as usize] = Some(glance.clone());
        glance
    }

    pub(crate) fn wrote(&mut self, number: u32) -> Known {
        if let Some(known) = self.wrote[number as usize] {
            return known;
        }
        let known = Rc::clone(self.party(number)).wrote(&self.context);
        let known = self.know(known);
        self.wrote[number as usize] = Some(known);
        known
    }

    pub(crate) fn read(&mut self, number: u32, id: WireId, wires: &Table<Wire>) -> Known {
        if let Some(known) = self.read.get(&(number, id)) {
            return *known;
        }
        let after = Rc::clone(self.party(number)).read(&self.context, wires.get(id));
        let known = self.know(after);
        self.read.insert((number, id), known);
        known
    }

    fn know(&mut self, after: After<P>) -> Known {
        let breaches = after.breaches.iter().fold(Breaches::NONE, |all, breach| all.with(breach.property));
        Known { party: self.number(after.party), breaches }
    }
}
