//! What ZStack refuses, in its two kinds: the REST layer's plain texts, and the system's error objects.

use http::StatusCode;
use serde_json::json;

use crate::sim::exchange::{Answer, Request};

/// Refused by the REST layer, as plain text.
pub(super) enum Refusal {
    /// A 400 with this text.
    Text(String),
    /// No API at this path, which is shown without the context.
    NoApi(String),
    NoJob,
    JobMethod,
    Method {
        text: String,
        allowed: &'static str,
    },
}

/// Refused by the system: the error object of a 503.
pub(super) enum Failure {
    Internal,
    Session,
    LogIn,
    NoTicket(String),
    State { ticket: String, event: String, status: &'static str },
    Argument(String),
}

impl Refusal {
    pub(super) fn method(request: &Request, allowed: &'static str) -> Refusal {
        let Request { method, path, .. } = request;
        Refusal::Method {
            text: format!("The method[{method}] is not allowed for the path[{path}]"),
            allowed,
        }
    }

    pub(super) fn answer(self) -> Answer {
        match self {
            Refusal::Text(text) => Answer::untyped(StatusCode::BAD_REQUEST, text),
            Refusal::NoApi(path) => {
                Answer::untyped(StatusCode::NOT_FOUND, format!("no api mapping to {path}"))
            }
            Refusal::NoJob => Answer::untyped(StatusCode::NOT_FOUND, "the job has been expired"),
            Refusal::JobMethod => Answer::untyped(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET method is allowed for querying job status",
            )
            .allowing("GET"),
            Refusal::Method { text, allowed } => {
                Answer::untyped(StatusCode::METHOD_NOT_ALLOWED, text).allowing(allowed)
            }
        }
    }
}

impl Failure {
    pub(super) fn answer(self) -> Answer {
        let (code, description, details) = match self {
            Failure::Internal => {
                ("SYS.1000", "An internal error happened in system", "simulated failure".to_owned())
            }
            Failure::Session => ("ID.1001", "Invalid session", "Session expired".to_owned()),
            Failure::LogIn => {
                ("ID.1000", "Auth error", "wrong account name or password".to_owned())
            }
            Failure::NoTicket(uuid) => {
                ("SYS.1003", "Resource cannot be found", format!("no ticket[uuid:{uuid}] found"))
            }
            Failure::State { ticket, event, status } => (
                "SYS.1005",
                "Failed to change the state",
                format!("ticket[uuid:{ticket}] in status[{status}] takes no event[{event}]"),
            ),
            Failure::Argument(details) => {
                ("SYS.1007", "One or more API argument is invalid", details)
            }
        };
        let body = json!({"error": {"code": code, "description": description, "details": details}});
        Answer::untyped(StatusCode::SERVICE_UNAVAILABLE, body.to_string())
    }
}
