//! Simulated ZStack: `PUT /v1/tickets/{uuid}/actions`, `GET /v1/tickets/{uuid}` and the polling of
//! `GET /v1/api-jobs/{uuid}`, with or without `/zstack`; log-ins at `PUT /v1/accounts/login`, whose sessions end
//! two hours later, and `DELETE /v1/accounts/sessions/{uuid}`.
//!
//! What the REST layer refuses is a 400, 404 or 405 in plain text; what the system behind it refuses is
//! a 503 with an error object, an expired session too. No answer has a Content-Type. The vendor's state
//! machine is not public; this one is: a Pending ticket is approved in two steps, any unfinished one can
//! be cancelled or rejected, and what is finished takes only `reopen`.

mod error;
mod jobs;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::System;
use super::account::{Life, Sessions};
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request};
use super::options::Options;

use error::{Failure, Refusal};
use jobs::{Jobs, Poll};

/// The ticket of the page's curl sample.
pub(super) const SAMPLE_TICKET: &str = "e9377476db3f375bbff78dc3b9204f00";

/// The ticket of the page's sample answer.
const SAMPLE_ANSWERED: &str = "f4483251fdfd48cdae0dbb966a2652c9";

/// The inventory of the page's answer, member by member. It is filled in as text: serde_json would write
/// its `1.56402555717E12` in another form.
const SAMPLE_INVENTORY: &str = include_str!("zstack/inventory.json");

/// The status in that inventory.
const SAMPLE_STATUS: &str = "IntermediateApproved";

const PREFIXES: [&str; 2] = ["/zstack/v1", "/v1"];

/// Milliseconds that an API call may take, as the first answer tells.
const API_TIMEOUT_MS: u64 = 1_800_000;

/// Characters of a comment, from the SDK.
const COMMENT_CHARS_MAX: usize = 65_535;

const JOB_UUID: &str = "x-job-uuid";

const LIFE: Life = Life { length: Duration::from_secs(2 * 60 * 60), slides: false, alone: false };

/// The state of one simulated installation.
pub(super) struct Zstack {
    session: String,
    sessions: Sessions,
    asynchronous: bool,
    desk: Desk<Approval>,
    jobs: Jobs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Pending,
    IntermediateApproved,
    FinalApproved,
    Cancelled,
    Rejected,
}

impl Zstack {
    pub(super) fn new(session: String, options: &Options) -> Result<Zstack, UnknownStatus> {
        let samples = [(SAMPLE_TICKET, Approval::Pending), (SAMPLE_ANSWERED, Approval::Pending)];
        Ok(Zstack {
            session,
            sessions: Sessions::new(options.account.clone(), LIFE),
            asynchronous: options.asynchronous,
            desk: Desk::new(&samples, &options.tickets)?,
            jobs: Jobs::default(),
        })
    }

    fn route(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let unknown = || Refusal::NoApi(without_context(&request.path).to_owned());
        let segments = request.segments(&PREFIXES).ok_or_else(unknown)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["api-jobs", job] => self.poll(job, request),
            ["tickets", uuid, "actions"] if request.method == Method::PUT => {
                self.act(uuid, request)
            }
            ["tickets", uuid] if request.method == Method::GET => self.query(uuid, request),
            ["accounts", "login"] if request.method == Method::PUT => self.log_in(request),
            ["accounts", "login"] => Err(Refusal::method(request, "PUT")),
            ["accounts", "sessions", uuid] if request.method == Method::DELETE => {
                self.sessions.end(uuid);
                Ok(Answer::untyped(StatusCode::OK, "{}"))
            }
            ["tickets", _, "actions"] => Err(Refusal::method(request, "PUT")),
            ["tickets", _] => Err(Refusal::method(request, "GET")),
            _ => Err(unknown()),
        }
    }

    /// A log-in is answered at once, a refused one too.
    fn log_in(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| Refusal::Text("the body is not a valid JSON object".to_owned()))?;
        let account = body.get("logInByAccount").ok_or_else(|| {
            let url = without_context(&request.path);
            Refusal::Text(format!("the body doesn't contain action mapping to the URL[{url}]"))
        })?;
        let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = self.sessions.log_in(text("accountName"), text("password"), request.at);
        Ok(match id {
            Some(uuid) => {
                let inventory = json!({"inventory": {"uuid": uuid, "userType": "Account"}});
                Answer::untyped(StatusCode::OK, inventory.to_string())
            }
            None => Failure::LogIn.answer(),
        })
    }

    /// True if the session holds.
    fn admits(&mut self, session: &str, at: Instant) -> bool {
        session == self.session || self.sessions.holds(session, at)
    }

    /// The REST layer's part of a change: everything that is refused in plain text.
    fn act(&mut self, uuid: &str, request: &Request) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| Refusal::Text("the body is not a valid JSON object".to_owned()))?;
        let parameters = body.get("changeTicketStatus").ok_or_else(|| {
            let url = without_context(&request.path);
            Refusal::Text(format!("the body doesn't contain action mapping to the URL[{url}]"))
        })?;
        let session = session(request)?;
        let event = event(&body, parameters)?;
        let job = self.jobs.open(request.header(JOB_UUID))?;
        let comment = parameters.get("comment").and_then(Value::as_str).unwrap_or_default();
        let admitted = self.admits(session, request.at);
        let result = self.perform(uuid, admitted, &event, comment);
        if !self.asynchronous {
            return Ok(result.unwrap_or_else(|failure| failure.answer()));
        }
        let location = format!("{}/zstack/v1/api-jobs/{job}", request.origin());
        self.jobs.finish(job, result.unwrap_or_else(|failure| failure.answer()));
        let accepted = json!({"location": location, "apiTimeout": API_TIMEOUT_MS});
        Ok(Answer::untyped(StatusCode::ACCEPTED, accepted.to_string()))
    }

    /// The system's part: what is refused as a failed job.
    fn perform(
        &mut self,
        uuid: &str,
        admitted: bool,
        event: &str,
        comment: &str,
    ) -> Result<Answer, Failure> {
        if !admitted {
            return Err(Failure::Session);
        }
        if !EVENTS.contains(&event) {
            return Err(Failure::Argument(format!(
                "invalid field[statusEvent], its value must be one of [{}]",
                EVENTS.join(", ")
            )));
        }
        if comment.chars().count() > COMMENT_CHARS_MAX {
            return Err(Failure::Argument(format!(
                "field[comment] exceeds the max length of {COMMENT_CHARS_MAX}"
            )));
        }
        let approval = self.desk.status(uuid).ok_or_else(|| Failure::NoTicket(uuid.to_owned()))?;
        let next = approval.after(event).ok_or_else(|| Failure::State {
            ticket: uuid.to_owned(),
            event: event.to_owned(),
            status: approval.word(),
        })?;
        self.desk.change(uuid, next);
        let body = format!(r#"{{"inventory":{}}}"#, inventory(uuid, next));
        Ok(Answer::untyped(StatusCode::OK, body))
    }

    /// A query answers with a list, and an unknown id with an empty one.
    fn query(&mut self, uuid: &str, request: &Request) -> Result<Answer, Refusal> {
        if !self.admits(session(request)?, request.at) {
            return Ok(Failure::Session.answer());
        }
        let found = self.desk.status(uuid).map(|approval| inventory(uuid, approval));
        let body = format!(r#"{{"inventories":[{}]}}"#, found.unwrap_or_default());
        Ok(Answer::untyped(StatusCode::OK, body))
    }

    /// Polling asks for no session.
    fn poll(&mut self, job: &str, request: &Request) -> Result<Answer, Refusal> {
        if request.method != Method::GET {
            return Err(Refusal::JobMethod);
        }
        match self.jobs.poll(job) {
            Poll::Running => Ok(Answer::untyped(StatusCode::ACCEPTED, "{}")),
            Poll::Finished(answer) => Ok(answer),
            Poll::Unknown => Err(Refusal::NoJob),
        }
    }
}

impl Approval {
    /// The status after an event, if the event is legal here.
    fn after(self, event: &str) -> Option<Approval> {
        let finished =
            matches!(self, Approval::FinalApproved | Approval::Cancelled | Approval::Rejected);
        match event {
            "reopen" => Some(Approval::Pending),
            _ if finished => None,
            "approve" if self == Approval::Pending => Some(Approval::IntermediateApproved),
            "approve" => Some(Approval::FinalApproved),
            "cancel" => Some(Approval::Cancelled),
            "reject" => Some(Approval::Rejected),
            "open" if self == Approval::Pending => Some(Approval::Pending),
            _ => None,
        }
    }
}

impl Status for Approval {
    const ALL: &'static [Approval] = &[
        Approval::Pending,
        Approval::IntermediateApproved,
        Approval::FinalApproved,
        Approval::Cancelled,
        Approval::Rejected,
    ];

    fn word(self) -> &'static str {
        match self {
            Approval::Pending => "Pending",
            Approval::IntermediateApproved => "IntermediateApproved",
            Approval::FinalApproved => "FinalApproved",
            Approval::Cancelled => "Cancelled",
            Approval::Rejected => "Rejected",
        }
    }
}

impl System for Zstack {
    fn answer(&mut self, request: &Request) -> Answer {
        self.route(request).unwrap_or_else(Refusal::answer)
    }

    fn failure(&mut self, status: StatusCode, _request: &Request) -> Option<Answer> {
        let text = status.canonical_reason().unwrap_or("error");
        match status.as_u16() {
            503 => Some(Failure::Internal.answer()),
            400..=500 => Some(Answer::untyped(status, text)),
            _ => None,
        }
    }

    fn end_sessions(&mut self) {
        self.sessions.end_all();
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.desk.list()
    }
}

const EVENTS: [&str; 5] = ["open", "approve", "cancel", "reject", "reopen"];

/// The path without the servlet's context, as the vendor's messages show it.
fn without_context(path: &str) -> &str {
    path.strip_prefix("/zstack").unwrap_or(path)
}

/// The session of the Authorization header, known or not.
fn session(request: &Request) -> Result<&str, Refusal> {
    let value = request
        .header(AUTHORIZATION.as_str())
        .ok_or_else(|| Refusal::Text("missing header 'Authorization'".to_owned()))?;
    let session = value.trim().strip_prefix("OAuth");
    let session =
        session.ok_or_else(|| Refusal::Text("Authorization type must be 'OAuth'".to_owned()))?;
    Ok(session.trim())
}

/// The event, once the types of all members are found right.
fn event(body: &Value, parameters: &Value) -> Result<String, Refusal> {
    let parameters =
        parameters.as_object().ok_or_else(|| wrong_type("changeTicketStatus", "a map"))?;
    let of = |place: &Map<String, Value>, name: &str| {
        place.get(name).is_some_and(|tags| {
            !tags.is_null()
                && !tags.as_array().is_some_and(|list| list.iter().all(Value::is_string))
        })
    };
    for name in ["systemTags", "userTags"] {
        // The page has them beside changeTicketStatus, the vendor's own SDKs inside it.
        if of(parameters, name) || body.as_object().is_some_and(|body| of(body, name)) {
            return Err(wrong_type(name, "a list of strings"));
        }
    }
    if parameters.get("comment").is_some_and(|comment| !comment.is_string() && !comment.is_null()) {
        return Err(wrong_type("comment", "a string"));
    }
    match parameters.get("statusEvent") {
        Some(Value::String(event)) => Ok(event.clone()),
        None | Some(Value::Null) => {
            Err(Refusal::Text("field[statusEvent] is mandatory, it must not be null".to_owned()))
        }
        Some(_) => Err(wrong_type("statusEvent", "a string")),
    }
}

fn wrong_type(field: &str, wanted: &str) -> Refusal {
    Refusal::Text(format!("the field[{field}] must be {wanted}"))
}

/// The page's sample inventory as this ticket, as JSON text.
fn inventory(uuid: &str, approval: Approval) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    SAMPLE_INVENTORY
        .replace('\n', "")
        .replacen(&quoted(SAMPLE_STATUS), &quoted(approval.word()), 1)
        .replacen(&quoted(SAMPLE_ANSWERED), &quoted(uuid), 1)
}
