//! Owns what a wait knows of the debt it watches, and the lead of whoever is the first to suspect its kind: the release probes
//! beside the suspect, and what the operating system and a Ping say of it.

use std::sync::Arc;
use std::time::Duration;

use lastword_judge::Obligation;
use lastword_spec::trace::{EventKind, Side};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::env::Env;
use super::player::Opened;
use super::probe::{Fate, Probes, Script, Suspect};
use super::suspects::Key;
use super::system::{self, CpuWindow};
use super::wait;
use crate::record::Recorder;

/// The debt that a wait watches.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) key: Key,
    what: String,
    since_us: u64,
    /// How many answers had come when it was owed.
    milestones: usize,
    last_us: u64,
    /// The longest time in which the server said nothing since.
    silent_us: u64,
}

/// A silence from which on it is asked whether a timer hides something.
const CONSPICUOUS: Duration = Duration::from_millis(500);
/// How long a Ping is waited for.
const PONG: Duration = Duration::from_millis(500);
/// The window in which CPU time is measured.
const CPU: Duration = Duration::from_millis(400);

impl Watched {
    /// Keeps up with what is owed: the debt itself, and how long nothing has been heard.
    pub(super) fn note(watched: &mut Option<Self>, debt: Option<&Obligation>, last_us: u64, milestones: usize) {
        let Some(debt) = debt else {
            return;
        };
        let key = Key::of(debt);
        match watched {
            Some(same) if same.key == key && same.since_us == debt.since_us => same.heard(last_us),
            _ => {
                let what = debt.what.split(' ').next().unwrap_or_default().to_owned();
                let last_us = last_us.max(debt.since_us);
                *watched = Some(Self { key, what, since_us: debt.since_us, milestones, last_us, silent_us: 0 });
            }
        }
    }

    fn heard(&mut self, last_us: u64) {
        self.silent_us = self.silent_us.max(last_us.saturating_sub(self.last_us));
        self.last_us = self.last_us.max(last_us);
    }

    /// How long it has been owed.
    pub(super) fn age(&self, now_us: u64) -> Duration {
        Duration::from_micros(now_us.saturating_sub(self.since_us))
    }

    fn suspect(&self, conn: u32, script: &Script, came_after: Option<Duration>) -> Suspect {
        let (what, milestones) = (self.what.clone(), self.milestones);
        Suspect { conn, script: script.clone(), what, milestones, came_after, one_by_one: false }
    }

    /// It has come, after a conspicuous silence, and nobody has asked yet whether a timer brought it: whom to probe.
    pub(super) fn masked(
        mut self,
        env: &Env,
        recorder: &Recorder,
        conn: u32,
        scale_percent: u64,
        opened: Option<&Opened>,
    ) -> Option<Suspect> {
        self.heard(recorder.last_us(conn));
        let opened = opened?;
        let script = &opened.script;
        let conspicuous_us = u64::try_from(CONSPICUOUS.as_micros()).unwrap_or(u64::MAX) * scale_percent / 100;
        let asks = self.silent_us >= conspicuous_us
            && self.key.is_probed()
            && self.what != "Close"
            && script.is_short()
            && !script.closes()
            && env.suspects.claim_mask(&self.key, opened.about_waiting);
        asks.then(|| self.suspect(conn, script, Some(self.age(recorder.last_us(conn)))))
    }
}

/// The lead in looking into a kind of debt.
pub(super) struct Lead {
    key: Key,
    suspect: Suspect,
    fate: watch::Sender<Fate>,
    /// What its processes worked since it was suspected.
    cpu: Option<CpuWindow>,
    /// The probes beside the suspect; `None` where there is room for one session only, and they must come after it.
    probes: Option<JoinHandle<bool>>,
}

impl Lead {
    /// Takes the lead if nobody has it, and starts the probes where there is room.
    pub(super) fn claim(
        env: &Arc<Env>,
        recorder: &Arc<Recorder>,
        conn: u32,
        watched: &Watched,
        opened: &Opened,
    ) -> Option<Self> {
        let (key, script) = (watched.key.clone(), &opened.script);
        let may =
            key.is_probed() && script.is_short() && !script.closes() && env.suspects.claim(&key, opened.about_waiting);
        if !may {
            return None;
        }
        // It may come after all; then nothing is left to look at.
        if let Some(transport) = opened.session.as_ref().and_then(|session| system::transport(session.link.addresses()))
        {
            recorder.note(conn, transport);
        }
        let cpu = CpuWindow::open(env.dialler.target().pid);
        let suspect = watched.suspect(conn, script, None);
        let (fate, seen) = watch::channel(Fate::Open);
        let probes = (!env.is_serial()).then(|| {
            let probes = Probes::new(env, recorder, suspect.clone(), seen);
            tokio::spawn(probes.hold())
        });
        Some(Self { key, suspect, fate, cpu, probes })
    }

    /// What was owed has come in the end.
    pub(super) async fn came(self, env: &Env, recorder: &Recorder, after: Duration, opened: Option<&mut Opened>) {
        env.suspects.came(self.key);
        // The probes and other cases ran meanwhile, so that it shows at most that nobody worked.
        if let Some(cpu) = self.cpu.and_then(|window| window.close(false)) {
            recorder.note(self.suspect.conn, cpu);
        }
        self.fate.send_replace(Fate::Came(after));
        match (self.probes, opened) {
            (Some(probes), None) => drop(probes.await),
            (Some(probes), Some(opened)) => {
                if !probes.await.unwrap_or(true) {
                    opened.probe_later.push(Suspect { came_after: Some(after), one_by_one: true, ..self.suspect });
                }
            }
            (None, Some(opened)) => opened.probe_later.push(Suspect { came_after: Some(after), ..self.suspect }),
            (None, None) => {}
        }
    }

    /// The harness has given up: the rest of the evidence.
    pub(super) async fn gave_up(self, env: &Env, recorder: &Arc<Recorder>, opened: Option<&mut Opened>) {
        self.fate.send_replace(Fate::GaveUp);
        let had_room = match self.probes {
            Some(probes) => probes.await.unwrap_or(true),
            None => false,
        };
        let Some(opened) = opened else { return };
        look(env, recorder, self.suspect.conn, opened).await;
        if !had_room {
            // The suspect itself takes the room: again when it has been let go.
            opened.probe_later.push(Suspect { one_by_one: true, ..self.suspect });
        }
    }
}

/// What a Ping, the kernel and the clock of the processes say of a suspect.
async fn look(env: &Env, recorder: &Arc<Recorder>, conn: u32, opened: &mut Opened) {
    let Some(session) = opened.session.as_mut() else { return };
    if let Some(transport) = system::transport(session.link.addresses()) {
        recorder.note(conn, transport);
    }
    let pongs = recorder.count(conn, |kind| matches!(kind, EventKind::Pong { from: Side::Server }));
    let patience = env.controls.scaled(PONG);
    let bound = Instant::now() + patience;
    // A transport that takes nothing more must not hold the harness.
    if let Ok(true) = tokio::time::timeout(patience, session.link.ping()).await {
        let ponged = |recorder: &Recorder| {
            recorder.count(conn, |kind| matches!(kind, EventKind::Pong { from: Side::Server })) > pongs
        };
        wait::quietly(recorder, bound, ponged).await;
    }
    let Some(window) = CpuWindow::open(env.dialler.target().pid) else { return };
    let others = || env.gate.open_sessions() > env.parking.count();
    let mut alone = !others();
    tokio::time::sleep(CPU).await;
    alone &= !others();
    if let Some(cpu) = window.close(alone) {
        recorder.note(conn, cpu);
    }
}
