//! When a certificate holds (RFC 5280 section 4.1.2.5).
//!
//! Only for telling an operator before a client is refused: what counts in a handshake is what the
//! other side makes of it. So this reads the few fields up to the two times and nothing else of DER.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The times between which a certificate holds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

/// How a time stands to a certificate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is before the first second.
    NotYet,
    /// The certificate holds.
    Valid,
    /// It is after the last second.
    Expired,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

impl Validity {
    /// Reads it from a certificate in DER; none if the bytes are no certificate.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(certificate).expect(SEQUENCE)?);
        let mut signed = Der(certificate.expect(SEQUENCE)?);
        let (tag, _) = signed.next()?;
        if tag == VERSION {
            signed.expect(INTEGER)?;
        } else if tag != INTEGER {
            return None;
        }
        let _algorithm = signed.expect(SEQUENCE)?;
        let _issuer = signed.expect(SEQUENCE)?;
        let mut times = Der(signed.expect(SEQUENCE)?);
        Some(Self { not_before: time(times.next()?)?, not_after: time(times.next()?)? })
    }

    /// How a time stands to it.
    pub fn standing(&self, now: SystemTime) -> Standing {
        // A clock beyond the years that can be told is after everything.
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        if now < self.not_before {
            Standing::NotYet
        } else if now.as_second() > self.not_after.as_second() {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }
}

/// What is left of a row of DER elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // No certificate that we read has lengths of more than four bytes.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
                (usize::try_from(length).ok()?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(tag, content)| (tag == wanted).then_some(content))
    }
}

/// `YYMMDDHHMMSSZ`, where 50 is 1950, or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i16 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let two = |at: usize| rest[at..at + 2].parse::<i8>().ok();
    let civil = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    // 9999-12-31 means that there is no end (section 4.1.2.5); it is beyond what can be a moment here.
    Some(TimeZone::UTC.to_timestamp(civil).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read() {
        let read = |tag, text: &str| time((tag, text.as_bytes())).map(|time| time.to_string());
        assert_eq!(read(UTC_TIME, "490102030405Z").as_deref(), Some("2049-01-02T03:04:05Z"));
        assert_eq!(read(UTC_TIME, "500102030405Z").as_deref(), Some("1950-01-02T03:04:05Z"));
        let late = read(GENERALIZED_TIME, "20500102030405Z");
        assert_eq!(late.as_deref(), Some("2050-01-02T03:04:05Z"));
        assert!(read(GENERALIZED_TIME, "99991231235959Z").is_some());
        for wrong in
            ["4901020304Z", "490102030405", "491302030405Z", "49010203040é", "+90102030405Z"]
        {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
        assert_eq!(read(INTEGER, "490102030405Z"), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        let hostile: [&[u8]; 7] = [
            b"",
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80\x00\x00",
            b"\x30\x85\x00\x00\x00\x00\x01\x00",
            b"\x30\x04\x30\x02\x02\x00",
            b"\x30\x02\x30\x00",
        ];
        for bytes in hostile {
            assert_eq!(Validity::of(bytes), None, "{bytes:?}");
        }
    }
}
