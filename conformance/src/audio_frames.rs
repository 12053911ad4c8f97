//! Owns the cutting of audio into frames. Knows nothing of when they are sent.

use crate::case::Audio;
use crate::speech::{Speech, silence};
use crate::wire::Outgoing;

/// Bytes of one millisecond of 16 kHz mono s16le.
const BYTES_PER_MS: u64 = 32;

/// The frames of an audio step, in order; whole sample groups all of them. `limit` gives the value of a limit by its name.
pub(crate) fn frames(
    audio: &Audio,
    speech: &Speech,
    attempt: u32,
    limit: impl Fn(&str) -> Option<u64> + Copy,
) -> Vec<Outgoing> {
    let mut pcm = Vec::new();
    if let Some(name) = &audio.speech {
        let times = if audio.grows { attempt } else { 1 };
        for _ in 0..times {
            pcm.extend_from_slice(&speech.clip(name).pcm);
        }
    }
    let further = audio.silence.as_ref().map_or(0, |sized| sized.resolve(limit));
    pcm.extend(silence(audio.silence_ms + further));
    let frame_bytes = match &audio.frame_bytes {
        Some(sized) => sized.resolve(limit),
        None => audio.frame_ms * BYTES_PER_MS,
    };
    let frame_bytes = usize::try_from(frame_bytes & !1).unwrap_or(usize::MAX).max(2);
    pcm.chunks(frame_bytes).map(|frame| Outgoing::Binary(frame.to_vec().into())).collect()
}

/// How many milliseconds of audio a frame holds, rounded down.
pub(crate) fn frame_ms(frame: &Outgoing) -> u64 {
    match frame {
        Outgoing::Binary(bytes) | Outgoing::RawBinary(bytes) => bytes.len() as u64 / BYTES_PER_MS,
        Outgoing::Fragmented(whole) => frame_ms(whole),
        Outgoing::Text(_) | Outgoing::RawText(_) | Outgoing::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Amount;

    fn sizes(audio: &Audio, attempt: u32) -> Vec<usize> {
        let limit = |name: &str| (name == "max_frame_bytes").then_some(999);
        frames(audio, &Speech::built_in(), attempt, limit)
            .iter()
            .map(|frame| match frame {
                Outgoing::Binary(bytes) => bytes.len(),
                other => panic!("{other:?} is no audio"),
            })
            .collect()
    }

    #[test]
    fn frames_are_whole_samples_of_the_length_asked_for_and_the_last_is_the_rest() {
        let audio = Audio { silence_ms: 250, ..Audio::default() };
        assert_eq!(sizes(&audio, 1), [3_200, 3_200, 1_600]);
        let odd = Amount { limit: Some("max_frame_bytes".into()), percent: 100, plus: 0 };
        let audio = Audio { silence_ms: 50, frame_bytes: Some(odd), ..Audio::default() };
        assert_eq!(sizes(&audio, 1), [998, 602]);
    }

    #[test]
    fn a_later_attempt_sends_more_where_the_step_says_so() {
        let once = Audio { speech: Some("word".into()), grows: true, ..Audio::default() };
        assert_eq!(sizes(&once, 3).iter().sum::<usize>(), 3 * sizes(&once, 1).iter().sum::<usize>());
    }
}
