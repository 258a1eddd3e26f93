//! The retry budget of one upstream: further tries stay a small share of the calls.
//!
//! When an upstream is in trouble, every call wants another try just then, and what was one load becomes
//! several. So tries are paid for by calls, as in tower's `TpsBudget`: over [`bounds::RETRY_WINDOW`] there are
//! at most `calls × ratio + per_second × window` of them. The second part lets an upstream with few calls have
//! some too, and may be used at once.
//!
//! Pure: time is passed in. Who may be tried again at all is not decided here: only a call of which nothing
//! was sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::window::Window;
use crate::bounds;
use crate::config::RetryBudget as Rules;

/// A budget, shared by all threads.
#[derive(Debug)]
pub struct Budget {
    rules: Rules,
    calls: Window,
    retries: Window,
    /// Two that ask at once must not both get the last one.
    withdrawing: Mutex<()>,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// A budget that nothing was taken from. No later call may be of a time before `now`.
    pub fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            calls: Window::new(bounds::RETRY_WINDOW, now),
            retries: Window::new(bounds::RETRY_WINDOW, now),
            withdrawing: Mutex::new(()),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Counts a call: its first try, not the further ones.
    pub fn deposit(&self, now: Instant) {
        self.calls.add(now);
    }

    /// Takes one further try; false if there is none left, and then the call ends with what it has.
    pub fn withdraw(&self, now: Instant) -> bool {
        let _one_at_a_time = self.withdrawing.lock().unwrap_or_else(PoisonError::into_inner);
        let share = self.calls.sum(now) * u64::from(self.rules.ratio_percent) / 100;
        let beside = u64::from(self.rules.per_second) * bounds::RETRY_WINDOW.as_secs();
        let allowed = self.retries.sum(now) < share + beside;
        if allowed {
            self.retries.add(now);
            self.taken.fetch_add(1, Ordering::Relaxed);
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// Further tries that were taken, since it was made.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Tries that were not allowed, since it was made.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn budget(ratio_percent: u32, per_second: u32) -> (Budget, Instant) {
        let start = Instant::now();
        (Budget::new(Rules { ratio_percent, per_second }, start), start)
    }

    fn withdrawn(budget: &Budget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn without_calls_there_is_what_stands_beside() {
        let (budget, start) = budget(20, 10);
        assert_eq!(withdrawn(&budget, start), 100, "10 a second, over 10 seconds");
        assert_eq!((budget.taken(), budget.refused()), (100, 1));
        let later = start + bounds::RETRY_WINDOW;
        assert_eq!(withdrawn(&budget, later), 100, "and again when they are forgotten");
    }

    #[test]
    fn five_calls_pay_for_one_try() {
        let (budget, start) = budget(20, 0);
        assert!(!budget.withdraw(start));
        for calls in 1..=50 {
            budget.deposit(start);
            assert_eq!(budget.withdraw(start), calls % 5 == 0, "{calls}");
        }
        (0..50).for_each(|_| budget.deposit(start));
        let later = start + bounds::RETRY_WINDOW;
        assert!(!budget.withdraw(later), "calls are forgotten too");
    }

    #[test]
    fn nothing_is_nothing() {
        let (budget, start) = budget(0, 0);
        (0..1_000).for_each(|_| budget.deposit(start));
        assert_eq!(withdrawn(&budget, start), 0);
    }

    #[test]
    fn threads_do_not_take_more_than_there_is() {
        let (budget, start) = budget(0, 10);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| withdrawn(&budget, start))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }

    proptest! {
        /// However calls and tries come, no window holds more tries than its calls and the rest pay for.
        #[test]
        fn tries_never_exceed_the_share(
            ratio_percent in 0u32..=100,
            per_second in 0u32..4,
            steps in proptest::collection::vec((0u64..1_500, 0usize..8, 0usize..8), 1..200),
        ) {
            let (budget, start) = budget(ratio_percent, per_second);
            let window = bounds::RETRY_WINDOW;
            let (mut now, mut calls, mut tries) = (Duration::ZERO, Vec::new(), Vec::new());
            for (wait, deposits, wanted) in steps {
                now += Duration::from_millis(wait);
                for _ in 0..deposits {
                    budget.deposit(start + now);
                    calls.push(now);
                }
                for _ in 0..wanted {
                    let slot = |at: &Duration| at.as_millis() / (window.as_millis() / 10);
                    let recent = |at: &&Duration| slot(at) + 10 > slot(&now);
                    let paid = calls.iter().filter(recent).count() * ratio_percent as usize / 100;
                    let most = paid + per_second as usize * 10;
                    let had = tries.iter().filter(recent).count();
                    let allowed = budget.withdraw(start + now);
                    prop_assert_eq!(allowed, had < most, "{} of {} at {:?}", had, most, now);
                    if allowed {
                        tries.push(now);
                    }
                }
            }
        }
    }
}
