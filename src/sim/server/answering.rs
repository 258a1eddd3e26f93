//! What one request comes to: the system's answer, unless a fault is due. Also the two pages that a
//! simulator serves about itself, `/_sim/log` and `/_sim/tickets`, which need no credential, are not
//! logged and meet no fault.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{Break, Shared, State};
use crate::sim::exchange::{Answer, Request};
use crate::sim::fault::{Due, Fault};

/// Blanks that `huge` puts after the right body: a reader without a bound still finds what it looks
/// for, so that only a bound can refuse it.
const HUGE_BYTES: usize = 5 * 1_024 * 1_024;

/// Where `redirect` points: below it nothing is served, and a client that follows shows in the log.
const ELSEWHERE: &str = "/elsewhere";

/// The simulator's own pages; `None` for any other path.
pub(super) fn about_itself(shared: &Shared, request: &Request) -> Option<Answer> {
    let page = request.path.strip_prefix("/_sim/")?;
    if !matches!(page, "log" | "tickets") {
        return Some(Answer::typed(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there are log and tickets",
        ));
    }
    if request.method != Method::GET {
        return Some(Answer::empty(StatusCode::METHOD_NOT_ALLOWED).allowing("GET"));
    }
    if page == "log" {
        let seen = shared.state().log.list();
        let body: String = seen.iter().map(|seen| format!("{}\n", seen.to_json())).collect();
        return Some(Answer::typed(StatusCode::OK, "application/x-ndjson", body));
    }
    let tickets = shared.state().system.tickets();
    let tickets: Vec<Value> = tickets
        .into_iter()
        .map(|held| json!({"id": held.id, "status": held.status, "changes": held.changes}))
        .collect();
    Some(Answer::json(StatusCode::OK, &Value::Array(tickets)))
}

/// Answers, spoils and records one request. The first value is how long the answer waits.
pub(super) fn settle(
    state: &mut State,
    request: &Request,
    whole: bool,
) -> (Option<Duration>, Result<Answer, Break>) {
    let Due { latency, fault } = state.faults.next();
    let answer = match &fault {
        Some(Fault::Http(status)) => refuse(state, *status, request),
        Some(Fault::Html) => web_page(StatusCode::OK),
        Some(Fault::Redirect) => redirect(request),
        _ if whole => state.system.answer(request),
        _ => refuse(state, StatusCode::PAYLOAD_TOO_LARGE, request),
    };
    let outcome = spoil(answer, fault.as_ref());
    let status = match &outcome {
        Ok(answer) => Some(answer.status),
        Err(breaking) => breaking.status(),
    };
    // A wait is a fault as well, and the only one that goes with another.
    let written: Vec<String> =
        latency.map(Fault::Latency).iter().chain(fault.iter()).map(Fault::to_string).collect();
    let written = (!written.is_empty()).then(|| written.join(" "));
    let status = status.map(|status| status.as_u16());
    state.log.record(request, (status, outcome.as_ref().ok()), written);
    (latency, outcome)
}

/// A status in the vendor's own shape, or else in that of a balancer in front of it.
fn refuse(state: &mut State, status: StatusCode, request: &Request) -> Answer {
    match state.system.failure(status, request) {
        Some(answer) => answer,
        None if status.as_u16() >= 400 => web_page(status),
        None => Answer::empty(status),
    }
}

fn spoil(answer: Answer, fault: Option<&Fault>) -> Result<Answer, Break> {
    match fault {
        Some(Fault::Reset) => Err(Break::Reset),
        Some(Fault::Empty) => Err(Break::Silence),
        Some(Fault::Garbage) => Err(Break::Garbage),
        Some(Fault::Truncate) => Err(Break::truncated(&answer)),
        Some(Fault::Huge) => Ok(padded(answer)),
        Some(Fault::ContentType(value)) => Ok(answer.with(CONTENT_TYPE, value.clone())),
        Some(Fault::Latency(_) | Fault::Http(_) | Fault::Html | Fault::Redirect) | None => {
            Ok(answer)
        }
    }
}

fn padded(mut answer: Answer) -> Answer {
    let mut body = Vec::with_capacity(answer.body.len() + HUGE_BYTES);
    body.extend_from_slice(&answer.body);
    body.resize(answer.body.len() + HUGE_BYTES, b' ');
    answer.body = Bytes::from(body);
    answer
}

fn redirect(request: &Request) -> Answer {
    let target = format!("{ELSEWHERE}{}", request.target());
    // From bytes, because a path that hyper lets through need not be ASCII.
    let location = HeaderValue::from_bytes(target.as_bytes())
        .unwrap_or_else(|_| HeaderValue::from_static(ELSEWHERE));
    Answer::empty(StatusCode::FOUND).with(LOCATION, location)
}

/// The page of a balancer, or of a portal that wants a log-in first.
fn web_page(status: StatusCode) -> Answer {
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Status"));
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n\
         <body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    Answer::typed(status, "text/html", page)
}
