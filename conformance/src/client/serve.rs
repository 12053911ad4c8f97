//! Owns one connection of the scripted server: it reads all the time, unless the play says otherwise, and does what the play says
//! in the order of the client's messages. Every frame is noted before it is sent and as soon as it is received.

mod jam;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use lastword_spec::close::CloseCode;
use lastword_spec::trace::{Eof, EventKind, Side};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;

use super::form::written;
use super::gauge::Gauge;
use super::reader::{Flood, Incoming, Reader, Reading};
use super::script::{Act, Form, Play, ServerError};
use super::stage::Stage;
use super::tongue::{Meant, Tongue};
use crate::record::Recorder;

/// The translator of a connection on which another wire is spoken, and what its upgrade said.
pub(super) type Spoken = (Tongue, Vec<Meant>);

/// What has been heard of the client's input in one run, over all its connections.
#[derive(Default)]
pub(super) struct Heard {
    audio_ms: AtomicU64,
    /// When audio came first and last.
    audio_at: Mutex<Option<(Instant, Instant)>>,
    /// Its sentinel came.
    pub(super) sentinel: AtomicBool,
}

impl Heard {
    fn audio(&self, ms: u64) {
        self.audio_ms.fetch_add(ms, Ordering::AcqRel);
        let now = Instant::now();
        let mut at = self.audio_at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = Some((at.map_or(now, |(first, _)| first), now));
    }

    /// How much audio came, in milliseconds.
    pub(super) fn audio_ms(&self) -> u64 {
        self.audio_ms.load(Ordering::Acquire)
    }

    /// For how long none came; `None` where none ever did.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        self.audio_at.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, last)| last.elapsed())
    }

    /// How long ago the first of it came; `None` where none ever did.
    pub(super) fn begun_for(&self) -> Option<Duration> {
        self.audio_at.lock().unwrap_or_else(PoisonError::into_inner).map(|(first, _)| first.elapsed())
    }
}

/// How often a client is prompted before results are told as usual.
const PROMPTS: u64 = 5;
/// How long the end of a transport is waited for after both Closes.
const LINGER: Duration = Duration::from_secs(1);

/// Plays on one connection until it is over. `gauge` is that of its transport.
pub(super) async fn serve<S>(
    conn: u32,
    socket: WebSocketStream<S>,
    play: &Play,
    recorder: &Arc<Recorder>,
    gauge: &Gauge,
    heard: &Heard,
    spoken: Option<Spoken>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (writer, reader) = socket.split();
    let (reading, to_read) = watch::channel(Reading::On);
    let stops = Arc::new(AtomicU64::new(0));
    let (handing, incoming) = mpsc::unbounded_channel();
    let (tongue, said) = spoken.map_or((None, Vec::new()), |(tongue, said)| (Some(tongue), said));
    for meant in said {
        // The receiver stands right here.
        let _ = handing.send(Incoming::from(meant));
    }
    let ear = Reader {
        conn,
        tongue: tongue.clone(),
        recorder: Arc::clone(recorder),
        reading: to_read,
        handing,
        stops: Arc::clone(&stops),
        read_bytes: 0,
        flood: Flood::USUAL,
    };
    let hearing = tokio::spawn(ear.run(reader));
    let stage = match &tongue {
        Some(tongue) => Stage::unannounced(tongue.limits()),
        None => Stage::new(&play.limits),
    };
    let mut player = Player {
        heard,
        conn,
        writer,
        play,
        recorder,
        stage,
        incoming,
        reading,
        stops: &stops,
        gauge,
        last_audio: Instant::now(),
        prompts: 0,
        is_mute: false,
        is_over: false,
        next_when: 0,
        first_audio: None,
        next_after: 0,
        tongue,
    };
    player.run().await;
    drop(player);
    hearing.abort();
    let _ = hearing.await;
}

struct Player<'a, S> {
    conn: u32,
    writer: SplitSink<WebSocketStream<S>, Message>,
    play: &'a Play,
    recorder: &'a Recorder,
    heard: &'a Heard,
    stage: Stage,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    reading: watch::Sender<Reading>,
    /// How often the reader has stopped by itself.
    stops: &'a AtomicU64,
    gauge: &'a Gauge,
    last_audio: Instant,
    /// How often the client was prompted.
    prompts: u64,
    is_mute: bool,
    is_over: bool,
    /// The next of the play's points of the audio.
    next_when: usize,
    first_audio: Option<Instant>,
    /// The next of the play's points of time.
    next_after: usize,
    /// The translator, where the client speaks another wire.
    tongue: Option<Tongue>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Player<'_, S> {
    async fn run(&mut self) {
        self.perform(&self.play.opened).await;
        while !self.is_over {
            let (after, prompt) = (self.due(), self.prompt_due());
            let next = tokio::select! {
                biased;
                () = until(after) => {
                    self.perform_after().await;
                    continue;
                }
                next = self.incoming.recv() => next,
                () = until(prompt) => {
                    self.prompt().await;
                    continue;
                }
            };
            match next {
                Some(Incoming::Text(text)) => self.text(&text).await,
                Some(Incoming::Audio(bytes)) => self.audio(&bytes).await,
                Some(Incoming::Reply(message)) => self.send(message).await,
                Some(Incoming::Close) => {
                    // The library has queued the answer; this sends it.
                    let _ = self.writer.flush().await;
                    self.linger().await;
                }
                Some(Incoming::Over) | None => self.is_over = true,
                Some(Incoming::Flood) => self.cut(Eof::Fin),
            }
        }
    }

    /// When the next of the play's points of time comes; none does once the client has said its end.
    fn due(&self) -> Option<Instant> {
        let after = self.play.after.get(self.next_after).filter(|_| !self.stage.draining)?;
        Some(self.first_audio? + Duration::from_millis(after.ms))
    }

    async fn perform_after(&mut self) {
        if let Some(after) = self.play.after.get(self.next_after) {
            self.next_after += 1;
            self.perform(&after.acts).await;
        }
    }

    /// When a client that sends no audio is told a result all the same, where the play says so.
    fn prompt_due(&self) -> Option<Instant> {
        let waits = self.prompts < PROMPTS && self.stage.received_ms() > 0 && !self.stage.draining && !self.is_mute;
        let prompt_ms = self.play.prompt_ms.filter(|_| waits)?;
        Some(self.last_audio + Duration::from_millis(prompt_ms))
    }

    /// A result that nothing makes due. What brings a client to go on may be a partial, or only a final.
    async fn prompt(&mut self) {
        self.prompts += 1;
        self.last_audio = Instant::now();
        self.act(if self.prompts % 2 == 1 { &Act::Partial } else { &Act::Finals }).await;
    }

    async fn text(&mut self, text: &str) {
        let Ok(Value::Object(message)) = serde_json::from_str::<Value>(text) else { return };
        match message.get("type").and_then(Value::as_str).unwrap_or_default() {
            "config" => {
                self.stage.configure(&message);
                if let Some(ms) = self.play.jams_at_ms() {
                    // Whoever sends faster than this plays would have sent all of it before the act is due.
                    self.reading.send_replace(Reading::For(self.stage.bytes_of(ms)));
                }
                self.perform(&self.play.config).await;
            }
            "flush" if !self.stage.draining => {
                let id = message.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.stage.flushes.push_back(id);
                self.perform(&self.play.flush).await;
            }
            "keepalive" if !self.stage.draining => {
                if let Some(seq) = message.get("seq").and_then(Value::as_u64) {
                    self.stage.probes.push_back(seq);
                    self.perform(&self.play.probe).await;
                }
            }
            "end_of_stream" if !self.stage.draining => {
                self.stage.draining = true;
                self.heard.sentinel.store(true, Ordering::Release);
                self.perform(&self.play.end).await;
            }
            "end_of_stream" if !self.stage.ended => self.complain("duplicate_end_of_stream", None).await,
            "flush" | "update" if !self.stage.ended => self.complain("invalid_state", message.get("id")).await,
            // What a server says to anything else decides nothing about a client.
            _ => {}
        }
    }

    async fn audio(&mut self, bytes: &[u8]) {
        if self.stage.draining {
            self.stage.rejected += 1;
            if !self.stage.ended && !std::mem::replace(&mut self.stage.said_late_audio, true) {
                self.complain("audio_after_end", None).await;
            }
            return;
        }
        self.first_audio.get_or_insert_with(Instant::now);
        self.last_audio = Instant::now();
        let before_ms = self.stage.received_ms();
        self.stage.hears(bytes.len() as u64);
        self.heard.audio(self.stage.received_ms() - before_ms);
        while let Some(when) = self.play.when.get(self.next_when)
            && self.stage.received_ms() >= when.audio_ms
        {
            self.next_when += 1;
            self.perform(&when.acts).await;
        }
        while (self.play.results || self.prompts == PROMPTS)
            && !self.is_mute
            && let Some(result) = self.stage.due()
        {
            self.say(&result).await;
        }
    }

    async fn complain(&mut self, code: &str, id: Option<&Value>) {
        let mut error =
            json!({"type": "error", "code": code, "message": "refused", "fatal": false, "retryable": false});
        if let Some(id) = id {
            error["id"] = id.clone();
        }
        self.say(&error).await;
    }

    async fn perform(&mut self, acts: &[Act]) {
        for act in acts {
            if self.is_over || self.is_mute {
                return;
            }
            self.act(act).await;
        }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Ready => {
                let ready = self.stage.ready();
                self.say(&ready).await;
            }
            Act::Partial => {
                let partial = self.stage.partial();
                self.say(&partial).await;
            }
            Act::Finals => {
                while let Some(last) = self.stage.next_final() {
                    self.say(&last).await;
                }
            }
            Act::FinalAgain => {
                if let Some(last) = self.stage.final_again() {
                    self.say(&last).await;
                }
            }
            Act::Flushed => {
                let id = self.stage.flushes.pop_front().unwrap_or_default();
                self.say(&json!({"type": "flushed", "id": id})).await;
            }
            Act::Ack => {
                if let Some(seq) = self.stage.probes.pop_front() {
                    self.say(&json!({"type": "keepalive_ack", "seq": seq})).await;
                }
            }
            Act::Ended(ended) => {
                let last = self.stage.session_ended(ended.complete, &ended.reason);
                self.say(&last).await;
            }
            Act::Close(code) => self.close(*code).await,
            Act::Reset => self.cut(Eof::Reset),
            Act::Fin => self.cut(Eof::Fin),
            Act::Work(ms) => self.work(*ms).await,
            Act::Wait(ms) => sleep(Duration::from_millis(*ms)).await,
            Act::Error(ServerError { code, fatal, retryable }) => {
                let message = "the scripted server was told to say this";
                let error =
                    json!({"type": "error", "code": code, "message": message, "fatal": fatal, "retryable": retryable});
                self.say(&error).await;
            }
            Act::Send(object) => self.say(&Value::Object(object.clone())).await,
            Act::Raw(text) => self.send_text(text.clone()).await,
            Act::Binary(length) => {
                self.recorder.note_audio(self.conn, Side::Server, &vec![0; *length]);
                self.send(Message::Binary(vec![0; *length].into())).await;
            }
            Act::Mute => self.is_mute = true,
            Act::Deaf => {
                self.is_mute = true;
                self.recorder.note(self.conn, EventKind::Reads { reads: false });
                self.reading.send_replace(Reading::Off);
            }
            Act::Jam(jam) => {
                self.jam(*jam).await;
                self.last_audio = Instant::now();
            }
        }
    }

    /// Works for so long, and says so as often as it announced.
    async fn work(&mut self, ms: u64) {
        let end = Instant::now() + Duration::from_millis(ms);
        let interval = Duration::from_millis(self.stage.limits().progress_interval_ms * 4 / 5);
        while Instant::now() + interval < end && !self.is_over {
            sleep(interval).await;
            let progress = self.stage.progress();
            self.say(&progress).await;
        }
        sleep_until(end).await;
    }

    /// Closes, and waits for the client's part of it for as long as the specification gives it.
    async fn close(&mut self, code: u16) {
        self.recorder.note(
            self.conn,
            EventKind::Close { from: Side::Server, code: Some(CloseCode(code)), reason: String::new() },
        );
        let code = self.tongue.as_ref().map_or(Some(code), |tongue| tongue.close_code(code));
        let frame = code.map(|code| CloseFrame { code: WireCode::from(code), reason: "".into() });
        let _ = self.writer.send(Message::Close(frame)).await;
        let bound = Duration::from_millis(self.stage.limits().close_ms);
        let _ = tokio::time::timeout(bound, async {
            while !matches!(self.incoming.recv().await, None | Some(Incoming::Over)) {}
        })
        .await;
        self.is_over = true;
    }

    /// Waits for the end of the transport after the client's Close.
    async fn linger(&mut self) {
        let _ = tokio::time::timeout(LINGER, async {
            while !matches!(self.incoming.recv().await, None | Some(Incoming::Over)) {}
        })
        .await;
        self.is_over = true;
    }

    fn cut(&mut self, how: Eof) {
        self.recorder.note(self.conn, EventKind::Eof { from: Side::Server, how });
        self.gauge.reset.store(how == Eof::Reset, Ordering::Release);
        self.is_over = true;
    }

    async fn say(&mut self, message: &Value) {
        let form = if self.tongue.is_some() { Form::Usual } else { self.play.form };
        self.send_text(written(message, form)).await;
    }

    async fn send_text(&mut self, text: String) {
        if let Some(tongue) = &self.tongue {
            for frame in tongue.say(self.conn, self.recorder, &text) {
                self.send(frame).await;
            }
            return;
        }
        self.recorder.note(self.conn, EventKind::Text { from: Side::Server, text: text.clone() });
        self.send(Message::text(text)).await;
    }

    async fn send(&mut self, message: Message) {
        if self.writer.send(message).await.is_err() {
            self.is_over = true;
        }
    }
}

/// Waits until then, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
