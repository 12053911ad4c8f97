//! Owns the transport of one connection below the WebSocket: it passes bytes on, can end the harness's half of the connection
//! while the other half stays open, and knows the addresses by which the operating system knows the connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Transport;

/// The transport of one connection.
pub struct Pipe {
    inner: Box<dyn Transport>,
    handle: Handle,
    is_shut: bool,
}

/// What can be done with a pipe from outside.
#[derive(Clone)]
pub(crate) struct Handle {
    half_close: Arc<AtomicBool>,
    /// The harness's and the subject's address, where the connection is one of TCP.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

impl Handle {
    /// The next flush also ends the harness's half of the transport.
    pub(crate) fn half_close_at_next_flush(&self) {
        self.half_close.store(true, Ordering::Release);
    }
}

impl Pipe {
    pub(super) fn new(inner: Box<dyn Transport>, addresses: Option<(SocketAddr, SocketAddr)>) -> Self {
        Self { inner, handle: Handle { half_close: Arc::default(), addresses }, is_shut: false }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if self.handle.half_close.load(Ordering::Acquire) && !self.is_shut {
            std::task::ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
