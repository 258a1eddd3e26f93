//! Writing: texts, and raw values without their whitespace.

use std::borrow::Cow;

use memchr::memchr2;

use super::scan::plain_len;

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as a JSON text. `/` and characters beyond ASCII stay as they are.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else {
            break;
        };
        write_escape(out, byte);
        rest = behind;
    }
    out.push(b'"');
}

/// A raw JSON value without the whitespace between its parts.
pub fn compacted(raw: &str) -> Cow<'_, str> {
    let mut out = Vec::new();
    compact(raw, &mut out);
    if out.len() == raw.len() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(String::from_utf8(out).expect("UTF-8 without some of its blanks is UTF-8"))
}

/// True if the raw JSON value is `compact` but for whitespace between its parts.
pub fn compacts_to(raw: &str, compact: &str) -> bool {
    let mut rest = compact.as_bytes();
    let all_there = parts(raw).all(|part| match rest.strip_prefix(part) {
        Some(behind) => {
            rest = behind;
            true
        }
        None => false,
    });
    all_there && rest.is_empty()
}

/// Appends a raw JSON value, such as [`skip`](super::JsonReader::skip) returned, without the whitespace
/// between its parts. Texts and numbers stay as they came.
pub fn compact(raw: &str, out: &mut Vec<u8>) {
    out.reserve(raw.len());
    for part in parts(raw) {
        out.extend_from_slice(part);
    }
}

/// A raw JSON value cut at the whitespace between its parts, which is left out.
fn parts(raw: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        while let [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        let length = match rest.first()? {
            b'"' => text_len(rest),
            _ => run_len(rest),
        };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        Some(part)
    })
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEXADECIMAL[usize::from(byte >> 4)]);
            out.push(HEXADECIMAL[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// The length of the text at the start of `bytes`, with its quotation marks.
fn text_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        // A backslash covers the byte behind it, and that byte is never a part of a longer character.
        at += 2;
    }
    bytes.len()
}

/// How many bytes come before the next whitespace or text.
fn run_len(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'"');
    bytes.iter().position(ends).unwrap_or(bytes.len())
}
