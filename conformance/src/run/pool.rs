//! Owns how cases run side by side: as many as allowed, fewer when the subject says that it has no room. A case that hangs or
//! breaks costs that case only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lastword_spec::finding::Verdict;
use lastword_spec::requirements::{CFG_S1, CLO_S2, END_S1, END_S2, END_S6, FLU_S2};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::env::Env;
use super::result::{CaseResult, skipped};
use super::slot::SlotPauses;
use super::unit::{self, Unit};
use super::{Observer, applicable};
use crate::case::{Case, Need, Step};

/// How often a case is tried again that was turned away although nothing else ran.
const TRIES_ALONE: u32 = 3;

/// Runs every case; the results stand in the order of the cases. Also says how many ran side by side in the end.
pub(super) async fn run_all(
    env: &Arc<Env>,
    cases: &[&'static Case],
    jobs: usize,
    observer: &dyn Observer,
) -> (Vec<CaseResult>, usize) {
    let knowledge = env.knowledge();
    let mut results: Vec<Option<CaseResult>> = vec![None; cases.len()];
    let mut queue = VecDeque::new();
    // Where nearly nothing succeeds no case shows more for being alone, and each would wait in vain by itself.
    let (mut done, mut failed) = (0, 0);
    for index in order(cases, env.seed, env.controls.broken().is_some()) {
        match applicable::skip(&knowledge, cases[index]) {
            Some((verdict, why)) => {
                let result = skipped(cases[index], verdict, &why);
                done += 1;
                observer.finished(&result, done, cases.len());
                results[index] = Some(result);
            }
            None => queue.push_back(index),
        }
    }
    let mut limit = jobs;
    let mut turned_away: BTreeMap<usize, u32> = BTreeMap::new();
    let mut pauses = SlotPauses::default();
    let mut left_alone = false;
    let mut running = JoinSet::new();
    let mut by_task = BTreeMap::new();
    while !queue.is_empty() || !running.is_empty() {
        env.lanes.store(limit, Ordering::Relaxed);
        // A case that only waits for a suspect keeps nobody from running, unless there is room for one only.
        let parked = if limit > 1 { env.parking.count().min(limit) } else { 0 };
        while running.len() < limit + parked
            && let Some(index) = queue.pop_front()
        {
            // It stands at the end of the line, so nothing starts beside it either.
            if runs_alone(cases[index]) && !running.is_empty() && env.controls.broken().is_none() && failed * 2 <= done
            {
                queue.push_front(index);
                break;
            }
            let (env, case) = (Arc::clone(env), cases[index]);
            let alone = limit == 1;
            let task = running.spawn(async move { (index, alone, unit::run_unless_dead(&env, case).await) });
            by_task.insert(task.id(), index);
        }
        let finished = tokio::select! {
            biased;
            finished = running.join_next_with_id() => finished,
            () = env.parking.grown() => continue,
        };
        let Some(finished) = finished else { continue };
        let result = match finished {
            Ok((_, (index, _, Unit::Done(result)))) => {
                pauses.begin_anew();
                (index, *result)
            }
            Ok((_, (index, alone, Unit::Overloaded))) => {
                if !alone {
                    let halved = (limit / 2).max(1);
                    if halved < limit {
                        observer.note(&format!("the subject has no room: {halved} cases side by side from here on"));
                    }
                    limit = halved;
                    queue.push_back(index);
                    continue;
                }
                let tries = turned_away.entry(index).or_default();
                *tries += 1;
                if pauses.pause().await || *tries < TRIES_ALONE {
                    queue.push_back(index);
                    continue;
                }
                // Once is enough: who did not get back what a session held does not later either.
                let unit = match std::mem::replace(&mut left_alone, true) {
                    false => unit::run_left_alone(env, cases[index]).await,
                    true => Unit::Overloaded,
                };
                match unit {
                    Unit::Done(result) => (index, *result),
                    Unit::Overloaded => {
                        let why = "the subject said that it has no room, also when nothing else ran";
                        (index, skipped(cases[index], Verdict::Inconclusive, why))
                    }
                }
            }
            Err(error) => {
                let Some(index) = by_task.get(&error.id()).copied() else { continue };
                let why = format!("the harness broke off: {error}");
                (index, skipped(cases[index], Verdict::HarnessError, &why))
            }
        };
        done += 1;
        failed += usize::from(result.1.verdict.is_failure());
        observer.finished(&result.1, done, cases.len());
        results[result.0] = Some(result.1);
    }
    (results.into_iter().flatten().collect(), limit)
}

/// So many times fewer cases run side by side where a subject did not bear so many.
const FEWER: usize = 4;

/// Runs those cases again, with fewer side by side, that were decided by nothing but a control session that failed, as long as one
/// succeeds when nothing else runs: the subject serves, only not so many at once, and has not said so.
pub(super) async fn run_crowded_again(
    env: &Arc<Env>,
    (mut results, mut jobs): (Vec<CaseResult>, usize),
    observer: &dyn Observer,
) -> (Vec<CaseResult>, usize) {
    let bore = jobs;
    while jobs > 1 && env.controls.broken().is_none() {
        let crowded: Vec<usize> = (0..results.len()).filter(|index| results[*index].is_without_control()).collect();
        let failed = results.iter().filter(|result| result.verdict.is_failure()).count();
        // Where most of them have failed, a few more verdicts are not worth a long wait.
        let patience = if crowded.len() < failed { Duration::ZERO } else { backlog(env, bore) };
        if crowded.is_empty() || !recovers(env, patience).await {
            break;
        }
        jobs = (jobs / FEWER).max(1);
        observer.note(&format!(
            "{} cases met a subject that did not serve a plain session beside others: again, {jobs} side by side",
            crowded.len()
        ));
        let cases: Vec<&'static Case> = crowded.iter().map(|index| results[*index].case).collect();
        let (again, left) = run_all(env, &cases, jobs, observer).await;
        jobs = left;
        for (index, result) in crowded.into_iter().zip(again) {
            results[index] = result;
        }
    }
    // It never said that it has no room.
    env.lanes.store(bore, Ordering::Relaxed);
    (results, jobs)
}

/// How long a subject may be busy with what it was sent: so many times what its sessions take one after the other, for some are
/// longer than the plainest; and how long that is waited for.
const LONGER_SESSIONS: u32 = 6;
const LEAST_BACKLOG: Duration = Duration::from_secs(3);
const MOST_BACKLOG: Duration = Duration::from_secs(24);
const RECOVERY_PAUSE: Duration = Duration::from_secs(1);

/// So long a supervisor may take to start a subject anew that is not there.
const COMEBACK: Duration = Duration::from_secs(5);
/// It is asked again so soon.
const COMEBACK_PAUSE: Duration = Duration::from_millis(250);

/// How long a subject may be busy with what so many cases side by side have sent it.
fn backlog(env: &Env, jobs: usize) -> Duration {
    let sessions = u32::try_from(jobs).unwrap_or(u32::MAX).saturating_mul(LONGER_SESSIONS);
    let usual = Duration::from_millis(env.controls.usual_ms());
    env.controls.scaled(usual.saturating_mul(sessions).clamp(LEAST_BACKLOG, MOST_BACKLOG))
}

/// Whether a plain session succeeds when nothing else runs, at once or within this time.
async fn recovers(env: &Arc<Env>, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let back_by = Instant::now() + COMEBACK;
    loop {
        match env.controls.alone().await {
            Some(control) if control.ok => return true,
            // It is silent, or says that it has no room: it may still be busy.
            Some(control) if (control.fell_silent || control.overloaded) && Instant::now() < until => {
                tokio::time::sleep(RECOVERY_PAUSE).await;
            }
            // Nobody is there: a process that died may be started again.
            Some(control) if !control.reached && Instant::now() < back_by => {
                tokio::time::sleep(COMEBACK_PAUSE).await;
            }
            _ => return false,
        }
    }
}

/// So many sessions, one after the other, take longer than any one wait.
const MANY_SESSIONS: u64 = 4;

/// Cases first that show at once whether the subject is stuck, then those that take their time whatever the subject does: for
/// timers, or as long as speech takes. The others by the seed; then those that run alone, and last the one that takes room from others.
/// Of a subject with which no session completes (`is_broken`) none runs alone, and each session may take long: those of many begin.
fn order(cases: &[&'static Case], seed: u64, is_broken: bool) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..cases.len()).collect();
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut keyed: Vec<_> = indices
        .drain(..)
        .map(|index| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let case = cases[index];
            let last = (runs_alone(case) && !is_broken, takes_room(case));
            let is_short = is_broken && case.connections() < MANY_SESSIONS;
            (last, is_short, !is_about_waiting(case), !takes_its_time(case), state, index)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(.., index)| index).collect()
}

/// Whether the case is about a debt that only work pays. If nobody pays it, every other case waits in vain too: the sooner that
/// has been looked into, the shorter they wait.
fn is_about_waiting(case: &Case) -> bool {
    case.covers.first().is_some_and(|id| [CFG_S1, FLU_S2, END_S1, END_S2, END_S6, CLO_S2].contains(id))
}

/// Whether the case opens several sessions at once, which might turn those of other cases away.
fn takes_room(case: &Case) -> bool {
    case.needs.contains(&Need::Sessions)
}

fn runs_alone(case: &Case) -> bool {
    takes_room(case) || case.needs.contains(&Need::Alone)
}

fn takes_its_time(case: &Case) -> bool {
    case.timer.is_some() || case.steps.iter().any(Step::is_paced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::catalogue;

    #[test]
    fn cases_that_take_their_time_start_first_and_the_order_follows_the_seed_and_loses_nobody() {
        let cases: Vec<&'static Case> = catalogue().iter().collect();
        let first = order(&cases, 1, false);
        assert_eq!(first, order(&cases, 1, false));
        assert_ne!(first, order(&cases, 2, false));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..cases.len()).collect::<Vec<_>>());
        let alone = cases.iter().filter(|case| runs_alone(case)).count();
        let room = cases.iter().filter(|case| takes_room(case)).count();
        assert!(alone > room && first[cases.len() - alone..].iter().all(|index| runs_alone(cases[*index])));
        assert!(room > 0 && first[cases.len() - room..].iter().all(|index| takes_room(cases[*index])));
        let beside = || cases.iter().filter(|case| !runs_alone(case));
        let aimed = beside().filter(|case| is_about_waiting(case)).count();
        let slow = beside().filter(|case| takes_its_time(case) && !is_about_waiting(case)).count();
        assert!(aimed > 0 && first[..aimed].iter().all(|index| is_about_waiting(cases[*index])));
        assert!(slow > 0 && first[aimed..aimed + slow].iter().all(|index| takes_its_time(cases[*index])));
    }

    #[test]
    fn where_no_session_completes_the_cases_of_many_sessions_start_first_for_nobody_waits_to_be_alone() {
        let cases: Vec<&'static Case> = catalogue().iter().collect();
        let first = order(&cases, 1, true);
        let of_many = |index: &&usize| cases[**index].connections() >= MANY_SESSIONS && !takes_room(cases[**index]);
        let many = first.iter().filter(of_many).count();
        assert!(many > 0 && first[..many].iter().all(|index| of_many(&index)));
        assert!(first[..many].iter().any(|index| runs_alone(cases[*index])), "one that would run alone is among them");
        let room = cases.iter().filter(|case| takes_room(case)).count();
        assert!(first[cases.len() - room..].iter().all(|index| takes_room(cases[*index])));
    }
}
