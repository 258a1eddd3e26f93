//! What keeps the journal: looks into changes that were left open, tells other gateways that this one is there, and
//! forgets what is old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::call::{self, Recovered, Services};
use crate::ident::CallId;
use crate::journal::Journal;
use crate::store::journal::{By, Entry, Outcome, Settlement};
use crate::{bounds, clock};

/// Time before an upstream that is away is asked again, at first; each time doubles it.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Time between two looks for records that are old.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The journal at work.
#[derive(Debug)]
pub(super) struct Journaling {
    journal: Journal,
    writing: JoinHandle<()>,
    keeping: JoinHandle<()>,
}

impl Journaling {
    /// Writes, and keeps, until told to stop.
    pub(super) fn start(journal: Journal, keeper: Keeper, stop: watch::Receiver<bool>) -> Self {
        let writer = journal.clone();
        let writing = tokio::spawn(async move { writer.write().await });
        Self { journal, writing, keeping: tokio::spawn(keeper.run(stop)) }
    }

    /// Writes what waits. Nobody calls any more.
    pub(super) async fn end(self) {
        let _ = self.keeping.await;
        self.journal.close();
        let _ = self.writing.await;
        if let Err(error) = self.journal.leave().await {
            tracing::warn!(target: "latimer::journal", %error, "other gateways take this one for alive for a while");
        }
    }
}

/// Looks after the journal of one gateway.
pub(super) struct Keeper {
    services: Arc<Services>,
    journal: Journal,
    /// How long records are kept.
    keep: Duration,
    /// What was taken over and waits.
    waiting: Vec<Claimed>,
    /// What is looked into.
    asking: JoinSet<(Claimed, Recovered)>,
    /// The state failed the last time; one line tells of it.
    fails: bool,
}

/// A change that was taken over.
struct Claimed {
    entry: Entry,
    since: Instant,
    /// When it is looked into, and how long it waits after that.
    next: Instant,
    back_off: Duration,
}

impl Keeper {
    pub(super) fn new(services: Services, journal: Journal, keep: Duration) -> Self {
        let services = Arc::new(services);
        let (waiting, asking) = (Vec::new(), JoinSet::new());
        Self { services, journal, keep, waiting, asking, fails: false }
    }

    /// Works until told to stop. What is not looked into by then stays open for whoever comes after.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(bounds::JOURNAL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                Some(done) = self.asking.join_next() => {
                    // A panic is a defect, and its change is found again when it is stale.
                    if let Ok((claimed, recovered)) = done {
                        self.note(claimed, recovered).await;
                    }
                }
                _ = ticks.tick() => {
                    self.tick().await;
                    if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_INTERVAL) {
                        swept = Some(Instant::now());
                        if let Err(error) = self.journal.sweep(self.keep).await {
                            tracing::warn!(target: "latimer::journal", %error, "old records stay for now");
                        }
                    }
                }
            }
            self.ask();
        }
    }

    /// Says that this gateway is there, and takes over what is nobody's.
    async fn tick(&mut self) {
        self.services.sweep_upstreams();
        let room = bounds::JOURNAL_CLAIMED_MAX - self.waiting.len() - self.asking.len();
        let told = self.journal.beat().await;
        let claimed = match told {
            Ok(()) => self.journal.claim(u32::try_from(room).unwrap_or(0)).await,
            Err(error) => Err(error),
        };
        match claimed {
            Ok(entries) => {
                self.fails = false;
                let now = Instant::now();
                for entry in entries {
                    // What has been waiting here for long is claimed anew, and looked into once.
                    if self.waiting.iter().any(|one| one.entry.number == entry.number) {
                        continue;
                    }
                    self.waiting.push(Claimed {
                        entry,
                        since: now,
                        next: now,
                        back_off: BACK_OFF_MIN,
                    });
                }
            }
            Err(error) => {
                if !self.fails {
                    tracing::error!(target: "latimer::journal", %error, "changes that were left open cannot be looked for");
                }
                self.fails = true;
            }
        }
    }

    /// Looks into what is due, a few at a time.
    fn ask(&mut self) {
        let now = Instant::now();
        while self.asking.len() < bounds::JOURNAL_RECOVERIES {
            let Some(index) = self.waiting.iter().position(|one| one.next <= now) else { return };
            let claimed = self.waiting.remove(index);
            let services = Arc::clone(&self.services);
            self.asking.spawn(async move {
                let recovered = call::recover(&services, &claimed.entry).await;
                (claimed, recovered)
            });
        }
    }

    /// Settles what was looked into, or lets it wait.
    async fn note(&mut self, mut claimed: Claimed, recovered: Recovered) {
        let is_late = claimed.since.elapsed() >= bounds::JOURNAL_RECOVERY_MAX;
        let (outcome, why, read) = match recovered {
            Recovered::Yes(read) => (Outcome::Yes, None, read),
            Recovered::InDoubt { why, read } => (Outcome::Unknown, Some(why), read),
            Recovered::Away if is_late => (Outcome::Unknown, Some(call::UPSTREAM_AWAY), None),
            Recovered::Away => return self.wait(claimed),
        };
        let fault = (outcome == Outcome::Unknown).then_some("outcome_unknown");
        let call = claimed.entry.intent.call;
        let (settled, by) = (clock::now(), By::Recovered);
        let settlement = Settlement { call, outcome, fault, settled, by, read, why };
        match self.journal.recovered(settlement).await {
            Ok(()) => {
                let call = CallId::of_bytes(call);
                let (outcome, why) = (outcome.name(), why.unwrap_or_default());
                tracing::info!(target: "latimer::journal", %call, outcome, why, "a change that was left open is settled");
            }
            // It is looked into once more: what it says may have changed by then.
            Err(error) => {
                tracing::warn!(target: "latimer::journal", %error, "what came of a change is not written down yet");
                claimed.since = Instant::now();
                self.wait(claimed);
            }
        }
    }

    fn wait(&mut self, claimed: Claimed) {
        let next = Instant::now() + claimed.back_off;
        let back_off = (claimed.back_off * 2).min(bounds::JOURNAL_BACK_OFF_MAX);
        self.waiting.push(Claimed { next, back_off, ..claimed });
    }
}
