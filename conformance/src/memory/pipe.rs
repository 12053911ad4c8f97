//! Owns the connection of a client in memory: a pipe of bounded buffers that says how much of each direction nobody has read yet, as
//! an operating system does of a socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// One end of a connection in memory.
pub struct Pipe {
    inner: DuplexStream,
    ours: Arc<Counts>,
    theirs: Arc<Counts>,
}

/// Both ends of a connection in memory. Each direction holds so many bytes.
#[must_use]
pub fn pipe(bytes: usize) -> (Pipe, Pipe) {
    let (near, far) = duplex(bytes);
    let (ours, theirs) = (Arc::<Counts>::default(), Arc::<Counts>::default());
    let end = |inner, ours: &Arc<Counts>, theirs: &Arc<Counts>| Pipe {
        inner,
        ours: Arc::clone(ours),
        theirs: Arc::clone(theirs),
    };
    (end(near, &ours, &theirs), end(far, &theirs, &ours))
}

/// What one end has done.
#[derive(Debug, Default)]
struct Counts {
    wrote: AtomicU64,
    read: AtomicU64,
}

/// How much of a connection in memory is on its way, seen from one of its ends.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    ours: Arc<Counts>,
    theirs: Arc<Counts>,
}

impl Levels {
    /// What the other end has not read.
    pub(crate) fn unread(&self) -> u64 {
        on_its_way(&self.ours, &self.theirs)
    }

    /// What the other end wrote and this one has not read.
    pub(crate) fn waiting(&self) -> u64 {
        on_its_way(&self.theirs, &self.ours)
    }
}

fn on_its_way(from: &Counts, to: &Counts) -> u64 {
    // In this order a byte that is read meanwhile is not missing.
    let read = to.read.load(Ordering::Acquire);
    from.wrote.load(Ordering::Acquire).saturating_sub(read)
}

impl Pipe {
    pub(crate) fn levels(&self) -> Levels {
        Levels { ours: Arc::clone(&self.ours), theirs: Arc::clone(&self.theirs) }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.ours.read.fetch_add((buf.filled().len() - before) as u64, Ordering::AcqRel);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.ours.wrote.fetch_add(written as u64, Ordering::AcqRel);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_on_its_way_is_seen_from_both_ends() {
        let (mut near, mut far) = pipe(8);
        assert_eq!(near.write(&[1; 20]).await.expect("there is room"), 8);
        let levels = (near.levels(), far.levels());
        assert_eq!((levels.0.unread(), levels.0.waiting()), (8, 0));
        assert_eq!((levels.1.unread(), levels.1.waiting()), (0, 8));
        let mut some = [0; 5];
        far.read_exact(&mut some).await.expect("they are there");
        assert_eq!((levels.0.unread(), levels.1.waiting()), (3, 3));
    }
}
