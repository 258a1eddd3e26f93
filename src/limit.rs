//! The limit per route and consumer, by GCRA (governor).
//!
//! At most `burst + rate × t` calls pass in any time `t`. What a call may learn of its limit is in the
//! [`Decision`]; how a vendor tells its client is the mapping's business.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// A limiter with one bucket per key. Keys are the configuration's consumers, so there are never more
/// buckets than those.
#[derive(Debug)]
pub struct Limiter<C: Clock = DefaultClock> {
    buckets: RateLimiter<u32, DashMapStateStore<u32>, C, StateInformationMiddleware>,
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
    },
}

impl Limiter {
    /// A limiter of `count` calls per `per`, with a bucket of `burst` calls. Zeros count as one.
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        Self::with_clock(count, per, burst, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// The same with a clock of its own.
    pub fn with_clock(count: u32, per: Duration, burst: u32, clock: C) -> Self {
        // Rounded up, so that it is never more than the rate that passes.
        let period = per.as_nanos().div_ceil(u128::from(count.max(1))).max(1);
        let period = u64::try_from(period).unwrap_or(u64::MAX / 4);
        // governor counts in nanoseconds of 64 bits; the configuration refuses what does not fit.
        let most = u32::try_from(u64::MAX / 4 / period).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst.min(most)).unwrap_or(NonZeroU32::MIN);
        let period = Duration::from_nanos(period);
        let quota = Quota::with_period(period)
            .expect("a period of at least one nanosecond is not zero")
            .allow_burst(burst);
        let store = DashMapStateStore::default();
        let buckets = RateLimiter::new(quota, store, clock.clone());
        Self { buckets, clock, burst: burst.get(), period }
    }

    /// Charges one call to a key.
    pub fn check(&self, key: u32) -> Decision {
        match self.buckets.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset_after = self.period * self.burst.saturating_sub(remaining);
                Decision::Admitted { remaining, reset_after }
            }
            Err(until) => Decision::Refused { retry_after: until.wait_time_from(self.clock.now()) },
        }
    }
}

impl Decision {
    /// Whole seconds to wait, rounded up and at least 1; `None` if the call may pass.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Admitted { .. } => None,
            Self::Refused { retry_after } => {
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

    fn limiter(count: u32, burst: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::with_clock(count, Duration::from_secs(1), burst, clock.clone()), clock)
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
        assert_eq!(refused, Decision::Refused { retry_after: Duration::from_millis(40) });
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
            Decision::Refused { retry_after: Duration::from_millis(millis) }.retry_after_seconds()
        };
        assert_eq!((told(1), told(1000), told(1001)), (Some(1), Some(1), Some(2)));
    }

    #[test]
    fn a_rate_that_does_not_divide_its_time_is_never_exceeded() {
        // A third of a second is 333,333,333⅓ nanoseconds: three calls take a whole second.
        let (limiter, clock) = limiter(3, 1);
        let mut passed = 0;
        for _ in 0..3_000 {
            passed += u32::from(matches!(limiter.check(1), Decision::Admitted { .. }));
            clock.advance(Duration::from_nanos(333_333_333));
        }
        // In 2,999 steps of a third of a second less a bit, a full bucket of one and the rate.
        assert!(passed <= 1 + 2_999, "{passed}");
        let elapsed = Duration::from_nanos(333_333_333) * 2_999;
        let most = 1 + (elapsed.as_nanos() * 3 / 1_000_000_000);
        assert!(u128::from(passed) <= most, "{passed} of {most}");
    }

    #[test]
    fn a_bucket_that_takes_ages_to_fill_does_not_overflow() {
        let clock = FakeRelativeClock::default();
        let day = Duration::from_secs(86_400);
        let limiter = Limiter::with_clock(1, day, 1_000_000, clock.clone());
        for _ in 0..50_000 {
            assert!(matches!(limiter.check(1), Decision::Admitted { .. }));
        }
        let Decision::Admitted { reset_after, .. } = limiter.check(1) else { panic!() };
        assert_eq!(reset_after, day * 50_001);
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
            let (per, clock) = (Duration::from_secs(per), FakeRelativeClock::default());
            let limiter = Limiter::with_clock(count, per, burst, clock.clone());
            let (mut passed, mut admitted) = (0u128, 0u128);
            for (extra, waits) in waits {
                if waits {
                    // About as long as a cell takes to come back.
                    let short = (per / count).saturating_sub(Duration::from_nanos(1));
                    let wait = short + Duration::from_nanos(extra);
                    clock.advance(wait);
                    passed += wait.as_nanos();
                }
                admitted += u128::from(matches!(limiter.check(1), Decision::Admitted { .. }));
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
