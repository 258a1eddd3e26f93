//! What one worker has counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of a histogram's buckets: from what the gateway itself takes to the deadline that routes
/// have by default.
pub(super) const BUCKETS_NANOSECONDS: [u64; 18] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// Cells of a histogram: its buckets, one for what is over all bounds, and the sum.
pub(super) const HISTOGRAM_CELLS: usize = BUCKETS_NANOSECONDS.len() + 2;

/// Cells before and behind those in use, so that no cache line is another worker's too: processors fetch
/// two lines of 64 bytes at a time.
const PADDING: usize = 16;

/// One worker's counters. Others only read them.
#[derive(Debug)]
pub(super) struct Shard(Box<[AtomicU64]>);

impl Shard {
    /// So many cells, all 0.
    pub(super) fn new(cells: usize) -> Self {
        Self((0..cells + 2 * PADDING).map(|_| AtomicU64::new(0)).collect())
    }

    /// Counts in a cell.
    #[inline]
    pub(super) fn add(&self, cell: usize, count: u64) {
        self.0[PADDING + cell].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a time in the histogram that begins at a cell.
    #[inline]
    pub(super) fn observe(&self, histogram: usize, took: Duration) {
        let nanoseconds = nanoseconds(took);
        let bucket = BUCKETS_NANOSECONDS.partition_point(|bound| *bound < nanoseconds);
        self.add(histogram + bucket, 1);
        self.add(histogram + HISTOGRAM_CELLS - 1, nanoseconds);
    }

    /// What a cell holds.
    pub(super) fn get(&self, cell: usize) -> u64 {
        self.0[PADDING + cell].load(Ordering::Relaxed)
    }
}

/// 64 bits of nanoseconds are 584 years.
fn nanoseconds(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_what_is_up_to_its_bound() {
        let shard = Shard::new(1 + HISTOGRAM_CELLS);
        for took in [0, 50_000, 50_001, 30_000_000_000, 30_000_000_001] {
            shard.observe(1, Duration::from_nanos(took));
        }
        let cells: Vec<u64> = (0..=HISTOGRAM_CELLS).map(|cell| shard.get(cell)).collect();
        let (buckets, sum) = cells.split_at(1 + BUCKETS_NANOSECONDS.len() + 1);
        let mut wanted = vec![0; buckets.len()];
        (wanted[1], wanted[2], wanted[18], wanted[19]) = (2, 1, 1, 1);
        assert_eq!((buckets, sum), (&wanted[..], &[60_000_100_002][..]));
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }
}
