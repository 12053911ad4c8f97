//! Owns what a random session does, step by step, in words and on the wire. Knows nothing of which steps follow each other.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::run::control::config_message;
use crate::speech::Speech;
use crate::wire::Outgoing;

/// A random session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// What goes out between two waits goes out in one write, else each message in its own.
    pub together: bool,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step of a random session. What is illegal where it stands is so on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A `config`.
    Config(Form),
    /// A binary message of so many samples, of speech or of silence.
    Audio {
        /// How many.
        samples: u32,
        /// Speech, else silence.
        voiced: bool,
    },
    /// A binary message of whole samples and one byte more.
    Broken {
        /// How many samples.
        samples: u32,
    },
    /// A binary message of no bytes.
    Empty,
    /// A `flush`.
    Flush,
    /// A `keepalive`.
    Keepalive,
    /// A `keepalive` with a `seq`.
    Acknowledge,
    /// An `update`.
    Update,
    /// The sentinel.
    End,
    /// A message of a type that is not defined, or that only servers send.
    Unknown(Stranger),
    /// A text that is no message.
    Garbage(Garbage),
    /// Nothing for so many milliseconds.
    Pause {
        /// How many.
        ms: u32,
    },
    /// Until the subject owes nothing more.
    Settle,
    /// A Close with 1000.
    Close,
}

/// The form of a `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Nothing but the type.
    Bare,
    /// Without interim results.
    NoPartials,
    /// Without endpointing.
    NoEndpointing,
    /// With an option that no server knows.
    UnknownOption,
    /// With an impossible value.
    Refused,
}

/// A message that a server does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stranger {
    /// A type that is not defined.
    Undefined,
    /// A type that only servers send.
    OfServers,
}

/// A text that is no well-formed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// No JSON.
    NoJson,
    /// JSON, but no object.
    Array,
    /// A `flush` without `id`.
    FlushWithoutId,
    /// A `keepalive` whose `seq` is a string.
    SeqAsText,
}

impl Step {
    /// The message of this step; none where it only waits. `number` is its place in the sequence, `offset` how much speech went
    /// before it, in samples.
    pub(super) fn message(
        &self,
        number: usize,
        offset: &mut usize,
        speech: &Speech,
        token: Option<&str>,
    ) -> Option<Outgoing> {
        let text = |value: Value| Some(Outgoing::Text(value.to_string()));
        match self {
            Self::Config(form) => Some(Outgoing::Text(config_message(token, &form.members()))),
            Self::Audio { samples, voiced } => {
                let bytes = if *voiced { spoken(speech, offset, *samples) } else { silent(*samples) };
                Some(Outgoing::Binary(bytes.into()))
            }
            Self::Broken { samples } => {
                let mut bytes = silent(*samples);
                bytes.push(0);
                Some(Outgoing::RawBinary(bytes.into()))
            }
            Self::Empty => Some(Outgoing::Binary(Vec::new().into())),
            Self::Flush => text(json!({"type": "flush", "id": format!("flush-{number}")})),
            Self::Keepalive => text(json!({"type": "keepalive"})),
            Self::Acknowledge => text(json!({"type": "keepalive", "seq": number})),
            Self::Update => text(json!({"type": "update", "id": format!("update-{number}"), "keyterms": ["garage"]})),
            Self::End => text(json!({"type": "end_of_stream"})),
            Self::Unknown(Stranger::Undefined) => text(json!({"type": "no_such_type", "id": number})),
            Self::Unknown(Stranger::OfServers) => text(json!({"type": "flushed", "id": format!("flush-{number}")})),
            Self::Garbage(garbage) => Some(Outgoing::Text(garbage.text().to_owned())),
            Self::Close => Some(Outgoing::Close(Some(1_000))),
            Self::Pause { .. } | Self::Settle => None,
        }
    }
}

impl Form {
    fn members(self) -> Map<String, Value> {
        let value = match self {
            Self::Bare => json!({}),
            Self::NoPartials => json!({"interim_results": false}),
            Self::NoEndpointing => json!({"endpointing": {"mode": "none"}}),
            Self::UnknownOption => json!({"no_such_option": 1, "x_own": [1, 2]}),
            Self::Refused => json!({"interim_results": "yes"}),
        };
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

impl Garbage {
    fn text(self) -> &'static str {
        match self {
            Self::NoJson => "no message",
            Self::Array => r#"["keepalive"]"#,
            Self::FlushWithoutId => r#"{"type":"flush"}"#,
            Self::SeqAsText => r#"{"type":"keepalive","seq":"1"}"#,
        }
    }
}

/// So many samples of the long clip, from where the last ones ended; it begins again at its end.
fn spoken(speech: &Speech, offset: &mut usize, samples: u32) -> Vec<u8> {
    let pcm = &speech.clip("long").pcm;
    let whole = pcm.len() / 2;
    let mut bytes = Vec::new();
    for _ in 0..samples {
        let at = (*offset % whole.max(1)) * 2;
        bytes.extend_from_slice(pcm.get(at..at + 2).unwrap_or(&[0, 0]));
        *offset += 1;
    }
    bytes
}

fn silent(samples: u32) -> Vec<u8> {
    vec![0; samples as usize * 2]
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(Form::Bare) => f.write_str("config"),
            Self::Config(Form::NoPartials) => f.write_str("config without interim results"),
            Self::Config(Form::NoEndpointing) => f.write_str("config without endpointing"),
            Self::Config(Form::UnknownOption) => f.write_str("config with an unknown option"),
            Self::Config(Form::Refused) => f.write_str("config with an impossible value"),
            Self::Audio { samples, voiced } => {
                write!(f, "{samples} samples of {}", if *voiced { "speech" } else { "silence" })
            }
            Self::Broken { samples } => write!(f, "{samples} samples and one byte"),
            Self::Empty => f.write_str("an empty binary message"),
            Self::Flush => f.write_str("flush"),
            Self::Keepalive => f.write_str("keepalive"),
            Self::Acknowledge => f.write_str("keepalive{seq}"),
            Self::Update => f.write_str("update"),
            Self::End => f.write_str("end_of_stream"),
            Self::Unknown(Stranger::Undefined) => f.write_str("a message of an unknown type"),
            Self::Unknown(Stranger::OfServers) => f.write_str("a message that only servers send"),
            Self::Garbage(Garbage::NoJson) => f.write_str("a text that is no JSON"),
            Self::Garbage(Garbage::Array) => f.write_str("a JSON array"),
            Self::Garbage(Garbage::FlushWithoutId) => f.write_str("flush without id"),
            Self::Garbage(Garbage::SeqAsText) => f.write_str("keepalive with a string as seq"),
            Self::Pause { ms } => write!(f, "a pause of {ms} ms"),
            Self::Settle => f.write_str("a wait for all that is owed"),
            Self::Close => f.write_str("Close 1000"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_goes_on_where_it_stopped_and_silence_takes_none_of_it() {
        let speech = Speech::built_in();
        let mut offset = 0;
        let mut bytes = |step: Step| match step.message(0, &mut offset, &speech, None) {
            Some(Outgoing::Binary(bytes) | Outgoing::RawBinary(bytes)) => bytes.to_vec(),
            other => panic!("{other:?} is no audio"),
        };
        let first = bytes(Step::Audio { samples: 3_000, voiced: true });
        assert_eq!(bytes(Step::Audio { samples: 10, voiced: false }), [0; 20]);
        let second = bytes(Step::Audio { samples: 500, voiced: true });
        let pcm = &speech.clip("long").pcm;
        assert_eq!([first, second].concat(), pcm[..7_000]);
        assert_eq!(bytes(Step::Broken { samples: 4 }).len(), 9);
    }

    #[test]
    fn waits_send_nothing_and_a_config_carries_the_credential() {
        let speech = Speech::built_in();
        assert!(Step::Settle.message(0, &mut 0, &speech, None).is_none());
        assert!(Step::Pause { ms: 5 }.message(0, &mut 0, &speech, None).is_none());
        let Some(Outgoing::Text(config)) = Step::Config(Form::Refused).message(0, &mut 0, &speech, Some("sesame"))
        else {
            panic!("no text")
        };
        assert!(config.contains("sesame") && config.contains("interim_results"), "{config}");
    }
}
