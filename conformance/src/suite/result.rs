//! Owns what a run of the suite came to, and the verdict that follows from its sequences. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lastword_judge::Options;
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::table::ServerInput;
use lastword_spec::trace::Trace;
use serde::{Deserialize, Serialize};

use super::examine::{Mismatch, Outcome, examine};
use super::generate::Suite;
use super::wording;
use crate::redact::Redactor;
use crate::run::{Confirmation, Evidence};
use crate::verdict::breaks_a_must;

/// What a finding is about; the same key twice confirms it.
pub(crate) type Key = (RequirementId, FindingKind);

/// Everything that a run of the suite brought.
pub struct SuiteRun {
    /// The suite in figures.
    pub summary: SuiteSummary,
    /// The sequences that were run, by their numbers.
    pub sequences: Vec<SequenceResult>,
    /// Why not all of them were run, if they were not.
    pub stopped: Option<String>,
}

/// What one sequence came to.
pub struct SequenceResult {
    /// Its number in the suite, from 0.
    pub number: usize,
    /// Its inputs.
    pub inputs: Vec<ServerInput>,
    /// What its trace proves.
    pub outcome: Outcome,
    /// Its trace, and what the judge says of it.
    pub evidence: Option<Evidence>,
    /// What happened when it ran again, alone; `None` where it did not.
    pub second: Option<Evidence>,
    /// Whether a mismatch was seen again with nothing else running.
    pub confirmation: Confirmation,
    /// How often it was tried.
    pub attempts: u32,
}

impl SequenceResult {
    /// A sequence and its traces, examined; what its second run means is said by [`settle_all`].
    pub(crate) fn examined(
        suite: &Suite,
        number: usize,
        attempts: u32,
        first: &Trace,
        second: Option<&Trace>,
        options: &Options,
    ) -> Option<Self> {
        let inputs = suite.tests.get(number)?.inputs.clone();
        let examined = |trace: &Trace| {
            let (outcome, judgement) = examine(&suite.machine, &inputs, trace, options);
            (outcome, Evidence { trace: Arc::new(trace.clone()), judgement: Arc::new(judgement) })
        };
        let (outcome, evidence) = examined(first);
        let second = second.map(|trace| examined(trace).1);
        let confirmation = Confirmation::None;
        Some(Self { number, inputs, outcome, evidence: Some(evidence), second, confirmation, attempts })
    }

    /// The mismatch, if it is one.
    #[must_use]
    pub fn mismatch(&self) -> Option<&Mismatch> {
        match &self.outcome {
            Outcome::Mismatch(mismatch) => Some(mismatch),
            _ => None,
        }
    }

    /// The kinds of findings of a mismatch.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.mismatch().and(self.evidence.as_ref()).map(keys_of).unwrap_or_default()
    }

    /// What its second run did not show again, where it showed something else again.
    pub(super) fn unrepeated(&self) -> BTreeSet<Key> {
        let again = self.second.as_ref().filter(|_| self.confirmation.is_again()).map(keys_of);
        again.map_or_else(BTreeSet::new, |again| self.keys().difference(&again).copied().collect())
    }

    fn is_confirmed(&self) -> bool {
        self.confirmation.is_again() || matches!(self.confirmation, Confirmation::Probes | Confirmation::By(_))
    }
}

/// The suite in figures, for reports and certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteSummary {
    /// PASS, INCONCLUSIVE, or a failure.
    pub verdict: String,
    /// Why, where it is no PASS.
    pub reason: Option<String>,
    /// How many states more than the table the claim allows the subject to have.
    pub extra_states: usize,
    /// The states of the abstract machine but for the one after the close; with others that behave alike.
    pub states: Vec<String>,
    /// The inputs, each with its form on the wire.
    pub alphabet: Vec<String>,
    /// What tells states apart.
    pub separators: Vec<String>,
    /// How many sequences there are.
    pub planned: usize,
    /// How many were run.
    pub ran: usize,
    /// How many inputs these had together.
    pub steps: usize,
    /// How many were answered as the table says.
    pub conforming: usize,
    /// How many were not.
    pub mismatching: usize,
    /// How many go on behind the sentinel.
    pub draining: usize,
    /// How many of these were not read to their end before the drain was over.
    pub not_reached: usize,
    /// How many could not be carried through.
    pub undecided: usize,
    /// The first mismatches.
    pub mismatches: Vec<MismatchSummary>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A sequence that was not answered as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MismatchSummary {
    /// Its number in the suite.
    pub sequence: usize,
    /// Its inputs.
    pub inputs: Vec<String>,
    /// The place of the input that was not answered as it should, from 0.
    pub step: usize,
    /// What differs.
    pub text: String,
    /// What the judge says, as `KIND [ID]`.
    pub findings: Vec<String>,
}

/// So many mismatches are listed one by one.
const LISTED: usize = 10;

impl SuiteSummary {
    pub(super) fn of(suite: &Suite, sequences: &[SequenceResult], stopped: Option<&str>, took_ms: u64) -> Self {
        let count = |wanted: fn(&Outcome) -> bool| sequences.iter().filter(|one| wanted(&one.outcome)).count();
        let (verdict, reason) = verdict_of(sequences, suite.tests.len(), stopped);
        let mismatches = sequences.iter().filter_map(|one| Some((one, one.mismatch()?)));
        Self {
            verdict: verdict.as_str().to_owned(),
            reason,
            extra_states: suite.extra_states,
            states: suite.machine.states().iter().map(|state| words(&state.places, " = ")).collect(),
            alphabet: suite
                .machine
                .inputs()
                .iter()
                .map(|input| format!("{}: {}", input.as_str(), wording::shown(*input)))
                .collect(),
            separators: suite.separators.iter().map(|one| names(one).join(", ")).collect(),
            planned: suite.tests.len(),
            ran: sequences.len(),
            steps: sequences.iter().map(|one| one.inputs.len()).sum(),
            conforming: count(|outcome| matches!(outcome, Outcome::Conforming)),
            mismatching: count(|outcome| matches!(outcome, Outcome::Mismatch(_))),
            draining: sequences.iter().filter(|one| suite.goes_on_behind_the_sentinel(&one.inputs)).count(),
            not_reached: count(|outcome| matches!(outcome, Outcome::NotReached)),
            undecided: count(Outcome::is_undecided),
            mismatches: mismatches.take(LISTED).map(|(one, mismatch)| listed(one, mismatch)).collect(),
            took_ms,
        }
    }

    /// The same without the secrets of the run.
    #[must_use]
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let mut clean = self.clone();
        clean.reason = clean.reason.map(|reason| redactor.redact(&reason));
        for one in &mut clean.mismatches {
            one.text = redactor.redact(&one.text);
        }
        clean
    }

    /// What a suite that passes shows of the subject.
    #[must_use]
    pub fn claim(&self) -> String {
        format!(
            "answers every sequence over this alphabet as the state table does, if it has at most {} + {} states",
            self.states.len(),
            self.extra_states
        )
    }
}

/// The names of these inputs.
pub(super) fn names(inputs: &[ServerInput]) -> Vec<String> {
    inputs.iter().map(|input| input.as_str().to_owned()).collect()
}

fn words(places: &[super::machine::Place], between: &str) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn listed(one: &SequenceResult, mismatch: &Mismatch) -> MismatchSummary {
    MismatchSummary {
        sequence: one.number,
        inputs: names(&one.inputs),
        step: mismatch.step,
        text: mismatch.text.clone(),
        findings: mismatch.findings.iter().map(|found| format!("{} [{}]", found.kind, found.requirement)).collect(),
    }
}

/// The verdict of the suite: a failure where a mismatch was seen twice, PASS only where every sequence was answered as the table
/// says. `stopped` says why not all of them were run, if so.
#[must_use]
pub fn verdict_of(sequences: &[SequenceResult], planned: usize, stopped: Option<&str>) -> (Verdict, Option<String>) {
    let confirmed = sequences.iter().filter(|one| one.is_confirmed()).filter_map(SequenceResult::mismatch);
    let gravest = confirmed.flat_map(|one| &one.findings).map(|found| found.kind.verdict()).max_by_key(gravity);
    if let Some(verdict) = gravest {
        return (verdict, None);
    }
    let reason = if let Some(why) = stopped {
        format!("{} of {planned} sequences were run: {why}", sequences.len())
    } else if let Some(one) = sequences.iter().find_map(SequenceResult::mismatch) {
        format!("not repeatable: {}, and not again when the sequence ran alone", one.text)
    } else if let Some(why) = sequences.iter().find_map(|one| match &one.outcome {
        Outcome::Undecided(why) | Outcome::OutOfTime(why) => Some(why),
        _ => None,
    }) {
        why.clone()
    } else {
        let early = sequences.iter().filter(|one| one.outcome == Outcome::NotReached).count();
        if early == 0 && sequences.len() == planned {
            return (Verdict::Pass, None);
        }
        format!("drain too fast: {early} sequences ended before the subject had read what stood behind the sentinel")
    };
    (Verdict::Inconclusive, Some(reason))
}

/// Says of every mismatch by which evidence it stands, or that it does not. `known` are findings that cases of the same run have
/// shown twice, each with the case.
pub(crate) fn settle_all(sequences: &mut [SequenceResult], known: &BTreeMap<Key, String>) {
    let mut confirmed = known.clone();
    for one in sequences.iter_mut() {
        let keys = one.keys();
        let Some(second) = &one.second else { continue };
        let seen: BTreeSet<Key> = keys_of(second).intersection(&keys).copied().collect();
        one.confirmation =
            if seen.is_empty() { Confirmation::NotRepeated(second.clone()) } else { Confirmation::Alone };
        for key in seen {
            confirmed.entry(key).or_insert_with(|| format!("sequence {} of the suite", one.number));
        }
    }
    for one in sequences.iter_mut().filter(|one| !matches!(one.confirmation, Confirmation::Alone)) {
        if let Some(by) = one.keys().iter().find_map(|key| confirmed.get(key)) {
            one.confirmation = Confirmation::By(by.clone());
        }
    }
}

fn keys_of(evidence: &Evidence) -> BTreeSet<Key> {
    evidence.findings().filter(|found| breaks_a_must(found)).map(|found| (found.requirement, found.kind)).collect()
}

fn gravity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Hung => 3,
        Verdict::Deadlock => 2,
        Verdict::Livelock => 1,
        _ => 0,
    }
}
