//! `unix_ms`: milliseconds since 1970, whole seconds of them, as Java counts time.

use std::borrow::Cow;

use jiff::Timestamp;

use super::moment::Moment;

pub(super) const ALPHABET: &str = "0123456789";

const ZEROS: &str = "000";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    // The only number of seconds that is written with less than one digit.
    let digits = if wire == "0" { "0" } else { wire.strip_suffix(ZEROS)? };
    let canonical = digits == "0" && wire == "0" || !digits.starts_with('0');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !canonical || !is_number {
        return None;
    }
    let moment = Timestamp::from_second(digits.parse().ok()?).ok()?;
    let text = moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Moment::read(&text).map(|moment| Cow::Owned(moment.text()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    let utc = Moment::read(value)?.utc().in_tz("UTC").ok()?;
    match utc.timestamp().as_second() {
        0 => Some(Cow::Borrowed("0")),
        seconds @ 1.. => Some(Cow::Owned(format!("{seconds}{ZEROS}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::UnixMs, laws};
    use proptest::prelude::*;

    #[test]
    fn it_counts_from_1970() {
        // date -u -d 2018-07-10T20:13:20Z +%s
        for (value, wire) in [
            ("2018-07-10T20:13:20Z", "1531253600000"),
            ("1970-01-01T00:00:00Z", "0"),
            ("1970-01-01T00:00:01Z", "1000"),
            ("9999-12-30T22:00:00Z", "253402207200000"),
        ] {
            assert_eq!(UnixMs.write(value).as_deref(), Some(wire));
            assert_eq!(UnixMs.read(wire).as_deref(), Some(value));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let rows = [
            "",
            "000",
            "0000",
            "1",
            "1531253600",
            "1531253600001",
            "01000",
            "-1000",
            "+1000",
            "1e3",
            "1000 ",
            "99999999999999999999000",
        ];
        laws::refuses(UnixMs, &rows);
        for value in ["1969-12-31T23:59:59Z", "2018-07-10", ""] {
            assert_eq!(UnixMs.write(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value in laws::times(1971..=9998)) {
            laws::holds_for_value(UnixMs, &value);
        }

        #[test]
        fn what_is_read_is_normal(wire in "[0-9]{1,12}000") {
            laws::holds_for_wire(UnixMs, &wire);
        }
    }
}
