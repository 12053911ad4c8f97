//! Owns one case between its control sessions: attempts, the judge's word on each, the verdict.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lastword_judge::Judgement;
use lastword_spec::finding::Verdict;
use lastword_spec::requirements::REC_S2;
use lastword_spec::trace::{Event, Trace};
use tokio::time::Instant;

use super::control::{self, Control};
use super::env::Env;
use super::expected;
use super::player::Player;
use super::result::{CaseResult, Confirmation, Evidence, skipped};
use super::wait::CONTROL_AFTER;
use crate::case::Case;
use crate::verdict::{self, Circumstances};

/// What came of one case.
pub(super) enum Unit {
    /// It was decided, or shown to be undecidable.
    Done(Box<CaseResult>),
    /// The subject had no room for it.
    Overloaded,
}

/// Every wait is bounded, so this is never reached unless the harness is at fault. An operator who waits for long has it longer.
const CASE_BOUND: Duration = Duration::from_secs(300);
/// So many of the operator's longest waits fit into a case; a server that gets on may use up several in one wait.
const LONGEST_WAITS: u32 = 24;
/// The same where waiting costs nothing, and quiescence is looked for over days.
const VIRTUAL_CASE_BOUND: Duration = Duration::from_secs(300 * 24 * 3600);
/// How often a control session is tried again that was turned away for want of capacity.
const CONTROL_TRIES: usize = 5;
const CONTROL_PAUSE: Duration = Duration::from_millis(100);

/// Runs a case, with a control session before it and one after it; not at all where the subject has stopped to answer, for
/// then every further case would only cost time.
pub(super) async fn run_unless_dead(env: &Arc<Env>, case: &'static Case) -> Unit {
    if let Some(why) = env.controls.dead_just_now() {
        return Unit::Done(Box::new(skipped(case, Verdict::Inconclusive, &format!("control failed: {why}"))));
    }
    // Without `ready` every case is the same case.
    if env.controls.is_mute() && env.suspects.never_becomes_ready() {
        let why = "control failed: the subject answers upgrades and nothing else, as other cases show";
        return Unit::Done(Box::new(skipped(case, Verdict::Inconclusive, why)));
    }
    if env.controls.is_dead()
        && let Some(control) = env.controls.fresh().await
        && !control.reached
    {
        let why =
            format!("control failed: {}", control.why.unwrap_or_else(|| "the subject answers nothing".to_owned()));
        return Unit::Done(Box::new(skipped(case, Verdict::Inconclusive, &why)));
    }
    run(env, case).await
}

/// Longer than a subject may keep what a session held. [REC-S2]
const LEFT_ALONE: Duration = Duration::from_millis(5_500);

/// The same for a subject that says that it has no room although nothing else of the harness runs: it is left alone before, and if it
/// says so then, it is at fault. Nothing follows where others may have sessions with it, or where it never had room.
pub(super) async fn run_left_alone(env: &Arc<Env>, case: &'static Case) -> Unit {
    let is_ours = env.dialler.target().pid.is_some() || env.watch.is_some();
    if !is_ours || env.controls.broken().is_some() {
        return Unit::Overloaded;
    }
    let began = Instant::now();
    tokio::time::sleep(env.controls.scaled(LEFT_ALONE)).await;
    let for_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    run_after(env, case, Some(for_ms)).await
}

/// Runs a case, with a control session before it and one after it.
pub(super) async fn run(env: &Arc<Env>, case: &'static Case) -> Unit {
    run_after(env, case, None).await
}

/// Runs a case before which the subject was left alone for so long, if it was.
async fn run_after(env: &Arc<Env>, case: &'static Case, left_alone_ms: Option<u64>) -> Unit {
    let started = Instant::now();
    let knowledge = env.knowledge();
    let before = match env.controls.last() {
        Some(control) if control.ok => None,
        // No session may come between.
        _ if left_alone_ms.is_some() => None,
        _ => control_failure(env).await,
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        if !env.gate.take_audio(case.audio_ms(&env.speech, attempt)) {
            return Unit::Done(Box::new(skipped(
                case,
                Verdict::NotTested,
                "the audio budget (--audio-budget) is used up",
            )));
        }
        let patient = Duration::from_millis(env.max_wait_ms).saturating_mul(LONGEST_WAITS);
        let bound = if env.watch.is_some() { VIRTUAL_CASE_BOUND } else { CASE_BOUND.max(patient) };
        let begun_us = u64::try_from(env.started.elapsed().as_micros()).ok();
        let Ok(played) = tokio::time::timeout(bound, Player::play(env, case, attempt, left_alone_ms)).await else {
            let why = format!("the case did not end within {} s", bound.as_secs());
            return Unit::Done(Box::new(skipped(case, Verdict::HarnessError, &why)));
        };
        let mut trace = played.trace;
        let judgement = expected::judge(&knowledge, case, &trace);
        let kept_its_slots = judgement.findings.iter().any(|finding| finding.requirement == REC_S2);
        if played.overloaded && !kept_its_slots {
            return Unit::Overloaded;
        }
        let mut circumstances = Circumstances { unmet: played.unmet, control_failed: before.clone(), begun_us };
        let (first, _) = verdict::of_case(case, &judgement, &circumstances);
        if attempt < case.attempts && may_try_again(first, &judgement) {
            continue;
        }
        let mut slowest_ms = control::slowest_ms(&played.controls);
        if env.controls.broken().is_none() && !first.is_failure() {
            match control_after(env).await {
                Some(control) if control.overloaded => return Unit::Overloaded,
                Some(control) => {
                    append_control(&mut trace, &control);
                    slowest_ms = slowest_ms.max(Some(control.took_ms).filter(|_| control.ok));
                    circumstances.control_failed = circumstances.control_failed.or(control.why);
                }
                None => {}
            }
        }
        // Judged by the clock of the control sessions around it, which the trace keeps so that a replay says the same.
        let scale = slowest_ms.map_or(100, |took_ms| env.controls.scale_percent(took_ms));
        trace.header.time_scale_percent = trace.header.time_scale_percent.max(scale);
        let judgement = expected::judge(&knowledge, case, &trace);
        let (verdict, reason) = verdict::of_case(case, &judgement, &circumstances);
        return Unit::Done(Box::new(CaseResult {
            case,
            verdict,
            reason,
            evidence: Some(Evidence { trace: Arc::new(trace), judgement: Arc::new(judgement) }),
            circumstances,
            second: None,
            third: None,
            confirmation: Confirmation::None,
            unrepeated: BTreeSet::new(),
            attempts: attempt,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }));
    }
}

/// Whether a further attempt may decide what this one did not. One that ended because a debt of the server outlasted the harness's
/// patience stands: a pass must not forget it.
fn may_try_again(verdict: Verdict, judgement: &Judgement) -> bool {
    let undecided = matches!(verdict, Verdict::NotTested | Verdict::Inconclusive);
    undecided && judgement.suspicions.iter().all(|suspicion| suspicion.paid_us.is_some())
}

fn append_control(trace: &mut Trace, control: &Control) {
    let t_us = trace.events.last().map_or(0, |event| event.t_us);
    trace.events.push(Event::new(t_us, CONTROL_AFTER, control.event()));
}

/// Why the subject does not serve just now, if it does not.
async fn control_failure(env: &Arc<Env>) -> Option<String> {
    if let Some(why) = env.controls.broken() {
        return Some(why);
    }
    control_after(env).await.and_then(|control| if control.overloaded { None } else { control.why })
}

async fn control_after(env: &Arc<Env>) -> Option<Control> {
    if env.controls.dead_just_now().is_some() {
        return env.controls.last();
    }
    if let Some(lost) = env.controls.lost_just_now() {
        return Some(lost);
    }
    // It waits and does nothing: others may run meanwhile.
    let _parked = env.parking.park();
    let (mut had_no_room, mut fell_silent) = (0, false);
    loop {
        let control = env.controls.fresh().await;
        if control.as_ref().is_none_or(|control| control.overloaded) {
            had_no_room += 1;
            if had_no_room == CONTROL_TRIES {
                return control;
            }
            tokio::time::sleep(CONTROL_PAUSE).await;
        } else if !fell_silent && env.controls.may_have_stood_still(control.as_ref()) {
            fell_silent = true;
        } else {
            return control;
        }
    }
}

#[cfg(test)]
mod tests {
    use lastword_judge::judge;
    use lastword_spec::trace;

    use super::*;

    const HEADER: &str = r#"{"lastword_trace":1,"subject":"server"}"#;
    const OPEN: &str = r#"{"t_us":0,"conn":0,"open":{"offered":["lastword.v1"],"selected":"lastword.v1"}}"#;
    const CONFIG: &str = r#"{"t_us":1,"conn":0,"from":"client","text":"{\"type\":\"config\"}"}"#;
    const GAVE_UP: &str = r#"{"t_us":4000000,"conn":0,"gave_up":{"after_ms":4000}}"#;

    fn of(lines: &[&str]) -> Judgement {
        judge(&trace::read(&(lines.join("\n") + "\n")).expect("a trace"), &lastword_judge::Options::default())
    }

    #[test]
    fn an_attempt_that_waited_in_vain_for_what_is_owed_is_not_forgotten_by_another_one() {
        assert!(may_try_again(Verdict::NotTested, &of(&[HEADER, OPEN])));
        assert!(may_try_again(Verdict::Inconclusive, &of(&[HEADER, OPEN, GAVE_UP])), "nothing was owed");
        assert!(!may_try_again(Verdict::Inconclusive, &of(&[HEADER, OPEN, CONFIG, GAVE_UP])), "`ready` was");
        assert!(!may_try_again(Verdict::Pass, &of(&[HEADER, OPEN])));
    }
}
