//! What calls know of the crosswalk without asking the state for it.
//!
//! ```text
//! call ─▶ Crosswalk (a worker's own cache) ── not known ──▶ store
//!              ▲ epoch
//!         Followed (one for all workers) ◀── every 250 ms: has an id gone? ── store
//! ```
//!
//! What is linked stays so until an id is taken out or two entries become one, and both leave a row in the
//! history of the crosswalk. So one task looks for new rows there, and raises an epoch when there are some: what was
//! remembered before that is asked anew. It needs no word from whoever changed something, which may be a command
//! beside the gateway or another gateway of the fleet.
//!
//! What is not linked may be linked at any time, which leaves no row there; that is remembered for a moment only.
//! While the state cannot be asked, what is remembered is believed for a time that is bounded too.

mod cache;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::bounds;
use crate::plan::Way;
use crate::store::crosswalk::{SystemId, fit_id};
use crate::store::{Store, StoreError};

use cache::{Cache, Value};

/// Where what is remembered comes from, and until when it holds. For all workers of a gateway.
#[derive(Debug)]
pub struct Followed {
    store: Store,
    /// The questions, by index.
    ways: Vec<Way>,
    /// Goes up when something that was linked is not any more; 0 while nothing is to be believed.
    epoch: AtomicU64,
    /// What had gone last when this began.
    first: Option<i64>,
}

/// The crosswalk as one worker asks it.
pub struct Crosswalk {
    followed: Arc<Followed>,
    /// The worker's own, so that nobody else ever waits for it.
    cache: Mutex<Cache>,
}

/// What is known of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is that one in the other system.
    Linked(String),
    /// It is not linked, and the upstream has a ticket of that very id.
    Upstreams,
    /// Nothing: it is not linked, and an upstream that was asked for it does not have it.
    Missing,
}

impl Followed {
    /// Looks for the first time, so that what is asked from here on is remembered; somebody has to
    /// [`follow`](Self::follow) it then.
    ///
    /// # Errors
    /// If the state cannot be asked.
    pub async fn begin(store: Store, ways: Vec<Way>) -> Result<Self, StoreError> {
        let first = store.crosswalk_last_gone().await?;
        Ok(Self { store, ways, epoch: AtomicU64::new(1), first })
    }

    /// Looks for ids that have gone, until it is dropped. Of a state that fails one line tells, and one when it is
    /// there again.
    pub async fn follow(&self) {
        let mut ticks = tokio::time::interval(bounds::CROSSWALK_LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut last) = (Instant::now(), self.first);
        let (mut raised, mut fails) = (self.epoch(), false);
        loop {
            ticks.tick().await;
            let look = self.store.crosswalk_last_gone();
            match timeout(bounds::STATE_TIMEOUT, look).await {
                Ok(Ok(gone)) => {
                    // Another number than the last one, also a lower one: a backup may have been put back.
                    if last != gone || self.epoch() == 0 {
                        raised += 1;
                        self.epoch.store(raised, Ordering::Release);
                    }
                    (seen, last) = (Instant::now(), gone);
                    if fails {
                        tracing::info!(target: "latimer::state", "the crosswalk is followed again");
                        fails = false;
                    }
                    continue;
                }
                Ok(Err(error)) if !fails => {
                    tracing::error!(
                        target: "latimer::state", %error,
                        "the crosswalk cannot be asked; ids that were looked up lately are still believed"
                    );
                }
                Err(_) if !fails => {
                    tracing::error!(
                        target: "latimer::state",
                        "the crosswalk is not answered for in time; ids that were looked up lately are still believed"
                    );
                }
                Ok(Err(_)) | Err(_) => {}
            }
            fails = true;
            if seen.elapsed() >= bounds::CROSSWALK_TRUST {
                self.epoch.store(0, Ordering::Release);
            }
        }
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

impl Crosswalk {
    /// One more worker's.
    pub fn new(followed: Arc<Followed>) -> Self {
        let cache = Cache::new(
            followed.ways.len(),
            bounds::CROSSWALK_CACHED_MAX,
            bounds::CROSSWALK_CACHED_BYTES_MAX,
        );
        Self { followed, cache: Mutex::new(cache) }
    }

    /// What is known of an id without asking; `None` if that has to be asked.
    pub fn known(&self, way: usize, id: &str) -> Option<Known> {
        let epoch = self.followed.epoch();
        let mut cache = self.cache();
        match cache.get(way, id, epoch)? {
            Value::Linked(id) => Some(Known::Linked(id.to_string())),
            Value::Upstreams(since) => is_fresh(*since).then_some(Known::Upstreams),
            Value::Missing(since) => is_fresh(*since).then_some(Known::Missing),
        }
    }

    /// Asks what an id is in the other system, and remembers it. What is not linked, of a way on which the upstream
    /// is asked then, is remembered once that was done.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn find(&self, way: usize, id: &str) -> Result<Known, StoreError> {
        // What no crosswalk can hold is in none.
        if fit_id(id).is_err() {
            return Ok(Known::Missing);
        }
        // From before the question: what goes while it is under way makes the answer an old one.
        let epoch = self.followed.epoch();
        let Way { kind, from, to, asked } = &self.followed.ways[way];
        let at = SystemId::new(from.as_str(), id);
        let found = self.followed.store.crosswalk(*kind, &at, to).await?;
        let mut cache = self.cache();
        let (known, value) = match found {
            Some(theirs) => {
                let value = Value::Linked(theirs.as_str().into());
                (Known::Linked(theirs), value)
            }
            // Nobody has linked it since the upstream was asked.
            None if matches!(cache.get(way, id, epoch), Some(Value::Upstreams(_))) => {
                (Known::Upstreams, Value::Upstreams(Instant::now()))
            }
            None if asked.is_some() => return Ok(Known::Missing),
            None => (Known::Missing, Value::Missing(Instant::now())),
        };
        cache.put(way, id, epoch, value);
        Ok(known)
    }

    /// Remembers whether the upstream has a ticket of an id that nobody has linked.
    pub fn note_asked(&self, way: usize, id: &str, has: bool) {
        let now = Instant::now();
        let value = if has { Value::Upstreams(now) } else { Value::Missing(now) };
        self.cache().put(way, id, self.followed.epoch(), value);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What panicked left at worst an entry out.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(since: Instant) -> bool {
    since.elapsed() < bounds::CROSSWALK_MISSING_KEPT
}

impl fmt::Debug for Crosswalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Crosswalk").field(&self.followed).finish()
    }
}

#[cfg(test)]
mod tests;
