//! Owns the server's state machine: one match over every pair of state and input, without a wildcard, so that a new message or
//! state does not compile until it is decided here. What an arm does stands in `act`; the table in the specification says the same
//! as data, and a test walks both.

use core::time::Duration;

use lastword_spec::table::State::{AwaitConfig, Closed, Configuring, Draining, Ended, Failing, Streaming};

use super::ServerSession;
use super::end::Failure;
use super::input::Input::{self, *};
use crate::fault::{ApiMisuse, Fact};

impl ServerSession {
    /// Handles one input: does what is due and enters the next state. An `Err` has changed nothing.
    #[rustfmt::skip]
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Result<(), ApiMisuse> {
        let input = self.counted(input);
        if self.state == Streaming && input.is_wellformed_control() {
            self.note_activity(now);
        }
        self.state = match (self.state, input) {
            // -- AwaitConfig: the client owes `config`.
            // [CFG-S1] [CFG-S5] [CFG-S6] [CFG-S7] [CFG-S8] [CFG-S9] [SEC-S1]
            (AwaitConfig, Config(request)) => self.configure(now, *request),
            // [STA-S2]
            (AwaitConfig, Audio(_) | BrokenAudio) => self.refuse_audio_before_config(),
            // [AUD-S3]
            (AwaitConfig, EmptyAudio) => AwaitConfig,
            // [STA-S2]
            (AwaitConfig, Keepalive | KeepaliveSeq(_) | EndOfStream) => self.refuse_before_config(None),
            // [STA-S2]
            (AwaitConfig, Flush(id) | Update(id)) => self.refuse_before_config(Some(id)),
            // [MSG-S5]
            (AwaitConfig, UnknownType) => self.answer_unknown_type(),
            // [MSG-S4]
            (AwaitConfig, BadMessage(error)) => self.answer_bad_message(&error),
            // [MSG-S7] [ERR-S1]
            (AwaitConfig, TenthBadMessage(error)) => self.fail_at_once(now, Failure::tenth_bad_message(&error)),
            // [LIM-S2]
            (AwaitConfig, OversizeAudio) => self.fail_oversize_frame(now),
            // [LIM-S3]
            (AwaitConfig, OversizeText) => self.fail_oversize_text(now),
            // [CON-S3]
            (AwaitConfig, ConfigTimeout) => self.fail_without_config(now),
            // [ERR-S1]
            (AwaitConfig, EngineFailed { message }) => self.fail_at_once(now, Failure::engine(message)),
            // [REC-S1]
            (AwaitConfig, ShutDown) => self.fail_at_once(now, Failure::going_away()),

            // -- Configuring: the server owes `ready` or a fatal error.
            // [STA-S3]
            (Configuring, input @ (Config(_) | Audio(_) | BrokenAudio | Keepalive | KeepaliveSeq(_) | Flush(_) | Update(_)
                | EndOfStream | UnknownType | BadMessage(_) | TenthBadMessage(_))) => self.wait(input),
            // [AUD-S3]
            (Configuring, EmptyAudio) => Configuring,
            // [LIM-S2]
            (Configuring, OversizeAudio) => self.fail_oversize_frame(now),
            // [LIM-S3]
            (Configuring, OversizeText) => self.fail_oversize_text(now),
            // [CFG-S1] [CFG-S2] [CFG-S3]
            (Configuring, EngineReady(ready)) => self.send_ready(now, *ready)?,
            // [CFG-S6] [CFG-S7] [CON-S4]
            (Configuring, EngineRefused(refusal)) => self.fail_at_once(now, Failure::refusal(refusal)),
            // [ERR-S1]
            (Configuring, EngineFailed { message }) => self.fail_at_once(now, Failure::engine(message)),
            // [ERR-S1] [CFG-S1]
            (Configuring, EngineTimeout) => self.fail_at_once(now, Failure::silent_engine()),
            // [REC-S1]
            (Configuring, ShutDown) => self.fail_at_once(now, Failure::going_away()),

            // -- Streaming: the client owes audio, keepalive or the end; the server owes `flushed` and `keepalive_ack`.
            // [STA-S1]
            (Streaming, Config(_)) => self.refuse_in_state(Fact::SecondConfig, "config", None),
            // [AUD-S1] [AUD-S4] [AUD-S5]
            (Streaming, Audio(bytes)) => self.accept(now, bytes),
            // [AUD-S3]
            (Streaming, EmptyAudio) => Streaming,
            // [AUD-S2]
            (Streaming, BrokenAudio) => self.refuse_broken_audio(),
            // [LIM-S2]
            (Streaming, OversizeAudio) => self.fail_oversize_frame(now),
            // [KA-S3]
            (Streaming, Keepalive) => Streaming,
            // [KA-S6]
            (Streaming, KeepaliveSeq(seq)) => self.acknowledge(seq),
            // [FLU-1] [FLU-S1] [FLU-S2]
            (Streaming, Flush(id)) => self.open_flush(id),
            // [UPD-S1]
            (Streaming, Update(id)) => self.refuse_update(id),
            // [END-S1] [END-S2] [END-S7]
            (Streaming, EndOfStream) => self.drain(),
            // [MSG-S5]
            (Streaming | Draining, UnknownType) => self.answer_unknown_type(),
            // [MSG-S4] [MSG-S6]
            (Streaming | Draining, BadMessage(error)) => self.answer_bad_message(&error),
            // [MSG-S7]
            (Streaming | Draining, TenthBadMessage(error)) => self.fail_after_finals(Failure::tenth_bad_message(&error)),
            // [LIM-S3]
            (Streaming | Draining, OversizeText) => self.fail_oversize_text(now),
            // [KA-S2] [END-S11]
            (Streaming, IdleTimeout) => self.fail_idle(),
            // [LIM-S4] [END-S11]
            (Streaming, SessionTimeout) => self.fail_after_finals(Failure::max_duration()),
            // [REC-S1] [END-S11]
            (Streaming, ShutDown) => self.go_away(),

            // -- Draining: the server owes the finals and `flushed` still due, then `session_ended`.
            // [STA-S1]
            (Draining, Config(_)) => self.refuse_in_state(Fact::SecondConfig, "config", None),
            // [END-S4]
            (Draining, Audio(_) | BrokenAudio | OversizeAudio) => self.refuse_audio_after_end(),
            // [AUD-S3]
            (Draining, EmptyAudio) => Draining,
            // [KA-S5]
            (Draining, Keepalive | KeepaliveSeq(_)) => self.ignore_late_keepalive(),
            // [STA-S1]
            (Draining, Flush(id)) => self.refuse_in_state(Fact::ControlAfterSentinel, "flush", Some(id)),
            // [STA-S1]
            (Draining, Update(id)) => self.refuse_in_state(Fact::ControlAfterSentinel, "update", Some(id)),
            // [END-S5]
            (Draining, EndOfStream) => self.refuse_second_end(),
            // [END-S2] [FLU-S4] [FIN-S2] [CLO-S2]
            (Draining, EngineDrained { audio_processed_ms }) => self.complete(now, audio_processed_ms)?,
            // [REC-S1] the drain is what a shutdown waits for
            (Draining, ShutDown) => Draining,

            // -- Failing: the server still owes the finals of what it accepted, the error and `session_ended`.
            // [END-S11] [ERR-S3]
            (Failing, EngineDrained { audio_processed_ms }) => self.end_failed(now, Some(audio_processed_ms)),
            // [ERR-S1] [END-S11]
            (Failing, EngineFailed { .. } | EngineTimeout) => self.end_failed(now, None),
            // [END-S11] the session is over for the client; what it sends now changes nothing
            (Failing, Config(_) | Audio(_) | EmptyAudio | BrokenAudio | OversizeAudio | Keepalive | KeepaliveSeq(_) | Flush(_)
                | Update(_) | EndOfStream | UnknownType | BadMessage(_) | TenthBadMessage(_) | OversizeText | ShutDown) => Failing,

            // -- Streaming, Draining, Failing: what the engine tells.
            // [FIN-S4] [FIN-S5] [FIN-S6]
            (Streaming | Draining | Failing, EnginePartial(result)) => self.send_partial(now, result)?,
            // [FIN-S1] [FIN-S3]
            (Streaming | Draining | Failing, EngineFinal(result)) => self.send_final(now, result)?,
            // [VAD-S1] [VAD-S2]
            (Streaming | Draining | Failing, EngineSpeechStarted { channel, start_ms }) => self.send_speech_started(now, channel, start_ms),
            // [VAD-S1]
            (Streaming | Draining | Failing, EngineSpeechEnded { channel, end_ms }) => self.send_speech_ended(now, channel, end_ms),
            // [FLU-S1] [FLU-S2]
            (Streaming | Draining | Failing, EngineFlushed { token }) => self.close_flush(now, token)?,
            // [ERR-S1] [END-S11] nothing more can come of this engine, so the end comes at once
            (Streaming | Draining, EngineFailed { message }) => self.fail_with_engine(now, Failure::engine(message)),
            // [PRG-S5] [END-S11]
            (Streaming | Draining, EngineTimeout) => self.fail_with_engine(now, Failure::silent_engine()),
            // [PRG-S1] [PRG-S2] [PRG-S3] [PRG-S5]
            (Configuring | Streaming | Draining | Failing, EngineProgress { audio_processed_ms }) => self.progress(now, audio_processed_ms),
            // [BP-S1]
            (Configuring | Streaming | Draining | Failing, EngineBacklog { waiting_ms }) => self.note_backlog(now, waiting_ms),

            // -- Ended: the server owes Close, which has been given out; it reads and discards until the client's.
            // [END-S3] [CLO-S4]
            (Ended, Config(_) | Audio(_) | EmptyAudio | BrokenAudio | OversizeAudio | Keepalive | KeepaliveSeq(_) | Flush(_)
                | Update(_) | EndOfStream | UnknownType | BadMessage(_) | TenthBadMessage(_) | OversizeText | ShutDown) => Ended,
            // [CLO-S4]
            (Ended, Close(_) | Loss) => Closed,
            // [CLO-S4]
            (Ended, CloseTimeout) => self.drop_connection(),

            // -- The ends of the connection before that.
            // [CLO-S3]
            (AwaitConfig | Configuring | Streaming | Draining | Failing, Close(code)) => self.cancel(code),
            // [REC-S2]
            (AwaitConfig | Configuring | Streaming | Draining | Failing, Loss) => self.stop(),

            // -- A timer that does not run in this state.
            (Configuring | Streaming | Draining | Failing | Ended, ConfigTimeout)
            | (AwaitConfig | Configuring | Draining | Failing | Ended, IdleTimeout | SessionTimeout)
            | (AwaitConfig | Ended, EngineTimeout)
            | (AwaitConfig | Configuring | Streaming | Draining | Failing, CloseTimeout) => self.state,

            // -- An engine that speaks out of turn: before it was started, twice, or past its last word.
            (AwaitConfig, input @ (EngineReady(_) | EngineRefused(_) | EnginePartial(_) | EngineFinal(_) | EngineSpeechStarted { .. }
                | EngineSpeechEnded { .. } | EngineProgress { .. } | EngineBacklog { .. } | EngineFlushed { .. } | EngineDrained { .. }))
            | (Configuring, input @ (EnginePartial(_) | EngineFinal(_) | EngineSpeechStarted { .. } | EngineSpeechEnded { .. }
                | EngineFlushed { .. } | EngineDrained { .. }))
            | (Streaming, input @ (EngineReady(_) | EngineRefused(_) | EngineDrained { .. }))
            | (Draining | Failing, input @ (EngineReady(_) | EngineRefused(_))) => {
                return Err(ApiMisuse::EngineOutOfTurn { what: input.engine_name(), state: self.state });
            }
            // What a cancelled engine still says is late, not wrong.
            (Ended, EngineReady(_) | EngineRefused(_) | EnginePartial(_) | EngineFinal(_) | EngineSpeechStarted { .. }
                | EngineSpeechEnded { .. } | EngineProgress { .. } | EngineBacklog { .. } | EngineFlushed { .. } | EngineDrained { .. }
                | EngineFailed { .. }) => Ended,

            // -- Closed: nothing is owed any more.
            (Closed, Config(_) | Audio(_) | EmptyAudio | BrokenAudio | OversizeAudio | Keepalive | KeepaliveSeq(_) | Flush(_)
                | Update(_) | EndOfStream | UnknownType | BadMessage(_) | TenthBadMessage(_) | OversizeText | Close(_) | Loss
                | ConfigTimeout | IdleTimeout | SessionTimeout | EngineTimeout | CloseTimeout | EngineReady(_) | EngineRefused(_)
                | EnginePartial(_) | EngineFinal(_) | EngineSpeechStarted { .. } | EngineSpeechEnded { .. } | EngineProgress { .. }
                | EngineBacklog { .. } | EngineFlushed { .. } | EngineDrained { .. } | EngineFailed { .. } | ShutDown) => Closed,
        };
        if matches!(self.state, Ended | Closed) {
            self.forget_what_waits();
        }
        Ok(())
    }
}
