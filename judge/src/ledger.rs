//! The ledger: who owes what to whom, since when, until when. It reads the record of a connection and decides nothing: when a
//! debt is a fault is the business of the rules and of `stall`.

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::Side;

use crate::conn::{At, Conn};
use crate::rules::{flush, keepalive, progress};

/// How long a server that reads has for an error that it owes, where the clause names no bound; times the progress interval.
const REPLY_INTERVALS: u64 = 2;

/// Something that one side owes the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    /// Who owes.
    pub debtor: Side,
    /// What, as a message type or a short phrase.
    pub what: String,
    /// Where the session stands.
    pub state: State,
    /// Since when, in microseconds of the trace.
    pub since_us: u64,
    /// Until when, with everything that extends the bound so far, the scale of time and a grace. Later than that is a breach.
    pub due_us: u64,
    /// The requirement that says so.
    pub requirement: RequirementId,
    /// The connection.
    pub conn: u32,
    /// The event that made the debt.
    pub event: usize,
}

impl Obligation {
    fn new(
        conn: &Conn,
        what: impl Into<String>,
        at: At,
        since_us: u64,
        due_us: u64,
        requirement: RequirementId,
    ) -> Self {
        let (state, conn_id) = (conn.state, conn.id);
        Self {
            debtor: Side::Server,
            what: what.into(),
            state,
            since_us,
            due_us,
            requirement,
            conn: conn_id,
            event: at.event,
        }
    }
}

/// Everything that is owed on a connection now, oldest first.
pub(crate) fn owed(conn: &Conn) -> Vec<Obligation> {
    if conn.abandoned
        || conn.server_close.is_some()
        || conn.refused.is_some()
        || conn.state == State::Closed
        || conn.opened.is_none()
    {
        return Vec::new();
    }
    let mut owed = Vec::new();
    if let Some(client) = conn.client_close {
        // Who configures, or whose audio buffer is full, reads no Close yet; his progress shows that he gets there.
        let reads = conn.ready.is_some() && conn.audio.backlog_ms <= conn.limits.max_buffered_audio_ms;
        let due_us = if reads {
            client.at.t_us.saturating_add(conn.scale.patience_us(conn.limits.close_ms))
        } else {
            conn.extended_due_us(client.at.t_us, conn.limits.close_ms)
        };
        owed.push(Obligation::new(conn, "Close", client.at, client.at.t_us, due_us, req::CLO_S3));
        return owed;
    }
    match conn.state {
        State::AwaitConfig => await_config(conn, &mut owed),
        State::Configuring => configuring(conn, &mut owed),
        State::Streaming => answers(conn, &mut owed),
        State::Draining => {
            answers(conn, &mut owed);
            draining(conn, &mut owed);
        }
        State::Failing => failing(conn, &mut owed),
        State::Ended => ended(conn, &mut owed),
        State::Closed => {}
    }
    owed.sort_by_key(|one| (one.since_us, one.event));
    owed
}

/// What the server will owe if the client stays silent: the ends by timers. `since_us` is when it will. Who only waits for one
/// allows it to be `late`, as it is if the server counts what is no activity: whether that was counted or nothing ends the
/// session at all is seen only then.
pub(crate) fn timers(conn: &Conn, late: bool) -> Vec<Obligation> {
    let mut owed = Vec::new();
    if conn.abandoned || !conn.is_live() {
        return owed;
    }
    if let (State::AwaitConfig, Some(opened)) = (conn.state, conn.opened) {
        let since_us = opened.t_us.saturating_add(conn.scale.us(10_000));
        let due_us = opened.t_us.saturating_add(conn.scale.patience_us(10_000));
        owed.push(Obligation::new(conn, "error `config_timeout`", opened, since_us, due_us, req::CON_S3));
    }
    if let (State::Streaming, Some(last_us), true) = (conn.state, conn.keepalive.last_us(), conn.flush.open.is_empty())
    {
        let idle_us = conn.scale.us(conn.limits.idle_timeout_ms);
        let since_us = last_us.saturating_add(idle_us);
        let inactive_us = keepalive::last_inactive_us(conn).filter(|inactive_us| *inactive_us > last_us);
        let due_us = keepalive::idle_due_us(conn, inactive_us.filter(|_| late).unwrap_or(last_us));
        // If the timeout passes also after what is no activity, then nothing ends the session.
        let still_counted = inactive_us.is_some_and(|inactive_us| conn.last.t_us.saturating_sub(inactive_us) < idle_us);
        let clause = if still_counted { req::KA_S7 } else { req::KA_S2 };
        owed.push(Obligation::new(conn, "error `idle_timeout`", conn.last, since_us, due_us, clause));
    }
    owed
}

fn await_config(conn: &Conn, owed: &mut Vec<Obligation>) {
    answers(conn, owed);
    if let Some(opened) = conn.opened {
        let due_us = opened.t_us.saturating_add(conn.scale.us(10_000));
        let mut one = Obligation::new(conn, "config", opened, opened.t_us, due_us, req::CFG_C1);
        one.debtor = Side::Client;
        owed.push(one);
    }
}

fn configuring(conn: &Conn, owed: &mut Vec<Obligation>) {
    if let Some(asked) = conn.config.at {
        let due_us = progress::ready_due_us(conn, asked);
        owed.push(Obligation::new(conn, "ready or a fatal error", asked, asked.t_us, due_us, req::CFG_S1));
    }
}

/// The single answers: errors, `updated`, `keepalive_ack`, `flushed`, a provoked fatal end.
fn answers(conn: &Conn, owed: &mut Vec<Obligation>) {
    let ready_us = conn.ready.as_ref().map_or(0, |(at, _)| at.t_us);
    let since = |at: At| at.t_us.max(ready_us);
    let reply_ms = conn.interval_ms().saturating_mul(REPLY_INTERVALS);
    let within = |at: At, ms: u64| since(at).saturating_add(conn.scale.patience_us(ms));
    let mut push = |what: String, at: At, due_us: u64, clause: RequirementId| {
        owed.push(Obligation::new(conn, what, at, since(at), due_us, clause));
    };
    for one in conn.answers.pending.iter().filter(|one| !one.optional) {
        // That a hostile message is not answered is a slip; that nothing is said any more is what it was sent for.
        let clause = if one.hostile { req::SEC_S3 } else { one.clause };
        push(format!("error `{}`", one.code), one.at, within(one.at, reply_ms), clause);
    }
    if let Some((at, code, clause)) = conn.answers.fatal_due {
        // The finals of what was accepted come before it, and may take as long as a drain.
        push(format!("fatal error `{code}`"), at, conn.extended_due_us(since(at), conn.limits.drain_ms), clause);
    }
    for (at, _) in &conn.answers.updates {
        push("updated".into(), *at, within(*at, conn.limits.flush_ms), req::UPD_S1);
    }
    for (_, debt) in conn.keepalive.acks.iter() {
        let clause = keepalive::clause_of_ack(conn, debt);
        push("keepalive_ack".into(), debt.at, within(debt.at, conn.limits.keepalive_interval_ms), clause);
    }
    for (_, flush) in conn.flush.open.iter().filter(|_| conn.state == State::Streaming) {
        let due_us = conn.extended_due_us(since(flush.at), conn.limits.flush_ms);
        push("flushed".into(), flush.at, due_us, flush::clause_of(conn, flush));
    }
}

fn draining(conn: &Conn, owed: &mut Vec<Obligation>) {
    let Some(sentinel) = conn.end.sentinel else { return };
    let since_us = sentinel.t_us.max(conn.ready.as_ref().map_or(0, |(at, _)| at.t_us));
    let due_us = conn.extended_due_us(since_us, conn.limits.drain_ms);
    for (_, flush) in conn.flush.open.iter() {
        owed.push(Obligation::new(conn, "flushed", flush.at, flush.at.t_us, due_us, req::FLU_S4));
    }
    owed.push(Obligation::new(conn, "session_ended", sentinel, since_us, due_us, clause_of_the_end(conn)));
}

/// The clause by which `session_ended` is owed: what was special about the sentinel, unless plain sessions do not end either.
pub(crate) fn clause_of_the_end(conn: &Conn) -> RequirementId {
    if !conn.plain_works {
        req::END_S2
    } else if conn.end.sentinel_odd {
        req::MSG_3
    } else if conn.end.sentinel_early {
        req::END_S1
    } else if conn.audio.accepted_bytes == 0 {
        req::END_S6
    } else if conn.audio.backlog_ms > conn.limits.max_buffered_audio_ms {
        req::BP_S1
    } else {
        req::END_S2
    }
}

fn failing(conn: &Conn, owed: &mut Vec<Obligation>) {
    if let Some((at, _)) = &conn.answers.fatal {
        let due_us = at.t_us.saturating_add(conn.scale.patience_us(conn.limits.close_ms));
        owed.push(Obligation::new(conn, "session_ended", *at, at.t_us, due_us, req::END_S11));
    }
}

fn ended(conn: &Conn, owed: &mut Vec<Obligation>) {
    let (at, clause) = match (&conn.session_ended, &conn.answers.fatal) {
        (Some((at, _)), _) => (*at, req::CLO_S2),
        (None, Some((at, _))) if conn.plain_works => (*at, req::ERR_S3),
        (None, Some((at, _))) => (*at, req::CLO_S2),
        (None, None) => return,
    };
    let due_us = at.t_us.saturating_add(conn.scale.patience_us(conn.limits.close_ms));
    owed.push(Obligation::new(conn, "Close", at, at.t_us, due_us, clause));
}
