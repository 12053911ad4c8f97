//! The driver protocol, version 1: lines of JSON between the harness and a small program that calls a client's public interface
//! for it. Owns the lines and how they are read and written; it does no I/O, and what is asked when is not its business.
//!
//! `docs/driver.md` tells it for people, `schemas/v1/driver.json` for readers who have no Rust.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::ijson;
use crate::message::strict::{BAD_VALUE, object_only};
use crate::trace::{Call, MAX_LINE_BYTES, Returned, Told};

/// The version of the driver protocol, the value of `version` in both hellos.
pub const DRIVER_VERSION: u32 = 1;

/// A line to the driver. Calls are numbered from 1, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
// Every variant has braces: a tagged variant without them would take members that it does not know.
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
pub enum Order {
    /// Asks who it is; always first.
    Hello {
        /// The version that the harness speaks: 1.
        version: u32,
    },
    /// Connect and begin a session. It need not be ready when the call comes back.
    Start {
        /// The number of the call.
        #[serde(deserialize_with = "number")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        number: u32,
        /// Where the server is: `ws://host:port/path`.
        url: String,
        /// The credential to show, as the client shows credentials.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// Hand over audio.
    Push {
        /// The number of the call.
        #[serde(deserialize_with = "number")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        number: u32,
        /// How much it is, in milliseconds.
        audio_ms: u64,
        /// The samples: 16 kHz, mono, signed 16 bit little endian, in base64 with padding.
        #[serde(deserialize_with = "base64")]
        #[cfg_attr(feature = "schema", schemars(regex(pattern = BASE64_PATTERN)))]
        pcm_s16le_base64: String,
    },
    /// Ask for the finals so far.
    Flush {
        /// The number of the call.
        #[serde(deserialize_with = "number")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        number: u32,
    },
    /// The input is over.
    End {
        /// The number of the call.
        #[serde(deserialize_with = "number")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        number: u32,
    },
    /// Cancel.
    Close {
        /// The number of the call.
        #[serde(deserialize_with = "number")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        number: u32,
    },
    /// After the end: say what is left of the session. No call, and without a number.
    Report {},
    /// Exit.
    Quit {},
}

impl Order {
    /// The number and the name of the call, where it is one.
    #[must_use]
    pub const fn call(&self) -> Option<(u32, Call)> {
        match self {
            Self::Hello { .. } | Self::Report {} | Self::Quit {} => None,
            Self::Start { number, .. } => Some((*number, Call::Start)),
            Self::Push { number, .. } => Some((*number, Call::Push)),
            Self::Flush { number } => Some((*number, Call::Flush)),
            Self::End { number } => Some((*number, Call::End)),
            Self::Close { number } => Some((*number, Call::Close)),
        }
    }

    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// It is no order of this version. The harness's fault.
    pub fn read(text: &str) -> Result<Self, LineError> {
        read(text)
    }

    /// The order as one line, line end included.
    #[must_use]
    pub fn write(&self) -> String {
        write(self)
    }
}

/// A line of the driver: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Who it is; the answer to the harness's hello.
    Hello(Hello),
    /// A call came back.
    Returned(Returned),
    /// The client told its application something.
    Told(Told),
}

impl Line {
    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// It is no line of a driver. The driver's fault; the next line may be one.
    pub fn read(text: &str) -> Result<Self, LineError> {
        read(text)
    }

    /// The line, line end included. [`read`](Self::read) gives it back, provided that its numbers are at most 2^53-1.
    #[must_use]
    pub fn write(&self) -> String {
        write(self)
    }
}

/// What a driver says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Hello {
    /// The version of the protocol that it speaks: 1.
    pub version: u32,
    /// The client that it drives, with its version.
    pub client: String,
    /// What the client does not have. May be left out.
    #[serde(default)]
    pub lacks: Vec<Lack>,
}

/// A call that a client may be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// It cannot be asked for the finals so far.
    Flush,
    /// It cannot be cancelled.
    Close,
}

impl Lack {
    /// The call.
    #[must_use]
    pub const fn call(self) -> Call {
        match self {
            Self::Flush => Call::Flush,
            Self::Close => Call::Close,
        }
    }
}

object_only!(Order, Hello);

/// Why a text is no line of the driver protocol, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}{detail}", self.place())]
pub struct LineError {
    /// The member at fault as a dotted path; empty for the line itself.
    pub path: String,
    /// What is wrong and what would be right, in words.
    pub detail: String,
}

impl LineError {
    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("`{}`: ", self.path) }
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LineError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError { path: String::new(), detail: format!("longer than {MAX_LINE_BYTES} bytes") });
    }
    let at = |error: DecodeError| LineError { path: error.path, detail: error.detail };
    ijson::scan(line).map_err(|error| at(DecodeError::not_ijson(error)))?;
    serde_json::from_str(line).map_err(|_| at(codec::explain::<T>("", line)))
}

fn write<T: Serialize>(line: &T) -> String {
    let mut text = serde_json::to_string(line).expect("a line has string keys and is written to memory");
    text.push('\n');
    text
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom(format_args!("{BAD_VALUE} `number` counts calls from 1"))),
        number => Ok(number),
    }
}

/// The one form of base64: the usual alphabet, padded, and no bit set that means nothing.
#[cfg(feature = "schema")]
const BASE64_PATTERN: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_base64(&text) {
        return Ok(text);
    }
    Err(D::Error::custom(format_args!(
        "{BAD_VALUE} `pcm_s16le_base64` must be base64 of the usual alphabet, with padding"
    )))
}

fn is_base64(text: &str) -> bool {
    let (whole, last) = text.as_bytes().split_at(text.len().saturating_sub(4));
    let of_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let ends_well = match last {
        [] => true,
        [first, second, b'=', b'='] => of_alphabet(first) && b"AQgw".contains(second),
        [first, second, third, b'='] => {
            of_alphabet(first) && of_alphabet(second) && b"AEIMQUYcgkosw048".contains(third)
        }
        all => all.iter().all(of_alphabet),
    };
    text.len().is_multiple_of(4) && whole.iter().all(of_alphabet) && ends_well
}
