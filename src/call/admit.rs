//! Who asks, and whether it may.

use http::request::Parts;

use crate::call::{Services, Stop};
use crate::limit::Decision;
use crate::mapping::run::{Presented, RequestHead, read_secrets};
use crate::plan::{KeyRefused, Plan, Route, Target};
use crate::upstream::gate::{Gate, Place};
use crate::value::Fault;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The consumer.
    pub(super) consumer: usize,
    /// Index of the operation in whose places the key was found.
    pub(super) operation: usize,
}

/// Finds the consumer by the key that the client's vendor has a place for.
pub(super) fn find_caller(
    services: &Services,
    route: &Route,
    target: &Target,
    head: &Parts,
) -> Result<Caller, Stop> {
    let plan = &services.plan;
    let request = &route.client.operations[target.operation].request;
    let presented = read_secrets(
        &plan.vocabulary,
        &route.client,
        request,
        &request_head(head, target),
        &route.settings,
    )?;
    let key = presented_key(plan, &presented).ok_or(Stop::new(Fault::CredentialsMissing))?;
    Ok(Caller { consumer: consumer_of(plan, route, key)?, operation: target.operation })
}

/// The key among the secrets that a client presented.
pub(super) fn presented_key<'p>(plan: &Plan, presented: &'p Presented<'_>) -> Option<&'p str> {
    plan.vocabulary.secret("auth.token").and_then(|token| presented.get(token))
}

/// The consumer with that key, if it may use the route.
pub(super) fn consumer_of(plan: &Plan, route: &Route, key: &str) -> Result<usize, Stop> {
    match plan.consumer(key) {
        Ok(consumer) if route.admits(consumer) => Ok(consumer),
        // A key that is good elsewhere is told nothing that a wrong key is not told.
        Ok(_) => Err(Stop::new(Fault::Unauthenticated).caused("not a consumer of this route")),
        Err(KeyRefused::Unknown) => {
            Err(Stop::new(Fault::Unauthenticated).caused("no consumer has this key"))
        }
        Err(KeyRefused::Expired) => {
            Err(Stop::new(Fault::Unauthenticated).caused("the key has expired"))
        }
    }
}

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
