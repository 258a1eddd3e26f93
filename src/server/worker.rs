//! A thread that serves connections, with a runtime, timers and upstream connections of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::bounds;
use crate::call::Services;
use crate::server::rim::{Left, Running};
use crate::server::{Settings, Stop, connection};
use crate::tls;

/// Connections that a worker may be behind with; then the next ones wait to be accepted.
const ARRIVALS_MAX: usize = 256;

/// A connection that was accepted, and its place among those that may be open.
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The handle of a worker.
#[derive(Debug)]
pub(super) struct Worker {
    arrivals: mpsc::Sender<Arrival>,
    connections: Arc<AtomicUsize>,
    runtime: Handle,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// What the connections of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) services: Services,
    /// What connections are secured with.
    pub(super) tls: Option<tls::Server>,
    /// True if HTTP/2 is spoken.
    pub(super) http2: bool,
    /// True once answers have to be the last on their connection.
    pub(super) stopping: AtomicBool,
    /// Tells connections that wait for a request.
    pub(super) stop: watch::Sender<bool>,
    /// Where calls go that have to be seen through without their connection.
    pub(super) left: Left,
    /// Connections that were given to this worker and are still open.
    connections: Arc<AtomicUsize>,
}

impl Worker {
    /// Starts a worker.
    pub(super) fn start(
        index: usize,
        services: Services,
        stop: Stop,
        settings: &Settings,
    ) -> io::Result<Self> {
        let drain = settings.drain;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (arrivals, arriving) = mpsc::channel(ARRIVALS_MAX);
        let (over, ended) = oneshot::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (left, leaving) = Left::channel();
        let shared = Arc::new(Shared {
            services,
            tls: settings.tls.clone(),
            http2: settings.http2,
            stopping: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            left,
            connections: Arc::clone(&connections),
        });
        let thread =
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                runtime.block_on(serve(shared, arriving, leaving, stop, drain));
                // Whoever waits has gone if nobody hears it.
                let _ = over.send(());
                // A name that is still being looked up holds nobody up.
                runtime.shutdown_background();
            })?;
        Ok(Self { arrivals, connections, runtime: handle, ended, thread })
    }

    /// Connections that it has.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Where it does its work.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Hands it a connection.
    pub(super) async fn give(&self, arrival: Arrival) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        // A worker that is not there any more has ended because of a stop; the client sees a reset.
        let _ = self.arrivals.send(arrival).await;
    }

    /// Waits until it has ended, which it does once it has been told to stop.
    pub(super) async fn end(self) {
        drop(self.arrivals);
        // An error is the end as well.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!(target: "latimer::server", "a worker panicked: this is a defect, please report it");
        }
    }
}

/// Takes connections until told to stop, then lets their calls finish.
async fn serve(
    shared: Arc<Shared>,
    mut arrivals: mpsc::Receiver<Arrival>,
    mut leaving: mpsc::Receiver<Running>,
    mut stop: Stop,
    drain: Duration,
) {
    let mut connections = JoinSet::new();
    let mut sweeps = tokio::time::interval(bounds::SWEEP_INTERVAL);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            arrived = arrivals.recv() => match arrived {
                Some(arrival) => take(&shared, arrival, &mut connections),
                None => break,
            },
            Some(running) = leaving.recv() => see_through(running, &mut connections),
            _ = connections.join_next(), if !connections.is_empty() => {}
            _ = sweeps.tick() => shared.services.sweep_upstreams(),
            _ = stop.drain.changed() => break,
        }
    }
    let deadline = Instant::now() + drain;
    shared.stopping.store(true, Ordering::Relaxed);
    // Nobody waits for a request if nobody hears it.
    let _ = shared.stop.send(true);
    // What was accepted before the stop has a right to its answer.
    let all = async {
        let mut arriving = true;
        // Whoever gives up a call has handed it on before he ends.
        while arriving || !connections.is_empty() || !leaving.is_empty() {
            tokio::select! {
                arrived = arrivals.recv(), if arriving => match arrived {
                    Some(arrival) => take(&shared, arrival, &mut connections),
                    None => arriving = false,
                },
                Some(running) = leaving.recv() => see_through(running, &mut connections),
                _ = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout_at(deadline, all) => ended.map_err(|_| "the time to drain ended"),
        Ok(_) = stop.cut.wait_for(|cut| *cut) => Err("told to stop at once"),
    };
    if let Err(why) = ended {
        // Each call that is cut off says so itself.
        let connections = connections.len();
        tracing::warn!(target: "latimer::server", connections, "what is still open is cut off: {why}");
    }
}

/// Lets a call go on whose connection is gone.
fn see_through(running: Running, connections: &mut JoinSet<()>) {
    connections.spawn(async move {
        // Nobody is there to be answered, and the call itself tells what became of it.
        let _ = running.await;
    });
}

fn take(shared: &Arc<Shared>, arrival: Arrival, connections: &mut JoinSet<()>) {
    let open = Open { shared: Arc::clone(shared), _permit: arrival.permit };
    let metered = shared.services.tally.connection();
    connections.spawn(async move {
        connection::serve(arrival.stream, &open.shared).await;
        drop(metered);
    });
}

/// A connection's place, given back however it ends.
struct Open {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
