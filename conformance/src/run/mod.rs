//! Owns the course of a run: calibration, the cases side by side, the second look at every failure, and the transcripts.
//! It hands back results; printing them and mapping them to an exit code is not its business.

mod applicable;
pub(crate) mod calibrate;
pub(crate) mod company;
mod confirm;
pub(crate) mod control;
pub(crate) mod env;
mod expected;
mod fall;
mod gate;
mod knowledge;
mod language;
mod look;
mod patience;
pub(crate) mod player;
mod pool;
mod probe;
mod result;
pub(crate) mod slot;
mod stimulus;
mod suspects;
mod system;
mod transcribe;
mod unit;
pub(crate) mod wait;
mod watch;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

pub(crate) use applicable::{obstacle, skip};
pub use calibrate::Calibration;
pub(crate) use confirm::{confirmed, settle_all};
pub(crate) use expected::judge as judge_case;
pub(crate) use fall::fallen;
pub use knowledge::{Expected, Knowledge};
pub(crate) use result::{CONTROL_FAILED, skipped};
pub use result::{CaseResult, Confirmation, Evidence, Run};
pub(crate) use system::queues;
pub use transcribe::{Transcript, Transcripts};

use tokio::time::Instant;

use self::control::Controls;
use self::env::Env;
use self::gate::Gate;
use self::suspects::{Parking, Suspects};
use crate::case::Case;
use crate::memory::Watch;
use crate::speech::Speech;
use crate::suite::{self, SuitePlan};
use crate::wire::Dialler;

/// What is to be done, and within which limits.
pub struct Plan {
    /// How the subject is reached.
    pub dialler: Dialler,
    /// What is said to it.
    pub speech: Speech,
    /// The cases, in the order of the report.
    pub cases: Vec<&'static Case>,
    /// How many cases run side by side at most.
    pub jobs: usize,
    /// How many sessions are open at most; `None` for as many as there are cases.
    pub max_sessions: Option<usize>,
    /// How many connections are opened a second at most.
    pub rate: Option<f64>,
    /// How many seconds of audio the cases send at most.
    pub audio_budget_s: Option<u64>,
    /// The order in which cases are tried.
    pub seed: u64,
    /// The longest wait, in milliseconds.
    pub max_wait_ms: u64,
    /// Whether the recordings are transcribed after the cases.
    pub transcribe: bool,
    /// How the m-complete suite is run after the cases; `None` to leave it out, which certifies nothing.
    pub suite: Option<SuitePlan>,
    /// Texts that a subject with stub words must give, by the name of a recording.
    pub expect: Vec<(String, String)>,
}

/// Who wants to see a run go on.
pub trait Observer: Send + Sync {
    /// Calibration is over.
    fn calibrated(&self, calibration: &Calibration);
    /// A case was decided.
    fn finished(&self, result: &CaseResult, done: usize, total: usize);
    /// Something else goes on.
    fn note(&self, what: &str);
}

/// Whether the subject completes a session now, as it did at first.
async fn serves(env: &Arc<Env>) -> bool {
    if env.controls.last().is_some_and(|control| control.ok) {
        return true;
    }
    env.controls.alone().await.is_some_and(|control| control.ok || control.overloaded)
}

/// So many sessions that nobody waits for one where the operator sets no bound: most cases have one or two, but somebody who looks
/// into a stall has thirty, and several do at a time. Whoever had to wait there would be taken for one whom the subject lets wait.
fn enough_sessions(jobs: usize) -> usize {
    const EACH: usize = 24;
    /// Two ends of each fit into what a process may usually have open.
    const MOST: usize = 400;
    (jobs * EACH).min(MOST).max(jobs * 3 + 16)
}

/// What the parts of a run share, before its first session, and how much may go on side by side.
pub(crate) fn environment(plan: &Plan) -> (Arc<Env>, usize) {
    let sessions = plan.max_sessions.unwrap_or_else(|| enough_sessions(plan.jobs)).max(1);
    let env = Arc::new(Env {
        watch: plan.dialler.is_in_memory().then(Watch::new).flatten(),
        dialler: plan.dialler.clone(),
        speech: plan.speech.clone(),
        gate: Gate::new(sessions, plan.rate, plan.audio_budget_s.map(|seconds| seconds * 1_000)),
        suspects: Suspects::default(),
        parking: Parking::default(),
        lanes: AtomicUsize::new(plan.jobs),
        controls: Controls::new(),
        seed: plan.seed,
        max_wait_ms: plan.max_wait_ms,
        started: Instant::now(),
        expect: plan.expect.clone(),
        ready: OnceLock::new(),
    });
    env.controls.attach(&env);
    (env, plan.jobs.min(sessions).max(1))
}

/// Carries out a plan.
pub async fn run(plan: Plan, observer: &dyn Observer) -> Run {
    let started = Instant::now();
    let (env, jobs) = environment(&plan);
    let calibration = calibrate::calibrate(&env).await;
    observer.calibrated(&calibration);
    let knowledge = env.knowledge();
    let (mut results, jobs_at_end) = if calibration.reachable {
        let all = pool::run_all(&env, &plan.cases, jobs, observer).await;
        pool::run_crowded_again(&env, all, observer).await
    } else {
        let why = calibration.broken.clone().unwrap_or_else(|| "no connection".to_owned());
        (plan.cases.iter().map(|case| result::unreachable(case, &why)).collect(), jobs)
    };
    let alone = confirm::confirm(&env, &mut results, jobs_at_end, observer).await;
    let mut suite = None;
    if let Some(wanted) = plan.suite {
        let known = confirm::confirmed(&results);
        let (result, run) = suite::conduct(&env, wanted, jobs_at_end, &known, observer).await;
        results.push(result);
        suite = Some(run);
    }
    let transcripts = if plan.transcribe && calibration.broken.is_none() && serves(&env).await {
        observer.note("transcribing the recordings");
        Some(transcribe::transcribe(&env, jobs_at_end).await)
    } else {
        None
    };
    Run {
        results,
        planned: plan.cases.len() + usize::from(plan.suite.is_some()),
        calibration,
        knowledge,
        alone,
        suite,
        transcripts,
        jobs_at_end,
        connections: env.gate.dialled(),
        audio_ms: env.gate.audio_spent_ms(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
