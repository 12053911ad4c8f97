//! Owns the form that each input of the alphabet has on the wire, and the speech that keeps a subject draining. Knows nothing of
//! answers.

use lastword_spec::table::ServerInput;
use serde_json::{Map, Value, json};

use super::machine::CLOSE_CODE;
use crate::audio_frames;
use crate::case::{Audio, Pace};
use crate::run::control::config_message;
use crate::speech::{Speech, silence};
use crate::wire::Outgoing;

/// The length of the input `audio`, in milliseconds: silence, so that nothing is recognised in it.
const AUDIO_MS: u64 = 100;
/// The length of the input `audio (broken)`.
const BROKEN_BYTES: usize = 333;
/// How the ids of updates begin.
const UPDATE: &str = "update-";

/// The message of one input; `number` is its place in the sequence.
pub(super) fn message(input: ServerInput, number: usize, token: Option<&str>) -> Outgoing {
    let text = |value: Value| Outgoing::Text(value.to_string());
    match input {
        ServerInput::Config => Outgoing::Text(config_message(token, &Map::new())),
        ServerInput::RefusedConfig => {
            let wrong = Map::from_iter([("interim_results".to_owned(), Value::from("yes"))]);
            Outgoing::Text(config_message(token, &wrong))
        }
        ServerInput::Audio => Outgoing::Binary(silence(AUDIO_MS).into()),
        ServerInput::EmptyAudio => Outgoing::Binary(Vec::new().into()),
        ServerInput::BrokenAudio => Outgoing::Binary(vec![0; BROKEN_BYTES].into()),
        ServerInput::Keepalive => text(json!({"type": "keepalive"})),
        ServerInput::KeepaliveSeq => text(json!({"type": "keepalive", "seq": number + 1})),
        ServerInput::Flush => text(json!({"type": "flush", "id": format!("flush-{number}")})),
        ServerInput::Update => {
            text(json!({"type": "update", "id": format!("{UPDATE}{number}"), "keyterms": ["garage"]}))
        }
        ServerInput::EndOfStream => text(json!({"type": "end_of_stream"})),
        ServerInput::UnknownType => text(json!({"type": "no_such_type"})),
        ServerInput::Close => Outgoing::Close(Some(CLOSE_CODE)),
        // The rest of the table's inputs are no inputs of the suite.
        _ => Outgoing::Text("no message".to_owned()),
    }
}

/// What an input looks like, for a person.
pub(super) fn shown(input: ServerInput) -> String {
    match message(input, 0, None) {
        Outgoing::Text(text) => text.replace("update-0", "u").replace("flush-0", "f"),
        Outgoing::Binary(bytes) => format!("<{} bytes>", bytes.len()),
        Outgoing::RawBinary(_) | Outgoing::RawText(_) | Outgoing::Fragmented(_) => String::new(),
        Outgoing::Close(code) => format!("Close {}", code.unwrap_or_default()),
    }
}

/// Whether an id is that of an update of the suite.
pub(super) fn is_update_id(id: &str) -> bool {
    id.starts_with(UPDATE)
}

/// Speech to stand before the sentinel, so that the subject is still busy with it when it reads what stands behind. A later
/// attempt has more of it.
pub(super) fn holding_speech(speech: &Speech, attempt: u32) -> Vec<Outgoing> {
    let (name, times) = if attempt == 1 { ("word", 1) } else { ("long", attempt - 1) };
    let audio = Audio { speech: Some(name.to_owned()), grows: true, pace: Pace::Fast, ..Audio::default() };
    audio_frames::frames(&audio, speech, times, |_| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::machine::ALPHABET;

    #[test]
    fn every_input_of_the_alphabet_has_a_form_of_its_own() {
        let forms: std::collections::BTreeSet<String> = ALPHABET.iter().map(|input| shown(*input)).collect();
        assert_eq!(forms.len(), ALPHABET.len());
        let all: Vec<String> = ALPHABET.iter().map(|input| format!("{}: {}", input.as_str(), shown(*input))).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_later_attempt_holds_the_subject_for_longer() {
        let speech = Speech::built_in();
        let length = |attempt| holding_speech(&speech, attempt).iter().map(audio_frames::frame_ms).sum::<u64>();
        assert!(length(1) > 200 && length(2) > 2 * length(1) && length(3) > length(2), "{} {}", length(1), length(2));
    }
}
