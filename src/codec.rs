//! Body codecs: the bytes of a message to names and texts, and back.
//!
//! | module | reads | writes |
//! |---|---|---|
//! | [`json`] | a validating pull reader, no tree | strings, raw values made compact |
//! | [`xml`] | a read-only element view | escaped text and attribute values |
//! | [`form`] | `application/x-www-form-urlencoded` pairs | one pair at a time |
//! | [`percent`] | one path segment | path segments and query texts |
//! | [`coding`] | what a content coding packed | |
//! | [`decimal`] | | whole numbers |
//!
//! None of them knows a mapping: they hand out what stands in the body, and what is not allowed to
//! stand there is an error with its place. Every reader is bounded in depth, takes time linear in the
//! body's length, and returns an error, never a panic, for any input.

pub mod coding;
pub mod decimal;
pub mod form;
pub mod json;
mod names;
pub mod percent;
pub mod xml;

/// How many containers may stand inside each other, the outermost counted, in a body of any kind.
pub const DEPTH_MAX: usize = 128;
