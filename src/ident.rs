//! Names for calls.

use std::fmt;

/// The id of one call: 128 random bits, 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallId([u8; 16]);

impl CallId {
    /// A new id.
    ///
    /// # Panics
    /// If the operating system has no random numbers, without which nothing here is safe.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        Self(bytes)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}
