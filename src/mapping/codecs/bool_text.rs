//! `bool_text`: `true` and `false` as texts, for vendors that do not write JSON's own.

use std::borrow::Cow;

pub(super) const ALPHABET: &str = "aeflrstu";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    matches!(wire, "true" | "false").then_some(Cow::Borrowed(wire))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    read(value)
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::BoolText, laws};

    #[test]
    fn there_are_two_values() {
        laws::holds_for_value(BoolText, "true");
        laws::holds_for_value(BoolText, "false");
        laws::refuses(
            BoolText,
            &["", "True", "TRUE", "1", "0", "yes", " true", "true ", "truefalse"],
        );
    }
}
