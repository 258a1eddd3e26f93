//! `limits.store`, where limits are counted, and what holds while that is away.

use std::net::IpAddr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::super::form::{self, Malformed, url};
use super::super::section::{Reader, Section};
use super::super::tree::Kind;
use super::super::{codes, schema, secrets, tls};
use crate::bounds;
use crate::diag::Location;
use crate::secret::Secret;
use crate::tls::ClientSettings;

/// Redis' own port.
const PORT: u16 = 6379;
/// What keys begin with, unless `prefix` says otherwise.
const PREFIX: &str = "latimer";
/// Time for one check, at least and at most.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(5));

/// Where limits are counted.
#[derive(Clone, Debug, Default)]
pub enum LimitStore {
    /// By each process for itself.
    #[default]
    Memory,
    /// In a server that several gateways count in.
    Redis(Box<SharedLimits>),
}

/// A server that several gateways count in, and what holds without it.
#[derive(Clone, Debug)]
pub struct SharedLimits {
    /// The server.
    pub server: RedisConfig,
    /// What holds while it decides nothing.
    pub on_failure: OnStoreFailure,
    /// Gateways that share it.
    pub gateways: u32,
}

/// A server of Redis, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// A host name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The number of the database.
    pub database: u32,
    /// Who logs in, where that is not the one whom all are.
    pub user: Option<String>,
    /// With what, if it is asked for.
    pub password: Option<Secret>,
    /// Whose certificate the server must have; none for plain text.
    pub tls: Option<ClientSettings>,
    /// What the keys begin with: gateways with the same prefix count together. Without braces, and not empty.
    pub prefix: String,
    /// Time for one check, [`bounds::LIMIT_STORE_TIMEOUT`] if nothing says otherwise.
    pub timeout: Duration,
}

/// What holds while the store decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// Each gateway counts its share by itself.
    Local,
    /// All calls pass.
    Open,
    /// None does.
    Closed,
}

/// `redis://[USER@]HOST[:PORT][/DATABASE]`.
struct RedisUrl {
    encrypted: bool,
    host: String,
    port: u16,
    database: u32,
    user: Option<String>,
}

/// The store under `limits`, and the keys beside it.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> LimitStore {
    let Some(item) = section.get("store") else {
        return memory(reader, section);
    };
    let long = match &item.kind {
        Kind::Map(_) => reader.subsection(section, "store", schema::LIMIT_STORE),
        Kind::List(_) | Kind::Text(_) | Kind::Nothing => None,
    };
    let hint = "add `url: redis://HOST:PORT/0`";
    let place = match &long {
        Some(long) => reader.required(long, "url", hint),
        None => Some(item),
    };
    let key = if long.is_some() { "limits.store.url" } else { "limits.store" };
    let Some(url) = place.and_then(|place| reader.parsed(place, key, parse)) else {
        return LimitStore::Memory;
    };
    match url.value {
        None => memory(reader, section),
        Some(redis) => {
            let config = server(reader, section, (redis, &url.at), long.as_ref());
            config.map_or(LimitStore::Memory, |config| LimitStore::Redis(Box::new(config)))
        }
    }
}

/// Keys of a shared store are of no use to a process by itself.
fn memory(reader: &mut Reader<'_>, section: &Section<'_>) -> LimitStore {
    for key in ["prefix", "store_timeout", "on_store_failure", "gateways"] {
        if let Some(item) = section.get(key) {
            let message =
                format!("`limits.{key}` is of no use where each process counts by itself");
            reader.error(
                codes::CONFLICT,
                &item.at,
                message,
                "leave it out, or give `limits.store`",
            );
        }
    }
    LimitStore::Memory
}

fn server(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    (url, at): (RedisUrl, &Location),
    long: Option<&Section<'_>>,
) -> Option<SharedLimits> {
    let words = [
        ("local", OnStoreFailure::Local),
        ("open", OnStoreFailure::Open),
        ("closed", OnStoreFailure::Closed),
    ];
    let on_failure = reader.word(section, "on_store_failure", &words, OnStoreFailure::Local);
    let gateways = reader.leaf(section, "gateways", form::count).map(|count| count.value);
    if gateways.is_none()
        && on_failure == OnStoreFailure::Local
        && section.get("gateways").is_none()
    {
        let message = "nothing says how many gateways share the limits";
        let label = "add `gateways: 2`: while the store is away each counts its share; or \
                     `on_store_failure: open` or `closed`";
        reader.error(codes::MISSING, at, message, label);
    }
    let timeout = reader.duration(section, "store_timeout", TIMEOUT, bounds::LIMIT_STORE_TIMEOUT);
    let prefix = reader.leaf(section, "prefix", form::name);
    let password = long.and_then(|long| secrets::under(reader, long, "password"));
    let tls = match (url.encrypted, long) {
        (true, _) => Some(tls::database(reader, long, &url.host, at)?),
        (false, long) => {
            if let Some(item) = long.and_then(|long| long.get("ca")) {
                let message =
                    "`limits.store.ca` is of no use where the server is spoken to in plain text";
                reader.error(
                    codes::CONFLICT,
                    &item.at,
                    message,
                    "write `rediss://`, or leave it out",
                );
            }
            None
        }
    };
    if let (Some(password), None, false) = (&password, &tls, is_loopback(&url.host)) {
        let message = "the password would be sent in plain text";
        reader.error(codes::UNSAFE, &password.at, message, "write `rediss://` in the URL");
    }
    let server = RedisConfig {
        host: url.host,
        port: url.port,
        database: url.database,
        user: url.user,
        password: password.map(|password| password.value),
        tls,
        prefix: prefix.map_or_else(|| PREFIX.to_owned(), |prefix| prefix.value),
        timeout,
    };
    Some(SharedLimits { server, on_failure, gateways: gateways.unwrap_or(1) })
}

/// `memory`, which is none, or a URL. The messages repeat no part that may hold a password.
fn parse(text: &str) -> Result<Option<RedisUrl>, Malformed> {
    const HINT: &str = "write `memory`, `redis://HOST:PORT/0` or `rediss://HOST:PORT/0`";
    let wrong = |found: &str| Malformed::new(found, HINT);
    if text == "memory" {
        return Ok(None);
    }
    let no_place = || wrong("this is no place to count limits in");
    let (scheme, rest) = text.split_once("://").ok_or_else(no_place)?;
    let encrypted = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err(no_place()),
    };
    let (authority, database) = rest.split_once('/').unwrap_or((rest, "0"));
    let database = if database.is_empty() { "0" } else { database };
    let database = database.parse().map_err(|_| wrong("the URL's database is no number"))?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            let hint = "write `{url: redis://HOST:PORT/0, password: {env: NAME}}` instead";
            let found = "it carries a password, and a secret does not stand in this file";
            return Err(Malformed::new(found, hint));
        }
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let user = user.map(|user| {
        let user =
            percent_decode_str(user).decode_utf8().map_err(|_| wrong("the user is no text"))?;
        form::text(&user).map_err(|_| wrong("the URL names no user before its `@`"))
    });
    let (host, port) =
        url::host_and_port(place).map_err(|malformed| Malformed::new(malformed.found, HINT))?;
    Ok(Some(RedisUrl {
        encrypted,
        host,
        port: port.unwrap_or(PORT),
        database,
        user: user.transpose()?,
    }))
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}
