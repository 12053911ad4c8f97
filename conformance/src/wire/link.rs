//! Owns one open connection: a writer that the case drives and a reader that always runs, so that neither side ever waits
//! for the harness to read. Every frame is noted before it is sent and as soon as it is received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use lastword_spec::close::CloseCode;
use lastword_spec::trace::{Eof, EventKind, Side};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::connect::Socket;
use super::pipe::Handle;
use super::tongue::Tongue;
use crate::record::Recorder;

/// One thing to send.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message with audio, at the harness's own sample rate: where the wire has another one it is changed on its way.
    Binary(Bytes),
    /// A binary message whose bytes go as they stand.
    RawBinary(Bytes),
    /// A text frame with any bytes.
    RawText(Vec<u8>),
    /// A text or binary message in three frames.
    Fragmented(Box<Self>),
    /// A Close.
    Close(Option<u16>),
}

/// An open connection. Dropping it cuts the transport.
pub struct Link {
    conn: u32,
    recorder: Arc<Recorder>,
    writer: SplitSink<Socket, Message>,
    pipe: Handle,
    reader: JoinHandle<()>,
    /// The translator, where the subject speaks another wire.
    tongue: Option<Tongue>,
}

impl Link {
    /// Starts to read; what is received is noted under this number. `floods`: others have been flooded, so that sooner no more is
    /// read if this one is too.
    #[must_use]
    pub fn new(conn: u32, socket: Socket, tongue: Option<Tongue>, recorder: Arc<Recorder>, floods: bool) -> Self {
        let pipe = socket.get_ref().handle();
        let (writer, stream) = socket.split();
        let fast = if floods { FAST_AGAIN } else { FAST_BEFORE_READY };
        if let Some(tongue) = &tongue {
            tongue.opened(conn, &recorder);
        }
        let reader = tokio::spawn(read(conn, stream, tongue.clone(), Arc::clone(&recorder), fast));
        Self { conn, recorder, writer, pipe, reader, tongue }
    }

    /// Whether the harness has to close when the session has ended, because the subject's wire leaves that to its clients.
    #[must_use]
    pub fn client_closes(&self) -> bool {
        self.tongue.as_ref().is_some_and(Tongue::client_closes)
    }

    /// Whether this holds a configuration that the subject's wire cannot say, which is noted: with another one the session would
    /// show nothing of what it is for.
    #[must_use]
    pub fn cannot_configure(&self, messages: &[Outgoing]) -> bool {
        let Some(tongue) = &self.tongue else { return false };
        let unsayable = messages.iter().find_map(|message| match message {
            Outgoing::Text(text) if !tongue.can_configure(self.conn, &self.recorder, text) => Some(text),
            _ => None,
        });
        if let Some(text) = unsayable {
            let why = format!("the wire cannot say this, so it is not tried: {text}");
            self.recorder.note(self.conn, EventKind::Note(why));
        }
        unsayable.is_some()
    }

    /// The number of the connection in the record.
    #[must_use]
    pub fn conn(&self) -> u32 {
        self.conn
    }

    /// Sends these as one write to the transport, as far as they fit into the write buffer. `false`: the transport took no
    /// more; the reader notes why.
    pub async fn send(&mut self, messages: Vec<Outgoing>) -> bool {
        for message in messages {
            for frame in self.frames(message) {
                if self.writer.feed(frame).await.is_err() {
                    return false;
                }
            }
        }
        self.writer.flush().await.is_ok()
    }

    /// Sends a Ping. `false`: the transport took no more.
    pub async fn ping(&mut self) -> bool {
        self.recorder.note(self.conn, EventKind::Ping { from: Side::Client });
        self.writer.send(Message::Ping(Bytes::new())).await.is_ok()
    }

    /// Ends the harness's half of the transport, without a Close; what the server still sends is received.
    pub async fn half_close(&mut self) {
        self.recorder.note_half_close(self.conn);
        self.pipe.half_close_at_next_flush();
        // A server that has gone by now is seen by the reader.
        let _ = self.writer.flush().await;
    }

    /// The harness's and the subject's address, where the connection is one of TCP.
    #[must_use]
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.pipe.addresses
    }

    /// Cuts the transport and notes it.
    pub fn cut(self) {
        self.recorder.note(self.conn, EventKind::Eof { from: Side::Client, how: Eof::Fin });
    }

    /// What stands on the wire for it. It is noted before it is sent.
    fn frames(&self, message: Outgoing) -> Vec<Message> {
        match &self.tongue {
            Some(tongue) => tongue.say(self.conn, &self.recorder, message),
            None => {
                self.note(&message);
                encode(message)
            }
        }
    }

    fn note(&self, message: &Outgoing) {
        let from = Side::Client;
        match message {
            Outgoing::Text(text) => self.recorder.note(self.conn, EventKind::Text { from, text: text.clone() }),
            Outgoing::Binary(bytes) | Outgoing::RawBinary(bytes) => self.recorder.note_audio(self.conn, from, bytes),
            Outgoing::RawText(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.recorder.note(self.conn, EventKind::Text { from, text });
            }
            Outgoing::Fragmented(whole) => self.note(whole),
            Outgoing::Close(code) => self
                .recorder
                .note(self.conn, EventKind::Close { from, code: code.map(CloseCode), reason: String::new() }),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

pub(super) fn encode(message: Outgoing) -> Vec<Message> {
    let one = match message {
        Outgoing::Text(text) => Message::text(text),
        Outgoing::Binary(bytes) | Outgoing::RawBinary(bytes) => Message::Binary(bytes),
        Outgoing::RawText(bytes) => Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true)),
        Outgoing::Close(code) => Message::Close(code.map(|code| CloseFrame { code: code.into(), reason: "".into() })),
        Outgoing::Fragmented(whole) => return encode(*whole).into_iter().flat_map(in_fragments).collect(),
    };
    vec![one]
}

/// A text or binary message as three frames, the first of them of an odd length, and text cut within a character where there is one to
/// cut; anything else as it stands.
pub(super) fn in_fragments(message: Message) -> Vec<Message> {
    let kind = match &message {
        Message::Text(_) => Data::Text,
        Message::Binary(_) => Data::Binary,
        _ => return vec![message],
    };
    let mut rest = message.into_data();
    let first = rest.split_to(cut(&rest, kind, (rest.len() / 3) | usize::from(rest.len() > 1)));
    let second = rest.split_to(cut(&rest, kind, rest.len() / 2));
    let parts = [(first, kind, false), (second, Data::Continue, false), (rest, Data::Continue, true)];
    parts.map(|(part, kind, last)| Message::Frame(Frame::message(part, OpCode::Data(kind), last))).into()
}

/// The place next to `at` that is within a character, if there is one within the longest character's length.
fn cut(bytes: &[u8], kind: Data, at: usize) -> usize {
    const CONTINUES: u8 = 0b1000_0000;
    let within = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0b1100_0000 == CONTINUES);
    (at..at + 4).find(|at| kind == Data::Text && within(at)).unwrap_or(at)
}

/// More than this on one connection is a flood: it is not read to its end, for it may have none.
const MAX_MESSAGES: u32 = 10_000;
const MAX_BYTES: usize = 32 << 20;
/// The same before `ready`, when there is nothing to tell but that the server works.
const MAX_BEFORE_READY: u32 = 500;
/// Nor are so many before `ready`, where they come faster than the shortest interval that a server may announce.
const FAST_BEFORE_READY: u32 = 100;
/// The same where other connections have shown it already.
const FAST_AGAIN: u32 = 20;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

async fn read(conn: u32, mut stream: SplitStream<Socket>, tongue: Option<Tongue>, recorder: Arc<Recorder>, fast: u32) {
    let from = Side::Server;
    let started = Instant::now();
    let (mut messages, mut bytes) = (0, 0);
    loop {
        let next = stream.next().await;
        messages += 1;
        bytes += next.as_ref().and_then(|read| read.as_ref().ok()).map_or(0, Message::len);
        let is_fast = messages > fast && started.elapsed() < SHORTEST_INTERVAL * messages;
        let is_early = (is_fast || messages > MAX_BEFORE_READY) && recorder.ready(conn).is_none();
        if messages > MAX_MESSAGES || bytes > MAX_BYTES || is_early {
            let text = format!("the server sent {messages} messages with {bytes} bytes: the harness reads no further");
            recorder.note_flood(conn, text);
            return;
        }
        if let (Some(tongue), Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) = (&tongue, &next) {
            tongue.hear(conn, &recorder, message);
            continue;
        }
        let kind = match next {
            Some(Ok(Message::Text(text))) => EventKind::Text { from, text: text.as_str().to_owned() },
            Some(Ok(Message::Binary(bytes))) => {
                recorder.note_audio(conn, from, &bytes);
                continue;
            }
            Some(Ok(Message::Ping(_))) => EventKind::Ping { from },
            Some(Ok(Message::Pong(_))) => EventKind::Pong { from },
            Some(Ok(Message::Close(frame))) => {
                note_close(conn, frame.as_ref(), tongue.as_ref(), &recorder);
                continue;
            }
            Some(Ok(Message::Frame(_))) => continue,
            Some(Err(error)) => EventKind::Eof { from, how: how(conn, &error, &recorder) },
            None => EventKind::Eof { from, how: Eof::Fin },
        };
        let over = matches!(kind, EventKind::Eof { .. });
        recorder.note(conn, kind);
        if over {
            return;
        }
    }
}

/// The library answers a Close by itself, with the same code; that is noted as what it is.
fn note_close(conn: u32, frame: Option<&CloseFrame>, tongue: Option<&Tongue>, recorder: &Recorder) {
    let code = match tongue {
        Some(tongue) => tongue.hear_close(conn, recorder, frame),
        None => frame.map(|frame| CloseCode(frame.code.into())),
    };
    let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
    let answers_ours = recorder.client_has_closed(conn);
    recorder.note(conn, EventKind::Close { from: Side::Server, code, reason });
    if !answers_ours {
        recorder.note(conn, EventKind::Close { from: Side::Client, code, reason: String::new() });
    }
}

fn how(conn: u32, error: &Error, recorder: &Recorder) -> Eof {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Eof::Fin,
        Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Eof::Fin,
        Error::Io(_) => Eof::Reset,
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => Eof::Fin,
        // What the library cannot read is the server's breach of the WebSocket protocol; the words help to find it.
        other => {
            recorder.note(conn, EventKind::Note(format!("the WebSocket library gave up: {other}")));
            let of_the_peer = matches!(other, Error::Protocol(_) | Error::Utf8(_) | Error::Capacity(_));
            if of_the_peer { Eof::Unreadable } else { Eof::Reset }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_three_frames_is_cut_within_characters() {
        let text = r#"{"type":"keepalive","seq":6,"x_note":"音声認識の言葉を分けて送る、音声認識の言葉を分けて送る"}"#;
        let parts: Vec<Vec<u8>> =
            in_fragments(Message::text(text)).into_iter().map(|part| part.into_data().to_vec()).collect();
        assert_eq!(parts.concat(), text.as_bytes());
        assert!(parts[..2].iter().all(|part| std::str::from_utf8(part).is_err()), "{parts:?}");
    }
}
