//! Owns control sessions: the plainest possible session on a connection of its own, which shows whether the subject still
//! serves. One is shared by everybody who asks while none has started yet.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use lastword_judge::{Judgement, judge};
use lastword_spec::finding::Culprit;
use lastword_spec::trace::{ControlOutcome, EventKind, Trace};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::env::{Env, Session};
use super::gate::SessionPermit;
use super::result::Evidence;
use super::slot::is_overload;
use super::stimulus;
use crate::audio_frames;
use crate::case::{Audio, Open};
use crate::record::Recorder;
use crate::wire::Outgoing;

/// What came of a control session.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    /// How many had begun when it did, itself among them.
    pub(crate) number: u64,
    /// It ran to `session_ended{complete:true}`, and the judge had nothing to say.
    pub(crate) ok: bool,
    /// The subject answered at all: `ready` or an overload answer.
    pub(crate) answered: bool,
    /// The upgrade was answered, by whatever: somebody is there.
    pub(crate) reached: bool,
    /// It was turned away for want of capacity.
    pub(crate) overloaded: bool,
    /// Why it is not ok.
    pub(crate) why: Option<String>,
    /// Nothing is wrong with it but that the subject was silent for too long: it is stuck, or its machine stood still.
    pub(crate) fell_silent: bool,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// When it started.
    pub(crate) started: Instant,
    /// What happened in it.
    pub(crate) trace: Arc<Trace>,
    /// What the judge said.
    pub(crate) judgement: Arc<Judgement>,
}

/// What fails sooner than this is worth another try, in milliseconds.
const SOON_MS: u64 = 5_000;

impl Control {
    /// What happened in it and what the judge said.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence { trace: Arc::clone(&self.trace), judgement: Arc::clone(&self.judgement) }
    }

    /// It failed soon, by something that came: it costs little to see whether it does so again.
    pub(crate) fn was_cut_short(&self) -> bool {
        !self.ok && !self.overloaded && !self.fell_silent && self.reached && self.took_ms < SOON_MS
    }

    /// What came of it, as it stands in a trace.
    pub(crate) fn event(&self) -> EventKind {
        let outcome = match (self.ok, self.answered) {
            (true, _) => ControlOutcome::Completed,
            (false, true) => ControlOutcome::Answered,
            (false, false) => ControlOutcome::Unanswered,
        };
        EventKind::Control { outcome, took_ms: self.took_ms }
    }
}

/// Whether the subject answered a control session at all: by `ready`, or by saying that it has no room.
pub(crate) fn is_answered(evidence: &Evidence) -> bool {
    let ready = evidence.judgement.connections.iter().any(|one| one.ready_us.is_some());
    ready || is_overload(evidence.trace.events.iter())
}

/// Runs control sessions and remembers the last.
pub(crate) struct Controls {
    env: OnceLock<Weak<Env>>,
    state: Mutex<State>,
    /// Wakes in the order of asking, so that a run in virtual time repeats itself.
    finished: Notify,
}

#[derive(Default)]
struct State {
    running: bool,
    /// How many have begun.
    begun: u64,
    last: Option<Control>,
    usual_ms: Option<u64>,
    broken: Option<String>,
    /// Control sessions in a row in which nothing was answered.
    mute: u32,
    /// Control sessions in a row whose upgrade got no answer at all.
    unanswered: u32,
    /// Control sessions in a row that did not complete, other than for want of capacity.
    lost: u32,
}

/// How long a control session waits for its next message.
const SILENCE: Duration = Duration::from_secs(5);
/// How long it waits where the one before it did not complete.
const DOUBTFUL_SILENCE: Duration = Duration::from_secs(3);
/// How long it waits where calibration, or several in a row, have shown that none completes: then it only asks whether the
/// subject still answers.
const SHORT_SILENCE: Duration = Duration::from_secs(2);
/// So many control sessions in a row without an answer to the upgrade make a subject dead, until one is answered; so many that do
/// not complete make it lost, until one completes.
const DEAD: u32 = 3;
/// For so long a dead subject is not asked again whether it still is.
const STILL_DEAD: Duration = Duration::from_secs(30);
/// For so long it is not asked again, beside a case, whether a lost subject still is.
const STILL_LOST: Duration = Duration::from_secs(10);
/// So many times what a session usually takes is a long silence.
const TIMES_USUAL: u64 = 8;
/// How long its connection may take to open: far longer than with a subject that serves.
const OPENING: Duration = Duration::from_secs(3);
/// However slow everything is, a control session waits no longer for one thing. One that fell silent is held again.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// How long it may take in all; longer where the server proves that it works.
const BOUND: Duration = Duration::from_secs(25);
/// How long a suspect's control waits for the right to open a session.
const PERMIT: Duration = Duration::from_millis(1_500);
/// Differences below this say nothing about the machine.
const NOISE_MS: u64 = 250;
/// The name under which its trace is kept.
pub(crate) const CONTROL: &str = "server/control/session";

impl Controls {
    pub(crate) fn new() -> Self {
        Self { env: OnceLock::new(), state: Mutex::new(State::default()), finished: Notify::new() }
    }

    /// Tells it its run; once, before the first session.
    pub(crate) fn attach(&self, env: &Arc<Env>) {
        let _ = self.env.set(Arc::downgrade(env));
    }

    /// What a session usually takes on this subject, and whether one can succeed at all.
    pub(crate) fn calibrated(&self, usual_ms: Option<u64>, broken: Option<String>) {
        let mut state = self.lock();
        state.usual_ms = usual_ms;
        state.broken = broken;
    }

    /// The last control session.
    pub(crate) fn last(&self) -> Option<Control> {
        self.lock().last.clone()
    }

    /// What a session usually takes on this subject, in milliseconds; 0 where none completed.
    pub(crate) fn usual_ms(&self) -> u64 {
        self.lock().usual_ms.unwrap_or(0)
    }

    /// Why no control session can succeed on this subject, if calibration has shown that.
    pub(crate) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// Whether the subject has stopped to answer altogether.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().unanswered >= DEAD
    }

    /// Whether the subject answers upgrades at most.
    pub(crate) fn is_mute(&self) -> bool {
        self.lock().mute >= DEAD
    }

    /// Why nothing need be asked of a subject that has stopped to answer: it was asked only just now.
    pub(crate) fn dead_just_now(&self) -> Option<String> {
        let state = self.lock();
        let last =
            state.last.as_ref().filter(|last| state.unanswered >= DEAD && last.started.elapsed() < STILL_DEAD)?;
        Some(last.why.clone().unwrap_or_else(|| "the subject answers nothing".to_owned()))
    }

    /// Why no plain session completes, where several in a row have shown that, the last of them only just now.
    pub(crate) fn lost_just_now(&self) -> Option<Control> {
        let state = self.lock();
        state.last.clone().filter(|last| state.lost >= DEAD && last.started.elapsed() < STILL_LOST)
    }

    /// Whether this one tells only of a machine that stood still for a moment, for all that is known: a subject that hangs is
    /// silent in the next one too.
    pub(crate) fn may_have_stood_still(&self, control: Option<&Control>) -> bool {
        control.is_some_and(|control| control.fell_silent) && self.broken().is_none() && self.lock().lost < DEAD
    }

    /// How long a control session waits for its next message. Where others did not complete just before it, it need not wait for
    /// longer than is conspicuous on this subject.
    fn silence(&self) -> Duration {
        let state = self.lock();
        let (broken, lost) = (state.broken.is_some(), state.lost);
        let usual = Duration::from_millis(TIMES_USUAL.saturating_mul(state.usual_ms.unwrap_or(0)));
        drop(state);
        match lost {
            _ if broken => SHORT_SILENCE,
            0 => self.scaled(SILENCE).min(LONGEST_SILENCE),
            1..DEAD => usual.clamp(DOUBTFUL_SILENCE, SILENCE),
            DEAD.. => usual.clamp(SHORT_SILENCE, SILENCE),
        }
    }

    /// A bound by the clock of a machine that is not busy, by that of this one as the last control session found it.
    pub(crate) fn scaled(&self, bound: Duration) -> Duration {
        bound * u32::try_from(self.current_scale_percent()).unwrap_or(u32::MAX) / 100
    }

    /// How much slower than usual a session was, in percent, at least 100.
    pub(crate) fn scale_percent(&self, took_ms: u64) -> u64 {
        let usual = self.lock().usual_ms.unwrap_or(took_ms);
        ((took_ms + NOISE_MS) * 100 / (usual + NOISE_MS)).clamp(100, 1_000)
    }

    /// The scale that the last control session measured.
    pub(crate) fn current_scale_percent(&self) -> u64 {
        let last = self.last().filter(|control| control.ok).map(|control| control.took_ms);
        last.map_or(100, |took_ms| self.scale_percent(took_ms))
    }

    /// A control session that started after this call. Shared with everybody who asked before it started.
    pub(crate) async fn fresh(&self) -> Option<Control> {
        let begun = self.lock().begun;
        self.after(begun).await
    }

    /// One that started after the one of this number, which may have been a moment ago.
    pub(crate) async fn after(&self, number: u64) -> Option<Control> {
        loop {
            // Made before the look, so that no end in between is missed.
            let finished = self.finished.notified();
            if let Some(control) = self.last().filter(|control| control.number > number) {
                return Some(control);
            }
            if let Some(number) = self.claim() {
                let env = self.env.get().and_then(Weak::upgrade)?;
                let control = match env.gate.session_within(PERMIT).await {
                    Some(permit) => Some(session(&env, number, permit).await),
                    None => None,
                };
                self.finish(control.clone());
                return control;
            }
            finished.await;
        }
    }

    /// Runs one with nobody else asking, with all the patience it needs for a permit.
    pub(crate) async fn alone(&self) -> Option<Control> {
        let env = self.env.get().and_then(Weak::upgrade)?;
        let permit = env.gate.session().await;
        let number = self.next_number();
        let control = session(&env, number, permit).await;
        self.finish(Some(control.clone()));
        Some(control)
    }

    /// The number of the next one, where none is under way.
    fn claim(&self) -> Option<u64> {
        let free = !std::mem::replace(&mut self.lock().running, true);
        free.then(|| self.next_number())
    }

    fn next_number(&self) -> u64 {
        let mut state = self.lock();
        state.begun += 1;
        state.begun
    }

    fn finish(&self, control: Option<Control>) {
        let mut state = self.lock();
        state.running = false;
        if let Some(control) = &control {
            state.unanswered = if control.reached { 0 } else { state.unanswered + 1 };
            state.mute = if control.answered { 0 } else { state.mute + 1 };
            state.lost = if control.ok { 0 } else { state.lost + u32::from(!control.overloaded) };
        }
        if control.is_some() {
            state.last = control;
        }
        drop(state);
        self.finished.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest time, in milliseconds, that one of these took. One that did not complete tells of the subject, and not of how slow
/// everything is.
pub(super) fn slowest_ms(controls: &[Control]) -> Option<u64> {
    controls.iter().filter(|control| control.ok).map(|control| control.took_ms).max()
}

/// One control session: config, ready, one word of speech, the sentinel, `session_ended`.
async fn session(env: &Arc<Env>, number: u64, permit: SessionPermit) -> Control {
    let started = Instant::now();
    let recorder = Arc::new(Recorder::new(env.header(CONTROL, 100), &env.options()));
    let open = Open::default();
    let opening = env.open(0, &open, Some("word".to_owned()), &recorder, permit);
    let patience = env.controls.scaled(OPENING).min(LONGEST_SILENCE);
    let failure = match timeout(patience, opening).await {
        Err(_) => {
            let error = format!("no answer to the upgrade within {} s", patience.as_secs());
            recorder.note(0, EventKind::ConnectFailed { error: error.clone() });
            Some(Failure { why: error, fell_silent: true })
        }
        Ok(None) => Some(recorder.ending(0).unwrap_or_else(|| "no connection".to_owned()).into()),
        Ok(Some(session)) => converse(env, session, &recorder).await.err(),
    };
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace = recorder.trace();
    let judgement = judge(&trace, &env.options());
    let fault =
        judgement.findings.iter().find(|finding| finding.culprit == Culprit::Server).map(lastword_judge::render);
    if let Some(ready) = recorder.ready(0) {
        let _ = env.ready.set(ready);
    } else if recorder.is_flooded(0) {
        env.suspects.flooded();
    }
    let overloaded = is_overload(trace.events.iter());
    let fell_silent = fault.is_none() && failure.as_ref().is_some_and(|failure| failure.fell_silent);
    let why = failure.map(|failure| failure.why).or(fault);
    Control {
        number,
        ok: why.is_none(),
        answered: overloaded || recorder.ready(0).is_some(),
        reached: trace.events.iter().any(|event| matches!(event.kind, EventKind::Open(_) | EventKind::Refused { .. })),
        overloaded,
        why,
        fell_silent,
        took_ms,
        started,
        trace: Arc::new(trace),
        judgement: Arc::new(judgement),
    }
}

/// Why a control session did not complete.
struct Failure {
    why: String,
    /// The subject was silent for too long, and nothing else was wrong.
    fell_silent: bool,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, fell_silent: false }
    }
}

async fn converse(env: &Arc<Env>, mut session: Session, recorder: &Arc<Recorder>) -> Result<(), Failure> {
    let broken = env.controls.broken();
    let silence = env.controls.silence();
    let start = Instant::now();
    let bound = start + BOUND;
    let limits = Limits { silence, bound, latest: bound.max(start + Duration::from_millis(env.max_wait_ms)) };
    let config = config_message(env.dialler.target().token.as_deref(), &Map::new());
    send(&mut session, vec![Outgoing::Text(config)], bound).await?;
    wait(recorder, "ready", &limits).await?;
    if let Some(why) = broken {
        session.link.cut();
        return Err(format!("it was taken as far as ready only, since none completes on this subject: {why}").into());
    }
    let audio = Audio { speech: Some("word".to_owned()), ..Audio::default() };
    let mut messages = audio_frames::frames(&audio, &env.speech, 1, |_| None);
    // Where nothing says that the stream has ended, nothing says that the session has.
    let tells_its_end = env.knowledge().has_message("end_of_stream");
    if tells_its_end {
        messages.push(Outgoing::Text(r#"{"type":"end_of_stream"}"#.to_owned()));
    }
    send(&mut session, messages, bound).await?;
    if tells_its_end {
        wait(recorder, "session_ended", &limits).await?;
        let complete = json!({ "type": "session_ended", "complete": true });
        if !complete.as_object().is_some_and(|complete| recorder.has_said(complete)) {
            return Err("the control session ended incomplete".to_owned().into());
        }
    }
    if session.link.client_closes() || !tells_its_end {
        // A server that closes by itself may be gone already, which is no less of an end.
        let _ = send(&mut session, vec![Outgoing::Close(Some(1000))], bound).await;
    }
    // The Close has its own time, however long the work took.
    let limits = Limits { bound: Instant::now() + silence, ..limits };
    match until(recorder, &limits, |recorder| recorder.is_over(0)).await {
        Until::Done | Until::Over => Ok(()),
        ended => {
            Err(Failure { why: "the control session was not closed".to_owned(), fell_silent: ended == Until::Silent })
        }
    }
}

async fn send(session: &mut Session, messages: Vec<Outgoing>, bound: Instant) -> Result<(), Failure> {
    match timeout_at(bound, session.link.send(messages)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the control session's connection ended".to_owned().into()),
        Err(_) => Err("the control session could not be written to".to_owned().into()),
    }
}

/// How long a control session waits.
struct Limits {
    /// For the next message, whatever it is.
    silence: Duration,
    /// For its end, if the server owes nothing that is due later.
    bound: Instant,
    /// For its end, whatever the server says.
    latest: Instant,
}

async fn wait(recorder: &Arc<Recorder>, wanted: &str, limits: &Limits) -> Result<(), Failure> {
    let message = Map::from_iter([("type".to_owned(), Value::from(wanted))]);
    let ended = until(recorder, limits, |recorder| recorder.has_said(&message)).await;
    if ended == Until::Done {
        return Ok(());
    }
    let why = match recorder.ending(0) {
        Some(ending) => format!("the control session got no {wanted}, but {ending}"),
        None => {
            let silent_s = recorder.now_us().saturating_sub(recorder.last_us(0)) / 1_000_000;
            format!("the control session got no {wanted}, and for {silent_s} s nothing that moved it")
        }
    };
    Err(Failure { why, fell_silent: ended == Until::Silent })
}

/// How a wait of a control session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// What was waited for is there.
    Done,
    /// The connection is over.
    Over,
    /// The server was silent for too long.
    Silent,
    /// It was not, and still did not get there.
    TooLong,
}

/// Waits; every message of the server extends the silence that is allowed, and progress what is owed.
async fn until(recorder: &Arc<Recorder>, limits: &Limits, done: impl Fn(&Recorder) -> bool) -> Until {
    let mut changes = recorder.changes();
    let mut deadline = Instant::now() + limits.silence;
    loop {
        if done(recorder) {
            return Until::Done;
        }
        if recorder.is_over(0) {
            return Until::Over;
        }
        let owed_until = recorder.owed_by_server(0).iter().map(|debt| recorder.instant(debt.due_us)).max();
        let bound = owed_until.map_or(limits.bound, |due| due.min(limits.latest).max(limits.bound));
        // Who speaks and runs in place is not waited for as long as who gets on.
        let in_place_us = recorder.motion(0).and_then(|motion| motion.in_place_us);
        let in_place = in_place_us.map(|in_place_us| recorder.instant(in_place_us) + limits.silence);
        let bound = in_place.map_or(bound, |in_place| bound.min(in_place));
        match timeout_at(deadline.min(bound), changes.changed()).await {
            Ok(Ok(())) => deadline = Instant::now() + limits.silence,
            Ok(Err(_)) | Err(_) if done(recorder) => return Until::Done,
            Ok(Err(_)) | Err(_) => return if deadline <= bound { Until::Silent } else { Until::TooLong },
        }
    }
}

/// The `config` message with these members, and the credential of the run.
pub(crate) fn config_message(token: Option<&str>, members: &Map<String, Value>) -> String {
    let mut message = Map::from_iter([("type".to_owned(), Value::from("config"))]);
    if let Some(token) = token {
        message.insert("token".to_owned(), Value::from(token));
    }
    message.extend(members.clone());
    stimulus::plain(&Value::Object(message))
}
