//! `arena_date`: a date as Arena's rate-limit header has it, `Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)`.
//!
//! It is written with the clocks of Los Angeles. Reading goes by the offset and takes any, so the hour
//! that the clocks show twice in autumn reads as two; the zone's name in brackets is for people, and is
//! ignored. The domain is the years 1900 to 9998: before, the clocks' offset was no whole number of minutes.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::moment::{Moment, Parts, named};

pub(super) const ALPHABET: &str =
    " ()+,-:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// From the zones that are built in, so that no machine's own can change what is written.
static LOS_ANGELES: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZoneDatabase::bundled()
        .get("America/Los_Angeles")
        .expect("the zones that are built in hold all zones")
});

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let mut parts = Parts::of(wire);
    let local = parts.named("-")?;
    parts.literal(" GMT")?;
    let offset = parts.offset("")?;
    if !is_zone_name(parts.rest()) {
        return None;
    }
    let moment = Moment::new(local, offset).filter(in_domain)?;
    Some(Cow::Owned(moment.text()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    let moment = Moment::read(value).filter(in_domain)?;
    let timestamp = Offset::UTC.to_timestamp(moment.utc()).ok()?;
    let zone = LOS_ANGELES.to_offset_info(timestamp);
    let local = zone.offset().to_datetime(timestamp);
    let seconds = zone.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (date, name) = (named(local, '-'), zone.abbreviation());
    let wire = format!("{date} GMT{sign}{hours:02}{minutes:02} ({name})");
    Some(Cow::Owned(wire))
}

fn in_domain(moment: &Moment) -> bool {
    (1900..9999).contains(&moment.utc().year())
}

/// Whether `rest` is nothing, or a name in brackets behind a space.
fn is_zone_name(rest: &str) -> bool {
    let name = rest.strip_prefix(" (").and_then(|it| it.strip_suffix(')'));
    let is_plain = |name: &str| !name.contains(['(', ')']) && !name.contains(char::is_control);
    rest.is_empty() || name.is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::ArenaDate, laws};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_page() {
        let (value, wire) = ("2014-05-02T21:22:13Z", "Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)");
        assert_eq!(ArenaDate.write(value).as_deref(), Some(wire));
        assert_eq!(ArenaDate.read(wire).as_deref(), Some(value));
        let winter = ArenaDate.write("2014-01-01T08:00:00Z");
        assert_eq!(winter.as_deref(), Some("Wed, 01-Jan-2014 00:00:00 GMT-0800 (PST)"));
    }

    #[test]
    fn both_hours_of_the_autumn_night_are_kept() {
        let rows = [
            ("2014-11-02T08:30:00Z", "Sun, 02-Nov-2014 01:30:00 GMT-0700 (PDT)"),
            ("2014-11-02T09:30:00Z", "Sun, 02-Nov-2014 01:30:00 GMT-0800 (PST)"),
            ("2014-03-09T09:59:59Z", "Sun, 09-Mar-2014 01:59:59 GMT-0800 (PST)"),
            ("2014-03-09T10:00:00Z", "Sun, 09-Mar-2014 03:00:00 GMT-0700 (PDT)"),
        ];
        for (value, wire) in rows {
            assert_eq!(ArenaDate.write(value).as_deref(), Some(wire));
            assert_eq!(ArenaDate.read(wire).as_deref(), Some(value));
        }
    }

    #[test]
    fn any_offset_is_read_and_any_name_ignored() {
        let rows = [
            "Fri, 02-May-2014 21:22:13 GMT+0000 (UTC)",
            "Sat, 03-May-2014 02:52:13 GMT+0530 (India Standard Time)",
            "Fri, 02-May-2014 14:22:13 GMT-0700 (PST)",
            "Fri, 02-May-2014 14:22:13 GMT-0700",
        ];
        for wire in rows {
            assert_eq!(ArenaDate.read(wire).as_deref(), Some("2014-05-02T21:22:13Z"), "{wire}");
            laws::holds_for_wire(ArenaDate, wire);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let rows = [
            "",
            "Thu, 02-May-2014 14:22:13 GMT-0700 (PDT)",
            "Fri, 02 May 2014 14:22:13 GMT-0700 (PDT)",
            "Fri, 02-May-2014 14:22:13 GMT (PDT)",
            "Fri, 02-May-2014 14:22:13 GMT-07:00 (PDT)",
            "Fri, 02-May-2014 14:22:13 GMT-0760 (PDT)",
            "Fri, 02-May-2014 14:22:13 GMT-2400 (PDT)",
            "Fri, 02-May-2014 14:22:13 GMT-0700 (PDT",
            "Fri, 02-May-2014 14:22:13 GMT-0700 (PDT))",
            "Fri, 02-May-2014 14:22:13 GMT-0700 PDT",
            "Fri, 2-May-2014 14:22:13 GMT-0700 (PDT)",
            "Sun, 31-Dec-1899 23:59:59 GMT+0000 (UTC)",
            "1899-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
        ];
        laws::refuses(ArenaDate, &rows);
        laws::holds_for_value(ArenaDate, "1900-01-01T00:00:00Z");
        laws::holds_for_value(ArenaDate, "9998-12-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn values_round_trip(value in laws::times(1900..=9998)) {
            laws::holds_for_value(ArenaDate, &value);
        }

        #[test]
        fn every_second_around_the_folds_round_trips(seconds in 0..200_000_i64, year in 2007..2040_i16, month in prop::sample::select(vec![3_i8, 11])) {
            let start = jiff::civil::date(year, month, 1).at(0, 0, 0, 0);
            let local = start + jiff::SignedDuration::from_secs(seconds * 7);
            laws::holds_for_value(ArenaDate, &format!("{local}Z"));
        }

        #[test]
        fn any_offset_reads_to_the_normal_form(value in laws::times(1902..=9990), minutes in -1439..1440_i64) {
            let moment = super::Moment::read(&value).unwrap();
            let local = moment.utc() + jiff::SignedDuration::from_mins(minutes);
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            let wire = format!("{} GMT{sign}{hours:02}{rest:02} (X)", super::named(local, '-'));
            prop_assert_eq!(ArenaDate.read(&wire).unwrap(), value);
            laws::holds_for_wire(ArenaDate, &wire);
        }
    }
}
