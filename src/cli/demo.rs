//! `latimer demo`: five simulated vendors, the gateway, and a call per vendor through it.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{self, Gateway};
use crate::catalog::Catalog;
use crate::cli::{FINDINGS, print, runtime, told, told_to_stop};
use crate::diag::SourceFile;
use crate::sim::{self, Options, Simulator, Vendor};
use crate::{config, plan};

/// Five simulated vendors, the gateway and a call per vendor; nothing to configure.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the calls
    #[arg(long)]
    once: bool,
    /// How to print the calls
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// A client of one vendor that calls while another vendor is really behind the gateway.
struct Sample {
    client: Vendor,
    upstream: Vendor,
    /// The ticket as the client names it and as the upstream names it.
    ids: (&'static str, &'static str),
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Status code and body that the client was written for.
    answer: (u16, &'static str),
}

/// The key that the demo's callers have.
const KEY: &str = "demo-key";

const SAMPLES: [Sample; 5] = [
    Sample {
        client: Vendor::Series,
        upstream: Vendor::Thalamus,
        ids: ("TICKET-1234567890-ABCD", "10"),
        method: "POST",
        path: "/tickets/TICKET-1234567890-ABCD/status",
        headers: &[("apikey", KEY), ("Content-Type", "application/json")],
        body: r#"{"status":"resolved","staffUserId":987654321}"#,
        answer: (200, r#"{"success":true,"data":{"message":"Status changed to resolved"}}"#),
    },
    Sample {
        client: Vendor::Thalamus,
        upstream: Vendor::Akana,
        ids: ("10", "ticket25687.acmepaymentscorp"),
        method: "PUT",
        path: "/api/v4/cases/10/transitions",
        headers: &[
            ("Thalamus-Token", KEY),
            ("Thalamus-Touchpoint", "web"),
            ("Content-Type", "application/json"),
        ],
        body: r#"{"statusName":"resolved"}"#,
        answer: (201, r#"{"context":{},"case":{"id":10,"status":"resolved"}}"#),
    },
    Sample {
        client: Vendor::Akana,
        upstream: Vendor::Zstack,
        ids: ("ticket25687.acmepaymentscorp", "e9377476db3f375bbff78dc3b9204f00"),
        method: "POST",
        path: "/api/tickets/ticket25687.acmepaymentscorp/actions",
        headers: &[
            ("Accept", "*/*"),
            ("Cookie", "AtmoAuthToken_acmepaymentscorp=demo-key"),
            ("Content-Type", "application/json; charset=UTF-8"),
        ],
        body: r#"{"ActionName":"ticket.action.resolve","Comments":"Bug is fixed. Resolving this ticket."}"#,
        // A first approval is not the last one: a second approver may still refuse.
        answer: (200, "OPEN"),
    },
    Sample {
        client: Vendor::Zstack,
        upstream: Vendor::Arena,
        ids: ("e9377476db3f375bbff78dc3b9204f00", "1J3M5I3UHK1GZI1K31L4"),
        method: "PUT",
        path: "/zstack/v1/tickets/e9377476db3f375bbff78dc3b9204f00/actions",
        headers: &[
            ("Authorization", "OAuth demo-key"),
            ("Content-Type", "application/json;charset=UTF-8"),
        ],
        body: r#"{"changeTicketStatus":{"statusEvent":"reopen","comment":"please look again"}}"#,
        answer: (
            200,
            r#"{"inventory":{"uuid":"e9377476db3f375bbff78dc3b9204f00","name":"Paint chipping on new Model 3000","description":"","status":"Pending"}}"#,
        ),
    },
    Sample {
        client: Vendor::Arena,
        upstream: Vendor::Series,
        ids: ("1J3M5I3UHK1GZI1K31L4", "TICKET-1234567890-ABCD"),
        method: "POST",
        path: "/arena/v1/tickets/statuschanges",
        headers: &[("arena_session_id", KEY), ("Content-Type", "application/json")],
        body: r#"{"ticket":{"guid":"1J3M5I3UHK1GZI1K31L4"},"status":"IN_PROGRESS"}"#,
        answer: (201, r#"{"guid":"1J3M5I3UHK1GZI1K31L4","status":{"value":"In Progress"}}"#),
    },
];

/// What one sample came to.
struct Shown {
    sent: String,
    seen: String,
    came_back: String,
    received: String,
    status: u16,
    well: bool,
}

impl Demo {
    pub(super) fn run(self) -> u8 {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        runtime.block_on(async {
            match self.show().await {
                Ok(code) => code,
                Err(error) => told(error),
            }
        })
    }

    async fn show(self) -> Result<u8, Box<dyn std::error::Error>> {
        let mut simulators = Vec::new();
        for vendor in Vendor::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            simulators.push(sim::serve(vendor, listener, Options::default())?);
        }
        let folder = IdFiles::write()?;
        let gateway = start_gateway(&simulators, &folder).await?;
        let mut well = true;
        for sample in &SAMPLES {
            let shown = call(sample, &gateway, &simulators).await?;
            well &= shown.well;
            print(&self.render(sample, &shown, &gateway));
        }
        if self.once {
            gateway.stop().await;
        } else {
            let stop = told_to_stop();
            print(&curl_lines(&gateway));
            stop.await;
            gateway.stop().await;
        }
        for simulator in simulators {
            simulator.stop().await;
        }
        Ok(if well { 0 } else { FINDINGS })
    }

    fn render(&self, sample: &Sample, shown: &Shown, gateway: &Gateway) -> String {
        let (client, upstream) = (sample.client, sample.upstream);
        if self.format == Format::Json {
            let line = serde_json::json!({
                "client": client.name(),
                "upstream": upstream.name(),
                "gateway": gateway.listen.to_string(),
                "sent": shown.sent,
                "upstream_saw": shown.seen,
                "upstream_answered": shown.came_back,
                "received": shown.received,
                "status": shown.status,
                "well": shown.well,
            });
            return format!("{line}\n");
        }
        let mark = if shown.well { "ok" } else { "WRONG" };
        format!(
            "== {client} client, {upstream} behind: {mark}\n\n-- the client sends\n{}\n\n\
             -- {upstream} sees\n{}\n\n-- {upstream} answers\n{}\n\n-- the client gets\n{}\n\n",
            shown.sent, shown.seen, shown.came_back, shown.received
        )
    }
}

/// The pairs of ids, in a folder of their own that goes away with the value.
struct IdFiles(std::path::PathBuf);

impl IdFiles {
    fn write() -> std::io::Result<Self> {
        let name = format!("latimer-demo-{}", crate::ident::CallId::random());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        let files = Self(folder);
        for sample in &SAMPLES {
            let (client, upstream) = sample.ids;
            let text = format!("client_id,upstream_id\n{client},{upstream}\n");
            std::fs::write(files.0.join(format!("{}.csv", sample.client)), text)?;
        }
        Ok(files)
    }
}

impl Drop for IdFiles {
    fn drop(&mut self) {
        // Left behind in the folder for temporary files at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start_gateway(
    simulators: &[Simulator],
    ids: &IdFiles,
) -> Result<Gateway, Box<dyn std::error::Error>> {
    let text = configuration(simulators);
    let file = SourceFile::new("the demo's configuration", text);
    let tokens = simulators.iter().map(|simulator| {
        let vendor = simulator.vendor();
        (format!("{}_TOKEN", vendor.name().to_uppercase()), vendor.default_token())
    });
    let environment = tokens.chain([("DEMO_KEY".to_owned(), KEY.to_owned())]);
    let findings = |found: Vec<crate::diag::Diagnostic>| -> Box<dyn std::error::Error> {
        found.iter().map(|finding| crate::diag::render(finding, false)).collect::<String>().into()
    };
    let (config, _) = config::load_text(&file, &ids.0, environment).map_err(findings)?;
    let (plan, _) = plan::build(&config, &Catalog::shipped()).map_err(findings)?;
    let gateway = app::start(&config, plan).await;
    gateway.map_err(|error| format!("{error:?}").into())
}

fn configuration(simulators: &[Simulator]) -> String {
    let mut text = "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\nupstreams:\n".to_owned();
    for simulator in simulators {
        let vendor = simulator.vendor();
        let settings = match vendor {
            Vendor::Series => "{staff_user: 987654321}",
            Vendor::Akana => "{tenant: acmepaymentscorp}",
            Vendor::Thalamus => "{touchpoint: web}",
            Vendor::Arena | Vendor::Zstack => "{}",
        };
        let token = vendor.name().to_uppercase();
        // Writing to a text never fails.
        let _ = write!(
            text,
            "  {vendor}:\n    vendor: {vendor}\n    url: {}\n    settings: {settings}\n    \
             credential: {{token: {{env: {token}_TOKEN}}}}\n",
            simulator.url()
        );
    }
    text.push_str("consumers:\n  demo: {key: {env: DEMO_KEY}}\nroutes:\n");
    for sample in &SAMPLES {
        let (client, upstream) = (sample.client, sample.upstream);
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        // Who tries it out by hand would have to ask for the outcome.
        let answers = if client == Vendor::Zstack { "    async: direct\n" } else { "" };
        // `GET /v1/tickets/<ticket>` is ZStack's too, so that one of them needs a place of its own.
        let prefix = if client == Vendor::Arena { "/arena" } else { "/" };
        let _ = write!(
            text,
            "  {client}:\n    client: {client}\n    upstream: {upstream}\n    \
             consumers: [demo]\n    settings: {settings}\n    match: {{path_prefix: {prefix}}}\n    \
             ids: {{ticket: {{file: {client}.csv}}}}\n{answers}"
        );
    }
    text
}

fn request_text(sample: &Sample) -> String {
    let mut text = format!("{} {} HTTP/1.1\n", sample.method, sample.path);
    for (name, value) in sample.headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = write!(text, "\n{}", sample.body);
    text
}

async fn call(
    sample: &Sample,
    gateway: &Gateway,
    simulators: &[Simulator],
) -> Result<Shown, Box<dyn std::error::Error>> {
    let upstream = simulators
        .iter()
        .find(|simulator| simulator.vendor() == sample.upstream)
        .ok_or("no simulator of that vendor")?;
    upstream.clear_log();
    let mut head =
        format!("{} {} HTTP/1.1\r\nHost: {}\r\n", sample.method, sample.path, gateway.listen);
    for (name, value) in sample.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\nConnection: close\r\n\r\n", sample.body.len());
    let mut stream = TcpStream::connect(gateway.listen).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(sample.body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let received = String::from_utf8_lossy(&answer).replace("\r\n", "\n");
    let status = received.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let seen = upstream.log();
    let body = received.split_once("\n\n").map_or("", |(_, body)| body);
    let well = (status, body) == sample.answer && seen.len() == 1;
    Ok(Shown {
        sent: request_text(sample),
        seen: seen.iter().map(seen_text).collect::<Vec<_>>().join("\n\n"),
        came_back: seen.iter().map(answer_text).collect::<Vec<_>>().join("\n\n"),
        received,
        status,
        well,
    })
}

fn seen_text(seen: &sim::Seen) -> String {
    let mut text = format!("{} {}\n", seen.method, seen.target);
    for (name, value) in &seen.headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = write!(text, "\n{}", seen.body);
    text
}

fn answer_text(seen: &sim::Seen) -> String {
    let status = seen.status.and_then(|status| http::StatusCode::from_u16(status).ok());
    let Some(status) = status else { return "(nothing)".to_owned() };
    let mut text = format!("HTTP/1.1 {status}\n");
    for (name, value) in &seen.answer_headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = write!(text, "\n{}", seen.answer_body);
    text
}

fn curl_lines(gateway: &Gateway) -> String {
    let mut text = "Try it:\n\n".to_owned();
    for sample in &SAMPLES {
        let _ =
            write!(text, "curl -i -X {} http://{}{}", sample.method, gateway.listen, sample.path);
        for (name, value) in sample.headers {
            let _ = write!(text, " \\\n  -H '{name}: {value}'");
        }
        let _ = write!(text, " \\\n  -d '{}'\n\n", sample.body);
    }
    text.push_str("Ctrl-C ends.\n");
    text
}
