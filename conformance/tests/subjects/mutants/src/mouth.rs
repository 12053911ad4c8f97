//! Owns the faults that lie in what is said and in nothing else: each spoils, doubles or swallows a message on its way out. A
//! server without such a fault says what it was given.

use serde_json::{Value, json};

use crate::fault::Fault;

pub(crate) struct Mouth {
    fault: Fault,
    /// What the next fatal error says, if not the usual.
    reason: Option<String>,
    /// How many messages of the spoilt kind there were.
    count: u64,
    texts: Vec<String>,
    /// Where the times of a fault start, in milliseconds.
    base_ms: u64,
    end_ms: u64,
}

impl Mouth {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, reason: None, count: 0, texts: Vec::new(), base_ms: 0, end_ms: 0 }
    }

    pub(crate) fn set_reason(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
    }

    pub(crate) fn take_reason(&mut self) -> Option<String> {
        self.reason.take()
    }

    /// What is said instead of `message`.
    pub(crate) fn utter(&mut self, message: Value) -> Vec<Value> {
        match message["type"].as_str().unwrap_or_default() {
            "ready" => self.ready(message),
            "partial" | "final" => self.result(message),
            "speech_started" | "speech_ended" => self.speech(message),
            "error" => vec![self.error(message)],
            "progress" => self.progress(message),
            "keepalive_ack" => self.acknowledgement(message),
            "flushed" => self.flushed(message),
            "session_ended" => self.ended(message),
            _ => vec![message],
        }
    }

    fn ready(&self, mut ready: Value) -> Vec<Value> {
        match self.fault {
            Fault::ProtocolWithMinor => ready["protocol"] = "lastword.v1.0".into(),
            Fault::LimitMissing => remove(&mut ready["limits"], "max_step_ms"),
            Fault::LimitBelowMinimum => ready["limits"]["max_text_bytes"] = 1_024.into(),
            Fault::KeepaliveIntervalLong => {
                ready["limits"]["keepalive_interval_ms"] =
                    (ready["limits"]["idle_timeout_ms"].as_u64().unwrap_or(0) / 2).into();
            }
            Fault::ReadyConfigIncomplete => remove(&mut ready["config"], "endpointing"),
            Fault::ReadyTwice => return vec![ready.clone(), ready],
            Fault::SaysKeepalive => return vec![ready, json!({"type": "keepalive"})],
            _ => {}
        }
        vec![ready]
    }

    fn result(&mut self, mut result: Value) -> Vec<Value> {
        let is_final = result["type"] == "final";
        let (start_ms, end_ms) = (number(&result, "start_ms"), number(&result, "end_ms"));
        let text = result["text"].as_str().unwrap_or_default().to_owned();
        match self.fault {
            Fault::PartialAfterFinal if is_final => {
                let mut partial = result.clone();
                partial["type"] = "partial".into();
                partial["revision"] = 99.into();
                return vec![result, partial];
            }
            Fault::FinalTwice if is_final => return vec![result.clone(), result],
            Fault::FinalsRestate if is_final => {
                self.texts.push(text);
                result["text"] = self.texts.join(" ").into();
            }
            Fault::SegmentsFromOne => result["segment_id"] = (number(&result, "segment_id") + 1).into(),
            Fault::SegmentsSkip => result["segment_id"] = (number(&result, "segment_id") * 2).into(),
            Fault::SegmentsAllZero => result["segment_id"] = 0.into(),
            Fault::RevisionStands if !is_final => result["revision"] = 1.into(),
            Fault::TextWithSpace => result["text"] = format!(" {text}").into(),
            Fault::EmptyPartials if !is_final => result["text"] = "".into(),
            Fault::PartialsNotFinal if is_final => return Vec::new(),
            Fault::ConfidenceInPercent if is_final => result["confidence"] = 93.into(),
            Fault::ConfidenceInLogarithms if is_final => result["confidence"] = json!(-0.25),
            Fault::TimesInSeconds => {
                result["start_ms"] = json!(start_ms as f64 / 1_000.0);
                result["end_ms"] = json!(end_ms as f64 / 1_000.0);
            }
            Fault::TimesFromSegment => {
                result["start_ms"] = 0.into();
                result["end_ms"] = end_ms.saturating_sub(start_ms).into();
            }
            Fault::EverySecondStartsAtZero if is_final => {
                self.count += 1;
                if self.count % 2 == 1 {
                    result["start_ms"] = 0.into();
                }
            }
            Fault::TimesFromFlush => {
                self.end_ms = end_ms;
                result["start_ms"] = start_ms.saturating_sub(self.base_ms).into();
                result["end_ms"] = end_ms.saturating_sub(self.base_ms).into();
            }
            Fault::TimesWithoutSilence => {
                result["start_ms"] = self.end_ms.into();
                result["end_ms"] = (self.end_ms + end_ms.saturating_sub(start_ms)).into();
                self.end_ms += if is_final { end_ms.saturating_sub(start_ms) } else { 0 };
            }
            Fault::EndBeyondAudio if is_final => result["end_ms"] = (end_ms + 60_000).into(),
            Fault::EndBeforeStart if is_final => {
                result["start_ms"] = end_ms.into();
                result["end_ms"] = start_ms.into();
            }
            Fault::WordsBeyondResult => words(&mut result, |words| {
                if let Some(last) = words.last_mut() {
                    last["end_ms"] = (end_ms + 100).into();
                }
            }),
            Fault::WordsFromSegment => words(&mut result, |words| {
                for word in words {
                    word["start_ms"] = number(word, "start_ms").saturating_sub(start_ms).into();
                    word["end_ms"] = number(word, "end_ms").saturating_sub(start_ms).into();
                }
            }),
            Fault::WordsBackwards => words(&mut result, |words| words.reverse()),
            Fault::ChannelMissing if is_final => remove(&mut result, "channel"),
            Fault::TextIsNull if is_final => result["text"] = Value::Null,
            Fault::SpeechEndedAfterFinal if is_final => {
                let ended = json!({"type": "speech_ended", "end_ms": end_ms, "channel": 0});
                return if self.count > 0 { vec![result, ended] } else { vec![result] };
            }
            _ => {}
        }
        vec![result]
    }

    fn speech(&mut self, event: Value) -> Vec<Value> {
        self.count += 1;
        match (self.fault, event["type"].as_str()) {
            (Fault::SpeechEndedAfterFinal | Fault::SpeechNeverEnds, Some("speech_ended")) => Vec::new(),
            (Fault::SpeechStartsTwice, Some("speech_started")) => vec![event.clone(), event],
            _ => vec![event],
        }
    }

    fn error(&mut self, mut error: Value) -> Value {
        let fatal = error["fatal"] == true;
        match self.fault {
            Fault::ErrorsRepeatAnId => match error["id"].as_str() {
                Some(id) => self.texts.push(id.to_owned()),
                None => {
                    if let Some(id) = self.texts.last() {
                        error["id"] = id.clone().into();
                    }
                }
            },
            Fault::ErrorWithoutRetryable => remove(&mut error, "retryable"),
            Fault::ErrorWithoutFatal if !fatal => remove(&mut error, "fatal"),
            Fault::IdleNotRetryable if error["code"] == "idle_timeout" => error["retryable"] = false.into(),
            Fault::StackTraceInError => {
                error["message"] =
                    "Traceback (most recent call last):\n  File \"server.py\", line 12, in on_message\nKeyError".into();
            }
            Fault::PathInError => {
                error["message"] = "no handler in /usr/lib/python3/site-packages/app/handlers.py".into()
            }
            _ => {}
        }
        error
    }

    fn progress(&mut self, mut progress: Value) -> Vec<Value> {
        self.count += 1;
        let processed_ms = number(&progress, "audio_processed_ms");
        match self.fault {
            Fault::ProgressUnsaid => return Vec::new(),
            Fault::ProgressFromZero => progress["seq"] = (number(&progress, "seq") - 1).into(),
            Fault::ProgressStands => progress["seq"] = 1.into(),
            Fault::ProgressFalls if self.count.is_multiple_of(2) => {
                progress["audio_processed_ms"] = 0.into();
            }
            Fault::ProgressExceeds => progress["audio_processed_ms"] = (processed_ms + 60_000).into(),
            _ => {}
        }
        vec![progress]
    }

    fn acknowledgement(&mut self, mut ack: Value) -> Vec<Value> {
        self.count += 1;
        match self.fault {
            Fault::AcknowledgementUnsaid => return Vec::new(),
            Fault::AcknowledgementOfZeroUnsaid if ack["seq"] == 0 => return Vec::new(),
            Fault::AcknowledgementTwice => return vec![ack.clone(), ack],
            Fault::AcknowledgementOfOther => ack["seq"] = (number(&ack, "seq") + 1).into(),
            Fault::AcknowledgementCounts => ack["seq"] = self.count.into(),
            Fault::AcknowledgementInFloat => ack["seq"] = json!(number(&ack, "seq") as f64),
            _ => {}
        }
        vec![ack]
    }

    fn flushed(&mut self, mut flushed: Value) -> Vec<Value> {
        self.base_ms = self.end_ms;
        let id = flushed["id"].as_str().unwrap_or_default().to_owned();
        match self.fault {
            Fault::FlushedUnsaid => return Vec::new(),
            Fault::FlushedTwice => return vec![flushed.clone(), flushed],
            Fault::FlushedByOtherName => flushed["id"] = "flush-1".into(),
            Fault::FlushIdCut => flushed["id"] = id.chars().take(64).collect::<String>().into(),
            Fault::FlushIdAnsweredOnce if self.texts.contains(&id) => return Vec::new(),
            Fault::FlushIdAnsweredOnce => self.texts.push(id),
            Fault::FlushedUnasked => return vec![json!({"type": "flushed", "id": "unasked"}), flushed],
            _ => {}
        }
        vec![flushed]
    }

    fn ended(&self, mut ended: Value) -> Vec<Value> {
        let add = |ended: &mut Value, name: &str| ended[name] = (number(ended, name) + 1).into();
        match self.fault {
            Fault::EndedTwice => return vec![ended.clone(), ended],
            Fault::WarnsAfterEnd => {
                return vec![ended, json!({"type": "warning", "code": "usage", "message": "good-bye"})];
            }
            Fault::ReceivedOneMore => {
                add(&mut ended, "audio_received_ms");
                add(&mut ended, "audio_processed_ms");
            }
            Fault::ProcessedAboveReceived => add(&mut ended, "audio_processed_ms"),
            Fault::FinalsOneMore => add(&mut ended, "finals"),
            Fault::RejectedForgotten => ended["rejected_frames"] = 0.into(),
            Fault::ReasonDone if ended["reason"] == "completed" => ended["reason"] = "done".into(),
            Fault::EndedWithoutCounter => remove(&mut ended, "rejected_frames"),
            _ => {}
        }
        vec![ended]
    }
}

fn number(message: &Value, name: &str) -> u64 {
    message[name].as_u64().unwrap_or(0)
}

fn remove(message: &mut Value, name: &str) {
    if let Some(members) = message.as_object_mut() {
        members.remove(name);
    }
}

fn words(result: &mut Value, spoil: impl Fn(&mut Vec<Value>)) {
    if let Some(words) = result.get_mut("words").and_then(Value::as_array_mut) {
        spoil(words);
    }
}
