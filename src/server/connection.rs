//! One connection of a client.
//!
//! hyper serves requests. A connection without one for a while sleeps: hyper's buffers, some 16 KiB, are
//! given back, and what is left of it is the socket and a deadline. So idle connections cost next to
//! nothing.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::bounds;
use crate::server::http2;
use crate::server::pace::{Calling, Paced, Stream, Waited};
use crate::server::rim::Rim;
use crate::server::secured::Secured;
use crate::server::worker::Shared;
use crate::tls;

/// How long a connection that waits for its next request still takes one after the gateway was told to stop:
/// a client in the middle of its work is told by an answer that it has to come again elsewhere.
const LAST_REQUEST: Duration = Duration::from_secs(1);
/// The same for one whose first request, or its handshake, has not come whole. It has only just called; a
/// packet that is lost twice on the way is sent again within that time (RFC 6298: after one second, then two).
pub(super) const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// Time between two looks at a connection that rests. Going to sleep and waking up costs as much as a good
/// part of a call, so a client in the middle of its work should not have to.
const REST: Duration = Duration::from_millis(100);
/// How long a client may go on sending what is not read any more, before the answer that says so is lost.
const LINGER: Duration = Duration::from_secs(2);

/// What became of a connection that was awake.
enum Ended<S> {
    /// It waits for the next request.
    Resting(Paced<S>),
    /// Its last answer has been written.
    Over(Paced<S>),
    /// It failed, or its client went away.
    Gone(hyper::Error),
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: std::net::TcpStream, shared: &Arc<Shared>) {
    // An answer is written whole; waiting for more of it would only cost time.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok().map(|peer| peer.ip());
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(target: "latimer::server", %error, "a connection cannot be watched");
            return;
        }
    };
    let limits = &shared.services.plan.bounds;
    // The first head and what has to come before it.
    let deadline = Instant::now() + limits.header_timeout;
    match &shared.tls {
        None => serve_stream(stream, peer, deadline, shared.http2, shared).await,
        // On the heap, so that a plain connection's future stays as small as it is.
        Some(tls) => Box::pin(serve_secured(stream, peer, tls, deadline, shared)).await,
    }
}

async fn serve_secured(
    stream: TcpStream,
    peer: Option<IpAddr>,
    tls: &tls::Server,
    deadline: Instant,
    shared: &Arc<Shared>,
) {
    let stop = shared.stop.subscribe();
    match Secured::accept(stream, tls, deadline, stop, FIRST_REQUEST).await {
        // Over TLS nobody need guess: RFC 9113 section 3.2.
        Ok(secured) => match secured.protocol() {
            tls::Protocol::Http1 => serve_stream(secured, peer, deadline, false, shared).await,
            tls::Protocol::Http2 => {
                let begun = (secured, Bytes::new());
                Box::pin(http2::serve(begun, peer, deadline, shared)).await;
            }
        },
        Err(error) => {
            tracing::debug!(target: "latimer::server", %error, "a handshake failed");
        }
    }
}

/// Serves a stream whose first head has to come before the deadline, and may be the preface of HTTP/2.
async fn serve_stream<S>(
    stream: S,
    peer: Option<IpAddr>,
    deadline: Instant,
    http2: bool,
    shared: &Arc<Shared>,
) where
    S: Stream + Send + 'static,
{
    let limits = &shared.services.plan.bounds;
    let calling = Calling::new(peer);
    let mut paced =
        Paced::new(stream, calling.clone(), limits.header_timeout, limits.idle_timeout, deadline);
    let mut stop = shared.stop.subscribe();
    let mut told = pin!(async move {
        // The sender is in what the connections share.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    if http2 {
        if !sleep(&mut paced, told.as_mut(), &calling, shared).await {
            return;
        }
        // Once, and not before the client has said something.
        if poll_fn(|context| paced.poll_preface(context)).await {
            return Box::pin(http2::serve(paced.into_parts(), peer, deadline, shared)).await;
        }
    }
    loop {
        if !paced.has_bytes() && !sleep(&mut paced, told.as_mut(), &calling, shared).await {
            return;
        }
        match awake(paced, calling.clone(), shared).await {
            Ended::Resting(resting) => paced = resting,
            // On the heap: this future is as large as a sleeping connection.
            Ended::Over(over) => return Box::pin(linger(over)).await,
            Ended::Gone(error) => {
                tracing::debug!(target: "latimer::server", %error, "a connection ended early");
                return;
            }
        }
    }
}

/// Waits for the first byte of a request; false if the connection is to be closed.
async fn sleep<S: Stream>(
    paced: &mut Paced<S>,
    mut told: std::pin::Pin<&mut impl Future<Output = ()>>,
    calling: &Calling,
    shared: &Shared,
) -> bool {
    if !shared.stopping.load(Ordering::Relaxed) {
        let woken = poll_fn(|context| match paced.poll_wait(context) {
            Poll::Ready(waited) => Poll::Ready(Some(waited)),
            Poll::Pending => told.as_mut().poll(context).map(|()| None),
        });
        if let Some(waited) = woken.await {
            return matches!(waited, Waited::Readable);
        }
    }
    let patience = if calling.count() == 0 { FIRST_REQUEST } else { LAST_REQUEST };
    let waiting = poll_fn(|context| paced.poll_wait(context));
    matches!(timeout(patience, waiting).await, Ok(Waited::Readable))
}

/// Serves requests until none is there.
async fn awake<S: Stream>(paced: Paced<S>, calling: Calling, shared: &Arc<Shared>) -> Ended<S> {
    let limits = &shared.services.plan.bounds;
    let rim = Rim { shared: Arc::clone(shared), calling: calling.clone() };
    let serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(bounds::HEADERS_MAX)
        // A client that shuts its write side early still gets its answer.
        .half_close(true)
        .title_case_headers(true)
        // Head and body leave as one piece; answers are small.
        .writev(false)
        .serve_connection(TokioIo::new(paced), rim);
    // Not a part of this future, which stays as small as a sleeping connection.
    let mut serving = Box::new(serving);
    let mut nap = Nap::new(calling);
    let served = poll_fn(|context| match serving.poll_without_shutdown(context) {
        Poll::Ready(served) => Poll::Ready(Some(served)),
        Poll::Pending => nap.poll(context).map(|()| None),
    });
    let served = served.await;
    if let Some(Err(error)) = served {
        return Ended::Gone(error);
    }
    let parts = serving.into_parts();
    let mut paced = parts.io.into_inner();
    match served {
        Some(_) => Ended::Over(paced),
        None => {
            paced.put_back(&parts.read_buf);
            Ended::Resting(paced)
        }
    }
}

/// Says when a connection falls asleep: it is looked at now and then, and sleeps if it rests and nothing
/// has happened since the last look.
struct Nap {
    calling: Calling,
    seen: u64,
    look: Instant,
    alarm: Alarm,
}

impl Nap {
    fn new(calling: Calling) -> Self {
        let (seen, look) = (calling.count(), Instant::now() + REST);
        Self { calling, seen, look, alarm: Alarm::default() }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // During a call nobody looks.
        while self.calling.rests() {
            ready!(self.alarm.poll_until(context, self.look));
            let count = self.calling.count();
            if count == self.seen {
                return Poll::Ready(());
            }
            self.seen = count;
            self.look = Instant::now() + REST;
        }
        Poll::Pending
    }
}

/// Ends our side and reads on for a while: a socket that is closed with unread bytes in it is reset, and
/// the reset may overtake the answer (RFC 9112 section 9.6).
async fn linger<S: Stream>(mut paced: Paced<S>) {
    if paced.shutdown().await.is_err() || paced.has_ended() {
        return;
    }
    let until = Instant::now() + LINGER;
    let mut discarded = [0; 1024];
    // However it ends, it ends.
    let _ = tokio::time::timeout_at(until, async {
        while paced.read(&mut discarded).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
}
