//! Whether a call may go on: a place among those in flight, and its consumer's limit.

use http::request::Parts;

use crate::call::respond::Learned;
use crate::call::{CallRecord, Services, Stop};
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

/// From here on the call is this consumer's.
pub(super) fn know(consumer: usize, learned: &mut Learned, record: &mut CallRecord) {
    learned.consumer = Some(consumer);
    record.consumer = learned.consumer;
}

/// Charges the consumer's limit. Who that is and what the limit says stand on a refusal, too.
pub(super) fn charge(
    services: &Services,
    route: usize,
    consumer: usize,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<(), Stop> {
    know(consumer, learned, record);
    let Some(limiter) = services.limiters.get(route).and_then(Option::as_ref) else {
        return Ok(());
    };
    let decision = limiter.check(u32::try_from(consumer).unwrap_or(u32::MAX));
    let wait = decision.retry_after_seconds();
    learned.decision = Some(decision);
    record.decision = learned.decision;
    match wait {
        None => Ok(()),
        Some(_) => Err(Stop { retry_after: wait, ..Stop::new(Fault::RateLimited) }),
    }
}
