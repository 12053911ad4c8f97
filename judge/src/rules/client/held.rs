//! What a line may have held up on its way, and what it makes of the times of a client's messages. Messages that come in one go
//! behind a silence were not all sent at that moment: so much of the silence is the line's, and not the client's.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;

use super::wire::Wire;
use super::{Run, seconds};
use crate::bounds::{Scale, total, us};
use crate::conn::At;
use crate::report::Finding;
use crate::rules::aud;

/// What comes within so long of each other comes in one go.
const AT_ONCE_US: u64 = 250_000;

/// What the client said on this connection, in its order, each with the time that it stands for: audio its length, a keepalive
/// or the sentinel an interval.
fn said(wire: &Wire) -> Vec<(At, u64)> {
    let facts = &wire.facts;
    let length_us = |bytes: u64| {
        let ms = facts.audio_format.as_ref().and_then(|format| aud::to_ms(bytes, format));
        us(ms.unwrap_or(0))
    };
    let audio = facts.audio.iter().map(|(at, bytes)| (*at, length_us(*bytes)));
    let interval_us = us(wire.limits.keepalive_interval_ms);
    let keepalives = facts.keepalives.iter().map(|(at, _)| at).chain(&facts.sentinel).map(|at| (*at, interval_us));
    let others = facts.config.iter().chain(&facts.flushes).map(|at| (*at, 0));
    let mut said: Vec<(At, u64)> = audio.chain(keepalives).chain(others).collect();
    said.sort_by_key(|(at, _)| at.event);
    said
}

/// How long a message may have been on its way at most: since the last one that did not come in one go with it.
fn at_most_us(wire: &Wire, at: At) -> u64 {
    let said = said(wire);
    let mut upto = said.iter().map(|(one, _)| *one).take_while(|one| one.event < at.event).collect::<Vec<At>>();
    upto.push(at);
    let in_one_go = |pair: &&[At]| at.t_us.saturating_sub(pair[1].t_us) <= AT_ONCE_US;
    let behind = upto.windows(2).rev().take_while(in_one_go).map(|pair| at.t_us.saturating_sub(pair[0].t_us));
    behind.max().unwrap_or(0)
}

/// Whether a client that left here may have waited for `drain_ms` by its own clock, which began when it sent its sentinel, though
/// it came later, be it behind the news that the client had left: then the last words may have been on their way still. [END-C4]
pub(super) fn has_waited(wire: &Wire, left: At) -> bool {
    let Some(sentinel) = wire.facts.sentinel else { return false };
    let due_us = sentinel.t_us.saturating_add(us(wire.limits.drain_ms));
    left.t_us < due_us && left.t_us.saturating_add(at_most_us(wire, sentinel)) >= due_us
}

/// How much of a silence that ended with this message the client has spoken for: what came in one go with it. One message alone
/// says nothing: it may have been sent just then.
fn spoken_meanwhile_us(wire: &Wire, end: At) -> u64 {
    let said = said(wire);
    let at_once = said.iter().filter(|(at, _)| at.event >= end.event && at.t_us.saturating_sub(end.t_us) <= AT_ONCE_US);
    let stands_for: Vec<u64> = at_once.map(|(_, us)| *us).collect();
    if stands_for.len() < 2 { 0 } else { total(stands_for.into_iter()) }
}

/// [KA-C1] [KA-C2] [KA-C3], where the messages themselves show it.
pub(super) fn keepalives(run: &Run, wire: &Wire, scale: Scale) -> Vec<Finding> {
    let facts = &wire.facts;
    let Some(ready) = facts.ready else { return Vec::new() };
    let mut found = Vec::new();
    let interval_us = us(wire.limits.keepalive_interval_ms);
    let all: Vec<At> = facts.keepalives.iter().map(|(at, _)| *at).collect();
    let until_sentinel = facts.sentinel.map_or(usize::MAX, |sentinel| sentinel.event);
    for pair in all.windows(2).filter(|pair| pair[1].event < until_sentinel) {
        let is_soon = pair[1].t_us.saturating_sub(pair[0].t_us) < interval_us / 4;
        if is_soon && at_most_us(wire, pair[0]) < interval_us.saturating_add(interval_us / 2) {
            let message = "sent two keepalives within a quarter of the interval";
            found.push(run.finding(FindingKind::WrongValue, req::KA_C2, wire.conn, pair[1], message));
            break;
        }
    }
    if let Some((fatal, _)) = &facts.fatal
        && let Some(late) = all.iter().find(|at| at.t_us > fatal.t_us.saturating_add(scale.surely_read_us()))
    {
        let message = "sent a keepalive after a fatal error";
        found.push(run.finding(FindingKind::KeepaliveAfterEnd, req::KA_C3, wire.conn, *late, message));
    }
    let end = facts.sentinel.or(facts.client_left()).or(facts.server_left());
    let spoken =
        std::iter::once(ready).chain(facts.audio.iter().map(|(at, _)| *at)).chain(all.iter().copied()).chain(end);
    let mut spoken: Vec<At> = spoken.filter(|at| end.is_none_or(|end| at.event <= end.event)).collect();
    spoken.sort_by_key(|at| at.event);
    let bound_us = scale.patience_us(wire.limits.keepalive_interval_ms);
    // Whose input is over owes the sentinel, and nothing else.
    let until = run.input_ended.as_ref().map_or(usize::MAX, |(at, _)| at.event);
    for pair in spoken.windows(2).filter(|pair| pair[1].event < until && !facts.was_deaf(pair[0], pair[1])) {
        let silent_us = pair[1].t_us.saturating_sub(pair[0].t_us);
        if silent_us > bound_us && silent_us.saturating_sub(spoken_meanwhile_us(wire, pair[1])) > bound_us {
            let message = format!("was silent for {} and sent no keepalive", seconds(silent_us));
            found.push(run.finding(FindingKind::Late, req::KA_C1, wire.conn, pair[1], message));
            break;
        }
    }
    found
}
