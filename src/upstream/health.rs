//! Active health checks: when an endpoint is asked, what a good answer is, and what several of them mean.
//!
//! Pure: who asks, and waits, is elsewhere. He asks each endpoint for the first time after
//! [`first_check`], then every `every`, with `timeout` for the answer, `GET` and no credential; tells
//! [`Endpoints::checked`](super::endpoints::Endpoints::checked) whether it [`is_good`]. A check that is cut
//! off by a stop or a reload tells nothing.

use std::time::Duration;

use crate::config::Health as Rules;

/// What the checks so far say of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    is_healthy: bool,
    /// Checks in a row that say otherwise.
    against: u32,
}

impl Default for Standing {
    /// Healthy: a gateway that has just started must not refuse calls until it has asked.
    fn default() -> Self {
        Self { is_healthy: true, against: 0 }
    }
}

impl Standing {
    /// True if it may be called.
    pub fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    /// Counts a check; true if that turned the standing.
    pub fn saw(&mut self, is_good: bool, rules: &Rules) -> bool {
        if is_good == self.is_healthy {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let needed = if is_good { rules.healthy_after } else { rules.unhealthy_after };
        let turns = self.against >= needed;
        if turns {
            *self = Self { is_healthy: is_good, against: 0 };
        }
        turns
    }
}

/// What a check found: the status that came within the time, if one did.
pub fn is_good(rules: &Rules, status: Option<u16>) -> bool {
    status.is_some_and(|status| rules.expect.contains(&status))
}

/// Time until the first check of one of `count` endpoints, which are spread over the interval so that an
/// upstream behind one address does not get all of them at once.
pub fn first_check(rules: &Rules, index: usize, count: usize) -> Duration {
    let part = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    rules.every * part(index) / part(count).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(healthy_after: u32, unhealthy_after: u32) -> Rules {
        Rules {
            target: "/up".to_owned(),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            healthy_after,
            unhealthy_after,
            expect: vec![200, 204],
        }
    }

    /// Standing after each check; `+` is a good one.
    fn told(rules: &Rules, checks: &str) -> String {
        let mut standing = Standing::default();
        let letter = |good: char| {
            let before = standing;
            let turned = standing.saw(good == '+', rules);
            assert_eq!(turned, before.is_healthy != standing.is_healthy);
            if standing.is_healthy() { 'H' } else { 'u' }
        };
        checks.chars().map(letter).collect()
    }

    #[test]
    fn so_many_in_a_row_turn_it() {
        assert_eq!(told(&rules(2, 3), "---+-++--+--+---"), "HHuuuuHHHHHHHHHu");
        assert_eq!(told(&rules(1, 1), "+-+-"), "HuHu");
        assert_eq!(told(&rules(2, 3), "--+--+--"), "HHHHHHHH", "not in a row");
    }

    #[test]
    fn an_answer_is_good_if_it_was_expected() {
        let rules = rules(2, 3);
        assert!(is_good(&rules, Some(200)) && is_good(&rules, Some(204)));
        for bad in [None, Some(201), Some(302), Some(503)] {
            assert!(!is_good(&rules, bad), "{bad:?}");
        }
    }

    #[test]
    fn first_checks_are_spread_over_the_interval() {
        let rules = rules(2, 3);
        let first: Vec<u64> =
            (0..4).map(|at| first_check(&rules, at, 4).as_millis() as u64).collect();
        assert_eq!(first, [0, 2_500, 5_000, 7_500]);
        assert_eq!(first_check(&rules, 0, 0), Duration::ZERO);
    }

    proptest! {
        /// The reference looks at the whole past each time.
        #[test]
        fn it_turns_when_the_last_checks_all_say_so(
            up in 1u32..5,
            down in 1u32..5,
            checks in proptest::collection::vec(any::<bool>(), 0..100),
        ) {
            let rules = rules(up, down);
            let (mut standing, mut healthy, mut since) = (Standing::default(), true, 0);
            for at in 0..checks.len() {
                standing.saw(checks[at], &rules);
                let needed = if healthy { down } else { up } as usize;
                let past = &checks[since..=at];
                if past.len() >= needed && past.iter().rev().take(needed).all(|good| *good != healthy) {
                    (healthy, since) = (!healthy, at + 1);
                }
                prop_assert_eq!(standing.is_healthy(), healthy, "at {}", at);
            }
        }
    }
}
