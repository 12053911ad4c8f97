//! A recognizer without a model. Owns: words made from audio by rule, and the time that this is made to take.
//! Must not know: whisper, sessions.
//!
//! Its words mean nothing, but they are honest: each stands for 250 ms of voiced audio and depends on every sample of it, so
//! audio that is lost, doubled or changed shows as words that are lost, doubled or changed. What is below the threshold of
//! the endpointer changes nothing. It runs on tokio's clock, paused or not.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::{EndpointConfig, FRAME_SAMPLES, mean_square};
use super::{DecodeFuture, DecodeRequest, Decoded, DecodedWord, Decoder, EngineInfo, Recognizer, Tick, WindowConfig};
use crate::audio::{SAMPLE_RATE_HZ, SAMPLES_PER_MS};

/// Voiced frames behind one word: 250 ms.
const WORD_FRAMES: usize = 25;
/// The work is told in steps of at most this length.
const STEP: Duration = Duration::from_millis(250);
/// Those of the fixture model, so that both engines cut alike.
const WINDOWS: WindowConfig = super::FIXTURE_WINDOWS;

/// The words, none like another.
const WORDS: [&str; 64] = [
    "acorn", "badge", "cabin", "daisy", "eagle", "fable", "galaxy", "habit", "igloo", "jacket", "kettle", "ladder",
    "magnet", "napkin", "oasis", "paddle", "quartz", "rabbit", "saddle", "tablet", "umbrella", "valley", "wagon",
    "yogurt", "zebra", "anchor", "basket", "candle", "desert", "engine", "feather", "goblet", "hammer", "island",
    "jungle", "kitten", "lemon", "marble", "needle", "orchid", "pepper", "quiver", "ribbon", "saffron", "temple",
    "urchin", "velvet", "walnut", "yonder", "zipper", "amber", "bottle", "copper", "dragon", "ember", "forest",
    "garlic", "hollow", "ivory", "jasmine", "karma", "lantern", "meadow", "nectar",
];

/// How long the scripted recognizer is made to work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScriptedCost {
    /// For each window, which most segments have one of, in milliseconds.
    pub per_segment_ms: u64,
    /// For each second of audio in the window, in milliseconds.
    pub per_audio_second_ms: u64,
}

/// A recognizer that makes words from audio by rule. Partials cost nothing; any number of segments is decoded at once.
#[must_use]
pub fn scripted(cost: ScriptedCost) -> Recognizer {
    let info = EngineInfo {
        engine: "scripted".to_owned(),
        model: "scripted".to_owned(),
        languages: vec!["en".to_owned()],
        detects_language: false,
        windows: WINDOWS,
        step_ms: cost.per_segment_ms + cost.per_audio_second_ms * WINDOWS.max_ms / 1_000,
        workers: usize::MAX,
    };
    Recognizer::new(info, Arc::new(ScriptedDecoder { cost }))
}

struct ScriptedDecoder {
    cost: ScriptedCost,
}

impl Decoder for ScriptedDecoder {
    fn decode(&self, request: DecodeRequest, tick: Tick) -> DecodeFuture {
        let audio_ms = request.samples.len() as u64 * self.cost.per_audio_second_ms / u64::from(SAMPLE_RATE_HZ);
        let mut left = Duration::from_millis(self.cost.per_segment_ms + audio_ms);
        Box::pin(async move {
            while !left.is_zero() {
                let step = left.min(STEP);
                tokio::time::sleep(step).await;
                left -= step;
                tick();
            }
            Ok(words(&request))
        })
    }

    fn decode_if_idle(&self, request: DecodeRequest, _tick: Tick) -> Option<DecodeFuture> {
        Some(Box::pin(std::future::ready(Ok(words(&request)))))
    }
}

/// One word for each 250 ms of voiced frames, and one for the rest of them unless more audio may follow.
fn words(request: &DecodeRequest) -> Decoded {
    let threshold = EndpointConfig::default().rms_threshold;
    let voiced: Vec<(usize, &[i16])> = request.samples[request.speech_start..]
        .chunks(FRAME_SAMPLES)
        .enumerate()
        .map(|(index, frame)| (request.speech_start + index * FRAME_SAMPLES, frame))
        .filter(|(_, frame)| mean_square(frame) >= threshold * threshold)
        .collect();
    let words = voiced
        .chunks(WORD_FRAMES)
        .filter(|frames| !request.interim || frames.len() == WORD_FRAMES)
        .map(|frames| {
            let start = frames[0].0;
            let (last_start, last) = frames[frames.len() - 1];
            DecodedWord {
                text: WORDS[hash(frames) as usize % WORDS.len()].to_owned(),
                confidence: Some(1.0),
                span: Some(start..last_start + last.len()),
            }
        })
        .collect();
    // A rule is sure of itself.
    Decoded { words, confidence: Some(1.0), language: Some("en".to_owned()) }
}

/// FNV-1a over the samples; a short frame counts as a whole one with zeros behind it, like silence that follows.
fn hash(frames: &[(usize, &[i16])]) -> u64 {
    let padded = |frame: &[i16]| FRAME_SAMPLES - frame.len();
    let samples = frames
        .iter()
        .flat_map(|(_, frame)| frame.iter().copied().chain(std::iter::repeat_n(0, padded(frame))))
        .flat_map(i16::to_le_bytes);
    let mixed = samples
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The low bits of FNV are weak: fold the high ones in.
    mixed ^ (mixed >> 32)
}

/// How much audio one word stands for, in milliseconds.
pub const WORD_MS: u64 = WORD_FRAMES as u64 * (FRAME_SAMPLES as u64 / SAMPLES_PER_MS);

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, samples: usize) -> Vec<i16> {
        let mut state = seed;
        (0..samples)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 18) as i16 - 8_192
            })
            .collect()
    }

    fn text(samples: &[i16], interim: bool) -> String {
        words(&DecodeRequest { samples: samples.to_vec(), speech_start: 0, language: None, interim }).text()
    }

    #[test]
    fn the_words_are_64_and_none_twice() {
        let mut sorted = WORDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 64);
    }

    #[test]
    fn one_word_stands_for_each_quarter_second_of_voiced_audio() {
        let second = noise(1, 16_000);
        assert_eq!(text(&second, false).split(' ').count(), 4);
        assert_eq!(text(&second[..12_001], false).split(' ').count(), 4, "a rest is a word");
        assert_eq!(text(&second[..12_001], true).split(' ').count(), 3, "but not while more may follow");
        assert_eq!(text(&vec![0; 16_000], false), "");
    }

    #[test]
    fn silence_behind_the_speech_changes_nothing_even_inside_a_frame() {
        let speech = noise(2, 10_037);
        let longer = [speech.clone(), vec![0; 9_001]].concat();
        assert_eq!(text(&speech, false), text(&longer, false));
    }

    #[test]
    fn every_sample_counts() {
        let speech = noise(3, 16_000);
        let whole = text(&speech, false);
        let mut differing = 0;
        for at in (0..16_000).step_by(500) {
            let mut changed = speech.clone();
            changed[at] ^= 1;
            differing += usize::from(text(&changed, false) != whole);
        }
        assert!(differing >= 28, "only {differing} of 32 one-bit changes showed: 1 in 64 may collide");
        assert_ne!(text(&[&speech[..4_000], &speech[4_320..]].concat(), false), whole, "20 ms lost");
    }
}
