//! One upstream: its connections, and what is known of a request that did not come back.
//!
//! What a failed call means hangs on one question: had a byte of the request left? hyper's errors do
//! not always tell, so every connection counts the bytes that the socket took, and the count before
//! and after a call decides between "nothing was sent" and "nobody knows".
//!
//! The pool is a plain stack per upstream; the newest connection is used first, so that spare ones grow
//! old and go. There is no retry here but one: a kept connection that the other side had closed
//! before a byte was written is replaced by a fresh one, once. A server that closes in the moment in
//! which we write cannot be told from one that has read the request: then nobody knows.

mod connection;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::Full;
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
        if let Some(kept) = self.checkout().await {
            match self.exchange(kept, request.clone(), deadline).await {
                // It had been closed while it stood idle; a fresh one has not.
                Err(SendError::Unreachable { .. }) => {}
                done => return done,
            }
        }
        let fresh = connection::connect(&self.settings, deadline).await?;
        self.exchange(fresh, request, deadline).await
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Reply, SendError> {
        let before = connection.written();
        let sent = tokio::time::timeout_at(deadline, connection.send(request)).await;
        // Nobody drives the connection from here on, so the count stays what it is.
        let nothing_sent = connection.written() == before;
        let cause = match sent {
            Ok(Ok(response)) => return Ok(self.read(response, connection, deadline).await),
            Ok(Err(error)) => error.to_string(),
            Err(_) if nothing_sent => return Err(SendError::TimedOutBeforeSend),
            Err(_) => "the deadline passed".to_owned(),
        };
        if nothing_sent {
            Err(SendError::Unreachable { cause })
        } else {
            Err(SendError::Lost { cause })
        }
    }

    /// Reads the body; a connection whose answer came whole is kept.
    async fn read(
        &self,
        response: http::Response<Incoming>,
        mut connection: Connection,
        deadline: Instant,
    ) -> Reply {
        let (head, mut incoming) = response.into_parts();
        let mut whole = BytesMut::new();
        let broken = loop {
            match tokio::time::timeout_at(deadline, connection.frame(&mut incoming)).await {
                Err(_) => break Some(BrokenBody::TimedOut),
                Ok(None) => break None,
                Ok(Some(Err(_))) => break Some(BrokenBody::Truncated),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if whole.len() + data.len() > self.settings.reply_bytes_max {
                        break Some(BrokenBody::TooLarge);
                    }
                    whole.extend_from_slice(&data);
                }
            }
        };
        match broken {
            Some(broken) => Reply { head, body: ReplyBody::Broken(broken) },
            None => {
                self.keep(connection).await;
                Reply { head, body: ReplyBody::Whole(whole.freeze()) }
            }
        }
    }

    /// The newest connection that is still good.
    async fn checkout(&self) -> Option<Connection> {
        loop {
            let mut kept = self.idle().pop()?;
            if kept.since.elapsed() >= self.settings.idle_timeout {
                // Everything below is older still.
                self.idle().clear();
                return None;
            }
            if kept.connection.is_usable().await {
                return Some(kept.connection);
            }
        }
    }

    async fn keep(&self, mut connection: Connection) {
        if !connection.is_usable().await {
            return;
        }
        let now = Instant::now();
        let old = |kept: &Idle| now.duration_since(kept.since) >= self.settings.idle_timeout;
        let mut idle = self.idle();
        // The oldest lie at the bottom.
        let gone = idle.iter().take_while(|kept| old(kept)).count();
        idle.drain(..gone);
        if idle.len() < self.settings.idle_max {
            idle.push(Idle { connection, since: now });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
