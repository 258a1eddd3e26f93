//! Limits that one process counts by itself.
//!
//! What it counts of quotas may outlive it ([`kept`]): a call then notes that its caller's count has changed, which
//! is all that it pays for that.

mod hash;
pub mod kept;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::bounds;
use crate::limit::bucket::{Bucket, Pace, Room};
use crate::limit::overview::Counted;
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
    keep: Keep,
}

/// Whether what is counted of quotas is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// It ends with the process.
    #[default]
    Not,
    /// It is.
    Alone,
    /// It is, where others write down theirs.
    Shared,
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
    parts: Vec<Mutex<Callers<T>>>,
    /// Callers beyond as many as a part may have, several to one count: nobody is forgotten for them, and
    /// they cannot call without a limit.
    shared: Vec<Mutex<Callers<T>>>,
}

/// A part of a table.
#[derive(Debug)]
struct Callers<T> {
    map: HashMap<u64, T, Keyed>,
    /// Those whose count has changed since it was written down, each once.
    noted: Vec<u64>,
}

/// One count, locked. What is small is looked up once, and written back when it is charged.
enum Held<'t> {
    Rate(&'t Pace, Part<'t, Bucket>, Bucket),
    Day(&'t Quota, Window, Part<'t, Count>, Count),
    Sliding(u64, u64, Part<'t, Slots>),
}

struct Part<'t, T> {
    callers: MutexGuard<'t, Callers<T>>,
    key: u64,
    /// False for a count that several callers share: nobody could tell whose it was.
    is_one: bool,
}

impl Memory {
    /// Counts for these rules, which are named by their index.
    pub fn new(rules: Arc<[Rule]>) -> Self {
        Self::kept(rules, Keep::Not)
    }

    /// The same, whose quotas are written down.
    pub fn kept(rules: Arc<[Rule]>, keep: Keep) -> Self {
        let tables = rules.iter().map(|rule| Table::new(&rule.form)).collect();
        Self { rules, tables, keep }
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
            let room = if is_admitted { held.take(now, self.keep) } else { held.room(now) };
            Standing { rule: charge.rule, room }
        };
        let standings = charges.iter().zip(&mut held).map(standing).collect();
        if is_admitted {
            return Verdict { standings, refused: None };
        }
        let verdict = Verdict::of(standings);
        if self.keep == Keep::Shared {
            // Somebody may have been given calls back elsewhere.
            let refusing = verdict.standings.iter().map(|standing| standing.room.free_after > 0);
            for (held, _) in held.iter_mut().zip(refusing).filter(|(_, refuses)| *refuses) {
                held.note();
            }
        }
        verdict
    }

    /// How one limit stands for a caller, without a charge.
    pub fn look(&self, charge: Charge, now: Now) -> Room {
        self.tables[charge.rule].hold(charge.subject, now).room(now)
    }

    /// Forgets what is counted of a caller; says whether there was anything.
    pub fn reset(&self, charge: Charge) -> bool {
        match &self.tables[charge.rule] {
            Table::Rate(_, shards) => shards.forget(charge.subject.0),
            Table::Day { counts, .. } => counts.forget(charge.subject.0),
            Table::Sliding { slots, .. } => slots.forget(charge.subject.0),
        }
    }

    /// Forgets what is counted of all callers; says of how many.
    pub fn reset_all(&self, rule: usize) -> usize {
        let callers = self.callers(rule);
        match &self.tables[rule] {
            Table::Rate(_, shards) => shards.sweep(|_| true),
            Table::Day { counts, .. } => counts.sweep(|_| true),
            Table::Sliding { slots, .. } => slots.sweep(|_| true),
        }
        callers
    }

    /// How a limit stands for one caller, or for those with the fewest calls left, in no order; and of how many
    /// something is counted.
    pub fn standings(
        &self,
        rule: usize,
        only: Option<Subject>,
        most: usize,
        now: Now,
    ) -> (Vec<Counted>, usize) {
        match &self.tables[rule] {
            Table::Rate(pace, shards) => {
                shards.fewest(only.map(|only| only.0), most, |bucket| bucket.room(pace, now.steady))
            }
            Table::Day { quota, window, counts } => {
                let window = current(&quota.span, window, now);
                counts.fewest(only.map(|only| only.0), most, |count| {
                    count.room(quota.calls, window, now.wall)
                })
            }
            Table::Sliding { calls, length, slots } => {
                slots.fewest(only.map(|only| only.0), most, |slots| {
                    slots.room(*calls, *length, now.wall)
                })
            }
        }
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

    fn take(&mut self, now: Now, keep: Keep) -> Room {
        let is_kept = keep != Keep::Not;
        match self {
            Self::Rate(pace, part, bucket) => {
                bucket.take(pace, now.steady);
                part.set(*bucket);
            }
            Self::Day(_, window, part, count) => {
                count.take(*window);
                if is_kept {
                    part.note(&mut count.noted);
                }
                part.set(*count);
            }
            Self::Sliding(_, length, part) => part.change(is_kept, |slots| {
                slots.take(*length, now.wall);
                &mut slots.noted
            }),
        }
        self.room(now)
    }

    /// Has somebody write the count down, if it is one that is.
    fn note(&mut self) {
        match self {
            Self::Rate(..) => {}
            Self::Day(_, _, part, _) => part.change(true, |count| &mut count.noted),
            Self::Sliding(_, _, part) => part.change(true, |slots| &mut slots.noted),
        }
    }
}

impl<T: Default> Part<'_, T> {
    fn get(&self) -> Option<&T> {
        self.callers.map.get(&self.key)
    }

    fn entry(&mut self) -> &mut T {
        self.callers.map.entry(self.key).or_default()
    }

    fn set(&mut self, counted: T) {
        self.callers.map.insert(self.key, counted);
    }

    /// Has somebody look at the count, unless somebody will.
    fn note(&mut self, is_noted: &mut bool) {
        if self.is_one && !std::mem::replace(is_noted, true) {
            self.callers.noted.push(self.key);
        }
    }

    /// Changes the count and has somebody look at it; what is given back says whether somebody will.
    fn change(&mut self, is_kept: bool, change: impl FnOnce(&mut T) -> &mut bool) {
        let Callers { map, noted } = &mut *self.callers;
        let is_noted = change(map.entry(self.key).or_default());
        if is_kept && self.is_one && !std::mem::replace(is_noted, true) {
            noted.push(self.key);
        }
    }
}

impl<T: Default> Shards<T> {
    fn new() -> Self {
        let hasher = Keyed::new();
        let part = || Mutex::new(Callers { map: HashMap::with_hasher(hasher), noted: Vec::new() });
        let parts = || (0..SHARDS).map(|_| part()).collect();
        Self { hasher, parts: parts(), shared: parts() }
    }

    /// Locks the count of a caller, and reads it if there is one.
    fn hold<R>(&self, subject: u64, read: impl Fn(&T) -> R) -> (Part<'_, T>, Option<R>) {
        let hash = self.hasher.hash_one(subject);
        let index = (hash >> 32) as usize % SHARDS;
        let callers = lock(&self.parts[index]);
        let found = callers.map.get(&subject).map(&read);
        if found.is_some() || callers.map.len() < bounds::LIMIT_CALLERS_MAX / SHARDS {
            return (Part { callers, key: subject, is_one: true }, found);
        }
        drop(callers);
        let key = hash % bounds::LIMIT_COUNTS_SHARED as u64;
        let callers = lock(&self.shared[index]);
        let found = callers.map.get(&key).map(read);
        (Part { callers, key, is_one: false }, found)
    }

    fn forget(&self, subject: u64) -> bool {
        let (mut part, _) = self.hold(subject, |_| ());
        let key = part.key;
        part.callers.noted.retain(|noted| *noted != key);
        part.callers.map.remove(&key).is_some()
    }

    fn fewest(
        &self,
        only: Option<u64>,
        most: usize,
        room: impl Fn(&T) -> Room,
    ) -> (Vec<Counted>, usize) {
        let counted = |(key, one): (&u64, &T)| Counted { subject: Subject(*key), room: room(one) };
        let mut found: Vec<Counted> = Vec::new();
        if let Some(only) = only {
            let (part, room) = self.hold(only, &room);
            let room = room.filter(|_| part.is_one);
            found.extend(room.map(|room| Counted { subject: Subject(only), room }));
            let count = found.len();
            return (found, count);
        }
        for part in &self.parts {
            found.extend(lock(part).map.iter().map(counted));
            if found.len() > most {
                found.select_nth_unstable_by_key(most, |one| (one.room.calls, one.subject.0));
                found.truncate(most);
            }
        }
        // Between two looks some may have come or gone.
        let count = self.len().max(found.len());
        (found, count)
    }

    fn len(&self) -> usize {
        self.parts.iter().chain(&self.shared).map(|part| lock(part).map.len()).sum()
    }

    fn sweep(&self, is_over: impl Fn(&T) -> bool) {
        for part in self.parts.iter().chain(&self.shared) {
            let Callers { map, noted } = &mut *lock(part);
            map.retain(|_, counted| !is_over(counted));
            noted.retain(|key| map.contains_key(key));
            // Room for twice as many stays, so that nothing is moved to and fro.
            if map.capacity() / 4 > map.len() {
                map.shrink_to(map.len() * 2);
                noted.shrink_to(map.len());
            }
        }
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
