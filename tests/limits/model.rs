//! A model of limits, written from their definitions and without regard to speed.
//!
//! A rate is GCRA by the virtual schedule of ITU-T I.371: the time at which the next call is expected, as a fraction.
//! A quota keeps every call. What clocks that jump come to is as `bucket.rs` and `quota.rs` say it.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use latimer::limit::{Charge, Room, Rule};

use crate::{DAY, HOUR, SECOND, daily, rate, sliding};

/// A limit, by what an operator would ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Rate { count: u32, seconds: u64, burst: u32 },
    Day { calls: u64, zone: &'static str },
    Sliding { calls: u64, length: u64 },
}

/// What is known of one caller of one limit.
#[derive(Debug, Default)]
struct Known {
    /// When the next call is expected, in microseconds times the rate's count.
    expected: u128,
    /// When the last one came.
    last: u64,
    /// When the day began that the calls are of.
    day: u64,
    /// Parts of time that calls were in; of a day, nothing but how many.
    calls: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Model {
    wanted: Vec<Wanted>,
    known: HashMap<(usize, u64), Known>,
}

impl Wanted {
    pub(crate) fn rule(&self, name: &str) -> Rule {
        match *self {
            Self::Rate { count, seconds, burst } => rate(name, count, seconds, burst),
            Self::Day { calls, zone } => daily(name, calls, zone),
            Self::Sliding { calls, length } => sliding(name, calls, length),
        }
    }

    /// The time of a call, as a fraction of microseconds. It is a whole number of them where 2^53 parts are too few.
    fn interval(count: u32, seconds: u64, burst: u32) -> (u128, u128) {
        let (per, count) = (u128::from(seconds) * 1_000_000, u128::from(count));
        let (mut shared, mut rest) = (per, count);
        while rest > 0 {
            (shared, rest) = (rest, shared % rest);
        }
        if per / shared * (u128::from(burst) + 1) > 1 << 53 {
            return (per.div_ceil(count), 1);
        }
        (per, count)
    }
}

impl Model {
    pub(crate) fn new(wanted: &[Wanted]) -> Self {
        Self { wanted: wanted.to_vec(), known: HashMap::new() }
    }

    /// Which limit refused, and what all of them have room for.
    pub(crate) fn charge(&mut self, charges: &[Charge], now: u64) -> (Option<usize>, Vec<Room>) {
        let rooms: Vec<Room> = charges.iter().map(|charge| self.look(*charge, now)).collect();
        let longest = rooms.iter().map(|room| room.free_after).max().unwrap_or(0);
        if longest > 0 {
            return (rooms.iter().position(|room| room.free_after == longest), rooms);
        }
        for charge in charges {
            let known = self.known.entry((charge.rule, charge.subject.0)).or_default();
            take(self.wanted[charge.rule], known, now);
        }
        (None, charges.iter().map(|charge| self.look(*charge, now)).collect())
    }

    pub(crate) fn look(&self, charge: Charge, now: u64) -> Room {
        let none = Known::default();
        let known = self.known.get(&(charge.rule, charge.subject.0)).unwrap_or(&none);
        room(self.wanted[charge.rule], known, now)
    }

    pub(crate) fn reset(&mut self, charge: Charge) {
        self.known.remove(&(charge.rule, charge.subject.0));
    }
}

fn room(wanted: Wanted, known: &Known, now: u64) -> Room {
    match wanted {
        Wanted::Rate { count, seconds, burst } => {
            let (interval, parts) = Wanted::interval(count, seconds, burst);
            let (now, expected) = (u128::from(now) * parts, expected(known, now, parts));
            let ahead = expected - now;
            let full = interval * u128::from(burst);
            let number = |number: u128| u64::try_from(number).unwrap();
            Room {
                calls: number((full - ahead) / interval),
                whole_after: number(ahead.div_ceil(parts)),
                free_after: number((ahead + interval).saturating_sub(full).div_ceil(parts)),
            }
        }
        Wanted::Day { calls, zone } => {
            let (_, end) = day(now, zone);
            let used =
                if day_counted(known, now, zone) == known.day { known.calls.len() } else { 0 };
            let (left, rest) = (calls.saturating_sub(used as u64), end - now);
            Room { calls: left, whole_after: rest, free_after: if left == 0 { rest } else { 0 } }
        }
        Wanted::Sliding { calls, length } => {
            let part = length.div_ceil(24).max(1);
            let ends = known.calls.iter().map(|number| (number + 1) * part + length);
            let waits = ends.map(|end| end.min(now + part + length).saturating_sub(now));
            let waits: Vec<u64> = waits.filter(|wait| *wait > 0).collect();
            let left = calls.saturating_sub(waits.len() as u64);
            Room {
                calls: left,
                whole_after: waits.iter().max().copied().unwrap_or(0),
                free_after: if left > 0 { 0 } else { waits.iter().min().copied().unwrap_or(0) },
            }
        }
    }
}

fn take(wanted: Wanted, known: &mut Known, now: u64) {
    match wanted {
        Wanted::Rate { count, seconds, burst } => {
            let (interval, parts) = Wanted::interval(count, seconds, burst);
            // Who comes out of order by no more than a second is as late as the one before.
            let is_late = known.last.saturating_sub(now) <= SECOND;
            let at = if is_late { known.last.max(now) } else { now };
            known.expected = expected(known, at, parts) + interval;
            known.last = at;
        }
        Wanted::Day { zone, .. } => {
            let day = day_counted(known, now, zone);
            if day != known.day {
                known.calls.clear();
            }
            known.day = day;
            known.calls.push(day);
        }
        Wanted::Sliding { length, .. } => {
            let current = now / length.div_ceil(24).max(1);
            known.calls.retain(|number| number + 25 >= current);
            for number in &mut known.calls {
                *number = (*number).min(current);
            }
            known.calls.push(current);
        }
    }
}

/// When a call is expected, and now at the earliest. A clock that went back has let no time pass.
fn expected(known: &Known, now: u64, parts: u128) -> u128 {
    let back = u128::from(known.last.saturating_sub(now)) * parts;
    known.expected.saturating_sub(back).max(u128::from(now) * parts)
}

/// Midnight before, and after.
fn day(now: u64, zone: &str) -> (u64, u64) {
    let zone = TimeZone::get(zone).unwrap();
    let at = Timestamp::from_microsecond(i64::try_from(now).unwrap()).unwrap().to_zoned(zone);
    let micros = |at: jiff::Zoned| u64::try_from(at.timestamp().as_microsecond()).unwrap();
    let next = at.checked_add(1.day()).unwrap();
    (micros(at.start_of_day().unwrap()), micros(next.start_of_day().unwrap()))
}

/// When the day began that counts: the one that it is, or the one that had begun before the clock went back.
fn day_counted(known: &Known, now: u64, zone: &str) -> u64 {
    let (begins, _) = day(now, zone);
    if known.day > begins && known.day <= begins + DAY + 12 * HOUR { known.day } else { begins }
}
