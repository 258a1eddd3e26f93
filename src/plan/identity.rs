//! What a route's `enrich`, `read_back`, `journal` and `actor` come to: how a ticket is read beside a write, and whose
//! name calls bear.

use crate::config::{self, Actor, Records};
use crate::diag::{Diagnostic, Location};
use crate::mapping::model::{
    Field, Hole, Mapping, Operation, OperationDef, OperationKind, OrElse, Slot, Type, Vocabulary,
};
use crate::mapping::syntax::Arrow;
use crate::plan::{Journaled, Pair, ReadBack, Settles, Upstream};
use crate::value::SettingId;

/// The operation by which a ticket is read.
pub(super) const READ_TICKET: &str = "read_ticket";

/// The reading operation of a mapping, by its index there.
fn reading(vocabulary: &Vocabulary, mapping: &Mapping) -> Option<usize> {
    let id = vocabulary.operation(READ_TICKET)?;
    let is_read = vocabulary.operations[id].kind == OperationKind::Read;
    mapping.operations.iter().position(|known| is_read && known.id == id)
}

/// Which changes are written down.
pub(super) fn journaled(route: &config::Route) -> Option<Journaled> {
    let sampled = match route.journal.records.value {
        Records::Off => return None,
        Records::Sampled => true,
        Records::Full => false,
    };
    Some(Journaled { sampled, reads_before: route.journal.reads_before.value })
}

/// What cannot do without reading tickets: as it is written, where, and what to write instead.
fn reader(route: &config::Route) -> Option<(&'static str, &Location, &'static str)> {
    if route.enrich.value {
        return Some(("enrich: on", &route.enrich.at, "off"));
    }
    let journal = journaled(route)?;
    journal.reads_before.then_some(("from: read", &route.journal.reads_before.at, "none"))
}

/// C004: `enrich: on`, or a journal with `from: read`, in front of a vendor that has nothing to read with.
pub(super) fn without_reading(
    vocabulary: &Vocabulary,
    route: &config::Route,
    upstream: &Upstream,
) -> Option<Diagnostic> {
    let (key, at, instead) = reader(route)?;
    if reading(vocabulary, &upstream.mapping).is_some() {
        return None;
    }
    let message = format!(
        "`{key}` reads tickets, and the mapping of {} has no operation `{READ_TICKET}`",
        upstream.mapping.vendor
    );
    let finding = Diagnostic::error("C004", at.clone(), message)
        .label(format!("write `{instead}`, or leave it out"));
    Some(finding.also(route.upstream.at.clone(), "the upstream"))
}

/// How the ticket of a call is read at its upstream, by the operation that reads one.
pub(super) struct TicketRead {
    /// The operation, by its index in the upstream's mapping.
    pub(super) operation: usize,
    /// Request fields of the call, each with that of the read.
    pub(super) asks: Vec<(u8, u8)>,
    /// What the read needs and the call does not say, with where it is needed.
    pub(super) lacks: Option<(String, Location)>,
}

/// How the ticket of an operation is read; `None` where the vendor has nothing to read with.
pub(super) fn ticket_read(
    vocabulary: &Vocabulary,
    client: &Operation,
    upstream: &Upstream,
) -> Option<TicketRead> {
    let operation = reading(vocabulary, &upstream.mapping)?;
    let target = &upstream.mapping.operations[operation];
    let (call, read) = (&vocabulary.operations[client.id], &vocabulary.operations[target.id]);
    let lacks = (0u8..).zip(&read.request).find_map(|(field, declared)| {
        let said = call.request_field(&declared.name).is_some_and(|own| client.request.says(own));
        let hole = needed(target, field, upstream).filter(|_| !said)?;
        Some((declared.name.clone(), hole.at.clone()))
    });
    let asks = (0u8..)
        .zip(&call.request)
        .filter_map(|(own, field)| Some((own, alike(&read.request, &field.name, field.kind)?)));
    Some(TicketRead { operation, asks: asks.collect(), lacks })
}

fn alike(fields: &[Field], name: &str, kind: Type) -> Option<u8> {
    let index = fields.iter().position(|known| known.name == name && known.kind == kind)?;
    u8::try_from(index).ok()
}

/// How the ticket of a write is read afterwards; `None` where it never is.
///
/// # Errors
/// M009: something that the read needs and the write does not say.
pub(super) fn read_back(
    vocabulary: &Vocabulary,
    route: &config::Route,
    client: &Operation,
    upstream: &Upstream,
) -> Result<Option<ReadBack>, Diagnostic> {
    let wanted = reader(route);
    if !(wanted.is_some() || route.read_back) || client.kind != OperationKind::Write {
        return Ok(None);
    }
    let Some(ticket_read) = ticket_read(vocabulary, client, upstream) else { return Ok(None) };
    if let Some((name, hole)) = ticket_read.lacks {
        let Some((key, at, _)) = wanted else { return Ok(None) };
        let message = format!(
            "`{key}`: reading a ticket of `{}` needs `{name}`, which {} clients do not say with `{}`",
            upstream.name, route.client.value, client.name
        );
        let finding = Diagnostic::error("M009", at.clone(), message);
        return Err(finding.also(hole, "needed here"));
    }
    let TicketRead { operation, asks, .. } = ticket_read;
    let target = &upstream.mapping.operations[operation];
    let (write, read) = (&vocabulary.operations[client.id], &vocabulary.operations[target.id]);
    let fills = (0u8..).zip(&write.answer).filter_map(|(own, field)| {
        // The id is the client's own in any case.
        let theirs = alike(&read.answer, &field.name, field.kind)
            .filter(|_| !matches!(field.kind, Type::Id(_)))?;
        let shown = holds(client, own, Arrow::writes) && holds(target, theirs, Arrow::reads);
        shown.then_some((own, theirs))
    });
    let status = alike(&read.answer, "status", type_of(write, "status"));
    let settles =
        route.read_back.then(|| settles(write, client, (target, status?), &asks, upstream));
    Ok(Some(ReadBack {
        pair: Pair::of(operation),
        asks,
        fills: fills.collect(),
        status: write.answer_field("status").zip(status),
        enriches: route.enrich.value,
        settles: settles.flatten(),
    }))
}

/// How the status that a read gives settles a write; `None` if the write is not one of the status.
fn settles(
    write: &OperationDef,
    client: &Operation,
    (read, status): (&Operation, u8),
    asks: &[(u8, u8)],
    upstream: &Upstream,
) -> Option<Settles> {
    let mapping = &upstream.mapping;
    let wanted = write.request_field("status")?;
    let mut holes = read.success.places().flat_map(|place| place.content.holes());
    let told = holes.find(|hole| hole.slot == Slot::Field(status))?;
    let table = &mapping.tables[usize::from(told.table?)];
    let target = mapping.operation(client.id)?;
    let untold = (0u8..).zip(&write.request).filter(|(field, declared)| {
        let is_told = *field == wanted || asks.iter().any(|(own, _)| own == field);
        // An id says whose ticket it is, or who made the change.
        !is_told && !matches!(declared.kind, Type::Id(_)) && mapping.carries(target, *field)
    });
    Some(Settles {
        wanted,
        becomes: table.words().map(|word| table.write(word)?.0.reads).collect(),
        untold: untold.map(|(field, _)| field).collect(),
        is_deferred: target.poll.is_some(),
    })
}

fn type_of(def: &OperationDef, name: &str) -> Type {
    def.answer.iter().find(|field| field.name == name).map_or(Type::Text, |field| field.kind)
}

/// True if the answer of an operation has a place for the field that counts in this direction.
fn holds(operation: &Operation, field: u8, counts: impl Fn(Arrow) -> bool) -> bool {
    let places = operation.success.places().filter(|place| counts(place.arrow));
    places.flat_map(|place| place.content.holes()).any(|hole| hole.slot == Slot::Field(field))
}

/// The hole of an upstream's request that cannot be left empty and has nothing to stand in for the field.
pub(super) fn needed<'m>(
    target: &'m Operation,
    field: u8,
    upstream: &Upstream,
) -> Option<&'m Hole> {
    target.request.places().filter(|place| place.arrow.writes()).find_map(|place| {
        place.content.holes().find(|hole| {
            hole.slot == Slot::Field(field)
                && match hole.or {
                    OrElse::Required => true,
                    OrElse::Setting(setting) => upstream.own().settings.get(setting).is_none(),
                    OrElse::Absent | OrElse::Literal(_) | OrElse::Request(_) => false,
                }
        })
    })
}

/// What the route's `actor` is; `None` where clients name their own.
///
/// # Errors
/// C004: a setting that the vendor does not have. M009: one that is not set. C007: no call says who it is from.
pub(super) fn actor(
    vocabulary: &Vocabulary,
    route: &config::Route,
    upstream: &Upstream,
) -> Result<Option<SettingId>, Diagnostic> {
    let Actor::Setting(name) = &route.actor.value else { return Ok(None) };
    let (mapping, at) = (&upstream.mapping, &route.actor.at);
    let Some(index) = mapping.setting(name) else {
        let message = format!("{} has no setting named `{name}`", mapping.vendor);
        let known = mapping.settings.iter().map(|setting| setting.name.as_str());
        return Err(Diagnostic::error("C004", at.clone(), message).suggest(name, known));
    };
    let carries = |operation: &Operation| {
        let field = vocabulary.operations[operation.id].request_field("actor");
        field.is_some_and(|field| mapping.carries(operation, field))
    };
    if !mapping.operations.iter().any(carries) {
        let message = format!("`actor` has no place in any request of {}", mapping.vendor);
        let finding = Diagnostic::error("C007", at.clone(), message);
        return Err(finding.label("the upstream is not told who a call is from: write `client`"));
    }
    if upstream.own().settings.get(index).is_none() {
        let message =
            format!("the upstream `{}` does not have the setting `{name}`", upstream.name);
        let finding = Diagnostic::error("M009", at.clone(), message)
            .label(format!("set upstreams.{}.settings.{name}", upstream.name));
        return Err(finding.also(route.upstream.at.clone(), "the upstream"));
    }
    Ok(Some(index))
}
