//! The limit per route and consumer, by GCRA (governor).
//!
//! At most `burst + rate × t` calls pass in any time `t`. What a call may learn of its limit is in the
//! [`Decision`]; how a vendor tells its client is the mapping's business.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::bounds;

/// A limiter with one bucket per key.
#[derive(Debug)]
pub struct Limiter<C: Clock = DefaultClock, K: Hash + Eq + Clone = u32> {
    buckets: RateLimiter<K, DashMapStateStore<K>, C, StateInformationMiddleware>,
    clock: C,
    burst: u32,
    /// Time in which one cell comes back.
    period: Duration,
}

/// What the limiter says to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass.
    Admitted {
        /// Cells that are left.
        remaining: u32,
        /// Time until the bucket is full again.
        reset_after: Duration,
    },
    /// It may not.
    Refused {
        /// Time until a call would pass.
        retry_after: Duration,
        /// Time until the bucket is full again.
        reset_after: Duration,
    },
}

impl<K: Hash + Eq + Clone> Limiter<DefaultClock, K> {
    /// A limiter of `count` calls per `per`, with a bucket of `burst` calls. Zeros count as one.
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        Self::with_clock(count, per, burst, DefaultClock::default())
    }
}

impl<C: Clock + Clone, K: Hash + Eq + Clone> Limiter<C, K> {
    /// The same with a clock of its own.
    ///
    /// A bucket that would not be full again within [`bounds::LIMIT_FILL_MAX`] is cut to that: governor
    /// multiplies without a check, and a product that wraps is a limit nobody asked for. The
    /// configuration refuses such a bucket, so this is the second lock on the door.
    pub fn with_clock(count: u32, per: Duration, burst: u32, clock: C) -> Self {
        let period = period(count, per);
        let most = bounds::LIMIT_FILL_MAX.as_nanos() / period.as_nanos();
        let burst = burst.min(u32::try_from(most).unwrap_or(u32::MAX));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period)
            .expect("a period of at least one nanosecond is not zero")
            .allow_burst(burst);
        let store = DashMapStateStore::default();
        let buckets = RateLimiter::new(quota, store, clock.clone());
        Self { buckets, clock, burst: burst.get(), period }
    }

    /// Charges one call to a key.
    pub fn check(&self, key: K) -> Decision {
        match self.buckets.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let spent = self.burst.saturating_sub(remaining);
                let reset_after = self.period.saturating_mul(spent);
                Decision::Admitted { remaining, reset_after }
            }
            Err(until) => {
                let retry_after = until.wait_time_from(self.clock.now());
                // The cell that is waited for is the first of them to come back.
                let reset_after = retry_after + self.period * (self.burst - 1);
                Decision::Refused { retry_after, reset_after }
            }
        }
    }

    /// Keys whose state is held.
    pub fn keys(&self) -> usize {
        self.buckets.len()
    }

    /// Forgets keys whose buckets are full again, and gives their memory back.
    pub fn sweep(&self) {
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
    }
}

/// The time in which one cell comes back, rounded up: rounded down, the rate would be higher than what
/// was asked for. From one nanosecond to [`bounds::LIMIT_FILL_MAX`].
fn period(count: u32, per: Duration) -> Duration {
    let nanos = per.as_nanos().div_ceil(u128::from(count.max(1))).max(1);
    u64::try_from(nanos)
        .map_or(bounds::LIMIT_FILL_MAX, Duration::from_nanos)
        .min(bounds::LIMIT_FILL_MAX)
}

impl Decision {
    /// Whole seconds to wait, rounded up and at least 1; `None` if the call may pass.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Admitted { .. } => None,
            Self::Refused { retry_after, .. } => {
                let started = u64::from(retry_after.subsec_nanos() > 0);
                Some((retry_after.as_secs() + started).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn limiter(count: u32, burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        limiter_per(count, Duration::from_secs(1), burst)
    }

    fn limiter_per(
        count: u32,
        per: Duration,
        burst: u32,
    ) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::with_clock(count, per, burst, clock.clone()), clock)
    }

    fn admits(limiter: &Limiter<FakeRelativeClock>) -> bool {
        matches!(limiter.check(1), Decision::Admitted { .. })
    }

    #[test]
    fn a_full_bucket_passes_its_burst_and_then_the_rate() {
        let (limiter, clock) = limiter(25, 25);
        for left in (0..25).rev() {
            let Decision::Admitted { remaining, reset_after } = limiter.check(7) else {
                panic!("refused with {left} left");
            };
            assert_eq!(remaining, left);
            assert_eq!(reset_after, Duration::from_millis(40) * (25 - left));
        }
        let refused = limiter.check(7);
        let (retry_after, reset_after) = (Duration::from_millis(40), Duration::from_secs(1));
        assert_eq!(refused, Decision::Refused { retry_after, reset_after });
        assert_eq!(refused.retry_after_seconds(), Some(1));
        clock.advance(Duration::from_millis(40));
        assert!(matches!(limiter.check(7), Decision::Admitted { remaining: 0, .. }));
        assert!(matches!(limiter.check(7), Decision::Refused { .. }));
    }

    #[test]
    fn keys_do_not_share_a_bucket() {
        let (limiter, _) = limiter(1, 1);
        assert!(matches!(limiter.check(1), Decision::Admitted { .. }));
        assert!(matches!(limiter.check(1), Decision::Refused { .. }));
        assert!(matches!(limiter.check(2), Decision::Admitted { .. }));
    }

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        let told = |millis| {
            let retry_after = Duration::from_millis(millis);
            Decision::Refused { retry_after, reset_after: retry_after }.retry_after_seconds()
        };
        assert_eq!((told(1), told(1000), told(1001)), (Some(1), Some(1), Some(2)));
    }

    #[test]
    fn a_period_that_is_no_whole_number_of_nanoseconds_is_rounded_up() {
        let (limiter, clock) = limiter(3, 1);
        assert!(admits(&limiter));
        clock.advance(Duration::from_nanos(333_333_333));
        assert!(!admits(&limiter), "a third of a second has not quite passed");
        clock.advance(Duration::from_nanos(1));
        assert!(admits(&limiter));
    }

    #[test]
    fn a_bucket_that_would_take_ages_to_fill_is_cut_and_does_not_overflow() {
        let ages = u32::try_from(bounds::LIMIT_FILL_MAX.as_secs() / DAY.as_secs()).unwrap();
        for (per, burst, held) in
            [(DAY, 1_000_000, ages), (DAY, u32::MAX, ages), (Duration::MAX, u32::MAX, 1)]
        {
            let (limiter, clock) = limiter_per(1, per, burst);
            // As if it had run for a century.
            clock.advance(bounds::LIMIT_FILL_MAX);
            for left in (0..held).rev() {
                let Decision::Admitted { remaining, reset_after } = limiter.check(1) else {
                    panic!("refused with {left} left");
                };
                assert_eq!(remaining, left);
                assert!(reset_after <= bounds::LIMIT_FILL_MAX, "{reset_after:?}");
            }
            let Decision::Refused { retry_after, .. } = limiter.check(1) else { panic!("{per:?}") };
            assert!(retry_after <= bounds::LIMIT_FILL_MAX, "{retry_after:?}");
        }
    }

    #[test]
    fn a_sweep_forgets_full_buckets_and_no_others() {
        let (limiter, clock) = limiter(1, 1);
        limiter.check(1);
        clock.advance(Duration::from_millis(1_500));
        limiter.check(2);
        clock.advance(Duration::from_millis(600));
        limiter.sweep();
        assert_eq!(limiter.keys(), 1);
        assert!(matches!(limiter.check(2), Decision::Refused { .. }));
    }

    proptest! {
        /// However a client times its calls, the most that the rate and the burst allow.
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            count in 1u32..2_000,
            per in prop_oneof![Just(1u64), Just(60), Just(3_600), Just(86_400)],
            burst in 1u32..20,
            waits in proptest::collection::vec((0u64..3, any::<bool>()), 1..300),
        ) {
            let per = Duration::from_secs(per);
            let (limiter, clock) = limiter_per(count, per, burst);
            let (mut passed, mut admitted) = (0u128, 0u128);
            for (extra, waits) in waits {
                if waits {
                    let wait = (per / count).saturating_sub(Duration::from_nanos(1))
                        + Duration::from_nanos(extra);
                    clock.advance(wait);
                    passed += wait.as_nanos();
                }
                admitted += u128::from(admits(&limiter));
                let most = u128::from(burst) + passed * u128::from(count) / per.as_nanos();
                prop_assert!(admitted <= most, "{} of {} after {} ns", admitted, most, passed);
            }
        }

        /// The reference is GCRA as ITU-T I.371 has it, in whole milliseconds.
        #[test]
        fn decisions_are_those_of_gcra(
            waits in proptest::collection::vec(0u64..120, 1..200),
            burst in 1u32..30,
        ) {
            let (limiter, clock) = limiter(25, burst);
            let (period, mut now, mut arrival) = (40u64, 0u64, 0u64);
            for wait in waits {
                clock.advance(Duration::from_millis(wait));
                now += wait;
                let expected = arrival.max(now);
                let admits = expected - now <= period * u64::from(burst - 1);
                if admits {
                    arrival = expected + period;
                }
                let admitted = matches!(limiter.check(1), Decision::Admitted { .. });
                prop_assert_eq!(admitted, admits, "at {} ms", now);
            }
        }
    }
}
