//! `int`: a whole number within 64 bits with sign, in the one spelling that it has.
//!
//! `-0`, `+1`, `007`, `1.0` and `1e3` are other spellings, so they are refused rather than respelt.

use std::borrow::Cow;

pub(super) const ALPHABET: &str = "-0123456789";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    is_int(wire).then_some(Cow::Borrowed(wire))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    read(value)
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    // Parsing takes no character but digits here, and refuses what is beyond 64 bits.
    is_canonical && text.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Int, laws};
    use proptest::prelude::*;

    #[test]
    fn the_domain_ends_where_64_bits_end() {
        for value in ["0", "-1", "987654321", "9223372036854775807", "-9223372036854775808"] {
            laws::holds_for_value(Int, value);
        }
        laws::refuses(
            Int,
            &["9223372036854775808", "-9223372036854775809", "1180591620717411303424", "1e400"],
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        laws::refuses(
            Int,
            &["", "-", "-0", "00", "007", "-01", "+1", "1.0", "1e3", "1_0", " 1", "1 ", "٣", "--1"],
        );
    }

    proptest! {
        #[test]
        fn every_number_is_in_the_domain(number: i64) {
            laws::holds_for_value(Int, &number.to_string());
        }

        #[test]
        fn what_is_read_is_a_number(wire in "[-+0-9.e]{0,21}") {
            laws::holds_for_wire(Int, &wire);
            if let Some(value) = Int.read(&wire) {
                prop_assert_eq!(value.parse::<i64>().unwrap().to_string(), wire);
            }
        }
    }
}
