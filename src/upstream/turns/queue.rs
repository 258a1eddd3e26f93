//! Who is next at an upstream: the core of its budget. It takes the time as an argument and asks no clock.
//!
//! ```text
//! log-ins ─────────────────────────────────────▶ first of all
//! consumer A: begun, then fresh ─┐
//! consumer B: begun, then fresh ─┼─ in turn ───▶ next, once the bucket has room and no stop is on
//! consumer C: begun, then fresh ─┘
//! ```
//!
//! Each consumer has a lane. Lanes have their turns one after the other, so that a thousand calls of one consumer
//! delay a call of another one by one turn. Within a lane, what belongs to a call that has begun goes before what
//! has not, and else it is first in, first out. Nobody passes while somebody waits who came before.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::limit::Pace;
use crate::limit::bucket::Bucket;

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// All together.
    pub(super) all: usize,
    /// Of one consumer.
    pub(super) lane: usize,
}

/// What a request is to its upstream's other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// It gets a session that others wait for: it goes first of all, and waits as long as it has time.
    LogIn,
    /// It asks what became of a call, or reads after it: before the consumer's other calls, as long as it has time.
    After,
    /// It belongs to a call of which another request has had a turn: before the consumer's other calls.
    Begun,
    /// Nothing of its call has had a turn.
    Fresh,
}

/// Somebody who wants a turn. All times are microseconds since the same moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) consumer: u32,
    pub(super) rank: Rank,
    /// When it is too late.
    pub(super) until: u64,
}

/// What somebody is told who wants a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is theirs.
    Goes,
    /// They wait, under this number.
    Waits(u64),
    /// It will not come in time, or too many wait.
    Refused(Refusal),
}

/// There is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Microseconds after which there would have been one.
    pub(super) after: u64,
    /// True if the upstream itself has said so.
    pub(super) is_stopped: bool,
}

/// What those who wait are held by is up to the caller.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// None if there is no limit: then only a stop makes anybody wait.
    pace: Option<Pace>,
    bucket: Bucket,
    bounds: Bounds,
    stop: Stop,
    log_ins: VecDeque<Waiting<T>>,
    /// Those in which somebody waits; the first one's turn is next.
    lanes: VecDeque<Lane<T>>,
    /// Who waits, by when it is too late and by number, with the lane; none for log-ins.
    ends: BTreeMap<(u64, u64), Option<u32>>,
    number: u64,
}

/// Until when the upstream wants no request.
#[derive(Clone, Copy, Debug, Default)]
struct Stop {
    /// As it is obeyed.
    until: u64,
    /// As it was said.
    told: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    until: u64,
    holder: T,
}

#[derive(Debug)]
struct Lane<T> {
    consumer: u32,
    begun: VecDeque<Waiting<T>>,
    fresh: VecDeque<Waiting<T>>,
}

impl<T> Queue<T> {
    pub(super) fn new(pace: Option<Pace>, bounds: Bounds) -> Self {
        Self {
            pace,
            bucket: Bucket::default(),
            bounds,
            stop: Stop::default(),
            log_ins: VecDeque::new(),
            lanes: VecDeque::new(),
            ends: BTreeMap::new(),
            number: 0,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.ends.len()
    }

    /// True while the upstream wants no request.
    pub(super) fn is_stopped(&self, now: u64) -> bool {
        self.stop.until > now
    }

    /// Somebody wants a turn. Those who waited and are due have to be let go before; see [`next`](Self::next).
    pub(super) fn arrive(
        &mut self,
        asking: Asking,
        now: u64,
        holder: impl FnOnce() -> T,
    ) -> Arrival {
        let after = self.turn_after(&asking, now);
        if after == 0 && self.ends.is_empty() {
            self.charge(now);
            return Arrival::Goes;
        }
        if now.saturating_add(after) > asking.until || self.is_full(&asking) {
            return Arrival::Refused(self.refusal(after, now));
        }
        let (number, until) = (self.number, asking.until);
        self.number += 1;
        let waiting = Waiting { number, until, holder: holder() };
        let lane = (asking.rank != Rank::LogIn).then_some(asking.consumer);
        self.ends.insert((until, number), lane);
        match asking.rank {
            Rank::LogIn => self.log_ins.push_back(waiting),
            Rank::After | Rank::Begun => self.lane(asking.consumer).begun.push_back(waiting),
            Rank::Fresh => self.lane(asking.consumer).fresh.push_back(waiting),
        }
        Arrival::Waits(number)
    }

    /// Charges a request that leaves whatever the bucket says.
    pub(super) fn charge(&mut self, now: u64) {
        if let Some(pace) = &self.pace {
            self.bucket.take(pace, now);
        }
    }

    /// Whose turn it is now, which is charged; none if it is nobody's yet.
    pub(super) fn next(&mut self, now: u64) -> Option<T> {
        if self.ends.is_empty() || self.free_at(now, 1) > now {
            return None;
        }
        let waiting = match self.log_ins.pop_front() {
            Some(waiting) => waiting,
            None => {
                let mut lane = self.lanes.pop_front()?;
                let waiting = lane.begun.pop_front().or_else(|| lane.fresh.pop_front())?;
                if lane.waiting() > 0 {
                    self.lanes.push_back(lane);
                }
                waiting
            }
        };
        self.ends.remove(&(waiting.until, waiting.number));
        self.charge(now);
        Some(waiting.holder)
    }

    /// Somebody whose time is over, and what they are told; none if nobody's is.
    pub(super) fn expired(&mut self, now: u64) -> Option<(T, Refusal)> {
        let (&(until, number), _) = self.ends.first_key_value()?;
        if until > now {
            return None;
        }
        let refusal = self.refusal(self.free_at(now, 1) - now, now);
        Some((self.leave(until, number)?, refusal))
    }

    /// Somebody waits no longer; none if they did not wait.
    pub(super) fn leave(&mut self, until: u64, number: u64) -> Option<T> {
        let lane = self.ends.remove(&(until, number))?;
        let Some(consumer) = lane else { return take_out(&mut self.log_ins, number) };
        let place = self.lanes.iter().position(|lane| lane.consumer == consumer)?;
        let lane = self.lanes.get_mut(place)?;
        let holder =
            take_out(&mut lane.begun, number).or_else(|| take_out(&mut lane.fresh, number));
        if lane.waiting() == 0 {
            self.lanes.remove(place);
        }
        holder
    }

    /// When to look again: a turn is due then, or somebody's time is over. None if nobody waits.
    pub(super) fn wakes(&self, now: u64) -> Option<u64> {
        let (&(until, _), _) = self.ends.first_key_value()?;
        Some(until.min(self.free_at(now, 1)))
    }

    /// Somebody who waits.
    pub(super) fn somebody(&self) -> Option<&T> {
        let first = self.log_ins.front().or_else(|| {
            let lane = self.lanes.front()?;
            lane.begun.front().or_else(|| lane.fresh.front())
        });
        first.map(|waiting| &waiting.holder)
    }

    /// The upstream wants no request for so long, of which so much is obeyed. A shorter word ends no longer one.
    pub(super) fn stop(&mut self, now: u64, told: u64, obeyed: u64) {
        self.stop.until = self.stop.until.max(now.saturating_add(obeyed.min(told)));
        self.stop.told = self.stop.told.max(now.saturating_add(told));
    }

    /// When the last of so many requests can leave, if nobody else comes.
    fn free_at(&self, now: u64, requests: u64) -> u64 {
        let begins = now.max(self.stop.until);
        let after = self.pace.as_ref().map(|pace| self.bucket.free_after(pace, begins, requests));
        begins.saturating_add(after.unwrap_or(0))
    }

    /// Microseconds after which the turn comes, if nobody else comes or goes.
    fn turn_after(&self, asking: &Asking, now: u64) -> u64 {
        let ahead = u64::try_from(self.ahead(asking)).unwrap_or(u64::MAX);
        self.free_at(now, ahead.saturating_add(1)) - now
    }

    /// How many have their turns before.
    fn ahead(&self, asking: &Asking) -> usize {
        if asking.rank == Rank::LogIn {
            return self.log_ins.len();
        }
        let place = self.lanes.iter().position(|lane| lane.consumer == asking.consumer);
        let own =
            place.and_then(|place| self.lanes.get(place)).map_or(0, |lane| match asking.rank {
                Rank::Fresh => lane.waiting(),
                Rank::LogIn | Rank::After | Rank::Begun => lane.begun.len(),
            });
        let others = self.lanes.iter().enumerate().map(|(index, lane)| {
            // Lanes that stand before have one turn more; a new lane stands behind all.
            let rounds = own + usize::from(place.is_none_or(|place| index < place));
            if Some(index) == place { 0 } else { lane.waiting().min(rounds) }
        });
        self.log_ins.len() + own + others.sum::<usize>()
    }

    fn is_full(&self, asking: &Asking) -> bool {
        let lane = self.lanes.iter().find(|lane| lane.consumer == asking.consumer);
        let own = lane.map_or(0, Lane::waiting);
        let is_lane_full = asking.rank != Rank::LogIn && own >= self.bounds.lane;
        self.ends.len() >= self.bounds.all || is_lane_full
    }

    fn refusal(&self, after: u64, now: u64) -> Refusal {
        let is_stopped = self.is_stopped(now);
        let told = if is_stopped { self.stop.told.saturating_sub(now) } else { 0 };
        Refusal { after: after.max(told), is_stopped }
    }

    /// The consumer's lane; a new one stands behind all others.
    fn lane(&mut self, consumer: u32) -> &mut Lane<T> {
        let place = self.lanes.iter().position(|lane| lane.consumer == consumer);
        let place = place.unwrap_or_else(|| {
            let (begun, fresh) = (VecDeque::new(), VecDeque::new());
            self.lanes.push_back(Lane { consumer, begun, fresh });
            self.lanes.len() - 1
        });
        &mut self.lanes[place]
    }
}

impl<T> Lane<T> {
    fn waiting(&self) -> usize {
        self.begun.len() + self.fresh.len()
    }
}

/// Numbers rise in a queue.
fn take_out<T>(queue: &mut VecDeque<Waiting<T>>, number: u64) -> Option<T> {
    let place = queue.binary_search_by_key(&number, |waiting| waiting.number).ok()?;
    queue.remove(place).map(|waiting| waiting.holder)
}
