//! The listener that clients reach.
//!
//! ```text
//! accept ─▶ the worker with the fewest connections: a thread with a runtime of its own
//!             handshake, if TLS is spoken
//!             connection: asleep ─▶ awake (hyper) ─▶ asleep … ─▶ lingering close
//!                                     rim ─▶ call
//!               or, in HTTP/2: streams ─▶ rim ─▶ call, many at a time
//! ```
//!
//! A call stays on the thread of its connection from its first byte to its last: the connections to
//! upstreams are that thread's own, and nothing on the way is locked against another one. What a
//! connection may cost is bounded here: the time and size of a head, the number of connections.

mod connection;
mod head;
mod http2;
mod pace;
mod rim;
mod secured;
mod worker;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::worker::{Arrival, Worker};
use crate::call::Services;
use crate::tls;

/// How a gateway serves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// Connections of clients at one time; more wait to be accepted.
    pub connections_max: usize,
    /// Time for calls in flight once it has been told to stop.
    pub drain: Duration,
    /// What connections are secured with; none for plain ones.
    pub tls: Option<tls::Server>,
    /// True if HTTP/2 is spoken with clients that ask for it: by ALPN over TLS, which offers it then, else by
    /// prior knowledge.
    pub http2: bool,
}

/// Serves until told to stop, then lets calls in flight finish within the time to drain. Each worker gets
/// services of its own.
///
/// # Errors
/// If the listener or a thread cannot be had.
pub async fn run(
    listener: std::net::TcpListener,
    settings: Settings,
    services: impl Fn() -> Services,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let workers = (0..settings.workers.get())
        .map(|index| Worker::start(index, services(), stop.clone(), &settings))
        .collect::<io::Result<Vec<Worker>>>()?;
    let connections = Arc::new(Semaphore::new(settings.connections_max));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            _ = stop.changed() => break,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| stream.into_std()) {
                // Its worker's runtime watches it from here on.
                Ok(stream) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: wait for some to be given back.
                    tracing::warn!(target: "latimer::server", %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stop.changed() => break,
        };
        if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
            worker.give(Arrival { stream, permit }).await;
        }
    }
    drop(listener);
    for worker in workers {
        worker.end().await;
    }
    Ok(())
}
