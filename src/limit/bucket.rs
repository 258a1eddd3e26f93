//! The bucket of a rate: GCRA, in whole numbers.
//!
//! ITU-T I.371 describes the algorithm twice, by the time at which a call was expected and by the level of a bucket
//! that leaks; the decisions are the same. The level is counted here in units of which a whole number leaks in a
//! microsecond, so that nothing is rounded, and in no more of them than a double holds exactly: the script in the
//! store that a fleet shares counts in doubles, and comes to the same decisions.

use std::time::Duration;

/// The most units that a level is counted in.
const UNITS_MAX: u64 = 1 << 53;
/// Microseconds by which calls may come out of their order: each has read the clock before it had its turn at the
/// bucket. Time that was counted once does not pass again. What is earlier than that is a clock that was set back.
const SKEW_MAX: u64 = 1_000_000;

/// How much a bucket holds, and how fast it leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Units of one call.
    pub cost: u64,
    /// Units that leak in a microsecond.
    pub leak: u64,
    /// Units that it holds.
    pub capacity: u64,
}

/// The bucket of one caller. The default is an empty one, out of which everything has leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    level: u64,
    /// The time that the level is of, in microseconds.
    at: u64,
}

/// What a bucket, or a count, has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Calls that would pass now.
    pub calls: u64,
    /// Microseconds until all of it is free again.
    pub whole_after: u64,
    /// Microseconds until a call would pass; none if one would now.
    pub free_after: u64,
}

impl Pace {
    /// At most `burst + count × t / per` calls in any time `t`. Zeros count as one.
    ///
    /// Where a caller's time cannot be divided so finely, a call costs up to a microsecond more than asked for,
    /// and the bucket holds as many calls as can be counted.
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        let (count, burst) = (u64::from(count.max(1)), u64::from(burst.max(1)));
        let per = u64::try_from(per.as_micros()).unwrap_or(UNITS_MAX).clamp(1, UNITS_MAX / 2);
        let shared = greatest_common_divisor(per, count);
        let (mut cost, mut leak) = (per / shared, count / shared);
        if cost.checked_mul(burst + 1).is_none_or(|units| units > UNITS_MAX) {
            (cost, leak) = (per.div_ceil(count), 1);
        }
        let burst = burst.min((UNITS_MAX / cost).saturating_sub(1).max(1));
        Self { cost, leak, capacity: cost * burst }
    }

    /// The share of one among several: so much slower, and so much smaller, but one call at least.
    #[must_use]
    pub fn share(&self, of: u32) -> Self {
        let of = u64::from(of.max(1));
        let calls = (self.calls() / of).max(1);
        match self.cost.checked_mul(of).and_then(|cost| Some((cost, cost.checked_mul(calls + 1)?)))
        {
            Some((cost, units)) if units <= UNITS_MAX => {
                Self { cost, leak: self.leak, capacity: cost * calls }
            }
            // What cannot be counted so finely is counted in whole microseconds.
            _ => {
                let cost = self.cost.div_ceil(self.leak).saturating_mul(of).min(UNITS_MAX / 2);
                Self { cost, leak: 1, capacity: cost * calls.min(UNITS_MAX / cost - 1).max(1) }
            }
        }
    }

    /// Calls that it holds.
    pub fn calls(&self) -> u64 {
        self.capacity / self.cost
    }

    /// Microseconds in which a full bucket leaks out.
    pub fn whole_after(&self) -> u64 {
        self.capacity.div_ceil(self.leak)
    }
}

fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

impl Bucket {
    /// What is in it now. A clock that went back has let nothing leak.
    fn level(&self, pace: &Pace, now: u64) -> u64 {
        let passed = now.saturating_sub(self.at);
        self.level.saturating_sub(passed.saturating_mul(pace.leak))
    }

    /// What it has room for.
    pub fn room(&self, pace: &Pace, now: u64) -> Room {
        let level = self.level(pace, now);
        let free = pace.capacity.saturating_sub(level);
        Room {
            calls: free / pace.cost,
            whole_after: level.div_ceil(pace.leak),
            free_after: self.free_after(pace, now, 1),
        }
    }

    /// True if there is room for a call: [`Bucket::room`] says so too, but by divisions.
    pub fn admits(&self, pace: &Pace, now: u64) -> bool {
        pace.capacity.saturating_sub(self.level(pace, now)) >= pace.cost
    }

    /// Microseconds until the last of so many calls would pass, each as early as it can; none if all would now.
    pub fn free_after(&self, pace: &Pace, now: u64, calls: u64) -> u64 {
        let units = calls.saturating_mul(pace.cost).saturating_add(self.level(pace, now));
        units.saturating_sub(pace.capacity).div_ceil(pace.leak)
    }

    /// Puts a call in, for which there must be room. A clock that was set back counts from there.
    pub fn take(&mut self, pace: &Pace, now: u64) {
        let is_late = self.at.saturating_sub(now) <= SKEW_MAX;
        let at = if is_late { self.at.max(now) } else { now };
        *self = Self { level: self.level(pace, now) + pace.cost, at };
    }

    /// True if it holds nothing, so that it may be forgotten.
    pub fn is_empty(&self, pace: &Pace, now: u64) -> bool {
        self.level(pace, now) == 0
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use governor::{Quota, RateLimiter};
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);

    fn admits(bucket: &mut Bucket, pace: &Pace, now: u64) -> bool {
        let admitted = bucket.admits(pace, now);
        assert_eq!(admitted, bucket.room(pace, now).free_after == 0);
        if admitted {
            bucket.take(pace, now);
        }
        admitted
    }

    #[test]
    fn a_full_bucket_passes_its_burst_and_then_the_rate() {
        let (pace, mut bucket) = (Pace::new(25, SECOND, 25), Bucket::default());
        for left in (0..25).rev() {
            assert!(admits(&mut bucket, &pace, 1_000));
            let room = bucket.room(&pace, 1_000);
            assert_eq!((room.calls, room.whole_after), (left, (25 - left) * 40_000));
        }
        let room = bucket.room(&pace, 1_000);
        assert_eq!(room, Room { calls: 0, whole_after: 1_000_000, free_after: 40_000 });
        assert_eq!(bucket.room(&pace, 40_999).free_after, 1);
        assert!(admits(&mut bucket, &pace, 41_000));
        assert!(!admits(&mut bucket, &pace, 41_000));
    }

    /// A third of a second is no whole number of microseconds, and 700,000 a second none of them.
    #[test]
    fn nothing_is_rounded() {
        for (count, calls) in [(3, 300u32), (7, 700), (700_000, 1_000_000)] {
            let (pace, mut bucket) = (Pace::new(count, SECOND, 1), Bucket::default());
            let mut now = 0;
            for _ in 0..calls {
                assert!(admits(&mut bucket, &pace, now), "{count} a second at {now}");
                now += bucket.room(&pace, now).free_after;
            }
            let ideal = u64::from(calls) * 1_000_000 / u64::from(count);
            assert!(now >= ideal && now <= ideal + u64::from(calls), "{count}: {now} for {ideal}");
        }
        let (pace, mut bucket) = (Pace::new(3, SECOND, 1), Bucket::default());
        let passed = (0..3_000_000).filter(|now| admits(&mut bucket, &pace, *now)).count();
        assert_eq!(passed, 9, "three in each of three seconds");
    }

    #[test]
    fn a_clock_that_jumps_forgives_no_more_than_it_passed_and_locks_nobody_out() {
        let (pace, mut bucket) = (Pace::new(1, SECOND, 2), Bucket::default());
        let hour = 3_600_000_000;
        assert!(admits(&mut bucket, &pace, 2 * hour));
        assert!(admits(&mut bucket, &pace, hour), "there is room for another one");
        assert!(!admits(&mut bucket, &pace, hour), "and the jump has emptied nothing");
        assert!(!admits(&mut bucket, &pace, hour + 999_999));
        assert!(admits(&mut bucket, &pace, hour + 1_000_000), "a second later, by the new time");
        assert_eq!(bucket.room(&pace, u64::MAX).calls, 2, "and however far it goes on");
    }

    /// Threads that had to wait for their turn: every other call comes with a time that is 30 ms old.
    #[test]
    fn no_time_passes_twice_where_calls_come_out_of_their_order() {
        let (pace, mut bucket) = (Pace::new(200, SECOND, 200), Bucket::default());
        let admitted = (0..40_000_u64).filter(|call| {
            let now = 1_000_000 + call * 250;
            admits(&mut bucket, &pace, now - (call % 2) * 30_000)
        });
        let admitted = admitted.count();
        assert!((2_190..=2_200).contains(&admitted), "{admitted} in ten seconds");
    }

    #[test]
    fn what_cannot_be_counted_exactly_is_counted_too_dear() {
        let most = Pace::new(999_983, DAY, 1_000_000);
        assert!(most.capacity <= UNITS_MAX && most.calls() == 1_000_000, "{most:?}");
        let micros = most.cost.div_ceil(most.leak);
        assert!(micros * 999_983 >= 86_400_000_000, "never faster than asked for");
        assert!((micros - 1) * 999_983 < 86_400_000_000, "by a microsecond at most");
        for (count, per, burst) in [(0, Duration::ZERO, 0), (u32::MAX, Duration::MAX, u32::MAX)] {
            let pace = Pace::new(count, per, burst);
            let mut bucket = Bucket::default();
            assert!(admits(&mut bucket, &pace, 0), "{pace:?}");
            assert!(pace.capacity <= UNITS_MAX && pace.whole_after() > 0);
        }
    }

    #[test]
    fn shares_come_to_no_more_than_the_whole() {
        for (count, burst) in [(25, 25), (3, 3), (1_000_000, 1_000_000), (999_983, 999_983)] {
            for of in [1, 2, 3, 7, 1_000] {
                let (whole, share) =
                    (Pace::new(count, SECOND, burst), Pace::new(count, SECOND, burst).share(of));
                let rate = |pace: &Pace| pace.leak as f64 / pace.cost as f64;
                assert!(rate(&share) * f64::from(of) <= rate(&whole) * 1.000_001, "{count} / {of}");
                assert!(rate(&share) * f64::from(of) >= rate(&whole) * 0.999, "{count} / {of}");
                assert_eq!(share.calls(), (u64::from(burst) / u64::from(of)).max(1));
            }
        }
    }

    proptest! {
        /// governor is the reference. It counts in nanoseconds, so that only periods of whole microseconds come to
        /// the same there.
        #[test]
        fn decisions_are_those_of_governor(
            count in prop::sample::select(vec![1u32, 2, 5, 25, 100, 1_000, 40_000]),
            burst in 1u32..40,
            waits in prop::collection::vec((0u64..3, 0u64..120_000), 1..400),
        ) {
            let clock = FakeRelativeClock::default();
            let quota = Quota::with_period(SECOND / count).unwrap();
            let quota = quota.allow_burst(burst.try_into().unwrap());
            let reference = RateLimiter::direct_with_clock(quota, clock.clone());
            let (pace, mut bucket, mut now) = (Pace::new(count, SECOND, burst), Bucket::default(), 0);
            for (often, wait) in waits {
                let wait = if often == 0 { wait } else { wait % (2_000_000 / u64::from(count)) };
                clock.advance(Duration::from_micros(wait));
                now += wait;
                let admitted = reference.check().is_ok();
                prop_assert_eq!(admits(&mut bucket, &pace, now), admitted, "at {} µs", now);
            }
        }

        /// However a client times its calls: no more than the rate and the burst allow in any time, and whoever
        /// waits as long as it was told passes.
        #[test]
        fn never_more_than_the_burst_and_the_rate_and_never_later_than_told(
            count in 1u32..1_000_000,
            per in prop::sample::select(vec![1u64, 60, 3_600, 86_400]),
            burst in 1u32..50,
            waits in prop::collection::vec((any::<bool>(), 0u64..2_000_000), 1..200),
        ) {
            let pace = Pace::new(count, Duration::from_secs(per), burst);
            let (mut bucket, mut now, mut admitted) = (Bucket::default(), 0, Vec::new());
            for (obeys, wait) in waits {
                let told = bucket.room(&pace, now).free_after;
                if obeys && told > 0 {
                    prop_assert!(!admits(&mut bucket, &pace, now + told - 1));
                    now += told;
                    prop_assert!(bucket.room(&pace, now).free_after == 0);
                } else {
                    now += wait;
                }
                if admits(&mut bucket, &pace, now) {
                    admitted.push(now);
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (index, end) in admitted.iter().enumerate().skip(first) {
                    let most = u128::from(burst)
                        + u128::from(end - start) * u128::from(count) / (u128::from(per) * 1_000_000);
                    prop_assert!((index - first + 1) as u128 <= most);
                }
            }
        }
    }
}
