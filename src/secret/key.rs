//! Consumers' keys, of which only a hash is kept.

use std::fmt;

use ring::hmac;

use super::Secret;

/// The least length of a pepper: the hexadecimal digits of 128 bits.
pub const PEPPER_CHARS_MIN: usize = 32;

/// What the keys of an installation are hashed under, so that a hash that gets out tells nothing of a key
/// without it, however short the key is.
#[derive(Clone)]
pub struct Pepper(hmac::Key);

/// The HMAC-SHA-256 (RFC 2104) of a consumer's key under the installation's pepper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// How a hash begins in the configuration.
const FORM: &str = "hmac-sha256:";

impl Pepper {
    /// The pepper of an installation.
    pub fn new(pepper: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, pepper.expose().as_bytes()))
    }

    /// One that nobody else has, for keys of which no hash was ever written down.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// The hash that stands for a key.
    pub fn hash(&self, key: &str) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.0, key.as_bytes()).as_ref());
        KeyHash(hash)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl KeyHash {
    /// Reads `hmac-sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(FORM)?.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(hash))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

impl fmt::Display for KeyHash {
    /// The form of the configuration: `hmac-sha256:` and 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hashed_as_rfc_4231_has_it() {
        // Test case 2.
        let pepper = Pepper::new(&Secret::new("Jefe"));
        let hash = pepper.hash("what do ya want for nothing?");
        let text = "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hash.to_string(), text);
        assert_eq!(KeyHash::parse(text), Some(hash));
        assert_eq!(KeyHash::parse(&text.replace("5bdc", "5BDC")), Some(hash));
        assert_eq!(format!("{hash:?} {pepper:?}"), "[key hash] [secret]");
    }

    #[test]
    fn another_pepper_gives_another_hash() {
        let (one, other) = (Pepper::random().unwrap(), Pepper::random().unwrap());
        assert_eq!(one.hash("abc"), one.clone().hash("abc"));
        assert_ne!(one.hash("abc"), other.hash("abc"));
        assert_ne!(one.hash("abc"), one.hash("abd"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in [hex, FORM, "hmac-sha256:ba78", &format!("{FORM}{hex}0"), &format!("md5:{hex}")]
        {
            assert_eq!(KeyHash::parse(text), None, "{text}");
        }
        assert_eq!(KeyHash::parse(&format!("sha256:{hex}")), None, "hashed without a pepper");
        assert_eq!(KeyHash::parse(&format!("{FORM}{}", hex.replace('b', "g"))), None);
        assert_eq!(KeyHash::parse(&format!("{FORM}{}", "é".repeat(32))), None);
    }
}
