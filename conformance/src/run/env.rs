//! Owns what the parts of a run share: the subject, the speech, the limits and what has been learnt so far.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lastword_judge::Options;
use lastword_spec::limits::Limits;
use lastword_spec::message::Ready;
use lastword_spec::trace::{EventKind, Header, Open as Opening, Probe, Shown, Side};
use tokio::time::Instant;

use super::control::Controls;
use super::gate::{Gate, SessionPermit};
use super::knowledge::Knowledge;
use super::suspects::{Parking, Suspects};
use crate::case::{Credential, Open};
use crate::limit;
use crate::memory::Watch;
use crate::record::Recorder;
use crate::speech::Speech;
use crate::wire::{self, Dialler, Link, Opened};

/// What the parts of a run share.
pub(crate) struct Env {
    pub(crate) dialler: Dialler,
    pub(crate) speech: Speech,
    pub(crate) gate: Gate,
    pub(super) suspects: Suspects,
    pub(super) parking: Parking,
    /// How many cases run side by side just now, at most.
    pub(super) lanes: AtomicUsize,
    pub(crate) controls: Controls,
    pub(crate) seed: u64,
    /// No wait is longer.
    pub(crate) max_wait_ms: u64,
    /// When the run began: the clock on which its cases lie.
    pub(crate) started: Instant,
    /// What the subject is said to hear, by the name of a recording.
    pub(crate) expect: Vec<(String, String)>,
    /// The first `ready` of the run.
    pub(crate) ready: OnceLock<Ready>,
    /// Sees whether the whole process waits, where the subject is in memory and time is paused.
    pub(crate) watch: Option<Watch>,
}

/// A connection and the right to have it.
pub(crate) struct Session {
    pub(crate) link: Link,
    _permit: SessionPermit,
}

impl Env {
    /// A header for a record of this run.
    pub(crate) fn header(&self, case: &str, scale_percent: u64) -> Header {
        let mut header = Header::new(Side::Server);
        header.case = Some(case.to_owned());
        header.seed = Some(self.seed);
        header.time_scale_percent = scale_percent;
        header.dialect = self.dialler.spoken();
        header
    }

    /// The value of a limit by its name, for audio that is cut into frames: what the wire carries may have another sample rate.
    pub(crate) fn audio_limit(&self, limits: &Limits, name: &str) -> Option<u64> {
        let value = limit::by_name(limits, name)?;
        Some(if name == "max_frame_bytes" { self.dialler.own_bytes(value) } else { value })
    }

    /// What verdicts depend on besides the traces, as far as it is known by now.
    pub(crate) fn knowledge(&self) -> Knowledge {
        let target = self.dialler.target();
        Knowledge {
            secrets: target.token.iter().cloned().collect(),
            has_credential: target.has_credential(),
            expected: Knowledge::expected(&self.expect, &self.speech),
            max_wait_ms: self.max_wait_ms,
            max_sessions: Some(self.gate.max_sessions()),
            ready: self.ready.get().cloned(),
            dialect: self.dialler.spoken(),
        }
    }

    /// What the judge is told beside a trace.
    pub(crate) fn options(&self) -> Options {
        self.knowledge().options()
    }

    /// What the trace says of a credential.
    fn shown(&self, credential: Credential) -> Shown {
        match credential {
            Credential::Wrong => Shown::Wrong,
            Credential::Good if self.dialler.target().has_credential() => Shown::Good,
            Credential::Good | Credential::None => Shown::None,
        }
    }

    /// Opens a connection and notes what came of it; `None` where there is none.
    pub(crate) async fn open(
        &self,
        conn: u32,
        open: &Open,
        speech: Option<String>,
        recorder: &Arc<Recorder>,
        permit: SessionPermit,
    ) -> Option<Session> {
        self.open_for(conn, open, speech, None, recorder, permit).await
    }

    /// The same for a release probe.
    pub(super) async fn open_probe(
        &self,
        conn: u32,
        open: &Open,
        probe: Probe,
        recorder: &Arc<Recorder>,
        permit: SessionPermit,
    ) -> Option<Session> {
        self.open_for(conn, open, None, Some(probe), recorder, permit).await
    }

    /// Lets the next stall of each kind be looked into anew, with all the evidence.
    pub(crate) fn look_anew(&self) {
        self.suspects.forget();
    }

    /// Whether the subject has no room for a second session beside a suspect.
    pub(super) fn is_serial(&self) -> bool {
        self.lanes.load(Ordering::Relaxed) <= 1 || self.gate.is_for_one()
    }

    async fn open_for(
        &self,
        conn: u32,
        open: &Open,
        speech: Option<String>,
        probe: Option<Probe>,
        recorder: &Arc<Recorder>,
        permit: SessionPermit,
    ) -> Option<Session> {
        let bound = self.controls.scaled(wire::OPENING).min(Duration::from_millis(self.max_wait_ms)).max(wire::OPENING);
        match self.dialler.open(&open.offer, open.authorization, bound).await {
            Opened::Socket { socket, selected, tongue } => {
                recorder.note(
                    conn,
                    EventKind::Open(Opening {
                        offered: open.offer.clone(),
                        selected,
                        label: open.label.clone(),
                        speech,
                        url: Some(self.dialler.target().shown()),
                        authorization: Some(self.shown(open.authorization)),
                        probe,
                    }),
                );
                let link = Link::new(conn, *socket, tongue, Arc::clone(recorder), self.suspects.flood());
                Some(Session { link, _permit: permit })
            }
            Opened::Refused { status, retry_after, told } => {
                if let Some(told) = told {
                    recorder.note(conn, EventKind::Note(told));
                }
                let offered = Some(open.offer.clone());
                let authorization = Some(self.shown(open.authorization));
                recorder.note(conn, EventKind::Refused { status, retry_after, offered, authorization });
                None
            }
            Opened::Failed(error) => {
                recorder.note(conn, EventKind::ConnectFailed { error });
                None
            }
        }
    }
}
