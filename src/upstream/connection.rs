//! One connection to an upstream, driven by the call that uses it.
//!
//! hyper's connection is a future of its own, which is usually spawned. Here it is not: a call polls it
//! along with what it waits for, and between calls nobody does. So a call that has ended, by its
//! deadline or by being dropped, has ended its connection's writing too, and the count of bytes tells
//! the truth; and a call costs no hop between tasks.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tower::timeout::Timeout;
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::bounds;
use crate::upstream::{SendError, Settings};

/// An answer's head, at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;

type Driver = http1::Connection<TokioIo<Metered>, Full<Bytes>>;
/// The name or address, and the port.
type Address = (String, u16);

/// A connection that can take a request.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// What reads and writes; none once it has ended, and with it the socket.
    driver: Option<Box<Driver>>,
    meter: Arc<Meter>,
}

impl Connection {
    /// Bytes that the socket has taken so far. Between polls of [`drive`](Self::drive) it stands still.
    pub(super) fn written(&self) -> u64 {
        self.meter.written.load(Ordering::Relaxed)
    }

    /// True unless the last poll found its end.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some()
    }

    /// Looks whether it can take the next request: the last answer has been read to its end, and the
    /// other side has neither closed it nor said anything since.
    ///
    /// The kernel is asked, not the runtime, which may not have heard yet. What the other side does
    /// after this look is what remains unseen.
    pub(super) fn is_good(&mut self) -> bool {
        self.meter.ask_kernel.store(true, Ordering::Relaxed);
        // Whoever uses it next polls it with a waker of his own.
        self.turn(&mut Context::from_waker(Waker::noop()));
        let asked = !self.meter.ask_kernel.load(Ordering::Relaxed);
        asked && self.is_open() && self.sender.is_ready()
    }

    /// Sends a request; the head of the answer comes back, or the request if it was not touched.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.sender.try_send_request(request);
        self.drive(answer).await
    }

    /// Waits for something that this connection brings about.
    pub(super) async fn drive<F: Future>(&mut self, awaited: F) -> F::Output {
        // Only `turn` brings it about, and that is followed by a look at it. So its own wake-ups would
        // be for nothing; and tokio's budget, which defers by a wake-up, must not apply to it.
        let mut awaited = pin!(unconstrained(awaited));
        std::future::poll_fn(|context| {
            let mut asleep = Context::from_waker(Waker::noop());
            // A body asks for its next part by being looked at.
            if let Poll::Ready(output) = awaited.as_mut().poll(&mut asleep) {
                return Poll::Ready(output);
            }
            self.turn(context);
            awaited.as_mut().poll(&mut asleep)
        })
        .await
    }

    /// Reads and writes what can be read and written now.
    fn turn(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver.as_mut()).poll(context).is_ready()
        {
            // How it ended is told to whoever waits for an answer.
            self.driver = None;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("written", &self.written()).finish_non_exhaustive()
    }
}

/// Opens a connection.
pub(super) async fn connect(
    settings: &Settings,
    deadline: Instant,
) -> Result<Connection, SendError> {
    let connector = service_fn(|(host, port): Address| async move {
        TcpStream::connect((host.as_str(), port)).await
    });
    let stream = open(connector, settings, deadline).await?;
    let meter = Arc::new(Meter::default());
    let metered = Metered { stream, meter: Arc::clone(&meter) };
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(bounds::HEADERS_MAX)
        .handshake(TokioIo::new(metered))
        .await
        .map_err(|error| SendError::Unreachable { cause: error.to_string() })?;
    Ok(Connection { sender, driver: Some(Box::new(driver)), meter })
}

/// The inner rim: a tower timeout around the connector, and the call's deadline around both.
pub(super) async fn open<S>(
    connector: S,
    settings: &Settings,
    deadline: Instant,
) -> Result<TcpStream, SendError>
where
    S: Service<Address, Response = TcpStream>,
    S::Error: Into<BoxError>,
{
    let connector = Timeout::new(connector, settings.connect_timeout);
    let opening = connector.oneshot((settings.host.clone(), settings.port));
    let opened = match tokio::time::timeout_at(deadline, opening).await {
        Err(_) => return Err(SendError::TimedOutBeforeSend),
        // Both times were up: the deadline is what the client asked about.
        Ok(_) if Instant::now() >= deadline => return Err(SendError::TimedOutBeforeSend),
        Ok(opened) => opened,
    };
    let stream = opened.map_err(|error| SendError::Unreachable { cause: error.to_string() })?;
    let nodelay = stream.set_nodelay(true);
    nodelay.map_err(|error| SendError::Unreachable { cause: error.to_string() })?;
    Ok(stream)
}

/// What the two sides of hyper's connection tell each other past it.
#[derive(Default)]
struct Meter {
    /// Bytes that the socket has taken.
    written: AtomicU64,
    /// True if the next read must not rely on what the runtime knows.
    ask_kernel: AtomicBool,
}

/// A stream that counts what was written.
struct Metered {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    fn count(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.meter.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }

    /// Asks the kernel whether there is anything to read on a connection that should be silent: pending
    /// if there is not, nothing at its end, an error for whatever speaks unasked.
    fn poll_silent(&self) -> Poll<io::Result<()>> {
        match SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Poll::Ready(Ok(())),
            Ok(_) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Poll::Pending,
                _ => Poll::Ready(Err(error)),
            },
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.ask_kernel.load(Ordering::Relaxed) {
            self.meter.ask_kernel.store(false, Ordering::Relaxed);
            if let Poll::Ready(ended) = self.poll_silent() {
                return Poll::Ready(ended);
            }
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Metered {
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
