//! Owns the further looks at a case: one more run, and as many more as it takes where what was found may come of a line, or a machine,
//! that stood still for a moment. What was seen in them is settled in `confirm`.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{CLO_S3, CON_S3, KA_S2, KA_S3, KA_S4, KA_S7};

use super::confirm::{Key, shared};
use super::env::Env;
use super::result::CaseResult;
use super::unit::{self, Unit};
use crate::case::Case;

/// So many more looks decide whether what is a matter of time was seen by chance.
const MORE_LOOKS: usize = 4;

/// What a second look came to, and a third one, if it was clean.
pub(super) type Looks = (Box<CaseResult>, Option<Box<CaseResult>>);

/// One case once more; `None` where the subject had no room for it. `side_by_side`: what runs beside it changes nothing.
pub(super) async fn again(
    env: &Arc<Env>,
    case: &'static Case,
    keys: BTreeSet<Key>,
    side_by_side: bool,
) -> Option<Looks> {
    if side_by_side && is_a_matter_of_time(&keys) {
        return Some((look_often(env, case, MORE_LOOKS + 1, &keys).await?, None));
    }
    let Unit::Done(second) = unit::run(env, case).await else { return None };
    if is_only_late(&keys) && passed(second.verdict) {
        let third = unit::run(env, case).await;
        let Unit::Done(third) = third else { return Some((second, None)) };
        return Some((second, Some(third).filter(|third| passed(third.verdict))));
    }
    if !is_a_matter_of_time(&shared(&second, &keys)) {
        return Some((second, None));
    }
    let least = look_often(env, case, MORE_LOOKS, &keys).await;
    Some((least.into_iter().fold(second, |second, least| of_less(second, least, &keys)), None))
}

pub(super) fn passed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::NonStrict)
}

/// Whether all of this may come from a line, or a machine, that stood still for a moment: something was late, or two things
/// crossed.
fn is_a_matter_of_time(found: &BTreeSet<Key>) -> bool {
    let by_clock = |id: &RequirementId| [KA_S2, KA_S3, KA_S4, KA_S7, CLO_S3, CON_S3].contains(id);
    let by_kind = |kind: &FindingKind| matches!(kind, FindingKind::Late | FindingKind::NoProgress);
    !found.is_empty() && found.iter().all(|(id, kind)| by_kind(kind) || by_clock(id))
}

/// Whether everything that was found came, and only too late.
pub(super) fn is_only_late(found: &BTreeSet<Key>) -> bool {
    !found.is_empty() && found.iter().all(|(_, kind)| *kind == FindingKind::Late)
}

/// The case so many times, side by side, and of all looks the one that saw the least: a line that stands still now and then
/// may do so in two looks in a row, a server that is late is late in all.
async fn look_often(
    env: &Arc<Env>,
    case: &'static Case,
    times: usize,
    keys: &BTreeSet<Key>,
) -> Option<Box<CaseResult>> {
    let looks = join_all((0..times).map(|_| unit::run(env, case))).await;
    let seen = looks.into_iter().filter_map(|look| match look {
        Unit::Done(result) if result.evidence.is_some() => Some(result),
        _ => None,
    });
    seen.reduce(|least, look| of_less(least, look, keys))
}

/// Of two looks the one that saw less of this; the first where they saw as much.
fn of_less(first: Box<CaseResult>, other: Box<CaseResult>, keys: &BTreeSet<Key>) -> Box<CaseResult> {
    if shared(&other, keys).len() < shared(&first, keys).len() { other } else { first }
}

#[cfg(test)]
mod tests {
    use lastword_spec::requirements::END_S2;

    use super::*;

    const LOST: Key = (END_S2, FindingKind::LostFinal);

    #[test]
    fn what_is_late_or_crosses_a_timer_is_a_matter_of_time_and_a_lost_word_is_not() {
        let late = (END_S2, FindingKind::Late);
        let crossed = (KA_S4, FindingKind::IllegalMessage);
        assert!(is_a_matter_of_time(&BTreeSet::from([late, crossed])));
        assert!(!is_a_matter_of_time(&BTreeSet::from([late, LOST])));
        assert!(!is_a_matter_of_time(&BTreeSet::new()));
    }
}
