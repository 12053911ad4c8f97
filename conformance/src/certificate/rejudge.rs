//! Owns the computing again of every verdict from what stands in a certificate: the traces, and what is recorded beside them.
//! It goes the way of the runner, function by function. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use lastword_judge::{Judgement, Monitor};
use lastword_spec::finding::Verdict;
use lastword_spec::message::Ready;
use lastword_spec::trace::{EventKind, Side, Trace};

use super::model::{CaseEntry, FindingEntry, Options, SUITE, SequenceEntry, SuiteEntry};
use super::read::{CaseContents, SuiteContents};
use crate::case::{Case, catalogue};
use crate::client;
use crate::redact::HIDDEN;
use crate::run::{self, CaseResult, Confirmation, Evidence, Knowledge};
use crate::suite::{self, MOST_EXTRA_STATES, Outcome, SequenceResult, Suite, SuiteRun};
use crate::verdict::{self, Circumstances};

/// What is known of the run besides its traces. The credential is the mark that stands in its place.
pub(super) fn knowledge(options: &Options, sessions: &[Trace]) -> Knowledge {
    let secrets = options.has_token.then(|| HIDDEN.to_owned()).into_iter().collect();
    let mut knowledge = Knowledge {
        secrets,
        has_credential: options.has_credential,
        expected: options.expected.clone(),
        max_wait_ms: options.max_wait_ms,
        max_sessions: options.max_sessions,
        ready: None,
        dialect: options.dialect.clone(),
    };
    // What a client was told was the harness's own word.
    if options.client.is_none() {
        knowledge.ready = sessions.iter().find_map(|trace| first_ready(&knowledge, trace));
    }
    knowledge
}

fn first_ready(knowledge: &Knowledge, trace: &Trace) -> Option<Ready> {
    let mut monitor = Monitor::new(&trace.header, &knowledge.options());
    trace.events.iter().for_each(|event| monitor.observe(event));
    monitor.ready(0).cloned()
}

/// What cannot be judged again.
#[derive(Debug)]
pub(super) struct Unjudgeable {
    pub(super) case: String,
    pub(super) why: String,
}

/// Judges every case again, and then confirms failures against their second runs as the runner does. Says also whether the subject
/// fell as a whole. `sessions` are those of the calibration.
pub(super) fn cases(
    cases: &[CaseContents],
    sessions: &[Trace],
    alone: Option<&Trace>,
    options: &Options,
    knowledge: &Knowledge,
) -> Result<(Vec<CaseResult>, bool), Unjudgeable> {
    let mut results = cases.iter().map(|one| case(one, options, knowledge)).collect::<Result<Vec<_>, _>>()?;
    if options.client.is_some() {
        client::settle_all(&mut results);
        client::doubt(&mut results, sessions);
        return Ok((results, false));
    }
    let alone = alone.map(|trace| evidence(trace, lastword_judge::judge(trace, &knowledge.options())));
    run::settle_all(&mut results, alone.as_ref());
    let fell = run::fallen(&results, alone.as_ref()).is_some();
    Ok((results, fell))
}

fn case(contents: &CaseContents, options: &Options, knowledge: &Knowledge) -> Result<CaseResult, Unjudgeable> {
    let entry = &contents.entry;
    let wrong = |why: &str| Unjudgeable { case: entry.case.clone(), why: why.to_owned() };
    let cases = catalogue_of(options.role());
    let case = cases.iter().find(|case| case.id == entry.case).ok_or_else(|| wrong("there is no such case"))?;
    let traces = || contents.first.iter().chain(&contents.second).chain(&contents.third);
    if traces().any(|trace| trace.header.dialect != knowledge.dialect) {
        return Err(wrong("a trace of it was taken in another dialect than the certificate says"));
    }
    if traces().any(|trace| trace.header.subject != options.role()) {
        return Err(wrong("a trace of it has another subject than the certificate says"));
    }
    if let Some(client) = &options.client
        && traces().any(|trace| !was_seen_at(trace, client.level))
    {
        return Err(wrong("a trace of it was taken at another level than the certificate says"));
    }
    let judged = |trace: &Trace| evidence(trace, run::judge_case(knowledge, case, trace));
    let circumstances = Circumstances {
        unmet: entry.unmet.clone(),
        control_failed: entry.control_failed.clone(),
        begun_us: entry.begun_us,
    };
    let (first, second) = (contents.first.as_ref().map(judged), contents.second.as_ref().map(judged));
    let third = contents.third.as_ref().map(judged);
    let (verdict, reason) = match &first {
        Some(evidence) => verdict::of_case(case, &evidence.judgement, &circumstances),
        None => not_run(case, entry, knowledge).map_err(|why| wrong(&why))?,
    };
    Ok(CaseResult {
        case,
        verdict,
        reason,
        evidence: first,
        circumstances,
        second,
        third,
        confirmation: Confirmation::None,
        unrepeated: BTreeSet::new(),
        attempts: entry.attempts,
        took_ms: entry.took_ms,
    })
}

/// The cases about this side.
pub(super) fn catalogue_of(role: Side) -> &'static [Case] {
    match role {
        Side::Server => catalogue(),
        Side::Client => client::catalogue(),
    }
}

/// Whether every run of the client in it was watched from its start, and at this level.
fn was_seen_at(trace: &Trace, level: u8) -> bool {
    let mut started = trace.events.iter().filter_map(|event| match &event.kind {
        EventKind::Started(started) => Some(started.driven),
        _ => None,
    });
    let first = started.next();
    first == Some(level > 0) && started.all(|driven| Some(driven) == first)
}

/// A case without a trace claims nothing; that the subject is not bound by it must follow from what it announced.
fn not_run(case: &Case, entry: &CaseEntry, knowledge: &Knowledge) -> Result<(Verdict, Option<String>), String> {
    const CLAIM_NOTHING: [Verdict; 3] = [Verdict::NotTested, Verdict::Inconclusive, Verdict::HarnessError];
    match run::skip(knowledge, case) {
        Some((verdict, why)) if verdict.as_str() == entry.verdict => Ok((verdict, Some(why))),
        _ => {
            let verdict = CLAIM_NOTHING.into_iter().find(|verdict| verdict.as_str() == entry.verdict);
            let verdict = verdict.ok_or_else(|| format!("it says {} and there is no trace of it", entry.verdict))?;
            Ok((verdict, entry.reason.clone()))
        }
    }
}

fn evidence(trace: &Trace, judgement: Judgement) -> Evidence {
    Evidence { trace: Arc::new(trace.clone()), judgement: Arc::new(judgement) }
}

/// Examines every sequence of the suite again. `results` are those of the cases, which may have confirmed what it found.
pub(super) fn suite(
    contents: &SuiteContents,
    extra_states: usize,
    results: &[CaseResult],
    knowledge: &Knowledge,
) -> Result<(CaseResult, SuiteRun), Unjudgeable> {
    let wrong = |why: String| Unjudgeable { case: SUITE.to_owned(), why };
    if extra_states > MOST_EXTRA_STATES {
        return Err(wrong(format!("there is no suite for {extra_states} extra states")));
    }
    let suite = Suite::generate(extra_states);
    let mut sequences: Vec<SequenceResult> = Vec::new();
    for (entry, traces) in contents.entry.sequences.iter().zip(&contents.sequences) {
        if sequences.last().is_some_and(|last| last.number >= entry.number) {
            return Err(wrong(format!("sequence {} is not in its place", entry.number)));
        }
        let (first, second) = (&traces.first, traces.second.as_ref());
        let options = knowledge.options();
        let examined = SequenceResult::examined(&suite, entry.number, entry.attempts, first, second, &options);
        sequences.push(examined.ok_or_else(|| wrong(format!("there is no sequence {}", entry.number)))?);
    }
    suite::settle_all(&mut sequences, &run::confirmed(results));
    let entry = &contents.entry;
    Ok(suite::conclude(&suite, sequences, entry.stopped.clone(), entry.summary.took_ms))
}

/// The suite as a certificate has it.
pub(super) fn suite_entry(run: &SuiteRun) -> SuiteEntry {
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Conforming => "conforming".to_owned(),
        Outcome::NotReached => "not reached".to_owned(),
        Outcome::Mismatch(mismatch) => mismatch.text.clone(),
        Outcome::OutOfTime(why) | Outcome::Undecided(why) => why.clone(),
    };
    let sequence = |one: &SequenceResult| SequenceEntry {
        number: one.number,
        inputs: one.inputs.iter().map(|input| input.as_str().to_owned()).collect(),
        outcome: outcome(&one.outcome),
        confirmed: one.confirmation.word(),
        attempts: one.attempts,
    };
    SuiteEntry {
        summary: run.summary.clone(),
        stopped: run.stopped.clone(),
        sequences: run.sequences.iter().map(sequence).collect(),
    }
}

/// A result as a certificate has it.
pub(super) fn entry(result: &CaseResult) -> CaseEntry {
    let finding = |finding: &lastword_judge::Finding| FindingEntry {
        kind: finding.kind.as_str().to_owned(),
        culprit: finding.culprit.as_str().to_owned(),
        requirement: finding.requirement.to_string(),
        state: finding.state.as_str().to_owned(),
        message: finding.message.clone(),
        conn: finding.conn,
        frames: finding.frames.clone(),
        t_us: finding.t_us,
    };
    CaseEntry {
        case: result.case.id.clone(),
        verdict: result.verdict.as_str().to_owned(),
        reason: result.reason.clone(),
        closing: result.closing(),
        findings: result.evidence.iter().flat_map(|one| &one.judgement.findings).map(finding).collect(),
        unmet: result.circumstances.unmet.clone(),
        control_failed: result.circumstances.control_failed.clone(),
        begun_us: result.circumstances.begun_us,
        confirmed: result.confirmation.word(),
        attempts: result.attempts,
        took_ms: result.took_ms,
    }
}
