//! One connection to an upstream, driven by the call that uses it.
//!
//! Nothing runs beside the call: it writes, it reads, and when it ends, by its deadline or by being
//! dropped, its connection's writing has ended too. So the count of bytes tells the truth about what was
//! sent, and a call costs no hop between tasks.

use std::future::poll_fn;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Instant;
use tower::timeout::Timeout;
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::alarm::Alarm;
use crate::tls;
use crate::upstream::meter::Open;
use crate::upstream::reply::{self, BrokenBody, Head, Progress, Reply, ReplyBody};
use crate::upstream::request::{Departure, Request};
use crate::upstream::wire::Wire;
use crate::upstream::{SendError, Settings};

/// Bytes that are made room for at a time. Most answers fit.
const READ_BYTES: usize = 4 * 1024;

/// For how long after an answer a connection counts as open without a look.
const TRUSTED: Duration = Duration::from_millis(2);

/// The name or address, and the port.
type Address = (String, u16);

/// A connection that can take a request. On the heap, once: with each call it goes from the pool to the call
/// and back.
#[derive(Debug)]
pub(super) struct Connection(Box<Line>);

/// What a connection consists of.
#[derive(Debug)]
pub(super) struct Line {
    wire: Wire,
    alarm: Alarm,
    /// Room for what is read, kept from one answer to the next.
    room: BytesMut,
    /// Answers that it has brought.
    answers: u32,
    /// Something has come on it that was an answer, or the beginning of one.
    answered: bool,
    /// When it was opened.
    pub(super) opened: Instant,
    /// Counts it, if it is one of a pool.
    pub(super) counted: Option<Open>,
}

/// An answer; the connection with it if it can take another request.
pub(super) type Exchanged = Result<(Reply, Option<Connection>), Unanswered>;

/// A request without an answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Not a byte was written.
    NothingSent(Failure),
    /// Bytes were written, and no full head came.
    Lost(Failure),
}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Failure {
    /// The deadline passed.
    Deadline,
    /// The other side ended it.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// What came is no answer.
    Head(reply::BadHead),
}

/// A request on its way out and an answer on its way in.
struct Transfer<'m> {
    unsent: &'m [u8],
    departure: &'m Departure,
    /// What the socket had taken before the request.
    before: u64,
    /// The socket has taken all that was given to it, and TLS keeps nothing back.
    flushed: bool,
    received: BytesMut,
    /// The other side has ended its side.
    ended: bool,
    deadline: Instant,
}

impl Deref for Connection {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.0
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.0
    }
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self(Box::new(Line {
            wire,
            alarm: Alarm::default(),
            room: BytesMut::new(),
            answers: 0,
            answered: false,
            opened: Instant::now(),
            counted: None,
        }))
    }

    /// Looks whether it can take the next request: the other side has neither closed it nor said
    /// anything since its last answer.
    ///
    /// What the other side does after this look is what remains unseen. One that has proved that it keeps
    /// connections open need not be asked again at once: a server closes what has stood idle, or says that
    /// it will.
    pub(super) fn is_silent(&self, idle: Duration) -> bool {
        (self.answers > 1 && idle < TRUSTED) || self.wire.is_silent()
    }

    /// What was agreed on by ALPN.
    pub(super) fn protocol(&self) -> tls::Protocol {
        self.wire.protocol()
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &tokio::net::TcpStream {
        self.wire.socket()
    }

    /// True if the socket has taken some of the request.
    fn has_sent(&self, transfer: &Transfer<'_>) -> bool {
        self.wire.written() != transfer.before
    }

    /// True if the other side did not take our certificate: then it has taken nothing else either, though
    /// with TLS 1.3 the request may have left by then.
    fn was_refused(&self, failure: &Failure) -> bool {
        !self.answered && matches!(failure, Failure::Io(error) if tls::is_refusal(error))
    }

    /// Sends a request, as the bytes that it was written to, and reads its answer.
    pub(super) async fn exchange(
        mut self,
        message: &[u8],
        request: &Request,
        reply_bytes_max: usize,
        deadline: Instant,
    ) -> Exchanged {
        let mut received = std::mem::take(&mut self.room);
        // The last answer's bytes have been given up by now, mostly, and their place is used again.
        received.reserve(READ_BYTES);
        let before = self.wire.written();
        let mut transfer = Transfer {
            unsent: message,
            departure: &request.departure,
            before,
            flushed: false,
            received,
            ended: false,
            deadline,
        };
        let mut head = match self.read_head(&mut transfer, &request.method).await {
            Ok(head) => head,
            Err(failure) if !self.has_sent(&transfer) || self.was_refused(&failure) => {
                return Err(Unanswered::NothingSent(failure));
            }
            Err(failure) => return Err(Unanswered::Lost(failure)),
        };
        let body = match self.read_body(&mut transfer, &mut head, reply_bytes_max).await {
            Ok(whole) => ReplyBody::Whole(whole),
            Err(broken) => ReplyBody::Broken(broken),
        };
        let can_go_on = head.keeps_alive
            && !transfer.ended
            // An answer before the end of its request, or more than one answer: nobody could tell
            // what belongs to which.
            && transfer.unsent.is_empty()
            && transfer.flushed
            && transfer.received.is_empty()
            && self.wire.is_drained()
            && matches!(body, ReplyBody::Whole(_));
        self.room = transfer.received;
        self.answers = self.answers.saturating_add(1);
        Ok((Reply { head: head.parts, body }, can_go_on.then_some(self)))
    }

    async fn read_head(
        &mut self,
        transfer: &mut Transfer<'_>,
        method: &Method,
    ) -> Result<Head, Failure> {
        loop {
            self.progress(transfer).await?;
            if let Some(head) =
                reply::take_head(&mut transfer.received, method).map_err(Failure::Head)?
            {
                return Ok(head);
            }
            if transfer.ended {
                return Err(Failure::Closed);
            }
        }
    }

    async fn read_body(
        &mut self,
        transfer: &mut Transfer<'_>,
        head: &mut Head,
        bytes_max: usize,
    ) -> Result<bytes::Bytes, BrokenBody> {
        loop {
            let ended = transfer.ended;
            match head.framing.take_body(&mut transfer.received, bytes_max, ended)? {
                Progress::Whole(body) => return Ok(body),
                Progress::More => {}
            }
            self.progress(transfer).await.map_err(|failure| match failure {
                Failure::Deadline => BrokenBody::TimedOut,
                Failure::Closed | Failure::Io(_) | Failure::Head(_) => BrokenBody::Truncated,
            })?;
        }
    }

    /// Waits until something was read, or the other side has ended; writes what is unsent meanwhile.
    async fn progress(&mut self, transfer: &mut Transfer<'_>) -> Result<(), Failure> {
        poll_fn(|context| {
            let progress = self.poll_transfer(context, transfer);
            if progress.is_pending() && self.alarm.poll_until(context, transfer.deadline).is_ready()
            {
                return Poll::Ready(Err(Failure::Deadline));
            }
            progress
        })
        .await
    }

    fn poll_transfer(
        &mut self,
        context: &mut Context<'_>,
        transfer: &mut Transfer<'_>,
    ) -> Poll<Result<(), Failure>> {
        let wrote = self.poll_write(context, transfer);
        if self.has_sent(transfer) {
            transfer.departure.leave();
        }
        let refused = match wrote {
            Err(error) if !self.has_sent(transfer) => return Poll::Ready(Err(Failure::Io(error))),
            // Whoever refuses the rest of a request may have said why.
            wrote => wrote.err(),
        };
        let read = {
            let reading = pin!(self.wire.read_buf(&mut transfer.received));
            ready!(reading.poll(context))
        };
        match (read, refused) {
            (Ok(0), Some(error)) | (Err(error), _) => Poll::Ready(Err(Failure::Io(error))),
            (Ok(0), None) => {
                transfer.ended = true;
                Poll::Ready(Ok(()))
            }
            (Ok(_), _) => {
                self.answered = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Writes as much as the socket takes now.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        transfer: &mut Transfer<'_>,
    ) -> io::Result<()> {
        while !transfer.unsent.is_empty() {
            transfer.flushed = false;
            match Pin::new(&mut self.wire).poll_write(context, transfer.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => transfer.unsent = &transfer.unsent[taken..],
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        // TLS takes more than the socket does, and writes it only when it is asked to.
        if !transfer.flushed {
            match Pin::new(&mut self.wire).poll_flush(context) {
                Poll::Ready(flushed) => {
                    flushed?;
                    transfer.flushed = true;
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Closed => f.write_str("the connection was closed"),
            Self::Io(error) => error.fmt(f),
            Self::Head(bad) => bad.fmt(f),
        }
    }
}

/// Opens a connection, with its handshake if it has one.
pub(super) async fn connect(
    settings: &Settings,
    deadline: Instant,
) -> Result<Connection, SendError> {
    let connector = service_fn(|address: Address| Wire::open(address, settings.tls.clone()));
    open(connector, settings, deadline).await.map(Connection::new)
}

/// The inner rim: a tower timeout around the connector, and the call's deadline around both.
pub(super) async fn open<S>(
    connector: S,
    settings: &Settings,
    deadline: Instant,
) -> Result<S::Response, SendError>
where
    S: Service<Address>,
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
    opened.map_err(|error| SendError::Unreachable { cause: error.to_string() })
}
