//! Names and places of the network: hosts, ranges of addresses, path prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Malformed, quote};

/// A range of addresses, such as `10.0.0.0/8`; one address is a range of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The first address.
    pub network: IpAddr,
    /// Leading bits that an address shares with it.
    pub prefix: u8,
}

/// Characters of a host name (RFC 1035 §2.3.4).
const HOST_CHARS_MAX: usize = 253;
/// Characters between two of its dots.
const LABEL_CHARS_MAX: usize = 63;

impl Cidr {
    pub(in crate::config) fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = || {
            Malformed::new(
                format!("{} is not a range of addresses", quote(text)),
                "write an address and its prefix length, such as `10.0.0.0/8` or `::1/128`",
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| malformed())?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(super::whole) {
            None => width,
            Some(Some(prefix)) if prefix <= u64::from(width) => {
                u8::try_from(prefix).map_err(|_| malformed())?
            }
            Some(Some(_) | None) => return Err(malformed()),
        };
        let range = Self { network: masked(network, prefix), prefix };
        if range.network != network {
            return Err(Malformed::new(
                format!("{} has bits set beyond its prefix", quote(text)),
                format!("did you mean `{range}`, or `{network}` alone?"),
            ));
        }
        Ok(range)
    }

    /// True if the address lies in the range; an IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// A host of a URL or of a `Host` header, without port: a name in lower case or an IPv4 address.
pub(in crate::config) fn host_name(text: &str) -> Result<String, Malformed> {
    let malformed =
        |hint: &str| Malformed::new(format!("{} is not a host name", quote(text)), hint);
    let label = |label: &str| {
        let inner =
            label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let edges = label.starts_with('-') || label.ends_with('-');
        inner && !edges && (1..=LABEL_CHARS_MAX).contains(&label.len())
    };
    if text.len() <= HOST_CHARS_MAX && text.split('.').all(label) {
        let numeric = text.rsplit('.').next().is_some_and(|last| super::whole(last).is_some());
        if numeric && text.parse::<Ipv4Addr>().is_err() {
            return Err(malformed("an IPv4 address has four numbers from 0 to 255"));
        }
        return Ok(text.to_ascii_lowercase());
    }
    Err(malformed("write letters, digits, `-` and dots, such as `tickets.example.com`"))
}

/// The host of a route: a name or an address, compared without its port.
pub(in crate::config) fn route_host(text: &str) -> Result<String, Malformed> {
    if let Some(ip) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && let Ok(ip) = ip.parse::<Ipv6Addr>()
    {
        return Ok(format!("[{ip}]"));
    }
    let refuse =
        |found: &str, hint: &str| Err(Malformed::new(format!("{} {found}", quote(text)), hint));
    if text.contains("://") || text.contains('/') {
        return refuse(
            "is more than a host",
            "write the host alone, such as `tickets.example.com`",
        );
    }
    if text.contains('*') {
        return refuse("has a wildcard", "write one host, or leave `host` out to take all");
    }
    if text.contains(':') {
        return refuse("is more than a host", "leave the port out: hosts are compared without it");
    }
    host_name(text)
}

/// The prefix of a route, or the base path of a URL: `/` and whole segments.
pub(in crate::config) fn path_prefix(text: &str) -> Result<String, Malformed> {
    let refuse =
        |found: &str, hint: &str| Err(Malformed::new(format!("{} {found}", quote(text)), hint));
    if !text.starts_with('/') {
        return refuse("is not a path", "a path starts with `/`");
    }
    if text.contains(['?', '#']) {
        return refuse("is more than a path", "leave out `?` and `#` and what follows");
    }
    if !is_encoded(text) {
        return refuse(
            "has a character that no path holds",
            "write it percent-encoded, such as `%20`",
        );
    }
    if text == "/" {
        return Ok(text.to_owned());
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    for segment in path.split('/').skip(1) {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        if plain.is_empty() || plain == "." || plain == ".." {
            return refuse(
                "has an empty, `.` or `..` segment",
                "write whole segments, such as `/api/v2`",
            );
        }
    }
    Ok(path.to_owned())
}

/// What a request asks for: a path, and a query if there is one.
pub(in crate::config) fn request_target(text: &str) -> Result<String, Malformed> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    path_prefix(path)?;
    if query.contains('#') || !is_encoded(query) {
        return Err(Malformed::new(
            format!("{} has a character that no query holds", quote(text)),
            "write it percent-encoded, such as `%20`",
        ));
    }
    Ok(text.to_owned())
}

/// True if every character may stand in a path or a query as it is (RFC 3986 §3.3, §3.4).
fn is_encoded(text: &str) -> bool {
    let legal = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    text.bytes().all(legal) && percent_signs_are_escapes(text)
}

fn percent_signs_are_escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}
