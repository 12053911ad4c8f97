//! What a server may send, by `SERVER_ROWS`. Owns the server's state as the table has it, and the account of the answers that its rows
//! make due. It must not know what a server's machine thinks of it.

use std::collections::VecDeque;

use lastword_spec::message::{ClientMessage, Keepalive, ServerMessage};
use lastword_spec::table::{Answer, ServerInput, State, server_row};

use super::Breach;
use crate::explore::Property;
use crate::wire::Wire;

/// Watches a server at its own end of the connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerMonitor {
    state: State,
    ready: Due,
    fatal: Due,
    session_ended: Due,
    /// `session_ended` said `completed`.
    completed: bool,
    close: Due,
    /// The client's Close was read: nothing but a Close with this code may follow.
    echo: Option<Option<u16>>,
    /// Answers that are due, each kind in order.
    errors: VecDeque<(&'static str, Option<String>)>,
    flushes: VecDeque<String>,
    acks: VecDeque<u64>,
    /// Codes of errors that are due the first time only, and were.
    told: Vec<&'static str>,
    bad_messages: u8,
    /// What came before `ready`.
    waiting: VecDeque<(ServerInput, Option<String>, u64)>,
}

/// Something that is due once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Due {
    No,
    Yes,
    Done,
}

/// What arises at the server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// A row of the table.
    Table(ServerInput),
    /// The operator, or the limit on a session's length, ends the session after its finals: as an idle timer would.
    EndsSoon,
}

impl Default for ServerMonitor {
    fn default() -> Self {
        Self {
            state: State::AwaitConfig,
            ready: Due::No,
            fatal: Due::No,
            session_ended: Due::No,
            completed: false,
            close: Due::No,
            echo: None,
            errors: VecDeque::new(),
            flushes: VecDeque::new(),
            acks: VecDeque::new(),
            told: Vec::new(),
            bad_messages: 0,
            waiting: VecDeque::new(),
        }
    }
}

impl ServerMonitor {
    /// The server read this.
    pub(crate) fn read(&mut self, wire: &Wire) {
        if let Wire::Close(code) = wire
            && self.close != Due::Done
        {
            self.echo = Some(*code);
        }
        let (id, seq) = match wire {
            Wire::Client(ClientMessage::Flush(flush)) => (Some(flush.id.clone()), 0),
            Wire::Client(ClientMessage::Update(update)) => (Some(update.id.clone()), 0),
            Wire::Client(ClientMessage::Keepalive(Keepalive { seq: Some(seq) })) => (None, *seq),
            _ => (None, 0),
        };
        self.met(wire.server_input(), id, seq);
    }

    /// This arose at the server.
    pub(crate) fn arose(&mut self, condition: Condition) {
        match condition {
            Condition::Table(input) => self.met(input, None, 0),
            Condition::EndsSoon => match self.state {
                State::AwaitConfig | State::Configuring => (self.state, self.fatal) = (State::Ended, Due::Yes),
                State::Streaming => (self.state, self.fatal) = (State::Failing, Due::Yes),
                State::Draining | State::Failing | State::Ended | State::Closed => {}
            },
        }
    }

    fn met(&mut self, mut input: ServerInput, id: Option<String>, seq: u64) {
        let counts = matches!(self.state, State::AwaitConfig | State::Streaming | State::Draining);
        if input == ServerInput::BadMessage && counts {
            self.bad_messages += 1;
            if self.bad_messages >= 10 {
                input = ServerInput::TenthBadMessage;
            }
        }
        let row = server_row(self.state, input);
        self.state = row.next;
        match row.answer {
            // An answer that may be given is one that this project's server does not give.
            Answer::Nothing | Answer::Accept | Answer::Discard | Answer::CountMayReject(_) | Answer::OweReady => {}
            Answer::Wait => self.waiting.push_back((input, id, seq)),
            Answer::SendReady => {
                self.ready = Due::Yes;
                while let Some((input, id, seq)) = self.waiting.pop_front() {
                    self.met(input, id, seq);
                }
            }
            Answer::Reject(code) => self.errors.push_back((code, id)),
            Answer::RejectOnce(code) => {
                if !self.told.contains(&code) {
                    self.told.push(code);
                    self.errors.push_back((code, id));
                }
            }
            Answer::OweFlushed => self.flushes.extend(id),
            Answer::UpdatedOrError => self.errors.push_back(("unsupported_option", id)),
            Answer::OweKeepaliveAck => self.acks.push_back(seq),
            Answer::OweSessionEnded => {}
            Answer::Fatal(_) | Answer::FatalByCause => self.fatal = Due::Yes,
            Answer::SendSessionEnded => self.session_ended = Due::Yes,
            Answer::EchoClose | Answer::Deliver | Answer::Note | Answer::Violation => {}
        }
    }

    /// The server gave this to its transport.
    pub(crate) fn sent(&mut self, wire: &Wire) -> Option<Breach> {
        if *wire == Wire::Gone {
            return None;
        }
        let wrong = match wire {
            _ if self.close == Due::Done => Some("after its Close"),
            Wire::Close(code) => self.closes(*code),
            _ if self.echo.is_some() => Some("after the client's Close"),
            _ if self.session_ended == Due::Done => Some("after `session_ended`"),
            Wire::Server(message) => match self.says(message) {
                Ok(wrong) => wrong,
                Err(lost) => return Some(lost),
            },
            Wire::Client(_) | Wire::Text(..) | Wire::Audio(_) | Wire::Gone => Some("at all"),
        };
        let state = self.state.as_str();
        wrong.map(|why| Breach::new(Property::IllegalServer, format!("the server sent {wire} {why} (in {state})")))
    }

    /// Why the message is illegal, if it is; or what is missing before it.
    fn says(&mut self, message: &ServerMessage) -> Result<Option<&'static str>, Breach> {
        let before_ready = self.ready != Due::Done;
        let failed = self.fatal == Due::Done;
        Ok(match message {
            ServerMessage::SessionEnded(ended) => {
                let completed = ended.reason.as_str() == "completed";
                let missing = !(self.flushes.is_empty() && self.acks.is_empty() && self.errors.is_empty());
                let due = if completed { self.session_ended == Due::Yes && self.fatal == Due::No } else { failed };
                (self.session_ended, self.completed) = (Due::Done, completed);
                match () {
                    () if before_ready => Some("before `ready`"),
                    () if !due => Some("which was not due"),
                    () if completed && missing => {
                        return Err(Breach::new(Property::Lost, "the server completed and left answers out"));
                    }
                    () => None,
                }
            }
            _ if failed => Some("after its fatal error"),
            ServerMessage::Ready(_) if self.ready == Due::Yes => {
                self.ready = Due::Done;
                None
            }
            ServerMessage::Ready(_) => Some("which was not due"),
            ServerMessage::Error(error) if error.fatal => {
                let due = self.fatal == Due::Yes;
                self.fatal = Due::Done;
                (!due).then_some("which was not due")
            }
            ServerMessage::Error(error) => {
                let due = self.errors.pop_front();
                let fits = due.is_some_and(|(code, id)| code == error.code.as_str() && id == error.id);
                (!fits).then_some("which was not due")
            }
            ServerMessage::Warning(_) => None,
            ServerMessage::Progress(_) => (self.state == State::AwaitConfig).then_some("before `config`"),
            _ if before_ready => Some("before `ready`"),
            ServerMessage::Flushed(flushed) => {
                (self.flushes.pop_front().as_ref() != Some(&flushed.id)).then_some("which was not due")
            }
            ServerMessage::KeepaliveAck(ack) => (self.acks.pop_front() != Some(ack.seq)).then_some("which was not due"),
            ServerMessage::Updated(_) => Some("which was not due"),
            ServerMessage::Partial(_)
            | ServerMessage::Final(_)
            | ServerMessage::SpeechStarted(_)
            | ServerMessage::SpeechEnded(_) => None,
        })
    }

    fn closes(&mut self, code: Option<u16>) -> Option<&'static str> {
        self.close = Due::Done;
        match self.echo {
            Some(asked) => (code != asked).then_some("which does not repeat the client's code"),
            None if self.session_ended == Due::Done => {
                ((code == Some(1000)) != self.completed).then_some("with a code that does not fit the reason")
            }
            None if self.ready == Due::Done => Some("without `session_ended`"),
            None => (self.fatal != Due::Done).then_some("without an error"),
        }
    }
}
