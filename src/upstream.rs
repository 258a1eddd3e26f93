//! One upstream: its connections, and what is known of a request that did not come back.
//!
//! What a failed call means hangs on one question: had a byte of the request left? Every connection
//! counts the bytes that the socket took, and the count before and after a call decides between
//! "nothing was sent" and "nobody knows". That is sound because a connection writes only while its call
//! polls it (see `connection`).
//!
//! The pool is a plain stack per upstream and worker; the newest connection is used first, so that spare
//! ones grow old and go. A kept connection is looked at right before it is used. There is no retry but
//! one: if it ends between that look and the first byte, the untouched request goes to a fresh one,
//! once. If the other side closes it while our bytes are on their way, nobody knows.

pub mod breaker;
pub mod budget;
mod connection;
pub mod endpoints;
pub mod gate;
pub mod health;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

pub use reply::{BrokenBody, Reply, ReplyBody};
pub use request::Request;

use crate::{bounds, tls};
use connection::{Connection, Exchanged, Failure, Unanswered};
use request::Preamble;

/// What an upstream's connections are made and kept with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The same as requests name them: without the port where it is the scheme's own.
    pub authority: String,
    /// What connections are secured with; none for plain ones.
    pub tls: Option<tls::Client>,
    /// Time for a connection, its handshake included.
    pub connect_timeout: Duration,
    /// Idle connections that are kept.
    pub idle_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Bytes that an answer's body may have.
    pub reply_bytes_max: usize,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    preamble: Preamble,
    idle: Mutex<Vec<Idle>>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// No connection, or one that closed before a byte was written: nothing was sent.
    Unreachable {
        /// What failed.
        cause: String,
    },
    /// The deadline passed before a byte was written: nothing was sent.
    TimedOutBeforeSend,
    /// Bytes were written, and no full head came: nobody knows.
    Lost {
        /// What failed.
        cause: String,
    },
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { cause } => write!(f, "the upstream cannot be reached: {cause}"),
            Self::TimedOutBeforeSend => f.write_str("the deadline passed before a byte was sent"),
            Self::Lost { cause } => write!(f, "sent, and no answer came: {cause}"),
        }
    }
}

impl std::error::Error for SendError {}

impl Upstream {
    /// An upstream without connections yet.
    pub fn new(settings: Settings) -> Arc<Self> {
        let preamble = Preamble::new(&settings.authority);
        Arc::new(Self { settings, preamble, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a request and reads the answer, all within the deadline.
    ///
    /// If the future is dropped the connection is closed with it.
    ///
    /// # Errors
    /// If no full head came back; the error tells whether anything was sent.
    pub async fn send(&self, request: &Request, deadline: Instant) -> Result<Reply, SendError> {
        let now = Instant::now();
        if now >= deadline {
            return Err(SendError::TimedOutBeforeSend);
        }
        if !request.has_sound_target() {
            return Err(SendError::Unreachable { cause: "the target is no path".to_owned() });
        }
        let message = request.encode(&self.preamble);
        if let Some(kept) = self.checkout(now) {
            let exchanged = self.exchange(kept, &message, &request.method, deadline).await;
            match exchanged {
                // It ended before it was touched.
                Err(Unanswered::NothingSent(Failure::Closed | Failure::Io(_))) => {}
                done => return self.finish(done),
            }
        }
        let fresh = connection::connect(&self.settings, deadline).await?;
        self.finish(self.exchange(fresh, &message, &request.method, deadline).await)
    }

    async fn exchange(
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
            Err(Unanswered::Lost(failure)) => Err(SendError::Lost { cause: failure.to_string() }),
        }
    }

    /// Closes the idle connections that are old, or that the other side has closed: between calls
    /// nobody else looks at them.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle().retain(|kept| self.is_good(kept, now));
    }

    /// The newest connection that is still good.
    fn checkout(&self, now: Instant) -> Option<Connection> {
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

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
