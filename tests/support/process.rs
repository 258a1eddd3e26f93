//! A server's process for tests: on a free port, with a folder that goes with it.

#![allow(dead_code, reason = "each of the tests that share it uses a part of it")]

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

// Whoever has this module has that one too.
use crate::authority::Authority;

/// Time for a server to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A server that runs, hangs, or has been stopped. It is stopped the hard way when this is dropped.
pub(crate) struct Process {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

/// Starts a server: gives it, or what its log says.
pub(crate) fn start<S>(name: &str, mut begin: impl FnMut() -> Result<S, String>) -> S {
    // Somebody may take the port before the server does.
    let mut said = String::new();
    for _ in 0..3 {
        match begin() {
            Ok(server) => return server,
            Err(log) => said = log,
        }
    }
    panic!("{name} does not start:\n{said}");
}

impl Process {
    /// One that is to run at once, on a port that nobody has.
    pub(crate) fn new(folder: tempfile::TempDir) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = listener.and_then(|listener| listener.local_addr()).expect("a port").port();
        Self { folder, port, child: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the server, which reads its input to the end; true once it is ready.
    pub(crate) fn run(
        &mut self,
        server: &mut Command,
        input: &str,
        mut is_ready: impl FnMut() -> bool,
    ) -> bool {
        let log = File::options().create(true).append(true).open(self.folder().join("log"));
        let log = log.expect("a log");
        server.stdin(Stdio::piped()).stderr(log.try_clone().expect("a log")).stdout(log);
        let mut child = server.spawn().expect("it is installed");
        // Dropped with this line, so that it ends.
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let child = self.child.insert(child);
        let ready = poll(|| {
            if child.try_wait().expect("is ours").is_some() {
                return Some(false);
            }
            is_ready().then_some(true)
        });
        ready.unwrap_or(false)
    }

    /// Tells it something; true if that could be done.
    pub(crate) fn signal(&self, name: &str) -> bool {
        let child = self.child.as_ref().expect("it runs").id().to_string();
        let told = Command::new("kill").args([&format!("-{name}"), &child]).status();
        told.is_ok_and(|status| status.success())
    }

    /// Ends it the hard way, which ends one that hangs, too.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Has it end as it does by itself when it is interrupted, or else the hard way.
    pub(crate) fn interrupt(&mut self) {
        if self.child.is_some() && self.signal("INT") {
            let child = self.child.as_mut().expect("it runs");
            if poll(|| child.try_wait().ok().flatten()).is_some() {
                self.child = None;
            }
        }
        self.kill();
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes a root in a folder, and a certificate for `localhost` by it; gives the files.
pub(crate) fn certify(folder: &Path, root: &str) -> [PathBuf; 3] {
    let root = Authority::new(root);
    let issued = root.issue("localhost");
    [("root.pem", root.pem()), ("server.pem", issued.cert), ("server.key", issued.key)].map(
        |(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text).expect("there is room");
            path
        },
    )
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
