//! One WebSocket connection. Owns: a bounded account of what waits to be written, reading and writing at the same time, and an
//! end that loses nothing on its way. Must not know: messages, sessions.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

/// How long after the last byte the other side may take to close the connection.
const LINGER: Duration = Duration::from_secs(2);
/// How long the other side may take to read what waits for it at the end.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
    /// The other side's Close. The answer to it goes out by itself.
    Close(Option<u16>),
    /// The bytes are no WebSocket, or exceed what is read at all: nothing more can be read, and this code says why.
    Broken(CloseCode),
    /// The connection ended or failed.
    Lost,
}

/// A connection. `S` is the bare byte stream.
pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
    outgoing: VecDeque<Message>,
    outgoing_bytes: usize,
    /// Since when the other side has taken nothing of what waits.
    blocked_since: Option<Instant>,
    flushed: bool,
    close_sent: bool,
    write_failed: bool,
    /// The other side ended the connection: there is nobody to linger for.
    gone: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self {
            stream,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            blocked_since: None,
            flushed: true,
            close_sent: false,
            write_failed: false,
            gone: false,
        }
    }

    /// Queues a text message. Written by [`next`](Self::next) and [`end`](Self::end).
    pub(super) fn send(&mut self, text: String) {
        self.outgoing_bytes += text.len();
        self.outgoing.push_back(Message::text(text));
    }

    /// Queues a binary message, as [`send`](Self::send) does a text message.
    pub(super) fn send_binary(&mut self, bytes: Vec<u8>) {
        self.outgoing_bytes += bytes.len();
        self.outgoing.push_back(Message::binary(bytes));
    }

    /// Queues a Close behind what waits. Nothing can be queued after it.
    pub(super) fn close(&mut self, code: CloseCode, reason: &'static str) {
        if !self.close_sent {
            self.close_sent = true;
            self.outgoing.push_back(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })));
        }
    }

    /// Forgets what waits to be written.
    pub(super) fn clear(&mut self) {
        self.outgoing.clear();
        self.outgoing_bytes = 0;
    }

    /// Gives the other side up: nothing more is written, and nobody is waited for.
    pub(super) fn abandon(&mut self) {
        self.clear();
        self.write_failed = true;
        self.gone = true;
    }

    /// Bytes of messages that have not been handed to the transport.
    pub(super) fn outgoing_bytes(&self) -> usize {
        self.outgoing_bytes
    }

    /// When the other side will have read nothing of what waits for it for [`STUCK_AFTER`].
    pub(super) fn stuck_at(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + STUCK_AFTER)
    }

    /// Writes what waits and, if `read`, gives the next thing that comes in; otherwise only tells of a failure. Safe to cancel.
    pub(super) async fn next(&mut self, read: bool) -> Incoming {
        poll_fn(|context| self.poll_next(context, read)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>, read: bool) -> Poll<Incoming> {
        if self.poll_write(context).is_err() {
            self.abandon();
            return Poll::Ready(Incoming::Lost);
        }
        if !read {
            return Poll::Pending;
        }
        loop {
            let incoming = match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(Message::Text(text))) => Incoming::Text(text),
                Some(Ok(Message::Binary(bytes))) => Incoming::Binary(bytes),
                Some(Ok(Message::Close(frame))) => {
                    // The library has its answer ready; it goes out with the next flush.
                    self.flushed = false;
                    Incoming::Close(frame.map(|frame| frame.code.into()))
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => self.failed(&error),
                None => Incoming::Lost,
            };
            return Poll::Ready(incoming);
        }
    }

    /// Hands what waits to the transport, as far as that takes it.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        while let Some(message) = self.outgoing.front() {
            if Pin::new(&mut self.stream).poll_ready(context)?.is_pending() {
                self.blocked_since.get_or_insert_with(Instant::now);
                return Ok(());
            }
            self.blocked_since = None;
            self.outgoing_bytes -= payload_bytes(message);
            if let Some(message) = self.outgoing.pop_front() {
                Pin::new(&mut self.stream).start_send(message)?;
                self.flushed = false;
            }
        }
        if !self.flushed {
            if Pin::new(&mut self.stream).poll_flush(context)?.is_pending() {
                self.blocked_since.get_or_insert_with(Instant::now);
            } else {
                self.flushed = true;
                self.blocked_since = None;
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &Error) -> Incoming {
        match error {
            Error::Capacity(_) => Incoming::Broken(CloseCode::Size),
            Error::Utf8(_) => Incoming::Broken(CloseCode::Invalid),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => {
                self.gone = true;
                Incoming::Lost
            }
            Error::Protocol(_) => Incoming::Broken(CloseCode::Protocol),
            _ => Incoming::Lost,
        }
    }

    /// The end of the connection: writes what waits, then says that nothing more will come, reads and discards until the other
    /// side has closed too, and lets go of it. Both within bounds.
    pub(super) async fn end(mut self) {
        if !self.write_failed {
            while self.write_some().await {}
        }
        if self.gone {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let bare = self.stream.get_mut();
        // An error here and below means that the other side is gone, which is what is waited for.
        let _ = timeout_at(deadline, bare.shutdown()).await;
        let mut waste = [0; 1_024];
        while let Ok(Ok(1..)) = timeout_at(deadline, bare.read(&mut waste)).await {}
    }

    /// Writes on; whether there is more to write and somebody who reads it.
    async fn write_some(&mut self) -> bool {
        let before = self.outgoing.len();
        let written = poll_fn(|context| match self.poll_write(context) {
            Ok(()) if self.outgoing.is_empty() && self.flushed => Poll::Ready(Ok(false)),
            Ok(()) if self.outgoing.len() < before => Poll::Ready(Ok(true)),
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        });
        matches!(timeout(STUCK_AFTER, written).await, Ok(Ok(true)))
    }
}

fn payload_bytes(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}
