//! One connection to an upstream, which counts the bytes that it wrote.
//!
//! The connection is driven by whoever uses it, in the same task: what is dropped, say at a deadline,
//! cannot write a byte afterwards, so the count that is read then is the last word.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
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

/// A connection that takes one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Counted>, Full<Bytes>>>,
    written: Arc<AtomicU64>,
}

impl Connection {
    /// Bytes that the socket has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let mut sending = pin!(self.sender.send_request(request));
        poll_fn(|context| {
            if let Poll::Ready(answered) = sending.as_mut().poll(context) {
                return Poll::Ready(answered);
            }
            drive(&mut self.driver, context);
            sending.as_mut().poll(context)
        })
        .await
    }

    /// The next frame of an answer's body; `None` at its end.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        poll_fn(|context| {
            let mut body = Pin::new(&mut *body);
            if let Poll::Ready(frame) = body.as_mut().poll_frame(context) {
                return Poll::Ready(frame);
            }
            drive(&mut self.driver, context);
            body.poll_frame(context)
        })
        .await
    }

    /// True if it can take a request: the last answer came to its end, and the other side has neither
    /// closed nor said anything that nobody asked for, as far as the socket knows by now.
    pub(super) async fn is_usable(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.driver, context);
            Poll::Ready(self.driver.is_some() && self.sender.is_ready())
        })
        .await
    }
}

/// Lets the connection do what it can. One that has ended is dropped, so that nobody waits for it.
fn drive(
    driver: &mut Option<http1::Connection<TokioIo<Counted>, Full<Bytes>>>,
    context: &mut Context<'_>,
) {
    if let Some(running) = driver
        && Pin::new(running).poll(context).is_ready()
    {
        *driver = None;
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
    // What the time ran out for is told apart: the caller's deadline or the upstream's own limit.
    let failed = |error: tower::BoxError| {
        if Instant::now() >= deadline {
            SendError::TimedOutBeforeSend
        } else {
            SendError::Unreachable { cause: error.to_string() }
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let connector = service_fn(|address: (String, u16)| async move {
        TcpStream::connect((address.0.as_str(), address.1)).await
    });
    let mut connector = Timeout::new(connector, settings.connect_timeout.min(left));
    let address = (settings.host.clone(), settings.port);
    let ready = connector.ready().await.map_err(failed)?;
    let stream = ready.call(address).await.map_err(failed)?;
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
    Ok(Connection { sender, driver: Some(driver), written })
}

/// A stream that counts what was written.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
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
