//! What a session is configured with: what the client asks for, and what the server then says is in effect.
//! Knows nothing of limits, capabilities or of what a given server serves.

use serde::{Deserialize, Serialize};

use super::strict::{self, object_only};
use super::vocabulary::{Encoding, EndpointingMode, Task};

/// The first message of a session: what the client wants. `{"type":"config"}` alone means signed 16-bit little-endian
/// PCM, 16,000 Hz, one channel, and the default of every other option.
///
/// Sent once, before anything else. The server answers with `ready`, which says what is in effect, or with a fatal
/// `error`. The members `sample_rate`, `sample_rate_hz`, `encoding` and `channels` are refused at top level: they belong
/// inside `audio`, and ignoring them would transcribe noise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::no_audio_at_top_level))]
#[serde(remote = "Self")]
pub struct Config {
    /// The spoken language as a BCP 47 tag, such as `en` or `pt-BR`. Absent: the server's default, or detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The languages that may be spoken, for servers that choose among several. An array even when it holds one.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub languages: Vec<String>,
    /// The model by the server's own name for it. Absent: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `transcribe` or `translate`. Absent: `transcribe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The form of the audio in the binary messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioRequest>,
    /// Whether the server may send `partial`. Absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interim_results: Option<bool>,
    /// Whether results carry `words` with times. Absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<bool>,
    /// Whether the server sends `speech_started` and `speech_ended`. Absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad_events: Option<bool>,
    /// Where segments end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpointing: Option<EndpointingRequest>,
    /// Words and phrases the recognizer should favour.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub keyterms: Vec<String>,
    /// A secret that authenticates the client where no `Authorization` header can be set, as in a browser. Never echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Options the client cannot do without, as dotted paths such as `endpointing.silence_ms`. One that the server does not
    /// serve is a fatal `error` with code `unsupported_option` instead of an entry in `ready.ignored`.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub required: Vec<String>,
}

impl Config {
    /// What this asks for with every default filled in. The server may still ignore an option: `ready.config` decides.
    #[must_use]
    pub fn effective(&self) -> EffectiveConfig {
        let defaults = EffectiveConfig::default();
        EffectiveConfig {
            language: self.language.clone(),
            languages: self.languages.clone(),
            model: self.model.clone(),
            task: self.task.clone(),
            audio: self.audio.as_ref().map_or(defaults.audio, AudioRequest::effective),
            interim_results: self.interim_results.unwrap_or(defaults.interim_results),
            words: self.words.unwrap_or(defaults.words),
            vad_events: self.vad_events.unwrap_or(defaults.vad_events),
            endpointing: self.endpointing.as_ref().map_or(defaults.endpointing, EndpointingRequest::effective),
            keyterms: self.keyterms.clone(),
        }
    }
}

/// The form of the audio a client will send. All members are optional; an absent one means its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct AudioRequest {
    /// How samples are written. Absent: `pcm_s16le`, which is also its only spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Samples a second of one channel, at least 1. Absent: 16000.
    #[serde(default, deserialize_with = "strict::opt_ranged::<_, _, 1, { u32::MAX as u64 }>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub sample_rate_hz: Option<u32>,
    /// Interleaved channels, at least 1. Absent: 1.
    #[serde(default, deserialize_with = "strict::opt_ranged::<_, _, 1, { u32::MAX as u64 }>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub channels: Option<u32>,
}

impl AudioRequest {
    /// The format with every default filled in.
    #[must_use]
    pub fn effective(&self) -> AudioFormat {
        let defaults = AudioFormat::default();
        AudioFormat {
            encoding: self.encoding.clone().unwrap_or(defaults.encoding),
            sample_rate_hz: self.sample_rate_hz.unwrap_or(defaults.sample_rate_hz),
            channels: self.channels.unwrap_or(defaults.channels),
        }
    }
}

/// Where a client wants segments to end. All members are optional; an absent one means its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct EndpointingRequest {
    /// `vad` or `none`. Absent: `vad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EndpointingMode>,
    /// Milliseconds of silence that end a segment, 1 to 60000. Absent: 500.
    #[serde(default, deserialize_with = "strict::opt_ranged::<_, _, 1, 60_000>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 60_000)))]
    pub silence_ms: Option<u64>,
    /// The longest segment in milliseconds of audio, 1000 to 600000; the server cuts there. Absent: 30000.
    #[serde(default, deserialize_with = "strict::opt_ranged::<_, _, 1_000, 600_000>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1_000, max = 600_000)))]
    pub max_segment_ms: Option<u64>,
}

impl EndpointingRequest {
    /// The endpointing with every default filled in.
    #[must_use]
    pub fn effective(&self) -> Endpointing {
        let defaults = Endpointing::default();
        Endpointing {
            mode: self.mode.clone().unwrap_or(defaults.mode),
            silence_ms: self.silence_ms.unwrap_or(defaults.silence_ms),
            max_segment_ms: self.max_segment_ms.unwrap_or(defaults.max_segment_ms),
        }
    }
}

/// What is in effect for a session, as `ready` and `updated` tell it: complete and authoritative. It has the members of
/// `config` without `token` and `required`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct EffectiveConfig {
    /// The language in use as a BCP 47 tag. Absent: detected, or not known to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The languages the server chooses among. Absent: as `language` says.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub languages: Vec<String>,
    /// The model in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The task in use. Absent: `transcribe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The form in which the server reads binary messages.
    pub audio: AudioFormat,
    /// Whether `partial` may come.
    pub interim_results: bool,
    /// Whether results carry `words`.
    pub words: bool,
    /// Whether `speech_started` and `speech_ended` come.
    pub vad_events: bool,
    /// Where segments end.
    pub endpointing: Endpointing,
    /// The words and phrases that are favoured.
    #[serde(default, deserialize_with = "strict::null_as_default", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub keyterms: Vec<String>,
}

impl Default for EffectiveConfig {
    /// What `{"type":"config"}` alone asks for.
    fn default() -> Self {
        Self {
            language: None,
            languages: Vec::new(),
            model: None,
            task: None,
            audio: AudioFormat::default(),
            interim_results: true,
            words: false,
            vad_events: false,
            endpointing: Endpointing::default(),
            keyterms: Vec::new(),
        }
    }
}

/// The form of the audio in the binary messages of a session. All members are required.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct AudioFormat {
    /// How samples are written.
    pub encoding: Encoding,
    /// Samples a second of one channel, at least 1.
    #[serde(deserialize_with = "strict::ranged::<_, _, 1, { u32::MAX as u64 }>")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub sample_rate_hz: u32,
    /// Interleaved channels, at least 1.
    #[serde(deserialize_with = "strict::ranged::<_, _, 1, { u32::MAX as u64 }>")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub channels: u32,
}

impl AudioFormat {
    /// Bytes of one sample group, that is one sample of every channel; a binary message holds whole groups. `None` where
    /// the encoding has no fixed size.
    #[must_use]
    pub fn bytes_per_sample_group(&self) -> Option<u64> {
        self.encoding.bytes_per_sample().map(|bytes| u64::from(bytes) * u64::from(self.channels))
    }
}

impl Default for AudioFormat {
    /// Signed 16-bit little-endian PCM, 16,000 Hz, one channel.
    fn default() -> Self {
        Self { encoding: Encoding::PCM_S16LE, sample_rate_hz: 16_000, channels: 1 }
    }
}

/// Where segments end in a session. All members are required.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct Endpointing {
    /// Who decides where a segment ends.
    pub mode: EndpointingMode,
    /// Milliseconds of silence that end a segment, 1 to 60000.
    #[serde(deserialize_with = "strict::ranged::<_, _, 1, 60_000>")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 60_000)))]
    pub silence_ms: u64,
    /// The longest segment in milliseconds of audio, 1000 to 600000.
    #[serde(deserialize_with = "strict::ranged::<_, _, 1_000, 600_000>")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1_000, max = 600_000)))]
    pub max_segment_ms: u64,
}

impl Default for Endpointing {
    /// Voice activity detection, 500 ms of silence, 30 s at most.
    fn default() -> Self {
        Self { mode: EndpointingMode::VAD, silence_ms: 500, max_segment_ms: 30_000 }
    }
}

object_only!(Config, AudioRequest, EndpointingRequest, EffectiveConfig, AudioFormat, Endpointing);
