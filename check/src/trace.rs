//! A counterexample as a trace file that a judge can read: the steps as messages on one connection, seen by the party that is not under
//! suspicion, at times that fit the limits announced. Owns those times. It must not know what a judge makes of it.

use std::rc::Rc;

use lastword_spec::PROTOCOL;
use lastword_spec::close::CloseCode;
use lastword_spec::message::{ClientMessage, Progress, ServerMessage};
use lastword_spec::table::Side;
use lastword_spec::trace::{ControlOutcome, Eof, Event, EventKind, Header, Open, Trace, write};

use crate::course::run_model;
use crate::explore::{Counterexample, Model, Property};
use crate::mutants::{MUTANTS, Mutant};
use crate::pair::setup::limits;
use crate::pair::{Act, Faults, Honest, Pair, Setup};
use crate::wire::Wire;

/// By name, with the text of its trace file: every mutant that is not harmless, and a whole session of the shipped machines as either
/// side sees it.
#[must_use]
pub fn traces() -> Vec<(&'static str, String)> {
    let broken = MUTANTS.iter().filter_map(|mutant| Some((mutant.name, write(&trace_of(mutant)?))));
    let whole = [("whole-client", Side::Client), ("whole-server", Side::Server)];
    broken.chain(whole.map(|(name, subject)| (name, write(&whole_session(subject))))).collect()
}

/// The longest of the shortest ways to an end, without a fault: everything that the small setup allows has happened on it.
#[must_use]
fn whole_session(subject: Side) -> Trace {
    let setup = Setup { faults: Faults::NONE, ends_early: false, ..Setup::default() };
    let mut pair = Pair::new(&setup, Rc::new(Honest));
    let (explored, _) = run_model(setup.name, &mut pair, |_, _| Vec::new());
    let ends = (0_u32..).zip(&explored.states).filter(|(_, state)| pair.is_end(**state)).map(|(number, _)| number);
    let path = explored.path_to(ends.max().unwrap_or(0));
    let mut scribe = Scribe::new(subject);
    scribe.open();
    for act in path {
        scribe.take(&pair, act);
    }
    let header = Header {
        note: Some("A whole session of the shipped machines.".to_owned()),
        expect: Some(Vec::new()),
        ..Header::new(subject)
    };
    Trace { header, events: scribe.events }
}

/// The shortest counterexample of the first property that the mutant violates. `None`: it violates none.
#[must_use]
pub fn trace_of(mutant: &Mutant) -> Option<Trace> {
    let (property, _) = mutant.violates.first()?;
    let setup = mutant.setup();
    let mut pair = Pair::new(&setup, mutant.twist());
    let (explored, _) = run_model(setup.name, &mut pair, |_, _| Vec::new());
    let found = explored.counterexamples(&mut pair).into_iter().find(|one| one.property == *property)?;
    Some(Scribe::new(mutant.guilty).write(mutant, &mut pair, &found))
}

/// How long a harness waits before it gives up: longer than every bound that the model's server announces.
const PATIENCE_MS: u64 = 40_000;

/// Writes down what the innocent side sees.
struct Scribe {
    guilty: Side,
    t_us: u64,
    progress_seq: u64,
    events: Vec<Event>,
}

impl Scribe {
    fn new(guilty: Side) -> Self {
        Self { guilty, t_us: 0, progress_seq: 0, events: Vec::new() }
    }

    fn write(mut self, mutant: &Mutant, pair: &mut Pair, found: &Counterexample<Act>) -> Trace {
        self.open();
        let mut state = pair.start();
        for act in &found.path {
            self.take(pair, *act);
            state = pair.after(state, *act);
        }
        let until_us = self.t_us + PATIENCE_MS * 1_000;
        while !found.cycle.is_empty() && self.t_us < until_us {
            for act in &found.cycle {
                self.take(pair, *act);
            }
        }
        // What the guilty side has written comes, too; and what it has given to its transport, where that is the fault.
        let illegal = matches!(found.property, Property::IllegalClient | Property::IllegalServer);
        for wire in pair.under_way(state, self.guilty, illegal) {
            self.t_us += 1_000;
            self.message(&wire, self.guilty);
        }
        if !mutant.judged.is_empty() {
            self.give_up(found.property);
        }
        let (property, steps) = (found.property.as_str(), found.path.len());
        let unseen = if mutant.judged.is_empty() { " One trace alone does not show it." } else { "" };
        let header = Header {
            note: Some(format!("{} Found by the checker: {property} after {steps} steps.{unseen}", mutant.what)),
            expect: Some(mutant.judged.iter().map(|id| id.as_str().to_owned()).collect()),
            ..Header::new(self.guilty)
        };
        Trace { header, events: self.events }
    }

    fn open(&mut self) {
        let protocol = PROTOCOL.to_owned();
        let open = Open { offered: vec![protocol.clone()], selected: Some(protocol), ..Open::default() };
        self.note(EventKind::Open(open));
    }

    fn take(&mut self, pair: &Pair, act: Act) {
        self.t_us += lasts_ms(pair, act) * 1_000;
        if act == Act::End {
            self.note(EventKind::Note("the client's application ends its input".to_owned()));
        }
        match (act, self.guilty) {
            // The harness notes what it sends when it sends it, and what it receives when it comes.
            (Act::ClientWrites(id), Side::Server) | (Act::ServerReads(id), Side::Client) => {
                self.message(pair.wire(id), Side::Client);
            }
            (Act::ClientReads(id), Side::Server) | (Act::ServerWrites(id), Side::Client) => {
                self.message(pair.wire(id), Side::Server);
            }
            _ => {}
        }
    }

    fn message(&mut self, wire: &Wire, from: Side) {
        let kind = match wire {
            // The model forgets how many there were; a trace counts them.
            Wire::Server(ServerMessage::Progress(progress)) => {
                self.progress_seq += 1;
                let progress = Progress { seq: self.progress_seq, ..progress.clone() };
                let wire = Wire::Server(ServerMessage::Progress(progress));
                EventKind::Text { from, text: wire.text().unwrap_or_default().into_owned() }
            }
            Wire::Audio(bytes) => EventKind::Audio { from, bytes: u64::from(*bytes), head: Vec::new() },
            Wire::Close(code) => EventKind::Close { from, code: code.map(CloseCode), reason: String::new() },
            Wire::Gone => EventKind::Eof { from, how: Eof::Fin },
            wire => EventKind::Text { from, text: wire.text().unwrap_or_default().into_owned() },
        };
        self.note(kind);
    }

    /// The harness waits, in vain, and a session beside it shows that the subject is alive.
    fn give_up(&mut self, property: Property) {
        let after_ms = match property {
            Property::Deadlock | Property::Trapped => PATIENCE_MS,
            Property::Livelock => 1_000,
            Property::IllegalClient | Property::IllegalServer | Property::Lost => return,
        };
        self.t_us += after_ms * 1_000;
        self.note(EventKind::GaveUp { after_ms, quiescent: None });
        self.t_us += 100_000;
        self.events.push(Event::new(
            self.t_us,
            1,
            EventKind::Control { outcome: ControlOutcome::Completed, took_ms: 50 },
        ));
    }

    fn note(&mut self, kind: EventKind) {
        self.events.push(Event::new(self.t_us, 0, kind));
    }
}

/// How long a step takes, in milliseconds, where time passes: a keepalive comes when it is due, the rest at once.
fn lasts_ms(pair: &Pair, act: Act) -> u64 {
    match act {
        Act::Push => 20,
        Act::EngineTick => 1_000,
        Act::ClientWrites(id) if matches!(pair.wire(id), Wire::Client(ClientMessage::Keepalive(_))) => {
            limits().keepalive_interval_ms - 100
        }
        _ => 1,
    }
}
