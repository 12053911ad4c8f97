//! One session of the test server: a loop over what comes, what was worked off, and what time it is.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_spec::codec::{DecodeError, Decoded, decode_client};
use lastword_spec::message::{AudioFormat, ClientMessage, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::recognizer::{Heard, Recognizer};
use super::{Fault, Setup, Slot, Socket, TICK};

const MAX_FRAME_BYTES: usize = 64_000;
const MAX_TEXT_BYTES: usize = 65_536;
const MAX_BUFFERED_MS: u64 = 5_000;
const PROGRESS_MS: u128 = 200;

struct Session<'a, T> {
    socket: Socket<T>,
    setup: &'a Setup,
    /// The header of the upgrade held the credential.
    authorized: bool,
    slot: Option<Slot>,
    config: Option<Config>,
    engine: Recognizer,
    /// What is to be done when the audio before it is worked off: a flush, by its id.
    flushes: VecDeque<(usize, String)>,
    sentinel: bool,
    poked: bool,
    rejected: u64,
    dropped: bool,
    told_invalid: bool,
    told_late: bool,
    bad: u32,
    progress: u64,
    told: Instant,
    active: Instant,
    opened: Instant,
    worked: Instant,
}

/// The session is over, by whichever side.
struct Over;

type Flow = Result<(), Over>;

pub(super) async fn run<T: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: Socket<T>,
    setup: &Setup,
    slot: Slot,
    authorized: bool,
) {
    let now = Instant::now();
    let mut session = Session {
        socket,
        setup,
        authorized,
        slot: Some(slot),
        config: None,
        engine: Recognizer::new(setup.rate_hz),
        flushes: VecDeque::new(),
        sentinel: false,
        poked: false,
        rejected: 0,
        dropped: false,
        told_invalid: false,
        told_late: false,
        bad: 0,
        progress: 0,
        told: now,
        active: now,
        opened: now,
        worked: now,
    };
    match setup.fault {
        Fault::UpgradesAndCloses => {
            let _ = session.close(1000).await;
        }
        Fault::Silent => while let Some(Ok(_)) = session.socket.next().await {},
        Fault::Echo => session.echo().await,
        _ => while session.step().await.is_ok() {},
    }
    // Reads until the other side is gone, so that the last message is not lost to a reset.
    session.slot = None;
    let drain = async { while let Some(Ok(_)) = session.socket.next().await {} };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), drain).await;
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<'_, T> {
    async fn step(&mut self) -> Flow {
        let reads = self.engine.backlog_ms() < MAX_BUFFERED_MS || self.sentinel;
        tokio::select! {
            biased;
            message = self.socket.next(), if reads => match message {
                Some(Ok(Message::Text(text))) => self.text(text.as_str()).await?,
                Some(Ok(Message::Binary(bytes))) => self.audio(&bytes).await?,
                // The library answers with the same code when it reads on.
                Some(Ok(Message::Close(_))) => return Err(Over),
                Some(Ok(_)) => {}
                Some(Err(tokio_tungstenite::tungstenite::Error::Utf8(_))) => return self.close(1007).await,
                Some(Err(_)) | None => return Err(Over),
            },
            () = tokio::time::sleep(TICK) => {}
        }
        if self.worked.elapsed() >= TICK {
            self.worked = Instant::now();
            self.work().await?;
        }
        self.timers().await
    }

    async fn say(&mut self, message: Value) -> Flow {
        self.socket.send(Message::text(message.to_string())).await.map_err(|_| Over)
    }

    /// A session that hangs holds its slot, and neither reads nor writes.
    async fn stop_if_asked(&mut self) {
        if self.setup.fault == Fault::StopsWhereAsked {
            std::future::pending::<()>().await;
        }
    }

    async fn close(&mut self, code: u16) -> Flow {
        self.slot = None;
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = self.socket.send(Message::Close(Some(frame))).await;
        Err(Over)
    }

    async fn error(&mut self, code: &str, param: Option<&str>, id: Option<&str>) -> Flow {
        self.stop_if_asked().await;
        let mut message =
            json!({"type": "error", "code": code, "message": "refused", "fatal": false, "retryable": false});
        if let Some(param) = param {
            message["param"] = param.into();
        }
        if let Some(id) = id {
            message["id"] = id.into();
        }
        if self.setup.fault == Fault::LeaksToken {
            message["message"] = format!("refused for {}", self.setup.token.as_deref().unwrap_or("nobody")).into();
        }
        self.say(message).await
    }

    /// A fatal error, `session_ended` where `ready` was sent, and the Close.
    async fn fail(&mut self, code: &str, close: u16, param: Option<&str>) -> Flow {
        if self.config.is_some() {
            self.finals(usize::MAX).await?;
        }
        let retryable = matches!(code, "idle_timeout" | "config_timeout");
        let mut message =
            json!({"type": "error", "code": code, "message": "over", "fatal": true, "retryable": retryable});
        if let Some(param) = param {
            message["param"] = param.into();
        }
        self.say(message).await?;
        if self.config.is_some() {
            self.say(self.ended(code, false)).await?;
        }
        self.close(close).await
    }

    fn ended(&self, reason: &str, complete: bool) -> Value {
        json!({"type": "session_ended", "reason": reason, "complete": complete,
            "audio_received_ms": self.engine.received_ms(), "audio_processed_ms": self.engine.processed_ms(),
            "rejected_frames": self.rejected, "finals": self.engine.finals})
    }

    async fn text(&mut self, text: &str) -> Flow {
        if text.len() > MAX_TEXT_BYTES {
            return self.fail("message_too_large", 1009, None).await;
        }
        match decode_client(text, u64::MAX) {
            Ok(Decoded::Message(ClientMessage::Config(config))) if self.config.is_none() => {
                self.configure(*config, unknown_options(text)).await
            }
            Ok(Decoded::Message(message)) => self.message(message).await,
            Ok(Decoded::Unknown { .. }) => {
                self.active = Instant::now();
                self.error("unknown_type", None, None).await
            }
            Err(fault) if fault.message_type.as_deref() == Some("config") && self.config.is_none() => {
                // Credentials come before everything else that may be wrong.
                let shown = serde_json::from_str::<Value>(text)
                    .ok()
                    .and_then(|config| config["token"].as_str().map(str::to_owned));
                if !self.admits(shown.as_deref()) {
                    return self.fail("unauthenticated", 4401, None).await;
                }
                self.fail("invalid_config", 4400, Some(&fault.path)).await
            }
            Err(fault) => self.bad_message(&fault).await,
        }
    }

    async fn bad_message(&mut self, fault: &DecodeError) -> Flow {
        self.bad += 1;
        if self.bad == 10 {
            return self.fail("bad_message", 4400, None).await;
        }
        if fault.message_type.as_deref() == Some("config") {
            return self.error("invalid_state", None, None).await;
        }
        let param = fault.message_type.is_some().then_some(fault.path.as_str());
        self.error("bad_message", param, None).await
    }

    async fn message(&mut self, message: ClientMessage) -> Flow {
        self.active = Instant::now();
        let id = match &message {
            ClientMessage::Flush(flush) => Some(flush.id.clone()),
            ClientMessage::Update(update) => Some(update.id.clone()),
            _ => None,
        };
        match message {
            ClientMessage::EndOfStream if self.config.is_some() => self.end().await,
            ClientMessage::Keepalive(keepalive) if self.config.is_some() => match keepalive.seq {
                Some(seq) if !self.sentinel => self.say(json!({"type": "keepalive_ack", "seq": seq})).await,
                _ => Ok(()),
            },
            ClientMessage::Flush(flush) if self.config.is_some() && !self.sentinel => {
                self.stop_if_asked().await;
                self.flushes.push_back((self.engine.received_bytes(), flush.id));
                Ok(())
            }
            ClientMessage::Update(update) if self.config.is_some() && !self.sentinel => {
                self.error("unsupported_option", None, Some(&update.id)).await
            }
            _ => self.error("invalid_state", None, id.as_deref()).await,
        }
    }

    /// One good credential is needed, in the header or here, and a bad one is always refused.
    fn admits(&self, shown: Option<&str>) -> bool {
        match (self.setup.token.as_deref(), shown) {
            (None, _) => true,
            (Some(_), None) => self.authorized,
            (Some(token), Some(shown)) => token == shown,
        }
    }

    async fn configure(&mut self, config: Config, unknown: Vec<String>) -> Flow {
        if !self.admits(config.token.as_deref()) {
            return self.fail("unauthenticated", 4401, None).await;
        }
        let effective = config.effective();
        let served_audio = AudioFormat { sample_rate_hz: self.setup.rate_hz, ..AudioFormat::default() };
        if effective.audio != served_audio {
            return self.fail("unsupported_audio", 4422, None).await;
        }
        if config.model.is_some() {
            return self.fail("unknown_model", 4404, None).await;
        }
        let served = ["audio", "interim_results", "endpointing", "language"];
        if let Some(path) = config.required.iter().find(|path| !served.contains(&path.split('.').next().unwrap_or("")))
        {
            let path = path.clone();
            return self.fail("unsupported_option", 4422, Some(&path)).await;
        }
        let asked = [
            (config.words == Some(true), "words"),
            (config.vad_events == Some(true), "vad_events"),
            (!config.keyterms.is_empty(), "keyterms"),
            (!config.languages.is_empty(), "languages"),
            (config.task.is_some(), "task"),
        ];
        let mut ignored = unknown;
        ignored.extend(asked.iter().filter(|(asked, _)| *asked).map(|(_, path)| (*path).to_owned()));
        let mut used = json!({"audio": effective.audio, "interim_results": effective.interim_results, "words": false,
            "vad_events": false, "endpointing": effective.endpointing});
        if let Some(language) = &config.language {
            used["language"] = language.as_str().into();
        }
        let idle = self.setup.idle_timeout_ms;
        let ready = json!({"type": "ready", "session_id": "s", "protocol": "lastword.v1", "config": used,
            "limits": {"idle_timeout_ms": idle, "keepalive_interval_ms": idle / 3, "ready_ms": 10000, "flush_ms": 5000,
                "drain_ms": 5000, "close_ms": 2000, "progress_interval_ms": 500, "max_step_ms": 1000,
                "max_frame_bytes": MAX_FRAME_BYTES, "max_text_bytes": MAX_TEXT_BYTES, "max_session_ms": 3_600_000,
                "max_buffered_audio_ms": MAX_BUFFERED_MS},
            "capabilities": {"encodings": ["pcm_s16le"], "sample_rates_hz": [self.setup.rate_hz], "max_channels": 1, "update": false,
                "words": false, "vad_events": false, "models": []},
            "ignored": ignored});
        self.config = Some(config);
        self.active = Instant::now();
        self.say(ready).await
    }

    async fn end(&mut self) -> Flow {
        if !self.sentinel {
            self.sentinel = true;
            return Ok(());
        }
        self.poked = true;
        if self.setup.fault == Fault::SecondSessionEnded {
            self.finals(usize::MAX).await?;
            self.say(self.ended("completed", !self.dropped)).await?;
            self.say(self.ended("completed", !self.dropped)).await?;
            return self.close(1000).await;
        }
        self.error("duplicate_end_of_stream", None, None).await
    }

    async fn audio(&mut self, bytes: &[u8]) -> Flow {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.config.is_none() {
            self.rejected += 1;
            self.dropped = true;
            return Ok(());
        }
        if self.sentinel {
            self.rejected += 1;
            self.poked = true;
            return if std::mem::replace(&mut self.told_late, true) {
                Ok(())
            } else {
                self.error("audio_after_end", None, None).await
            };
        }
        if bytes.len() > MAX_FRAME_BYTES {
            return self.fail("message_too_large", 1009, None).await;
        }
        if !bytes.len().is_multiple_of(2) {
            self.rejected += 1;
            self.dropped = true;
            return if std::mem::replace(&mut self.told_invalid, true) {
                Ok(())
            } else {
                self.error("invalid_audio", None, None).await
            };
        }
        self.active = Instant::now();
        self.engine.feed(bytes);
        Ok(())
    }

    /// A stretch of the engine's work, and what is due then.
    async fn work(&mut self) -> Flow {
        if self.config.is_none() {
            return Ok(());
        }
        let upto = self.flushes.front().map_or(usize::MAX, |(upto, _)| *upto);
        let step_ms = self.setup.speed * u64::try_from(TICK.as_millis()).unwrap_or(1);
        let partial = self.engine.work(step_ms, upto);
        let wanted = self.config.as_ref().is_some_and(|config| config.interim_results != Some(false));
        if let Some(heard) = partial.filter(|_| wanted) {
            let mut message = result("partial", &heard);
            message["revision"] = heard.revision.into();
            self.say(message).await?;
        }
        if let Some((upto, id)) = self.flushes.front().cloned()
            && self.engine.is_done(upto)
        {
            self.flushes.pop_front();
            self.finals(upto).await?;
            self.say(json!({"type": "flushed", "id": id})).await?;
        }
        if self.sentinel && self.flushes.is_empty() && self.engine.is_done(self.engine.received_bytes()) {
            return self.finish().await;
        }
        let owes = self.sentinel || !self.flushes.is_empty() || self.engine.backlog_ms() >= MAX_BUFFERED_MS;
        if owes && self.told.elapsed().as_millis() >= PROGRESS_MS && self.setup.fault != Fault::NeverEnds {
            self.progress += 1;
            self.told = Instant::now();
            let (seq, processed) = (self.progress, self.engine.processed_ms());
            self.say(json!({"type": "progress", "seq": seq, "audio_processed_ms": processed})).await?;
        }
        Ok(())
    }

    async fn finals(&mut self, upto: usize) -> Flow {
        while !self.engine.is_done(upto.min(self.engine.received_bytes())) {
            self.engine.work(u64::MAX / 64, upto);
        }
        match self.engine.close() {
            Some(heard) => self.say(result("final", &heard)).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> Flow {
        match self.setup.fault {
            Fault::NeverEnds => return Ok(()),
            Fault::WaitsForMore if !self.poked => return Ok(()),
            Fault::NoSessionEnded => {
                self.finals(usize::MAX).await?;
                return self.close(1000).await;
            }
            Fault::DropsLastFinal => {
                self.engine.close();
                self.engine.finals = self.engine.finals.saturating_sub(1);
            }
            Fault::FinalAfterEnd => {
                let last = self.engine.close();
                self.slot = None;
                self.say(self.ended("completed", !self.dropped)).await?;
                if let Some(heard) = last {
                    self.say(result("final", &heard)).await?;
                }
                return self.close(1000).await;
            }
            _ => self.finals(usize::MAX).await?,
        }
        self.slot = None;
        self.say(self.ended("completed", !self.dropped)).await?;
        self.close(1000).await
    }

    async fn timers(&mut self) -> Flow {
        let elapsed = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.config.is_none() && elapsed(self.opened) > self.setup.config_timeout_ms {
            return self.fail("config_timeout", 4408, None).await;
        }
        let idles = self.config.is_some() && !self.sentinel && self.flushes.is_empty();
        if !self.flushes.is_empty() || self.engine.backlog_ms() >= MAX_BUFFERED_MS {
            self.active = Instant::now();
        }
        if idles && elapsed(self.active) > self.setup.idle_timeout_ms {
            return self.fail("idle_timeout", 4408, None).await;
        }
        Ok(())
    }

    async fn echo(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if (message.is_text() || message.is_binary()) && self.socket.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn result(kind: &str, heard: &Heard) -> Value {
    json!({"type": kind, "segment_id": heard.segment_id, "text": heard.text, "start_ms": heard.start_ms,
        "end_ms": heard.end_ms, "channel": 0})
}

/// Members of a `config` that version 1 does not define.
fn unknown_options(text: &str) -> Vec<String> {
    const KNOWN: &[&str] = &[
        "type",
        "language",
        "languages",
        "model",
        "task",
        "audio",
        "interim_results",
        "words",
        "vad_events",
        "endpointing",
        "keyterms",
        "token",
        "required",
    ];
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Vec::new() };
    members.keys().filter(|name| !KNOWN.contains(&name.as_str()) && !name.starts_with("x_")).cloned().collect()
}
