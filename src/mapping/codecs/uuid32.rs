//! `uuid32`: 32 lower-case hexadecimal digits without hyphens, on both sides.

use std::borrow::Cow;

pub(super) const ALPHABET: &str = "0123456789abcdef";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let is_uuid =
        wire.len() == 32 && wire.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    is_uuid.then_some(Cow::Borrowed(wire))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    read(value)
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Uuid32, laws};
    use proptest::prelude::*;

    #[test]
    fn other_forms_are_refused() {
        let other = [
            "",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123456789abcdef0123456789abcdeg",
            "01234567-89ab-cdef-0123-456789abcdef",
            "éééééééééééééééé",
        ];
        laws::refuses(Uuid32, &other);
    }

    proptest! {
        #[test]
        fn values_round_trip(value in "[0-9a-f]{32}") {
            laws::holds_for_value(Uuid32, &value);
        }

        #[test]
        fn what_is_read_is_normal(wire in "[0-9a-fA-F]{31,33}") {
            laws::holds_for_wire(Uuid32, &wire);
        }
    }
}
