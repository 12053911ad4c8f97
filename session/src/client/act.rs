//! Owns what the arms of the client's state machine do while a session lives. Each act returns the next state. It knows nothing of
//! when it is right.

use core::time::Duration;

use lastword_spec::PROTOCOL;
use lastword_spec::limits::{LIMITS, Limits};
use lastword_spec::message::{
    ErrorMessage, Final, Flushed, Keepalive, KeepaliveAck, Partial, Progress, Ready, SpeechEnded, SpeechStarted,
    Updated, Warning,
};
use lastword_spec::table::State::{self, Configuring, Streaming};

use super::timer::Bound;
use super::{ClientEvent, ClientOutput, ClientSession, InFlight, IncompleteReason, READY_CAP};
use crate::fault::{Fact, Violation};

/// Keepalives whose answer is awaited; older ones are forgotten.
const MAX_OPEN_SEQS: usize = 16;
/// Finals beyond a gap in the ids that are remembered one by one.
const MAX_GAPS: usize = 1_024;

/// The beginning, and what the transport says.
impl ClientSession {
    pub(super) fn begin(&mut self, now: Duration, ready: Ready, missing: &[String]) -> State {
        if missing.iter().any(|path| path.starts_with("config")) {
            self.note(Fact::ReadyConfigIncomplete);
        }
        if missing.iter().any(|path| path.starts_with("limits")) {
            self.note(Fact::ReadyLimitsIncomplete);
        }
        // [VER-1]
        if ready.protocol != PROTOCOL {
            self.note(Fact::OtherProtocol);
        }
        self.limits = self.usable(ready.limits.clone());
        // [CFG-S6]
        let replaced = ready.config.audio != self.options.config.effective().audio;
        self.tell(ClientEvent::Ready(Box::new(ready.clone())));
        self.ready = Some(Box::new(ready));
        (self.active_at, self.moved_at) = (now, now);
        if replaced {
            self.note(Fact::AudioFormatReplaced);
            return self.give_up(now, IncompleteReason::AudioReplaced);
        }
        Streaming
    }

    /// The announced limits, each at least its minimum: a keepalive interval of nothing must not make this side spin.
    fn usable(&mut self, limits: Limits) -> Limits {
        if limits.below_minimum().is_empty() {
            return limits;
        }
        self.note(Fact::LimitBelowMinimum);
        let minimum = |name| LIMITS.iter().find(|spec| spec.name == name).map_or(0, |spec| spec.minimum);
        Limits {
            idle_timeout_ms: limits.idle_timeout_ms.max(minimum("idle_timeout_ms")),
            keepalive_interval_ms: limits.keepalive_interval_ms.max(minimum("keepalive_interval_ms")),
            flush_ms: limits.flush_ms.max(minimum("flush_ms")),
            drain_ms: limits.drain_ms.max(minimum("drain_ms")),
            close_ms: limits.close_ms.max(minimum("close_ms")),
            max_step_ms: limits.max_step_ms.max(minimum("max_step_ms")),
            ..limits
        }
    }

    /// Clocks start when the transport accepted what starts them.
    pub(super) fn transmitted(&mut self, now: Duration) -> State {
        let ms = Duration::from_millis;
        match self.in_flight.take() {
            // [CON-C2]
            Some(InFlight::Config) => {
                self.ready_bound = Bound::capped(now, ms(self.limits.ready_ms), READY_CAP);
            }
            // [KA-C1]
            Some(InFlight::Audio | InFlight::Keepalive) => self.active_at = now,
            // [FLU-C3]
            Some(InFlight::Flush(id)) => {
                let bound = Bound::new(now, ms(self.limits.flush_ms));
                if let Some(flush) = self.flushes.iter_mut().find(|flush| flush.id == id) {
                    flush.bound = Some(bound);
                    self.moved_at = now;
                }
            }
            // [END-C4] [END-C5]
            Some(InFlight::End) => {
                self.drain_bound = Some(Bound::new(now, ms(self.limits.drain_ms)));
                self.moved_at = now;
            }
            None => {}
        }
        self.state
    }

    pub(super) fn end_input(&mut self) -> State {
        if !std::mem::replace(&mut self.input_ended, true) {
            self.queue.push_end();
        }
        self.state
    }

    pub(super) fn keepalive(&mut self, now: Duration) -> State {
        let interval = Duration::from_millis(self.limits.keepalive_interval_ms);
        let probe_at = self.received_at + Duration::from_millis(self.limits.idle_timeout_ms);
        // One keepalive that asks, instead of two that follow each other closely. [KA-C2]
        if self.probed_at.is_none() && now + interval / 4 >= probe_at {
            return self.probe(now);
        }
        self.queue_keepalive(now, None);
        Streaming
    }

    pub(super) fn probe(&mut self, now: Duration) -> State {
        self.probed_at = Some(now);
        let seq = self.next_seq;
        self.next_seq += 1;
        self.open_seqs.push_back(seq);
        if self.open_seqs.len() > MAX_OPEN_SEQS {
            self.open_seqs.pop_front();
        }
        self.queue_keepalive(now, Some(seq));
        Streaming
    }

    fn queue_keepalive(&mut self, now: Duration, seq: Option<u64>) {
        self.keepalive = Some(Keepalive { seq });
        self.active_at = now;
    }
}

/// What the server sends.
impl ClientSession {
    pub(super) fn partial(&mut self, partial: Partial) -> State {
        let fact = if self.is_final(partial.segment_id) {
            Some(Fact::PartialAfterFinal)
        } else if partial.text.is_empty() {
            Some(Fact::EmptyPartial)
        } else if !self.in_force(|ready| ready.config.interim_results) {
            Some(Fact::PartialUnasked)
        } else {
            None
        };
        match fact {
            Some(fact) => self.violation(fact),
            None => self.deliver(ClientEvent::Partial(partial)),
        }
    }

    pub(super) fn final_(&mut self, now: Duration, result: Final) -> State {
        self.finals_received += 1;
        if self.is_final(result.segment_id) {
            return self.violation(Fact::FinalRepeated);
        }
        self.final_above.insert(result.segment_id);
        self.close_gaps();
        self.moved(now);
        self.deliver(ClientEvent::Final(result))
    }

    pub(super) fn speech_started(&mut self, speech: SpeechStarted) -> State {
        if self.in_force(|ready| ready.config.vad_events) {
            self.deliver(ClientEvent::SpeechStarted(speech))
        } else {
            self.violation(Fact::SpeechEventUnasked)
        }
    }

    pub(super) fn speech_ended(&mut self, speech: SpeechEnded) -> State {
        if self.in_force(|ready| ready.config.vad_events) {
            self.deliver(ClientEvent::SpeechEnded(speech))
        } else {
            self.violation(Fact::SpeechEventUnasked)
        }
    }

    pub(super) fn flushed(&mut self, now: Duration, flushed: Flushed) -> State {
        let Some(index) = self.flushes.iter().position(|flush| flush.id == flushed.id) else {
            return self.violation(Fact::FlushedUnasked);
        };
        if index > 0 {
            self.note(Fact::FlushedOutOfOrder);
        }
        self.moved(now);
        let failed = self.flushes.remove(index).is_some_and(|flush| flush.failed);
        if !failed {
            self.tell(ClientEvent::Flushed { id: flushed.id });
        }
        self.state
    }

    pub(super) fn updated(&mut self, updated: Box<Updated>) -> State {
        self.note(Fact::UpdatedUnasked);
        self.deliver(ClientEvent::Updated(updated))
    }

    pub(super) fn acknowledged(&mut self, ack: &KeepaliveAck) -> State {
        match self.open_seqs.iter().position(|seq| *seq == ack.seq) {
            Some(index) => {
                self.open_seqs.drain(..=index);
                self.state
            }
            None => self.violation(Fact::AckUnasked),
        }
    }

    pub(super) fn progress(&mut self, now: Duration, progress: &Progress) -> State {
        if progress.seq != self.progress_seq + 1 {
            self.note(Fact::ProgressSeqWrong);
        }
        if progress.audio_processed_ms < self.processed_ms {
            self.note(Fact::ProgressFell);
        }
        let repeated = progress.seq <= self.progress_seq;
        self.progress_seq = self.progress_seq.max(progress.seq);
        if progress.audio_processed_ms > self.processed_ms {
            self.processed_ms = progress.audio_processed_ms;
            self.moved(now);
            return self.state;
        }
        // The engine may take `max_step_ms` for one step; until then its sign of life is an advance. Before `ready` there is no audio
        // to advance in, and the cap bounds the wait.
        let standing_still = now > self.moved_at + Duration::from_millis(self.limits.max_step_ms);
        if !repeated && (self.state == Configuring || !standing_still) {
            self.extend_bounds(now);
        }
        self.state
    }

    pub(super) fn warning(&mut self, warning: Warning) -> State {
        self.deliver(ClientEvent::Warning(warning))
    }

    pub(super) fn complaint(&mut self, error: ErrorMessage) -> State {
        let refused = error.id.clone();
        self.tell(ClientEvent::Error(error));
        if let Some(index) = refused.and_then(|id| self.flushes.iter().position(|flush| flush.id == id)) {
            let flush = self.flushes.remove(index).filter(|flush| !flush.failed);
            self.outputs.extend(flush.map(|flush| ClientOutput::Event(ClientEvent::FlushFailed { id: flush.id })));
        }
        self.state
    }

    pub(super) fn give_up_on_flush(&mut self) -> State {
        let oldest = self.flushes.iter_mut().find(|flush| !flush.failed && flush.bound.is_some());
        if let Some(flush) = oldest {
            flush.failed = true;
            let id = flush.id.clone();
            self.note(Fact::FlushedLate);
            self.tell(ClientEvent::FlushFailed { id });
        }
        self.state
    }

    pub(super) fn violation(&mut self, fact: Fact) -> State {
        self.note(fact);
        self.state
    }

    /// The server's work moved: a new final, an answered flush, more audio processed.
    fn moved(&mut self, now: Duration) {
        self.moved_at = now;
        self.extend_bounds(now);
    }

    // [PRG-C1]
    fn extend_bounds(&mut self, now: Duration) {
        self.ready_bound.restart(now);
        if let Some(bound) = &mut self.drain_bound {
            bound.restart(now);
        }
        for bound in self.flushes.iter_mut().filter_map(|flush| flush.bound.as_mut()) {
            bound.restart(now);
        }
    }

    fn in_force(&self, option: impl Fn(&Ready) -> bool) -> bool {
        self.ready.as_deref().is_some_and(option)
    }

    fn is_final(&self, segment_id: u64) -> bool {
        segment_id < self.final_below || self.final_above.contains(&segment_id)
    }

    fn close_gaps(&mut self) {
        while self.final_above.remove(&self.final_below) {
            self.final_below += 1;
        }
        // A server that leaves ids out must not make this grow: the lowest gap counts as used.
        while self.final_above.len() > MAX_GAPS {
            self.final_below = self.final_above.pop_first().map_or(self.final_below, |lowest| lowest + 1);
            while self.final_above.remove(&self.final_below) {
                self.final_below += 1;
            }
        }
    }

    fn deliver(&mut self, event: ClientEvent) -> State {
        self.tell(event);
        self.state
    }

    pub(super) fn tell(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }

    pub(super) fn note(&mut self, fact: Fact) {
        self.outputs.push_back(ClientOutput::Violation(Violation { fact, state: self.state }));
    }
}
