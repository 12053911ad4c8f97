//! Owns what a session that goes on takes over from a connection that was lost: audio that had not been sent, how far times and segments
//! had come, and whether audio was lost with it. Knows no connection and no clock.

use std::collections::VecDeque;

use lastword_session::{IncompleteReason, Outcome};
use lastword_spec::message::Word;

use crate::events::Event;

/// What is carried from connection to connection.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Audio that was sent on the connections before this one, in milliseconds.
    offset_ms: u64,
    /// What the segments of this connection are counted from, and the first number that is free.
    first_segment: u64,
    free_segment: u64,
    /// Audio that this connection has not sent.
    unsent: VecDeque<u8>,
    /// Audio was sent on a connection that was lost.
    gap: bool,
}

impl Carried {
    pub(crate) fn pushed(&mut self, audio: &[u8]) {
        self.unsent.extend(audio);
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.unsent.drain(..bytes.min(self.unsent.len()));
    }

    /// This connection is lost, which had sent so much. Returns what it had not: the first audio of the next.
    pub(crate) fn lose(&mut self, sent_ms: u64, has_sent: bool) -> Vec<u8> {
        self.offset_ms += sent_ms;
        self.first_segment = self.free_segment;
        self.gap |= has_sent;
        self.unsent.drain(..).collect()
    }

    /// An event of this connection as the application sees it: times go on where they were, and no segment has the number of another.
    /// Spec: TIM-C1.
    pub(crate) fn event(&mut self, mut event: Event) -> Event {
        let offset_ms = self.offset_ms;
        let later = |words: &mut Option<Vec<Word>>| {
            for word in words.iter_mut().flatten() {
                word.start_ms += offset_ms;
                word.end_ms += offset_ms;
            }
        };
        match &mut event {
            Event::Partial(partial) => {
                partial.segment_id = self.segment(partial.segment_id);
                partial.start_ms += offset_ms;
                partial.end_ms += offset_ms;
                later(&mut partial.words);
            }
            Event::Final(result) => {
                result.segment_id = self.segment(result.segment_id);
                result.start_ms += offset_ms;
                result.end_ms += offset_ms;
                later(&mut result.words);
            }
            Event::SpeechStarted(speech) => speech.start_ms += offset_ms,
            Event::SpeechEnded(speech) => speech.end_ms += offset_ms,
            Event::Ready(_) | Event::Warning(_) | Event::Error(_) | Event::Violation(_) | Event::Ended(_) => {}
        }
        event
    }

    fn segment(&mut self, segment_id: u64) -> u64 {
        let segment_id = self.first_segment.saturating_add(segment_id);
        self.free_segment = self.free_segment.max(segment_id.saturating_add(1));
        segment_id
    }

    /// How the whole ended where the last connection ended so: nothing is complete of which audio was lost on the way. Spec: REC-C4.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Complete(ended) if self.gap => {
                Outcome::Incomplete { reason: IncompleteReason::AudioLost, ended: Some(ended) }
            }
            other => other,
        }
    }
}
