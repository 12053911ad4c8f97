//! Owns the ways in which a client's session ends, and the outcome of each. Knows nothing of when each is due.

use core::time::Duration;

use lastword_spec::close::{CloseCode, EndReason};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{ErrorMessage, SessionEnded};
use lastword_spec::table::State::{self, Closed, Draining, Ended, Failing};

use super::{ClientEvent, ClientOutput, ClientSession, IncompleteReason, Outcome};
use crate::fault::{Fact, TransportError};

/// The fatal error that a failing session is about.
pub(super) type FatalError = ErrorMessage;

impl ClientSession {
    /// A fatal error before `ready`: nothing but the Close follows it.
    pub(super) fn end_with_error(&mut self, now: Duration, error: ErrorMessage) -> State {
        self.server_done = true;
        self.tell(ClientEvent::Error(error.clone()));
        self.finish(outcome_of(error, None));
        self.close(now, CloseCode::NORMAL)
    }

    /// A fatal error after `ready`: told at once; `session_ended` should follow.
    pub(super) fn fail(&mut self, now: Duration, error: ErrorMessage) -> State {
        self.fatal_at = now;
        self.keepalive = None;
        self.tell(ClientEvent::Error(error.clone()));
        self.fatal = Some(error);
        Failing
    }

    pub(super) fn session_ended(&mut self, now: Duration, ended: SessionEnded) -> State {
        self.server_done = true;
        let outcome = match self.fatal.take() {
            Some(error) => outcome_of(error, Some(ended)),
            None => self.judge(ended),
        };
        self.finish(outcome);
        self.close(now, CloseCode::NORMAL)
    }

    // [END-C7] [END-C8]
    fn judge(&mut self, ended: SessionEnded) -> Outcome {
        let completed = ended.reason == EndReason::COMPLETED;
        let sent_ms = self.audio_sent_ms();
        let reason = if self.state != Draining {
            if completed || ended.complete {
                self.note(Fact::CompletedBeforeSentinel);
            }
            Some(IncompleteReason::EndedEarly)
        } else if ended.complete && (!completed || ended.rejected_frames > 0) {
            self.note(Fact::CompleteWithoutCompletion);
            Some(IncompleteReason::AccountContradicts)
        } else if ended.audio_received_ms > sent_ms
            || (ended.complete
                && (ended.audio_received_ms != sent_ms
                    || ended.audio_processed_ms != sent_ms
                    || ended.finals != self.finals_received))
        {
            self.note(Fact::CountersContradict);
            Some(IncompleteReason::AccountContradicts)
        } else if !ended.complete {
            Some(IncompleteReason::NotComplete)
        } else {
            None
        };
        match reason {
            None => Outcome::Complete(ended),
            Some(reason) => Outcome::Incomplete { reason, ended: Some(ended) },
        }
    }

    pub(super) fn closed_before_ready(&mut self, code: Option<u16>) -> State {
        self.note(Fact::ClosedWithoutError);
        self.finish(local_error("closed_before_ready", "the server closed before `ready` without saying why", true));
        self.echo_close(code)
    }

    pub(super) fn lost_before_ready(&mut self, error: &TransportError) -> State {
        if *error == TransportError::Eof {
            self.note(Fact::ConnectionDropped);
        }
        self.finish(local_error("closed_before_ready", &format!("before `ready`: {error}"), true));
        Closed
    }

    pub(super) fn closed_without_end(&mut self, code: Option<u16>) -> State {
        self.note(Fact::ClosedWithoutSessionEnded);
        self.finish(incomplete(IncompleteReason::Closed { code: code.map(CloseCode) }));
        self.echo_close(code)
    }

    pub(super) fn lost(&mut self, error: TransportError) -> State {
        if error == TransportError::Eof {
            self.note(Fact::ConnectionDropped);
        }
        self.finish(incomplete(IncompleteReason::ConnectionLost(error)));
        Closed
    }

    pub(super) fn closed_after_error(&mut self, code: Option<u16>) -> State {
        self.note(Fact::ClosedWithoutSessionEnded);
        self.finish_failed();
        self.echo_close(code)
    }

    pub(super) fn lost_after_error(&mut self) -> State {
        self.finish_failed();
        Closed
    }

    pub(super) fn give_up_after_error(&mut self, now: Duration) -> State {
        self.finish_failed();
        self.close(now, CloseCode::NORMAL)
    }

    pub(super) fn give_up_on_ready(&mut self, now: Duration) -> State {
        self.note(Fact::ReadyLate);
        self.finish(local_error("ready_timeout", "the server sent neither `ready` nor an error in time", true));
        self.close(now, CloseCode::PROTOCOL_ERROR)
    }

    pub(super) fn give_up_on_drain(&mut self, now: Duration) -> State {
        self.note(Fact::SessionEndedLate);
        self.give_up(now, IncompleteReason::DrainTimeout)
    }

    pub(super) fn give_up_on_silence(&mut self, now: Duration) -> State {
        self.note(Fact::ServerFellSilent);
        self.give_up(now, IncompleteReason::ConnectionLost(TransportError::Silence))
    }

    /// This side will not go on.
    pub(super) fn give_up(&mut self, now: Duration, reason: IncompleteReason) -> State {
        self.finish(incomplete(reason));
        self.close(now, CloseCode::PROTOCOL_ERROR)
    }

    pub(super) fn cancelled(&mut self, now: Duration) -> State {
        self.finish(Outcome::Cancelled);
        self.close(now, CloseCode::NORMAL)
    }

    /// After this side's own Close the server may not know yet that it should be silent.
    pub(super) fn late_message(&mut self) -> State {
        if self.server_done { self.violation(Fact::MessageAfterSessionEnded) } else { Ended }
    }

    pub(super) fn drop_connection(&mut self) -> State {
        self.outputs.push_back(ClientOutput::Drop);
        Closed
    }

    fn finish_failed(&mut self) {
        let outcome = match self.fatal.take() {
            Some(error) => outcome_of(error, None),
            None => incomplete(IncompleteReason::NotComplete),
        };
        self.finish(outcome);
    }

    /// The one place that tells the outcome: every open flush fails, then the events end.
    fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let sent = self.flushes.drain(..).filter(|flush| !flush.failed).map(|flush| flush.id);
        let open: Vec<String> = sent.chain(self.queue.clear()).collect();
        for id in open {
            self.tell(ClientEvent::FlushFailed { id });
        }
        self.keepalive = None;
        self.in_flight = None;
        self.tell(ClientEvent::Ended(outcome));
    }

    fn close(&mut self, now: Duration, code: CloseCode) -> State {
        self.closing_at = now;
        self.outputs.push_back(ClientOutput::Close { code });
        Ended
    }

    fn echo_close(&mut self, code: Option<u16>) -> State {
        self.outputs.push_back(ClientOutput::EchoClose { code: code.map(CloseCode) });
        Closed
    }
}

fn outcome_of(error: ErrorMessage, ended: Option<SessionEnded>) -> Outcome {
    let ErrorMessage { code, message, retryable, retry_after_ms, .. } = error;
    Outcome::Error { code, message, retryable, retry_after_ms, ended }
}

fn local_error(code: &str, message: &str, retryable: bool) -> Outcome {
    Outcome::Error {
        code: ErrorCode::from(code),
        message: message.to_owned(),
        retryable,
        retry_after_ms: None,
        ended: None,
    }
}

fn incomplete(reason: IncompleteReason) -> Outcome {
    Outcome::Incomplete { reason, ended: None }
}
