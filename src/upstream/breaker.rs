//! The breaker of one endpoint: leaves it alone while its calls fail.
//!
//! ```text
//!          failures in a row, or their share                the time is over
//! closed ─────────────────────────────────────▶ open ────────────────────────────▶ half open
//!   ▲                                            ▲  ▲                              │  │   ▲ │
//!   │                                            │  └── the probe failed: longer ──┘  │   └─┘ it was dropped:
//!   └────────────────────── the probe succeeded ─┼────────────────────────────────────┘       the next call is one
//! ```
//!
//! Pure: time is passed in, nothing is sent, nobody is woken. What a failure is, the caller says (see
//! [`endpoints::Seen`](super::endpoints::Seen)).
//!
//! Every call takes [`admit`](Breaker::admit) and [`Permit::success`], from several threads. While it is closed
//! these touch a few atomics; the lock is for a breaker that is not closed, and for the moment that opens it.
//!
//! A call counts in the phase in which it was admitted. What was sent before the breaker opened may fail long
//! after it has closed again (a deadline is longer than `open`), and says nothing of the endpoint by then.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::window::Window;
use crate::config::Breaker as Rules;

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    rules: Rules,
    /// Even while closed, odd while not; every change counts one, so that a phase is never met again.
    phase: AtomicU64,
    /// Failures since the last success.
    failures_in_row: AtomicU32,
    calls: Window,
    failures: Window,
    shut: Mutex<Shut>,
}

/// What counts while it is not closed.
#[derive(Debug)]
struct Shut {
    /// When the next probe may pass.
    until: Instant,
    /// True while a probe is on its way.
    probing: bool,
    /// How long it was, or is, left alone since it last closed.
    length: Duration,
    /// When it last closed.
    closed_at: Instant,
}

/// What a breaker does with a call that comes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It passes.
    Closed,
    /// It does not.
    Open,
    /// It passes if no other one is probing.
    HalfOpen,
}

/// Leave for one call, which has to tell how it went; dropped, it has told nothing.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing of the endpoint"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    phase: u64,
    is_probe: bool,
}

/// No leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Time until a call may pass: nothing while a probe is on its way, as it may be back at any time.
    pub wait: Duration,
}

impl State {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Breaker {
    /// A closed breaker. No later call may be of a time before `now`.
    pub fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            phase: AtomicU64::new(0),
            failures_in_row: AtomicU32::new(0),
            calls: Window::new(rules.window, now),
            failures: Window::new(rules.window, now),
            shut: Mutex::new(Shut {
                until: now,
                probing: false,
                length: Duration::ZERO,
                closed_at: now,
            }),
        }
    }

    /// Asks for leave for one call.
    ///
    /// # Errors
    /// If the endpoint is to be left alone.
    pub fn admit(&self, now: Instant) -> Result<Permit<'_>, Refused> {
        let phase = self.phase.load(Ordering::Acquire);
        if is_closed(phase) {
            return Ok(Permit { breaker: self, phase, is_probe: false });
        }
        let mut shut = self.shut();
        // It may have closed while the lock was waited for.
        let phase = self.phase.load(Ordering::Acquire);
        if is_closed(phase) {
            return Ok(Permit { breaker: self, phase, is_probe: false });
        }
        let wait = shut.until.saturating_duration_since(now);
        if shut.probing || !wait.is_zero() {
            return Err(Refused { wait });
        }
        shut.probing = true;
        Ok(Permit { breaker: self, phase, is_probe: true })
    }

    /// What it does with a call that comes now.
    pub fn state(&self, now: Instant) -> State {
        if is_closed(self.phase.load(Ordering::Acquire)) {
            return State::Closed;
        }
        if now < self.shut().until { State::Open } else { State::HalfOpen }
    }

    /// How often it has opened out of the closed state, since it was made.
    pub fn openings(&self) -> u64 {
        self.phase.load(Ordering::Relaxed).div_ceil(2)
    }

    // A thread that is held up between its look at the phase and its count may count in the next phase: one
    // call too many in a window. What changes the phase looks again, under the lock.

    fn succeeded(&self, phase: u64, now: Instant) {
        if self.phase.load(Ordering::Acquire) != phase {
            return;
        }
        // Most often it is zero already, and then the line stays shared between the threads.
        if self.failures_in_row.load(Ordering::Relaxed) != 0 {
            self.failures_in_row.store(0, Ordering::Relaxed);
        }
        self.calls.add(now);
    }

    fn failed(&self, phase: u64, now: Instant) {
        if self.phase.load(Ordering::Acquire) != phase {
            return;
        }
        self.calls.add(now);
        self.failures.add(now);
        let in_row = self.failures_in_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if in_row >= self.rules.failures || self.share_is_reached(now) {
            self.open(phase, now);
        }
    }

    fn share_is_reached(&self, now: Instant) -> bool {
        let (calls, failures) = (self.calls.sum(now), self.failures.sum(now));
        calls >= u64::from(self.rules.calls_min)
            && failures * 100 >= calls * u64::from(self.rules.ratio_percent)
    }

    fn open(&self, phase: u64, now: Instant) {
        let mut shut = self.shut();
        if self.phase.load(Ordering::Acquire) != phase {
            return; // somebody else did
        }
        // An endpoint that was well for as long as it had been left alone starts anew; one that answers its
        // probe and fails right after does not.
        let well = now.saturating_duration_since(shut.closed_at);
        shut.length = if well >= shut.length { self.rules.open } else { self.longer(shut.length) };
        shut.until = now + shut.length;
        shut.probing = false;
        self.phase.store(phase + 1, Ordering::Release);
    }

    fn longer(&self, length: Duration) -> Duration {
        length.saturating_mul(2).clamp(self.rules.open, self.rules.open_max)
    }

    fn probe_succeeded(&self, phase: u64, now: Instant) {
        let mut shut = self.shut();
        shut.probing = false;
        shut.closed_at = now;
        self.failures_in_row.store(0, Ordering::Relaxed);
        self.calls.clear();
        self.failures.clear();
        self.phase.store(phase + 1, Ordering::Release);
    }

    fn probe_failed(&self, now: Instant) {
        let mut shut = self.shut();
        shut.probing = false;
        shut.length = self.longer(shut.length);
        shut.until = now + shut.length;
    }

    fn shut(&self) -> MutexGuard<'_, Shut> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// True for the one call that finds out whether the endpoint is well again.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// The endpoint did what it is there for.
    pub fn success(mut self, now: Instant) {
        if std::mem::take(&mut self.is_probe) {
            self.breaker.probe_succeeded(self.phase, now);
        } else {
            self.breaker.succeeded(self.phase, now);
        }
    }

    /// It did not.
    pub fn failure(mut self, now: Instant) {
        if std::mem::take(&mut self.is_probe) {
            self.breaker.probe_failed(now);
        } else {
            self.breaker.failed(self.phase, now);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A probe that ends without a word, as when its client goes away, leaves the place to the next call.
        if self.is_probe {
            self.breaker.shut().probing = false;
        }
    }
}

fn is_closed(phase: u64) -> bool {
    phase.is_multiple_of(2)
}

#[cfg(test)]
mod tests;
