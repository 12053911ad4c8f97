//! A server for the tests of the client: a [`ServerSession`] driven by hand over any WebSocket, with an engine that hears one word a
//! second. Its time is tokio's. It knows nothing of the client.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_session::{EngineResult, ServerOutput, ServerPolicy, ServerSession};
use lastword_spec::codec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How this server behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) policy: ServerPolicy,
    /// Until `ready`, and for each flush and the end; the engine tells every half second that it works.
    pub(crate) start: Duration,
    pub(crate) settle: Duration,
    /// Flushes are taken and not answered.
    pub(crate) deaf_to_flushes: bool,
    /// The connection is dropped after so much audio.
    pub(crate) drop_after_bytes: Option<usize>,
}

/// What a server saw of its session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) audio_bytes: usize,
    pub(crate) sentinels: usize,
    pub(crate) close: Option<u16>,
    pub(crate) texts: Vec<String>,
}

enum Work {
    Ready,
    Flushed(u64),
    Drained,
}

struct Engine {
    due: Vec<(Instant, Work)>,
    next_tick: Instant,
    received_ms: u64,
    told_ms: u64,
    segment: u64,
}

const TICK: Duration = Duration::from_millis(500);
const SEGMENT_MS: u64 = 1_000;

/// Serves one session to its end.
pub(crate) async fn serve<S>(mut socket: WebSocketStream<S>, behaviour: Behaviour) -> Seen
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let mut session = ServerSession::new(behaviour.policy.clone(), "s-1").unwrap();
    let mut engine = Engine { due: Vec::new(), next_tick: started, received_ms: 0, told_ms: 0, segment: 0 };
    let mut seen = Seen::default();
    loop {
        if !carry_out(&mut session, &mut engine, &mut socket, &behaviour, &mut seen).await {
            return seen;
        }
        if session.is_closed() {
            // The library's answer to the client's Close goes out.
            let _ = socket.close(None).await;
            return seen;
        }
        let work_at = engine.due.first().map(|(at, _)| (*at).min(engine.next_tick));
        let timer_at = session.poll_timeout().map(|at| started + at);
        let far = started + Duration::from_secs(1_000_000);
        tokio::select! {
            biased;
            message = socket.next(), if session.wants_read() => {
                let now = started.elapsed();
                match message {
                    Some(Ok(Message::Text(text))) => {
                        seen.sentinels += usize::from(text.contains("end_of_stream"));
                        seen.texts.push(text.to_string());
                        session.handle_text(now, &text).unwrap();
                    }
                    Some(Ok(Message::Binary(bytes))) => {
                        seen.audio_bytes += bytes.len();
                        if behaviour.drop_after_bytes.is_some_and(|bytes| seen.audio_bytes > bytes) {
                            return seen;
                        }
                        session.handle_binary(now, &bytes).unwrap();
                    }
                    Some(Ok(Message::Close(frame))) => {
                        seen.close = frame.map(|frame| frame.code.into());
                        session.handle_close(now, seen.close).unwrap();
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => session.handle_loss(now).unwrap(),
                }
            }
            () = sleep_until(work_at.unwrap_or(far)), if work_at.is_some() => {
                engine.work(&mut session, started);
            }
            () = sleep_until(timer_at.unwrap_or(far)), if timer_at.is_some() => {
                session.handle_timeout(started.elapsed().max(session.poll_timeout().unwrap())).unwrap();
            }
        }
    }
}

/// Does what the session wants; `false` when the connection is over.
async fn carry_out<S>(
    session: &mut ServerSession,
    engine: &mut Engine,
    socket: &mut WebSocketStream<S>,
    behaviour: &Behaviour,
    seen: &mut Seen,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(output) = session.poll_output() {
        match output {
            ServerOutput::StartEngine(_) => engine.after(behaviour.start, Work::Ready),
            ServerOutput::Audio(bytes) => engine.received_ms += bytes.len() as u64 / 32,
            ServerOutput::FlushEngine { .. } if behaviour.deaf_to_flushes => {}
            ServerOutput::FlushEngine { token } => engine.after(behaviour.settle, Work::Flushed(token)),
            ServerOutput::FinishEngine => engine.after(behaviour.settle, Work::Drained),
            ServerOutput::CancelEngine => engine.due.clear(),
            ServerOutput::Release | ServerOutput::EchoClose { .. } => {}
            ServerOutput::Send(message) => {
                if socket.send(Message::text(codec::encode(&message))).await.is_err() {
                    return false;
                }
            }
            ServerOutput::Close { code, reason } => {
                let frame = CloseFrame { code: code.0.into(), reason: reason.into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
            }
            ServerOutput::Drop => return false,
            ServerOutput::Violation(violation) => seen.texts.push(format!("VIOLATION {violation}")),
        }
    }
    true
}

impl Engine {
    fn after(&mut self, delay: Duration, work: Work) {
        let earliest = self.due.last().map_or(Instant::now(), |(at, _)| *at);
        self.due.push((earliest + delay, work));
        self.next_tick = Instant::now() + TICK;
    }

    fn work(&mut self, session: &mut ServerSession, started: Instant) {
        let now = started.elapsed();
        let Some((at, _)) = self.due.first() else { return };
        if *at > Instant::now() {
            self.next_tick += TICK;
            session.engine_progress(now, self.told_ms).unwrap();
            return;
        }
        match self.due.remove(0).1 {
            Work::Ready => {
                let config = session.config().cloned().unwrap();
                session.engine_ready(now, config, Vec::new()).unwrap();
            }
            Work::Flushed(token) => {
                if self.hear_next(session, now) {
                    self.due.insert(0, (Instant::now(), Work::Flushed(token)));
                } else {
                    session.engine_flushed(now, token).unwrap();
                }
            }
            Work::Drained => {
                if self.hear_next(session, now) {
                    self.due.insert(0, (Instant::now(), Work::Drained));
                } else {
                    session.engine_drained(now, self.received_ms).unwrap();
                }
            }
        }
    }

    /// The next segment, if there is audio that is not final yet.
    fn hear_next(&mut self, session: &mut ServerSession, now: Duration) -> bool {
        if self.told_ms >= self.received_ms {
            return false;
        }
        let end_ms = (self.told_ms + SEGMENT_MS).min(self.received_ms);
        let result = EngineResult {
            segment: self.segment,
            text: format!("word{}", self.segment),
            start_ms: self.told_ms,
            end_ms,
            ..EngineResult::default()
        };
        session.engine_final(now, result).unwrap();
        self.segment += 1;
        self.told_ms = end_ms;
        true
    }
}

/// Waits for the other tasks to have nothing left to do.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}
