//! Owns the course of an exploration: random sequences side by side until one fails, the same again alone, the shrinking, and five
//! repetitions of what is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lastword_judge::{Finding, Judgement, Suspicion, judge};
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::registry::RequirementId;
use lastword_spec::trace::{EventKind, Trace};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::model::draw;
use super::play::{Probing, play};
use super::shrink::shrink;
use super::step::Sequence;
use crate::record::no_connection;
use crate::run::env::Env;
use crate::run::slot::SlotPauses;
use crate::run::{Observer, Plan, calibrate, environment};
use crate::verdict::breaks_a_must;

/// How much is to be explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How many sequences.
    pub cases: u64,
    /// How many steps a sequence has at most.
    pub max_steps: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Exploration {
    /// The seed of the first sequence; each further one has the next.
    pub seed: u64,
    /// What was asked for.
    pub wanted: Wanted,
    /// How many sequences were run.
    pub ran: u64,
    /// How many steps these had together.
    pub steps: usize,
    /// How many could not be decided, and why the first could not.
    pub undecided: u64,
    /// Why the first of them could not.
    pub why_undecided: Option<String>,
    /// The seeds of sequences that failed once and not again alone.
    pub unrepeated: Vec<u64>,
    /// The failure that ended it.
    pub failure: Option<Failure>,
    /// Why nothing could be explored at all.
    pub unreachable: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A sequence that fails, made small.
#[derive(Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// As it was drawn.
    pub drawn: Sequence,
    /// What is left of it and still fails in the same way.
    pub minimal: Sequence,
    /// How many executions that took.
    pub executions: usize,
    /// How often the small one failed in the same way, of [`REPETITIONS`].
    pub repeats: usize,
    /// What the judge says of it.
    pub findings: Vec<Finding>,
    /// What was found out about a stall.
    pub suspicions: Vec<Suspicion>,
    /// What happened when it failed last.
    pub trace: Trace,
}

impl Failure {
    /// Whether it does not fail every time.
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        self.repeats < REPETITIONS
    }
}

/// How often the small sequence is run again.
pub const REPETITIONS: usize = 5;
/// How many executions the shrinking may take.
const SHRINKING: usize = 200;
/// How long it may take: each execution that hangs costs a wait.
const SHRINKING_BOUND: Duration = Duration::from_secs(120);
/// After so many failures that could not be repeated there is no point in going on.
const MOST_UNREPEATED: usize = 3;
/// A control session before every so many sequences keeps the measure of the machine.
const CONTROL_EVERY: u64 = 32;

/// What makes two failures the same. Silence is one failure whatever is owed when it falls: what is owed changes as steps go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Silence,
    Breach(RequirementId, FindingKind),
}

/// One execution of a sequence.
struct Outcome {
    trace: Trace,
    judgement: Judgement,
    executed: usize,
    overloaded: bool,
}

/// Explores. `plan` says whom and within which limits; its cases and its suite play no part, and its seed is the first of the
/// sequences'.
pub async fn explore(plan: Plan, wanted: Wanted, observer: &dyn Observer) -> Exploration {
    let started = Instant::now();
    let (env, jobs) = environment(&plan);
    let calibration = calibrate::calibrate(&env).await;
    observer.calibrated(&calibration);
    let mut exploration = Exploration {
        seed: plan.seed,
        wanted,
        ran: 0,
        steps: 0,
        undecided: 0,
        why_undecided: None,
        unrepeated: Vec::new(),
        failure: None,
        unreachable: None,
        took_ms: 0,
    };
    if calibration.reachable {
        search(&env, jobs, &mut exploration, observer).await;
    } else {
        exploration.unreachable = Some(calibration.broken.unwrap_or_else(|| "no connection".to_owned()));
    }
    exploration.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    exploration
}

/// Looks for a failure that repeats.
async fn search(env: &Arc<Env>, jobs: usize, exploration: &mut Exploration, observer: &dyn Observer) {
    let mut next = 0;
    let mut limit = jobs;
    while next < exploration.wanted.cases && exploration.unrepeated.len() < MOST_UNREPEATED {
        let Some((case, sequence, first)) = until_one_fails(env, &mut limit, &mut next, exploration, observer).await
        else {
            return;
        };
        observer.note(&format!("sequence {case} fails; running it again, alone"));
        let seed = exploration.seed.wrapping_add(case);
        let wanted = keys(&first.judgement);
        let again = once(env, &sequence).await;
        if keys(&again.judgement).is_disjoint(&wanted) {
            exploration.unrepeated.push(seed);
            continue;
        }
        exploration.failure = Some(minimise(env, seed, sequence, again, &wanted, observer).await);
        return;
    }
}

/// Runs sequences side by side until one fails, and gives the first of those that failed; `None` where all are done.
async fn until_one_fails(
    env: &Arc<Env>,
    limit: &mut usize,
    next: &mut u64,
    exploration: &mut Exploration,
    observer: &dyn Observer,
) -> Option<(u64, Sequence, Outcome)> {
    let mut running = JoinSet::new();
    let mut turned_away: Vec<u64> = Vec::new();
    let mut pauses = SlotPauses::default();
    let mut failed: Vec<(u64, Sequence, Outcome)> = Vec::new();
    loop {
        while running.len() < *limit && failed.is_empty() {
            let Some(case) = turned_away.pop().or_else(|| (*next < exploration.wanted.cases).then_some(*next)) else {
                break;
            };
            *next = (*next).max(case + 1);
            if case.is_multiple_of(CONTROL_EVERY) {
                let env = Arc::clone(env);
                tokio::spawn(async move { env.controls.fresh().await });
            }
            let sequence = draw(exploration.seed.wrapping_add(case), exploration.wanted.max_steps);
            let env = Arc::clone(env);
            running.spawn(async move {
                let outcome = once(&env, &sequence).await;
                (case, sequence, outcome)
            });
        }
        let Some(finished) = running.join_next().await else { break };
        let Ok((case, sequence, outcome)) = finished else {
            exploration.undecide("the harness broke off");
            continue;
        };
        if outcome.overloaded {
            let is_alone = *limit == 1;
            if !is_alone {
                *limit /= 2;
                observer.note(&format!("the subject has no room: {limit} sequences side by side from here on"));
            }
            if is_alone && !pauses.pause().await {
                exploration.undecide("the subject said that it has no room, also when nothing else ran");
            } else {
                turned_away.push(case);
            }
            continue;
        }
        pauses.begin_anew();
        exploration.ran += 1;
        exploration.steps += outcome.executed;
        if !keys(&outcome.judgement).is_empty() {
            failed.push((case, sequence, outcome));
        } else if let Some(why) = open_question(&outcome) {
            exploration.undecide(&why);
        }
    }
    // What was turned away while another failed comes again.
    *next = turned_away.into_iter().chain([*next]).min().unwrap_or(*next);
    failed.sort_by_key(|(case, _, _)| *case);
    failed.into_iter().next()
}

impl Exploration {
    /// Whether every sequence that was asked for was run and decided, and none failed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let all = self.ran == self.wanted.cases;
        all && self.undecided == 0 && self.unrepeated.is_empty() && self.failure.is_none()
    }

    fn undecide(&mut self, why: &str) {
        self.undecided += 1;
        self.why_undecided.get_or_insert_with(|| why.to_owned());
    }
}

/// Makes a failing sequence small and repeats what is left.
async fn minimise(
    env: &Arc<Env>,
    seed: u64,
    drawn: Sequence,
    first: Outcome,
    wanted: &BTreeSet<Key>,
    observer: &dyn Observer,
) -> Failure {
    observer.note(&format!("shrinking {} steps", drawn.steps.len()));
    // Where time is paused a wait costs nothing.
    let deadline = env.watch.is_none().then(|| Instant::now() + SHRINKING_BOUND);
    let mut last = first;
    let executed = last.executed;
    let shrunk = shrink(&drawn, executed, SHRINKING, async |candidate| {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        let outcome = once(env, candidate).await;
        let fails = !keys(&outcome.judgement).is_disjoint(wanted);
        if fails {
            last = outcome;
        }
        Some(fails)
    })
    .await;
    observer.note(&format!("running the {} steps that are left {REPETITIONS} times", shrunk.sequence.steps.len()));
    let mut repeats = 0;
    for _ in 0..REPETITIONS {
        let outcome = once(env, &shrunk.sequence).await;
        if !keys(&outcome.judgement).is_disjoint(wanted) {
            repeats += 1;
            last = outcome;
        }
    }
    if wanted.contains(&Key::Silence) {
        observer.note("holding release probes: what does it wait for?");
        env.look_anew();
        let outcome = of(env, &shrunk.sequence, Probing::Yes).await;
        if keys(&outcome.judgement).contains(&Key::Silence) {
            last = outcome;
        }
    }
    let mut failure = Failure {
        seed,
        drawn,
        minimal: shrunk.sequence,
        executions: shrunk.executions,
        repeats,
        findings: last.judgement.findings,
        suspicions: last.judgement.suspicions,
        trace: last.trace,
    };
    label(&mut failure);
    failure
}

/// Writes into the trace what it is and what must be found in it.
fn label(failure: &mut Failure) {
    let expect: BTreeSet<&str> = failure.findings.iter().map(|finding| finding.requirement.as_str()).collect();
    let flaky = if failure.is_flaky() { "flaky: " } else { "" };
    failure.trace.header.expect = Some(expect.into_iter().map(str::to_owned).collect());
    failure.trace.header.seed = Some(failure.seed);
    failure.trace.header.note = Some(format!(
        "{flaky}{} of {} random steps, after {} executions; fails {} of {REPETITIONS} times",
        failure.minimal.steps.len(),
        failure.drawn.steps.len(),
        failure.executions,
        failure.repeats
    ));
}

async fn once(env: &Arc<Env>, sequence: &Sequence) -> Outcome {
    of(env, sequence, Probing::No).await
}

async fn of(env: &Arc<Env>, sequence: &Sequence, probing: Probing) -> Outcome {
    let played = play(env, sequence, probing).await;
    let trace = played.said.trace;
    let judgement = judge(&trace, &env.options());
    Outcome { trace, judgement, executed: played.executed, overloaded: played.said.overloaded }
}

fn keys(judgement: &Judgement) -> BTreeSet<Key> {
    let grave = |finding: &&Finding| finding.culprit == Culprit::Server && breaks_a_must(finding);
    judgement.findings.iter().filter(grave).map(key).collect()
}

fn key(finding: &Finding) -> Key {
    match finding.kind {
        FindingKind::Stalled
        | FindingKind::Stuck
        | FindingKind::UnboundedWait
        | FindingKind::MaskedByTimer
        | FindingKind::Unresponsive => Key::Silence,
        kind => Key::Breach(finding.requirement, kind),
    }
}

/// Why nothing follows from a sequence that no finding came of, if so.
fn open_question(outcome: &Outcome) -> Option<String> {
    outcome.trace.events.iter().find_map(|event| match &event.kind {
        EventKind::GaveUp { after_ms, .. } => {
            let undecided = outcome.judgement.undecided.iter().next();
            let about = undecided.map(|(id, why)| format!(": {why} [{id}]")).unwrap_or_default();
            Some(format!("the harness gave up a wait after {after_ms} ms in which nothing moved the session{about}"))
        }
        kind => no_connection(kind),
    })
}
