//! Runs one session over one socket. Owns: the task, its clock and its wake-ups, and doing what the session puts out.
//! Must not know: why the session wants what it wants.

use std::pin::Pin;
use std::time::Duration;

use lastword_dialects::Frame;
use lastword_session::{ApiMisuse, ServerOutput, ServerSession};
use lastword_spec::codec;
use lastword_spec::message::ServerMessage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::engine::{self, Engine};
use super::socket::{Incoming, Socket};
use super::wire::{Step, Wire};
use crate::recognizer::{EngineEvent, Recognizer};

/// Where a timer that nobody waits for points.
const FAR: Duration = Duration::from_secs(86_400);

/// What a session needs beside its socket.
pub(super) struct Surroundings {
    pub(super) recognizer: Recognizer,
    /// The place in the server that the session takes.
    pub(super) slot: OwnedSemaphorePermit,
    /// Becomes true when the server shuts down.
    pub(super) shutdown: watch::Receiver<bool>,
    /// With more output waiting than this, nothing that may bring more is taken.
    pub(super) max_outgoing_bytes: usize,
    /// The translator, where another wire is spoken, and what the upgrade told it.
    pub(super) wire: Option<(Wire, Vec<Step>)>,
}

/// Runs `session` over `socket`, which has just been upgraded, to its end.
pub(super) async fn run<S>(session: Box<ServerSession>, socket: Socket<S>, surroundings: Surroundings)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let now = Instant::now();
    let (wire, told) = surroundings.wire.map_or((None, Vec::new()), |(wire, told)| (Some(wire), told));
    let mut driver = Driver {
        session,
        wire,
        socket,
        engine: None,
        recognizer: surroundings.recognizer,
        slot: Some(surroundings.slot),
        shutdown: Some(surroundings.shutdown),
        max_outgoing_bytes: surroundings.max_outgoing_bytes,
        upgraded_at: now,
        timer: Box::pin(sleep_until(now + FAR)),
    };
    driver.take(told);
    while !driver.session.is_closed() {
        driver.set_timer();
        let woken = driver.wait().await;
        driver.handle(woken);
    }
    let Driver { socket, engine, slot, .. } = driver;
    drop((engine, slot));
    socket.end().await;
}

enum Woken {
    Incoming(Incoming),
    Engine(EngineEvent),
    BacklogFell,
    Timer,
    ShutDown,
}

struct Driver<S> {
    session: Box<ServerSession>,
    /// `None` where v1 itself is spoken.
    wire: Option<Wire>,
    socket: Socket<S>,
    engine: Option<Engine>,
    recognizer: Recognizer,
    slot: Option<OwnedSemaphorePermit>,
    shutdown: Option<watch::Receiver<bool>>,
    max_outgoing_bytes: usize,
    upgraded_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn set_timer(&mut self) {
        let session_at = self.session.poll_timeout().map(|at| self.upgraded_at + at);
        let at = session_at.into_iter().chain(self.socket.stuck_at()).min();
        let at = at.unwrap_or_else(|| Instant::now() + FAR);
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
    }

    async fn wait(&mut self) -> Woken {
        let has_room = self.socket.outgoing_bytes() < self.max_outgoing_bytes;
        let wants_read = self.session.wants_read();
        let max_waiting_ms = self.session.limits().max_buffered_audio_ms - 1;
        let backlog = self.engine.as_ref().filter(|_| !wants_read).map(Engine::backlog);
        tokio::select! {
            incoming = self.socket.next(wants_read && has_room) => Woken::Incoming(incoming),
            event = next_event(&mut self.engine), if has_room => Woken::Engine(event),
            () = async { if let Some(backlog) = &backlog { backlog.at_most(max_waiting_ms).await } }, if backlog.is_some()
                => Woken::BacklogFell,
            () = self.timer.as_mut() => Woken::Timer,
            () = shut_down(&mut self.shutdown) => Woken::ShutDown,
        }
    }

    fn handle(&mut self, woken: Woken) {
        if let (Some(wire), Woken::Incoming(incoming)) = (&mut self.wire, &woken) {
            let steps = match incoming {
                Incoming::Text(text) => wire.receive(&Frame::text(text.as_str())),
                Incoming::Binary(bytes) => wire.receive(&Frame::Binary(bytes.to_vec())),
                // How it ends is the same on every wire.
                Incoming::Close(_) | Incoming::Broken(_) | Incoming::Lost => return self.handle_v1(woken),
            };
            return self.take(steps);
        }
        self.handle_v1(woken);
    }

    /// Does what the translator says, in order.
    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            let now = self.upgraded_at.elapsed();
            match step {
                Step::Write(frame) => self.write(frame),
                Step::Hear(_) if self.session.is_closed() => {}
                Step::Hear(Frame::Text(text)) => {
                    let outcome = self.session.handle_text(now, &text);
                    self.settle(now, outcome);
                }
                Step::Hear(Frame::Binary(bytes)) => {
                    let outcome = self.session.handle_binary(now, &bytes);
                    self.settle(now, outcome);
                }
                // The Close itself comes from the socket.
                Step::Hear(Frame::Close { .. }) => {}
            }
        }
    }

    fn write(&mut self, frame: Frame) {
        match frame {
            Frame::Text(text) => self.socket.send(text),
            Frame::Binary(bytes) => self.socket.send_binary(bytes),
            Frame::Close { code, .. } => {
                self.socket.close(code.map_or(CloseCode::Normal, |code| CloseCode::from(code.0)), "");
            }
        }
    }

    /// Says a message of the session.
    fn say(&mut self, message: &ServerMessage) {
        let Some(wire) = &mut self.wire else {
            return self.socket.send(codec::encode(message));
        };
        for step in wire.send(message) {
            if let Step::Write(frame) = step {
                self.write(frame);
            }
        }
    }

    fn handle_v1(&mut self, woken: Woken) {
        let now = self.upgraded_at.elapsed();
        let outcome = match woken {
            Woken::Incoming(Incoming::Text(text)) => self.session.handle_text(now, &text),
            Woken::Incoming(Incoming::Binary(bytes)) => self.session.handle_binary(now, &bytes),
            Woken::Incoming(Incoming::Close(code)) => {
                // What the client has not read by now it does not want.
                self.socket.clear();
                self.session.handle_close(now, code)
            }
            Woken::Incoming(Incoming::Broken(code)) => {
                self.socket.close(code, "");
                self.session.handle_loss(now)
            }
            Woken::Incoming(Incoming::Lost) => self.session.handle_loss(now),
            Woken::Engine(event) => {
                if matches!(event, EngineEvent::Drained { .. } | EngineEvent::Failed { .. }) {
                    self.engine = None;
                }
                engine::tell(&mut self.session, now, event)
            }
            Woken::BacklogFell => {
                let waiting_ms = self.engine.as_ref().map_or(0, |engine| engine.backlog().ms());
                self.session.engine_backlog(now, waiting_ms)
            }
            Woken::Timer if self.socket.stuck_at().is_some_and(|at| at <= Instant::now()) => {
                self.socket.abandon();
                self.session.handle_loss(now)
            }
            Woken::Timer => self.session.handle_timeout(now),
            Woken::ShutDown => {
                self.shutdown = None;
                self.session.shut_down(now)
            }
        };
        self.settle(now, outcome);
    }

    /// Does what the session puts out. An `Err` is a fault of this server: the session ends by it, as the client is told.
    fn settle(&mut self, now: Duration, outcome: Result<(), ApiMisuse>) {
        if let Err(misuse) = outcome {
            tracing::error!("a session met a fault of this server: {misuse}");
            let _ = self.session.engine_failed(now, "the server met a fault of its own; try again");
        }
        let mut starting = None;
        while let Some(output) = self.session.poll_output() {
            match output {
                ServerOutput::StartEngine(config) => starting = Some(config),
                ServerOutput::Audio(bytes) => self.with_engine(|engine| engine.push(&bytes)),
                ServerOutput::FlushEngine { token } => self.with_engine(|engine| engine.flush(token)),
                ServerOutput::FinishEngine => self.with_engine(Engine::finish),
                ServerOutput::CancelEngine => self.engine = None,
                ServerOutput::Release => self.slot = None,
                ServerOutput::Send(message) => self.say(&message),
                ServerOutput::Close { code, reason } => {
                    self.slot = None;
                    let code = self.wire.as_ref().map_or(code, |wire| wire.close_code(code));
                    self.socket.close(CloseCode::from(code.0), reason);
                }
                // The library answers a Close; what is left is to write and to wait, which the end of the socket does.
                ServerOutput::EchoClose { .. } | ServerOutput::Drop => {}
                ServerOutput::Violation(violation) => tracing::debug!("{violation}"),
            }
        }
        if let Some(config) = starting {
            let outcome = match Engine::open(&self.recognizer, *config) {
                Ok((engine, config)) => {
                    self.engine = Some(engine);
                    // From here on the session counts what waits, and asks again when that has become too much.
                    self.session
                        .engine_backlog(now, 0)
                        .and_then(|()| self.session.engine_ready(now, config, Vec::new()))
                }
                Err(refusal) => self.session.engine_refused(now, refusal),
            };
            self.settle(now, outcome);
        }
    }

    fn with_engine(&mut self, act: impl FnOnce(&mut Engine)) {
        if let Some(engine) = &mut self.engine {
            act(engine);
        }
    }
}

async fn next_event(engine: &mut Option<Engine>) -> EngineEvent {
    match engine {
        Some(engine) => engine.next().await,
        None => std::future::pending().await,
    }
}

async fn shut_down(signal: &mut Option<watch::Receiver<bool>>) {
    if let Some(receiver) = signal
        && receiver.wait_for(|down| *down).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
