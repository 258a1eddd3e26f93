//! A time in a record: UTC, whole seconds, the years 0001 to 9999, written `YYYY-MM-DDTHH:MM:SSZ`.
//!
//! What the date codecs share. A second 60 is refused: nothing after it could tell it from the next minute.

use jiff::SignedDuration;
use jiff::civil::{DateTime, Weekday};

pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(DateTime);

/// A text that is taken apart from its front.
pub(super) struct Parts<'a>(&'a str);

impl Moment {
    /// The moment of a record's text.
    pub(super) fn read(value: &str) -> Option<Self> {
        let mut parts = Parts(value);
        let local = parts.iso()?;
        parts.literal("Z")?;
        parts.end()?;
        Self::new(local, 0)
    }

    /// The moment at which clocks that are `offset` minutes ahead of UTC show `local`.
    pub(super) fn new(local: DateTime, offset: i64) -> Option<Self> {
        let utc = local.checked_sub(SignedDuration::from_mins(offset)).ok()?;
        (utc.year() >= 1).then_some(Self(utc))
    }

    pub(super) fn utc(self) -> DateTime {
        self.0
    }

    /// The record's text.
    pub(super) fn text(self) -> String {
        let (date, time) = (self.0.date(), clock(self.0));
        let (year, month, day) = (date.year(), date.month(), date.day());
        format!("{year:04}-{month:02}-{day:02}T{time}Z")
    }
}

impl<'a> Parts<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// `YYYY-MM-DDTHH:MM:SS`
    pub(super) fn iso(&mut self) -> Option<DateTime> {
        let year = self.number(4)?;
        self.literal("-")?;
        let month = self.number(2)?;
        self.literal("-")?;
        let day = self.number(2)?;
        self.literal("T")?;
        self.clock(year, month, day)
    }

    /// `DD-Mon-YYYY HH:MM:SS` with `separator` for the hyphen, preceded by `Day, `, which must be the right one.
    pub(super) fn named(&mut self, separator: &str) -> Option<DateTime> {
        let weekday = self.take(3)?;
        self.literal(", ")?;
        let day = self.number(2)?;
        self.literal(separator)?;
        let name = self.take(3)?;
        let month = MONTHS.iter().position(|&month| month == name)? + 1;
        self.literal(separator)?;
        let year = self.number(4)?;
        self.literal(" ")?;
        let local = self.clock(year, i16::try_from(month).ok()?, day)?;
        (weekday_name(local) == weekday).then_some(local)
    }

    /// `Mon D, YYYY H:MM:SS AM`
    pub(super) fn us(&mut self) -> Option<DateTime> {
        let name = self.take(3)?;
        let month = MONTHS.iter().position(|&month| month == name)? + 1;
        self.literal(" ")?;
        let day = self.short_number()?;
        self.literal(", ")?;
        let year = self.number(4)?;
        self.literal(" ")?;
        let hour = self.short_number().filter(|hour| *hour <= 12)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        let half = match self.take(3)? {
            " AM" => 0,
            " PM" => 12,
            _ => return None,
        };
        let hour = hour % 12 + half;
        let month = i8::try_from(month).ok()?;
        let [day, hour, minute, second] =
            [day, hour, minute, second].map(|number| i8::try_from(number).ok());
        DateTime::new(year, month, day?, hour?, minute?, second?, 0).ok()
    }

    /// One or two digits, the first of which is no zero.
    fn short_number(&mut self) -> Option<i16> {
        let is_digit = |at: usize| self.0.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let length = if is_digit(1) { 2 } else { 1 };
        if self.0.starts_with('0') { None } else { self.number(length) }
    }

    /// `+HH` and `MM` with `separator` between them, in minutes.
    pub(super) fn offset(&mut self, separator: &str) -> Option<i64> {
        let sign = match self.take(1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let hours = self.number(2)?;
        self.literal(separator)?;
        let minutes = self.number(2)?;
        let is_offset = hours < 24 && minutes < 60;
        is_offset.then_some(sign * (i64::from(hours) * 60 + i64::from(minutes)))
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        self.0
    }

    /// Nothing must be left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn clock(&mut self, year: i16, month: i16, day: i16) -> Option<DateTime> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        let [month, day, hour, minute, second] =
            [month, day, hour, minute, second].map(|number| i8::try_from(number).ok());
        DateTime::new(year, month?, day?, hour?, minute?, second?, 0).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, digits: usize) -> Option<i16> {
        self.take(digits)?.bytes().try_fold(0, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| i16::from(byte - b'0'))?;
            Some(number * 10 + digit)
        })
    }
}

/// `HH:MM:SS`
pub(super) fn clock(local: DateTime) -> String {
    let (hour, minute, second) = (local.hour(), local.minute(), local.second());
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// `Day, DD-Mon-YYYY HH:MM:SS` with `separator` for the hyphen.
pub(super) fn named(local: DateTime, separator: char) -> String {
    let (day, year, time) = (local.day(), local.year(), clock(local));
    let weekday = weekday_name(local);
    let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
    format!("{weekday}, {day:02}{separator}{month}{separator}{year:04} {time}")
}

fn weekday_name(local: DateTime) -> &'static str {
    match local.weekday() {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}
