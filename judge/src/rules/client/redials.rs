//! How a client dials again: whether its attempts back off. When its budget is restored is in `budget`.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;

use super::{Run, seconds};
use crate::conn::At;
use crate::report::Finding;

/// More attempts in less time than any exponential backoff makes.
const DIALS: usize = 16;
const DIALS_WITHIN_MS: u64 = 5_000;

/// So many pauses in one outage, none of them longer than another by more than a quarter, are of one length: what grows has grown by
/// then, and what jitters is further apart.
const PAUSES: usize = 10;
const ALIKE_PERCENT: u64 = 125;

/// [REC-C1]
pub(super) fn settle(run: &Run) -> Option<Finding> {
    floods(run).or_else(|| does_not_back_off(run))
}

/// Attempts without a pause between them.
fn floods(run: &Run) -> Option<Finding> {
    let dials: Vec<(At, u32)> =
        run.wires.values().filter_map(|wire| Some((wire.facts.upgraded_or_failed()?, wire.conn))).collect();
    dials.windows(DIALS).find_map(|some| {
        let ((first, _), (last, conn)) = (some.first()?, some.last()?);
        let took_us = last.t_us.saturating_sub(first.t_us);
        (took_us < DIALS_WITHIN_MS * 1_000).then(|| {
            let message = format!("dialled {DIALS} times within {}: it does not back off", seconds(took_us));
            run.finding(FindingKind::ReconnectAfterEnd, req::REC_C1, *conn, *last, message)
        })
    })
}

/// Attempts with the same pause each time. Only those of one outage: the first pause after a session may be the same each time.
fn does_not_back_off(run: &Run) -> Option<Finding> {
    let mut pauses: Vec<u64> = Vec::new();
    let wires: Vec<_> = run.wires.values().collect();
    for pair in wires.windows(2) {
        let (before, after) = (&pair[0].facts, &pair[1].facts);
        if before.ready.is_some() {
            pauses.clear();
            continue;
        }
        let (Some(over), Some(again)) = (before.over(), after.upgraded_or_failed()) else {
            pauses.clear();
            continue;
        };
        pauses.push(again.t_us.saturating_sub(over.t_us));
        // All of them: what has grown to its most stays there.
        let (shortest, longest) = (pauses.iter().min().copied()?, pauses.iter().max().copied()?);
        if pauses.len() >= PAUSES && longest.saturating_mul(100) <= shortest.saturating_mul(ALIKE_PERCENT) {
            let message = format!(
                "dialled {} times with the same pause, {} to {}: it does not back off",
                pauses.len() + 1,
                seconds(shortest),
                seconds(longest)
            );
            return Some(run.finding(FindingKind::ReconnectAfterEnd, req::REC_C1, pair[1].conn, again, message));
        }
    }
    None
}
