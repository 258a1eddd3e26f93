//! The store in one SQLite file, or in memory.
//!
//! ```text
//! handles ──▶ bounded queue ──▶ writer: takes what waits, one transaction for all of it, then answers
//!         └─▶ bounded queue ──▶ reader: a connection of its own, one after the other
//! ```
//!
//! Writing to a disk waits for the disk, so changes that wait together are committed together; nobody is told
//! that a change was made before the commit. Each change has its savepoint: one that fails is undone alone.
//! A store in memory has the writer only.

mod connection;
mod file;
mod writer;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::connection::{Access, Operation};
use super::error::{Fault, Reason};
use crate::bounds;

use connection::{SqliteConnection, now};
use writer::Writer;

/// The threads of one file. Cheap to clone; they end when nobody has one any more, or it is closed.
#[derive(Clone)]
pub(super) struct Sqlite {
    writes: SyncSender<Message>,
    /// None in memory, where the writer reads too.
    reads: Option<SyncSender<Message>>,
}

/// What a thread is told.
enum Message {
    Run(Box<dyn Task>),
    /// To do what waits before, to end, and to say so.
    Close(oneshot::Sender<()>),
}

/// An operation whose caller waits.
trait Task: Send {
    /// Runs it; true if it went well.
    fn run(&mut self, connection: &mut SqliteConnection) -> bool;

    /// Answers: as it ran, if what it ran in was committed.
    fn finish(self: Box<Self>, committed: Result<(), Fault>);
}

struct Waiting<O: Operation> {
    operation: O,
    answer: Option<Result<O::Answer, Fault>>,
    caller: oneshot::Sender<Result<O::Answer, Fault>>,
}

impl<O: Operation> Task for Waiting<O> {
    fn run(&mut self, connection: &mut SqliteConnection) -> bool {
        let answer = now(self.operation.run(connection));
        self.answer.insert(answer).is_ok()
    }

    fn finish(self: Box<Self>, committed: Result<(), Fault>) {
        let answer = match (self.answer, committed) {
            (Some(Err(own)), _) => Err(own),
            (Some(Ok(answer)), Ok(())) => Ok(answer),
            (Some(Ok(_)) | None, Err(fault)) => Err(fault),
            (None, Ok(())) => Err(Fault::new(Reason::Unexpected)),
        };
        // Who went away does not want to know.
        let _ = self.caller.send(answer);
    }
}

impl Sqlite {
    /// Opens a file, or makes it. Waits for another gateway to let go of it, for `lock_wait` at most.
    pub(super) fn open(path: &Path, lock_wait: Duration) -> Result<Self, Fault> {
        let opened = file::open(path, lock_wait)?;
        let (reads, waiting) = sync_channel(bounds::STATE_QUEUE_MAX);
        let reader = opened.reader;
        spawn("state-read", move || read(reader, &waiting))?;
        let writer = Writer::new(opened.writer, Some(opened.lock));
        Self::start(writer, Some(reads))
    }

    /// Opens a file for looking only, beside a gateway that may have it.
    pub(super) fn open_reading(path: &Path) -> Result<Self, Fault> {
        match Self::open_beside(path, false)? {
            Some(beside) => Ok(beside),
            None => Self::open(path, Duration::ZERO),
        }
    }

    /// Opens a file beside the gateway that has it; none if its form is not today's.
    pub(super) fn open_beside(path: &Path, changes: bool) -> Result<Option<Self>, Fault> {
        let Some([reader, writer]) = file::open_beside(path, changes)? else { return Ok(None) };
        let (reads, waiting) = sync_channel(bounds::STATE_QUEUE_MAX);
        spawn("state-read", move || read(reader, &waiting))?;
        Self::start(Writer::new(writer, None), Some(reads)).map(Some)
    }

    /// One on the disk that nobody else finds, and that goes with its handles.
    pub(super) fn temporary() -> Result<Self, Fault> {
        Self::start(Writer::new(file::temporary()?, None), None)
    }

    /// One that lives as long as its handles.
    pub(super) fn in_memory() -> Result<Self, Fault> {
        Self::start(Writer::new(file::in_memory()?, None), None)
    }

    fn start(writer: Writer, reads: Option<SyncSender<Message>>) -> Result<Self, Fault> {
        let (writes, waiting) = sync_channel(bounds::STATE_QUEUE_MAX);
        spawn("state-write", move || writer.run(&waiting))?;
        Ok(Self { writes, reads })
    }

    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Answer, Fault> {
        let (caller, answer) = oneshot::channel();
        let task = Box::new(Waiting { operation, answer: None, caller });
        let queue = match (O::ACCESS, &self.reads) {
            (Access::Read, Some(reads)) => reads,
            (Access::Read, None) | (Access::Statement | Access::Transaction, _) => &self.writes,
        };
        queue.try_send(Message::Run(task)).map_err(|error| match error {
            TrySendError::Full(_) => Fault::new(Reason::Overloaded),
            TrySendError::Disconnected(_) => Fault::new(Reason::Closed),
        })?;
        // A thread that ends drops what still waits: nothing of that was begun.
        answer.await.unwrap_or_else(|_| Err(Fault::new(Reason::Closed)))
    }

    /// Does what waits, and closes the file; the reader first, so that the writer is the last one and leaves
    /// no log beside the file.
    pub(super) async fn close(&self) {
        for queue in self.reads.iter().chain([&self.writes]) {
            let (done, closed) = oneshot::channel();
            let mut message = Message::Close(done);
            // The queue may be full for as long as the thread has not caught up.
            while let Err(TrySendError::Full(back)) = queue.try_send(message) {
                message = back;
                tokio::task::yield_now().await;
            }
            let _ = closed.await;
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| Fault::caused(Reason::Unexpected, error))
}

/// The reader's thread.
fn read(mut connection: SqliteConnection, queue: &Receiver<Message>) {
    while let Ok(message) = queue.recv() {
        match message {
            Message::Run(mut task) => {
                task.run(&mut connection);
                task.finish(Ok(()));
            }
            Message::Close(done) => {
                drop(connection);
                let _ = done.send(());
                return;
            }
        }
    }
}
