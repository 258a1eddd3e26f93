//! `basic`: a user with a password as HTTP's Basic scheme has it (RFC 7617).
//!
//! The scheme is read in any case and may be followed by several spaces; the rest is as strict as
//! [`base64`](super::base64). Control characters are outside the domain, as the RFC has it, and so is the
//! empty text, whose space at the end no header keeps.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const SCHEME: &str = "Basic ";

pub(super) const ALPHABET: &str =
    " ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

pub(super) fn read(wire: &str) -> Option<Cow<'_, str>> {
    let (scheme, credentials) = wire.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let value = super::base64::read(credentials.trim_start_matches(' '))?;
    is_credentials(&value).then_some(Cow::Owned(value.into_owned()))
}

pub(super) fn write(value: &str) -> Option<Cow<'_, str>> {
    if !is_credentials(value) {
        return None;
    }
    let mut wire = String::from(SCHEME);
    STANDARD.encode_string(value, &mut wire);
    Some(Cow::Owned(wire))
}

fn is_credentials(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::super::{Codec::Basic, laws};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc() {
        let wire = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(Basic.write("Aladdin:open sesame").as_deref(), Some(wire));
        for other in ["basic", "BASIC", "BaSiC ", "Basic  "] {
            let wire = wire.replace("Basic", other);
            assert_eq!(Basic.read(&wire).as_deref(), Some("Aladdin:open sesame"));
            laws::holds_for_wire(Basic, &wire);
        }
    }

    #[test]
    fn what_is_no_basic_credential_is_refused() {
        let rows = [
            "",
            "Basic",
            "Basic ",
            "BasicQQ==",
            "Bearer QQ==",
            " Basic QQ==",
            "Basic QQ",
            "Basic QQ== ",
            "Basic\tQQ==",
            "Basic /w==",
            "Basic YQBi",
            "Basic Cg==",
            "Basi\u{301} QQ==",
        ];
        for wire in rows {
            assert_eq!(Basic.read(wire), None, "{wire}");
        }
        for value in ["", "a\0b", "a\nb", "a\u{7f}"] {
            assert_eq!(Basic.write(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(value in "\\PC{1,30}") {
            laws::holds_for_value(Basic, &value);
        }

        #[test]
        fn what_is_read_is_normal(wire in "[Bb]asic {1,2}[A-Za-z0-9+/]{0,6}={0,2}") {
            laws::holds_for_wire(Basic, &wire);
        }
    }
}
