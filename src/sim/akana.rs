//! Simulated Akana: `POST /api/tickets/{TicketID}/actions` and `GET /api/tickets/{TicketID}`.
//!
//! `POST /api/login` and `/api/login/renewToken` give sessions of 30 minutes, each with a CSRF token of its own.
//! The platform cookie `AtmoAuthToken_{tenant}`, and for a write the header `X-Csrf-Token_{tenant}` if
//! the platform has that protection on. JSON or XML under ten media types; the answer is the bare new
//! state as text, so an Accept without text/plain finds nothing, and neither does a wrong type or verb.
//! The workflow is the default one: resolve and close from the open states, close also from Resolved,
//! reopen from Resolved and Closed; anything else is a 500. Its fault has the keys that a real client
//! reads; their XML form, the text of each fault, and a whole ticket, are not on record.

mod accept;
mod action;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, SET_COOKIE};
use serde_json::{Value, json};

use super::System;
use super::account::{Life, Sessions};
use super::desk::{Desk, Status, Ticket, UnknownStatus};
use super::exchange::{Answer, Request, cookie_is, header_value};
use super::options::Options;

use accept::Accept;
use action::{Action, Form};

/// The ticket of the page's sample.
pub(super) const SAMPLE_TICKET: &str = "ticket25687.acmepaymentscorp";

const LIFE: Life = Life { length: Duration::from_secs(30 * 60), slides: false, alone: false };

/// The title of every ticket.
const TITLE: &str = "Simulated ticket";

/// The state of one simulated tenant.
pub(super) struct Akana {
    token: String,
    cookie: String,
    csrf: Option<(String, String)>,
    tenant: String,
    sessions: Sessions,
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
            tenant: tenant.clone(),
            sessions: Sessions::new(options.account.clone(), LIFE),
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
                self.read(id, request, accept)
            }
            ("POST", ["login"]) => self.begin(request),
            ("POST", ["login", "renewToken"]) => self.renew(request),
            _ => Err(Refusal::NotFound),
        }
    }

    fn log_in(&mut self, request: &Request) -> Result<(), Refusal> {
        let token = request.cookie(&self.cookie).ok_or(Refusal::Unauthorized)?;
        let known = cookie_is(token, &self.token)
            || self.sessions.holds(id_of(token).unwrap_or_default(), request.at);
        if known { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    /// Of a session that a log-in has made it is its own, else what the options say.
    fn check_csrf(&self, request: &Request) -> Result<(), Refusal> {
        let session = request.cookie(&self.cookie).and_then(id_of);
        let (header, value) = match (session, &self.csrf) {
            (Some(id), _) => (format!("x-csrf-token_{}", self.tenant), csrf_of(id)),
            (None, Some((header, value))) => (header.clone(), value.clone()),
            (None, None) => return Ok(()),
        };
        if request.header(&header) == Some(&value) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    /// A session that begins, by a password.
    fn begin(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let body: Value =
            serde_json::from_slice(&request.body).map_err(|_| Refusal::Malformed("no JSON"))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = self.sessions.log_in(text("email"), text("password"), request.at);
        self.given(&id.ok_or(Refusal::Unauthorized)?, text("email"))
    }

    /// A session that goes on under another id.
    fn renew(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let id = request.cookie(&self.cookie).and_then(id_of).ok_or(Refusal::Unauthorized)?;
        let id = self.sessions.renew(id, request.at).ok_or(Refusal::Unauthorized)?;
        self.given(&id, "simulated")
    }

    /// The two cookies of a session.
    fn given(&self, id: &str, user: &str) -> Result<Answer, Refusal> {
        let tenant = &self.tenant;
        let answer = Answer::json(StatusCode::OK, &json!({"userName": user}));
        let token =
            format!("AtmoAuthToken_{tenant}=TokenID%3D{id}%2CclaimedId%3Dx; Path=/; HttpOnly");
        let csrf = format!("Csrf-Token_{tenant}={}; Path=/", csrf_of(id));
        Ok(answer.and(SET_COOKIE, header_value(&token)).and(SET_COOKIE, header_value(&csrf)))
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

    fn read(&self, id: &str, request: &Request, accept: &Accept) -> Result<Answer, Refusal> {
        let form = accept.fault_form(request);
        if !accept.takes_form(form) {
            return Err(Refusal::NotFound);
        }
        let word = self.desk.status(id).ok_or(Refusal::NotFound)?.word();
        if form == Form::Xml {
            let body = format!(
                "<Ticket><TicketID>{}</TicketID><Title>{TITLE}</Title><Description/>\
                 <State>{word}</State><Comments>0</Comments></Ticket>",
                quick_xml::escape::escape(id)
            );
            return Ok(Answer::typed(StatusCode::OK, "application/xml", body));
        }
        let ticket = json!({
            "TicketID": id,
            "Title": TITLE,
            "Description": "",
            "State": word,
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

    fn end_sessions(&mut self) {
        self.sessions.end_all();
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

/// The session's id in a cookie: `TokenID%3D…%2C…`.
fn id_of(cookie: &str) -> Option<&str> {
    cookie.strip_prefix("TokenID%3D")?.split("%2C").next()
}

fn csrf_of(session: &str) -> String {
    format!("TokenID%3D{session}%2Ccsrf")
}
