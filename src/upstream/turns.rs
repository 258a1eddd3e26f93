//! How much may be sent to an upstream: its budget, and its own word that it wants to be left alone.
//!
//! Every request has a turn before it leaves ([`Turns::ask`]). Who finds no room waits in fair order (`queue`), not
//! longer than `wait` says and never past its deadline. All workers share the queue. Of those who wait one leads: it
//! has the only timer, and wakes whoever is due; when it goes another one leads. So there is no task to keep alive,
//! and nobody hangs when a worker ends.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::bounds;
use crate::config::UpstreamLimit;
use crate::limit::Pace;
pub use queue::Rank;
use queue::{Arrival, Asking, Bounds, Queue, Refusal};

/// The turns at one upstream.
#[derive(Debug)]
pub struct Turns {
    /// False where nobody has to ask, unless the upstream wants to be left alone.
    has_limit: bool,
    /// True as long as it may want to be left alone.
    may_be_stopped: AtomicBool,
    /// How long somebody waits at most.
    wait: Duration,
    line: Mutex<Line>,
    /// What times are counted from.
    began: Instant,
    refused: AtomicU64,
    stops: AtomicU64,
}

/// There is no turn in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTurn {
    /// Time after which there would have been one.
    pub retry_after: Duration,
    /// True if the upstream itself wants to be left alone.
    pub is_stopped: bool,
}

#[derive(Debug)]
struct Line {
    queue: Queue<Arc<Seat>>,
    leader: Option<Leader>,
}

/// Who has the timer.
#[derive(Debug)]
struct Leader {
    number: u64,
    seat: Arc<Seat>,
    /// When it looks again.
    wakes: u64,
}

/// Where one waits.
#[derive(Debug, Default)]
struct Seat {
    told: OnceLock<Result<(), Refusal>>,
    call: Notify,
}

/// A place in the queue, which is left when this is dropped.
#[derive(Debug)]
#[must_use = "the place is left when this is dropped"]
pub struct Waiting<'t> {
    turns: &'t Turns,
    seat: Arc<Seat>,
    number: u64,
    until: u64,
}

impl Turns {
    /// Those of an upstream, with or without a limit.
    pub fn new(limit: Option<UpstreamLimit>, now: Instant) -> Self {
        let pace = limit.map(|limit| Pace::new(limit.rate.count, limit.rate.per, limit.burst));
        let bounds = Bounds {
            all: bounds::UPSTREAM_WAITING_MAX,
            lane: bounds::UPSTREAM_WAITING_PER_CONSUMER_MAX,
        };
        Self {
            has_limit: limit.is_some(),
            may_be_stopped: AtomicBool::new(false),
            wait: limit.map_or(bounds::UPSTREAM_WAIT, |limit| limit.wait),
            line: Mutex::new(Line { queue: Queue::new(pace, bounds), leader: None }),
            began: now,
            refused: AtomicU64::new(0),
            stops: AtomicU64::new(0),
        }
    }

    /// Asks for a turn of a consumer's request, which is too late after `until`. None if it is there already.
    ///
    /// # Errors
    /// If it will not come in time.
    #[inline]
    pub fn ask(
        &self,
        consumer: Option<usize>,
        rank: Rank,
        until: Instant,
    ) -> Result<Option<Waiting<'_>>, NoTurn> {
        if !self.has_limit && !self.may_be_stopped.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.arrive(consumer, rank, until, Instant::now())
    }

    fn arrive(
        &self,
        consumer: Option<usize>,
        rank: Rank,
        until: Instant,
        now: Instant,
    ) -> Result<Option<Waiting<'_>>, NoTurn> {
        let until = match rank {
            Rank::LogIn | Rank::After => until,
            Rank::Begun | Rank::Fresh => until.min(now + self.wait),
        };
        let (now, until) = (self.micros(now), self.micros(until));
        let consumer = consumer.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
        let mut seat = None;
        let mut line = self.line();
        line.serve(now);
        let asking = Asking { consumer, rank, until };
        let sit_down = || Arc::clone(seat.insert(Arc::new(Seat::default())));
        match line.queue.arrive(asking, now, sit_down) {
            Arrival::Goes => {
                if !self.has_limit && !line.queue.is_stopped(now) {
                    // The stop is over, and nobody waits any more.
                    self.may_be_stopped.store(false, Ordering::Release);
                }
                Ok(None)
            }
            Arrival::Refused(refusal) => Err(self.refuse(refusal)),
            Arrival::Waits(number) => {
                line.wake_leader_by(until);
                Ok(seat.map(|seat| Waiting { turns: self, seat, number, until }))
            }
        }
    }

    /// Charges a request that leaves whether there is room or not: one that is nobody's call.
    pub fn charge(&self, now: Instant) {
        if self.has_limit {
            let now = self.micros(now);
            self.line().queue.charge(now);
        }
    }

    /// The upstream has said that it wants no request for so long. True if that is news.
    pub fn stop(&self, now: Instant, told: Duration) -> bool {
        let obeyed = micros(told.min(bounds::UPSTREAM_STOP_MAX));
        let told = micros(told.min(bounds::RETRY_AFTER_MAX));
        let now = self.micros(now);
        let mut line = self.line();
        let is_news = !line.queue.is_stopped(now);
        line.queue.stop(now, told, obeyed);
        // Within the lock, so that nobody who finds a stop that is over takes this one back.
        self.may_be_stopped.store(true, Ordering::Release);
        if is_news {
            self.stops.fetch_add(1, Ordering::Relaxed);
        }
        is_news
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.line().queue.waiting()
    }

    /// How many were refused, since it was made.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often the upstream wanted to be left alone.
    pub fn stops(&self) -> u64 {
        self.stops.load(Ordering::Relaxed)
    }

    fn refuse(&self, refusal: Refusal) -> NoTurn {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let retry_after = Duration::from_micros(refusal.after);
        NoTurn { retry_after, is_stopped: refusal.is_stopped }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Line {
    /// Tells all who are due, and all whose time is over.
    fn serve(&mut self, now: u64) {
        while let Some(seat) = self.queue.next(now) {
            seat.tell(Ok(()));
        }
        while let Some((seat, refusal)) = self.queue.expired(now) {
            seat.tell(Err(refusal));
        }
    }

    /// Has the leader look again if its timer would be too late for somebody.
    fn wake_leader_by(&self, until: u64) {
        if let Some(leader) = self.leader.as_ref().filter(|leader| leader.wakes > until) {
            leader.seat.call.notify_one();
        }
    }
}

impl Seat {
    fn tell(&self, told: Result<(), Refusal>) {
        // Nobody is told twice: who was told is not in the queue any more.
        let _ = self.told.set(told);
        self.call.notify_one();
    }
}

impl Waiting<'_> {
    /// Waits for the turn.
    ///
    /// # Errors
    /// If it did not come in time.
    pub async fn turn(self) -> Result<(), NoTurn> {
        loop {
            let wakes = self.look(Instant::now());
            if let Some(told) = self.seat.told.get() {
                return told.map_err(|refusal| self.turns.refuse(refusal));
            }
            match wakes {
                // Early or late, it looks again.
                Some(at) => drop(timeout_at(at, self.seat.call.notified()).await),
                None => self.seat.call.notified().await,
            }
        }
    }

    /// Leads if nobody else does: serves all who are due, and tells when to look again.
    fn look(&self, now: Instant) -> Option<Instant> {
        let now = self.turns.micros(now);
        let mut line = self.turns.line();
        if line.leader.as_ref().is_some_and(|leader| leader.number != self.number) {
            return None;
        }
        line.serve(now);
        let wakes = line.queue.wakes(now)?;
        let (number, seat) = (self.number, Arc::clone(&self.seat));
        line.leader = Some(Leader { number, seat, wakes });
        Some(self.turns.began + Duration::from_micros(wakes))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut line = self.turns.line();
        if self.seat.told.get().is_none() {
            line.queue.leave(self.until, self.number);
        }
        if line.leader.as_ref().is_some_and(|leader| leader.number == self.number) {
            line.leader = None;
        }
        if line.leader.is_none()
            && let Some(seat) = line.queue.somebody()
        {
            seat.call.notify_one();
        }
    }
}
