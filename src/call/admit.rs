//! Whether a call may go on: a place among those in flight, and its limits.

use std::net::{IpAddr, Ipv4Addr};

use http::request::Parts;

use crate::call::address::client_address;
use crate::call::identity::Known;
use crate::call::respond::{Learned, Responder};
use crate::call::{CallRecord, Services, Stop};
use crate::limit::{Caller, Charged};
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

/// Where a call comes from.
pub(super) fn address(services: &Services, head: &Parts, record: &CallRecord) -> IpAddr {
    let peer = record.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    client_address(peer, &head.headers, &services.plan.trusted_proxies)
}

/// Lets nobody in from where too many calls came that showed no key that is good: theirs are not looked at.
pub(super) fn check_address(
    responder: &Responder<'_>,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<(), Stop> {
    let Responder { services, head, .. } = *responder;
    let seconds = services.limits.is_shut(|| address(services, head, record));
    seconds.map_or(Ok(()), |seconds| refuse_if(Charged::Shut(seconds), learned, record))
}

/// Counts a call that showed no key that is good.
pub(super) fn note_refusal(responder: &Responder<'_>, stop: &Stop, record: &CallRecord) {
    if matches!(
        stop.fault,
        Fault::Unauthenticated | Fault::CredentialsMissing | Fault::LogInRefused
    ) {
        let Responder { services, head, .. } = *responder;
        services.limits.note_unauthenticated(address(services, head, record));
    }
}

/// Charges all limits of a call, or none. Who it is from and what they say stand on a refusal, too.
pub(super) async fn charge(
    responder: &Responder<'_>,
    route: usize,
    known: &Known,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<(), Stop> {
    let Responder { services, head, .. } = *responder;
    know(known.consumer, learned, record);
    let charged = {
        let address = || address(services, head, record);
        let caller = Caller { consumer: known.consumer, key: known.key, address: &address };
        services.limits.charge(&services.plan, route, &caller)
    };
    let charged = match charged {
        Ok(charged) => charged,
        Err(charges) => {
            let charged = Box::pin(services.limits.charge_shared(&charges)).await;
            Some(charged.map_err(|error| {
                let stop = Stop::new(Fault::Overloaded).caused(error.to_string());
                Stop { retry_after: Some(1), ..stop }
            })?)
        }
    };
    charged.map_or(Ok(()), |charged| refuse_if(charged, learned, record))
}

/// How the limits of somebody stand whose call is not charged.
pub(super) async fn look(
    responder: &Responder<'_>,
    route: usize,
    known: &Known,
    learned: &mut Learned,
    record: &CallRecord,
) {
    let Responder { services, head, .. } = *responder;
    let charges = {
        let address = || address(services, head, record);
        let caller = Caller { consumer: known.consumer, key: known.key, address: &address };
        services.limits.charges(&services.plan, route, &caller)
    };
    learned.charged = services.limits.look(&charges).await;
}

fn refuse_if(charged: Charged, learned: &mut Learned, record: &mut CallRecord) -> Result<(), Stop> {
    let (refuser, retry_after) = (charged.refuser(), charged.retry_after_seconds());
    record.decision = Some(refuser.map_or(Ok(()), Err));
    learned.charged = Some(charged);
    match refuser {
        None => Ok(()),
        Some(_) => Err(Stop { retry_after, ..Stop::new(Fault::RateLimited) }),
    }
}
