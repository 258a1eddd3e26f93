//! Limits that one process counts by itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::bounds;
use crate::limit::bucket::{Bucket, Pace, Room};
use crate::limit::quota::{Count, Quota, Slots, Span, Window};
use crate::limit::rule::{Charge, Form, Now, Rule, Subject};
use crate::limit::verdict::{Standing, Verdict};

/// Parts of a table, so that calls of different callers seldom wait for each other.
const SHARDS: usize = 64;

/// The counts of some rules.
#[derive(Debug)]
pub struct Memory {
    rules: Arc<[Rule]>,
    tables: Vec<Table>,
}

/// The counts of one rule.
#[derive(Debug)]
enum Table {
    Rate(Pace, Shards<Bucket>),
    Day { quota: Quota, window: ArcSwap<Window>, counts: Shards<Count> },
    Sliding { calls: u64, length: u64, slots: Shards<Slots> },
}

/// A map from callers to what is counted of them.
#[derive(Debug)]
struct Shards<T> {
    hasher: RandomState,
    parts: Vec<Mutex<HashMap<u64, T>>>,
    /// Callers beyond as many as a part may have, several to one count: nobody is forgotten for them, and
    /// they cannot call without a limit.
    shared: Vec<Mutex<HashMap<u64, T>>>,
}

/// One count, locked.
enum Held<'t> {
    Rate(&'t Pace, Part<'t, Bucket>),
    Day(&'t Quota, Window, Part<'t, Count>),
    Sliding(u64, u64, Part<'t, Slots>),
}

struct Part<'t, T> {
    map: MutexGuard<'t, HashMap<u64, T>>,
    key: u64,
}

impl Memory {
    /// Counts for these rules, which are named by their index.
    pub fn new(rules: Arc<[Rule]>) -> Self {
        let tables = rules.iter().map(|rule| Table::new(&rule.form)).collect();
        Self { rules, tables }
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<[Rule]> {
        &self.rules
    }

    /// Checks all limits of a call, and charges all of them or none.
    ///
    /// Their rules must differ, and be named in the order of their index: so two calls never wait for each other
    /// in a ring.
    pub fn charge(&self, charges: &[Charge], now: Now) -> Verdict {
        debug_assert!(charges.is_sorted_by(|one, next| one.rule < next.rule), "{charges:?}");
        let mut held: SmallVec<[Held<'_>; 2]> = charges
            .iter()
            .map(|charge| self.tables[charge.rule].hold(charge.subject, now))
            .collect();
        let standings = charges
            .iter()
            .zip(&held)
            .map(|(charge, held)| Standing { rule: charge.rule, room: held.room(now) });
        let mut verdict = Verdict::of(standings.collect());
        if verdict.refused.is_none() {
            for (held, standing) in held.iter_mut().zip(&mut verdict.standings) {
                standing.room = held.take(now);
            }
        }
        verdict
    }

    /// How one limit stands for a caller, without a charge.
    pub fn look(&self, charge: Charge, now: Now) -> Room {
        self.tables[charge.rule].hold(charge.subject, now).room(now)
    }

    /// Forgets what is counted of a caller.
    pub fn reset(&self, charge: Charge) {
        self.tables[charge.rule].forget(charge.subject);
    }

    /// Callers of whom something is counted, by rule.
    pub fn callers(&self, rule: usize) -> usize {
        match &self.tables[rule] {
            Table::Rate(_, shards) => shards.len(),
            Table::Day { counts, .. } => counts.len(),
            Table::Sliding { slots, .. } => slots.len(),
        }
    }

    /// Forgets callers of whom nothing counts any more, and gives their memory back.
    pub fn sweep(&self, now: Now) {
        for table in &self.tables {
            match table {
                Table::Rate(pace, shards) => {
                    shards.sweep(|bucket| bucket.is_empty(pace, now.steady))
                }
                Table::Day { window, counts, quota } => {
                    let window = current(&quota.span, window, now);
                    counts.sweep(|count| count.is_over(window));
                }
                Table::Sliding { length, slots, .. } => {
                    slots.sweep(|slots| slots.is_over(*length, now.wall));
                }
            }
        }
    }
}

impl Table {
    fn new(form: &Form) -> Self {
        match form {
            Form::Rate { pace, .. } => Self::Rate(*pace, Shards::new()),
            Form::Quota(Quota { calls, span: Span::Sliding(length) }) => {
                Self::Sliding { calls: *calls, length: *length, slots: Shards::new() }
            }
            Form::Quota(quota) => Self::Day {
                quota: quota.clone(),
                window: ArcSwap::from_pointee(Window { start: 0, end: 0 }),
                counts: Shards::new(),
            },
        }
    }

    fn hold(&self, subject: Subject, now: Now) -> Held<'_> {
        match self {
            Self::Rate(pace, shards) => Held::Rate(pace, shards.hold(subject.0)),
            Self::Day { quota, window, counts } => {
                Held::Day(quota, current(&quota.span, window, now), counts.hold(subject.0))
            }
            Self::Sliding { calls, length, slots } => {
                Held::Sliding(*calls, *length, slots.hold(subject.0))
            }
        }
    }

    fn forget(&self, subject: Subject) {
        match self {
            Self::Rate(_, shards) => shards.forget(subject.0),
            Self::Day { counts, .. } => counts.forget(subject.0),
            Self::Sliding { slots, .. } => slots.forget(subject.0),
        }
    }
}

/// The day that it is, for which the calendar is asked once.
fn current(span: &Span, known: &ArcSwap<Window>, now: Now) -> Window {
    let window = **known.load();
    if (window.start..window.end).contains(&now.wall) {
        return window;
    }
    let window = span.window(now.wall);
    known.store(Arc::new(window));
    window
}

impl Held<'_> {
    fn room(&self, now: Now) -> Room {
        match self {
            Self::Rate(pace, part) => {
                part.get().copied().unwrap_or_default().room(pace, now.steady)
            }
            Self::Day(quota, window, part) => {
                part.get().copied().unwrap_or_default().room(quota.calls, *window, now.wall)
            }
            Self::Sliding(calls, length, part) => match part.get() {
                Some(slots) => slots.room(*calls, *length, now.wall),
                None => Room { calls: *calls, whole_after: 0, free_after: 0 },
            },
        }
    }

    fn take(&mut self, now: Now) -> Room {
        match self {
            Self::Rate(pace, part) => part.entry().take(pace, now.steady),
            Self::Day(_, window, part) => part.entry().take(*window),
            Self::Sliding(_, length, part) => part.entry().take(*length, now.wall),
        }
        self.room(now)
    }
}

impl<T: Default> Part<'_, T> {
    fn get(&self) -> Option<&T> {
        self.map.get(&self.key)
    }

    fn entry(&mut self) -> &mut T {
        self.map.entry(self.key).or_default()
    }
}

impl<T: Default> Shards<T> {
    fn new() -> Self {
        let parts = || (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::new(), parts: parts(), shared: parts() }
    }

    fn hold(&self, subject: u64) -> Part<'_, T> {
        let hash = self.hasher.hash_one(subject);
        let index = (hash >> 32) as usize % SHARDS;
        let map = lock(&self.parts[index]);
        if map.len() < bounds::LIMIT_CALLERS_MAX / SHARDS || map.contains_key(&subject) {
            return Part { map, key: subject };
        }
        drop(map);
        let key = hash % bounds::LIMIT_COUNTS_SHARED as u64;
        Part { map: lock(&self.shared[index]), key }
    }

    fn forget(&self, subject: u64) {
        let mut part = self.hold(subject);
        part.map.remove(&part.key);
    }

    fn len(&self) -> usize {
        self.parts.iter().chain(&self.shared).map(|part| lock(part).len()).sum()
    }

    fn sweep(&self, is_over: impl Fn(&T) -> bool) {
        for part in self.parts.iter().chain(&self.shared) {
            let mut part = lock(part);
            part.retain(|_, counted| !is_over(counted));
            // Room for twice as many stays, so that nothing is moved to and fro.
            if part.capacity() / 4 > part.len() {
                let room = part.len() * 2;
                part.shrink_to(room);
            }
        }
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
