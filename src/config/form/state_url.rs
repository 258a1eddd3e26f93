//! Where state is kept, as a text: `sqlite://PATH`, `memory`, or a URL of PostgreSQL.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::{Malformed, quote, url};

/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// A place for state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum StateUrl {
    /// In memory.
    Memory,
    /// A file; relative or not.
    Sqlite(String),
    /// A server.
    Postgres(PostgresUrl),
}

/// `postgres://USER@HOST[:PORT]/DATABASE[?sslmode=MODE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct PostgresUrl {
    pub(in crate::config) user: String,
    pub(in crate::config) host: String,
    pub(in crate::config) port: u16,
    pub(in crate::config) database: String,
    pub(in crate::config) encryption: Encryption,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Encryption {
    /// Over TLS, unless it is on this machine.
    UnlessLoopback,
    /// In plain text.
    Plain,
    /// Over TLS, with a certificate that is verified.
    Verified,
}

const HINT: &str =
    "write `sqlite://PATH`, `memory`, or `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`";
const POSTGRES_HINT: &str = "write `postgres://USER@HOST:PORT/DATABASE`";

/// True if a user's password stands in the text, or looks as if it did.
pub(in crate::config) fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let user = rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    user || rest.split(['?', '&']).skip(1).any(|option| option.starts_with("password="))
}

/// Reads a place; the messages repeat no part that may hold a password.
pub(in crate::config) fn parse(text: &str) -> Result<StateUrl, Malformed> {
    if text == "memory" {
        return Ok(StateUrl::Memory);
    }
    let malformed = || Malformed::new("this is no place to keep state in", HINT);
    let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
    match scheme {
        "sqlite" => file(rest).map(StateUrl::Sqlite),
        "postgres" | "postgresql" => server(rest).map(StateUrl::Postgres),
        _ => Err(malformed()),
    }
}

fn file(path: &str) -> Result<String, Malformed> {
    let hint = "write `sqlite://PATH`; paths start at this file's folder";
    if path == ":memory:" {
        return Err(Malformed::new("this is no file", "write `state: memory`"));
    }
    if path.contains('?') {
        return Err(Malformed::new("a file has no options", hint));
    }
    super::text(path).map_err(|_| Malformed::new("this names no file", hint))
}

fn server(text: &str) -> Result<PostgresUrl, Malformed> {
    let wrong = |found: &str| Malformed::new(found, POSTGRES_HINT);
    let (text, options) = match text.split_once('?') {
        Some((text, options)) => (text, Some(options)),
        None => (text, None),
    };
    let (authority, database) =
        text.split_once('/').ok_or_else(|| wrong("the URL names no database"))?;
    let (user, place) = authority.rsplit_once('@').ok_or_else(|| wrong("the URL names no user"))?;
    let (host, port) = url::host_and_port(place)
        .map_err(|malformed| Malformed::new(malformed.found, POSTGRES_HINT))?;
    let name = |text: &str, missing: &str| {
        let plain = percent_decode_str(text).decode_utf8().map_err(|_| wrong(missing))?;
        super::text(&plain).map_err(|_| wrong(missing))
    };
    if database.contains('/') {
        return Err(wrong("the URL has a path behind its database"));
    }
    Ok(PostgresUrl {
        user: name(user, "the URL names no user")?,
        host,
        port: port.unwrap_or(PORT),
        database: name(database, "the URL names no database")?,
        encryption: options.map_or(Ok(Encryption::UnlessLoopback), encryption)?,
    })
}

/// The one option that there is.
fn encryption(options: &str) -> Result<Encryption, Malformed> {
    let hint = "write `?sslmode=verify-full` or `?sslmode=disable`, or leave it out";
    match options.split_once('=') {
        // What others call `require` does not look at the certificate; here it is always verified.
        Some(("sslmode", "verify-full" | "require")) => Ok(Encryption::Verified),
        Some(("sslmode", "disable")) => Ok(Encryption::Plain),
        Some(("sslmode", mode)) => {
            let found = format!("{} is not an `sslmode` that is spoken here", quote(mode));
            Err(Malformed::new(found, hint))
        }
        Some(_) | None => Err(Malformed::new("the URL has an option that is not known", hint)),
    }
}

impl PostgresUrl {
    /// True for `localhost` and the loopback addresses: nobody between us and the server listens.
    pub(in crate::config) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> PostgresUrl {
        match parse(text) {
            Ok(StateUrl::Postgres(url)) => url,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn places_are_read_as_they_are_meant() {
        assert_eq!(parse("memory"), Ok(StateUrl::Memory));
        assert_eq!(parse("sqlite://a/b.db"), Ok(StateUrl::Sqlite("a/b.db".into())));
        assert_eq!(parse("sqlite:///var/b.db"), Ok(StateUrl::Sqlite("/var/b.db".into())));
        let wanted = PostgresUrl {
            user: "latimer".into(),
            host: "db.example.com".into(),
            port: 5433,
            database: "state".into(),
            encryption: Encryption::UnlessLoopback,
        };
        assert_eq!(postgres("postgres://latimer@DB.example.com:5433/state"), wanted);
        assert_eq!(postgres("postgresql://latimer@db.example.com:5433/state"), wanted);
        let url = postgres("postgres://a%40b@[::1]/s%2Ft?sslmode=verify-full");
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("a@b", "::1", 5432));
        assert_eq!((url.database.as_str(), url.encryption), ("s/t", Encryption::Verified));
        assert!(url.is_loopback());
        let url = postgres("postgres://a@h/d?sslmode=disable");
        assert_eq!((url.encryption, url.is_loopback()), (Encryption::Plain, false));
        assert_eq!(postgres("postgres://a@h/d?sslmode=require").encryption, Encryption::Verified);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "sqlite",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://a?mode=ro",
            "mysql://a@h/d",
            "postgres://",
            "postgres://h/d",
            "postgres://a@h",
            "postgres://a@h/",
            "postgres://@h/d",
            "postgres://a@h/d/e",
            "postgres://a@h:0/d",
            "postgres://a@h:x/d",
            "postgres://a@/d",
            "postgres://a@h/d?sslmode=prefer",
            "postgres://a@h/d?sslmode=allow",
            "postgres://a@h/d?sslmode=verify-ca",
            "postgres://a@h/d?x=y",
            "postgres://a@h/d?sslmode",
            "postgres://a@h/d?sslmode=disable&x=y",
            "postgres://a%00b@h/d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        assert!(has_password("postgres://a:b@h/d"));
        assert!(has_password("postgres://a:b@c@h/d"));
        assert!(has_password("postgres://a@h/d?password=b"));
        assert!(has_password("postgres://a@h/d?sslmode=disable&password=b"));
        assert!(!has_password("postgres://a@h:5432/d"));
        assert!(!has_password("sqlite://a:b"));
    }
}
