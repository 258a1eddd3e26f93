//! Who may log in to a simulated system, and the sessions that were given out.

use std::time::Duration;

use tokio::time::Instant;

/// The one account of a system whose clients log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its mail address.
    pub user: String,
    /// What a client sends for its password.
    pub password: String,
    /// How long a session lives, in place of the vendor's own time.
    pub session: Option<Duration>,
}

/// How a vendor's sessions live.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub(super) length: Duration,
    /// Each use prolongs one.
    pub(super) slides: bool,
    /// A log-in ends the session that was there.
    pub(super) alone: bool,
}

/// The sessions that were given out.
pub(super) struct Sessions {
    account: Option<Account>,
    life: Life,
    live: Vec<(String, Instant)>,
    made: u64,
}

impl Sessions {
    pub(super) fn new(account: Option<Account>, life: Life) -> Sessions {
        let length = account.as_ref().and_then(|account| account.session).unwrap_or(life.length);
        Sessions { account, life: Life { length, ..life }, live: Vec::new(), made: 0 }
    }

    /// A new session's id, 32 hexadecimal digits; `None` if that is nobody's password.
    pub(super) fn log_in(&mut self, user: &str, password: &str, now: Instant) -> Option<String> {
        let known = self.account.as_ref()?;
        if known.user != user || known.password != password {
            return None;
        }
        if self.life.alone {
            self.live.clear();
        }
        Some(self.make(now))
    }

    /// Another session of whoever has this one.
    pub(super) fn renew(&mut self, id: &str, now: Instant) -> Option<String> {
        self.holds(id, now).then(|| self.make(now))
    }

    fn make(&mut self, now: Instant) -> String {
        self.made += 1;
        let id = format!("{:032x}", 0xb86c_9016_u64 + self.made);
        self.live.push((id.clone(), now));
        id
    }

    /// True if a session of that id holds; it is used by this.
    pub(super) fn holds(&mut self, id: &str, now: Instant) -> bool {
        let Life { length, slides, .. } = self.life;
        self.live.retain(|(_, since)| now.duration_since(*since) < length);
        match self.live.iter_mut().find(|(known, _)| known == id) {
            Some((_, since)) => {
                if slides {
                    *since = now;
                }
                true
            }
            None => false,
        }
    }

    /// Ends the session of that id; true if there was one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        let before = self.live.len();
        self.live.retain(|(known, _)| known != id);
        self.live.len() < before
    }

    /// Ends all of them, as a restart of the system does.
    pub(super) fn end_all(&mut self) {
        self.live.clear();
    }
}
