//! Owns the second look: whatever was found while many cases ran side by side must be found again when one runs alone, or it
//! convicts nobody. The looking is I/O; what was seen by it is settled by a pure function of the evidence, [`settle_all`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::future::join_all;
use lastword_judge::{Conclusion, Suspicion};
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{PRG_S1, SEC_S3};
use lastword_spec::table::State;

use super::control::Control;
use super::env::Env;
use super::look::{self, is_a_matter_of_time, passed};
use super::result::{CaseResult, Confirmation, Evidence};
use super::{Observer, company, control, fall};
use crate::verdict::{self, Circumstances};

/// What was found: by which clause, and of which kind.
pub(super) type Key = (RequirementId, FindingKind);

/// How many cases are run again for one kind of finding before it counts as not repeatable.
const TRIES: usize = 3;
/// So many cases are looked at twice more because of something that is a matter of time, and nothing else was found.
const CLEARED_AT_MOST: usize = 10;
/// So many times more cases than at first are looked at side by side where that changes nothing: they mostly wait.
const LANES: usize = 2;

/// Runs failing cases again, alone, or at most `jobs` side by side where a plain session fails even alone, until each kind of
/// finding was seen twice or given up, and settles every verdict. Gives back the session that was held alone to see whether the
/// subject serves at all, if there was one.
pub(super) async fn confirm(
    env: &Arc<Env>,
    results: &mut [CaseResult],
    jobs: usize,
    observer: &dyn Observer,
) -> Option<Evidence> {
    // A subject that answers nothing is confirmed by one more session that it does not answer, with nothing else running.
    let hung = results.iter().any(|result| keys(result).iter().any(is_gone_for_good));
    let fails = results.iter().any(|result| !keys(result).is_empty());
    let lost = fails && env.controls.last().is_some_and(|control| !control.ok);
    let mut control = if hung || lost { env.controls.alone().await } else { None };
    // A line that stands still for a moment also cuts a session that is alone.
    if env.controls.broken().is_none() && control.as_ref().is_some_and(Control::was_cut_short) {
        control = env.controls.alone().await;
    }
    // Where not even the plainest session completes with nothing else running, nothing that is found comes of what runs beside it.
    let side_by_side = control.as_ref().is_some_and(|control| !control.ok && !control.overloaded) && !env.is_serial();
    let lanes = if side_by_side { jobs * LANES } else { 1 };
    let alone = control.map(|control| control.evidence());
    let mut confirmed: BTreeSet<Key> = proved(results).into_keys().collect();
    if alone.as_ref().is_some_and(|evidence| !control::is_answered(evidence)) {
        confirmed.extend(results.iter().flat_map(keys).filter(is_gone_for_good));
    }
    let mut tries: BTreeMap<Key, usize> = BTreeMap::new();
    let mut waiting: VecDeque<usize> = by_aim(results).into();
    fall::likeliest_first(&mut waiting, results, alone.as_ref());
    loop {
        let chosen = choose(results, &mut waiting, &confirmed, &tries, lanes);
        // Who has stopped to answer shows nothing again.
        if chosen.is_empty() || env.controls.is_dead() {
            break;
        }
        let names: Vec<&str> = chosen.iter().map(|index| results[*index].case.id.as_str()).collect();
        let how = if lanes > 1 { "side by side" } else { "alone" };
        observer.note(&format!("running {} again, {how}", names.join(", ")));
        // Where something was found there is evidence.
        let looks = chosen.iter().filter_map(|index| {
            let first = results[*index].evidence.clone()?;
            Some(look::again(env, results[*index].case, first, side_by_side))
        });
        for (index, look) in chosen.iter().zip(join_all(looks).await) {
            let Some((second, third)) = look else { continue };
            let keys = keys(&results[*index]);
            for key in &keys {
                *tries.entry(*key).or_default() += 1;
            }
            if let (Some(first), Some(second)) = (&results[*index].evidence, &second.evidence) {
                confirmed.extend(look::in_both(first, second));
            }
            results[*index].second = second.evidence;
            results[*index].third = third.and_then(|third| third.evidence);
        }
    }
    // Where a plain session fails even alone, what was looked at again has had company.
    if !side_by_side {
        company::look(env, results, by_aim(results), &mut confirmed, observer).await;
    }
    settle_all(results, alone.as_ref());
    alone
}

/// The next cases to be looked at again, at most so many, and no two for the same kinds of findings. A case that need not be looked at
/// now, for another one shows the same, stays in line; one is never chosen twice.
fn choose(
    results: &[CaseResult],
    waiting: &mut VecDeque<usize>,
    confirmed: &BTreeSet<Key>,
    tries: &BTreeMap<Key, usize>,
    lanes: usize,
) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    let mut later = VecDeque::new();
    while let Some(index) = waiting.pop_front() {
        let keys = keys(&results[index]);
        // What is a matter of time is looked at in each case for itself: it may be cleared.
        let at_most = if is_a_matter_of_time(&keys) { CLEARED_AT_MOST } else { TRIES };
        let is_open = |key: &&Key| !confirmed.contains(*key) && tries.get(*key).copied().unwrap_or(0) < at_most;
        let open: BTreeSet<Key> = keys.iter().filter(is_open).copied().collect();
        if open.is_empty() {
            continue;
        }
        if chosen.len() < lanes && !open.is_subset(&seen) {
            seen.extend(open);
            chosen.push(index);
        } else {
            later.push_back(index);
        }
    }
    *waiting = later;
    chosen
}

/// Says of every failing case by which evidence it stands, or that it does not: what the first runs found, in `results`, against
/// what the second ones found, in [`CaseResult::second`], and against a session that was held alone.
pub(crate) fn settle_all(results: &mut [CaseResult], alone: Option<&Evidence>) {
    let mut confirmed: BTreeMap<Key, String> = proved(results);
    let fallen = fall::fallen(results, alone);
    let is_gone = alone.is_some_and(|evidence| !control::is_answered(evidence));
    let broke_it = if is_gone { what_broke_it(results) } else { None };
    if is_gone {
        let hung = results.iter().flat_map(keys).filter(is_gone_for_good);
        let guilty = hung.filter(|key| broke_it.as_ref().is_none_or(|(broke_it, _)| key == broke_it));
        confirmed.extend(guilty.map(|key| (key, control::CONTROL.to_owned())));
    }
    for index in by_aim(results) {
        let result = &mut results[index];
        let (Some(first), Some(second)) = (&result.evidence, result.looked_again()) else { continue };
        let seen = look::in_both(first, second);
        let in_company = company::is_in_company(&second.trace);
        result.confirmation = match (seen.is_empty(), in_company) {
            (true, _) => Confirmation::NotRepeated(second.clone()),
            (false, false) => Confirmation::Alone,
            (false, true) => Confirmation::Company,
        };
        for key in seen {
            let beside = if in_company { company::BESIDE } else { "" };
            confirmed.entry(key).or_insert_with(|| format!("{}{beside}", result.case.id));
        }
    }
    for (place, result) in results.iter_mut().enumerate() {
        settle(result, &confirmed);
        if let Some(fallen) = fallen.as_ref().filter(|_| result.verdict == Verdict::Inconclusive) {
            result.reason = fallen.why_open(place).or(result.reason.take());
        }
        if let Some((_, case)) = broke_it.as_ref().filter(|_| result.verdict == Verdict::Inconclusive) {
            let found = matches!(result.confirmation, Confirmation::None) && !keys(result).is_empty();
            let why = || format!("the subject answers nothing any more: {case} shows what broke it");
            result.reason = if found { Some(why()) } else { result.reason.take() };
        }
    }
}

/// The one message that took the whole subject with it, and the case that sent it: what others met then is a consequence. A message
/// that is made to break a parser is the likelier cause than any other.
fn what_broke_it(results: &[CaseResult]) -> Option<(Key, String)> {
    let hostile = |key: &Key| key.0 == SEC_S3 && is_gone_for_good(key);
    results.iter().find_map(|result| Some((keys(result).into_iter().find(hostile)?, result.case.id.clone())))
}

/// What release probes have shown, each with the case that shows it. Five repetitions on fresh connections against a control are
/// more than a second run of the case; what waits for the same thing in the same state is the same hang.
fn proved(results: &[CaseResult]) -> BTreeMap<Key, String> {
    let suspicions = |result: &CaseResult| {
        let evidence = result.evidence.as_ref();
        evidence.map(|evidence| evidence.judgement.suspicions.clone()).unwrap_or_default()
    };
    let mut shown: BTreeMap<(State, String), String> = BTreeMap::new();
    let mut proved: BTreeMap<Key, String> = BTreeMap::new();
    for result in results {
        for suspicion in suspicions(result).iter().filter(|suspicion| suspicion.conclusion.is_proved()) {
            shown.entry((suspicion.state, suspicion.what.clone())).or_insert_with(|| result.case.id.clone());
            let kinds = [FindingKind::UnboundedWait, FindingKind::MaskedByTimer, FindingKind::Stuck];
            for kind in kinds {
                proved.entry((suspicion.requirement, kind)).or_insert_with(|| result.case.id.clone());
            }
        }
    }
    proved.extend(run_in_place(results));
    let silent = |result: &&CaseResult| {
        let too_silent = |one: &Suspicion| matches!(one.conclusion, Conclusion::Slow { too_silent: true, .. });
        suspicions(result).iter().any(too_silent)
    };
    if let Some(result) = results.iter().find(silent) {
        proved.entry((PRG_S1, FindingKind::Late)).or_insert_with(|| result.case.id.clone());
    }
    for suspicion in results.iter().flat_map(suspicions) {
        if let Some(case) = shown.get(&(suspicion.state, suspicion.what.clone())) {
            proved.entry((suspicion.requirement, FindingKind::Stalled)).or_insert_with(|| case.clone());
        }
    }
    proved
}

/// Nothing moved for this long, in each of two cases: no moment's standstill of a line or a machine.
const IN_PLACE_US: u64 = 10_000_000;

/// Livelocks that two cases have watched for long, which is a second look already.
fn run_in_place(results: &[CaseResult]) -> BTreeMap<Key, String> {
    let mut seen: BTreeMap<Key, (usize, String)> = BTreeMap::new();
    for result in results {
        let Some(evidence) = &result.evidence else { continue };
        let suspicions = &evidence.judgement.suspicions;
        let in_place = evidence.findings().filter(|finding| finding.kind == FindingKind::NoProgress);
        let long = in_place.filter(|finding| {
            let about = suspicions.iter().find(|suspicion| suspicion.conn == finding.conn);
            about.is_some_and(|suspicion| finding.t_us.saturating_sub(suspicion.since_us) >= IN_PLACE_US)
        });
        for key in long.map(|finding| (finding.requirement, finding.kind)).collect::<BTreeSet<Key>>() {
            seen.entry(key).or_insert_with(|| (0, result.case.id.clone())).0 += 1;
        }
    }
    seen.into_iter().filter(|(_, (cases, _))| *cases >= 2).map(|(key, (_, case))| (key, case)).collect()
}

/// Says of a case by which evidence it stands, or that it does not.
fn settle(result: &mut CaseResult, confirmed: &BTreeMap<Key, String>) {
    if !result.verdict.is_failure() {
        return;
    }
    let keys = keys(result);
    if keys.iter().any(|key| confirmed.contains_key(key)) {
        drop_unrepeated(result, keys.iter().filter(|key| !confirmed.contains_key(*key)).copied().collect());
    }
    if result.confirmation.is_again() {
        return;
    }
    if let Some(by) = keys.iter().find_map(|key| confirmed.get(key)) {
        let itself = *by == result.case.id && keys.iter().any(is_by_probes);
        result.confirmation = if itself { Confirmation::Probes } else { Confirmation::By(by.clone()) };
        return;
    }
    if let Some((verdict, second)) = cleared(result, &keys) {
        let first = result.evidence.replace(second);
        result.confirmation = first.map_or(Confirmation::None, Confirmation::Cleared);
        result.verdict = verdict;
        return;
    }
    result.verdict = Verdict::Inconclusive;
    result.reason = Some(format!("not repeatable: {} was found once and {}", named(&keys), result.why_not_again()));
}

/// A case that fails fails by what was seen again; what else was found in it once is told, and convicts nobody.
fn drop_unrepeated(result: &mut CaseResult, unrepeated: BTreeSet<Key>) {
    if unrepeated.is_empty() {
        return;
    }
    result.reason = Some(format!("beside it {} was found once and not again", named(&unrepeated)));
    result.unrepeated = unrepeated;
    result.verdict = verdict::worst(result.findings()).unwrap_or(result.verdict);
}

fn named(keys: &BTreeSet<Key>) -> String {
    keys.iter().map(|(id, kind)| format!("{kind} [{id}]")).collect::<Vec<_>>().join(", ")
}

/// What a case comes to in which nothing was found but a matter of time, if it passed in each of two further runs, and what happened
/// in the first of them.
fn cleared(result: &CaseResult, keys: &BTreeSet<Key>) -> Option<(Verdict, Evidence)> {
    let (second, third) = (result.second.as_ref()?, result.third.as_ref()?);
    let of = |look: &Evidence| verdict::of_case(result.case, &look.judgement, &Circumstances::default()).0;
    let verdicts = [of(second), of(third)];
    let weaker = if verdicts.contains(&Verdict::NonStrict) { Verdict::NonStrict } else { Verdict::Pass };
    (is_a_matter_of_time(keys) && verdicts.into_iter().all(passed)).then(|| (weaker, second.clone()))
}

/// The findings that stand, each with the case that shows it.
pub(crate) fn confirmed(results: &[CaseResult]) -> BTreeMap<Key, String> {
    let stands = |result: &&CaseResult| result.confirmation.is_again();
    let of = |result: &CaseResult| {
        let looks = result.evidence.as_ref().zip(result.second.as_ref());
        let both = looks.map(|(first, second)| look::in_both(first, second)).unwrap_or_default();
        let case = result.case.id.clone();
        both.into_iter().map(move |key| (key, case.clone()))
    };
    let again: BTreeMap<Key, String> = results.iter().filter(stands).flat_map(of).collect();
    let by_control =
        |result: &&CaseResult| matches!(&result.confirmation, Confirmation::By(by) if by == control::CONTROL);
    let gone = results.iter().filter(by_control).flat_map(keys).filter(is_gone_for_good);
    let gone = gone.map(|key| (key, control::CONTROL.to_owned()));
    gone.chain(proved(results)).chain(again).collect()
}

/// The failing cases: those first that are about what was found in them.
fn by_aim(results: &[CaseResult]) -> Vec<usize> {
    let mut failing: Vec<usize> = (0..results.len()).filter(|index| results[*index].verdict.is_failure()).collect();
    failing.sort_by_key(|index| {
        let result = &results[*index];
        let aimed = keys(result).iter().any(|(id, _)| result.case.covers.contains(id));
        (!aimed, *index)
    });
    failing
}

fn is_by_probes((_, kind): &Key) -> bool {
    matches!(kind, FindingKind::UnboundedWait | FindingKind::MaskedByTimer | FindingKind::Stuck)
}

/// What a session that is held alone and not answered shows again.
fn is_gone_for_good((_, kind): &Key) -> bool {
    matches!(kind, FindingKind::Unresponsive | FindingKind::Crash)
}

pub(super) fn keys(result: &CaseResult) -> BTreeSet<Key> {
    result.evidence.as_ref().map(keys_of).unwrap_or_default()
}

pub(super) fn keys_of(evidence: &Evidence) -> BTreeSet<Key> {
    let grave = evidence.findings().filter(|finding| verdict::breaks_a_must(finding));
    grave.map(|finding| (finding.requirement, finding.kind)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use lastword_judge::{Connection, Finding, Judgement};
    use lastword_spec::finding::Culprit;
    use lastword_spec::requirements::{END_S2, END_S9};
    use lastword_spec::table::Side;
    use lastword_spec::trace::{Header, Trace};

    use super::*;
    use crate::case::catalogue;
    use crate::run::result::skipped;

    pub(in crate::run) fn evidence(found: &[Key]) -> Evidence {
        let finding = |(requirement, kind): &Key| Finding {
            kind: *kind,
            culprit: Culprit::Server,
            requirement: *requirement,
            message: String::new(),
            conn: 0,
            state: State::Draining,
            frames: Vec::new(),
            t_us: 0,
        };
        let judgement = Judgement { findings: found.iter().map(finding).collect(), ..Judgement::default() };
        let trace = Trace { header: Header::new(Side::Server), events: Vec::new() };
        Evidence { trace: Arc::new(trace), judgement: Arc::new(judgement) }
    }

    pub(in crate::run) fn failed(case: &str, first: &[Key], second: Option<&[Key]>) -> CaseResult {
        let case = catalogue().iter().find(|one| one.id == case).expect("a case");
        CaseResult { evidence: Some(evidence(first)), second: second.map(evidence), ..skipped(case, Verdict::Fail, "") }
    }

    fn covered(case: &str) -> BTreeSet<RequirementId> {
        let case = catalogue().iter().find(|one| one.id == case).expect("a case");
        case.covers.iter().copied().collect()
    }

    #[test]
    fn what_was_late_once_and_clean_twice_is_cleared_and_nothing_else_is() {
        const LATE: Key = (END_S2, FindingKind::Late);
        let looked = |first: &[Key], second: &[Key], third: &[Key]| {
            let clean = |found: &[Key]| {
                let evidence = evidence(found);
                let judgement =
                    Judgement { exercised: covered("server/end/plain"), ..Judgement::clone(&evidence.judgement) };
                Evidence { judgement: Arc::new(judgement), ..evidence }
            };
            let mut results = [CaseResult {
                second: Some(clean(second)),
                third: Some(clean(third)),
                ..failed("server/end/plain", first, None)
            }];
            settle_all(&mut results, None);
            let [result] = results;
            (result.verdict, result.first().map(|first| keys_of(first).len()), result.findings().count())
        };
        assert_eq!(looked(&[LATE], &[], &[]), (Verdict::Pass, Some(1), 0));
        assert_eq!(looked(&[LATE], &[], &[LATE]).0, Verdict::Inconclusive, "two of three");
        assert_eq!(looked(&[LATE, LOST], &[], &[]).0, Verdict::Inconclusive, "a lost word is no matter of time");
        assert_eq!(looked(&[LATE], &[LATE], &[]).0, Verdict::Fail);
    }

    #[test]
    fn what_was_late_on_another_connection_of_the_case_is_not_the_same_again() {
        let on = |conn: u32, found: &[Key]| {
            let evidence = evidence(found);
            let mut judgement = Judgement::clone(&evidence.judgement);
            judgement.findings.iter_mut().for_each(|finding| finding.conn = conn);
            Evidence { judgement: Arc::new(judgement), ..evidence }
        };
        let late = [(END_S2, FindingKind::Late)];
        assert_eq!(look::in_both(&on(0, &late), &on(0, &late)).len(), 1);
        assert!(look::in_both(&on(0, &late), &on(1, &late)).is_empty());
        assert_eq!(look::in_both(&on(0, &[LOST]), &on(1, &[LOST])).len(), 1, "a lost word is lost anywhere");
    }

    const LOST: Key = (END_S2, FindingKind::LostFinal);
    const WRONG: Key = (END_S9, FindingKind::WrongValue);
    const MUTE: Key = (END_S2, FindingKind::Unresponsive);

    #[test]
    fn a_failure_stands_by_its_own_second_run_or_by_that_of_another_case_and_else_convicts_nobody() {
        let mut results = [
            failed("server/end/plain", &[LOST], Some(&[LOST])),
            failed("server/end/no-audio", &[LOST], None),
            failed("server/end/second-sentinel", &[WRONG], Some(&[])),
        ];
        settle_all(&mut results, None);
        assert!(matches!(results[0].confirmation, Confirmation::Alone));
        assert!(matches!(&results[1].confirmation, Confirmation::By(case) if case == "server/end/plain"));
        assert!(matches!(results[2].confirmation, Confirmation::NotRepeated(_)));
        let verdicts = results.each_ref().map(|result| result.verdict);
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Fail, Verdict::Inconclusive]);
    }

    #[test]
    fn what_was_not_found_again_beside_what_was_convicts_nobody() {
        const HANG: Key = (END_S2, FindingKind::Stalled);
        let mut results = [
            failed("server/end/plain", &[LOST], Some(&[LOST])),
            failed("server/end/no-audio", &[LOST, HANG], None),
            failed("server/end/second-sentinel", &[LOST, WRONG], Some(&[LOST])),
        ];
        settle_all(&mut results, None);
        for result in &results {
            assert!(result.findings().all(|finding| finding.kind == FindingKind::LostFinal), "{}", result.case.id);
            assert_eq!(result.verdict, LOST.1.verdict(), "{}", result.case.id);
        }
        let told = results.each_ref().map(|result| result.reason.as_deref().unwrap_or_default().contains("found once"));
        assert_eq!(told, [false, true, true]);
    }

    #[test]
    fn a_hang_that_needs_company_stands_by_copies_that_ran_side_by_side() {
        const HANG: Key = (END_S2, FindingKind::Stalled);
        let mut results =
            [failed("server/end/plain", &[HANG], Some(&[HANG])), failed("server/end/no-audio", &[HANG], Some(&[]))];
        results[0].second = results[0].second.as_ref().map(company::marked);
        settle_all(&mut results, None);
        assert!(matches!(results[0].confirmation, Confirmation::Company));
        assert!(
            matches!(&results[1].confirmation, Confirmation::By(case) if case.starts_with("server/end/plain beside"))
        );
        assert_eq!(results.each_ref().map(|result| result.verdict), [Verdict::Fail, Verdict::Fail]);
    }

    #[test]
    fn a_subject_that_answers_nothing_is_confirmed_by_a_session_alone_that_it_does_not_answer() {
        let silent = evidence(&[]);
        let mut judgement = Judgement::default();
        let ready = Connection { ready_us: Some(5), ..connection() };
        judgement.connections.push(ready);
        let answered = Evidence { judgement: Arc::new(judgement), ..evidence(&[]) };
        for (alone, verdict) in
            [(Some(&silent), Verdict::Fail), (Some(&answered), Verdict::Inconclusive), (None, Verdict::Inconclusive)]
        {
            let mut results = [failed("server/end/plain", &[MUTE], None)];
            settle_all(&mut results, alone);
            assert_eq!(results[0].verdict, verdict);
        }
    }

    fn connection() -> Connection {
        Connection {
            conn: 0,
            label: None,
            speech: None,
            state: State::Closed,
            refused: None,
            finals: Vec::new(),
            transcript: String::new(),
            partials: 0,
            errors: Vec::new(),
            audio_sent_ms: 0,
            session_ended: None,
            close: None,
            opened_us: None,
            ready_us: None,
            sentinel_us: None,
            first_partial_us: None,
            last_final_us: None,
            session_ended_us: None,
            closed_us: None,
        }
    }
}
