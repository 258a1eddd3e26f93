//! What was counted of quotas and is not written down, and what was written down before.
//!
//! Counts are told as additions, for others may add to the same ones. Who is told a total counts here what others
//! have added, and no more what they have forgotten.

use crate::limit::memory::{Memory, Shards, Table, lock};
use crate::limit::quota::{Addition, Count, Quota, Slots, Span, slot_length};
use crate::limit::rule::{Form, Now, Subject};

/// A day has at most 25 hours, and one that has begun goes on for a day and a half if the clock is set back.
const DAY_KEPT: u64 = 3 * 86_400_000_000;

/// Calls of a caller that are to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    /// Index of the rule.
    pub rule: usize,
    /// Whose calls.
    pub subject: Subject,
    /// Which, and how many.
    pub addition: Addition,
}

/// A part of the time of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The length that the quota counts over, in microseconds; 0 for days.
    pub span: u64,
    /// When it begins, in microseconds since the epoch.
    pub start: u64,
    /// When it counts no more.
    pub end: u64,
}

/// The length that a quota counts over, in microseconds; 0 for days.
pub fn span(quota: &Quota) -> u64 {
    match quota.span {
        Span::Day { .. } => 0,
        Span::Sliding(length) => length,
    }
}

impl Memory {
    /// What is to be written down, of so many callers at most. It counts as written from here on.
    pub fn unwritten(&self, most: usize) -> Vec<Unwritten> {
        let mut found = Vec::new();
        for (rule, table) in self.tables.iter().enumerate() {
            let mut put = |subject: u64, addition: Addition| {
                found.push(Unwritten { rule, subject: Subject(subject), addition });
            };
            match table {
                Table::Rate(..) => {}
                Table::Day { counts, .. } => {
                    counts.take_noted(most, |key, count: &mut Count| put(key, count.addition()));
                }
                Table::Sliding { slots, .. } => slots.take_noted(most, |key, slots: &mut Slots| {
                    slots.additions().into_iter().for_each(|addition| put(key, addition));
                }),
            }
        }
        found
    }

    /// Takes over the total that was there once an addition was written down.
    pub fn settle(&self, written: &Unwritten, total: u64) {
        let Unwritten { rule, subject, addition } = *written;
        match &self.tables[rule] {
            Table::Rate(..) => {}
            Table::Day { counts, .. } => {
                counts.change(subject.0, |count| count.settle(addition, total));
            }
            Table::Sliding { slots, .. } => {
                slots.change(subject.0, |slots| slots.settle(addition, total));
            }
        }
    }

    /// Takes over what was written down before.
    pub fn restore(&self, rule: usize, subject: Subject, start: u64, calls: u64, now: Now) {
        match &self.tables[rule] {
            Table::Rate(..) => {}
            Table::Day { counts, .. } => {
                let (mut part, _) = counts.hold(subject.0, |_| ());
                if part.is_one {
                    part.entry().restore(start, calls, now.wall);
                }
            }
            Table::Sliding { length, slots, .. } => {
                let (mut part, _) = slots.hold(subject.0, |_| ());
                if part.is_one {
                    part.entry().restore(start / slot_length(*length), calls);
                }
            }
        }
    }

    /// The time that an addition is of; none for a rule that is no quota.
    pub fn part(&self, written: &Unwritten) -> Option<Part> {
        let Form::Quota(quota) = &self.rules()[written.rule].form else { return None };
        let part = written.addition.part;
        Some(match quota.span {
            Span::Day { .. } => Part { span: 0, start: part, end: part + DAY_KEPT },
            Span::Sliding(length) => {
                let slot = slot_length(length);
                let start = part.saturating_mul(slot);
                Part { span: length, start, end: start.saturating_add(slot + length) }
            }
        })
    }
}

impl<T: Default> Shards<T> {
    /// Takes callers whose count has changed, until there are so many.
    fn take_noted(&self, most: usize, mut take: impl FnMut(u64, &mut T)) {
        let mut taken = 0;
        for part in &self.parts {
            let part = &mut *lock(part);
            while taken < most {
                let Some(key) = part.noted.pop() else { break };
                if let Some(counted) = part.map.get_mut(&key) {
                    take(key, counted);
                    taken += 1;
                }
            }
        }
    }

    /// Changes a count, if it is there.
    fn change(&self, subject: u64, change: impl FnOnce(&mut T)) {
        let (mut part, _) = self.hold(subject, |_| ());
        let key = part.key;
        if part.is_one
            && let Some(counted) = part.callers.map.get_mut(&key)
        {
            change(counted);
        }
    }
}
