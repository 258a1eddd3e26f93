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

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::worker::{Arrival, Worker};
use crate::call::Services;
use crate::{bounds, tls};

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
    /// Somebody else holds the socket too, and takes what waits in its queue after a stop.
    pub handed: bool,
}

/// What tells a server to end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// True once nothing more is accepted, and calls in flight have the time to drain.
    pub drain: watch::Receiver<bool>,
    /// True once what is still open is cut off.
    pub cut: watch::Receiver<bool>,
}

/// A server with its threads, which takes no connections yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    workers: Vec<Worker>,
    connections: Arc<Semaphore>,
    handed: bool,
    stop: Stop,
}

/// Feels whether the workers do their work.
#[derive(Clone, Debug)]
pub struct Pulse {
    workers: Vec<Handle>,
    stop: Stop,
}

impl Server {
    /// Starts the threads. Each worker gets services of its own.
    ///
    /// # Errors
    /// If the listener or a thread cannot be had.
    pub fn start(
        listener: std::net::TcpListener,
        settings: &Settings,
        services: impl Fn() -> Services,
        stop: Stop,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let workers = (0..settings.workers.get())
            .map(|index| Worker::start(index, services(), stop.clone(), settings))
            .collect::<io::Result<Vec<Worker>>>()?;
        let connections = Arc::new(Semaphore::new(settings.connections_max));
        Ok(Self { listener, workers, connections, handed: settings.handed, stop })
    }

    /// The pulse of its workers.
    pub fn pulse(&self) -> Pulse {
        let workers = self.workers.iter().map(Worker::runtime).collect();
        Pulse { workers, stop: self.stop.clone() }
    }

    /// Serves until told to stop, then lets calls in flight finish within the time to drain.
    pub async fn run(self) {
        let Self { listener, workers, connections, handed, stop } = self;
        accept(&listener, &workers, &connections, stop.drain).await;
        if !handed {
            accept_waiting(&listener, &workers, &connections).await;
        }
        drop(listener);
        // All at once: each waits for what has not come yet until its end of the queue is closed.
        workers.into_iter().map(Worker::end).collect::<JoinSet<()>>().join_all().await;
    }
}

impl Pulse {
    /// True once every worker has come by, or has ended as it was told; false if one ended by itself. Waits
    /// for as long as a worker does not come by.
    pub async fn felt(&self) -> bool {
        for worker in &self.workers {
            if worker.spawn(async {}).await.is_err() && !*self.stop.drain.borrow() {
                return false;
            }
        }
        true
    }
}

/// Hands connections to workers until told to stop.
async fn accept(
    listener: &TcpListener,
    workers: &[Worker],
    connections: &Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(connections).acquire_owned() => permit,
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
        give(workers, Arrival { stream, permit }).await;
    }
}

/// Hands on what had come when the gateway was told to stop. For its client it is connected, and closing the
/// listener would reset it.
async fn accept_waiting(listener: &TcpListener, workers: &[Worker], connections: &Arc<Semaphore>) {
    // As many as could have waited: those that come all the time must not keep us.
    for _ in 0..bounds::BACKLOG {
        let Ok(permit) = Arc::clone(connections).try_acquire_owned() else { return };
        // The listener does not block, so its end is an error like any other; a stream starts as one that does.
        let accepted = SockRef::from(listener).accept();
        let accepted =
            accepted.and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream));
        let Ok(stream) = accepted.map(std::net::TcpStream::from) else { return };
        give(workers, Arrival { stream, permit }).await;
    }
}

/// To the worker with the fewest connections.
async fn give(workers: &[Worker], arrival: Arrival) {
    if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
        worker.give(arrival).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_pulse_is_felt_while_workers_come_by() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || runtime.block_on(ended));
        let (drain, draining) = watch::channel(false);
        let stop = Stop { drain: draining.clone(), cut: draining };
        let pulse = Pulse { workers: vec![handle.clone()], stop };
        assert!(pulse.felt().await);
        let (free, held) = sync_channel::<()>(1);
        let (hanging, hangs) = oneshot::channel();
        handle.spawn(async move {
            hanging.send(()).unwrap();
            held.recv().unwrap();
        });
        hangs.await.unwrap();
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, pulse.felt()).await.is_err(), "it hangs");
        free.send(()).unwrap();
        assert!(pulse.felt().await, "it goes on");
        end.send(()).unwrap();
        thread.join().unwrap().unwrap();
        assert!(!pulse.felt().await, "it ended by itself");
        drain.send(true).unwrap();
        assert!(pulse.felt().await, "it ended as it was told");
    }
}
