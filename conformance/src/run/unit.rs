//! Owns one case between its control sessions: attempts, the judge's word on each, the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lastword_spec::finding::Verdict;

use super::control::Control;
use super::env::Env;
use super::expected;
use super::player::Player;
use super::result::{CaseResult, Confirmation, Evidence, skipped};
use crate::case::Case;
use crate::verdict::{self, Circumstances};

/// What came of one case.
pub(super) enum Unit {
    /// It was decided, or shown to be undecidable.
    Done(Box<CaseResult>),
    /// The subject had no room for it.
    Overloaded,
}

/// Every wait is bounded, so this is never reached unless the harness is at fault.
const CASE_BOUND: Duration = Duration::from_secs(300);
/// How often a control session is tried again that was turned away for want of capacity.
const CONTROL_TRIES: usize = 5;
const CONTROL_PAUSE: Duration = Duration::from_millis(100);

/// Runs a case, with a control session before it and one after it.
pub(super) async fn run(env: &Arc<Env>, case: &'static Case) -> Unit {
    let started = Instant::now();
    let before = match env.controls.last() {
        Some(control) if control.ok => None,
        _ => control_failure(env).await,
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        if !env.gate.take_audio(case.audio_ms(&env.speech, attempt)) {
            return Unit::Done(Box::new(skipped(case, Verdict::NotTested, "the audio budget (--audio-budget) is used up")));
        }
        let Ok(played) = tokio::time::timeout(CASE_BOUND, Player::play(env, case, attempt)).await else {
            let why = format!("the case did not end within {} s", CASE_BOUND.as_secs());
            return Unit::Done(Box::new(skipped(case, Verdict::HarnessError, &why)));
        };
        if played.overloaded {
            return Unit::Overloaded;
        }
        let mut trace = played.trace;
        let mut judgement = expected::judge(env, case, &trace);
        let mut circumstances = Circumstances { unmet: played.unmet, control_failed: before.clone() };
        let (first, _) = verdict::of_case(case, &judgement, &circumstances);
        if attempt < case.attempts && matches!(first, Verdict::NotTested | Verdict::Inconclusive) {
            continue;
        }
        let mut slowest_ms = played.controls.iter().map(|control| control.took_ms).max();
        if env.controls.broken().is_none() && !first.is_failure() {
            match control_after(env).await {
                Some(control) if control.overloaded => return Unit::Overloaded,
                Some(control) if control.ok => slowest_ms = slowest_ms.max(Some(control.took_ms)),
                Some(control) => circumstances.control_failed = circumstances.control_failed.or(control.why),
                None => {}
            }
        }
        // Judged again by the clock of the control sessions around it, and kept so that a replay says the same.
        let scale = slowest_ms.map_or(100, |took_ms| env.controls.scale_percent(took_ms));
        if scale > trace.header.time_scale_percent {
            trace.header.time_scale_percent = scale;
            judgement = expected::judge(env, case, &trace);
        }
        let (verdict, reason) = verdict::of_case(case, &judgement, &circumstances);
        return Unit::Done(Box::new(CaseResult {
            case,
            verdict,
            reason,
            evidence: Some(Evidence { trace: Arc::new(trace), judgement: Arc::new(judgement) }),
            confirmation: Confirmation::None,
            attempts: attempt,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }));
    }
}

/// Why the subject does not serve just now, if it does not.
async fn control_failure(env: &Arc<Env>) -> Option<String> {
    if let Some(why) = env.controls.broken() {
        return Some(why);
    }
    control_after(env).await.and_then(|control| if control.overloaded { None } else { control.why })
}

async fn control_after(env: &Arc<Env>) -> Option<Control> {
    let mut last = None;
    for _ in 0..CONTROL_TRIES {
        last = env.controls.fresh().await;
        if last.as_ref().is_some_and(|control| !control.overloaded) {
            break;
        }
        tokio::time::sleep(CONTROL_PAUSE).await;
    }
    last
}
