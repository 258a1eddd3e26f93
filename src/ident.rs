//! Names for calls.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

/// The id of one call: 128 bits, 32 hexadecimal digits.
///
/// It names a call and guards nothing. So each thread asks the operating system for randomness once and
/// goes on from there: no two calls of a thread share an id, and that two threads or processes come to
/// the same one is as unlikely as with bits that are random each time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallId([u8; 16]);

/// An id as its digits.
#[derive(Clone, Copy)]
pub struct CallDigits([u8; 32]);

/// Where a thread's ids come from.
#[derive(Clone, Copy)]
struct Source {
    /// From the operating system.
    start: [u64; 2],
    /// Ids given so far.
    given: u64,
}

thread_local! {
    static SOURCE: Cell<Option<Source>> = const { Cell::new(None) };
}

impl CallId {
    /// A new id.
    ///
    /// # Panics
    /// If the operating system has no random numbers, without which nothing here is safe.
    pub fn random() -> Self {
        SOURCE.with(|source| {
            let mut current = source.get().unwrap_or_else(Source::new);
            let id = current.next();
            source.set(Some(current));
            id
        })
    }

    /// Its bits.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id of these bits.
    pub fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id of 32 hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_id = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_id.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    /// True for one call in so many, and for the same calls whoever asks.
    pub fn is_one_in(self, count: u64) -> bool {
        let mut half = [0; 8];
        half.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(half).is_multiple_of(count)
    }

    /// Its digits.
    pub fn digits(self) -> CallDigits {
        let mut text = [0; 32];
        for (word, digits) in self.0.chunks_exact(4).zip(text.chunks_exact_mut(8)) {
            let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
            digits.copy_from_slice(&eight_digits(word));
        }
        CallDigits(text)
    }
}

impl Source {
    fn new() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        let bits = u128::from_ne_bytes(bytes);
        Self { start: [bits as u64, (bits >> 64) as u64], given: 0 }
    }

    fn next(&mut self) -> CallId {
        self.given = self.given.wrapping_add(1);
        let mut bytes = [0; 16];
        for (start, half) in self.start.iter().zip(bytes.chunks_exact_mut(8)) {
            half.copy_from_slice(&scatter(start.wrapping_add(self.given)).to_be_bytes());
        }
        CallId(bytes)
    }
}

/// A permutation of 64 bits that sends neighbours far apart: the finalizer of SplitMix64 (Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014).
const fn scatter(bits: u64) -> u64 {
    let bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number's hexadecimal digits, all eight at a time: each is moved into a byte of its own.
const fn eight_digits(number: u32) -> [u8; 8] {
    let mut bytes = number as u64;
    bytes = (bytes | bytes << 16) & 0x0000_ffff_0000_ffff;
    bytes = (bytes | bytes << 8) & 0x00ff_00ff_00ff_00ff;
    bytes = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // From ten on, six more carry into the upper half of the byte.
    let letters = (bytes + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (bytes + 0x3030_3030_3030_3030 + letters * ((b'a' - b'0' - 10) as u64)).to_be_bytes()
}

impl CallDigits {
    /// The same as bytes of ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for CallDigits {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sample_is_of_the_size_that_was_asked_for() {
        let sampled = (0..100_000).filter(|_| CallId::random().is_one_in(100)).count();
        assert!((800..1_200).contains(&sampled), "{sampled}");
    }

    #[test]
    fn no_two_calls_share_an_id() {
        let many = || (0..20_000).map(|_| CallId::random().to_string());
        let elsewhere = std::thread::spawn(move || many().collect::<Vec<_>>()).join().unwrap();
        let ids: HashSet<String> = many().chain(elsewhere).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| id.len() == 32));
        // Neighbours have no beginning in common, which a counter would give them.
        let beginnings: HashSet<&str> = ids.iter().map(|id| &id[..8]).collect();
        assert!(beginnings.len() > 39_900, "{}", beginnings.len());
    }

    #[test]
    fn digits_are_the_bytes_in_order() {
        let id = CallId([0, 1, 15, 16, 255, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xab]);
        assert_eq!(&*id.digits(), "00010f10ff02030405060708090a0bab");
        assert_eq!(id.digits().as_bytes(), id.digits().to_string().as_bytes());
        for number in [0, 1, 0x9a, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            assert_eq!(eight_digits(number), format!("{number:08x}").as_bytes());
        }
    }
}
