//! What concerns the gateway as a whole: listeners, bounds, proxies, log.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::form::{self, Cidr};
use super::section::{Reader, Section};
use super::tree::{Kind, Spanned};
use super::{codes, schema, secrets, tls};
use crate::bounds;
use crate::diag::Diagnostic;
use crate::secret::Secret;
use crate::tls::ServerSettings;

/// Where clients are served, unless `listen` says otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the admin listener stands, unless `admin.listen` says otherwise.
pub(super) const ADMIN_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
/// The folder of the mappings, unless `mappings` says otherwise.
const MAPPINGS: &str = "mappings";

/// The least and the most that a bound of bytes may be: a head below 8 KiB is one that browsers exceed.
const HEAD_BYTES: (usize, usize) = (8 * 1024, 1024 * 1024);
const BODY_BYTES: (usize, usize) = (1024, 1024 * 1024 * 1024);
/// The most calls in flight, and the most connections, that may be asked for.
pub(super) const CONCURRENCY_LIMIT: u32 = 1_000_000;
/// The most streams of one connection that may be asked for.
const STREAMS_LIMIT: u32 = 10_000;
/// The least and the most that a timeout may be.
pub(super) const TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(3_600));
/// The same for the time of a stop, which may be none.
const DRAIN: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3_600));

/// The gateway's own listener and how it is run.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: Spanned<SocketAddr>,
    /// What a request that changes state must carry; without it none is taken.
    pub token: Option<Spanned<Secret>>,
}

/// What is taken from a client at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of a request line with its header fields.
    pub head_bytes_max: usize,
    /// Nesting of a body.
    pub depth_max: usize,
    /// Time for a head.
    pub header_timeout: Duration,
    /// Time for a body.
    pub body_timeout: Duration,
    /// Time that a connection may stand idle.
    pub idle_timeout: Duration,
    /// Calls in flight.
    pub concurrency_max: usize,
    /// Connections, idle ones too.
    pub connections_max: usize,
    /// Streams of one HTTP/2 connection.
    pub streams_max: u32,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// Which calls it tells of.
    pub access: Access,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines to read.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which calls the log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// None but those that went wrong behind us.
    Off,
    /// Every call that did not take effect, and one in a hundred of the rest.
    Sampled,
    /// Every call.
    #[default]
    Full,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body_bytes_max: bounds::BODY_BYTES_MAX,
            head_bytes_max: bounds::HEAD_BYTES_MAX,
            depth_max: bounds::BODY_DEPTH_MAX,
            header_timeout: bounds::HEADER_TIMEOUT,
            body_timeout: bounds::BODY_TIMEOUT,
            idle_timeout: bounds::IDLE_TIMEOUT,
            concurrency_max: bounds::CONCURRENCY_MAX,
            connections_max: bounds::CONNECTIONS_MAX,
            streams_max: bounds::HTTP2_STREAMS_MAX,
        }
    }
}

/// How clients are listened to.
#[derive(Debug)]
pub(super) struct Listen {
    pub(super) address: Spanned<SocketAddr>,
    pub(super) tls: Option<ServerSettings>,
    pub(super) http2: bool,
}

/// `listen`: an address, or `{addr: …, tls: …, http2: …}`.
pub(super) fn listen(reader: &mut Reader<'_>, root: &Section<'_>) -> Listen {
    let (mut secured, mut http2) = (None, true);
    let address = root.get("listen").and_then(|item| match &item.kind {
        Kind::Map(_) => {
            let section = reader.subsection(root, "listen", schema::LISTEN)?;
            secured = tls::server(reader, &section);
            http2 = reader.word(&section, "http2", &[("on", true), ("off", false)], true);
            let item = reader.required(&section, "addr", "add `addr: 127.0.0.1:8080`")?;
            reader.parsed(item, "addr", form::address)
        }
        Kind::List(_) | Kind::Text(_) | Kind::Nothing => {
            reader.parsed(item, "listen", form::address)
        }
    });
    let address = address.unwrap_or_else(|| root.default(LISTEN));
    Listen { address, tls: secured, http2 }
}

/// `admin`, which must not take the clients' port.
pub(super) fn admin(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    clients: &Spanned<SocketAddr>,
) -> Admin {
    let section = reader.subsection(root, "admin", schema::ADMIN);
    let read = |reader: &mut Reader<'_>| {
        let section = section.as_ref()?;
        reader.leaf(section, "listen", form::address)
    };
    let listen = read(reader).unwrap_or_else(|| root.default(ADMIN_LISTEN));
    let token = section.as_ref().and_then(|section| secrets::private(reader, section, "token"));
    if listen.value == clients.value && listen.value.port() != 0 {
        let message = format!("clients and the admin listener both ask for {}", listen.value);
        let (here, there) = (&listen.at, &clients.at);
        let (here, there) = if root.get("admin").is_some() { (here, there) } else { (there, here) };
        let mut finding = Diagnostic::error(codes::CONFLICT, here.clone(), message)
            .label("give one of them another port");
        if *there != root.at {
            finding = finding.also(there.clone(), "asked for here too");
        }
        reader.findings.push(finding);
    }
    Admin { listen, token }
}

/// `bounds`, all of the client's side.
pub(super) fn bounds(reader: &mut Reader<'_>, root: &Section<'_>) -> Bounds {
    let default = Bounds::default();
    let Some(section) = reader.subsection(root, "bounds", schema::BOUNDS) else { return default };
    let section = &section;
    let body = default.body_bytes_max;
    let head = default.head_bytes_max;
    let depth = u32::try_from(bounds::BODY_DEPTH_MAX).unwrap_or(u32::MAX);
    Bounds {
        body_bytes_max: reader.size(section, "body_bytes_max", BODY_BYTES, body),
        head_bytes_max: reader.size(section, "head_bytes_max", HEAD_BYTES, head),
        depth_max: count(reader, section, "depth_max", depth, default.depth_max),
        header_timeout: reader.duration(section, "header_timeout", TIMEOUT, default.header_timeout),
        body_timeout: reader.duration(section, "body_timeout", TIMEOUT, default.body_timeout),
        idle_timeout: reader.duration(section, "idle_timeout", TIMEOUT, default.idle_timeout),
        concurrency_max: count(
            reader,
            section,
            "concurrency_max",
            CONCURRENCY_LIMIT,
            default.concurrency_max,
        ),
        connections_max: count(
            reader,
            section,
            "connections_max",
            CONCURRENCY_LIMIT,
            default.connections_max,
        ),
        streams_max: reader
            .leaf(section, "streams_max", form::count_to(STREAMS_LIMIT))
            .map_or(default.streams_max, |count| count.value),
    }
}

fn count(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    max: u32,
    default: usize,
) -> usize {
    reader
        .leaf(section, key, form::count_to(max))
        .and_then(|count| usize::try_from(count.value).ok())
        .unwrap_or(default)
}

/// `workers`, the threads that serve: one per processor that the program may use, by default.
pub(super) fn workers(reader: &mut Reader<'_>, root: &Section<'_>) -> NonZeroUsize {
    let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let count = count(reader, root, "workers", bounds::WORKERS_MAX, all.get());
    NonZeroUsize::new(count).unwrap_or(all)
}

/// `mappings`, a folder.
pub(super) fn mappings(reader: &mut Reader<'_>, root: &Section<'_>) -> Spanned<PathBuf> {
    let path = root.get("mappings").and_then(|item| reader.path(item, "mappings"));
    path.unwrap_or_else(|| root.default(reader.base.join(MAPPINGS)))
}

/// `trusted_proxies`, ranges of addresses.
pub(super) fn trusted_proxies(reader: &mut Reader<'_>, root: &Section<'_>) -> Vec<Cidr> {
    reader
        .list(root, "trusted_proxies")
        .iter()
        .filter_map(|item| reader.parsed(item, "trusted_proxies", Cidr::parse))
        .map(|range| range.value)
        .collect()
}

/// `drain`, the time for calls in flight at a stop.
pub(super) fn drain(reader: &mut Reader<'_>, root: &Section<'_>) -> Duration {
    reader.duration(root, "drain", DRAIN, bounds::DRAIN)
}

/// `log`.
pub(super) fn log(reader: &mut Reader<'_>, root: &Section<'_>) -> Log {
    let Some(section) = reader.subsection(root, "log", schema::LOG) else { return Log::default() };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let access = [("off", Access::Off), ("sampled", Access::Sampled), ("full", Access::Full)];
    Log {
        format: reader.word(&section, "format", &formats, LogFormat::default()),
        access: reader.word(&section, "access", &access, Access::default()),
    }
}
