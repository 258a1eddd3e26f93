//! A PostgreSQL server for tests: a cluster of its own on a free port, in a folder that goes with it.
//!
//! With `LATIMER_TEST_POSTGRES=postgres://USER[:PASSWORD]@HOST:PORT/DATABASE` the server that it names is used
//! instead, where a test does not stop it; its user must be allowed to make databases. Tests get a database of
//! their own each, so they may run side by side.

#![allow(dead_code, reason = "each of the tests that share it uses a part of it")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use latimer::config::{PostgresConfig, StateConfig};
use latimer::secret::Secret;
use tokio_postgres::NoTls;

// Whoever has this module has that one too.
use crate::authority::Authority;
use crate::process::{self, Process};

/// Where Debian puts the server's programs, a folder for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
const USER: &str = "latimer";
const PASSWORD: &str = "s3cr3t";

/// A server that runs, or has been stopped.
pub(crate) struct Server {
    at: PostgresConfig,
    cluster: Option<Cluster>,
}

/// A cluster of our own; it stops when it is dropped, and when the thread that started it dies.
struct Cluster {
    process: Process,
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
            port: cluster.process.port,
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
        self.own().process.folder().join("root.pem")
    }

    /// Stops it as an administrator does: what is connected is cut off.
    pub(crate) fn stop(&mut self) {
        self.own_mut().process.interrupt();
    }

    /// Starts it again, at the same place.
    pub(crate) fn start_again(&mut self) {
        let cluster = self.own_mut();
        assert!(cluster.run(), "{}", cluster.process.log());
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
        process::start("PostgreSQL", || {
            let mut cluster = Self::made();
            if cluster.run() { Ok(cluster) } else { Err(cluster.process.log()) }
        })
    }

    fn made() -> Self {
        let account = account();
        let folder = tempfile::tempdir().expect("a folder");
        own(folder.path(), account);
        let secret = folder.path().join("password");
        fs::write(&secret, PASSWORD).expect("there is room");
        own(&secret, account);
        for file in process::certify(folder.path(), "database") {
            own(&file, account);
        }
        let made = command("initdb", account)
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .arg(format!("--username={USER}"))
            .arg(format!("--pwfile={}", secret.display()))
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { process: Process::new(folder) }
    }

    /// Starts the server; true when it answers.
    fn run(&mut self) -> bool {
        let (path, port) = (self.process.folder(), self.process.port);
        let mut server = command("postgres", account());
        server.arg("-D").arg(path.join("data"));
        for setting in [
            "fsync=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "max_connections=60".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", path.display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", path.join("server.pem").display()),
            format!("ssl_key_file={}", path.join("server.key").display()),
        ] {
            server.arg("-c").arg(setting);
        }
        self.process.run(&mut server, "", || {
            let asked = command("pg_isready", account())
                .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
                .status();
            asked.expect("pg_isready runs").success()
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The fast way: connections are cut off, and no process of it is left behind.
        self.process.interrupt();
    }
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

/// A root that nothing comes from.
pub(crate) fn other_root() -> String {
    Authority::new("somebody else").pem()
}
