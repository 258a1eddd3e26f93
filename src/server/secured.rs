//! A client's connection in TLS.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::server::pace::Stream;
use crate::tls::{self, ServerStream};

/// A stream after its handshake.
#[derive(Debug)]
pub(super) struct Secured {
    stream: Box<ServerStream<TcpStream>>,
    /// The last read found nothing. Until then TLS may keep what the socket does not have any more.
    drained: bool,
}

impl Secured {
    /// Shakes hands: until the deadline, or for as long as is given once the gateway was told to stop.
    pub(super) async fn accept(
        stream: TcpStream,
        tls: &tls::Server,
        deadline: Instant,
        mut stop: watch::Receiver<bool>,
        after_stop: Duration,
    ) -> io::Result<Self> {
        let mut shaking = pin!(timeout_at(deadline, tls.accept(stream)));
        let told = async {
            // The sender is in what the connections share.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let shaken = tokio::select! {
            biased;
            shaken = &mut shaking => shaken,
            () = told => timeout(after_stop, shaking).await.and_then(|shaken| shaken),
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the handshake did not end in time");
        let stream = shaken.unwrap_or_else(|_| Err(late()))?;
        Ok(Self { stream: Box::new(stream), drained: false })
    }

    /// What was agreed on.
    pub(super) fn protocol(&self) -> tls::Protocol {
        tls::Server::protocol(&self.stream)
    }
}

impl Stream for Secured {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drained {
            self.stream.get_ref().0.poll_read_ready(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.drained = read.is_pending();
        read
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
