//! `ready` (CFG, VER): what it says against what `config` asked for. Refusals are the business of `refusal`.

use lastword_spec::codec::DecodeError;
use lastword_spec::finding::FindingKind;
use lastword_spec::message::{AudioFormat, Config, EffectiveConfig, Ready};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::conn::{At, Conn};
use crate::oddity::Oddity;
use crate::rules::{limits, progress, refusal};

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Configuring {
    /// When `config` was sent.
    pub(crate) at: Option<At>,
    /// For how long the server had said nothing when `ready` came, in microseconds.
    pub(crate) silent_us: Option<u64>,
    /// What it asked for, if it could be read.
    pub(crate) request: Option<Config>,
    /// Why it could not.
    pub(crate) fault: Option<DecodeError>,
    pub(crate) oddity: Oddity,
    /// Members that version 1 does not define.
    pub(crate) unknown: Vec<String>,
    pub(crate) refusal: Option<refusal::Refusal>,
    /// A message before `config` was answered as it must be.
    pub(crate) rejected_before: bool,
    /// A second `config`, after `ready`.
    pub(crate) second: Option<Second>,
    /// The credential that it holds.
    pub(crate) token: Option<String>,
}

/// A second `config`: what it asked for must not come into force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Second {
    pub(crate) at: At,
    pub(crate) interim_results: Option<bool>,
    pub(crate) vad_events: Option<bool>,
    /// The audio that had been sent by then.
    pub(crate) audio_bytes: u64,
    /// A flush had been answered since: the recogniser was through with it.
    pub(crate) flushed: bool,
}

/// The options of `config` that version 1 defines, as dotted paths.
pub(crate) const KNOWN_PATHS: &[&str] = &[
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
];

/// A `ready` in its place. `whole`: the strict codec took it.
pub(crate) fn on_ready(conn: &mut Conn, at: At, ready: &Ready, whole: bool) {
    let asked = conn.config.at.unwrap_or(at);
    conn.answers.read(asked.event);
    conn.config.silent_us = Some(at.t_us.saturating_sub(conn.heard_us.unwrap_or(0).max(asked.t_us)));
    conn.limits = ready.limits.clone();
    conn.ready = Some((at, ready.clone()));
    conn.state = if conn.end.sentinel.is_some() { State::Draining } else { State::Streaming };
    conn.keepalive.started(at);
    progress::ready_came(conn, at, asked);
    conn.credit(req::CFG_S1);
    conn.credit(req::VER_1);
    if whole {
        conn.credit(req::CFG_S3);
        conn.credit(req::LIM_S1);
    }
    if ready.protocol != lastword_spec::PROTOCOL {
        let text = format!("says that it speaks {:?}, not {:?}", ready.protocol, lastword_spec::PROTOCOL);
        conn.convict(FindingKind::WrongValue, req::VER_1, at, text);
    }
    if conn.config.rejected_before {
        conn.credit(req::STA_S2);
    }
    limits::on_ready(conn, at, ready);
    match (conn.config.fault.take(), conn.config.request.clone()) {
        (Some(fault), _) => accepted_fault(conn, at, &fault),
        (None, Some(request)) => agrees(conn, at, &request, ready),
        (None, None) => {}
    }
}

fn accepted_fault(conn: &mut Conn, at: At, fault: &DecodeError) {
    let clause = refusal::clause_of_fault(fault);
    let text = format!("accepted a `config` whose `{}` it must refuse", fault.path);
    let because: Vec<usize> = conn.config.at.map(|at| at.event).into_iter().collect();
    conn.convict_with(FindingKind::WronglyAccepted, clause, at, &because, text);
}

fn agrees(conn: &mut Conn, at: At, request: &Config, ready: &Ready) {
    let oddity = conn.config.oddity;
    if oddity.extension {
        conn.credit(req::VER_3);
    }
    if oddity.form || oddity.unknown_member {
        conn.credit(req::MSG_3);
    }
    if let Some((kind, clause, text)) = refusable(request, ready) {
        conn.convict(kind, clause, at, text);
        return;
    }
    // What is missing has been blamed, and was filled up with defaults.
    let whole = !conn.convicted(req::CFG_S3);
    let mut options: Vec<Compared> = options(request, &ready.config).into_iter().filter(|_| whole).collect();
    options.retain(|option| !is_listed(&ready.ignored, option.path));
    for option in options.iter().filter(|option| !option.agrees) {
        let (clause, text) = blame(option);
        conn.convict(FindingKind::WrongValue, clause, at, text);
    }
    let asked_all_defaults = options.iter().any(|option| !option.asked && option.checked_default);
    if asked_all_defaults {
        conn.credit(req::CFG_S4);
    }
    if options.iter().any(|option| option.asked) {
        conn.credit(req::CFG_S12);
    }
    ignored(conn, at, request, ready);
}

/// What had to be refused and was not.
fn refusable(request: &Config, ready: &Ready) -> Option<(FindingKind, RequirementId, String)> {
    use FindingKind::WronglyAccepted;
    let wanted = request.effective().audio;
    let capabilities = &ready.capabilities;
    if wanted != AudioFormat::default() && ready.config.audio != wanted {
        return Some((
            WronglyAccepted,
            req::CFG_S6,
            "replaced the audio format that was asked for by another one".into(),
        ));
    }
    let served = wanted == AudioFormat::default()
        || capabilities.encodings.as_ref().is_none_or(|all| all.contains(&wanted.encoding))
            && capabilities.sample_rates_hz.as_ref().is_none_or(|all| all.contains(&wanted.sample_rate_hz))
            && capabilities.max_channels.is_none_or(|most| wanted.channels <= most);
    if !served {
        return Some((WronglyAccepted, req::CFG_S6, "accepted an audio format that its capabilities exclude".into()));
    }
    if let Some(model) = &request.model {
        let replaced = ready.config.model.as_ref().is_none_or(|used| used != model);
        let listed = capabilities.models.as_ref().is_none_or(|all| all.contains(model));
        let impossible = model.starts_with(refusal::NO_SUCH);
        if !is_listed(&ready.ignored, "model") && (replaced || !listed || impossible) {
            return Some((
                WronglyAccepted,
                req::CFG_S7,
                format!("accepted the model {model:?}, which it does not have"),
            ));
        }
        if is_listed(&ready.ignored, "model") {
            return Some((WronglyAccepted, req::CFG_S7, format!("ignored the model {model:?} instead of refusing it")));
        }
    }
    let unserved = |path: &&String| is_listed(&ready.ignored, path) || !KNOWN_PATHS.contains(&path.as_str());
    let path = request.required.iter().find(unserved)?;
    Some((WronglyAccepted, req::CFG_S9, format!("accepted a session that requires `{path}`, which it does not serve")))
}

struct Compared {
    path: &'static str,
    asked: bool,
    checked_default: bool,
    agrees: bool,
    /// The option need not be served, and has the value in `ready.config` that it has where it is not.
    absent: bool,
}

fn options(request: &Config, used: &EffectiveConfig) -> Vec<Compared> {
    let wanted = request.effective();
    let audio = request.audio.clone().unwrap_or_default();
    let endpointing = request.endpointing.clone().unwrap_or_default();
    let row = |path, asked, agrees, absent| Compared { path, asked, checked_default: true, agrees, absent };
    let free = |path, asked: bool, agrees: bool, absent| Compared {
        path,
        asked,
        checked_default: false,
        agrees: agrees || !asked,
        absent,
    };
    vec![
        row("audio.encoding", audio.encoding.is_some(), wanted.audio.encoding == used.audio.encoding, false),
        row(
            "audio.sample_rate_hz",
            audio.sample_rate_hz.is_some(),
            wanted.audio.sample_rate_hz == used.audio.sample_rate_hz,
            false,
        ),
        row("audio.channels", audio.channels.is_some(), wanted.audio.channels == used.audio.channels, false),
        row(
            "interim_results",
            request.interim_results.is_some(),
            wanted.interim_results == used.interim_results,
            false,
        ),
        row("words", request.words.is_some(), wanted.words == used.words, wanted.words && !used.words),
        row(
            "vad_events",
            request.vad_events.is_some(),
            wanted.vad_events == used.vad_events,
            wanted.vad_events && !used.vad_events,
        ),
        row("endpointing.mode", endpointing.mode.is_some(), wanted.endpointing.mode == used.endpointing.mode, false),
        row(
            "endpointing.silence_ms",
            endpointing.silence_ms.is_some(),
            wanted.endpointing.silence_ms == used.endpointing.silence_ms,
            false,
        ),
        row(
            "endpointing.max_segment_ms",
            endpointing.max_segment_ms.is_some(),
            wanted.endpointing.max_segment_ms == used.endpointing.max_segment_ms,
            false,
        ),
        free("language", request.language.is_some(), request.language == used.language, used.language.is_none()),
        free(
            "task",
            request.task.is_some(),
            request.task == used.task,
            used.task.as_ref().is_none_or(|task| task.as_str() == "transcribe"),
        ),
        free(
            "languages",
            !request.languages.is_empty(),
            request.languages == used.languages,
            used.languages.is_empty(),
        ),
        free("keyterms", !request.keyterms.is_empty(), request.keyterms == used.keyterms, used.keyterms.is_empty()),
    ]
}

fn blame(option: &Compared) -> (RequirementId, String) {
    let path = option.path;
    if !option.asked {
        (req::CFG_S4, format!("gives `{path}` another value than its default, though `config` left it out"))
    } else if option.absent {
        (req::CFG_S10, format!("does not serve `{path}`, which was asked for, and does not list it in `ignored`"))
    } else {
        (req::CFG_S12, format!("gives `{path}` another value than the one asked for and does not list it in `ignored`"))
    }
}

fn ignored(conn: &mut Conn, at: At, request: &Config, ready: &Ready) {
    let claims = [
        ("words", request.words == Some(true) && ready.config.words, ready.capabilities.words),
        ("vad_events", request.vad_events == Some(true) && ready.config.vad_events, ready.capabilities.vad_events),
    ];
    for (path, in_force, capability) in claims {
        if in_force && capability == Some(false) && !is_listed(&ready.ignored, path) {
            let text = format!("does not serve `{path}`, as its capabilities say, and does not list it in `ignored`");
            conn.convict(FindingKind::WrongValue, req::CFG_S10, at, text);
        }
    }
    if ready.ignored.iter().any(|path| KNOWN_PATHS.contains(&path.as_str())) {
        conn.credit(req::CFG_S10);
    }
    let unknown = std::mem::take(&mut conn.config.unknown);
    match unknown.iter().find(|path| !is_listed(&ready.ignored, path)) {
        Some(path) => {
            let text = format!("does not list the unknown option `{path}` in `ignored`");
            conn.convict(FindingKind::WrongValue, req::CFG_S11, at, text);
        }
        None if !unknown.is_empty() => conn.credit(req::CFG_S11),
        None => {}
    }
}

/// Whether the path, or an object that holds it, is listed.
pub(crate) fn is_listed(ignored: &[String], path: &str) -> bool {
    ignored.iter().any(|one| one == path || path.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with('.')))
}
