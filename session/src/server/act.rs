//! Owns what the arms of the server's state machine do with what the client sends. Each act returns the next state. It knows nothing of when it is right.

use core::time::Duration;

use lastword_spec::PROTOCOL;
use lastword_spec::codec::DecodeError;
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{EffectiveConfig, ErrorMessage, KeepaliveAck, Ready, ServerMessage, Warning, WarningCode};
use lastword_spec::table::State::{self, AwaitConfig, Configuring, Draining, Streaming};

use super::end::Failure;
use super::engine::Stage;
use super::input::Input;
use super::negotiate::{ConfigRequest, cut, negotiate};
use super::results::Wanted;
use super::{OpenFlush, ServerOutput, ServerSession};
use crate::fault::{ApiMisuse, Fact, Violation};

const BAD_MESSAGES_THAT_END: u8 = 10;

/// Before and while Configuring.
impl ServerSession {
    pub(super) fn configure(&mut self, now: Duration, request: ConfigRequest) -> State {
        if request.config.is_err() {
            self.note(Fact::MalformedConfig);
        }
        match negotiate(request, &self.policy) {
            Ok(agreement) => {
                self.configured_at = now;
                self.engine.stage = Stage::Running;
                self.push(ServerOutput::StartEngine(Box::new(agreement.effective.clone())));
                self.agreement = Some(agreement);
                // A frame limit below a second of this audio would forbid frames that every client may send.
                self.limits.max_frame_bytes = self.limits.max_frame_bytes.max(self.bytes_per_second());
                Configuring
            }
            Err(refusal) => self.fail_at_once(now, Failure::refusal(refusal)),
        }
    }

    pub(super) fn refuse_audio_before_config(&mut self) -> State {
        self.rejected_frames += 1;
        self.refused_before_end = true;
        self.note(Fact::AudioBeforeConfig);
        AwaitConfig
    }

    pub(super) fn refuse_before_config(&mut self, id: Option<String>) -> State {
        self.note(Fact::ControlBeforeConfig);
        self.complain(ErrorCode::INVALID_STATE, "send `config` first: no other message is legal before it", None, id);
        AwaitConfig
    }

    pub(super) fn fail_without_config(&mut self, now: Duration) -> State {
        self.note(Fact::NoConfigInTime);
        self.fail_at_once(
            now,
            Failure::new(ErrorCode::CONFIG_TIMEOUT, "no `config` came in time: send it right after connecting"),
        )
    }

    pub(super) fn wait(&mut self, input: Input) -> State {
        self.note(match input {
            Input::Audio(_) | Input::BrokenAudio => Fact::AudioBeforeReady,
            _ => Fact::ControlBeforeReady,
        });
        self.waiting_audio_bytes += input.audio_bytes();
        self.waiting.push_back(input.fit_to_wait());
        Configuring
    }

    pub(super) fn send_ready(
        &mut self,
        now: Duration,
        (engine, ignored): (EffectiveConfig, Vec<String>),
    ) -> Result<State, ApiMisuse> {
        let Some(mut agreement) = self.agreement.clone() else { return Ok(Configuring) };
        if engine.audio != agreement.effective.audio {
            return Err(ApiMisuse::EngineChangedAudio);
        }
        self.heard(now);
        if let Err(refusal) = agreement.amend(engine, ignored) {
            return Ok(self.fail_at_once(now, Failure::refusal(refusal)));
        }
        let config = &agreement.effective;
        self.results.wanted =
            Wanted { partials: config.interim_results, words: config.words, speech: config.vad_events };
        let mut capabilities = self.policy.capabilities.clone();
        capabilities.update = Some(false);
        self.send(ServerMessage::Ready(Box::new(Ready {
            session_id: self.session_id.clone(),
            // [VER-1]
            protocol: PROTOCOL.to_owned(),
            config: config.clone(),
            // [LIM-S1]
            limits: self.limits.clone(),
            capabilities,
            ignored: agreement.ignored.clone(),
        })));
        self.agreement = Some(agreement);
        self.note_activity(now);
        Ok(Streaming)
    }
}

/// What the client sends while Streaming and Draining.
impl ServerSession {
    pub(super) fn accept(&mut self, now: Duration, bytes: Vec<u8>) -> State {
        self.note_activity(now);
        // [AUD-S6]
        if !std::mem::replace(&mut self.container_checked, true)
            && (bytes.starts_with(b"RIFF") || bytes.starts_with(b"OggS"))
        {
            self.warn("container_in_raw_audio", "the audio begins like a file (WAV or Ogg): send the samples alone");
        }
        self.accepted_bytes += bytes.len() as u64;
        self.push(ServerOutput::Audio(bytes));
        Streaming
    }

    pub(super) fn refuse_broken_audio(&mut self) -> State {
        self.rejected_frames += 1;
        self.refused_before_end = true;
        self.note(Fact::BrokenAudioFrame);
        if !std::mem::replace(&mut self.invalid_audio_told, true) {
            let text =
                "a binary message was not whole sample groups and was dropped; further ones are dropped without a word";
            self.complain(ErrorCode::INVALID_AUDIO, text, None, None);
        }
        Streaming
    }

    pub(super) fn acknowledge(&mut self, seq: u64) -> State {
        self.send(ServerMessage::KeepaliveAck(KeepaliveAck { seq }));
        Streaming
    }

    pub(super) fn open_flush(&mut self, id: String) -> State {
        let token = self.next_flush_token;
        self.next_flush_token += 1;
        self.flushes.push_back(OpenFlush { token, id, position_ms: self.audio_received_ms() });
        self.push(ServerOutput::FlushEngine { token });
        Streaming
    }

    pub(super) fn refuse_update(&mut self, id: String) -> State {
        self.note(Fact::UpdateNotOffered);
        let text =
            "`update` is not offered here (see `capabilities` in `ready`): start a new session to change options";
        self.complain(ErrorCode::UNSUPPORTED_OPTION, text, None, Some(id));
        Streaming
    }

    pub(super) fn drain(&mut self) -> State {
        self.sentinel_seen = true;
        self.finish_engine();
        Draining
    }

    pub(super) fn answer_unknown_type(&mut self) -> State {
        self.complain(
            ErrorCode::UNKNOWN_TYPE,
            "this message type is not known here and was ignored",
            Some("type"),
            None,
        );
        self.state
    }

    pub(super) fn answer_bad_message(&mut self, error: &DecodeError) -> State {
        self.note(Fact::MalformedMessage);
        let param = (!error.path.is_empty()).then_some(error.path.as_str());
        self.complain(ErrorCode::BAD_MESSAGE, &readable(error), param, None);
        self.state
    }

    pub(super) fn refuse_in_state(&mut self, fact: Fact, message_type: &str, id: Option<String>) -> State {
        self.note(fact);
        let text = match self.state {
            Draining => format!("`{message_type}` is not legal after `end_of_stream` and was ignored"),
            _ => format!("`{message_type}` is not legal here and was ignored: a session has one, at its beginning"),
        };
        self.complain(ErrorCode::INVALID_STATE, &text, None, id);
        self.state
    }

    pub(super) fn refuse_audio_after_end(&mut self) -> State {
        self.rejected_frames += 1;
        self.note(Fact::AudioAfterSentinel);
        if !std::mem::replace(&mut self.audio_after_end_told, true) {
            let text = "audio after `end_of_stream` was discarded; send all audio before it, or start a new session";
            self.complain(ErrorCode::AUDIO_AFTER_END, text, None, None);
        }
        Draining
    }

    pub(super) fn refuse_second_end(&mut self) -> State {
        self.note(Fact::SecondSentinel);
        let text = "`end_of_stream` came a second time and was ignored: the session is already ending";
        self.complain(ErrorCode::DUPLICATE_END_OF_STREAM, text, None, None);
        Draining
    }

    pub(super) fn ignore_late_keepalive(&mut self) -> State {
        self.note(Fact::KeepaliveAfterSentinel);
        Draining
    }

    // [KA-S7]
    pub(super) fn note_activity(&mut self, now: Duration) {
        self.idle.reset(now, Duration::from_millis(self.limits.idle_timeout_ms));
    }

    /// A bad message with its count.
    pub(super) fn counted(&mut self, input: Input) -> Input {
        match input {
            Input::BadMessage(error) if matches!(self.state, AwaitConfig | Streaming | Draining) => {
                self.bad_messages += 1;
                if self.bad_messages < BAD_MESSAGES_THAT_END {
                    Input::BadMessage(error)
                } else {
                    Input::TenthBadMessage(error)
                }
            }
            input => input,
        }
    }
}

/// Outputs.
impl ServerSession {
    pub(super) fn push(&mut self, output: ServerOutput) {
        self.outputs.push_back(output);
    }

    pub(super) fn send(&mut self, message: ServerMessage) {
        self.push(ServerOutput::Send(message));
    }

    pub(super) fn send_all(&mut self, messages: impl IntoIterator<Item = ServerMessage>) {
        self.outputs.extend(messages.into_iter().map(ServerOutput::Send));
    }

    pub(super) fn note(&mut self, fact: Fact) {
        self.push(ServerOutput::Violation(Violation { fact, state: self.state }));
    }

    pub(super) fn warn(&mut self, code: &str, message: &str) {
        self.send(ServerMessage::Warning(Warning { code: WarningCode::from(code), message: message.to_owned() }));
    }

    /// A non-fatal error.
    fn complain(&mut self, code: ErrorCode, message: &str, param: Option<&str>, id: Option<String>) {
        self.send(ServerMessage::Error(ErrorMessage {
            code,
            message: message.to_owned(),
            fatal: false,
            retryable: false,
            retry_after_ms: None,
            param: param.map(|param| cut(param).to_owned()),
            id,
        }));
    }
}

/// The codec's sentence about a bad message, without what the client may have made up at length.
pub(super) fn readable(error: &DecodeError) -> String {
    cut(&error.to_string()).to_owned()
}
