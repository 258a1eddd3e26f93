//! `lines`: a text that some vendors send as a list of its lines.
//!
//! Where a body has a list of texts, the reader of the tree joins them with line feeds before the codec
//! sees them. What is written is always one text, so here both sides are the same.

use std::borrow::Cow;

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(wire))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Lines, laws};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_stay_as_they_are(text: String) {
            laws::holds_for_value(Lines, &text);
            assert_eq!(Lines.write(&text).as_deref(), Some(text.as_str()));
        }
    }
}
