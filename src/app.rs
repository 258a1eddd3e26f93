//! The only place where the parts are put together.

mod journal;
mod shared;
mod state;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, timeout};

use self::journal::{Journaling, Keeper};
pub use self::shared::Shared;
pub use self::state::Outliving;
use crate::catalog::{self, Catalog};
use crate::config::{self, Config};
use crate::diag::Diagnostic;
use crate::limit::Limits;
use crate::plan::{self, Plan};
use crate::store::StoreError;
use crate::tls::{self, Offer};
use crate::{admin, bounds, limit, server, systemd};

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
    /// Limits cannot be counted where they are to be.
    Limits(limit::redis::Unavailable),
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
    limits: Arc<Limits>,
    /// Writes down what is used of quotas.
    writing: JoinHandle<()>,
    keeping: Option<JoinHandle<()>>,
    /// Follows the crosswalk.
    following: Option<JoinHandle<()>>,
    journaling: Option<Journaling>,
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
    let spoken = config.vendors();
    let wanted = |vendor: &str| spoken.contains(&vendor);
    let (catalog, mut more) = Catalog::load_those(&config.mappings.value, wanted)?;
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
/// If an address cannot be listened on, TLS cannot be spoken with the settings, or the store cannot be opened.
pub async fn start(config: &Config, plan: Plan) -> Result<Gateway, StartError> {
    start_on(systemd::Sockets::default(), config, plan).await
}

/// Starts a gateway that listens on sockets that were handed over, and on its own where there are none.
///
/// # Errors
/// If an address cannot be listened on, TLS cannot be spoken with the settings, or the store cannot be opened.
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
    let outliving = Outliving::open(config, &plan).await?;
    let shared = Shared::new(plan, outliving)?;
    shared.limits.read().await.map_err(StartError::State)?;
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
    let sweeping = tokio::spawn(sweep(Arc::clone(&shared.limits), stopped.clone()));
    let writing = tokio::spawn(state::write_quotas(Arc::clone(&shared.limits)));
    let Outliving { log_ins, store, crosswalk, journal, .. } = shared.outliving.clone();
    let following = crosswalk.map(|one| tokio::spawn(async move { one.follow().await }));
    let journaling = journal.map(|journal| {
        let keeper = Keeper::new(shared.services(), journal.clone(), config.journal_keep);
        Journaling::start(journal, keeper, stopped.clone())
    });
    let keeping = store.map(|store| tokio::spawn(state::keep(store, log_ins, stopped.clone())));
    let renewing =
        tokio::spawn(tls::watch(certificates, bounds::TLS_RENEW_INTERVAL, stopped.clone()));
    let watching = shared.watch(&stopped);
    let operator = shared.operator(Arc::clone(&ready), config.admin.token.clone());
    let administering = tokio::spawn(admin::run(operators, operator));
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
        limits: Arc::clone(&shared.limits),
        writing,
        keeping,
        following,
        journaling,
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
        self.writing.abort();
        let _ = self.writing.await;
        // Nobody calls any more.
        if let Err(error) = self.limits.write().await {
            tracing::error!(target: "latimer::state", %error, "the last calls of quotas are not written down");
        }
        if let Some(journaling) = self.journaling {
            journaling.end().await;
        }
        if let Some(keeping) = self.keeping {
            let _ = keeping.await;
        }
        let _ = self.renewing.await;
        self.watching.join_all().await;
        if let Some(following) = self.following {
            following.abort();
        }
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

/// Gives back what is no longer needed, at intervals and until told to stop: what a call leaves behind
/// in a limiter would otherwise stay until the next call comes by, if one does.
async fn sweep(limits: Arc<Limits>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(bounds::SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        let limits = Arc::clone(&limits);
        // There may be a million callers to look through, and connections are accepted on this thread.
        let _ = tokio::task::spawn_blocking(move || limits.sweep()).await;
    }
}

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
    use std::time::Duration;

    use super::*;
    use crate::limit;

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
        let (_, mut plan) = minimal();
        let rate = config::Rate { count: 1_000_000, per: Duration::from_secs(1) };
        plan.routes[0].limit = config::Limit::Bucket { rate, burst: 1 };
        let limits = Arc::new(Limits::new(&plan, &config::LimitStore::Memory, None).unwrap());
        let (stop, stopped) = watch::channel(false);
        let sweeping = tokio::spawn(sweep(Arc::clone(&limits), stopped));
        tokio::time::sleep(bounds::SWEEP_INTERVAL / 2).await;
        let (key, address) = (limit::Subject(0), || std::net::IpAddr::V4([192, 0, 2, 1].into()));
        for consumer in 0..1_000 {
            let caller = limit::Caller { consumer, key, address: &address };
            limits.charge(&plan, 0, &caller).unwrap();
        }
        assert_eq!(limits.callers(), 1_000);
        tokio::time::sleep(bounds::SWEEP_INTERVAL * 2).await;
        assert_eq!(limits.callers(), 0);
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
