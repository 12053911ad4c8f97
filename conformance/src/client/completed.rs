//! Owns the positive control of a run against a client: whether any session of it came to its end. Where none did, nothing that
//! passed for an end with an error is worth anything. Pure: the runner and the verification of a certificate ask the same function.

use lastword_spec::codec::{Decoded, decode_client, decode_server};
use lastword_spec::finding::Verdict;
use lastword_spec::message::{ClientMessage, ServerMessage};
use lastword_spec::trace::{ClientOutcome, EventKind, Side, Told, ToldWhat, Trace};

use crate::run::CaseResult;

const NEVER: &str = "no session of it ever completed: that it gives up proves nothing";

/// Takes back what a client passed of which no session completed, in the first session (`calibration`) or in any case, although
/// some case had one that could. A program that fails whatever it meets fails rightly now and then.
pub(crate) fn doubt<'a>(results: &mut [CaseResult], calibration: impl IntoIterator<Item = &'a Trace>) {
    let could = |result: &CaseResult| result.case.script.as_ref().is_some_and(|script| script.lets_complete());
    let completes = |result: &CaseResult| {
        result.evidence.iter().chain(&result.second).any(|evidence| has_completed(&evidence.trace))
    };
    let was_tried = results.iter().any(|result| result.evidence.is_some() && could(result));
    if !was_tried || results.iter().any(completes) || calibration.into_iter().any(has_completed) {
        return;
    }
    for result in results.iter_mut().filter(|result| claims(result)) {
        result.verdict = Verdict::Inconclusive;
        result.reason = Some(NEVER.to_owned());
    }
}

/// Whether a requirement is said to be kept for this case: it passed, or it is not tested and showed some of what it covers.
fn claims(result: &CaseResult) -> bool {
    let shows = || {
        let exercised = result.evidence.iter().map(|evidence| &evidence.judgement.exercised);
        exercised.into_iter().any(|exercised| result.case.covers.iter().any(|id| exercised.contains(id)))
    };
    match result.verdict {
        Verdict::Pass | Verdict::NonStrict => true,
        Verdict::NotTested => shows(),
        Verdict::NotApplicable
        | Verdict::Inconclusive
        | Verdict::Fail
        | Verdict::Deadlock
        | Verdict::Livelock
        | Verdict::Hung
        | Verdict::HarnessError => false,
    }
}

/// Whether a client said its end, was told that nothing is missing, and took it so, by itself. On a wire that has no end there is
/// nothing to say and nothing to be told: its session was open, and it sent audio.
fn has_completed(trace: &Trace) -> bool {
    let is_endless =
        trace.header.dialect.as_ref().is_some_and(|spoken| spoken.lacks.iter().any(|one| one == "end_of_stream"));
    let mut is_driven = false;
    let (mut said, mut open, mut answered, mut given_up) = (None, None, false, false);
    for event in &trace.events {
        let conn = event.conn;
        match &event.kind {
            EventKind::Started(started) => {
                is_driven = started.driven;
                (said, open, answered, given_up) = (None, None, false, false);
            }
            EventKind::Text { from: Side::Client, text } => {
                let message = decode_client(text, u64::MAX);
                if matches!(message, Ok(Decoded::Message(ClientMessage::EndOfStream))) {
                    said = Some(conn);
                }
            }
            EventKind::Text { from: Side::Server, text } => {
                answered |= match decode_server(text, u64::MAX) {
                    Ok(Decoded::Message(ServerMessage::SessionEnded(ended))) => said == Some(conn) && ended.complete,
                    Ok(Decoded::Message(ServerMessage::Ready(_))) => {
                        open = Some(conn);
                        false
                    }
                    _ => false,
                };
            }
            EventKind::Audio { from: Side::Client, bytes, .. } => {
                answered |= is_endless && open == Some(conn) && *bytes > 0;
            }
            EventKind::GaveUp { .. } => given_up = true,
            EventKind::Told(Told { what: ToldWhat::Ended, outcome: Some(ClientOutcome::Complete), .. })
                if answered && !given_up =>
            {
                return true;
            }
            // A driver lives longer than its sessions, and its exit says nothing of them.
            EventKind::Exited(exited) if answered && !given_up && !is_driven && exited.code == Some(0) => return true,
            _ => {}
        }
    }
    false
}
