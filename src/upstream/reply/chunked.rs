//! The chunked transfer coding (RFC 9112 section 7.1).

use bytes::{Buf, BytesMut};

use super::{BrokenBody, Progress};

/// A line of a chunk's size with its extensions, or of a trailer.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// All that is no content: sizes, extensions, trailers. Against a body of nothing else.
const OVERHEAD_BYTES_MAX: usize = 256 * 1024;

/// A body in chunks, as far as it has been read.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Chunked {
    stage: Stage,
    content: BytesMut,
    overhead: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// A line with a size comes next.
    #[default]
    Size,
    /// So many bytes of a chunk are left.
    Content(usize),
    /// The line's end behind a chunk.
    Behind,
    /// Trailers, up to an empty line.
    Trailers,
}

impl Chunked {
    /// Takes what can be taken.
    pub(super) fn take(
        &mut self,
        received: &mut BytesMut,
        bytes_max: usize,
    ) -> Result<Progress, BrokenBody> {
        loop {
            if let Stage::Content(left) = self.stage {
                if received.is_empty() {
                    return Ok(Progress::More);
                }
                let now = left.min(received.len());
                self.content.extend_from_slice(&received[..now]);
                received.advance(now);
                self.stage = if now == left { Stage::Behind } else { Stage::Content(left - now) };
                continue;
            }
            let Some(line) = self.take_line(received)? else { return Ok(Progress::More) };
            self.stage = match self.stage {
                Stage::Size => match size(&line)? {
                    0 => Stage::Trailers,
                    size if size > bytes_max - self.content.len().min(bytes_max) => {
                        return Err(BrokenBody::TooLarge);
                    }
                    size => Stage::Content(size),
                },
                Stage::Behind if line.is_empty() => Stage::Size,
                Stage::Trailers if line.is_empty() => {
                    return Ok(Progress::Whole(self.content.split().freeze()));
                }
                // What a trailer says is not used (RFC 9110 section 6.5.1).
                Stage::Trailers => Stage::Trailers,
                Stage::Behind | Stage::Content(_) => return Err(BrokenBody::Malformed),
            };
        }
    }

    /// A line without its end; `None` if it has not come whole.
    fn take_line(&mut self, received: &mut BytesMut) -> Result<Option<BytesMut>, BrokenBody> {
        let Some(end) = memchr::memchr(b'\n', received) else {
            let too_long = received.len() > LINE_BYTES_MAX;
            return if too_long { Err(BrokenBody::Malformed) } else { Ok(None) };
        };
        self.overhead += end + 1;
        // A bare LF ends a line for some readers and not for others.
        if end > LINE_BYTES_MAX || self.overhead > OVERHEAD_BYTES_MAX || end == 0 {
            return Err(BrokenBody::Malformed);
        }
        let mut line = received.split_to(end + 1);
        if line[end - 1] != b'\r' {
            return Err(BrokenBody::Malformed);
        }
        line.truncate(end - 1);
        Ok(Some(line))
    }
}

/// The size in hexadecimal digits; extensions are passed over.
fn size(line: &[u8]) -> Result<usize, BrokenBody> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let rest = rest.trim_ascii_start();
    let sound = !digits.is_empty() && (rest.is_empty() || rest[0] == b';');
    let text = std::str::from_utf8(digits).unwrap_or_default();
    match usize::from_str_radix(text, 16) {
        Ok(size) if sound => Ok(size),
        Ok(_) => Err(BrokenBody::Malformed),
        // More digits than a number here has.
        Err(_) if sound => Err(BrokenBody::TooLarge),
        Err(_) => Err(BrokenBody::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]], bytes_max: usize) -> Result<(Progress, BytesMut), BrokenBody> {
        let (mut chunked, mut received) = (Chunked::default(), BytesMut::new());
        let mut last = Progress::More;
        for piece in pieces {
            received.extend_from_slice(piece);
            last = chunked.take(&mut received, bytes_max)?;
        }
        Ok((last, received))
    }

    fn whole(text: &[u8]) -> Progress {
        Progress::Whole(bytes::Bytes::copy_from_slice(text))
    }

    #[test]
    fn the_forms_of_the_standard() {
        for text in [
            &b"5\r\nhello\r\n0\r\n\r\n"[..],
            b"05\r\nhello\r\n000\r\n\r\n",
            b"2\r\nhe\r\n3;name=value\r\nllo\r\n0;last\r\n\r\n",
            b"5 ; quoted=\"x\"\r\nhello\r\n0\r\nExpires: now\r\nX: y\r\n\r\n",
        ] {
            assert_eq!(read(&[text], 5).unwrap(), (whole(b"hello"), BytesMut::new()), "{text:?}");
        }
        let (body, rest) = read(&[b"A\r\n0123456789\r\n0\r\n\r\nHTTP/1.1"], 10).unwrap();
        assert_eq!((body, &rest[..]), (whole(b"0123456789"), &b"HTTP/1.1"[..]));
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for text in [
            &b"\r\nhello\r\n0\r\n\r\n"[..],
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"5,\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello world\r\n0\r\n\r\n",
            b"\n",
        ] {
            assert_eq!(read(&[text], 50), Err(BrokenBody::Malformed), "{text:?}");
        }
        let long = [b"5;".to_vec(), vec![b'x'; LINE_BYTES_MAX]].concat();
        assert_eq!(read(&[&long], 50), Err(BrokenBody::Malformed));
        let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(OVERHEAD_BYTES_MAX / 5)].concat();
        assert_eq!(read(&[&trailers], 50), Err(BrokenBody::Malformed));
    }

    #[test]
    fn the_cap_holds_before_the_bytes_come() {
        for text in [&b"6\r\n"[..], b"ffffffffffffffff\r\n", b"fffffffffffffffff\r\n"] {
            assert_eq!(read(&[text], 5), Err(BrokenBody::TooLarge), "{text:?}");
        }
        assert_eq!(read(&[b"3\r\nhel\r\n3\r\n"], 5), Err(BrokenBody::TooLarge));
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_comes(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1usize..9,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            let (body, rest) = read(&pieces, 1_000).unwrap();
            prop_assert_eq!(body, whole(&chunks.concat()));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn nothing_panics_or_outgrows_the_cap(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((Progress::Whole(body), _)) = read(&[&text], 20) {
                prop_assert!(body.len() <= 20);
            }
        }
    }
}
