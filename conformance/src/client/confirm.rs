//! Owns what further runs, alone, say of a client's failures. Pure: the runner and the verification of a certificate settle by the
//! same function.

use lastword_judge::Finding;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{END_C1, KA_C2, REC_C5, STA_C1};
use lastword_spec::trace::EventKind;

use crate::run::{CaseResult, Confirmation, Evidence};
use crate::verdict::{self, Circumstances};

/// How many times the audio of the first run a program is given in the second, where it gave up with some of it left.
pub(super) const TIMES_THE_AUDIO: u64 = 2;

/// Says of every case that failed and ran again whether the same was found: what was found once convicts nobody.
pub(crate) fn settle_all(results: &mut [CaseResult]) {
    for result in results.iter_mut().filter(|result| result.verdict.is_failure()) {
        prefer_the_later_end(result);
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
        if first.iter().any(|key| again.iter().any(|other| same_fault(key) == same_fault(other))) {
            result.confirmation = Confirmation::Alone;
        } else if let Some((verdict, reason)) = cleared(result) {
            result.confirmation = result.evidence.replace(second).map_or(Confirmation::None, Confirmation::Cleared);
            (result.verdict, result.reason) = (verdict, reason);
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

/// What a case comes to in which something was late and nothing else was found, if nothing was found in either of two further runs.
fn cleared(result: &CaseResult) -> Option<(Verdict, Option<String>)> {
    let (second, third) = (result.second.as_ref()?, result.third.as_ref()?);
    let is_about_time = is_a_matter_of_time(result.findings().map(key));
    let of = |look: &Evidence| verdict::of_case(result.case, &look.judgement, &Circumstances::default());
    let looks = [of(second), of(third)];
    let clears = is_about_time && looks.iter().all(|(verdict, _)| is_clean(*verdict));
    let says_less = |(verdict, _): &(Verdict, _)| (*verdict != Verdict::NotTested, *verdict != Verdict::NonStrict);
    looks.into_iter().min_by_key(says_less).filter(|_| clears)
}

/// Whether nothing was found, although a condition that no client need bring about may never have arisen.
pub(super) fn is_clean(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::NonStrict | Verdict::NotTested)
}

/// Whether all of this may come from a line, or a machine, that stood still for a moment.
pub(super) fn is_a_matter_of_time(found: impl IntoIterator<Item = (RequirementId, FindingKind)>) -> bool {
    let mut found = found.into_iter().peekable();
    found.peek().is_some() && found.all(|(id, kind)| kind == FindingKind::Late || id == KA_C2)
}

/// Whether an input ended before `ready` or behind it may be a race, and decides only which clause a sentinel that does not come breaks.
fn same_fault((requirement, kind): &(RequirementId, FindingKind)) -> (RequirementId, FindingKind) {
    (if *requirement == STA_C1 { END_C1 } else { *requirement }, *kind)
}

/// A client that owes its sentinel in both is one that never says its end, whenever that is: of the two runs the one counts in which
/// the input ended behind `ready`.
fn prefer_the_later_end(result: &mut CaseResult) {
    let Some(second) = result.second.take() else { return };
    let has = |evidence: &Evidence, id: RequirementId| evidence.findings().any(|finding| finding.requirement == id);
    let is_later = |first: &Evidence| has(first, STA_C1) && has(&second, END_C1) && !has(first, END_C1);
    if result.evidence.as_ref().is_some_and(is_later) {
        result.verdict = verdict::worst(second.findings()).unwrap_or(result.verdict);
        result.second = result.evidence.replace(second);
    } else {
        result.second = Some(second);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lastword_spec::trace;

    use super::*;
    use crate::client::catalogue;
    use crate::run::skipped;

    const READY: &str = concat!(
        r#"{\"type\":\"ready\",\"session_id\":\"s\",\"protocol\":\"lastword.v1\",\"config\":{\"audio\":{\"encoding\":"#,
        r#"\"pcm_s16le\",\"sample_rate_hz\":16000,\"channels\":1},\"interim_results\":true,\"words\":false,"#,
        r#"\"vad_events\":false,\"endpointing\":{\"mode\":\"vad\",\"silence_ms\":500,\"max_segment_ms\":30000}},"#,
        r#"\"limits\":{\"idle_timeout_ms\":30000,\"keepalive_interval_ms\":10000,\"ready_ms\":10000,"#,
        r#"\"flush_ms\":5000,\"drain_ms\":15000,\"close_ms\":2000,\"progress_interval_ms\":2000,"#,
        r#"\"max_step_ms\":30000,\"max_frame_bytes\":64000,\"max_text_bytes\":65536,\"max_session_ms\":3600000,"#,
        r#"\"max_buffered_audio_ms\":30000},\"capabilities\":{},\"ignored\":[]}"#
    );

    /// A client that owes its sentinel for an input that was over at this time; `ready` comes after 1 ms.
    fn never_ends(input_ended_us: u64) -> Evidence {
        let mut lines = [
            (0, r#""started":{"driven":true}"#.to_owned()),
            (100, r#""open":{"offered":["lastword.v1"],"selected":"lastword.v1"}"#.to_owned()),
            (200, r#""from":"client","text":"{\"type\":\"config\"}""#.to_owned()),
            (1_000, format!(r#""from":"server","text":"{READY}""#)),
            (1_500, r#""from":"client","audio":{"bytes":3200,"head":"00000000"}"#.to_owned()),
            (input_ended_us, r#""input_ended":{"known_by":"driver","audio_ms":100}"#.to_owned()),
            (6_000_000, r#""gave_up":{"after_ms":5998}"#.to_owned()),
        ];
        lines.sort_by_key(|(us, _)| *us);
        let lines: Vec<String> =
            lines.iter().map(|(us, rest)| format!("{{\"t_us\":{us},\"conn\":0,{rest}}}\n")).collect();
        let text = format!("{}\n{}", r#"{"lastword_trace":1,"subject":"client"}"#, lines.concat());
        let trace = trace::read(&text).expect("a trace");
        let judgement = lastword_judge::judge(&trace, &lastword_judge::Options::default());
        Evidence { trace: Arc::new(trace), judgement: Arc::new(judgement) }
    }

    #[test]
    fn a_sentinel_that_never_comes_is_the_same_fault_whether_or_not_its_input_ended_before_ready() {
        let (early, late) = (never_ends(500), never_ends(2_000));
        for (first, second) in [(&early, &late), (&late, &early)] {
            let mut result = skipped(&catalogue()[0], Verdict::Deadlock, "");
            (result.evidence, result.second) = (Some(first.clone()), Some(second.clone()));
            let mut results = [result];
            settle_all(&mut results);
            let found: Vec<String> = results[0].findings().map(|one| one.requirement.to_string()).collect();
            assert_eq!(found, ["END-C1"]);
            assert!(matches!(results[0].confirmation, Confirmation::Alone));
            assert!(results[0].verdict.is_failure());
        }
    }
}
