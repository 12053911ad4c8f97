//! Keepalives, their acknowledgements and the idle timer (KA).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{ErrorMessage, KeepaliveAck};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{ServerInput, State};

use crate::bounds::ms;
use crate::conn::{At, Conn};
use crate::ledger;
use crate::queue::Queue;
use crate::rules::answers::{self, Would};
use crate::rules::{blame, flush};

/// An acknowledgement that the server owes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckDebt {
    pub(crate) seq: u64,
    pub(crate) at: At,
    pub(crate) early: bool,
}

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    pub(crate) acks: Queue<u64, AckDebt>,
    acked: BTreeSet<u64>,
    /// A later keepalive was acknowledged before all those up to this event.
    overtaken_upto: Option<usize>,
    /// Keepalives that were sent after the sentinel.
    pub(crate) after_end: Vec<At>,
    /// The latest activity that the server has surely read by now, and what may still be under way.
    recent: VecDeque<(At, Kind)>,
    /// The activity that ended the last silence of about the idle timeout, if there was one.
    silence_ended: Option<At>,
    /// Something that an honest server may take for activity or not.
    maybe: Option<At>,
    /// The last audio, or `ready`.
    spoke_us: u64,
    /// When activity of each kind was last sent.
    by_kind: BTreeMap<Kind, u64>,
    /// When the client last sent something that was answered at once.
    awake_us: Option<u64>,
    by_keepalive: bool,
    by_control: bool,
    /// When the server first showed, after the idle timeout had passed, that it works on the end.
    ending_us: Option<u64>,
    /// A proper idle timeout was announced.
    pub(crate) timed_out: bool,
    pub(crate) inactive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ready,
    Audio,
    Keepalive,
    Control,
}

impl Liveness {
    /// `ready` came: the idle timer runs.
    pub(crate) fn started(&mut self, at: At) {
        self.spoke_us = at.t_us;
        self.recent.push_back((at, Kind::Ready));
        self.by_kind.insert(Kind::Ready, at.t_us);
    }

    /// The last activity, sure or not.
    pub(crate) fn last_us(&self) -> Option<u64> {
        let sure = self.recent.back().map(|(at, _)| at.t_us);
        sure.max(self.maybe.map(|at| at.t_us))
    }

    /// Whether the idle timeout had passed at `at`, as far as accepted audio and messages go.
    pub(crate) fn was_idle_before(&self, at: At, idle_us: u64) -> bool {
        let least_us = idle_us - idle_us / 10;
        self.last_us().is_some_and(|last_us| at.t_us.saturating_sub(last_us) >= least_us)
    }

    /// Since the last audio the client has sent keepalives.
    pub(crate) fn kept_by_keepalive(&self) -> bool {
        self.by_keepalive
    }

    fn last_of_another_kind_us(&self, kind: Kind) -> Option<u64> {
        self.by_kind.iter().filter(|(other, _)| **other != kind).map(|(_, us)| *us).max()
    }
}

/// Accepted audio.
pub(crate) fn active(conn: &mut Conn, at: At) {
    conn.keepalive.spoke_us = at.t_us;
    conn.keepalive.by_keepalive = false;
    conn.keepalive.by_control = false;
    note(conn, at, Kind::Audio);
}

/// A keepalive.
pub(crate) fn kept_alive(conn: &mut Conn, at: At) {
    conn.keepalive.by_keepalive = true;
    note(conn, at, Kind::Keepalive);
}

/// Another well-formed control message.
pub(crate) fn active_by_control(conn: &mut Conn, at: At) {
    conn.keepalive.by_control = true;
    note(conn, at, Kind::Control);
}

/// A message of which the specification does not clearly say whether it is activity.
pub(crate) fn maybe_active(conn: &mut Conn, at: At) {
    conn.keepalive.maybe = Some(at);
}

fn note(conn: &mut Conn, at: At, kind: Kind) {
    if conn.end.sentinel.is_some() {
        return;
    }
    silence_before(conn, at);
    conn.keepalive.ending_us = None;
    conn.keepalive.by_kind.insert(kind, at.t_us);
    let settled_us = at.t_us.saturating_sub(conn.scale.in_flight_us());
    let recent = &mut conn.keepalive.recent;
    while recent.len() > 1 && recent[1].0.t_us <= settled_us {
        recent.pop_front();
    }
    recent.push_back((at, kind));
}

/// The client does something: it may have come too late for the idle timer.
pub(crate) fn silence_before(conn: &mut Conn, at: At) {
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    let in_flight_us = conn.scale.in_flight_us();
    let asked_us = conn.config.at.map_or(0, |asked| asked.t_us);
    let last_us = match conn.keepalive.recent.back() {
        // The server sent `ready` some time before the client had it, and surely after `config`.
        Some((ready, Kind::Ready)) => ready.t_us.saturating_sub(in_flight_us).max(asked_us),
        Some((activity, _)) => activity.t_us,
        None => at.t_us,
    };
    let silent_us = at.t_us.saturating_sub(last_us).saturating_add(in_flight_us);
    if silent_us >= idle_us {
        conn.keepalive.silence_ended = Some(at);
    }
}

/// Whether the idle timer may have fired before: a silence was long enough, and since it ended the server has answered nothing
/// that was sent later. It may have been busy with its last finals.
fn may_have_fired(conn: &Conn) -> bool {
    conn.keepalive.silence_ended.is_some_and(|ended| conn.answers.read_upto < ended.event)
}

/// Progress or a final: if the idle timeout has passed, the server is about to end the session.
pub(crate) fn worked(conn: &mut Conn, at: At) {
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    if conn.end.sentinel.is_none() && conn.keepalive.was_idle_before(at, idle_us) {
        conn.keepalive.ending_us.get_or_insert(at.t_us);
    }
}

/// Until when an idle session must have been ended, or the end begun, that was last active at `since_us`: whoever works on finals
/// first tells so by the progress rule, and may then take as long as a drain.
pub(crate) fn idle_due_us(conn: &Conn, since_us: u64) -> u64 {
    let idle_ms = conn.limits.idle_timeout_ms;
    let begun_ms = idle_ms.saturating_add(2 * conn.limits.progress_interval_ms);
    let begun_by_us = since_us.saturating_add(conn.scale.patience_us(begun_ms));
    match conn.keepalive.ending_us.filter(|ending_us| *ending_us <= begun_by_us) {
        None => begun_by_us,
        Some(_) => {
            let drain_ms = conn.limits.drain_ms;
            let due_us = since_us.saturating_add(conn.scale.patience_us(idle_ms.saturating_add(drain_ms)));
            due_us.max(conn.extended_due_us(since_us.saturating_add(conn.scale.us(idle_ms)), drain_ms))
        }
    }
}

/// The server answers something: where only keepalives or controls kept the session alive for the length of the idle
/// timeout, that shows that they count.
pub(crate) fn heard(conn: &mut Conn, at: At) {
    let kept_us = at.t_us.saturating_sub(conn.keepalive.spoke_us);
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    let surely_us = idle_us.saturating_add((idle_us / 10).max(conn.scale.in_flight_us()));
    if conn.ready.is_none() || kept_us < surely_us {
        return;
    }
    match (conn.keepalive.by_keepalive, conn.keepalive.by_control) {
        (true, false) => conn.credit(req::KA_S3),
        (_, true) => conn.credit(req::KA_S7),
        (false, false) => {}
    }
}

/// The server answers at `at` what came at `asked`: if that is at once, it was awake then.
pub(crate) fn answered(conn: &mut Conn, asked: At, at: At) {
    if at.t_us.saturating_sub(asked.t_us) <= conn.scale.release_us() {
        conn.keepalive.awake_us = Some(asked.t_us);
    }
}

/// `keepalive_ack`.
pub(crate) fn on_ack(conn: &mut Conn, at: At, ack: &KeepaliveAck) {
    let seq = ack.seq;
    heard(conn, at);
    let Some((debt, ahead)) = conn.keepalive.acks.take(&seq) else {
        unasked(conn, at, seq);
        return;
    };
    let ahead = ahead.copied();
    conn.answers.read(debt.at.event);
    conn.keepalive.acked.insert(seq);
    conn.credit(req::KA_S6);
    if debt.early {
        conn.credit(req::STA_S3);
    }
    let known = |debt: &AckDebt| conn.keepalive.overtaken_upto.is_some_and(|upto| debt.at.event < upto);
    if known(&debt) {
        return;
    }
    if let Some(ahead) = ahead.filter(|ahead| !known(ahead)) {
        conn.keepalive.overtaken_upto = Some(debt.at.event);
        let text = format!("acknowledged keepalive {seq} before keepalive {}", ahead.seq);
        let clause = if ahead.early { req::STA_S3 } else { req::KA_S6 };
        conn.convict_with(FindingKind::WrongAnswer, clause, at, &[ahead.at.event, debt.at.event], text);
        return;
    }
    let since_us = conn.ready.as_ref().map_or(debt.at.t_us, |(ready, _)| ready.t_us.max(debt.at.t_us));
    let waited_us = at.t_us.saturating_sub(since_us);
    if waited_us > conn.scale.patience_us(conn.limits.keepalive_interval_ms) {
        let text = format!("acknowledged keepalive {seq} after {} ms", ms(waited_us));
        conn.convict_with(FindingKind::Late, req::KA_S6, at, &[debt.at.event], text);
    }
}

fn unasked(conn: &mut Conn, at: At, seq: u64) {
    let before_config =
        |one: &super::answers::Pending| one.phase == State::AwaitConfig && one.input == Some(ServerInput::KeepaliveSeq);
    if let Some(sent) = conn.keepalive.after_end.first().filter(|_| !conn.keepalive.acked.contains(&seq)) {
        let sent = sent.event;
        let text = format!("acknowledged keepalive {seq}, which came after the end");
        conn.convict_with(FindingKind::IllegalMessage, req::KA_S5, at, &[sent], text);
    } else if let Some(index) = conn.answers.pending.iter().position(before_config) {
        conn.answers.pending.remove(index);
        let text = format!("acknowledged keepalive {seq}, which came before `config`");
        conn.convict(FindingKind::WronglyAccepted, req::STA_S2, at, text);
    } else if conn.keepalive.acked.contains(&seq) {
        conn.convict(FindingKind::DuplicateAnswer, req::KA_S6, at, format!("acknowledged keepalive {seq} twice"));
    } else if answers::accepted(conn, at, &Would::Acknowledge(seq)) {
        // Blamed already.
    } else {
        let text = format!("acknowledged keepalive {seq}, which was never sent");
        conn.convict(FindingKind::WrongAnswer, req::KA_S6, at, text);
    }
}

/// A fatal `idle_timeout` after `ready`.
pub(crate) fn timed_out(conn: &mut Conn, at: At, error: &ErrorMessage) {
    let idle_us = conn.limits.idle_timeout_ms.saturating_mul(1_000);
    let in_flight_us = conn.scale.in_flight_us();
    let read_by_us = at.t_us.saturating_sub(in_flight_us);
    if let Some(sentinel) = conn.end.sentinel {
        if [req::STA_S3, req::END_S1].into_iter().any(|id| conn.convicted(id)) || refused_early(conn) {
            // The sentinel was refused for being early: nothing was draining.
        } else if !may_have_fired(conn) {
            let (kind, clause, text) = idle_in_the_drain(conn, sentinel, at);
            conn.convict_with(kind, clause, at, &[sentinel.event], text);
        } else {
            conn.unsure(req::KA_S4, "the idle timer may have fired before the sentinel was read");
        }
        return;
    }
    let flushing = conn.flush.unanswered().filter(|flush| flush.at.t_us <= read_by_us);
    if let Some(flush) = flushing.filter(|_| !may_have_fired(conn)) {
        // A server that still tells progress works on the flush; one that is silent has forgotten it.
        let recent_us = conn.scale.patience_us(2 * conn.limits.progress_interval_ms);
        let still = |told: u64| told > flush.at.t_us && at.t_us.saturating_sub(told) <= recent_us;
        let works = conn.progress.told_us.is_some_and(still);
        let (kind, clause) = if works {
            (FindingKind::IllegalMessage, req::KA_S4)
        } else {
            (FindingKind::Unanswered, flush::clause_of(conn, flush))
        };
        let (asked, text) = (flush.at.event, "ended the session as idle while a flush was open");
        conn.convict_with(kind, clause, at, &[asked], text);
        return;
    }
    let surely = |(activity, _): &&(At, Kind)| activity.t_us <= read_by_us;
    let last = conn.keepalive.recent.iter().rev().find(surely).or(conn.keepalive.recent.front()).copied();
    let Some((activity, kind)) = last else { return };
    // The server sent `ready` some time before the client had it, and surely after `config`.
    let asked_us = conn.config.at.map_or(activity.t_us, |asked| asked.t_us);
    let since_us = if kind == Kind::Ready { asked_us } else { activity.t_us };
    let silent_us = at.t_us.saturating_sub(since_us);
    if silent_us.saturating_add(idle_us / 50).saturating_add(50_000) < idle_us && !may_have_fired(conn) {
        // If the timeout has just passed since the last activity of another kind, this kind is not counted; else it is too short.
        let since_other_us = at.t_us.saturating_sub(conn.keepalive.last_of_another_kind_us(kind).unwrap_or(0));
        let tolerance_us = idle_us / 10 + 50_000;
        let not_counted = since_other_us.abs_diff(idle_us) <= tolerance_us;
        let clause = match kind {
            Kind::Keepalive if not_counted || since_other_us >= idle_us => req::KA_S3,
            Kind::Audio | Kind::Control if not_counted => req::KA_S7,
            _ => req::KA_S2,
        };
        let text = format!("ended the session as idle {} ms after the last activity", ms(silent_us));
        conn.convict_with(FindingKind::IllegalMessage, clause, at, &[activity.event], text);
        return;
    }
    if !error.retryable {
        conn.convict(FindingKind::WrongAnswer, req::KA_S2, at, "called `idle_timeout` not retryable");
        return;
    }
    let since_us = conn.keepalive.last_us().unwrap_or(activity.t_us);
    let due_us = idle_due_us(conn, since_us);
    // However slow the machine: a server that then still answered at once was not kept from ending the session.
    let most_ms = conn.limits.idle_timeout_ms.saturating_add(2 * conn.limits.progress_interval_ms);
    let unscaled_us = most_ms.saturating_mul(1_050);
    let awake = conn.keepalive.awake_us.is_some_and(|awake_us| awake_us.saturating_sub(since_us) > unscaled_us);
    let inactive = has_inactive_since(conn, activity);
    // It counted what is no activity if the timeout passed once more after that; else its timer is too long.
    let counted = last_inactive_us(conn)
        .is_some_and(|last_us| at.t_us.saturating_sub(last_us).saturating_add(idle_us / 10) >= idle_us);
    let clause = if inactive && counted { req::KA_S7 } else { req::KA_S2 };
    let swallowed = conn.answers.pending.iter().find(|one| one.clause == req::AUD_S2).map(|one| one.at);
    if let Some(broken) = swallowed.filter(|_| at.t_us > due_us || awake) {
        let text = "took broken frames for audio, which kept the session alive";
        conn.convict_with(FindingKind::WronglyAccepted, req::AUD_S2, at, &[broken.event], text);
        return;
    }
    if at.t_us > due_us || awake {
        let text =
            format!("ended an idle session only {} ms after the last activity", ms(at.t_us.saturating_sub(since_us)));
        conn.convict_with(FindingKind::Late, clause, at, &[activity.event], text);
        return;
    }
    conn.keepalive.timed_out = true;
    conn.keepalive.inactive = inactive;
}

/// A draining session was ended as idle: by a timer that goes on, or because nothing was draining at all. A server that
/// works tells its progress or its finals at least once in that time.
fn idle_in_the_drain(conn: &Conn, sentinel: At, at: At) -> (FindingKind, RequirementId, &'static str) {
    let told = conn.progress.told_us.is_some_and(|told| told > sentinel.t_us);
    // Finals that come with the timeout are those that it demands; those of audio ahead of `ready` come by themselves.
    let settled_us = at.t_us.saturating_sub(conn.scale.in_flight_us());
    let final_came = conn
        .results
        .finals
        .iter()
        .any(|one| one.t_us > sentinel.t_us && one.t_us < settled_us && !conn.end.sentinel_early);
    let worked = told || (final_came && conn.plain_works);
    let had_to_speak = conn.limits.idle_timeout_ms >= conn.limits.progress_interval_ms;
    // Of a sentinel in an unusual form it took no notice; that finals of segments came then says nothing of the drain.
    // What it tells while it ends the session as idle says nothing either.
    let idle_us = conn.scale.us(conn.limits.idle_timeout_ms);
    let fired_us = conn.keepalive.last_us().unwrap_or(0).saturating_add(idle_us);
    let told_before = told && conn.progress.told_us.is_some_and(|told| told < fired_us);
    let unnoticed = conn.end.sentinel_odd && conn.plain_works && !told_before;
    if (worked || !had_to_speak) && !unnoticed {
        return (FindingKind::IllegalMessage, req::KA_S4, "ended a draining session as idle");
    }
    let text = "took no notice of the sentinel, and ended the session as idle";
    (FindingKind::Unanswered, ledger::clause_of_the_end(conn), text)
}

/// Whether an error came that no message deserved, where some had been sent before `ready`.
fn refused_early(conn: &Conn) -> bool {
    conn.end.sentinel_early && conn.answers.strays.iter().any(|stray| stray.code == "invalid_state")
}

/// Whether something that is no activity was sent since the last activity.
pub(crate) fn has_inactive_since(conn: &Conn, activity: At) -> bool {
    let since = |at: &At| at.event > activity.event;
    conn.audio.empty.iter().any(since)
        || conn.audio.broken.last.as_ref().is_some_and(since)
        || conn.answers.malformed.as_ref().is_some_and(since)
}

/// When something was last sent that is no activity.
pub(crate) fn last_inactive_us(conn: &Conn) -> Option<u64> {
    let all = [conn.audio.empty.last().copied(), conn.audio.broken.last, conn.answers.malformed];
    all.into_iter().flatten().map(|at| at.t_us).max()
}

/// The session is over.
pub(crate) fn settle(conn: &mut Conn) {
    let Some(ended_at) = conn.session_ended.as_ref().map(|(at, _)| *at) else { return };
    let after_end = conn.keepalive.after_end.clone();
    if after_end.iter().any(|at| was_heard(conn, *at, ended_at)) {
        conn.credit(req::KA_S5);
    } else if !after_end.is_empty() {
        conn.unsure(req::KA_S5, "the drain was too fast: the keepalive may have been read after session_ended");
    }
    let acks = std::mem::take(&mut conn.keepalive.acks);
    let upto = conn.keepalive.overtaken_upto.unwrap_or(0);
    // A server whose own timer ends the session long after the bound was not kept from answering.
    let bound_us = conn.scale.patience_us(conn.limits.keepalive_interval_ms);
    let overdue = |debt: &AckDebt| {
        let since_us = conn.ready.as_ref().map_or(debt.at.t_us, |(ready, _)| ready.t_us.max(debt.at.t_us));
        conn.keepalive.timed_out && ended_at.t_us > since_us.saturating_add(bound_us)
    };
    let read = |debt: &AckDebt| blame::surely_read(conn, debt.at, State::Streaming) || overdue(debt);
    let owed = |debt: &&AckDebt| debt.at.event >= upto && read(debt);
    if let Some(debt) = acks.iter().map(|(_, debt)| debt).find(owed) {
        let text = format!("never acknowledged keepalive {}", debt.seq);
        let clause = clause_of_ack(conn, debt);
        conn.convict_with(FindingKind::Unanswered, clause, ended_at, &[debt.at.event], text);
    }
}

/// The clause by which an acknowledgement is owed: that the keepalive was early says something only where others are acknowledged.
pub(crate) fn clause_of_ack(conn: &Conn, debt: &AckDebt) -> RequirementId {
    if debt.early && !conn.keepalive.acked.is_empty() { req::STA_S3 } else { req::KA_S6 }
}

/// Whether a message after the sentinel most likely reached the server while it drained.
pub(crate) fn was_heard(conn: &Conn, at: At, ended_at: At) -> bool {
    let in_time = ended_at.event > at.event && ended_at.t_us.saturating_sub(at.t_us) >= 50_000;
    conn.answers.read_upto > at.event || in_time
}
