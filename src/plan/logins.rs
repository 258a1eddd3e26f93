//! Consumers' log-ins, by their users.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::{Config, Consumer};
use crate::secret::Password;

/// All log-ins that let somebody in.
#[derive(Debug, Default)]
pub struct LogIns {
    by_user: FxHashMap<String, LogIn>,
    consumers: FxHashSet<usize>,
}

/// What a user has to know, and whom it speaks for.
#[derive(Debug)]
pub struct LogIn {
    /// The consumer.
    pub consumer: usize,
    /// The password.
    pub password: Password,
}

impl LogIns {
    /// The log-ins of all consumers that are let in.
    pub(super) fn of(config: &Config) -> Self {
        let enabled = |(_, consumer): &(usize, &Consumer)| !consumer.disabled;
        let mut log_ins = Self::default();
        for (index, consumer) in config.consumers.iter().enumerate().filter(enabled) {
            for login in &consumer.logins {
                let password = login.password.clone();
                log_ins.consumers.insert(index);
                log_ins
                    .by_user
                    .insert(login.user.value.clone(), LogIn { consumer: index, password });
            }
        }
        log_ins
    }

    /// The log-in of a user.
    pub fn find(&self, user: &str) -> Option<&LogIn> {
        self.by_user.get(user)
    }

    /// True if the consumer's users log in.
    pub fn has(&self, consumer: usize) -> bool {
        self.consumers.contains(&consumer)
    }

    /// True if nobody logs in.
    pub fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }
}
