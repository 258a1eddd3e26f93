//! `lower`: a text in lower case, read in any.
//!
//! Lower case is Unicode's, without regard to language. A wire text whose lower case has a lower case of
//! its own is refused, so that reading is always normal.

use std::borrow::Cow;

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    if is_lower(wire) {
        return Some(Cow::Borrowed(wire));
    }
    let lower = wire.to_lowercase();
    is_lower(&lower).then_some(Cow::Owned(lower))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    is_lower(value).then_some(Cow::Borrowed(value))
}

fn is_lower(text: &str) -> bool {
    if text.is_ascii() {
        return !text.bytes().any(|byte| byte.is_ascii_uppercase());
    }
    text.to_lowercase() == text
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Lower, laws};
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        for (wire, value) in
            [("In Progress", "in progress"), ("ÉÀ1", "éà1"), ("ΟΔΟΣ", "οδος"), ("İ", "i\u{307}")]
        {
            assert_eq!(Lower.read(wire).as_deref(), Some(value));
            assert_eq!(Lower.write(wire), None);
            laws::holds_for_value(Lower, value);
        }
    }

    proptest! {
        #[test]
        fn lower_case_round_trips(text: String) {
            laws::holds_if_in_domain(Lower, &text.to_lowercase());
        }

        #[test]
        fn what_is_read_is_normal(wire in "[A-Za-zÀ-ÿΑ-ωİΣ ]{0,10}") {
            prop_assert!(Lower.read(&wire).is_some());
            laws::holds_for_wire(Lower, &wire);
        }
    }
}
