//! The only place where the parts are put together.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::call::{Metrics, Observed, Services};
use crate::catalog::{self, Catalog};
use crate::config::{self, Config, Limit, Scheme};
use crate::credential::Keeper;
use crate::credential::shared::Fleet;
use crate::diag::Diagnostic;
use crate::limit::Limiter;
use crate::plan::{self, Plan};
use crate::session::{Attempts, LogIns, Passwords, Sessions};
use crate::store::{self, Store, StoreError};
use crate::tls::{self, Offer};
use crate::upstream::gate::Gate;
use crate::{admin, bounds, server, systemd, upstream};

/// What keeps the program from starting.
#[derive(Debug)]
pub enum StartError {
    /// A file or folder cannot be read.
    Unreadable(String),
    /// Something in a file is wrong.
    Findings(Vec<Diagnostic>),
    /// An address cannot be listened on.
    Bind(String, io::Error),
    /// TLS cannot be spoken with the settings.
    Tls(tls::Error),
    /// What outlives a call cannot be kept.
    State(StoreError),
    /// The operating system gives no random numbers.
    Random(getrandom::Error),
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients reach it.
    pub listen: std::net::SocketAddr,
    /// Where the operator reaches it.
    pub admin: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    ready: Arc<AtomicBool>,
    serving: JoinHandle<()>,
    pulse: server::Pulse,
    administering: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    keeping: Option<JoinHandle<()>>,
    renewing: JoinHandle<()>,
    watching: JoinSet<()>,
}

/// Reads a configuration and its mappings, and checks all of it. Gives warnings besides.
///
/// # Errors
/// If anything cannot be read or is wrong.
pub fn load(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Plan, Vec<Diagnostic>), StartError> {
    let (config, mut found) = config::load(path, environment)?;
    let (catalog, mut more) = Catalog::load(&config.mappings.value)?;
    found.append(&mut more);
    let (plan, mut more) = plan::build(&config, &catalog).map_err(StartError::Findings)?;
    found.append(&mut more);
    Ok((config, plan, found))
}

/// The process's environment. What is no UTF-8 there is mostly not ours and must stop nothing; where it
/// is ours, the mark that stands for it is refused like any other wrong value.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Starts a gateway on a plan.
///
/// # Errors
/// If an address cannot be listened on, or TLS cannot be spoken with the settings.
pub async fn start(config: &Config, plan: Plan) -> Result<Gateway, StartError> {
    start_on(systemd::Sockets::default(), config, plan).await
}

/// Starts a gateway that listens on sockets that were handed over, and on its own where there are none.
///
/// # Errors
/// If an address cannot be listened on, or TLS cannot be spoken with the settings.
pub async fn start_on(
    sockets: systemd::Sockets,
    config: &Config,
    plan: Plan,
) -> Result<Gateway, StartError> {
    let failed =
        |address: std::net::SocketAddr| move |error| StartError::Bind(address.to_string(), error);
    let (listen, admin) = (config.listen.value, config.admin.listen.value);
    let handed = sockets.clients.is_some();
    let clients = listener(sockets.clients, listen).map_err(failed(listen))?;
    let operators = listener(sockets.admin, admin).and_then(watched).map_err(failed(admin))?;
    let listen = clients.local_addr().map_err(failed(listen))?;
    let admin = operators.local_addr().map_err(failed(admin))?;
    let offer = if config.listen_http2 { Offer::Http2AndHttp1 } else { Offer::Http1 };
    let tls = config.listen_tls.as_ref().map(|settings| tls::Server::new(settings, offer));
    let tls = tls.transpose().map_err(StartError::Tls)?;
    let store = open_store(config, &plan).await?;
    let log_ins = log_ins(config, &plan, store.as_ref())?;
    let fleet = fleet(config, &plan, store.as_ref())?;
    let shared = Shared::new(plan, Outliving { log_ins, store, fleet })?;
    let certificates = tls.iter().map(tls::Server::certificate).chain(shared.certificates());
    let certificates = certificates.collect();
    let settings = server::Settings {
        workers: config.workers,
        connections_max: config.bounds.connections_max,
        drain: config.drain,
        tls,
        http2: config.listen_http2,
        handed,
    };
    let (stop, stopped) = watch::channel(false);
    let (cut, cutting) = watch::channel(false);
    let told = server::Stop { drain: stopped.clone(), cut: cutting };
    let server = server::Server::start(clients, &settings, || shared.services(), told);
    let server = server.map_err(failed(listen))?;
    let pulse = server.pulse();
    let ready = Arc::new(AtomicBool::new(true));
    let sweeping = tokio::spawn(sweep(Arc::clone(&shared.limiters), stopped.clone()));
    let Outliving { log_ins, store, .. } = shared.outliving.clone();
    let keeping = store.map(|store| tokio::spawn(keep(store, log_ins, stopped.clone())));
    let renewing =
        tokio::spawn(tls::watch(certificates, bounds::TLS_RENEW_INTERVAL, stopped.clone()));
    let watching = shared.watch(&stopped);
    let metrics = Arc::clone(&shared.metrics);
    let administering = tokio::spawn(admin::run(operators, Arc::clone(&ready), metrics));
    let serving = tokio::spawn(server.run());
    Ok(Gateway {
        listen,
        admin,
        stop,
        cut,
        ready,
        serving,
        pulse,
        administering,
        sweeping,
        keeping,
        renewing,
        watching,
    })
}

/// The socket that was handed over for an address, or else one of our own.
fn listener(
    handed: Option<std::net::TcpListener>,
    address: std::net::SocketAddr,
) -> io::Result<std::net::TcpListener> {
    let Some(handed) = handed else { return listen_on(address) };
    let bound = handed.local_addr()?;
    if !systemd::serves(bound, address) {
        tracing::warn!(
            target: "latimer::server", %bound, configured = %address,
            "the socket that was handed over is bound to another address than the configuration has; it is used"
        );
    }
    Ok(handed)
}

/// A listener that this runtime watches.
fn watched(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// A listener whose queue holds what may arrive in a burst; the system's own limit may be lower.
fn listen_on(address: std::net::SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(bounds::BACKLOG)?;
    Ok(socket.into())
}

impl Gateway {
    /// Stops accepting, lets calls in flight finish, and ends.
    pub async fn stop(self) {
        self.stop_unless(std::future::pending()).await;
    }

    /// The same, but cuts off what is still open once told to hurry; true if that was so.
    pub async fn stop_unless(mut self, hurry: impl Future<Output = ()>) -> bool {
        self.ready.store(false, Ordering::Release);
        // Nobody listens any more only if serving has ended already.
        let _ = self.stop.send(true);
        let hurried = tokio::select! {
            _ = &mut self.serving => false,
            () = hurry => true,
        };
        if hurried {
            let _ = self.cut.send(true);
            // A worker that hangs even now ends with the process.
            let _ = timeout(bounds::CUT_OFF, &mut self.serving).await;
            self.watching.abort_all();
        }
        let _ = self.sweeping.await;
        if let Some(keeping) = self.keeping {
            let _ = keeping.await;
        }
        let _ = self.renewing.await;
        self.watching.join_all().await;
        self.administering.abort();
        hurried
    }

    /// Tells, as often as asked, whether connections are accepted and workers serve them; waits for as long
    /// as one of those hangs.
    pub fn pulse(&self) -> impl Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + use<> {
        let (accepting, workers) = (self.serving.abort_handle(), self.pulse.clone());
        move || {
            let (accepting, workers) = (accepting.clone(), workers.clone());
            Box::pin(async move { workers.felt().await && !accepting.is_finished() })
        }
    }
}

/// The live things that all workers share.
#[derive(Debug)]
pub struct Shared {
    plan: Arc<Plan>,
    limiters: Arc<Vec<Option<Limiter>>>,
    metrics: Arc<Metrics>,
    /// What connections to upstreams are secured with, by upstream and endpoint.
    clients: Vec<Vec<Option<tls::Client>>>,
    /// By upstream.
    upstreams: Vec<Arc<upstream::Shared>>,
    /// Calls in flight.
    gate: Arc<Gate>,
    /// Sessions at upstreams, by upstream and credential.
    keepers: Arc<Vec<Vec<Option<Arc<Keeper>>>>>,
    outliving: Outliving,
}

/// What outlives a call, where there is any.
#[derive(Clone, Debug, Default)]
pub struct Outliving {
    /// Clients that log in.
    pub log_ins: Option<Arc<LogIns>>,
    /// Where it is kept.
    pub store: Option<Store>,
    /// Sessions at upstreams that a fleet shares.
    pub fleet: Option<Arc<Fleet>>,
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
        let limiters = plan
            .routes
            .iter()
            .map(|route| match &route.limit {
                Limit::None => None,
                Limit::Bucket { rate, burst } => Some(Limiter::new(rate.count, rate.per, *burst)),
            })
            .collect();
        let upstreams = plan.upstreams.iter().map(|planned| {
            let count = planned.endpoints.len();
            Arc::new(upstream::Shared::new(count, &planned.resilience))
        });
        let upstreams: Vec<_> = upstreams.collect();
        let gate = Arc::new(Gate::new(plan.bounds.concurrency_max));
        let metrics = Arc::new(Metrics::new(&plan, observed(&plan, &upstreams, &gate)));
        let limiters = Arc::new(limiters);
        let keepers = Arc::new(plan.upstreams.iter().map(Keeper::all).collect());
        let plan = Arc::new(plan);
        Ok(Self { plan, limiters, metrics, clients, upstreams, gate, keepers, outliving })
    }

    /// The certificates that upstreams are shown: one of each, whichever endpoint it is shown to.
    fn certificates(&self) -> impl Iterator<Item = Arc<tls::Renewable>> {
        self.clients.iter().filter_map(|clients| clients.iter().flatten().next()?.certificate())
    }

    /// Asks endpoints whether they are well, where that is wanted.
    fn watch(&self, stop: &watch::Receiver<bool>) -> JoinSet<()> {
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
            limiters: Arc::clone(&self.limiters),
            tally: self.metrics.tally(),
            gate: Arc::clone(&self.gate),
            keepers: Arc::clone(&self.keepers),
            jobs: self.outliving.store.clone(),
            log_ins: self.outliving.log_ins.clone(),
            fleet: self.outliving.fleet.clone(),
        }
    }
}

/// What metrics look at while they are written.
fn observed(plan: &Plan, upstreams: &[Arc<upstream::Shared>], gate: &Arc<Gate>) -> Observed {
    let upstreams = plan.upstreams.iter().zip(upstreams).map(|(planned, shared)| {
        let endpoints = planned.endpoints.iter().map(config::Url::host_and_port).collect();
        (planned.name.clone(), endpoints, Arc::clone(shared))
    });
    Observed { gate: Arc::clone(gate), upstreams: upstreams.collect() }
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

/// Gives back what is no longer needed, at intervals and until told to stop: what a call leaves behind
/// in a limiter would otherwise stay until the next call comes by, if one does.
async fn sweep(limiters: Arc<Vec<Option<Limiter>>>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(bounds::SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        limiters.iter().flatten().for_each(Limiter::sweep);
    }
}

/// What outlives a call; nothing is opened if nothing does.
async fn open_store(config: &Config, plan: &Plan) -> Result<Option<Store>, StartError> {
    if plan.log_ins.is_empty() && !plan.has_jobs() && !is_fleet(config, plan) {
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
async fn keep(store: Store, log_ins: Option<Arc<LogIns>>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(bounds::SESSIONS_FLUSH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => stopping = true,
        }
        if let Some(log_ins) = &log_ins
            && let Err(error) = log_ins.sessions.flush().await
        {
            tracing::error!(target: "latimer::state", %error, "sessions that were used may end too early");
        }
        if swept.elapsed() < bounds::SWEEP_INTERVAL {
            continue;
        }
        swept = Instant::now();
        if let Some(log_ins) = &log_ins {
            log_ins.attempts.sweep();
            log_ins.sessions.sweep(now());
        }
        if let Err(error) = store.sweep(now()).await {
            tracing::warn!(target: "latimer::state", %error, "what has ended stays for now");
        }
    }
}

/// Unix milliseconds.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Shorter than what servers usually keep a connection for, so that it is we who close it.
const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl From<config::LoadError> for StartError {
    fn from(error: config::LoadError) -> Self {
        match error {
            config::LoadError::Unreadable { path, source } => {
                Self::Unreadable(format!("cannot read {}: {source}", path.display()))
            }
            config::LoadError::Findings(found) => Self::Findings(found),
        }
    }
}

impl From<catalog::LoadError> for StartError {
    fn from(error: catalog::LoadError) -> Self {
        match error {
            catalog::LoadError::Unreadable { path, source } => {
                Self::Unreadable(format!("cannot read {}: {source}", path.display()))
            }
            catalog::LoadError::Findings(found) => Self::Findings(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> (Config, Plan) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/minimal.yaml");
        let environment = [("HELPDESK_TOKEN", "t"), ("ACME_KEY", "k")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (config, plan, _) = load(&path, environment.into_iter()).unwrap();
        (config, plan)
    }

    #[tokio::test(start_paused = true)]
    async fn full_buckets_are_swept_until_the_gateway_stops() {
        // Full again after a microsecond of the limiter's own clock, which is never paused.
        let limiter = Limiter::new(1_000_000, Duration::from_secs(1), 1);
        let limiters = Arc::new(vec![None, Some(limiter)]);
        let (stop, stopped) = watch::channel(false);
        let sweeping = tokio::spawn(sweep(Arc::clone(&limiters), stopped));
        tokio::time::sleep(bounds::SWEEP_INTERVAL / 2).await;
        let limiter = limiters[1].as_ref().unwrap();
        for key in 0..1_000 {
            limiter.check(key);
        }
        assert_eq!(limiter.keys(), 1_000);
        tokio::time::sleep(bounds::SWEEP_INTERVAL * 2).await;
        assert_eq!(limiter.keys(), 0);
        stop.send(true).unwrap();
        sweeping.await.unwrap();
    }

    #[tokio::test]
    async fn a_gateway_that_has_stopped_leaves_no_task() {
        let (mut config, plan) = minimal();
        config.listen.value.set_port(0);
        config.admin.listen.value.set_port(0);
        let gateway = start(&config, plan).await.unwrap();
        gateway.stop().await;
        // An aborted task is gone once the runtime has come by.
        tokio::task::yield_now().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }
}
