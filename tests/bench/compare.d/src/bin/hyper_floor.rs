//! A floor, not a peer: hyper's server with the least client that can be written under it.
//!
//! `hyper_floor PORT UPSTREAM_PORT`. One thread. The upstream's request has three header fields written
//! by hand, its answer is looked through for its length alone: no header map, no pool that is shared, no
//! timeouts, limits or metrics, and nothing is passed on that this one call does not need. What a gateway
//! costs whose server is hyper cannot be less than this.

use std::convert::Infallible;
use std::io;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use latimer_compare::listener::{listen, port};
use latimer_compare::message;
use tokio::net::TcpStream;

const READ: usize = 4096;

/// The upstream, and connections to it that are free.
struct Upstream {
    port: u16,
    free: Mutex<Vec<TcpStream>>,
}

/// A body that is there already.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

impl Upstream {
    fn free(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> io::Result<TcpStream> {
        let free = self.free().pop();
        if let Some(stream) = free {
            return Ok(stream);
        }
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn forward(&self, request: Request<Incoming>) -> io::Result<Response<Whole>> {
        let (head, mut body) = request.into_parts();
        let data = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let frame = data.transpose().map_err(io::Error::other)?;
        let data = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        let mut out = Vec::with_capacity(512);
        write!(out, "{} {} HTTP/1.1\r\nHost: upstream\r\nThalamus-Token: ", head.method, head.uri)?;
        out.extend_from_slice(
            head.headers.get("thalamus-token").map_or(&b""[..], HeaderValue::as_bytes),
        );
        write!(out, "\r\nContent-Length: {}\r\n\r\n", data.len())?;
        out.extend_from_slice(&data);

        let stream = self.connection().await?;
        write_all(&stream, &out).await?;
        let mut came = [0; READ];
        let mut length = 0;
        let (status, body) = loop {
            stream.readable().await?;
            match stream.try_read(&mut came[length..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            let answer =
                message::response(&came[..length]).map_err(|_| io::ErrorKind::InvalidData)?;
            if let Some(answer) = answer {
                break (answer.status, Bytes::copy_from_slice(&answer.body));
            }
        };
        self.free().push(stream);
        let mut response = Response::new(Whole(Some(body)));
        *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn serve(stream: TcpStream, upstream: Arc<Upstream>) {
    let service = service_fn(|request| upstream.forward(request));
    // A client that breaks off is no affair of a measurement: who needed the answer misses it there.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let upstream = Arc::new(Upstream { port: port(2)?, free: Mutex::default() });
    let listener = listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn(serve(stream, Arc::clone(&upstream)));
    }
}
