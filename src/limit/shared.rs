//! Limits that a fleet of gateways counts together, and what holds while it cannot.
//!
//! ```text
//!            fails: rest, then one check tries it ─┐
//! check ──▶ Redis ◀───────────────────────────────┘
//!             └─ rests ──▶ local: this gateway's share · open: all pass · closed: none
//! ```
//!
//! A store that failed rests for a while, so that not every call waits for its deadline.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bounds;
use crate::config::OnStoreFailure;
use crate::limit::bucket::Room;
use crate::limit::memory::Memory;
use crate::limit::redis::{Redis, Unavailable};
use crate::limit::rule::{Charge, Now};
use crate::limit::verdict::Verdict;

/// Whose time the store counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Its own, which is the same for all gateways.
    Store,
    /// The wall's of whoever calls, for those who turn it themselves.
    Caller,
}

/// Limits in a store, with what holds without it.
#[derive(Debug)]
pub struct Shared {
    redis: Redis,
    on_failure: OnStoreFailure,
    clock: Clock,
    /// This gateway's share.
    share: Memory,
    health: Health,
}

/// Whether the store is well.
#[derive(Debug)]
struct Health {
    began: Instant,
    rest: Duration,
    /// Until when it rests, in microseconds since this began; 0 while it is well.
    rests_until: AtomicU64,
    /// Why it rests.
    fault: Mutex<Option<Unavailable>>,
}

/// Who asks a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is well.
    Usual,
    /// It has rested for long enough, and this call tries it.
    Trial,
    /// It rests.
    Rest,
}

impl Shared {
    /// Limits in a store that so many gateways share.
    pub fn new(redis: Redis, on_failure: OnStoreFailure, gateways: u32) -> Self {
        let share = redis.rules().iter().map(|rule| rule.share(gateways)).collect();
        let (share, health) = (Memory::new(share), Health::new(bounds::LIMIT_STORE_REST));
        Self { redis, on_failure, clock: Clock::Store, share, health }
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Checks all limits of a call, and charges all of them or none. Their rules must differ, and be named in the
    /// order of their index. With [`OnStoreFailure::Open`] a store that fails leaves a verdict without any standings.
    ///
    /// # Errors
    /// If the store decides nothing and [`OnStoreFailure::Closed`] holds.
    pub async fn charge(&self, charges: &[Charge], now: Now) -> Result<Verdict, Unavailable> {
        let fault = match self.health.turn() {
            Turn::Rest => None,
            turn => match self.redis.charge(charges, self.time(now)).await {
                Ok(verdict) => {
                    self.health.note_answer(turn);
                    return Ok(verdict);
                }
                Err(fault) => {
                    self.health.note_failure(turn, &fault, self.on_failure);
                    Some(fault)
                }
            },
        };
        match self.on_failure {
            OnStoreFailure::Local => Ok(self.share.charge(charges, now)),
            OnStoreFailure::Open => Ok(Verdict::default()),
            OnStoreFailure::Closed => match fault.or_else(|| self.health.fault()) {
                Some(fault) => Err(fault),
                // It is well again, just now.
                None => self.redis.charge(charges, self.time(now)).await,
            },
        }
    }

    /// How one limit stands for a caller, without a charge: in the store, whatever holds without it.
    ///
    /// # Errors
    /// If the store does not say.
    pub async fn look(&self, charge: Charge, now: Now) -> Result<Room, Unavailable> {
        self.redis.look(charge, self.time(now)).await
    }

    /// Forgets what is counted of a caller, here and in the store.
    ///
    /// # Errors
    /// If the store does not say that it has.
    pub async fn reset(&self, charge: Charge) -> Result<(), Unavailable> {
        self.share.reset(charge);
        self.redis.reset(charge).await
    }

    /// True if the store decides, as far as is known.
    pub fn is_well(&self) -> bool {
        self.health.rests_until.load(Ordering::Relaxed) == 0
    }

    /// Forgets callers of whom nothing is counted here any more.
    pub fn sweep(&self, now: Now) {
        self.share.sweep(now);
    }

    fn time(&self, now: Now) -> Option<u64> {
        match self.clock {
            Clock::Store => None,
            Clock::Caller => Some(now.wall),
        }
    }
}

impl Health {
    fn new(rest: Duration) -> Self {
        let (began, fault) = (Instant::now(), Mutex::new(None));
        Self { began, rest, rests_until: AtomicU64::new(0), fault }
    }

    fn turn(&self) -> Turn {
        let until = self.rests_until.load(Ordering::Relaxed);
        if until == 0 {
            return Turn::Usual;
        }
        let now = self.micros();
        // Of several that come when it has rested one tries it; where that goes away, the next after a rest.
        let moved = now >= until
            && self
                .rests_until
                .compare_exchange(until, self.end(now), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if moved { Turn::Trial } else { Turn::Rest }
    }

    /// Only a trial says that it is well again: what it answered before it failed says nothing.
    fn note_answer(&self, turn: Turn) {
        if turn == Turn::Trial {
            let rested = self.rests_until.swap(0, Ordering::Relaxed) != 0;
            let fault = self.known_fault().take();
            if let (true, Some(_)) = (rested, fault) {
                tracing::warn!(target: "latimer::limit", "the limits are counted in Redis again");
            }
        }
    }

    fn note_failure(&self, turn: Turn, fault: &Unavailable, on_failure: OnStoreFailure) {
        *self.known_fault() = Some(fault.clone());
        let end = self.end(self.micros());
        let before = self.rests_until.swap(end, Ordering::Relaxed);
        // Of those that were on their way the first one tells.
        if before == 0 && turn == Turn::Usual {
            let cause = fault.source().map(ToString::to_string);
            tracing::warn!(
                target: "latimer::limit", error = %fault, cause,
                "the limits are not counted in Redis: {}", meanwhile(on_failure),
            );
        }
    }

    fn fault(&self) -> Option<Unavailable> {
        self.known_fault().clone()
    }

    fn known_fault(&self) -> std::sync::MutexGuard<'_, Option<Unavailable>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, now: u64) -> u64 {
        now.saturating_add(u64::try_from(self.rest.as_micros()).unwrap_or(u64::MAX)).max(1)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn meanwhile(on_failure: OnStoreFailure) -> &'static str {
    match on_failure {
        OnStoreFailure::Local => "this gateway counts its share by itself",
        OnStoreFailure::Open => "all calls pass",
        OnStoreFailure::Closed => "no call passes",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;
    use crate::config::RedisConfig;
    use crate::limit::{Form, Quota, Rule, Scope, Span, Subject};

    const REST: Duration = Duration::from_secs(1);

    /// What is logged, by line.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn count(&self, part: &str) -> usize {
            let bytes = self.0.lock().unwrap();
            String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains(part)).count()
        }
    }

    async fn fault() -> Unavailable {
        let server = RedisConfig {
            host: "127.0.0.1".to_owned(),
            port: 1,
            database: 0,
            user: None,
            password: None,
            tls: None,
            prefix: "latimer".to_owned(),
            timeout: Duration::from_secs(1),
        };
        let form = Form::Quota(Quota { calls: 1, span: Span::Sliding(1) });
        let rule = Rule { name: "one".into(), scope: Scope::Consumer, form };
        let redis = Redis::new(&server, Arc::new([rule])).unwrap();
        let charge = Charge { rule: 0, subject: Subject(0) };
        redis.charge(&[charge], None).await.expect_err("nobody is there")
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_failed_rests_and_then_one_call_tries_it() {
        let (health, fault) = (Health::new(REST), fault().await);
        assert_eq!([health.turn(), health.turn()], [Turn::Usual, Turn::Usual]);
        health.note_failure(Turn::Usual, &fault, OnStoreFailure::Open);
        for _ in 0..3 {
            advance(REST - Duration::from_millis(1)).await;
            assert_eq!(health.turn(), Turn::Rest);
            advance(Duration::from_millis(1)).await;
            assert_eq!([health.turn(), health.turn()], [Turn::Trial, Turn::Rest]);
            health.note_failure(Turn::Trial, &fault, OnStoreFailure::Open);
        }
        advance(REST).await;
        assert_eq!(health.turn(), Turn::Trial);
        // That one went away before it knew.
        advance(REST).await;
        assert_eq!(health.turn(), Turn::Trial);
        health.note_answer(Turn::Usual);
        assert_eq!(health.turn(), Turn::Rest, "what was asked before says nothing");
        health.note_answer(Turn::Trial);
        assert_eq!([health.turn(), health.turn()], [Turn::Usual, Turn::Usual]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_once_that_it_fails_and_once_that_it_is_back() {
        let (health, fault, lines) = (Health::new(REST), fault().await, Lines::default());
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _told = tracing::subscriber::set_default(log);
        for outage in 1..=2 {
            for turn in [Turn::Usual, Turn::Usual, Turn::Trial] {
                health.note_failure(turn, &fault, OnStoreFailure::Closed);
            }
            assert_eq!(lines.count("are not counted in Redis: no call passes"), outage);
            assert_eq!(lines.count(&fault.to_string()), outage);
            health.note_answer(Turn::Trial);
            health.note_answer(Turn::Usual);
            assert_eq!(lines.count("are counted in Redis again"), outage);
        }
    }
}
