//! Whether a call may go on: a place among those in flight, and its consumer's limit.

use http::request::Parts;

use crate::call::{Services, Stop};
use crate::limit::Decision;
use crate::mapping::run::RequestHead;
use crate::plan::Target;
use crate::upstream::gate::{Gate, Place};
use crate::value::Fault;

/// The head as the mapping sees it: without the route's and the vendor's prefix.
pub(super) fn request_head<'a>(head: &'a Parts, target: &Target) -> RequestHead<'a> {
    let path = head.uri.path();
    RequestHead {
        path: path.get(target.prefix..).unwrap_or(path),
        query: head.uri.query(),
        headers: &head.headers,
    }
}

/// Takes a place among the calls in flight. Past them nobody waits: a queue before what is too slow only
/// makes everybody late.
pub(super) fn enter(services: &Services) -> Result<Place<&Gate>, Stop> {
    Gate::enter(&*services.gate).ok_or_else(|| {
        let stop =
            Stop::new(Fault::Overloaded).caused("as many calls as there may be are in flight");
        Stop { retry_after: Some(1), ..stop }
    })
}

/// Charges the consumer's limit.
pub(super) fn charge(
    services: &Services,
    route: usize,
    consumer: usize,
) -> Result<Option<Decision>, (Stop, Decision)> {
    let Some(limiter) = services.limiters.get(route).and_then(Option::as_ref) else {
        return Ok(None);
    };
    let decision = limiter.check(u32::try_from(consumer).unwrap_or(u32::MAX));
    match decision.retry_after_seconds() {
        None => Ok(Some(decision)),
        Some(seconds) => {
            let stop = Stop { retry_after: Some(seconds), ..Stop::new(Fault::RateLimited) };
            Err((stop, decision))
        }
    }
}
