//! JSON (RFC 8259), strictly: a pull reader over the bytes of a body, and the pieces a writer needs.
//!
//! The reader builds no tree. Who drives it asks for the next thing and skips what it does not want;
//! texts are borrowed from the body unless they had escapes, and numbers keep the text they came with.
//!
//! ```
//! use latimer::codec::json::{JsonReader, Limits, Scalar};
//!
//! let mut reader = JsonReader::new(br#"{"noise": [1, 2], "status": "open"}"#, Limits::default())?;
//! let mut object = reader.object()?;
//! while let Some(name) = reader.key(&mut object)? {
//!     if name == "status" {
//!         assert_eq!(reader.scalar()?, Scalar::Text("open".into()));
//!     } else {
//!         assert_eq!(reader.skip()?, "[1, 2]");
//!     }
//! }
//! reader.finish()?;
//! # Ok::<(), latimer::codec::json::JsonError>(())
//! ```
//!
//! Beyond the grammar, a byte order mark and the lone half of a surrogate pair are refused, and so is a
//! name that stands twice in one object, unless who reads watches for that itself
//! ([`Duplicates`]): the two systems on either side of a gateway must not be made to read different
//! things.

mod error;
mod lex;
mod reader;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use error::{JsonError, JsonErrorKind};
pub use reader::{Array, JsonReader, Object};
pub use write::{compact, compacted, compacts_to, write_text};

use std::borrow::Cow;

/// What a body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many containers may stand inside each other; one more is refused.
    pub depth_max: usize,
    /// What becomes of a name that stands twice in one object.
    pub duplicates: Duplicates,
}

/// What becomes of a name that stands twice in one object; names are compared after unescaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// The body is refused, also when the object is skipped.
    Refuse,
    /// All are handed out and none is remembered, which costs nothing: who reads takes the first.
    Unwatched,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A value that holds no other values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it stands in the body: `1.50`, `1.56402555717E12`.
    Number(&'a str),
    /// A text, unescaped.
    Text(Cow<'a, str>),
}

impl Default for Limits {
    /// [`DEPTH_MAX`](super::DEPTH_MAX) levels, duplicates refused.
    fn default() -> Self {
        Self { depth_max: super::DEPTH_MAX, duplicates: Duplicates::Refuse }
    }
}
