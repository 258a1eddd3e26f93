//! Starting the program, and speaking HTTP to it byte by byte.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use latimer::sim::{Account, Options, Simulator, Vendor, serve};

use crate::secrets;

const PROGRAM: &str = env!("CARGO_BIN_EXE_latimer");

/// Longer than anything here takes; a test that hangs ends with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// The key that the tests' consumer has.
pub(crate) const KEY: &str = "test-key-0123456789";

/// That of the other consumer.
pub(crate) const OTHER_KEY: &str = "another-key";

/// The gateway's own account at a system that it logs in to.
pub(crate) const ACCOUNT_USER: &str = "latimer@example.com";
pub(crate) const ACCOUNT_PASSWORD: &str = "the-upstreams-password";

/// What `password: {env: STATE_PASSWORD}` finds: that of a PostgreSQL of the tests' own.
const STATE_PASSWORD: &str = "s3cr3t";

/// What `pepper: {env: TEST_PEPPER}` finds.
pub(crate) const PEPPER: &str = "JefeJefeJefeJefeJefeJefeJefeJefe";

/// The program, serving a configuration from a folder of its own.
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) admin: String,

    /// Goes away with the last gateway that has it.
    _home: Arc<Home>,
    hang: tokio::sync::watch::Sender<bool>,
    reading: tokio::task::JoinHandle<()>,
    log: tokio::sync::watch::Receiver<Vec<String>>,
    child: Child,
}

/// A folder with a configuration.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Gateway {
    /// Writes the files and starts the program. The tokens of the simulated vendors are set.
    pub(crate) async fn start(configuration: &str, files: &[(String, String)]) -> Self {
        Self::start_with("mappings", configuration, files).await
    }

    /// The same with mappings of another folder.
    pub(crate) async fn start_with(
        mappings: &str,
        configuration: &str,
        files: &[(String, String)],
    ) -> Self {
        Self::start_on("127.0.0.1:0", mappings, configuration, files).await
    }

    /// The same with a listener of the test's own.
    pub(crate) async fn start_on(
        listen: &str,
        mappings: &str,
        configuration: &str,
        files: &[(String, String)],
    ) -> Self {
        let home = Home::new(listen, mappings, configuration, files);
        Self::launch(&home, home.command()).await
    }

    /// Starts the program by a command and waits until it is ready.
    pub(crate) async fn launch(home: &Arc<Home>, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let ready = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
            match line.expect("the program says in time that it is ready").unwrap() {
                Some(line) if line.starts_with("latimer ready ") => break line,
                Some(line) => {
                    secrets::refuse("the log", &line);
                    seen.push(line);
                }
                None => panic!("the program ended:\n{}", seen.join("\n")),
            }
        };
        let value = |key: &str| {
            let pair = ready.split(' ').find_map(|pair| pair.strip_prefix(key));
            pair.unwrap_or_else(|| panic!("no {key} in {ready}")).to_owned()
        };
        let (address, admin) = (value("listen="), value("admin="));
        let (logging, log) = tokio::sync::watch::channel(seen);
        let (hang, mut hanging) = tokio::sync::watch::channel(false);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // Whoever ends the program learns of it.
                secrets::refuse("the log", &line);
                logging.send_modify(|log| log.push(line));
                let _ = hanging.wait_for(|hangs| !hangs).await;
            }
        });
        Self { address, admin, _home: Arc::clone(home), reading, hang, log, child }
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub(crate) async fn call(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let mut head = format!("{line} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        Answer::parse(&exchange(&self.address, &message).await)
    }

    /// Waits until the program has logged a line with this text.
    pub(crate) async fn until_logged(&self, text: &str) {
        let mut log = self.log.clone();
        let logged = log.wait_for(|log| log.iter().any(|line| line.contains(text)));
        let logged = tokio::time::timeout(PATIENCE, logged).await;
        assert!(logged.is_ok_and(|seen| seen.is_ok()), "it is logged in time: {text}");
    }

    /// Reads no more of the log, and leaves the pipe to it open.
    pub(crate) fn stop_reading(&self) {
        self.hang.send(true).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends the program a signal.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let told = Command::new("kill").args([&format!("-{name}"), &pid]).status().await;
        assert!(told.unwrap().success());
    }

    /// Waits for the end of the program; gives its exit code and what it logged.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let code = ended.expect("it ends in time").unwrap().code();
        let _ = self.hang.send(false);
        self.reading.await.unwrap();
        (code, self.log.borrow().clone())
    }

    /// Tells the program to end, as a service manager does, and waits for it; gives what it logged.
    pub(crate) async fn terminate(self) -> Vec<String> {
        self.signal("TERM").await;
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log:#?}");
        log
    }

    /// Ends the program at once and waits for it. Whoever wants to read its log lets it terminate.
    pub(crate) async fn stop(mut self) {
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
        let _ = self.hang.send(false);
        self.reading.await.unwrap();
    }
}

impl Home {
    pub(crate) fn new(
        listen: &str,
        mappings: &str,
        configuration: &str,
        files: &[(String, String)],
    ) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mappings = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(mappings);
        // Most tests are about a call and its answer; `asynchronous` has what lies between for ZStack's clients.
        let configuration = match configuration.contains("async: jobs") {
            true => configuration.to_owned(),
            false => configuration
                .replace("client: zstack\n", "client: zstack\n    async: direct\n")
                .replace("client: zstack,", "client: zstack, async: direct,"),
        };
        // Unless the test has its own.
        let consumers = match configuration.lines().any(|line| line == "consumers:") {
            true => "",
            false => {
                "consumers:\n  tester: {key: {env: TEST_KEY}}\n  other: {key: {env: OTHER_KEY}}\n"
            }
        };
        let text = format!(
            "listen: {listen}\nadmin: {{listen: 127.0.0.1:0}}\nmappings: {}\n\
             {consumers}{configuration}",
            mappings.display()
        );
        std::fs::write(folder.path().join("latimer.yaml"), text).unwrap();
        Arc::new(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program on the configuration.
    pub(crate) fn command(&self) -> Command {
        self.serving(Command::new(PROGRAM))
    }

    /// The same by a shell, whose script ends with `exec "$0" "$@"` and what else belongs there.
    pub(crate) fn command_by(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, PROGRAM]);
        self.serving(shell)
    }

    /// Another command of the program on the configuration.
    pub(crate) fn command_for(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.configured(command)
    }

    fn serving(&self, mut command: Command) -> Command {
        command.arg("serve");
        self.configured(command)
    }

    /// `latimer crosswalk …` on the configuration, in its folder; gives the exit code, and what it prints.
    pub(crate) async fn crosswalk(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(PROGRAM);
        command.arg("crosswalk").args(arguments).current_dir(self.folder.path());
        let done = self.configured(command).kill_on_drop(true).output();
        let done = tokio::time::timeout(PATIENCE, done).await.expect("it ends in time").unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(text).unwrap())
    }

    fn configured(&self, mut command: Command) -> Command {
        command.arg("--config").arg(self.path("latimer.yaml")).env("TEST_KEY", KEY);
        command.env("OTHER_KEY", OTHER_KEY).env("ORBIT_USER", "desk@x.y");
        command.env("TEST_PEPPER", PEPPER).env("STATE_PASSWORD", STATE_PASSWORD);
        for vendor in Vendor::ALL {
            let name = format!("{}_TOKEN", vendor.name().to_uppercase());
            command.env(name, vendor.default_token());
        }
        // What belongs to whoever runs the tests.
        for name in ["LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
            command.env_remove(name);
        }
        command
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn exchange(address: &str, message: &[u8]) -> Vec<u8> {
    let work = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The gateway may answer and close before it has taken all of it.
        let _ = stream.write_all(message).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        secrets::refuse("an answer", &String::from_utf8_lossy(&answer));
        answer
    };
    tokio::time::timeout(PATIENCE, work).await.expect("the answer comes in time")
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A simulated vendor with tickets of the test's own.
pub(crate) async fn simulator(vendor: Vendor, tickets: &[(String, &str)]) -> Simulator {
    simulator_with(vendor, tickets, Options::default()).await
}

/// The same where the gateway has an account. ZStack makes jobs of changes, as the real one does.
pub(crate) async fn simulator_with_account(
    vendor: Vendor,
    tickets: &[(String, &str)],
) -> Simulator {
    let (user, password) = (ACCOUNT_USER.to_owned(), ACCOUNT_PASSWORD.to_owned());
    let account = Some(Account { user, password, session: None });
    let asynchronous = vendor == Vendor::Zstack;
    simulator_with(vendor, tickets, Options { account, asynchronous, ..Options::default() }).await
}

async fn simulator_with(vendor: Vendor, tickets: &[(String, &str)], options: Options) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tickets = tickets.iter().map(|(id, status)| format!("{id}={status}").parse().unwrap());
    let tickets = tickets.collect();
    serve(vendor, listener, Options { tickets, requests_per_second: None, ..options }).unwrap()
}

/// Log-ins that a simulator has seen, whatever came of them.
pub(crate) fn log_ins(simulator: &Simulator) -> usize {
    simulator.log().iter().filter(|seen| seen.target.ends_with("/login")).count()
}

/// The configuration's lines for an upstream. One bad answer after another is what most tests are about, so
/// it has no breaker.
pub(crate) fn upstream(vendor: Vendor, url: &str) -> String {
    let settings = match vendor {
        Vendor::Series => "{staff_user: 987654321}",
        Vendor::Akana => "{tenant: acmepaymentscorp}",
        Vendor::Thalamus => "{touchpoint: web}",
        Vendor::Arena | Vendor::Zstack => "{}",
    };
    let token = vendor.name().to_uppercase();
    format!(
        "  {vendor}:\n    vendor: {vendor}\n    url: {url}\n    settings: {settings}\n    \
         breaker: off\n    credential: {{token: {{env: {token}_TOKEN}}}}\n"
    )
}

/// A route from each vendor's clients to each of the upstreams, on the host `client-upstream.test`, with more
/// keys and with the ids that the two systems have for the same tickets. Between two of a kind they are the
/// same, so that a body's bytes can pass.
pub(crate) fn every_pair(
    urls: &[(Vendor, String)],
    more: &str,
    ids: impl Fn(Vendor, Vendor) -> Vec<(String, String)>,
) -> (String, Vec<(String, String)>) {
    let mut text = "upstreams:\n".to_owned();
    for (vendor, url) in urls {
        text.push_str(&upstream(*vendor, url));
    }
    text.push_str("routes:\n");
    let mut files = Vec::new();
    for client in Vendor::ALL {
        for (upstream, _) in urls {
            let upstream = *upstream;
            let name = format!("{client}-{upstream}");
            let settings =
                if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
            let carried = if client == upstream {
                "same".to_owned()
            } else {
                format!("{{file: {name}.csv}}")
            };
            text.push_str(&format!(
                "  {name}:\n    client: {client}\n    upstream: {upstream}\n    consumers: [tester]\n    \
                 match: {{host: {name}.test}}\n    limit: none\n    settings: {settings}\n    \
                 ids: {{ticket: {carried}}}\n{more}"
            ));
            let mut pairs = "client_id,upstream_id\n".to_owned();
            for (ours, theirs) in ids(client, upstream) {
                pairs.push_str(&format!("{ours},{theirs}\n"));
            }
            files.push((format!("{name}.csv"), pairs));
        }
    }
    (text, files)
}
