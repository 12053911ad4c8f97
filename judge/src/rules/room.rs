//! Room for sessions (CON-S4): a server that has none says so. One that lets a session wait without a word until another one ends
//! shows it where the harness ends them one after the other.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};

/// So long nobody is silent before `ready` who does not wait for something.
const SILENT_MS: u64 = 4_000;
/// So soon after the end of a session its room is given to the next one.
const GIVEN_MS: u64 = 1_000;
/// So many sessions must have waited, each for another one: one may be chance.
const WAITED: usize = 2;

/// A session that was told nothing until another one ended.
struct Wait {
    index: usize,
    ready: At,
    silent_us: u64,
    ended: At,
}

/// Across the connections of a trace.
pub(crate) fn across(conns: &mut [&mut Conn]) {
    let mut ends: Vec<At> = conns.iter().filter_map(|conn| ended(conn)).collect();
    ends.sort_unstable_by_key(|end| end.event);
    let mut silent: Vec<(At, u64, usize)> = conns
        .iter()
        .enumerate()
        .filter_map(|(index, conn)| {
            let ((ready, _), silent_us) = conn.ready.as_ref().zip(conn.config.silent_us)?;
            let is_long = silent_us >= conn.scale.us(SILENT_MS) && !conn.tainted && !conn.abandoned;
            is_long.then_some((*ready, silent_us, index))
        })
        .collect();
    silent.sort_unstable_by_key(|(ready, ..)| ready.event);
    let mut waits = Vec::new();
    for (ready, silent_us, index) in silent {
        let since_us = ready.t_us.saturating_sub(conns[index].scale.us(GIVEN_MS));
        // Each end makes room for one.
        if let Some(position) = ends.iter().position(|end| end.event < ready.event && end.t_us >= since_us) {
            waits.push(Wait { index, ready, silent_us, ended: ends.remove(position) });
        }
    }
    let Some(wait) = waits.first().filter(|_| waits.len() >= WAITED) else { return };
    let conn = &mut *conns[wait.index];
    let text = format!(
        "said nothing for {} ms, until another session ended: it lets sessions wait for room in silence",
        wait.silent_us / 1_000
    );
    conn.convict_with(FindingKind::WrongAnswer, req::CON_S4, wait.ready, &[wait.ended.event], text);
}

/// When a session was over that the client ended.
fn ended(conn: &Conn) -> Option<At> {
    let (ended, _) = conn.session_ended.as_ref()?;
    let (ready, sentinel) = (conn.ready.as_ref()?, conn.end.sentinel?);
    (ready.0.event < sentinel.event && sentinel.event < ended.event).then_some(*ended)
}
