//! Owns a look at the frames of the client below the WebSocket library, which puts them together: how long the first one of each
//! message was, and whether one of them ended in the middle of a character. For faults; it changes no byte.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The frames of which one message was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    pub(crate) first_bytes: usize,
    /// A frame of text was no text by itself.
    pub(crate) cuts_character: bool,
}

/// A transport whose client is watched, if anybody wants to know.
pub(crate) struct Watched<T> {
    stream: T,
    watches: bool,
    upgraded: bool,
    ahead: Vec<u8>,
    current: Option<Pieces>,
    is_text: bool,
    whole: VecDeque<Pieces>,
}

impl<T> Watched<T> {
    pub(crate) fn new(stream: T, watches: bool) -> Self {
        let (ahead, whole) = (Vec::new(), VecDeque::new());
        Self { stream, watches, upgraded: false, ahead, current: None, is_text: false, whole }
    }

    /// Of which frames the next message was made that the library gives out.
    pub(crate) fn next_message(&mut self) -> Option<Pieces> {
        self.whole.pop_front()
    }

    fn watch(&mut self, bytes: &[u8]) {
        self.ahead.extend_from_slice(bytes);
        if !self.upgraded {
            let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            self.ahead.drain(..end + 4);
            self.upgraded = true;
        }
        while let Some((head, payload)) = self.next_frame() {
            let (last, kind) = (head & 0x80 != 0, head & 0x0f);
            match kind {
                1 | 2 => {
                    self.is_text = kind == 1;
                    self.current = Some(Pieces { first_bytes: payload.len(), cuts_character: false });
                }
                0 => {}
                _ => continue,
            }
            if let Some(current) = &mut self.current {
                current.cuts_character |= self.is_text && std::str::from_utf8(&payload).is_err();
            }
            if last {
                self.whole.extend(self.current.take());
            }
        }
    }

    /// The first byte of a frame and its payload, unmasked, as soon as all of it is there.
    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (head, short) = (*self.ahead.first()?, usize::from(*self.ahead.get(1)? & 0x7f));
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let extended = self.ahead.get(2..2 + wide)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let length = if wide == 0 { short } else { extended };
        let mask: [u8; 4] = self.ahead.get(2 + wide..6 + wide)?.try_into().ok()?;
        let from = 6 + wide;
        let masked = self.ahead.get(from..from + length)?;
        let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.ahead.drain(..from + length);
        Some((head, payload))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.watches {
            self.watch(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
