//! Which route a request belongs to.

use http::header::HOST;
use http::request::Parts;

use crate::call::Stop;
use crate::call::forward::{self, Unmapped};
use crate::config;
use crate::plan::{Found, Plan, Target};
use crate::value::Fault;

/// A request that found its route, or is refused by it.
#[derive(Debug)]
pub(super) struct Matched<'p> {
    /// Index of the route.
    pub(super) route: usize,
    /// How it goes on.
    pub(super) way: Result<Way<'p>, Box<Stop>>,
}

/// How a request goes on.
#[derive(Debug)]
pub(super) enum Way<'p> {
    /// It is one of these operations, which share the line; at least one.
    Mapped(&'p [Target]),
    /// It is none that the mapping knows, on a route that forwards.
    Unmapped(Unmapped),
}

/// Finds the route; `None` if it is nobody's.
pub(super) fn find_route<'p>(plan: &'p Plan, head: &Parts) -> Option<Matched<'p>> {
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| head.headers.get(HOST)?.to_str().ok());
    let (route, stop) = match plan.routing.find(host, &head.method, head.uri.path()) {
        Found::Targets(targets) => {
            let route = targets.first()?.route;
            return Some(Matched { route, way: Ok(Way::Mapped(targets)) });
        }
        Found::Method { route, allow } => {
            (route, Stop { allow, ..Stop::because(Fault::MethodNotAllowed, "the method") })
        }
        Found::UnknownPath { route } => (route, Stop::because(Fault::UnknownPath, "the path")),
        Found::Nothing => return None,
    };
    let way = match plan.routes[route].unmapped {
        config::Unmapped::Refuse => Err(stop),
        config::Unmapped::Forward => forward::take(&plan.routes[route], head).map(Way::Unmapped),
    };
    Some(Matched { route, way: way.map_err(Box::new) })
}
