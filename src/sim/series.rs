//! Simulated Series.hr: `POST /tickets/{ticketId}/status` and `GET /tickets/get/{ticketId}`.
//!
//! A key in `apikey` or `x-api-key`; the envelope `{success, data | error}`; any status may follow any
//! other; 25 requests a second. The bodies of 401 and 429 stand in no page of the vendor's: here they
//! have the shape of the others.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::System;
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request};
use super::options::Options;

/// The ticket of the page's sample.
pub(super) const SAMPLE_TICKET: &str = "TICKET-1234567890-ABCD";

const WINDOW: Duration = Duration::from_secs(1);

/// The state of one simulated workspace.
pub(super) struct Series {
    key: String,
    desk: Desk<Stage>,
    window: Window,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    InProgress,
    Resolved,
    Closed,
}

/// The requests of the key in the last second. Only one key is valid, so there is one window.
struct Window {
    requests_max: Option<usize>,
    taken: VecDeque<Instant>,
}

enum Refusal {
    Wrong(&'static str),
    NoKey,
    NoTicket,
    NoRoute,
    Method(&'static str),
    MediaType,
    TooManyRequests,
}

impl Series {
    pub(super) fn new(key: String, options: &Options) -> Result<Series, UnknownStatus> {
        let requests_max = options.requests_per_second.map(|limit| limit as usize);
        Ok(Series {
            key,
            desk: Desk::new(&[(SAMPLE_TICKET, Stage::Open)], &options.tickets)?,
            window: Window { requests_max, taken: VecDeque::new() },
        })
    }

    fn route(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let segments = request.segments(&[""]).ok_or(Refusal::NoRoute)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["tickets", "get", id]) => {
                self.admit(request)?;
                self.read(id)
            }
            (_, ["tickets", "get", _]) => Err(Refusal::Method("GET")),
            ("POST", ["tickets", id, "status"]) => {
                self.admit(request)?;
                self.change(id, request)
            }
            (_, ["tickets", _, "status"]) => Err(Refusal::Method("POST")),
            _ => Err(Refusal::NoRoute),
        }
    }

    fn admit(&mut self, request: &Request) -> Result<(), Refusal> {
        let key = request.header("apikey").or_else(|| request.header("x-api-key"));
        if key != Some(self.key.as_str()) {
            return Err(Refusal::NoKey);
        }
        if self.window.take(request.at) { Ok(()) } else { Err(Refusal::TooManyRequests) }
    }

    fn read(&self, id: &str) -> Result<Answer, Refusal> {
        let stage = self.desk.status(id).ok_or(Refusal::NoTicket)?;
        let body = json!({
            "success": true,
            "data": {"Ticket": {"TicketId": id, "Status": stage.word()}},
        });
        Ok(Answer::json(StatusCode::OK, &body))
    }

    fn change(&mut self, id: &str, request: &Request) -> Result<Answer, Refusal> {
        if request.media_type().as_deref() != Some("application/json") {
            return Err(Refusal::MediaType);
        }
        let body: Value =
            serde_json::from_slice(&request.body).map_err(|_| Refusal::Wrong("Invalid JSON"))?;
        let word = match body.get("status") {
            Some(status) => status.as_str().and_then(Stage::read),
            None => return Err(Refusal::Wrong("status is required")),
        };
        let stage = word.ok_or(Refusal::Wrong(INVALID_STATUS))?;
        match body.get("staffUserId") {
            Some(staff) if staff.is_i64() || staff.is_u64() => {}
            Some(_) => return Err(Refusal::Wrong("staffUserId must be an integer")),
            None => return Err(Refusal::Wrong("staffUserId is required")),
        }
        self.desk.status(id).ok_or(Refusal::NoTicket)?;
        self.desk.change(id, stage);
        let message = format!("Status changed to {}", stage.word());
        Ok(Answer::json(StatusCode::OK, &json!({"success": true, "data": {"message": message}})))
    }
}

impl Window {
    /// Takes a place in the second that ends now, if there is one.
    fn take(&mut self, at: Instant) -> bool {
        let Some(requests_max) = self.requests_max else {
            return true;
        };
        while self.taken.front().is_some_and(|first| at.duration_since(*first) >= WINDOW) {
            self.taken.pop_front();
        }
        if self.taken.len() >= requests_max {
            return false;
        }
        self.taken.push_back(at);
        true
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Refusal::Wrong(message) => failure(400, message),
            Refusal::NoKey => failure(401, "Invalid API key"),
            Refusal::NoTicket => failure(404, "Ticket not found"),
            Refusal::NoRoute => failure(404, "Not found"),
            Refusal::Method(allowed) => failure(405, "Method not allowed").allowing(allowed),
            Refusal::MediaType => failure(415, "Unsupported Media Type"),
            Refusal::TooManyRequests => failure(429, "Rate limit exceeded"),
        }
    }
}

impl Status for Stage {
    const ALL: &'static [Stage] = &[Stage::Open, Stage::InProgress, Stage::Resolved, Stage::Closed];

    fn word(self) -> &'static str {
        match self {
            Stage::Open => "open",
            Stage::InProgress => "in-progress",
            Stage::Resolved => "resolved",
            Stage::Closed => "closed",
        }
    }
}

impl System for Series {
    fn answer(&mut self, request: &Request) -> Answer {
        self.route(request).unwrap_or_else(Refusal::answer)
    }

    fn failure(&mut self, status: StatusCode, _request: &Request) -> Option<Answer> {
        Some(match status.as_u16() {
            400 => failure(400, "Bad request"),
            401 => Refusal::NoKey.answer(),
            403 => failure(403, "Tickets module requires a Premium or Enterprise subscription"),
            404 => Refusal::NoTicket.answer(),
            429 => Refusal::TooManyRequests.answer(),
            500 => failure(500, "Internal server error"),
            code @ 402..=499 => failure(code, status.canonical_reason().unwrap_or("Client Error")),
            _ => return None,
        })
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.desk.list()
    }
}

const INVALID_STATUS: &str = "Invalid status. Must be one of: open, in-progress, resolved, closed";

fn failure(code: u16, message: &str) -> Answer {
    let body = json!({"success": false, "error": {"code": code, "message": message}});
    let status = StatusCode::from_u16(code).expect("all codes above lie from 400 to 500");
    Answer::json(status, &body)
}
