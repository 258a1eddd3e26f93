//! From a request's bytes to a record.

use http::request::Parts;

use crate::call::admit::request_head;
use crate::call::{Services, Stop};
use crate::config::Policy;
use crate::mapping::model::{BodyKind, Operation, Slot};
use crate::mapping::run::{ReadOptions, Settings, read_request, selects};
use crate::plan::{Route, Target};
use crate::value::{Fault, Record};

/// A request that was read and found right.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// Index of the operation in the client's mapping.
    pub(super) operation: usize,
    /// What the request says.
    pub(super) record: Record<'a>,
    /// False if the body leaves something out that a setting says; only between systems of one vendor,
    /// where a body may pass as it came.
    pub(super) whole: bool,
}

/// Tells which of the operations on the line it is.
pub(super) fn choose_operation(
    route: &Route,
    targets: &[Target],
    head: &Parts,
    body: &[u8],
) -> Option<Target> {
    let fits = |target: &&Target| {
        let operation = &route.client.operations[target.operation];
        selects(&operation.request, &request_head(head, target), body)
    };
    targets.iter().find(fits).cloned()
}

/// The kind of body that the request came with, for answering alike.
pub(super) fn body_kind<'r>(operation: &'r Operation, head: &Parts) -> Option<&'r BodyKind> {
    let media_type = crate::mapping::run::media_type(&head.headers).ok()?;
    let bodies = &operation.request.bodies;
    crate::mapping::run::choose_body(bodies, media_type.as_deref()).map(|body| &body.kind)
}

/// Reads the request.
pub(super) fn decode<'a>(
    services: &Services,
    route: &Route,
    targets: &[Target],
    head: &'a Parts,
    body: &'a [u8],
    settings: &Settings,
) -> Result<Decoded<'a>, Stop> {
    let plan = &services.plan;
    let options = ReadOptions {
        depth_max: plan.bounds.depth_max,
        refuse_unknown: route.unknown_members == Policy::Refuse,
    };
    let chosen = choose_operation(route, targets, head, body);
    // With one operation on the line a body that cannot be read gets its own words; that it is
    // another operation's is known only once it was read.
    let target =
        chosen.as_ref().or(targets.first()).ok_or_else(|| Stop::new(Fault::InvalidRequest))?;
    let operation = &route.client.operations[target.operation];
    let read = read_request(
        &plan.vocabulary,
        &route.client,
        operation,
        &request_head(head, target),
        body,
        settings,
        options,
    );
    match (chosen, read) {
        (Some(target), Ok((record, _))) => {
            let again = || {
                let head = request_head(head, &target);
                let (vocabulary, none) = (&plan.vocabulary, Settings::default());
                read_request(vocabulary, &route.client, operation, &head, body, &none, options)
            };
            let whole = !route.passes_raw
                || !may_come_of_settings(operation, &record, settings)
                || again().is_ok_and(|(said, _)| said.present().eq(record.present()));
            Ok(Decoded { operation: target.operation, record, whole })
        }
        (None, Err(refusal)) if refusal.fault == Fault::InvalidRequest => Err(refusal.into()),
        (None, _) => {
            let reason = "the body doesn't contain action mapping to the URL";
            Err(Stop::because(Fault::InvalidRequest, reason))
        }
        (Some(_), Err(refusal)) => Err(refusal.into()),
    }
}

/// True if a member of the body says what a setting says, so that it may have come from there.
fn may_come_of_settings(operation: &Operation, record: &Record<'_>, settings: &Settings) -> bool {
    let request = &operation.request;
    request.demands.iter().any(|demand| {
        let setting = demand.setting.and_then(|setting| settings.get(setting));
        setting.is_some()
            && setting == record.text(demand.field)
            && request
                .bodies
                .iter()
                .flat_map(|body| &body.places)
                .flat_map(|place| place.content.holes())
                .any(|hole| hole.slot == Slot::Field(demand.field))
    })
}
