//! A `config` that is refused (CFG, CON-S3, SEC-S1): whether the fatal error is the one that the request deserves. Which
//! close code must follow is the business of `close`.

use lastword_spec::codec::DecodeError;
use lastword_spec::finding::FindingKind;
use lastword_spec::message::{AudioFormat, Config, ErrorMessage};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::bounds::ms;
use crate::conn::{At, Conn, Failed};
use crate::rules::answers::Pending;
use crate::rules::con;

/// A model of this prefix exists nowhere: by such a name a trace asks for an unknown one.
pub(crate) const NO_SUCH: &str = "no-such-";

/// How late a client may see the upgrade that the server has made, in milliseconds.
const UPGRADE_SEEN_MS: u64 = 300;

/// The refusal of a session before `ready`.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// What is proved once the close code is right too.
    pub(crate) proves: Option<RequirementId>,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The requirement by which a `config` that the codec refuses must be refused.
pub(crate) fn clause_of_fault(fault: &DecodeError) -> RequirementId {
    let top_level = matches!(fault.path.as_str(), "sample_rate" | "sample_rate_hz" | "encoding" | "channels");
    if top_level { req::CFG_S8 } else { req::CFG_S5 }
}

/// A fatal error before `ready`.
pub(crate) fn on_fatal(conn: &mut Conn, at: At, error: &ErrorMessage) {
    let code = error.code.as_str();
    if code == "overloaded" && !conn.is_made_up("code") {
        con::no_room(conn, at);
    }
    let mut refusal = Refusal { proves: None, code: code.to_owned(), message: error.message.clone() };
    match conn.config.at {
        None => refusal.proves = unconfigured(conn, at, error),
        Some(asked) => match judge(conn, at, asked, error) {
            Ok(proves) => {
                if code == "internal" {
                    conn.failed = unusual(conn).map(|clause| Failed { at, because: asked, clause });
                }
                conn.credit(req::CFG_S1);
                refusal.proves = proves;
            }
            Err((kind, clause, text)) => conn.convict_with(kind, clause, at, &[asked.event], text),
        },
    }
    conn.config.refusal = Some(refusal);
}

type Breach = (FindingKind, RequirementId, String);

/// A fatal error though no `config` was sent.
fn unconfigured(conn: &mut Conn, at: At, error: &ErrorMessage) -> Option<RequirementId> {
    let code = error.code.as_str();
    let opened_us = conn.opened.map_or(at.t_us, |at| at.t_us);
    let waited_us = at.t_us.saturating_sub(opened_us);
    match code {
        "config_timeout" => {
            let late = waited_us > conn.scale.patience_us(10_000);
            // The server's clock may have started some time before the client saw the upgrade.
            if waited_us.saturating_add(conn.scale.us(UPGRADE_SEEN_MS)) < 1_000_000 || late {
                let kind = if late { FindingKind::Late } else { FindingKind::WrongAnswer };
                let text = format!("gave up on `config` after {} ms; 1,000 to 10,000 are allowed", ms(waited_us));
                conn.convict(kind, req::CON_S3, at, text);
                return None;
            }
            Some(req::CON_S3)
        }
        _ if conn.answers.fatal_due.is_some_and(|(_, due, _)| due == code) => {
            conn.answers.fatal_due.map(|(_, _, clause)| clause)
        }
        "message_too_large" if conn.answers.oversize_text.is_some() => Some(req::LIM_S3),
        _ if circumstance(code) => None,
        "invalid_state"
        | "unknown_type"
        | "bad_message"
        | "invalid_audio"
        | "audio_after_end"
        | "duplicate_end_of_stream" => {
            let clause = conn.answers.pending.pop_front().map_or(req::STA_S2, |one| one.clause);
            let text = format!("ended the session by a fatal `{code}` before `config`");
            conn.convict(FindingKind::WrongAnswer, clause, at, text);
            None
        }
        _ if waited_us >= 10_000_000 => {
            let text = format!("sent the fatal `{code}` instead of `config_timeout`");
            conn.convict(FindingKind::WrongAnswer, req::CON_S3, at, text);
            None
        }
        // Nothing that these speak of has come.
        "invalid_config" | "unsupported_option" | "unsupported_audio" | "unknown_model" | "idle_timeout" => {
            let clause = conn.answers.pending.pop_front().map_or(req::CON_S3, |one| one.clause);
            let text = format!("ended the session by a fatal `{code}` before `config`");
            conn.convict(FindingKind::WrongAnswer, clause, at, text);
            None
        }
        _ => None,
    }
}

/// Codes that may refuse any session: they speak of the server, the client's account or its credentials.
fn circumstance(code: &str) -> bool {
    matches!(
        code,
        "overloaded"
            | "rate_limited"
            | "quota_exceeded"
            | "forbidden"
            | "unauthenticated"
            | "internal"
            | "going_away"
            | "max_duration"
    )
}

fn judge(conn: &Conn, at: At, asked: At, error: &ErrorMessage) -> Result<Option<RequirementId>, Breach> {
    use FindingKind::{WrongAnswer, WronglyRefused};
    let code = error.code.as_str();
    let meant = |one: &&Pending| one.phase == State::AwaitConfig && one.code == code;
    if let Some(one) = conn.answers.pending.iter().find(meant) {
        let text = format!("ended the session by a fatal `{code}` for a message before `config`");
        return Err((WrongAnswer, if one.hostile { req::SEC_S3 } else { one.clause }, text));
    }
    match code {
        "config_timeout" if unusual_form(conn).is_some() => {
            let clause = unusual_form(conn).unwrap_or(req::MSG_3);
            return Err((WronglyRefused, clause, "did not recognise the `config`, and gave up waiting for one".into()));
        }
        "unauthenticated" => return Ok(Some(req::SEC_S1)),
        "overloaded" if !error.retryable => {
            return Err((WrongAnswer, req::CON_S4, "called `overloaded` not retryable".into()));
        }
        "overloaded" => return Ok(Some(req::CON_S4)),
        _ if circumstance(code) => return Ok(None),
        "config_timeout" => {
            let crossed = at.t_us.saturating_sub(asked.t_us) < conn.scale.in_flight_us();
            let text = "sent `config_timeout` though `config` had come".to_owned();
            return if crossed { Ok(None) } else { Err((WrongAnswer, req::CON_S3, text)) };
        }
        "message_too_large" if conn.answers.oversize_text.is_some() || conn.audio.oversize.is_some() => {
            return Ok(None);
        }
        "message_too_large" if conn.answers.longest_text_bytes > conn.audio.longest_frame_bytes => {
            return Err((WronglyRefused, req::LIM_S3, "refused a text of legal length as too large".into()));
        }
        "message_too_large" => {
            return Err((WronglyRefused, req::LIM_S2, "refused a frame of legal length as too large".into()));
        }
        "bad_message" if conn.answers.bad_messages >= 10 => return Ok(Some(req::MSG_S7)),
        _ => {}
    }
    if let Some(fault) = &conn.config.fault {
        return faulty(fault, error).map(Some);
    }
    let Some(request) = &conn.config.request else { return Ok(None) };
    match code {
        "unsupported_audio" if request.effective().audio != AudioFormat::default() => Ok(Some(req::CFG_S6)),
        "unknown_model" if request.model.is_some() => Ok(Some(req::CFG_S7)),
        "unsupported_option" => option(request, error).map(Some),
        // Two readings are honest where the encoding has a name that version 1 does not know.
        "invalid_config" if !request.effective().audio.encoding.is_known() => Ok(Some(req::CFG_S6)),
        "invalid_config" if request.effective().audio != AudioFormat::default() => {
            Err((WrongAnswer, req::CFG_S6, format!("refused a well-formed audio format with `{code}`")))
        }
        _ if request.model.as_ref().is_some_and(|model| model.starts_with(NO_SUCH)) => {
            Err((WrongAnswer, req::CFG_S7, format!("refused an unknown model with `{code}`")))
        }
        _ if !request.required.is_empty() => {
            Err((WrongAnswer, req::CFG_S9, format!("refused a required option with `{code}`")))
        }
        "invalid_config"
        | "unsupported_audio"
        | "unknown_model"
        | "bad_message"
        | "unknown_type"
        | "invalid_state"
        | "invalid_audio"
        | "audio_after_end"
        | "duplicate_end_of_stream"
        | "idle_timeout" => {
            Err((WronglyRefused, good_config(conn, request, code), format!("refused a good `config` with `{code}`")))
        }
        _ => Ok(None),
    }
}

/// Whether the refusal of a `config` that the codec refuses is the right one.
fn faulty(fault: &DecodeError, error: &ErrorMessage) -> Result<RequirementId, Breach> {
    let clause = clause_of_fault(fault);
    if error.code != "invalid_config" {
        let text = format!("refused a bad `{}` with `{}` instead of `invalid_config`", fault.path, error.code.as_str());
        return Err((FindingKind::WrongAnswer, clause, text));
    }
    // CFG-S8 asks for the code alone.
    if clause == req::CFG_S5 && error.param.as_deref() != Some(fault.path.as_str()) {
        let text = format!("refused a bad `{}` without naming it in `param`", fault.path);
        return Err((FindingKind::WrongAnswer, clause, text));
    }
    Ok(clause)
}

fn option(request: &Config, error: &ErrorMessage) -> Result<RequirementId, Breach> {
    if request.required.is_empty() {
        let text = "refused a session for an option that was not required".to_owned();
        return Err((FindingKind::WronglyRefused, req::CFG_S10, text));
    }
    match &error.param {
        Some(param) if request.required.contains(param) => Ok(req::CFG_S9),
        _ => {
            let text = "refused a required option without naming it in `param`".to_owned();
            Err((FindingKind::WrongAnswer, req::CFG_S9, text))
        }
    }
}

/// What is unusual about the form of the `config`, by the clause that makes it no difference.
fn unusual_form(conn: &Conn) -> Option<RequirementId> {
    let oddity = conn.config.oddity;
    if oddity.extension { Some(req::VER_3) } else { (oddity.form || oddity.unknown_member).then_some(req::MSG_3) }
}

/// What is unusual about the `config`, by the clause that says what has to come of it; `None` for a plain one.
pub(crate) fn unusual(conn: &Conn) -> Option<RequirementId> {
    if let Some(fault) = &conn.config.fault {
        return Some(clause_of_fault(fault));
    }
    let request = conn.config.request.as_ref()?;
    let unserved = request.words == Some(true)
        || request.vad_events == Some(true)
        || !request.keyterms.is_empty()
        || !request.languages.is_empty()
        || request.task.is_some();
    if request.effective().audio != AudioFormat::default() {
        Some(req::CFG_S6)
    } else if request.model.as_ref().is_some_and(|model| model.starts_with(NO_SUCH)) {
        Some(req::CFG_S7)
    } else if !request.required.is_empty() {
        Some(req::CFG_S9)
    } else {
        unusual_form(conn).or(unserved.then_some(req::CFG_S10))
    }
}

/// Why a good `config` was refused, most likely: what is unusual about it.
fn good_config(conn: &Conn, request: &Config, code: &str) -> RequirementId {
    let unserved = [
        request.words == Some(true),
        request.vad_events == Some(true),
        !request.keyterms.is_empty(),
        !request.languages.is_empty(),
        request.language.is_some(),
        request.task.is_some(),
    ];
    if let Some(clause) = unusual_form(conn) {
        clause
    } else if request.audio.is_some() || code == "unsupported_audio" {
        req::AUD_S1
    } else if unserved.contains(&true) || request.model.is_some() {
        req::CFG_S10
    } else {
        req::CFG_S4
    }
}
