//! What a simulator saw, for tests to read. Bounded: the oldest records go first. Time-free, so that two
//! runs of one test leave the same log.

use std::collections::VecDeque;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::exchange::{Answer, Request};

/// Records kept; the oldest is dropped for the next. Room for what a thousand calls at once come to, with a log-in
/// among them and jobs that are polled.
const LOG_RECORDS_MAX: usize = 8_192;

/// Bytes kept of all bodies together.
const LOG_BYTES_MAX: usize = 128 * 1_024 * 1_024;

/// Bytes of one request's body that are kept.
const LOG_BODY_BYTES_MAX: usize = 64 * 1_024;

/// One request as it came in, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of the request, from 1.
    pub seq: u64,
    /// The method.
    pub method: String,
    /// Path and query, as they stood in the request line.
    pub target: String,
    /// Headers, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text, its first 64 KiB.
    pub body: String,
    /// The status answered; `None` if the connection ended without one.
    pub status: Option<u16>,
    /// The answer's own headers, the names in lower case; hyper adds what is the connection's.
    pub answer_headers: Vec<(String, String)>,
    /// The answer's body as text, its first 64 KiB.
    pub answer_body: String,
    /// The fault that spoilt the answer, as its switch is written.
    pub fault: Option<String>,
}

/// The last requests of one simulator.
#[derive(Default)]
pub(super) struct Log {
    records: VecDeque<Seen>,
    /// Of the bodies of the records.
    bytes: usize,
    seen: u64,
}

impl Seen {
    /// The value of the first header with this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn body_bytes(&self) -> usize {
        self.body.len() + self.answer_body.len()
    }

    /// The record as `/_sim/log` shows it.
    pub fn to_json(&self) -> Value {
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!([name, value])).collect();
        json!({
            "seq": self.seq,
            "method": self.method,
            "target": self.target,
            "headers": headers,
            "body": self.body,
            "status": self.status,
            "fault": self.fault,
        })
    }
}

impl Log {
    /// Records a request with what became of it: a status, and the answer where one was given.
    pub(super) fn record(
        &mut self,
        request: &Request,
        (status, answer): (Option<u16>, Option<&Answer>),
        fault: Option<String>,
    ) {
        self.seen += 1;
        let seen = Seen {
            seq: self.seen,
            method: request.method.to_string(),
            target: request.target(),
            headers: request.headers.iter().map(header).collect(),
            body: kept(&request.body),
            status,
            answer_headers: answer
                .iter()
                .flat_map(|answer| &answer.headers)
                .map(|(name, value)| header((name, value)))
                .collect(),
            answer_body: answer.map(|answer| kept(&answer.body)).unwrap_or_default(),
            fault,
        };
        self.bytes += seen.body_bytes();
        self.records.push_back(seen);
        while self.records.len() > LOG_RECORDS_MAX || self.bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.body_bytes();
        }
    }

    pub(super) fn list(&self) -> Vec<Seen> {
        self.records.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

fn header((name, value): (&HeaderName, &HeaderValue)) -> (String, String) {
    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn kept(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(LOG_BODY_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bodies_leave_room_for_fewer() {
        let request = Request {
            method: http::Method::POST,
            path: "/x".to_owned(),
            query: None,
            headers: http::HeaderMap::new(),
            body: vec![b' '; 2 * LOG_BODY_BYTES_MAX].into(),
            at: tokio::time::Instant::now(),
            now: jiff::Timestamp::UNIX_EPOCH,
            listener: ([127, 0, 0, 1], 7001).into(),
        };
        let mut log = Log::default();
        let room = LOG_BYTES_MAX / LOG_BODY_BYTES_MAX;
        for _ in 0..room + 3 {
            log.record(&request, (None, None), None);
        }
        assert_eq!((log.records.len(), log.records[0].seq), (room, 4));
        log.clear();
        log.record(&request, (None, None), None);
        assert_eq!(log.bytes, LOG_BODY_BYTES_MAX);
    }
}
