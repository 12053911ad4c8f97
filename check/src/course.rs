//! What is explored by default and what with `--deep`, and the running of it. Owns the lists and their bounds. It must not know how
//! results are shown.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::alphabet;
use crate::chaos::{Alone, Chaos};
use crate::explore::{Counterexample, Explored, Model, Property, explore};
use crate::pair::client::Client;
use crate::pair::server::Server;
use crate::pair::{Act, Faults, Honest, Pair, Setup, Twist};
use crate::wire::Wire;

/// One thing to explore.
#[derive(Clone, Debug)]
pub struct Course {
    /// What the parties do and what may go wrong.
    pub setup: Setup,
    /// Who is explored.
    pub parties: Parties,
}

/// Who is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parties {
    /// Client and server.
    Both,
    /// The server, with a client that sends so many messages of any kind.
    ServerAndChaos {
        /// How many, beside those that a client owes.
        messages: u8,
        /// Only messages that are none.
        babble: bool,
    },
    /// The client, with a server that sends so many messages of any kind.
    ClientAndChaos {
        /// How many, beside those that a server owes.
        messages: u8,
    },
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Result {
    /// The name of the course.
    pub name: &'static str,
    /// States that were found.
    pub states: usize,
    /// Steps between them.
    pub edges: usize,
    /// Whether that is all of them.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// What is violated; empty when every property holds.
    pub violations: Vec<Violation>,
}

/// A violated property, in words.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is violated.
    pub property: Property,
    /// Steps of the shortest way to it.
    pub length: usize,
    /// That way, a line each; for a livelock with the steps that go round.
    pub told: Vec<String>,
}

/// No course of the lists comes near it; it keeps the memory of a machine whole if a change makes one explode.
const MAX_STATES: usize = 60_000_000;

/// The fewest states that `--deep` comes to in all.
pub(crate) const DEEP_STATES: usize = 3_000_000;
/// The longest that the default bound takes on a quiet machine.
pub(crate) const DEFAULT_BOUND_TIME: Duration = Duration::from_secs(2);

impl Result {
    /// Whether everything was explored and every property holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.complete && self.violations.is_empty()
    }
}

impl Course {
    fn both(name: &'static str, fit: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup { name, faults: Faults::NONE, ..Setup::default() };
        fit(&mut setup);
        Self { setup, parties: Parties::Both }
    }

    fn alone(name: &'static str, parties: Parties, fit: impl FnOnce(&mut Setup)) -> Self {
        Self { parties, ..Self::both(name, fit) }
    }

    /// What the tests explore.
    #[must_use]
    pub fn default_bound() -> Vec<Self> {
        vec![
            Self::both("audio and a flush", |_| {}),
            Self::both("small buffers", |s| {
                (s.frames, s.finals, s.partials) = (3, 2, 2);
                (s.up, s.down, s.queued) = (1, 1, 1);
            }),
            Self::both("waits for flushes", |s| {
                (s.flushes, s.finals, s.awaits_flush, s.ends_early) = (2, 2, true, false);
            }),
            Self::both("progress and probes", |s| {
                (s.up, s.down, s.queued, s.ticks, s.probes) = (1, 1, 1, true, 1);
            }),
            Self::both("all faults, a frame", |s| {
                (s.frames, s.flushes, s.partials, s.up, s.faults) = (1, 0, 0, 1, Faults::ALL);
            }),
            Self::both("all faults, a flush", |s| {
                (s.frames, s.finals, s.partials, s.faults) = (1, 0, 0, Faults::ALL);
                (s.up, s.down, s.queued, s.keepalives) = (1, 1, 1, false);
            }),
            Self::alone("server and chaos", Parties::ServerAndChaos { messages: 2, babble: false }, |s| {
                s.faults = Faults { loss: false, death: false, ..Faults::ALL };
                (s.queued, s.partials) = (2, 0);
            }),
            Self::alone("server and babble", Parties::ServerAndChaos { messages: 11, babble: true }, |s| s.queued = 1),
            Self::alone("client and chaos", Parties::ClientAndChaos { messages: 2 }, |s| {
                (s.frames, s.faults) = (1, Faults::ALL);
            }),
        ]
    }

    /// What is explored besides when there is time: millions of states.
    #[must_use]
    pub fn deep_bound() -> Vec<Self> {
        vec![
            Self::both("long audio, two flushes", |s| {
                (s.frames, s.flushes, s.finals, s.partials) = (3, 2, 2, 2);
            }),
            Self::both("progress and probes", |s| (s.ticks, s.probes) = (true, 1)),
            Self::both("all faults, a frame", |s| (s.frames, s.faults) = (1, Faults::ALL)),
            Self::both("all faults", |s| s.faults = Faults::ALL),
            Self::alone("server and chaos", Parties::ServerAndChaos { messages: 3, babble: false }, |s| {
                s.faults = Faults { loss: false, death: false, ..Faults::ALL };
            }),
            Self::alone("client and chaos", Parties::ClientAndChaos { messages: 4 }, |s| {
                (s.probes, s.faults) = (1, Faults::ALL);
            }),
        ]
    }

    /// Explores it.
    #[must_use]
    pub fn run(&self) -> Result {
        self.run_as(Rc::new(Honest))
    }

    /// Explores it with parties that do the protocol as `twist` has it.
    #[must_use]
    pub fn run_as(&self, twist: Rc<dyn Twist>) -> Result {
        match self.parties {
            Parties::Both => explore_pair(&self.setup, twist),
            Parties::ServerAndChaos { messages, babble } => {
                let alphabet = if babble { alphabet::of_a_babbling_client() } else { alphabet::of_a_client() };
                self.run_alone::<Server>(twist, alphabet, messages)
            }
            Parties::ClientAndChaos { messages } => self.run_alone::<Client>(twist, alphabet::of_a_server(), messages),
        }
    }

    fn run_alone<P: Alone>(&self, twist: Rc<dyn Twist>, alphabet: Vec<Wire>, messages: u8) -> Result {
        let mut chaos: Chaos<P> = Chaos::new(&self.setup, twist, alphabet, messages);
        let tell = |chaos: &mut Chaos<P>, found: &Counterexample<Act>| {
            found.path.iter().chain(&found.cycle).map(|act| act.told(|id| chaos.wire(id).to_string())).collect()
        };
        run_model(self.setup.name, &mut chaos, tell).1
    }
}

/// Explores a pair that does the protocol as `twist` has it.
#[must_use]
pub fn explore_pair(setup: &Setup, twist: Rc<dyn Twist>) -> Result {
    run_model(setup.name, &mut Pair::new(setup, twist), Pair::tell).1
}

pub(crate) fn run_model<M: Model>(
    name: &'static str,
    model: &mut M,
    tell: impl Fn(&mut M, &Counterexample<M::Act>) -> Vec<String>,
) -> (Explored<M>, Result) {
    let start = Instant::now();
    let found = explore(model, MAX_STATES);
    // Of a part of the states only the steps can be judged, and a result that is not complete does not hold anyway.
    let counterexamples = if found.complete { found.counterexamples(model) } else { Vec::new() };
    let took = start.elapsed();
    let violations = counterexamples
        .iter()
        .map(|one| Violation { property: one.property, length: one.path.len(), told: tell(model, one) })
        .collect();
    let result =
        Result { name, states: found.states.len(), edges: found.edges(), complete: found.complete, took, violations };
    (found, result)
}

impl Pair {
    /// A counterexample in words, a line a step, with what is wrong where it is.
    #[must_use]
    pub fn tell(&mut self, found: &Counterexample<Act>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut state = self.start();
        for (at, act) in found.path.iter().chain(&found.cycle).enumerate() {
            if at == found.path.len() {
                lines.push("and then for ever:".to_owned());
            }
            lines.push(act.told(|id| self.wire(id).to_string()));
            lines.extend(self.notes(state, *act).into_iter().map(|breach| format!("  {}", breach.note)));
            state = self.after(state, *act);
        }
        lines.push(format!("here: {}", self.told(state)));
        lines
    }
}
