//! Content codings of bodies (RFC 9110 section 8.4): which ones were applied, and the bytes without them.
//!
//! Read are `gzip` and its old name `x-gzip` (RFC 1952, one member or several), `deflate` (RFC 1950, and the
//! bare RFC 1951 that some send under that name), `br` (RFC 7932) and `identity`, which is none.
//!
//! A few bytes can stand for very many. So what comes out is counted as it comes out, and decoding ends with
//! the byte that is one too many: whatever came in, it takes the time and the memory of a body that has just
//! the size that is allowed, and what the codings themselves look back on (32 KiB; 16 MiB for `br`). Bytes
//! behind the end of a coding are refused, because another reader may take them for something.
//!
//! ```
//! use latimer::codec::coding::Codings;
//!
//! let codings = Codings::read([&b"identity"[..]]).expect("it is known");
//! assert!(codings.is_empty());
//! assert!(Codings::read([&b"gzip, zstd"[..]]).is_err());
//! ```

use std::fmt;
use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use smallvec::SmallVec;

use crate::bounds;

/// Those that are read, as `Accept-Encoding` names them.
pub const ACCEPTED: &str = "gzip, deflate, br";

/// Bytes that are decoded before they are counted.
const STEP_BYTES: usize = 16 * 1024;

/// One coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// The codings of one body, in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(SmallVec<[Coding; 2]>);

/// A coding that is not read, or more codings than anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread;

/// Why bytes are not what their codings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecoded {
    /// More comes out than is allowed.
    TooLarge,
    /// They are damaged, end early or go on behind the end.
    Broken,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a coding that is not read")
    }
}

impl std::error::Error for Unread {}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "decoded it is too large",
            Self::Broken => "it is not what its coding says",
        })
    }
}

impl std::error::Error for Undecoded {}

impl Codings {
    /// Reads the values of `Content-Encoding`, which are one list (RFC 9110 sections 5.3 and 5.6.1).
    ///
    /// # Errors
    /// If a coding is not read.
    pub fn read<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Unread> {
        let mut codings = SmallVec::new();
        for name in values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                _ => return Err(Unread),
            };
            if codings.len() == bounds::CODINGS_MAX {
                return Err(Unread);
            }
            codings.push(coding);
        }
        Ok(Self(codings))
    }

    /// True if the bytes are the body itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the codings off, the last one first. What stands between two of them is held to the same size.
    ///
    /// # Errors
    /// If the bytes are not what the codings say, or stand for more than `bytes_max` bytes.
    pub fn decode(&self, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecoded> {
        let mut codings = self.0.iter().rev();
        let Some(last) = codings.next() else {
            return if bytes.len() > bytes_max {
                Err(Undecoded::TooLarge)
            } else {
                Ok(bytes.into())
            };
        };
        let outermost = last.decode(bytes, bytes_max)?;
        codings.try_fold(outermost, |bytes, coding| coding.decode(&bytes, bytes_max))
    }
}

impl Coding {
    fn decode(self, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecoded> {
        match self {
            Self::Gzip => gunzip(bytes, bytes_max),
            Self::Deflate => inflate(bytes, bytes_max),
            Self::Brotli => unbrotli(bytes, bytes_max),
        }
    }
}

/// Gathers what `next` gives, until it gives nothing.
fn gather(
    bytes_max: usize,
    mut next: impl FnMut(&mut [u8]) -> Result<usize, Undecoded>,
) -> Result<Vec<u8>, Undecoded> {
    let mut whole = Vec::new();
    loop {
        let came = whole.len();
        // Room for one that is too many, so that an end right at the cap is seen as the end.
        let room = STEP_BYTES.min(bytes_max.saturating_sub(came).saturating_add(1));
        whole.resize(came + room, 0);
        let taken = next(&mut whole[came..])?;
        whole.truncate(came + taken);
        if whole.len() > bytes_max {
            return Err(Undecoded::TooLarge);
        }
        if taken == 0 {
            return Ok(whole);
        }
    }
}

/// RFC 1952: members behind each other, each with its checksum and length.
fn gunzip(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecoded> {
    let mut members = MultiGzDecoder::new(bytes);
    gather(bytes_max, |room| members.read(room).map_err(|_| Undecoded::Broken))
}

/// RFC 1950, or RFC 1951 without its wrapping.
fn inflate(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecoded> {
    let mut stream = Decompress::new(is_wrapped(bytes));
    let (mut rest, mut ended) = (bytes, false);
    let whole = gather(bytes_max, |room| {
        // A step may take bytes in and give none out.
        while !ended {
            let (taken, given) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(rest, room, FlushDecompress::None);
            ended = match status {
                Ok(Status::StreamEnd) => true,
                Ok(Status::Ok | Status::BufError) => false,
                Err(_) => return Err(Undecoded::Broken),
            };
            // Neither is larger than the slice that it is of.
            let (taken, given) = (stream.total_in() - taken, stream.total_out() - given);
            rest = &rest[taken as usize..];
            match given {
                0 if taken == 0 && !ended => return Err(Undecoded::Broken),
                0 => {}
                given => return Ok(given as usize),
            }
        }
        Ok(0)
    })?;
    if rest.is_empty() { Ok(whole) } else { Err(Undecoded::Broken) }
}

/// The two bytes before a stream of RFC 1950 section 2.2: the method, and a check of both.
fn is_wrapped(bytes: &[u8]) -> bool {
    let [method, flags, ..] = *bytes else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// RFC 7932, without the large windows that others have added to it.
fn unbrotli(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecoded> {
    let mut state = BrotliState::new_strict(
        StandardAlloc::default(),
        StandardAlloc::default(),
        StandardAlloc::default(),
    );
    let (mut rest, mut taken, mut total) = (bytes.len(), 0, 0);
    let mut ended = false;
    let whole = gather(bytes_max, |room| {
        if ended {
            return Ok(0);
        }
        let (mut left, mut given) = (room.len(), 0);
        let result = BrotliDecompressStream(
            &mut rest, &mut taken, bytes, &mut left, &mut given, room, &mut total, &mut state,
        );
        match result {
            BrotliResult::ResultSuccess => ended = true,
            BrotliResult::NeedsMoreOutput if given > 0 => {}
            BrotliResult::NeedsMoreOutput
            | BrotliResult::NeedsMoreInput
            | BrotliResult::ResultFailure => return Err(Undecoded::Broken),
        }
        Ok(given)
    })?;
    if rest == 0 { Ok(whole) } else { Err(Undecoded::Broken) }
}

#[cfg(test)]
mod tests;
