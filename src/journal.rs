//! Writes down what calls are about to change, before they do, and what came of it.
//!
//! ```text
//! a call ──▶ intent ─────┐  waits for the commit        ┌─▶ state: one transaction for all that waits
//!                        ├─▶ what waits ─▶ one writer ──┤
//! its outcome ─▶ settlement, nobody waits               └─▶ a state that fails: told again
//! ```
//!
//! An intent that is not known to be kept is an error to its call, which then sends nothing. A settlement goes with
//! the next intents, or by itself after a moment; one that is lost leaves its record open, and an open record is
//! looked into later.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::store::journal::{Entry, Intent, Settlement};
use crate::store::{Reason, Store, StoreError};
use crate::{bounds, clock};

/// Time for which a settlement waits for an intent to go with: what a disk takes for a commit, many times over.
const GATHER: Duration = Duration::from_millis(20);
/// Time before a state that failed is told again, unless an intent comes before.
const AGAIN: Duration = Duration::from_millis(500);
/// Tries to get rid of settlements at the end.
const LAST_TRIES: u32 = 3;

/// The journal of one gateway. Cheap to clone; for all workers.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Store,
    /// Who this gateway is among others, for as long as it runs.
    owner: [u8; 16],
    /// Other gateways may have the store at the same time.
    is_shared: bool,
    waiting: Mutex<Waiting>,
    /// Something waits, or nothing more will come.
    filled: Notify,
    counts: Counts,
}

#[derive(Default)]
struct Waiting {
    intents: VecDeque<(Intent, Caller)>,
    settlements: VecDeque<Settlement>,
    closed: bool,
}

type Caller = oneshot::Sender<Result<(), StoreError>>;

/// What is written together.
struct Batch {
    intents: Vec<Intent>,
    callers: Vec<Caller>,
    settlements: Vec<Settlement>,
}

/// Why an intent is not known to be kept.
#[derive(Clone, Debug)]
pub enum Unkept {
    /// Too many wait already.
    Full,
    /// The gateway ends.
    Closed,
    /// The call's time is over.
    Late,
    /// The state did not take it.
    State(StoreError),
}

#[derive(Default)]
struct Counts {
    intents: AtomicU64,
    refused: AtomicU64,
    /// By outcome.
    settled: [AtomicU64; 4],
    recovered: [AtomicU64; 4],
    lost: AtomicU64,
    open: AtomicU64,
}

/// What the journal has counted since the gateway began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Changes that were written down.
    pub intents: u64,
    /// Calls that were refused because theirs could not be.
    pub refused: u64,
    /// Changes that were settled, by the index of [`Outcome::ALL`](crate::store::journal::Outcome::ALL).
    pub settled: [u64; 4],
    /// The same of changes of gateways that are no more.
    pub recovered: [u64; 4],
    /// Settlements that had no room.
    pub lost: u64,
    /// Records of this gateway's that are open.
    pub open: u64,
}

impl Unkept {
    /// True if it may be kept all the same.
    pub fn may_be_kept(&self) -> bool {
        match self {
            Self::Full | Self::Closed => false,
            Self::Late => true,
            Self::State(error) => error.reason() == Reason::OutcomeUnknown,
        }
    }
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too many changes wait to be written down"),
            Self::Closed => f.write_str("the gateway ends"),
            Self::Late => f.write_str("the change was not written down in the call's time"),
            Self::State(error) => write!(f, "the change cannot be written down: {error}"),
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({:?})", self.0.store)
    }
}

impl Journal {
    /// The journal in a store; `is_shared` if other gateways have it too.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn new(store: Store, is_shared: bool) -> Result<Self, getrandom::Error> {
        let mut owner = [0; 16];
        getrandom::fill(&mut owner)?;
        Ok(Self(Arc::new(Inner {
            store,
            owner,
            is_shared,
            waiting: Mutex::default(),
            filled: Notify::new(),
            counts: Counts::default(),
        })))
    }

    /// Writes down what a call is about to change; comes back once it is kept, or its time is over.
    ///
    /// # Errors
    /// If it is not known to be kept. If [`Unkept::may_be_kept`], and if this is given up, it may be all the same, and has
    /// to be settled.
    pub async fn add(&self, intent: Intent, until: Instant) -> Result<(), Unkept> {
        let (caller, kept) = oneshot::channel();
        let kept = match self.push(intent, caller) {
            Ok(()) => match timeout_at(until, kept).await {
                Ok(Ok(kept)) => kept.map_err(Unkept::State),
                Ok(Err(_)) => Err(Unkept::Closed),
                Err(_) => Err(Unkept::Late),
            },
            Err(why) => Err(why),
        };
        if kept.is_err() {
            self.0.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    fn push(&self, intent: Intent, caller: Caller) -> Result<(), Unkept> {
        let mut waiting = self.0.waiting();
        if waiting.closed {
            return Err(Unkept::Closed);
        }
        if waiting.intents.len() >= bounds::JOURNAL_INTENTS_MAX {
            return Err(Unkept::Full);
        }
        waiting.intents.push_back((intent, caller));
        drop(waiting);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Leaves what came of a change. Nobody waits for it.
    pub fn settle(&self, settlement: Settlement) {
        let mut waiting = self.0.waiting();
        if waiting.settlements.len() >= bounds::JOURNAL_SETTLEMENTS_MAX {
            self.0.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.settlements.push_back(settlement);
        let is_first = waiting.settlements.len() == 1;
        drop(waiting);
        if is_first {
            self.0.filled.notify_one();
        }
    }

    /// Writes what waits, until it is closed and nothing waits any more. One at a time does this.
    pub async fn write(&self) {
        let (mut failed, mut last_tries) = (false, 0);
        while let Some(batch) = self.0.next(failed).await {
            match self.commit(batch).await {
                Ok(()) if failed => {
                    tracing::info!(target: "latimer::journal", "changes are written down again");
                    failed = false;
                }
                Ok(()) => {}
                Err(error) => {
                    if !failed {
                        tracing::error!(target: "latimer::journal", %error, "changes cannot be written down");
                    }
                    failed = true;
                    let waiting = self.0.waiting();
                    last_tries += u32::from(waiting.closed);
                    if last_tries >= LAST_TRIES {
                        let open = waiting.settlements.len();
                        tracing::error!(target: "latimer::journal", open, "what came of the last changes is looked into later");
                        return;
                    }
                }
            }
        }
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Inner { store, owner, counts, .. } = &*self.0;
        let Batch { intents, callers, settlements } = batch;
        let kept = settlements.clone();
        match store.write_journal(*owner, intents, settlements).await {
            Ok(settled) => {
                let added = callers.len() as u64;
                counts.intents.fetch_add(added, Ordering::Relaxed);
                counts.open.fetch_add(added, Ordering::Relaxed);
                counts.no_more_open(settled);
                for one in &kept {
                    counts.settled[one.outcome as usize].fetch_add(1, Ordering::Relaxed);
                }
                for caller in callers {
                    // Who gave up has settled it.
                    let _ = caller.send(Ok(()));
                }
                Ok(())
            }
            Err(error) => {
                let mut waiting = self.0.waiting();
                for one in kept.into_iter().rev() {
                    waiting.settlements.push_front(one);
                }
                drop(waiting);
                for caller in callers {
                    let _ = caller.send(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Takes nothing more. What waits is still written by who does that.
    pub fn close(&self) {
        self.0.waiting().closed = true;
        self.0.filled.notify_one();
    }

    /// Says to gateways on the same state that this one is there for a while. To nobody if it has the state alone: then
    /// every other one is known to be no more.
    ///
    /// # Errors
    /// If it may not have been said.
    pub async fn beat(&self) -> Result<(), StoreError> {
        if !self.0.is_shared {
            return Ok(());
        }
        let until = clock::now().saturating_add(clock::milliseconds(bounds::JOURNAL_OWNED));
        self.0.store.own_journal(self.0.owner, until).await
    }

    /// Says that it is no more.
    ///
    /// # Errors
    /// If it may not have been said; then the others wait for a while.
    pub async fn leave(&self) -> Result<(), StoreError> {
        if !self.0.is_shared {
            return Ok(());
        }
        self.0.store.disown_journal(self.0.owner).await
    }

    /// Takes over what others have left open, or what has lost its settlement here.
    ///
    /// # Errors
    /// If that cannot be told; what was taken over is found again later.
    pub async fn claim(&self, most: u32) -> Result<Vec<Entry>, StoreError> {
        let now = clock::now();
        let stale = now.saturating_sub(clock::milliseconds(bounds::JOURNAL_STALE));
        self.0.store.claim_journal(self.0.owner, now, stale, most).await
    }

    /// Settles what was taken over.
    ///
    /// # Errors
    /// If it may not be settled.
    pub async fn recovered(&self, settlement: Settlement) -> Result<(), StoreError> {
        let outcome = settlement.outcome as usize;
        if self.0.store.settle_claimed(self.0.owner, settlement).await? {
            self.0.counts.recovered[outcome].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Forgets settled changes that began before then.
    ///
    /// # Errors
    /// If not all of them are forgotten.
    pub async fn sweep(&self, kept: Duration) -> Result<u64, StoreError> {
        let now = clock::now();
        let before = now.saturating_sub(clock::milliseconds(kept));
        let gone = now.saturating_sub(clock::milliseconds(bounds::JOURNAL_OWNED));
        self.0.store.sweep_journal(before, gone).await
    }

    /// What was counted.
    pub fn counted(&self) -> Figures {
        let counts = &self.0.counts;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Figures {
            intents: get(&counts.intents),
            refused: get(&counts.refused),
            settled: [0, 1, 2, 3].map(|index| get(&counts.settled[index])),
            recovered: [0, 1, 2, 3].map(|index| get(&counts.recovered[index])),
            lost: get(&counts.lost),
            open: get(&counts.open),
        }
    }
}

impl Counts {
    fn no_more_open(&self, count: u64) {
        let less = |open: u64| Some(open.saturating_sub(count));
        // Always some.
        let _ = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch: as soon as there is an intent, or a while after there is something else. None at the end.
    async fn next(&self, failed: bool) -> Option<Batch> {
        let mut until: Option<Instant> = None;
        loop {
            let now = Instant::now();
            {
                let mut waiting = self.waiting();
                let has_intents = !waiting.intents.is_empty();
                let has_settlements = !waiting.settlements.is_empty();
                if !has_intents && !has_settlements && waiting.closed {
                    return None;
                }
                let is_time =
                    (waiting.closed && !failed) || until.is_some_and(|until| until <= now);
                if has_intents || (has_settlements && is_time) {
                    return Some(waiting.take());
                }
                if has_settlements && until.is_none() {
                    until = Some(now + if failed { AGAIN } else { GATHER });
                }
            }
            match until {
                // Whether it was told or the time is over is looked at above.
                Some(until) => drop(timeout_at(until, self.filled.notified()).await),
                None => self.filled.notified().await,
            }
        }
    }
}

impl Waiting {
    /// All intents, so that no settlement comes before its own: a call that gives up settles what still waits.
    fn take(&mut self) -> Batch {
        let settlements = self.settlements.len().min(bounds::JOURNAL_BATCH_MAX);
        let (intents, callers) = self.intents.drain(..).unzip();
        Batch { intents, callers, settlements: self.settlements.drain(..settlements).collect() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::config::StateConfig;
    use crate::store;
    use crate::store::journal::{By, Filter, Outcome};

    fn id(number: usize) -> [u8; 16] {
        (number as u128).to_be_bytes()
    }

    fn intent(number: usize) -> Intent {
        Intent {
            call: id(number),
            began: 1,
            due: 2,
            route: "main".to_owned(),
            consumer: None,
            upstream: "desk".to_owned(),
            operation: "change_status".to_owned(),
            client_ticket: None,
            upstream_ticket: None,
            from: None,
            to: None,
            tells: true,
        }
    }

    fn settlement(number: usize) -> Settlement {
        let (call, outcome, by) = (id(number), Outcome::Yes, By::Answered);
        Settlement { call, outcome, fault: None, settled: 3, by, read: None, why: None }
    }

    fn journal() -> Journal {
        let store = store::open(&StateConfig::Memory).expect("opens");
        Journal::new(store, false).expect("random numbers")
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Calls that have left their intents, and wait.
    async fn waiting(journal: &Journal, count: usize) -> Vec<JoinHandle<Result<(), Unkept>>> {
        let each = (0..count).map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.add(intent(number), later()).await })
        });
        let each = each.collect();
        while journal.0.waiting().intents.len() < count {
            tokio::task::yield_now().await;
        }
        each
    }

    /// Whichever of them gives up first.
    #[tokio::test]
    async fn what_waits_is_written_before_the_end() {
        let journal = journal();
        let count = bounds::JOURNAL_INTENTS_MAX;
        let adding = waiting(&journal, count).await;
        (0..count).rev().for_each(|number| journal.settle(settlement(number)));
        assert_eq!(journal.counted(), Figures::default(), "nobody writes yet");
        journal.close();
        journal.write().await;
        for one in adding {
            one.await.expect("no panic").expect("it is kept");
        }
        let count = count as u64;
        let settled = [0, count, 0, 0];
        let wanted = Figures { intents: count, settled, ..Figures::default() };
        assert_eq!(journal.counted(), wanted);
        let yes = Filter { outcome: Some(Outcome::Yes), ..Filter::default() };
        let kept = journal.0.store.journal_after(&yes, 0, 9_999).await.expect("read");
        assert_eq!(kept.len() as u64, count);
        let refused = journal.add(intent(0), later()).await;
        assert!(matches!(refused, Err(Unkept::Closed)), "{refused:?}");
    }

    #[tokio::test]
    async fn what_has_no_room_is_said_at_once() {
        let journal = journal();
        let adding = waiting(&journal, bounds::JOURNAL_INTENTS_MAX).await;
        let refused = journal.add(intent(usize::MAX), later()).await;
        assert!(matches!(&refused, Err(why @ Unkept::Full) if !why.may_be_kept()), "{refused:?}");
        (0..=bounds::JOURNAL_SETTLEMENTS_MAX).for_each(|number| journal.settle(settlement(number)));
        let Figures { refused, lost, .. } = journal.counted();
        assert_eq!((refused, lost), (1, 1));
        adding.iter().for_each(JoinHandle::abort);
    }

    /// A call waits no longer than it has time, and what comes of its intent is not known then.
    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_as_long_as_it_has_time() {
        let journal = journal();
        let until = later();
        let late = journal.add(intent(1), until).await;
        assert!(matches!(&late, Err(why @ Unkept::Late) if why.may_be_kept()), "{late:?}");
        assert_eq!(Instant::now(), until);
        assert_eq!(journal.counted().refused, 1);
    }
}
