//! What hyper lets pass as a request's head and is none (RFC 9112), or is a larger one than was asked for.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, StatusCode, Version};

use crate::bounds;

/// The status of the bare answer that the head gets, if it may not go on.
pub(super) fn refused<B>(request: &Request<B>, bytes_max: usize) -> Option<StatusCode> {
    if !names_its_host(request) {
        return Some(StatusCode::BAD_REQUEST);
    }
    // hyper counts those of HTTP/1.1 itself.
    if request.headers().len() > bounds::HEADERS_MAX {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    if let Some(status) = misframed(request) {
        return Some(status);
    }
    // hyper holds a head against its bound only when it has to read on.
    (bytes_of(request) > bytes_max).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// RFC 9112 section 6: a message whose end another server might see elsewhere. Of what hyper lets pass: any
/// list of codings that ends with `chunked`, a coding in HTTP/1.0.
fn misframed<B>(request: &Request<B>) -> Option<StatusCode> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    match codings.next() {
        None if chunked(coding) && request.version() == Version::HTTP_11 => None,
        None if !chunked(coding) && request.version() == Version::HTTP_11 => {
            // Section 6.1: a coding that is not understood.
            Some(StatusCode::NOT_IMPLEMENTED)
        }
        None | Some(_) => Some(StatusCode::BAD_REQUEST),
    }
}

/// Looks at a head as it comes, for what hyper takes out of it before anybody else sees it: a second length,
/// or one beside a transfer coding (RFC 9112 section 6.3). Such a message is refused, since whoever stood
/// before us may have gone by the other one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// How the current line begins, as far as it has come.
    start: [u8; Scan::START],
    /// Bytes of the current line, not beyond the size of its start.
    seen: usize,
    /// Fields with a length; two say it all.
    lengths: u8,
    coding: bool,
    ended: bool,
}

impl Scan {
    /// The longer name with its colon.
    const START: usize = b"transfer-encoding:".len();

    /// The next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        let mut begins = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[begins..end];
            if self.seen == 0 {
                self.line(line);
            } else {
                self.keep(line);
                let (start, seen) = (self.start, std::mem::take(&mut self.seen));
                self.line(&start[..seen]);
            }
            if self.ended {
                return;
            }
            begins = end + 1;
        }
        self.keep(&bytes[begins..]);
    }

    /// A part of a line whose end has not come.
    fn keep(&mut self, part: &[u8]) {
        let taken = part.len().min(Self::START - self.seen);
        self.start[self.seen..self.seen + taken].copy_from_slice(&part[..taken]);
        self.seen += taken;
    }

    /// A line, as far as its start.
    fn line(&mut self, line: &[u8]) {
        match line {
            [] | [b'\r'] => self.ended = true,
            [b'c' | b'C', ..] if begins(line, b"content-length:") => {
                self.lengths = self.lengths.saturating_add(1);
            }
            [b't' | b'T', ..] => self.coding |= begins(line, b"transfer-encoding:"),
            _ => {}
        }
    }

    /// True if the head says twice where the message ends.
    pub(super) fn conflicts(&self) -> bool {
        self.lengths > 1 || (self.lengths > 0 && self.coding)
    }
}

fn begins(line: &[u8], name: &[u8]) -> bool {
    line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

/// RFC 9112 section 3.2: once, and by a host; two servers in a row could otherwise take different ones.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_2 => has_authority(request),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host) && agrees(request, host),
        (Some(_), Some(_)) => false,
    }
}

/// RFC 9113 section 8.3.1: what names the host in HTTP/2, mostly; without a user in it.
fn has_authority<B>(request: &Request<B>) -> bool {
    request.uri().authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

/// In the absolute form of a target its host has to be that of the field (RFC 9112 section 3.2.2), and so
/// has that of `:authority` in HTTP/2 (RFC 9113 section 8.3.1).
fn agrees<B>(request: &Request<B>, host: &HeaderValue) -> bool {
    let Some(authority) = request.uri().authority() else { return true };
    host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
}

/// A name or an address with or without a port, or nothing.
fn is_host(host: &HeaderValue) -> bool {
    let bytes = host.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if bytes.iter().all(plain) {
        return true;
    }
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

    fn framed(version: Version, fields: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().uri("/").version(version).header(HOST, "a");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        refused(&request.body(()).unwrap(), 8192).map(|status| status.as_u16())
    }

    #[test]
    fn a_message_ends_in_one_place() {
        let (coding, length) = ("transfer-encoding", "content-length");
        for (fields, wanted) in [
            (&[(coding, "chunked")][..], None),
            (&[(coding, "Chunked")], None),
            (&[(length, "5")], None),
            (&[(coding, "chunked"), (coding, "chunked")], Some(400)),
            (&[(coding, "chunked, chunked")], Some(501)),
            (&[(coding, "identity, chunked")], Some(501)),
            (&[(coding, "gzip, chunked")], Some(501)),
            (&[(coding, "gzip"), (coding, "chunked")], Some(400)),
        ] {
            assert_eq!(framed(Version::HTTP_11, fields), wanted, "{fields:?}");
        }
        assert_eq!(framed(Version::HTTP_10, &[(coding, "chunked")]), Some(400));
    }

    #[test]
    fn a_length_beside_a_coding_is_seen_however_it_comes() {
        let both =
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        let length = "POST / HTTP/1.1\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n\
                      Transfer-Encoding: chunked\r\n";
        let coding = "POST /content-length:5 HTTP/1.1\nTransfer-Encoding: chunked\nA: content-length: 5\n\n\
                      content-length: 5\n";
        let twice = "POST / HTTP/1.1\r\nContent-Length: 5\r\nA: b\r\nContent-Length: 5\r\n\r\n";
        for (head, wanted) in [(both, true), (twice, true), (length, false), (coding, false)] {
            for piece in [1, 2, 7, 19, 1_000] {
                let mut scan = Scan::default();
                head.as_bytes().chunks(piece).for_each(|bytes| scan.feed(bytes));
                assert_eq!(scan.conflicts(), wanted, "{piece}: {head}");
            }
        }
    }

    #[test]
    fn a_target_in_absolute_form_names_the_same_host() {
        for (target, host, wanted) in [
            ("http://a:1/x", "a:1", None),
            ("http://A:1/x", "a:1", None),
            ("http://a/x", "b", Some(400)),
            ("http://a:1/x", "a", Some(400)),
        ] {
            let request = Request::builder().uri(target).header(HOST, host).body(()).unwrap();
            let status = refused(&request, 8192).map(|status| status.as_u16());
            assert_eq!(status, wanted, "{target} {host}");
        }
    }

    #[test]
    fn a_request_in_http2_names_one_host_in_one_of_two_places() {
        for (target, hosts, wanted) in [
            ("http://a:1/x", &[][..], None),
            ("http://a:1/x", &["a:1"], None),
            ("/x", &["a:1"], None),
            ("/x", &[], Some(400)),
            ("http://u@a/x", &[], Some(400)),
            ("http://a/x", &["b"], Some(400)),
            ("http://a/x", &["a", "a"], Some(400)),
        ] {
            let mut request = Request::builder().uri(target).version(Version::HTTP_2);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let status = refused(&request.body(()).unwrap(), 8192).map(|status| status.as_u16());
            assert_eq!(status, wanted, "{target} {hosts:?}");
        }
    }

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
