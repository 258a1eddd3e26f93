//! `session:`, what a vendor has instead of a key that always holds.

use std::time::Duration;

use crate::diag::Location;
use crate::mapping::model::{JsonPath, Pattern, Request};
use crate::value::SecretId;

/// Sessions on both sides: how clients get one of ours, and how we get one of an upstream.
#[derive(Debug)]
pub struct Session {
    /// How long one lives.
    pub life: Life,
    /// What a client is given that logs in: each secret and its form, the one that it is known by first.
    pub gives: Vec<(SecretId, Pattern)>,
    /// How an upstream is logged in to; `None` if it has no sessions.
    pub upstream: Option<LogIn>,
    /// Where it stands.
    pub at: Location,
}

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// For so long.
    pub length: Duration,
    /// True if each call prolongs it.
    pub slides: bool,
}

/// How to get a session of an upstream, and to keep it.
#[derive(Debug)]
pub struct LogIn {
    /// The request that logs in.
    pub request: Request,
    /// Secrets, and where the answer may have them: the first place that has one counts.
    pub takes: Vec<(SecretId, Vec<Source>)>,
    /// Selects something in the answer to a log-in that is not over, whatever its status.
    pub unless: Option<JsonPath>,
    /// The request that prolongs one.
    pub renew: Option<Request>,
    /// What an answer looks like once the session is over.
    pub expired: Vec<Expired>,
}

/// Where an answer has a secret.
#[derive(Debug)]
pub enum Source {
    /// In its JSON body.
    Json(JsonPath),
    /// In a cookie that it sets; holes in the name are settings.
    Cookie(Pattern),
    /// In a header field.
    Header(http::HeaderName),
}

/// What an answer looks like once the session is over: all that is said must be so.
#[derive(Debug)]
pub struct Expired {
    /// Its status.
    pub http: Option<u16>,
    /// The vendor's own code.
    pub native: Option<String>,
    /// What its message begins with.
    pub text: Option<String>,
    /// What its body has.
    pub when: Option<JsonPath>,
    /// True if it is said when the outcome is asked for.
    pub on_poll: bool,
}
