//! `application/x-www-form-urlencoded`: names with values, in a body or in a query.
//!
//! Reading is the WHATWG URL standard's, but strict where that repairs: a malformed `%`, bytes that are not
//! UTF-8, and a name that stands twice are errors. Empty places between two `&` are passed over, a name without `=`
//! has an empty value, and `+` is a space.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use memchr::memchr;

use super::names::{NameStack, Seen};
use super::percent::{Plus, decode_bytes};

/// Why a form is refused, with the place of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormError {
    /// What is wrong.
    pub kind: FormErrorKind,
    /// Where the pair begins, in bytes from the form's start.
    pub offset: usize,
}

/// What is wrong with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormErrorKind {
    /// A `%` is not followed by two hexadecimal digits.
    BadPercent,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
    /// The pair's name has stood before.
    DuplicateName,
}

impl fmt::Display for FormError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self.kind {
            FormErrorKind::BadPercent => "malformed percent sequence",
            FormErrorKind::NotUtf8 => "invalid UTF-8",
            FormErrorKind::DuplicateName => "name used twice",
        };
        write!(formatter, "{message} in the pair at byte {}", self.offset)
    }
}

impl Error for FormError {}

/// The pairs of a form in their order, decoded. Nothing follows an error.
#[derive(Debug)]
pub struct FormPairs<'a> {
    form: &'a [u8],
    at: usize,
    names: NameStack<'a>,
    seen: Seen,
}

impl<'a> FormPairs<'a> {
    /// The pairs of `form`, a whole body or a query without its `?`.
    pub fn new(form: &'a [u8]) -> Self {
        let names = NameStack::default();
        let seen = names.open();
        Self { form, at: 0, names, seen }
    }

    fn pair(&mut self, pair: &'a [u8]) -> Result<(Cow<'a, str>, Cow<'a, str>), FormErrorKind> {
        let (name, value) = match memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let name = decode(name)?;
        let value = decode(value)?;
        if !self.names.insert(&mut self.seen, name.clone()) {
            return Err(FormErrorKind::DuplicateName);
        }
        Ok((name, value))
    }
}

impl<'a> Iterator for FormPairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), FormError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.at;
            let rest = self.form.get(offset..).filter(|rest| !rest.is_empty())?;
            let length = memchr(b'&', rest).unwrap_or(rest.len());
            self.at += length + 1;
            if length == 0 {
                continue;
            }
            let pair = self.pair(&rest[..length]);
            if pair.is_err() {
                self.at = self.form.len();
            }
            return Some(pair.map_err(|kind| FormError { kind, offset }));
        }
    }
}

/// Appends a pair, behind a `&` unless `out` is empty: `out` is a form and nothing else.
pub fn write_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(b'&');
    }
    write_encoded(out, name);
    out.push(b'=');
    write_encoded(out, value);
}

fn write_encoded(out: &mut Vec<u8>, text: &str) {
    for piece in form_urlencoded::byte_serialize(text.as_bytes()) {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, FormErrorKind> {
    match decode_bytes(encoded, Plus::Space).ok_or(FormErrorKind::BadPercent)? {
        Cow::Borrowed(bytes) => {
            str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FormErrorKind::NotUtf8)
        }
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| FormErrorKind::NotUtf8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn read(form: &[u8]) -> Result<Vec<(String, String)>, String> {
        FormPairs::new(form)
            .map(|pair| match pair {
                Ok((name, value)) => Ok((name.into_owned(), value.into_owned())),
                Err(error) => Err(error.to_string()),
            })
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Ok(pairs.iter().map(owned).collect())
    }

    #[test]
    fn pairs_are_decoded_in_order() {
        assert_eq!(
            read(b"b=1+2&a=%C3%A9%2b%26&c"),
            pairs(&[("b", "1 2"), ("a", "é+&"), ("c", "")])
        );
        assert_eq!(read(b"&a=1&&b=2=3&"), pairs(&[("a", "1"), ("b", "2=3")]));
        assert_eq!(read(b"=x"), pairs(&[("", "x")]));
        assert_eq!(read(b""), pairs(&[]));
        let first = FormPairs::new(b"a=b").next().unwrap().unwrap();
        assert!(matches!(first, (Cow::Borrowed("a"), Cow::Borrowed("b"))));
    }

    #[test]
    fn what_is_malformed_or_double_is_refused() {
        let rows: [(&[u8], &str); 7] = [
            (b"a=%", "malformed percent sequence in the pair at byte 0"),
            (b"a=1&b%zz=2", "malformed percent sequence in the pair at byte 4"),
            (b"a=%4", "malformed percent sequence in the pair at byte 0"),
            (b"a=%ff", "invalid UTF-8 in the pair at byte 0"),
            (b"a=\xff", "invalid UTF-8 in the pair at byte 0"),
            (b"a=1&a=1", "name used twice in the pair at byte 4"),
            (b"a=1&&%61", "name used twice in the pair at byte 5"),
        ];
        for (form, message) in rows {
            assert_eq!(read(form), Err(message.to_owned()));
        }
        let mut broken = FormPairs::new(b"%&a=1");
        assert!(broken.next().unwrap().is_err());
        assert_eq!(broken.next(), None, "nothing follows an error");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(form in btree_map(".*", ".*", 0..30)) {
            let mut out = Vec::new();
            for (name, value) in &form {
                write_pair(&mut out, name, value);
            }
            let oracle: Vec<_> = form_urlencoded::parse(&out).into_owned().collect();
            prop_assert_eq!(read(&out), Ok(oracle));
            prop_assert_eq!(read(&out), Ok(form.into_iter().collect()));
        }

        #[test]
        fn what_is_read_is_what_the_standard_reads(form in "[a-d=&%+2fé ]{0,24}") {
            if let Ok(pairs) = read(form.as_bytes()) {
                let oracle: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
                prop_assert_eq!(pairs, oracle);
            }
        }

        #[test]
        fn no_input_panics(form in vec(prop_oneof![any::<u8>(), Just(b'%'), Just(b'&')], 0..40)) {
            let _ = read(&form);
        }
    }
}
