//! Which route a request belongs to.

use http::header::HOST;
use http::request::Parts;

use crate::call::Stop;
use crate::plan::{Found, Plan, Target};
use crate::value::Fault;

/// A request that found its route, or is refused by it.
#[derive(Debug)]
pub(super) struct Matched {
    /// Index of the route.
    pub(super) route: usize,
    /// Operations that share the line.
    pub(super) targets: Result<Vec<Target>, Box<Stop>>,
}

/// Finds the route; `None` if it is nobody's.
pub(super) fn find_route(plan: &Plan, head: &Parts) -> Option<Matched> {
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| head.headers.get(HOST)?.to_str().ok());
    match plan.routing.find(host, &head.method, head.uri.path()) {
        Found::Targets(targets) => {
            Some(Matched { route: targets.first()?.route, targets: Ok(targets) })
        }
        Found::Method { route, allow } => {
            let stop = Stop { allow, ..Stop::because(Fault::MethodNotAllowed, "the method") };
            Some(Matched { route, targets: Err(Box::new(stop)) })
        }
        Found::UnknownPath { route } => {
            let stop = Stop::because(Fault::UnknownPath, "the path");
            Some(Matched { route, targets: Err(Box::new(stop)) })
        }
        Found::Nothing => None,
    }
}
