//! Owns the further looks at a case: one more run, and as many more as it takes where what was found may come of a line, or a machine,
//! that stood still for a moment. What was seen in them is settled in `confirm`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{CLO_S3, CON_S3, KA_S2, KA_S3, KA_S4, KA_S7};
use tokio::time::Instant;

use super::confirm::{Key, keys_of};
use super::env::Env;
use super::result::{CaseResult, Evidence};
use super::slot::SlotPauses;
use super::unit::{self, Unit};
use crate::case::{Case, Need};

/// So many more looks side by side decide whether what is a matter of time was seen by chance, and as many again, so many
/// times at most and as long as there is time, where all of them saw it: on a line that stands still every few seconds a case meets that more often than not.
const MORE_LOOKS: usize = 4;
const MORE_TIMES: usize = 3;
const TIME_FOR_MORE: Duration = Duration::from_secs(15);
/// So often a case is looked at for two runs that pass.
const LOOKS_AT_LATE: usize = 5;
/// So often a look is tried that decides nothing.
const TRIES: usize = 2;

/// What a second look came to, and a third one, if it was clean.
pub(super) type Looks = (Box<CaseResult>, Option<Box<CaseResult>>);

/// One case once more; `None` where the subject had no room for it. `side_by_side`: what runs beside it changes nothing.
pub(super) async fn again(env: &Arc<Env>, case: &'static Case, first: Evidence, side_by_side: bool) -> Option<Looks> {
    let keys = keys_of(&first);
    if side_by_side && is_a_matter_of_time(&keys) {
        return Some((look_often(env, case, MORE_LOOKS + 1, &first).await?, None));
    }
    let started = Instant::now();
    let mut second = if is_a_matter_of_time(&keys) {
        match clean_twice(&first, || decided(env, case, !side_by_side)).await? {
            Late::Again(look) => look,
            Late::NotAgain(second, third) => return Some((second, third)),
        }
    } else {
        decided(env, case, !side_by_side).await?
    };
    for _ in 0..MORE_TIMES {
        if !is_a_matter_of_time(&seen_in(&second, &first)) {
            break;
        }
        let least = look_often(env, case, MORE_LOOKS, &first).await;
        second = least.into_iter().fold(second, |second, least| of_less(second, least, &first));
        if started.elapsed() >= TIME_FOR_MORE {
            break;
        }
    }
    Some((second, None))
}

/// What further looks come to at a case in which something was a matter of time.
enum Late {
    /// It was seen again.
    Again(Box<CaseResult>),
    /// It was not: up to two looks that passed, or one that found something else.
    NotAgain(Box<CaseResult>, Option<Box<CaseResult>>),
}

/// Looks until the case has passed twice or shows the same again. On a line that stands still now and then something else is late
/// in every few looks, which says nothing of the first.
async fn clean_twice<F>(first: &Evidence, mut look: impl FnMut() -> F) -> Option<Late>
where
    F: Future<Output = Option<Box<CaseResult>>>,
{
    let (mut clean, mut other) = (None, None);
    for _ in 0..LOOKS_AT_LATE {
        let look = look().await?;
        if !seen_in(&look, first).is_empty() {
            return Some(Late::Again(look));
        }
        match (passed(look.verdict), clean.take()) {
            (true, None) => clean = Some(look),
            (true, Some(second)) => return Some(Late::NotAgain(second, Some(look))),
            (false, before) => {
                clean = before;
                other = Some(look);
            }
        }
    }
    Some(Late::NotAgain(clean.or(other)?, None))
}

/// One more run of the case, which is tried again where nothing comes of it; `None` where the subject had no room for it, for which it
/// is at fault only where nothing runs beside it.
async fn decided(env: &Arc<Env>, case: &'static Case, is_alone: bool) -> Option<Box<CaseResult>> {
    let (mut last, mut pauses) = (None, SlotPauses::default());
    for _ in 0..TRIES {
        let look = loop {
            match unit::run(env, case).await {
                Unit::Done(look) => break look,
                Unit::Overloaded if pauses.pause().await => {}
                Unit::Overloaded if is_alone => match unit::run_left_alone(env, case).await {
                    Unit::Done(look) => break look,
                    Unit::Overloaded => return last,
                },
                Unit::Overloaded => return last,
            }
        };
        let is_decided = decides(look.verdict);
        last = Some(look);
        if is_decided {
            break;
        }
    }
    last
}

fn decides(verdict: Verdict) -> bool {
    passed(verdict) || verdict.is_failure()
}

/// What both have found. Lateness counts only on the same connection of the case: a server that is late there is late there each time,
/// a line stands still anywhere.
pub(super) fn in_both(first: &Evidence, second: &Evidence) -> BTreeSet<Key> {
    let late_on = |evidence: &Evidence| -> BTreeSet<(Key, u32)> {
        let late = evidence.findings().filter(|finding| finding.kind == FindingKind::Late);
        late.map(|finding| ((finding.requirement, finding.kind), finding.conn)).collect()
    };
    let late: BTreeSet<Key> = late_on(first).intersection(&late_on(second)).map(|(key, _)| *key).collect();
    let both = shared(&keys_of(first), &keys_of(second));
    both.into_iter().filter(|key| key.1 != FindingKind::Late || late.contains(key)).collect()
}

/// What is in both of these. That something never came is told in two ways: the harness stopped to wait, or the server ended the
/// session before. Which of them it is may depend on how busy everything is.
pub(super) fn shared(one: &BTreeSet<Key>, other: &BTreeSet<Key>) -> BTreeSet<Key> {
    let plain = |(id, kind): &Key| match kind {
        FindingKind::Unanswered => (*id, FindingKind::Stalled),
        kind => (*id, *kind),
    };
    let of = |keys: &BTreeSet<Key>| keys.iter().map(plain).collect::<BTreeSet<Key>>();
    let both: BTreeSet<Key> = of(one).intersection(&of(other)).copied().collect();
    one.union(other).filter(|key| both.contains(&plain(key))).copied().collect()
}

/// What a further look has seen again.
fn seen_in(look: &CaseResult, first: &Evidence) -> BTreeSet<Key> {
    look.evidence.as_ref().map(|evidence| in_both(first, evidence)).unwrap_or_default()
}

pub(super) fn passed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::NonStrict)
}

/// Whether all of this may come from a line, or a machine, that stood still for a moment: something was late, or two things
/// crossed.
pub(super) fn is_a_matter_of_time(found: &BTreeSet<Key>) -> bool {
    let by_clock = |id: &RequirementId| [KA_S2, KA_S3, KA_S4, KA_S7, CLO_S3, CON_S3].contains(id);
    let by_kind = |kind: &FindingKind| matches!(kind, FindingKind::Late | FindingKind::NoProgress);
    !found.is_empty() && found.iter().all(|(id, kind)| by_kind(kind) || by_clock(id))
}

/// The case so many times, side by side unless it has several sessions itself, and of all looks the one that saw the least: a line that stands still now and then
/// may do so in two looks in a row, a server that is late is late in all.
async fn look_often(env: &Arc<Env>, case: &'static Case, times: usize, first: &Evidence) -> Option<Box<CaseResult>> {
    let looks = if case.needs.contains(&Need::Sessions) {
        let mut looks = Vec::new();
        for _ in 0..times {
            looks.push(unit::run(env, case).await);
        }
        looks
    } else {
        join_all((0..times).map(|_| unit::run(env, case))).await
    };
    let seen = looks.into_iter().filter_map(|look| match look {
        // A look that decides nothing acquits nobody.
        Unit::Done(result) if result.evidence.is_some() && decides(result.verdict) => Some(result),
        _ => None,
    });
    seen.reduce(|least, look| of_less(least, look, first))
}

/// Of two looks the one that saw less of this again; the earlier one where they saw as much.
fn of_less(look: Box<CaseResult>, other: Box<CaseResult>, first: &Evidence) -> Box<CaseResult> {
    if seen_in(&other, first).len() < seen_in(&look, first).len() { other } else { look }
}

#[cfg(test)]
mod tests {
    use lastword_spec::requirements::{END_S2, KA_S6, PRG_S1};
    use lastword_spec::trace::{Event, EventKind, Open, Trace};

    use super::*;
    use crate::run::confirm::settle_all;
    use crate::run::confirm::tests::{evidence, failed};

    const LOST: Key = (END_S2, FindingKind::LostFinal);
    const LATE: Key = (KA_S6, FindingKind::Late);
    const SILENT: Key = (PRG_S1, FindingKind::Late);
    const CASE: &str = "server/end/no-audio";

    /// What further looks come to, and how many there were: `P` passed, `L` was late again, `O` found something else, `U` came
    /// to nothing, and there was no room for one that is not named.
    async fn looks(what: &str) -> (String, usize) {
        let (mut left, mut count) = (what.chars(), 0);
        let first = evidence(&[LATE]);
        let seen = clean_twice(&first, || {
            count += 1;
            let look = left.next().map(|what| match what {
                'P' => (what, Verdict::Pass, failed(CASE, &[], None)),
                'L' => (what, Verdict::Fail, failed(CASE, &[LATE], None)),
                'O' => (what, Verdict::Fail, failed(CASE, &[SILENT], None)),
                _ => (what, Verdict::Inconclusive, failed(CASE, &[], None)),
            });
            let named =
                |(what, verdict, look): (char, _, _)| CaseResult { verdict, reason: Some(what.to_string()), ..look };
            std::future::ready(look.map(named).map(Box::new))
        });
        let reason = |look: &CaseResult| look.reason.clone().unwrap_or_default();
        let seen = match seen.await {
            None => "no room".to_owned(),
            Some(Late::Again(look)) => format!("again {}", reason(&look)),
            Some(Late::NotAgain(second, third)) => {
                format!("not again {}{}", reason(&second), third.map(|look| reason(&look)).unwrap_or_default())
            }
        };
        (seen, count)
    }

    #[tokio::test]
    async fn what_was_late_once_is_cleared_by_two_looks_that_pass_whatever_else_comes_between() {
        for (what, seen, count) in [
            ("PP", "not again PP", 2),
            ("OPUP", "not again PP", 4),
            ("POOOP", "not again PP", 5),
            // One that passes is not enough, and five looks are.
            ("POOOO", "not again P", 5),
            ("OOOUO", "not again O", 5),
            ("OOOOOPP", "not again O", 5),
            ("L", "again L", 1),
            ("POL", "again L", 3),
            ("PO", "no room", 3),
            ("", "no room", 1),
        ] {
            assert_eq!(looks(what).await, (seen.to_owned(), count), "{what}");
        }
    }

    #[test]
    fn what_never_came_is_the_same_whoever_stopped_to_wait() {
        let (unanswered, stalled) = ((KA_S6, FindingKind::Unanswered), (KA_S6, FindingKind::Stalled));
        let both = in_both(&evidence(&[unanswered, LOST]), &evidence(&[stalled]));
        assert_eq!(both, BTreeSet::from([unanswered, stalled]));
        assert!(in_both(&evidence(&[unanswered]), &evidence(&[(END_S2, FindingKind::Stalled)])).is_empty());
        assert!(in_both(&evidence(&[unanswered]), &evidence(&[LATE])).is_empty(), "what is late did come");
    }

    #[test]
    fn what_is_late_or_crosses_a_timer_is_a_matter_of_time_and_a_lost_word_is_not() {
        let late = (END_S2, FindingKind::Late);
        let crossed = (KA_S4, FindingKind::IllegalMessage);
        assert!(is_a_matter_of_time(&BTreeSet::from([late, crossed])));
        assert!(!is_a_matter_of_time(&BTreeSet::from([late, LOST])));
        assert!(!is_a_matter_of_time(&BTreeSet::new()));
    }

    #[test]
    fn a_further_run_that_reached_nobody_is_not_said_to_have_found_nothing() {
        let reason = |event: EventKind| {
            let empty = evidence(&[]);
            let mut trace = Trace::clone(&empty.trace);
            trace.events.push(Event::new(0, 0, event));
            let second = Evidence { trace: Arc::new(trace), ..empty };
            let mut results = [CaseResult { second: Some(second), ..failed(CASE, &[LOST], None) }];
            settle_all(&mut results, None);
            assert_eq!(results[0].verdict, Verdict::Inconclusive);
            results[0].reason.clone().unwrap_or_default()
        };
        let nobody = reason(EventKind::ConnectFailed { error: "Connection refused".into() });
        assert!(nobody.ends_with("was found once and the subject no longer answered when the case was to run again"));
        assert!(reason(EventKind::Open(Open::default())).ends_with("and not again when the case ran alone"));
    }
}
