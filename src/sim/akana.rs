//! Simulated Akana: `POST /api/tickets/{TicketID}/actions` and `GET /api/tickets/{TicketID}`.
//!
//! The platform cookie `AtmoAuthToken_{tenant}`, and for a write the header `X-Csrf-Token_{tenant}` if
//! the platform has that protection on. JSON or XML under ten media types; the answer is the bare new
//! state as text, so an Accept without text/plain finds nothing, and neither does a wrong type or verb.
//! The workflow is the default one: resolve and close from the open states, close also from Resolved,
//! reopen from Resolved and Closed; anything else is a 500. Its fault has the keys that a real client
//! reads; their XML form, and the text of each fault, are not on record.

mod accept;
mod action;
#[cfg(test)]
mod tests;

use http::StatusCode;
use http::header::ACCEPT;
use serde_json::json;

use super::System;
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request, cookie_is};
use super::options::Options;

use accept::Accept;
use action::{Action, Form};

/// The ticket of the page's sample.
pub(super) const SAMPLE_TICKET: &str = "ticket25687.acmepaymentscorp";

/// The state of one simulated tenant.
pub(super) struct Akana {
    token: String,
    cookie: String,
    csrf: Option<(String, String)>,
    desk: Desk<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Resolved,
    Closed,
    Reopen,
}

/// Everything that Akana refuses. What was wrong with a 401 or a 404 it does not tell.
enum Refusal {
    Unauthorized,
    NotFound,
    Malformed(&'static str),
    /// The workflow has no such action in this state: it and the ticket's state.
    Illegal(String, State),
}

impl Akana {
    pub(super) fn new(token: String, options: &Options) -> Result<Akana, UnknownStatus> {
        let tenant = &options.tenant;
        Ok(Akana {
            token,
            cookie: format!("AtmoAuthToken_{tenant}"),
            csrf: options.csrf.clone().map(|value| (format!("x-csrf-token_{tenant}"), value)),
            desk: Desk::new(&[(SAMPLE_TICKET, State::Open)], &options.tickets)?,
        })
    }

    fn route(&mut self, request: &Request, accept: &Accept) -> Result<Answer, Refusal> {
        let segments = request.segments(&["/api"]).ok_or(Refusal::NotFound)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["tickets", id, "actions"]) => {
                self.log_in(request)?;
                self.check_csrf(request)?;
                self.act(id, request, accept)
            }
            ("GET", ["tickets", id]) => {
                self.log_in(request)?;
                self.read(id, accept)
            }
            _ => Err(Refusal::NotFound),
        }
    }

    fn log_in(&self, request: &Request) -> Result<(), Refusal> {
        let token = request.cookie(&self.cookie).ok_or(Refusal::Unauthorized)?;
        if cookie_is(token, &self.token) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    fn check_csrf(&self, request: &Request) -> Result<(), Refusal> {
        let Some((header, value)) = &self.csrf else {
            return Ok(());
        };
        if request.header(header) == Some(value) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    fn act(&mut self, id: &str, request: &Request, accept: &Accept) -> Result<Answer, Refusal> {
        let form = Form::of(request).ok_or(Refusal::NotFound)?;
        if !accept.takes("text/plain") {
            return Err(Refusal::NotFound);
        }
        let action = Action::read(&request.body, form).map_err(Refusal::Malformed)?;
        let state = self.desk.status(id).ok_or(Refusal::NotFound)?;
        let next = state.after(&action.name).ok_or(Refusal::Illegal(action.name, state))?;
        self.desk.change(id, next);
        Ok(Answer::typed(StatusCode::OK, "text/plain", next.word()))
    }

    fn read(&self, id: &str, accept: &Accept) -> Result<Answer, Refusal> {
        if !accept.takes_form(Form::Json) {
            return Err(Refusal::NotFound);
        }
        let state = self.desk.status(id).ok_or(Refusal::NotFound)?;
        let ticket = json!({
            "TicketID": id,
            "Title": "Simulated ticket",
            "Description": "",
            "State": state.word(),
            "Comments": 0,
        });
        Ok(Answer::json(StatusCode::OK, &ticket))
    }
}

impl State {
    /// The state after an action, if the workflow has the action here.
    fn after(self, action: &str) -> Option<State> {
        match (action, self) {
            ("ticket.action.resolve", State::Open | State::Reopen) => Some(State::Resolved),
            ("ticket.action.close", State::Open | State::Reopen | State::Resolved) => {
                Some(State::Closed)
            }
            ("ticket.action.reopen", State::Resolved | State::Closed) => Some(State::Reopen),
            _ => None,
        }
    }
}

impl Refusal {
    fn answer(self, form: Form) -> Answer {
        match self {
            Refusal::Unauthorized => {
                fault(StatusCode::UNAUTHORIZED, "Client", "Unauthorized", form)
            }
            Refusal::NotFound => fault(StatusCode::NOT_FOUND, "Client", "Not Found", form),
            Refusal::Malformed(why) => fault(StatusCode::BAD_REQUEST, "Client", why, form),
            Refusal::Illegal(action, state) => {
                let text = format!("Action {action} is not valid in state {}", state.word());
                fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", &text, form)
            }
        }
    }
}

impl Status for State {
    const ALL: &'static [State] = &[State::Open, State::Resolved, State::Closed, State::Reopen];

    fn word(self) -> &'static str {
        match self {
            State::Open => "OPEN",
            State::Resolved => "RESOLVED",
            State::Closed => "CLOSED",
            State::Reopen => "REOPEN",
        }
    }
}

impl System for Akana {
    fn answer(&mut self, request: &Request) -> Answer {
        let accept = Accept::read(request.header(ACCEPT.as_str()));
        let form = accept.fault_form(request);
        self.route(request, &accept).unwrap_or_else(|refusal| refusal.answer(form))
    }

    fn failure(&mut self, status: StatusCode, request: &Request) -> Option<Answer> {
        let form = Accept::read(request.header(ACCEPT.as_str())).fault_form(request);
        let text = status.canonical_reason().unwrap_or("Error");
        match status.as_u16() {
            500 => Some(fault(status, "Server", "An error occurred processing the call.", form)),
            400..=499 => Some(fault(status, "Client", text, form)),
            _ => None,
        }
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.desk.list()
    }
}

fn fault(status: StatusCode, code: &str, text: &str, form: Form) -> Answer {
    match form {
        Form::Json => Answer::json(status, &json!({"faultcode": code, "faultstring": text})),
        Form::Xml => {
            let text = quick_xml::escape::escape(text);
            let body = format!(
                "<Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></Fault>"
            );
            Answer::typed(status, "application/xml", body)
        }
    }
}
