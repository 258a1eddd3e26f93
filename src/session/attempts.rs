//! How often a log-in may be tried: per account, so that nobody guesses a password, and per address, so that
//! nobody tries one password on all accounts.

use std::net::IpAddr;
use std::time::Duration;

use governor::clock::DefaultClock;

use crate::bounds;
use crate::limit::{Decision, Limiter};

/// What an attempt is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// Who wants to log in.
    Account(Box<str>),
    /// Where the attempt comes from: of IPv6 the network, because a client has all of one.
    Address(IpAddr),
    /// All that there is no room to count by itself.
    Rest,
}

/// The attempts of the last minutes.
#[derive(Debug)]
pub struct Attempts {
    accounts: Limiter<DefaultClock, Attempt>,
    addresses: Limiter<DefaultClock, Attempt>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Default for Attempts {
    fn default() -> Self {
        let limiter = |count| Limiter::new(count, MINUTE, count);
        Self {
            accounts: limiter(bounds::LOG_INS_PER_ACCOUNT_MAX),
            addresses: limiter(bounds::LOG_INS_PER_ADDRESS_MAX),
        }
    }
}

impl Attempt {
    /// An attempt from there.
    pub fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Self::Address(IpAddr::V6(network.into()))
            }
            address @ IpAddr::V4(_) => Self::Address(address),
        }
    }
}

impl Attempts {
    /// Counts an attempt.
    pub fn count(&self, attempt: Attempt) -> Decision {
        let limiter = match attempt {
            Attempt::Account(_) => &self.accounts,
            Attempt::Address(_) | Attempt::Rest => &self.addresses,
        };
        if limiter.keys() < bounds::LOG_IN_KEYS_MAX {
            return limiter.check(attempt);
        }
        limiter.check(Attempt::Rest)
    }

    /// Forgets what counts no more.
    pub fn sweep(&self) {
        self.accounts.sweep();
        self.addresses.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_and_an_address_are_counted_by_themselves() {
        let attempts = Attempts::default();
        let account = |name: &str| Attempt::Account(name.into());
        for _ in 0..bounds::LOG_INS_PER_ACCOUNT_MAX {
            assert_eq!(attempts.count(account("jo")).retry_after_seconds(), None);
        }
        assert!(attempts.count(account("jo")).retry_after_seconds().is_some());
        assert_eq!(attempts.count(account("al")).retry_after_seconds(), None);
        let address = |text: &str| Attempt::from(text.parse().unwrap());
        for _ in 0..bounds::LOG_INS_PER_ADDRESS_MAX {
            assert_eq!(attempts.count(address("192.0.2.1")).retry_after_seconds(), None);
        }
        assert!(attempts.count(address("192.0.2.1")).retry_after_seconds().is_some());
        assert!(attempts.count(address("::ffff:192.0.2.1")).retry_after_seconds().is_some());
        assert_eq!(attempts.count(address("192.0.2.2")).retry_after_seconds(), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let address = |text: &str| Attempt::from(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory() {
        let attempts = Attempts::default();
        for number in 0..bounds::LOG_IN_KEYS_MAX + 1_000 {
            attempts.count(Attempt::Account(number.to_string().into()));
        }
        assert!(attempts.accounts.keys() <= bounds::LOG_IN_KEYS_MAX + 1);
        assert!(
            attempts.count(Attempt::Account("another".into())).retry_after_seconds().is_some(),
            "those that there is no room for share what one may do"
        );
    }
}
