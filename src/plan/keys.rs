//! Consumers' keys, by what they hash to: a call costs the same with one consumer and with many.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;

use crate::config::{Config, Consumer};
use crate::secret::{KeyHash, Pepper};

/// All keys that let somebody in.
#[derive(Debug)]
pub struct Keys {
    pepper: Pepper,
    owners: FxHashMap<KeyHash, Owner>,
}

#[derive(Debug)]
struct Owner {
    consumer: usize,
    /// Since the Unix epoch.
    expires: Option<Duration>,
}

/// Why a key lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefused {
    /// Nobody has it, or whoever had it is disabled.
    Unknown,
    /// Its time is over.
    Expired,
}

impl Keys {
    /// The keys of all consumers that are let in.
    pub(super) fn of(config: &Config) -> Self {
        let enabled = |(_, consumer): &(usize, &Consumer)| !consumer.disabled;
        let consumers = config.consumers.iter().enumerate().filter(enabled);
        let owners = consumers.flat_map(|(index, consumer)| {
            consumer
                .keys
                .iter()
                .map(move |key| (key.hash.value, Owner { consumer: index, expires: key.expires }))
        });
        Self { pepper: config.pepper.clone(), owners: owners.collect() }
    }

    /// Whose key that is, and its hash.
    pub(super) fn owner(&self, key: &str) -> Result<(usize, KeyHash), KeyRefused> {
        let hash = self.pepper.hash(key);
        let owner = self.owners.get(&hash).ok_or(KeyRefused::Unknown)?;
        // Most keys have no end, and need no look at the clock.
        let over = |end: Duration| {
            SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| end <= now)
        };
        if owner.expires.is_some_and(over) {
            return Err(KeyRefused::Expired);
        }
        Ok((owner.consumer, hash))
    }
}
