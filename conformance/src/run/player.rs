//! Owns the carrying out of a case: it sends what the steps say, waits for what they wait for, and writes down what happened.
//! It decides nothing; what the record means is for the judge.

mod crowd;

use std::sync::Arc;
use std::time::Duration;

use lastword_spec::requirements::END_S7;
use lastword_spec::trace::{EventKind, Trace};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::control::Control;
use super::env::{Env, Session};
use super::probe::{Fate, PROBE_CONN, Probes, Script, Suspect};
use super::result::NO_LONGER_ANSWERS;
use super::wait::{self, Waited};
use super::{control, language, slot, stimulus};
use crate::case::{Audio, Await, Case, Need, Open, Start, Step, Tick};
use crate::record::Recorder;
use crate::wire::Outgoing;
use crate::{audio_frames, limit};

/// What is left of a case when its steps are over.
pub(crate) struct Played {
    /// Everything that happened.
    pub(crate) trace: Trace,
    /// What was waited for in vain, in words.
    pub(crate) unmet: Vec<String>,
    /// Control sessions that were held because of a stall.
    pub(crate) controls: Vec<Control>,
    /// The subject turned the case away for want of capacity.
    pub(crate) overloaded: bool,
}

/// Carries out the steps of one case, once.
pub(crate) struct Player {
    env: Arc<Env>,
    recorder: Arc<Recorder>,
    sessions: Vec<Opened>,
    current: usize,
    attempt: u32,
    next_seq: u64,
    /// The last `$NUMBER` that was given out.
    number: u64,
    unmet: Vec<String>,
    gave_up: bool,
    controls: Vec<Control>,
    about_waiting: bool,
    /// The subject's wire can say and acknowledge a keepalive.
    has_barrier: bool,
}

/// A connection that was opened in this case, whether it still is or not.
pub(crate) struct Opened {
    label: Option<String>,
    pub(crate) session: Option<Session>,
    /// The case is about what a drain may wait for.
    pub(super) about_waiting: bool,
    /// What was sent on it.
    pub(super) script: Script,
    /// Whom release probes are to be held about when the steps are over.
    pub(super) probe_later: Vec<Suspect>,
}

impl Opened {
    pub(crate) fn new(open: Open, session: Option<Session>) -> Self {
        let (label, script) = (open.label.clone(), Script::new(open));
        Self { label, session, about_waiting: false, script, probe_later: Vec::new() }
    }

    /// Keeps messages that are about to be sent, so that release probes can send them again.
    pub(crate) fn keep(&mut self, messages: &[Outgoing], milestones: usize) {
        self.script.keep(messages, milestones);
    }

    /// Holds the release probes that could not be held beside the suspect, and those about what came after a conspicuous silence.
    pub(crate) async fn probe_afterwards(&mut self, env: &Arc<Env>, recorder: &Arc<Recorder>) {
        for suspect in std::mem::take(&mut self.probe_later) {
            let fate = suspect.came_after.map_or(Fate::GaveUp, Fate::Came);
            let (_alive, seen) = watch::channel(fate);
            Probes::new(env, recorder, suspect, seen).hold().await;
        }
    }
}

/// Whether the steps go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Go,
    /// This connection has nothing more to give; another one may be opened.
    Skip,
    /// The case is over.
    Stop,
}

impl Player {
    /// `left_alone_ms`: for how long nobody has had a session with the subject, where that is known.
    pub(crate) async fn play(env: &Arc<Env>, case: &Case, attempt: u32, left_alone_ms: Option<u64>) -> Played {
        let header = env.header(&case.id, env.controls.current_scale_percent());
        let recorder = Arc::new(Recorder::new(header, &env.options()));
        // Also one that failed: then what goes wrong in the case may go wrong everywhere.
        if let Some(before) = env.controls.last() {
            recorder.note(wait::CONTROL_BEFORE, before.event());
        }
        if let Some(for_ms) = left_alone_ms {
            recorder.note(wait::FIRST_CONN, EventKind::LeftAlone { for_ms });
        }
        let mut player = Self {
            env: Arc::clone(env),
            recorder,
            sessions: Vec::new(),
            current: 0,
            attempt,
            next_seq: 1_000,
            number: 0,
            unmet: Vec::new(),
            gave_up: false,
            controls: Vec::new(),
            about_waiting: case.covers.contains(&END_S7),
            has_barrier: ["keepalive", "keepalive_ack"].iter().all(|kind| env.knowledge().has_message(kind)),
        };
        player.steps(&case.steps).await;
        player.leave().await;
        player.probe_afterwards().await;
        player.witness_afterwards().await;
        let trace = player.recorder.trace();
        // A probe for which there was no room is missing evidence; the case itself was served. So was one that asks for several
        // sessions, as soon as the subject had room for the first.
        let first_of = if case.needs.contains(&Need::Sessions) { 1 } else { PROBE_CONN };
        let overloaded = slot::is_overload(trace.events.iter().filter(|event| event.conn < first_of));
        Played { overloaded, trace, unmet: player.unmet, controls: player.controls }
    }

    async fn steps(&mut self, steps: &[Step]) {
        let mut skipping = false;
        for step in steps {
            skipping &= !matches!(step, Step::Open(_) | Step::Start(_) | Step::SideBySide(_) | Step::Use(_));
            if skipping {
                continue;
            }
            match self.step(step).await {
                Flow::Go => {}
                Flow::Skip => skipping = true,
                Flow::Stop => return,
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Flow {
        match step {
            Step::Start(start) => self.start(start).await,
            Step::Open(open) => self.open(open, None).await,
            Step::SideBySide(sessions) => self.side_by_side(*sessions).await,
            Step::Use(label) => self.switch(label),
            Step::Audio(audio) => self.audio(audio).await,
            Step::Burst(steps) => {
                let messages = steps.iter().flat_map(|step| self.messages(step)).collect();
                self.send(messages).await
            }
            Step::Repeat(repeat) => {
                for _ in 0..repeat.times {
                    for step in &repeat.steps {
                        let flow = Box::pin(self.step(step)).await;
                        if flow != Flow::Go {
                            return flow;
                        }
                    }
                }
                Flow::Go
            }
            Step::Tick(tick) => self.tick(tick).await,
            Step::Await(wanted) => self.wait_for(wanted).await,
            Step::Barrier => self.barrier().await,
            Step::Settle => self.settle().await,
            Step::Finish => self.finish().await,
            Step::ExpectClose => self.expect_close(None).await,
            Step::Drop => {
                if let Some(session) = self.sessions.get_mut(self.current).and_then(|open| open.session.take()) {
                    session.link.cut();
                }
                Flow::Go
            }
            Step::Send(_)
            | Step::Raw(_)
            | Step::Padded(_)
            | Step::Nested(_)
            | Step::Fragmented(_)
            | Step::Binary(_)
            | Step::Frame(_)
            | Step::Close(_) => {
                let messages = self.messages(step);
                let opened = self.sessions.get(self.current).and_then(|opened| opened.session.as_ref());
                if opened.is_some_and(|session| session.link.cannot_configure(&messages)) {
                    return Flow::Skip;
                }
                self.send(messages).await
            }
        }
    }

    async fn start(&mut self, start: &Start) -> Flow {
        let open = Open { label: start.label.clone(), ..Open::default() };
        let flow = self.open(&open, start.speech.clone()).await;
        if flow != Flow::Go {
            return flow;
        }
        let known = self.env.ready.get().and_then(|ready| ready.capabilities.languages.as_deref());
        let members = language::in_a_known_one(&start.config, known);
        let config = control::config_message(self.env.dialler.target().token.as_deref(), &members);
        let flow = self.send(vec![Outgoing::Text(config)]).await;
        if flow != Flow::Go {
            return flow;
        }
        self.wait_for(&wanted("ready")).await
    }

    async fn open(&mut self, open: &Open, speech: Option<String>) -> Flow {
        // The one before has done its part; a subject with few slots gets its slot back.
        if let Some(before) = self.sessions.get_mut(self.current)
            && self.recorder.is_over(conn_number(self.current))
        {
            before.session = None;
        }
        if let Some(why) = self.env.controls.dead_just_now() {
            self.unmet.push(format!("{NO_LONGER_ANSWERS}{why}"));
            return Flow::Stop;
        }
        let conn = self.sessions.len();
        // Who holds sessions already does not wait for ever for one more: others may wait for those.
        let permit = match self.open_sessions() {
            0 => self.env.gate.session().await,
            _ => match self.env.gate.session_within(Duration::from_millis(self.env.max_wait_ms)).await {
                Some(permit) => permit,
                None => {
                    self.unmet.push("no further session may be opened".to_owned());
                    return Flow::Stop;
                }
            },
        };
        let session = self.env.open(conn_number(conn), open, speech, &self.recorder, permit).await;
        let opened = session.is_some();
        let about_waiting = self.about_waiting;
        self.sessions.push(Opened { about_waiting, ..Opened::new(open.clone(), session) });
        self.current = conn;
        if opened { Flow::Go } else { Flow::Skip }
    }

    fn open_sessions(&self) -> usize {
        self.sessions.iter().filter(|opened| opened.session.is_some()).count()
    }

    fn switch(&mut self, label: &str) -> Flow {
        match self.sessions.iter().position(|open| open.label.as_deref() == Some(label)) {
            Some(index) => {
                self.current = index;
                Flow::Go
            }
            None => Flow::Skip,
        }
    }

    /// Sends audio at its pace. The pace is kept from the first frame, so that a slow write is caught up with.
    async fn audio(&mut self, audio: &Audio) -> Flow {
        let limits = self.recorder.limits(self.conn());
        let by_name = |name: &str| self.env.audio_limit(&limits, name);
        let frames = audio_frames::frames(audio, &self.env.speech, self.attempt, by_name);
        let started = Instant::now();
        let mut sent_ms = 0;
        for frame in frames {
            let due = started + Duration::from_millis(audio.pace.takes_ms(sent_ms));
            if due > Instant::now() {
                sleep_until(due).await;
            }
            sent_ms += audio_frames::frame_ms(&frame);
            let flow = self.send(vec![frame]).await;
            if flow != Flow::Go {
                return flow;
            }
        }
        Flow::Go
    }

    async fn tick(&mut self, tick: &Tick) -> Flow {
        let limits = self.recorder.limits(self.conn());
        let by_name = |name: &str| limit::by_name(&limits, name);
        let every = Duration::from_millis(tick.every_ms.resolve(by_name).max(10));
        let end = Instant::now() + Duration::from_millis(tick.during_ms.resolve(by_name));
        let mut next = Instant::now() + every;
        let mut changes = self.recorder.changes();
        let conn = self.conn();
        loop {
            // The end of the connection ends the ticking: that is an event, and no time is lost on it.
            while next.min(end) > Instant::now() && !self.recorder.is_closed(conn) {
                tokio::select! {
                    biased;
                    () = sleep_until(next.min(end)) => {}
                    _ = changes.changed() => {}
                }
            }
            if Instant::now() >= end || self.recorder.is_closed(conn) {
                return Flow::Go;
            }
            let messages = tick.send.iter().flat_map(|step| self.messages(step)).collect();
            let flow = self.send(messages).await;
            if flow != Flow::Go {
                return flow;
            }
            next += every;
        }
    }

    async fn barrier(&mut self) -> Flow {
        if !self.has_barrier {
            // Nothing tells that the server has read it; what it makes of it later counts as well.
            let conn = self.conn();
            wait::quietly(&self.recorder, Instant::now() + WITHOUT_BARRIER, |recorder| recorder.is_over(conn)).await;
            return Flow::Go;
        }
        self.next_seq += 1;
        let seq = self.next_seq;
        let flow = self.send(vec![Outgoing::Text(stimulus::plain(&json!({"type": "keepalive", "seq": seq})))]).await;
        if flow != Flow::Go {
            return flow;
        }
        let message = Map::from_iter([("type".to_owned(), json!("keepalive_ack")), ("seq".to_owned(), json!(seq))]);
        self.wait_for(&Await { message, within: None, optional: false }).await
    }

    async fn settle(&mut self) -> Flow {
        let conn = self.conn();
        let waited = self.waiting(None).until(|recorder| recorder.owed_by_server(conn).is_empty()).await;
        // Who has closed owes nothing any more.
        let waited = if waited == Waited::Over { Waited::Came } else { waited };
        self.flow_after(waited, "everything that was owed")
    }

    async fn finish(&mut self) -> Flow {
        let flow = self.say_the_end().await;
        if flow != Flow::Go {
            return flow;
        }
        self.see_the_end().await
    }

    async fn say_the_end(&mut self) -> Flow {
        self.send(vec![Outgoing::Text(r#"{"type":"end_of_stream"}"#.to_owned())]).await
    }

    async fn see_the_end(&mut self) -> Flow {
        let flow = self.wait_for(&wanted("session_ended")).await;
        if flow != Flow::Go {
            return flow;
        }
        self.expect_close(None).await
    }

    async fn wait_for(&mut self, wanted: &Await) -> Flow {
        let conn = self.conn();
        let waited = self.waiting(wanted.within).until(|recorder| recorder.take(conn, &wanted.message)).await;
        if wanted.optional && waited != Waited::GaveUp {
            return Flow::Go;
        }
        self.flow_after(waited, &Value::Object(wanted.message.clone()).to_string())
    }

    async fn expect_close(&mut self, within: Option<crate::case::Within>) -> Flow {
        let conn = self.conn();
        let opened = self.sessions.get(self.current).and_then(|opened| opened.session.as_ref());
        let is_ours = opened.is_some_and(|session| session.link.client_closes())
            && self.recorder.count_said(conn, "session_ended") > 0
            && !self.recorder.client_has_closed(conn);
        if is_ours {
            let flow = self.send(vec![Outgoing::Close(Some(1000))]).await;
            if flow != Flow::Go {
                return flow;
            }
        }
        let waited = self.waiting(within).until(|recorder| recorder.is_over(conn)).await;
        self.flow_after(waited, "the end of the connection")
    }

    fn flow_after(&mut self, waited: Waited, what: &str) -> Flow {
        match waited {
            Waited::Came => return Flow::Go,
            Waited::Over => {
                let ending =
                    self.recorder.ending(self.conn()).unwrap_or_else(|| "the end of the connection".to_owned());
                self.unmet.push(format!("waited for {what}, and got {ending}"));
            }
            Waited::GaveUp => {
                self.gave_up = true;
                self.unmet.push(format!("waited for {what} in vain"));
            }
        }
        if waited == Waited::Over { Flow::Skip } else { Flow::Stop }
    }

    fn waiting(&mut self, within: Option<crate::case::Within>) -> wait::Wait<'_> {
        let conn = conn_number(self.current);
        let opened = self.sessions.get_mut(self.current);
        wait::Wait::new(&self.env, &self.recorder, conn, within, &mut self.controls, opened)
    }

    /// Sends, and never waits for ever: a server that does not read owes progress.
    async fn send(&mut self, messages: Vec<Outgoing>) -> Flow {
        let conn = self.conn();
        if self.recorder.is_over(conn) {
            return Flow::Skip;
        }
        let Some(opened) = self.sessions.get_mut(self.current) else { return Flow::Skip };
        if opened.session.is_none() {
            return Flow::Skip;
        }
        opened.keep(&messages, self.recorder.milestones(conn));
        let Some(session) = opened.session.as_mut() else { return Flow::Skip };
        let bound = wait::write_bound(&self.env, &self.recorder, conn);
        match wait::sending(&self.recorder, conn, bound, session.link.send(messages)).await {
            Waited::Came => Flow::Go,
            // The library refuses to write after a Close; what is on its way is still read.
            Waited::Over => {
                let closing = self.recorder.is_closed(conn) || self.recorder.client_has_closed(conn);
                if closing { Flow::Go } else { Flow::Skip }
            }
            Waited::GaveUp => {
                let what = "the server to read on, which it did not";
                let waited = self.waiting(None).give_up().await;
                self.flow_after(waited, what)
            }
        }
    }

    async fn probe_afterwards(&mut self) {
        for opened in &mut self.sessions {
            opened.probe_afterwards(&self.env, &self.recorder).await;
        }
    }

    /// Where no control session could be held beside the suspect, because the subject or the operator allows none, they are held
    /// now that the suspect has been let go.
    async fn witness_afterwards(&mut self) {
        if !self.gave_up || !self.controls.is_empty() {
            return;
        }
        for _ in 0..wait::CONTROLS {
            let Some(control) = self.env.controls.fresh().await else { return };
            let goes_on = control.answered;
            wait::note_control(&self.recorder, &mut self.controls, control);
            if !goes_on {
                return;
            }
        }
    }

    fn messages(&mut self, step: &Step) -> Vec<Outgoing> {
        let limits = self.recorder.limits(self.conn());
        stimulus::messages(step, &self.env, &limits, self.attempt, &mut self.number)
    }

    fn conn(&self) -> u32 {
        conn_number(self.current)
    }

    /// Leaves no session behind: what still stands is cancelled, which every server must take.
    async fn leave(&mut self) {
        for index in 0..self.sessions.len() {
            let conn = conn_number(index);
            let Some(mut session) = self.sessions[index].session.take() else { continue };
            if self.recorder.is_over(conn) {
                continue;
            }
            if !self.recorder.is_closed(conn) && !self.recorder.client_has_closed(conn) {
                let close = session.link.send(vec![Outgoing::Close(Some(1000))]);
                let _ = tokio::time::timeout(LEAVE, close).await;
            }
            wait::quietly(&self.recorder, Instant::now() + LEAVE, |recorder| recorder.is_over(conn)).await;
            if !self.recorder.is_over(conn) {
                self.recorder.note(conn, EventKind::Note("left without waiting for the end".to_owned()));
            }
        }
    }
}

/// How long the harness waits for the end of a connection that it leaves; nothing is decided by it.
const LEAVE: Duration = Duration::from_millis(300);

/// How long is waited where a wire has no answer to wait for. No verdict rests on it: it only lets the subject say what it has to say.
const WITHOUT_BARRIER: Duration = Duration::from_millis(300);

fn wanted(kind: &str) -> Await {
    let message = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    Await { message, within: None, optional: false }
}

fn conn_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
