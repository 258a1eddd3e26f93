//! Values that no log, message or snapshot may show.
//!
//! A [`Secret`] is a credential of ours or a consumer's key: it prints as `[secret]`, compares in constant
//! time and is wiped when it is dropped. A [`KeyHash`] is what remains of a consumer's key once it was read:
//! enough to recognise the key, not enough to use it.
//!
//! This module does not know where a secret comes from.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A text that shows itself to nobody but its user.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The SHA-256 of a consumer's key.
///
/// Keys are long and random, so a plain hash is enough: there is no dictionary to try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl Secret {
    /// Takes a text that must stay hidden from here on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Takes as long for a wrong first byte as for a wrong last one; only the length can be told.
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        if ours.len() != theirs.len() {
            return false;
        }
        let difference =
            ours.iter().zip(theirs).fold(0, |seen, (ours, theirs)| seen | (ours ^ theirs));
        std::hint::black_box(difference) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The hash that stands for a consumer's key.
pub fn hash_key(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}

impl KeyHash {
    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
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
    /// The form of the configuration: `sha256:` and 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
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
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[secret] [secret] Some([secret])"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn equality_is_that_of_the_text() {
        assert_eq!(Secret::new("abc"), Secret::new("abc"));
        assert_ne!(Secret::new("abc"), Secret::new("abd"));
        assert_ne!(Secret::new("abc"), Secret::new("bbc"));
        assert_ne!(Secret::new("abc"), Secret::new("abcd"));
        assert_ne!(Secret::new(""), Secret::new("a"));
    }

    #[test]
    fn a_key_hash_has_the_form_of_the_configuration() {
        let hash = hash_key("abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(KeyHash::parse(text), Some(hash));
        assert_eq!(KeyHash::parse(&text.replace("ba78", "BA78")), Some(hash));
        assert_eq!(format!("{hash:?}"), "[key hash]");
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in
            [hex, "sha256:", "sha256:ba78", &format!("sha256:{hex}0"), &format!("md5:{hex}")]
        {
            assert_eq!(KeyHash::parse(text), None, "{text}");
        }
        assert_eq!(KeyHash::parse(&format!("sha256:{}", hex.replace('b', "g"))), None);
        assert_eq!(KeyHash::parse(&format!("sha256:{}", "é".repeat(32))), None);
    }
}
