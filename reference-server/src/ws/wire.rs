//! How a session of v1 stands on a socket that speaks another service's wire. Owns: handing frames to the translator and its answers
//! on. Must not know: what any dialect says, nor any rule of the protocol.

use lastword_dialects::{Capability, Dialect, Frame, FromClient, Output, Seed, ServerSide, Upgrade};
use lastword_spec::close::CloseCode;
use lastword_spec::codec;
use lastword_spec::message::{ClientMessage, ServerMessage};

/// The translator of one session.
pub(super) struct Wire {
    side: ServerSide<'static>,
    has_partials: bool,
}

/// What is to be done for a frame that came, or for a message that is to be said, in order.
pub(super) enum Step {
    /// A frame of v1, for the session.
    Hear(Frame),
    /// A frame for the socket.
    Write(Frame),
}

impl Wire {
    /// A new connection in this dialect. `session_id` is known to nobody else.
    pub(super) fn new(dialect: &'static Dialect, session_id: &str) -> Self {
        let seed = Seed { uuid: session_id.to_owned(), token: None };
        Self { side: ServerSide::new(dialect, seed), has_partials: !dialect.lacks(Capability::Partials) }
    }

    /// What the upgrade tells.
    pub(super) fn opened(&mut self, upgrade: &Upgrade) -> Vec<Step> {
        let outputs = self.side.opened(upgrade);
        self.steps(outputs)
    }

    /// The credential that the client has shown so far, in the upgrade or in a message.
    pub(super) fn token(&self) -> Option<&str> {
        self.side.token()
    }

    /// The subprotocol to select.
    pub(super) fn subprotocol(&self, upgrade: &Upgrade) -> Option<String> {
        self.side.subprotocol(upgrade)
    }

    /// What a frame of the client says.
    pub(super) fn receive(&mut self, frame: &Frame) -> Vec<Step> {
        let outputs = self.side.receive(frame);
        self.steps(outputs)
    }

    /// What a message of the session becomes: nothing, where the service has no such thing.
    pub(super) fn send(&mut self, message: &ServerMessage) -> Vec<Step> {
        let outputs = self.side.send(message);
        self.steps(outputs)
    }

    /// The code of the Close that stands for this one of v1.
    pub(super) fn close_code(&self, code: CloseCode) -> CloseCode {
        match self.side.close(code) {
            Frame::Close { code: Some(code), .. } => code,
            _ => code,
        }
    }

    fn steps(&self, outputs: Vec<Output<FromClient>>) -> Vec<Step> {
        let step = |output| match output {
            Output::Send(frame) => Some(Step::Write(frame)),
            Output::Heard(heard) => Some(Step::Hear(match heard.message {
                Some(FromClient::Message(ClientMessage::Config(mut config))) if !self.has_partials => {
                    // Nobody would read what they cost.
                    config.interim_results = Some(false);
                    Frame::Text(codec::encode(&ClientMessage::Config(config)))
                }
                _ => heard.v1,
            })),
            Output::Unmatched(unmatched) => {
                tracing::debug!("a frame of the client has no meaning in this dialect: {}", unmatched.why);
                Some(Step::Hear(unmatched.as_v1()))
            }
            Output::Lost(lost) => {
                tracing::trace!("{} is not said: {}", lost.message_type, lost.why);
                None
            }
            Output::Note(note) => {
                tracing::debug!("{note}");
                None
            }
            // The list of outputs may grow; what is unknown here is nothing to be done.
            _ => None,
        };
        outputs.into_iter().filter_map(step).collect()
    }
}
