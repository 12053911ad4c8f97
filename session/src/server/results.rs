//! Owns the account of results: which segment of the engine has which `segment_id`, what is open, what has been told. It makes
//! what goes out legal in itself; whether results may go out at all is the session's matter.

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::message::{Final, Partial, Probability, ServerMessage, SpeechEnded, SpeechStarted, Word};

use crate::fault::ApiMisuse;

/// What the engine heard in one segment. Times are milliseconds from the first sample of the session.
///
/// Times that cannot be (beyond the audio accepted, running backwards) are brought to the nearest that can be, and white space
/// around the text is taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EngineResult {
    /// The engine's own number of the segment: from 0, rising by one, each given to one segment only, over all channels. It is
    /// not what the client sees.
    pub segment: u64,
    /// The channel, from 0.
    pub channel: u32,
    /// What was said.
    pub text: String,
    /// Where the segment starts.
    pub start_ms: u64,
    /// Where it, or the text so far, ends.
    pub end_ms: u64,
    /// How sure the engine is; used for finals.
    pub confidence: Option<Probability>,
    /// The words; left out unless `words` is in force.
    pub words: Option<Vec<Word>>,
    /// The language as a BCP 47 tag.
    pub language: Option<String>,
    /// Who spoke; used for finals.
    pub speaker: Option<String>,
}

/// What the configuration allows results to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Wanted {
    pub(super) partials: bool,
    pub(super) words: bool,
    pub(super) speech: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Results {
    pub(super) wanted: Wanted,
    next_id: u64,
    /// Segments whose partials were sent and whose final was not, by the engine's number.
    open: BTreeMap<u64, OpenSegment>,
    /// All of the engine's numbers below this have their final.
    final_below: u64,
    final_above: BTreeSet<u64>,
    last_start_ms: BTreeMap<u32, u64>,
    /// Where the open stretch of speech began, by channel.
    speech: BTreeMap<u32, u64>,
    pub(super) finals_sent: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenSegment {
    segment_id: u64,
    revision: u64,
    channel: u32,
    start_ms: u64,
    end_ms: u64,
}

const MAX_OPEN_SEGMENTS: usize = 256;
const MAX_GAPS: usize = 1_024;

impl Results {
    /// A partial, or nothing if none is wanted or there is no text.
    pub(super) fn partial(
        &mut self,
        result: EngineResult,
        accepted_ms: u64,
    ) -> Result<Option<ServerMessage>, ApiMisuse> {
        self.refuse_if_final(result.segment)?;
        let text = result.text.trim();
        // [FIN-S6] [FIN-S5]
        if !self.wanted.partials || text.is_empty() {
            return Ok(None);
        }
        if self.open.len() >= MAX_OPEN_SEGMENTS && !self.open.contains_key(&result.segment) {
            return Err(ApiMisuse::TooManySegments { limit: MAX_OPEN_SEGMENTS });
        }
        let (start_ms, end_ms) = self.possible(result.channel, result.start_ms, result.end_ms, accepted_ms);
        // [FIN-S4]
        let open = self.open.entry(result.segment).or_insert_with(|| {
            let segment_id = self.next_id;
            self.next_id += 1;
            OpenSegment { segment_id, revision: 0, channel: result.channel, start_ms, end_ms }
        });
        open.revision += 1;
        (open.start_ms, open.end_ms) = (start_ms, end_ms);
        Ok(Some(ServerMessage::Partial(Partial {
            segment_id: open.segment_id,
            revision: open.revision,
            text: text.to_owned(),
            start_ms,
            end_ms,
            words: words_within(result.words, self.wanted.words, start_ms, end_ms),
            language: result.language,
            channel: open.channel,
        })))
    }

    /// A final, and before it the end of the speech that it belongs to.
    pub(super) fn final_(&mut self, result: EngineResult, accepted_ms: u64) -> Result<Vec<ServerMessage>, ApiMisuse> {
        self.refuse_if_final(result.segment)?;
        let open = self.open.remove(&result.segment);
        self.note_final(result.segment);
        let channel = open.as_ref().map_or(result.channel, |open| open.channel);
        let (start_ms, end_ms) = self.possible(channel, result.start_ms, result.end_ms, accepted_ms);
        let mut messages = Vec::new();
        // [VAD-S1] an engine that tells the end of speech too late must not make this server send it too late
        if self.speech.get(&channel).is_some_and(|began_ms| *began_ms < end_ms) {
            messages.extend(self.speech_ended(channel, end_ms, accepted_ms));
        }
        let segment_id = open.map_or_else(
            || {
                let segment_id = self.next_id;
                self.next_id += 1;
                segment_id
            },
            |open| open.segment_id,
        );
        messages.push(self.final_message(Final {
            segment_id,
            text: result.text.trim().to_owned(),
            start_ms,
            end_ms,
            confidence: result.confidence,
            words: words_within(result.words, self.wanted.words, start_ms, end_ms),
            language: result.language,
            speaker: result.speaker,
            channel,
        }));
        Ok(messages)
    }

    /// Speech began, or nothing if it is not wanted or already open.
    pub(super) fn speech_started(&mut self, channel: u32, start_ms: u64, accepted_ms: u64) -> Option<ServerMessage> {
        // [VAD-S2] [VAD-S1]
        if !self.wanted.speech || self.speech.contains_key(&channel) {
            return None;
        }
        let start_ms = start_ms.min(accepted_ms);
        self.speech.insert(channel, start_ms);
        Some(ServerMessage::SpeechStarted(SpeechStarted { start_ms, channel }))
    }

    /// Speech ended, or nothing if none is open.
    pub(super) fn speech_ended(&mut self, channel: u32, end_ms: u64, accepted_ms: u64) -> Option<ServerMessage> {
        // [VAD-S1]
        let began_ms = self.speech.remove(&channel)?;
        let end_ms = end_ms.min(accepted_ms).max(began_ms);
        Some(ServerMessage::SpeechEnded(SpeechEnded { end_ms, channel }))
    }

    /// Ends speech and segments that began before `position_ms`: empty finals for those the engine left open. Spec: FIN-S2,
    /// FLU-S1, VAD-S1.
    pub(super) fn close_before(&mut self, position_ms: u64, accepted_ms: u64) -> Vec<ServerMessage> {
        let mut messages = Vec::new();
        let speaking: Vec<u32> =
            self.speech.iter().filter(|(_, began_ms)| **began_ms < position_ms).map(|(channel, _)| *channel).collect();
        for channel in speaking {
            messages.extend(self.speech_ended(channel, position_ms, accepted_ms));
        }
        let (closing, open) =
            std::mem::take(&mut self.open).into_iter().partition(|(_, open)| open.start_ms < position_ms);
        self.open = open;
        let closing: BTreeMap<u64, OpenSegment> = closing;
        for (segment, open) in closing {
            self.note_final(segment);
            let (start_ms, end_ms) = self.possible(open.channel, open.start_ms, open.end_ms, accepted_ms);
            messages.push(self.final_message(Final {
                segment_id: open.segment_id,
                start_ms,
                end_ms,
                channel: open.channel,
                ..Final::default()
            }));
        }
        messages
    }

    /// [`close_before`](Self::close_before) for all there is.
    pub(super) fn close_all(&mut self, accepted_ms: u64) -> Vec<ServerMessage> {
        self.close_before(u64::MAX, accepted_ms)
    }

    fn final_message(&mut self, result: Final) -> ServerMessage {
        self.last_start_ms.insert(result.channel, result.start_ms);
        self.finals_sent += 1;
        ServerMessage::Final(result)
    }

    /// The nearest times that are possible. Spec: TIM-S1, TIM-S2.
    fn possible(&self, channel: u32, start_ms: u64, end_ms: u64, accepted_ms: u64) -> (u64, u64) {
        let earliest_ms = self.last_start_ms.get(&channel).copied().unwrap_or(0);
        let end_ms = end_ms.min(accepted_ms).max(earliest_ms);
        (start_ms.clamp(earliest_ms, end_ms), end_ms)
    }

    fn refuse_if_final(&self, segment: u64) -> Result<(), ApiMisuse> {
        let is_final = segment < self.final_below || self.final_above.contains(&segment);
        if is_final { Err(ApiMisuse::SegmentIsFinal { segment }) } else { Ok(()) }
    }

    fn note_final(&mut self, segment: u64) {
        self.final_above.insert(segment);
        while self.final_above.remove(&self.final_below) {
            self.final_below += 1;
        }
        // An engine that leaves numbers out must not make this grow: the lowest gap counts as used.
        while self.final_above.len() > MAX_GAPS {
            self.final_below = self.final_above.pop_first().map_or(self.final_below, |lowest| lowest + 1);
            while self.final_above.remove(&self.final_below) {
                self.final_below += 1;
            }
        }
    }
}

/// Words in order within their result. Spec: TIM-S3.
fn words_within(words: Option<Vec<Word>>, wanted: bool, start_ms: u64, end_ms: u64) -> Option<Vec<Word>> {
    let mut words = words.filter(|_| wanted)?;
    let mut earliest_ms = start_ms;
    for word in &mut words {
        word.start_ms = word.start_ms.clamp(earliest_ms, end_ms);
        word.end_ms = word.end_ms.clamp(word.start_ms, end_ms);
        earliest_ms = word.start_ms;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        Results { wanted: Wanted { partials: true, words: true, speech: true }, ..Results::default() }
    }

    fn heard(segment: u64, text: &str, start_ms: u64, end_ms: u64) -> EngineResult {
        EngineResult { segment, text: text.into(), start_ms, end_ms, ..EngineResult::default() }
    }

    fn partial(message: Option<ServerMessage>) -> Option<(u64, u64, String)> {
        match message {
            Some(ServerMessage::Partial(partial)) => Some((partial.segment_id, partial.revision, partial.text)),
            _ => None,
        }
    }

    #[test]
    fn ids_follow_the_order_of_first_mention_and_revisions_rise() {
        let mut results = results();
        let mut say = |segment, text: &str| partial(results.partial(heard(segment, text, 0, 10), 100).unwrap());
        assert_eq!(say(1, " a "), Some((0, 1, "a".into())));
        assert_eq!(say(0, "b"), Some((1, 1, "b".into())));
        assert_eq!(say(1, "a c"), Some((0, 2, "a c".into())));
        assert_eq!(say(1, "   "), None);
    }

    #[test]
    fn a_segment_gets_one_final_and_nothing_after_it() {
        let mut results = results();
        assert_eq!(results.final_(heard(0, "a", 0, 10), 100).unwrap().len(), 1);
        assert_eq!(results.final_(heard(0, "a", 0, 10), 100), Err(ApiMisuse::SegmentIsFinal { segment: 0 }));
        assert_eq!(results.partial(heard(0, "a", 0, 10), 100), Err(ApiMisuse::SegmentIsFinal { segment: 0 }));
        assert_eq!(results.finals_sent, 1);
    }

    #[test]
    fn impossible_times_become_possible() {
        let mut results = results();
        let word = |start_ms, end_ms| Word { text: "w".into(), start_ms, end_ms, confidence: None };
        results.final_(heard(0, "a", 50, 60), 100).unwrap();
        let late = EngineResult { words: Some(vec![word(70, 90), word(10, 300)]), ..heard(1, "b", 20, 500) };
        let messages = results.final_(late, 100).unwrap();
        let [ServerMessage::Final(result)] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!((result.start_ms, result.end_ms), (50, 100));
        let words: Vec<(u64, u64)> = result.words.iter().flatten().map(|word| (word.start_ms, word.end_ms)).collect();
        assert_eq!(words, [(70, 90), (70, 100)]);
    }

    #[test]
    fn closing_gives_empty_finals_to_what_is_open_and_ends_speech_first() {
        let mut results = results();
        assert!(results.speech_started(0, 5, 100).is_some());
        assert!(results.speech_started(0, 6, 100).is_none());
        results.partial(heard(0, "a", 5, 20), 100).unwrap();
        results.partial(heard(1, "b", 60, 70), 100).unwrap();
        let closed = results.close_before(50, 100);
        assert!(
            matches!(&closed[..], [ServerMessage::SpeechEnded(_), ServerMessage::Final(one)] if one.segment_id == 0)
        );
        assert!(matches!(&results.close_all(100)[..], [ServerMessage::Final(one)] if one.segment_id == 1));
        assert_eq!(results.close_all(100), []);
        assert_eq!(results.finals_sent, 2);
    }

    #[test]
    fn numbers_that_an_engine_leaves_out_do_not_pile_up() {
        let mut results = results();
        for segment in (1..20_000).step_by(2) {
            results.final_(heard(segment, "a", 0, 1), 10).unwrap();
        }
        assert!(results.final_above.len() <= MAX_GAPS);
    }
}
