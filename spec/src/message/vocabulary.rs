//! Open vocabularies: strings with well-known values, where a value this version does not know survives unchanged.
//! Owns the macro that makes such a type and the small vocabularies of the configuration; it knows no message.

/// Defines a newtype over a string with named constants. An unknown value is kept, compares by its text and is written
/// back as it came.
macro_rules! open_vocabulary {
    (
        $(#[$attr:meta])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ $konst:ident = $value:literal, )+
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            $( $(#[doc = $doc])+ pub const $konst: Self = Self(std::borrow::Cow::Borrowed($value)); )+

            /// The values this version defines, each with what it means.
            pub const KNOWN: &'static [(&'static str, &'static str)] = &[$( ($value, concat!($($doc),+)) ),+];

            /// The value as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether this version defines the value.
            #[must_use]
            pub fn is_known(&self) -> bool {
                Self::known(self.as_str()).is_some()
            }

            fn known(value: &str) -> Option<&'static str> {
                Self::KNOWN.iter().map(|(known, _)| *known).find(|known| *known == value)
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                match Self::known(value) {
                    Some(known) => Self(std::borrow::Cow::Borrowed(known)),
                    None => Self(std::borrow::Cow::Owned(value.to_owned())),
                }
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                match Self::known(&value) {
                    Some(known) => Self(std::borrow::Cow::Borrowed(known)),
                    None => Self(std::borrow::Cow::Owned(value)),
                }
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(String::deserialize(deserializer)?))
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let known: Vec<&str> = Self::KNOWN.iter().map(|(value, _)| *value).collect();
                schemars::json_schema!({ "type": "string", "x-known-values": known })
            }
        }
    };
}
pub(crate) use open_vocabulary;

open_vocabulary! {
    /// How the samples in a binary message are written. `pcm_s16le` is the one every server must serve.
    pub struct Encoding {
        /// Signed 16-bit little-endian linear PCM, two bytes a sample.
        PCM_S16LE = "pcm_s16le",
        /// 32-bit little-endian IEEE 754 floating-point PCM in -1..=1, four bytes a sample.
        PCM_F32LE = "pcm_f32le",
        /// G.711 mu-law, one byte a sample.
        MULAW = "mulaw",
        /// G.711 A-law, one byte a sample.
        ALAW = "alaw",
        /// One Opus packet a binary message.
        OPUS = "opus",
    }
}

impl Encoding {
    /// Bytes one sample of one channel takes; `None` where a message is a packet (`opus`) or the encoding is unknown.
    #[must_use]
    pub fn bytes_per_sample(&self) -> Option<u32> {
        match self.as_str() {
            "pcm_s16le" => Some(2),
            "pcm_f32le" => Some(4),
            "mulaw" | "alaw" => Some(1),
            _ => None,
        }
    }
}

open_vocabulary! {
    /// What the server makes of the speech.
    pub struct Task {
        /// Text in the language that is spoken.
        TRANSCRIBE = "transcribe",
        /// Text in English, whatever is spoken.
        TRANSLATE = "translate",
    }
}

open_vocabulary! {
    /// Who decides where a segment ends.
    pub struct EndpointingMode {
        /// The server, by its voice activity detector: a segment ends after `silence_ms` of silence.
        VAD = "vad",
        /// The client, by `flush`; the server still cuts at `max_segment_ms`.
        NONE = "none",
    }
}

open_vocabulary! {
    /// What a `warning` is about.
    pub struct WarningCode {
        /// The session will reach `max_session_ms` soon.
        SESSION_EXPIRING = "session_expiring",
        /// The server shuts down soon.
        GOING_AWAY = "going_away",
        /// Accepted audio was dropped, so the session will not be complete.
        AUDIO_DROPPED = "audio_dropped",
        /// The audio begins like a container file; raw samples are expected.
        CONTAINER_IN_RAW_AUDIO = "container_in_raw_audio",
    }
}
