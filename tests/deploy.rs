//! What is shipped for service managers and containers fits the program: under systemd itself where that can be
//! started, and as far as it can be tried without a container runtime.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use latimer::bounds;

const PROGRAM: &str = env!("CARGO_BIN_EXE_latimer");
/// Where the unit and the image have the program, its configuration and its mappings.
const INSTALLED: &str = "/usr/bin/latimer";
const CONFIGURATION: &str = "/etc/latimer/latimer.yaml";
const MAPPINGS: &str = "/usr/share/latimer/mappings";
/// Longer than anything takes that systemd is asked to do.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A unit file: section, key, value, in the order of its lines.
struct Unit(Vec<(String, String, String)>);

impl Unit {
    fn read(name: &str) -> Self {
        let (mut section, mut settings) = (String::new(), Vec::new());
        for line in read(name).lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
            settings.push((section.clone(), key.to_owned(), value.to_owned()));
        }
        Self(settings)
    }

    fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let these = self.0.iter().filter(|(of, known, _)| of == section && known == key);
        these.map(|(_, _, value)| value.as_str()).collect()
    }

    fn one(&self, section: &str, key: &str) -> &str {
        match self.all(section, key)[..] {
            [value] => value,
            ref other => panic!("[{section}] {key}= is there {} times", other.len()),
        }
    }

    fn seconds(&self, key: &str) -> Duration {
        let text = self.one("Service", key);
        let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
        Duration::from_secs(seconds.unwrap_or_else(|| panic!("{key}={text}: whole seconds")))
    }
}

/// The shipped configuration, with the mappings of this folder.
fn configuration(folder: &Path) -> PathBuf {
    let text = read("deploy/latimer.yaml");
    assert!(text.contains(&format!("mappings: {MAPPINGS}\n")), "{text}");
    let path = folder.join("latimer.yaml");
    let mappings = root().join("mappings");
    fs::write(&path, text.replace(MAPPINGS, mappings.to_str().unwrap())).unwrap();
    path
}

/// Runs a command line that names what is installed, with what is here, and only checks.
fn check(line: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path());
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some(INSTALLED), "{line}");
    let mut command = Command::new(PROGRAM);
    command.env("HELPDESK_TOKEN", "t").env("ACME_KEY", "k");
    for word in words {
        if word == CONFIGURATION {
            command.arg(&path)
        } else {
            command.arg(word)
        };
    }
    command.arg("--check").output().unwrap()
}

fn accepted(line: &str) {
    let done = check(line);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.ends_with("ok\n"), "{line}: {said}");
}

#[test]
fn the_unit_starts_the_program_as_it_wants_to_be_started() {
    let service = Unit::read("deploy/latimer.service");
    let line = service.one("Service", "ExecStart");
    assert!(line.contains(CONFIGURATION), "{line}");
    accepted(line);
    assert!(!check(&format!("{line} --unheard-of")).status.success(), "the check can fail");
    assert_eq!(service.one("Service", "Type"), "notify");
    // Findings; what could not be told may be otherwise in a second.
    assert_eq!(service.one("Service", "RestartPreventExitStatus"), "1");
    let patience = service.seconds("TimeoutStopSec");
    assert!(patience > bounds::DRAIN + bounds::CUT_OFF, "{patience:?}");
    assert!(service.seconds("WatchdogSec") >= Duration::from_secs(10));
    let files: usize = service.one("Service", "LimitNOFILE").parse().unwrap();
    assert!(files >= 2 * bounds::CONNECTIONS_MAX, "one for a client, one for an upstream");
}

#[test]
fn the_socket_is_the_one_that_the_configuration_names() {
    let (service, socket) =
        (Unit::read("deploy/latimer.service"), Unit::read("deploy/latimer.socket"));
    assert_eq!(service.one("Service", "Sockets"), "latimer.socket");
    assert_eq!(socket.one("Socket", "Service"), "latimer.service");
    let port = socket.one("Socket", "ListenStream");
    let configured = read("deploy/latimer.yaml");
    assert!(configured.contains(&format!("listen: 0.0.0.0:{port} ")), "{configured}");
    assert!(read("deploy/Dockerfile").contains(&format!("EXPOSE {port} ")));
    assert_ne!(socket.one("Socket", "FileDescriptorName"), "admin", "it is the clients' one");
    assert!(socket.all("Socket", "Accept").is_empty(), "connections are accepted here");
    assert_eq!(socket.one("Socket", "Backlog"), bounds::BACKLOG.to_string());
}

#[test]
fn the_unit_gives_the_program_no_more_than_it_needs() {
    let service = Unit::read("deploy/latimer.service");
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
    ] {
        assert_eq!(service.one("Service", key), value, "{key}");
    }
    let calls = service.all("Service", "SystemCallFilter");
    assert_eq!(calls, ["@system-service", "~@privileged @resources"]);
}

/// systemd's own opinion, where it is installed; it need not run.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let analyze = |arguments: &[&str], folder: &Path| {
        Command::new("systemd-analyze").args(arguments).current_dir(folder).output()
    };
    let folder = tempfile::tempdir().unwrap();
    if analyze(&["--version"], folder.path()).is_err() {
        eprintln!(
            "no systemd-analyze: the units' keys and values are not checked by systemd itself"
        );
        return;
    }
    // It wants to see the program.
    let service = read("deploy/latimer.service").replace(INSTALLED, PROGRAM);
    fs::write(folder.path().join("latimer.service"), &service).unwrap();
    fs::write(folder.path().join("latimer.socket"), read("deploy/latimer.socket")).unwrap();
    let verified = analyze(&["verify", "./latimer.service", "./latimer.socket"], folder.path());
    let verified = verified.unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    // Unknown keys are only warned of. What other units of this machine have is not ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("latimer")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
    let rated = ["security", "--offline=true", "--no-pager", "--threshold=15", "./latimer.service"];
    let rated = analyze(&rated, folder.path()).unwrap();
    let said = String::from_utf8_lossy(&rated.stderr);
    if said.contains("offline") || said.contains("threshold") {
        eprintln!("this systemd-analyze rates no files: the unit's exposure is not checked");
        return;
    }
    assert!(rated.status.success(), "{}", String::from_utf8_lossy(&rated.stdout));
}

/// systemd in namespaces of its own, with the shipped units; it ends with the value.
struct Manager {
    script: Child,
    pid: String,
}

impl Manager {
    /// What keeps it from starting is an error; nothing else is.
    fn start(folder: &Path) -> Result<Self, String> {
        let mut command = Command::new(root().join("tests/deploy/manager.sh"));
        command.arg(folder).args([PROGRAM, root().join("mappings").to_str().unwrap()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut script = command.spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(pid) = line.trim().strip_prefix("manager ") else {
            drop(script.stdin.take());
            let said = script.wait_with_output().unwrap().stderr;
            return Err(String::from_utf8_lossy(&said).into_owned());
        };
        let manager = Self { script, pid: pid.to_owned() };
        let began = Instant::now();
        loop {
            let told = manager.inside(&["systemctl", "is-system-running"]).output().unwrap();
            let state = String::from_utf8_lossy(&told.stdout).trim().to_owned();
            if state == "running" {
                return Ok(manager);
            }
            let is_there = Path::new("/proc").join(pid).exists();
            if !is_there || began.elapsed() > PATIENCE {
                let said = String::from_utf8_lossy(&told.stderr).into_owned();
                return Err(format!("systemd runs: {is_there}; it is {state:?}: {said}"));
            }
        }
    }

    /// A command beside systemd. It ends in time.
    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args([&PATIENCE.as_secs().to_string(), "nsenter", "--all", "--target", &self.pid]);
        command.args(words);
        command
    }

    fn systemctl(&self, words: &[&str]) -> String {
        let done = self.inside(&[&["systemctl", "--no-pager"], words].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{words:?}: {said}\n{}", self.state());
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// A property of the service.
    fn shows(&self, property: &str) -> String {
        self.systemctl(&["show", "latimer.service", "--value", "-p", property])
    }

    /// What is to be known when something went wrong.
    fn state(&self) -> String {
        let look = "systemctl --no-pager status latimer.service; cat /run/latimer.log";
        let done = self.inside(&["sh", "-c", look]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Sends a request to a port there; what comes until the end is on the command's output.
    fn asks(&self, port: u16, request: &str) -> Child {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && cat >&3 && exec cat <&3");
        let mut command = self.inside(&["bash", "-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut asking = command.spawn().unwrap();
        // Nobody may listen there.
        let _ = asking.stdin.take().unwrap().write_all(request.as_bytes());
        asking
    }

    /// A call through the socket of the socket unit, for a ticket of its own.
    fn calls(&self, ticket: u32) -> Child {
        let body = r#"{ "status": "resolved", "staffUserId": 123 }"#;
        let length = body.len();
        let request = format!(
            "POST /tickets/ABCDEFGHIJKLMNOP000{ticket}/status HTTP/1.1\r\nHost: gateway.test\r\napikey: acme-key\r\n\
             Content-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.asks(8080, &request)
    }

    fn is_answered(&self, call: Child) {
        let told = call.wait_with_output().unwrap();
        let answer = String::from_utf8_lossy(&told.stdout);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}\n{}", self.state());
        assert!(answer.contains("\r\nX-Latimer-Outcome: yes\r\n"), "{answer}");
    }

    /// Waits until there is a line in what a port answers.
    fn until_told(&self, port: u16, path: &str, wanted: &str) {
        let began = Instant::now();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        loop {
            let told = self.asks(port, &ask).wait_with_output().unwrap().stdout;
            if String::from_utf8_lossy(&told).lines().any(|line| line.starts_with(wanted)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never: {wanted}\n{}", self.state());
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// The shipped units and configuration, with the paths that they have beside systemd, and an upstream whose answers
/// take their time.
fn stage(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for unit in ["latimer.service", "latimer.socket"] {
        write(&format!("units/{unit}"), &read(&format!("deploy/{unit}")));
    }
    for target in ["sysinit", "basic", "sockets", "network-online", "shutdown"] {
        write(&format!("units/{target}.target"), "[Unit]\nDescription=Nothing but its name\n");
    }
    let line = Unit::read("deploy/latimer.service").one("Service", "ExecStart").to_owned();
    let line = line.replace(INSTALLED, "/run/latimer/latimer");
    let line = line.replace(CONFIGURATION, "/run/latimer/latimer.yaml");
    write(
        "units/latimer.service.d/paths.conf",
        &format!(
            "[Service]\nExecStart=\nExecStart={line}\nEnvironmentFile=\n\
             EnvironmentFile=/run/latimer/environment\nStandardError=append:/run/latimer.log\n"
        ),
    );
    let tickets = [1, 2, 3].map(|n| format!(" --ticket ABCDEFGHIJKLMNOP000{n}=NOT_STARTED"));
    let upstream = format!("arena --listen 127.0.0.1:7001 --token t{}", tickets.concat());
    write(
        "units/upstream.service",
        &format!("[Service]\nExecStart=/run/latimer/latimer sim {upstream} --fault latency=2s\n"),
    );
    write("files/environment", "HELPDESK_TOKEN=t\nACME_KEY=acme-key\n");
    let configuration = read("deploy/latimer.yaml").replace(MAPPINGS, "/run/latimer/mappings");
    write("files/latimer.yaml", &configuration);
}

/// The units as they are, under systemd as it is.
#[test]
fn systemd_starts_the_program_by_its_socket_and_stops_it_without_losing_a_call() {
    let folder = tempfile::tempdir().unwrap();
    stage(folder.path());
    let manager = match Manager::start(folder.path()) {
        Ok(manager) => manager,
        Err(reason) => {
            eprintln!("NOT RUN: systemd cannot be started here, so the units were not: {reason}");
            return;
        }
    };
    manager.systemctl(&["start", "upstream.service", "latimer.socket"]);
    manager.until_told(7001, "/", "HTTP/1.1 ");
    assert_eq!(manager.shows("ActiveState"), "inactive", "nobody has called");
    manager.is_answered(manager.calls(1));
    // Without READY=1 it would be on its way until its time is up; this waits for it.
    manager.systemctl(&["start", "latimer.service"]);
    assert_eq!(manager.shows("Type"), "notify");
    assert_eq!(manager.shows("ActiveState"), "active", "{}", manager.state());
    assert!(manager.shows("StatusText").ends_with(":8080"), "{}", manager.state());
    let first = manager.shows("MainPID");
    let process = manager.inside(&["cat", &format!("/proc/{first}/status")]).output().unwrap();
    let process = String::from_utf8(process.stdout).unwrap();
    for confined in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        assert!(process.lines().any(|line| line == confined), "{confined}: {process}");
    }
    assert!(!process.contains("\nUid:\t0\t"), "a user of its own: {process}");

    let call = manager.calls(2);
    manager.until_told(9901, "/metrics", "latimer_requests_in_flight 1");
    manager.systemctl(&["stop", "latimer.service"]);
    manager.is_answered(call);
    assert_eq!(manager.shows("ActiveState"), "inactive");
    assert_eq!(manager.shows("Result"), "success", "{}", manager.state());
    assert_eq!(
        (manager.shows("ExecMainCode"), manager.shows("ExecMainStatus")),
        ("1".into(), "0".into())
    );

    // The socket is still there, and the next process answers.
    manager.is_answered(manager.calls(3));
    manager.systemctl(&["start", "latimer.service"]);
    assert_eq!(manager.shows("NRestarts"), "0");
    assert_ne!(manager.shows("MainPID"), first);
}

/// The Dockerfile's instructions, each in one line.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), rest.trim().to_owned())
    };
    lines.map(split).collect()
}

#[test]
fn the_image_is_built_from_what_is_here_and_pinned() {
    let instructions = instructions();
    let named = |name: &str| {
        let these = instructions.iter().filter(|(known, _)| known == name);
        these.map(|(_, rest)| rest.as_str()).collect::<Vec<_>>()
    };
    let [build, last] = named("FROM")[..] else { panic!("two stages") };
    assert_eq!(last, "scratch", "no shell, no packages");
    let version = build.strip_prefix("rust:").unwrap().split('-').next().unwrap();
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts.len(), 3, "{build}: a whole version");
    let wanted = read("Cargo.toml");
    let wanted = wanted.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let wanted: Vec<u32> =
        wanted.trim_matches('"').split('.').map(|part| part.parse().unwrap()).collect();
    assert!(parts >= wanted, "{build} is older than rust-version");
    let ignored = read(".dockerignore");
    let mut sources = 0;
    for copy in named("COPY").iter().filter(|copy| !copy.starts_with("--from=")) {
        let mut paths: Vec<&str> = copy.split_whitespace().collect();
        paths.pop();
        for path in paths {
            assert!(root().join(path).exists(), "COPY {path}");
            assert!(ignored.lines().any(|line| line == format!("!{path}")), "{path} is sent along");
            sources += 1;
        }
    }
    assert!(sources >= 4, "the test sees what is copied");
    assert!(named("ADD").is_empty(), "nothing comes from elsewhere");
}

#[test]
fn the_image_runs_as_nobody_and_starts_the_program() {
    let instructions = instructions();
    let last = instructions.iter().rposition(|(name, _)| name == "FROM").unwrap();
    let one = |name: &str| {
        let mut these = instructions[last..].iter().filter(|(known, _)| known == name);
        let found = these.next().unwrap_or_else(|| panic!("no {name}")).1.clone();
        assert!(these.next().is_none(), "{name} once");
        found
    };
    let user = one("USER");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 1_000), "{user}");
    assert_eq!(one("STOPSIGNAL"), "SIGTERM");
    assert!(one("LABEL").contains("org.opencontainers.image.licenses=\"Apache-2.0\""));
    // In the form without a shell, which is not there.
    let words = |text: String| serde_json::from_str::<Vec<String>>(&text).unwrap();
    let line = [words(one("ENTRYPOINT")), words(one("CMD"))].concat().join(" ");
    accepted(&line);
}
