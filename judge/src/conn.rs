//! One connection as the judge follows it: what the client sent, where the session stands, and the record that the rules
//! share. Owns no rule; each area's own memory is a field that the area's module defines.

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::close::CloseCode;
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::limits::Limits;
use lastword_spec::message::{AudioFormat, Ready, SessionEnded};
use lastword_spec::registry::RequirementId;
use lastword_spec::table::State;
use lastword_spec::trace::{ALL_MADE_UP, ControlOutcome, Open, Side};

use crate::bounds::Scale;
use crate::evidence;
use crate::report::{Closed, Connection, Finding};
use crate::rules::con::UpgradeRefusal;
use crate::rules::{answers, aud, cfg, end, flush, keepalive, progress, release, results, vad};
use crate::stall::GivenUp;
use crate::visited::Visited;

/// So many findings of one requirement are told on one connection; more would say no more.
const MOST_OF_A_KIND: usize = 10;

/// When and where in the trace something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) event: usize,
    pub(crate) t_us: u64,
}

/// A finished control session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub(crate) t_us: u64,
    pub(crate) outcome: ControlOutcome,
    pub(crate) took_ms: u64,
}

impl Control {
    /// It ran to its end, and nothing was wrong with it.
    pub(crate) fn completed(&self) -> bool {
        self.outcome == ControlOutcome::Completed
    }

    /// Whether a plain session works, by the control sessions so far: unless all that were answered failed, it does.
    pub(crate) fn plain_works(controls: &[Self]) -> bool {
        let answered = controls.iter().any(|control| control.outcome == ControlOutcome::Answered);
        !answered || controls.iter().any(Self::completed)
    }
}

/// A session that the server gave up as its own failure, right after something that it must be able to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) at: At,
    pub(crate) because: At,
    pub(crate) clause: RequirementId,
}

/// What the rules know beside the connection.
pub(crate) struct Context<'a> {
    pub(crate) controls: &'a [Control],
    pub(crate) secrets: &'a [String],
}

/// What one connection comes to.
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    pub(crate) exercised: BTreeSet<RequirementId>,
    /// Suspicions that the trace does not decide.
    pub(crate) undecided: BTreeMap<RequirementId, String>,
    /// What the connection does not show.
    pub(crate) unsure: BTreeMap<RequirementId, String>,
    /// What is not held against it.
    pub(crate) tolerated: BTreeMap<RequirementId, String>,
}

/// A Close frame, or the end of the transport without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    pub(crate) at: At,
    pub(crate) code: Option<CloseCode>,
    pub(crate) frame: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: u32,
    pub(crate) state: State,
    pub(crate) scale: Scale,
    pub(crate) open: Option<Open>,
    pub(crate) opened: Option<At>,
    pub(crate) refused: Option<u16>,
    pub(crate) refusal: Option<UpgradeRefusal>,
    pub(crate) ready: Option<(At, Ready)>,
    pub(crate) limits: Limits,
    pub(crate) session_ended: Option<(At, SessionEnded)>,
    pub(crate) server_close: Option<Closing>,
    pub(crate) client_close: Option<Closing>,
    /// When the server was last heard, in any message.
    pub(crate) heard_us: Option<u64>,
    /// The last event by which the client did something.
    pub(crate) client_last: Option<At>,
    /// The last event of the connection.
    pub(crate) last: At,
    /// A message of the server could not be read: what depends on all of them is not judged.
    pub(crate) tainted: bool,
    /// A breach made the rest of the connection meaningless.
    pub(crate) abandoned: bool,
    /// A plain session works, as far as is known: what goes wrong here is due to what was special here.
    pub(crate) plain_works: bool,
    /// A fatal `internal` came, and what seems to have provoked it.
    pub(crate) failed: Option<Failed>,
    /// The same, and that nothing had provoked it: the stream had just come to its end.
    pub(crate) failed_at_the_end: Option<Failed>,
    pub(crate) settled: bool,

    pub(crate) config: cfg::Configuring,
    pub(crate) audio: aud::Sent,
    pub(crate) answers: answers::Answers,
    pub(crate) results: results::Results,
    pub(crate) vad: vad::Pairs,
    pub(crate) keepalive: keepalive::Liveness,
    pub(crate) progress: progress::Tracker,
    pub(crate) flush: flush::Flushes,
    pub(crate) end: end::End,
    pub(crate) given_up: Option<GivenUp>,
    /// For how long nobody had had a session with the subject when this connection was opened.
    pub(crate) left_alone_ms: Option<u64>,
    pub(crate) noted: evidence::Noted,
    /// Present on a release probe, which is evidence about another connection and is not judged for itself.
    pub(crate) probe: Option<release::Record>,
    pub(crate) visited: Visited,
    /// What of the message at hand the harness made up.
    pub(crate) made_up: Vec<String>,

    findings: Vec<Finding>,
    told: BTreeMap<RequirementId, usize>,
    exercised: BTreeSet<RequirementId>,
    undecided: BTreeMap<RequirementId, String>,
    unsure: BTreeMap<RequirementId, String>,
    tolerated: BTreeMap<RequirementId, String>,
}

impl Conn {
    pub(crate) fn new(id: u32, scale: Scale, at: At) -> Self {
        Self {
            id,
            state: State::AwaitConfig,
            scale,
            open: None,
            opened: None,
            refused: None,
            refusal: None,
            ready: None,
            limits: Limits::DEFAULT,
            session_ended: None,
            server_close: None,
            client_close: None,
            heard_us: None,
            client_last: None,
            last: at,
            tainted: false,
            abandoned: false,
            plain_works: true,
            failed: None,
            failed_at_the_end: None,
            settled: false,
            config: cfg::Configuring::default(),
            audio: aud::Sent::default(),
            answers: answers::Answers::default(),
            results: results::Results::default(),
            vad: vad::Pairs::default(),
            keepalive: keepalive::Liveness::default(),
            progress: progress::Tracker::default(),
            flush: flush::Flushes::default(),
            end: end::End::default(),
            given_up: None,
            left_alone_ms: None,
            noted: evidence::Noted::default(),
            probe: None,
            visited: Visited::default(),
            made_up: Vec::new(),
            findings: Vec::new(),
            told: BTreeMap::new(),
            exercised: BTreeSet::new(),
            undecided: BTreeMap::new(),
            unsure: BTreeMap::new(),
            tolerated: BTreeMap::new(),
        }
    }

    /// A breach by the server, which shows at `at`.
    pub(crate) fn convict(
        &mut self,
        kind: FindingKind,
        requirement: RequirementId,
        at: At,
        message: impl Into<String>,
    ) {
        self.convict_with(kind, requirement, at, &[], message);
    }

    /// A breach by the server, which shows at `at` together with the events `because`.
    pub(crate) fn convict_with(
        &mut self,
        kind: FindingKind,
        requirement: RequirementId,
        at: At,
        because: &[usize],
        message: impl Into<String>,
    ) {
        let told = self.told.entry(requirement).or_default();
        *told += 1;
        if *told > MOST_OF_A_KIND {
            return;
        }
        let mut frames: Vec<usize> = because.iter().copied().chain([at.event]).collect();
        frames.sort_unstable();
        frames.dedup();
        self.findings.push(Finding {
            kind,
            culprit: Culprit::Server,
            requirement,
            message: message.into(),
            conn: self.id,
            state: self.state,
            frames,
            t_us: at.t_us,
        });
    }

    /// Takes back findings that turn out to be consequences of another one.
    pub(crate) fn retract(&mut self, requirement: RequirementId) {
        self.findings.retain(|finding| finding.requirement != requirement);
        self.told.remove(&requirement);
    }

    /// Lays such findings to another requirement.
    pub(crate) fn lay_to(&mut self, requirement: RequirementId, such: impl Fn(&Finding) -> bool) {
        for finding in self.findings.iter_mut().filter(|finding| such(finding)) {
            *self.told.entry(requirement).or_default() += 1;
            finding.requirement = requirement;
        }
    }

    /// The stimulus and the response of a requirement were both seen.
    pub(crate) fn credit(&mut self, requirement: RequirementId) {
        self.exercised.insert(requirement);
    }

    /// A suspicion that the trace does not decide.
    pub(crate) fn doubt(&mut self, requirement: RequirementId, why: impl Into<String>) {
        self.undecided.entry(requirement).or_insert_with(|| why.into());
    }

    /// Something that is more than the letter allows and less than is held against anybody.
    pub(crate) fn tolerate(&mut self, requirement: RequirementId, what: impl Into<String>) {
        self.tolerated.entry(requirement).or_insert_with(|| what.into());
    }

    /// Something that this connection does not show, and that is no suspicion: another connection may show it.
    pub(crate) fn unsure(&mut self, requirement: RequirementId, why: impl Into<String>) {
        self.unsure.entry(requirement).or_insert_with(|| why.into());
    }

    /// Whether a breach of this requirement has been found on this connection.
    pub(crate) fn convicted(&self, requirement: RequirementId) -> bool {
        self.told.contains_key(&requirement)
    }

    /// Takes back what another finding tells better.
    pub(crate) fn acquit(&mut self, kind: FindingKind, requirement: RequirementId) {
        self.findings.retain(|finding| finding.kind != kind || finding.requirement != requirement);
    }

    /// Whether anything has been found on this connection.
    pub(crate) fn has_findings(&self) -> bool {
        !self.told.is_empty()
    }

    /// Says where the session stood when the last finding's debt arose, where that is not where it stands now.
    pub(crate) fn last_finding_arose_in(&mut self, state: State) {
        if let Some(finding) = self.findings.last_mut() {
            finding.state = state;
        }
    }

    /// The form of the audio: as `ready` said, else as `config` asked.
    pub(crate) fn format(&self) -> AudioFormat {
        match (&self.ready, &self.config.request) {
            (Some((_, ready)), _) => ready.config.audio.clone(),
            (None, Some(request)) => request.effective().audio,
            (None, None) => AudioFormat::default(),
        }
    }

    /// Whether the peer did not say this member of the message at hand: the wire does not tell it, and the harness filled it in.
    pub(crate) fn is_made_up(&self, member: &str) -> bool {
        self.made_up.iter().any(|path| path == member || path == ALL_MADE_UP)
    }

    /// The session is still the server's to go on with: nobody has closed.
    pub(crate) fn is_live(&self) -> bool {
        self.client_close.is_none() && self.server_close.is_none() && self.refused.is_none()
    }

    /// Whether nothing more comes that could explain what has come: the trace does not just stop here.
    pub(crate) fn is_over(&self) -> bool {
        self.session_ended.is_some() || self.given_up.is_some() || !self.is_live()
    }

    /// Whether `session_ended` came with reason `completed`.
    pub(crate) fn completed(&self) -> bool {
        self.session_ended.as_ref().is_some_and(|(_, ended)| ended.reason == lastword_spec::close::EndReason::COMPLETED)
    }

    pub(crate) fn label(&self) -> Option<&str> {
        self.open.as_ref()?.label.as_deref()
    }

    pub(crate) fn speech(&self) -> Option<&str> {
        self.open.as_ref()?.speech.as_deref()
    }

    /// What was found, told once.
    pub(crate) fn take_verdict(&mut self) -> Verdict {
        Verdict {
            findings: std::mem::take(&mut self.findings),
            exercised: std::mem::take(&mut self.exercised),
            undecided: std::mem::take(&mut self.undecided),
            unsure: std::mem::take(&mut self.unsure),
            tolerated: std::mem::take(&mut self.tolerated),
        }
    }

    /// The record for the report.
    pub(crate) fn record(&self) -> Connection {
        let finals = self.results.finals.clone();
        let texts: Vec<&str> = finals.iter().map(|one| one.text.as_str()).filter(|text| !text.is_empty()).collect();
        let first_close = match (self.client_close, self.server_close) {
            (Some(client), Some(server)) if client.at.event < server.at.event => Some((Side::Client, client)),
            (_, Some(server)) => Some((Side::Server, server)),
            (Some(client), None) => Some((Side::Client, client)),
            (None, None) => None,
        };
        Connection {
            conn: self.id,
            label: self.label().map(str::to_owned),
            speech: self.speech().map(str::to_owned),
            state: self.state,
            refused: self.refused,
            transcript: texts.join(" "),
            partials: self.results.partials,
            errors: self.answers.codes.clone(),
            audio_sent_ms: self.audio.accepted_ms(&self.format()).unwrap_or(0),
            session_ended: self.session_ended.as_ref().map(|(_, ended)| ended.clone()),
            close: first_close.map(|(by, closing)| Closed { by, code: closing.code, frame: closing.frame }),
            opened_us: self.opened.map(|at| at.t_us),
            ready_us: self.ready.as_ref().map(|(at, _)| at.t_us),
            sentinel_us: self.end.sentinel.map(|at| at.t_us),
            first_partial_us: self.results.first_partial_us,
            last_final_us: finals.last().map(|one| one.t_us),
            session_ended_us: self.session_ended.as_ref().map(|(at, _)| at.t_us),
            closed_us: first_close.map(|(_, closing)| closing.at.t_us),
            finals,
        }
    }
}
