//! Simulated Thalamus: `PUT /api/v4/cases/{caseInstanceId}/transitions`, `GET /api/v4/cases/{id}` and
//! `GET /api/v4/cases/status`; an operator's log-in at `POST /api/v4/login`, a path of this instance's own.
//!
//! Token and touchpoint in the query or in headers; an operator's log-in, if the options ask for one.
//! Every error is a 400 with `{errors: {name: code}}`, and one code, invalidId, says both that a case
//! does not exist and that it is none of the caller's. A closed case stays closed. Statuses are instance
//! data: this instance has the page's three and `open`. The page does not name the member under which a
//! code stands; those used here are the names of the parameters at fault.

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, SET_COOKIE};
use serde_json::{Value, json};

use super::System;
use super::account::{Life, Sessions};
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request, cookie_is, header_value};
use super::options::{Operator, Options};

/// The case of the page's answer.
pub(super) const SAMPLE_TICKET: &str = "10";

/// The page's answer, to the letter.
const SAMPLE_ANSWER: &str = include_str!("thalamus/case.json");

const PREFIXES: [&str; 1] = ["/api/v4"];

/// No page says how long a session lives.
const LIFE: Life = Life { length: Duration::from_secs(30 * 60), slides: true, alone: false };

const SESSION_COOKIE: &str = "JSESSIONID";

/// The state of one simulated instance.
pub(super) struct Thalamus {
    token: String,
    touchpoint: Option<String>,
    operator: Option<Operator>,
    /// Of the account of the options, if there is one.
    sessions: Option<Sessions>,
    desk: Desk<CaseStatus>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CaseStatus {
    Open,
    InProgress,
    Resolved,
    Closed,
}

/// Everything that Thalamus refuses.
enum Refusal {
    Token,
    Password,
    Touchpoint(&'static str),
    MediaType,
    Json,
    StatusName(&'static str),
    CaseId,
    NoRoute,
    Method(&'static str),
}

impl Thalamus {
    pub(super) fn new(token: String, options: &Options) -> Result<Thalamus, UnknownStatus> {
        Ok(Thalamus {
            token,
            touchpoint: options.touchpoint.clone(),
            operator: options.operator.clone(),
            sessions: options.account.clone().map(|account| Sessions::new(Some(account), LIFE)),
            desk: Desk::new(&[(SAMPLE_TICKET, CaseStatus::Open)], &options.tickets)?,
        })
    }

    fn route(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let segments = request.segments(&PREFIXES).ok_or(Refusal::NoRoute)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("PUT", ["cases", id, "transitions"]) => {
                self.admit(request)?;
                self.change(id, request)
            }
            (_, ["cases", _, "transitions"]) => Err(Refusal::Method("PUT")),
            ("GET", ["cases", "status"]) => {
                self.admit(request)?;
                Ok(Answer::json(StatusCode::OK, &statuses()))
            }
            ("GET", ["cases", id]) => {
                self.admit(request)?;
                self.log_in(request)?;
                let status = self.find(id)?;
                Ok(Answer::json(StatusCode::OK, &case(id, status)))
            }
            (_, ["cases", _]) => Err(Refusal::Method("GET")),
            ("POST", ["login"]) if self.sessions.is_some() => {
                self.admit(request)?;
                self.begin(request)
            }
            _ => Err(Refusal::NoRoute),
        }
    }

    /// Token and touchpoint: the header, or else the query parameter.
    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let token = either(request, "thalamus-token", "token");
        if token.as_deref() != Some(self.token.as_str()) {
            return Err(Refusal::Token);
        }
        match (either(request, "thalamus-touchpoint", "touchpoint"), &self.touchpoint) {
            (None, _) => Err(Refusal::Touchpoint("Required")),
            (Some(given), Some(known)) if given != *known => {
                Err(Refusal::Touchpoint("InvalidCode"))
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// A session that begins, by a password.
    fn begin(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::Json)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let sessions = self.sessions.as_mut().ok_or(Refusal::NoRoute)?;
        let id = sessions.log_in(text("principal"), text("password"), request.at);
        let cookie = format!("{SESSION_COOKIE}={}; Path=/; HttpOnly", id.ok_or(Refusal::Password)?);
        let answer = Answer::json(StatusCode::OK, &json!({"context": {}}));
        Ok(answer.and(SET_COOKIE, header_value(&cookie)))
    }

    /// The operator's session. Without one the caller is authorised for no case, and that is what the
    /// page's `invalidId` says.
    fn log_in(&mut self, request: &Request) -> Result<(), Refusal> {
        if let Some(sessions) = &mut self.sessions {
            let shown = request.cookie(SESSION_COOKIE).ok_or(Refusal::CaseId)?;
            return if sessions.holds(shown, request.at) { Ok(()) } else { Err(Refusal::Token) };
        }
        let Some(operator) = &self.operator else {
            return Ok(());
        };
        let by_cookie =
            request.cookie(SESSION_COOKIE).is_some_and(|value| cookie_is(value, &operator.session));
        let expected = STANDARD.encode(format!("{}:{}", operator.user, operator.password));
        let by_password = request
            .header(AUTHORIZATION.as_str())
            .and_then(|value| value.strip_prefix("Basic "))
            .is_some_and(|given| given == expected);
        if by_cookie || by_password { Ok(()) } else { Err(Refusal::CaseId) }
    }

    fn change(&mut self, id: &str, request: &Request) -> Result<Answer, Refusal> {
        if request.media_type().as_deref() != Some("application/json") {
            return Err(Refusal::MediaType);
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::Json)?;
        let name = match body.get("statusName") {
            None | Some(Value::Null) => return Err(Refusal::StatusName("Required")),
            Some(name) => name,
        };
        self.log_in(request)?;
        if self.find(id)? == CaseStatus::Closed {
            return Err(Refusal::StatusName("statusIsAlreadyClose"));
        }
        let status =
            name.as_str().and_then(CaseStatus::read).ok_or(Refusal::StatusName("invalid"))?;
        self.desk.change(id, status);
        Ok(Answer::json(StatusCode::CREATED, &case(id, status)))
    }

    fn find(&self, id: &str) -> Result<CaseStatus, Refusal> {
        self.desk.status(id).ok_or(Refusal::CaseId)
    }
}

impl CaseStatus {
    /// The name in the list of statuses, which is not the one by which it is set.
    fn title(self) -> &'static str {
        match self {
            CaseStatus::Open => "Open",
            CaseStatus::InProgress => "In progress",
            CaseStatus::Resolved => "Resolved",
            CaseStatus::Closed => "Closed",
        }
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Refusal::Password => failure(400, "password", "invalid"),
            Refusal::Token => failure(400, "token", "InvalidToken"),
            Refusal::Touchpoint(code) => failure(400, "touchpoint", code),
            Refusal::MediaType => failure(400, "request", "UnsupportedMediaType"),
            Refusal::Json => failure(400, "request", "InvalidJson"),
            Refusal::StatusName(code) => failure(400, "statusName", code),
            Refusal::CaseId => failure(400, "caseInstanceId", "invalidId"),
            Refusal::NoRoute => failure(404, "request", "NotFound"),
            Refusal::Method(allowed) => {
                failure(405, "request", "MethodNotAllowed").allowing(allowed)
            }
        }
    }
}

impl Status for CaseStatus {
    const ALL: &'static [CaseStatus] =
        &[CaseStatus::Open, CaseStatus::InProgress, CaseStatus::Resolved, CaseStatus::Closed];

    fn word(self) -> &'static str {
        match self {
            CaseStatus::Open => "open",
            CaseStatus::InProgress => "in_progress",
            CaseStatus::Resolved => "resolved",
            CaseStatus::Closed => "closed",
        }
    }

    /// The vendor's pages write "In progress" in one place and "in_progress" in another.
    fn read(word: &str) -> Option<CaseStatus> {
        let plain = word.to_ascii_lowercase().replace(' ', "_");
        CaseStatus::ALL.iter().copied().find(|status| status.word() == plain)
    }
}

impl System for Thalamus {
    fn answer(&mut self, request: &Request) -> Answer {
        self.route(request).unwrap_or_else(Refusal::answer)
    }

    fn failure(&mut self, status: StatusCode, _request: &Request) -> Option<Answer> {
        Some(match status.as_u16() {
            400 => Refusal::Json.answer(),
            401 => failure(401, "token", "InvalidToken"),
            404 => Refusal::NoRoute.answer(),
            413 => failure(413, "request", "TooLarge"),
            429 => failure(429, "request", "TooManyRequests"),
            code @ 402..=499 => failure(code, "request", "Refused"),
            _ => return None,
        })
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.desk.list()
    }

    fn end_sessions(&mut self) {
        if let Some(sessions) = &mut self.sessions {
            sessions.end_all();
        }
    }
}

fn either(request: &Request, header: &str, parameter: &str) -> Option<String> {
    request.header(header).map(str::to_owned).or_else(|| request.parameter(parameter))
}

fn failure(status: u16, name: &str, code: &str) -> Answer {
    let status = StatusCode::from_u16(status).expect("all statuses above lie from 400 to 499");
    Answer::json(status, &json!({"errors": {name: code}}))
}

/// The page's sample object as this case.
fn case(id: &str, status: CaseStatus) -> Value {
    let mut answer: Value =
        serde_json::from_str(SAMPLE_ANSWER).expect("the page's sample is JSON, a test reads it");
    // An id is an integer on this vendor's side; a ticket of the options may have another.
    answer["case"]["id"] = id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id));
    answer["case"]["status"] = json!(status.word());
    answer
}

fn statuses() -> Value {
    let list: Vec<Value> = CaseStatus::ALL
        .iter()
        .map(|status| {
            json!({
                "statusName": status.title(),
                "initial": *status == CaseStatus::Open,
                "finalState": *status == CaseStatus::Closed,
            })
        })
        .collect();
    json!({"caseStatuses": list})
}
