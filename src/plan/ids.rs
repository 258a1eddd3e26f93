//! What a route's `ids` come to where the crosswalk translates them: which fields of which operation, by which
//! question, and how an upstream is asked for a ticket that nobody has linked.

use crate::config::{self, CrosswalkIds, Missing};
use crate::diag::Diagnostic;
use crate::mapping::model::{Field, Operation, Type, Vocabulary};
use crate::plan::{Pair, Upstream, identity};
use crate::value::{FieldId, IdKind};

/// A question that is put to the crosswalk again and again: what ids of one of its systems are in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What they are of.
    pub kind: IdKind,
    /// The system that has them.
    pub from: String,
    /// The other one.
    pub to: String,
    /// The upstream that is asked for what is not linked, by its index; who asks it knows more than others.
    pub asked: Option<usize>,
}

/// What the crosswalk translates of an operation.
#[derive(Clone, Debug)]
pub struct Carrying {
    /// Ids in the request that go on to the upstream.
    pub request: Vec<CarriedId>,
    /// Ids in the answer. The ticket that the request names is the client's own in any case.
    pub answer: Vec<CarriedId>,
    /// How the upstream is asked for a ticket that nobody has linked; none where it is not.
    pub asking: Option<Asking>,
}

/// An id that the crosswalk translates.
#[derive(Clone, Copy, Debug)]
pub struct CarriedId {
    /// Its field.
    pub field: FieldId,
    /// What it is of.
    pub kind: IdKind,
    /// Index of the question among those of the plan.
    pub way: usize,
    /// What happens to one that it does not have.
    pub missing: Missing,
}

/// How an upstream is asked for a ticket, by the operation that reads one.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The operation, as the upstream has it.
    pub pair: Pair,
    /// The field of the ticket in its request.
    pub ticket: FieldId,
    /// What else it is asked with: fields of the call's request, each with that of the read.
    pub with: Vec<(FieldId, FieldId)>,
}

/// The questions of a plan, each of them once.
#[derive(Debug, Default)]
pub(super) struct Ways(pub(super) Vec<Way>);

impl Ways {
    fn index(&mut self, way: Way) -> usize {
        self.0.iter().position(|known| *known == way).unwrap_or_else(|| {
            self.0.push(way);
            self.0.len() - 1
        })
    }

    /// What is translated of an operation whose fields are these.
    pub(super) fn carrying(
        &mut self,
        crosswalk: &CrosswalkIds,
        upstream: usize,
        (request, answer): (&[Field], &[Field]),
        goes_on: impl Fn(FieldId) -> bool,
    ) -> Carrying {
        let (client, upstreams) = (&crosswalk.client.value, &crosswalk.upstream.value);
        let mut carried = |fields: &[Field], (from, to): (&String, &String), asks: bool| {
            let ids = (0u8..).zip(fields).filter_map(|(field, declared)| match declared.kind {
                Type::Id(kind) => Some((field, kind, crosswalk.missing(kind)?)),
                _ => None,
            });
            let ids = ids.map(|(field, kind, missing)| {
                let asked = (asks && missing == Missing::AskUpstream).then_some(upstream);
                let (from, to) = (from.clone(), to.clone());
                let way = self.index(Way { kind, from, to, asked });
                CarriedId { field, kind, way, missing }
            });
            ids.collect::<Vec<_>>()
        };
        let mut request = carried(request, (client, upstreams), true);
        request.retain(|id| goes_on(id.field));
        Carrying { request, answer: carried(answer, (upstreams, client), false), asking: None }
    }
}

/// How the upstream is asked for tickets that nobody has linked; `None` where it is not.
///
/// # Errors
/// C004: it has nothing to be asked by. M009: something that the read needs and the call does not say.
pub(super) fn asking(
    vocabulary: &Vocabulary,
    route: &config::Route,
    client: &Operation,
    upstream: &Upstream,
) -> Result<Option<Asking>, Diagnostic> {
    let missing = route.ids.crosswalk.as_ref().and_then(|crosswalk| crosswalk.ticket.as_ref());
    let Some(missing) = missing.filter(|missing| missing.value == Missing::AskUpstream) else {
        return Ok(None);
    };
    let read = identity::ticket_read(vocabulary, client, upstream);
    let ticket = |read: &identity::TicketRead| {
        let id = upstream.mapping.operations[read.operation].id;
        vocabulary.operations[id].request_field("ticket")
    };
    let Some((read, ticket)) =
        read.and_then(|read| Some((ticket(&read)?, read))).map(|(a, b)| (b, a))
    else {
        let message = format!(
            "`ask_upstream` reads tickets, and the mapping of {} has no operation `{}`",
            upstream.mapping.vendor,
            identity::READ_TICKET
        );
        let finding = Diagnostic::error("C004", missing.at.clone(), message);
        let finding = finding.label("write `refuse` or `pass`");
        return Err(finding.also(route.upstream.at.clone(), "the upstream"));
    };
    if let Some((name, hole)) = read.lacks {
        let message = format!(
            "`ask_upstream`: reading a ticket of `{}` needs `{name}`, which {} clients do not say with `{}`",
            upstream.name, route.client.value, client.name
        );
        let finding = Diagnostic::error("M009", missing.at.clone(), message);
        return Err(finding.also(hole, "needed here"));
    }
    let with = read.asks.into_iter().filter(|(_, theirs)| *theirs != ticket).collect();
    Ok(Some(Asking { pair: Pair::of(read.operation), ticket, with }))
}
