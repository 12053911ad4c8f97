//! Room for sessions (CON-S4): a server that has none says so. One that lets a session wait without a word until another one ends
//! shows it where the harness ends them one after the other.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};

/// So long a session that waits is told nothing; and so long before the first end nobody is told `ready`: whoever becomes ready after
/// such a pause, behind the end of another one, has waited for that.
const SILENT_MS: u64 = 4_000;
/// So soon after the end of a session its room is given to the next one.
const GIVEN_MS: u64 = 1_000;
/// So shortly before its end a session was served: it is not the whole server that stood still.
const SERVED_MS: u64 = 2_000;
/// So many sessions must have waited, each for another one: one may be chance.
const WAITED: usize = 2;

/// A session that was told nothing until another one was ended.
struct Wait {
    index: usize,
    ready: At,
    silent_us: u64,
    ended: At,
}

/// Across the connections of a trace.
pub(crate) fn across(conns: &mut [&mut Conn]) {
    let waits = waits(conns);
    let Some(first) = waits.first().filter(|_| waits.len() >= WAITED) else { return };
    let since_us = first.ended.t_us.saturating_sub(conns[first.index].scale.us(SILENT_MS));
    let readies = conns.iter().filter_map(|conn| conn.ready.as_ref());
    if readies.map(|(ready, _)| ready).any(|ready| ready.t_us > since_us && ready.event < first.ended.event) {
        return;
    }
    let text = format!(
        "said nothing for {} ms, until another session was ended: it lets sessions wait for room in silence",
        first.silent_us / 1_000
    );
    let (ready, ended) = (first.ready, first.ended.event);
    conns[first.index].convict_with(FindingKind::WrongAnswer, req::CON_S4, ready, &[ended], text);
}

/// Those who waited, in the order in which they became ready.
fn waits(conns: &[&mut Conn]) -> Vec<Wait> {
    let mut ends: Vec<At> = conns.iter().filter_map(|conn| ended(conn)).collect();
    ends.sort_unstable_by_key(|end| end.event);
    let silent = conns.iter().enumerate().filter_map(|(index, conn)| {
        let ((ready, _), silent_us) = conn.ready.as_ref().zip(conn.config.silent_us)?;
        let is_long = silent_us >= conn.scale.us(SILENT_MS) && !conn.tainted && !conn.abandoned;
        is_long.then_some((*ready, silent_us, index))
    });
    let mut silent: Vec<(At, u64, usize)> = silent.collect();
    silent.sort_unstable_by_key(|(ready, ..)| ready.event);
    let mut waits = Vec::new();
    for (ready, silent_us, index) in silent {
        let since_us = ready.t_us.saturating_sub(conns[index].scale.us(GIVEN_MS));
        // Each end makes room for one.
        if let Some(position) = ends.iter().position(|end| end.event < ready.event && end.t_us >= since_us) {
            waits.push(Wait { index, ready, silent_us, ended: ends.remove(position) });
        }
    }
    waits
}

/// When the client ended a session that was served until then. Its sentinel is what makes room: a server may tell the next one `ready`
/// before it tells this one the end.
fn ended(conn: &Conn) -> Option<At> {
    let (ended, _) = conn.session_ended.as_ref()?;
    let (ready, sentinel) = (conn.ready.as_ref()?, conn.end.sentinel?);
    let was_served = conn.end.heard_us?.saturating_add(conn.scale.us(SERVED_MS)) >= sentinel.t_us;
    (was_served && ready.0.event < sentinel.event && sentinel.event < ended.event).then_some(sentinel)
}
