//! Owns what the server says: results, answers, progress, errors, each through the mouth that may spoil it.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{Session, State};
use crate::fault::Fault;
use crate::hearing::{Heard, Sound};

const RETRYABLE: [&str; 5] = ["config_timeout", "idle_timeout", "rate_limited", "overloaded", "internal"];

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(super) fn say(&mut self, message: Value) {
        for message in self.mouth.utter(message) {
            if self.is(Fault::UnreadableFrame) && message["type"] == "final" {
                let opcode = OpCode::Data(Data::Reserved(3));
                self.link.push(Message::Frame(Frame::message(message.to_string(), opcode, true)));
                continue;
            }
            self.link.push(Message::text(message.to_string()));
        }
    }

    /// A non-fatal error.
    pub(super) fn error(&mut self, code: &str, message: &str, id: Option<&str>) {
        self.error_with(code, message, id, None);
    }

    pub(super) fn error_with(&mut self, code: &str, message: &str, id: Option<&str>, param: Option<&str>) {
        let mut error = json!({"type": "error", "code": code, "message": message, "fatal": false, "retryable": false});
        if let Some(id) = id {
            error["id"] = id.into();
        }
        if let Some(param) = param {
            error["param"] = param.into();
        }
        self.say(error);
    }

    pub(super) fn fatal(&mut self, code: &str, param: Option<&str>) {
        let message = self.mouth.take_reason().unwrap_or_else(|| "the session cannot go on".to_owned());
        let retryable = RETRYABLE.contains(&code);
        let mut error =
            json!({"type": "error", "code": code, "message": message, "fatal": true, "retryable": retryable});
        if let Some(param) = param {
            error["param"] = param.into();
        }
        self.say(error);
    }

    pub(super) fn progress(&mut self) {
        self.told_at = Instant::now();
        if self.is(Fault::AcknowledgesForEver) && self.state == State::Draining {
            return self.say(json!({"type": "keepalive_ack", "seq": 1}));
        }
        self.progress_seq += 1;
        let processed_ms = self.engine.as_ref().map_or(0, crate::engine::Engine::processed_ms);
        self.say(json!({"type": "progress", "seq": self.progress_seq, "audio_processed_ms": processed_ms}));
    }

    pub(super) fn result(&mut self, sound: Sound) {
        let events = self.settings.vad_events || self.is(Fault::SpeechEventsUnasked);
        match sound {
            Sound::Started { start_ms } if events => {
                self.say(json!({"type": "speech_started", "start_ms": start_ms, "channel": 0}));
            }
            Sound::Ended { end_ms } if events => {
                self.say(json!({"type": "speech_ended", "end_ms": end_ms, "channel": 0}));
            }
            Sound::Partial(heard) if self.settings.interim_results || self.is(Fault::PartialsUnwanted) => {
                let mut partial = self.to_json("partial", &heard);
                partial["revision"] = heard.revision.into();
                self.say(partial);
            }
            Sound::Final(heard) => self.last_word(&heard),
            _ => {}
        }
    }

    fn last_word(&mut self, heard: &Heard) {
        let mut last = self.to_json("final", heard);
        last["confidence"] = heard.confidence.into();
        match self.server.fault() {
            Fault::IdleWithoutFinals if self.state == State::Failing => return,
            // The one before it may go: the last one is held back, to be lost, late, or said after the end.
            Fault::LastFinalLost | Fault::LastFinalLate | Fault::FinalAfterEnd | Fault::SecondSentinelLosesFinal
                if self.state == State::Draining =>
            {
                if let Some(before) = self.memory.held.pop() {
                    self.finals += 1;
                    self.say(before);
                }
                return self.memory.held.push(last);
            }
            _ => {}
        }
        self.finals += 1;
        self.server.finals_of_all.fetch_add(1, Ordering::SeqCst);
        self.memory.last_final = Some(last.clone());
        match self.server.fault() {
            Fault::FinalOfAnotherSession => last["text"] = self.server.swap_last_text(last["text"].take()),
            Fault::EveryFourthForeign => {
                let before = self.server.swap_last_text(last["text"].clone());
                if self.number.is_multiple_of(4) {
                    last["text"] = before;
                }
            }
            Fault::CancelledWordsStay => {
                let mut words = self.server.take_left_words();
                words.extend(heard.words.iter().map(|word| word.text));
                last["text"] = words.join(" ").into();
            }
            _ => {}
        }
        self.say(last);
        if self.is(Fault::EndsAfterFinal) && self.state == State::Streaming {
            self.sentinel();
        }
    }

    pub(super) fn to_json(&self, kind: &str, heard: &Heard) -> Value {
        let text = heard.words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        let mut result = json!({
            "type": kind,
            "segment_id": heard.segment_id,
            "text": text,
            "start_ms": heard.start_ms,
            "end_ms": heard.end_ms,
            "channel": 0,
        });
        if self.settings.words {
            let word = |word: &crate::hearing::Word| json!({"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms});
            result["words"] = heard.words.iter().map(word).collect();
        }
        result
    }

    pub(super) fn flushed(&mut self, id: String) {
        self.open_flushes = self.open_flushes.saturating_sub(1);
        let nothing_new = self.finals == self.memory.finals_at_flush;
        let flushed = json!({"type": "flushed", "id": id});
        match self.server.fault() {
            Fault::FlushRepeatsFinal if nothing_new => {
                if let (Some(mut again), Some(engine)) = (self.memory.last_final.clone(), &mut self.engine) {
                    again["segment_id"] = engine.next_segment_id().into();
                    self.finals += 1;
                    self.say(again);
                }
            }
            Fault::FlushForgottenAtEnd if self.state == State::Draining => return,
            Fault::FlushedAfterEnd if self.state == State::Draining => return self.memory.held.push(flushed),
            Fault::FlushesAnsweredOnce if self.open_flushes > 0 => return,
            Fault::FlushesReversed => {
                self.memory.held.insert(0, flushed);
                if self.open_flushes == 0 {
                    for flushed in std::mem::take(&mut self.memory.held) {
                        self.say(flushed);
                    }
                }
                return;
            }
            _ => {}
        }
        self.memory.finals_at_flush = self.finals;
        self.say(flushed);
        self.memory.deaf = self.is(Fault::FlushDeafens);
        if self.is(Fault::FlushEndsAfterwards) && self.state == State::Streaming {
            self.sentinel();
        }
    }
}
