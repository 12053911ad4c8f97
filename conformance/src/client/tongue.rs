//! Owns what a client speaks where that is not version 1: between the scripted server, which plays and notes in version 1, and the
//! socket stands the translator of the client's dialect. Reading and playing share it. Knows no play and no verdict.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastword_dialects::{Dialect, Frame, FromClient, Output, Seed, ServerSide, Upgrade};
use lastword_spec::close::CloseCode;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::limits::Limits;
use lastword_spec::message::{ClientMessage, ServerMessage};
use lastword_spec::trace::{ALL_MADE_UP, EventKind, Side};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::dialect;
use crate::record::Recorder;

/// What a note of the trace begins with, right before a message of the client that no rule of the dialect matched.
pub(crate) const NO_MESSAGE: &str = "no message of ";

/// The translator of one connection.
#[derive(Clone)]
pub(super) struct Tongue {
    dialect: &'static Dialect,
    side: Arc<Mutex<ServerSide<'static>>>,
    /// What the upgrade said and nobody has noted yet.
    told: Vec<Output<FromClient>>,
    /// The code of the Close that says an error which was said and is to be told yet.
    failing: Arc<Mutex<Option<CloseCode>>>,
}

/// What a frame of the client comes to, in order.
pub(super) enum Meant {
    Text(String),
    Audio(Bytes),
    /// An answer that the wire gives by itself.
    Reply(Message),
}

impl Tongue {
    /// The connection of this number.
    pub(super) fn new(dialect: &'static Dialect, conn: u32) -> Self {
        let seed = Seed { uuid: format!("00000000-0000-4000-8000-{conn:012x}"), token: None };
        Self::after(dialect, ServerSide::new(dialect, seed))
    }

    /// The same, of a client that asked for its socket before.
    pub(super) fn after(dialect: &'static Dialect, side: ServerSide<'static>) -> Self {
        Self { dialect, side: Arc::new(Mutex::new(side)), told: Vec::new(), failing: Arc::default() }
    }

    /// The bounds that the service documents.
    pub(super) fn limits(&self) -> &Limits {
        self.dialect.limits()
    }

    /// Takes the upgrade.
    pub(super) fn take(&mut self, upgrade: &Upgrade) {
        let told = self.lock().opened(upgrade);
        self.told = told;
    }

    /// What the upgrade said, noted now.
    pub(super) fn opened(&mut self, conn: u32, recorder: &Recorder) -> Vec<Meant> {
        let told = std::mem::take(&mut self.told);
        let side = self.lock();
        self.meant(conn, recorder, &side, told)
    }

    /// The subprotocol to select.
    pub(super) fn subprotocol(&self, upgrade: &Upgrade) -> Option<String> {
        self.lock().subprotocol(upgrade)
    }

    /// The credential that was shown.
    pub(super) fn token(&self) -> Option<String> {
        self.lock().token().map(str::to_owned)
    }

    /// What a message of the client says, noted in the words of version 1.
    pub(super) fn hear(&self, conn: u32, recorder: &Recorder, message: &Message) -> Vec<Meant> {
        let frame = match message {
            Message::Text(text) => Frame::text(text.as_str()),
            Message::Binary(bytes) => Frame::Binary(bytes.to_vec()),
            _ => return Vec::new(),
        };
        let mut side = self.lock();
        let outputs = side.receive(&frame);
        self.meant(conn, recorder, &side, outputs)
    }

    /// What a Close of the client says.
    pub(super) fn hear_close(&self, conn: u32, recorder: &Recorder, close: Option<&CloseFrame>) -> Vec<Meant> {
        let code = close.map(|close| CloseCode(close.code.into()));
        let mut side = self.lock();
        let outputs = side.receive(&Frame::Close { code, reason: String::new() });
        self.meant(conn, recorder, &side, outputs)
    }

    /// What stands on the wire for a message of version 1, which is noted if the wire can say it.
    pub(super) fn say(&self, conn: u32, recorder: &Recorder, text: &str) -> Vec<Message> {
        let mut side = self.lock();
        let read = as_read(&side, text);
        if let (Some(ServerMessage::Error(meant)), Some(ServerMessage::Error(read))) = &read
            && meant.fatal != read.fatal
        {
            let why = if read.fatal { "every error of this wire is fatal" } else { "no error of this wire is fatal" };
            recorder.note(conn, EventKind::Note(format!("{}: {why}: {text}", self.dialect.name())));
            return Vec::new();
        }
        let outputs = side.send_v1(&Frame::text(text));
        let as_read = match read {
            (Some(meant), Some(read)) if meant != read => codec::encode(&read),
            _ => text.to_owned(),
        };
        let lost = outputs.iter().find_map(|output| match output {
            Output::Lost(lost) => Some(lost.why.clone()),
            _ => None,
        });
        match lost {
            // What is no message on any wire is written as it stands.
            Some(_) if !is_object(text) => {
                recorder.note(conn, EventKind::Text { from: Side::Server, text: text.to_owned() });
                return vec![Message::text(text)];
            }
            Some(why) => recorder.note(conn, EventKind::Note(format!("{}: {why}: {text}", self.dialect.name()))),
            None => recorder.note(conn, EventKind::Text { from: Side::Server, text: as_read }),
        }
        let frames = outputs.into_iter().filter_map(|output| match output {
            Output::Send(Frame::Text(text)) => Some(Message::text(text)),
            Output::Send(Frame::Binary(bytes)) => Some(Message::Binary(bytes.into())),
            // The play closes behind it; a case whose play does not is not played on such a wire.
            Output::Send(Frame::Close { code, .. }) => {
                *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = code;
                None
            }
            _ => None,
        });
        frames.collect()
    }

    /// The code with which a server of this wire closes; `None` for a Close without one.
    pub(super) fn close_code(&self, code: u16) -> Option<u16> {
        if let Some(failing) = self.failing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(failing.0);
        }
        match self.lock().close(CloseCode(code)) {
            Frame::Close { code, .. } => code.map(|code| code.0),
            Frame::Text(_) | Frame::Binary(_) => Some(code),
        }
    }

    /// On a wire without `ready` a client has it with its own configuration: it is noted there, whenever the play would say it.
    fn take_ready(&self, conn: u32, recorder: &Recorder, side: &ServerSide<'_>) {
        let Some(ready) = side.taken_ready() else { return };
        recorder.note(conn, EventKind::Note(format!("{} has no `ready`: it is taken for given", self.dialect.name())));
        let text = codec::encode(&ready);
        recorder.note_made_up(conn, EventKind::Text { from: Side::Server, text }, vec![ALL_MADE_UP.to_owned()]);
    }

    fn meant(
        &self,
        conn: u32,
        recorder: &Recorder,
        side: &ServerSide<'_>,
        outputs: Vec<Output<FromClient>>,
    ) -> Vec<Meant> {
        let from = Side::Client;
        let mut meant = Vec::new();
        for output in outputs {
            let mut made_up = Vec::new();
            let frame = match output {
                Output::Heard(heard) => {
                    made_up = dialect::made_up(heard.origin);
                    heard.v1
                }
                Output::Unmatched(unmatched) => {
                    let why = format!("{NO_MESSAGE}{}: {}", self.dialect.name(), unmatched.why);
                    recorder.note(conn, EventKind::Note(why));
                    unmatched.frame
                }
                Output::Send(Frame::Text(text)) => {
                    meant.push(Meant::Reply(Message::text(text)));
                    continue;
                }
                Output::Send(Frame::Binary(bytes)) => {
                    meant.push(Meant::Reply(Message::Binary(bytes.into())));
                    continue;
                }
                Output::Note(note) => {
                    recorder.note(conn, EventKind::Note(note));
                    continue;
                }
                _ => continue,
            };
            match frame {
                Frame::Text(text) => {
                    let is_config = is_config(&text);
                    recorder.note_made_up(conn, EventKind::Text { from, text: text.clone() }, made_up);
                    if is_config {
                        self.take_ready(conn, recorder, side);
                    }
                    meant.push(Meant::Text(text));
                }
                Frame::Binary(bytes) => {
                    recorder.note_audio(conn, from, &bytes);
                    meant.push(Meant::Audio(bytes.into()));
                }
                Frame::Close { .. } => {}
            }
        }
        meant
    }

    fn lock(&self) -> MutexGuard<'_, ServerSide<'static>> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object())
}

/// A message as it is meant and as a client of this wire reads it.
fn as_read(side: &ServerSide<'_>, text: &str) -> (Option<ServerMessage>, Option<ServerMessage>) {
    let Ok(Decoded::Message(meant)) = codec::decode_server(text, u64::MAX) else { return (None, None) };
    let read = side.as_read(&meant);
    (Some(meant), Some(read))
}

/// Whether this is the configuration of a session, and no other message or none.
fn is_config(text: &str) -> bool {
    matches!(codec::decode_client(text, u64::MAX), Ok(Decoded::Message(ClientMessage::Config(_))))
}
