//! How long a client may take over a head, and how long a connection may stand idle.
//!
//! hyper has one timeout for both, and closes without a word when it runs out. Here the stream itself
//! watches: it knows when the first byte of a head came, and is told when a call begins and ends.
//! A head that does not come whole in time is answered `408` (RFC 9110 section 15.5.9).

use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::server::head::Scan;
use crate::server::http2::PREFACE;
use crate::upstream::Departure;

/// Bytes that the first read of a connection has room for.
const FIRST_BYTES: usize = 2 * 1024;

const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What a client's connection reads from and writes to.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Ready once there is something to read, or the end; it may be wrong about that, and then reading
    /// is pending again.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Stream for TcpStream {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(context)
    }
}

/// What a stream and those around it tell each other past hyper, which stands between them.
#[derive(Clone, Debug)]
pub(super) struct Calling(Arc<Told>);

#[derive(Debug)]
struct Told {
    /// Odd while a call is being answered, and then it is the call that watches the time. Every begin
    /// and every end counts one, so that a call is noticed afterwards too.
    calls: AtomicU64,
    /// True if no byte of a request is there and no byte of an answer is left.
    rests: AtomicBool,
    /// True if the head that came last has a length beside a transfer coding.
    conflicts: AtomicBool,
    /// Whether the call's request to the upstream may have left.
    departure: Departure,
    /// Where the connection comes from.
    peer: Option<IpAddr>,
    /// The answer to a call that goes on, and whether there is one.
    early: Mutex<Option<Box<Response<Full<Bytes>>>>>,
    has_early: AtomicBool,
}

/// One call; over when it is dropped, as it is even by a panic.
#[derive(Debug)]
pub(super) struct Call(Calling);

/// A stream that ends if its client is too slow.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    /// Bytes that were read and given back; they come first.
    given_back: Bytes,
    calling: Calling,
    /// What `calling` counted at the last look.
    seen: u64,
    header_timeout: Duration,
    idle_timeout: Duration,
    stage: Stage,
    /// When the stage has to be over; not known before somebody waits.
    deadline: Option<Instant>,
    alarm: Alarm,
    /// False while bytes may be on their way that a word of ours would fall into.
    flushed: bool,
    /// The last look for bytes found none.
    dry: bool,
    /// What was seen of the head that comes.
    scan: Scan,
    /// The client has ended its side.
    ended: bool,
}

/// What a connection that waits for a request sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// A request, or the end.
    Readable,
    /// Nothing for too long, or an error.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No byte of a head has come.
    Idle,
    /// A head has begun.
    Head,
    /// A call is being answered.
    Call,
}

impl Calling {
    /// Of a connection from there, which no call has come on yet.
    pub(super) fn new(peer: Option<IpAddr>) -> Self {
        Self(Arc::new(Told {
            calls: AtomicU64::default(),
            rests: AtomicBool::default(),
            conflicts: AtomicBool::default(),
            departure: Departure::watched(),
            peer,
            early: Mutex::default(),
            has_early: AtomicBool::default(),
        }))
    }

    /// Where the connection comes from.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Gives the answer to a call that goes on.
    pub(super) fn put_early(&self, answer: Response<Full<Bytes>>) {
        let mut early = self.0.early.lock().unwrap_or_else(PoisonError::into_inner);
        *early = Some(Box::new(answer));
        self.0.has_early.store(true, Ordering::Relaxed);
    }

    /// The answer to a call that goes on, if there is one. Looked for after each step of a call, so that it has
    /// to cost nothing where there is none.
    pub(super) fn take_early(&self) -> Option<Response<Full<Bytes>>> {
        if !self.0.has_early.load(Ordering::Relaxed) {
            return None;
        }
        let mut early = self.0.early.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.has_early.store(false, Ordering::Relaxed);
        early.take().map(|answer| *answer)
    }

    /// A call begins.
    pub(super) fn begin(&self) -> Call {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        Call(self.clone())
    }

    /// Calls so far, begun and ended ones apart.
    pub(super) fn count(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// True if the connection waits for a request and has nothing else to do.
    pub(super) fn rests(&self) -> bool {
        self.0.rests.load(Ordering::Relaxed)
    }

    /// True if the head that came last has a length beside a transfer coding.
    pub(super) fn conflicts(&self) -> bool {
        self.0.conflicts.load(Ordering::Relaxed)
    }

    /// Whether the request to the upstream of the call that began last may have left.
    pub(super) fn departure(&self) -> &Departure {
        &self.0.departure
    }

    fn set_rests(&self, rests: bool) {
        self.0.rests.store(rests, Ordering::Relaxed);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S> Paced<S> {
    /// Watches a stream that was just accepted: the first byte of its first head has to come before the
    /// deadline.
    pub(super) fn new(
        stream: S,
        calling: Calling,
        header_timeout: Duration,
        idle_timeout: Duration,
        deadline: Instant,
    ) -> Self {
        Self {
            stream,
            given_back: Bytes::new(),
            calling,
            seen: 0,
            header_timeout,
            idle_timeout,
            stage: Stage::Idle,
            deadline: Some(deadline),
            alarm: Alarm::default(),
            flushed: true,
            dry: false,
            scan: Scan::default(),
            ended: false,
        }
    }

    /// True if bytes are there that were given back.
    pub(super) fn has_bytes(&self) -> bool {
        !self.given_back.is_empty()
    }

    /// True if the client will send nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads until it is clear whether the client speaks HTTP/2 by prior knowledge (RFC 9113 section 3.3).
    /// What was read is given back; a client that says neither in time is taken for one that does not.
    pub(super) fn poll_preface(&mut self, context: &mut Context<'_>) -> Poll<bool>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            let known = self.given_back.len().min(PREFACE.len());
            if known == PREFACE.len() || self.given_back[..known] != PREFACE[..known] {
                return Poll::Ready(self.given_back.starts_with(PREFACE));
            }
            // Room for the whole of a usual request, so that nothing is read twice.
            let mut room = BytesMut::with_capacity(FIRST_BYTES);
            room.extend_from_slice(&self.given_back);
            let read = pin!(self.stream.read_buf(&mut room)).poll(context);
            match read {
                Poll::Ready(Ok(read)) if read > 0 => self.given_back = room.freeze(),
                // It is seen again by whoever reads on.
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending if self.poll_late(context) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The stream, and bytes that were read and given back.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.given_back)
    }

    /// Gives back bytes that were read and belong to the next request.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        // Not as they stand: an empty one holds on to the room of a whole head.
        self.given_back = Bytes::copy_from_slice(bytes);
    }

    /// Waits for the first byte of a request, as long as the connection may stand idle.
    pub(super) fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<Waited>
    where
        S: Stream,
    {
        self.follow();
        match self.stream.poll_readable(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Waited::Readable),
            Poll::Ready(Err(_)) => Poll::Ready(Waited::Over),
            Poll::Pending if self.poll_late(context) => Poll::Ready(Waited::Over),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whoever hears that the connection rests takes it out of hyper's hands.
    fn tell_rest(&self) {
        self.calling.set_rests(self.stage == Stage::Idle && self.dry && self.flushed);
    }

    /// Bytes that were given back, or else those of the stream.
    fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        if !self.given_back.is_empty() {
            let now = self.given_back.len().min(buffer.remaining());
            buffer.put_slice(&self.given_back[..now]);
            self.given_back.advance(now);
            if self.given_back.is_empty() {
                // Without the room that it stood in.
                self.given_back = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.ended |= buffer.filled().len() == before && buffer.remaining() > 0;
        Poll::Ready(read)
    }

    /// Follows what the calls did since the last look.
    fn follow(&mut self) {
        let counted = self.calling.0.calls.load(Ordering::Relaxed);
        if counted == self.seen {
            return;
        }
        self.seen = counted;
        if counted % 2 == 1 {
            self.stage = Stage::Call;
        } else {
            self.stage = Stage::Idle;
        }
        self.deadline = None;
    }

    /// A client that does not take its answer holds the connection no longer than an idle one.
    fn poll_stalled<T>(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.follow();
        if wrote.is_pending() && self.poll_late(context) {
            let kind = io::ErrorKind::TimedOut;
            return Poll::Ready(Err(io::Error::new(kind, "the answer was not taken in time")));
        }
        wrote
    }

    /// True once the stage has lasted too long; wakes the task then. A stage's time begins when
    /// somebody first waits in it, so that those that nobody waits in cost no look at the clock.
    fn poll_late(&mut self, context: &mut Context<'_>) -> bool {
        let timeout = match self.stage {
            Stage::Idle => self.idle_timeout,
            Stage::Head => self.header_timeout,
            Stage::Call => return false,
        };
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + timeout);
        self.alarm.poll_until(context, deadline).is_ready()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.follow();
        let before = buffer.filled().len();
        let read = self.poll_bytes(context, buffer);
        self.dry = read.is_pending();
        self.tell_rest();
        if read.is_ready() {
            let came = &buffer.filled()[before..];
            if self.stage == Stage::Idle && !came.is_empty() {
                self.stage = Stage::Head;
                self.deadline = None;
                self.scan = Scan::default();
            }
            if self.stage == Stage::Head {
                self.scan.feed(came);
                self.calling.0.conflicts.store(self.scan.conflicts(), Ordering::Relaxed);
            }
            return read;
        }
        if !self.poll_late(context) {
            return Poll::Pending;
        }
        if self.stage == Stage::Idle {
            // The end of the stream: an idle connection closes without a word.
            return Poll::Ready(Ok(()));
        }
        if self.flushed {
            // Whoever is that slow may not take it either; it is a courtesy.
            let _ = Pin::new(&mut self.stream).poll_write(context, TOO_SLOW);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head did not come in time")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        self.tell_rest();
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_stalled(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        self.tell_rest();
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.poll_stalled(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.flushed |= matches!(flushed, Poll::Ready(Ok(())));
        self.follow();
        self.tell_rest();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    fn pair() -> (DuplexStream, Paced<DuplexStream>, Calling) {
        let (client, server) = duplex(1024);
        let calling = Calling::new(None);
        (
            client,
            Paced::new(server, calling.clone(), HEADER, IDLE, Instant::now() + HEADER),
            calling,
        )
    }

    /// How long a read takes, in seconds, and what comes of it.
    async fn read(paced: &mut Paced<DuplexStream>) -> (u64, io::Result<usize>) {
        let began = Instant::now();
        let mut buffer = [0; 64];
        let read = paced.read(&mut buffer).await;
        (began.elapsed().as_secs(), read)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_answered_408() {
        let (mut client, mut paced, _) = pair();
        client.write_all(b"POST /x HT").await.unwrap();
        assert_eq!(read(&mut paced).await.1.unwrap(), 10);
        // A byte now and then does not help.
        let nine = Duration::from_secs(9);
        assert!(tokio::time::timeout(nine, read(&mut paced)).await.is_err());
        client.write_all(b"T").await.unwrap();
        assert_eq!(read(&mut paced).await.1.unwrap(), 1);
        let (seconds, late) = read(&mut paced).await;
        assert_eq!((seconds, late.unwrap_err().kind()), (1, io::ErrorKind::TimedOut));
        let mut told = vec![0; TOO_SLOW.len()];
        client.read_exact(&mut told).await.unwrap();
        assert_eq!(told, TOO_SLOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_takes_from_the_time_of_the_first_head() {
        let (_client, server) = duplex(1024);
        let deadline = Instant::now() + HEADER;
        tokio::time::sleep(Duration::from_secs(7)).await;
        let mut paced = Paced::new(server, Calling::new(None), HEADER, IDLE, deadline);
        let (seconds, end) = read(&mut paced).await;
        assert_eq!((seconds, end.unwrap()), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_told_nothing() {
        let (mut client, mut paced, calling) = pair();
        let (seconds, end) = read(&mut paced).await;
        assert_eq!((seconds, end.unwrap()), (10, 0), "the first head has the time of a head");
        // Behind a call the connection may stand idle for longer.
        client.write_all(b"GET").await.unwrap();
        read(&mut paced).await.1.unwrap();
        let call = calling.begin();
        let waited = tokio::time::timeout(Duration::from_secs(300), read(&mut paced)).await;
        assert!(waited.is_err(), "a call has its own deadline");
        drop(call);
        let (seconds, end) = read(&mut paced).await;
        assert_eq!((seconds, end.unwrap()), (75, 0));
        drop(paced);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert!(told.is_empty(), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_word_falls_into_an_answer() {
        let (mut client, mut paced, _) = pair();
        client.write_all(b"GET").await.unwrap();
        read(&mut paced).await.1.unwrap();
        assert_eq!(paced.write(b"HTTP/1.1 200").await.unwrap(), 12);
        assert!(read(&mut paced).await.1.is_err());
        drop(paced);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, b"HTTP/1.1 200");
    }
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_ends_the_connection() {
        let (_client, mut paced, calling) = pair();
        // Behind a call that nobody looked at while it ran.
        drop(calling.begin());
        let began = Instant::now();
        let wrote = paced.write_all(&[0; 2048]).await;
        assert_eq!(wrote.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 75);
    }
}
