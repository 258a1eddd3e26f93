//! Percent-encoding (RFC 3986) for path segments and query texts.
//!
//! Everything but the unreserved characters `A-Za-z0-9-._~` is encoded, so a value never brings a
//! separator of its place. Decoding happens once and is strict: a `%` without two hexadecimal digits,
//! or bytes that are not UTF-8, decode to nothing.
//!
//! The texts ``, `.` and `..` cannot be carried in a path segment, encoded or not: the first makes another
//! path, and the others are taken out by anyone who normalises a URL.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use memchr::memchr2;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text that no path segment can carry: ``, `.` or `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASegment;

impl fmt::Display for NotASegment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an empty text, `.` and `..` cannot stand in a path")
    }
}

impl Error for NotASegment {}

/// The text that a path segment carries; `None` if it is malformed or one of those that none can carry.
pub fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    decode_text(segment).filter(|text| is_segment(text))
}

/// Appends `text` as one path segment.
pub fn encode_segment(out: &mut Vec<u8>, text: &str) -> Result<(), NotASegment> {
    if !is_segment(text) {
        return Err(NotASegment);
    }
    encode_query(out, text);
    Ok(())
}

/// Appends `text` as a name or a value in a query. A space becomes `%20`, which those who expect a form
/// read as well.
pub fn encode_query(out: &mut Vec<u8>, text: &str) {
    for piece in percent_encode(text.as_bytes(), RESERVED) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// `text` with everything but unreserved characters encoded.
pub(crate) fn encode_text(text: &str) -> Cow<'_, str> {
    percent_encode(text.as_bytes(), RESERVED).into()
}

/// The text that `encoded` stands for; `None` if it is malformed.
pub(crate) fn decode_text(encoded: &str) -> Option<Cow<'_, str>> {
    match decode_bytes(encoded.as_bytes(), Plus::Itself)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(encoded)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// What a `+` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    Itself,
    Space,
}

/// The bytes that `encoded` stands for; `None` if a `%` is not followed by two hexadecimal digits.
pub(super) fn decode_bytes(encoded: &[u8], plus: Plus) -> Option<Cow<'_, [u8]>> {
    let sign = match plus {
        Plus::Itself => b'%',
        Plus::Space => b'+',
    };
    let Some(first) = memchr2(b'%', sign, encoded) else {
        return Some(Cow::Borrowed(encoded));
    };
    let (plain, mut rest) = encoded.split_at(first);
    let mut decoded = Vec::with_capacity(encoded.len());
    decoded.extend_from_slice(plain);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'%' => {
                let (digits, behind) = rest.split_first_chunk::<2>()?;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                decoded.push((high? * 16 + low?) as u8);
                rest = behind;
            }
            b'+' if plus == Plus::Space => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    Some(Cow::Owned(decoded))
}

fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> Result<String, NotASegment> {
        let mut out = Vec::new();
        encode_segment(&mut out, text)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encoded("aZ09-._~").as_deref(), Ok("aZ09-._~"));
        assert_eq!(encoded("a/b?c#d%e f+g").as_deref(), Ok("a%2Fb%3Fc%23d%25e%20f%2Bg"));
        assert_eq!(encoded("é\0").as_deref(), Ok("%C3%A9%00"));
        assert_eq!(encoded("...").as_deref(), Ok("..."));
        for text in ["", ".", ".."] {
            assert_eq!(encoded(text), Err(NotASegment));
        }
        let mut query = Vec::new();
        encode_query(&mut query, "");
        encode_query(&mut query, "..&=");
        assert_eq!(query, b"..%26%3D");
    }

    #[test]
    fn decoding_is_strict_and_happens_once() {
        assert!(matches!(decode_segment("a+b.é"), Some(Cow::Borrowed("a+b.é"))));
        assert_eq!(decode_segment("%2e%2E%2f").as_deref(), Some("../"));
        assert_eq!(decode_segment("%2541").as_deref(), Some("%41"));
        for malformed in ["%", "%4", "%4g", "%%41", "a%", "%+1", "%ff", "%C3", "%é"] {
            assert_eq!(decode_segment(malformed), None, "{malformed}");
        }
        for nothing in ["", ".", "..", "%2e", ".%2E", "%2e%2e"] {
            assert_eq!(decode_segment(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: String) {
            prop_assume!(is_segment(&text));
            let encoded = encoded(&text).unwrap();
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(decode_segment(&encoded).unwrap(), text);
        }

        #[test]
        fn no_input_panics(text in "[%0-9a-fA-Fé.]{0,12}") {
            if let Some(decoded) = decode_segment(&text) {
                let again = encoded(&decoded).unwrap();
                prop_assert_eq!(decode_segment(&again).unwrap(), decoded);
            }
        }
    }
}
