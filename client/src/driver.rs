//! Owns the socket of a session: the one task that reads it, writes it and keeps the time. It decides nothing: what comes goes into the
//! session, what the session wants goes out.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Sink as _, StreamExt as _};
use lastword_session::TransportError;
use lastword_spec::codec;
use lastword_spec::limits::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::shared::{Inner, Shared, Wire};

/// The driver of one connection.
pub(crate) struct Driver<S> {
    shared: Arc<Shared>,
    socket: WebSocketStream<S>,
    timer: Pin<Box<Sleep>>,
    writing: Writing,
    /// Nothing more can be read.
    read_over: bool,
}

/// Where the one write path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// The transport has everything.
    Idle,
    /// A message is on its way, and the session wants to hear of it.
    Message,
    /// A Close is on its way.
    Close,
    /// The transport takes nothing any more.
    Over,
}

/// Whether a part of the driver's work moved, so that the others may have something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

/// Rounds of work before other tasks get their turn.
const ROUNDS: usize = 64;

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(shared: Arc<Shared>, socket: WebSocketStream<S>) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { shared, socket, timer, writing: Writing::Idle, read_over: false }
    }

    /// Runs the session to its end, then gives the library a moment to answer the server's Close.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        if self.writing != Writing::Over {
            let bound = Duration::from_millis(Limits::DEFAULT.close_ms);
            // Whether that worked changes nothing: the outcome has been told.
            let _ = timeout(bound, self.socket.close(None)).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        let mut inner = shared.lock();
        inner.driver = Some(cx.waker().clone());
        let result = self.work(cx, &mut inner);
        shared.announce(&mut inner);
        result
    }

    /// Lets every part work until none moves.
    fn work(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Poll<()> {
        for _ in 0..ROUNDS {
            // Reading comes first and never waits for writing. [BP-C2]
            let parts = [self.read(cx, inner), self.write(cx, inner), self.keep_time(cx, inner)];
            if inner.session().is_closed() {
                return Poll::Ready(());
            }
            if parts.iter().all(|moved| *moved == Moved::No) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn read(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Moved {
        if self.read_over {
            return Moved::No;
        }
        let Poll::Ready(next) = self.socket.poll_next_unpin(cx) else { return Moved::No };
        match next {
            Some(Ok(Message::Text(text))) => inner.input(|session, now| session.handle_text(now, text.as_str())),
            Some(Ok(Message::Binary(bytes))) => inner.input(|session, now| session.handle_binary(now, &bytes)),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                inner.input(|session, now| session.handle_close(now, code));
            }
            // The library answers a Ping by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => {
                self.read_over = true;
                let error = read_error(&error);
                inner.input(|session, now| session.handle_loss(now, error));
            }
            None => {
                self.read_over = true;
                inner.input(|session, now| session.handle_loss(now, TransportError::Eof));
            }
        }
        Moved::Yes
    }

    fn write(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Moved {
        match self.poll_write(cx, inner) {
            Poll::Pending => Moved::No,
            Poll::Ready(Ok(moved)) => moved,
            Poll::Ready(Err(error)) => {
                self.writing = Writing::Over;
                inner.wire.clear();
                // [ERR-C3] [KA-C5]
                let error = TransportError::Write(error.to_string());
                inner.input(|session, now| session.handle_loss(now, error));
                Moved::Yes
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Poll<Result<Moved, Error>> {
        match self.writing {
            Writing::Message => {
                ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
                self.writing = Writing::Idle;
                inner.input(|session, now| session.handle_transmitted(now));
                return Poll::Ready(Ok(Moved::Yes));
            }
            Writing::Close => {
                match ready!(Pin::new(&mut self.socket).poll_flush(cx)) {
                    // The server's Close may have crossed ours.
                    Ok(()) | Err(Error::ConnectionClosed) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                self.writing = Writing::Over;
                return Poll::Ready(Ok(Moved::Yes));
            }
            Writing::Idle | Writing::Over => {}
        }
        let Some(next) = inner.wire.pop_front() else { return Poll::Ready(Ok(Moved::No)) };
        let (message, writing) = match next {
            Wire::Message(message) => (Message::text(codec::encode(&message)), Writing::Message),
            Wire::Audio(bytes) => (Message::binary(bytes), Writing::Message),
            Wire::Close(code) => {
                let frame = CloseFrame { code: code.0.into(), reason: "".into() };
                (Message::Close(Some(frame)), Writing::Close)
            }
            // The session is closed by this; leaving drops the socket.
            Wire::Drop => {
                self.writing = Writing::Over;
                return Poll::Ready(Ok(Moved::Yes));
            }
        };
        if self.writing == Writing::Over {
            return Poll::Ready(Ok(Moved::Yes));
        }
        match Pin::new(&mut self.socket).start_send(message) {
            Ok(()) => self.writing = writing,
            // The server closed first, and the library has answered: our Close is not needed.
            Err(_) if writing == Writing::Close => self.writing = Writing::Over,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(Moved::Yes))
    }

    fn keep_time(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Moved {
        let Some(at) = inner.session().poll_timeout() else { return Moved::No };
        let deadline = inner.instant(at);
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Moved::No;
        }
        inner.input(|session, now| session.handle_timeout(now.max(at)));
        Moved::Yes
    }
}

fn read_error(error: &Error) -> TransportError {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => TransportError::Eof,
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => TransportError::Eof,
        other => TransportError::Read(other.to_string()),
    }
}
