//! The count of a quota: so many calls in a day that begins at a set time somewhere, or in any such time.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use smallvec::SmallVec;

use crate::limit::bucket::Room;

/// Parts that the time of a sliding quota is counted in.
const SLOTS: u64 = 24;
/// A day, in microseconds.
const DAY: u64 = 86_400_000_000;

/// How many calls in what time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls.
    pub calls: u64,
    /// In what time.
    pub span: Span,
}

/// The time that a quota counts in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// From one such time of day to the next one.
    Day {
        /// When the day begins.
        begins: Time,
        /// Where.
        zone: TimeZone,
    },
    /// Any time of so many microseconds.
    Sliding(u64),
}

/// The part of time that counts now, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first one.
    pub start: u64,
    /// The first one that is not part of it.
    pub end: u64,
}

/// Calls since the day began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// When the day that they are of began.
    pub start: u64,
    /// How many.
    pub used: u64,
    /// How many of them the state knows of.
    pub written: u64,
    /// Somebody will look whether it knows of all.
    pub noted: bool,
}

/// Calls by the part of time that they were made in, the first one first. Who calls now and then has one of them: that
/// is kept in its place in the table, so that a million such callers fit into 100 MB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    slots: SmallVec<[Slot; 1]>,
    /// Somebody will look whether the state knows of all.
    pub noted: bool,
}

/// Calls within a part of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which one since the epoch.
    pub number: u64,
    /// How many.
    pub used: u32,
    /// How many of them the state knows of.
    pub written: u32,
}

/// Calls in a part of time that the state is told of, and what it has then if nobody else tells it of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// When the day began, or which slot since the epoch it is.
    pub part: u64,
    /// Calls that the state does not know of.
    pub calls: u64,
    /// All that it knows of with them.
    pub expected: u64,
}

impl Span {
    /// What counts at a time: the day, or a slot of a sliding time.
    pub fn window(&self, wall: u64) -> Window {
        match self {
            Self::Sliding(length) => {
                let slot = slot_length(*length);
                let start = wall - wall % slot;
                Window { start, end: start + slot }
            }
            // A day that no calendar has is none that a clock should show; it is cut as if in UTC.
            Self::Day { begins, zone } => day(wall, *begins, zone).unwrap_or_else(|| {
                let start = wall - wall % DAY;
                Window { start, end: start + DAY }
            }),
        }
    }

    /// Its length in whole seconds, as a client is told it.
    pub fn seconds(&self) -> u64 {
        match self {
            Self::Day { .. } => DAY / 1_000_000,
            Self::Sliding(length) => length.div_ceil(1_000_000),
        }
    }
}

/// The length of a slot.
pub fn slot_length(length: u64) -> u64 {
    length.div_ceil(SLOTS).max(1)
}

/// The day that a time is in.
fn day(wall: u64, begins: Time, zone: &TimeZone) -> Option<Window> {
    let now = Timestamp::from_microsecond(i64::try_from(wall).ok()?).ok()?.to_zoned(zone.clone());
    let at = |date: jiff::civil::Date| date.to_datetime(begins).to_zoned(zone.clone()).ok();
    let micros = |at: &Zoned| u64::try_from(at.timestamp().as_microsecond()).ok();
    let today = at(now.date())?;
    let (start, end) = if today <= now {
        (today, at(now.date().checked_add(1.day()).ok()?)?)
    } else {
        (at(now.date().checked_sub(1.day()).ok()?)?, today)
    };
    Some(Window { start: micros(&start)?, end: micros(&end)? })
}

impl Count {
    /// What is left of the day. A clock that went back over the day's beginning goes on with the day that had
    /// begun, so that nobody has one quota twice; if it was wrong by more than a day, the count begins anew.
    fn current(&self, window: Window) -> Self {
        let is_ahead = self.start > window.start && self.start - window.start <= DAY + DAY / 2;
        if self.start == window.start || is_ahead {
            return *self;
        }
        Self { start: window.start, noted: self.noted, ..Self::default() }
    }

    /// What it has room for.
    pub fn room(&self, calls: u64, window: Window, wall: u64) -> Room {
        let left = calls.saturating_sub(self.current(window).used);
        let rest = window.end.saturating_sub(wall);
        Room { calls: left, whole_after: rest, free_after: if left == 0 { rest } else { 0 } }
    }

    /// Counts a call.
    pub fn take(&mut self, window: Window) {
        let current = self.current(window);
        *self = Self { used: current.used + 1, ..current };
    }

    /// What the state is told of: from here on it counts as written.
    pub fn addition(&mut self) -> Addition {
        let calls = self.used - self.written;
        (self.written, self.noted) = (self.used, false);
        Addition { part: self.start, calls, expected: self.used }
    }

    /// Takes over what others have added, or forgotten.
    pub fn settle(&mut self, told: Addition, total: u64) {
        if self.start == told.part {
            settle(&mut self.used, &mut self.written, told.expected, total);
        }
    }

    /// Takes over what the state knows of a day, if it is the latest that a clock may have shown.
    pub fn restore(&mut self, start: u64, calls: u64, wall: u64) {
        if start >= self.start && start <= wall + DAY + DAY / 2 {
            *self = Self { start, used: calls, written: calls, noted: false };
        }
    }

    /// True if its day is over.
    pub fn is_over(&self, window: Window) -> bool {
        self.current(window).used == 0
    }
}

/// What others have added is counted here too; what they have forgotten is not counted any more.
fn settle(used: &mut u64, written: &mut u64, expected: u64, total: u64) {
    let (more, fewer) = (total.saturating_sub(expected), expected.saturating_sub(total));
    for count in [used, written] {
        *count = (*count + more).saturating_sub(fewer);
    }
}

/// Calls of one slot: no quota has as many as do not fit.
fn small(calls: u64) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}

impl Slots {
    /// What the state is told of: from here on it counts as written. If there is nothing, it is asked for all.
    pub fn additions(&mut self) -> Vec<Addition> {
        self.noted = false;
        let is_written = |slot: &Slot| slot.written == slot.used;
        let all = self.slots.iter().all(is_written);
        let told = self.slots.iter_mut().filter(|slot| all || !is_written(slot));
        told.map(|slot| {
            let calls = slot.used.saturating_sub(slot.written);
            slot.written = slot.used;
            Addition { part: slot.number, calls: u64::from(calls), expected: u64::from(slot.used) }
        })
        .collect()
    }

    /// Takes over what others have added, or forgotten.
    pub fn settle(&mut self, told: Addition, total: u64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.number == told.part) {
            let (mut used, mut written) = (u64::from(slot.used), u64::from(slot.written));
            settle(&mut used, &mut written, told.expected, total);
            (slot.used, slot.written) = (small(used), small(written));
        }
        self.slots.retain(|slot| slot.used > 0);
    }

    /// Takes over what the state knows of a slot.
    pub fn restore(&mut self, number: u64, calls: u64) {
        self.slots.push(Slot { number, used: small(calls), written: small(calls) });
        self.slots.sort_unstable_by_key(|slot| slot.number);
    }

    /// Those of which a call may be less than the length ago. A call counts until its whole slot is past: never
    /// shorter than the length, and longer by a slot at most.
    fn counted(&self, length: u64, wall: u64) -> impl Iterator<Item = (&Slot, u64)> {
        let slot_length = slot_length(length);
        let ends = move |slot: &Slot| (slot.number + 1).saturating_mul(slot_length) + length;
        // After a jump back of the clock, what lies ahead by more than a slot's end counts as of now.
        let latest = wall + slot_length + length;
        self.slots
            .iter()
            .map(move |slot| (slot, ends(slot).min(latest)))
            .filter(move |(_, end)| *end > wall)
    }

    /// What they leave room for.
    pub fn room(&self, calls: u64, length: u64, wall: u64) -> Room {
        let (mut used, mut last, mut first) = (0, 0, u64::MAX);
        for (slot, end) in self.counted(length, wall) {
            used += u64::from(slot.used);
            last = last.max(end - wall);
            first = first.min(end - wall);
        }
        let left = calls.saturating_sub(used);
        // Of a quota of nothing at all none is used, and nothing to wait for.
        let free_after = if left == 0 && last > 0 { first } else { 0 };
        Room { calls: left, whole_after: last, free_after }
    }

    /// Counts a call.
    pub fn take(&mut self, length: u64, wall: u64) {
        let now = wall / slot_length(length);
        let oldest = now.saturating_sub(SLOTS + 1);
        self.slots.retain(|slot| slot.number >= oldest);
        for slot in self.slots.iter_mut().filter(|slot| slot.number > now) {
            // Written down once more, for the time that it counts for from here on.
            *slot = Slot { number: now, written: 0, ..*slot };
        }
        self.slots.dedup_by(|later, earlier| {
            let same = later.number == earlier.number;
            if same {
                earlier.used = earlier.used.saturating_add(later.used);
                earlier.written = earlier.written.saturating_add(later.written);
            }
            same
        });
        match self.slots.last_mut() {
            Some(slot) if slot.number == now => slot.used = slot.used.saturating_add(1),
            Some(_) | None => self.slots.push(Slot { number: now, used: 1, written: 0 }),
        }
    }

    /// True if all calls are past.
    pub fn is_over(&self, length: u64, wall: u64) -> bool {
        self.counted(length, wall).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn pacific() -> Span {
        Span::Day { begins: Time::midnight(), zone: TimeZone::get("America/Los_Angeles").unwrap() }
    }

    fn wall(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_microsecond()).unwrap()
    }

    /// Pacific time is UTC-8 until the second Sunday of March, and then UTC-7 until the first one of November.
    #[test]
    fn a_day_begins_at_its_zones_midnight() {
        for (at, start, hours) in [
            ("2026-01-15T12:00:00Z", "2026-01-15T08:00:00Z", 24),
            ("2026-01-15T07:59:59Z", "2026-01-14T08:00:00Z", 24),
            ("2026-01-15T08:00:00Z", "2026-01-15T08:00:00Z", 24),
            ("2026-03-08T20:00:00Z", "2026-03-08T08:00:00Z", 23),
            ("2026-07-04T06:59:59Z", "2026-07-03T07:00:00Z", 24),
            ("2026-11-02T07:59:59Z", "2026-11-01T07:00:00Z", 25),
        ] {
            let window = pacific().window(wall(at));
            assert_eq!(
                window,
                Window { start: wall(start), end: wall(start) + hours * HOUR },
                "{at}"
            );
        }
    }

    /// In 2026 Cairo's clocks go from 24 April 00:00 to 01:00: there is no midnight.
    #[test]
    fn a_day_without_its_beginning_begins_right_after() {
        let span =
            Span::Day { begins: Time::midnight(), zone: TimeZone::get("Africa/Cairo").unwrap() };
        let window = span.window(wall("2026-04-24T12:00:00Z"));
        let start = wall("2026-04-23T22:00:00Z");
        assert_eq!(window, Window { start, end: start + 23 * HOUR });
    }

    #[test]
    fn a_day_has_its_calls_and_the_next_one_has_them_again() {
        let (span, mut count) = (pacific(), Count::default());
        let noon = wall("2026-01-15T20:00:00Z");
        for left in (0..3).rev() {
            count.take(span.window(noon));
            assert_eq!(count.room(3, span.window(noon), noon).calls, left);
        }
        let room = count.room(3, span.window(noon), noon);
        assert_eq!(room, Room { calls: 0, whole_after: 12 * HOUR, free_after: 12 * HOUR });
        let next = noon + 12 * HOUR;
        assert_eq!(count.room(3, span.window(next - 1), next - 1).calls, 0);
        assert_eq!(count.room(3, span.window(next), next).calls, 3);
        assert!(count.is_over(span.window(next)) && !count.is_over(span.window(noon)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_day_twice_and_locks_nobody_out_for_long() {
        let (span, mut count) = (pacific(), Count::default());
        let midnight = wall("2026-01-15T08:00:00Z");
        count.take(span.window(midnight));
        assert_eq!(count.room(1, span.window(midnight - HOUR), midnight - HOUR).calls, 0);
        let wrong = wall("2036-01-15T08:00:00Z");
        count.take(span.window(wrong));
        assert_eq!(count.room(1, span.window(midnight), midnight).calls, 1, "ten years ahead");

        let (length, mut slots) = (24 * HOUR, Slots::default());
        slots.take(length, wrong);
        assert_eq!(slots.room(1, length, midnight).calls, 0);
        assert!(slots.room(1, length, midnight).free_after <= 26 * HOUR);
        slots.take(length, midnight);
        assert!(slots.room(1, length, midnight).free_after <= 25 * HOUR);
        assert!(slots.is_over(length, midnight + 26 * HOUR));
    }

    proptest::proptest! {
        /// Never more than the quota within the length, however calls are timed; and whoever finds nobody's call
        /// within the length and a slot passes.
        #[test]
        fn no_time_of_the_length_has_more_than_the_quota(
            calls in 1u64..6,
            waits in proptest::collection::vec(0u64..3 * HOUR, 1..200),
        ) {
            let (length, mut slots, mut now) = (24 * HOUR, Slots::default(), 1_000 * HOUR);
            let mut admitted: Vec<u64> = Vec::new();
            for wait in waits {
                now += wait;
                let within = |time: u64| admitted.iter().filter(|at| **at + time > now).count() as u64;
                let room = slots.room(calls, length, now);
                if room.calls > 0 {
                    proptest::prop_assert!(within(length) < calls);
                    slots.take(length, now);
                    admitted.push(now);
                } else {
                    proptest::prop_assert!(within(length + HOUR) >= calls);
                    let told = now + room.free_after;
                    proptest::prop_assert!(slots.room(calls, length, told).calls > 0);
                    proptest::prop_assert!(slots.room(calls, length, told - 1).calls == 0);
                }
            }
        }
    }
}
