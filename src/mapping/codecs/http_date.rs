//! `http_date`: RFC 9110's IMF-fixdate, the only form of a date that HTTP still writes.
//!
//! Its two older forms are refused: one has years of two digits.

use std::borrow::Cow;

use super::moment::{Moment, Parts, named};

pub(super) const ALPHABET: &str =
    " ,:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let mut parts = Parts::of(wire);
    let utc = parts.named(" ")?;
    parts.literal(" GMT")?;
    parts.end()?;
    Some(Cow::Owned(Moment::new(utc, 0)?.text()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    let moment = Moment::read(value)?;
    Some(Cow::Owned(named(moment.utc(), ' ') + " GMT"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::{Codec::HttpDate, laws};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc() {
        let (value, wire) = ("1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(HttpDate.write(value).as_deref(), Some(wire));
        assert_eq!(HttpDate.read(wire).as_deref(), Some(value));
        for value in ["0001-01-01T00:00:00Z", "2024-02-29T12:00:00Z", "9999-12-31T23:59:59Z"] {
            laws::holds_for_value(HttpDate, value);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let rows = [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Wed, 30 Feb 1994 08:49:37 GMT",
            "Sat, 01 Jan 0000 00:00:00 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
        ];
        laws::refuses(HttpDate, &rows);
        for value in [
            "1994-11-06T08:49:37",
            "1994-11-06T08:49:37+00:00",
            "1994-11-06",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(HttpDate.write(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value in laws::times(1..=9999)) {
            laws::holds_for_value(HttpDate, &value);
        }

        #[test]
        fn the_oracle_writes_the_same(seconds in 0..253_402_300_800_u64) {
            let wire = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            laws::holds_for_wire(HttpDate, &wire);
            let value = HttpDate.read(&wire).unwrap();
            prop_assert_eq!(HttpDate.write(&value).unwrap(), wire.as_str());
        }

        #[test]
        fn what_is_read_is_normal(wire in "(Sun|Mon), [0-3][0-9] (Nov|Feb) [0-9]{4} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT") {
            laws::holds_for_wire(HttpDate, &wire);
        }
    }
}
