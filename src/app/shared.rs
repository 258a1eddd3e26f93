//! The live things that a plan names: each is there once, and all workers share it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::{Outliving, StartError};
use crate::call::{Metrics, Observed, Services};
use crate::config::{self, Scheme, Spanned};
use crate::credential::Keeper;
use crate::crosswalk::Crosswalk;
use crate::limit::Limits;
use crate::plan::{self, Plan};
use crate::secret::Secret;
use crate::tls::{self, Offer};
use crate::upstream::gate::Gate;
use crate::{admin, bounds, upstream};

/// Shorter than what servers usually keep a connection for, so that it is we who close it.
const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The live things that all workers share.
#[derive(Debug)]
pub struct Shared {
    plan: Arc<Plan>,
    pub(super) limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    /// What connections to upstreams are secured with, by upstream and endpoint.
    clients: Vec<Vec<Option<tls::Client>>>,
    /// By upstream.
    upstreams: Vec<Arc<upstream::Shared>>,
    /// Calls in flight.
    gate: Arc<Gate>,
    /// Sessions at upstreams, by upstream and credential.
    keepers: Arc<Vec<Vec<Option<Arc<Keeper>>>>>,
    pub(super) outliving: Outliving,
}

impl Shared {
    /// The live things that a plan names, and those of clients that log in, if any do, with what outlives a
    /// call.
    ///
    /// # Errors
    /// If TLS cannot be spoken with the settings.
    pub fn new(plan: Plan, outliving: Outliving) -> Result<Self, StartError> {
        let clients = plan.upstreams.iter().map(clients).collect::<Result<_, _>>();
        let clients = clients.map_err(StartError::Tls)?;
        let upstreams = plan.upstreams.iter().map(|planned| {
            let count = planned.endpoints.len();
            Arc::new(upstream::Shared::new(count, &planned.resilience))
        });
        let upstreams: Vec<_> = upstreams.collect();
        let gate = Arc::new(Gate::new(plan.bounds.concurrency_max));
        let metrics = Arc::new(Metrics::new(&plan, observed(&plan, &upstreams, &gate, &outliving)));
        let limits = Limits::new(&plan, &outliving.limits, outliving.ledger.clone());
        let limits = Arc::new(limits.map_err(StartError::Limits)?);
        let keepers = Arc::new(plan.upstreams.iter().map(Keeper::all).collect());
        let plan = Arc::new(plan);
        Ok(Self { plan, limits, metrics, clients, upstreams, gate, keepers, outliving })
    }

    /// The certificates that upstreams are shown: one of each, whichever endpoint it is shown to.
    pub(super) fn certificates(&self) -> impl Iterator<Item = Arc<tls::Renewable>> {
        self.clients.iter().filter_map(|clients| clients.iter().flatten().next()?.certificate())
    }

    /// Asks endpoints whether they are well, where that is wanted.
    pub(super) fn watch(&self, stop: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut watching = JoinSet::new();
        let upstreams = self.plan.upstreams.iter().zip(&self.clients).zip(&self.upstreams);
        for ((planned, clients), shared) in upstreams {
            let Some(rules) = planned.resilience.health.clone() else { continue };
            let (name, endpoints) = (planned.name.clone(), endpoints(planned, clients).collect());
            let shared = Arc::clone(shared);
            watching.spawn(upstream::watch(name, shared, endpoints, rules, stop.clone()));
        }
        watching
    }

    /// What the operator looks at.
    pub(super) fn operator(
        &self,
        ready: Arc<AtomicBool>,
        token: Option<Spanned<Secret>>,
    ) -> admin::Operator {
        admin::Operator {
            ready,
            metrics: Arc::clone(&self.metrics),
            limits: Arc::clone(&self.limits),
            plan: Arc::clone(&self.plan),
            token: token.map(|token| token.value),
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The services of one worker.
    pub fn services(&self) -> Services {
        let upstreams = self
            .plan
            .upstreams
            .iter()
            .zip(&self.clients)
            .zip(&self.upstreams)
            .map(|((planned, clients), shared)| {
                let endpoints = endpoints(planned, clients);
                Arc::new(upstream::Upstream::new(Arc::clone(shared), endpoints))
            })
            .collect();
        Services {
            plan: Arc::clone(&self.plan),
            upstreams,
            limits: Arc::clone(&self.limits),
            tally: self.metrics.tally(),
            gate: Arc::clone(&self.gate),
            keepers: Arc::clone(&self.keepers),
            jobs: self.outliving.store.clone(),
            journal: self.outliving.journal.clone(),
            log_ins: self.outliving.log_ins.clone(),
            fleet: self.outliving.fleet.clone(),
            crosswalk: self.outliving.crosswalk.clone().map(Crosswalk::new),
        }
    }
}

/// What metrics look at while they are written.
fn observed(
    plan: &Plan,
    upstreams: &[Arc<upstream::Shared>],
    gate: &Arc<Gate>,
    outliving: &Outliving,
) -> Observed {
    let upstreams = plan.upstreams.iter().zip(upstreams).map(|(planned, shared)| {
        let endpoints = planned.endpoints.iter().map(config::Url::host_and_port).collect();
        (planned.name.clone(), endpoints, Arc::clone(shared))
    });
    let journal = outliving.journal.clone();
    Observed { gate: Arc::clone(gate), upstreams: upstreams.collect(), journal }
}

/// What connections to each endpoint of an upstream are secured with: one thing, by other names.
fn clients(planned: &plan::Upstream) -> Result<Vec<Option<tls::Client>>, tls::Error> {
    let offer = match planned.http {
        config::Http::Auto => Offer::Http2AndHttp1,
        config::Http::One => Offer::Http1,
        config::Http::Two => Offer::Http2,
    };
    let mut first: Option<tls::Client> = None;
    let mut client = |url: &config::Url| {
        let Some(settings) = planned.tls.as_ref().filter(|_| url.scheme == Scheme::Https) else {
            return Ok(None);
        };
        let client = match &first {
            Some(first) => first.for_host(&url.host)?,
            None => tls::Client::new(settings, &url.host, offer)?,
        };
        first.get_or_insert_with(|| client.clone());
        Ok(Some(client))
    };
    planned.endpoints.iter().map(&mut client).collect()
}

/// What the connections to each endpoint of an upstream are made with.
fn endpoints(
    planned: &plan::Upstream,
    clients: &[Option<tls::Client>],
) -> impl Iterator<Item = upstream::Settings> {
    planned.endpoints.iter().zip(clients).map(|(url, tls)| upstream::Settings {
        host: url.host.clone(),
        port: url.port,
        authority: url.authority_text(),
        tls: tls.clone(),
        http: planned.http,
        connect_timeout: planned.connect_timeout,
        idle_max: bounds::UPSTREAM_IDLE_MAX,
        idle_timeout: UPSTREAM_IDLE_TIMEOUT,
        reply_bytes_max: planned.reply_bytes_max,
    })
}
