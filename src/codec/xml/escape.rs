//! Escaping for text and for attribute values.

use super::NotXml;

/// Appends `text` as text between tags. A carriage return is escaped, because readers make a line feed
/// of a plain one. On an error `out` is as it was.
pub fn escape_text(out: &mut Vec<u8>, text: &str) -> Result<(), NotXml> {
    escape(out, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    })
}

/// Appends `text` as an attribute's value, fit for quotation marks or apostrophes around it. Tabs and line
/// ends are escaped, because readers make spaces of plain ones. On an error `out` is as it was.
pub fn escape_attribute(out: &mut Vec<u8>, text: &str) -> Result<(), NotXml> {
    escape(out, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&apos;"),
        b'\t' => Some("&#9;"),
        b'\n' => Some("&#10;"),
        b'\r' => Some("&#13;"),
        _ => None,
    })
}

#[inline]
fn escape(
    out: &mut Vec<u8>,
    text: &str,
    reference: impl Fn(u8) -> Option<&'static str>,
) -> Result<(), NotXml> {
    let start = out.len();
    let bytes = text.as_bytes();
    let mut copied = 0;
    out.reserve(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some(reference) = reference(byte) {
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(reference.as_bytes());
            copied = at + 1;
        } else if cannot_stand(byte, &bytes[at..]) {
            out.truncate(start);
            let character = text[at..].chars().next().unwrap_or_default();
            return Err(NotXml { character, offset: at });
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    Ok(())
}

/// Whether a character that XML 1.0 excludes begins here: a control character, U+FFFE or U+FFFF.
#[inline]
fn cannot_stand(byte: u8, from_here: &[u8]) -> bool {
    match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..0x20 => true,
        0xef => from_here.starts_with(b"\xef\xbf\xbe") || from_here.starts_with(b"\xef\xbf\xbf"),
        _ => false,
    }
}
