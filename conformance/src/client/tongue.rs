//! Owns what a client speaks where that is not version 1: between the scripted server, which plays and notes in version 1, and the
//! socket stands the translator of the client's dialect. Reading and playing share it. Knows no play and no verdict.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastword_dialects::{Dialect, Frame, FromClient, Output, Seed, ServerSide, Upgrade};
use lastword_spec::close::CloseCode;
use lastword_spec::trace::{EventKind, Side};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::record::Recorder;

/// The translator of one connection.
#[derive(Clone)]
pub(super) struct Tongue {
    dialect: &'static Dialect,
    side: Arc<Mutex<ServerSide<'static>>>,
    /// What the upgrade said and nobody has noted yet.
    told: Vec<Output<FromClient>>,
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
        Self { dialect, side: Arc::new(Mutex::new(ServerSide::new(dialect, seed))), told: Vec::new() }
    }

    /// The same, of a client that asked for its socket before.
    pub(super) fn after(dialect: &'static Dialect, side: ServerSide<'static>) -> Self {
        Self { dialect, side: Arc::new(Mutex::new(side)), told: Vec::new() }
    }

    /// Takes the upgrade.
    pub(super) fn take(&mut self, upgrade: &Upgrade) {
        let told = self.lock().opened(upgrade);
        self.told = told;
    }

    /// What the upgrade said, noted now.
    pub(super) fn opened(&mut self, conn: u32, recorder: &Recorder) -> Vec<Meant> {
        let told = std::mem::take(&mut self.told);
        self.meant(conn, recorder, told)
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
        self.meant(conn, recorder, outputs)
    }

    /// What a Close of the client says.
    pub(super) fn hear_close(&self, conn: u32, recorder: &Recorder, close: Option<&CloseFrame>) -> Vec<Meant> {
        let code = close.map(|close| CloseCode(close.code.into()));
        let mut side = self.lock();
        let outputs = side.receive(&Frame::Close { code, reason: String::new() });
        self.meant(conn, recorder, outputs)
    }

    /// What stands on the wire for a message of version 1, which is noted if the wire can say it.
    pub(super) fn say(&self, conn: u32, recorder: &Recorder, text: &str) -> Vec<Message> {
        let mut side = self.lock();
        let outputs = side.send_v1(&Frame::text(text));
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
            None => recorder.note(conn, EventKind::Text { from: Side::Server, text: text.to_owned() }),
        }
        let frames = outputs.into_iter().filter_map(|output| match output {
            Output::Send(Frame::Text(text)) => Some(Message::text(text)),
            Output::Send(Frame::Binary(bytes)) => Some(Message::Binary(bytes.into())),
            _ => None,
        });
        frames.collect()
    }

    /// The code with which a server of this wire closes; `None` for a Close without one.
    pub(super) fn close_code(&self, code: u16) -> Option<u16> {
        match self.lock().close(CloseCode(code)) {
            Frame::Close { code, .. } => code.map(|code| code.0),
            Frame::Text(_) | Frame::Binary(_) => Some(code),
        }
    }

    fn meant(&self, conn: u32, recorder: &Recorder, outputs: Vec<Output<FromClient>>) -> Vec<Meant> {
        let from = Side::Client;
        let mut meant = Vec::new();
        for output in outputs {
            let frame = match output {
                Output::Heard(heard) => heard.v1,
                Output::Unmatched(unmatched) => {
                    let why = format!("no message of {}: {}", self.dialect.name(), unmatched.why);
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
                    recorder.note(conn, EventKind::Text { from, text: text.clone() });
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
