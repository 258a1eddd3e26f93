//! How many connections to one endpoint a worker has.
//!
//! Each worker writes to a meter of its own, and whoever wants to know adds them up: a connection costs no
//! word with another thread.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One worker's connections to one endpoint, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Meter {
    opened: AtomicU64,
    closed: AtomicU64,
    /// Those that calls have for themselves.
    idle: AtomicUsize,
    /// Those that calls share.
    resting: AtomicUsize,
}

/// The meters of all workers.
#[derive(Debug, Default)]
pub(super) struct Meters(Mutex<Vec<Arc<Meter>>>);

/// A connection, counted as open as long as this lives.
#[derive(Debug)]
pub(super) struct Open(Arc<Meter>);

/// Connections to one endpoint, of all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Opened since the start.
    pub opened: u64,
    /// Open now.
    pub open: u64,
    /// Open and without a call.
    pub idle: usize,
}

impl Meter {
    /// Counts a connection that was opened.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Notes how many connections stand idle.
    pub(super) fn note_idle(&self, count: usize) {
        self.idle.store(count, Ordering::Relaxed);
    }

    /// A connection that calls share has none any more.
    pub(super) fn rest(&self) {
        self.resting.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that rested has a call again, or is given up.
    pub(super) fn wake(&self) {
        self.resting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Meters {
    /// A meter for one more worker.
    pub(super) fn add(&self) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&meter));
        meter
    }

    /// What all of them say.
    pub(super) fn sum(&self) -> Connections {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.iter().fold(Connections::default(), |sum, meter| {
            // In this order, so that what is closed meanwhile was counted as opened.
            let closed = meter.closed.load(Ordering::Acquire);
            let opened = meter.opened.load(Ordering::Acquire);
            let resting = meter.resting.load(Ordering::Relaxed);
            Connections {
                opened: sum.opened + opened,
                open: sum.open + opened.saturating_sub(closed),
                idle: sum.idle + meter.idle.load(Ordering::Relaxed) + resting,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_all_workers_are_added_up() {
        let meters = Meters::default();
        let (one, two) = (meters.add(), meters.add());
        let (first, second, third) = (one.open(), one.open(), two.open());
        one.note_idle(2);
        two.note_idle(1);
        assert_eq!(meters.sum(), Connections { opened: 3, open: 3, idle: 3 });
        drop((first, third));
        one.note_idle(1);
        two.note_idle(0);
        assert_eq!(meters.sum(), Connections { opened: 3, open: 1, idle: 1 });
        drop(second);
        assert_eq!(meters.sum().open, 0);
    }
}
