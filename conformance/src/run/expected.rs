//! Owns the comparison with `--expect`: a subject that is said to hear certain words, and does not deliver them, lost a final.
//! The judge cannot know this, for it is not in the trace. Pure.

use lastword_judge::{Judgement, judge as judge_trace};
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::requirements::END_S2;
use lastword_spec::trace::Trace;

use super::knowledge::Knowledge;
use crate::case::{Case, Need};
use crate::wer;

/// What the judge says of the trace, and what the expected words add to it.
pub(crate) fn judge(knowledge: &Knowledge, case: &Case, trace: &Trace) -> Judgement {
    let mut judgement = judge_trace(trace, &knowledge.options());
    if !case.needs.contains(&Need::Expect) {
        return judgement;
    }
    let mut lost = Vec::new();
    for one in &judgement.connections {
        let Some(expected) = one.speech.as_deref().and_then(|name| knowledge.expected.get(name)) else { continue };
        if one.session_ended.as_ref().is_some_and(|ended| ended.complete)
            && wer::words(&expected.text) != wer::words(&one.transcript)
        {
            lost.push(lastword_judge::Finding {
                kind: FindingKind::LostFinal,
                culprit: Culprit::Server,
                requirement: END_S2,
                message: format!(
                    "gave {:?} for {}, where {:?} was expected",
                    one.transcript, expected.recording, expected.text
                ),
                conn: one.conn,
                state: one.state,
                frames: Vec::new(),
                t_us: one.session_ended_us.unwrap_or(0),
            });
        }
    }
    judgement.findings.extend(lost);
    judgement
}
