//! `us_date`: `Jan 6, 2017 3:51:16 AM`, as Java's default format writes a time in the United States; read and
//! written in UTC, because it names no zone.

use std::borrow::Cow;

use jiff::civil::DateTime;

use super::moment::{MONTHS, Moment, Parts};

pub(super) const ALPHABET: &str =
    " ,:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let mut parts = Parts::of(wire);
    let local = parts.us()?;
    parts.end()?;
    Some(Cow::Owned(Moment::new(local, 0)?.text()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Owned(written(Moment::read(value)?.utc())))
}

fn written(utc: DateTime) -> String {
    let month = MONTHS[usize::from(utc.month().unsigned_abs()) - 1];
    let half = if utc.hour() < 12 { "AM" } else { "PM" };
    // There is no hour 0: midnight and noon are 12.
    let hour = (utc.hour() + 11) % 12 + 1;
    let (day, year, minute, second) = (utc.day(), utc.year(), utc.minute(), utc.second());
    format!("{month} {day}, {year:04} {hour}:{minute:02}:{second:02} {half}")
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::UsDate, laws};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_guide() {
        for (value, wire) in [
            ("2017-01-06T03:51:16Z", "Jan 6, 2017 3:51:16 AM"),
            ("2017-01-06T00:00:00Z", "Jan 6, 2017 12:00:00 AM"),
            ("2017-12-31T12:59:59Z", "Dec 31, 2017 12:59:59 PM"),
            ("2024-02-29T23:00:00Z", "Feb 29, 2024 11:00:00 PM"),
        ] {
            assert_eq!(UsDate.write(value).as_deref(), Some(wire));
            assert_eq!(UsDate.read(wire).as_deref(), Some(value));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let rows = [
            "",
            "Jan 06, 2017 3:51:16 AM",
            "Jan 6, 2017 03:51:16 AM",
            "Jan 6, 2017 3:51:16",
            "Jan 6, 2017 3:51:16 am",
            "Jan 6, 2017 0:51:16 AM",
            "Jan 6, 2017 13:51:16 PM",
            "jan 6, 2017 3:51:16 AM",
            "Jan 6 2017 3:51:16 AM",
            "Feb 30, 2017 3:51:16 AM",
            "Jan 6, 2017 3:51:16 AM ",
            "Jan 6, 2017 3:51:60 AM",
            "Jan 6, 0000 3:51:16 AM",
        ];
        laws::refuses(UsDate, &rows);
    }

    proptest! {
        #[test]
        fn values_round_trip(value in laws::times(1..=9999)) {
            laws::holds_for_value(UsDate, &value);
        }

        #[test]
        fn what_is_read_is_normal(wire in "(Jan|Feb) [0-3]?[0-9], [0-9]{4} [01]?[0-9]:[0-5][0-9]:[0-6][0-9] [AP]M") {
            laws::holds_for_wire(UsDate, &wire);
        }
    }
}
