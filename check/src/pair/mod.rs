//! The shipped client and server machines with two bounded channels between them. Owns the channels, what can go wrong with them, and the
//! comparison of what one side said with what the other was told. It must not know what a side does.

mod act;
pub(crate) mod client;
mod engine;
pub(crate) mod party;
pub(crate) mod server;
pub(crate) mod setup;
mod twist;

use std::rc::Rc;

pub use act::Act;
use client::{CLIENT_READS, CLIENT_WRITES, Client, ClientFacts, Context};
use party::{Memory, Party};
use server::{SERVER_READS, SERVER_WRITES, Server, ServerFacts};
pub use setup::{Faults, Setup};
pub use twist::{Honest, Twist};

use lastword_spec::table::{Side, State};

use crate::explore::{Breaches, Kind, Model, Owner, Property, Step};
use crate::monitor::Breach;
use crate::wire::{Table, Wire, WireId};

/// A state of the pair, as numbers in the tables of [`Pair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PairState {
    client: u32,
    server: u32,
    up: u32,
    down: u32,
}

/// Where a state of the pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stand {
    /// The client's machine; Closed when it has left.
    pub client: State,
    /// The server's machine; Closed when it has left.
    pub server: State,
    /// The client waits for its transport.
    pub client_blocked: bool,
    /// The server waits for its transport.
    pub server_blocked: bool,
    /// The server does not read.
    pub server_deaf: bool,
}

/// The model: client and server with the channels up to the server and down to the client.
pub struct Pair {
    clients: Memory<Client>,
    servers: Memory<Server>,
    channels: Table<Vec<WireId>>,
    wires: Table<Wire>,
    gone: WireId,
    empty: u32,
    up_holds: usize,
    down_holds: usize,
    loss: bool,
}

impl Pair {
    /// The pair under `setup`, doing the protocol as `twist` has it.
    #[must_use]
    pub fn new(setup: &Setup, twist: Rc<dyn Twist>) -> Self {
        let context = || Context { setup: setup.clone(), twist: Rc::clone(&twist) };
        let mut channels = Table::default();
        let mut wires = Table::default();
        Self {
            clients: Memory::new(context()),
            servers: Memory::new(context()),
            gone: wires.number(Wire::Gone).0,
            empty: channels.number(Vec::new()).0,
            channels,
            wires,
            up_holds: setup.up,
            down_holds: setup.down,
            loss: setup.faults.loss,
        }
    }

    /// What travels, by its number.
    #[must_use]
    pub fn wire(&self, id: WireId) -> &Wire {
        self.wires.get(id)
    }

    /// States of the client's side, and of the server's, that were met so far.
    #[must_use]
    pub fn sides(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }

    /// Where both machines stand, and who waits for whom.
    #[must_use]
    pub fn stand(&self, state: PairState) -> Stand {
        let (client, server) = (self.clients.party(state.client), self.servers.party(state.server));
        let is_full = |channel: u32, holds: usize| self.channels.get(channel).len() >= holds;
        Stand {
            client: client.state(),
            server: server.state(),
            client_blocked: client.outgoing().is_some() && is_full(state.up, self.up_holds),
            server_blocked: server.outgoing().is_some() && is_full(state.down, self.down_holds),
            server_deaf: !server.reads(&self.servers.context) && !server.is_over(),
        }
    }

    /// A state in words: where both machines stand and what is on its way.
    #[must_use]
    pub fn told(&self, state: PairState) -> String {
        let names = |channel: u32| {
            let names = self.channels.get(channel).iter().map(|id| self.wire(*id).to_string());
            names.collect::<Vec<_>>().join(", ")
        };
        format!(
            "client in {}, server in {}; to the server: [{}], to the client: [{}]",
            self.clients.party(state.client).state().as_str(),
            self.servers.party(state.server).state().as_str(),
            names(state.up),
            names(state.down),
        )
    }

    /// What is wrong with a step, in words: the shipped code is run again for it.
    #[must_use]
    pub fn notes(&self, state: PairState, act: Act) -> Vec<Breach> {
        let client = self.clients.party(state.client);
        let server = self.servers.party(state.server);
        match act {
            Act::ClientWrites(_) => client.wrote(&self.clients.context).breaches,
            Act::ServerWrites(_) => server.wrote(&self.servers.context).breaches,
            Act::ServerReads(id) => server.read(&self.servers.context, self.wire(id)).breaches,
            Act::ClientReads(id) => {
                let after = client.read(&self.clients.context, self.wire(id));
                let mut breaches = after.breaches;
                breaches.extend(lost(client.facts(), after.party.facts(), server.facts()));
                breaches
            }
            _ => {
                let clients =
                    client.own_moves(&self.clients.context).into_iter().map(|one| (one.act, one.after.breaches));
                let servers =
                    server.own_moves(&self.servers.context).into_iter().map(|one| (one.act, one.after.breaches));
                clients.chain(servers).find(|(one, _)| *one == act).map(|(_, breaches)| breaches).unwrap_or_default()
            }
        }
    }

    /// What one side has written and the other has not read, and optionally what it has not written yet.
    pub(crate) fn under_way(&self, state: PairState, from: Side, unwritten: bool) -> Vec<Wire> {
        let (channel, waiting) = match from {
            Side::Client => (state.up, self.clients.party(state.client).waiting()),
            Side::Server => (state.down, self.servers.party(state.server).waiting()),
        };
        let written = self.channels.get(channel).iter().map(|id| self.wire(*id).clone());
        written.chain(waiting.into_iter().filter(|_| unwritten)).collect()
    }

    /// The state after a step, which must be one of `state`.
    pub(crate) fn after(&mut self, state: PairState, act: Act) -> PairState {
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps.iter().find(|step| step.act == act).map_or(state, |step| step.next)
    }

    fn pushed(&mut self, channel: u32, id: WireId) -> u32 {
        let mut content = self.channels.get(channel).to_vec();
        content.push(id);
        self.channels.number(content).0
    }

    fn popped(&mut self, channel: u32) -> Option<(WireId, u32)> {
        let (first, rest) = self.channels.get(channel).split_first()?;
        let (first, rest) = (*first, rest.to_vec());
        Some((first, self.channels.number(rest).0))
    }

    /// The channel after something was written, if it takes it now.
    fn written(&mut self, channel: u32, id: WireId, holds: usize, reader_over: bool) -> Option<u32> {
        let content = self.channels.get(channel);
        // Into a connection that is gone anything can be written.
        if reader_over || content.last() == Some(&self.gone) {
            return Some(channel);
        }
        (id == self.gone || content.len() < holds).then(|| self.pushed(channel, id))
    }
}

/// What the application was told by this step and is not so.
fn lost(before: ClientFacts, client: ClientFacts, server: ServerFacts) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut lost = |note: String| breaches.push(Breach::new(Property::Lost, note));
    for (at, heard) in client.flushed.iter().enumerate() {
        if let (None, Some(heard)) = (before.flushed[at], heard) {
            let missing = server.said_before[at] & !heard;
            if missing != 0 {
                lost(format!("flush {at} was answered before finals {missing:b} of its audio"));
            }
        }
    }
    if client.complete && !before.complete {
        if client.open != 0 {
            lost(format!("complete, and of the segments {:b} came no final", client.open));
        }
        if client.heard != server.said {
            lost(format!("complete, and of the finals {:b} came {:b}", server.said, client.heard));
        }
        if client.pushed_bytes != server.consumed_bytes {
            let (pushed, consumed) = (client.pushed_bytes, server.consumed_bytes);
            lost(format!("complete, and of {pushed} bytes of audio the engine had {consumed}"));
        }
    }
    breaches
}

impl Model for Pair {
    type State = PairState;
    type Act = Act;

    fn start(&mut self) -> PairState {
        let client = Client::new(&self.clients.context).party;
        let server = Server::new(&self.servers.context);
        PairState {
            client: self.clients.number(client),
            server: self.servers.number(server),
            up: self.empty,
            down: self.empty,
        }
    }

    fn steps(&mut self, state: PairState, into: &mut Vec<Step<PairState, Act>>) {
        let client = self.clients.glance(state.client, &mut self.wires);
        let server = self.servers.glance(state.server, &mut self.wires);
        let (client_over, server_over) = (client.facts.over, server.facts.over);
        let cooperative = |act, next, owner, breaches| Step { act, next, kind: Kind::Cooperative, owner, breaches };
        for one in client.moves.iter() {
            let next = PairState { client: one.to.party, ..state };
            into.push(Step { act: one.act, next, kind: one.kind, owner: one.owner, breaches: one.to.breaches });
        }
        for one in server.moves.iter() {
            let next = PairState { server: one.to.party, ..state };
            into.push(Step { act: one.act, next, kind: one.kind, owner: one.owner, breaches: one.to.breaches });
        }
        if let Some(id) = client.outgoing
            && let Some(up) = self.written(state.up, id, self.up_holds, server_over)
        {
            let to = self.clients.wrote(state.client);
            let next = PairState { client: to.party, up, ..state };
            into.push(cooperative(Act::ClientWrites(id), next, CLIENT_WRITES, to.breaches));
        }
        if let Some(id) = server.outgoing
            && let Some(down) = self.written(state.down, id, self.down_holds, client_over)
        {
            let to = self.servers.wrote(state.server);
            let next = PairState { server: to.party, down, ..state };
            into.push(cooperative(Act::ServerWrites(id), next, SERVER_WRITES, to.breaches));
        }
        if client.reads
            && let Some((id, down)) = self.popped(state.down)
        {
            let to = self.clients.read(state.client, id, &self.wires);
            let facts = self.clients.glance(to.party, &mut self.wires).facts;
            let lost = !lost(client.facts, facts, server.facts).is_empty();
            let breaches = to.breaches.and(if lost { Breaches::NONE.with(Property::Lost) } else { Breaches::NONE });
            let next = PairState { client: to.party, down, ..state };
            into.push(cooperative(Act::ClientReads(id), next, CLIENT_READS, breaches));
        }
        if server.reads
            && let Some((id, up)) = self.popped(state.up)
        {
            let to = self.servers.read(state.server, id, &self.wires);
            let next = PairState { server: to.party, up, ..state };
            into.push(cooperative(Act::ServerReads(id), next, SERVER_READS, to.breaches));
        }
        if self.loss && !(client_over && server_over) {
            let cut = self.channels.number(vec![self.gone]).0;
            let next = PairState { up: cut, down: cut, ..state };
            into.push(Step {
                act: Act::Loss,
                next,
                kind: Kind::Rescue,
                owner: Owner::NOBODY,
                breaches: Breaches::NONE,
            });
        }
        // What is on its way to somebody who has left is of no account.
        for step in into.iter_mut() {
            if self.clients.glance(step.next.client, &mut self.wires).facts.over {
                step.next.down = self.empty;
            }
            if self.servers.glance(step.next.server, &mut self.wires).facts.over {
                step.next.up = self.empty;
            }
        }
        into.retain(|step| step.next != state || step.breaches != Breaches::NONE);
    }

    fn is_end(&self, state: PairState) -> bool {
        self.clients.party(state.client).is_over() && self.servers.party(state.server).is_over()
    }
}
