//! Sessions of clients that log in: who holds one, until when, and how often one may be tried for.
//!
//! ```text
//! log-in ─▶ attempts ─▶ password (slow, a few at a time) ─▶ store ─▶ cache
//! call ───▶ cache ─▶ store, if it is not there
//! ```
//!
//! A session is known by the SHA-256 of its token: tokens are long and random, and whoever reads the store
//! cannot use one. What is in the cache costs a call no question; where several gateways share a store it is
//! asked after again every few seconds, so that a log-out elsewhere is noticed.
//!
//! The clock is the caller's: times are Unix milliseconds.

mod attempts;
mod cache;
mod passwords;
mod pending;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ring::digest::{SHA256, digest};

pub use attempts::{Attempt, Attempts};
pub use passwords::{Passwords, Unchecked};

use crate::store::{NewSession, Session, Store, StoreError};
use cache::Cache;
use pending::Pending;

/// The hash that a token is known by.
pub type TokenHash = [u8; 32];

/// The hash of a token.
pub fn hash_token(token: &str) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Everything that clients who log in need.
#[derive(Debug)]
pub struct LogIns {
    /// The sessions.
    pub sessions: Sessions,
    /// How often a log-in was tried.
    pub attempts: Attempts,
    /// Where passwords are checked.
    pub passwords: Passwords,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    store: Store,
    /// True if others change the store too.
    shared: bool,
    cache: Cache,
    /// Ends that have moved and are not in the store yet.
    pending: Pending,
}

/// A session that holds, or did when it was last looked at.
#[derive(Debug)]
pub struct Live {
    /// The consumer that it speaks for.
    pub consumer: String,
    /// What it is good for: a vendor's API, and of several tenants of it one.
    pub realm: String,
    /// Who logged in.
    pub user: String,
    /// The hash of its CSRF token, where the vendor has one.
    pub csrf: Option<TokenHash>,
    /// When it was made.
    pub created: i64,
    /// By how much each use moves its end; none if its end is fixed.
    slides: Option<i64>,
    expires: AtomicI64,
    /// The end that the store knows.
    stored: AtomicI64,
    /// When the store was last asked.
    asked: i64,
}

/// How long what is in the cache is believed where others change the store too.
const FRESH_MS: i64 = 5_000;
/// How far the end of a session may be ahead of what the store knows of it: so much of its life may be lost
/// with the process.
const AHEAD_MS: i64 = 60_000;

impl Live {
    fn new(session: Session, now: i64) -> Self {
        Self {
            consumer: session.consumer,
            realm: session.realm,
            user: session.user,
            csrf: session.csrf,
            created: session.created,
            slides: session.slides_ms.and_then(|slides| i64::try_from(slides).ok()),
            expires: AtomicI64::new(session.expires),
            stored: AtomicI64::new(session.expires),
            asked: now,
        }
    }

    /// When it ends, as far as is known.
    pub fn expires(&self) -> i64 {
        self.expires.load(Ordering::Relaxed)
    }
}

impl Sessions {
    /// The sessions of a store; `shared` if other gateways have it too.
    pub fn new(store: Store, shared: bool) -> Self {
        Self { store, shared, cache: Cache::default(), pending: Pending::default() }
    }

    /// The session of a token, if it holds, without asking the store; `None` if that has to be asked.
    fn cached(&self, token: &TokenHash, now: i64) -> Option<Arc<Live>> {
        let live = self.cache.get(token)?;
        let fresh = !self.shared || now - live.asked < FRESH_MS;
        (fresh && live.expires() > now).then_some(live)
    }

    /// The session of a token, if it holds.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn find(&self, token: &TokenHash, now: i64) -> Result<Option<Arc<Live>>, StoreError> {
        if let Some(live) = self.cached(token, now) {
            return Ok(Some(live));
        }
        let Some(session) = self.store.session(*token, now).await? else {
            self.cache.remove(token);
            return Ok(None);
        };
        let live = Live::new(session, now);
        // What was used a moment ago ends later than the store knows.
        if let Some(known) = self.cache.get(token) {
            live.expires.fetch_max(known.expires(), Ordering::Relaxed);
        }
        Ok(Some(self.cache.put(*token, live, now)))
    }

    /// Notes that a session was used, which may move its end.
    pub fn used(&self, token: &TokenHash, live: &Live, now: i64) {
        let Some(slides) = live.slides else { return };
        let end = now.saturating_add(slides);
        live.expires.fetch_max(end, Ordering::Relaxed);
        if end - live.stored.load(Ordering::Relaxed) >= AHEAD_MS {
            live.stored.store(end, Ordering::Relaxed);
            self.pending.put(*token, end);
        }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// If it may not have been kept.
    pub async fn begin(&self, session: NewSession) -> Result<Arc<Live>, StoreError> {
        self.store.add_session(&session).await?;
        let NewSession { token, session } = session;
        let now = session.created;
        Ok(self.cache.put(token, Live::new(session, now), now))
    }

    /// Ends a session; says whether there was one.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn end(&self, token: &TokenHash) -> Result<bool, StoreError> {
        self.cache.remove(token);
        self.store.remove_session(*token).await
    }

    /// Tells the store of ends that have moved.
    ///
    /// # Errors
    /// If it may not know of all; they are told again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let ends = self.pending.take();
        let told = self.store.extend_sessions(&ends).await;
        if told.is_err() {
            self.pending.put_back(ends);
        }
        told
    }

    /// Tells the store of all ends that have moved, however little: nobody will move them further.
    ///
    /// # Errors
    /// If it may not know of all.
    pub async fn flush_all(&self) -> Result<(), StoreError> {
        self.cache.each(|token, live| {
            let end = live.expires();
            if end > live.stored.swap(end, Ordering::Relaxed) {
                self.pending.put(*token, end);
            }
        });
        self.flush().await
    }

    /// Forgets what has ended; the store is swept by whoever has it.
    pub fn sweep(&self, now: i64) {
        self.cache.sweep(now);
    }
}
