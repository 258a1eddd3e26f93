//! `percent`: everything but `A-Za-z0-9-._~` percent-encoded; read once, strictly.

use std::borrow::Cow;

use crate::codec::percent::{decode_text, encode_text};

pub(super) const ALPHABET: &str =
    "%-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    decode_text(wire)
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    Some(encode_text(value))
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Percent, laws};
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        assert_eq!(Percent.write("a b/é%41").as_deref(), Some("a%20b%2F%C3%A9%2541"));
        assert_eq!(Percent.read("a+b%2f%2541").as_deref(), Some("a+b/%41"));
        assert_eq!(Percent.write("..").as_deref(), Some(".."));
        for malformed in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(Percent.read(malformed), None);
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value: String) {
            laws::holds_for_value(Percent, &value);
        }

        #[test]
        fn what_is_read_is_normal(wire in "[%a-fA-F0-9é/ ]{0,12}") {
            laws::holds_for_wire(Percent, &wire);
        }
    }
}
