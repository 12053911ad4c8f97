//! Owns the course of the suite: sequences side by side within what the operator and the subject allow, an early stop once enough
//! is known, and the second look at what was found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use lastword_spec::table::ServerInput;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::examine::{Outcome, examine};
use super::execute::Manner;
use super::generate::Suite;
use super::result::{Key, SequenceResult, SuiteRun, SuiteSummary, settle_all, verdict_of};
use super::{execute, wording};
use crate::audio_frames;
use crate::case::{Case, Unexercised};
use crate::run::env::Env;
use crate::run::slot::SlotPauses;
use crate::run::{CaseResult, Confirmation, Evidence, Observer};
use crate::verdict::Circumstances;

/// The name under which the suite stands in reports.
pub const CASE_ID: &str = "server/suite/w-method";

/// How the suite is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuitePlan {
    /// How many states more than the table a subject may have for the claim to hold.
    pub extra_states: usize,
}

impl Default for SuitePlan {
    fn default() -> Self {
        Self { extra_states: DEFAULT_EXTRA_STATES }
    }
}

/// What a person who says nothing gets: a conforming subject takes a few seconds.
pub const DEFAULT_EXTRA_STATES: usize = 1;

/// With more the suite would have millions of sequences.
pub const MOST_EXTRA_STATES: usize = 3;

/// So many mismatches are enough: the subject fails, and each may cost a wait.
const ENOUGH: usize = 10;
/// The same where not even a plain session completes any more.
const ENOUGH_OF_A_LOST: usize = 3;
/// So many sequences that could not be decided show that no more can: each may have cost a wait.
const TOO_MANY: usize = 30;
/// How often a sequence is tried that was over before its inputs were read, each time behind more speech.
const ATTEMPTS: u32 = 4;
/// After so many sequences in vain, and hardly more with success, the others are tried once.
const HOPELESS: u32 = 12;
/// A control session before every so many sequences keeps the measure of the machine.
const CONTROL_EVERY: usize = 64;
/// For so many kinds of findings a sequence is run again alone, each so often at most.
const KEYS: usize = 3;
const TRIES: usize = 2;

/// What the sequences learn from each other.
#[derive(Default)]
struct Learnt {
    /// The attempt that first brought a sequence to its end in time.
    attempt: AtomicU32,
    /// Sequences that were read to their end.
    reached: AtomicU32,
    /// Sequences that never were.
    in_vain: AtomicU32,
}

impl Learnt {
    fn is_hopeless(&self) -> bool {
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        in_vain >= HOPELESS && self.reached.load(Ordering::Relaxed) < 4 * in_vain
    }
}

/// What came of one sequence.
enum Played {
    Done(SequenceResult),
    Overloaded,
    /// The audio budget is used up.
    NoAudio,
}

/// The case that stands for the suite in reports.
#[must_use]
pub fn case() -> &'static Case {
    static CASE: OnceLock<Case> = OnceLock::new();
    CASE.get_or_init(|| Case {
        id: CASE_ID.to_owned(),
        title: "every sequence of the m-complete suite is answered as the state table says".to_owned(),
        covers: Vec::new(),
        needs: Vec::new(),
        attempts: ATTEMPTS,
        unexercised: Unexercised::Inconclusive("drain too fast".to_owned()),
        negative: true,
        timer: None,
        steps: Vec::new(),
        steps_as_written: Vec::new(),
        script: None,
    })
}

/// Runs the suite. `known` are findings that cases have shown twice already; they need no further proof.
pub(crate) async fn conduct(
    env: &Arc<Env>,
    plan: SuitePlan,
    jobs: usize,
    known: &BTreeMap<Key, String>,
    observer: &dyn Observer,
) -> (CaseResult, SuiteRun) {
    let started = Instant::now();
    let suite = Arc::new(Suite::generate(plan.extra_states));
    observer.note(&format!("suite: {} sequences, {} inputs", suite.tests.len(), suite.steps()));
    let (mut sequences, stopped) = match env.controls.broken() {
        Some(why) => (Vec::new(), Some(why)),
        None => run_all(env, &suite, jobs, observer).await,
    };
    look_again(env, &suite, &mut sequences, known, observer).await;
    settle_all(&mut sequences, known);
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    conclude(&suite, sequences, stopped, took_ms)
}

/// What these sequences come to: the result that stands among the cases, and the run. Pure, so that stored traces come to the same.
pub(crate) fn conclude(
    suite: &Suite,
    sequences: Vec<SequenceResult>,
    stopped: Option<String>,
    took_ms: u64,
) -> (CaseResult, SuiteRun) {
    let summary = SuiteSummary::of(suite, &sequences, stopped.as_deref(), took_ms);
    let (verdict, reason) = verdict_of(&sequences, suite.tests.len(), stopped.as_deref());
    let worst = sequences
        .iter()
        .filter(|one| one.mismatch().is_some())
        .max_by_key(|one| {
            one.confirmation.is_again() || matches!(one.confirmation, Confirmation::Probes | Confirmation::By(_))
        })
        .or_else(|| sequences.iter().find(|one| one.outcome != Outcome::Conforming));
    let result = CaseResult {
        case: case(),
        verdict,
        reason,
        evidence: worst.and_then(|one| one.evidence.clone()),
        circumstances: Circumstances::default(),
        second: worst.and_then(|one| one.second.clone()),
        third: None,
        confirmation: worst.map_or(Confirmation::None, |one| one.confirmation.clone()),
        unrepeated: worst.map_or_else(BTreeSet::new, SequenceResult::unrepeated),
        attempts: worst.map_or(1, |one| one.attempts),
        took_ms,
    };
    (result, SuiteRun { summary, sequences, stopped })
}

/// Runs the sequences; says why it stopped before the last, if it did.
async fn run_all(
    env: &Arc<Env>,
    suite: &Arc<Suite>,
    jobs: usize,
    observer: &dyn Observer,
) -> (Vec<SequenceResult>, Option<String>) {
    let learnt = Arc::new(Learnt::default());
    let mut queue: VecDeque<usize> = (0..suite.tests.len()).collect();
    let mut sequences = Vec::new();
    let mut stopped = None;
    let (mut limit, mut mismatches, mut undecided) = (jobs, 0, 0);
    let mut pauses = SlotPauses::default();
    let is_lost = env.controls.last().is_some_and(|control| !control.ok && !control.overloaded);
    let enough = if is_lost { ENOUGH_OF_A_LOST } else { ENOUGH };
    let mut running = JoinSet::new();
    while !queue.is_empty() || !running.is_empty() {
        // As long as nothing else has come out, no more than are enough.
        let at_most = if mismatches == sequences.len() { enough.saturating_sub(mismatches).min(limit) } else { limit };
        while running.len() < at_most
            && let Some(number) = queue.pop_front()
        {
            if number.is_multiple_of(CONTROL_EVERY) {
                let env = Arc::clone(env);
                // Everybody goes on meanwhile; what it measures serves those that come after it.
                let control = tokio::spawn(async move { env.controls.fresh().await });
                if limit == 1 {
                    // The only slot would be taken twice.
                    drop(control.await);
                }
            }
            let (env, suite, learnt) = (Arc::clone(env), Arc::clone(suite), Arc::clone(&learnt));
            running.spawn(async move { (number, sequence(&env, &suite, number, &learnt).await) });
        }
        let Some(finished) = running.join_next().await else { continue };
        match finished {
            Ok((_, Played::Done(result))) => {
                pauses.begin_anew();
                mismatches += usize::from(result.mismatch().is_some());
                undecided += usize::from(result.outcome.is_undecided());
                sequences.push(result);
            }
            Ok((number, Played::Overloaded)) if limit > 1 => {
                limit /= 2;
                observer.note(&format!("the subject has no room: {limit} sequences side by side from here on"));
                queue.push_back(number);
            }
            Ok((number, Played::Overloaded)) => {
                if pauses.pause().await {
                    queue.push_back(number);
                } else {
                    stopped = Some("the subject has no room".to_owned());
                }
            }
            Ok((_, Played::NoAudio)) => stopped = Some("the audio budget (--audio-budget) is used up".to_owned()),
            Err(error) => stopped = Some(format!("the harness broke off: {error}")),
        }
        if mismatches >= enough {
            stopped.get_or_insert_with(|| format!("{mismatches} mismatches are enough"));
        }
        if undecided >= TOO_MANY {
            stopped.get_or_insert_with(|| format!("{undecided} of them could not be decided"));
        }
        if env.controls.is_dead() {
            stopped.get_or_insert_with(|| "the subject answers nothing any more".to_owned());
        }
        if stopped.is_some() {
            queue.clear();
        }
    }
    sequences.sort_by_key(|one| one.number);
    (sequences, stopped)
}

/// Runs one sequence, again behind more speech where the session was over too soon, and again in one write where a timer ended it
/// or all that is wrong is that something was late: that may be the line's doing, and what the subject owes by the clock is the
/// business of the cases.
async fn sequence(env: &Arc<Env>, suite: &Suite, number: usize, learnt: &Learnt) -> Played {
    let inputs = &suite.tests[number].inputs;
    let draining = suite.goes_on_behind_the_sentinel(inputs);
    let first = learnt.attempt.load(Ordering::Relaxed).max(1);
    let hopeless = draining && learnt.is_hopeless();
    let mut manner = Manner { attempt: first, at_once: false };
    let mut tried = 1;
    loop {
        let holding: u64 =
            wording::holding_speech(&env.speech, manner.attempt).iter().map(audio_frames::frame_ms).sum();
        if draining && !env.gate.take_audio(holding) {
            return Played::NoAudio;
        }
        let Some(result) = once(env, suite, number, inputs, manner).await else { return Played::Overloaded };
        let early = result.outcome == Outcome::NotReached;
        let untimely = result.outcome.is_a_matter_of_time();
        if (early || untimely) && tried < ATTEMPTS && !(early && hopeless) {
            manner.attempt += u32::from(early);
            manner.at_once |= untimely;
            tried += 1;
            continue;
        }
        if early {
            learnt.in_vain.fetch_add(1, Ordering::Relaxed);
        } else if draining && result.outcome == Outcome::Conforming {
            learnt.attempt.fetch_max(manner.attempt, Ordering::Relaxed);
            learnt.reached.fetch_add(1, Ordering::Relaxed);
        }
        return Played::Done(result);
    }
}

/// Runs one sequence once; `None` where the subject had no room.
async fn once(
    env: &Arc<Env>,
    suite: &Suite,
    number: usize,
    inputs: &[ServerInput],
    manner: Manner,
) -> Option<SequenceResult> {
    let said = execute::play(env, &suite.machine, inputs, &format!("{CASE_ID}/{number}"), manner).await;
    if said.overloaded {
        return None;
    }
    let (outcome, judgement) = examine(&suite.machine, inputs, &said.trace, &env.options());
    let evidence = Evidence { trace: Arc::new(said.trace), judgement: Arc::new(judgement) };
    Some(SequenceResult {
        number,
        inputs: inputs.to_vec(),
        outcome,
        evidence: Some(evidence),
        second: None,
        confirmation: Confirmation::None,
        attempts: manner.attempt,
    })
}

/// Runs mismatching sequences again, alone, until each kind of finding was seen twice or given up. What was seen is recorded; what
/// it means is said by [`settle_all`].
async fn look_again(
    env: &Arc<Env>,
    suite: &Suite,
    sequences: &mut [SequenceResult],
    known: &BTreeMap<Key, String>,
    observer: &dyn Observer,
) {
    let mut confirmed: BTreeSet<Key> = known.keys().copied().collect();
    let mut tried: BTreeMap<Key, usize> = BTreeMap::new();
    for one in sequences.iter_mut().filter(|one| one.mismatch().is_some()) {
        let keys = one.keys();
        let is_open = |key: &Key| {
            let tries = tried.get(key).copied().unwrap_or(0);
            !confirmed.contains(key) && tries < TRIES && (tries > 0 || tried.len() < KEYS)
        };
        if !keys.iter().any(is_open) {
            continue;
        }
        observer.note(&format!("running sequence {} of the suite again, alone", one.number));
        let manner = Manner { attempt: one.attempts, at_once: false };
        let Some(second) = once(env, suite, one.number, &one.inputs, manner).await else { continue };
        for key in &keys {
            *tried.entry(*key).or_default() += 1;
        }
        confirmed.extend(second.keys().intersection(&keys));
        one.second = second.evidence;
    }
}
