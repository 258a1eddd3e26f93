//! The tokens of JSON that hold no others: texts, numbers and the three words.

use std::borrow::Cow;

use super::scan::plain_len;
use super::{JsonError, JsonErrorKind};

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The place, in bytes from the body's start.
    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// What lies between an earlier place and this one.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The byte here; 0, which begins nothing, at the end.
    #[inline]
    pub(super) fn here(&self) -> u8 {
        self.byte(self.at)
    }

    /// Steps over the byte here, one of JSON's own signs.
    #[inline]
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over `signs` if they stand here.
    #[inline]
    pub(super) fn pass(&mut self, signs: &[u8]) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let stand_here = rest.starts_with(signs);
        if stand_here {
            self.at += signs.len();
        }
        stand_here
    }

    /// Steps to the next byte that is not whitespace and returns it; 0 at the end.
    #[inline]
    pub(super) fn next(&mut self) -> u8 {
        loop {
            let byte = self.here();
            // One comparison settles the usual case: no whitespace here.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The error for what stands here.
    pub(super) fn error(&self, kind: JsonErrorKind) -> JsonError {
        self.error_at(self.at, kind)
    }

    /// A text, from its opening quotation mark here.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at + 1;
        let end = self.plain_end(start);
        if self.byte(end) == b'"' {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        self.unescaped(start, end).map(Cow::Owned)
    }

    /// A text with escapes, or one that is malformed, from behind its quotation mark at `start`; the first
    /// escape stands at `end`.
    #[cold]
    fn unescaped(&mut self, start: usize, end: usize) -> Result<String, JsonError> {
        let mut unescaped = String::with_capacity(end - start + 16);
        self.pieces(start, |piece| match piece {
            Piece::Plain(plain) => unescaped.push_str(plain),
            Piece::Escaped(character) => unescaped.push(character),
        })?;
        Ok(unescaped)
    }

    /// Steps over a text, from its opening quotation mark here, and validates it.
    #[inline(always)]
    pub(super) fn pass_text(&mut self) -> Result<(), JsonError> {
        let end = self.plain_end(self.at + 1);
        if self.byte(end) == b'"' {
            self.at = end + 1;
            return Ok(());
        }
        self.pass_escaped()
    }

    #[cold]
    fn pass_escaped(&mut self) -> Result<(), JsonError> {
        self.pieces(self.at + 1, |_| ())
    }

    /// A number, from its first character here.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let mut at = start + usize::from(self.byte(start) == b'-');
        at = match self.byte(at) {
            b'0' => at + 1,
            _ => self.digits_end(at)?,
        };
        if self.byte(at) == b'.' {
            at = self.digits_end(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let signed = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits_end(at + 1 + usize::from(signed))?;
        }
        if matches!(self.byte(at), b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
            return Err(self.error_at(at, JsonErrorKind::BadNumber));
        }
        self.at = at;
        Ok(self.since(start))
    }

    /// Steps over `word`, which begins here.
    #[inline]
    pub(super) fn word(&mut self, word: &str) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else if word.as_bytes().starts_with(rest) {
            Err(self.error_at(self.text.len(), JsonErrorKind::Ended))
        } else {
            Err(self.error(JsonErrorKind::ExpectedValue))
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn error_at(&self, at: usize, kind: JsonErrorKind) -> JsonError {
        if at < self.text.len() || kind == JsonErrorKind::Ended {
            JsonError { kind, offset: at }
        } else {
            JsonError { kind: JsonErrorKind::Ended, offset: self.text.len() }
        }
    }

    #[inline]
    fn plain_end(&self, start: usize) -> usize {
        start + plain_len(self.text.as_bytes().get(start..).unwrap_or_default())
    }

    /// Hands out the text that begins at `start`, behind its quotation mark, and steps behind its end.
    #[inline]
    fn pieces(
        &mut self,
        mut start: usize,
        mut take: impl FnMut(Piece<'a>),
    ) -> Result<(), JsonError> {
        loop {
            let end = self.plain_end(start);
            take(Piece::Plain(self.text.get(start..end).unwrap_or_default()));
            match self.byte(end) {
                b'"' => {
                    self.at = end + 1;
                    return Ok(());
                }
                b'\\' => {
                    let (character, next) = self.escape(end)?;
                    take(Piece::Escaped(character));
                    start = next;
                }
                _ => return Err(self.error_at(end, JsonErrorKind::ControlCharacter)),
            }
        }
    }

    /// What the escape whose backslash stands at `at` means, and the place behind it.
    fn escape(&self, at: usize) -> Result<(char, usize), JsonError> {
        let character = match self.byte(at + 1) {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(at),
            _ => return Err(self.error_at(at + 1, JsonErrorKind::BadEscape)),
        };
        Ok((character, at + 2))
    }

    /// What `\uXXXX`, or a surrogate pair of two, at `at` means, and the place behind it.
    fn code_point(&self, at: usize) -> Result<(char, usize), JsonError> {
        let lone = JsonError { kind: JsonErrorKind::LoneSurrogate, offset: at };
        let first = self.hexadecimal(at + 2)?;
        if !(0xD800..0xDC00).contains(&first) {
            // All of the remaining 16-bit numbers are characters but the low surrogates.
            let character = char::from_u32(first).ok_or(lone)?;
            return Ok((character, at + 6));
        }
        let second_at = at + 6;
        let rest = self.text.as_bytes().get(second_at..).unwrap_or_default();
        if !rest.starts_with(b"\\u") {
            let ended = b"\\u".starts_with(rest);
            let offset = self.text.len();
            return Err(if ended { self.error_at(offset, JsonErrorKind::Ended) } else { lone });
        }
        let second = self.hexadecimal(second_at + 2)?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(lone);
        }
        let point = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok((char::from_u32(point).ok_or(lone)?, second_at + 6))
    }

    /// The four hexadecimal digits at `at`.
    fn hexadecimal(&self, at: usize) -> Result<u32, JsonError> {
        (at..at + 4).try_fold(0, |number, at| {
            let digit = char::from(self.byte(at)).to_digit(16);
            let digit = digit.ok_or_else(|| self.error_at(at, JsonErrorKind::BadEscape))?;
            Ok(number << 4 | digit)
        })
    }

    /// The place behind the digits at `at`, of which there must be one.
    #[inline]
    fn digits_end(&self, at: usize) -> Result<usize, JsonError> {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.error_at(at, JsonErrorKind::BadNumber));
        }
        Ok(at + count)
    }
}

/// A part of a text.
enum Piece<'a> {
    Plain(&'a str),
    Escaped(char),
}
