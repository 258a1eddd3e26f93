//! Why a body is not JSON that we read, and where.

use std::error::Error;
use std::fmt;

use super::Kind;

/// Why a body is refused, with the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Where, in bytes from the body's start.
    pub offset: usize,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The body begins with a byte order mark.
    ByteOrderMark,
    /// The body ends inside a value.
    Ended,
    /// Something follows the outermost value.
    Trailing,
    /// Something else stands where a value must stand.
    ExpectedValue,
    /// A value of another kind stands where the reader was asked for an object or an array.
    ExpectedKind(Kind),
    /// An object or an array stands where the reader was asked for a scalar.
    ExpectedScalar,
    /// Something else stands where a member's name must stand.
    ExpectedName,
    /// No `:` follows a member's name.
    ExpectedColon,
    /// Neither `,` nor `}` follows a member.
    ExpectedCommaOrBrace,
    /// Neither `,` nor `]` follows an item.
    ExpectedCommaOrBracket,
    /// A number breaks the grammar: `01`, `1.`, `.5`, `+1`, `1e`.
    BadNumber,
    /// A control character stands in a text unescaped.
    ControlCharacter,
    /// A `\` is followed by none of the escapes.
    BadEscape,
    /// An escape names one half of a surrogate pair without the other.
    LoneSurrogate,
    /// More containers stand inside each other than the limit allows.
    TooDeep,
    /// The same name stands twice in one object.
    DuplicateName,
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.kind, self.offset)
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotUtf8 => "invalid UTF-8",
            Self::ByteOrderMark => "a byte order mark",
            Self::Ended => "unexpected end",
            Self::Trailing => "unexpected text after the value",
            Self::ExpectedValue => "expected a value",
            Self::ExpectedKind(Kind::Object) => "expected an object",
            Self::ExpectedKind(Kind::Array) => "expected an array",
            Self::ExpectedKind(Kind::Text) => "expected a text",
            Self::ExpectedKind(Kind::Number) => "expected a number",
            Self::ExpectedKind(Kind::Bool) => "expected true or false",
            Self::ExpectedKind(Kind::Null) => "expected null",
            Self::ExpectedScalar => "expected a text, a number, true, false or null",
            Self::ExpectedName => "expected a member name",
            Self::ExpectedColon => "expected a colon",
            Self::ExpectedCommaOrBrace => "expected a comma or a closing brace",
            Self::ExpectedCommaOrBracket => "expected a comma or a closing bracket",
            Self::BadNumber => "malformed number",
            Self::ControlCharacter => "unescaped control character",
            Self::BadEscape => "malformed escape",
            Self::LoneSurrogate => "half of a surrogate pair",
            Self::TooDeep => "nested too deep",
            Self::DuplicateName => "member name used twice",
        })
    }
}

impl Error for JsonError {}
