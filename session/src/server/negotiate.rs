//! Owns the answer to a `config`: what is served, what is ignored, what is refused. Pure; knows nothing of a session's course.

use lastword_spec::codec::DecodeError;
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{Config, EffectiveConfig, EndpointingMode, Task};

use super::policy::{ServerPolicy, Token};

/// Why a session cannot be, in the words of the `error` that says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// A code that can end a session; any other is sent as `internal`.
    pub code: ErrorCode,
    /// What is wrong and what to do, for a person. No path of this machine, no secret. Spec: SEC-S4.
    pub message: String,
    /// The member of `config` at fault, as a dotted path.
    pub param: Option<String>,
    /// When to try again; for `overloaded`, `rate_limited`, `quota_exceeded`. Spec: ERR-S5.
    pub retry_after_ms: Option<u64>,
}

/// A `config` as it came: read, or refused by the codec; its credential apart, so that nothing else holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConfigRequest {
    pub(super) config: Result<Config, DecodeError>,
    pub(super) token: Option<Token>,
    /// Dotted paths of members that v1 does not define.
    pub(super) unknown_paths: Vec<String>,
}

/// What the client asked for, as far as this server serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Agreement {
    pub(super) effective: EffectiveConfig,
    pub(super) ignored: Vec<String>,
    pub(super) required: Vec<String>,
}

/// Paths of `config` that v1 defines.
const KNOWN_PATHS: &[&str] = &[
    "language",
    "languages",
    "model",
    "task",
    "audio",
    "audio.encoding",
    "audio.sample_rate_hz",
    "audio.channels",
    "interim_results",
    "words",
    "vad_events",
    "endpointing",
    "endpointing.mode",
    "endpointing.silence_ms",
    "endpointing.max_segment_ms",
    "keyterms",
    "token",
    "required",
];

/// More unknown members than this are not listed: the list must not grow with what a client makes up.
const MAX_UNKNOWN_LISTED: usize = 64;
/// A param that the client made up is cut here.
const MAX_PARAM_BYTES: usize = 200;

/// The answer of `policy` to a request.
pub(super) fn negotiate(request: ConfigRequest, policy: &ServerPolicy) -> Result<Agreement, Refusal> {
    // [SEC-S1] before any other check, with one message for every cause
    let admitted = match (&policy.token, &request.token) {
        (None, _) => true,
        (Some(_), None) => policy.header_was_good,
        (Some(token), given @ Some(_)) => token.admits(given.as_ref()),
    };
    if !admitted {
        return Err(Refusal {
            code: ErrorCode::UNAUTHENTICATED,
            message: "no valid credentials: send a valid token in `config.token` or in the Authorization header".into(),
            param: None,
            retry_after_ms: None,
        });
    }
    // [CFG-S5] [CFG-S8]
    let config = request.config.map_err(|error| {
        refuse(ErrorCode::INVALID_CONFIG, &error.path, format!("the configuration cannot be used: {error}"))
    })?;
    audio(&config, policy)?;
    // [CFG-S7]
    if let (Some(model), Some(models)) = (&config.model, &policy.capabilities.models)
        && !models.contains(model)
    {
        let message = format!("there is no such model here; there is: {}", models.join(", "));
        return Err(refuse(ErrorCode::UNKNOWN_MODEL, "model", message));
    }
    let (effective, mut ignored) = options(&config, policy);
    // [CFG-S9]
    if let Some(path) = config.required.iter().find(|path| !is_served(path, &config, policy, &ignored)) {
        return Err(required_not_served(path));
    }
    // [CFG-S11]
    ignored.extend(request.unknown_paths.into_iter().take(MAX_UNKNOWN_LISTED));
    Ok(Agreement { effective, ignored, required: config.required })
}

impl Agreement {
    /// Takes what the engine made of the agreement; whatever differs from what was asked is listed as ignored. Spec: CFG-S12.
    pub(super) fn amend(&mut self, engine: EffectiveConfig, ignored: Vec<String>) -> Result<(), Refusal> {
        let asked = &self.effective;
        let mut differing = ignored;
        let mut note = |path: &str, differs: bool| {
            if differs && !differing.iter().any(|other| other == path) {
                differing.push(path.to_owned());
            }
        };
        note("language", asked.language.is_some() && asked.language != engine.language);
        note("languages", !asked.languages.is_empty() && asked.languages != engine.languages);
        note("model", asked.model.is_some() && asked.model != engine.model);
        note("task", asked.task.is_some() && asked.task != engine.task);
        note("interim_results", asked.interim_results != engine.interim_results);
        note("words", asked.words != engine.words);
        note("vad_events", asked.vad_events != engine.vad_events);
        note("endpointing.mode", asked.endpointing.mode != engine.endpointing.mode);
        note("endpointing.silence_ms", asked.endpointing.silence_ms != engine.endpointing.silence_ms);
        note("endpointing.max_segment_ms", asked.endpointing.max_segment_ms != engine.endpointing.max_segment_ms);
        note("keyterms", asked.keyterms != engine.keyterms);
        // [CFG-S9]
        if let Some(path) = self.required.iter().find(|path| differing.iter().any(|other| covers(path, other))) {
            return Err(required_not_served(path));
        }
        differing.retain(|path| !self.ignored.contains(path));
        self.ignored.append(&mut differing);
        self.effective = engine;
        Ok(())
    }
}

// [CFG-S6]
fn audio(config: &Config, policy: &ServerPolicy) -> Result<(), Refusal> {
    let format = config.effective().audio;
    let refuse = |param, message| Err(refuse(ErrorCode::UNSUPPORTED_AUDIO, param, message));
    if !policy.encodings().any(|encoding| *encoding == format.encoding) {
        let served: Vec<&str> = policy.encodings().map(|encoding| encoding.as_str()).collect();
        return refuse("audio.encoding", format!("this encoding is not served here; served: {}", served.join(", ")));
    }
    if !policy.rates_hz().contains(&format.sample_rate_hz) {
        let served: Vec<String> = policy.rates_hz().iter().map(u32::to_string).collect();
        let message = format!("this sample rate is not served here; resample to one of: {}", served.join(", "));
        return refuse("audio.sample_rate_hz", message);
    }
    if format.channels > policy.max_channels() {
        let message = format!("this many channels are not served here; at most {}", policy.max_channels());
        return refuse("audio.channels", message);
    }
    Ok(())
}

/// What is in force, and the options that were asked for and have no effect. Spec: CFG-S10.
fn options(config: &Config, policy: &ServerPolicy) -> (EffectiveConfig, Vec<String>) {
    let defaults = EffectiveConfig::default();
    let mut effective = config.effective();
    let mut ignored = Vec::new();
    let mut ignore = |path: &str| ignored.push(path.to_owned());
    if effective.language.as_deref().is_some_and(|tag| !serves_language(policy, tag)) {
        effective.language = defaults.language;
        ignore("language");
    }
    if !effective.languages.is_empty() && !policy.serves_language_hints {
        effective.languages = defaults.languages;
        ignore("languages");
    }
    if effective.task.as_ref().is_some_and(|task| !serves_task(policy, task)) {
        effective.task = defaults.task;
        ignore("task");
    }
    if effective.words && !policy.capabilities.words.unwrap_or(false) {
        effective.words = defaults.words;
        ignore("words");
    }
    if effective.vad_events && !policy.capabilities.vad_events.unwrap_or(false) {
        effective.vad_events = defaults.vad_events;
        ignore("vad_events");
    }
    if !serves_endpointing(policy, &effective.endpointing.mode) {
        effective.endpointing.mode = defaults.endpointing.mode;
        ignore("endpointing.mode");
    }
    if !effective.keyterms.is_empty() && !policy.serves_keyterms {
        effective.keyterms = defaults.keyterms;
        ignore("keyterms");
    }
    (effective, ignored)
}

/// Whether a path in `required` is served: known, not ignored here, and one that this server has at all.
fn is_served(path: &str, config: &Config, policy: &ServerPolicy, ignored: &[String]) -> bool {
    let capability = match path {
        "words" => policy.capabilities.words.unwrap_or(false),
        "vad_events" => policy.capabilities.vad_events.unwrap_or(false),
        "keyterms" => policy.serves_keyterms,
        "languages" => policy.serves_language_hints,
        "model" => config.model.is_none() || policy.capabilities.models.is_some(),
        _ => true,
    };
    capability && KNOWN_PATHS.contains(&path) && !ignored.iter().any(|other| covers(path, other))
}

/// Whether `path` is `other` or an object that holds it.
fn covers(path: &str, other: &str) -> bool {
    other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn serves_language(policy: &ServerPolicy, tag: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    policy.capabilities.languages.as_ref().is_none_or(|served| served.iter().any(|one| primary(one) == primary(tag)))
}

fn serves_task(policy: &ServerPolicy, task: &Task) -> bool {
    *task == Task::TRANSCRIBE || (*task == Task::TRANSLATE && policy.serves_translation)
}

fn serves_endpointing(policy: &ServerPolicy, mode: &EndpointingMode) -> bool {
    *mode == EndpointingMode::VAD || (*mode == EndpointingMode::NONE && policy.serves_manual_endpointing)
}

fn required_not_served(path: &str) -> Refusal {
    let message =
        "an option that `required` lists is not served here; leave it out of `required`, or use another server";
    refuse(ErrorCode::UNSUPPORTED_OPTION, path, message.into())
}

fn refuse(code: ErrorCode, param: &str, message: String) -> Refusal {
    let param = (!param.is_empty()).then(|| cut(param).to_owned());
    Refusal { code, message, param, retry_after_ms: None }
}

/// At most [`MAX_PARAM_BYTES`] of a text that a client made up.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_PARAM_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
