//! A client's connection in HTTP/2 (RFC 9113): many calls at a time, each on a stream of its own.
//!
//! hyper and h2 speak it. What they take of one client is bounded by the constants in [`bounds`]: streams,
//! windows, the size of a header list (and with it the CONTINUATION frames of one), frames, and streams
//! that are reset before they were taken; and they ask a silent client whether it is there. Here stands what
//! they leave open: the time for the preface, the time that a connection may stand idle, the time for which a
//! client may take nothing, streams that are reset *after* they were taken (CVE-2023-44487 in its slow form),
//! and the end at a stop.
//!
//! ```text
//! preface ─▶ streams: each a task of this worker ─▶ rim ─▶ call
//!    │          └─ idle for too long, or the gateway stops: GOAWAY, calls in flight are answered ─▶ over
//!    └─ not in time ─▶ over
//! ```
//!
//! Unlike one in HTTP/1.1 such a connection does not sleep: its compression tables and windows are a
//! part of it, so while it stands idle it keeps its buffers.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::alarm::Alarm;
use crate::bounds;
use crate::server::connection::FIRST_REQUEST;
use crate::server::pace::Calling;
use crate::server::rim::Rim;
use crate::server::worker::Shared;

/// What a client says first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection that was told of its end stays without a call: for answers on their way, and
/// for a client that has sent a request before it heard.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection to its end. Some of its bytes may have been read; the rest of the preface has to
/// come before the deadline.
pub(super) async fn serve<S>(
    (stream, read): (S, Bytes),
    peer: Option<IpAddr>,
    deadline: Instant,
    shared: &Arc<Shared>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let streams = Streams { shared: Arc::clone(shared), peer, activity: Arc::clone(&activity) };
    let wire = Wire::new(stream, read, Arc::clone(&activity));
    let serving = builder(shared).serve_connection(TokioIo::new(wire), streams);
    let mut serving = pin!(serving);
    let mut stop = shared.stop.subscribe();
    let mut told = pin!(async move {
        // The sender is in what the connections share.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let idle_timeout = shared.services.plan.bounds.idle_timeout;
    let mut ending = false;
    let mut look = deadline.min(Instant::now() + idle_timeout);
    loop {
        tokio::select! {
            biased;
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(target: "latimer::server", %error, "a connection ended early");
                }
                return;
            }
            () = activity.flood.notified() => {
                tracing::warn!(target: "latimer::server", "a client resets the streams that it opens: its connection is closed");
                return;
            }
            () = told.as_mut(), if !ending => {
                // A client that was accepted has a right to its first call, and opens no stream once it has
                // heard of the end.
                if !activity.has_called() {
                    tokio::select! {
                        biased;
                        _ = serving.as_mut() => return,
                        () = activity.first.notified() => {}
                        () = sleep(FIRST_REQUEST) => {}
                    }
                }
                if !activity.has_begun() {
                    return;
                }
            }
            () = sleep_until(look) => {
                let patience = if ending { LINGER } else { idle_timeout };
                look = activity.ends_at(deadline, patience);
                if Instant::now() < look {
                    continue;
                }
                if ending || !activity.has_begun() {
                    return;
                }
            }
        }
        // RFC 9113 section 6.8: what the client has sent until it hears is still answered.
        serving.as_mut().graceful_shutdown();
        (ending, look) = (true, Instant::now() + LINGER);
    }
}

fn builder(shared: &Shared) -> http2::Builder<TokioExecutor> {
    let limits = &shared.services.plan.bounds;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_frame_size(bounds::HTTP2_FRAME_BYTES_MAX)
        .initial_stream_window_size(bounds::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(bounds::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(bounds::HTTP2_SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(bounds::HTTP2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(bounds::HTTP2_ERROR_RESETS_MAX)
        .keep_alive_interval(bounds::HTTP2_PING_INTERVAL)
        .keep_alive_timeout(bounds::HTTP2_PING_TIMEOUT);
    builder
}

/// What happens on a connection, as its streams tell it.
#[derive(Debug)]
struct Activity {
    opened: Instant,
    /// Calls in flight.
    calls: AtomicUsize,
    /// Milliseconds from the opening to the last begin or end of a call.
    moved: AtomicU64,
    /// Calls that were answered, and those that their client reset.
    answered: AtomicU64,
    reset: AtomicU64,
    /// The preface has come.
    begun: AtomicBool,
    /// A call has.
    called: AtomicBool,
    first: Notify,
    /// Too many of the streams were reset.
    flood: Notify,
}

/// One call of a connection, until its answer is there.
struct Call(Arc<Activity>);

pin_project_lite::pin_project! {
    /// The body of an answer, which knows whether anybody asked for it: an answer to a stream that was reset
    /// is dropped.
    struct Answer {
        body: Full<Bytes>,
        taken: bool,
        activity: Arc<Activity>,
    }

    impl PinnedDrop for Answer {
        fn drop(this: Pin<&mut Self>) {
            this.activity.count(this.taken);
        }
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            calls: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            called: AtomicBool::new(false),
            first: Notify::new(),
            flood: Notify::new(),
        }
    }

    fn begin(self: &Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.called.swap(true, Ordering::Relaxed) {
            self.first.notify_one();
        }
        self.tell_move();
        Call(Arc::clone(self))
    }

    fn tell_move(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(since, Ordering::Relaxed);
    }

    /// When it will have been without a call for that long if none comes; or else, when to look again. Before
    /// the preface has come, that is its deadline.
    fn ends_at(&self, deadline: Instant, patience: Duration) -> Instant {
        if !self.has_begun() {
            return deadline;
        }
        if self.calls.load(Ordering::Relaxed) > 0 {
            return Instant::now() + patience;
        }
        self.opened + Duration::from_millis(self.moved.load(Ordering::Relaxed)) + patience
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    fn has_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// A client that changes its mind now and then is none that floods.
    fn count(&self, answered: bool) {
        if answered {
            self.answered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let reset = self.reset.fetch_add(1, Ordering::Relaxed) + 1;
        if reset > bounds::HTTP2_RESETS_MAX && reset > self.answered.load(Ordering::Relaxed) {
            self.flood.notify_one();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.tell_move();
    }
}

impl Answer {
    /// With its body, now that it is known.
    fn with(mut self, body: Full<Bytes>) -> Self {
        // Nobody asks for one that is empty.
        self.taken = body.is_end_stream();
        self.body = body;
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.project();
        *this.taken = true;
        Pin::new(this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What hyper calls for each stream.
#[derive(Clone, Debug)]
struct Streams {
    shared: Arc<Shared>,
    peer: Option<IpAddr>,
    activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Streams {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let activity = Arc::clone(&self.activity);
        let call = activity.begin();
        // Each of the calls at a time has a rim of its own, as the only call of a connection has.
        let rim = Rim { shared: Arc::clone(&self.shared), calling: Calling::new(self.peer) };
        let answering = rim.call(request);
        // One that is dropped before its answer was reset as well.
        let unanswered = Answer { body: Full::default(), taken: false, activity };
        Box::pin(async move {
            let answered = answering.await;
            drop(call);
            answered.map(|answer| answer.map(|body| unanswered.with(body)))
        })
    }
}

/// A stream with the bytes that were read of it before, which notes when the preface has come, and fails if its
/// client takes nothing for too long.
#[derive(Debug)]
struct Wire<S> {
    stream: S,
    given_back: Bytes,
    /// Bytes of the preface that have not come.
    left: usize,
    activity: Arc<Activity>,
    /// Until when the client has to take something, if anything waits for that.
    take: Option<Instant>,
    alarm: Alarm,
}

impl<S> Wire<S> {
    fn new(stream: S, given_back: Bytes, activity: Arc<Activity>) -> Self {
        let (left, take, alarm) = (PREFACE.len(), None, Alarm::default());
        Self { stream, given_back, left, activity, take, alarm }
    }

    /// What came of a write. hyper's goodbye to a client that does not say that it is there waits for room like
    /// everything else, so that it never leaves if the client reads nothing.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.take = None;
            return written;
        }
        let until = *self.take.get_or_insert_with(|| Instant::now() + bounds::HTTP2_TAKE_TIMEOUT);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing");
        self.alarm.poll_until(context, until).map(|()| Err(late()))
    }

    fn count(&mut self, came: usize) {
        if self.left > 0 {
            self.left = self.left.saturating_sub(came);
            if self.left == 0 {
                self.activity.tell_move();
                self.activity.begun.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = if self.given_back.is_empty() {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        } else {
            let now = self.given_back.len().min(buffer.remaining());
            buffer.put_slice(&self.given_back[..now]);
            self.given_back.advance(now);
            if self.given_back.is_empty() {
                self.given_back = Bytes::new();
            }
            Poll::Ready(Ok(()))
        };
        self.count(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, ended)
    }
}
