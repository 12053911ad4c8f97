//! Results out of decoded windows. Owns: putting the windows of a segment together and its words on the clock of the stream.
//! Must not know: engines, tasks, when a segment ends.

use std::ops::Range;

use super::{Decoded, DecodedWord, Hypothesis, Word};
use crate::audio::samples_to_ms;

/// What was heard in the windows of one segment so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Assembly {
    text: String,
    words: Vec<Word>,
    /// The sum over words of the logarithm of their window's probability; none once a window had no probability.
    log_probability: Option<f64>,
    word_count: u32,
    language: Option<String>,
}

impl Assembly {
    /// Adds the next window. `audio_start` and `speech` are samples of the stream.
    pub(super) fn add(&mut self, decoded: Decoded, audio_start: u64, speech: &Range<u64>) {
        let text = decoded.text();
        if text.is_empty() {
            return;
        }
        let weight = decoded.words.len() as u32;
        let log = decoded.confidence.map(|p| f64::from(weight) * p.clamp(f64::MIN_POSITIVE, 1.0).ln());
        self.log_probability = match (self.word_count, self.log_probability, log) {
            (0, _, log) => log,
            (_, Some(sum), Some(log)) => Some(sum + log),
            _ => None,
        };
        self.word_count += weight;
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&text);
        self.words.extend(place_words(&decoded.words, audio_start, speech));
        if self.language.is_none() {
            self.language = decoded.language;
        }
    }

    /// The result for the segment with this number, whose speech is that range of samples of the stream.
    pub(super) fn result(self, segment: u64, speech: &Range<u64>, with_words: bool) -> Hypothesis {
        Hypothesis {
            segment,
            text: self.text,
            start_ms: samples_to_ms(speech.start),
            end_ms: samples_to_ms(speech.end),
            confidence: self.log_probability.map(|sum| (sum / f64::from(self.word_count)).exp()),
            words: if with_words { self.words } else { Vec::new() },
            language: self.language,
        }
    }
}

/// The times of words: those of the engine where it knows them, else the speech divided by the length of the words.
fn place_words(words: &[DecodedWord], audio_start: u64, speech: &Range<u64>) -> Vec<Word> {
    let weight = |word: &DecodedWord| word.text.chars().count() as u64 + 1;
    let total: u64 = words.iter().map(weight).sum();
    let length = speech.end - speech.start;
    let mut before = 0;
    let mut placed = Vec::with_capacity(words.len());
    for word in words {
        let estimate = speech.start + length * before / total..speech.start + length * (before + weight(word)) / total;
        before += weight(word);
        let span = match &word.span {
            Some(span) => audio_start + span.start as u64..audio_start + span.end as u64,
            None => estimate,
        };
        placed.push(Word {
            text: word.text.clone(),
            start_ms: samples_to_ms(span.start.clamp(speech.start, speech.end)),
            end_ms: samples_to_ms(span.end.clamp(speech.start, speech.end)),
            confidence: word.confidence.map(|p| p.clamp(0.0, 1.0)),
            estimated: word.span.is_none(),
        });
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, confidence: Option<f64>) -> Decoded {
        let words = text.split_whitespace();
        let words = words.map(|word| DecodedWord { text: word.to_owned(), confidence, span: None }).collect();
        Decoded { words, confidence, language: Some("en".to_owned()) }
    }

    #[test]
    fn windows_join_to_one_text_with_words_in_order_within_their_own_speech() {
        let mut assembly = Assembly::default();
        assembly.add(decoded("one two", Some(0.5)), 0, &(1_600..4_800));
        assembly.add(Decoded::default(), 6_400, &(8_000..9_600));
        assembly.add(decoded("three", Some(0.25)), 9_600, &(11_200..12_800));
        let heard = assembly.result(7, &(1_600..12_800), true);
        assert_eq!((heard.text.as_str(), heard.start_ms, heard.end_ms, heard.segment), ("one two three", 100, 800, 7));
        let times: Vec<_> = heard.words.iter().map(|word| (word.start_ms, word.end_ms)).collect();
        assert_eq!(times, [(100, 200), (200, 300), (700, 800)]);
        let mean = (0.5f64 * 0.5 * 0.25).cbrt();
        assert!((heard.confidence.expect("all have one") - mean).abs() < 1e-12);
    }

    #[test]
    fn a_window_without_a_probability_leaves_the_segment_without_one_and_nothing_heard_too() {
        let mut assembly = Assembly::default();
        assembly.add(decoded("one", Some(0.5)), 0, &(0..1_600));
        assembly.add(decoded("two", None), 0, &(1_600..3_200));
        assembly.add(decoded("three", Some(0.5)), 0, &(3_200..4_800));
        assert_eq!(assembly.result(0, &(0..4_800), false).confidence, None);
        assert_eq!(Assembly::default().result(0, &(0..0), false).confidence, None);
    }
}
