//! Owns the client's state machine: one match over every pair of state and input, without a wildcard, so that a new message or
//! state does not compile until it is decided here. What an arm does stands in `act` and `end`; the table in the specification says
//! the same as data, and a test walks both.

use core::time::Duration;

use lastword_spec::table::State::{AwaitConfig, Closed, Configuring, Draining, Ended, Failing, Streaming};

use super::ClientSession;
use super::input::Input::{self, *};
use crate::fault::Fact;

impl ClientSession {
    /// Handles one input: does what is due and enters the next state.
    #[rustfmt::skip]
    pub(super) fn step(&mut self, now: Duration, input: Input) {
        self.state = match (self.state, input) {
            // -- AwaitConfig, Configuring: the server owes `ready` or a fatal error.
            // [CFG-S1]
            (Configuring, Ready(ready, missing)) => self.begin(now, *ready, &missing),
            // [CFG-S2]
            (AwaitConfig, Ready(..)) => self.violation(Fact::SecondReady),
            // [CFG-S2]
            (AwaitConfig | Configuring, Partial(_) | Final(_) | SpeechStarted(_) | SpeechEnded(_) | Flushed(_) | Updated(_)
                | KeepaliveAck(_) | SessionEnded(_)) => self.violation(Fact::MessageBeforeReady),
            // [PRG-S1]
            (AwaitConfig, Progress(_)) => self.violation(Fact::ProgressWithoutDebt),
            // [ERR-C1]
            (AwaitConfig | Configuring, FatalError(error)) => self.end_with_error(now, error),
            // [CON-C3]
            (AwaitConfig | Configuring, Close(code)) => self.closed_before_ready(code),
            // [CON-C3]
            (AwaitConfig | Configuring, Loss(error)) => self.lost_before_ready(&error),
            // [CON-C2]
            (AwaitConfig | Configuring, ReadyTimeout) => self.give_up_on_ready(now),

            // -- Streaming, Draining: results, answers, and the end.
            // [CFG-S2]
            (Streaming | Draining, Ready(..)) => self.violation(Fact::SecondReady),
            // [FIN-C1]
            (Streaming | Draining, Partial(partial)) => self.partial(partial),
            // [FIN-C1]
            (Streaming | Draining, Final(result)) => self.final_(now, result),
            // [VAD-S1] [VAD-S2]
            (Streaming | Draining, SpeechStarted(speech)) => self.speech_started(speech),
            // [VAD-S1] [VAD-S2]
            (Streaming | Draining, SpeechEnded(speech)) => self.speech_ended(speech),
            // [FLU-S2] [FLU-S5]
            (Streaming | Draining, Flushed(flushed)) => self.flushed(now, flushed),
            // [UPD-S1]
            (Streaming | Draining, Updated(updated)) => self.updated(updated),
            // [KA-S6]
            (Streaming | Draining, KeepaliveAck(ack)) => self.acknowledged(&ack),
            // [PRG-C1]
            (Configuring | Streaming | Draining, Progress(progress)) => self.progress(now, &progress),
            // [ERR-C1]
            (AwaitConfig | Configuring | Streaming | Draining, Warning(warning)) => self.warning(warning),
            // [ERR-S4] [ERR-C2]
            (AwaitConfig | Configuring | Streaming | Draining, Error(error)) => self.complaint(error),
            // [ERR-C1] [KA-C3]
            (Streaming | Draining, FatalError(error)) => self.fail(now, error),
            // [END-C3] [END-C7] [END-C8]
            (Streaming | Draining | Failing, SessionEnded(ended)) => self.session_ended(now, ended),
            // [END-C5] [CLO-C2]
            (Streaming | Draining, Close(code)) => self.closed_without_end(code),
            // [END-C5] [ERR-C3]
            (Streaming | Draining, Loss(error)) => self.lost(error),
            // [KA-C1] [KA-C2]
            (Streaming, KeepaliveDue) => self.keepalive(now),
            // [KA-C4]
            (Streaming, ProbeDue) => self.probe(now),
            // [KA-C4]
            (Streaming | Draining, SilenceTimeout) => self.give_up_on_silence(now),
            // [FLU-C3]
            (Streaming, FlushTimeout) => self.give_up_on_flush(),
            // [END-C5]
            (Draining, DrainTimeout) => self.give_up_on_drain(now),

            // -- Failing: the fatal error has been told; `session_ended`, the Close or a short bound ends the events.
            // [ERR-S3]
            (Failing, Ready(..) | Partial(_) | Final(_) | SpeechStarted(_) | SpeechEnded(_) | Flushed(_) | Updated(_)
                | KeepaliveAck(_) | Progress(_) | Warning(_) | Error(_) | FatalError(_)) => self.violation(Fact::MessageAfterFatalError),
            // [ERR-C1]
            (Failing, Close(code)) => self.closed_after_error(code),
            // [ERR-C1]
            (Failing, Loss(_)) => self.lost_after_error(),
            // [ERR-C1]
            (Failing, AfterErrorTimeout) => self.give_up_after_error(now),

            // -- Ended: the outcome has been told and this side's Close given out.
            // [END-S3]
            (Ended, Ready(..) | Partial(_) | Final(_) | SpeechStarted(_) | SpeechEnded(_) | Flushed(_) | Updated(_)
                | KeepaliveAck(_) | Progress(_) | Warning(_) | Error(_) | FatalError(_) | SessionEnded(_)) => self.late_message(),
            // [CLO-C2]
            (Ended, Close(_) | Loss(_)) => Closed,
            // [CLO-C4]
            (Ended, CloseTimeout) => self.drop_connection(),

            // -- What no state minds, and what none may be ended by.
            // [MSG-C1]
            (AwaitConfig | Configuring | Streaming | Draining | Failing | Ended, UnknownType) => self.state,
            // [MSG-C1] [MSG-2]
            (AwaitConfig | Configuring | Streaming | Draining | Failing, GarbageText) => self.violation(Fact::GarbageText),
            // [MSG-C1] [MSG-1]
            (AwaitConfig | Configuring | Streaming | Draining | Failing, GarbageBinary) => self.violation(Fact::BinaryFromServer),
            // [END-S3]
            (Ended, GarbageText | GarbageBinary) => self.late_message(),

            // -- The transport.
            (AwaitConfig | Configuring | Streaming | Draining | Failing, Transmitted) => self.transmitted(now),
            (Ended, Transmitted) => Ended,

            // -- The application.
            // [END-C1] [END-C2]
            (AwaitConfig | Configuring | Streaming | Draining, End) => self.end_input(),
            // [END-C2] [CLO-C3]
            (Failing | Ended, End) => self.state,
            // [CLO-C1] [CLO-C3]
            (AwaitConfig | Configuring | Streaming | Draining, Cancel) => self.cancelled(now),
            // [END-C7] the error came first
            (Failing, Cancel) => self.give_up_after_error(now),
            // [CLO-C3]
            (Ended, Cancel) => Ended,

            // -- A timer that does not run in this state.
            (Streaming | Draining | Failing | Ended, ReadyTimeout)
            | (AwaitConfig | Configuring | Draining | Failing | Ended, KeepaliveDue | ProbeDue | FlushTimeout)
            | (AwaitConfig | Configuring | Failing | Ended, SilenceTimeout)
            | (AwaitConfig | Configuring | Streaming | Failing | Ended, DrainTimeout)
            | (AwaitConfig | Configuring | Streaming | Draining | Ended, AfterErrorTimeout)
            | (AwaitConfig | Configuring | Streaming | Draining | Failing, CloseTimeout) => self.state,

            // -- Closed: nothing is owed any more.
            (Closed, Ready(..) | Partial(_) | Final(_) | SpeechStarted(_) | SpeechEnded(_) | Flushed(_) | Updated(_) | KeepaliveAck(_)
                | Progress(_) | Warning(_) | Error(_) | FatalError(_) | SessionEnded(_) | UnknownType | GarbageText | GarbageBinary
                | Close(_) | Loss(_) | Transmitted | ReadyTimeout | KeepaliveDue | ProbeDue | SilenceTimeout | FlushTimeout
                | DrainTimeout | AfterErrorTimeout | CloseTimeout | End | Cancel) => Closed,
        };
    }
}
