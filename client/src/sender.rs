//! Owns the application's handle for audio. Knows nothing of sockets or of how a session is driven.

use std::future::Future;
use std::sync::Arc;

use lastword_session::ApiMisuse;

use crate::shared::{Inner, Shared};

/// Where the audio of a session goes in.
///
/// To be ended by [`finish`](Self::finish), which takes it away: a second end and audio after the end cannot be written. Dropped
/// without it, the session is cancelled.
#[derive(Debug)]
pub struct AudioSender {
    shared: Arc<Shared>,
    finished: bool,
}

/// Why audio or a flush was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session has ended; its outcome is the last of the events.
    #[error("the session has ended; its outcome tells why")]
    Ended,
    /// The caller's fault: the bytes are not whole sample groups.
    #[error("audio must be whole sample groups of {group_bytes} bytes, this is {length} bytes")]
    BrokenFrame {
        /// Bytes of one sample group.
        group_bytes: usize,
        /// What was given.
        length: usize,
    },
}

/// Why a flush failed. The session goes on, unless the events say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// No answer came in time, the server refused it, or the session ended before it.
    #[error("the flush was not answered")]
    NotAnswered,
    /// The caller's fault: too many flushes wait for their answer.
    #[error("too many flushes wait for their answer: await some first")]
    TooMany,
    /// The session had ended before.
    #[error("the session has ended; its outcome tells why")]
    Ended,
}

/// The finals of all audio pushed before the flush are among the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed(());

/// A push is handed over in pieces of about this size, each when there is room.
const PIECE_BYTES: usize = 16 << 10;

impl AudioSender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, finished: false }
    }

    /// Sends 16-bit samples, interleaved if there are channels. For a session configured for `pcm_s16le`.
    ///
    /// Waits while the send buffer is full, that is while the server takes no more; never drops. Any length. Cancelled half-way, a
    /// part may have been taken.
    ///
    /// # Errors
    /// [`SendError::Ended`]; [`SendError::BrokenFrame`] where there are channels.
    pub async fn push(&mut self, samples: &[i16]) -> Result<(), SendError> {
        for piece in samples.chunks(self.piece_bytes() / 2) {
            let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            self.push_bytes(&bytes).await?;
        }
        Ok(())
    }

    /// Sends audio in the encoding of the session: whole sample groups, any number. Else as [`push`](Self::push).
    ///
    /// # Errors
    /// [`SendError::Ended`], [`SendError::BrokenFrame`].
    pub async fn push_bytes(&mut self, audio: &[u8]) -> Result<(), SendError> {
        for piece in audio.chunks(self.piece_bytes()) {
            self.push_piece(piece).await?;
        }
        Ok(())
    }

    /// [`PIECE_BYTES`] in whole sample groups.
    fn piece_bytes(&self) -> usize {
        let group_bytes = self.shared.lock().session().sample_group_bytes();
        (PIECE_BYTES / group_bytes).max(1) * group_bytes
    }

    async fn push_piece(&mut self, piece: &[u8]) -> Result<(), SendError> {
        loop {
            let room = self.shared.room.notified();
            tokio::pin!(room);
            // Before the attempt, so that room made after it is not missed.
            room.as_mut().enable();
            match self.shared.change(|inner| inner.push(piece)) {
                Ok(()) => return Ok(()),
                Err(ApiMisuse::BufferFull) => room.await,
                Err(ApiMisuse::BrokenFrame { group_bytes, length }) => {
                    return Err(SendError::BrokenFrame { group_bytes, length });
                }
                Err(_) => return Err(SendError::Ended),
            }
        }
    }

    /// Asks for the finals of all audio pushed so far; the session goes on. The flush is on its way when this returns; the future
    /// resolves when the server has answered, after the finals are among the events, and need not be awaited.
    ///
    /// # Errors
    /// Of the future: [`FlushError`].
    pub fn flush(&mut self) -> impl Future<Output = Result<Flushed, FlushError>> + Send + use<> {
        let queued = self.shared.change(Inner::flush);
        async move {
            match queued {
                Ok((_, answered)) => answered.await.unwrap_or(Err(FlushError::NotAnswered)).map(|()| Flushed(())),
                Err(ApiMisuse::TooManyFlushes { .. }) => Err(FlushError::TooMany),
                Err(_) => Err(FlushError::Ended),
            }
        }
    }

    /// The input has ended: what was pushed goes out, then the sentinel. The events go on until the outcome.
    pub fn finish(mut self) {
        self.finished = true;
        self.shared.change_always(|inner| {
            inner.sending = false;
            inner.input(|session, now| session.end(now));
        });
    }

    /// Ends the session at once: nothing more is sent but a Close, the outcome is `Cancelled`.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Drop for AudioSender {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.change_always(|inner| {
                inner.sending = false;
                inner.cancel();
            });
        }
    }
}
