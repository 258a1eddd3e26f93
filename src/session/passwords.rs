//! Checking passwords, which is slow on purpose: a few at a time, and not on a thread that serves.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::FxHashMap;
use tokio::sync::Semaphore;

use crate::bounds;
use crate::secret::{KeyHash, Password, Pepper, Secret};

/// Why a password was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// As many wait already as may.
    TooMany,
}

/// Where passwords are checked.
#[derive(Debug)]
pub struct Passwords {
    places: Semaphore,
    waiting: AtomicUsize,
    /// Credentials that were right a moment ago, with when they were, in Unix milliseconds: clients that show
    /// them with each call would else pay for each.
    right: Mutex<FxHashMap<KeyHash, i64>>,
    /// What the credentials in there are hashed under; nobody else has it.
    pepper: Pepper,
}

/// How long a credential that was right is taken without another look.
const RIGHT_MS: i64 = 5 * 60 * 1_000;

/// What is held against a password that nobody has, so that an account that does not exist takes as long as
/// one that does: the hash of a random text that was not kept.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0IQ$5QfGFwXJcE3QnEnTn2EGnJ8kx4fxOJ8dWvLzFZWcQ0E";

impl Passwords {
    /// Nothing checked yet.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            places: Semaphore::new(bounds::PASSWORD_CHECKS_MAX),
            waiting: AtomicUsize::new(0),
            right: Mutex::default(),
            pepper: Pepper::random()?,
        })
    }

    /// True if that is the password; `None` is the password of nobody.
    ///
    /// # Errors
    /// If too many wait for it already.
    pub async fn check(
        &self,
        password: Option<&Password>,
        presented: &str,
    ) -> Result<bool, Unchecked> {
        let _waiting = Waiting::enter(&self.waiting)?;
        let _place = self.places.acquire().await;
        let known = password.is_some();
        let nobodys = || Password::Hash(NOBODYS.to_owned());
        let (password, presented) =
            (password.cloned().unwrap_or_else(nobodys), Secret::new(presented));
        let checked = tokio::task::spawn_blocking(move || password.is(presented.expose())).await;
        Ok(known && checked.unwrap_or(false))
    }

    /// True if that was the user's password a moment ago: some clients show it with every call.
    pub fn was_right(&self, user: &str, presented: &str, now: i64) -> bool {
        let key = self.key(user, presented);
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(&key).is_some_and(|then| now - then < RIGHT_MS)
    }

    fn key(&self, user: &str, presented: &str) -> KeyHash {
        self.pepper.hash(&format!("{user}\0{presented}"))
    }

    /// Notes that that is the user's password now.
    pub fn note_right(&self, user: &str, presented: &str, now: i64) {
        let key = self.key(user, presented);
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= bounds::SESSIONS_CACHED_MAX {
            right.retain(|_, then| now - *then < RIGHT_MS);
        }
        if right.len() < bounds::SESSIONS_CACHED_MAX {
            right.insert(key, now);
        }
    }
}

/// One of those that wait, until it is dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn enter(waiting: &'w AtomicUsize) -> Result<Self, Unchecked> {
        let entered = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= bounds::PASSWORD_CHECKS_WAITING_MAX {
            return Err(Unchecked::TooMany);
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobodys_password_is_none() {
        assert!(Password::parse(NOBODYS).is_ok());
        let passwords = Passwords::new().unwrap();
        assert_eq!(passwords.check(None, "").await, Ok(false));
        let password = Password::Text(Secret::new("swordfish"));
        assert_eq!(passwords.check(Some(&password), "swordfish").await, Ok(true));
        assert_eq!(passwords.check(Some(&password), "Swordfish").await, Ok(false));
    }

    #[test]
    fn what_was_right_is_taken_for_a_while() {
        let passwords = Passwords::new().unwrap();
        passwords.note_right("jo", "a", 1);
        assert!(passwords.was_right("jo", "a", RIGHT_MS));
        assert!(!passwords.was_right("jo", "a", RIGHT_MS + 1));
        assert!(!passwords.was_right("jo", "b", 1) && !passwords.was_right("al", "a", 1));
        assert!(!passwords.was_right("jo\0a", "", 1));
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let passwords = Passwords::new().unwrap();
        let _all =
            passwords.places.acquire_many(u32::try_from(bounds::PASSWORD_CHECKS_MAX).unwrap());
        let _all = _all.await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..bounds::PASSWORD_CHECKS_WAITING_MAX {
            let mut check = Box::pin(passwords.check(None, ""));
            tokio::select! {
                biased;
                _ = &mut check => panic!("there is no place"),
                () = std::future::ready(()) => {}
            }
            waiting.push(check);
        }
        assert_eq!(passwords.check(None, "").await, Err(Unchecked::TooMany));
        drop(waiting);
        let mut check = Box::pin(passwords.check(None, ""));
        tokio::select! {
            biased;
            _ = &mut check => panic!("there is no place"),
            () = std::future::ready(()) => {}
        }
    }
}
