//! A PostgreSQL server for tests: a cluster of its own on a free port, in a folder that goes with it.
//!
//! With `LATIMER_TEST_POSTGRES=postgres://USER[:PASSWORD]@HOST:PORT/DATABASE` the server that it names is used
//! instead, where a test does not stop it; its user must be allowed to make databases. Tests get a database of
//! their own each, so they may run side by side.

#![allow(dead_code, reason = "each of the tests that share it uses a part of it")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use latimer::config::{PostgresConfig, StateConfig};
use latimer::secret::Secret;
use tokio_postgres::NoTls;

// Whoever has this module has that one too.
use crate::authority::Authority;

/// Where Debian puts the server's programs, a folder for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
const USER: &str = "latimer";
const PASSWORD: &str = "s3cr3t";
/// Time for the server to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A server that runs, or has been stopped.
pub(crate) struct Server {
    at: PostgresConfig,
    cluster: Option<Cluster>,
}

/// A cluster of our own; it stops when it is dropped, and when the thread that started it dies.
struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

/// A connection beside those of the store.
pub(crate) struct Beside {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

/// Who the server runs as: it refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Server {
    /// The server that the environment names, or a new one.
    pub(crate) fn start() -> Self {
        match std::env::var("LATIMER_TEST_POSTGRES") {
            Ok(url) => Self { at: named(&url), cluster: None },
            Err(_) => Self::start_own(),
        }
    }

    /// A server of this test's own, which it may stop.
    pub(crate) fn start_own() -> Self {
        let cluster = Cluster::start();
        let at = PostgresConfig {
            host: "127.0.0.1".to_owned(),
            port: cluster.port,
            database: "postgres".to_owned(),
            user: USER.to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls: None,
        };
        Self { at, cluster: Some(cluster) }
    }

    /// A new database on it.
    pub(crate) fn database(&self) -> PostgresConfig {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = format!("latimer_test_{}_{number}", std::process::id());
        let beside = Beside::connect(&self.at);
        beside.execute(&format!("DROP DATABASE IF EXISTS {database}"));
        beside.execute(&format!("CREATE DATABASE {database}"));
        PostgresConfig { database, ..self.at.clone() }
    }

    /// The certificate that its own comes from, for `localhost`.
    pub(crate) fn root(&self) -> PathBuf {
        self.own().folder.path().join("root.pem")
    }

    /// Stops it as an administrator does: what is connected is cut off.
    pub(crate) fn stop(&mut self) {
        self.own_mut().stop();
    }

    /// Starts it again, at the same place.
    pub(crate) fn start_again(&mut self) {
        let cluster = self.own_mut();
        assert!(cluster.run(), "{}", cluster.log());
    }

    fn own(&self) -> &Cluster {
        self.cluster.as_ref().expect("the test has a server of its own")
    }

    fn own_mut(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("the test has a server of its own")
    }
}

impl Beside {
    pub(crate) fn connect(at: &PostgresConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(async {
            let mut config = tokio_postgres::Config::new();
            config.user(&at.user).dbname(&at.database);
            if let Some(password) = &at.password {
                config.password(password.expose());
            }
            let stream = tokio::net::TcpStream::connect((at.host.as_str(), at.port)).await;
            let connected = config.connect_raw(stream.expect("the server is there"), NoTls).await;
            let (client, connection) = connected.expect("it lets us in");
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    pub(crate) fn execute(&self, sql: &str) {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// A configuration for the store.
pub(crate) fn state(at: &PostgresConfig) -> StateConfig {
    StateConfig::Postgres(Box::new(at.clone()))
}

fn named(url: &str) -> PostgresConfig {
    let wrong = "LATIMER_TEST_POSTGRES is postgres://USER[:PASSWORD]@HOST:PORT/DATABASE";
    let read = || {
        let (authority, database) = url.strip_prefix("postgres://")?.split_once('/')?;
        let (user, place) = authority.rsplit_once('@')?;
        let (host, port) = place.rsplit_once(':')?;
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(Secret::new(password))),
            None => (user, None),
        };
        Some(PostgresConfig {
            host: host.to_owned(),
            port: port.parse().ok()?,
            database: database.to_owned(),
            user: user.to_owned(),
            password,
            tls: None,
        })
    };
    read().expect(wrong)
}

impl Cluster {
    fn start() -> Self {
        // Somebody may take the port before the server does.
        let mut said = String::new();
        for _ in 0..3 {
            let mut cluster = Self::made();
            if cluster.run() {
                return cluster;
            }
            said = cluster.log();
        }
        panic!("PostgreSQL does not start:\n{said}");
    }

    fn made() -> Self {
        let account = account();
        let folder = tempfile::tempdir().expect("a folder");
        own(folder.path(), account);
        let secret = folder.path().join("password");
        write(&secret, PASSWORD.as_bytes(), account);
        certify(folder.path(), account);
        let made = command("initdb", account)
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .arg(format!("--username={USER}"))
            .arg(format!("--pwfile={}", secret.display()))
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        Self { folder, port, process: None }
    }

    /// Starts the server; true when it answers.
    fn run(&mut self) -> bool {
        let path = self.folder.path();
        let log = fs::File::options().create(true).append(true).open(path.join("log"));
        let mut server = command("postgres", account());
        server.arg("-D").arg(path.join("data"));
        for setting in [
            "fsync=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "max_connections=60".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("unix_socket_directories={}", path.display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", path.join("server.pem").display()),
            format!("ssl_key_file={}", path.join("server.key").display()),
        ] {
            server.arg("-c").arg(setting);
        }
        server.stdout(Stdio::null()).stderr(log.expect("a log"));
        let mut process = server.spawn().expect("postgres runs");
        let ready = poll(|| {
            if process.try_wait().expect("is ours").is_some() {
                return Some(false);
            }
            let asked = command("pg_isready", account())
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            asked.expect("pg_isready runs").success().then_some(true)
        });
        self.process = Some(process);
        ready.unwrap_or(false)
    }

    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // The fast way: connections are cut off, and the next start has nothing to repair.
        let told = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
        let ended = || process.try_wait().ok().flatten();
        if !told.is_ok_and(|status| status.success()) || poll(ended).is_none() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks again and again, for so long as there is patience.
fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(seen) = look() {
            return Some(seen);
        }
        std::thread::park_timeout(LOOK);
    }
    None
}

/// One of the server's programs. It ends when the thread that started it does.
fn command(name: &str, account: Option<Account>) -> Command {
    let program = programs().join(name);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if let Some(Account { user, group }) = account {
        command.args(["--clear-groups", &format!("--reuid={user}"), &format!("--regid={group}")]);
    }
    command.arg(program).current_dir("/").stdin(Stdio::null());
    command
}

/// The newest version's programs.
fn programs() -> PathBuf {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = fs::read_dir(PROGRAMS).map(|entries| entries.filter_map(io::Result::ok));
    let newest = folders
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .max();
    match newest {
        Some((_, programs)) => programs,
        None => panic!(
            "these tests want PostgreSQL: install Debian's `postgresql` (tests/run does), or name a server \
             by LATIMER_TEST_POSTGRES=postgres://USER:PASSWORD@HOST:PORT/DATABASE"
        ),
    }
}

/// `postgres` where we are root and it is there, else `nobody`; none where we are somebody ourselves.
fn account() -> Option<Account> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let found = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(found.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some(Account { user: id(&["-u", name])?, group: id(&["-g", name])? }))
}

/// Makes a path the server's, and nobody else's.
fn own(path: &Path, account: Option<Account>) {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    if let Some(Account { user, group }) = account {
        chown(path, Some(user), Some(group)).expect("root may");
    }
}

fn write(path: &Path, bytes: &[u8], account: Option<Account>) {
    fs::write(path, bytes).expect("there is room");
    own(path, account);
}

/// A root of its own, and a certificate for `localhost` by it.
fn certify(folder: &Path, account: Option<Account>) {
    let root = Authority::new("database");
    let issued = root.issue("localhost");
    write(&folder.join("root.pem"), root.pem().as_bytes(), account);
    write(&folder.join("server.pem"), issued.cert.as_bytes(), account);
    write(&folder.join("server.key"), issued.key.as_bytes(), account);
}

/// A root that nothing comes from.
pub(crate) fn other_root() -> String {
    Authority::new("somebody else").pem()
}
