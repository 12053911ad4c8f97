//! Owns the check of `config` (section 2): what is in force, what is ignored, what is refused. It does not know sessions.

use serde_json::{Map, Value, json};

use crate::fault::Fault;

pub(crate) const PROTOCOL: &str = "lastword.v1";
pub(crate) const MODEL: &str = "made-up-words";

/// Where segments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpointing {
    pub(crate) vad: bool,
    pub(crate) silence_ms: u64,
    pub(crate) max_segment_ms: u64,
}

impl Default for Endpointing {
    fn default() -> Self {
        Self { vad: true, silence_ms: 500, max_segment_ms: 30_000 }
    }
}

/// What is in force in a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) endpointing: Endpointing,
    pub(crate) interim_results: bool,
    pub(crate) words: bool,
    pub(crate) vad_events: bool,
    pub(crate) language: Option<String>,
    /// What `ready` says of the audio where that is not what is read. Only a fault sets it.
    pub(crate) claimed_audio: Option<(u64, u64)>,
}

impl Settings {
    /// The effective configuration as the wire has it.
    pub(crate) fn to_json(&self) -> Value {
        let (sample_rate_hz, channels) = self.claimed_audio.unwrap_or((16_000, 1));
        let mut config = json!({
            "audio": {"encoding": "pcm_s16le", "sample_rate_hz": sample_rate_hz, "channels": channels},
            "interim_results": self.interim_results,
            "words": self.words,
            "vad_events": self.vad_events,
            "endpointing": {
                "mode": if self.endpointing.vad { "vad" } else { "none" },
                "silence_ms": self.endpointing.silence_ms,
                "max_segment_ms": self.endpointing.max_segment_ms,
            },
            "model": MODEL,
            "task": "transcribe",
        });
        if let Some(language) = &self.language {
            config["language"] = language.as_str().into();
        }
        config
    }
}

/// Why a `config` is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) param: Option<String>,
}

fn refuse<T>(code: &'static str, param: &str) -> Result<T, Refusal> {
    Err(Refusal { code, param: Some(param.to_owned()) })
}

/// A member that is neither absent nor null.
pub(crate) fn given<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// A member of some type, `Err` where it is of another or impossible.
pub(crate) fn option<'a, T: 'a>(
    members: &'a Map<String, Value>,
    path: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let name = path.rsplit('.').next().unwrap_or(path);
    match given(members, name) {
        None => Ok(None),
        Some(value) => read(value).map_or_else(|| refuse("invalid_config", path), |value| Ok(Some(value))),
    }
}

const MISPLACED: [&str; 4] = ["sample_rate", "sample_rate_hz", "encoding", "channels"];
const ENCODINGS: [&str; 5] = ["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus"];
const AUDIO: [&str; 3] = ["encoding", "sample_rate_hz", "channels"];
const ENDPOINTING: [&str; 3] = ["mode", "silence_ms", "max_segment_ms"];
const KNOWN: [&str; 13] = [
    "type",
    "audio",
    "endpointing",
    "model",
    "interim_results",
    "words",
    "vad_events",
    "language",
    "token",
    "required",
    "languages",
    "keyterms",
    "task",
];
/// Known, and served here.
const SERVED: [&str; 9] =
    ["audio", "endpointing", "model", "interim_results", "words", "vad_events", "language", "token", "required"];

/// What a `config` brings into force, and the paths that are ignored.
pub(crate) fn check(message: &Map<String, Value>, fault: Fault) -> Result<(Settings, Vec<String>), Refusal> {
    let is = |one: Fault| fault == one;
    if let Some(name) = MISPLACED.iter().find(|name| given(message, name).is_some())
        && !is(Fault::TopLevelAudioIgnored)
    {
        return refuse("invalid_config", name);
    }
    let empty = Map::new();
    let audio = option(message, "audio", Value::as_object)?.unwrap_or(&empty);
    let (rate_hz, channels, encoding) = audio_format(audio, fault)?;
    let endpointing = option(message, "endpointing", Value::as_object)?.unwrap_or(&empty);
    let mut settings = Settings {
        endpointing: endpointing_of(endpointing, Endpointing::default(), fault)?,
        interim_results: flag(message, "interim_results", fault)?.unwrap_or(!is(Fault::DefaultInterimOff)),
        words: flag(message, "words", fault)?.unwrap_or(false),
        vad_events: flag(message, "vad_events", fault)?.unwrap_or(false),
        language: option(message, "language", Value::as_str)?.map(str::to_owned),
        claimed_audio: None,
    };
    if is(Fault::DefaultSilenceLong) && given(endpointing, "silence_ms").is_none() {
        settings.endpointing.silence_ms = 800;
    }
    let model = option(message, "model", Value::as_str)?;
    let task =
        option(message, "task", |value| value.as_str().filter(|task| ["transcribe", "translate"].contains(task)))?;
    let languages = option(message, "languages", strings)?.unwrap_or_default();
    let keyterms = option(message, "keyterms", strings)?.unwrap_or_default();
    option(message, "token", Value::as_str)?;
    let required = option(message, "required", strings)?.unwrap_or_default();

    match (rate_hz, channels) {
        (16_000, 1) if encoding == "pcm_s16le" => {}
        _ if is(Fault::UnservedAudioReplaced) => {}
        _ if is(Fault::UnservedAudioClaimed) => settings.claimed_audio = Some((rate_hz, channels)),
        _ if is(Fault::UnservedAudioInvalid) => return refuse("internal", "audio"),
        _ => return refuse("unsupported_audio", "audio"),
    }
    if model.is_some_and(|model| model != MODEL) && !is(Fault::UnknownModelServed) {
        let code = if is(Fault::UnknownModelInvalid) { "invalid_config" } else { "unknown_model" };
        return refuse(code, "model");
    }
    let unserved =
        [("languages", !languages.is_empty()), ("keyterms", !keyterms.is_empty()), ("task", task == Some("translate"))];
    let mut ignored: Vec<String> =
        unserved.iter().filter(|(_, asked)| *asked).map(|(name, _)| (*name).to_owned()).collect();
    if is(Fault::UnservedOptionRefused) && !ignored.is_empty() {
        return refuse("unsupported_option", "keyterms");
    }
    if is(Fault::UnservedOptionUnsaid) {
        ignored.clear();
    }
    let served = |path: &str| {
        let (head, tail) = path.split_once('.').unwrap_or((path, ""));
        let inside = tail.is_empty()
            || head == "audio" && AUDIO.contains(&tail)
            || head == "endpointing" && ENDPOINTING.contains(&tail);
        (SERVED.contains(&head) && inside) || (head == "task" && task != Some("translate"))
    };
    if let Some(path) = required.iter().find(|path| !served(path))
        && !is(Fault::RequiredIgnored)
    {
        let code = if is(Fault::RequiredInvalid) { "invalid_config" } else { "unsupported_option" };
        return refuse(code, path);
    }
    ignored.extend(unknown(message, &KNOWN, ""));
    if is(Fault::UnknownOptionRefused)
        && let Some(name) = ignored.last()
    {
        return refuse("invalid_config", name);
    }
    ignored.extend(unknown(audio, &AUDIO, "audio."));
    ignored.extend(unknown(endpointing, &ENDPOINTING, "endpointing."));
    if is(Fault::ExtensionRefused)
        && let Some(name) = message.keys().find(|name| name.starts_with("x_"))
    {
        return refuse("invalid_config", name);
    }
    if is(Fault::AskedValuesNotTaken) {
        settings.endpointing.silence_ms = 500;
    }
    Ok((settings, ignored))
}

fn audio_format(audio: &Map<String, Value>, fault: Fault) -> Result<(u64, u64, &str), Refusal> {
    let positive = |value: &Value| value.as_u64().filter(|value| *value > 0);
    let lenient = |value: &Value| match fault {
        Fault::NumbersFromStrings => value.as_str().and_then(|text| text.parse().ok()).or_else(|| positive(value)),
        Fault::ImpossibleClamped => value.as_i64().and_then(|value| u64::try_from(value.max(1)).ok()),
        _ => positive(value),
    };
    let encoding = option(audio, "audio.encoding", |value| value.as_str().filter(|name| ENCODINGS.contains(name)))?;
    let rate_hz = option(audio, "audio.sample_rate_hz", lenient)?.unwrap_or(16_000);
    let channels = option(audio, "audio.channels", lenient)?.unwrap_or(1);
    Ok((rate_hz, channels, encoding.unwrap_or("pcm_s16le")))
}

fn flag(message: &Map<String, Value>, name: &str, fault: Fault) -> Result<Option<bool>, Refusal> {
    option(message, name, |value| match fault {
        Fault::NumbersAsFlags => value.as_bool().or_else(|| value.as_u64().map(|number| number != 0)),
        _ => value.as_bool(),
    })
}

/// The endpointing that is asked for on top of `before`.
pub(crate) fn endpointing_of(
    asked: &Map<String, Value>,
    before: Endpointing,
    fault: Fault,
) -> Result<Endpointing, Refusal> {
    let within = |least: u64, greatest: u64| {
        move |value: &Value| match fault {
            Fault::ImpossibleClamped => value.as_u64().map(|value| value.clamp(least, greatest)),
            _ => value.as_u64().filter(|value| (least..=greatest).contains(value)),
        }
    };
    let mode = |value: &Value| match value.as_str() {
        Some("vad") => Some(true),
        Some("none") => Some(false),
        _ => None,
    };
    Ok(Endpointing {
        vad: option(asked, "endpointing.mode", mode)?.unwrap_or(before.vad),
        silence_ms: option(asked, "endpointing.silence_ms", within(1, 60_000))?.unwrap_or(before.silence_ms),
        max_segment_ms: option(asked, "endpointing.max_segment_ms", within(1_000, 600_000))?
            .unwrap_or(before.max_segment_ms),
    })
}

/// An array that holds nothing but strings.
pub(crate) fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn unknown<'a>(
    members: &'a Map<String, Value>,
    known: &'a [&str],
    prefix: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let names = members.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name);
    names
        .filter(|name| !known.contains(&name.as_str()) && !name.starts_with("x_"))
        .map(move |name| format!("{prefix}{name}"))
}
