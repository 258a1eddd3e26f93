//! The connections of one worker to one endpoint.
//!
//! A plain stack; the newest connection is used first, so that spare ones grow old and go. A kept
//! connection is looked at right before it is used. If it ends between that look and the first byte, the
//! untouched request goes to a fresh one, once. If the other side closes it while our bytes are on their
//! way, nobody knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::bounds;
use crate::tls;
use crate::upstream::connection::{self, Connection, Exchanged, Failure, Unanswered};
use crate::upstream::http2::{Sessions, Went};
use crate::upstream::meter::Meter;
use crate::upstream::request::{Preamble, Request};
use crate::upstream::{Reply, SendError, Settings};

/// The connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: Settings,
    pub(super) preamble: Preamble,
    idle: Mutex<Vec<Idle>>,
    /// Those in HTTP/2.
    pub(super) sessions: Sessions,
    meter: Arc<Meter>,
}

#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    since: Instant,
}

impl Pool {
    /// No connections yet.
    pub(super) fn new(settings: Settings, meter: Arc<Meter>) -> Self {
        let preamble = Preamble::new(&settings.authority);
        let sessions = Sessions::new(&settings, Arc::clone(&meter));
        Self { settings, preamble, idle: Mutex::new(Vec::new()), sessions, meter }
    }

    /// Sends a request and reads the answer, all within the deadline; tells when it was there.
    ///
    /// If the future is dropped the connection is closed with it, or the stream is reset.
    ///
    /// # Errors
    /// If no full head came back; the error tells whether anything was sent.
    pub(super) async fn send(
        &self,
        request: &Request,
        now: Instant,
        deadline: Instant,
    ) -> Result<(Reply, Instant), SendError> {
        let mut fresh = None;
        if self.sessions.may_serve() {
            // On the heap, as opening is below: the future of a call on a kept connection, which is moved about
            // before it begins, stays as small as it is.
            match Box::pin(self.sessions.send(request, &self.settings, deadline)).await {
                Went::Done(done) => return done.map(|reply| (reply, Instant::now())),
                Went::Http1(connection) => fresh = connection,
            }
        }
        let message = request.encode(&self.preamble);
        if fresh.is_none()
            && let Some(kept) = self.checkout(now)
        {
            let exchanged = self.exchange(kept, &message, request, deadline).await;
            match exchanged {
                // It ended before it was touched.
                Err(Unanswered::NothingSent(Failure::Closed | Failure::Io(_))) => {}
                done => return self.finish(done),
            }
        }
        let fresh = match fresh {
            Some(fresh) => fresh,
            None => Box::pin(self.connect(deadline)).await?,
        };
        self.finish(self.exchange(fresh, &message, request, deadline).await)
    }

    /// A connection in HTTP/1.1.
    async fn connect(&self, deadline: Instant) -> Result<Connection, SendError> {
        let mut connection = connection::connect(&self.settings, deadline).await?;
        connection.counted = Some(self.meter.open());
        if connection.protocol() == tls::Protocol::Http2 {
            // It has learnt it meanwhile.
            self.sessions.forget();
            let cause = "the upstream speaks HTTP/2 now".to_owned();
            return Err(SendError::Unreachable { cause });
        }
        Ok(connection)
    }

    pub(super) async fn exchange(
        &self,
        connection: Connection,
        message: &[u8],
        request: &Request,
        deadline: Instant,
    ) -> Exchanged {
        connection.exchange(message, request, self.settings.reply_bytes_max, deadline).await
    }

    /// Keeps the connection, if it can be, and says what came of the request.
    fn finish(&self, exchanged: Exchanged) -> Result<(Reply, Instant), SendError> {
        match exchanged {
            Ok((reply, connection)) => {
                let now = Instant::now();
                if let Some(connection) = connection {
                    self.keep(connection, now);
                }
                Ok((reply, now))
            }
            Err(Unanswered::NothingSent(Failure::Deadline)) => Err(SendError::TimedOutBeforeSend),
            Err(Unanswered::NothingSent(failure)) => {
                Err(SendError::Unreachable { cause: failure.to_string() })
            }
            Err(Unanswered::Lost(failure)) => {
                let late = matches!(failure, Failure::Deadline);
                Err(SendError::Lost { cause: failure.to_string(), late })
            }
        }
    }

    /// Closes the idle connections that are old, or that the other side has closed: between calls
    /// nobody else looks at them.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|kept| self.is_good(kept, now));
        self.meter.note_idle(idle.len());
        drop(idle);
        self.sessions.sweep(&self.settings);
    }

    /// The newest connection that is still good.
    pub(super) fn checkout(&self, now: Instant) -> Option<Connection> {
        loop {
            let kept = self.pop()?;
            if self.is_good(&kept, now) {
                return Some(kept.connection);
            }
        }
    }

    fn pop(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let kept = idle.pop();
        self.meter.note_idle(idle.len());
        kept
    }

    fn is_good(&self, kept: &Idle, now: Instant) -> bool {
        let idle = now.duration_since(kept.since);
        idle < self.settings.idle_timeout
            && now.duration_since(kept.connection.opened) < bounds::CONNECTION_AGE_MAX
            && kept.connection.is_silent(idle)
    }

    fn keep(&self, connection: Connection, since: Instant) {
        let mut idle = self.idle();
        if idle.len() < self.settings.idle_max {
            idle.push(Idle { connection, since });
            self.meter.note_idle(idle.len());
        }
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
