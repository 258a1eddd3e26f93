//! A cap on what is in flight: calls, or connections.
//!
//! Nobody waits here. What comes past the cap is refused at once, because a queue before something that is too
//! slow only makes everybody late, and every place in it costs memory.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A cap.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    inside: AtomicUsize,
    shed: AtomicU64,
}

/// A place inside, given back when it is dropped.
///
/// It holds its gate by whatever leads to one: a reference where a call borrows it, an `Arc` where a task of
/// its own does.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place<G: Deref<Target = Gate>>(G);

impl Gate {
    /// A gate with room for `max`.
    pub fn new(max: usize) -> Self {
        Self { max, inside: AtomicUsize::new(0), shed: AtomicU64::new(0) }
    }

    /// Takes a place; `None` if there is none, which is counted.
    pub fn enter<G: Deref<Target = Self>>(gate: G) -> Option<Place<G>> {
        let room = |inside: usize| (inside < gate.max).then(|| inside + 1);
        match gate.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => Some(Place(gate)),
            Err(_) => {
                gate.shed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// The places that there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The places that are taken.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// How many were refused, since it was made.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

impl<G: Deref<Target = Gate>> Drop for Place<G> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_comes_past_the_cap_is_refused_until_somebody_leaves() {
        let gate = Gate::new(2);
        let (first, second) = (Gate::enter(&gate), Gate::enter(&gate));
        assert!(first.is_some() && second.is_some());
        assert!(Gate::enter(&gate).is_none());
        assert_eq!((gate.inside(), gate.shed()), (2, 1));
        drop(first);
        assert!(Gate::enter(&gate).is_some());
        drop(second);
        assert_eq!((gate.inside(), gate.shed()), (0, 1));
    }

    #[test]
    fn a_place_may_outlive_whoever_took_it() {
        let gate = Arc::new(Gate::new(1));
        let place = Gate::enter(Arc::clone(&gate)).unwrap();
        let task = std::thread::spawn(move || drop(place));
        task.join().unwrap();
        assert_eq!(gate.inside(), 0);
    }

    #[test]
    fn a_panic_gives_its_place_back() {
        let gate = Arc::new(Gate::new(1));
        let inside = Arc::clone(&gate);
        let task = std::thread::spawn(move || {
            let _place = Gate::enter(&*inside);
            panic!("on purpose");
        });
        assert!(task.join().is_err());
        assert!(Gate::enter(&*gate).is_some());
    }

    #[test]
    fn threads_never_get_more_places_than_there_are() {
        let (gate, most) = (Gate::new(3), AtomicUsize::new(0));
        let entered: u64 = std::thread::scope(|scope| {
            let visit = || {
                (0..20_000).filter_map(|_| Gate::enter(&gate)).map(|_place| {
                    most.fetch_max(gate.inside(), Ordering::Relaxed);
                    1
                })
            };
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(move || visit().sum::<u64>())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((gate.inside(), entered + gate.shed()), (0, 80_000));
        assert!((1..=3).contains(&most.into_inner()));
    }
}
