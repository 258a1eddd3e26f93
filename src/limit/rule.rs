//! Named limits: whom each counts, and how.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::limit::bucket::Pace;
use crate::limit::quota::Quota;

/// A limit with a name.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Whose calls are counted together.
    pub scope: Scope,
    /// How they are counted.
    pub form: Form,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A consumer's.
    Consumer,
    /// Those with one key, or by one user who logged in.
    Key,
    /// A route's.
    Route,
    /// Those for one upstream.
    Upstream,
    /// Those from one address, or one network of IPv6.
    Address,
}

/// How calls are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// By a bucket that leaks.
    Rate {
        /// Its size, and how fast it leaks.
        pace: Pace,
        /// The time that the rate is for.
        per: Duration,
    },
    /// By a count that begins anew.
    Quota(Quota),
}

/// Whose calls they are, within a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject(pub u64);

/// One limit that a call counts towards.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Index of the rule.
    pub rule: usize,
    /// Whose call it is.
    pub subject: Subject,
}

/// The time of a check. A rate goes by a clock that never jumps, a quota by the one on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since some time or other.
    pub steady: u64,
    /// Microseconds since the epoch.
    pub wall: u64,
}

impl Rule {
    /// Calls that there may be at most: at once, or in the time of the quota.
    pub fn calls(&self) -> u64 {
        match &self.form {
            Form::Rate { pace, .. } => pace.calls(),
            Form::Quota(quota) => quota.calls,
        }
    }

    /// The time in which they come back, in whole seconds.
    pub fn seconds(&self) -> u64 {
        match &self.form {
            Form::Rate { pace, .. } => pace.whole_after().div_ceil(1_000_000),
            Form::Quota(quota) => quota.span.seconds(),
        }
    }

    /// The share of one gateway among several that cannot count together: no more than all of it by all of them,
    /// but one call at least by each.
    #[must_use]
    pub fn share(&self, gateways: u32) -> Self {
        let form = match &self.form {
            Form::Rate { pace, per } => Form::Rate { pace: pace.share(gateways), per: *per },
            Form::Quota(quota) => {
                let calls = (quota.calls / u64::from(gateways.max(1))).max(1);
                Form::Quota(Quota { calls, span: quota.span.clone() })
            }
        };
        Self { name: Arc::clone(&self.name), scope: self.scope, form }
    }

    /// True for a quota.
    pub fn is_quota(&self) -> bool {
        matches!(self.form, Form::Quota(_))
    }
}

impl Subject {
    /// An address. Whoever has an IPv6 address has its network of 64 bits.
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No network that is given out begins with sixteen zeros.
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }

    /// By its name, which is the same for all gateways of a fleet: a consumer, a route, an upstream.
    pub fn named(name: &str) -> Self {
        Self::hash(&Sha256::digest(name).into())
    }

    /// By the beginning of a hash.
    pub fn hash(hash: &[u8; 32]) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(u64::from_be_bytes(first))
    }
}
