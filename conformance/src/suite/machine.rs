//! Owns the abstract machine that the suite is generated from: the server's state table, seen by a client that waits for what
//! is due before it goes on. Knows nothing of how inputs look on the wire.
//!
//! What the table leaves to the server's own pace is settled at once: `ready` follows `config`, and a fatal condition or the
//! last message is followed by the close. Only Draining is held, by speech that waits to be heard. What the table remembers
//! ("the first time") becomes states of its own.

use std::collections::VecDeque;
use std::fmt;

use lastword_spec::close::{EndReason, close_code_for};
use lastword_spec::table::{Answer, Row, ServerInput, State, server_row};

use super::minimise;
use super::response::{Output, Response};

/// The inputs of the suite: all that the table tells apart and a client can send at will, of moderate size. Left out are
/// oversize messages (several answers are right), the tenth bad message (a counter of ten), the loss of the connection and
/// what arises at the server itself.
pub const ALPHABET: [ServerInput; 13] = [
    ServerInput::Config,
    ServerInput::RefusedConfig,
    ServerInput::Audio,
    ServerInput::EmptyAudio,
    ServerInput::BrokenAudio,
    ServerInput::Keepalive,
    ServerInput::KeepaliveSeq,
    ServerInput::Flush,
    ServerInput::Update,
    ServerInput::EndOfStream,
    ServerInput::UnknownType,
    ServerInput::BadMessage,
    ServerInput::Close,
];

/// The fault of the refused `config` of the suite.
pub(super) const REFUSAL: &str = "invalid_config";
/// The code with which the harness closes, and which the subject repeats.
pub(super) const CLOSE_CODE: u16 = 1_000;

/// A state of the table, and which of its "first times" are over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The state of the table.
    pub state: State,
    /// The codes that are sent once a session and have been.
    pub said: Vec<&'static str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        if self.said.is_empty() { Ok(()) } else { write!(f, " after {}", self.said.join(" and ")) }
    }
}

/// What one input does in one state.
#[derive(Clone, Debug)]
pub struct Transition {
    /// What may be observed.
    pub response: Response,
    /// The state then; `None` where the connection is over.
    pub next: Option<usize>,
    /// The row of the table behind it.
    pub row: &'static Row<ServerInput>,
}

/// How a test is brought to its end in a state, so that something still outstanding shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The harness closes.
    Close,
    /// The harness waits: the session ends by itself.
    Drain,
}

/// A state of the machine.
#[derive(Clone, Debug)]
pub struct Abstract {
    /// The places that behave alike, the plainest first.
    pub places: Vec<Place>,
    /// What each input does, in the order of the alphabet.
    pub transitions: Vec<Transition>,
}

/// The abstract machine. State 0 is where a session begins; the state after the close has no number, for nothing can be sent there.
#[derive(Clone, Debug)]
pub struct Machine {
    inputs: Vec<ServerInput>,
    states: Vec<Abstract>,
}

impl Machine {
    /// The machine of the table over the alphabet of the suite, with states that behave alike merged.
    #[must_use]
    pub fn of_the_table() -> Self {
        minimise::merged(&Self::unrolled(&ALPHABET))
    }

    /// The machine with one state for each place that can be reached.
    pub(super) fn unrolled(alphabet: &[ServerInput]) -> Self {
        let mut places = vec![Place { state: State::AwaitConfig, said: Vec::new() }];
        let mut states = Vec::new();
        let mut open = VecDeque::from([0]);
        while let Some(index) = open.pop_front() {
            let place = places[index].clone();
            let transitions = alphabet
                .iter()
                .map(|input| {
                    let row = server_row(place.state, *input);
                    let (response, next) = step(&place, row);
                    let next = next.map(|next| {
                        places.iter().position(|known| *known == next).unwrap_or_else(|| {
                            places.push(next);
                            open.push_back(places.len() - 1);
                            places.len() - 1
                        })
                    });
                    Transition { response, next, row }
                })
                .collect();
            states.push(Abstract { places: vec![place], transitions });
        }
        Self { inputs: alphabet.to_vec(), states }
    }

    pub(super) fn new(inputs: Vec<ServerInput>, states: Vec<Abstract>) -> Self {
        Self { inputs, states }
    }

    /// The alphabet.
    #[must_use]
    pub fn inputs(&self) -> &[ServerInput] {
        &self.inputs
    }

    /// The states, but for the one after the close.
    #[must_use]
    pub fn states(&self) -> &[Abstract] {
        &self.states
    }

    /// What an input does in a state.
    ///
    /// # Panics
    /// The input is not in the alphabet, or there is no such state.
    #[must_use]
    pub fn transition(&self, state: usize, input: ServerInput) -> &Transition {
        let index = self.inputs.iter().position(|known| *known == input);
        &self.states[state].transitions[index.expect("an input of the alphabet")]
    }

    /// The transitions that a sequence takes, up to the first that closes.
    #[must_use]
    pub fn walk(&self, inputs: &[ServerInput]) -> Vec<&Transition> {
        let mut state = Some(0);
        let mut taken = Vec::new();
        for input in inputs {
            let Some(from) = state else { break };
            let transition = self.transition(from, *input);
            state = transition.next;
            taken.push(transition);
        }
        taken
    }

    /// How a test ends that has come to this state, and what is due then.
    #[must_use]
    pub fn completion(&self, state: usize) -> (Completion, Response) {
        if self.is_held(state) {
            let code = close_code("completed");
            (Completion::Drain, Response::exactly(vec![Output::Ended("completed".into()), Output::Close(code)]))
        } else {
            (Completion::Close, Response::exactly(vec![Output::Close(Some(CLOSE_CODE))]))
        }
    }

    /// Whether the subject leaves this state by itself once it has heard what waits to be heard.
    #[must_use]
    pub fn is_held(&self, state: usize) -> bool {
        self.states[state].places[0].state == State::Draining
    }
}

/// What an input leads to at a place; `None` where the connection is over.
fn step(place: &Place, row: &'static Row<ServerInput>) -> (Response, Option<Place>) {
    let mut said = place.said.clone();
    let response = match row.answer {
        Answer::CountMayReject(code) => Response::perhaps(Output::Error(code.into())),
        Answer::RejectOnce(code) if said.contains(&code) => Response::silence(),
        Answer::RejectOnce(code) => {
            said.push(code);
            said.sort_unstable();
            Response::exactly(vec![Output::Error(code.into())])
        }
        Answer::Reject(code) => Response::exactly(vec![Output::Error(code.into())]),
        Answer::OweReady | Answer::SendReady => Response::exactly(vec![Output::Ready]),
        Answer::OweFlushed => Response::exactly(vec![Output::Flushed]),
        Answer::UpdatedOrError => Response::exactly(vec![Output::Updated]),
        Answer::OweKeepaliveAck => Response::exactly(vec![Output::Ack]),
        Answer::Fatal(code) => fatal(place.state, code),
        Answer::FatalByCause => fatal(place.state, REFUSAL),
        Answer::EchoClose => Response::exactly(vec![Output::Close(Some(CLOSE_CODE))]),
        Answer::Nothing
        | Answer::Accept
        | Answer::Wait
        | Answer::OweSessionEnded
        | Answer::SendSessionEnded
        | Answer::Discard
        | Answer::Deliver
        | Answer::Note
        | Answer::Violation => Response::silence(),
    };
    let next = match row.next {
        // The recogniser takes the configuration; the subject says `ready`.
        State::Configuring => Some(server_row(State::Configuring, ServerInput::EngineReady).next),
        State::Failing | State::Ended | State::Closed => None,
        state => Some(state),
    };
    (response, next.map(|state| Place { state, said }))
}

/// The fatal error, `session_ended` where `ready` has been sent, and the Close.
fn fatal(state: State, code: &'static str) -> Response {
    let mut outputs = vec![Output::Fatal(code.into())];
    if state != State::AwaitConfig {
        outputs.push(Output::Ended(code.into()));
    }
    outputs.push(Output::Close(close_code(code)));
    Response::exactly(outputs)
}

fn close_code(reason: &str) -> Option<u16> {
    close_code_for(&EndReason::from(reason)).map(|code| code.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_state_for_each_state_of_the_table_that_can_be_stayed_in_and_for_what_is_said_once() {
        let machine = Machine::of_the_table();
        let names: Vec<String> = machine.states().iter().map(|state| state.places[0].to_string()).collect();
        assert_eq!(
            names,
            ["AwaitConfig", "Streaming", "Streaming after invalid_audio", "Draining", "Draining after audio_after_end"]
        );
        let merged: Vec<String> = machine.states()[3].places.iter().map(ToString::to_string).collect();
        assert_eq!(merged, ["Draining", "Draining after invalid_audio"]);
    }

    #[test]
    fn every_transition_says_what_its_row_says() {
        let machine = Machine::of_the_table();
        let mut lines = String::new();
        for state in machine.states() {
            for (input, transition) in machine.inputs().iter().zip(&state.transitions) {
                let next =
                    transition.next.map_or("closed".to_owned(), |next| machine.states()[next].places[0].to_string());
                let line = format!("{} | {} | {} | {next}\n", state.places[0], input.as_str(), transition.response);
                lines.push_str(&line);
            }
        }
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn a_walk_ends_where_the_connection_does() {
        use ServerInput::{Close, Config, EndOfStream, RefusedConfig};
        let machine = Machine::of_the_table();
        assert_eq!(machine.walk(&[Config, EndOfStream, Close, Config]).len(), 3);
        assert_eq!(machine.walk(&[RefusedConfig, Config]).len(), 1);
        let ended = machine.walk(&[RefusedConfig])[0];
        assert_eq!(ended.response.to_string(), "fatal error(invalid_config), close(4400)");
    }
}
