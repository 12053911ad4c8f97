//! What a client may send, by `CLIENT_SENDS` and `CLIENT_ROWS`. Owns the client's state as the tables have it. It must not know what
//! a client's machine thinks of it.

use lastword_spec::table::{Answer, CLIENT_SENDS, State, client_row};

use super::Breach;
use crate::explore::Property;
use crate::wire::Wire;

/// Watches a client at its own end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientMonitor {
    state: State,
    close_sent: bool,
}

impl Default for ClientMonitor {
    fn default() -> Self {
        Self { state: State::AwaitConfig, close_sent: false }
    }
}

impl ClientMonitor {
    /// The client gave this to its transport.
    pub(crate) fn sent(&mut self, wire: &Wire) -> Option<Breach> {
        let illegal = |why: String| Some(Breach::new(Property::IllegalClient, why));
        match wire {
            Wire::Gone => None,
            Wire::Close(_) if self.close_sent => illegal(format!("the client sent a second {wire}")),
            Wire::Close(_) => {
                (self.state, self.close_sent) = (State::Closed, true);
                None
            }
            _ => {
                let input = wire.server_input();
                match CLIENT_SENDS.iter().find(|row| (row.state, row.input) == (self.state, input)) {
                    Some(row) => {
                        self.state = row.next;
                        None
                    }
                    None => illegal(format!("the client sent {wire} in {}", self.state.as_str())),
                }
            }
        }
    }

    /// The client read this. What its table calls a violation is the server's illegal message.
    pub(crate) fn read(&mut self, wire: &Wire) -> Option<Breach> {
        let (state, input) = (self.state, wire.client_input());
        let row = client_row(state, input);
        self.state = row.next;
        let illegal = row.answer == Answer::Violation;
        illegal.then(|| {
            let note = format!("the client read {wire} in {}", state.as_str());
            Breach::new(Property::IllegalServer, note)
        })
    }
}
