//! The HTTP/2 connections of one worker to one endpoint (RFC 9113).
//!
//! Calls share a connection, each on a stream of its own. So, unlike in HTTP/1.1, something runs beside
//! them: a task that opens the connection and then drives it. It ends with the connection, and soon
//! after nobody holds it any more; it is the worker's, as everything here is.
//!
//! ```text
//! call ─▶ checkout: a connection with a stream to spare, or a new one, which others may wait for too
//!           └─ open: TCP, TLS and ALPN, and the other side's SETTINGS ─▶ exchange, on a stream
//! ```
//!
//! What is known of a call without an answer (the rule of the whole module: see [`exchange`]):
//!
//! | seen | nothing was sent? |
//! |---|---|
//! | no connection, or no SETTINGS on it | yes: the request waits for them |
//! | the stream was refused: `REFUSED_STREAM` | yes: it was not processed (section 8.7) |
//! | GOAWAY, and our stream is above its last one | yes: it was not processed (section 6.8) |
//! | the connection failed, and its socket had taken no byte since the request was handed over | yes |
//! | anything else, the deadline too | nobody knows |

mod exchange;
mod tap;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::exchange::Unanswered;
use self::tap::{Tap, Tapped};
use crate::bounds;
use crate::config::Http;
use crate::tls::Protocol;
use crate::upstream::connection::Connection;
use crate::upstream::meter::{Meter, Open};
use crate::upstream::wire::Wire;
use crate::upstream::{Reply, Request, SendError, Settings};

/// How long a connection that nobody holds takes to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// For how long after its last call a connection counts as open without a look.
const TRUSTED: Duration = Duration::from_millis(2);

/// The connections.
#[derive(Debug)]
pub(super) struct Sessions {
    /// One of the constants below.
    speaks: AtomicU8,
    /// Streams that the endpoint takes on a connection, as far as is known.
    streams_max: AtomicUsize,
    list: Mutex<Vec<Arc<Session>>>,
    meter: Arc<Meter>,
}

const UNKNOWN: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

/// One connection, or one that is being opened.
#[derive(Debug)]
struct Session {
    opened: watch::Receiver<Option<Opened>>,
    since: Instant,
    /// Calls that use it or wait for it.
    calls: AtomicUsize,
    last_used: Mutex<Instant>,
    /// It gets no more calls.
    retired: AtomicBool,
    tap: Arc<Tap>,
    meter: Arc<Meter>,
    /// Its task hears when this is dropped.
    _held: oneshot::Sender<()>,
}

/// What came of opening.
#[derive(Clone, Debug)]
enum Opened {
    Http2(SendRequest<Bytes>),
    /// The other side agreed on HTTP/1.1; whoever comes first may have it.
    Http1(Arc<Mutex<Option<Connection>>>),
    Failed(String),
}

/// A call's place on a connection.
#[derive(Debug)]
struct Place {
    session: Arc<Session>,
    /// How many were before it.
    before: usize,
}

/// How a call went on.
#[derive(Debug)]
pub(super) enum Went {
    /// In HTTP/2, to its end.
    Done(Result<Reply, SendError>),
    /// The endpoint speaks HTTP/1.1; perhaps on this connection.
    Http1(Option<Connection>),
}

impl Sessions {
    pub(super) fn new(settings: &Settings, meter: Arc<Meter>) -> Self {
        let may = match settings.http {
            Http::Auto => settings.tls.is_some(),
            Http::One => false,
            Http::Two => true,
        };
        Self {
            speaks: AtomicU8::new(if may { UNKNOWN } else { HTTP_1 }),
            streams_max: AtomicUsize::new(bounds::HTTP2_UPSTREAM_STREAMS_MAX),
            list: Mutex::default(),
            meter,
        }
    }

    /// True unless the endpoint is known to speak HTTP/1.1.
    pub(super) fn may_serve(&self) -> bool {
        self.speaks.load(Ordering::Relaxed) != HTTP_1
    }

    /// Asks anew what the endpoint speaks.
    pub(super) fn forget(&self) {
        self.speaks.store(UNKNOWN, Ordering::Relaxed);
    }

    /// Sends a request and reads the answer, all within the deadline. If the future is dropped the stream is
    /// reset with it.
    pub(super) async fn send(
        &self,
        request: &Request,
        settings: &Settings,
        deadline: Instant,
    ) -> Went {
        let Some(head) = exchange::head(request, settings) else {
            let cause = "the target is no path".to_owned();
            return Went::Done(Err(SendError::Unreachable { cause }));
        };
        let mut again = true;
        loop {
            let place = self.checkout(settings, Instant::now());
            let mut opened = place.session.opened.clone();
            let opened = match timeout_at(deadline, opened.wait_for(Option::is_some)).await {
                Err(_) => return Went::Done(Err(SendError::TimedOutBeforeSend)),
                // It went without a word, as it does when the worker ends.
                Ok(Err(_)) => Opened::Failed("it was not opened".to_owned()),
                Ok(Ok(opened)) => opened.clone().unwrap_or(Opened::Failed(String::new())),
            };
            let sender = match opened {
                Opened::Http2(sender) => sender,
                Opened::Http1(connection) => {
                    place.session.retire();
                    return self.go_on_in_http1(&connection, settings);
                }
                Opened::Failed(cause) => {
                    place.session.retire();
                    return Went::Done(Err(SendError::Unreachable { cause }));
                }
            };
            self.speaks.store(HTTP_2, Ordering::Relaxed);
            let streams_max = sender.current_max_send_streams();
            if place.before >= streams_max {
                // More waited for it than it takes.
                self.streams_max.store(streams_max.max(1), Ordering::Relaxed);
                continue;
            }
            if Instant::now() >= deadline {
                return Went::Done(Err(SendError::TimedOutBeforeSend));
            }
            match place.exchange(sender, head.clone(), request, settings, deadline).await {
                Err(Unanswered::Ended(_)) if again => again = false,
                done => return Went::Done(done.map_err(SendError::from)),
            }
        }
    }

    fn go_on_in_http1(&self, connection: &Mutex<Option<Connection>>, settings: &Settings) -> Went {
        if settings.http == Http::Two {
            let cause = "the upstream does not agree on HTTP/2".to_owned();
            return Went::Done(Err(SendError::Unreachable { cause }));
        }
        self.speaks.store(HTTP_1, Ordering::Relaxed);
        Went::Http1(connection.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// A place on a connection that has one to spare, or on a new one.
    fn checkout(&self, settings: &Settings, now: Instant) -> Place {
        let mut list = self.list();
        list.retain(|session| session.is_good(settings, now));
        let streams_max = self.streams_max.load(Ordering::Relaxed);
        if let Some(place) = list.iter().find_map(|session| session.enter(streams_max)) {
            return place;
        }
        let session = Session::open(settings.clone(), now, Arc::clone(&self.meter));
        list.push(Arc::clone(&session));
        Place { session, before: 0 }
    }

    /// Gives up connections that are not needed any more.
    pub(super) fn sweep(&self, settings: &Settings) {
        let now = Instant::now();
        self.list().retain(|session| session.is_good(settings, now));
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.list().len()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Starts to open a connection, which has one call from the start.
    fn open(settings: Settings, now: Instant, meter: Arc<Meter>) -> Arc<Self> {
        let tap = Arc::new(Tap::default());
        let (tell, opened) = watch::channel(None);
        let (held, released) = oneshot::channel();
        tokio::spawn(run(settings, (Arc::clone(&tap), Arc::clone(&meter)), tell, released));
        Arc::new(Self {
            opened,
            since: now,
            calls: AtomicUsize::new(1),
            last_used: Mutex::new(now),
            retired: AtomicBool::new(false),
            tap,
            meter,
            _held: held,
        })
    }

    /// A place, if there is one.
    fn enter(self: &Arc<Self>, streams_max: usize) -> Option<Place> {
        let most = match &*self.opened.borrow() {
            None => streams_max,
            Some(Opened::Http2(sender)) => sender.current_max_send_streams(),
            // Whoever comes will hear it.
            Some(Opened::Http1(_) | Opened::Failed(_)) => usize::MAX,
        };
        let most = most.min(bounds::HTTP2_UPSTREAM_STREAMS_MAX);
        // The list is locked meanwhile, and only there somebody enters.
        let before = self.calls.load(Ordering::Relaxed);
        (before < most).then(|| {
            if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
                self.meter.wake();
            }
            Place { session: Arc::clone(self), before }
        })
    }

    /// True if it can take another call, now or once it is open.
    fn is_good(&self, settings: &Settings, now: Instant) -> bool {
        let is_used = self.calls.load(Ordering::Relaxed) > 0;
        !self.retired.load(Ordering::Relaxed)
            && !self.tap.is_over()
            && now.duration_since(self.since) < bounds::CONNECTION_AGE_MAX
            && (is_used || self.idle(now) < settings.idle_timeout)
    }

    fn idle(&self, now: Instant) -> Duration {
        now.duration_since(*self.last_used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It gets no more calls; those that it has go on.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Place {
    /// Sends on a stream of its own, and looks after the connection.
    async fn exchange(
        &self,
        sender: SendRequest<Bytes>,
        head: http::Request<()>,
        request: &Request,
        settings: &Settings,
        deadline: Instant,
    ) -> Result<Reply, Unanswered> {
        let session = &self.session;
        if self.before == 0 && session.idle(Instant::now()) > TRUSTED {
            // The task of a connection that stood idle hears first of what came meanwhile: a goodbye, mostly.
            tokio::task::yield_now().await;
            if session.tap.is_over() {
                return Err(Unanswered::Ended("it was closed".to_owned()));
            }
        }
        let heard = session.tap.read();
        // From here on nobody can say that it has not.
        request.departure.leave();
        let bytes_max = settings.reply_bytes_max;
        let body = Bytes::copy_from_slice(&request.body);
        let done =
            exchange::exchange(sender, (head, body), &session.tap, bytes_max, deadline).await;
        match &done {
            Err(Unanswered::Ended(_)) => session.retire(),
            // Nothing came on it for a whole call: whoever is there does not listen.
            Err(Unanswered::Late) if session.tap.read() == heard => session.retire(),
            Err(Unanswered::Lost(_)) if session.tap.is_over() => session.retire(),
            Ok(_) | Err(_) => {}
        }
        done
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        *self.session.last_used.lock().unwrap_or_else(PoisonError::into_inner) = now;
        if self.session.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.session.meter.rest();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its last call has ended: calls hold it.
        self.meter.wake();
    }
}

/// Opens a connection, tells of it, and drives it until it ends or nobody holds it any more.
async fn run(
    settings: Settings,
    (tap, meter): (Arc<Tap>, Arc<Meter>),
    tell: watch::Sender<Option<Opened>>,
    mut released: oneshot::Receiver<()>,
) {
    let opening = timeout(settings.connect_timeout, open(&settings, &tap, &meter));
    let opened = tokio::select! {
        opened = opening => opened.unwrap_or_else(|_| Err("it was not opened in time".to_owned())),
        _ = &mut released => return,
    };
    let (opened, connection) = match opened {
        Ok((opened, connection)) => (opened, connection),
        Err(cause) => (Opened::Failed(cause), None),
    };
    // Nobody waits any more if nobody hears it. The sender of what is told ends here, so that the
    // connection sees when the last of its users has gone.
    let _ = tell.send(Some(opened));
    drop(tell);
    let Some((mut connection, _counted)) = connection else { return };
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = released => timeout(GOODBYE, &mut connection).await.ok(),
    };
    tap.end();
    if let Some(Err(error)) = ended {
        tracing::debug!(target: "latimer::upstream", %error, "a connection ended");
    }
}

type Driver = h2::client::Connection<Tapped, Bytes>;

/// Connects, agrees on a version, and waits for the other side's SETTINGS: only then it is known to speak
/// HTTP/2 (RFC 9113 section 3.4), and how many streams it takes.
async fn open(
    settings: &Settings,
    tap: &Arc<Tap>,
    meter: &Arc<Meter>,
) -> Result<(Opened, Option<(Driver, Open)>), String> {
    let address = (settings.host.clone(), settings.port);
    let wire =
        Wire::open(address, settings.tls.clone()).await.map_err(|error| error.to_string())?;
    let counted = meter.open();
    if settings.tls.is_some() && wire.protocol() == Protocol::Http1 {
        let mut connection = Connection::new(wire);
        connection.counted = Some(counted);
        return Ok((Opened::Http1(Arc::new(Mutex::new(Some(connection)))), None));
    }
    let mut builder = Builder::new();
    builder
        // None before it says so.
        .initial_max_send_streams(0)
        .enable_push(false)
        .initial_window_size(bounds::HTTP2_REPLY_WINDOW_BYTES)
        .initial_connection_window_size(bounds::HTTP2_REPLIES_WINDOW_BYTES)
        .max_frame_size(bounds::HTTP2_FRAME_BYTES_MAX)
        .max_header_list_size(u32::try_from(bounds::REPLY_HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    let opened = builder.handshake(Tapped::new(wire, Arc::clone(tap))).await;
    let (sender, mut connection) = opened.map_err(|error| error.to_string())?;
    poll_fn(|context| match Pin::new(&mut connection).poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(Err("it was closed before it began".to_owned())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error.to_string())),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((Opened::Http2(sender), Some((connection, counted))))
}

#[cfg(test)]
mod tests;
