//! Simulated Arena: `POST /tickets/statuschanges` and `GET /tickets/{guid}`, with or without `/v1`.
//!
//! A session id in the header or cookie `arena_session_id`; errors as `{status, errors: [{code,
//! message}]}` with the codes and texts of Arena's own table; every answer, refusals too, spends one of
//! the day's requests and says how many are left. A ticket that is Complete can no longer be edited.
//! `POST /login` and `PUT /logout`: the sessions of the account of the options, one at a time, for 90 minutes
//! after their last use; the token of the options is one that never ends.

mod quota;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{HeaderName, SERVER};
use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::System;
use super::account::{Life, Sessions};
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request, header_value};
use super::options::Options;

use quota::Quota;

/// The ticket of the page's request.
pub(super) const SAMPLE_TICKET: &str = "1J3M5I3UHK1GZI1K31L4";

/// The page's answer, to the letter.
const SAMPLE_ANSWER: &str = include_str!("arena/ticket.json");

const PREFIXES: [&str; 2] = ["/v1", ""];

/// Characters of a guid, all upper-case letters and digits.
const GUID_CHARS: usize = 20;

const SESSION: &str = "arena_session_id";

/// A second log-in ends the first one's session.
const LIFE: Life = Life { length: Duration::from_secs(90 * 60), slides: true, alone: true };

const REMAINING: HeaderName = HeaderName::from_static("x-arena-requests-remaining");
const RESET: HeaderName = HeaderName::from_static("x-arena-next-request-limit-reset");

/// The state of one simulated workspace.
pub(super) struct Arena {
    session: String,
    sessions: Sessions,
    desk: Desk<Stage>,
    quota: Quota,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    NotStarted,
    InProgress,
    Complete,
}

/// Everything that Arena refuses, one row of its code table each.
enum Refusal {
    Syntax,
    NoSession,
    LogIn,
    NoResource,
    Method(&'static str),
    MediaType,
    TooManyRequests,
    AttributeMissing(&'static str),
    GuidMissing,
    GuidWrong(String),
    NotFound(String),
    StatusWrong,
    Complete,
}

impl Arena {
    pub(super) fn new(session: String, options: &Options) -> Result<Arena, UnknownStatus> {
        Ok(Arena {
            session,
            sessions: Sessions::new(options.account.clone(), LIFE),
            desk: Desk::new(&[(SAMPLE_TICKET, Stage::NotStarted)], &options.tickets)?,
            quota: Quota::new(options.requests_per_day),
        })
    }

    fn route(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let segments = request.segments(&PREFIXES).ok_or(Refusal::NoResource)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["tickets", "statuschanges"]) => {
                self.admit(request)?;
                self.change(request)
            }
            (_, ["tickets", "statuschanges"]) => Err(Refusal::Method("POST")),
            ("GET", ["tickets", guid]) => {
                self.admit(request)?;
                let stage = self.find(guid)?;
                Ok(Answer::json(StatusCode::OK, &ticket(guid, stage)))
            }
            (_, ["tickets", _]) => Err(Refusal::Method("GET")),
            ("POST", ["login"]) => self.log_in(request),
            (_, ["login"]) => Err(Refusal::Method("POST")),
            ("PUT", ["logout"]) => {
                self.admit(request)?;
                self.sessions.end(id_of(&shown(request).unwrap_or_default()));
                Ok(Answer::empty(StatusCode::OK))
            }
            (_, ["logout"]) => Err(Refusal::Method("PUT")),
            _ => Err(Refusal::NoResource),
        }
    }

    fn admit(&mut self, request: &Request) -> Result<(), Refusal> {
        let shown = shown(request).ok_or(Refusal::NoSession)?;
        let known = shown == self.session || self.sessions.holds(id_of(&shown), request.at);
        if known { Ok(()) } else { Err(Refusal::NoSession) }
    }

    fn log_in(&mut self, request: &Request) -> Result<Answer, Refusal> {
        if request.media_type().as_deref() != Some("application/json") {
            return Err(Refusal::MediaType);
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::Syntax)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = self.sessions.log_in(text("email"), text("password"), request.at);
        let id = format!("LABS-{}|", id.ok_or(Refusal::LogIn)?);
        let workspace = body.get("workspaceId").cloned().unwrap_or(json!(200_002));
        Ok(Answer::json(
            StatusCode::OK,
            &json!({
                "arenaSessionId": id, "workspaceId": workspace, "workspaceName": "Labs",
                "workspaceRequestLimit": 25_000
            }),
        ))
    }

    fn change(&mut self, request: &Request) -> Result<Answer, Refusal> {
        if request.media_type().as_deref() != Some("application/json") {
            return Err(Refusal::MediaType);
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::Syntax)?;
        let body = body.as_object().ok_or(Refusal::Syntax)?;
        let named = body.get("ticket").ok_or(Refusal::AttributeMissing("ticket"))?;
        let status = body.get("status").ok_or(Refusal::AttributeMissing("status"))?;
        let guid = match named.get("guid") {
            Some(Value::String(guid)) if !guid.is_empty() => guid,
            Some(Value::String(_) | Value::Null) | None => return Err(Refusal::GuidMissing),
            Some(other) => return Err(Refusal::GuidWrong(other.to_string())),
        };
        let stage = status.as_str().and_then(Stage::read).ok_or(Refusal::StatusWrong)?;
        if self.find(guid)? == Stage::Complete {
            return Err(Refusal::Complete);
        }
        self.desk.change(guid, stage);
        Ok(Answer::json(StatusCode::CREATED, &ticket(guid, stage)))
    }

    fn find(&self, guid: &str) -> Result<Stage, Refusal> {
        let well_formed = guid.len() == GUID_CHARS
            && guid.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        match self.desk.status(guid) {
            Some(stage) => Ok(stage),
            None if well_formed => Err(Refusal::NotFound(guid.to_owned())),
            None => Err(Refusal::GuidWrong(guid.to_owned())),
        }
    }

    /// The headers that Arena puts on all its answers.
    fn dressed(&self, answer: Answer) -> Answer {
        answer
            .with(SERVER, HeaderValue::from_static("ArenaSolutions"))
            .with(REMAINING, header_value(&self.quota.remaining().to_string()))
            .with(RESET, header_value(&self.quota.reset()))
    }
}

impl Stage {
    /// The text and the guid of the page's template, Defects.
    fn shown(self) -> Value {
        match self {
            Stage::NotStarted => json!({"guid": "Q8SBU7SJ69QM5O7Q9SCG", "value": "Not Started"}),
            Stage::InProgress => json!({"guid": "R9TCV8TK7ARN6P8RATDZ", "value": "In Progress"}),
            // Neither its guid nor its text stands in Arena's documents.
            Stage::Complete => json!({"guid": "S0UDW9UL8BSO7Q9SBUEA", "value": "Complete"}),
        }
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        let (status, code, message) = match self {
            Refusal::Syntax => (
                400,
                400,
                "The format of the request is not valid. Please check the syntax.".to_owned(),
            ),
            Refusal::NoSession => (401, 401, NO_SESSION.to_owned()),
            Refusal::LogIn => (400, 4001, "The email or password is not valid.".to_owned()),
            Refusal::NoResource => (404, 404, "No resource has been found.".to_owned()),
            Refusal::Method(allowed) => {
                return failure(405, 405, "The method is not allowed.").allowing(allowed);
            }
            Refusal::MediaType => (415, 415, "Unsupported Media Type".to_owned()),
            Refusal::TooManyRequests => (429, 429, "Too Many Requests".to_owned()),
            Refusal::AttributeMissing(name) => {
                (400, 3001, format!("The attribute \"{name}\" is required."))
            }
            Refusal::GuidMissing => {
                (400, 3098, "Guid in the request is either null or empty.".to_owned())
            }
            Refusal::GuidWrong(guid) => (400, 3011, format!("The guid \"{guid}\" is not valid.")),
            Refusal::NotFound(guid) => {
                (400, 3012, format!("The requested object with guid \"{guid}\" is not found."))
            }
            Refusal::StatusWrong => (400, 3083, "Invalid status.".to_owned()),
            Refusal::Complete => {
                (400, 3090, "Ticket cannot be edited when status is Complete.".to_owned())
            }
        };
        failure(status, code, &message)
    }
}

impl Status for Stage {
    const ALL: &'static [Stage] = &[Stage::NotStarted, Stage::InProgress, Stage::Complete];

    fn word(self) -> &'static str {
        match self {
            Stage::NotStarted => "NOT_STARTED",
            Stage::InProgress => "IN_PROGRESS",
            Stage::Complete => "COMPLETE",
        }
    }
}

impl System for Arena {
    fn answer(&mut self, request: &Request) -> Answer {
        let answer = if self.quota.spend(request.now) {
            self.route(request).unwrap_or_else(Refusal::answer)
        } else {
            Refusal::TooManyRequests.answer()
        };
        self.dressed(answer)
    }

    fn failure(&mut self, status: StatusCode, request: &Request) -> Option<Answer> {
        let answer = match status.as_u16() {
            400 => Refusal::Syntax.answer(),
            401 => Refusal::NoSession.answer(),
            403 => failure(403, 3024, NO_PRIVILEGE),
            404 => Refusal::NoResource.answer(),
            503 => failure(503, 503, "The service is currently unavailable."),
            code @ 402..=499 => {
                failure(code, code, status.canonical_reason().unwrap_or("Client Error"))
            }
            _ => return None,
        };
        self.quota.spend(request.now);
        Some(self.dressed(answer))
    }

    fn end_sessions(&mut self) {
        self.sessions.end_all();
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.desk.list()
    }
}

/// The session that a request shows. An id ends in `|`, which a cookie carries as %7C.
fn shown(request: &Request) -> Option<String> {
    let header = request.header(SESSION).map(str::to_owned);
    let cookie = || {
        let value = request.cookie(SESSION)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    header.or_else(cookie)
}

/// What of a session's id is its own.
fn id_of(session: &str) -> &str {
    session.strip_prefix("LABS-").and_then(|rest| rest.strip_suffix('|')).unwrap_or("")
}

const NO_SESSION: &str =
    "There is no access token associated with this request or the access token is not valid.";

const NO_PRIVILEGE: &str =
    "Either you do not have privileges to access the requested data or it does not exist.";

fn failure(status: u16, code: u16, message: &str) -> Answer {
    let body = json!({"status": status, "errors": [{"code": code, "message": message}]});
    let status = StatusCode::from_u16(status).expect("all statuses above lie from 400 to 599");
    Answer::json(status, &body)
}

/// The page's sample object as this ticket.
fn ticket(guid: &str, stage: Stage) -> Value {
    let mut ticket: Value =
        serde_json::from_str(SAMPLE_ANSWER).expect("the page's sample is JSON, a test reads it");
    ticket["guid"] = json!(guid);
    ticket["status"] = stage.shown();
    ticket
}
