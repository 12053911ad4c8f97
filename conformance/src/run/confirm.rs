//! Owns the second look: whatever was found while many cases ran side by side must be found again when one runs alone, or it
//! convicts nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;

use super::env::Env;
use super::result::{CaseResult, Confirmation};
use super::unit::{self, Unit};
use super::{Observer, control};

type Key = (RequirementId, FindingKind);

/// How many cases are run again for one kind of finding before it counts as not repeatable.
const TRIES: usize = 3;

/// Runs failing cases again, alone, until each kind of finding was seen twice or given up.
pub(super) async fn confirm(env: &Arc<Env>, results: &mut [CaseResult], observer: &dyn Observer) {
    let mut confirmed: BTreeMap<Key, String> = BTreeMap::new();
    let mut tries: BTreeMap<Key, usize> = BTreeMap::new();
    let mut again: BTreeSet<usize> = BTreeSet::new();
    let hung =
        |result: &CaseResult| keys(result).into_iter().filter(|(_, kind)| *kind == FindingKind::Unresponsive).collect();
    let hung: BTreeSet<Key> = results.iter().flat_map(|result| -> BTreeSet<Key> { hung(result) }).collect();
    // A subject that answers nothing is confirmed by one more session that it does not answer, with nothing else running.
    if !hung.is_empty() && env.controls.alone().await.is_some_and(|control| !control.answered) {
        confirmed.extend(hung.into_iter().map(|key| (key, control::CONTROL.to_owned())));
    }
    for index in by_aim(results) {
        let keys: BTreeSet<Key> = keys(&results[index]);
        let open = keys.iter().any(|key| !confirmed.contains_key(key) && tries.get(key).copied().unwrap_or(0) < TRIES);
        if !open {
            continue;
        }
        observer.note(&format!("running {} again, alone", results[index].case.id));
        let Unit::Done(second) = unit::run(env, results[index].case).await else { continue };
        again.insert(index);
        let seen = self::keys(&second);
        for key in &keys {
            *tries.entry(*key).or_default() += 1;
            if seen.contains(key) {
                confirmed.entry(*key).or_insert_with(|| results[index].case.id.clone());
            }
        }
        results[index].confirmation = match second.evidence {
            _ if !seen.is_disjoint(&keys) => Confirmation::Alone,
            Some(evidence) => Confirmation::NotRepeated(evidence),
            None => Confirmation::None,
        };
    }
    for (index, result) in results.iter_mut().enumerate() {
        settle(result, &confirmed, again.contains(&index));
    }
}

/// Says of a failing case by which evidence it stands, or that it does not.
fn settle(result: &mut CaseResult, confirmed: &BTreeMap<Key, String>, ran_again: bool) {
    if !result.verdict.is_failure() {
        return;
    }
    if ran_again && matches!(result.confirmation, Confirmation::Alone) {
        return;
    }
    let keys = keys(result);
    if let Some(by) = keys.iter().find_map(|key| confirmed.get(key)) {
        result.confirmation = Confirmation::By(by.clone());
        return;
    }
    result.verdict = Verdict::Inconclusive;
    let found: Vec<String> = keys.iter().map(|(id, kind)| format!("{kind} [{id}]")).collect();
    result.reason =
        Some(format!("not repeatable: {} was found once and not again when the case ran alone", found.join(", ")));
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

fn keys(result: &CaseResult) -> BTreeSet<Key> {
    let grave = result.findings().filter(|finding| crate::verdict::breaks_a_must(finding));
    grave.map(|finding| (finding.requirement, finding.kind)).collect()
}
