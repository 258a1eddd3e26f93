//! Limits that a fleet of gateways counts together, in Redis.
//!
//! ```text
//! any worker ──▶ one of a few connections ──▶ one thread with a runtime of its own ──▶ one script a check
//! ```
//!
//! The thread is there because a connection belongs to one runtime, and every worker of the gateway has its own.
//! Checks are sent over a connection one behind the other; each of them is one script (`redis/charge.lua`), so that all
//! limits are checked before any is charged, whoever else is at it. Redis' own clock counts, which all gateways share;
//! only what day it is each takes from its own.
//!
//! Keys are `{PREFIX}:RULE:SUBJECT`: the prefix alone says which slot of a cluster they are in. Each has an expiry, a
//! margin after nothing of it counts. Redis 5 or newer is wanted: its scripts may ask for the time and write.

mod connect;
mod error;
mod lane;
mod script;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use ::redis::{ErrorKind, Value, cmd};
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::bounds;
use crate::config::RedisConfig;
use crate::limit::bucket::Room;
use crate::limit::rule::{Charge, Rule};
use crate::limit::verdict::Verdict;

use connect::Server;
use error::Fault;
pub use error::{Reason, Unavailable};
use lane::{Link, State};
use script::{Act, Check, Limits};

/// The counts of some rules, in a server that others count in, too.
pub struct Redis {
    rules: Arc<[Rule]>,
    /// What the keys of each rule begin with.
    keys: Vec<String>,
    place: Arc<str>,
    deadline: Duration,
    lanes: Vec<watch::Receiver<State>>,
    /// The lane that is asked next.
    next: AtomicUsize,
    /// Dropped with this, which ends the thread.
    _alive: oneshot::Sender<()>,
}

impl Redis {
    /// Begins to connect; a server that is not there is tried again and again.
    ///
    /// # Errors
    /// If no certificate can be for the host, or no thread can be had.
    pub fn new(config: &RedisConfig, rules: Arc<[Rule]>) -> Result<Self, Unavailable> {
        let place: Arc<str> = format!("{}:{}", config.host, config.port).into();
        let (alive, over) = oneshot::channel();
        let lanes = start(config, over).map_err(|fault| fault.at(&place))?;
        let keys = rules.iter().map(|rule| format!("{{{}}}:{}:", config.prefix, rule.name));
        let (keys, deadline, next) = (keys.collect(), config.timeout, AtomicUsize::new(0));
        Ok(Self { rules, keys, place, deadline, lanes, next, _alive: alive })
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<[Rule]> {
        &self.rules
    }

    /// Checks all limits of a call, and charges all of them or none. Their rules must differ.
    ///
    /// All counts go by the time that is given, in microseconds since the epoch and at most 2^53 of them; without one
    /// by the server's, and days by the system's.
    ///
    /// # Errors
    /// If there is no connection, or no answer before the deadline: the call may have been charged then.
    pub async fn charge(
        &self,
        charges: &[Charge],
        time: Option<u64>,
    ) -> Result<Verdict, Unavailable> {
        self.check(charges, Act::Charge, time).await
    }

    /// How one limit stands for a caller, without a charge.
    ///
    /// # Errors
    /// If there is no connection, or no answer before the deadline.
    pub async fn look(&self, charge: Charge, time: Option<u64>) -> Result<Room, Unavailable> {
        let verdict = self.check(&[charge], Act::Look, time).await?;
        let unfit = || Fault::new(Reason::Unfit).at(&self.place);
        verdict.standings.first().map(|standing| standing.room).ok_or_else(unfit)
    }

    /// Forgets what is counted of a caller.
    ///
    /// # Errors
    /// If there is no connection, or no answer before the deadline: it may be forgotten then.
    pub async fn reset(&self, charge: Charge) -> Result<(), Unavailable> {
        let mut command = cmd("DEL");
        command.arg(self.limits().key(&charge));
        self.within(async {
            let answer = self.link().await?.send(&command).await?;
            answer.map(drop).map_err(|error| fault(&error))
        })
        .await
    }

    async fn check(
        &self,
        charges: &[Charge],
        act: Act,
        time: Option<u64>,
    ) -> Result<Verdict, Unavailable> {
        debug_assert!(charges.is_sorted_by(|one, next| one.rule < next.rule), "{charges:?}");
        if charges.is_empty() {
            return Ok(Verdict::default());
        }
        let wall = time.unwrap_or_else(wall);
        let check = Check { limits: self.limits(), charges, act, time, wall };
        self.within(async { check.verdict(&self.ask(&check).await?) }).await
    }

    async fn ask(&self, check: &Check<'_>) -> Result<Value, Fault> {
        let link = self.link().await?;
        let mut answer = link.send(&check.command(true)).await?;
        // It has been started anew, or somebody has had it forget its scripts.
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::NoScriptError) {
            answer = link.send(&check.command(false)).await?;
        }
        answer.map_err(|error| fault(&error))
    }

    /// A connection: each of them in turn, and one that is lost only if all are. There is nothing to wait for but the
    /// first of all tries.
    async fn link(&self) -> Result<Arc<Link>, Fault> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut lost = Fault::new(Reason::Unreachable);
        for at in 0..self.lanes.len() {
            let lane = &self.lanes[next.wrapping_add(at) % self.lanes.len()];
            let mut state = lane.borrow().clone();
            if matches!(state, State::Begun) {
                let mut lane = lane.clone();
                let begun = lane.wait_for(|state| !matches!(state, State::Begun)).await;
                state = begun.map_or(State::Begun, |state| state.clone());
            }
            match state {
                State::Up(link) => return Ok(link),
                State::Down(fault) => lost = fault,
                State::Begun => {}
            }
        }
        Err(lost)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Unavailable> {
        let done = timeout(self.deadline, work).await;
        let done = done.unwrap_or_else(|late| Err(Fault::caused(Reason::Late, late)));
        done.map_err(|fault| fault.at(&self.place))
    }

    fn limits(&self) -> Limits<'_> {
        Limits { rules: &self.rules, keys: &self.keys }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.place)
    }
}

/// Starts the thread, and a lane for each connection on it.
fn start(
    config: &RedisConfig,
    over: oneshot::Receiver<()>,
) -> Result<Vec<watch::Receiver<State>>, Fault> {
    let server = Arc::new(Server::new(config)?);
    let unexpected = |error| Fault::caused(Reason::Unreachable, error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(unexpected)?;
    let lanes = 0..bounds::LIMIT_STORE_CONNECTIONS;
    let (told, lanes): (Vec<_>, Vec<_>) = lanes.map(|_| watch::channel(State::Begun)).unzip();
    let most = (bounds::LIMIT_STORE_IN_FLIGHT_MAX / told.len()).max(1);
    let serve = move || {
        LocalSet::new().block_on(&runtime, async {
            for told in told {
                tokio::task::spawn_local(lane::keep(Arc::clone(&server), told, most));
            }
            // Nobody sends: it is over when the other side is dropped.
            let _ = over.await;
        });
    };
    let thread = std::thread::Builder::new().name("limits-redis".to_owned()).spawn(serve);
    thread.map_err(unexpected)?;
    Ok(lanes)
}

/// What an answer means that is none.
fn fault(error: &::redis::RedisError) -> Fault {
    let reason = match error.kind() {
        ErrorKind::BusyLoadingError | ErrorKind::MasterDown => Reason::Unreachable,
        _ if error.is_io_error() => Reason::Unreachable,
        _ => Reason::Unfit,
    };
    Fault::caused(reason, error.to_string())
}

/// Microseconds since the epoch.
fn wall() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
