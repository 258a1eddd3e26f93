//! A Redis server for tests: one of its own on a free port, with nothing on a disk.
//!
//! With `LATIMER_TEST_REDIS=redis://[[USER]:PASSWORD@]HOST:PORT[/DATABASE]` the server that it names is used instead,
//! where a test does not stop it. Tests get a prefix of their own each, so they may run side by side.

#![allow(dead_code, reason = "each of the tests that share it uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use latimer::config::RedisConfig;
use latimer::secret::Secret;
use latimer::tls::ClientSettings;

// Whoever has this module has that one too.
use crate::process::{self, Process};

/// A server that runs, hangs, or has been stopped.
pub(crate) struct Server {
    at: RedisConfig,
    own: Option<Own>,
}

/// A server of our own; it stops when it is dropped, and when the thread that started it dies.
struct Own {
    process: Process,
    password: Option<String>,
    is_secured: bool,
}

impl Server {
    /// The server that the environment names, or a new one.
    pub(crate) fn start() -> Self {
        match std::env::var("LATIMER_TEST_REDIS") {
            Ok(url) => Self { at: named(&url), own: None },
            Err(_) => Self::start_own(),
        }
    }

    /// A server of this test's own, which it may stop.
    pub(crate) fn start_own() -> Self {
        Self::of(Own::start(None, false))
    }

    /// One that wants a password.
    pub(crate) fn start_with_password(password: &str) -> Self {
        Self::of(Own::start(Some(password), false))
    }

    /// One that speaks TLS alone.
    pub(crate) fn start_secured() -> Self {
        Self::of(Own::start(None, true))
    }

    fn of(own: Own) -> Self {
        let at = RedisConfig {
            host: if own.is_secured { "localhost" } else { "127.0.0.1" }.to_owned(),
            port: own.process.port,
            password: own.password.as_ref().map(Secret::new),
            ..nowhere()
        };
        Self { at, own: Some(own) }
    }

    /// How it is used, with a prefix that nobody has had. No answer is late for a slow machine.
    pub(crate) fn settings(&self) -> RedisConfig {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_micros();
        let prefix = format!("latimer-test-{now}-{}-{number}", std::process::id());
        RedisConfig { prefix, ..self.at.clone() }
    }

    /// The certificate that its own comes from, for `localhost`.
    pub(crate) fn root(&self) -> PathBuf {
        self.own.as_ref().expect("it is our own").process.folder().join("root.pem")
    }

    /// A connection beside those of the limits.
    pub(crate) fn beside(&self) -> redis::Connection {
        let at = &self.at;
        let login = redis::RedisConnectionInfo {
            db: i64::from(at.database),
            username: at.user.clone(),
            password: at.password.as_ref().map(|one| one.expose().to_owned()),
            ..Default::default()
        };
        let addr = redis::ConnectionAddr::Tcp(at.host.clone(), at.port);
        let client = redis::Client::open(redis::ConnectionInfo { addr, redis: login });
        client.and_then(|client| client.get_connection()).expect("it lets us in")
    }

    /// Stops it, at once and with all that it holds: what is connected is cut off.
    pub(crate) fn stop(&mut self) {
        self.own_mut().process.kill();
    }

    /// Starts it again, at the same place and with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let own = self.own_mut();
        assert!(own.run(), "{}", own.process.log());
    }

    /// Has it hang: it is there, and does nothing.
    pub(crate) fn pause(&mut self) {
        assert!(self.own_mut().process.signal("STOP"));
    }

    /// Has it go on.
    pub(crate) fn resume(&mut self) {
        assert!(self.own_mut().process.signal("CONT"));
    }

    fn own_mut(&mut self) -> &mut Own {
        self.own.as_mut().expect("the test has a server of its own")
    }
}

/// A configuration for a place where nobody is.
pub(crate) fn nowhere() -> RedisConfig {
    RedisConfig {
        host: "127.0.0.1".to_owned(),
        port: 1,
        database: 0,
        user: None,
        password: None,
        tls: None,
        prefix: "latimer-test".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

/// The same, believing a root.
pub(crate) fn secured(at: RedisConfig, root: &std::path::Path) -> RedisConfig {
    let roots = latimer::tls::Roots::read(root).expect("a root");
    RedisConfig { tls: Some(ClientSettings { roots, identity: None }), ..at }
}

fn named(url: &str) -> RedisConfig {
    let read = || {
        let rest = url.strip_prefix("redis://")?;
        let (authority, database) = rest.split_once('/').unwrap_or((rest, "0"));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = place.rsplit_once(':')?;
        let (user, password) = match login {
            Some(login) => login.split_once(':').map(|(user, word)| (user, Some(word)))?,
            None => ("", None),
        };
        Some(RedisConfig {
            host: host.to_owned(),
            port: port.parse().ok()?,
            database: database.parse().ok()?,
            user: Some(user.to_owned()).filter(|user| !user.is_empty()),
            password: password.map(Secret::new),
            ..nowhere()
        })
    };
    read().expect("LATIMER_TEST_REDIS is redis://[[USER]:PASSWORD@]HOST:PORT[/DATABASE]")
}

impl Own {
    fn start(password: Option<&str>, is_secured: bool) -> Self {
        process::start("Redis", || {
            let folder = tempfile::tempdir().expect("a folder");
            if is_secured {
                process::certify(folder.path(), "limits");
            }
            let process = Process::new(folder);
            let mut own = Self { process, password: password.map(str::to_owned), is_secured };
            if own.run() { Ok(own) } else { Err(own.process.log() + INSTALL) }
        })
    }

    /// Starts the server; true when it answers.
    fn run(&mut self) -> bool {
        // It ends when the thread that started it does.
        let mut server = Command::new("setpriv");
        server.args(["--pdeathsig", "KILL", "redis-server", "-"]);
        server.current_dir(self.process.folder());
        // Not on the command line, where everybody may read a password.
        let config = self.config();
        let (port, is_secured) = (self.process.port, self.is_secured);
        self.process.run(&mut server, &config, || answers(port, is_secured))
    }

    fn config(&self) -> String {
        let path = self.process.folder().display();
        let port = self.process.port;
        let mut config = format!("bind 127.0.0.1\nsave \"\"\nappendonly no\ndir {path}\n");
        if let Some(password) = &self.password {
            config += &format!("requirepass {password}\n");
        }
        config += &if self.is_secured {
            format!(
                "port 0\ntls-port {port}\ntls-cert-file {path}/server.pem\n\
                 tls-key-file {path}/server.key\ntls-ca-cert-file {path}/root.pem\n\
                 tls-auth-clients no\n"
            )
        } else {
            format!("port {port}\n")
        };
        config
    }
}

const INSTALL: &str = "\nthese tests want Redis: install Debian's `redis-server` (tests/run does), or name a \
                       server by LATIMER_TEST_REDIS=redis://HOST:PORT";

/// True if it says a word, whichever.
fn answers(port: u16, is_secured: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    if is_secured {
        return true;
    }
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut word = [0; 1];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut word).is_ok()
}
