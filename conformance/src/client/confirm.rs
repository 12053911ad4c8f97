//! Owns what a second run, alone, says of a client's failures. Pure: the runner and the verification of a certificate settle by the
//! same function.

use lastword_judge::Finding;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;

use crate::run::{CaseResult, Confirmation};

/// Says of every case that failed and ran again whether the same was found: what was found once convicts nobody.
pub(crate) fn settle_all(results: &mut [CaseResult]) {
    for result in results.iter_mut().filter(|result| result.verdict.is_failure()) {
        let Some(second) = result.second.clone() else { continue };
        let again: Vec<(RequirementId, FindingKind)> = second.findings().map(key).collect();
        if result.findings().map(key).any(|key| again.contains(&key)) {
            result.confirmation = Confirmation::Alone;
        } else {
            result.confirmation = Confirmation::NotRepeated(second);
            result.reason = Some("it was not found again when the case ran alone".to_owned());
            result.verdict = Verdict::Inconclusive;
        }
    }
}

fn key(finding: &Finding) -> (RequirementId, FindingKind) {
    (finding.requirement, finding.kind)
}
