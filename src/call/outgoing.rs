//! From a record to a request for the upstream.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;

use crate::call::sign::Signed;
use crate::call::{DroppedFields, Services, Stop, Translation};
use crate::config::Policy;
use crate::mapping::model::{Operation, Slot, Step, Type};
use crate::mapping::run::{Gateway, Outgoing, Refusal, Sources, media_type, write_request};
use crate::plan::{Pair, Route, Upstream};
use crate::value::{Fault, Record, Value};

/// The record in the upstream's terms, and the fields that get lost on the way.
#[derive(Debug)]
pub(super) struct Translated<'r, 'a> {
    /// The record with the upstream's id.
    pub(super) record: Cow<'r, Record<'a>>,
    /// Fields that the upstream cannot carry.
    pub(super) dropped: DroppedFields,
}

/// Translates ids by the route's file, and holds the record against the route's policies.
pub(super) fn translate<'r, 'a>(
    services: &Services,
    route: &Route,
    (operation, pair): (&Operation, &Pair),
    // Most calls say the same on both sides.
    mut record: Cow<'r, Record<'a>>,
    consumer: Option<usize>,
) -> Result<Translated<'r, 'a>, Stop> {
    if !route.passes_raw && record.has_raw() {
        record.to_mut().drop_raw();
    }
    if let (Some(pairs), Some(field)) = (&route.ids, pair.ticket)
        && let Some(id) = record.text(field)
    {
        let Some(theirs) = pairs.to_upstream.get(id) else {
            return Err(no_counterpart());
        };
        let theirs = Value::Text(Cow::Owned(theirs.to_string()));
        record.to_mut().set(field, Some(theirs));
    }
    if let Some((field, setting)) = pair.actor {
        let upstream = &services.plan.upstreams[route.upstream];
        let actor = route.credential_for(upstream, consumer).settings.get(setting);
        let actor = actor.map(|actor| Value::Text(Cow::Owned(actor.to_owned())));
        record.to_mut().set(field, actor);
    }
    let lost = pair.dropped.iter().copied().filter(|field| record.get(*field).is_some());
    let dropped: DroppedFields = lost.collect();
    if let Some(first) = dropped.first().filter(|_| route.dropped_fields == Policy::Refuse) {
        let fields = &services.plan.vocabulary.operations[operation.id].request;
        let first = &fields[usize::from(*first)].name;
        let reason = format!("the upstream cannot carry {first}");
        return Err(own_terms(operation, Refusal::member(Fault::InvalidRequest, first, reason)));
    }
    Ok(Translated { record, dropped })
}

/// Nothing is sent of a ticket that the upstream does not have.
pub(super) fn no_counterpart() -> Stop {
    Stop::because(Fault::NotFound, "the ticket has no counterpart in the upstream")
}

/// Writes the request.
pub(super) fn write<'a>(
    services: &'a Services,
    route: &Route,
    (upstream, signed): (&'a Upstream, &'a Signed<'_>),
    (operation, pair): (&Operation, &Pair),
    record: &'a Record<'a>,
    gateway: &'a Gateway<'a>,
    steps: &'a [Vec<String>],
) -> Result<Outgoing, Stop> {
    let target = &upstream.mapping.operations[pair.upstream];
    let sources = sources(services, (upstream, signed), record, gateway, steps);
    let mut outgoing = write_request(target, sources)
        .map_err(|refusal| own_terms(operation, upstream_terms(services, operation, refusal)))?;
    if let Some(name) = outgoing.lossy.first().filter(|_| route.lossy_words == Policy::Refuse) {
        let reason = format!("{name} would lose its meaning in the upstream");
        return Err(own_terms(operation, Refusal::member(Fault::InvalidStatus, name, reason)));
    }
    outgoing.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    Ok(outgoing)
}

/// Everything that a request to the upstream is written from.
pub(super) fn sources<'a>(
    services: &'a Services,
    (upstream, signed): (&'a Upstream, &'a Signed<'_>),
    record: &'a Record<'a>,
    gateway: &'a Gateway<'a>,
    steps: &'a [Vec<String>],
) -> Sources<'a> {
    Sources {
        vocabulary: &services.plan.vocabulary,
        mapping: &upstream.mapping,
        settings: signed.settings(),
        record,
        request: None,
        secrets: Some(signed.secrets()),
        gateway,
        steps,
        parts: &[],
    }
}

/// For what is only explained: a look-up's values are known only once it was made, and their names stand for
/// them.
pub(super) fn named_steps(target: &Operation) -> Vec<Vec<String>> {
    let named =
        |step: &Step| step.take.iter().map(|(name, _)| format!("{}.{name}", step.name)).collect();
    target.steps.iter().map(named).collect()
}

/// Between two systems of one vendor the client's bytes pass as they are, once they were read and
/// found right; only where an id in them is another one, where the upstream has words of its own, or where
/// a setting says what they leave out or who they are from (then there are none here), they are written anew.
pub(super) fn keep_bytes(
    route: &Route,
    upstream: &Upstream,
    head: &Parts,
    body: &[u8],
    outgoing: &mut Outgoing,
) {
    // With other tables an upstream's mapping is another one.
    let same = Arc::ptr_eq(&route.client, &upstream.mapping);
    if !same || route.ids.is_some() || body.is_empty() {
        return;
    }
    outgoing.body = body.to_vec();
    if let Ok(Some(came)) = media_type(&head.headers)
        && let Ok(value) = HeaderValue::from_str(&came)
    {
        outgoing.headers.insert(CONTENT_TYPE, value);
    }
}

/// An id that the upstream's format cannot hold is an id that it does not have.
fn upstream_terms(services: &Services, operation: &Operation, refusal: Refusal) -> Refusal {
    let def = &services.plan.vocabulary.operations[operation.id];
    let is_id = def.request.iter().any(|field| {
        field.name == refusal.field && matches!(field.kind, Type::Id(_)) && field.required
    });
    if is_id && refusal.fault == Fault::InvalidRequest {
        return Refusal { fault: Fault::NotFound, ..refusal };
    }
    refusal
}

/// The refusal by the name that the client gave the member.
pub(super) fn own_terms(operation: &Operation, refusal: Refusal) -> Stop {
    let request = &operation.request;
    let named = request.places().find(|place| {
        place.content.holes().any(|hole| {
            matches!(hole.slot, Slot::Field(_) | Slot::Part(_)) && hole.name == refusal.field
        })
    });
    let field = named.map_or(refusal.field, |place| place.member.clone());
    Stop::from(Refusal { field, ..refusal }).at(Translation::WriteRequest)
}
