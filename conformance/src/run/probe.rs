//! Owns release probes: the messages that led to a debt are sent again on fresh connections, and then one stimulus each, to see
//! which of them brings what is owed. Everything goes into the record of the case; what it shows is for the judge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use lastword_judge::{Suspicion, judge};
use lastword_spec::trace::{EventKind, Probe, Stimulus};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::env::{Env, Session};
use super::{slot, wait};
use crate::case::Open;
use crate::record::Recorder;
use crate::wire::Outgoing;

/// What was sent on a connection, so that it can be sent again.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) open: Open,
    sent: Vec<Sent>,
    audio_bytes: usize,
}

#[derive(Clone, Debug)]
struct Sent {
    message: Outgoing,
    /// So many answers had come before it was sent.
    milestones: usize,
}

/// A script with more audio than this is not sent thirty times.
const MOST_AUDIO_BYTES: usize = 12 * 32_000;

impl Script {
    pub(super) fn new(open: Open) -> Self {
        Self { open, ..Self::default() }
    }

    /// Keeps messages that are about to be sent.
    pub(super) fn keep(&mut self, messages: &[Outgoing], milestones: usize) {
        for message in messages {
            if let Outgoing::Binary(bytes) | Outgoing::RawBinary(bytes) = message {
                self.audio_bytes += bytes.len();
            }
            // Beyond that it is not sent again; what comes later need not be kept.
            if self.is_short() {
                self.sent.push(Sent { message: message.clone(), milestones });
            }
        }
    }

    /// Whether it can be sent again many times.
    pub(super) fn is_short(&self) -> bool {
        self.audio_bytes <= MOST_AUDIO_BYTES
    }

    /// Whether the harness itself has ended the session.
    pub(super) fn closes(&self) -> bool {
        self.sent.iter().any(|sent| matches!(sent.message, Outgoing::Close(_)))
    }
}

/// Whom the probes are about.
#[derive(Clone)]
pub(super) struct Suspect {
    /// The connection.
    pub(super) conn: u32,
    pub(super) script: Script,
    /// The first word of what is owed.
    pub(super) what: String,
    /// How many answers had come when it was owed.
    pub(super) milestones: usize,
    /// How long it took to come, where it came.
    pub(super) came_after: Option<Duration>,
    /// The subject was seen to have no room for probes side by side.
    pub(super) one_by_one: bool,
}

/// What has become of the suspect itself while the probes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It still waits.
    Open,
    /// What it was owed has come, after so long.
    Came(Duration),
    /// The harness waits no longer.
    GaveUp,
}

/// The repetitions of a stimulus.
const ROUNDS: u32 = 5;
/// Connections of probes have numbers from here on.
pub(super) const PROBE_CONN: u32 = 2_000;
/// The pauses before the stimuli, where nothing is known of the delay; different from round to round.
const PAUSES_MS: [u64; ROUNDS as usize] = [300, 900, 600, 1_400, 1_100];
/// The same in percent of the delay, where it is known.
const PAUSES_PERCENT: [u64; ROUNDS as usize] = [15, 45, 30, 60, 50];
/// A stimulus is watched for at least as long: longer than the judge takes for prompt.
const WATCH: Duration = Duration::from_millis(700);
/// What a stimulus releases may be work, which is waited for: this long where it is not known how long it takes.
const WORK: Duration = Duration::from_millis(3_000);
/// The same where the probes are held one after the other.
const WORK_IN_TURN: Duration = Duration::from_millis(1_500);
/// The longest work that is waited for, unless the server goes on talking of it.
const LONGEST_WORK: Duration = Duration::from_secs(10);
/// The control is watched for at least as long, and longer than the longest pause and its watch.
const WATCH_CONTROL: Duration = Duration::from_millis(2_800);
/// A repetition of the control begins so long after the one before it: one moment in which the machine stands still then makes
/// each late by a time of its own, and a timer all by the same.
const APART: Duration = Duration::from_millis(150);
/// How long a replay waits for an answer that came on the suspect.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a probe waits for the right to open a session.
const PERMIT: Duration = Duration::from_secs(10);
/// How long a probe is left to close.
const LEAVE: Duration = Duration::from_millis(200);
/// How often a round is tried again for which the subject had no room.
const TRIES: usize = 2;

/// Holds all probes about a suspect.
pub(super) struct Probes {
    env: Arc<Env>,
    recorder: Arc<Recorder>,
    suspect: Suspect,
    fate: watch::Receiver<Fate>,
    next_conn: AtomicU32,
    held: AtomicU32,
    turned_away: AtomicU32,
}

impl Probes {
    pub(super) fn new(env: &Arc<Env>, recorder: &Arc<Recorder>, suspect: Suspect, fate: watch::Receiver<Fate>) -> Self {
        let first = recorder.free_conn(PROBE_CONN);
        let (env, recorder) = (Arc::clone(env), Arc::clone(recorder));
        let (held, turned_away) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { env, recorder, suspect, fate, next_conn: AtomicU32::new(first), held, turned_away }
    }

    /// The control five times, each stimulus once, and then again those that may still prove something: five of five is out of
    /// reach for a stimulus that failed once. Where nothing released a suspect that never came, all are repeated: that nothing
    /// does is the finding then.
    ///
    /// `false` where the subject had no room for most of them: beside the suspect, that is.
    pub(super) async fn hold(self) -> bool {
        let control = [Stimulus::Nothing];
        if self.is_serial() {
            self.stimuli().await;
            self.round(&control, 1..=ROUNDS).await;
        } else {
            join(self.stimuli(), self.round(&control, 1..=ROUNDS)).await;
        }
        self.turned_away.load(Ordering::Relaxed) <= self.held.load(Ordering::Relaxed)
    }

    fn is_serial(&self) -> bool {
        self.suspect.one_by_one || self.env.is_serial()
    }

    async fn stimuli(&self) {
        let stimuli = &Stimulus::ALL[1..];
        self.round(stimuli, 1..=1).await;
        let promising = self.promising();
        let is_stall = self.suspect.came_after.is_none();
        let again = if promising.is_empty() && is_stall { stimuli } else { &promising[..] };
        self.round(again, 2..=ROUNDS).await;
    }

    /// The stimuli that brought what is owed.
    fn promising(&self) -> Vec<Stimulus> {
        let Some(suspicion) = self.suspicion() else { return Vec::new() };
        suspicion.probes.iter().filter(|row| row.released() > 0).map(|row| row.stimulus).collect()
    }

    /// What the judge sees in the probes so far.
    fn suspicion(&self) -> Option<Suspicion> {
        let mut trace = self.recorder.trace();
        if *self.fate.borrow() == Fate::Open {
            // The suspect's own wait is not over; for the table of the probes it is as good as given up.
            trace.events.push(self.recorder.as_given_up(self.suspect.conn));
        }
        let judgement = judge(&trace, &self.env.options());
        judgement.suspicions.into_iter().find(|suspicion| suspicion.conn == self.suspect.conn)
    }

    /// The stimuli for these repetitions: side by side, or one after the other where the subject has no room for more.
    async fn round(&self, stimuli: &[Stimulus], rounds: std::ops::RangeInclusive<u32>) {
        let all = rounds.flat_map(|round| stimuli.iter().map(move |stimulus| (*stimulus, round)));
        let mut turned_away: Vec<(Stimulus, u32)> = Vec::new();
        if self.is_serial() {
            turned_away.extend(all);
        } else {
            let held = join_all(
                all.map(|(stimulus, round)| async move { (stimulus, round, self.one(stimulus, round).await) }),
            );
            turned_away.extend(
                held.await.into_iter().filter(|(.., held)| !held).map(|(stimulus, round, _)| (stimulus, round)),
            );
        }
        for (stimulus, round) in turned_away {
            for _ in 0..TRIES {
                if self.one(stimulus, round).await {
                    break;
                }
                tokio::time::sleep(LEAVE).await;
            }
        }
    }

    /// One probe; `false` where the subject, or the operator, had no room for it.
    async fn one(&self, stimulus: Stimulus, round: u32) -> bool {
        let had_room = self.attempt(stimulus, round).await;
        let counter = if had_room { &self.held } else { &self.turned_away };
        counter.fetch_add(1, Ordering::Relaxed);
        had_room
    }

    async fn attempt(&self, stimulus: Stimulus, round: u32) -> bool {
        // Who answers nobody shows nothing here either, and would only cost time.
        if self.env.controls.is_dead() {
            return true;
        }
        if stimulus == Stimulus::Nothing && !self.is_serial() {
            tokio::time::sleep(self.scaled(APART) * round.saturating_sub(1)).await;
        }
        let Some(permit) = self.env.gate.session_within(PERMIT).await else { return false };
        let conn = self.next_conn.fetch_add(1, Ordering::Relaxed);
        let probe = Probe { of: self.suspect.conn, stimulus, round };
        let opened = self.env.open_probe(conn, &self.suspect.script.open, probe, &self.recorder, permit).await;
        let had_room = || !slot::is_overload(self.recorder.events_of(conn).iter());
        let Some(mut session) = opened else { return had_room() };
        let replayed = self.replay(conn, &mut session, round).await;
        if replayed {
            self.stimulate(conn, &mut session, stimulus, round).await;
        }
        self.recorder.note(conn, EventKind::GaveUp { after_ms: 0, quiescent: None });
        self.leave(conn, &mut session).await;
        had_room()
    }

    /// Sends the script again, each message after as many answers as there were before it the first time. With every other
    /// repetition of the control the audio is sent twice: a delay that does not change with it is no work.
    async fn replay(&self, conn: u32, session: &mut Session, round: u32) -> bool {
        let bound = Instant::now() + self.scaled(ANSWER);
        let twice = round.is_multiple_of(2) && self.suspect.came_after.is_some();
        let mut batch: Vec<Outgoing> = Vec::new();
        for sent in &self.suspect.script.sent {
            if self.recorder.milestones(conn) < sent.milestones {
                if !self.send(conn, session, std::mem::take(&mut batch)).await {
                    return false;
                }
                let reached =
                    |recorder: &Recorder| recorder.milestones(conn) >= sent.milestones || recorder.is_closed(conn);
                wait::quietly(&self.recorder, bound, reached).await;
                if self.recorder.is_closed(conn) {
                    return false;
                }
            }
            if twice && matches!(sent.message, Outgoing::Binary(_) | Outgoing::RawBinary(_)) {
                batch.push(sent.message.clone());
            }
            batch.push(sent.message.clone());
        }
        if !self.send(conn, session, batch).await {
            return false;
        }
        let reached =
            |recorder: &Recorder| recorder.milestones(conn) >= self.suspect.milestones || recorder.is_closed(conn);
        wait::quietly(&self.recorder, bound, reached).await;
        true
    }

    /// Pauses, gives the stimulus and watches what comes of it.
    async fn stimulate(&self, conn: u32, session: &mut Session, stimulus: Stimulus, round: u32) {
        let before = self.recorder.count_said(conn, &self.suspect.what);
        if stimulus == Stimulus::Nothing {
            self.recorder.note(conn, EventKind::Stimulus(stimulus));
            self.watch_control(conn, before).await;
            return;
        }
        let pause = self.pause(stimulus, round);
        wait::quietly(&self.recorder, Instant::now() + pause, |recorder| self.is_settled(recorder, conn, before)).await;
        if self.is_settled(&self.recorder, conn, before) {
            return;
        }
        self.recorder.note(conn, EventKind::Stimulus(stimulus));
        match stimulus {
            Stimulus::Audio => {
                let frame = vec![0; STIMULUS_BYTES];
                self.send(conn, session, vec![Outgoing::Binary(frame.into())]).await;
            }
            Stimulus::EndOfStream => {
                self.send(conn, session, vec![Outgoing::Text(r#"{"type":"end_of_stream"}"#.to_owned())]).await;
            }
            Stimulus::Keepalive => {
                self.send(conn, session, vec![Outgoing::Text(r#"{"type":"keepalive"}"#.to_owned())]).await;
            }
            Stimulus::HalfClose => session.link.half_close().await,
            Stimulus::Close => {
                self.send(conn, session, vec![Outgoing::Close(Some(1000))]).await;
            }
            Stimulus::Nothing => {}
        }
        self.watch_stimulus(conn, before, pause).await;
    }

    /// Watches what comes of a stimulus; for longer as long as the server tells of work.
    async fn watch_stimulus(&self, conn: u32, before: usize, pause: Duration) {
        let came =
            |recorder: &Recorder| recorder.is_closed(conn) || recorder.count_said(conn, &self.suspect.what) > before;
        let told = || self.recorder.count_said(conn, "progress") + self.recorder.count_said(conn, "final");
        let stimulated = Instant::now();
        let at_most = stimulated + self.scaled(LONGEST_WORK);
        let mut until = stimulated + self.watch(pause);
        let mut known = told();
        loop {
            wait::quietly(&self.recorder, until, came).await;
            let works = told() > known;
            known = told();
            if came(&self.recorder) || self.suspect.came_after.is_some() || !works || until >= at_most {
                return;
            }
            until = (Instant::now() + self.scaled(WATCH)).min(at_most);
        }
    }

    /// For how long a stimulus is watched that was given after this pause: what it releases may have to be worked for first. Where
    /// it is known when what is owed comes by itself, only what comes well before that shows anything.
    fn watch(&self, pause: Duration) -> Duration {
        let least = self.scaled(WATCH);
        match self.suspect.came_after {
            Some(after) => (after * 4 / 5).saturating_sub(pause).max(least),
            None => self.work().max(least),
        }
    }

    /// How long the work may take that is left when a server waits for something: a whole session takes longer.
    fn work(&self) -> Duration {
        let unknown = if self.env.is_serial() { WORK_IN_TURN } else { WORK };
        let known = Duration::from_millis(self.env.controls.usual_ms()) * 3 / 2 + WATCH;
        self.scaled(if self.env.controls.usual_ms() == 0 { unknown } else { known.min(LONGEST_WORK) })
    }

    /// Watches the control: until it comes, or the suspect itself shows how long is long enough.
    async fn watch_control(&self, conn: u32, before: usize) {
        let started = Instant::now();
        let longest_pause = self.scaled(Duration::from_millis(PAUSES_MS.into_iter().max().unwrap_or(0)));
        let at_least = started + self.scaled(WATCH_CONTROL).max(longest_pause + self.work());
        let mut fate = self.fate.clone();
        let mut changes = self.recorder.changes();
        while !self.is_settled(&self.recorder, conn, before) {
            let now = *fate.borrow_and_update();
            let until = match now {
                Fate::Came(after) => Some(at_least.max(started + after + after / 2 + self.scaled(WATCH))),
                Fate::GaveUp => Some(at_least),
                Fate::Open => None,
            };
            if until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                changed = fate.changed() => if changed.is_err() { return; },
                () = sleep_until(until.unwrap_or(at_least)), if until.is_some() => {}
            }
        }
    }

    fn pause(&self, stimulus: Stimulus, round: u32) -> Duration {
        let index = (round.saturating_sub(1) as usize) % PAUSES_MS.len();
        // The same in every run of a seed, different for each stimulus.
        let jitter_ms = (self.env.seed.wrapping_mul(31) + u64::from(round) * 7 + stimulus as u64 * 13) % 60;
        match self.suspect.came_after {
            Some(after) => after.mul_f64(PAUSES_PERCENT[index] as f64 / 100.0),
            None => self.scaled(Duration::from_millis(PAUSES_MS[index] + jitter_ms)),
        }
    }

    /// Whether what is owed has come, or is not owed, or cannot come any more.
    fn is_settled(&self, recorder: &Recorder, conn: u32, before: usize) -> bool {
        let owes = || recorder.owed_by_server(conn).iter().any(|debt| debt.what.starts_with(&self.suspect.what));
        recorder.is_closed(conn) || recorder.count_said(conn, &self.suspect.what) > before || !owes()
    }

    async fn send(&self, conn: u32, session: &mut Session, messages: Vec<Outgoing>) -> bool {
        if messages.is_empty() {
            return true;
        }
        let bound = self.scaled(ANSWER);
        wait::sending(&self.recorder, conn, bound, session.link.send(messages)).await == wait::Waited::Came
    }

    async fn leave(&self, conn: u32, session: &mut Session) {
        if !self.recorder.is_over(conn) && !self.recorder.client_has_closed(conn) {
            let _ = tokio::time::timeout(LEAVE, session.link.send(vec![Outgoing::Close(Some(1000))])).await;
        }
        wait::quietly(&self.recorder, Instant::now() + LEAVE, |recorder| recorder.is_over(conn)).await;
    }

    fn scaled(&self, duration: Duration) -> Duration {
        self.env.controls.scaled(duration)
    }
}

/// One more frame: a second of silence as PCM, which also ends a segment where that is what is waited for.
const STIMULUS_BYTES: usize = 32_000;
