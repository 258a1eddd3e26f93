//! `iso_date`: RFC 3339 in whole seconds. It writes `Z`, and reads any offset as the moment it means.
//!
//! A fraction of a second is refused, also one of 0: it would be lost.

use std::borrow::Cow;

use super::moment::{Moment, Parts};

pub(super) const ALPHABET: &str = "-0123456789:TZ";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let mut parts = Parts::of(wire);
    let local = parts.iso()?;
    if parts.rest() == "Z" {
        return Moment::new(local, 0).map(|_| Cow::Borrowed(wire));
    }
    let offset = parts.offset(":")?;
    parts.end()?;
    Some(Cow::Owned(Moment::new(local, offset)?.text()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    Moment::read(value).map(|_| Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::IsoDate, laws};
    use proptest::prelude::*;

    #[test]
    fn offsets_are_folded() {
        let rows = [
            ("2014-05-02T14:22:13-07:00", "2014-05-02T21:22:13Z"),
            ("2014-05-02T14:22:13+05:45", "2014-05-02T08:37:13Z"),
            ("2014-05-02T14:22:13+00:00", "2014-05-02T14:22:13Z"),
            ("2014-05-02T14:22:13Z", "2014-05-02T14:22:13Z"),
            ("2015-01-01T00:00:00+01:00", "2014-12-31T23:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ];
        for (wire, value) in rows {
            assert_eq!(IsoDate.read(wire).as_deref(), Some(value));
            laws::holds_for_wire(IsoDate, wire);
        }
    }

    #[test]
    fn what_would_be_lost_or_guessed_is_refused() {
        let rows = [
            "",
            "2014-05-02",
            "2014-05-02T14:22:13",
            "2014-05-02T14:22Z",
            "2014-05-02T14:22:13.000Z",
            "2014-05-02T14:22:13.5Z",
            "2014-05-02T14:22:13z",
            "2014-05-02 14:22:13Z",
            "2014-05-02T14:22:13Z ",
            "2014-05-02T14:22:13+0000",
            "2014-05-02T14:22:13+24:00",
            "2014-05-02T14:22:13+00:60",
            "2014-05-02T14:22:60Z",
            "2014-02-29T00:00:00Z",
            "2014-13-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+2014-05-02T14:22:13Z",
            "2014-05-0éT14:22:13Z",
        ];
        laws::refuses(IsoDate, &rows);
        assert_eq!(IsoDate.write("2014-05-02T14:22:13+00:00"), None);
    }

    proptest! {
        #[test]
        fn values_round_trip(value in laws::times(1..=9999)) {
            laws::holds_for_value(IsoDate, &value);
        }

        #[test]
        fn the_oracle_reads_the_same_moment(value in laws::times(2..=9998), hours in -23..=23_i8, minutes in 0..60_u8) {
            let wire = value.replace('Z', &format!("{hours:+03}:{minutes:02}"));
            laws::holds_for_wire(IsoDate, &wire);
            let oracle: jiff::Timestamp = wire.parse().unwrap();
            prop_assert_eq!(IsoDate.read(&wire).unwrap(), oracle.to_string());
        }
    }
}
