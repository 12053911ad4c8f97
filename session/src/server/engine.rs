//! Owns what the session knows of its engine: what it owes, how far it is, when it was heard; and the inputs it gives.
//! Knows nothing of how speech is recognised.

use core::time::Duration;

use lastword_spec::message::{AudioFormat, EffectiveConfig, Flushed, Progress, ServerMessage};
use lastword_spec::table::State;

use super::input::Input;
use super::{EngineResult, OpenFlush, Refusal, ServerOutput, ServerSession};
use crate::fault::ApiMisuse;

/// Where the engine of a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Not asked for yet.
    #[default]
    None,
    /// Asked for, or at work.
    Running,
    /// Told that no more audio comes.
    Finishing,
    /// Drained, failed, refused or cancelled.
    Over,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub(super) stage: Stage,
    /// The last sign of it, or when it began to owe something.
    pub(super) heard_at: Duration,
    pub(super) owed: bool,
    pub(super) processed_ms: u64,
    /// What it said waits for it, and the bytes accepted by then. `None`: it has not said.
    pub(super) backlog: Option<(u64, u64)>,
    pub(super) progress_seq: u64,
    pub(super) progress_at: Option<Duration>,
}

/// What the engine reports. Each is [`ApiMisuse::OutputPending`] when outputs have not been taken, and
/// [`ApiMisuse::EngineOutOfTurn`] when the engine was not started, or has already told that it is through.
impl ServerSession {
    /// The engine is prepared: `ready` is sent. `config` is what [`ServerOutput::StartEngine`](super::ServerOutput::StartEngine)
    /// gave, with what the engine made of it (its model, a shorter `max_segment_ms`); what differs from what the client asked is
    /// listed as ignored, together with `ignored`.
    ///
    /// # Errors
    /// Also [`ApiMisuse::EngineChangedAudio`].
    pub fn engine_ready(
        &mut self,
        now: Duration,
        config: EffectiveConfig,
        ignored: Vec<String>,
    ) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineReady(Box::new((config, ignored))))
    }

    /// The engine cannot serve this session, before `ready`.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_refused(&mut self, now: Duration, refusal: Refusal) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineRefused(refusal))
    }

    /// What an open segment sounds like so far. Dropped where the client wants no partials, or there is no text.
    ///
    /// # Errors
    /// Also [`ApiMisuse::SegmentIsFinal`], [`ApiMisuse::TooManySegments`].
    pub fn engine_partial(&mut self, now: Duration, result: EngineResult) -> Result<(), ApiMisuse> {
        self.take(now, Input::EnginePartial(result))
    }

    /// What a segment is. Sent, also when it is empty.
    ///
    /// # Errors
    /// Also [`ApiMisuse::SegmentIsFinal`].
    pub fn engine_final(&mut self, now: Duration, result: EngineResult) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineFinal(result))
    }

    /// Speech began on a channel. Dropped where the client does not want speech events.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_speech_started(&mut self, now: Duration, channel: u32, start_ms: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineSpeechStarted { channel, start_ms })
    }

    /// Speech ended on a channel. Dropped where none is open.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_speech_ended(&mut self, now: Duration, channel: u32, end_ms: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineSpeechEnded { channel, end_ms })
    }

    /// The engine did a step of work. To be called for each, never by a clock: it is what `progress` comes from. Spec: PRG-S5.
    ///
    /// `audio_processed_ms` is how far its results are settled; a value that fell or is beyond the accepted audio counts as the
    /// nearest possible one. Before `ready` it is 0.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_progress(&mut self, now: Duration, audio_processed_ms: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineProgress { audio_processed_ms })
    }

    /// How much of the audio given to the engine waits for it, in milliseconds, apart from the segment that is still spoken. What
    /// decides [`wants_read`](Self::wants_read). An engine that never says is taken to have all of the audio waiting that it has
    /// not processed, less one segment of greatest length: a segment must be able to reach its own end.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_backlog(&mut self, now: Duration, waiting_ms: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineBacklog { waiting_ms })
    }

    /// The finals of all audio before the flush with this token have been given. In the order of the flushes.
    ///
    /// # Errors
    /// Also [`ApiMisuse::FlushOutOfOrder`].
    pub fn engine_flushed(&mut self, now: Duration, token: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineFlushed { token })
    }

    /// All audio is final; the answer to [`ServerOutput::FinishEngine`](super::ServerOutput::FinishEngine), and the last word of
    /// the engine.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_drained(&mut self, now: Duration, audio_processed_ms: u64) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineDrained { audio_processed_ms })
    }

    /// The engine cannot go on; its last word. `message` is for the client: no path, no secret. Spec: SEC-S4.
    ///
    /// # Errors
    /// As all of these.
    pub fn engine_failed(&mut self, now: Duration, message: impl Into<String>) -> Result<(), ApiMisuse> {
        self.take(now, Input::EngineFailed { message: message.into() })
    }

    /// Whether the session owes its client something that only the engine can give.
    pub(super) fn engine_owes(&self) -> bool {
        match self.state {
            State::Configuring | State::Draining | State::Failing => true,
            State::Streaming => !self.flushes.is_empty() || self.buffer_is_full(),
            State::AwaitConfig | State::Ended | State::Closed => false,
        }
    }

    // [BP-S1]
    pub(super) fn buffer_is_full(&self) -> bool {
        let waiting_ms = match self.engine.backlog {
            Some((waiting_ms, accepted_bytes)) => waiting_ms + self.bytes_to_ms(self.accepted_bytes - accepted_bytes),
            None => {
                let open_segment_ms = self.config().map_or(0, |config| config.endpointing.max_segment_ms);
                self.audio_received_ms().saturating_sub(self.engine.processed_ms).saturating_sub(open_segment_ms)
            }
        };
        waiting_ms >= self.limits.max_buffered_audio_ms
    }

    /// The audio buffer in bytes of the agreed format.
    pub(super) fn buffer_bytes(&self) -> usize {
        let bytes = u128::from(self.limits.max_buffered_audio_ms) * u128::from(self.bytes_per_second()) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn bytes_to_ms(&self, bytes: u64) -> u64 {
        let ms = u128::from(bytes) * 1_000 / u128::from(self.bytes_per_second());
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// Bytes of a second of audio in the agreed format, never 0.
    pub(super) fn bytes_per_second(&self) -> u64 {
        let default = AudioFormat::default();
        let format = self.config().map_or(&default, |config| &config.audio);
        (format.bytes_per_sample_group().unwrap_or(1) * u64::from(format.sample_rate_hz)).max(1)
    }
}

/// What the engine tells.
impl ServerSession {
    pub(super) fn send_partial(&mut self, now: Duration, result: EngineResult) -> Result<State, ApiMisuse> {
        let message = self.results.partial(result, self.audio_received_ms())?;
        self.heard(now);
        self.send_all(message);
        Ok(self.state)
    }

    pub(super) fn send_final(&mut self, now: Duration, result: EngineResult) -> Result<State, ApiMisuse> {
        let messages = self.results.final_(result, self.audio_received_ms())?;
        self.heard(now);
        self.send_all(messages);
        Ok(self.state)
    }

    pub(super) fn send_speech_started(&mut self, now: Duration, channel: u32, start_ms: u64) -> State {
        self.heard(now);
        let message = self.results.speech_started(channel, start_ms, self.audio_received_ms());
        self.send_all(message);
        self.state
    }

    pub(super) fn send_speech_ended(&mut self, now: Duration, channel: u32, end_ms: u64) -> State {
        self.heard(now);
        let message = self.results.speech_ended(channel, end_ms, self.audio_received_ms());
        self.send_all(message);
        self.state
    }

    pub(super) fn close_flush(&mut self, now: Duration, token: u64) -> Result<State, ApiMisuse> {
        if self.flushes.front().is_none_or(|flush| flush.token != token) {
            return Err(ApiMisuse::FlushOutOfOrder { token });
        }
        self.heard(now);
        self.answer_oldest_flush();
        Ok(self.state)
    }

    pub(super) fn answer_oldest_flush(&mut self) {
        let Some(OpenFlush { id, position_ms, .. }) = self.flushes.pop_front() else { return };
        let finals = self.results.close_before(position_ms, self.audio_received_ms());
        self.send_all(finals);
        self.send(ServerMessage::Flushed(Flushed { id }));
    }

    pub(super) fn progress(&mut self, now: Duration, audio_processed_ms: u64) -> State {
        let owed = self.engine_owes();
        self.heard(now);
        self.note_processed(audio_processed_ms);
        let interval_ms = match self.state {
            State::Configuring => self.limits.progress_interval_ms.min(2_000),
            _ => self.limits.progress_interval_ms,
        };
        let due = self.engine.progress_at.is_none_or(|at| now >= at + Duration::from_millis(interval_ms / 2));
        if owed && due {
            self.engine.progress_at = Some(now);
            self.engine.progress_seq += 1;
            self.send(ServerMessage::Progress(Progress {
                seq: self.engine.progress_seq,
                audio_processed_ms: self.engine.processed_ms,
            }));
        }
        self.state
    }

    pub(super) fn note_backlog(&mut self, now: Duration, waiting_ms: u64) -> State {
        self.heard(now);
        self.engine.backlog = Some((waiting_ms, self.accepted_bytes));
        self.state
    }

    /// A sign of the engine.
    pub(super) fn heard(&mut self, now: Duration) {
        self.engine.heard_at = now;
    }

    // [PRG-S3]
    pub(super) fn note_processed(&mut self, audio_processed_ms: u64) {
        self.engine.processed_ms = audio_processed_ms.max(self.engine.processed_ms).min(self.audio_received_ms());
    }

    pub(super) fn finish_engine(&mut self) {
        if self.engine.stage == Stage::Running {
            self.engine.stage = Stage::Finishing;
            self.push(ServerOutput::FinishEngine);
        }
    }

    /// Gives the engine and the slot back. Spec: REC-S2.
    pub(super) fn release(&mut self) {
        match self.engine.stage {
            Stage::None => return,
            Stage::Running | Stage::Finishing => self.push(ServerOutput::CancelEngine),
            Stage::Over => {}
        }
        self.engine.stage = Stage::None;
        self.push(ServerOutput::Release);
    }
}
