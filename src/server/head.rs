//! What hyper lets pass as a request's head and is none (RFC 9112), or is a larger one than was asked for.

use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, Version};

/// The status of the bare answer that the head gets, if it may not go on.
pub(super) fn refused<B>(request: &Request<B>, bytes_max: usize) -> Option<StatusCode> {
    if !names_its_host(request) {
        return Some(StatusCode::BAD_REQUEST);
    }
    // hyper holds a head against its bound only when it has to read on.
    (bytes_of(request) > bytes_max).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// RFC 9112 section 3.2: once, and by a host; two servers in a row could otherwise take different ones.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    }
}

/// A name or an address with or without a port, or nothing.
fn is_host(host: &HeaderValue) -> bool {
    let bytes = host.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && http::uri::Authority::try_from(bytes).is_ok())
}

/// The bytes of the head as it came, but for white space around a value.
fn bytes_of<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let line = request.method().as_str().len() + scheme + authority + path + "  HTTP/1.1\r\n".len();
    let field = |name: &str, value: &HeaderValue| name.len() + value.len() + ": \r\n".len();
    let fields = request.headers().iter().map(|(name, value)| field(name.as_str(), value));
    line + fields.sum::<usize>() + "\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, hosts: &[&str]) -> Option<u16> {
        let mut request = Request::builder().uri("/").version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        refused(&request.body(()).unwrap(), 8192).map(|status| status.as_u16())
    }

    #[test]
    fn a_request_names_one_host() {
        for host in ["a", "a.example:8080", "127.0.0.1:1", "[::1]:80", ""] {
            assert_eq!(status(Version::HTTP_11, &[host]), None, "{host}");
        }
        for host in ["a b", "a/b", "u@a", "[::1", "a?b"] {
            assert_eq!(status(Version::HTTP_11, &[host]), Some(400), "{host}");
        }
        assert_eq!(status(Version::HTTP_11, &["a", "a"]), Some(400));
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_10, &["a", "b"]), Some(400));
    }

    #[test]
    fn a_head_has_as_many_bytes_as_came() {
        let head = "POST http://a:1/b?c HTTP/1.1\r\nhost: a:1\r\nx: yz\r\n\r\n";
        let request = Request::builder().method("POST").uri("http://a:1/b?c");
        let request = request.header(HOST, "a:1").header("x", "yz").body(()).unwrap();
        assert_eq!(bytes_of(&request), head.len());
        assert_eq!(refused(&request, head.len()), None);
        assert_eq!(
            refused(&request, head.len() - 1),
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        );
    }
}
