//! Owns every way in which a session ends: the sentinel and the drain, fatal errors, timers, the Close of either side.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Leaving, Session, State};
use crate::fault::Fault;
use crate::hearing::ms;

/// The timer of a server that waits for more audio, and is saved by it.
const IDLE_READ: Duration = Duration::from_secs(5);
const LATE_FINAL: Duration = Duration::from_secs(14);
const LATE_CLOSE: Duration = Duration::from_secs(6);
/// Later than what may still have been under way when the client closed.
const LATE_WORDS: Duration = Duration::from_secs(4);
/// A silent closing pass, and from how much audio on there is one.
const SILENT_PASS: Duration = Duration::from_secs(6);
const LONG_AUDIO_MS: u64 = 13_000;

/// The close code that belongs to a reason.
fn close_code(reason: &str) -> u16 {
    match reason {
        "completed" => 1000,
        "config_timeout" | "idle_timeout" => 4408,
        "invalid_config" | "bad_message" => 4400,
        "unsupported_option" | "unsupported_audio" => 4422,
        "unknown_model" => 4404,
        "unauthenticated" => 4401,
        "rate_limited" => 4429,
        "invalid_state" => 4409,
        "message_too_large" => 1009,
        _ => 1011,
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    pub(super) fn sentinel(&mut self) {
        match self.state {
            State::Streaming => self.first_sentinel(),
            State::Draining => self.second_sentinel(),
            _ => {}
        }
    }

    fn first_sentinel(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        match self.server.fault() {
            Fault::SentinelIgnored => return,
            Fault::SentinelFails => return self.fail("internal", None),
            Fault::SentinelWithoutAudioFails if self.received_samples == 0 => return self.fail("internal", None),
            Fault::SentinelWithoutAudioCloses if self.received_samples == 0 => return self.close(1000),
            Fault::WorkerDies | Fault::ProgressOutlivesWorker | Fault::AcknowledgesForEver => engine.die(),
            Fault::LastWordNeedsSilence | Fault::TailNeedsSilence => engine.clip(),
            _ => {}
        }
        engine.end();
        self.state = State::Draining;
    }

    fn second_sentinel(&mut self) {
        self.memory.poked = true;
        self.memory.sentinels += 1;
        match self.server.fault() {
            Fault::SecondSentinelUnanswered | Fault::SecondSentinelEndsTwice => {}
            Fault::SecondSentinelIllegal => self.error("invalid_state", "it has ended", None),
            Fault::SecondSentinelFails => self.fail("invalid_state", None),
            Fault::SecondSentinelRestarts => {
                self.error("duplicate_end_of_stream", "end_of_stream came before", None);
                self.start_over();
                if let Some(engine) = &mut self.engine {
                    engine.end();
                }
            }
            _ => self.error("duplicate_end_of_stream", "end_of_stream came before", None),
        }
    }

    /// The recogniser has done all that it was given.
    pub(super) fn drained(&mut self) {
        if let Some(code) = self.failure {
            return self.failed(code);
        }
        let now = Instant::now();
        match self.server.fault() {
            Fault::NeverEndsWithLanguage if self.memory.language => {
                self.memory.waits = true;
                self.mute();
            }
            Fault::NeverEnds | Fault::WaitsForMore | Fault::WaitsForAudio if !self.has_what_it_wants() => {
                self.memory.waits = true;
                self.mute();
            }
            Fault::ProgressWithoutMotion => {}
            Fault::HeldByReadTimer | Fault::HeldBehindProgress => self.hold_until(now + IDLE_READ),
            Fault::HeldByIdleTimer => {
                self.hold_until(self.active_at + Duration::from_millis(self.limits.idle_timeout_ms));
            }
            Fault::LastFinalLate => self.hold_until(now + LATE_FINAL),
            Fault::ProgressUnsaid if ms(self.received_samples) > LONG_AUDIO_MS => self.hold_until(now + SILENT_PASS),
            Fault::SecondSentinelLosesFinal => {
                if self.memory.sentinels > 0 {
                    self.memory.held.clear();
                }
                self.masked_end();
            }
            Fault::LastFinalLost => {
                self.memory.held.clear();
                self.completed();
            }
            _ => self.completed(),
        }
    }

    fn hold_until(&mut self, at: Instant) {
        self.memory.waits = true;
        self.memory.drained_at = Some(at);
        self.mute();
    }

    fn mute(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.die();
        }
    }

    /// What a fault held back is set free by anything that comes after the sentinel.
    pub(super) fn released(&self) -> bool {
        self.memory.waits && self.has_what_it_wants()
    }

    fn has_what_it_wants(&self) -> bool {
        match self.server.fault() {
            Fault::WaitsForMore | Fault::HeldByReadTimer | Fault::HeldBehindProgress => self.memory.poked,
            Fault::WaitsForAudio => self.memory.late_audio,
            _ => false,
        }
    }

    /// The end that a fault held back.
    pub(super) fn masked_end(&mut self) {
        self.memory.drained_at = None;
        self.memory.waits = false;
        for held in std::mem::take(&mut self.memory.held) {
            self.finals += 1;
            self.say(held);
        }
        self.completed();
    }

    fn completed(&mut self) {
        let twice = self.is(Fault::SecondSentinelEndsTwice) && self.memory.sentinels > 0;
        if !self.is(Fault::SessionEndedUnsaid) {
            self.session_ended("completed", !self.incomplete);
        }
        if twice {
            self.session_ended("completed", !self.incomplete);
        }
        for held in std::mem::take(&mut self.memory.held) {
            self.say(held);
        }
        match self.server.fault() {
            Fault::WaitsForClientsClose => {
                self.state = State::Failing;
                self.mute();
            }
            Fault::RestartsAfterEnd => {
                self.state = State::Streaming;
                self.start_over();
            }
            _ => self.close(1000),
        }
    }

    fn session_ended(&mut self, reason: &str, complete: bool) {
        if let Some(slot) = self.slot.take() {
            slot.free();
        }
        let processed_ms = self.engine.as_ref().map_or(0, crate::engine::Engine::processed_ms);
        let received_ms = match self.server.fault() {
            Fault::MillisecondsPerFrame => self.memory.per_frame_ms,
            Fault::MillisecondsRoundedUp => (self.received_samples as u64).div_ceil(16),
            Fault::BytesForMilliseconds => self.received_samples as u64 * 2,
            _ => ms(self.received_samples),
        };
        let complete = match self.server.fault() {
            Fault::CompleteAlways => true,
            Fault::CompleteNever => false,
            Fault::CompleteUnlessRejected => complete && self.rejected_frames == 0,
            Fault::CompleteNotWithoutAudio => complete && self.received_samples > 0,
            _ => complete,
        };
        let finals = match self.server.fault() {
            Fault::FinalsOfAllSessions => self.server.finals_of_all.load(Ordering::SeqCst),
            _ => self.finals,
        };
        let processed_ms = match self.server.fault() {
            Fault::SecondSentinelRestarts => processed_ms,
            _ if complete => received_ms,
            _ => processed_ms.min(received_ms),
        };
        self.say(json!({
            "type": "session_ended",
            "reason": reason,
            "complete": complete,
            "audio_received_ms": received_ms,
            "audio_processed_ms": processed_ms,
            "rejected_frames": self.rejected_frames,
            "finals": finals,
        }));
    }

    /// Ends the session by a fatal error: after `ready` behind the finals of what was accepted.
    pub(super) fn fail(&mut self, code: &'static str, param: Option<&str>) {
        match self.state {
            State::AwaitConfig | State::Configuring => {
                self.say_fatal(code, param);
                if self.is(Fault::EndedBeforeReady) {
                    self.session_ended(code, false);
                }
                self.close(close_code(code));
            }
            State::Streaming | State::Draining => {
                self.failure = Some(code);
                if self.is(Fault::FinalsAfterError) {
                    self.say_fatal(code, param);
                }
                if let Some(engine) = self.engine.as_mut().filter(|_| self.state == State::Streaming) {
                    engine.end();
                }
                self.state = State::Failing;
            }
            State::Failing | State::Ended => {}
        }
    }

    fn failed(&mut self, code: &'static str) {
        if !self.is(Fault::FinalsAfterError) {
            self.say_fatal(code, None);
        }
        match self.server.fault() {
            Fault::FatalWithoutEnd => {}
            Fault::FatalEndsAsCompleted => self.session_ended("completed", false),
            Fault::IdleIsComplete if code == "idle_timeout" => self.session_ended(code, true),
            _ => self.session_ended(code, false),
        }
        self.close(close_code(code));
    }

    fn say_fatal(&mut self, code: &str, param: Option<&str>) {
        if self.is(Fault::FatalErrorUnsaid) {
            return;
        }
        self.fatal(code, param);
        if self.is(Fault::TalksAfterFatal) {
            self.say(json!({"type": "warning", "code": "usage", "message": "good-bye"}));
        }
    }

    pub(super) fn config_timeout(&mut self) {
        match self.server.fault() {
            Fault::ConfigTimeoutCloses => self.close(4408),
            _ => self.fail("config_timeout", None),
        }
    }

    pub(super) fn idle_timeout(&mut self) {
        match self.server.fault() {
            Fault::IdleCloses => self.close(4408),
            Fault::IdleDrops => self.leave_by(Leaving::AT_ONCE),
            Fault::IdleCompletes => {
                self.state = State::Draining;
                if let Some(engine) = &mut self.engine {
                    engine.end();
                }
            }
            _ => self.fail("idle_timeout", None),
        }
    }

    /// The server's own Close.
    pub(super) fn close(&mut self, code: u16) {
        let code = match self.server.fault() {
            Fault::ClosesAlways1000 => 1000,
            Fault::ClosesCompleted1011 if code == 1000 => 1011,
            Fault::ClosesFatal1008 if code != 1000 => 1008,
            Fault::ClosesIdle4400 if code == 4408 => 4400,
            _ => code,
        };
        match self.server.fault() {
            Fault::ClosesNever => return self.leave_by(Leaving::Never),
            Fault::ClosesByDropping => return self.leave_by(Leaving::AT_ONCE),
            Fault::ClosesLate => {
                return self.leave_by(Leaving::Dropping { after: LATE_CLOSE, last_words: close_frame(code) });
            }
            Fault::ClosesWithoutCode => self.link.push(Message::Close(None)),
            _ => self.link.push_close(code),
        }
        self.state = State::Ended;
    }

    /// The client's Close cancels: nothing more is said, and the library answers with its code.
    pub(super) fn closed_by_client(&mut self, frame: Option<CloseFrame>) {
        self.link.forget();
        if self.is(Fault::CancelledWordsStay)
            && let Some(engine) = &self.engine
        {
            self.server.leave_words(engine.open_words());
        }
        let code = frame.map_or(1000, |frame| u16::from(frame.code));
        let at_once = |last_words| Leaving::Dropping { after: Duration::ZERO, last_words };
        let leaving = match self.server.fault() {
            Fault::ClientCloseUnanswered => Leaving::Never,
            Fault::ClientCloseDrops => Leaving::AT_ONCE,
            Fault::ClientCloseAnswered1000 => at_once(close_frame(1000)),
            Fault::ClientCloseAnsweredEmpty => at_once(vec![0x88, 0]),
            Fault::TalksAfterClientClose => {
                let warning = text_frame(&json!({"type": "warning", "code": "usage", "message": "good-bye"}));
                Leaving::Dropping { after: LATE_WORDS, last_words: [warning, close_frame(code)].concat() }
            }
            _ => Leaving::Politely,
        };
        self.leave_by(leaving);
    }
}

fn close_frame(code: u16) -> Vec<u8> {
    [&[0x88, 2][..], &code.to_be_bytes()].concat()
}

/// A text frame of at most 125 bytes.
fn text_frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let length = u8::try_from(text.len()).unwrap_or(0);
    [&[0x81, length], text.as_bytes()].concat()
}
