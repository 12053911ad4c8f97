//! The client's side: the shipped `ClientSession`, a driver with one write path as the SDK's, and an application that pushes, flushes,
//! ends and cancels. Owns what the driver and the application do. It must not know the other side.

use std::collections::VecDeque;
use std::rc::Rc;

use lastword_session::{
    ApiMisuse, ClientEvent, ClientOutput, ClientSession, ClientTimer, Fact, Outcome, TransportError,
};
use lastword_spec::table::State;

use super::act::Act;
use super::party::{After, Move, Party};
use super::setup::{FRAME_BYTES, NOW, Setup, options};
use super::twist::Twist;
use crate::explore::{Kind, Owner, Property};
use crate::monitor::{Breach, ClientMonitor};
use crate::wire::Wire;

pub(crate) const APP: Owner = Owner(0);
pub(crate) const CLIENT_WRITES: Owner = Owner(1);
pub(crate) const CLIENT_READS: Owner = Owner(2);

/// What is the same for every state of a side.
pub(crate) struct Context {
    pub(crate) setup: Setup,
    pub(crate) twist: Rc<dyn Twist>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// `None`: over, or dead.
    machine: Option<ClientSession>,
    /// What waits for the transport, and whether the machine wants to hear that it was accepted.
    outgoing: VecDeque<(Wire, bool)>,
    app: App,
    probes_left: u8,
    monitor: ClientMonitor,
    memory: u8,
}

/// The application, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct App {
    frames_left: u8,
    flushes_left: u8,
    ended: bool,
    told: Told,
    pushed_bytes: u32,
    /// Flushes that were asked for, those that were answered, and which finals had come when they were: a bit each.
    flushed: [u8; MAX_FLUSHES],
    asked: u8,
    answered: u8,
    /// Finals that came, by their text, and segments with a partial and no final, by their id.
    heard: u8,
    open: u8,
}

/// As many flushes as an application of the model asks for at most.
pub(crate) const MAX_FLUSHES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    Nothing,
    Complete,
    Other,
}

/// What the rest of the model sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientFacts {
    pub(crate) over: bool,
    pub(crate) complete: bool,
    pub(crate) pushed_bytes: u32,
    pub(crate) heard: u8,
    /// Segments with a partial and no final.
    pub(crate) open: u8,
    /// Flushes that were answered with success: which finals had come by then.
    pub(crate) flushed: [Option<u8>; MAX_FLUSHES],
}

impl Client {
    pub(crate) fn new(context: &Context) -> After<Self> {
        let setup = &context.setup;
        let machine = ClientSession::new(options()).expect("the options of the model are usable");
        let mut client = Self {
            machine: Some(machine),
            outgoing: VecDeque::new(),
            app: App {
                frames_left: setup.frames,
                flushes_left: setup.flushes.min(MAX_FLUSHES as u8),
                ended: false,
                told: Told::Nothing,
                pushed_bytes: 0,
                flushed: [0; MAX_FLUSHES],
                asked: 0,
                answered: 0,
                heard: 0,
                open: 0,
            },
            probes_left: setup.probes,
            monitor: ClientMonitor::default(),
            memory: 0,
        };
        let mut breaches = Vec::new();
        client.settle(context, &mut breaches);
        After { party: client, breaches }
    }

    /// Runs the machine and takes what it puts out. `None`: it refused.
    fn run(
        &self,
        context: &Context,
        act: impl FnOnce(&mut ClientSession, &mut App) -> Result<(), ApiMisuse>,
    ) -> Option<After<Self>> {
        let mut client = self.clone();
        act(client.machine.as_mut()?, &mut client.app).ok()?;
        let mut breaches = Vec::new();
        client.settle(context, &mut breaches);
        Some(After { party: client, breaches })
    }

    fn settle(&mut self, context: &Context, breaches: &mut Vec<Breach>) {
        while let Some(output) = self.machine.as_mut().and_then(ClientSession::poll_output) {
            match output {
                ClientOutput::Send(message) => self.sends(context, Wire::Client(message), breaches),
                ClientOutput::SendAudio(bytes) => {
                    let length = u32::try_from(bytes.len()).expect("a frame of the model is short");
                    self.sends(context, Wire::Audio(length), breaches);
                }
                ClientOutput::Event(event) => self.app.hears(&event, breaches),
                ClientOutput::Violation(violation) => {
                    if !is_about_time_or_network(violation.fact) {
                        breaches.push(Breach::new(Property::IllegalServer, format!("the client says: {violation}")));
                    }
                }
                ClientOutput::Close { code } => self.sends(context, Wire::Close(Some(code.0)), breaches),
                ClientOutput::EchoClose { code } => {
                    self.sends(context, Wire::Close(code.map(|code| code.0)), breaches);
                }
                ClientOutput::Drop => self.outgoing.clear(),
            }
        }
        if let Some(machine) = &mut self.machine {
            machine.forget_time();
            if machine.is_closed() {
                self.leaves();
            }
        }
    }

    fn sends(&mut self, context: &Context, wire: Wire, breaches: &mut Vec<Breach>) {
        let is_message = !matches!(wire, Wire::Close(_));
        let was_audio = matches!(wire, Wire::Audio(_));
        let wires = context.twist.client_sends(&mut self.memory, wire);
        if is_message && wires.is_empty() {
            self.transmitted();
        }
        let last = wires.len().saturating_sub(1);
        for (at, wire) in wires.into_iter().enumerate() {
            breaches.extend(self.monitor.sent(&wire));
            if let (Wire::Audio(bytes), false) = (&wire, was_audio) {
                self.app.pushed_bytes += bytes;
            }
            self.outgoing.push_back((wire, is_message && at == last));
        }
    }

    fn transmitted(&mut self) {
        if let Some(machine) = &mut self.machine {
            machine.handle_transmitted(NOW).expect("a message is at the transport");
        }
    }

    /// The machine is through: what waits is still written, then the connection ends.
    fn leaves(&mut self) {
        self.machine = None;
        self.outgoing.push_back((Wire::Gone, false));
    }

    fn app_moves(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        let app = &self.app;
        let waits = context.setup.awaits_flush && app.asked != app.answered;
        if app.ended || app.told != Told::Nothing || waits {
            return;
        }
        let mut add = |act, after: Option<After<Self>>| {
            moves.extend(after.map(|after| Move { act, kind: Kind::Cooperative, owner: APP, after }));
        };
        if app.frames_left > 0 {
            add(
                Act::Push,
                self.run(context, |machine, app| {
                    app.frames_left -= 1;
                    app.pushed_bytes += FRAME_BYTES;
                    machine.push(&[0; FRAME_BYTES as usize])
                }),
            );
        }
        if app.flushes_left > 0 {
            add(
                Act::Flush,
                self.run(context, |machine, app| {
                    app.flushes_left -= 1;
                    let number = app.asked.count_ones();
                    app.asked |= 1 << number;
                    machine.flush(format!("f{number}"))
                }),
            );
        }
        if context.setup.ends_early || (app.frames_left == 0 && app.flushes_left == 0) {
            add(
                Act::End,
                self.run(context, |machine, app| {
                    app.ended = true;
                    machine.end(NOW)
                }),
            );
        }
    }

    fn timer_moves(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        let timers = self.machine.iter().flat_map(ClientSession::running_timers);
        for timer in timers {
            let (kind, runs) = match timer {
                ClientTimer::Keepalive => (Kind::Cooperative, context.setup.keepalives),
                ClientTimer::Probe => (Kind::Cooperative, self.probes_left > 0),
                _ => (Kind::Rescue, context.setup.faults.timers),
            };
            let after = runs.then(|| self.run(context, |machine, _| machine.fire(NOW, timer))).flatten();
            moves.extend(after.map(|mut after| {
                after.party.probes_left -= u8::from(timer == ClientTimer::Probe);
                Move { act: Act::ClientTimer(timer), kind, owner: Owner::NOBODY, after }
            }));
        }
    }
}

impl Party for Client {
    type Context = Context;
    type Facts = ClientFacts;

    fn own_moves(&self, context: &Context) -> Vec<Move<Self>> {
        let mut moves = Vec::new();
        if self.machine.is_none() {
            return moves;
        }
        self.app_moves(context, &mut moves);
        self.timer_moves(context, &mut moves);
        let mut rescue = |act, after: Option<After<Self>>| {
            moves.extend(after.map(|after| Move { act, kind: Kind::Rescue, owner: Owner::NOBODY, after }));
        };
        if context.setup.faults.cancel && self.app.told == Told::Nothing {
            rescue(Act::Cancel, self.run(context, |machine, _| machine.cancel(NOW)));
        }
        if context.setup.faults.death {
            let mut dead = self.clone();
            dead.outgoing.clear();
            dead.leaves();
            rescue(Act::ClientDies, Some(After { party: dead, breaches: Vec::new() }));
        }
        if self.outgoing.is_empty() {
            let mut adding = self.clone();
            if let Some(wire) = context.twist.client_adds(&mut adding.memory, adding.app.ended) {
                let breaches = adding.monitor.sent(&wire).into_iter().collect();
                adding.outgoing.push_back((wire, false));
                let after = After { party: adding, breaches };
                moves.push(Move { act: Act::ClientTwist, kind: Kind::Cooperative, owner: Owner::NOBODY, after });
            }
        }
        moves
    }

    fn waiting(&self) -> Vec<Wire> {
        self.outgoing.iter().map(|(wire, _)| wire.clone()).collect()
    }

    fn outgoing(&self) -> Option<&Wire> {
        self.outgoing.front().map(|(wire, _)| wire)
    }

    fn wrote(&self, context: &Context) -> After<Self> {
        let mut client = self.clone();
        let mut breaches = Vec::new();
        if let Some((_, true)) = client.outgoing.pop_front() {
            client.transmitted();
            client.settle(context, &mut breaches);
        }
        After { party: client, breaches }
    }

    fn reads(&self, context: &Context) -> bool {
        self.machine.as_ref().is_some_and(ClientSession::wants_read)
            && context.twist.client_reads(self.memory, !self.outgoing.is_empty())
    }

    fn read(&self, context: &Context, wire: &Wire) -> After<Self> {
        let mut client = self.clone();
        let mut breaches: Vec<Breach> = client.monitor.read(wire).into_iter().collect();
        for wire in context.twist.client_hears(&mut client.memory, wire.clone()) {
            if wire == Wire::Gone {
                client.outgoing.clear();
            }
            let Some(machine) = &mut client.machine else { break };
            let done = match &wire {
                Wire::Close(code) => machine.handle_close(NOW, *code),
                Wire::Gone => machine.handle_loss(NOW, TransportError::Eof),
                Wire::Audio(bytes) => machine.handle_binary(NOW, &vec![0; *bytes as usize]),
                Wire::Client(_) | Wire::Server(_) | Wire::Text(..) => {
                    machine.handle_text(NOW, &wire.text().unwrap_or_default())
                }
            };
            done.expect("the driver takes all outputs before the next input");
            client.settle(context, &mut breaches);
        }
        After { party: client, breaches }
    }

    fn state(&self) -> State {
        self.machine.as_ref().map_or(State::Closed, ClientSession::state)
    }

    fn is_over(&self) -> bool {
        self.machine.is_none() && self.outgoing.is_empty()
    }

    fn facts(&self) -> ClientFacts {
        let app = &self.app;
        let flushed = |at: usize| (app.answered & app.asked & 1 << at != 0).then_some(app.flushed[at]);
        ClientFacts {
            over: self.is_over(),
            complete: app.told == Told::Complete,
            pushed_bytes: app.pushed_bytes,
            heard: app.heard,
            open: app.open,
            flushed: std::array::from_fn(|at| flushed(at).filter(|heard| *heard != FAILED)),
        }
    }
}

/// A flush that was answered with a failure; no model gives so many finals.
const FAILED: u8 = u8::MAX;

impl App {
    fn hears(&mut self, event: &ClientEvent, breaches: &mut Vec<Breach>) {
        let mut lost = |note: &str| breaches.push(Breach::new(Property::Lost, note));
        if self.told != Told::Nothing {
            lost("the application was told something after the end");
        }
        match event {
            ClientEvent::Partial(partial) => self.open |= 1 << partial.segment_id,
            ClientEvent::Final(result) => {
                self.open &= !(1 << result.segment_id);
                if let Some(word) = result.text.strip_prefix('w').and_then(|number| number.parse::<u8>().ok()) {
                    self.heard |= 1 << word;
                }
            }
            ClientEvent::Flushed { id } | ClientEvent::FlushFailed { id } => {
                let at: usize = id.trim_start_matches('f').parse().unwrap_or(0);
                if self.answered & 1 << at != 0 {
                    lost("the application was told twice of one flush");
                }
                self.answered |= 1 << at;
                self.flushed[at] = if matches!(event, ClientEvent::Flushed { .. }) { self.heard } else { FAILED };
            }
            ClientEvent::Ended(outcome) => {
                if self.asked != self.answered {
                    lost("the application was never told what became of a flush");
                }
                self.told = if matches!(outcome, Outcome::Complete(_)) { Told::Complete } else { Told::Other };
            }
            ClientEvent::Ready(_)
            | ClientEvent::SpeechStarted(_)
            | ClientEvent::SpeechEnded(_)
            | ClientEvent::Updated(_)
            | ClientEvent::Warning(_)
            | ClientEvent::Error(_) => {}
        }
    }
}

/// Whether a fact that a machine holds against its peer can come from a fault of the model: a timer that gave up too early, or a
/// connection that was lost.
pub(crate) fn is_about_time_or_network(fact: Fact) -> bool {
    matches!(
        fact,
        Fact::NoConfigInTime
            | Fact::ClientFellSilent
            | Fact::FlushedLate
            | Fact::ReadyLate
            | Fact::SessionEndedLate
            | Fact::ServerFellSilent
            | Fact::ConnectionDropped
    )
}
