//! A client as the subject: what it may not send, by its own table, and what it owes when it falls silent. The harness is the server
//! here and notes what it sends before the client can have read it, so only what is certain at the client is held against it: what it
//! sent before it can have seen `ready`, and what it sent after its own sentinel. When its input ended is not in a trace: a sentinel
//! that never came, behind keepalives that do, stays undecided. Must not know the record of the server's rules.

use lastword_spec::codec::{Decoded, decode_client, decode_ready_lenient, decode_server};
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::limits::Limits;
use lastword_spec::message::{ClientMessage, Keepalive, ServerMessage};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{Answer, CLIENT_SENDS, ClientInput, ServerInput, State, client_row};
use lastword_spec::trace::{EventKind, Side};

use crate::bounds::Scale;
use crate::conn::At;
use crate::ledger::Obligation;
use crate::report::Finding;

/// One connection of a client under test.
#[derive(Debug)]
pub(crate) struct Client {
    conn: u32,
    scale: Scale,
    state: State,
    limits: Limits,
    /// The event from which the client owes what it owes now: the upgrade, `ready`, its last audio or keepalive, `session_ended`.
    owes_since: Option<At>,
    sentinel_sent: bool,
    closed: bool,
    findings: Vec<Finding>,
}

/// How long a client has for its `config` after the upgrade, and for its Close after `session_ended`.
const CONFIG_MS: u64 = 10_000;
const END_MS: u64 = 1_000;

impl Client {
    pub(crate) fn new(conn: u32, scale: Scale) -> Self {
        Self {
            conn,
            scale,
            state: State::AwaitConfig,
            limits: Limits::DEFAULT,
            owes_since: None,
            sentinel_sent: false,
            closed: false,
            findings: Vec::new(),
        }
    }

    /// Takes the next event of the connection.
    pub(crate) fn observe(&mut self, at: At, kind: &EventKind) {
        match kind {
            EventKind::Open(_) => self.owes_since = Some(at),
            EventKind::Text { from: Side::Server, text } => self.hears(at, text),
            EventKind::Text { from: Side::Client, text } => self.says(at, text),
            EventKind::Audio { from: Side::Client, .. } => self.sends(at, ServerInput::Audio, "audio"),
            EventKind::Close { from: Side::Client, .. } | EventKind::Eof { from: Side::Client, .. } => {
                self.closed = true
            }
            EventKind::Close { .. } | EventKind::Eof { .. } if self.state != State::Ended => self.state = State::Closed,
            EventKind::GaveUp { .. } => self.given_up(at),
            _ => {}
        }
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// The harness sent this: the client may know it from now on.
    fn hears(&mut self, at: At, text: &str) {
        let input = match decode_server(text, u64::MAX) {
            Ok(Decoded::Message(ServerMessage::Ready(ready))) => {
                self.limits = ready.limits;
                ClientInput::Ready
            }
            Ok(Decoded::Message(ServerMessage::SessionEnded(_))) => ClientInput::SessionEnded,
            Ok(Decoded::Message(ServerMessage::Error(error))) if error.fatal => ClientInput::FatalError,
            // Nothing else changes what a client may send.
            Ok(_) => return,
            // The harness tries how a client takes a `ready` with members missing: their defaults hold.
            Err(_) => match decode_ready_lenient(text, u64::MAX) {
                Ok(lenient) => {
                    self.limits = lenient.ready.limits;
                    ClientInput::Ready
                }
                Err(_) => return,
            },
        };
        let row = client_row(self.state, input);
        if row.answer != Answer::Violation && row.next != self.state {
            self.state = row.next;
            self.owes_since = Some(at);
        }
    }

    fn says(&mut self, at: At, text: &str) {
        let message = match decode_client(text, u64::MAX) {
            Ok(Decoded::Message(message)) => message,
            // A later version may define more; what a client sends of it the server answers.
            Ok(Decoded::Unknown { .. }) => return,
            Err(_) => {
                let message = "sent a text message that is no message of the protocol";
                self.convict(FindingKind::MalformedMessage, req::MSG_2, at, message);
                return;
            }
        };
        let input = match &message {
            ClientMessage::Config(_) => ServerInput::Config,
            ClientMessage::Keepalive(Keepalive { seq: None }) => ServerInput::Keepalive,
            ClientMessage::Keepalive(Keepalive { seq: Some(_) }) => ServerInput::KeepaliveSeq,
            ClientMessage::Flush(_) => ServerInput::Flush,
            ClientMessage::Update(_) => ServerInput::Update,
            ClientMessage::EndOfStream => ServerInput::EndOfStream,
        };
        self.sends(at, input, message.message_type());
    }

    fn sends(&mut self, at: At, input: ServerInput, what: &str) {
        let before = self.state;
        let row = CLIENT_SENDS.iter().find(|row| (row.state, row.input) == (before, input));
        if let Some(row) = row {
            self.state = row.next;
            // Flushes and updates do not count. [KA-C1]
            if !matches!(input, ServerInput::Flush | ServerInput::Update) {
                self.owes_since = Some(at);
            }
        }
        let is_sentinel = input == ServerInput::EndOfStream;
        let breach = match (before, input) {
            // After its own sentinel it is in the wrong, wherever the server is by now.
            _ if self.sentinel_sent => Some(after_the_sentinel(input)),
            _ if row.is_some() => None,
            (State::AwaitConfig, _) | (_, ServerInput::Config) => Some((FindingKind::IllegalMessage, req::CFG_C1)),
            (State::Configuring, _) => Some((FindingKind::IllegalMessage, req::CFG_C2)),
            // It may not have read yet what ended the session.
            _ => None,
        };
        self.sentinel_sent |= is_sentinel;
        if is_sentinel && before == State::Configuring {
            // Early as it is, it counts: nothing more is owed.
            self.state = State::Draining;
        }
        if let Some((kind, clause)) = breach {
            self.convict(kind, clause, at, format!("sent `{what}` in {}", before.as_str()));
        }
    }

    /// What the client owes now.
    pub(crate) fn owed(&self) -> Option<Obligation> {
        let since = self.owes_since.filter(|_| !self.closed)?;
        let (what, within_ms, requirement) = match self.state {
            State::AwaitConfig => ("config", CONFIG_MS, req::CFG_C1),
            State::Streaming => ("audio, keepalive or end_of_stream", self.limits.keepalive_interval_ms, req::KA_C1),
            State::Ended => ("Close", END_MS.max(self.limits.close_ms), req::END_C3),
            State::Configuring | State::Draining | State::Failing | State::Closed => return None,
        };
        Some(Obligation {
            debtor: Side::Client,
            what: what.to_owned(),
            state: self.state,
            since_us: since.t_us,
            due_us: since.t_us.saturating_add(self.scale.patience_us(within_ms)),
            requirement,
            conn: self.conn,
            event: since.event,
        })
    }

    /// The harness stopped waiting: does the client owe something for too long?
    fn given_up(&mut self, at: At) {
        let Some(debt) = self.owed().filter(|debt| at.t_us > debt.due_us) else { return };
        let seconds = |us: u64| us as f64 / 1_000_000.0;
        let (what, state) = (&debt.what, debt.state.as_str());
        let (since, silent) = (seconds(debt.since_us), seconds(at.t_us.saturating_sub(debt.since_us)));
        let message = format!("owes {what} since t={since:.2} s ({state}), silent for {silent:.2} s");
        self.convict(FindingKind::Stalled, debt.requirement, at, message);
        if let Some(finding) = self.findings.last_mut() {
            finding.frames.insert(0, debt.event);
        }
    }

    fn convict(&mut self, kind: FindingKind, requirement: RequirementId, at: At, message: impl Into<String>) {
        // Once is enough: a flood of one sort says no more.
        if self.findings.iter().any(|finding| (finding.kind, finding.requirement) == (kind, requirement)) {
            return;
        }
        self.findings.push(Finding {
            kind,
            culprit: Culprit::Client,
            requirement,
            message: message.into(),
            conn: self.conn,
            state: self.state,
            frames: vec![at.event],
            t_us: at.t_us,
        });
    }
}

fn after_the_sentinel(input: ServerInput) -> (FindingKind, RequirementId) {
    match input {
        ServerInput::EndOfStream => (FindingKind::DuplicateSentinel, req::END_C2),
        ServerInput::Audio => (FindingKind::AudioAfterEnd, req::END_C6),
        ServerInput::Keepalive | ServerInput::KeepaliveSeq => (FindingKind::KeepaliveAfterEnd, req::KA_C3),
        _ => (FindingKind::IllegalMessage, req::END_C6),
    }
}
