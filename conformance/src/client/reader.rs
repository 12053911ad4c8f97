//! Owns the reading half of a connection of the scripted server: every frame is noted as soon as it is received and handed to the
//! player. How far it reads is the player's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use lastword_spec::close::CloseCode;
use lastword_spec::trace::{Eof, EventKind, Side};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::tongue::{Meant, Tongue};
use crate::record::Recorder;

/// What the reader hands to the player.
pub(super) enum Incoming {
    Text(String),
    Audio(Bytes),
    /// To be written back as it stands.
    Reply(Message),
    Close,
    Over,
}

impl From<Meant> for Incoming {
    fn from(meant: Meant) -> Self {
        match meant {
            Meant::Text(text) => Self::Text(text),
            Meant::Audio(bytes) => Self::Audio(bytes),
            Meant::Reply(message) => Self::Reply(message),
        }
    }
}

/// How far the client is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// To the end.
    On,
    /// Not at all.
    Off,
    /// So many bytes of audio more, at least; that it stops then is noted.
    For(u64),
}

/// How many messages of one connection are read; more is a flood.
const MAX_MESSAGES: usize = 100_000;

/// Reads one connection.
pub(super) struct Reader {
    pub(super) conn: u32,
    pub(super) tongue: Option<Tongue>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) reading: watch::Receiver<Reading>,
    pub(super) handing: mpsc::UnboundedSender<Incoming>,
    /// How often it has stopped by itself.
    pub(super) stops: Arc<AtomicU64>,
    /// How much audio was read since it was said how far to read.
    pub(super) read_bytes: u64,
}

impl Reader {
    /// Reads to the end of the connection.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: SplitStream<WebSocketStream<S>>) {
        let mut messages = 0;
        while self.may_read().await {
            let next = tokio::select! {
                biased;
                changed = self.reading.changed() => match changed {
                    Ok(()) => {
                        self.read_bytes = 0;
                        continue;
                    }
                    Err(_) => return,
                },
                next = stream.next() => next,
            };
            messages += 1;
            if messages > MAX_MESSAGES {
                let what = format!("the client sent {messages} messages: the harness reads no further");
                self.recorder.note(self.conn, EventKind::Note(what));
                return;
            }
            let is_over = !matches!(next, Some(Ok(_)));
            if !self.takes(next) || is_over {
                return;
            }
        }
    }

    /// Waits until it may read. `false`: it never may again.
    async fn may_read(&mut self) -> bool {
        loop {
            let reading = {
                let reading = self.reading.borrow_and_update();
                if reading.has_changed() {
                    self.read_bytes = 0;
                }
                *reading
            };
            match reading {
                Reading::On => return true,
                Reading::For(bytes) if self.read_bytes < bytes => return true,
                Reading::For(_) => {
                    self.recorder.note(self.conn, EventKind::Reads { reads: false });
                    self.stops.fetch_add(1, Ordering::AcqRel);
                }
                Reading::Off => {}
            }
            if self.reading.changed().await.is_err() {
                return false;
            }
            self.read_bytes = 0;
        }
    }

    /// Notes what came and hands it over. `false`: nobody takes it any more.
    fn takes(&mut self, next: Option<Result<Message, Error>>) -> bool {
        if let (Some(tongue), Some(Ok(message))) = (&self.tongue, &next) {
            let meant = match message {
                Message::Close(close) => tongue.hear_close(self.conn, &self.recorder, close.as_ref()),
                other => tongue.hear(self.conn, &self.recorder, other),
            };
            if meant.into_iter().any(|one| !self.hands(Incoming::from(one))) {
                return false;
            }
            if matches!(message, Message::Text(_) | Message::Binary(_)) {
                return true;
            }
        }
        let (conn, from) = (self.conn, Side::Client);
        let note = |kind| self.recorder.note(conn, kind);
        let incoming = match next {
            Some(Ok(Message::Text(text))) => {
                note(EventKind::Text { from, text: text.as_str().to_owned() });
                Incoming::Text(text.as_str().to_owned())
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.recorder.note_audio(conn, from, &bytes);
                Incoming::Audio(bytes)
            }
            Some(Ok(Message::Ping(_))) => {
                note(EventKind::Ping { from });
                return true;
            }
            Some(Ok(Message::Pong(_))) => {
                note(EventKind::Pong { from });
                return true;
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.as_ref().map(|frame| CloseCode(frame.code.into()));
                let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                note(EventKind::Close { from, code, reason });
                Incoming::Close
            }
            Some(Ok(Message::Frame(_))) => return true,
            Some(Err(Error::ConnectionClosed)) | None => {
                note(EventKind::Eof { from, how: Eof::Fin });
                Incoming::Over
            }
            Some(Err(error)) => {
                note(EventKind::Note(format!("transport: {error}")));
                note(EventKind::Eof { from, how: Eof::Reset });
                Incoming::Over
            }
        };
        self.hands(incoming)
    }

    fn hands(&mut self, incoming: Incoming) -> bool {
        if let Incoming::Audio(bytes) = &incoming {
            self.read_bytes += bytes.len() as u64;
        }
        self.handing.send(incoming).is_ok()
    }
}
