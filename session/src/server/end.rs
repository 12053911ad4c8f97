//! Owns the ways in which a server's session ends: after a drain, with a fatal error, by the client, by loss. Knows nothing of when
//! each is due.

use core::time::Duration;

use lastword_spec::close::{CloseCode, EndReason, close_code_for};
use lastword_spec::codec::DecodeError;
use lastword_spec::error_code::{ErrorCode, error_code_spec};
use lastword_spec::message::{ErrorMessage, ServerMessage, SessionEnded};
use lastword_spec::table::State::{self, AwaitConfig, Closed, Configuring, Draining, Ended, Failing, Streaming};

use super::act::readable;
use super::engine::Stage;
use super::negotiate::Refusal;
use super::{ServerOutput, ServerSession};
use crate::fault::{ApiMisuse, Fact};

/// Why a session cannot go on: the fatal error that its client will be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Failure {
    code: ErrorCode,
    message: String,
    param: Option<String>,
    retry_after_ms: Option<u64>,
}

impl Failure {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, retry_after_ms: None }
    }

    pub(super) fn engine(message: String) -> Self {
        Self::new(ErrorCode::INTERNAL, message)
    }

    pub(super) fn tenth_bad_message(error: &DecodeError) -> Self {
        Self::new(ErrorCode::BAD_MESSAGE, format!("the tenth bad message of this session: {}", readable(error)))
    }

    pub(super) fn refusal(refusal: Refusal) -> Self {
        let Refusal { code, message, param, retry_after_ms } = refusal;
        // A code that never ends a session, or that v1 does not define, has no close code.
        let code = if close_code_for(&EndReason::from(&code)).is_some() { code } else { ErrorCode::INTERNAL };
        Self { code, message, param, retry_after_ms }
    }

    pub(super) fn going_away() -> Self {
        Self::new(ErrorCode::GOING_AWAY, "the server shuts down; start a new session")
    }

    pub(super) fn max_duration() -> Self {
        Self::new(ErrorCode::MAX_DURATION, "the session reached its greatest length; start a new one")
    }

    pub(super) fn silent_engine() -> Self {
        Self::new(ErrorCode::INTERNAL, "the speech engine gave no sign of life; try again")
    }

    fn close_code(&self) -> CloseCode {
        close_code_for(&EndReason::from(&self.code)).unwrap_or(CloseCode::INTERNAL)
    }

    // [ERR-1]
    fn error(&self) -> ServerMessage {
        ServerMessage::Error(ErrorMessage {
            code: self.code.clone(),
            message: self.message.clone(),
            fatal: true,
            retryable: error_code_spec(self.code.as_str()).is_some_and(|spec| spec.retryable),
            retry_after_ms: self.retry_after_ms,
            param: self.param.clone(),
            id: None,
        })
    }
}

/// The ways in which a session ends.
impl ServerSession {
    pub(super) fn complete(&mut self, now: Duration, audio_processed_ms: u64) -> Result<State, ApiMisuse> {
        self.heard(now);
        self.note_processed(audio_processed_ms);
        self.engine.stage = Stage::Over;
        // [FLU-S4]
        while !self.flushes.is_empty() {
            self.answer_oldest_flush();
        }
        Ok(self.end(now, EndReason::COMPLETED, CloseCode::NORMAL, "completed", None))
    }

    /// The end of a failing session: what is final goes out, then the error. Spec: ERR-S3, END-S11.
    pub(super) fn end_failed(&mut self, now: Duration, drained_ms: Option<u64>) -> State {
        if let Some(audio_processed_ms) = drained_ms {
            self.note_processed(audio_processed_ms);
            self.engine.stage = Stage::Over;
        }
        let failure = self.failure.take().unwrap_or_else(Failure::silent_engine);
        let (reason, code) = (EndReason::from(&failure.code), failure.close_code());
        self.end(now, reason, code, "see the error", Some(failure))
    }

    /// The one place from which `session_ended` goes out.
    fn end(
        &mut self,
        now: Duration,
        reason: EndReason,
        code: CloseCode,
        close_reason: &'static str,
        failure: Option<Failure>,
    ) -> State {
        // [FIN-S2]
        let finals = self.results.close_all(self.audio_received_ms());
        self.send_all(finals);
        self.release();
        // [ERR-S3]
        if let Some(failure) = &failure {
            self.send(failure.error());
        }
        let audio_received_ms = self.audio_received_ms();
        let all_processed = self.engine.processed_ms == audio_received_ms;
        // [END-S8] [END-S9]
        self.send(ServerMessage::SessionEnded(SessionEnded {
            complete: reason == EndReason::COMPLETED && !self.refused_before_end && all_processed,
            reason,
            audio_received_ms,
            audio_processed_ms: self.engine.processed_ms,
            rejected_frames: self.rejected_frames,
            finals: self.results.finals_sent,
            message: None,
        }));
        self.close(now, code, close_reason)
    }

    /// A fatal error before `ready`: nothing is owed but the error and the Close. Spec: ERR-S1, ERR-S2.
    pub(super) fn fail_at_once(&mut self, now: Duration, failure: Failure) -> State {
        self.release();
        self.send(failure.error());
        self.close(now, failure.close_code(), "see the error")
    }

    /// A fatal error after `ready`: the finals of what was accepted come first. Spec: ERR-S3.
    pub(super) fn fail_after_finals(&mut self, failure: Failure) -> State {
        self.failure = Some(failure);
        self.finish_engine();
        Failing
    }

    /// The engine itself is the trouble: there is nothing to wait for.
    pub(super) fn fail_with_engine(&mut self, now: Duration, failure: Failure) -> State {
        self.failure = Some(failure);
        self.end_failed(now, None)
    }

    pub(super) fn fail_idle(&mut self) -> State {
        self.note(Fact::ClientFellSilent);
        let text =
            "nothing came for `idle_timeout_ms`: send audio or keepalives, and `end_of_stream` when the input ends";
        self.fail_after_finals(Failure::new(ErrorCode::IDLE_TIMEOUT, text))
    }

    pub(super) fn fail_oversize_frame(&mut self, now: Duration) -> State {
        self.rejected_frames += 1;
        self.refused_before_end |= !self.sentinel_seen;
        self.note(Fact::OversizeFrame);
        self.fail_oversize(now, "a binary message was longer than `max_frame_bytes`: send shorter frames")
    }

    pub(super) fn fail_oversize_text(&mut self, now: Duration) -> State {
        self.note(Fact::OversizeText);
        self.fail_oversize(now, "a text message was longer than `max_text_bytes`: send shorter messages")
    }

    fn fail_oversize(&mut self, now: Duration, text: &str) -> State {
        let failure = Failure::new(ErrorCode::MESSAGE_TOO_LARGE, text);
        match self.state {
            AwaitConfig | Configuring => self.fail_at_once(now, failure),
            Streaming | Draining | Failing | Ended | Closed => self.fail_after_finals(failure),
        }
    }

    pub(super) fn go_away(&mut self) -> State {
        self.warn("going_away", "the server shuts down: this session ends once the audio sent so far is final");
        self.fail_after_finals(Failure::going_away())
    }

    pub(super) fn cancel(&mut self, code: Option<u16>) -> State {
        self.release();
        self.push(ServerOutput::EchoClose { code: code.map(CloseCode) });
        Closed
    }

    pub(super) fn stop(&mut self) -> State {
        self.release();
        Closed
    }

    pub(super) fn drop_connection(&mut self) -> State {
        self.push(ServerOutput::Drop);
        Closed
    }

    pub(super) fn forget_what_waits(&mut self) {
        self.waiting.clear();
        self.waiting_audio_bytes = 0;
        self.flushes.clear();
    }

    fn close(&mut self, now: Duration, code: CloseCode, reason: &'static str) -> State {
        self.ended_at = now;
        self.push(ServerOutput::Close { code, reason });
        Ended
    }
}
