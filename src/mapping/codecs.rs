//! Value codecs: a value's text in a record to its text on the wire, and back.
//!
//! | codec | value | wire |
//! |---|---|---|
//! | `int` | `-12` | `-12`, a number in JSON |
//! | `uuid32` | 32 of `0-9a-f` | the same |
//! | `basic` | `user:password` | `Basic dXNlcjpwYXNzd29yZA==` |
//! | `base64` | `text` | `dGV4dA==` |
//! | `percent` | `a/b` | `a%2Fb` |
//! | `lines` | a text | the same, or a list of its lines |
//! | `http_date` | `1994-11-06T08:49:37Z` | `Sun, 06 Nov 1994 08:49:37 GMT` |
//! | `iso_date` | `2014-05-02T21:22:13Z` | the same, read with any offset |
//! | `arena_date` | `2014-05-02T21:22:13Z` | `Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)` |
//! | `us_date` | `2017-01-06T03:51:16Z` | `Jan 6, 2017 3:51:16 AM`, in UTC |
//! | `unix_ms` | `2018-07-10T20:13:20Z` | `1531253600000`, a number in JSON |
//! | `bool_text` | `true` | `true`, a text in JSON |
//! | `lower` | `open` | `open`, read in any case |
//!
//! Each is a bijection on its domain: what was written reads as the same value, and what was read writes
//! the normal form of the same wire text. A value or a wire text outside the domain is `None`, never
//! mended. A new codec is a file here, a variant of [`Codec`] and an arm in each `match` below.

mod arena_date;
mod base64;
mod basic;
mod bool_text;
mod http_date;
mod int;
mod iso_date;
#[cfg(test)]
mod laws;
mod lines;
mod lower;
mod moment;
mod percent;
mod unix_ms;
mod us_date;
mod uuid32;

use std::borrow::Cow;

/// How a value's text stands on the wire; see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// `int`
    Int,
    /// `uuid32`
    Uuid32,
    /// `basic`
    Basic,
    /// `base64`
    Base64,
    /// `percent`
    Percent,
    /// `lines`
    Lines,
    /// `http_date`
    HttpDate,
    /// `iso_date`
    IsoDate,
    /// `arena_date`
    ArenaDate,
    /// `us_date`
    UsDate,
    /// `unix_ms`
    UnixMs,
    /// `bool_text`
    BoolText,
    /// `lower`
    Lower,
}

/// How a JSON body carries a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// `"…"`
    Text,
    /// A number, whose text is the value's.
    Number,
    /// `true` or `false`
    Bool,
}

impl Codec {
    /// Every codec, in the order of the table above.
    pub const ALL: [Self; 13] = [
        Self::Int,
        Self::Uuid32,
        Self::Basic,
        Self::Base64,
        Self::Percent,
        Self::Lines,
        Self::HttpDate,
        Self::IsoDate,
        Self::ArenaDate,
        Self::UsDate,
        Self::UnixMs,
        Self::BoolText,
        Self::Lower,
    ];

    /// The codec that mappings call `name`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// What mappings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Uuid32 => "uuid32",
            Self::Basic => "basic",
            Self::Base64 => "base64",
            Self::Percent => "percent",
            Self::Lines => "lines",
            Self::HttpDate => "http_date",
            Self::IsoDate => "iso_date",
            Self::ArenaDate => "arena_date",
            Self::UsDate => "us_date",
            Self::UnixMs => "unix_ms",
            Self::BoolText => "bool_text",
            Self::Lower => "lower",
        }
    }

    /// How a JSON body carries what it writes.
    pub fn node(self) -> NodeKind {
        match self {
            Self::Int | Self::UnixMs => NodeKind::Number,
            Self::Uuid32
            | Self::Basic
            | Self::Base64
            | Self::Percent
            | Self::Lines
            | Self::HttpDate
            | Self::IsoDate
            | Self::ArenaDate
            | Self::UsDate
            | Self::BoolText
            | Self::Lower => NodeKind::Text,
        }
    }

    /// The value of a wire text; `None` if it is outside the domain.
    pub fn read(self, wire: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Int => int::read(wire),
            Self::Uuid32 => uuid32::read(wire),
            Self::Basic => basic::read(wire),
            Self::Base64 => base64::read(wire),
            Self::Percent => percent::read(wire),
            Self::Lines => lines::read(wire),
            Self::HttpDate => http_date::read(wire),
            Self::IsoDate => iso_date::read(wire),
            Self::ArenaDate => arena_date::read(wire),
            Self::UsDate => us_date::read(wire),
            Self::UnixMs => unix_ms::read(wire),
            Self::BoolText => bool_text::read(wire),
            Self::Lower => lower::read(wire),
        }
    }

    /// As [`read`](Self::read), lending what was lent.
    pub fn read_cow<'a>(self, wire: Cow<'a, str>) -> Option<Cow<'a, str>> {
        match wire {
            Cow::Borrowed(wire) => self.read(wire),
            Cow::Owned(wire) => Some(Cow::Owned(self.read(&wire)?.into_owned())),
        }
    }

    /// As [`write`](Self::write), lending what was lent.
    pub fn write_cow<'a>(self, value: Cow<'a, str>) -> Option<Cow<'a, str>> {
        match value {
            Cow::Borrowed(value) => self.write(value),
            Cow::Owned(value) => Some(Cow::Owned(self.write(&value)?.into_owned())),
        }
    }

    /// The wire text of a value; `None` if it is outside the domain.
    pub fn write(self, value: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Int => int::write(value),
            Self::Uuid32 => uuid32::write(value),
            Self::Basic => basic::write(value),
            Self::Base64 => base64::write(value),
            Self::Percent => percent::write(value),
            Self::Lines => lines::write(value),
            Self::HttpDate => http_date::write(value),
            Self::IsoDate => iso_date::write(value),
            Self::ArenaDate => arena_date::write(value),
            Self::UsDate => us_date::write(value),
            Self::UnixMs => unix_ms::write(value),
            Self::BoolText => bool_text::write(value),
            Self::Lower => lower::write(value),
        }
    }

    /// The characters of which a written text can consist, so that a check can tell before start which
    /// separators it cannot hold; `None`: any.
    pub fn alphabet(self) -> Option<&'static str> {
        match self {
            Self::Int => Some(int::ALPHABET),
            Self::Uuid32 => Some(uuid32::ALPHABET),
            Self::Basic => Some(basic::ALPHABET),
            Self::Base64 => Some(base64::ALPHABET),
            Self::Percent => Some(percent::ALPHABET),
            Self::HttpDate => Some(http_date::ALPHABET),
            Self::IsoDate => Some(iso_date::ALPHABET),
            Self::ArenaDate => Some(arena_date::ALPHABET),
            Self::UsDate => Some(us_date::ALPHABET),
            Self::UnixMs => Some(unix_ms::ALPHABET),
            Self::BoolText => Some(bool_text::ALPHABET),
            Self::Lines | Self::Lower => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_codec_is_found_by_its_own_name() {
        for codec in Codec::ALL {
            assert_eq!(Codec::by_name(codec.name()), Some(codec));
        }
        assert_eq!(Codec::by_name("Int"), None);
        assert_eq!(Codec::by_name(""), None);
    }

    #[test]
    fn what_counts_is_a_number() {
        let numbers = Codec::ALL.into_iter().filter(|codec| codec.node() == NodeKind::Number);
        assert_eq!(numbers.collect::<Vec<_>>(), [Codec::Int, Codec::UnixMs]);
    }

    proptest! {
        #[test]
        fn every_text_is_in_the_domain_or_out_of_it(text: String) {
            for codec in Codec::ALL {
                laws::holds_for_wire(codec, &text);
                laws::holds_if_in_domain(codec, &text);
            }
        }
    }
}
