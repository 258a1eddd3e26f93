//! The socket of a connection that calls share, as those calls can look at it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::wire::Wire;

/// What calls know of the bytes.
#[derive(Debug, Default)]
pub(super) struct Tap {
    out: Mutex<Out>,
    read: AtomicU64,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Out {
    /// Bytes that the socket has taken.
    written: u64,
    /// It gets no more.
    cut: bool,
}

/// A stream with a tap.
#[derive(Debug)]
pub(super) struct Tapped {
    wire: Wire,
    tap: Arc<Tap>,
}

impl Tap {
    /// Bytes that the socket has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.out().written
    }

    /// Bytes that have come so far.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// True once nobody drives the connection.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Sees to it that the socket takes no more, if it has taken nothing since; true if so. For a connection
    /// that has failed: what h2 still keeps of a request could leave after all while it says goodbye.
    pub(super) fn cut_if_untouched(&self, since: u64) -> bool {
        let mut out = self.out();
        out.cut |= out.written == since;
        out.written == since
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tapped {
    pub(super) fn new(wire: Wire, tap: Arc<Tap>) -> Self {
        tap.out().written = wire.written();
        Self { wire, tap }
    }

    /// Everything that may write does it here, so that a cut comes before it or after it.
    fn touch<T>(
        &mut self,
        write: impl FnOnce(Pin<&mut Wire>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut out = self.tap.out();
        if out.cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let wrote = write(Pin::new(&mut self.wire));
        out.written = self.wire.written();
        wrote
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        // TLS may write while it reads.
        let read = self.touch(|wire| wire.poll_read(context, buffer));
        let came = buffer.filled().len().saturating_sub(before);
        self.tap.read.fetch_add(came as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.touch(|wire| wire.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.touch(|wire| wire.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.touch(|wire| wire.poll_shutdown(context))
    }
}
