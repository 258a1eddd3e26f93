//! The sockets of a simulator: accepts connections, reads each request whole, lets the system answer
//! and writes the answer, or spoils it.
//!
//! hyper speaks HTTP and cannot be made to break it. A fault that breaks it is therefore an error of the
//! service: hyper then gives the connection up without a byte, and the socket is taken back and treated
//! by hand.

mod answering;
mod breaking;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::desk::{Ticket, UnknownStatus};
use super::exchange::{Answer, Request};
use super::fault::{FaultSwitch, Faults};
use super::log::{Log, Seen};
use super::options::Options;
use super::{System, Vendor};

use breaking::Break;

/// Bytes of a request's body that are taken; more is answered with 413.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;

/// Bytes of an over-long body that are still read and thrown away, so that its sender reads the 413
/// and not a reset.
const BODY_BYTES_DRAINED_MAX: usize = 16 * 1_024 * 1_024;

/// Connections served at one time; the next waits in the listener's queue.
const CONNECTIONS_MAX: usize = 1_024;

/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time that requests in hand get when a simulator stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A simulated vendor that is being served. Dropping it stops it too, without waiting.
pub struct Simulator {
    shared: Arc<Shared>,
    stopping: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

/// Why a simulator could not be set up.
#[derive(Debug)]
pub enum SetupError {
    /// A ticket of the options has a status that the vendor does not know.
    Status(UnknownStatus),
    /// The listener does not know its own address.
    Address(io::Error),
}

/// What the connections of one simulator share.
struct Shared {
    vendor: Vendor,
    address: SocketAddr,
    state: Mutex<State>,
}

struct State {
    system: Box<dyn System>,
    faults: Faults,
    log: Log,
}

/// What became of a request's body.
enum Body {
    Whole(Bytes),
    TooLarge,
    /// The client went away in the middle of it.
    Lost,
}

/// Serves a vendor on this listener until the simulator is stopped. Needs a tokio runtime.
///
/// # Errors
/// If a ticket of the options has a status that the vendor does not know, or the listener has no address.
pub fn serve(
    vendor: Vendor,
    listener: TcpListener,
    options: Options,
) -> Result<Simulator, SetupError> {
    let address = listener.local_addr().map_err(SetupError::Address)?;
    let system = vendor.system(&options).map_err(SetupError::Status)?;
    let state = State { system, faults: Faults::new(options.faults), log: Log::default() };
    let shared = Arc::new(Shared { vendor, address, state: Mutex::new(state) });
    let (stopping, stopped) = watch::channel(());
    let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
    Ok(Simulator { shared, stopping, accepting })
}

impl Simulator {
    /// Which vendor this is.
    pub fn vendor(&self) -> Vendor {
        self.shared.vendor
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// The URL an upstream is configured with: it carries the vendor's base path.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.shared.address, self.shared.vendor.base_path())
    }

    /// The requests seen, oldest first; see [`Seen`] for what is kept.
    pub fn log(&self) -> Vec<Seen> {
        self.shared.state().log.list()
    }

    /// Forgets the requests seen; their numbers go on.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// All tickets, by id.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.shared.state().system.tickets()
    }

    /// The status of one ticket in the vendor's own words.
    pub fn status(&self, id: &str) -> Option<String> {
        self.tickets().into_iter().find(|ticket| ticket.id == id).map(|ticket| ticket.status)
    }

    /// Puts these faults in place of those that were on; counting for `every=N` starts anew.
    pub fn set_faults(&self, switches: Vec<FaultSwitch>) {
        self.shared.state().faults = Faults::new(switches);
    }

    /// Ends every session that a log-in has made, as a restart of the system does.
    pub fn end_sessions(&self) {
        self.shared.state().system.end_sessions();
    }

    /// Stops listening, lets requests in hand finish within two seconds, and ends all tasks.
    pub async fn stop(self) {
        drop(self.stopping);
        if let Err(error) = self.accepting.await {
            tracing::error!(vendor = %self.shared.vendor, %error, "simulator ended badly");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole values: each holder changes one thing at a time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { vendor, address, .. } = &*self.shared;
        f.debug_struct("Simulator").field("vendor", vendor).field("address", address).finish()
    }
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SetupError::Status(error) => error.fmt(f),
            SetupError::Address(_) => f.write_str("the listener has no address"),
        }
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text is this error's text already.
            SetupError::Status(_) => None,
            SetupError::Address(error) => Some(error),
        }
    }
}

/// Accepts until the simulator is stopped or dropped, then waits for the connections.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                    connections.spawn(async move {
                        converse(stream, shared, stopped).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(vendor = %shared.vendor, %error, "accept failed");
                    // Out of descriptors, say: asking again at once would only burn the processor.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    // Answers are small and written whole; waiting for more to send would only add 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |request| Box::pin(exchange(Arc::clone(&shared), request)));
    // No timer: a gateway's idle connection may stay as long as it likes, and under tokio's paused
    // clock a timer would fire while bytes are still on their way.
    let mut connection = http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    let end = loop {
        tokio::select! {
            end = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break end,
            _ = stopped.changed(), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let mut stream = connection.into_parts().io.into_inner();
    let ended = match end.as_ref().err().and_then(Break::of) {
        Some(fault) => fault.act(stream).await,
        None => stream.shutdown().await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "the client was gone before the connection's end");
    }
}

/// One request and its answer; an error ends the connection in its own manner.
async fn exchange(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Break> {
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let mut request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body: Bytes::new(),
        at: Instant::now(),
        now: Timestamp::now(),
        listener: shared.address,
    };
    let whole = match body {
        Body::Whole(bytes) => {
            request.body = bytes;
            true
        }
        Body::TooLarge => false,
        Body::Lost => return Err(Break::Silence),
    };
    if let Some(answer) = answering::about_itself(&shared, &request) {
        return Ok(response(answer));
    }
    let (latency, outcome) = answering::settle(&mut shared.state(), &request, whole);
    if let Some(wait) = latency {
        tokio::time::sleep(wait).await;
    }
    outcome.map(response)
}

/// Reads a body to its end, keeping no more than is taken.
async fn read(mut body: Incoming) -> Body {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Lost };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length > BODY_BYTES_DRAINED_MAX {
            return Body::TooLarge;
        }
        if length <= BODY_BYTES_MAX {
            kept.extend_from_slice(data);
        }
    }
    if length > BODY_BYTES_MAX { Body::TooLarge } else { Body::Whole(kept.into()) }
}

fn response(answer: Answer) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    response
}
