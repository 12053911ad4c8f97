//! The monitor: takes the events one by one, keeps the connections, and at the end settles what only the end can settle.

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::close::CloseCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::Ready;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements;
use lastword_spec::table::State;
use lastword_spec::trace::{Eof, Event, EventKind, Header, Side};

use crate::bounds::{Options, Scale};
use crate::conn::{At, Closing, Conn, Context, Control};
use crate::ledger::{self, Obligation};
use crate::report::{Connection, Judgement};
use crate::rules::client::Client;
use crate::rules::con::UpgradeRefusal;
use crate::rules::progress::Motion;
use crate::rules::{
    aud, blame, close, con, counters, end, errors, flush, keepalive, messages, pieces, progress, release, results,
    room, security, vad,
};
use crate::suspicion::Suspicion;
use crate::{compare, evidence, read, stall, visited};

/// The judge at work: feed it the events of a trace in their order. What it says before [`finish`](Self::finish) is where
/// things stand after the last event; it never waits.
#[derive(Debug)]
pub struct Monitor {
    scale: Scale,
    secrets: Vec<String>,
    events: usize,
    controls: Vec<Control>,
    conns: BTreeMap<u32, Conn>,
    /// What nobody is judged by, because the dialect of the connections cannot show it.
    not_binding: BTreeSet<RequirementId>,
    /// Present where the client is the subject; then what the server does is the harness's own doing.
    client: Option<Client>,
}

impl Monitor {
    /// A monitor for a trace that begins with this header.
    #[must_use]
    pub fn new(header: &Header, options: &Options) -> Self {
        let spoken = header.dialect.iter().flat_map(|dialect| &dialect.not_binding);
        Self {
            not_binding: spoken.filter_map(|id| requirements::find(id)).map(|one| one.id).collect(),
            scale: Scale::new(header, options),
            secrets: options.secrets.clone(),
            events: 0,
            controls: Vec::new(),
            conns: BTreeMap::new(),
            client: (header.subject == Side::Client)
                .then(|| Client::new(Scale::new(header, options), options.secrets.clone(), header.dialect.is_some())),
        }
    }

    /// Takes the next event. Its number in findings is how many came before it.
    pub fn observe(&mut self, event: &Event) {
        let at = At { event: self.events, t_us: event.t_us };
        self.events += 1;
        if let Some(client) = &mut self.client {
            client.observe(at, event.conn, &event.kind);
        }
        match &event.kind {
            EventKind::Control { outcome, took_ms } => {
                self.controls.push(Control { t_us: event.t_us, outcome: *outcome, took_ms: *took_ms });
            }
            EventKind::Note(_) => {}
            kind @ (EventKind::Ping { .. }
            | EventKind::Pong { .. }
            | EventKind::Transport { .. }
            | EventKind::Cpu { .. }) => {
                if let Some(conn) = self.conns.get_mut(&event.conn) {
                    evidence::observe(conn, at, kind);
                }
            }
            kind => {
                let scale = self.scale;
                let conn = self.conns.entry(event.conn).or_insert_with(|| Conn::new(event.conn, scale, at));
                conn.plain_works = Control::plain_works(&self.controls);
                conn.made_up.clone_from(&event.made_up);
                let context = Context { controls: &self.controls, secrets: &self.secrets };
                release::observe(conn, at, kind);
                let before = conn.state;
                visited::before(conn, kind);
                on_event(conn, &context, at, kind);
                visited::after(conn, before);
                conn.last = at;
            }
        }
    }

    /// Where the session on a connection stands, as its client sees it.
    #[must_use]
    pub fn state(&self, conn: u32) -> State {
        self.conns.get(&conn).map_or(State::AwaitConfig, |conn| conn.state)
    }

    /// The limits that hold on a connection: those announced, else the defaults.
    #[must_use]
    pub fn limits(&self, conn: u32) -> Limits {
        self.conns.get(&conn).map_or(Limits::DEFAULT, |conn| conn.limits.clone())
    }

    /// The `ready` of a connection, once it came; missing members have their defaults.
    #[must_use]
    pub fn ready(&self, conn: u32) -> Option<&Ready> {
        self.conns.get(&conn)?.ready.as_ref().map(|(_, ready)| ready)
    }

    /// What is owed on a connection now, by either side, oldest first.
    #[must_use]
    pub fn owed(&self, conn: u32) -> Vec<Obligation> {
        let mut owed = self.conns.get(&conn).map_or_else(Vec::new, ledger::owed);
        if let Some(client) = &self.client {
            // The client's own book, in the place of what a harness that is a client notes of itself.
            owed.retain(|debt| debt.debtor == Side::Server);
            owed.extend(client.owed(conn));
            owed.sort_by_key(|one| (one.since_us, one.event));
        }
        owed.retain(|debt| !self.not_binding.contains(&debt.requirement));
        owed
    }

    /// What the server will owe if the client stays silent: the endings by the config timer and the idle timer.
    /// [`Obligation::since_us`] is when it will.
    #[must_use]
    pub fn timers(&self, conn: u32) -> Vec<Obligation> {
        let mut timers = self.conns.get(&conn).map_or_else(Vec::new, |conn| ledger::timers(conn, true));
        timers.retain(|debt| !self.not_binding.contains(&debt.requirement));
        timers
    }

    /// How the server gets on with the work that it owes on a connection; `None` where it owes none.
    #[must_use]
    pub fn motion(&self, conn: u32) -> Option<Motion> {
        self.conns.get(&conn).and_then(progress::motion)
    }

    /// The record of a connection so far.
    #[must_use]
    pub fn connection(&self, conn: u32) -> Option<Connection> {
        self.conns.get(&conn).map(Conn::record)
    }

    /// The trace is over.
    #[must_use]
    pub fn finish(self) -> Judgement {
        let not_binding = self.not_binding.clone();
        let mut judgement = self.settled();
        judgement.findings.retain(|finding| !not_binding.contains(&finding.requirement));
        judgement.exercised.retain(|id| !not_binding.contains(id));
        judgement.undecided.retain(|id, _| !not_binding.contains(id));
        Judgement { not_binding, ..judgement }
    }

    fn settled(mut self) -> Judgement {
        let suspicions = self.suspicions();
        let (mut conns, probes): (Vec<Conn>, Vec<Conn>) =
            std::mem::take(&mut self.conns).into_values().partition(|conn| conn.probe.is_none());
        let probes = by_suspect(&probes);
        for conn in &mut conns {
            settle(conn);
            errors::settle(conn, &self.controls);
            let probes = probes.get(&conn.id).map_or(&[][..], Vec::as_slice);
            stall::settle(conn, probes, &self.controls, suspicions.get(&conn.id));
        }
        let mut refs: Vec<&mut Conn> = conns.iter_mut().collect();
        con::across(&mut refs, &self.controls);
        // Where a wire has no progress, a server may be silent for long before `ready`.
        if !self.not_binding.contains(&requirements::PRG_S1) {
            room::across(&mut refs);
        }
        security::across(&mut refs, &self.secrets);
        compare::across(&mut refs);
        pieces::across(&mut refs);
        // Where nothing at all was served, a refusal is no answer to the stimulus: it may be all that the server can say.
        let spoke = |control: &Control| control.outcome.speaks();
        let served = conns.iter().any(|conn| conn.ready.is_some()) || self.controls.iter().any(spoke);
        let mut judgement = Judgement { suspicions: suspicions.into_values().collect(), ..Judgement::default() };
        let mut unsure = BTreeMap::new();
        for conn in &mut conns {
            let verdict = conn.take_verdict();
            judgement.findings.extend(verdict.findings);
            judgement.exercised.extend(verdict.exercised.into_iter().filter(|_| served));
            for (id, why) in verdict.undecided {
                judgement.undecided.entry(id).or_insert(why);
            }
            unsure.extend(verdict.unsure);
            for (id, what) in verdict.tolerated {
                judgement.tolerated.entry(id).or_insert(what);
            }
            judgement.visited.extend(conn.visited.take());
            judgement.connections.push(conn.record());
        }
        judgement.findings.sort_by_key(|finding| (finding.t_us, finding.frames.last().copied(), finding.requirement));
        unsure.retain(|id, _| !judgement.exercised.contains(id));
        for (id, why) in unsure {
            judgement.undecided.entry(id).or_insert(why);
        }
        // What another connection of the trace decided is decided.
        let decided = |id| judgement.findings.iter().any(|finding| finding.requirement == id);
        judgement.undecided.retain(|id, _| !decided(*id));
        match self.client {
            None => judgement,
            Some(client) => {
                let verdict = client.finish();
                Judgement {
                    findings: verdict.findings,
                    exercised: verdict.exercised,
                    undecided: verdict.undecided,
                    connections: judgement.connections,
                    ..Judgement::default()
                }
            }
        }
    }

    /// Who is under suspicion, with the evidence.
    fn suspicions(&self) -> BTreeMap<u32, Suspicion> {
        let probes = by_suspect(self.conns.values().filter(|conn| conn.probe.is_some()));
        let is_suspect = |conn: &&Conn| conn.given_up.is_some() || probes.contains_key(&conn.id);
        let suspects = self.conns.values().filter(|conn| conn.probe.is_none()).filter(is_suspect);
        suspects
            .filter_map(|conn| {
                let probes = probes.get(&conn.id).map_or(&[][..], Vec::as_slice);
                Some((conn.id, evidence::suspicion(conn, probes, &self.controls)?))
            })
            .collect()
    }
}

/// Release probes by the connection that they are about.
fn by_suspect<'a>(probes: impl IntoIterator<Item = &'a Conn>) -> BTreeMap<u32, Vec<&'a Conn>> {
    let mut all: BTreeMap<u32, Vec<&Conn>> = BTreeMap::new();
    for conn in probes {
        if let Some(record) = &conn.probe {
            all.entry(record.probe.of).or_default().push(conn);
        }
    }
    all
}

fn on_event(conn: &mut Conn, context: &Context<'_>, at: At, kind: &EventKind) {
    if kind.from() == Some(Side::Client) && !matches!(kind, EventKind::Ping { .. } | EventKind::Pong { .. }) {
        on_client(conn, at, kind);
        return;
    }
    match kind {
        EventKind::Open(open) => con::on_open(conn, at, open),
        EventKind::Refused { status, retry_after, offered, authorization } => {
            let refusal =
                UpgradeRefusal { at, status: *status, offered: offered.clone(), authorization: *authorization };
            con::on_refused(conn, refusal, retry_after.is_some());
        }
        EventKind::ConnectFailed { .. } => conn.state = State::Closed,
        EventKind::Text { text, .. } => messages::on_text(conn, context, at, text),
        EventKind::Audio { .. } => messages::on_binary(conn, at),
        EventKind::Close { code, .. } => closed(conn, Closing { at, code: *code, frame: true }),
        EventKind::Eof { how, .. } => {
            if *how == Eof::Unreadable {
                messages::unreadable(conn, at);
            }
            closed(conn, Closing { at, code: None, frame: false });
        }
        EventKind::GaveUp { quiescent, .. } => {
            conn.last = at;
            stall::gave_up(conn, at, *quiescent == Some(true));
        }
        EventKind::LeftAlone { for_ms } => conn.left_alone_ms = Some(*for_ms),
        EventKind::Ping { .. }
        | EventKind::Pong { .. }
        | EventKind::Control { .. }
        | EventKind::Stimulus(_)
        | EventKind::Transport { .. }
        | EventKind::Cpu { .. }
        | EventKind::Reads { .. }
        | EventKind::Started(_)
        | EventKind::InputEnded(_)
        | EventKind::Called(_)
        | EventKind::Returned(_)
        | EventKind::Told(_)
        | EventKind::Logged(_)
        | EventKind::Exited(_)
        | EventKind::Note(_) => {}
    }
}

fn on_client(conn: &mut Conn, at: At, kind: &EventKind) {
    match kind {
        EventKind::Text { text, .. } => read::client_text(conn, at, text),
        EventKind::Audio { bytes, head, .. } => read::client_audio(conn, at, *bytes, head),
        EventKind::Close { code, .. } => close::on_client_close(conn, Closing { at, code: *code, frame: true }),
        // A client's end of transport after the sentinel is no cancel: the drain goes on.
        EventKind::Eof { .. } if conn.end.sentinel.is_some() => {}
        EventKind::Eof { .. } => close::on_client_close(conn, Closing { at, code: None, frame: false }),
        _ => return,
    }
    conn.client_last = Some(at);
}

fn closed(conn: &mut Conn, closing: Closing) {
    if closing.code == Some(CloseCode::TRY_AGAIN_LATER) {
        con::no_room(conn, closing.at);
    }
    close::on_server_close(conn, closing);
    settle(conn);
    conn.state = State::Closed;
}

/// The connection is over: everything that could still have come has come.
fn settle(conn: &mut Conn) {
    if std::mem::replace(&mut conn.settled, true) {
        return;
    }
    aud::settle(conn);
    if conn.abandoned {
        return;
    }
    blame::settle(conn);
    keepalive::settle(conn);
    flush::settle(conn);
    results::settle(conn);
    vad::settle(conn);
    end::settle(conn);
    counters::settle(conn);
    messages::settle(conn);
}
