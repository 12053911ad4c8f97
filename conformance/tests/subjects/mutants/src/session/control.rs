//! Owns what control messages do: their form first, then what they mean in the present state.

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Leaving, Session, State};
use crate::config::given;
use crate::fault::Fault;
use crate::json;
use crate::server::Fate;

const LAST_BAD_MESSAGE: u32 = 10;
/// What text must be nested like to bring a fault about.
const DEEP: usize = 5_000;

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(super) fn text(&mut self, text: &str) {
        if self.state == State::Failing {
            return;
        }
        if text.len() > self.limits.max_text_bytes {
            match self.server.fault() {
                Fault::LongTextServed => {}
                Fault::LongTextDropped => return,
                _ => return self.fail("message_too_large", None),
            }
        }
        if self.is(Fault::ShortTextRefused) && text.len() > 4_096 {
            return self.fail("message_too_large", None);
        }
        if text.matches(['[', '{']).nth(DEEP).is_some() && self.overcome_by_depth() {
            return;
        }
        if self.is(Fault::MalformedIsActivity) {
            self.touch();
        }
        match self.read(text) {
            Some(message) if self.is(Fault::SentinelByBytes) && is_unusual_sentinel(&message, text) => {}
            Some(message)
                if self.is(Fault::SentinelSoughtInText)
                    && text.contains("end_of_stream")
                    && is_unusual_sentinel(&message, text) => {}
            Some(message) => match given(&message, "type") {
                Some(Value::String(kind)) => self.message(kind, &message, text),
                _ => self.bad_message(Some("type")),
            },
            None => self.bad_message(None),
        }
    }

    fn read(&self, text: &str) -> Option<Map<String, Value>> {
        match self.server.fault() {
            Fault::MatchedByBytes if !text.contains("\"type\":\"") => None,
            Fault::JsonReadLoosely => match serde_json::from_str(text).ok()? {
                Value::Object(members) => Some(members),
                Value::Array(mut values) => {
                    Some(Map::from_iter([("type".to_owned(), values.pop().filter(Value::is_string)?)]))
                }
                _ => None,
            },
            _ => json::read(text),
        }
    }

    fn overcome_by_depth(&mut self) -> bool {
        match self.server.fault() {
            Fault::DepthCrashesProcess => self.server.meets(Fate::Crashed),
            Fault::DepthHangsProcess => self.server.meets(Fate::Hangs),
            Fault::DepthDropsConnection => self.leave_by(Leaving::AT_ONCE),
            Fault::DepthHangsSession => self.leave_by(Leaving::Never),
            _ => return false,
        }
        true
    }

    fn message(&mut self, kind: &str, message: &Map<String, Value>, text: &str) {
        let mut id = None;
        match kind {
            "flush" | "update" => match given(message, "id") {
                Some(Value::String(name)) if (1..=128).contains(&name.len()) => id = Some(name.clone()),
                Some(_) if self.is(Fault::WrongMemberServed) => id = Some("1".to_owned()),
                _ => return self.bad_message(Some("id")),
            },
            "keepalive" if given(message, "seq").is_some_and(|seq| seq.as_u64().is_none()) => {
                return self.bad_message(Some("seq"));
            }
            "config" | "keepalive" | "end_of_stream" => {}
            _ => return self.unknown_type(kind),
        }
        self.touch_by(kind);
        let id = id.as_deref();
        match (self.state, kind) {
            (State::AwaitConfig, "config") => self.configure(message, text),
            (State::AwaitConfig, _) => self.too_early(kind, id),
            (_, "keepalive") => self.keepalive(message),
            (_, "end_of_stream") => self.sentinel(),
            (State::Streaming, "config") => self.second_config(message, text),
            (State::Streaming, "flush") => self.flush(id.unwrap_or_default()),
            (State::Streaming, _) => self.update(message, id.unwrap_or_default()),
            _ => self.too_late(kind, id),
        }
    }

    /// Something came that counts as activity.
    pub(super) fn touch(&mut self) {
        self.active_at = Instant::now();
    }

    fn touch_by(&mut self, kind: &str) {
        let ignored = match self.server.fault() {
            Fault::KeepaliveIsNoActivity => kind == "keepalive",
            Fault::KeepaliveCountsAfterAudio => kind == "keepalive" && self.received_samples == 0,
            Fault::KeepaliveCountsAfterResult => kind == "keepalive" && self.finals == 0,
            Fault::FlushIsNoActivity => kind == "flush",
            _ => false,
        };
        if !ignored {
            self.touch();
        }
    }

    fn too_early(&mut self, kind: &str, id: Option<&str>) {
        match self.server.fault() {
            Fault::EarlyControlEnds => self.fail("invalid_state", None),
            Fault::EarlyControlUnanswered => {}
            _ => self.error("invalid_state", &format!("{kind} came before config"), id),
        }
    }

    fn too_late(&mut self, kind: &str, id: Option<&str>) {
        self.memory.poked = true;
        match self.server.fault() {
            Fault::LateFlushServed if kind == "flush" => {
                self.say(serde_json::json!({"type": "flushed", "id": id}));
            }
            Fault::LateControlUnanswered => {}
            Fault::LateControlWithoutId => self.error("invalid_state", "too late", None),
            _ => self.error("invalid_state", &format!("{kind} came after end_of_stream"), id),
        }
    }

    fn second_config(&mut self, message: &Map<String, Value>, text: &str) {
        match self.server.fault() {
            Fault::SecondConfigServed => self.configure(message, text),
            Fault::SecondConfigUnanswered => {}
            Fault::SecondConfigEnds => self.fail("invalid_state", None),
            Fault::SecondConfigTaken => {
                self.settings.interim_results |= message.get("interim_results") == Some(&Value::Bool(true));
                self.error("invalid_state", "a session has one config", None);
            }
            _ => self.error("invalid_state", "a session has one config", None),
        }
    }

    fn unknown_type(&mut self, kind: &str) {
        if !self.is(Fault::UnknownTypeIsNoActivity) {
            self.touch();
        }
        match self.server.fault() {
            Fault::UnknownTypeUnanswered => {}
            Fault::UnknownTypeIsBad => self.bad_message(Some("type")),
            Fault::UnknownTypeEnds => self.fail("internal", None),
            Fault::CredentialInError => self.error("unknown_type", &format!("there is no type {kind}"), None),
            _ => self.error("unknown_type", "there is no such type of message", None),
        }
    }

    fn bad_message(&mut self, param: Option<&str>) {
        self.bad_messages += 1;
        let last = match self.server.fault() {
            Fault::TenthBadForgiven => u32::MAX,
            Fault::ThirdBadEnds => 3,
            _ => LAST_BAD_MESSAGE,
        };
        if self.bad_messages >= last {
            return match self.server.fault() {
                Fault::TenthBadCloses => self.close(4400),
                _ => self.fail("bad_message", param),
            };
        }
        match self.server.fault() {
            Fault::BadMessageUnanswered => {}
            Fault::BadMessageDrops if param.is_none() => self.leave_by(Leaving::AT_ONCE),
            Fault::WrongMemberUnnamed => self.error("bad_message", "no well-formed message", None),
            _ => self.error_with("bad_message", "no well-formed message", None, param),
        }
        if self.is(Fault::NonFatalErrorEnds) {
            self.close(4400);
        }
    }

    fn keepalive(&mut self, message: &Map<String, Value>) {
        let seq = given(message, "seq").and_then(Value::as_u64);
        if self.state == State::Draining {
            self.memory.poked = true;
            return match (self.server.fault(), seq) {
                (Fault::LateKeepaliveRefused, _) => self.error("invalid_state", "keepalive after the end", None),
                (Fault::LateKeepaliveAcknowledged, Some(seq)) => self.acknowledge(seq),
                _ => {}
            };
        }
        match (self.server.fault(), seq) {
            (Fault::KeepaliveEnds, _) => self.fail("internal", None),
            (Fault::AcknowledgedUnasked, None) => self.acknowledge(0),
            (_, Some(seq)) => self.acknowledge(seq),
            _ => {}
        }
    }

    fn acknowledge(&mut self, seq: u64) {
        self.say(serde_json::json!({"type": "keepalive_ack", "seq": seq}));
    }

    fn flush(&mut self, id: &str) {
        match self.server.fault() {
            Fault::FlushEnds => return self.sentinel(),
            Fault::FlushRefused => return self.error("unsupported_option", "flush is not served", Some(id)),
            Fault::FlushedAtOnce => {
                self.say(serde_json::json!({"type": "flushed", "id": id}));
                return;
            }
            Fault::FlushOfNothingRefused if self.received_samples == 0 => {
                return self.error("invalid_state", "there is nothing to flush", Some(id));
            }
            Fault::FlushOfNothingUnanswered if self.received_samples == 0 => return,
            Fault::FlushWaitsForAudio => {
                return self.memory.held.push(serde_json::json!({"type": "flushed", "id": id}));
            }
            _ => {}
        }
        self.open_flushes += 1;
        if let Some(engine) = &mut self.engine {
            match self.server.fault() {
                Fault::FlushClipsLastWord | Fault::TailNeedsSilence => engine.clip(),
                Fault::FlushDropsOpenSpeech => engine.forget(),
                _ => {}
            }
            engine.flush(id.to_owned());
        }
    }
}

/// Whether this is an `end_of_stream` that most clients would have written otherwise.
fn is_unusual_sentinel(message: &Map<String, Value>, text: &str) -> bool {
    given(message, "type").and_then(Value::as_str) == Some("end_of_stream") && text != r#"{"type":"end_of_stream"}"#
}
