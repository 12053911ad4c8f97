//! Owns what a connection to a subject speaks where that is not version 1: between the harness, which thinks, notes and judges in
//! version 1, and the socket stands the translator of the subject's dialect. Both halves of a connection share it, and what goes
//! through it is noted in that order. Knows no case and no verdict.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastword_dialects::{ClientSide, Closer, Dialect, Frame, HttpRequest, Output, Seed, Upgrade};
use lastword_spec::close::CloseCode;
use lastword_spec::codec::{self, DecodeErrorKind, Decoded, decode_client};
use lastword_spec::message::{AudioFormat, ClientMessage, Config, ServerMessage};
use lastword_spec::trace::{ALL_MADE_UP, EventKind, Side};
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::link::{Outgoing, encode, in_fragments};
use super::rate::Rate;
use crate::dialect;
use crate::record::Recorder;

/// The translator of one connection.
#[derive(Clone)]
pub struct Tongue {
    dialect: &'static Dialect,
    side: Arc<Mutex<ClientSide<'static>>>,
    /// Present where the wire means another sample rate than the harness's own.
    rate: Option<Arc<Mutex<Rate>>>,
}

impl Tongue {
    /// A new connection, shown with this credential.
    pub(super) fn new(dialect: &'static Dialect, uuid: String, token: Option<String>) -> Self {
        let other_hz = dialect.sample_rate_hz().filter(|hz| *hz != AudioFormat::default().sample_rate_hz);
        let rate = other_hz.map(|hz| Rate::new(AudioFormat::default().sample_rate_hz, hz));
        let side = ClientSide::new(dialect, Seed { uuid, token });
        Self { dialect, side: Arc::new(Mutex::new(side)), rate: rate.map(|rate| Arc::new(Mutex::new(rate))) }
    }

    /// The HTTP request that comes before the socket, at this address; `None` where the dialect has none.
    ///
    /// # Errors
    /// The address cannot be used with this dialect.
    pub(super) fn pre_request(&self, base: &str) -> Result<Option<HttpRequest>, lastword_dialects::ConnectError> {
        self.lock().pre_request(base, &Config::default())
    }

    /// Whether the dialect has such a request.
    pub(super) fn asks_first(&self) -> bool {
        self.dialect.pre_request_path().is_some()
    }

    /// Takes the answer to it.
    ///
    /// # Errors
    /// It is not what the dialect says. The subject's fault.
    pub(super) fn pre_response(&self, status: u16, body: &str) -> Result<(), lastword_dialects::ConnectError> {
        self.lock().pre_response(status, body)
    }

    /// What to ask for at this address, or at the one that the answer to the HTTP request gave.
    ///
    /// # Errors
    /// The address cannot be used with this dialect.
    pub(super) fn upgrade(&self, base: &str) -> Result<Upgrade, lastword_dialects::ConnectError> {
        self.lock().upgrade(base, &Config::default())
    }

    /// Whether the harness has to close when the session has ended.
    #[must_use]
    pub fn client_closes(&self) -> bool {
        self.dialect.closer() != Closer::Server
    }

    /// The connection is open. Where no message brings the configuration, it has gone with the upgrade, and that is noted here.
    pub(super) fn opened(&self, conn: u32, recorder: &Recorder) {
        if self.dialect.has_config_message() {
            return;
        }
        let config = ClientMessage::Config(Box::default());
        let text = codec::encode(&config);
        let made_up = vec![ALL_MADE_UP.to_owned()];
        recorder.note_made_up(conn, EventKind::Text { from: Side::Client, text }, made_up);
        let outputs = self.lock().send(&config);
        self.heard(conn, recorder, outputs);
    }

    /// Whether this is no configuration, or one that the wire can say as it is meant. A second one need only be one.
    pub(super) fn can_configure(&self, conn: u32, recorder: &Recorder, text: &str) -> bool {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return true };
        let is_second =
            self.dialect.has_config_message() && recorder.count(conn, |kind| is_of_client(kind, "config")) > 0;
        if message["type"] != "config" || is_second {
            return true;
        }
        let Ok(Decoded::Message(ClientMessage::Config(config))) = decode_client(text, u64::MAX) else { return false };
        let carried = self.dialect.carried("config").unwrap_or_default();
        let known = serde_json::to_value(Config { token: None, ..*config }).unwrap_or_default();
        leaves(&known).iter().all(|leaf| carried.contains(leaf))
    }

    /// Says something of version 1 in the dialect, noted as what it is in version 1.
    pub(super) fn say(&self, conn: u32, recorder: &Recorder, message: Outgoing) -> Vec<Message> {
        let from = Side::Client;
        let mut side = self.lock();
        match message {
            Outgoing::Text(text) => match decode_client(&text, u64::MAX) {
                Ok(Decoded::Message(said)) => self.say_message(&mut side, conn, recorder, text, &said),
                Err(error) if !means_nothing_anywhere(error.kind) => {
                    recorder.note(conn, EventKind::Note(format!("{} cannot say: {text}", self.dialect.name())));
                    Vec::new()
                }
                // It is meant to mean nothing, and does on this wire, too.
                _ => {
                    recorder.note(conn, EventKind::Text { from, text: text.clone() });
                    side.wrote(&Frame::Text(text.clone()));
                    vec![Message::text(text)]
                }
            },
            Outgoing::Binary(bytes) => {
                let is_empty = bytes.is_empty();
                let bytes = self.at_its_rate(bytes);
                if bytes.is_empty() && !is_empty {
                    // Too short for a sample; an empty message might mean something else.
                    return Vec::new();
                }
                self.say_audio(&mut side, conn, recorder, &bytes)
            }
            Outgoing::RawBinary(bytes) => self.say_audio(&mut side, conn, recorder, &bytes),
            Outgoing::RawText(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if decode_client(&text, u64::MAX).is_err_and(|error| !means_nothing_anywhere(error.kind)) {
                    recorder.note(conn, EventKind::Note(format!("{} cannot say: {text}", self.dialect.name())));
                    return Vec::new();
                }
                recorder.note(conn, EventKind::Text { from, text: text.clone() });
                side.wrote(&Frame::Text(text));
                encode(Outgoing::RawText(bytes))
            }
            Outgoing::Fragmented(whole) => {
                drop(side);
                self.say(conn, recorder, *whole).into_iter().flat_map(in_fragments).collect()
            }
            Outgoing::Close(code) => {
                recorder.note(conn, EventKind::Close { from, code: code.map(CloseCode), reason: String::new() });
                encode(Outgoing::Close(code))
            }
        }
    }

    fn say_audio(&self, side: &mut ClientSide<'static>, conn: u32, recorder: &Recorder, bytes: &[u8]) -> Vec<Message> {
        recorder.note_audio(conn, Side::Client, bytes);
        let outputs = side.send_audio(bytes);
        self.written(conn, recorder, outputs)
    }

    fn at_its_rate(&self, bytes: Bytes) -> Bytes {
        match &self.rate {
            Some(rate) => rate.lock().unwrap_or_else(PoisonError::into_inner).change(&bytes).into(),
            None => bytes,
        }
    }

    fn say_message(
        &self,
        side: &mut ClientSide<'static>,
        conn: u32,
        recorder: &Recorder,
        text: String,
        said: &ClientMessage,
    ) -> Vec<Message> {
        if matches!(said, ClientMessage::Config(_)) && !self.dialect.has_config_message() {
            let why = format!("{} has no message for it, it went with the upgrade: {text}", self.dialect.name());
            recorder.note(conn, EventKind::Note(why));
            return Vec::new();
        }
        let outputs = side.send(said);
        if outputs.iter().any(|output| matches!(output, Output::Lost(_))) {
            // The subject never gets it, so it is not said.
            return self.written(conn, recorder, outputs);
        }
        recorder.note(conn, EventKind::Text { from: Side::Client, text });
        let is_end = matches!(said, ClientMessage::EndOfStream);
        let closes = |output: &Output<ServerMessage>| matches!(output, Output::Send(Frame::Close { .. }));
        let (closes, rest) = outputs.into_iter().partition(|output| is_end && closes(output));
        let mut frames = self.written(conn, recorder, rest);
        for close in closes {
            // It says that the stream has ended, which has been noted; the session goes on until the server ends it.
            if let Output::Send(Frame::Close { code, .. }) = close {
                recorder.note(conn, EventKind::Note(format!("{} says so by a Close", self.dialect.name())));
                frames.extend(encode(Outgoing::Close(code.map(|code| code.0))));
            }
        }
        frames
    }

    /// Notes what a message of the subject says in version 1.
    pub(super) fn hear(&self, conn: u32, recorder: &Recorder, message: &Message) {
        let frame = match message {
            Message::Text(text) => Frame::text(text.as_str()),
            Message::Binary(bytes) => Frame::Binary(bytes.to_vec()),
            _ => return,
        };
        let mut side = self.lock();
        let outputs = side.receive(&frame);
        self.heard(conn, recorder, outputs);
    }

    /// Notes what a Close of the subject says, and gives the code that it has in version 1.
    pub(super) fn hear_close(&self, conn: u32, recorder: &Recorder, close: Option<&CloseFrame>) -> Option<CloseCode> {
        let code = close.map(|close| CloseCode(close.code.into()));
        let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
        // The answer to a Close of the harness says nothing, even where a Close of the server's own would be the end.
        if !recorder.client_has_closed(conn) {
            let outputs = self.lock().receive(&Frame::Close { code, reason });
            self.heard(conn, recorder, outputs);
        }
        let is_over = recorder.client_has_closed(conn) || recorder.count_said(conn, "session_ended") > 0;
        let ended = is_over || recorder.count(conn, |kind| is_of_client(kind, "end_of_stream")) > 0;
        Some(self.dialect.v1_close_code(code, ended)).filter(|code| *code != CloseCode::NO_STATUS)
    }

    fn written(&self, conn: u32, recorder: &Recorder, outputs: Vec<Output<ServerMessage>>) -> Vec<Message> {
        let mut frames = Vec::new();
        for output in outputs {
            match output {
                Output::Send(Frame::Text(text)) => frames.push(Message::text(text)),
                Output::Send(Frame::Binary(bytes)) => frames.push(Message::Binary(Bytes::from(bytes))),
                Output::Send(Frame::Close { code, .. }) => {
                    recorder.note(conn, EventKind::Close { from: Side::Client, code, reason: String::new() });
                    frames.extend(encode(Outgoing::Close(code.map(|code| code.0))));
                }
                other => self.heard(conn, recorder, vec![other]),
            }
        }
        frames
    }

    fn heard(&self, conn: u32, recorder: &Recorder, outputs: Vec<Output<ServerMessage>>) {
        let from = Side::Server;
        for output in outputs {
            match output {
                Output::Heard(heard) => match heard.v1 {
                    Frame::Text(text) => {
                        recorder.note_made_up(conn, EventKind::Text { from, text }, dialect::made_up(heard.origin));
                    }
                    Frame::Binary(bytes) => recorder.note_audio(conn, from, &bytes),
                    Frame::Close { .. } => {}
                },
                Output::Unmatched(unmatched) => {
                    let why = format!("no message of {}: {}", self.dialect.name(), unmatched.why);
                    recorder.note(conn, EventKind::Note(why));
                    match unmatched.frame {
                        Frame::Text(text) => recorder.note(conn, EventKind::Text { from, text }),
                        Frame::Binary(bytes) => recorder.note_audio(conn, from, &bytes),
                        Frame::Close { .. } => {}
                    }
                }
                Output::Lost(lost) => {
                    let what = format!("{} has no {}: {}", self.dialect.name(), lost.message_type, lost.why);
                    recorder.note(conn, EventKind::Note(what));
                }
                Output::Note(note) => recorder.note(conn, EventKind::Note(note)),
                // Nothing that a subject says makes this side write by itself.
                _ => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClientSide<'static>> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is a message of that type by the client.
fn is_of_client(kind: &EventKind, message_type: &str) -> bool {
    let EventKind::Text { from: Side::Client, text } = kind else { return false };
    serde_json::from_str::<Value>(text).is_ok_and(|message| message["type"] == message_type)
}

/// The JSON pointers of the values in an object; a list is one value.
fn leaves(object: &Value) -> Vec<String> {
    let of_member = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => leaves(value).into_iter().map(|leaf| format!("/{name}{leaf}")).collect(),
        _ => vec![format!("/{name}")],
    };
    object.as_object().into_iter().flatten().flat_map(of_member).collect()
}

/// Whether a text with this fault is no message on any wire that speaks in JSON objects. Another fault is one against version 1 alone:
/// another wire may bear it, and would need a fault of its own.
fn means_nothing_anywhere(kind: DecodeErrorKind) -> bool {
    use DecodeErrorKind as Kind;
    match kind {
        Kind::NotUtf8 | Kind::NotJson | Kind::NotObject => true,
        Kind::TooLong | Kind::DuplicateKey | Kind::TooDeep | Kind::NumberRange | Kind::LoneSurrogate => false,
        Kind::MissingType | Kind::TypeNotString | Kind::MissingMember | Kind::WrongType => false,
        Kind::IntegerForm | Kind::BadValue => false,
    }
}
