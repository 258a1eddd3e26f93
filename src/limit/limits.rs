//! The limits of a plan, and whose calls they count.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;

use crate::config::{Limit, LimitForm, LimitScope, LimitStore};
use crate::limit::redis::{Redis, Unavailable};
use crate::limit::shared::Shared;
use crate::limit::{
    Charge, Charged, Form, Keep, Ledger, Limiter, Memory, Now, Pace, Quota, Room, Rule, Scope,
    Span, Standing, Subject, Verdict,
};
use crate::plan::{CountedLimit, Plan};
use crate::store::StoreError;

/// The name under which clients are told that too many calls without a key came from where they are.
pub const UNAUTHENTICATED: &str = "unauthenticated";

/// All limits of a plan.
#[derive(Debug)]
pub struct Limits {
    rules: Arc<[Rule]>,
    /// By route, of those that have one limit.
    alone: Vec<Option<Limiter>>,
    counts: Counts,
    /// Where quotas are written down.
    ledger: Option<Arc<Ledger>>,
    guard: Option<Guard>,
    consumers: Vec<Subject>,
    routes: Vec<Subject>,
    upstreams: Vec<Subject>,
    clock: Clock,
}

/// Where limits are counted.
#[derive(Debug)]
enum Counts {
    /// In this process.
    Here(Memory),
    /// Where a fleet counts together.
    Shared(Box<Shared>),
}

/// What a call counts towards.
pub type Charges = SmallVec<[Charge; 4]>;

/// Whose call it is.
#[derive(Clone, Copy)]
pub struct Caller<'c> {
    /// Index of the consumer.
    pub consumer: usize,
    /// The key that was shown, or who logged in.
    pub key: Subject,
    /// Tells where it comes from, which few limits want to know.
    pub address: &'c dyn Fn() -> IpAddr,
}

/// Counts calls of which nobody knows whose they are, by where they come from.
#[derive(Debug)]
struct Guard {
    counts: Memory,
    /// False as long as nobody was counted since the last look, so that most calls are asked nothing.
    is_used: AtomicBool,
}

/// Tells the time in both of its forms.
#[derive(Debug)]
struct Clock(Instant);

impl Limits {
    /// Those of a plan, with nothing counted, or as a fleet has counted; and where quotas are written down that this
    /// process counts by itself.
    ///
    /// # Errors
    /// If the store that a fleet shares could never be used.
    pub fn new(
        plan: &Plan,
        store: &LimitStore,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Self, Unavailable> {
        let rules: Arc<[Rule]> = plan.limits.iter().map(rule).collect();
        let keep = ledger.as_ref().map_or(Keep::Not, |ledger| ledger.keep());
        let counts = match store {
            LimitStore::Redis(shared) if !rules.is_empty() => {
                let redis = Redis::new(&shared.server, Arc::clone(&rules))?;
                let shared = Shared::new(redis, shared.on_failure, shared.gateways);
                Counts::Shared(Box::new(shared))
            }
            LimitStore::Redis(_) | LimitStore::Memory => {
                Counts::Here(Memory::kept(Arc::clone(&rules), keep))
            }
        };
        let subjects = |names: &mut dyn Iterator<Item = &str>| names.map(Subject::named).collect();
        Ok(Self {
            alone: plan.routes.iter().map(|route| alone(&route.limit)).collect(),
            rules,
            counts,
            ledger,
            guard: Guard::new(&plan.unauthenticated),
            consumers: subjects(&mut plan.consumers.iter().map(String::as_str)),
            routes: subjects(&mut plan.routes.iter().map(|route| route.name.as_str())),
            upstreams: subjects(&mut plan.upstreams.iter().map(|upstream| upstream.name.as_str())),
            clock: Clock(Instant::now()),
        })
    }

    /// The rules, which standings name by their index.
    pub fn rules(&self) -> &Arc<[Rule]> {
        &self.rules
    }

    /// Charges a call where this process counts by itself; none if its route has no limit. Of several limits all are
    /// checked before any is charged.
    ///
    /// # Errors
    /// Where a fleet counts: what is to be charged there, with [`Self::charge_shared`].
    pub fn charge(
        &self,
        plan: &Plan,
        route: usize,
        caller: &Caller<'_>,
    ) -> Result<Option<Charged>, Charges> {
        let planned = &plan.routes[route];
        if planned.limits.is_empty() {
            let consumer = u32::try_from(caller.consumer).unwrap_or(u32::MAX);
            let limiter = self.alone[route].as_ref();
            return Ok(limiter.map(|limiter| Charged::Alone(limiter.check(consumer))));
        }
        let charges = self.charges(plan, route, caller);
        match &self.counts {
            Counts::Here(counts) => {
                let verdict = counts.charge(&charges, self.clock.now());
                Ok(Some(Charged::Together(Box::new(verdict))))
            }
            Counts::Shared(_) => Err(charges),
        }
    }

    /// Charges a call where a fleet counts.
    ///
    /// # Errors
    /// If it may not pass while that is not known.
    pub async fn charge_shared(&self, charges: &Charges) -> Result<Charged, Unavailable> {
        let now = self.clock.now();
        let verdict = match &self.counts {
            Counts::Here(counts) => counts.charge(charges, now),
            Counts::Shared(shared) => shared.charge(charges, now).await?,
        };
        Ok(Charged::Together(Box::new(verdict)))
    }

    /// How limits stand that would be charged, where that can be told.
    pub async fn look(&self, charges: &Charges) -> Option<Charged> {
        let now = self.clock.now();
        let mut verdict = Verdict::default();
        for charge in charges {
            let room = match &self.counts {
                Counts::Here(counts) => counts.look(*charge, now),
                Counts::Shared(shared) => shared.look(*charge, now).await.ok()?,
            };
            verdict.standings.push(Standing { rule: charge.rule, room });
        }
        (!charges.is_empty()).then(|| Charged::Together(Box::new(verdict)))
    }

    /// What a call counts towards, in the order of the rules; nothing where one limit stands by itself.
    pub fn charges(&self, plan: &Plan, route: usize, caller: &Caller<'_>) -> Charges {
        let planned = &plan.routes[route];
        let subject = |rule: usize| match self.rules()[rule].scope {
            Scope::Consumer => self.consumers[caller.consumer],
            Scope::Key => caller.key,
            Scope::Route => self.routes[route],
            Scope::Upstream => self.upstreams[planned.upstream],
            Scope::Address => Subject::address((caller.address)()),
        };
        planned.limits.iter().map(|rule| Charge { rule: *rule, subject: subject(*rule) }).collect()
    }

    /// How limits stand for somebody of whom nothing is counted.
    pub fn untouched(&self, rules: &[usize]) -> Verdict {
        let now = self.clock.now();
        let untouched = |rule: &usize| {
            let whole_after = match &self.rules()[*rule].form {
                Form::Quota(Quota { span: span @ Span::Day { .. }, .. }) => {
                    span.window(now.wall).end.saturating_sub(now.wall)
                }
                Form::Quota(_) | Form::Rate { .. } => 1_000_000,
            };
            let room = Room { calls: self.rules()[*rule].calls(), whole_after, free_after: 0 };
            Standing { rule: *rule, room }
        };
        Verdict { standings: rules.iter().map(untouched).collect(), refused: None }
    }

    /// How long nobody from there is let in, in whole seconds, because too many calls from there showed no key that is
    /// good; none if the call may go on.
    pub fn is_shut(&self, address: impl FnOnce() -> IpAddr) -> Option<u64> {
        let guard = self.guard.as_ref().filter(|guard| guard.is_used.load(Ordering::Relaxed))?;
        let room = guard.counts.look(guard_charge(address()), self.clock.now());
        (room.free_after > 0).then(|| room.free_after.div_ceil(1_000_000).max(1))
    }

    /// Counts a call without a key that is good.
    pub fn note_unauthenticated(&self, address: IpAddr) {
        if let Some(guard) = &self.guard {
            guard.is_used.store(true, Ordering::Relaxed);
            guard.counts.charge(&[guard_charge(address)], self.clock.now());
        }
    }

    /// What this process counts of limits that have a name, by the index of their rule; none where a fleet counts.
    pub(super) fn counts(&self) -> Option<&Memory> {
        match &self.counts {
            Counts::Here(counts) => Some(counts),
            Counts::Shared(_) => None,
        }
    }

    /// Those whom the configuration names.
    pub(super) fn named_subjects(&self, scope: Scope) -> &[Subject] {
        match scope {
            Scope::Consumer => &self.consumers,
            Scope::Route => &self.routes,
            Scope::Upstream => &self.upstreams,
            Scope::Key | Scope::Address => &[],
        }
    }

    /// Where a fleet counts.
    pub(super) fn shared(&self) -> Option<&Shared> {
        match &self.counts {
            Counts::Here(_) => None,
            Counts::Shared(shared) => Some(shared),
        }
    }

    /// What is counted of calls without a key that is good.
    pub(super) fn guarded(&self) -> Option<&Memory> {
        self.guard.as_ref().map(|guard| &guard.counts)
    }

    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_deref()
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// True if the calls of a route are counted by itself alone: nobody can look at that without a charge.
    pub fn is_alone(&self, route: usize) -> bool {
        self.alone[route].is_some()
    }

    /// True if quotas are written down.
    pub fn are_kept(&self) -> bool {
        self.ledger.is_some()
    }

    /// Reads what was written down before.
    ///
    /// # Errors
    /// If not all of it could be read.
    pub async fn read(&self) -> Result<(), StoreError> {
        match (&self.ledger, self.counts()) {
            (Some(ledger), Some(counts)) => ledger.read(counts, self.clock.now()).await,
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Writes down what was counted of quotas.
    ///
    /// # Errors
    /// If not all of it is known to be written; it is told again the next time.
    pub async fn write(&self) -> Result<(), StoreError> {
        match (&self.ledger, self.counts()) {
            (Some(ledger), Some(counts)) => ledger.write(counts).await,
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Callers of whom something is counted, each limit by itself.
    pub fn callers(&self) -> usize {
        let alone = self.alone.iter().flatten().map(Limiter::keys);
        let together = self
            .counts()
            .into_iter()
            .flat_map(|counts| (0..self.rules.len()).map(|rule| counts.callers(rule)));
        let guarded = self.guard.iter().map(|guard| guard.counts.callers(0));
        alone.chain(together).chain(guarded).sum()
    }

    /// Forgets what counts no more.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.alone.iter().flatten().for_each(Limiter::sweep);
        match &self.counts {
            Counts::Here(counts) => counts.sweep(now),
            Counts::Shared(shared) => shared.sweep(now),
        }
        if let Some(guard) = &self.guard {
            guard.counts.sweep(now);
            // Whoever is counted just now sets it again with the next call.
            guard.is_used.store(guard.counts.callers(0) > 0, Ordering::Relaxed);
        }
    }
}

fn alone(limit: &Limit) -> Option<Limiter> {
    match limit {
        Limit::None => None,
        Limit::Bucket { rate, burst } => Some(Limiter::new(rate.count, rate.per, *burst)),
    }
}

fn guard_charge(address: IpAddr) -> Charge {
    Charge { rule: 0, subject: Subject::address(address) }
}

impl Guard {
    fn new(limit: &Limit) -> Option<Self> {
        let Limit::Bucket { rate, burst } = limit else { return None };
        let form = Form::Rate { pace: Pace::new(rate.count, rate.per, *burst), per: rate.per };
        let rule = Rule { name: UNAUTHENTICATED.into(), scope: Scope::Address, form };
        Some(Self { counts: Memory::new([rule].into()), is_used: AtomicBool::new(false) })
    }
}

fn rule(limit: &CountedLimit) -> Rule {
    let scope = match limit.scope {
        LimitScope::Consumer => Scope::Consumer,
        LimitScope::Key => Scope::Key,
        LimitScope::Route => Scope::Route,
        LimitScope::Upstream => Scope::Upstream,
        LimitScope::Address => Scope::Address,
    };
    let form = match &limit.form {
        LimitForm::Rate { rate, burst } => {
            Form::Rate { pace: Pace::new(rate.count, rate.per, *burst), per: rate.per }
        }
        LimitForm::Daily { calls, begins, zone } => {
            let span = Span::Day { begins: *begins, zone: zone.clone() };
            Form::Quota(Quota { calls: u64::from(*calls), span })
        }
        LimitForm::Sliding { calls, length } => {
            let span = Span::Sliding(micros(*length));
            Form::Quota(Quota { calls: u64::from(*calls), span })
        }
    };
    Rule { name: limit.key.as_str().into(), scope, form }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Clock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { steady: micros(self.0.elapsed()), wall: micros(wall) }
    }
}
