//! Limits that one process counts by itself.

mod hash;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::bounds;
use crate::limit::bucket::{Bucket, Pace, Room};
use crate::limit::quota::{Count, Quota, Slots, Span, Window};
use crate::limit::rule::{Charge, Form, Now, Rule, Subject};
use crate::limit::verdict::{Standing, Verdict};
use hash::Keyed;

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
    hasher: Keyed,
    parts: Vec<Mutex<Map<T>>>,
    /// Callers beyond as many as a part may have, several to one count: nobody is forgotten for them, and
    /// they cannot call without a limit.
    shared: Vec<Mutex<Map<T>>>,
}

type Map<T> = HashMap<u64, T, Keyed>;

/// One count, locked. What is small is looked up once, and written back when it is charged.
enum Held<'t> {
    Rate(&'t Pace, Part<'t, Bucket>, Bucket),
    Day(&'t Quota, Window, Part<'t, Count>, Count),
    Sliding(u64, u64, Part<'t, Slots>),
}

struct Part<'t, T> {
    map: MutexGuard<'t, Map<T>>,
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
        let is_admitted = held.iter().all(|held| held.admits(now));
        let standing = |(charge, held): (&Charge, &mut Held<'_>)| {
            let room = if is_admitted { held.take(now) } else { held.room(now) };
            Standing { rule: charge.rule, room }
        };
        let standings = charges.iter().zip(&mut held).map(standing).collect();
        if is_admitted { Verdict { standings, refused: None } } else { Verdict::of(standings) }
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
            Self::Rate(pace, shards) => {
                let (part, bucket) = shards.hold(subject.0, |bucket| *bucket);
                Held::Rate(pace, part, bucket.unwrap_or_default())
            }
            Self::Day { quota, window, counts } => {
                let (part, count) = counts.hold(subject.0, |count| *count);
                let window = current(&quota.span, window, now);
                Held::Day(quota, window, part, count.unwrap_or_default())
            }
            Self::Sliding { calls, length, slots } => {
                Held::Sliding(*calls, *length, slots.hold(subject.0, |_| ()).0)
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
    fn admits(&self, now: Now) -> bool {
        match self {
            Self::Rate(pace, _, bucket) => bucket.admits(pace, now.steady),
            Self::Day(..) | Self::Sliding(..) => self.room(now).free_after == 0,
        }
    }

    fn room(&self, now: Now) -> Room {
        match self {
            Self::Rate(pace, _, bucket) => bucket.room(pace, now.steady),
            Self::Day(quota, window, _, count) => count.room(quota.calls, *window, now.wall),
            Self::Sliding(calls, length, part) => match part.get() {
                Some(slots) => slots.room(*calls, *length, now.wall),
                None => Room { calls: *calls, whole_after: 0, free_after: 0 },
            },
        }
    }

    fn take(&mut self, now: Now) -> Room {
        match self {
            Self::Rate(pace, part, bucket) => {
                bucket.take(pace, now.steady);
                part.set(*bucket);
            }
            Self::Day(_, window, part, count) => {
                count.take(*window);
                part.set(*count);
            }
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

    fn set(&mut self, counted: T) {
        self.map.insert(self.key, counted);
    }
}

impl<T: Default> Shards<T> {
    fn new() -> Self {
        let hasher = Keyed::new();
        let part = || Mutex::new(HashMap::with_hasher(hasher));
        let parts = || (0..SHARDS).map(|_| part()).collect();
        Self { hasher, parts: parts(), shared: parts() }
    }

    /// Locks the count of a caller, and reads it if there is one.
    fn hold<R>(&self, subject: u64, read: impl Fn(&T) -> R) -> (Part<'_, T>, Option<R>) {
        let hash = self.hasher.hash_one(subject);
        let index = (hash >> 32) as usize % SHARDS;
        let map = lock(&self.parts[index]);
        let found = map.get(&subject).map(&read);
        if found.is_some() || map.len() < bounds::LIMIT_CALLERS_MAX / SHARDS {
            return (Part { map, key: subject }, found);
        }
        drop(map);
        let key = hash % bounds::LIMIT_COUNTS_SHARED as u64;
        let map = lock(&self.shared[index]);
        let found = map.get(&key).map(read);
        (Part { map, key }, found)
    }

    fn forget(&self, subject: u64) {
        let (mut part, _) = self.hold(subject, |_| ());
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
