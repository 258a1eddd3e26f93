//! One session at an upstream for a fleet of gateways, in the store that they share.
//!
//! Whoever needs a session looks whether there is one; else it takes a lease, logs in, and puts the session there
//! for the others. It is encrypted under the installation's pepper, so that who reads the store cannot use it.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::secret::{Pepper, Secret};
use crate::store::{SharedSession, Store, StoreError};

/// The sessions of a fleet.
#[derive(Debug)]
pub struct Fleet {
    store: Store,
    sealer: Sealer,
    pepper: Pepper,
    /// Who this gateway is among the others.
    holder: [u8; 16],
}

/// A session that somebody has made.
#[derive(Debug)]
pub struct Shared {
    /// The secrets that it consists of, by name.
    pub secrets: Vec<(String, Secret)>,
    /// When it ends, in Unix milliseconds, if nothing prolongs it.
    pub expires: i64,
    /// Its number: each is higher than the one before.
    pub generation: u64,
}

/// How long a lease lasts: longer than a log-in may take.
const LEASE_MS: i64 = 15_000;

impl Fleet {
    /// The fleet that shares a store and a pepper.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn new(store: Store, pepper: &Pepper) -> Result<Self, getrandom::Error> {
        let mut holder = [0; 16];
        getrandom::fill(&mut holder)?;
        Ok(Self { store, sealer: Sealer::new(pepper), pepper: pepper.clone(), holder })
    }

    /// By what a session is known there: an upstream and what logs in to it, so that nobody has a session for
    /// which it could not log in.
    pub fn key(&self, upstream: &str, log_in: &Secret) -> [u8; 32] {
        let text = Zeroizing::new(format!("session at {upstream}\0{}", log_in.expose()));
        self.pepper.hash(&text).0
    }

    /// The session that was put last, if it can be read.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn find(&self, key: [u8; 32]) -> Result<Option<Shared>, StoreError> {
        let found = self.store.upstream_session(key).await?;
        Ok(found.and_then(|session| self.sealer.open(&key, session)))
    }

    /// Takes the right to log in, for a while; false if another gateway has it.
    ///
    /// # Errors
    /// If it may not have been taken.
    pub async fn lease(&self, key: [u8; 32], now: i64) -> Result<bool, StoreError> {
        let until = now.saturating_add(LEASE_MS);
        self.store.lease_upstream_session(key, self.holder, now, until).await
    }

    /// Puts a session for the others, and gives the lease back. Gives its number; none if the lease had passed to
    /// another gateway meanwhile, whose session counts.
    ///
    /// # Errors
    /// If it may not be there.
    pub async fn put(
        &self,
        key: [u8; 32],
        secrets: &[(String, Secret)],
        expires: i64,
    ) -> Result<Option<u64>, StoreError> {
        let Some(sealed) = self.sealer.seal(&key, secrets) else { return Ok(None) };
        if !self.store.put_upstream_session(key, self.holder, sealed, expires).await? {
            return Ok(None);
        }
        let put = self.store.upstream_session(key).await?;
        Ok(put.map(|session| session.generation))
    }

    /// Gives the lease back without a session.
    pub async fn release(&self, key: [u8; 32]) {
        if let Err(error) = self.store.release_upstream_session(key, self.holder).await {
            tracing::warn!(target: "latimer::state", %error, "a lease ends by itself");
        }
    }
}

/// Encrypts what others may not read.
struct Sealer(LessSafeKey);

impl Sealer {
    fn new(pepper: &Pepper) -> Self {
        // A key of its own, so that no hash of a key of a consumer's is ever one.
        let key = pepper.hash("the sessions at upstreams, sealed").0;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// The secrets, sealed for one key of the store; none without random numbers.
    fn seal(&self, key: &[u8; 32], secrets: &[(String, Secret)]) -> Option<Vec<u8>> {
        let named = secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose()));
        let named: std::collections::BTreeMap<&str, &str> = named.collect();
        let mut bytes = serde_json::to_vec(&named).ok()?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(key), &mut bytes).ok()?;
        Some([&nonce[..], &bytes].concat())
    }

    /// What was sealed; none if it was not sealed by this key for that place.
    fn open(&self, key: &[u8; 32], session: SharedSession) -> Option<Shared> {
        let SharedSession { mut sealed, expires, generation } = session;
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.0.open_in_place(nonce, Aad::from(key), bytes).ok()?;
        let named: std::collections::BTreeMap<String, String> =
            serde_json::from_slice(plain).ok()?;
        let secrets = named.into_iter().map(|(name, text)| (name, Secret::new(text))).collect();
        Some(Shared { secrets, expires, generation })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealer]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StateConfig;

    /// A fleet's gateways may have different configurations for a while, and consumers different credentials.
    #[test]
    fn who_logs_in_otherwise_finds_another_session() {
        let store = crate::store::open(&StateConfig::Memory).unwrap();
        let fleet = Fleet::new(store, &Pepper::random().unwrap()).unwrap();
        let key = |upstream, log_in| fleet.key(upstream, &Secret::new(log_in));
        assert_eq!(key("desk", "5 jane6 right"), key("desk", "5 jane6 right"));
        assert_ne!(key("desk", "5 jane6 right"), key("desk", "5 jane6 wrong"));
        assert_ne!(key("desk", "5 jane6 right"), key("other", "5 jane6 right"));
    }

    #[test]
    fn what_is_sealed_is_read_by_who_has_the_pepper_and_in_its_own_place() {
        let (pepper, other) = (Pepper::random().unwrap(), Pepper::random().unwrap());
        let secrets = [("auth.token".to_owned(), Secret::new("hunter2"))];
        let (here, there) = ([1; 32], [2; 32]);
        let sealed = Sealer::new(&pepper).seal(&here, &secrets).unwrap();
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
        let again = Sealer::new(&pepper).seal(&here, &secrets).unwrap();
        assert_ne!(sealed, again, "each with a nonce of its own");
        let session =
            |sealed: &[u8]| SharedSession { sealed: sealed.to_vec(), expires: 7, generation: 3 };
        let open = Sealer::new(&pepper).open(&here, session(&sealed)).unwrap();
        assert_eq!((open.expires, open.generation), (7, 3));
        assert!(open.secrets == secrets);
        assert!(Sealer::new(&pepper).open(&there, session(&sealed)).is_none());
        assert!(Sealer::new(&other).open(&here, session(&sealed)).is_none());
        let mut changed = sealed.clone();
        changed[20] ^= 1;
        assert!(Sealer::new(&pepper).open(&here, session(&changed)).is_none());
        assert!(Sealer::new(&pepper).open(&here, session(&sealed[..5])).is_none());
    }
}
