//! `state:`, where what outlives a call is kept.

use std::fmt;
use std::path::PathBuf;

use super::form::state_url::{self, Encryption, PostgresUrl, StateUrl};
use super::section::{Reader, Section};
use super::tree::{Item, Kind, Spanned};
use super::{codes, schema, secrets, tls};
use crate::diag::{Diagnostic, Location};
use crate::secret::Secret;
use crate::tls::ClientSettings;

/// The file beside the configuration, unless `state` says otherwise.
const STATE: &str = "latimer.sqlite";

/// Where what outlives a call is kept. Shows itself as a URL without a password.
#[derive(Clone, Debug)]
pub enum StateConfig {
    /// In memory: nothing survives the process.
    Memory,
    /// In an SQLite file of this gateway's alone.
    Sqlite(PathBuf),
    /// In a PostgreSQL database, which several gateways may share.
    Postgres(Box<PostgresConfig>),
}

/// A PostgreSQL database and how it is logged in to.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// A host name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who logs in.
    pub user: String,
    /// With what, if it is asked for.
    pub password: Option<Secret>,
    /// Whose certificate the server must have; none for plain text.
    pub tls: Option<ClientSettings>,
}

/// The long form, with what was read of it already.
struct Long<'t> {
    section: Section<'t>,
    password: Option<Spanned<Secret>>,
}

/// `state`: a text, or `{url: …, password: …, ca: …}`.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Spanned<StateConfig> {
    let default = || root.default(StateConfig::Sqlite(PathBuf::new()));
    let Some(item) = root.get("state") else {
        return root.default(StateConfig::Sqlite(reader.base.join(STATE)));
    };
    let found = match &item.kind {
        Kind::Map(_) => reader.subsection(root, "state", schema::STATE).and_then(|section| {
            let password = secrets::under(reader, &section, "password");
            let hint = "add `url: postgres://USER@HOST:PORT/DATABASE`";
            let url = reader.required(&section, "url", hint)?;
            place(reader, url, "state.url", Some(&Long { section, password }))
        }),
        Kind::List(_) | Kind::Text(_) | Kind::Nothing => place(reader, item, "state", None),
    };
    // What stands there instead was just reported.
    found.unwrap_or_else(default)
}

fn place(
    reader: &mut Reader<'_>,
    item: &Item,
    key: &str,
    long: Option<&Long<'_>>,
) -> Option<Spanned<StateConfig>> {
    refuse_password(reader, item, key)?;
    let url = reader.parsed(item, key, state_url::parse)?;
    let config = match url.value {
        StateUrl::Postgres(postgres) => {
            StateConfig::Postgres(Box::new(server(reader, postgres, &url.at, long)?))
        }
        StateUrl::Memory => StateConfig::Memory,
        StateUrl::Sqlite(path) => StateConfig::Sqlite(reader.base.join(path)),
    };
    if let (Some(Long { section, .. }), StateConfig::Memory | StateConfig::Sqlite(_)) =
        (long, &config)
    {
        for key in ["password", "ca"] {
            useless(reader, section, key, "is of no use where no server is logged in to");
        }
    }
    Some(Spanned::new(config, url.at))
}

/// A password that stands in the URL is a secret that stands in the file.
fn refuse_password(reader: &mut Reader<'_>, item: &Item, key: &str) -> Option<()> {
    if let Kind::Text(text) = &item.kind
        && state_url::has_password(text)
    {
        let message =
            format!("`{key}` carries a password, and a secret does not stand in this file");
        let label = match key {
            "state" => {
                "write `{url: postgres://USER@HOST:PORT/DATABASE, password: {env: NAME}}` instead"
            }
            _ => "leave it out, and write `password: {env: NAME}` beside the URL",
        };
        reader.error(codes::SECRET, &item.at, message, label);
        return None;
    }
    Some(())
}

fn server(
    reader: &mut Reader<'_>,
    url: PostgresUrl,
    at: &Location,
    long: Option<&Long<'_>>,
) -> Option<PostgresConfig> {
    let encrypted = match url.encryption {
        Encryption::Verified => true,
        Encryption::Plain => false,
        Encryption::UnlessLoopback => !url.is_loopback(),
    };
    let tls = match (encrypted, long) {
        (true, _) => Some(tls::database(reader, long.map(|long| &long.section), &url.host, at)?),
        (false, Some(Long { section, .. })) => {
            useless(
                reader,
                section,
                "ca",
                "is of no use where the server is spoken to in plain text",
            );
            None
        }
        (false, None) => None,
    };
    let PostgresUrl { host, port, database, user, .. } = url;
    let password = long.and_then(|long| long.password.as_ref()).map(|one| one.value.clone());
    Some(PostgresConfig { host, port, database, user, password, tls })
}

fn useless(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, why: &str) {
    let Some(item) = section.get(key) else { return };
    let message = format!("`{}` {why}", section.path(key));
    let finding = Diagnostic::error(codes::CONFLICT, item.at.clone(), message);
    reader.findings.push(finding.label("leave it out"));
}

impl fmt::Display for StateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(server) => {
                let PostgresConfig { host, port, database, user, .. } = &**server;
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                write!(f, "postgres://{user}@{host}:{port}/{database}")
            }
        }
    }
}
