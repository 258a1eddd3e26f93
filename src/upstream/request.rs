//! A request as the bytes of HTTP/1.1 (RFC 9112 sections 3 to 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT, VIA};
use http::{HeaderMap, HeaderName, Method};

use crate::codec::decimal::Decimal;
use crate::ident::CallId;

/// What we call ourselves.
pub(super) const AGENT: &str = concat!("latimer/", env!("CARGO_PKG_VERSION"));
/// RFC 9110 section 7.6.3.
pub(super) const VIA_LATIMER: &str = "1.1 latimer";
/// W3C Trace Context.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request for an upstream.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Path and query, the upstream's base path included.
    pub target: String,
    /// What is sent besides what every request of ours has. Without a `traceparent` here one is made.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The call's id, which goes along.
    pub call: CallId,
    /// Who is told once a byte of it may have left.
    pub departure: Departure,
}

/// Whether a byte of a request may have left, for those who cannot ask the call itself: it knows, but while
/// it runs it has no time to answer. By default nobody asks.
#[derive(Clone, Debug, Default)]
pub struct Departure(Option<Arc<AtomicBool>>);

/// What every request to one upstream has, written once.
#[derive(Clone, Debug)]
pub(super) struct Preamble(String);

impl Preamble {
    /// For an upstream of that name, with its port where it is not the scheme's own.
    pub(super) fn new(authority: &str) -> Self {
        Self(format!(
            " HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {AGENT}\r\nvia: {VIA_LATIMER}\r\n\
             x-request-id: "
        ))
    }
}

impl Departure {
    /// One that somebody asks.
    pub fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// Nothing has left of the request that comes next.
    pub fn reset(&self) {
        self.set(false);
    }

    /// A byte may have left.
    pub fn leave(&self) {
        self.set(true);
    }

    /// True if a byte may have left; `None` if nobody was to be told.
    pub fn has_left(&self) -> Option<bool> {
        self.0.as_ref().map(|left| left.load(Ordering::Relaxed))
    }

    fn set(&self, left: bool) {
        if let Some(flag) = &self.0 {
            flag.store(left, Ordering::Relaxed);
        }
    }
}

impl Request {
    /// True if the target can stand in a request line: a path, and nothing that ends it early.
    ///
    /// Whatever is put into a path is percent-encoded where it is put; this is the second look, which
    /// does not rely on the first.
    pub(super) fn has_sound_target(&self) -> bool {
        self.target.starts_with('/')
            && self.target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    }

    /// The whole message in one piece, so that it leaves in one write.
    pub(super) fn encode(&self, preamble: &Preamble) -> Vec<u8> {
        const MARKS: usize = 240;
        let size = self.target.len() + preamble.0.len() + self.body.len() + MARKS;
        let mut bytes = Vec::with_capacity(size + 48 * self.headers.len());
        bytes.extend_from_slice(self.method.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(self.target.as_bytes());
        bytes.extend_from_slice(preamble.0.as_bytes());
        bytes.extend_from_slice(self.call.digits().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        // There are so few that looking through them is quicker than a hash.
        if !self.headers.keys().any(|name| name == TRACEPARENT) {
            bytes.extend_from_slice(b"traceparent: ");
            bytes.extend_from_slice(&self.trace());
            bytes.extend_from_slice(b"\r\n");
        }
        for (name, value) in &self.headers {
            if !is_ours(name) {
                bytes.extend_from_slice(name.as_str().as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
        }
        if !self.body.is_empty() || expects_body(&self.method) {
            bytes.extend_from_slice(b"content-length: ");
            bytes.extend_from_slice(Decimal::of(self.body.len() as u64).as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Request {
    /// A trace that begins here (W3C Trace Context, section 3.2): the call's id, a parent that no other
    /// request has, and not sampled, since nobody has asked for it.
    pub(super) fn trace(&self) -> [u8; 55] {
        let mut trace = *b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        trace[3..35].copy_from_slice(self.call.digits().as_bytes());
        trace[36..52].copy_from_slice(&CallId::random().digits().as_bytes()[..16]);
        trace
    }
}

/// Fields that frame the message or are in the preamble.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, USER_AGENT, VIA].contains(name)
        || name.as_str() == "x-request-id"
}

/// Methods whose empty body is announced (RFC 9110 section 8.6).
pub(super) fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(method: Method, target: &str, body: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("thalamus-token", HeaderValue::from_static("t"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", HeaderValue::from_static("999"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("host", HeaderValue::from_static("elsewhere"));
        headers.insert("x-request-id", HeaderValue::from_static("another"));
        headers.insert("traceparent", HeaderValue::from_static("00-client-01"));
        let (target, body) = (target.to_owned(), body.as_bytes().to_vec());
        let (call, departure) = (CallId::random(), Departure::default());
        Request { method, target, headers, body, call, departure }
    }

    #[test]
    fn a_message_has_one_length_one_host_and_one_id() {
        let request = request(Method::PUT, "/api/v4/cases/10/transitions?touchpoint=web", "{}");
        let text = String::from_utf8(request.encode(&Preamble::new("desk:7004"))).unwrap();
        let wanted = format!(
            "PUT /api/v4/cases/10/transitions?touchpoint=web HTTP/1.1\r\nhost: desk:7004\r\n\
             user-agent: latimer/{}\r\nvia: 1.1 latimer\r\nx-request-id: {}\r\n\
             thalamus-token: t\r\ncontent-type: application/json\r\ntraceparent: 00-client-01\r\n\
             content-length: 2\r\n\r\n{{}}",
            env!("CARGO_PKG_VERSION"),
            request.call
        );
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_request_without_a_trace_begins_one() {
        let mut request = request(Method::GET, "/", "");
        request.headers.remove("traceparent");
        let trace = || {
            let text = String::from_utf8(request.encode(&Preamble::new("h"))).unwrap();
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("traceparent: "));
            let trace = lines.next().unwrap().to_owned();
            assert!(lines.next().is_none(), "{text}");
            trace
        };
        let (first, second) = (trace(), trace());
        let wanted = format!("00-{}-", request.call);
        for trace in [&first, &second] {
            assert!(trace.starts_with(&wanted) && trace.ends_with("-00"), "{trace}");
            let parent = &trace[36..52];
            assert!(trace.len() == 55 && parent.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_ne!(first, second, "every request is a parent of its own");
    }

    #[test]
    fn only_a_method_with_a_body_announces_an_empty_one() {
        for (method, announced) in [
            (Method::GET, false),
            (Method::DELETE, false),
            (Method::POST, true),
            (Method::PUT, true),
            (Method::PATCH, true),
        ] {
            let text = request(method.clone(), "/", "").encode(&Preamble::new("h"));
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.contains("content-length: 0\r\n"), announced, "{method}");
            assert!(text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn a_target_is_a_path_and_ends_where_it_ends() {
        for (target, sound) in [
            ("/", true),
            ("/a/b%20c?d=e&f=%23", true),
            ("", false),
            ("*", false),
            ("http://elsewhere/", false),
            ("/a b", false),
            ("/a\r\nX: y", false),
            ("/a\0", false),
            ("/a#b", false),
            ("/\u{e9}", false),
        ] {
            assert_eq!(request(Method::GET, target, "").has_sound_target(), sound, "{target:?}");
        }
    }
}
