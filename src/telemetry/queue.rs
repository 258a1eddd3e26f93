//! Log lines on their way out.
//!
//! Whoever reads a log may stop reading, and a pipe that is full stops whoever writes to it. So a thread of
//! its own writes, and calls only leave their lines with it. What has no room is given up and counted: a
//! call is worth more than a line about it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::bounds;

/// Time after a write in which lines gather for the next one: a busy log wakes its thread a hundred times a
/// second, not once a line.
const GATHER: Duration = Duration::from_millis(10);
/// What is kept of a buffer that a burst has made large.
const KEPT_BYTES: usize = 64 * 1024;

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    filled: Condvar,
    /// Everything is written.
    done: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread sleeps until it is told.
    asleep: bool,
    ended: bool,
    done: bool,
}

/// A writer that leaves lines with a queue. Each write is one line.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Arc<Queue>);

impl Queue {
    /// A queue whose thread writes to `sink`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let writing = Arc::clone(&queue);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_to(sink))?;
        Ok(queue)
    }

    /// Leaves a line; it is given up if there is no room for it.
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > bounds::LOG_BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.filled.notify_one();
        }
    }

    /// Lines that were given up.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, but not for longer than that; false if it is not. What comes after
    /// this is not written.
    pub(super) fn end(&self, patience: Duration) -> bool {
        let mut state = self.state();
        state.ended = true;
        self.filled.notify_one();
        let waited = self.done.wait_timeout_while(state, patience, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            state.asleep = true;
            let nothing = |state: &mut State| state.waiting.is_empty() && !state.ended;
            let waited = self.filled.wait_while(state, nothing);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
            if state.waiting.is_empty() {
                state.done = true;
                self.done.notify_all();
                return;
            }
            std::mem::swap(&mut state.waiting, &mut lines);
            drop(state);
            // There is nowhere to tell that the log cannot be written.
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            let gathering = |state: &mut State| !state.ended;
            drop(self.filled.wait_timeout_while(self.state(), GATHER, gathering));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Hands on what is written to it, and waits until somebody takes it.
    struct Sink(SyncSender<Vec<u8>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody reads any more at the end of a test.
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (Arc<Queue>, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        (Queue::start(Sink(sender)).unwrap(), receiver)
    }

    fn take(receiver: &Receiver<Vec<u8>>, bytes: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < bytes {
            taken.extend(receiver.recv_timeout(PATIENCE).unwrap());
        }
        taken
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (queue, receiver) = queue();
        let lines: Vec<String> = (0..2_000).map(|number| format!("line {number}\n")).collect();
        let whole = lines.concat();
        let taking = std::thread::spawn(move || take(&receiver, whole.len()) == whole.as_bytes());
        for line in &lines {
            Lines(Arc::clone(&queue)).write_all(line.as_bytes()).unwrap();
        }
        assert!(queue.end(PATIENCE), "all is written at the end");
        assert!(taking.join().unwrap());
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn who_does_not_read_stops_nobody() {
        let (queue, receiver) = queue();
        let line = [b'x'; 1024];
        let most = bounds::LOG_BYTES_MAX / line.len();
        // One buffer may be in the writer's hands already.
        let pushed = 3 * most;
        (0..pushed).for_each(|_| queue.push(&line));
        let dropped = queue.dropped() as usize;
        assert!((pushed - 2 * most..=pushed - most).contains(&dropped), "{dropped} of {pushed}");
        assert!(!queue.end(Duration::from_millis(20)), "it does not wait for ever");
        // Whoever reads again gets what was kept.
        assert_eq!(take(&receiver, (pushed - dropped) * line.len()).len() % line.len(), 0);
        assert!(queue.end(PATIENCE));
    }
}
