//! What outlives a call: the store, what is kept there, and what keeps it in order.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::StartError;
use crate::config::{self, Config, LimitStore};
use crate::credential::shared::Fleet;
use crate::crosswalk::Followed;
use crate::journal::Journal;
use crate::limit::{Ledger, Limits};
use crate::plan::Plan;
use crate::session::{Attempts, LogIns, Passwords, Sessions};
use crate::store::{self, Store};
use crate::{bounds, clock};

/// What outlives a call, where there is any.
#[derive(Clone, Debug, Default)]
pub struct Outliving {
    /// Clients that log in.
    pub log_ins: Option<Arc<LogIns>>,
    /// Where it is kept.
    pub store: Option<Store>,
    /// Where limits are counted.
    pub limits: LimitStore,
    /// Sessions at upstreams that a fleet shares.
    pub fleet: Option<Arc<Fleet>>,
    /// Where quotas are written down.
    pub ledger: Option<Arc<Ledger>>,
    /// The crosswalk, if routes ask it.
    pub crosswalk: Option<Arc<Followed>>,
    /// Where changes are written down.
    pub journal: Option<Journal>,
}

impl Outliving {
    /// All that a plan names.
    ///
    /// # Errors
    /// If the store cannot be opened, or the operating system gives no random numbers.
    pub(super) async fn open(config: &Config, plan: &Plan) -> Result<Self, StartError> {
        let store = open(config, plan).await?;
        Ok(Self {
            log_ins: log_ins(config, plan, store.as_ref())?,
            limits: config.limits.store.clone(),
            fleet: fleet(config, plan, store.as_ref())?,
            ledger: ledger(config, plan, store.as_ref())?,
            crosswalk: crosswalk(plan, store.as_ref()).await?,
            journal: journal(config, plan, store.as_ref()).await?,
            store,
        })
    }
}

/// The store; it is not opened if nothing outlives a call.
async fn open(config: &Config, plan: &Plan) -> Result<Option<Store>, StartError> {
    let is_asked = !plan.ways.is_empty() || plan.has_journal();
    let is_wanted = is_fleet(config, plan) || keeps_quotas(config, plan) || is_asked;
    if plan.log_ins.is_empty() && !plan.has_jobs() && !is_wanted {
        return Ok(None);
    }
    let state = config.state.value.clone();
    // It may wait for another gateway that still has the file.
    let opened = tokio::task::spawn_blocking(move || store::open(&state)).await;
    let store = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    store.map(Some).map_err(StartError::State)
}

/// True if gateways that share a database have sessions at upstreams to share; without a pepper of the
/// installation's none could read what another one has put there.
fn is_fleet(config: &Config, plan: &Plan) -> bool {
    let shares = matches!(config.state.value, config::StateConfig::Postgres(_));
    let mut credentials = plan.upstreams.iter().flat_map(|upstream| &upstream.credentials);
    shares && config.has_pepper && credentials.any(|credential| credential.log_in.is_some())
}

/// The sessions at upstreams that a fleet shares.
fn fleet(
    config: &Config,
    plan: &Plan,
    store: Option<&Store>,
) -> Result<Option<Arc<Fleet>>, StartError> {
    let Some(store) = store.filter(|_| is_fleet(config, plan)) else { return Ok(None) };
    let fleet = Fleet::new(store.clone(), &config.pepper).map_err(StartError::Random)?;
    Ok(Some(Arc::new(fleet)))
}

/// True if what is used of quotas outlives the process.
fn keeps_quotas(config: &Config, plan: &Plan) -> bool {
    let counts_here = matches!(config.limits.store, LimitStore::Memory);
    counts_here && plan.has_quotas() && !matches!(config.state.value, config::StateConfig::Memory)
}

/// Where quotas are written down.
fn ledger(
    config: &Config,
    plan: &Plan,
    store: Option<&Store>,
) -> Result<Option<Arc<Ledger>>, StartError> {
    let Some(store) = store.filter(|_| keeps_quotas(config, plan)) else { return Ok(None) };
    let shared = matches!(config.state.value, config::StateConfig::Postgres(_));
    Ok(Some(Arc::new(Ledger::new(store.clone(), shared).map_err(StartError::Random)?)))
}

/// The crosswalk, for routes that ask it.
async fn crosswalk(
    plan: &Plan,
    store: Option<&Store>,
) -> Result<Option<Arc<Followed>>, StartError> {
    let Some(store) = store.filter(|_| !plan.ways.is_empty()) else { return Ok(None) };
    let followed = Followed::begin(store.clone(), plan.ways.clone()).await;
    Ok(Some(Arc::new(followed.map_err(StartError::State)?)))
}

/// Where changes are written down; other gateways on the state know of this one from here on.
async fn journal(
    config: &Config,
    plan: &Plan,
    store: Option<&Store>,
) -> Result<Option<Journal>, StartError> {
    let Some(store) = store.filter(|_| plan.has_journal()) else { return Ok(None) };
    let shared = matches!(config.state.value, config::StateConfig::Postgres(_));
    let journal = Journal::new(store.clone(), shared).map_err(StartError::Random)?;
    journal.beat().await.map_err(StartError::State)?;
    Ok(Some(journal))
}

/// Writes down what is counted of quotas, until it is aborted: whoever does that writes down the rest. Of a state
/// that fails one line tells, and one when it is there again.
pub(super) async fn write_quotas(limits: Arc<Limits>) {
    if !limits.are_kept() {
        return;
    }
    let mut ticks = tokio::time::interval(bounds::LIMIT_WRITE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fails = false;
    loop {
        ticks.tick().await;
        match limits.write().await {
            Ok(()) if fails => {
                tracing::info!(target: "latimer::state", "calls of quotas are written down again");
                fails = false;
            }
            Err(error) if !fails => {
                tracing::error!(
                    target: "latimer::state", %error,
                    "calls of quotas cannot be written down; they are counted and told again"
                );
                fails = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What clients that log in need; none if there are none.
fn log_ins(
    config: &Config,
    plan: &Plan,
    store: Option<&Store>,
) -> Result<Option<Arc<LogIns>>, StartError> {
    let Some(store) = store.filter(|_| !plan.log_ins.is_empty()) else { return Ok(None) };
    let shared = matches!(config.state.value, config::StateConfig::Postgres(_));
    Ok(Some(Arc::new(LogIns {
        sessions: Sessions::new(store.clone(), shared),
        attempts: Attempts::default(),
        passwords: Passwords::new().map_err(StartError::Random)?,
    })))
}

/// Tells the store of sessions that were used, and forgets those that have ended, until told to stop.
pub(super) async fn keep(
    store: Store,
    log_ins: Option<Arc<LogIns>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(bounds::SESSIONS_FLUSH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => stopping = true,
        }
        let flushed = match &log_ins {
            Some(log_ins) if stopping => log_ins.sessions.flush_all().await,
            Some(log_ins) => log_ins.sessions.flush().await,
            None => Ok(()),
        };
        if let Err(error) = flushed {
            tracing::error!(target: "latimer::state", %error, "sessions that were used may end too early");
        }
        if swept.elapsed() < bounds::SWEEP_INTERVAL {
            continue;
        }
        swept = Instant::now();
        if let Some(log_ins) = &log_ins {
            log_ins.attempts.sweep();
            log_ins.sessions.sweep(clock::now());
        }
        if let Err(error) = store.sweep(clock::now()).await {
            tracing::warn!(target: "latimer::state", %error, "what has ended stays for now");
        }
    }
}
