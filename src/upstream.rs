//! One upstream: its connections, and what is known of a request that did not come back.
//!
//! What a failed call means hangs on one question: had a byte of the request left? hyper's errors do
//! not always tell, so every connection counts the bytes that the socket took, and the count before
//! and after a call decides between "nothing was sent" and "nobody knows". That is sound because a
//! connection writes only while its call polls it (see `connection`).
//!
//! The pool is a plain stack per upstream; the newest connection is used first, so that spare ones grow
//! old and go. A kept connection is looked at right before it is used. There is no retry but one: if it
//! ends between that look and the first byte, the untouched request goes to a fresh one, once. If the
//! other side closes it while our bytes are on their way, nobody knows.

pub mod breaker;
pub mod budget;
mod connection;
pub mod endpoints;
pub mod gate;
pub mod health;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Instant;

use connection::Connection;

/// What an upstream's connections are made and kept with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Time for a connection.
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
    idle: Mutex<Vec<Idle>>,
}

/// An answer with a full head.
#[derive(Debug)]
pub struct Reply {
    /// Status and header fields.
    pub head: http::response::Parts,
    /// The body, as far as it came.
    pub body: ReplyBody,
}

/// An answer's body.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Not all of it.
    Broken(BrokenBody),
}

/// Why a body is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenBody {
    /// It ended early.
    Truncated,
    /// It is over the cap.
    TooLarge,
    /// The deadline passed.
    TimedOut,
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
        Arc::new(Self { settings, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a request and reads the answer, all within the deadline.
    ///
    /// If the future is dropped the connection is closed with it.
    ///
    /// # Errors
    /// If no full head came back; the error tells whether anything was sent.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Reply, SendError> {
        if Instant::now() >= deadline {
            return Err(SendError::TimedOutBeforeSend);
        }
        let mut request = Some(request);
        if let Some(kept) = self.checkout() {
            match self.exchange(kept, &mut request, deadline).await {
                Err(SendError::Unreachable { .. }) if request.is_some() => {}
                done => return done,
            }
        }
        let fresh = connection::connect(&self.settings, deadline).await?;
        self.exchange(fresh, &mut request, deadline).await
    }

    /// Takes the request; it is given back if the connection ended before it was touched.
    async fn exchange(
        &self,
        mut connection: Connection,
        request: &mut Option<Request<Full<Bytes>>>,
        deadline: Instant,
    ) -> Result<Reply, SendError> {
        let unreachable = |cause: String| Err(SendError::Unreachable { cause });
        let Some(taken) = request.take() else { return unreachable("no request".to_owned()) };
        let before = connection.written();
        let answered = tokio::time::timeout_at(deadline, connection.send(taken)).await;
        let nothing_sent = connection.written() == before;
        match answered {
            Ok(Ok(response)) => Ok(self.read(response, connection, deadline).await),
            Ok(Err(mut failed)) => {
                let cause = failed.error().to_string();
                if nothing_sent {
                    *request = failed.take_message();
                    return unreachable(cause);
                }
                Err(SendError::Lost { cause })
            }
            Err(_) if nothing_sent => Err(SendError::TimedOutBeforeSend),
            Err(_) => Err(SendError::Lost { cause: "the deadline passed".to_owned() }),
        }
    }

    /// Reads the body; a connection whose answer came whole is kept.
    async fn read(
        &self,
        response: Response<Incoming>,
        mut connection: Connection,
        deadline: Instant,
    ) -> Reply {
        let (head, incoming) = response.into_parts();
        let reading = connection.drive(collect(incoming, self.settings.reply_bytes_max));
        let read = tokio::time::timeout_at(deadline, reading).await;
        let body = match read.unwrap_or(Err(BrokenBody::TimedOut)) {
            Ok(whole) => {
                self.keep(connection);
                ReplyBody::Whole(whole)
            }
            Err(broken) => ReplyBody::Broken(broken),
        };
        Reply { head, body }
    }

    /// Closes the idle connections that are old, or that the other side has closed: between calls
    /// nobody else looks at them.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle().retain_mut(|kept| self.is_young(kept, now) && kept.connection.is_good());
    }

    /// The newest connection that is still good.
    fn checkout(&self) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let newest = self.idle().pop();
            let mut kept = newest?;
            if self.is_young(&kept, now) && kept.connection.is_good() {
                return Some(kept.connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        if !connection.is_open() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() < self.settings.idle_max {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn is_young(&self, kept: &Idle, now: Instant) -> bool {
        now.duration_since(kept.since) < self.settings.idle_timeout
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of a body, if it comes whole and is not too large.
async fn collect(mut incoming: Incoming, bytes_max: usize) -> Result<Bytes, BrokenBody> {
    let mut whole = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| BrokenBody::Truncated)?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(BrokenBody::TooLarge);
        }
        if whole.is_empty() && incoming.is_end_stream() {
            // Most answers come in one piece, which need not be copied.
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
