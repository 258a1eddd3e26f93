//! The address that an upstream names to ask at, held against where the upstream is.
//!
//! What an answer says decides nothing but path and query: a request of ours, with its credential, goes to
//! endpoints of the configuration and nowhere else.

use std::net::Ipv6Addr;

use crate::bounds;
use crate::config::{Scheme, Url};

/// The endpoint that a URL names, by its place in the configuration, and the path and query to ask it for.
///
/// # Errors
/// Why it is none that may be asked.
pub(super) fn find<'a>(
    address: &'a str,
    endpoints: &[Url],
) -> Result<(usize, &'a str), &'static str> {
    if address.len() > bounds::LOCATION_BYTES_MAX {
        return Err("the address to ask at is too long");
    }
    if !address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\')) {
        return Err("the address to ask at has characters that no address has");
    }
    let (scheme, rest) = address.split_once("://").ok_or("the address to ask at is no URL")?;
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
        _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => return Err("the address to ask at is no URL"),
    };
    let path = rest.find(['/', '?']).filter(|at| rest[*at..].starts_with('/'));
    let (authority, target) = rest.split_at(path.ok_or("the address to ask at has no path")?);
    if authority.contains('@') {
        return Err("the address to ask at names a user");
    }
    let (host, port) = parts(authority).ok_or("the address to ask at is no URL")?;
    let fits = |endpoint: &Url| endpoint.host == host && is_port(endpoint, port);
    // Whoever stands before an upstream may have taken TLS off, so that it cannot know its own scheme.
    let endpoint = endpoints
        .iter()
        .position(|endpoint| endpoint.scheme == scheme && fits(endpoint))
        .or_else(|| endpoints.iter().position(fits));
    Ok((endpoint.ok_or("the address to ask at is not the upstream's")?, target))
}

/// Host, in the form of the configuration, and port.
fn parts(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, "")) => (ip.parse::<Ipv6Addr>().ok()?.to_string(), None),
        Some((ip, port)) => {
            (ip.parse::<Ipv6Addr>().ok()?.to_string(), Some(port.strip_prefix(':')?))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
            None => (authority.to_ascii_lowercase(), None),
        },
    };
    let port = match port {
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().ok()?)
        }
        Some(_) => return None,
        None => None,
    };
    Some((host, port))
}

/// Without a port it is the one that needs not be said.
fn is_port(endpoint: &Url, port: Option<u16>) -> bool {
    match (port, endpoint.scheme) {
        (Some(port), _) => endpoint.port == port,
        (None, Scheme::Http) => endpoint.port == 80,
        (None, Scheme::Https) => endpoint.port == 443,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(scheme: Scheme, host: &str, port: u16) -> Url {
        Url { scheme, host: host.to_owned(), port, base_path: "/zstack".to_owned() }
    }

    fn endpoints() -> Vec<Url> {
        vec![
            url(Scheme::Http, "zstack.example", 8080),
            url(Scheme::Https, "zstack.example", 443),
            url(Scheme::Http, "192.0.2.7", 80),
            url(Scheme::Http, "2001:db8::7", 8080),
        ]
    }

    #[test]
    fn an_address_of_the_upstreams_own_gives_its_endpoint_and_the_path() {
        for (address, endpoint, target) in [
            ("http://zstack.example:8080/zstack/v1/api-jobs/1f", 0, "/zstack/v1/api-jobs/1f"),
            ("HTTP://ZStack.Example:8080/j?a=b&c=%20", 0, "/j?a=b&c=%20"),
            ("https://zstack.example/j", 1, "/j"),
            ("https://zstack.example:443/j", 1, "/j"),
            ("http://zstack.example:443/j", 1, "/j"),
            ("http://zstack.example/j", 1, "/j"),
            ("http://192.0.2.7/", 2, "/"),
            ("http://192.0.2.7:80/j", 2, "/j"),
            ("http://[2001:DB8:0::7]:8080/j", 3, "/j"),
        ] {
            assert_eq!(find(address, &endpoints()), Ok((endpoint, target)), "{address}");
        }
    }

    #[test]
    fn every_other_address_is_refused_with_its_reason() {
        let long = format!("http://192.0.2.7/{}", "x".repeat(bounds::LOCATION_BYTES_MAX));
        for (address, why) in [
            ("http://elsewhere.example:8080/j", "not the upstream's"),
            ("http://zstack.example:8081/j", "not the upstream's"),
            ("http://zstack.example.evil.example:8080/j", "not the upstream's"),
            ("http://192.0.2.7:8080/j", "not the upstream's"),
            ("http://[2001:db8::8]:8080/j", "not the upstream's"),
            ("http://:8080/j", "not the upstream's"),
            ("http:///j", "not the upstream's"),
            ("http://zstack.example:8080@evil.example/j", "names a user"),
            ("http://user@zstack.example:8080/j", "names a user"),
            ("http://zstack.example:8080", "has no path"),
            ("http://zstack.example:8080?x=/j", "has no path"),
            ("http://zstack.example:/j", "is no URL"),
            ("http://zstack.example:+8080/j", "is no URL"),
            ("http://zstack.example:80800/j", "is no URL"),
            ("http://zstack.example:8080:1/j", "is no URL"),
            ("http://[2001:db8::7]8080/j", "is no URL"),
            ("http://[2001:db8::7/j", "is no URL"),
            ("ftp://zstack.example:8080/j", "is no URL"),
            ("//zstack.example:8080/j", "is no URL"),
            ("/zstack/v1/api-jobs/1f", "is no URL"),
            ("", "is no URL"),
            ("http://zstack.example:8080\\@evil.example/j", "has characters"),
            ("http://zstack.example:8080/a b", "has characters"),
            ("http://zstack.example:8080/a\r\nX: y", "has characters"),
            ("http://zstack.example:8080/a\0", "has characters"),
            ("http://zstack.example:8080/j#part", "has characters"),
            ("http://zst\u{e4}ck.example:8080/j", "has characters"),
            (long.as_str(), "too long"),
        ] {
            let found = find(address, &endpoints()).unwrap_err();
            assert!(found.contains(why), "{address}: {found}");
        }
    }
}
