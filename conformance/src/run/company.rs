//! Owns the look in company: what was found while many cases ran side by side, and not again when its case ran alone, is looked for
//! among a few copies of the case. A server may wait for what only another session gives back, or mix sessions up. The looking is
//! I/O; what it showed is settled in `confirm`.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use lastword_spec::trace::{Event, EventKind, Trace};

use super::confirm::{Key, keys};
use super::env::Env;
use super::look::{in_both, is_a_matter_of_time, shared};
use super::result::{CaseResult, Evidence};
use super::unit::{self, Unit};
use super::{Observer, confirm};
use crate::case::Need;

/// So many copies of a case run side by side: few enough for any machine that serves more than one session.
const COPIES: usize = 4;
/// So many of them must show it: one may be chance.
const QUORUM: usize = 2;
/// So many cases are looked at so, and so many for each kind of finding; each look may cost a wait.
const CASES: usize = 4;
const CASES_PER_KIND: usize = 2;
/// What stands in the trace of such a look.
const NOTE: &str = "one of four copies of the case that ran side by side";
/// What stands behind the name of a case that showed something in company.
pub(crate) const BESIDE: &str = " beside copies of itself";

/// Looks at the cases of `order` for what was found in them and is not `confirmed`; what was seen becomes the second look of a case.
pub(super) async fn look(
    env: &Arc<Env>,
    results: &mut [CaseResult],
    order: Vec<usize>,
    confirmed: &mut BTreeSet<Key>,
    observer: &dyn Observer,
) {
    let mut looked: Vec<BTreeSet<Key>> = Vec::new();
    for index in order {
        let result = &results[index];
        let is_open = |key: &Key| {
            let looks = looked.iter().filter(|keys| keys.contains(key)).count();
            needs_company(key) && !confirmed.contains(key) && looks < CASES_PER_KIND
        };
        let open: BTreeSet<Key> = keys(result).into_iter().filter(is_open).collect();
        // Without a look alone nothing is known of what company does, and a case with several sessions has company.
        if open.is_empty()
            || result.case.needs.contains(&Need::Sessions)
            || result.second.is_none()
            || looked.len() == CASES
            || env.is_serial()
            || env.controls.is_dead()
        {
            continue;
        }
        looked.push(open.clone());
        observer.note(&format!("running {} again, {COPIES} side by side", result.case.id));
        let looks = join_all((0..COPIES).map(|_| unit::run(env, result.case))).await;
        let shows = |look: Unit| match look {
            Unit::Done(look) if !shared(&keys(&look), &open).is_empty() => look.evidence,
            _ => None,
        };
        let shown: Vec<Evidence> = looks.into_iter().filter_map(shows).collect();
        if shown.len() < QUORUM {
            continue;
        }
        if let Some(evidence) = shown.into_iter().next() {
            let evidence = marked(&evidence);
            confirmed.extend(shared(&confirm::keys_of(&evidence), &open));
            // What the look alone has shown stands by that one.
            let result = &mut results[index];
            let alone = result.evidence.as_ref().zip(result.second.as_ref());
            if alone.is_none_or(|(first, second)| in_both(first, second).is_empty()) {
                result.second = Some(evidence);
            }
        }
    }
}

/// Whether this is the trace of a look in company.
pub(super) fn is_in_company(trace: &Trace) -> bool {
    trace.events.iter().any(|event| matches!(&event.kind, EventKind::Note(note) if note == NOTE))
}

/// What sessions side by side do to each other: they wait for the same thing, or one is given what belongs to the other. A machine
/// that stands still makes answers late, and lets timers run out; it makes nothing untrue.
fn needs_company(key: &Key) -> bool {
    !is_a_matter_of_time(&BTreeSet::from([*key]))
}

/// The evidence of a look, by which it is known for what it is.
pub(super) fn marked(evidence: &Evidence) -> Evidence {
    let mut trace = Trace::clone(&evidence.trace);
    let t_us = trace.events.last().map_or(0, |event| event.t_us);
    trace.events.push(Event::new(t_us, 0, EventKind::Note(NOTE.to_owned())));
    Evidence { trace: Arc::new(trace), judgement: Arc::clone(&evidence.judgement) }
}

#[cfg(test)]
mod tests {
    use lastword_spec::finding::FindingKind;
    use lastword_spec::requirements::{CFG_S1, END_S2, KA_S2};

    use super::*;

    #[test]
    fn what_is_untrue_or_never_comes_may_need_company_and_what_is_late_does_not() {
        use FindingKind::{ClosedWithoutEnd, DuplicateAnswer, IllegalMessage, Late, NoProgress, Stalled, WrongValue};
        for kind in [Stalled, WrongValue, ClosedWithoutEnd, DuplicateAnswer, IllegalMessage] {
            assert!(needs_company(&(CFG_S1, kind)), "{kind}");
        }
        assert!(!needs_company(&(END_S2, Late)) && !needs_company(&(END_S2, NoProgress)));
        assert!(!needs_company(&(KA_S2, IllegalMessage)), "its timer ran out");
    }
}
