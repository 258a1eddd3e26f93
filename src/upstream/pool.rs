//! The connections of one worker to one endpoint.
//!
//! A plain stack; the newest connection is used first, so that spare ones grow old and go. A kept
//! connection is looked at right before it is used. If it ends between that look and the first byte, the
//! untouched request goes to a fresh one, once. If the other side closes it while our bytes are on their
//! way, nobody knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::bounds;
use crate::upstream::connection::{self, Connection, Exchanged, Failure, Unanswered};
use crate::upstream::meter::Meter;
use crate::upstream::request::{Preamble, Request};
use crate::upstream::{Reply, SendError, Settings};

/// The connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: Settings,
    pub(super) preamble: Preamble,
    idle: Mutex<Vec<Idle>>,
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
        Self { settings, preamble, idle: Mutex::new(Vec::new()), meter }
    }

    /// Sends a request and reads the answer, all within the deadline; tells when it was there.
    ///
    /// If the future is dropped the connection is closed with it.
    ///
    /// # Errors
    /// If no full head came back; the error tells whether anything was sent.
    pub(super) async fn send(
        &self,
        request: &Request,
        now: Instant,
        deadline: Instant,
    ) -> Result<(Reply, Instant), SendError> {
        let message = request.encode(&self.preamble);
        if let Some(kept) = self.checkout(now) {
            let exchanged = self.exchange(kept, &message, request, deadline).await;
            match exchanged {
                // It ended before it was touched.
                Err(Unanswered::NothingSent(Failure::Closed | Failure::Io(_))) => {}
                done => return self.finish(done),
            }
        }
        let mut fresh = connection::connect(&self.settings, deadline).await?;
        fresh.counted = Some(self.meter.open());
        self.finish(self.exchange(fresh, &message, request, deadline).await)
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
