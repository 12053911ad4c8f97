//! One connection of a client under test: what was said on it, and what the client may not send, by its own table. The harness is
//! the server here and notes what it sends before the client can have read it, so only what is certain at the client is held against
//! it: what it sent before it can have seen `ready`, and what it sent after its own sentinel.

use lastword_spec::close::CloseCode;
use lastword_spec::codec::{DecodeErrorKind, Decoded, decode_client, decode_ready_lenient, decode_server};
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::limits::Limits;
use lastword_spec::message::{AudioFormat, ClientMessage, ErrorMessage, Keepalive, ServerMessage, SessionEnded};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{CLIENT_SENDS, ClientInput, ServerInput, State, client_row};
use lastword_spec::trace::{Eof, EventKind, Open, Side};

use super::both_ways::Flow;
use crate::bounds::{Scale, total};
use crate::conn::At;
use crate::report::Finding;

/// One connection of a client under test.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) conn: u32,
    pub(super) state: State,
    pub(super) limits: Limits,
    /// Whether another wire than that of version 1 is spoken: it announces no bounds.
    pub(super) is_foreign: bool,
    /// The event from which the client owes audio, a keepalive or the sentinel: `ready`, its last audio or keepalive.
    pub(super) spoke: Option<At>,
    pub(super) facts: Facts,
    findings: Vec<Finding>,
}

/// How long a client has to read an error and to tell it. [ERR-C1]
pub(super) const READ_MS: u64 = 1_000;

/// How long the closing handshake may take where nobody announces it: libraries wait 10 s by themselves, some of them twice. [CLO-C4]
const UNANNOUNCED_CLOSE_MS: u64 = 30_000;

/// How a message was written; what it says is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Written {
    #[default]
    Usually,
    /// With white space, in another order, or with escapes. [MSG-3]
    Oddly,
    /// With extensions. [VER-3]
    Extended,
}

/// What happened on a connection, each with its event.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) opened: Option<(At, Open)>,
    /// There was no upgrade.
    pub(super) failed: Option<At>,
    pub(super) config: Option<At>,
    pub(super) ready: Option<At>,
    pub(super) audio_format: Option<AudioFormat>,
    pub(super) sentinel: Option<At>,
    /// Whether the server has the capability of updates.
    pub(super) may_update: bool,
    pub(super) ended: Option<(At, SessionEnded)>,
    /// How `session_ended` was written.
    pub(super) written: Written,
    pub(super) fatal: Option<(At, ErrorMessage)>,
    /// Errors that end nothing.
    pub(super) errors: Vec<(At, ErrorMessage)>,
    /// Results, and how long their messages are.
    pub(super) said: Vec<(At, u64)>,
    /// What was on its way.
    pub(super) flows: Vec<(At, Flow)>,
    /// What no server may send, and what nobody knows.
    pub(super) odd: Vec<At>,
    pub(super) finals: Vec<(At, u64, String)>,
    pub(super) flushed: Vec<At>,
    /// What may extend a bound.
    pub(super) progress: Vec<At>,
    /// The last thing that the server sent.
    pub(super) heard: Option<At>,
    /// When the harness did not read: what came then is noted too late.
    pub(super) deaf: Vec<(At, Option<At>)>,
    pub(super) audio: Vec<(At, u64)>,
    pub(super) keepalives: Vec<(At, Option<u64>)>,
    pub(super) flushes: Vec<At>,
    pub(super) client_close: Option<(At, Option<CloseCode>)>,
    pub(super) client_eof: Option<At>,
    pub(super) server_close: Option<(At, Option<CloseCode>)>,
    pub(super) server_eof: Option<At>,
    /// The server ended the transport by a reset.
    pub(super) is_reset: bool,
}

impl Facts {
    /// When the server ended the connection, be it by a Close or without one.
    pub(super) fn server_left(&self) -> Option<At> {
        let close = self.server_close.as_ref().map(|(at, _)| *at);
        close.into_iter().chain(self.server_eof).min_by_key(|at| at.event)
    }

    /// When the client ended it.
    pub(super) fn client_left(&self) -> Option<At> {
        let close = self.client_close.as_ref().map(|(at, _)| *at);
        close.into_iter().chain(self.client_eof).min_by_key(|at| at.event)
    }

    /// When the client asked for the connection, as far as that is known.
    pub(super) fn dialled(&self) -> Option<At> {
        let asked = self.deaf.first().map(|(at, _)| *at);
        self.opened.as_ref().map(|(at, _)| *at).or(self.failed).or(asked)
    }

    /// When its upgrade came to something, whether to a connection or not.
    pub(super) fn upgraded_or_failed(&self) -> Option<At> {
        self.opened.as_ref().map(|(at, _)| *at).or(self.failed)
    }

    /// When it was over, whoever ended it.
    pub(super) fn over(&self) -> Option<At> {
        let ends = self.server_left().into_iter().chain(self.client_left()).chain(self.failed);
        ends.min_by_key(|at| at.event)
    }

    /// Whether the harness does not read now.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.last().is_some_and(|(_, until)| until.is_none())
    }

    /// Whether the harness did not read at some time between these two.
    pub(super) fn was_deaf(&self, from: At, to: At) -> bool {
        self.deaf
            .iter()
            .any(|(since, until)| since.event < to.event && until.is_none_or(|until| until.event > from.event))
    }

    /// Whether what the server sent here need not have been read: the client had left, or a reset, which takes with it what stands
    /// unread, came before the client had to have read it.
    pub(super) fn may_be_unread(&self, at: At, scale: Scale) -> bool {
        let reset = self.server_eof.filter(|_| self.is_reset);
        let has_left = self.client_left().is_some_and(|left| left.event < at.event);
        has_left || reset.is_some_and(|reset| reset.t_us.saturating_sub(at.t_us) <= scale.patience_us(READ_MS))
    }

    /// The fatal error, if the client has read it for certain.
    pub(super) fn fatal_and_read(&self, scale: Scale) -> Option<&(At, ErrorMessage)> {
        self.fatal.as_ref().filter(|(at, _)| !self.may_be_unread(*at, scale))
    }

    /// How many bytes of audio came.
    pub(super) fn audio_bytes(&self) -> u64 {
        total(self.audio.iter().map(|(_, bytes)| *bytes))
    }
}

impl Wire {
    pub(super) fn new(conn: u32, is_foreign: bool) -> Self {
        Self {
            conn,
            is_foreign,
            state: State::AwaitConfig,
            limits: Limits::DEFAULT,
            spoke: None,
            facts: Facts::default(),
            findings: Vec::new(),
        }
    }

    /// How long an unanswered Close may be waited for. [CLO-C4]
    pub(super) fn close_ms(&self) -> u64 {
        if self.is_foreign { self.limits.close_ms.max(UNANNOUNCED_CLOSE_MS) } else { self.limits.close_ms }
    }

    /// Takes the next event of the connection.
    pub(super) fn observe(&mut self, at: At, kind: &EventKind) {
        let facts = &mut self.facts;
        match kind {
            EventKind::Open(open) => facts.opened = Some((at, open.clone())),
            EventKind::Refused { .. } | EventKind::ConnectFailed { .. } => facts.failed = Some(at),
            EventKind::Text { from: Side::Server, text } => self.hears(at, text),
            EventKind::Audio { from: Side::Server, .. } => {
                facts.heard = Some(at);
                facts.odd.push(at);
            }
            EventKind::Text { from: Side::Client, text } => self.says(at, text),
            EventKind::Audio { from: Side::Client, bytes, .. } => {
                facts.audio.push((at, *bytes));
                self.sends(at, ServerInput::Audio, "audio");
            }
            EventKind::Close { from: Side::Client, code, .. } => {
                facts.client_close = facts.client_close.or(Some((at, *code)))
            }
            EventKind::Eof { from: Side::Client, .. } => facts.client_eof = facts.client_eof.or(Some(at)),
            EventKind::Close { from: Side::Server, code, .. } => {
                facts.server_close = facts.server_close.or(Some((at, *code)));
                self.over();
            }
            EventKind::Eof { from: Side::Server, how } => {
                if facts.server_eof.is_none() {
                    (facts.server_eof, facts.is_reset) = (Some(at), *how == Eof::Reset);
                }
                self.over();
            }
            EventKind::Reads { reads: false } => facts.deaf.push((at, None)),
            EventKind::Reads { reads: true } => {
                if let Some((_, until)) = facts.deaf.last_mut() {
                    until.get_or_insert(at);
                }
            }
            EventKind::Transport { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, .. } => {
                let known = [unsent_bytes, unacknowledged_bytes, unread_bytes];
                let outstanding = total(known.into_iter().flatten().copied());
                let is_certain = unacknowledged_bytes.is_some() && unread_bytes.is_some();
                facts.flows.push((at, Flow { outstanding, is_certain, waiting: *waiting_bytes }));
            }
            EventKind::Pong { from: Side::Server } | EventKind::Ping { from: Side::Server } => facts.heard = Some(at),
            _ => {}
        }
    }

    fn over(&mut self) {
        if self.state != State::Ended {
            self.state = State::Closed;
        }
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The harness sent this: the client may know it from now on.
    fn hears(&mut self, at: At, text: &str) {
        let facts = &mut self.facts;
        facts.heard = Some(at);
        let input = match decode_server(text, u64::MAX) {
            Ok(Decoded::Message(ServerMessage::Ready(ready))) => {
                self.limits = ready.limits;
                facts.may_update = ready.capabilities.update == Some(true);
                facts.audio_format = Some(ready.config.audio);
                ClientInput::Ready
            }
            Ok(Decoded::Message(ServerMessage::SessionEnded(ended))) => {
                facts.written = written(text);
                // What stands behind the client's own Close it has not waited for.
                if facts.client_left().is_none() {
                    facts.ended = facts.ended.take().or(Some((at, ended)));
                }
                ClientInput::SessionEnded
            }
            Ok(Decoded::Message(ServerMessage::Error(error))) if error.fatal => {
                if facts.client_left().is_none() {
                    facts.fatal = facts.fatal.take().or(Some((at, error)));
                }
                ClientInput::FatalError
            }
            Ok(Decoded::Message(message)) => {
                match message {
                    ServerMessage::Error(error) => facts.errors.push((at, error)),
                    ServerMessage::Partial(_) => facts.said.push((at, text.len() as u64)),
                    ServerMessage::Final(last) => {
                        facts.said.push((at, text.len() as u64));
                        facts.progress.push(at);
                        facts.finals.push((at, last.segment_id, last.text));
                    }
                    ServerMessage::Flushed(_) => {
                        facts.progress.push(at);
                        facts.flushed.push(at);
                    }
                    ServerMessage::Progress(_) => facts.progress.push(at),
                    _ => {}
                }
                // Nothing else changes what a client may send.
                return;
            }
            Ok(_) => {
                facts.odd.push(at);
                return;
            }
            // The harness tries how a client takes a `ready` with members missing: their defaults hold.
            Err(_) => match decode_ready_lenient(text, u64::MAX) {
                Ok(lenient) => {
                    self.limits = lenient.ready.limits;
                    ClientInput::Ready
                }
                Err(_) => {
                    facts.odd.push(at);
                    return;
                }
            },
        };
        if input == ClientInput::Ready {
            self.facts.ready = self.facts.ready.or(Some(at));
        }
        let next = client_row(self.state, input).next;
        if next != self.state {
            self.state = next;
            self.spoke = Some(at);
        }
    }

    fn says(&mut self, at: At, text: &str) {
        let message = match decode_client(text, u64::MAX) {
            Ok(Decoded::Message(message)) => message,
            // A later version may define more; what a client sends of it the server answers.
            Ok(Decoded::Unknown { .. }) => return,
            Err(error) => {
                use DecodeErrorKind as Kind;
                let (clause, message) = match error.kind {
                    Kind::NotJson | Kind::NotObject | Kind::MissingType | Kind::TypeNotString => {
                        (req::MSG_1, "sent a text message that is no JSON object with a `type`")
                    }
                    _ => (req::MSG_2, "sent a text message that is no message of the protocol"),
                };
                self.convict(FindingKind::MalformedMessage, clause, at, message);
                // What it meant to say it said: one fault is told once.
                if clause == req::MSG_2 && self.state == State::AwaitConfig {
                    self.sends(at, ServerInput::Config, "config");
                }
                return;
            }
        };
        let input = match &message {
            ClientMessage::Config(_) => ServerInput::Config,
            ClientMessage::Keepalive(Keepalive { seq }) => {
                self.facts.keepalives.push((at, *seq));
                if seq.is_some() { ServerInput::KeepaliveSeq } else { ServerInput::Keepalive }
            }
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
                self.spoke = Some(at);
            }
        }
        let is_sentinel = input == ServerInput::EndOfStream;
        let breach = match (before, input) {
            // After its own sentinel it is in the wrong, wherever the server is by now.
            _ if self.facts.sentinel.is_some() => Some(after_the_sentinel(input)),
            _ if row.is_some() => None,
            // It may not have read yet what ended the connection before its config.
            (_, ServerInput::Config) if self.facts.config.is_none() => None,
            (State::AwaitConfig, _) | (_, ServerInput::Config) => Some((FindingKind::IllegalMessage, req::CFG_C1)),
            (State::Configuring, _) => Some((FindingKind::IllegalMessage, req::CFG_C2)),
            // It may not have read yet what ended the session.
            _ => None,
        };
        match input {
            ServerInput::Config => self.facts.config = self.facts.config.or(Some(at)),
            ServerInput::Flush => self.facts.flushes.push(at),
            ServerInput::EndOfStream => self.facts.sentinel = self.facts.sentinel.or(Some(at)),
            _ => {}
        }
        if is_sentinel && before == State::Configuring {
            // Early as it is, it counts: nothing more is owed.
            self.state = State::Draining;
        }
        let is_update = input == ServerInput::Update && self.facts.ready.is_some() && !self.facts.may_update;
        let breach = breach.or_else(|| is_update.then_some((FindingKind::IllegalMessage, req::UPD_C1)));
        if let Some((kind, clause)) = breach {
            self.convict(kind, clause, at, format!("sent `{what}` in {}", before.as_str()));
        }
    }

    pub(super) fn convict(
        &mut self,
        kind: FindingKind,
        requirement: RequirementId,
        at: At,
        message: impl Into<String>,
    ) {
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

fn written(text: &str) -> Written {
    if text.contains("\"x_") {
        Written::Extended
    } else if text.contains('\n') || text.contains("\\u") {
        Written::Oddly
    } else {
        Written::Usually
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
