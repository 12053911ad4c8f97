//! Owns one WebSocket: what is queued for the client, and what comes from it. A write that blocks never stops the reading. It
//! knows no message of Lastword.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use crate::pieces::{Pieces, Watched};

/// What comes from the client.
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Audio(Bytes),
    /// The client's Close. The library answers it with the same code as soon as it is read on or written to.
    Close(Option<CloseFrame>),
    /// The client broke WebSocket itself, and is to be closed with this code.
    Broken(u16),
    /// The connection is over.
    Gone,
}

/// A client that takes nothing for so long is cut.
const CUT_AFTER: Duration = Duration::from_secs(30);
/// How long the last write may take where the connection is then dropped.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// How long the rest is read and discarded after the last word.
const LINGER: Duration = Duration::from_secs(5);

pub(crate) struct Link<T> {
    socket: WebSocketStream<Watched<T>>,
    pieces: Option<Pieces>,
    outbox: VecDeque<Message>,
    outbox_bytes: usize,
    unflushed: bool,
    blocked_since: Option<Instant>,
    broken: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Link<T> {
    pub(crate) fn new(socket: WebSocketStream<Watched<T>>) -> Self {
        Self {
            socket,
            pieces: None,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            unflushed: false,
            blocked_since: None,
            broken: false,
        }
    }

    /// Queues a message. Never waits.
    pub(crate) fn push(&mut self, message: Message) {
        self.outbox_bytes += message.len();
        self.outbox.push_back(message);
    }

    pub(crate) fn push_close(&mut self, code: u16) {
        self.push(Message::Close(Some(CloseFrame { code: code.into(), reason: Utf8Bytes::default() })));
    }

    /// Forgets what is queued: the client has closed, and wants nothing more.
    pub(crate) fn forget(&mut self) {
        self.outbox.clear();
        self.outbox_bytes = 0;
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Of which frames the last message was made, where that is watched.
    pub(crate) fn pieces(&self) -> Option<Pieces> {
        self.pieces
    }

    /// When a client that takes nothing is given up.
    pub(crate) fn cut_at(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + CUT_AFTER)
    }

    /// Writes what is queued, and waits for what comes next if `reads`. May be dropped at any time.
    pub(crate) async fn next(&mut self, reads: bool) -> Incoming {
        poll_fn(|context| self.poll(context, reads)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<Incoming> {
        match self.poll_write(context) {
            Poll::Ready(false) => return Poll::Ready(Incoming::Gone),
            Poll::Ready(true) => self.blocked_since = None,
            Poll::Pending => {
                self.blocked_since.get_or_insert_with(Instant::now);
            }
        }
        if !reads {
            return Poll::Pending;
        }
        loop {
            let next = ready!(self.socket.poll_next_unpin(context));
            if let Some(Ok(Message::Text(_) | Message::Binary(_))) = &next {
                self.pieces = self.socket.get_mut().next_message();
            }
            return Poll::Ready(match next {
                Some(Ok(Message::Text(text))) => Incoming::Text(text),
                Some(Ok(Message::Binary(bytes))) => Incoming::Audio(bytes),
                Some(Ok(Message::Close(frame))) => Incoming::Close(frame),
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    self.broken = true;
                    code_of(&error).map_or(Incoming::Gone, Incoming::Broken)
                }
                None => Incoming::Gone,
            });
        }
    }

    /// Whether the connection still lives, as soon as all is written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while !self.outbox.is_empty() {
            if ready!(self.socket.poll_ready_unpin(context)).is_err() {
                return Poll::Ready(false);
            }
            let Some(message) = self.outbox.pop_front() else { break };
            self.outbox_bytes -= message.len();
            self.unflushed = true;
            if self.socket.start_send_unpin(message).is_err() {
                return Poll::Ready(false);
            }
        }
        if self.unflushed {
            if ready!(self.socket.poll_flush_unpin(context)).is_err() {
                return Poll::Ready(false);
            }
            self.unflushed = false;
        }
        Poll::Ready(true)
    }

    /// Writes the last words, then reads and discards until the client is gone.
    pub(crate) async fn linger(&mut self) {
        let rest = async {
            if self.broken {
                while !self.outbox.is_empty() || self.unflushed {
                    if !poll_fn(|context| self.poll_write(context)).await {
                        return;
                    }
                }
                let mut sink = [0; 4096];
                while matches!(self.socket.get_mut().read(&mut sink).await, Ok(read) if read > 0) {}
            } else {
                while !matches!(self.next(true).await, Incoming::Gone) {}
            }
        };
        let _ = timeout(LINGER, rest).await;
    }

    /// Writes all that is queued, if the client takes it.
    pub(crate) async fn written(&mut self) {
        let _ = timeout(LAST_WRITE, poll_fn(|context| self.poll_write(context))).await;
    }

    /// Writes these bytes past the WebSocket library. For faults.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) {
        let stream = self.socket.get_mut();
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    }
}

/// The close code that a WebSocket library gives for a fault of the client.
fn code_of(error: &Error) -> Option<u16> {
    match error {
        Error::Utf8(_) => Some(1007),
        Error::Capacity(_) => Some(1009),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(1002),
        _ => None,
    }
}
