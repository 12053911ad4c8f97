//! The debts of single answers: which errors (and `updated`) the server owes to which messages, oldest first, and what it
//! said without owing it. Who is to blame in the end is decided by `blame` when the session is over.

use std::collections::VecDeque;

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{ErrorMessage, Updated};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{ServerInput, State};

use crate::conn::{At, Conn};
use crate::oddity::Oddity;
use crate::rules::keepalive;

/// Errors that answer nothing are remembered up to so many.
const MOST_STRAYS: usize = 1_000;

/// A non-fatal error that is owed to one message.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) at: At,
    pub(crate) code: &'static str,
    pub(crate) id: Option<String>,
    /// The member that the error must name.
    pub(crate) param: Option<String>,
    pub(crate) clause: RequirementId,
    /// Where the session stood in the order of the bytes.
    pub(crate) phase: State,
    /// The error may come or not.
    pub(crate) optional: bool,
    /// The message was too long: several answers will do.
    pub(crate) oversize: bool,
    pub(crate) input: Option<ServerInput>,
    /// The message is of the sort that is sent to break a parser.
    pub(crate) hostile: bool,
    /// The message has an extension member.
    pub(crate) extended: bool,
    /// What a server answers that wrongly accepts the message.
    pub(crate) would: Option<Would>,
}

/// The answer that a message would get if it were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Would {
    Acknowledge(u64),
    AcknowledgeAnything,
    /// With this id, or any.
    Flush(Option<String>),
}

impl Pending {
    pub(crate) fn new(at: At, code: &'static str, clause: RequirementId, phase: State) -> Self {
        Self {
            at,
            code,
            id: None,
            param: None,
            clause,
            phase,
            optional: false,
            oversize: false,
            input: None,
            hostile: false,
            extended: false,
            would: None,
        }
    }
}

/// A non-fatal error that answered something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) code: &'static str,
    pub(crate) at: At,
    /// The message that it answered.
    pub(crate) to: At,
}

/// A non-fatal error that answers nothing.
#[derive(Clone, Debug)]
pub(crate) struct Stray {
    pub(crate) at: At,
    pub(crate) code: String,
    pub(crate) id: Option<String>,
    pub(crate) param: Option<String>,
}

/// A `bad_message` that answered a message and does not name the member at fault.
#[derive(Clone, Debug)]
pub(crate) struct Misnamed {
    pub(crate) at: At,
    pub(crate) to: Pending,
    pub(crate) param: Option<String>,
}

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) strays: Vec<Stray>,
    /// Answered by an error of another code than their own, which may have been meant for a message that need not be answered.
    lent: Vec<Pending>,
    pub(crate) updates: VecDeque<(At, String)>,
    pub(crate) updates_done: Vec<String>,
    /// The ids of flushes and updates that had to be refused, and were.
    refused_ids: Vec<String>,
    /// Codes that are due once a session and have been owed.
    pub(crate) once: Vec<&'static str>,
    /// Answers that came, by code.
    pub(crate) answered: Vec<Answered>,
    pub(crate) bad_messages: u32,
    /// A fatal error that the client provoked: where, which code, by which requirement.
    pub(crate) fatal_due: Option<(At, &'static str, RequirementId)>,
    pub(crate) oversize_text: Option<At>,
    pub(crate) longest_text_bytes: u64,
    /// Of those sent before `ready`, when only the defaults were known.
    pub(crate) longest_early_bytes: u64,
    /// Non-fatal `bad_message`s that came.
    pub(crate) bad_answers: u32,
    pub(crate) misnamed: Vec<Misnamed>,
    /// The last message of the client that is malformed.
    pub(crate) malformed: Option<At>,
    /// The last message of the client that no parser takes.
    pub(crate) hostile: Option<At>,
    pub(crate) fatal: Option<(At, ErrorMessage)>,
    pub(crate) last_nonfatal: Option<(At, String)>,
    pub(crate) codes: Vec<String>,
    /// The last event of the client that the server has surely read.
    pub(crate) read_upto: usize,
    /// A `warning` of code `audio_dropped` came.
    pub(crate) audio_dropped: Option<At>,
    pub(crate) container_warned: bool,
    pub(crate) extension: Option<At>,
    pub(crate) odd_form: Option<At>,
}

impl Answers {
    pub(crate) fn note_oddity(&mut self, at: At, oddity: Oddity) {
        if oddity.extension {
            self.extension = Some(at);
        }
        if oddity.form || oddity.unknown_member {
            self.odd_form = Some(at);
        }
    }

    /// The server has read this event of the client, and by the order of the bytes all before it.
    pub(crate) fn read(&mut self, event: usize) {
        self.read_upto = self.read_upto.max(event);
    }
}

/// A non-fatal error: settles the oldest debt that it fits, or is remembered as answering nothing.
pub(crate) fn settle_by(conn: &mut Conn, at: At, error: &ErrorMessage) {
    if let Some(id) = error.id.as_ref().filter(|_| bears_a_stale_id(conn, error)) {
        let text = format!("sent the error `{}` with the id {id:?} of an earlier message", error.code.as_str());
        conn.convict(FindingKind::WrongAnswer, req::ERR_1, at, text);
        settle_by(conn, at, &ErrorMessage { id: None, ..error.clone() });
        return;
    }
    // An id may be used again: a message that had to be refused comes first.
    let refused = |one: &Pending| one.id.is_some() && one.id == error.id && error.code == one.code;
    let meant = conn.answers.pending.iter().any(refused);
    if !meant && (by_update(conn, at, error) || by_flush(conn, at, error)) {
        return;
    }
    if fatal_was_due(conn, at, error) {
        return;
    }
    let fits = |pending: &Pending| {
        let same_code = pending.code == error.code.as_str()
            || (pending.oversize && error.code == "message_too_large")
            || (pending.phase == State::AwaitConfig && pending.param.is_some() && error.code == "invalid_state");
        same_code && pending.id == error.id
    };
    // What must be answered comes before what may be. An error that leaves out the id may still be meant for another message.
    let pending = &conn.answers.pending;
    let due = |one: &&Pending| !one.optional && fits(one);
    let exact = pending.iter().position(|one| due(&one) && one.param == error.param);
    let index = exact.or_else(|| pending.iter().position(|one| due(&one))).or_else(|| pending.iter().position(fits));
    match index.and_then(|index| conn.answers.pending.remove(index)) {
        Some(pending) => {
            if pending.code != error.code.as_str() && may_have_one(conn, error) {
                conn.answers.lent.push(pending.clone());
            }
            answered(conn, at, pending, error);
        }
        None if is_own_answer(conn, at, error) => {}
        None => {
            let (id, param) = (error.id.clone(), error.param.clone());
            let stray = Stray { at, code: error.code.as_str().to_owned(), id, param };
            if conn.answers.strays.len() < MOST_STRAYS {
                conn.answers.strays.push(stray);
            }
        }
    }
}

/// Whether the id of this error is one that was answered before, and what it answers has none.
fn bears_a_stale_id(conn: &Conn, error: &ErrorMessage) -> bool {
    let Some(id) = &error.id else { return false };
    let has_it = |one: &Pending| one.id.as_ref() == Some(id);
    let without = |one: &Pending| !one.optional && one.id.is_none() && one.code == error.code.as_str();
    let done =
        conn.answers.updates_done.contains(id) || conn.answers.refused_ids.contains(id) || conn.flush.was_answered(id);
    let due = conn.answers.pending.iter().any(has_it)
        || conn.answers.updates.iter().any(|(_, asked)| asked == id)
        || conn.flush.open.iter().any(|(_, flush)| flush.id == *id);
    done && !due && conn.answers.pending.iter().any(without)
}

/// Whether a message is open that this error may answer or not.
fn may_have_one(conn: &Conn, error: &ErrorMessage) -> bool {
    conn.answers.pending.iter().any(|one| one.optional && one.code == error.code.as_str() && one.id == error.id)
}

/// The answer of a message that seemed to have got another one before: that one was meant for the message that need not have any.
fn is_own_answer(conn: &mut Conn, at: At, error: &ErrorMessage) -> bool {
    let fits = |one: &Pending| one.code == error.code.as_str() && one.id == error.id;
    let Some(index) = conn.answers.lent.iter().position(fits) else { return false };
    let one = conn.answers.lent.remove(index);
    let meant = conn.answers.pending.iter().position(|other| other.optional && other.code == "invalid_state");
    if meant.and_then(|index| conn.answers.pending.remove(index)).is_none() {
        return false;
    }
    answered(conn, at, one, error);
    true
}

/// An error after `session_ended`: what it answers is not unanswered on top of that.
pub(crate) fn came_too_late(conn: &mut Conn, error: &ErrorMessage) {
    conn.answers.updates.retain(|(_, id)| error.id.as_ref() != Some(id));
    if let Some(index) = conn.answers.pending.iter().position(|one| one.code == error.code.as_str()) {
        conn.answers.pending.remove(index);
    }
}

/// An answer that only a message gets that is right: if a message that had to be refused would have got this one, it was
/// accepted, and that is the breach.
pub(crate) fn accepted(conn: &mut Conn, at: At, answer: &Would) -> bool {
    let fits = |one: &Pending| match (&one.would, answer) {
        (Some(Would::Acknowledge(due)), Would::Acknowledge(seq)) => due == seq,
        (Some(Would::AcknowledgeAnything), Would::Acknowledge(_) | Would::AcknowledgeAnything) => true,
        (Some(Would::Flush(due)), Would::Flush(id)) => due.is_none() || due == id,
        _ => false,
    };
    let Some(index) = conn.answers.pending.iter().position(fits) else { return false };
    let one = conn.answers.pending.remove(index).expect("the position was just found");
    conn.answers.read(one.at.event);
    if one.optional {
        return true;
    }
    let text = "accepted a message that it must refuse, and answered it as if it were right";
    conn.convict_with(FindingKind::WronglyAccepted, one.clause, at, &[one.at.event], text);
    true
}

/// A malformed error: the debt that it most likely was meant for is settled.
pub(crate) fn answered_badly(conn: &mut Conn, text: &str) {
    let says = |word: &str| text.contains(&format!("\"{word}\""));
    conn.answers.bad_answers += u32::from(says("bad_message"));
    if let Some(index) = conn.answers.updates.iter().position(|(_, id)| says(id)) {
        conn.answers.updates.remove(index);
        return;
    }
    let named = |pending: &Pending| says(pending.code);
    let index = conn.answers.pending.iter().position(named).unwrap_or(0);
    conn.answers.pending.remove(index);
}

/// A non-fatal error where the same one had to be fatal.
fn fatal_was_due(conn: &mut Conn, at: At, error: &ErrorMessage) -> bool {
    let Some((asked, due, clause)) = conn.answers.fatal_due.filter(|(_, due, _)| error.code == *due) else {
        return false;
    };
    let twice = conn.answers.bad_answers > conn.answers.bad_messages;
    if conn.answers.pending.iter().any(|one| one.code == due) || twice {
        return false;
    }
    let text = format!("answered with a `{due}` that is not fatal, where the session must end");
    conn.convict_with(FindingKind::WrongAnswer, clause, at, &[asked.event], text);
    conn.abandoned = true;
    true
}

fn answered(conn: &mut Conn, at: At, pending: Pending, error: &ErrorMessage) {
    keepalive::answered(conn, pending.at, at);
    conn.answers.read(pending.at.event);
    conn.answers.refused_ids.extend(pending.id.clone());
    conn.answers.answered.push(Answered { code: pending.code, at, to: pending.at });
    conn.credit(match pending.phase {
        State::AwaitConfig if !matches!(pending.code, "bad_message" | "unknown_type") => {
            conn.config.rejected_before = true;
            return;
        }
        _ => pending.clause,
    });
    if pending.clause == req::MSG_S6 {
        conn.credit(req::MSG_S4);
        if error.param != pending.param {
            conn.answers.misnamed.push(Misnamed { at, to: pending.clone(), param: error.param.clone() });
        }
    }
    if conn.answers.hostile.is_some_and(|hostile| hostile.event <= pending.at.event) {
        conn.credit(req::SEC_S3);
    }
}

/// An error that answers an `update`: as good as `updated`.
fn by_update(conn: &mut Conn, at: At, error: &ErrorMessage) -> bool {
    let Some(id) = error.id.as_deref() else {
        let due = |pending: &Pending| pending.code == error.code.as_str();
        let unknown = error.code == "unknown_type" && !conn.answers.pending.iter().any(due);
        let unserved = (error.code == "unsupported_option" || unknown) && !conn.answers.updates.is_empty();
        if unserved && let Some((asked, id)) = conn.answers.updates.pop_front() {
            conn.answers.read(asked.event);
            let how = if unknown { "as a type that it does not know" } else { "without repeating its id" };
            let text = format!("refused the update {id:?} {how}");
            conn.convict_with(FindingKind::WrongAnswer, req::UPD_S1, at, &[asked.event], text);
        }
        return unserved;
    };
    let Some(index) = conn.answers.updates.iter().position(|(_, asked)| asked == id) else {
        if conn.answers.updates_done.iter().any(|done| done == id) && error.code != "invalid_state" {
            conn.convict(FindingKind::DuplicateAnswer, req::UPD_S1, at, format!("answered the update {id:?} twice"));
            return true;
        }
        return false;
    };
    let (asked, id) = conn.answers.updates.remove(index).expect("the position was just found");
    conn.answers.read(asked.event);
    conn.credit(req::UPD_S1);
    let served = conn.ready.as_ref().is_some_and(|(_, ready)| ready.capabilities.update == Some(true));
    if !served && error.code != "unsupported_option" {
        let text = format!(
            "does not offer `update` and refused one with `{}` instead of `unsupported_option`",
            error.code.as_str()
        );
        conn.convict_with(FindingKind::WrongAnswer, req::UPD_S1, at, &[asked.event], text);
    }
    conn.answers.updates_done.push(id);
    true
}

/// An error that answers a flush which had to be served.
fn by_flush(conn: &mut Conn, at: At, error: &ErrorMessage) -> bool {
    let Some(id) = error.id.as_deref() else { return false };
    let Some((flush, _)) = conn.flush.open.take(&id.to_owned()) else { return false };
    conn.flush.refused.insert(flush.id.clone());
    let illegal = error.code == "invalid_state";
    conn.flush.first_refused |= illegal && conn.flush.first == Some(flush.at);
    let early = flush.early && illegal;
    let (kind, clause) =
        if early { (FindingKind::WronglyRefused, req::STA_S3) } else { (FindingKind::WrongAnswer, req::FLU_S2) };
    let text = format!("answered the flush {id:?} with the error `{}` instead of `flushed`", error.code.as_str());
    conn.convict_with(kind, clause, at, &[flush.at.event], text);
    true
}

/// `updated`.
pub(crate) fn updated(conn: &mut Conn, at: At, message: &Updated) {
    let Some(index) = conn.answers.updates.iter().position(|(_, id)| *id == message.id) else {
        let twice = conn.answers.updates_done.contains(&message.id);
        let kind = if twice { FindingKind::DuplicateAnswer } else { FindingKind::IllegalMessage };
        let pending = conn.answers.pending.iter().position(|pending| pending.id.as_ref() == Some(&message.id));
        match pending.and_then(|index| conn.answers.pending.remove(index)) {
            Some(pending) => {
                let text = format!("served the update {:?}, which was illegal where it came", message.id);
                conn.convict_with(FindingKind::WronglyAccepted, pending.clause, at, &[pending.at.event], text);
            }
            None => conn.convict(kind, req::UPD_S1, at, format!("sent `updated` for {:?} unasked", message.id)),
        }
        return;
    };
    let (asked, id) = conn.answers.updates.remove(index).expect("the position was just found");
    conn.answers.read(asked.event);
    conn.answers.updates_done.push(id);
    conn.credit(req::UPD_S1);
    if let Some((_, ready)) = &mut conn.ready {
        ready.config = message.config.clone();
    }
}
