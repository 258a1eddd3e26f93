//! How many of something there were in the last while, counted from several threads without a lock.
//!
//! The window is cut into [`SLOTS`] slots of one length, and slides by one slot at a time: what is counted is
//! the running slot and those before it, so at least nine tenths of the window and at most all of it. Each slot
//! is one number that carries which stretch of time it counts, so a slot is used anew by whoever comes first
//! and nobody has to clear it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Slots of a window.
pub(super) const SLOTS: u64 = 10;
/// Bits of a slot that count; the 40 above tell the stretch of time, which lasts for thousands of years.
const COUNT_BITS: u32 = 24;
/// The most that one slot counts; it stays there.
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// A count over a sliding window.
pub(super) struct Window {
    start: Instant,
    slot_nanos: u64,
    /// `stretch << COUNT_BITS | count`; 0 counts nothing, as stretches start at 1.
    slots: [AtomicU64; SLOTS as usize],
}

impl Window {
    /// A window of a length, in which nothing is counted yet; no later call may be of a time before `start`.
    pub(super) fn new(length: Duration, start: Instant) -> Self {
        let slot_nanos = nanos(length) / SLOTS;
        Self { start, slot_nanos: slot_nanos.max(1), slots: Default::default() }
    }

    /// Counts one.
    pub(super) fn add(&self, now: Instant) {
        let stretch = self.stretch(now);
        let slot = self.slot(stretch);
        // A thread that comes late finds its slot in use for a later stretch, and what it saw is over.
        let counted = |held: u64| {
            let (held_stretch, count) = (held >> COUNT_BITS, held & COUNT_MAX);
            match held_stretch.cmp(&stretch) {
                std::cmp::Ordering::Less => Some(stretch << COUNT_BITS | 1),
                std::cmp::Ordering::Equal if count < COUNT_MAX => Some(held + 1),
                std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => None,
            }
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// What is counted now.
    pub(super) fn sum(&self, now: Instant) -> u64 {
        let stretch = self.stretch(now);
        let held = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        held.filter(|held| stretch.saturating_sub(held >> COUNT_BITS) < SLOTS)
            .map(|held| held & COUNT_MAX)
            .sum()
    }

    /// Counts from nothing again.
    pub(super) fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    fn slot(&self, stretch: u64) -> &AtomicU64 {
        let index = usize::try_from(stretch % SLOTS).unwrap_or_default();
        &self.slots[index]
    }

    /// Which stretch of time a moment belongs to, from 1 on.
    fn stretch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.start)) / self.slot_nanos + 1
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = Duration::from_nanos(self.slot_nanos);
        f.debug_struct("Window").field("slot", &slot).finish_non_exhaustive()
    }
}

/// 64 bits of nanoseconds are 584 years.
fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_slot_stays_full() {
        let start = Instant::now();
        let window = Window::new(Duration::from_secs(1), start);
        window.slots[1].store(1 << COUNT_BITS | (COUNT_MAX - 1), Ordering::Relaxed);
        (0..3).for_each(|_| window.add(start));
        assert_eq!(window.sum(start), COUNT_MAX);
    }

    #[test]
    fn a_thread_that_comes_late_does_not_count_in_another_stretch() {
        let start = Instant::now();
        let window = Window::new(Duration::from_secs(1), start);
        window.add(start + Duration::from_millis(1_050));
        window.add(start + Duration::from_millis(50));
        assert_eq!(window.sum(start + Duration::from_millis(1_050)), 1);
    }

    #[test]
    fn threads_that_count_together_lose_nothing() {
        let start = Instant::now();
        let window = Window::new(Duration::from_secs(1), start);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| window.add(start)));
            }
        });
        assert_eq!(window.sum(start), 40_000);
        window.clear();
        assert_eq!(window.sum(start), 0);
    }

    proptest! {
        /// The reference keeps every moment, and counts those of the running slot and the nine before.
        #[test]
        fn counts_are_those_of_a_list(
            length in 1u64..1_000,
            steps in proptest::collection::vec((0u64..700, any::<bool>()), 1..200),
        ) {
            let start = Instant::now();
            let slot = length * 10;
            let window = Window::new(Duration::from_millis(slot * SLOTS), start);
            let (mut now, mut seen) = (0u64, Vec::new());
            for (wait, adds) in steps {
                now += wait * length / 10;
                let moment = start + Duration::from_millis(now);
                if adds {
                    window.add(moment);
                    seen.push(now / slot);
                }
                let kept = seen.iter().filter(|stretch| **stretch + SLOTS > now / slot).count();
                prop_assert_eq!(window.sum(moment), kept as u64);
            }
        }
    }
}
