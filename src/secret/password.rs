//! Passwords of log-ins, hashed slowly, because people choose them.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::Secret;

/// The most memory that a hash may ask for, in KiB: every log-in takes it.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// The most passes over it.
const PASSES_MAX: u32 = 16;
/// The most lanes.
const LANES_MAX: u32 = 16;
/// Bytes of a salt (RFC 9106 section 3.1 recommends so many).
const SALT_BYTES: usize = 16;

/// What the password of a log-in is held against.
#[derive(Clone)]
pub enum Password {
    /// Its Argon2id hash (RFC 9106), as a PHC string.
    Hash(String),
    /// The password itself, which somebody else keeps for us.
    Text(Secret),
}

/// Why a text is no hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not have the form.
    Form,
    /// It is another algorithm than Argon2id, or another version than 19.
    Algorithm,
    /// It asks for more memory, passes or lanes than a log-in may take.
    Costs,
}

impl Password {
    /// Reads an Argon2id hash: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// If it is none, or one that takes too much to check.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let hash = PasswordHash::new(text).map_err(|_| Malformed::Form)?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(19) {
            return Err(Malformed::Algorithm);
        }
        let params = Params::try_from(&hash).map_err(|_| Malformed::Form)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(Malformed::Form);
        }
        let bounded = params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= LANES_MAX;
        if bounded { Ok(Self::Hash(text.to_owned())) } else { Err(Malformed::Costs) }
    }

    /// True if that is the password. Takes tens of milliseconds and megabytes for a hash, on purpose.
    pub fn is(&self, presented: &str) -> bool {
        match self {
            Self::Hash(hash) => PasswordHash::new(hash).is_ok_and(|hash| {
                Argon2::default().verify_password(presented.as_bytes(), &hash).is_ok()
            }),
            Self::Text(secret) => secret.is(presented),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

/// The hash of a password for the configuration, under a salt of its own and with the costs that OWASP
/// recommends: 19 MiB, two passes, one lane.
///
/// # Errors
/// If the operating system gives no random numbers.
pub fn hash_password(password: &Secret) -> Result<String, getrandom::Error> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hash = argon2
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .expect("a salt of 16 bytes and the library's own costs are valid");
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_from_another_one() {
        let hash = hash_password(&Secret::new("swordfish")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let password = Password::parse(&hash).unwrap();
        assert!(password.is("swordfish"));
        assert!(!password.is("Swordfish") && !password.is(""));
        assert_ne!(hash, hash_password(&Secret::new("swordfish")).unwrap(), "another salt");
        assert_eq!(format!("{password:?}"), "[password]");
        assert!(Password::Text(Secret::new("a")).is("a"));
    }

    #[test]
    fn a_hash_of_another_program_is_taken() {
        // phc-winner-argon2, `echo -n "password" | ./argon2 somesalt -t 2 -m 16 -p 4 -l 24 -id` has the
        // lanes; this one is its own test vector for `-id -t 2 -m 16 -p 1` (test.c).
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(Password::parse(text).unwrap().is("password"));
        assert!(!Password::parse(text).unwrap().is("differentpassword"));
    }

    #[test]
    fn what_takes_too_much_or_is_something_else_is_refused() {
        let rest = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for (text, wanted) in [
            ("swordfish".to_owned(), Malformed::Form),
            ("$argon2id$v=19$m=65536,t=2,p=1".to_owned(), Malformed::Form),
            (format!("$argon2i$v=19$m=65536,t=2,p=1${rest}"), Malformed::Algorithm),
            (format!("$argon2id$v=16$m=65536,t=2,p=1${rest}"), Malformed::Algorithm),
            (format!("$argon2id$m=65536,t=2,p=1${rest}"), Malformed::Algorithm),
            (format!("$argon2id$v=19$m=1048576,t=2,p=1${rest}"), Malformed::Costs),
            (format!("$argon2id$v=19$m=65536,t=17,p=1${rest}"), Malformed::Costs),
            (format!("$argon2id$v=19$m=65536,t=2,p=17${rest}"), Malformed::Costs),
        ] {
            assert_eq!(Password::parse(&text).err(), Some(wanted), "{text}");
        }
    }
}
