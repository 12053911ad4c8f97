//! What the recognizer found, as messages: partials, finals, words, speech events. Knows nothing of sessions.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::strict::object_only;

/// What the server takes the speech of an open segment for at present. A later `partial` or the `final` of the same
/// segment replaces it. Partials are never owed, and none comes unless `interim_results` is in effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Partial {
    /// The segment this belongs to; its `final` bears the same number.
    pub segment_id: u64,
    /// Rises with every partial of a segment.
    pub revision: u64,
    /// The text, never empty, without white space at its ends.
    pub text: String,
    /// Where the segment starts, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// Where the text ends so far, in milliseconds from the first sample of the stream.
    pub end_ms: u64,
    /// The words with their times, where `words` is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
    /// The language that was recognized, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The channel, counted from 0.
    pub channel: u32,
}

/// The result for one segment. It is never restated: there is one `final` for each `segment_id`, and no partial after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Final {
    /// The segment: starts at 0, rises by one, is unique in the session across channels.
    pub segment_id: u64,
    /// The text, without white space at its ends. Empty where the segment turned out to hold no speech.
    pub text: String,
    /// Where the segment starts, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// Where the segment ends, in milliseconds from the first sample of the stream.
    pub end_ms: u64,
    /// How sure the recognizer is, as a probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Probability>,
    /// The words with their times, where `words` is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
    /// The language that was recognized, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Who spoke, by a name the server made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// The channel, counted from 0.
    pub channel: u32,
}

/// One word of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Word {
    /// The word as it stands in the text, with its punctuation.
    pub text: String,
    /// Where the word starts, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// Where the word ends, in milliseconds from the first sample of the stream.
    pub end_ms: u64,
    /// How sure the recognizer is of this word, as a probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Probability>,
}

/// Speech began on a channel. Sent only where `vad_events` is in effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct SpeechStarted {
    /// Where it began, in milliseconds from the first sample of the stream.
    pub start_ms: u64,
    /// The channel, counted from 0.
    pub channel: u32,
}

/// Speech ended on a channel. It comes before the `final` of that speech; a flush also ends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct SpeechEnded {
    /// Where it ended, in milliseconds from the first sample of the stream.
    pub end_ms: u64,
    /// The channel, counted from 0.
    pub channel: u32,
}

object_only!(Partial, Final, Word, SpeechStarted, SpeechEnded);

/// A finite number from 0 to 1. Two are equal when their bits are: it is a value to hand on, not to compute with.
#[derive(Clone, Copy)]
pub struct Probability(f64);

impl Probability {
    /// `None` unless `value` is in `0.0..=1.0` (and so no NaN).
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number, in `0.0..=1.0`.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Probability {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Probability {}

impl Hash for Probability {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Debug for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probability({:?})", self.0)
    }
}

impl Serialize for Probability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| D::Error::invalid_value(Unexpected::Float(value), &"a number from 0 to 1"))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Probability {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Probability".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}
