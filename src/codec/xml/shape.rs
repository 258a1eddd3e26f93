//! Measures a body before it is parsed: how deep its elements nest and what their start tags hold.
//!
//! It also finds the one thing that the parser mends in silence: a reference to a surrogate, `&#xD800;`.
//!
//! This is no parser. As far as the body is well-formed it finds the same tags as one, and behind the
//! first place that is not, the parser does not come.

use memchr::{memchr, memchr3, memmem};

use super::{Limits, XmlError};

/// How many attributes one start tag may have. The parser compares each with all before it.
const ATTRIBUTES_MAX: usize = 64;

/// How many namespace declarations may apply at one place. The parser copies all for each element that
/// adds one, comparing each with each.
const NAMESPACES_MAX: usize = 64;

/// A start tag.
struct Tag {
    /// In bytes, with its brackets.
    length: usize,
    attributes: usize,
    declarations: usize,
    /// Whether it is its own end tag.
    empty: bool,
}

/// Refuses a body that is beyond the limits. One that is malformed passes: the parser says where.
pub(super) fn check(text: &str, limits: Limits) -> Result<(), XmlError> {
    let bytes = text.as_bytes();
    // For each open element, how many namespace declarations apply inside it.
    let mut open: Vec<usize> = Vec::new();
    let mut nodes = 0;
    let mut at = 0;
    while let Some(found) = memchr(b'<', &bytes[at..]) {
        check_references(bytes, at, found)?;
        at += found;
        let rest = &bytes[at..];
        let length = match rest.get(1) {
            Some(b'?') => length_to(rest, b"?>"),
            Some(b'!') if rest.starts_with(b"<!--") => length_of_comment(rest),
            Some(b'!') if rest.starts_with(b"<![CDATA[") => length_to(rest, b"]]>"),
            Some(b'/') => {
                open.pop();
                length_to(rest, b">")
            }
            Some(b'!') | None => None,
            Some(_) => match measure(rest) {
                Some(tag) => {
                    enter(&mut open, &tag, limits)?;
                    check_references(bytes, at, tag.length)?;
                    Some(tag.length)
                }
                None => None,
            },
        };
        nodes += u32::from(!matches!(rest.get(1), Some(b'/')));
        if nodes > limits.nodes_max {
            return Err(XmlError::TooManyNodes);
        }
        let Some(length) = length else {
            return Ok(());
        };
        at += length;
    }
    Ok(())
}

/// Counts an element in, and out again if it is empty.
fn enter(open: &mut Vec<usize>, tag: &Tag, limits: Limits) -> Result<(), XmlError> {
    let declarations = open.last().copied().unwrap_or(0) + tag.declarations;
    if open.len() >= limits.depth_max {
        return Err(XmlError::TooDeep);
    }
    if tag.attributes > ATTRIBUTES_MAX || declarations > NAMESPACES_MAX {
        return Err(XmlError::TooManyAttributes);
    }
    if !tag.empty {
        open.push(declarations);
    }
    Ok(())
}

/// Refuses a reference to a number that is no character, in the text or tag of `length` bytes at `start`.
fn check_references(bytes: &[u8], start: usize, length: usize) -> Result<(), XmlError> {
    let end = start + length;
    let mut at = start;
    while let Some(found) = memchr(b'&', &bytes[at..end]) {
        at += found + 1;
        let Some(number) = bytes[at..end].strip_prefix(b"#") else {
            continue;
        };
        let (digits, radix) = match number.strip_prefix(b"x") {
            Some(digits) => (digits, 16),
            None => (number, 10),
        };
        let digits = digits.iter().map_while(|&byte| char::from(byte).to_digit(radix));
        let point =
            digits.fold(0_u32, |point, digit| point.saturating_mul(radix).saturating_add(digit));
        if char::from_u32(point).is_none() {
            return Err(XmlError::BadReference { offset: at - 1 });
        }
    }
    Ok(())
}

/// The start tag at the beginning of `bytes`; `None` if it does not end.
fn measure(bytes: &[u8]) -> Option<Tag> {
    let mut tag = Tag { length: 0, attributes: 0, declarations: 0, empty: false };
    let mut at = bytes.iter().position(|byte| b" \t\r\n>".contains(byte))?;
    loop {
        let found = memchr3(b'"', b'\'', b'>', &bytes[at..])?;
        let before = &bytes[at..at + found];
        at += found + 1;
        if bytes[at - 1] == b'>' {
            tag.length = at;
            tag.empty = bytes[..at].ends_with(b"/>");
            return Some(tag);
        }
        tag.attributes += 1;
        tag.declarations += usize::from(before.trim_ascii_start().starts_with(b"xmlns"));
        at += memchr(bytes[at - 1], &bytes[at..])? + 1;
    }
}

fn length_to(bytes: &[u8], end: &[u8]) -> Option<usize> {
    memmem::find(bytes, end).map(|at| at + end.len())
}

/// As [`length_to`], but the hyphens that open a comment do not close it.
fn length_of_comment(bytes: &[u8]) -> Option<usize> {
    let opening = "<!--".len();
    length_to(&bytes[opening..], b"-->").map(|length| opening + length)
}
