//! The store in a PostgreSQL database, which several gateways share.
//!
//! ```text
//! handles ──▶ bounded queue ──▶ one thread with a runtime of its own: lanes, each with one connection
//! ```
//!
//! The thread is there because a connection belongs to one runtime, and every worker of the gateway has its
//! own. A lane does one thing after the other; it connects when it has something to do and no connection,
//! and not again before its back-off is over: until then it says at once that the server is not there.

mod connect;
mod connection;
mod lane;
mod migrate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::LocalSet;

use super::connection::Operation;
use super::error::{Fault, Reason};
use crate::bounds;
use crate::config::PostgresConfig;

use connect::Server;
use lane::Lane;

/// The thread of one database. Cheap to clone; it ends when nobody has one any more, or it is closed.
#[derive(Clone)]
pub(super) struct Postgres {
    queue: mpsc::Sender<Message>,
}

/// What the lanes are told.
enum Message {
    Run(Box<dyn Task>),
    /// To do what waits before, and to end. Dropped, and so heard, when all of them have ended.
    Close(oneshot::Sender<()>),
}

/// What all lanes take their work from.
type Queue = Arc<Mutex<mpsc::Receiver<Message>>>;

/// An operation whose caller waits.
trait Task: Send {
    fn run<'a>(self: Box<Self>, lane: &'a mut Lane) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}

struct Waiting<O: Operation> {
    operation: O,
    /// When its time is over, waiting included.
    deadline: Instant,
    caller: oneshot::Sender<Result<O::Answer, Fault>>,
}

impl<O: Operation> Task for Waiting<O> {
    fn run<'a>(self: Box<Self>, lane: &'a mut Lane) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            let answer = lane.carry(&self.operation, self.deadline.into()).await;
            // Who went away does not want to know.
            let _ = self.caller.send(answer);
        })
    }
}

impl Postgres {
    /// Connects, brings the form of the tables up to date, and starts the lanes. Blocks until that is done or
    /// cannot be.
    pub(super) fn open(config: &PostgresConfig) -> Result<Self, Fault> {
        let server = Arc::new(Server::new(config)?);
        let (queue, waiting) = mpsc::channel(bounds::STATE_QUEUE_MAX);
        let (opened, open) = sync_channel(1);
        std::thread::Builder::new()
            .name("state-postgres".to_owned())
            .spawn(move || serve(&server, waiting, &opened))
            .map_err(|error| Fault::caused(Reason::Unexpected, error))?;
        // The thread has deadlines for all that it does before it says so.
        open.recv().unwrap_or_else(|_| Err(Fault::new(Reason::Unexpected)))?;
        Ok(Self { queue })
    }

    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Answer, Fault> {
        let (caller, answer) = oneshot::channel();
        let deadline = Instant::now() + bounds::STATE_TIMEOUT;
        let task = Box::new(Waiting { operation, deadline, caller });
        self.queue.try_send(Message::Run(task)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Fault::new(Reason::Overloaded),
            mpsc::error::TrySendError::Closed(_) => Fault::new(Reason::Closed),
        })?;
        // A thread that ends drops what still waits: nothing of that was begun.
        answer.await.unwrap_or_else(|_| Err(Fault::new(Reason::Closed)))
    }

    /// Does what waits, and closes the connections.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error says that it was dropped, which is what is waited for.
            let _ = closed.await;
        }
    }
}

/// The thread.
fn serve(
    server: &Arc<Server>,
    waiting: mpsc::Receiver<Message>,
    opened: &SyncSender<Result<(), Fault>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = opened.send(Err(Fault::caused(Reason::Unexpected, error)));
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let first = match migrate::connect(server).await {
            Ok(connection) => connection,
            Err(fault) => {
                let _ = opened.send(Err(fault));
                return;
            }
        };
        let queue = Arc::new(Mutex::new(waiting));
        let mut lanes = vec![Lane::new(server, Some(first))];
        lanes.resize_with(bounds::STATE_CONNECTIONS, || Lane::new(server, None));
        let lanes: Vec<_> = lanes
            .into_iter()
            .map(|lane| tokio::task::spawn_local(work(lane, Arc::clone(&queue))))
            .collect();
        let _ = opened.send(Ok(()));
        let mut closing = Vec::new();
        for lane in lanes {
            closing.extend(lane.await.ok().flatten());
        }
        drop(closing);
    });
}

/// One lane, until nobody has a handle or it is told to close; gives back who waits for that.
async fn work(mut lane: Lane, queue: Queue) -> Option<oneshot::Sender<()>> {
    let mut closing = None;
    loop {
        let message = {
            let mut queue = queue.lock().await;
            let message = queue.recv().await;
            if let Some(Message::Close(_)) = &message {
                queue.close();
            }
            message
        };
        match message {
            Some(Message::Run(task)) => task.run(&mut lane).await,
            Some(Message::Close(done)) => closing = Some(done),
            None => return closing,
        }
    }
}
