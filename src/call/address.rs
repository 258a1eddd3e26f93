//! Where a client is.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::Cidr;

/// The client's address: that of the connection, or, behind proxies that are trusted, the last address of
/// `X-Forwarded-For` that is none of theirs. What a client writes there itself stands before that, and counts
/// for nothing.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|range| range.contains(address))
    };
    let mut client = peer;
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
    while is_trusted(client) {
        // A hop that is no address ends the chain: who wrote it knows what it stands for, and we do not.
        let Some(hop) = hops.next().and_then(|hop| hop.trim().parse().ok()) else { break };
        client = hop;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        let (network, prefix) = text.split_once('/').unwrap();
        Cidr { network: network.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<Cidr> = trusted.iter().map(|range| cidr(range)).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"], &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn the_last_hop_that_is_not_ours_is_the_client() {
        let ours = ["10.0.0.0/8", "::1/128"];
        assert_eq!(client("10.0.0.1", &[], &ours), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 10.0.0.2"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "10.0.0.2"], &ours), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["unknown, 10.0.0.2"], &ours), "10.0.0.2");
        assert_eq!(client("::1", &["10.0.0.3"], &ours), "10.0.0.3");
    }
}
