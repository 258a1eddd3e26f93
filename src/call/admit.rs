//! Who asks, and whether it may.

use http::request::Parts;

use crate::call::{Services, Stop};
use crate::limit::Decision;
use crate::mapping::run::{RequestHead, read_secrets};
use crate::plan::{Route, Target};
use crate::value::Fault;

/// Finds the consumer by the key that the client's vendor has a place for.
pub(super) fn find_consumer(
    services: &Services,
    route: &Route,
    target: &Target,
    head: &Parts,
) -> Result<usize, Stop> {
    let plan = &services.plan;
    let request = &route.client.operations[target.operation].request;
    let presented = read_secrets(
        &plan.vocabulary,
        &route.client,
        request,
        &request_head(head, target),
        &route.settings,
    )?;
    let token = plan.vocabulary.secret("auth.token").and_then(|token| presented.get(token));
    let Some(key) = token else { return Err(Stop::new(Fault::CredentialsMissing)) };
    match plan.consumer(key) {
        Some(consumer) if route.admits(consumer) => Ok(consumer),
        // A key that is good elsewhere is told nothing that a wrong key is not told.
        Some(_) => Err(Stop::new(Fault::Unauthenticated).caused("not a consumer of this route")),
        None => Err(Stop::new(Fault::Unauthenticated).caused("no consumer has this key")),
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
