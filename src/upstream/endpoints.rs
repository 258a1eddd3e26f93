//! Which of an upstream's endpoints gets a call.
//!
//! Passed over are those that this call has tried already, those that the health checks found ill, and those
//! whose breaker is open. Of the rest the next in turn is taken, or the first of the list. If none is left,
//! nothing is sent, and the call learns when a try may be worth it.
//!
//! Pure: indexes in and out, time passed in. Which connection leads to an endpoint is the caller's business,
//! and so is what he saw: he tells it to the [`Pick`] as a [`Seen`]. Shared by all threads.
//!
//! ```
//! use latimer::config::Resilience;
//! use latimer::upstream::endpoints::{Endpoints, Seen, Tried};
//! use tokio::time::Instant;
//!
//! let endpoints = Endpoints::new(2, &Resilience::default(), Instant::now());
//! let mut tried = Tried::default();
//! let first = endpoints.pick(&mut tried, Instant::now()).expect("all are well");
//! first.saw(Seen::ConnectFailed, Instant::now()); // nothing was sent: the call may go elsewhere
//! let second = endpoints.pick(&mut tried, Instant::now()).expect("the other one");
//! second.saw(Seen::Answered, Instant::now());
//! assert!(endpoints.pick(&mut tried, Instant::now()).is_err(), "both were tried");
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Permit, State};
use super::health::Standing;
use crate::bounds;
use crate::config::{Balance, Health, Resilience};

/// An upstream's endpoints.
#[derive(Debug)]
pub struct Endpoints {
    list: Box<[Endpoint]>,
    balance: Balance,
    health: Option<Health>,
    /// Whose turn it is; wraps.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Endpoint {
    breaker: Option<Breaker>,
    /// What `standing` says, for those who only look.
    is_healthy: AtomicBool,
    standing: Mutex<Standing>,
}

/// The endpoints that one call has tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

/// An endpoint for one try, which has to be told how it went.
///
/// Dropped, it has been told nothing: neither for nor against the endpoint, as when the client went away or
/// the deadline was over before the try began. A probe's place is free again then.
#[derive(Debug)]
#[must_use = "a pick that is dropped says nothing of its endpoint"]
pub struct Pick<'a> {
    index: usize,
    permit: Option<Permit<'a>>,
}

/// What came of a try, as far as it speaks of the endpoint.
///
/// Not the outcome of the call: a refusal of the vendor is an answer like any other here. Two things are not
/// told at all, and the pick is dropped: a try that the client or a stop cut off, and one whose deadline left
/// the endpoint no fair time (it was over before a connection was asked for).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A whole answer came, of any status but those of [`Unavailable`](Self::Unavailable): also a vendor's own
    /// error, a 401, a 429 or a 500.
    Answered,
    /// No connection: the name was not resolved, TCP or TLS failed, or took longer than `connect_timeout`.
    ConnectFailed,
    /// The connection ended, or carried what is no HTTP, after bytes of the request had left and before the
    /// answer was whole.
    Lost,
    /// The deadline passed after bytes had left and before the answer was whole.
    Late,
    /// 502, 503 or 504 that no fault row of the vendor explains: something before the system, or the system
    /// itself, says that it is not there.
    Unavailable,
}

/// No endpoint may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Time until one that this call has not tried may be; `None` if it has tried them all.
    pub retry_after: Option<Duration>,
}

/// One endpoint as metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What its breaker does with calls; `None` if it has none.
    pub breaker: Option<State>,
    /// How often its breaker has opened.
    pub openings: u64,
    /// What the health checks say; true if there are none.
    pub is_healthy: bool,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.retry_after {
            Some(_) => "no endpoint is to be called now",
            None => "every endpoint has been tried",
        })
    }
}

impl std::error::Error for Unavailable {}

impl Seen {
    /// True for what the breaker counts against the endpoint.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Answered => false,
            Self::ConnectFailed | Self::Lost | Self::Late | Self::Unavailable => true,
        }
    }
}

impl Tried {
    /// As if all were tried but one, so that there is one choice only.
    pub fn all_but(index: usize) -> Self {
        Self(!bit(index))
    }

    /// True if that endpoint was tried.
    pub fn contains(self, index: usize) -> bool {
        self.0 & bit(index) != 0
    }

    /// How many were tried.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl Pick<'_> {
    /// Which of the upstream's endpoints it is, in the order of the configuration.
    pub fn index(&self) -> usize {
        self.index
    }

    /// True for the one call that finds out whether the endpoint is well again.
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_probe)
    }

    /// Tells how it went.
    pub fn saw(self, seen: Seen, now: Instant) {
        match (self.permit, seen.is_failure()) {
            (Some(permit), true) => permit.failure(now),
            (Some(permit), false) => permit.success(now),
            (None, _) => {}
        }
    }
}

impl Endpoints {
    /// Endpoints that all are well, 1 to [`bounds::ENDPOINTS_MAX`]; what is beyond is cut off. No later call may
    /// be of a time before `now`.
    pub fn new(count: usize, rules: &Resilience, now: Instant) -> Self {
        let endpoint = |_| Endpoint {
            breaker: rules.breaker.map(|rules| Breaker::new(rules, now)),
            is_healthy: AtomicBool::new(true),
            standing: Mutex::default(),
        };
        Self {
            list: (0..count.clamp(1, bounds::ENDPOINTS_MAX)).map(endpoint).collect(),
            balance: rules.balance,
            health: rules.health.clone(),
            turn: AtomicUsize::new(0),
        }
    }

    /// An endpoint for the call's next try; it is among those tried from then on.
    ///
    /// # Errors
    /// If there is none: nothing is to be sent.
    pub fn pick(&self, tried: &mut Tried, now: Instant) -> Result<Pick<'_>, Unavailable> {
        let count = self.list.len();
        let first = self.first();
        let mut retry_after: Option<Duration> = None;
        for index in (first..count).chain(0..first).filter(|index| !tried.contains(*index)) {
            let wait = match self.list[index].admit(now, self.health.as_ref()) {
                Ok(permit) => {
                    tried.0 |= bit(index);
                    return Ok(Pick { index, permit });
                }
                Err(wait) => wait,
            };
            retry_after = Some(retry_after.map_or(wait, |least| least.min(wait)));
        }
        Err(Unavailable { retry_after })
    }

    /// Counts a health check of one endpoint; true if that brought it back or took it out.
    pub fn checked(&self, index: usize, is_good: bool) -> bool {
        let (Some(endpoint), Some(rules)) = (self.list.get(index), &self.health) else {
            return false;
        };
        let mut standing = endpoint.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = standing.saw(is_good, rules);
        endpoint.is_healthy.store(standing.is_healthy(), Ordering::Relaxed);
        turned
    }

    /// Every endpoint as metrics show it, in the order of the configuration.
    pub fn shown(&self, now: Instant) -> impl Iterator<Item = Shown> {
        self.list.iter().map(move |endpoint| Shown {
            breaker: endpoint.breaker.as_ref().map(|breaker| breaker.state(now)),
            openings: endpoint.breaker.as_ref().map_or(0, Breaker::openings),
            is_healthy: endpoint.is_healthy.load(Ordering::Relaxed),
        })
    }

    /// Where the search starts.
    fn first(&self) -> usize {
        match (self.balance, self.list.len()) {
            // One endpoint needs no counter that all threads write to.
            (Balance::Failover, _) | (Balance::RoundRobin, 1) => 0,
            (Balance::RoundRobin, count) => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        }
    }
}

impl Endpoint {
    /// Leave for one try, or the time until there may be one.
    fn admit(&self, now: Instant, health: Option<&Health>) -> Result<Option<Permit<'_>>, Duration> {
        if !self.is_healthy.load(Ordering::Relaxed) {
            // Only a check brings it back, and not before the next one.
            return Err(health.map_or(Duration::ZERO, |health| health.every));
        }
        let Some(breaker) = &self.breaker else { return Ok(None) };
        breaker.admit(now).map(Some).map_err(|refused| refused.wait)
    }
}

fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1u64.checked_shl(index)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
