//! Owns the judgement of a trace that stands alone: its verdict, its findings, what was still owed when it ended, and
//! whether that is what its header expects. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lastword_judge::{Judgement, Monitor, Obligation, Options};
use lastword_spec::finding::{Culprit, Verdict};
use lastword_spec::table::Side;
use lastword_spec::trace::{ControlOutcome, EventKind, Trace};
use serde::{Deserialize, Serialize};

use crate::case::catalogue;
use crate::exit;
use crate::redact::{HIDDEN, Redactor};
use crate::report::{FindingReport, SuspicionReport, finding_report, probes, suspicion_report};
use crate::verdict::{self, Circumstances};

/// The version of the JSON form of a replay, the value of `lastword_replay`.
pub const REPLAY_VERSION: u32 = 1;

/// What a trace comes to when it is judged again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Where the trace came from: a file, or what was played.
    pub name: String,
    /// Who is under test, `server` or `client`.
    pub subject: String,
    /// The case that the trace is of.
    pub case: Option<String>,
    /// The remark in its header.
    pub note: Option<String>,
    /// How many events it has.
    pub events: usize,
    /// The numbers of its connections.
    pub connections: Vec<u32>,
    /// The moment of its last event, in microseconds.
    pub length_us: u64,
    /// PASS, NON_STRICT, NOT_TESTED, FAIL, DEADLOCK, LIVELOCK, HUNG, INCONCLUSIVE or HARNESS_ERROR.
    pub verdict: String,
    /// Why, where the findings do not say it.
    pub reason: Option<String>,
    /// What was found, against either side.
    pub findings: Vec<FindingReport>,
    /// Where the server owed something for too long, or suspiciously long: the evidence, and what it comes to.
    #[serde(default)]
    pub suspicions: Vec<SuspicionReport>,
    /// The requirements whose stimulus and response were both seen.
    pub exercised: Vec<String>,
    /// Suspicions that the trace does not decide, by requirement.
    pub undecided: BTreeMap<String, String>,
    /// What either side still owed when the trace ended.
    pub open: Vec<OpenDebt>,
    /// How this compares with what the header expects; absent where it expects nothing.
    pub expectation: Option<Expectation>,
    /// 0, 1, 3 or 70, as the command gives it for this trace alone.
    pub exit_code: u8,
}

/// Something that was still owed when a trace ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDebt {
    /// The connection.
    pub conn: u32,
    /// Where its session stood.
    pub state: String,
    /// Who owes, `server` or `client`.
    pub debtor: String,
    /// What.
    pub what: String,
    /// Since when, in microseconds of the trace.
    pub since_us: u64,
    /// Until when, with everything that extends the bound.
    pub due_us: u64,
    /// The requirement that says so.
    pub requirement: String,
}

/// What a header expects, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The requirements that must be found broken, no more and no fewer.
    pub expected: Vec<String>,
    /// The requirements that were found broken.
    pub found: Vec<String>,
    /// Whether they are the same.
    pub met: bool,
}

/// Judges a trace. `secrets` are credentials that no message may repeat; where the trace was redacted, the mark that stands
/// in the place of its credential counts as one.
#[must_use]
pub fn replay(name: &str, trace: &Trace, secrets: &[String]) -> Replayed {
    let options = Options { secrets: with_hidden(trace, secrets), ..Options::default() };
    let mut monitor = Monitor::new(&trace.header, &options);
    let mut connections = BTreeSet::new();
    let probes = probes(trace);
    for event in &trace.events {
        if !matches!(event.kind, EventKind::Control { .. } | EventKind::Note(_)) && !probes.contains(&event.conn) {
            connections.insert(event.conn);
        }
        monitor.observe(event);
    }
    let open = connections.iter().flat_map(|conn| monitor.owed(*conn)).map(|debt| open_debt(&debt)).collect();
    let judgement = monitor.finish();
    let (verdict, reason) = verdict_of(trace, &judgement);
    let found: BTreeSet<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
    let expectation = trace.header.expect.as_ref().map(|expected| Expectation {
        met: found == expected.iter().map(String::as_str).collect(),
        expected: expected.clone(),
        found: found.iter().map(|id| (*id).to_owned()).collect(),
    });
    let redactor = Redactor::new(secrets);
    Replayed {
        name: name.to_owned(),
        subject: trace.header.subject.as_str().to_owned(),
        case: trace.header.case.clone(),
        note: trace.header.note.clone(),
        events: trace.events.len(),
        connections: connections.into_iter().collect(),
        length_us: trace.events.last().map_or(0, |event| event.t_us),
        exit_code: exit_code(verdict, expectation.as_ref()),
        verdict: verdict.as_str().to_owned(),
        reason: reason.map(|reason| redactor.redact(&reason)),
        findings: judgement.findings.iter().map(|finding| finding_report(finding, &redactor)).collect(),
        suspicions: judgement.suspicions.iter().map(|one| suspicion_report(one, trace)).collect(),
        exercised: judgement.exercised.iter().map(ToString::to_string).collect(),
        undecided: judgement.undecided.iter().map(|(id, why)| (id.to_string(), why.clone())).collect(),
        open,
        expectation,
    }
}

/// The verdict of a trace of a case is that of the case, as far as a trace alone can give it; any other trace is broken,
/// undecided, or kept what it exercised.
fn verdict_of(trace: &Trace, judgement: &Judgement) -> (Verdict, Option<String>) {
    let subject = match trace.header.subject {
        Side::Server => Culprit::Server,
        Side::Client => Culprit::Client,
    };
    let against_subject = judgement.findings.iter().filter(|finding| finding.culprit == subject);
    if let Some(worst) = verdict::worst(against_subject) {
        return (worst, None);
    }
    let case = trace.header.case.as_deref().and_then(|id| catalogue().iter().find(|case| case.id == id));
    if let (Some(case), Culprit::Server) = (case, subject) {
        return verdict::of_case(case, judgement, &circumstances(trace));
    }
    if let Some(other) = judgement.findings.iter().find(|finding| finding.culprit != subject) {
        let why = format!("the other side broke {}: {}", other.requirement, other.message);
        return (Verdict::Inconclusive, Some(why));
    }
    if let Some((id, why)) = judgement.undecided.iter().next() {
        return (Verdict::Inconclusive, Some(format!("{why} [{id}]")));
    }
    // Also a trace of no case never passes if it ends by a wait that was given up.
    if let Some(why) = circumstances(trace).unmet.into_iter().next() {
        return (Verdict::Inconclusive, Some(why));
    }
    if judgement.exercised.is_empty() {
        return (Verdict::NotTested, Some("nothing in it exercises a requirement".to_owned()));
    }
    (if judgement.findings.is_empty() { Verdict::Pass } else { Verdict::NonStrict }, None)
}

/// What a trace shows of what stood beside it when it was made.
fn circumstances(trace: &Trace) -> Circumstances {
    let mut circumstances = Circumstances::default();
    let probes = probes(trace);
    for event in trace.events.iter().filter(|event| !probes.contains(&event.conn)) {
        match &event.kind {
            EventKind::GaveUp { after_ms, .. } => {
                circumstances.unmet.push(format!(
                    "the harness stopped waiting after {after_ms} ms in which nothing moved the session"
                ));
            }
            EventKind::Control { outcome: ControlOutcome::Answered | ControlOutcome::Unanswered, .. } => {
                circumstances.control_failed = Some("a control session of the trace did not complete".to_owned());
            }
            _ => {}
        }
    }
    circumstances
}

/// Where the credential of a `config` was hidden, the mark in its place is what must not be repeated.
fn with_hidden(trace: &Trace, secrets: &[String]) -> Vec<String> {
    let hidden = trace.events.iter().any(|event| match &event.kind {
        EventKind::Text { from: Side::Client, text } => text.contains(HIDDEN),
        _ => false,
    });
    let mark = hidden.then(|| HIDDEN.to_owned());
    secrets.iter().cloned().chain(mark).collect()
}

fn open_debt(debt: &Obligation) -> OpenDebt {
    OpenDebt {
        conn: debt.conn,
        state: debt.state.as_str().to_owned(),
        debtor: debt.debtor.as_str().to_owned(),
        what: debt.what.clone(),
        since_us: debt.since_us,
        due_us: debt.due_us,
        requirement: debt.requirement.to_string(),
    }
}

/// A trace that is not what its header says it is fails even where it breaks nothing.
fn exit_code(verdict: Verdict, expectation: Option<&Expectation>) -> u8 {
    if expectation.is_some_and(|expectation| !expectation.met) {
        return exit::VIOLATION;
    }
    match verdict {
        Verdict::Pass | Verdict::NonStrict => exit::PASS,
        Verdict::HarnessError => exit::INTERNAL,
        verdict if verdict.is_failure() => exit::VIOLATION,
        _ => exit::UNDECIDED,
    }
}

#[cfg(test)]
mod tests {
    use lastword_spec::trace;

    use super::*;

    fn of(text: &str) -> Replayed {
        replay("t.jsonl", &trace::read(text).expect("a trace"), &[])
    }

    const HEADER: &str = r#"{"lastword_trace":1,"subject":"server"}"#;
    const OPEN: &str = r#"{"t_us":0,"conn":0,"open":{"offered":["lastword.v1"],"selected":"lastword.v1"}}"#;

    #[test]
    fn a_trace_in_which_nothing_happened_decides_nothing() {
        let empty = of(&format!("{HEADER}\n"));
        assert_eq!((empty.verdict.as_str(), empty.exit_code), ("NOT_TESTED", exit::UNDECIDED));
        let failed = of(&format!("{HEADER}\n{}\n", r#"{"t_us":0,"conn":0,"connect_failed":{"error":"refused"}}"#));
        assert_eq!(failed.exit_code, exit::UNDECIDED);
    }

    #[test]
    fn a_trace_that_ends_by_the_end_of_patience_never_passes() {
        let gave_up = r#"{"t_us":9000000,"conn":0,"gave_up":{"after_ms":9000}}"#;
        let one = of(&format!("{HEADER}\n{OPEN}\n{gave_up}\n"));
        assert_eq!((one.verdict.as_str(), one.exit_code), ("INCONCLUSIVE", exit::UNDECIDED));
    }

    #[test]
    fn what_is_owed_at_the_end_of_the_trace_is_told_with_its_debtor() {
        let text = format!(
            "{HEADER}\n{OPEN}\n{}\n",
            r#"{"t_us":1000,"conn":0,"from":"client","text":"{\"type\":\"config\"}"}"#
        );
        let open = of(&text).open;
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].debtor.as_str(), open[0].requirement.as_str()), ("server", "CFG-S1"));
    }

    #[test]
    fn an_expectation_that_is_not_met_fails_whichever_way_it_errs() {
        let broken = OPEN.replace("\"lastword.v1\"}", "null}");
        let with = |expect: &str| HEADER.replace('}', &format!(",\"expect\":{expect}}}"));
        let met = of(&format!("{}\n{broken}\n", with(r#"["CON-1"]"#)));
        assert!(met.expectation.as_ref().is_some_and(|one| one.met));
        assert_eq!(met.exit_code, exit::VIOLATION, "it is broken, as expected");
        let missed = of(&format!("{}\n{OPEN}\n", with(r#"["CON-1"]"#)));
        assert!(missed.expectation.as_ref().is_some_and(|one| !one.met));
        assert_eq!(missed.exit_code, exit::VIOLATION);
        let surprised = of(&format!("{}\n{broken}\n", with("[]")));
        assert_eq!(surprised.exit_code, exit::VIOLATION);
    }

    #[test]
    fn the_mark_of_a_hidden_credential_is_a_credential() {
        let config = r#"{"t_us":1,"conn":0,"from":"client","text":"{\"type\":\"config\",\"token\":\"[hidden]\"}"}"#;
        let warning = r#"{"t_us":2,"conn":0,"from":"server","text":"{\"type\":\"warning\",\"code\":\"x_a\",\"message\":\"you are [hidden]\"}"}"#;
        let leaked = of(&format!("{HEADER}\n{OPEN}\n{config}\n{warning}\n"));
        assert!(leaked.findings.iter().any(|finding| finding.requirement == "SEC-S2"), "{leaked:?}");
    }
}
