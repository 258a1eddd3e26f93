//! The connections of one worker to one endpoint.
//!
//! A plain stack; the newest connection is used first, so that spare ones grow old and go. A kept
//! connection is looked at right before it is used. If it ends between that look and the first byte, the
//! untouched request goes to a fresh one, once. If the other side closes it while our bytes are on their
//! way, nobody knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use tokio::time::Instant;

use crate::bounds;
use crate::tls;
use crate::upstream::connection::{self, Connection, Exchanged, Failure, Unanswered};
use crate::upstream::http2::{Sessions, Went};
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
}

#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    since: Instant,
}

impl Pool {
    /// No connections yet.
    pub(super) fn new(settings: Settings) -> Self {
        let preamble = Preamble::new(&settings.authority);
        let sessions = Sessions::new(&settings);
        Self { settings, preamble, idle: Mutex::new(Vec::new()), sessions }
    }

    /// Sends a request and reads the answer, all within the deadline.
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
    ) -> Result<Reply, SendError> {
        let mut fresh = None;
        if self.sessions.may_serve() {
            match self.sessions.send(request, &self.settings, deadline).await {
                Went::Done(done) => return done,
                Went::Http1(connection) => fresh = connection,
            }
        }
        let message = request.encode(&self.preamble);
        if fresh.is_none()
            && let Some(kept) = self.checkout(now)
        {
            let exchanged = self.exchange(kept, &message, &request.method, deadline).await;
            match exchanged {
                // It ended before it was touched.
                Err(Unanswered::NothingSent(Failure::Closed | Failure::Io(_))) => {}
                done => return self.finish(done),
            }
        }
        let fresh = match fresh {
            Some(fresh) => fresh,
            None => self.connect(deadline).await?,
        };
        self.finish(self.exchange(fresh, &message, &request.method, deadline).await)
    }

    /// A connection in HTTP/1.1.
    async fn connect(&self, deadline: Instant) -> Result<Connection, SendError> {
        let connection = connection::connect(&self.settings, deadline).await?;
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
        method: &Method,
        deadline: Instant,
    ) -> Exchanged {
        connection.exchange(message, method, self.settings.reply_bytes_max, deadline).await
    }

    /// Keeps the connection, if it can be, and says what came of the request.
    fn finish(&self, exchanged: Exchanged) -> Result<Reply, SendError> {
        match exchanged {
            Ok((reply, connection)) => {
                if let Some(connection) = connection {
                    self.keep(connection);
                }
                Ok(reply)
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
        self.idle().retain(|kept| self.is_good(kept, now));
        self.sessions.sweep(&self.settings);
    }

    /// The newest connection that is still good.
    pub(super) fn checkout(&self, now: Instant) -> Option<Connection> {
        loop {
            let kept = self.idle().pop()?;
            if self.is_good(&kept, now) {
                return Some(kept.connection);
            }
        }
    }

    fn is_good(&self, kept: &Idle, now: Instant) -> bool {
        let idle = now.duration_since(kept.since);
        idle < self.settings.idle_timeout
            && now.duration_since(kept.connection.opened) < bounds::CONNECTION_AGE_MAX
            && kept.connection.is_silent(idle)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.settings.idle_max {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
