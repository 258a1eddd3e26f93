//! `base64`: a text's UTF-8 bytes in the standard alphabet, padded.
//!
//! Reading is strict, so one value has one wire text: the padding must be there, and the bits that stand
//! for nothing must be 0.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) const ALPHABET: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let bytes = STANDARD.decode(wire).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Owned(STANDARD.encode(value)))
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Base64, laws};
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        for (value, wire) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy"), ("é", "w6k=")]
        {
            assert_eq!(Base64.write(value).as_deref(), Some(wire));
            laws::holds_for_value(Base64, value);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for wire in
            ["Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Z-g=", "Z_8=", "Zg==Zg==", "/w==", "===="]
        {
            assert_eq!(Base64.read(wire), None, "{wire}");
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value: String) {
            laws::holds_for_value(Base64, &value);
        }

        #[test]
        fn one_value_has_one_wire_text(wire in "[A-Za-z0-9+/]{0,6}={0,2}") {
            laws::holds_for_wire(Base64, &wire);
            if let Some(value) = Base64.read(&wire) {
                prop_assert_eq!(Base64.write(&value).unwrap(), wire.as_str());
            }
        }
    }
}
