//! Owns how a session begins and how its options change: `config`, the credential, `ready`, what comes too early, `update`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Session, State};
use crate::config::{PROTOCOL, Refusal, check, endpointing_of, given, option, strings};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::link::Incoming;

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(super) fn configure(&mut self, message: &Map<String, Value>, text: &str) {
        self.memory.token = given(message, "token").and_then(Value::as_str).map(str::to_owned);
        let checked = check(message, self.server.fault());
        let later = self.is(Fault::CredentialCheckedLast) && checked.is_err();
        if !later && !self.admits(given(message, "token")) {
            let differs = self.is(Fault::CredentialCausesDiffer) && given(message, "token").is_none();
            self.mouth.set_reason(if differs { "no token was given" } else { "the credentials are missing or wrong" });
            return self.fail("unauthenticated", None);
        }
        match checked {
            Ok((settings, ignored)) => {
                self.memory.language = settings.language.is_some();
                self.settings = settings;
                self.ignored = ignored;
            }
            Err(refusal) => return self.refuse_config(&refusal, text),
        }
        let load_ms = match self.server.fault() {
            Fault::ReadyTooLate => 14_000,
            _ => self.server.options.engine.load_ms,
        };
        self.state = State::Configuring;
        self.ready_at = Instant::now() + Duration::from_millis(load_ms);
        if self.is(Fault::ReadyNever) {
            self.never_ready();
        }
        self.memory.muted |= self.is(Fault::ReadyTooLate);
    }

    /// One good credential is needed, in the header or here, and one that is wrong is always refused.
    fn admits(&self, shown: Option<&Value>) -> bool {
        let Some(token) = &self.server.options.token else { return true };
        match shown {
            _ if self.is(Fault::CredentialsNotAsked) => true,
            Some(_) if self.is(Fault::AnyTokenServed) => true,
            None => self.authorized && !self.is(Fault::HeaderNotEnough),
            Some(shown) => shown.as_str() == Some(token),
        }
    }

    fn refuse_config(&mut self, refusal: &Refusal, text: &str) {
        let param = refusal.param.as_deref();
        match (self.server.fault(), refusal.code) {
            (Fault::CredentialInRefusal, _) => self.mouth.set_reason(&format!("cannot serve {text}")),
            (Fault::RefusedConfigDrops, _) => return self.close(1011),
            (Fault::RefusedConfigUnanswered, _) => return self.never_ready(),
            (Fault::InvalidConfigUnnamed, "invalid_config") => return self.fail("invalid_config", None),
            (Fault::InvalidConfigInternal, "invalid_config") => return self.fail("internal", None),
            (Fault::InvalidConfigLeaf, "invalid_config") => {
                return self.fail("invalid_config", param.and_then(|path| path.rsplit('.').next()));
            }
            (Fault::InvalidConfigNotFatal, "invalid_config") => {
                self.error_with("invalid_config", "it is taken as if it were not there", None, param);
                self.state = State::Configuring;
                return;
            }
            _ => {}
        }
        self.fail(refusal.code, param);
    }

    /// Faults: it waits without a word.
    fn never_ready(&mut self) {
        self.state = State::Configuring;
        self.ready_at = Instant::now() + Duration::from_secs(86_400);
        self.memory.muted = true;
    }

    pub(super) fn ready(&mut self) {
        if self.is(Fault::ReadyWaitsForAudio) && !self.early.iter().any(|early| matches!(early, Incoming::Audio(_))) {
            return self.never_ready();
        }
        self.memory.muted = false;
        self.start_over();
        self.state = State::Streaming;
        self.touch();
        self.number = self.server.next_session();
        let limits = &self.limits;
        let ready = json!({
            "type": "ready",
            "session_id": format!("session-{}", self.number),
            "protocol": PROTOCOL,
            "config": self.settings.to_json(),
            "limits": {
                "idle_timeout_ms": limits.idle_timeout_ms,
                "keepalive_interval_ms": limits.keepalive_interval_ms,
                "ready_ms": limits.ready_ms,
                "flush_ms": limits.flush_ms,
                "drain_ms": limits.drain_ms,
                "close_ms": limits.close_ms,
                "progress_interval_ms": limits.progress_interval_ms,
                "max_step_ms": limits.max_step_ms,
                "max_frame_bytes": limits.max_frame_bytes,
                "max_text_bytes": limits.max_text_bytes,
                "max_session_ms": limits.max_session_ms,
                "max_buffered_audio_ms": limits.max_buffered_audio_ms,
            },
            "capabilities": {
                "encodings": ["pcm_s16le"],
                "sample_rates_hz": [16_000],
                "max_channels": 1,
                "update": true,
                "words": true,
                "vad_events": true,
            },
            "ignored": self.ignored,
        });
        self.say(ready);
        if self.is(Fault::BinaryMessage) {
            self.link.push(Message::Binary(Bytes::from_static(&[0, 1])));
        }
    }

    /// A fresh recogniser.
    pub(super) fn start_over(&mut self) {
        self.engine = Some(Engine::new(self.server.options.engine, self.settings.endpointing, Instant::now()));
    }

    /// What comes between `config` and `ready` waits.
    pub(super) fn keep_early(&mut self, incoming: Incoming) {
        let text = match &incoming {
            Incoming::Text(text) => Some(text.as_str()),
            _ => None,
        };
        let is = |kind: &str| text.is_some_and(|text| text.contains(kind));
        match self.server.fault() {
            Fault::EarlyAudioDropped if text.is_none() => return,
            Fault::EarlyEndLost if is("end_of_stream") => return,
            Fault::EarlyControlLost if text.is_some() && !is("end_of_stream") => return,
            Fault::EarlyRefused => return self.error("invalid_state", "not ready yet", None),
            Fault::AcknowledgedBeforeReady if is("keepalive") => {
                self.say(json!({"type": "keepalive_ack", "seq": 7}));
                return;
            }
            Fault::ReadyWaitsForAudio if text.is_none() => self.ready_at = Instant::now(),
            _ => {}
        }
        self.early_bytes += match &incoming {
            Incoming::Text(text) => text.len(),
            Incoming::Audio(pcm) => pcm.len(),
            _ => 0,
        };
        self.early.push_back(incoming);
    }

    pub(super) fn update(&mut self, message: &Map<String, Value>, id: &str) {
        match self.server.fault() {
            Fault::UpdateUnanswered => return,
            Fault::UpdateUnknown => return self.error("unknown_type", "there is no such type of message", None),
            Fault::UpdateWithoutId => return self.error("unsupported_option", "update is not served", None),
            _ => {}
        }
        let empty = Map::new();
        let asked = option(message, "endpointing", Value::as_object)
            .and_then(|asked| endpointing_of(asked.unwrap_or(&empty), self.settings.endpointing, Fault::None));
        let language = option(message, "language", Value::as_str);
        let keyterms = option(message, "keyterms", strings);
        let (endpointing, language, keyterms) = match (asked, language, keyterms) {
            (Ok(endpointing), Ok(language), Ok(keyterms)) => (endpointing, language, keyterms),
            (Err(wrong), _, _) | (_, Err(wrong), _) | (_, _, Err(wrong)) => {
                return self.error_with("bad_message", "a member is wrong", Some(id), wrong.param.as_deref());
            }
        };
        if keyterms.is_some() {
            return self.error_with("unsupported_option", "keyterms are not served", Some(id), Some("keyterms"));
        }
        self.settings.endpointing = endpointing;
        self.settings.language = language.map(str::to_owned).or_else(|| self.settings.language.take());
        if let Some(engine) = &mut self.engine {
            engine.update(endpointing);
        }
        self.say(json!({"type": "updated", "id": id, "config": self.settings.to_json()}));
        if self.is(Fault::UpdateAnsweredTwice) {
            self.say(json!({"type": "updated", "id": id, "config": self.settings.to_json()}));
        }
    }
}
