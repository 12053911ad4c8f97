//! Owns waiting: until something has come, the connection is over, or patience ends with control sessions as witnesses. Who is
//! the first to suspect a kind of debt also gathers the evidence. Every wait ends, and none of its bounds is a verdict.

use std::sync::Arc;
use std::time::Duration;

use lastword_spec::trace::EventKind;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::control::{self, Control};
use super::env::Env;
use super::patience::{Waiting, principal};
use super::player::Opened;
use super::suspects::{Key, Parked};
use super::watch::{Lead, Watched};
use crate::case::Within;
use crate::memory::Seen;
use crate::record::Recorder;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// What was waited for has come.
    Came,
    /// The connection is over.
    Over,
    /// It has not come, and that is written down together with a control session.
    GaveUp,
}

/// One wait on one connection.
pub(crate) struct Wait<'a> {
    pub(super) env: &'a Arc<Env>,
    pub(super) recorder: &'a Arc<Recorder>,
    pub(super) conn: u32,
    pub(super) within: Option<Within>,
    pub(super) controls: &'a mut Vec<Control>,
    pub(super) opened: Option<&'a mut Opened>,
    state: Progress<'a>,
}

/// How far a wait has come.
struct Progress<'a> {
    since_us: u64,
    witness: Option<oneshot::Receiver<Option<Control>>>,
    /// Control sessions of this wait that were held.
    heard: usize,
    /// The number of the last of them.
    last_heard: Option<u64>,
    /// One fell silent, and was not counted.
    doubted: bool,
    /// No further one can be held beside the suspect.
    exhausted: bool,
    watched: Option<Watched>,
    /// Whether this wait has asked for the lead.
    asked: bool,
    lead: Option<Lead>,
    parked: Option<Parked<'a>>,
    /// How often the process moved while it was watched for quiescence.
    interruptions: u32,
}

/// Control sessions stand in a trace under numbers that no connection of a case has.
const CONTROL_CONN: u32 = 1_000;
/// The connection that a case opens first.
pub(super) const FIRST_CONN: u32 = 0;
/// The control session before a case.
pub(crate) const CONTROL_BEFORE: u32 = 998;
/// The control session after a case.
pub(crate) const CONTROL_AFTER: u32 = 999;
/// How many control sessions a suspect must outlive that is the first of its kind; the judge asks for as many.
pub(super) const CONTROLS: usize = 3;
/// What the wait for a timer outlasts the timer's own bound by.
const TIMER_MARGIN_US: u64 = 200_000;
/// Who moves so often while it is watched is not watched any longer.
const INTERRUPTIONS: u32 = 8;
/// A server that reads nothing is given this long at least.
const WRITE_FLOOR_MS: u64 = 10_000;

impl<'a> Wait<'a> {
    pub(crate) fn new(
        env: &'a Arc<Env>,
        recorder: &'a Arc<Recorder>,
        conn: u32,
        within: Option<Within>,
        controls: &'a mut Vec<Control>,
        opened: Option<&'a mut Opened>,
    ) -> Self {
        let state = Progress {
            since_us: recorder.now_us(),
            witness: None,
            heard: 0,
            last_heard: None,
            doubted: false,
            exhausted: false,
            watched: None,
            asked: false,
            lead: None,
            parked: None,
            interruptions: 0,
        };
        Self { env, recorder, conn, within, controls, opened, state }
    }

    /// Waits until `done`.
    pub(crate) async fn until(mut self, done: impl Fn(&Recorder) -> bool) -> Waited {
        let mut changes = self.recorder.changes();
        let mut known = self.env.suspects.changes();
        loop {
            // Asked first: what is waited for may come between the two questions, with the end of the connection or as its end.
            let is_over = self.recorder.is_over(self.conn);
            if done(self.recorder) {
                return self.ended(Waited::Came).await;
            }
            if is_over {
                return self.ended(Waited::Over).await;
            }
            let now_us = self.recorder.now_us();
            let (suspicious_us, until_us) = self.bounds();
            let is_late = now_us >= until_us;
            if (is_late && self.is_witnessed()) || (self.state.heard > 0 && self.env.controls.is_dead()) {
                // What has happened so far has been looked at.
                changes.borrow_and_update();
                tokio::select! {
                    biased;
                    _ = changes.changed(), if self.state.interruptions < INTERRUPTIONS => self.state.interruptions += 1,
                    quiescent = self.quiescent() => return self.note_giving_up(quiescent).await,
                }
                continue;
            }
            if suspicious_us.is_some_and(|suspicious_us| now_us >= suspicious_us) || is_late {
                self.suspect();
            } else if self.env.suspects.flood() && self.recorder.ready(self.conn).is_none() {
                self.park();
            }
            let next_us = match suspicious_us {
                Some(suspicious_us) if suspicious_us > now_us => suspicious_us.min(until_us),
                _ => until_us,
            };
            let wake = self.recorder.instant(next_us.max(now_us + 1_000));
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                _ = known.changed() => {}
                () = sleep_until(wake), if now_us < until_us => {}
                heard = hear(&mut self.state.witness) => self.heard(heard),
            }
        }
    }

    /// Writes down that the harness waits no longer, with a control session to witness that the subject still serves.
    pub(crate) async fn give_up(mut self) -> Waited {
        self.call_witness();
        let heard = hear(&mut self.state.witness).await;
        self.heard(heard);
        let quiescent = self.quiescent().await;
        self.note_giving_up(quiescent).await
    }

    /// Whether every task of the process waits, where that can be seen.
    async fn quiescent(&self) -> Option<bool> {
        let watch = self.env.watch?;
        if self.state.interruptions == INTERRUPTIONS {
            return Some(false);
        }
        Some(matches!(watch.observe().await, Seen::Quiescent { .. }))
    }

    fn bounds(&mut self) -> (Option<u64>, u64) {
        if let Some(timer) = self.within.and_then(|_| self.recorder.timer(self.conn)) {
            let latest_us = self.state.since_us + self.env.max_wait_ms * 1_000;
            let lasts_us = timer.due_us.saturating_sub(self.recorder.last_us(self.conn));
            let due_us = timer.due_us + lasts_us / 100 * (self.stretch_percent() - 100);
            let margin_us = TIMER_MARGIN_US / 100 * self.scale_percent();
            // A control session that is slow itself moves the moment from which on the timer may fire; it must still end behind it.
            return (Some(due_us.min(latest_us)), (due_us + margin_us).min(latest_us));
        }
        let owed = self.recorder.owed_by_server(self.conn);
        let limits = self.recorder.limits(self.conn);
        let scale_percent = self.scale_percent();
        let waiting = Waiting {
            owed: &owed,
            motion: self.recorder.motion(self.conn),
            last_us: self.recorder.last_us(self.conn),
            since_us: self.state.since_us,
            progress_interval_ms: limits.progress_interval_ms,
            scale_percent,
            stretch_percent: self.stretch_percent(),
            usual_ms: self.env.controls.usual_ms(),
            max_wait_ms: self.env.max_wait_ms,
        };
        let debt = principal(&owed);
        let key = debt.map(Key::of);
        Watched::note(&mut self.state.watched, debt, waiting.last_us, self.recorder.milestones(self.conn));
        // Who has the lead waits for the whole bound, whatever others have seen.
        let is_known = self.state.lead.is_none() && key.is_some_and(|key| self.env.suspects.is_known(&key));
        (waiting.suspicious_us(), waiting.until_us(is_known))
    }

    /// How slow everything is: by the last control session, or by the slowest that was held for this case.
    fn scale_percent(&self) -> u64 {
        let own = control::slowest_ms(self.controls).map(|took_ms| self.env.controls.scale_percent(took_ms));
        self.env.controls.current_scale_percent().max(own.unwrap_or(100))
    }

    /// How much slower the case will be judged to be than its record reckons so far.
    fn stretch_percent(&self) -> u64 {
        (self.scale_percent() * 100 / self.recorder.scale_percent()).max(100)
    }

    /// The silence is conspicuous: others may run meanwhile, control sessions are held, and the first of a kind is looked into.
    fn suspect(&mut self) {
        self.park();
        if !self.state.asked {
            self.state.asked = true;
            let leads = self.within.is_none();
            if let (true, Some(watched), Some(opened)) = (leads, &self.state.watched, self.opened.as_deref()) {
                self.state.lead = Lead::claim(self.env, self.recorder, self.conn, watched, opened);
            }
        }
        if self.state.witness.is_none() && !self.has_all_witnesses() {
            self.call_witness();
        }
    }

    fn park(&mut self) {
        if self.state.parked.is_none() {
            self.state.parked = Some(self.env.parking.park());
        }
    }

    fn has_all_witnesses(&self) -> bool {
        let wanted = if self.state.lead.is_some() { CONTROLS } else { 1 };
        self.state.exhausted || self.state.heard >= wanted
    }

    fn is_witnessed(&self) -> bool {
        self.state.witness.is_none() && self.has_all_witnesses()
    }

    fn call_witness(&mut self) {
        let (tell, hear) = oneshot::channel();
        let (env, before) = (Arc::clone(self.env), self.state.last_heard);
        tokio::spawn(async move {
            let control = match before {
                // The silence goes on, so that one which others have begun meanwhile is as good.
                Some(before) => env.controls.after(before).await,
                None => env.controls.fresh().await,
            };
            let _ = tell.send(control);
        });
        self.state.witness = Some(hear);
    }

    fn heard(&mut self, control: Option<Control>) {
        self.state.witness = None;
        let Some(control) = control.filter(|control| !control.overloaded) else {
            self.state.exhausted = true;
            let why = "no control session could be held beside it: there is room for one session only".to_owned();
            self.recorder.note(self.conn, EventKind::Note(why));
            return;
        };
        // Who has the lead hears several in any case.
        let may_doubt = self.state.lead.is_none() && !self.state.doubted;
        let doubted = may_doubt && self.env.controls.may_have_stood_still(Some(&control));
        self.state.doubted |= doubted;
        self.state.heard += usize::from(!doubted);
        self.state.last_heard = Some(control.number);
        note_control(self.recorder, self.controls, control);
    }

    /// What was waited for has come, or cannot come any more.
    async fn ended(mut self, waited: Waited) -> Waited {
        if self.recorder.is_flooded(self.conn) && self.recorder.ready(self.conn).is_none() {
            self.env.suspects.flooded();
        }
        let watched = self.state.watched.take();
        match (self.state.lead.take(), watched) {
            (Some(lead), Some(watched)) => {
                let after = watched.age(self.recorder.now_us());
                lead.came(self.env, self.recorder, after, self.opened.as_deref_mut()).await;
            }
            (None, Some(watched)) if waited == Waited::Came => {
                let scale = self.env.controls.current_scale_percent();
                let late = watched.masked(self.env, self.recorder, self.conn, scale, self.opened.as_deref());
                if let (Some(late), Some(opened)) = (late, self.opened.as_deref_mut()) {
                    opened.probe_later.push(late);
                }
            }
            _ => {}
        }
        waited
    }

    async fn note_giving_up(mut self, quiescent: Option<bool>) -> Waited {
        if let Some(watched) = &self.state.watched {
            self.env.suspects.never_came(watched.key.clone());
        }
        let silent_us = self.recorder.now_us().saturating_sub(self.recorder.last_us(self.conn));
        self.recorder.note(self.conn, EventKind::GaveUp { after_ms: silent_us / 1_000, quiescent });
        if let Some(lead) = self.state.lead.take() {
            lead.gave_up(self.env, self.recorder, self.opened.as_deref_mut()).await;
        }
        Waited::GaveUp
    }
}

/// Writes down what came of a control session.
pub(super) fn note_control(recorder: &Recorder, controls: &mut Vec<Control>, control: Control) {
    let number = CONTROL_CONN + u32::try_from(controls.len()).unwrap_or(0);
    if let Some(why) = control.why.as_ref().filter(|_| control.answered) {
        recorder.note(number, EventKind::Note(format!("the subject answers, but {why}")));
    }
    recorder.note(number, control.event());
    controls.push(control);
}

async fn hear(witness: &mut Option<oneshot::Receiver<Option<Control>>>) -> Option<Control> {
    match witness {
        Some(hear) => hear.await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// How long one write may take in which the server says nothing.
pub(crate) fn write_bound(env: &Env, recorder: &Recorder, conn: u32) -> Duration {
    let limits = recorder.limits(conn);
    let scale = env.controls.current_scale_percent();
    let silence_ms = (2 * limits.progress_interval_ms).max(WRITE_FLOOR_MS) * scale / 100;
    Duration::from_millis(silence_ms.min(env.max_wait_ms))
}

/// Waits for a write; every message of the server extends the bound.
pub(crate) async fn sending(
    recorder: &Arc<Recorder>,
    conn: u32,
    bound: Duration,
    write: impl Future<Output = bool>,
) -> Waited {
    tokio::pin!(write);
    let mut changes = recorder.changes();
    let mut deadline = Instant::now() + bound;
    loop {
        tokio::select! {
            biased;
            written = &mut write => return if written { Waited::Came } else { Waited::Over },
            _ = changes.changed() => {
                if recorder.is_over(conn) {
                    return Waited::Over;
                }
                deadline = Instant::now() + bound;
            }
            () = sleep_until(deadline) => return Waited::GaveUp,
        }
    }
}

/// Waits without patience or witness; nothing is written down.
pub(crate) async fn quietly(recorder: &Arc<Recorder>, until: Instant, done: impl Fn(&Recorder) -> bool) {
    let mut changes = recorder.changes();
    while !done(recorder) {
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = sleep_until(until) => return,
        }
    }
}
