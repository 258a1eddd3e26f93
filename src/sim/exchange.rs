//! One request and one answer as plain data: what a simulated system sees and says. No I/O, and no
//! vendor's rules.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, COOKIE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::time::Instant;

/// A request with its body read, and the time at which it came.
pub(super) struct Request {
    pub(super) method: Method,
    /// The path as it stood in the request line, still encoded.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// For what is counted by the second.
    pub(super) at: Instant,
    /// For what is counted by the day.
    pub(super) now: Timestamp,
    /// Where the simulator listens, for a request that names no host.
    pub(super) listener: SocketAddr,
}

/// An answer before it is written.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Request {
    /// Path and query, as they stood in the request line.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The first header with this name, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a cookie, still encoded.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The first query parameter with this name, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_deref()?.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The media type of the body, without parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.header(CONTENT_TYPE.as_str())?;
        let essence = value.split(';').next().unwrap_or(value);
        Some(essence.trim().to_ascii_lowercase())
    }

    /// The decoded segments below the first prefix that fits; `None` if none fits or one is empty.
    pub(super) fn segments(&self, prefixes: &[&str]) -> Option<Vec<String>> {
        let below =
            prefixes.iter().find_map(|prefix| self.path.strip_prefix(prefix)?.strip_prefix('/'))?;
        let segments: Vec<String> = below.split('/').map(decoded).collect();
        segments.iter().all(|segment| !segment.is_empty()).then_some(segments)
    }

    /// Scheme, host and port by which the client reached the simulator.
    pub(super) fn origin(&self) -> String {
        match self.header(HOST.as_str()) {
            Some(host) => format!("http://{host}"),
            None => format!("http://{}", self.listener),
        }
    }
}

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Answer {
        Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A body of no declared type.
    pub(super) fn untyped(status: StatusCode, body: impl Into<Bytes>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// A body with its type.
    pub(super) fn typed(
        status: StatusCode,
        media_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Answer {
        Answer::untyped(status, body).with(CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    /// A compact JSON body.
    pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
        Answer::typed(status, "application/json", body.to_string())
    }

    /// The same with this header, in place of one with its name.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// The same with one more header, also of a name that is there.
    pub(super) fn and(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.push((name, value));
        self
    }

    /// The same with the methods that the path does take.
    pub(super) fn allowing(self, methods: &'static str) -> Answer {
        self.with(ALLOW, HeaderValue::from_static(methods))
    }
}

/// A header value from a text that the simulator composed itself.
pub(super) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a number and a date are visible ASCII")
}

/// Whether a cookie's value is this secret, as it stands or percent-decoded: clients do either.
pub(super) fn cookie_is(value: &str, secret: &str) -> bool {
    value == secret || decoded(value) == secret
}

/// Percent-decodes one segment or value.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
