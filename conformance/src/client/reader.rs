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
    /// Nothing more is read: it is too much.
    Flood,
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

/// How much of one connection is read; more is a flood. What the player has not taken yet is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    messages: usize,
    bytes: usize,
}

impl Flood {
    /// More than two hours of speech.
    pub(super) const USUAL: Self = Self { messages: 100_000, bytes: 256 << 20 };
}

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
    /// From where on it reads no further.
    pub(super) flood: Flood,
}

impl Reader {
    /// Reads to the end of the connection.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: SplitStream<WebSocketStream<S>>) {
        let (mut messages, mut bytes) = (0_usize, 0_usize);
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
            bytes += next.as_ref().and_then(|read| read.as_ref().ok()).map_or(0, Message::len);
            if messages > self.flood.messages || bytes > self.flood.bytes {
                return self.floods(&format!("{messages} messages with {bytes} bytes"));
            }
            if let Some(Err(Error::Capacity(error))) = &next {
                return self.floods(&format!("what is too long ({error})"));
            }
            let is_over = !matches!(next, Some(Ok(_)));
            if !self.takes(next) || is_over {
                return;
            }
        }
    }

    /// Stops to read. It is the harness that ends the connection then, and no client that left.
    fn floods(&mut self, what: &str) {
        let what = format!("the client sent {what}: the harness reads no further");
        self.recorder.note(self.conn, EventKind::Note(what));
        self.recorder.note(self.conn, EventKind::Reads { reads: false });
        self.hands(Incoming::Flood);
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

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;
    use lastword_spec::trace::Header;
    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    use super::*;

    /// What the trace and the player are told of a client that sends these.
    async fn read(messages: Vec<Message>, flood: Flood) -> (Vec<String>, Vec<&'static str>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let config = WebSocketConfig::default().max_message_size(Some(1_000)).max_frame_size(Some(1_000));
        let server = WebSocketStream::from_raw_socket(near, Role::Server, Some(config)).await;
        let mut client: WebSocketStream<DuplexStream> = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        for message in messages {
            client.send(message).await.expect("there is room");
        }
        let (_on, reading) = watch::channel(Reading::On);
        let (handing, mut incoming) = mpsc::unbounded_channel();
        let recorder = Arc::new(Recorder::new(Header::new(Side::Client), &lastword_judge::Options::default()));
        let stops = Arc::default();
        let reader = Reader {
            conn: 0,
            tongue: None,
            recorder: Arc::clone(&recorder),
            reading,
            handing,
            stops,
            read_bytes: 0,
            flood,
        };
        // Whoever is not stopped by what came reads on for ever.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), reader.run(server.split().1)).await;
        let noted = recorder.trace().events.into_iter().map(|event| match event.kind {
            EventKind::Audio { bytes, .. } => format!("audio {bytes}"),
            EventKind::Note(what) => what,
            EventKind::Reads { reads } => format!("reads {reads}"),
            other => format!("{other:?}"),
        });
        let noted = noted.collect();
        let mut handed = Vec::new();
        while let Ok(one) = incoming.try_recv() {
            handed.push(match one {
                Incoming::Audio(_) => "audio",
                Incoming::Flood => "flood",
                _ => "other",
            });
        }
        (noted, handed)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_read_no_further_and_no_client_is_said_to_have_left() {
        let audio = |bytes: usize| Message::binary(vec![0; bytes]);
        let flood = Flood { messages: 3, bytes: 1_500 };
        let (noted, handed) = read(vec![audio(700), audio(700)], flood).await;
        assert_eq!((noted, handed), (vec!["audio 700".to_owned(); 2], vec!["audio"; 2]), "that much is read");
        let by_bytes = read(vec![audio(700), audio(700), audio(101)], flood).await;
        let by_number = read(vec![audio(1), audio(1), audio(1), audio(1)], flood).await;
        let by_length = read(vec![audio(1), audio(1_001)], flood).await;
        for ((noted, handed), count) in [(by_bytes, 2), (by_number, 3), (by_length, 1)] {
            let told: Vec<&str> = noted[count..].iter().map(String::as_str).collect();
            assert!(matches!(told[..], [why, "reads false"] if why.contains("reads no further")), "{noted:?}");
            assert_eq!(handed, [vec!["audio"; count], vec!["flood"]].concat());
        }
    }
}
