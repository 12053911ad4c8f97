//! Owns the first sessions of a run: whether the subject serves at all, and how long its answers take when nothing else runs.

use std::sync::Arc;

use lastword_judge::Connection;
use lastword_spec::limits::Limits;
use lastword_spec::trace::EventKind;

use super::control::Control;
use super::env::Env;
use super::result::Evidence;

/// What was measured before the cases.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Whether there was an answer to the upgrade.
    pub reachable: bool,
    /// Why no session completed, if none did.
    pub broken: Option<String>,
    /// What the subject announced.
    pub limits: Option<Limits>,
    /// From `config` to `ready`, the middle of the sessions, in microseconds.
    pub ready_us: Option<u64>,
    /// From the sentinel to the last final, likewise.
    pub last_final_us: Option<u64>,
    /// From the sentinel to `session_ended`, likewise.
    pub ended_us: Option<u64>,
    /// A whole control session, in milliseconds.
    pub session_ms: Option<u64>,
    /// What happened in the sessions.
    pub sessions: Vec<Evidence>,
}

const SESSIONS: usize = 3;
/// A subject that turns the very first session away may still be starting.
const TRIES_WHEN_OVERLOADED: usize = 5;
/// How often a session is held again in which the subject fell silent: its machine may have stood still for a moment.
const TRIES_WHEN_SILENT: usize = 1;
/// How often a session is held again that the subject ended before its time: a line that stood still makes a client late.
const TRIES_WHEN_CUT: usize = 2;

/// Runs a few control sessions, one after the other; the first one that fails ends it.
pub(crate) async fn calibrate(env: &Arc<Env>) -> Calibration {
    let mut controls: Vec<Control> = Vec::new();
    let (mut refused, mut silent, mut cut) = (0, 0, 0);
    while controls.len() < SESSIONS {
        let Some(control) = env.controls.alone().await else { break };
        if control.overloaded && refused < TRIES_WHEN_OVERLOADED {
            refused += 1;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            continue;
        }
        if control.fell_silent && silent < TRIES_WHEN_SILENT {
            silent += 1;
            continue;
        }
        if control.was_cut_short() && cut < TRIES_WHEN_CUT {
            cut += 1;
            continue;
        }
        let ok = control.ok;
        controls.push(control);
        if !ok {
            break;
        }
    }
    let reachable = controls.iter().any(|control| control.trace.events.iter().any(|event| is_answer(&event.kind)));
    let broken = controls.iter().find(|control| !control.ok).map(why);
    let good: Vec<&Control> = controls.iter().filter(|control| control.ok).collect();
    let session_ms = middle(good.iter().map(|control| control.took_ms).collect());
    env.controls.calibrated(session_ms, broken.clone());
    let times = |time: fn(&Connection) -> Option<u64>| {
        let connections = good.iter().filter_map(|control| control.judgement.connections.first());
        middle(connections.filter_map(time).collect())
    };
    Calibration {
        reachable,
        broken,
        limits: env.ready.get().map(|ready| ready.limits.clone()),
        ready_us: times(|one| Some(one.ready_us?.saturating_sub(one.opened_us?))),
        last_final_us: times(|one| Some(one.last_final_us?.saturating_sub(one.sentinel_us?))),
        ended_us: times(|one| Some(one.session_ended_us?.saturating_sub(one.sentinel_us?))),
        session_ms,
        sessions: controls.iter().map(Control::evidence).collect(),
    }
}

fn why(control: &Control) -> String {
    control.why.clone().unwrap_or_else(|| "a control session did not complete".to_owned())
}

fn is_answer(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Open(_) | EventKind::Refused { .. })
}

fn middle(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
