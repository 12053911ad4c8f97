//! One shipped machine and a peer that may send anything at any time, up to a number of messages. Owns the peer. It must not know what
//! the machine makes of it: the monitor of the machine's side does.

use std::rc::Rc;

use crate::alphabet;
use crate::explore::{Breaches, Kind, Model, Owner, Property, Step};
use crate::pair::client::{Client, Context};
use crate::pair::party::{Memory, Party};
use crate::pair::server::Server;
use crate::pair::{Act, Setup, Twist};
use crate::wire::{Table, Wire, WireId};

/// A state: the machine's side by its number, and how many messages the peer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChaosState {
    party: u32,
    left: u8,
}

/// What a side must offer to be left alone with chaos.
pub(crate) trait Alone: Party<Context = Context> {
    /// Properties that the side itself answers for.
    const OWN: &'static [Property];

    fn begin(context: &Context) -> Self;
    /// The name of its writing.
    fn writes(id: WireId) -> Act;
    /// What a peer that keeps the protocol would send now, so that the session goes on.
    fn owed(&self) -> Option<Wire>;
}

impl Alone for Server {
    const OWN: &'static [Property] = &[Property::IllegalServer, Property::Lost];

    fn begin(context: &Context) -> Self {
        Self::new(context)
    }

    fn writes(id: WireId) -> Act {
        Act::ServerWrites(id)
    }

    fn owed(&self) -> Option<Wire> {
        alphabet::owed_to_server(self.state())
    }
}

impl Alone for Client {
    const OWN: &'static [Property] = &[Property::IllegalClient, Property::Lost];

    fn begin(context: &Context) -> Self {
        Self::new(context).party
    }

    fn writes(id: WireId) -> Act {
        Act::ClientWrites(id)
    }

    fn owed(&self) -> Option<Wire> {
        alphabet::owed_to_client(self.state())
    }
}

/// The model.
pub(crate) struct Chaos<P: Party> {
    side: Memory<P>,
    wires: Table<Wire>,
    alphabet: Vec<WireId>,
    messages: u8,
}

const PEER: Owner = Owner(0);
const TRANSPORT: Owner = Owner(1);

impl<P: Alone> Chaos<P> {
    /// The side under `setup`, doing the protocol as `twist` has it, with a peer that may send `messages` of this alphabet.
    pub(crate) fn new(setup: &Setup, twist: Rc<dyn Twist>, alphabet: Vec<Wire>, messages: u8) -> Self {
        let mut wires = Table::default();
        let alphabet = alphabet.into_iter().map(|wire| wires.number(wire).0).collect();
        let context = Context { setup: setup.clone(), twist };
        Self { side: Memory::new(context), wires, alphabet, messages }
    }

    /// What travels, by its number.
    pub(crate) fn wire(&self, id: WireId) -> &Wire {
        self.wires.get(id)
    }

    fn read(&mut self, state: ChaosState, id: WireId, left: u8, kind: Kind) -> Step<ChaosState, Act> {
        let to = self.side.read(state.party, id, &self.wires);
        let next = ChaosState { party: to.party, left };
        Step { act: Act::Chaos(id), next, kind, owner: PEER, breaches: to.breaches }
    }
}

impl<P: Alone> Model for Chaos<P> {
    type State = ChaosState;
    type Act = Act;

    fn start(&mut self) -> ChaosState {
        let party = P::begin(&self.side.context);
        ChaosState { party: self.side.number(party), left: self.messages }
    }

    fn steps(&mut self, state: ChaosState, into: &mut Vec<Step<ChaosState, Act>>) {
        let glance = self.side.glance(state.party, &mut self.wires);
        for one in glance.moves.iter() {
            let next = ChaosState { party: one.to.party, ..state };
            into.push(Step { act: one.act, next, kind: one.kind, owner: one.owner, breaches: one.to.breaches });
        }
        if let Some(id) = glance.outgoing {
            let to = self.side.wrote(state.party);
            let next = ChaosState { party: to.party, ..state };
            let act = P::writes(id);
            into.push(Step { act, next, kind: Kind::Cooperative, owner: TRANSPORT, breaches: to.breaches });
        }
        if glance.reads {
            if let Some(owed) = self.side.party(state.party).owed() {
                let id = self.wires.number(owed).0;
                into.push(self.read(state, id, state.left, Kind::Cooperative));
            }
            if state.left > 0 {
                for at in 0..self.alphabet.len() {
                    into.push(self.read(state, self.alphabet[at], state.left - 1, Kind::Rescue));
                }
            }
        }
        for step in into.iter_mut() {
            let own = P::OWN.iter().filter(|property| step.breaches.has(**property));
            step.breaches = own.fold(Breaches::NONE, |all, property| all.with(*property));
        }
    }

    fn is_end(&self, state: ChaosState) -> bool {
        self.side.party(state.party).is_over()
    }
}
