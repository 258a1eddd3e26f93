//! Why a body is not XML that we read, and why a text is not XML that we write.

use std::error::Error;
use std::fmt;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// The bytes are not UTF-8, from `offset` on.
    NotUtf8 {
        /// In bytes from the body's start.
        offset: usize,
    },
    /// The body declares an encoding other than UTF-8 or US-ASCII.
    Encoding,
    /// The body has a document type declaration.
    DocumentType,
    /// A reference to an entity that XML itself does not define.
    UnknownEntity {
        /// The line, from 1.
        line: u32,
        /// The column in characters, from 1.
        column: u32,
    },
    /// A reference to a number that is no character, such as one half of a surrogate pair.
    BadReference {
        /// In bytes from the body's start.
        offset: usize,
    },
    /// More elements stand inside each other than the limit allows.
    TooDeep,
    /// More nodes than the limit allows.
    TooManyNodes,
    /// More attributes in one start tag, or more namespace declarations that apply at one place, than any
    /// ticket system writes.
    TooManyAttributes,
    /// Not well-formed; the source says what the parser expected.
    Malformed(roxmltree::Error),
}

/// A character that XML 1.0 cannot carry, escaped or not, such as most control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotXml {
    /// The character.
    pub character: char,
    /// Where it stands, in bytes from the text's start.
    pub offset: usize,
}

impl From<roxmltree::Error> for XmlError {
    fn from(error: roxmltree::Error) -> Self {
        match error {
            roxmltree::Error::DtdDetected => Self::DocumentType,
            roxmltree::Error::NodesLimitReached => Self::TooManyNodes,
            roxmltree::Error::UnknownEntityReference(_, place) => {
                Self::UnknownEntity { line: place.row, column: place.col }
            }
            other => Self::Malformed(other),
        }
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { offset } => write!(formatter, "invalid UTF-8 at byte {offset}"),
            Self::Encoding => formatter.write_str("an encoding other than UTF-8 is declared"),
            Self::DocumentType => formatter.write_str("a document type declaration"),
            Self::UnknownEntity { line, column } => {
                write!(formatter, "unknown entity at line {line}, column {column}")
            }
            Self::BadReference { offset } => {
                write!(formatter, "reference to no character at byte {offset}")
            }
            Self::TooDeep => formatter.write_str("nested too deep"),
            Self::TooManyNodes => formatter.write_str("too many nodes"),
            Self::TooManyAttributes => formatter.write_str("too many attributes"),
            Self::Malformed(error) => {
                let place = error.pos();
                let (line, column) = (place.row, place.col);
                write!(formatter, "malformed at line {line}, column {column}")
            }
        }
    }
}

impl Error for XmlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::NotUtf8 { .. }
            | Self::Encoding
            | Self::DocumentType
            | Self::UnknownEntity { .. }
            | Self::BadReference { .. }
            | Self::TooDeep
            | Self::TooManyNodes
            | Self::TooManyAttributes => None,
        }
    }
}

impl fmt::Display for NotXml {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = u32::from(self.character);
        let offset = self.offset;
        write!(formatter, "U+{point:04X} at byte {offset} cannot stand in XML")
    }
}

impl Error for NotXml {}
