//! Owns what a second run, alone, says of a client's failures. Pure: the runner and the verification of a certificate settle by the
//! same function.

use lastword_judge::Finding;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::REC_C5;
use lastword_spec::trace::EventKind;

use crate::run::{CaseResult, Confirmation, Evidence};

/// How many times the audio of the first run a program is given in the second, where it gave up with some of it left.
pub(super) const TIMES_THE_AUDIO: u64 = 2;

/// Says of every case that failed and ran again whether the same was found: what was found once convicts nobody.
pub(crate) fn settle_all(results: &mut [CaseResult]) {
    for result in results.iter_mut().filter(|result| result.verdict.is_failure()) {
        let Some(second) = result.second.clone() else { continue };
        let first: Vec<(RequirementId, FindingKind)> = result.findings().map(key).collect();
        let mut again: Vec<(RequirementId, FindingKind)> = second.findings().map(key).collect();
        // [REC-C5]
        let gave_up = |found: &[(RequirementId, FindingKind)]| found.iter().any(|(id, _)| *id == REC_C5);
        let is_again = gave_up(&again);
        let ran_out = |first: &Evidence| ran_out(first, &second, is_again);
        let may_have_run_out = gave_up(&first) && result.evidence.as_ref().is_some_and(ran_out);
        if may_have_run_out {
            result.unrepeated.extend(first.iter().filter(|(id, _)| *id == REC_C5));
            again.retain(|(id, _)| *id != REC_C5);
        }
        if first.iter().any(|key| again.contains(key)) {
            result.confirmation = Confirmation::Alone;
        } else if may_have_run_out && first.iter().all(|(id, _)| *id == REC_C5) {
            result.confirmation = Confirmation::NotRepeated(second);
            result.reason = Some(RAN_OUT.to_owned());
            result.verdict = Verdict::NotTested;
        } else {
            result.confirmation = Confirmation::NotRepeated(second);
            result.reason = Some("it was not found again when the case ran alone".to_owned());
            result.verdict = Verdict::Inconclusive;
        }
    }
}

const RAN_OUT: &str = "it may have had no audio left when it gave up: with twice as much it did not give up as soon";

fn key(finding: &Finding) -> (RequirementId, FindingKind) {
    (finding.requirement, finding.kind)
}

/// Whether a program may have given up because it had nothing left to send: what it queues for a connection it may drop with it, and
/// nobody sees how much that is. Who had twice the audio then and loses as much of it each time needs all but twice the connections; a
/// budget does not grow with the audio. A driver knows that its input was not over.
fn ran_out(first: &Evidence, second: &Evidence, gave_up_again: bool) -> bool {
    let (Some(given_ms), Some(then_ms)) = (given_ms(first), given_ms(second)) else { return false };
    let (dials, then) = (first.judgement.connections.len(), second.judgement.connections.len());
    let is_later = if gave_up_again { then.saturating_add(1) >= dials.saturating_mul(2) } else { then > dials };
    is_later || then_ms < given_ms.saturating_mul(TIMES_THE_AUDIO)
}

/// How much audio a program was given; `None` where a driver handed it over.
fn given_ms(evidence: &Evidence) -> Option<u64> {
    evidence.trace.events.iter().find_map(|event| match &event.kind {
        EventKind::Started(started) => started.audio_ms,
        _ => None,
    })
}
