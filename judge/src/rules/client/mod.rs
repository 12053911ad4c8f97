//! A client as the subject: its runs, each a process or a session with its connections, and what is known of it apart from them.
//! Owns the collecting and the order of the rules; what is forbidden on the wire is in `wire`, what is owed in `owes`, how a
//! session ended in `outcome`, and its process in `crash`, how it dials again in `redials`, when it may give up in `budget`, what waits for what in `both_ways`, what a message that is none did
//! in `odd`, what only a driver can see in `calls`, and what was exercised in `credit`.

mod both_ways;
mod budget;
mod calls;
mod crash;
mod credit;
mod held;
mod odd;
mod outcome;
mod owes;
mod redials;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::{Call, Called, EventKind, Exited, InputEnded, Returned, Started, Told, ToldWhat};

use self::wire::Wire;
use crate::bounds::Scale;
use crate::conn::At;
use crate::ledger::Obligation;
use crate::report::Finding;

/// A client under test.
#[derive(Debug)]
pub(crate) struct Client {
    scale: Scale,
    secrets: Vec<String>,
    /// Whether it speaks another wire than that of version 1.
    is_foreign: bool,
    runs: Vec<Run>,
}

/// One process of the client, or one session of it.
#[derive(Debug, Default)]
struct Run {
    /// Whether the run was watched from its start, and by a driver; nothing is known but the wire without it.
    started: Option<Started>,
    wires: BTreeMap<u32, Wire>,
    input_ended: Option<(At, InputEnded)>,
    calls: Vec<(At, Called)>,
    returns: Vec<(At, Returned)>,
    told: Vec<(At, Told)>,
    /// What of its output repeats its credential, as the harness says.
    logged: Vec<(At, String)>,
    exited: Option<(At, Exited)>,
    /// When the harness stopped waiting; what came after that it has brought about itself.
    gave_up: Option<(At, u32)>,
    findings: Vec<Finding>,
}

/// What the rules say of a client.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    pub(crate) exercised: BTreeSet<RequirementId>,
    pub(crate) undecided: BTreeMap<RequirementId, String>,
}

impl Client {
    pub(crate) fn new(scale: Scale, secrets: Vec<String>, is_foreign: bool) -> Self {
        Self { scale, secrets, is_foreign, runs: vec![Run::default()] }
    }

    /// Takes the next event.
    pub(crate) fn observe(&mut self, at: At, conn: u32, kind: &EventKind) {
        let (scale, is_foreign) = (self.scale, self.is_foreign);
        let run = self.run_of(kind);
        match kind {
            EventKind::Started(started) => run.started = Some(*started),
            EventKind::InputEnded(ended) => run.input_ended = run.input_ended.or(Some((at, *ended))),
            EventKind::Called(called) => run.calls.push((at, called.clone())),
            EventKind::Returned(returned) => run.returns.push((at, returned.clone())),
            EventKind::Told(told) => run.told.push((at, told.clone())),
            EventKind::Logged(text) => run.logged.push((at, text.clone())),
            EventKind::Exited(exited) => run.exited = run.exited.or(Some((at, *exited))),
            EventKind::GaveUp { .. } => run.given_up(at, conn, scale),
            EventKind::Note(_) | EventKind::Control { .. } | EventKind::Cpu { .. } => {}
            kind => {
                if run.gave_up.is_none() {
                    run.wires.entry(conn).or_insert_with(|| Wire::new(conn, is_foreign)).observe(at, kind);
                }
            }
        }
    }

    /// The run that an event belongs to.
    fn run_of(&mut self, kind: &EventKind) -> &mut Run {
        let is_new = matches!(kind, EventKind::Started(_));
        if is_new && self.runs.last().is_some_and(|run| run.started.is_some() || !run.wires.is_empty()) {
            self.runs.push(Run::default());
        }
        self.runs.last_mut().expect("there is one from the start")
    }

    /// What the client owes on a connection now.
    pub(crate) fn owed(&self, conn: u32) -> Option<Obligation> {
        let run = self.runs.iter().rev().find(|run| run.wires.contains_key(&conn))?;
        owes::owed(run, conn, self.scale)
    }

    /// The trace is over.
    pub(crate) fn finish(mut self) -> Verdict {
        let mut verdict = Verdict::default();
        let mut came_to_its_end = false;
        for run in &mut self.runs {
            run.settle(self.scale, &self.secrets);
            if let Some((id, why)) = run.open_question() {
                verdict.undecided.entry(id).or_insert(why);
            }
            verdict.exercised.extend(credit::exercised(run, self.scale, !self.secrets.is_empty()));
            let mut found: Vec<Finding> = run.wires.values_mut().flat_map(Wire::take_findings).collect();
            found.append(&mut run.findings);
            came_to_its_end |= odd::came_to_its_end(run, &found, self.scale);
            let found = if came_to_its_end { odd::explain(run, found) } else { found };
            verdict.findings.extend(crash::alone(run, found));
        }
        if let Some((requirement, found)) = outcome::two_times(&self.runs) {
            verdict.exercised.insert(requirement);
            verdict.findings.extend(found);
        }
        verdict.findings.extend(both_ways::settle(&self.runs, self.scale));
        if both_ways::are_free(&self.runs, self.scale) {
            verdict.exercised.insert(req::BP_C2);
        } else if let Some(why) = both_ways::open_question(&self.runs, self.scale) {
            verdict.undecided.entry(req::BP_C2).or_insert(why);
        }
        verdict.findings.sort_by_key(|finding| (finding.t_us, finding.frames.last().copied(), finding.requirement));
        let found: BTreeSet<RequirementId> = verdict.findings.iter().map(|finding| finding.requirement).collect();
        verdict.undecided.retain(|id, _| !found.contains(id));
        verdict
    }
}

impl Run {
    /// Whether a driver drives it.
    fn is_driven(&self) -> bool {
        self.started.is_some_and(|started| started.driven)
    }

    /// The connection that it opened last.
    fn last(&self) -> Option<&Wire> {
        self.wires.values().next_back()
    }

    /// The end of its public iterator, as the client tells it.
    fn told_end(&self) -> Option<&(At, Told)> {
        self.told.iter().find(|(_, told)| told.what == ToldWhat::Ended)
    }

    /// When the client was through by itself: its iterator ended, or at level 0 its process.
    fn ended_itself(&self) -> Option<At> {
        let told = self.told_end().map(|(at, _)| *at);
        let exited = self.exited.as_ref().map(|(at, _)| *at);
        let end = if self.is_driven() { told.or(exited) } else { exited };
        end.filter(|end| self.gave_up.is_none_or(|(gave_up, _)| end.event < gave_up.event))
    }

    /// The first call of this sort.
    fn call(&self, what: Call) -> Option<&(At, Called)> {
        self.calls.iter().find(|(_, called)| called.what == what)
    }

    /// When the application cancelled: a `close` that the client did not refuse. It is made when the call that begins the session has
    /// come back, which some clients have wait for `ready`.
    fn cancelled(&self) -> Option<At> {
        let (called, close) = self.call(Call::Close)?;
        let back = |number: u32| self.returns.iter().find(|(_, one)| one.number == number);
        if back(close.number).is_some_and(|(_, one)| one.failed.is_some()) {
            return None;
        }
        let begun = match self.call(Call::Start).and_then(|(_, start)| back(start.number)) {
            Some((_, start)) if start.failed.is_some() => return None,
            Some((begun, _)) => *begun,
            None => self.last()?.facts.ready?,
        };
        Some(if begun.event > called.event { begun } else { *called })
    }

    /// The transport ended while the application handed over nothing: only a keepalive that cannot be sent, and the end of the
    /// transport itself, tell the client. [KA-C5]
    fn owed_only_keepalives(&self) -> bool {
        let Some(facts) = self.last().map(|wire| &wire.facts) else { return false };
        let Some(eof) = facts.server_eof else { return false };
        let goes_on = |(at, called): &(At, Called)| called.what == Call::Push && at.event > eof.event;
        let is_open = self.input_ended.as_ref().is_none_or(|(at, _)| at.event > eof.event);
        let spoke = !facts.audio.is_empty();
        self.is_driven() && spoke && facts.sentinel.is_none() && is_open && !self.calls.iter().any(goes_on)
    }

    /// The harness stopped waiting: does the client owe something for too long?
    fn given_up(&mut self, at: At, conn: u32, scale: Scale) {
        if self.gave_up.is_none() {
            if let Some(debt) = owes::owed(self, conn, scale).filter(|debt| at.t_us > debt.due_us) {
                let finding = owes::breach(self, &debt, at);
                self.findings.push(finding);
            }
            self.gave_up = Some((at, conn));
        }
    }

    fn settle(&mut self, scale: Scale, secrets: &[String]) {
        let mut found = outcome::settle(self, scale);
        found.extend(budget::settle(self, scale));
        found.extend(calls::settle(self, scale));
        found.extend(self.leaked(secrets));
        // A breach is told once, by the first rule that saw it.
        for finding in found {
            let is_told = |one: &Finding| one.requirement == finding.requirement;
            if !self.findings.iter().any(is_told)
                && !self.wires.values().any(|wire| wire.findings().iter().any(is_told))
            {
                self.findings.push(finding);
            }
        }
    }

    /// [SEC-C1]
    fn leaked(&self, secrets: &[String]) -> Vec<Finding> {
        let holds = |text: &str| secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret.as_str()));
        let mut found = Vec::new();
        for wire in self.wires.values() {
            if let Some((at, open)) = &wire.facts.opened
                && open.url.as_deref().is_some_and(holds)
            {
                let message = "put its credential into the URL";
                found.push(self.finding(FindingKind::LeakedSecret, req::SEC_C1, wire.conn, *at, message));
            }
        }
        let texts =
            self.told.iter().flat_map(|(at, told)| told.text.iter().chain(&told.code).map(move |text| (at, text)));
        let texts = texts.chain(self.returns.iter().filter_map(|(at, one)| Some((at, one.failed.as_ref()?))));
        for (at, text) in texts {
            if holds(text) {
                let message = "told its application the credential";
                found.push(self.finding(FindingKind::LeakedSecret, req::SEC_C1, self.conn(), *at, message));
            }
        }
        for (at, text) in &self.logged {
            if holds(text) {
                let message = "wrote its credential into its output, which is its log";
                found.push(self.finding(FindingKind::LeakedSecret, req::SEC_C1, self.conn(), *at, message));
            }
        }
        found
    }

    /// Why nothing follows from what looks like a hang, if so.
    fn open_question(&self) -> Option<(RequirementId, String)> {
        let (_, conn) = self.gave_up?;
        let wire = self.wires.get(&conn)?;
        let knows_no_end = self.input_ended.is_none() && wire.facts.sentinel.is_none() && wire.facts.ready.is_some();
        (self.findings.is_empty() && knows_no_end && wire.facts.server_left().is_none()).then(|| {
            let why = "input end unknown: give the command {audio}, --stdin or --stream-ms, or a driver";
            (req::END_C1, why.to_owned())
        })
    }

    fn conn(&self) -> u32 {
        self.last().map_or(0, |wire| wire.conn)
    }

    fn finding(
        &self,
        kind: FindingKind,
        requirement: RequirementId,
        conn: u32,
        at: At,
        message: impl Into<String>,
    ) -> Finding {
        let state = self.wires.get(&conn).map_or(State::AwaitConfig, |wire| wire.state);
        Finding {
            kind,
            culprit: Culprit::Client,
            requirement,
            message: message.into(),
            conn,
            state,
            frames: vec![at.event],
            t_us: at.t_us,
        }
    }
}

/// Seconds for a sentence.
fn seconds(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1_000_000.0)
}
