//! The thread that writes: everything that waits goes into one transaction.

use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::connection::SqliteConnection;
use super::file::Lock;
use super::{Message, Task};
use crate::bounds;
use crate::store::error::{Fault, Reason};

/// The connection that changes the file.
pub(super) struct Writer {
    connection: SqliteConnection,
    /// Goes after the connection: the next gateway opens a file that nobody uses.
    lock: Option<Lock>,
}

/// Why a group was not committed.
enum Failed {
    /// One of several took the whole transaction with it: each is worth a try of its own.
    Together(Fault),
    /// It would not be otherwise for one alone.
    All(Fault),
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection, lock: Option<Lock>) -> Self {
        Self { connection, lock }
    }

    /// Works until nobody has a handle or it is told to close.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        let mut closing = None;
        while closing.is_none() {
            let Ok(first) = queue.recv() else { break };
            let mut group: Vec<Box<dyn Task>> = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Run(task) => group.push(task),
                    Message::Close(done) => closing = Some(done),
                }
                if closing.is_none() && group.len() < bounds::STATE_GROUP_MAX {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(group);
        }
        self.end(closing);
    }

    fn end(self, closing: Option<oneshot::Sender<()>>) {
        let Self { connection, lock } = self;
        drop(connection);
        drop(lock);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// Runs all of a group and answers.
    fn commit(&mut self, mut group: Vec<Box<dyn Task>>) {
        if group.is_empty() {
            return;
        }
        match self.attempt(&mut group) {
            Ok(()) => group.into_iter().for_each(|task| task.finish(Ok(()))),
            Err(Failed::Together(_)) if group.len() > 1 => {
                for mut task in group {
                    let alone = self.attempt(std::slice::from_mut(&mut task));
                    task.finish(
                        alone.map_err(|(Failed::Together(fault) | Failed::All(fault))| fault),
                    );
                }
            }
            Err(Failed::Together(fault) | Failed::All(fault)) => {
                group.into_iter().for_each(|task| task.finish(Err(fault.clone())));
            }
        }
    }

    /// One transaction with all of them, each in a savepoint.
    fn attempt(&mut self, tasks: &mut [Box<dyn Task>]) -> Result<(), Failed> {
        // At once with the lock of a writer: a later step could find it taken, and nobody could wait then.
        self.connection.batch("BEGIN IMMEDIATE").map_err(Failed::All)?;
        for task in tasks {
            if let Err(fault) = self.in_savepoint(task.as_mut()) {
                self.roll_back();
                return Err(Failed::Together(fault));
            }
        }
        if let Err(fault) = self.connection.batch("COMMIT") {
            self.roll_back();
            return Err(match fault.reason {
                // The log may have got it before the disk failed, and may be read again.
                Reason::Unavailable => Failed::All(fault.with(Reason::OutcomeUnknown)),
                _ => Failed::Together(fault),
            });
        }
        Ok(())
    }

    /// Runs one; an error if the transaction went with it.
    fn in_savepoint(&mut self, task: &mut dyn Task) -> Result<(), Fault> {
        self.connection.batch("SAVEPOINT one")?;
        let well = task.run(&mut self.connection);
        if self.connection.0.is_autocommit() {
            // SQLite takes all of it back when a disk is full or fails.
            return Err(Fault::new(Reason::Unexpected));
        }
        let end = if well { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
        self.connection.batch(end)
    }

    fn roll_back(&mut self) {
        if !self.connection.0.is_autocommit() {
            // What fails here is rolled back when the file is opened next.
            let _ = self.connection.batch("ROLLBACK");
        }
    }
}
