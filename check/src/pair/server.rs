//! The server's side: the shipped `ServerSession`, a driver that reads and writes as the reference server's, and the engine. Owns what
//! the driver does. It must not know the other side.

use std::collections::VecDeque;

use lastword_session::{ApiMisuse, Refusal, ServerOutput, ServerSession, ServerTimer};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::table::{ServerInput, State};

use super::act::Act;
use super::client::{Context, MAX_FLUSHES, is_about_time_or_network};
use super::engine::{Engine, Stage, Work};
use super::party::{After, Move, Party};
use super::setup::{NOW, policy};
use crate::explore::{Kind, Owner, Property};
use crate::monitor::{Breach, Condition, ServerMonitor};
use crate::wire::Wire;

pub(crate) const SERVER_READS: Owner = Owner(3);
pub(crate) const SERVER_WRITES: Owner = Owner(4);
pub(crate) const ENGINE: Owner = Owner(5);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// `None`: over, or dead.
    machine: Option<ServerSession>,
    outgoing: VecDeque<Wire>,
    engine: Engine,
    monitor: ServerMonitor,
    memory: u8,
    shut_down: bool,
}

/// What the rest of the model sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerFacts {
    pub(crate) over: bool,
    pub(crate) consumed_bytes: u32,
    pub(crate) said: u8,
    pub(crate) said_before: [u8; MAX_FLUSHES],
}

impl Server {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            machine: Some(ServerSession::new(policy(), "s-1").expect("the policy of the model is allowed")),
            outgoing: VecDeque::new(),
            engine: Engine::new(&context.setup),
            monitor: ServerMonitor::default(),
            memory: 0,
            shut_down: false,
        }
    }

    /// Runs the machine and takes what it puts out.
    fn run(
        &self,
        context: &Context,
        act: impl FnOnce(&mut ServerSession, &mut Engine) -> Result<(), ApiMisuse>,
    ) -> After<Self> {
        let mut server = self.clone();
        let mut breaches = Vec::new();
        if let Some(machine) = &mut server.machine {
            act(machine, &mut server.engine).expect("the driver and the engine of the model keep to the contract");
        }
        server.settle(context, &mut breaches);
        After { party: server, breaches }
    }

    fn settle(&mut self, context: &Context, breaches: &mut Vec<Breach>) {
        let mut audio = false;
        while let Some(output) = self.machine.as_mut().and_then(ServerSession::poll_output) {
            match output {
                ServerOutput::StartEngine(_) => self.engine.stage = Stage::Starting,
                ServerOutput::Audio(bytes) => {
                    let length = u32::try_from(bytes.len()).expect("a frame of the model is short");
                    self.engine.work.push_back(Work::Audio(length));
                    audio = true;
                }
                ServerOutput::FlushEngine { token } => self.engine.work.push_back(Work::Flush(token)),
                ServerOutput::FinishEngine => self.engine.work.push_back(Work::Finish),
                ServerOutput::CancelEngine => self.engine.cancel(),
                ServerOutput::Release => {}
                ServerOutput::Send(message) => self.sends(context, Wire::Server(message)),
                ServerOutput::Close { code, .. } => self.sends(context, Wire::Close(Some(code.0))),
                ServerOutput::EchoClose { code } => self.sends(context, Wire::Close(code.map(|code| code.0))),
                ServerOutput::Drop => self.outgoing.clear(),
                ServerOutput::Violation(violation) => {
                    if !is_about_time_or_network(violation.fact) {
                        breaches.push(Breach::new(Property::IllegalClient, format!("the server says: {violation}")));
                    }
                }
            }
        }
        if let Some(machine) = &mut self.machine {
            if audio && self.engine.stage == Stage::Running {
                machine.engine_backlog(NOW, self.engine.backlog_ms(&context.setup)).expect("outputs were taken");
            }
            machine.forget_time();
            if machine.is_closed() {
                self.leaves();
            }
        }
    }

    fn sends(&mut self, context: &Context, wire: Wire) {
        let wires = context.twist.server_sends(&mut self.memory, wire);
        self.outgoing.extend(wires);
    }

    fn leaves(&mut self) {
        self.machine = None;
        self.engine.cancel();
        self.outgoing.push_back(Wire::Gone);
    }

    fn engine_moves(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        let mut add = |act, after| moves.push(Move { act, kind: Kind::Cooperative, owner: ENGINE, after });
        let backlog_ms = |engine: &Engine| engine.backlog_ms(&context.setup);
        if self.engine.stage == Stage::Starting {
            let mut ready = self.clone();
            ready.monitor.arose(Condition::Table(ServerInput::EngineReady));
            add(
                Act::EngineReady,
                ready.run(context, |machine, engine| {
                    engine.stage = Stage::Running;
                    machine.engine_backlog(NOW, 0)?;
                    let config = machine.config().cloned().unwrap_or_default();
                    machine.engine_ready(NOW, config, Vec::new())
                }),
            );
            return;
        }
        match self.engine.work.front() {
            Some(Work::Audio(_)) => add(
                Act::EngineHears,
                self.run(context, |machine, engine| {
                    engine.hear();
                    machine.engine_backlog(NOW, backlog_ms(engine))
                }),
            ),
            Some(Work::Flush(token)) => add(
                Act::EngineFlushed,
                self.run(context, |machine, engine| {
                    engine.flush(*token);
                    machine.engine_flushed(NOW, *token)
                }),
            ),
            Some(Work::Finish) => {
                let mut drained = self.clone();
                drained.monitor.arose(Condition::Table(ServerInput::Drained));
                add(
                    Act::EngineDrained,
                    drained.run(context, |machine, engine| {
                        engine.work.pop_front();
                        engine.stage = Stage::Over;
                        machine.engine_drained(NOW, engine.processed_ms())
                    }),
                );
            }
            None => {}
        }
        if self.engine.can_say_partial() {
            add(Act::EnginePartial, self.run(context, |machine, engine| machine.engine_partial(NOW, engine.partial())));
        }
        if self.engine.can_say_final() {
            add(Act::EngineFinal, self.run(context, |machine, engine| machine.engine_final(NOW, engine.final_())));
        }
    }

    fn engine_faults(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        let mut add = |act, after| moves.push(Move { act, kind: Kind::Rescue, owner: Owner::NOBODY, after });
        let refusal = || Refusal {
            code: ErrorCode::OVERLOADED,
            message: "no engine is free".into(),
            param: None,
            retry_after_ms: Some(1_000),
        };
        let mut failed = self.clone();
        failed.monitor.arose(Condition::Table(ServerInput::EngineFailed));
        if self.engine.stage == Stage::Starting {
            add(
                Act::EngineRefuses,
                failed.run(context, |machine, engine| {
                    engine.stage = Stage::Over;
                    machine.engine_refused(NOW, refusal())
                }),
            );
        }
        add(
            Act::EngineFails,
            failed.run(context, |machine, engine| {
                engine.cancel();
                machine.engine_failed(NOW, "the engine failed")
            }),
        );
    }

    fn timer_moves(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        for timer in self.machine.iter().flat_map(ServerSession::running_timers) {
            let mut fired = self.clone();
            let arises = match timer {
                ServerTimer::Config => Some(Condition::Table(ServerInput::ConfigTimeout)),
                ServerTimer::Idle => Some(Condition::Table(ServerInput::IdleTimeout)),
                ServerTimer::Session => Some(Condition::EndsSoon),
                ServerTimer::Engine => Some(Condition::Table(ServerInput::EngineFailed)),
                ServerTimer::Close => None,
            };
            if let Some(condition) = arises {
                fired.monitor.arose(condition);
            }
            let after = fired.run(context, |machine, _| machine.fire(NOW, timer));
            moves.push(Move { act: Act::ServerTimer(timer), kind: Kind::Rescue, owner: Owner::NOBODY, after });
        }
    }

    fn fault_moves(&self, context: &Context, moves: &mut Vec<Move<Self>>) {
        let faults = &context.setup.faults;
        let mut add = |act, after| moves.push(Move { act, kind: Kind::Rescue, owner: Owner::NOBODY, after });
        if faults.shut_down && !self.shut_down {
            let mut down = self.clone();
            down.shut_down = true;
            down.monitor.arose(Condition::EndsSoon);
            add(Act::ShutDown, down.run(context, |machine, _| machine.shut_down(NOW)));
        }
        if faults.death {
            let mut dead = self.clone();
            dead.outgoing.clear();
            dead.leaves();
            add(Act::ServerDies, After { party: dead, breaches: Vec::new() });
        }
    }

    fn has_room(&self, context: &Context) -> bool {
        self.outgoing.len() < context.setup.queued
    }
}

impl Party for Server {
    type Context = Context;
    type Facts = ServerFacts;

    fn own_moves(&self, context: &Context) -> Vec<Move<Self>> {
        let mut moves = Vec::new();
        if self.machine.is_none() {
            return moves;
        }
        let faults = &context.setup.faults;
        if self.has_room(context) && matches!(self.engine.stage, Stage::Starting | Stage::Running) {
            if context.twist.engine_works(self.memory) {
                self.engine_moves(context, &mut moves);
            }
            if faults.engine {
                self.engine_faults(context, &mut moves);
            }
            if context.setup.ticks {
                let after = self.run(context, |machine, engine| machine.engine_progress(NOW, engine.processed_ms()));
                moves.push(Move { act: Act::EngineTick, kind: Kind::Cooperative, owner: Owner::NOBODY, after });
            }
        }
        if faults.timers {
            self.timer_moves(context, &mut moves);
        }
        self.fault_moves(context, &mut moves);
        moves
    }

    fn waiting(&self) -> Vec<Wire> {
        self.outgoing.iter().cloned().collect()
    }

    fn outgoing(&self) -> Option<&Wire> {
        self.outgoing.front()
    }

    fn wrote(&self, _context: &Context) -> After<Self> {
        let mut server = self.clone();
        let breaches = server.outgoing.pop_front().and_then(|wire| server.monitor.sent(&wire)).into_iter().collect();
        After { party: server, breaches }
    }

    fn reads(&self, context: &Context) -> bool {
        let wants = self.machine.as_ref().is_some_and(ServerSession::wants_read) && self.has_room(context);
        self.machine.is_some() && context.twist.server_reads(self.memory, wants, !self.outgoing.is_empty())
    }

    fn read(&self, context: &Context, wire: &Wire) -> After<Self> {
        let mut server = self.clone();
        let mut breaches = Vec::new();
        server.monitor.read(wire);
        let (heard, answers) = context.twist.server_hears(&mut server.memory, wire.clone());
        for wire in heard {
            let mut library_answers = None;
            if let Wire::Close(code) = wire {
                // What the client has not read by now it does not want; a Close that was among it, the library sends again.
                let closing = server.outgoing.iter().any(|wire| matches!(wire, Wire::Close(_)));
                library_answers = closing.then_some(Wire::Close(code));
                server.outgoing.clear();
            }
            if wire == Wire::Gone {
                server.outgoing.clear();
            }
            let Some(machine) = &mut server.machine else { break };
            let done = match &wire {
                Wire::Close(code) => machine.handle_close(NOW, *code),
                Wire::Gone => machine.handle_loss(NOW),
                Wire::Audio(bytes) => machine.handle_binary(NOW, &vec![0; *bytes as usize]),
                Wire::Client(_) | Wire::Server(_) | Wire::Text(..) => {
                    machine.handle_text(NOW, &wire.text().unwrap_or_default())
                }
            };
            done.expect("the driver reads only when the machine wants to, and takes all outputs");
            server.outgoing.extend(library_answers);
            server.settle(context, &mut breaches);
        }
        server.outgoing.extend(answers);
        After { party: server, breaches }
    }

    fn state(&self) -> State {
        self.machine.as_ref().map_or(State::Closed, ServerSession::state)
    }

    fn is_over(&self) -> bool {
        self.machine.is_none() && self.outgoing.is_empty()
    }

    fn facts(&self) -> ServerFacts {
        ServerFacts {
            over: self.is_over(),
            consumed_bytes: self.engine.consumed_bytes,
            said: self.engine.said,
            said_before: self.engine.said_before,
        }
    }
}
