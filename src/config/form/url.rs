//! The URL of an upstream: where it answers and under which path.
//!
//! Not a general URL: no user, query or fragment, because none of them may reach an upstream from here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::{Malformed, net, quote};

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// Where an upstream answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// A host name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own if none was written.
    pub port: u16,
    /// What stands before every path: empty, or `/` and segments, without a slash at the end.
    pub base_path: String,
}

const HINT: &str = "write `http://HOST[:PORT][/PATH]`";

impl Url {
    /// Reads a URL; the messages repeat no part that may hold a password.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, Malformed> {
        let (scheme, rest) = Self::scheme(text)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Malformed::new(
                "the URL carries a user or a password",
                "leave it out and write a `credential:` instead",
            ));
        }
        let (host, port) = Self::authority(authority, scheme)?;
        Ok(Self { scheme, host, port, base_path: Self::path(path)? })
    }

    fn scheme(text: &str) -> Result<(Scheme, &str), Malformed> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Malformed::new("this is not a URL", HINT));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok((Scheme::Http, rest)),
            "https" => Ok((Scheme::Https, rest)),
            _ => {
                let found = format!("{} is not a scheme that is spoken here", quote(scheme));
                Err(Malformed::new(found, HINT))
            }
        }
    }

    fn authority(text: &str, scheme: Scheme) -> Result<(String, u16), Malformed> {
        let (host, port) = host_and_port(text)?;
        let port = port.unwrap_or(match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        });
        Ok((host, port))
    }

    fn path(text: &str) -> Result<String, Malformed> {
        if let Some(at) = text.find(['?', '#']) {
            let part = if text[at..].starts_with('?') { "a query" } else { "a fragment" };
            return Err(Malformed::new(
                format!("the URL carries {part}"),
                "end the URL with its base path",
            ));
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(String::new());
        }
        net::path_prefix(path)
    }

    /// True for `localhost` and the loopback addresses: nobody between us and the upstream listens.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }

    /// Host and port as the `Host` header and a connection want them; the scheme's own port is left out.
    pub fn authority_text(&self) -> String {
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => self.bracketed_host(),
            (Scheme::Http | Scheme::Https, _) => self.host_and_port(),
        }
    }

    /// Host and port, as logs and metrics name an endpoint.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// A host, with the port behind it if there is one.
pub(in crate::config) fn host_and_port(text: &str) -> Result<(String, Option<u16>), Malformed> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, rest)) => {
            let ip: Ipv6Addr = ip.parse().map_err(|_| {
                Malformed::new(format!("{} is not an IPv6 address", quote(ip)), HINT)
            })?;
            match rest.strip_prefix(':') {
                Some(port) => (ip.to_string(), Some(port)),
                None if rest.is_empty() => (ip.to_string(), None),
                None => {
                    let found = format!("{} follows the address", quote(rest));
                    return Err(Malformed::new(found, HINT));
                }
            }
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (net::host_name(host)?, Some(port)),
            None if text.is_empty() => return Err(Malformed::new("the URL names no host", HINT)),
            None => (net::host_name(text)?, None),
        },
    };
    Ok((host, port.map(port_number).transpose()?))
}

fn port_number(text: &str) -> Result<u16, Malformed> {
    match super::whole(text).and_then(|port| u16::try_from(port).ok()) {
        Some(port) if port > 0 => Ok(port),
        Some(_) | None => Err(Malformed::new(
            format!("{} is not a port", quote(text)),
            "write a number from 1 to 65535",
        )),
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority_text(), self.base_path)
    }
}
