//! Asking for an outcome that the answer did not say.

use std::time::Duration;

use crate::diag::Location;
use crate::mapping::model::{Body, JsonPath, Pattern, Request};

/// `poll:`, where an answer may say that the work goes on.
#[derive(Debug)]
pub struct Poll {
    /// The status that says so.
    pub code: u16,
    /// Where its body names the address to ask at.
    pub location: JsonPath,
    /// Time between two questions.
    pub every: Duration,
    /// The status of a job that goes on.
    pub running: u16,
    /// The statuses of a job that is over; its answer then reads like any of the operation.
    pub done: Vec<u16>,
    /// The path's segments of the question by the call's own id, which needs no address.
    pub ask: Option<Vec<Pattern>>,
    /// How clients are answered whose calls go on; none if all are answered at once.
    pub accepted: Option<Accepted>,
    /// Where it stands.
    pub at: Location,
}

/// How a client learns what came of its call: it is told where to ask, and asks.
#[derive(Debug)]
pub struct Accepted {
    /// The answer to the call, with the address to ask at.
    pub answer: Vec<Body>,
    /// The answer to a question while the call goes on.
    pub pending: Vec<Body>,
    /// The question; the job's id is the call's, in its path.
    pub question: Request,
    /// By what a client names its call itself, where it may.
    pub id: Option<JobId>,
    /// A header field by which a client asks to be called back, which it never is.
    pub refuse: Option<http::HeaderName>,
}

/// Where a client's request has the id of its job.
#[derive(Debug)]
pub struct JobId {
    /// The header field.
    pub header: http::HeaderName,
    /// Its name as the client's faults show it.
    pub member: String,
}
