//! Sessions that the gateway has at its upstreams, one for each credential that logs in.
//!
//! A [`Keeper`] says what a call has to do: use the session that is there, log in, prolong it, or wait for
//! whoever is at that already. It sends nothing itself. One at a time logs in, whatever number of calls wants a
//! session: of some systems a second log-in ends the first one's session. After a failure nobody tries for a
//! while, each time longer, so that a wrong password is not tried with every call.
//!
//! A fleet has one session for all of its gateways where they share a store: [`shared`].

pub mod shared;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bounds;
use crate::mapping::model::Life;
use crate::mapping::run::Secrets;
use crate::plan::Upstream;

/// Keeps the session of one credential.
#[derive(Debug)]
pub struct Keeper {
    life: Life,
    state: Mutex<State>,
    /// Counts the ends of work, for those that wait for one.
    ends: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// Sessions so far; the number of the one that is held.
    generation: u64,
    /// The number that the store had for a session that turned out to be over.
    over: Option<u64>,
    /// True while somebody logs in or prolongs.
    working: bool,
    failures: u32,
    /// Until when nobody tries again, and why.
    rest: Option<(Instant, Arc<str>)>,
}

#[derive(Clone, Debug)]
struct Held {
    secrets: Arc<Secrets>,
    /// When it was given, or last prolonged.
    since: Instant,
    /// When it was last used.
    used: Instant,
    /// Its number in the store that a fleet shares, if it is there.
    shared: Option<u64>,
}

/// A session to use.
#[derive(Clone, Debug)]
pub struct Session {
    /// What calls show.
    pub secrets: Arc<Secrets>,
    /// Which one it is, to be named if it turns out to be over.
    pub generation: u64,
}

/// What a call has to do for a session.
#[derive(Debug)]
pub enum Next {
    /// There is one.
    Use(Session),
    /// Log in, and tell what came of it.
    LogIn(Work),
    /// Prolong this one, or log in anew, and tell what came of it; until then this one holds.
    Renew(Work, Session),
    /// Somebody is at it: wait for an end of work, and ask again.
    Wait(watch::Receiver<u64>),
    /// The last log-in failed, and it is too early for another one.
    Rest(Arc<str>),
}

/// The right to log in, of one at a time. Dropped without a word, as when its call ends early, it passes to the
/// next one.
#[derive(Debug)]
pub struct Work {
    keeper: Option<Arc<Keeper>>,
}

impl Keeper {
    /// For sessions that live so long.
    pub fn new(life: Life) -> Arc<Self> {
        let ends = watch::Sender::new(0);
        Arc::new(Self { life, state: Mutex::default(), ends })
    }

    /// Those of an upstream, by credential: one for all that log in alike, as of some systems a second log-in ends
    /// the first one's session. None for what is shown as it was given.
    pub fn all(upstream: &Upstream) -> Vec<Option<Arc<Self>>> {
        let life = upstream.mapping.session.as_ref().map(|session| session.life);
        let mut known: FxHashMap<&str, Arc<Self>> = FxHashMap::default();
        let mut all = Vec::with_capacity(upstream.credentials.len());
        for credential in &upstream.credentials {
            all.push(life.zip(credential.log_in.as_ref()).map(|(life, log_in)| {
                Arc::clone(known.entry(log_in.expose()).or_insert_with(|| Self::new(life)))
            }));
        }
        all
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call has to do now.
    pub fn next(self: &Arc<Self>, now: Instant) -> Next {
        let mut state = self.state();
        let held = state.held.clone().filter(|held| !self.is_over(held, now));
        if let Some(held) = held {
            let session =
                Session { secrets: Arc::clone(&held.secrets), generation: state.generation };
            if !self.is_due(&held, now) || state.working || state.is_resting(now) {
                if let Some(held) = &mut state.held {
                    held.used = now;
                }
                return Next::Use(session);
            }
            state.working = true;
            let work = Work { keeper: Some(Arc::clone(self)) };
            return Next::Renew(work, session);
        }
        if state.working {
            return Next::Wait(self.ends.subscribe());
        }
        if let Some((_, why)) = state.rest.as_ref().filter(|(until, _)| *until > now) {
            return Next::Rest(Arc::clone(why));
        }
        state.working = true;
        Next::LogIn(Work { keeper: Some(Arc::clone(self)) })
    }

    /// Its time is over, as far as can be known here.
    fn is_over(&self, held: &Held, now: Instant) -> bool {
        let from = if self.life.slides { held.used } else { held.since };
        now.duration_since(from) + MARGIN.min(self.life.length / 20) >= self.life.length
    }

    /// It is time to see to the next one, while this one holds. One that slides is prolonged by its use.
    fn is_due(&self, held: &Held, now: Instant) -> bool {
        !self.life.slides && now.duration_since(held.since) >= self.life.length * 9 / 10
    }

    /// A session turned out to be over before its time. That of a later log-in stays.
    pub fn expired(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            let held = state.held.take();
            state.over = held.and_then(|held| held.shared).or(state.over);
        }
    }
}

/// So much before its end a session is taken for over, a short one later: a call is under way for a while.
const MARGIN: Duration = Duration::from_secs(1);

impl State {
    fn is_resting(&self, now: Instant) -> bool {
        self.rest.as_ref().is_some_and(|(until, _)| *until > now)
    }
}

impl Work {
    /// What is known of the session in the store: the number of one that is over, and of the one that is held.
    pub fn known(&self) -> (Option<u64>, Option<u64>) {
        let Some(keeper) = &self.keeper else { return (None, None) };
        let state = keeper.state();
        (state.over, state.held.as_ref().and_then(|held| held.shared))
    }

    /// How long a session lives.
    pub fn life(&self) -> Option<Life> {
        self.keeper.as_ref().map(|keeper| keeper.life)
    }

    /// There is a session, of one's own.
    pub fn succeeded(self, secrets: Arc<Secrets>, now: Instant) -> Session {
        self.given(secrets, now, None, now)
    }

    /// There is a session, made or prolonged at some time, with its number in the store.
    pub fn given(
        mut self,
        secrets: Arc<Secrets>,
        since: Instant,
        shared: Option<u64>,
        now: Instant,
    ) -> Session {
        let Some(keeper) = self.keeper.take() else { return Session { secrets, generation: 0 } };
        let generation = {
            let mut state = keeper.state();
            state.generation += 1;
            state.held = Some(Held { secrets: Arc::clone(&secrets), since, used: now, shared });
            state.working = false;
            state.failures = 0;
            state.rest = None;
            state.generation
        };
        keeper.ends.send_modify(|ends| *ends += 1);
        Session { secrets, generation }
    }

    /// There is none: nobody tries again for a while. The session that was to be prolonged stays.
    pub fn failed(mut self, why: impl Into<Arc<str>>, now: Instant) {
        let Some(keeper) = self.keeper.take() else { return };
        {
            let mut state = keeper.state();
            let doubled = bounds::LOG_IN_REST.saturating_mul(1 << state.failures.min(16));
            state.failures = state.failures.saturating_add(1);
            state.rest = Some((now + doubled.min(bounds::LOG_IN_REST_MAX), why.into()));
            state.working = false;
        }
        keeper.ends.send_modify(|ends| *ends += 1);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        keeper.state().working = false;
        keeper.ends.send_modify(|ends| *ends += 1);
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.generation)
    }
}

#[cfg(test)]
mod tests;
