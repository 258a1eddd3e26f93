//! One connection to an upstream, which counts the bytes that it wrote.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::timeout::Timeout;
use tower::{Service, ServiceExt, service_fn};

use crate::bounds;
use crate::upstream::{SendError, Settings};

/// An answer's head, at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection that can take a request.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    written: Arc<AtomicU64>,
}

impl Connection {
    /// Bytes that the socket has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("written", &self.written()).finish_non_exhaustive()
    }
}

/// Opens a connection. The inner rim: a tower timeout around the connector.
pub(super) async fn connect(
    settings: &Settings,
    deadline: Instant,
) -> Result<Connection, SendError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let connector = service_fn(|address: (String, u16)| async move {
        TcpStream::connect((address.0.as_str(), address.1)).await
    });
    let mut connector = Timeout::new(connector, settings.connect_timeout.min(left));
    let address = (settings.host.clone(), settings.port);
    let ready = connector.ready().await.map_err(|error| unreachable(&error))?;
    let stream = ready.call(address).await.map_err(|error| unreachable(&error))?;
    let nodelay = stream.set_nodelay(true);
    nodelay.map_err(|error| SendError::Unreachable { cause: error.to_string() })?;
    let written = Arc::new(AtomicU64::new(0));
    let counted = Counted { stream, written: Arc::clone(&written) };
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(bounds::HEADERS_MAX)
        .handshake(TokioIo::new(counted))
        .await
        .map_err(|error| SendError::Unreachable { cause: error.to_string() })?;
    tokio::spawn(async move {
        // How it ended is told to whoever waits for an answer.
        let _ = driver.await;
    });
    Ok(Connection { sender, written })
}

fn unreachable(error: &tower::BoxError) -> SendError {
    SendError::Unreachable { cause: error.to_string() }
}

/// A stream that counts what was written.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.written.fetch_add(*bytes as u64, Ordering::Release);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.count(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.count(&wrote);
        wrote
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
