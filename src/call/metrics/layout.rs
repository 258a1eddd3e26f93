//! Which cell of a worker's counters belongs to which series.
//!
//! Made once, of a plan. A call finds its cells by index and by arithmetic: the labels stand here for
//! whoever writes the page.

use crate::call::metrics::families::{self, Family, Kind};
use crate::call::metrics::shard::HISTOGRAM_CELLS;
use crate::call::respond::outcome_of;
use crate::call::{CallRecord, Looked, Outcome, ReadBack, Translation};
use crate::config::Limit;
use crate::limit::Refuser;
use crate::plan::{Plan, Route};
use crate::value::{Fault, FieldId};

/// Where there is no route, operation or fault. No name can be so, and the log writes the same.
pub(super) const NONE: &str = "-";

/// A series' labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Ways that a call may end: by index of its fault, and behind those the outcomes of calls without one.
/// What is forwarded may be a no without a fault of ours.
const ENDINGS: usize = Fault::ALL.len() + OUTCOMES.len();
/// The outcomes of calls without a fault, in the order of their cells.
const OUTCOMES: [Outcome; 3] = [Outcome::Yes, Outcome::No, Outcome::Unknown];
/// What a limit says, in the order of its cells.
const DECISIONS: [&str; 2] = ["admitted", "refused"];
/// What becomes of reading a ticket after a write, in the order of its cells.
const READ_BACKS: [&str; 2] = ["read", "failed"];

/// How ids are looked up in the crosswalk, in the order of their cells.
const LOOK_UPS: [&str; 3] = ["cached", "asked", "failed"];

/// The cells of a plan.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) counted: Vec<Counted>,
    pub(super) cells: usize,
    /// By index of the route.
    pub(super) routes: Vec<RouteCells>,
    /// Of requests that no route takes.
    pub(super) nobodys: NobodysCells,
    pub(super) accepted: usize,
    pub(super) closed: usize,
}

/// A family whose series are counted by calls.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) family: &'static Family,
    /// Each with its first cell.
    pub(super) series: Vec<(Labels, usize)>,
}

/// The cells of one route.
#[derive(Debug)]
pub(super) struct RouteCells {
    /// Operations of the client's mapping; behind them is one for calls that did not come so far.
    operations: usize,
    /// By operation, and there by ending.
    requests: usize,
    pub(super) duration: usize,
    pub(super) own_duration: usize,
    pub(super) upstream_duration: usize,
    pub(super) waited: usize,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    decisions: [usize; 2],
    /// By limit; there are a few at most.
    refusals: Vec<(Refuser, usize)>,
    translations: [usize; 4],
    pub(super) unreadable: usize,
    read_backs: [usize; 2],
    /// Of ids in the crosswalk, and of those that it does not have.
    looked: [usize; 4],
    /// By operation: field and cell. There are a few at most, so looking through them is quickest.
    dropped: Vec<Vec<(FieldId, usize)>>,
}

/// The cells of requests that no route takes: they end in one way only.
#[derive(Debug)]
pub(super) struct NobodysCells {
    pub(super) requests: usize,
    pub(super) duration: usize,
}

impl RouteCells {
    /// The cell of how the call ended.
    pub(super) fn request(&self, record: &CallRecord) -> usize {
        let operation = record.operation.filter(|index| *index < self.operations);
        self.requests + operation.unwrap_or(self.operations) * ENDINGS + ending(record)
    }

    pub(super) fn decision(&self, decision: Result<(), Refuser>) -> usize {
        self.decisions[usize::from(decision.is_err())]
    }

    /// The cell of the limit that refused.
    pub(super) fn refusal(&self, refuser: Refuser) -> Option<usize> {
        self.refusals.iter().find(|(known, _)| *known == refuser).map(|(_, cell)| *cell)
    }

    pub(super) fn read_back(&self, read_back: &ReadBack) -> usize {
        match read_back {
            ReadBack::Read => self.read_backs[0],
            ReadBack::Failed { .. } => self.read_backs[1],
        }
    }

    /// The cells of ids that were looked up, and how many there were.
    pub(super) fn looked(&self, looked: Looked) -> impl Iterator<Item = (usize, u8)> {
        let Looked { cached, asked, failed, missing } = looked;
        self.looked.into_iter().zip([cached, asked, failed, missing])
    }

    pub(super) fn translation(&self, translation: Translation) -> usize {
        self.translations[translation as usize]
    }

    /// The cell of a field that the upstream could not carry.
    pub(super) fn dropped(&self, record: &CallRecord, field: FieldId) -> Option<usize> {
        let of_operation = self.dropped.get(record.operation?)?;
        of_operation.iter().find(|(known, _)| *known == field).map(|(_, cell)| *cell)
    }
}

fn ending(record: &CallRecord) -> usize {
    let without_fault = match record.outcome {
        Outcome::Yes => 0,
        Outcome::No => 1,
        Outcome::Unknown => 2,
    };
    record.fault.map_or(Fault::ALL.len() + without_fault, Fault::index)
}

impl Layout {
    /// The cells of a plan.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut making = Making::default();
        let routes = plan.routes.iter().map(|route| making.route(plan, route)).collect();
        let nobodys = making.nobodys();
        let accepted = making.cell(&families::CONNECTIONS_ACCEPTED, Vec::new());
        let closed = making.take(1);
        Self { counted: making.counted, cells: making.cells, routes, nobodys, accepted, closed }
    }
}

#[derive(Default)]
struct Making {
    counted: Vec<Counted>,
    cells: usize,
}

impl Making {
    fn take(&mut self, cells: usize) -> usize {
        let first = self.cells;
        self.cells += cells;
        first
    }

    /// The first cell of a series, which several routes may share.
    fn cell(&mut self, family: &'static Family, labels: Labels) -> usize {
        let place = self.counted.iter().position(|counted| counted.family.name == family.name);
        let place = place.unwrap_or_else(|| {
            self.counted.push(Counted { family, series: Vec::new() });
            self.counted.len() - 1
        });
        let known = self.counted[place].series.iter().find(|(known, _)| *known == labels);
        if let Some((_, cell)) = known {
            return *cell;
        }
        let cell = self.take(if family.kind == Kind::Histogram { HISTOGRAM_CELLS } else { 1 });
        self.counted[place].series.push((labels, cell));
        cell
    }

    fn route(&mut self, plan: &Plan, route: &Route) -> RouteCells {
        let name = &route.name;
        let of_route = || vec![("route", name.clone())];
        let upstream = &plan.upstreams[route.upstream];
        let operations = route.client.operations.iter().map(|operation| operation.name.as_str());
        // In one piece, so that a call finds its own by arithmetic.
        let first = self.cells;
        for operation in operations.chain([NONE]) {
            endings(name, operation).for_each(|labels| {
                self.cell(&families::REQUESTS, labels);
            });
        }
        let decision = |making: &mut Self, decision: &str| {
            let labels = vec![("route", name.clone()), ("decision", decision.to_owned())];
            making.cell(&families::LIMIT_DECISIONS, labels)
        };
        let read_back = |making: &mut Self, result: &str| {
            let labels = vec![("route", name.clone()), ("result", result.to_owned())];
            making.cell(&families::READ_BACKS, labels)
        };
        let looked = |making: &mut Self, result: &str| {
            let labels = vec![("route", name.clone()), ("result", result.to_owned())];
            making.cell(&families::LOOK_UPS, labels)
        };
        let translation = |making: &mut Self, translation: Translation| {
            let mapping = if translation.is_clients() { &route.client } else { &upstream.mapping };
            let stage = translation.name().to_owned();
            let labels = vec![("mapping", mapping.vendor.clone()), ("stage", stage)];
            making.cell(&families::TRANSLATION_FAULTS, labels)
        };
        RouteCells {
            operations: route.client.operations.len(),
            requests: first,
            duration: self.cell(&families::REQUEST_DURATION, of_route()),
            own_duration: self.cell(&families::GATEWAY_DURATION, of_route()),
            upstream_duration: self
                .cell(&families::UPSTREAM_DURATION, vec![("upstream", upstream.name.clone())]),
            waited: self
                .cell(&families::UPSTREAM_WAITED, vec![("upstream", upstream.name.clone())]),
            bytes_in: self.cell(&families::REQUEST_BODY, of_route()),
            bytes_out: self.cell(&families::RESPONSE_BODY, of_route()),
            decisions: DECISIONS.map(|name| decision(self, name)),
            refusals: self.refusals(plan, route),
            translations: Translation::ALL.map(|one| translation(self, one)),
            unreadable: self
                .cell(&families::UNREADABLE, vec![("mapping", upstream.mapping.vendor.clone())]),
            read_backs: READ_BACKS.map(|result| read_back(self, result)),
            looked: {
                let [cached, asked, failed] = LOOK_UPS.map(|result| looked(self, result));
                [cached, asked, failed, self.cell(&families::MISSING, of_route())]
            },
            dropped: self.dropped(plan, route),
        }
    }

    /// A cell for each limit that may refuse a call of the route.
    fn refusals(&mut self, plan: &Plan, route: &Route) -> Vec<(Refuser, usize)> {
        let own = (route.limit != Limit::None).then_some(Refuser::Own);
        let guard = (plan.unauthenticated != Limit::None).then_some(Refuser::Unauthenticated);
        let named = route.limits.iter().map(|index| Refuser::Named(*index));
        let budget = plan.upstreams[route.upstream].resilience.limit.map(|_| Refuser::Upstream);
        let upstreams = budget.into_iter().chain([Refuser::UpstreamStop]);
        let refusers = own.into_iter().chain(named).chain(guard).chain(upstreams);
        let cells = refusers.map(|refuser| {
            let limit = refuser.name(plan).to_owned();
            let labels = vec![("route", route.name.clone()), ("limit", limit)];
            (refuser, self.cell(&families::LIMIT_REFUSALS, labels))
        });
        cells.collect()
    }

    /// Operations that drop a field of one name share its cell.
    fn dropped(&mut self, plan: &Plan, route: &Route) -> Vec<Vec<(FieldId, usize)>> {
        let operations = route.client.operations.iter().zip(&route.pairs);
        let cells = operations.map(|(said, pair)| {
            let fields = &plan.vocabulary.operations[said.id].request;
            let dropped = pair.iter().flat_map(|pair| &pair.dropped);
            let cells = dropped.map(|field| {
                let name = fields[usize::from(*field)].name.clone();
                let labels = vec![("route", route.name.clone()), ("field", name)];
                (*field, self.cell(&families::DROPPED, labels))
            });
            cells.collect()
        });
        cells.collect()
    }

    fn nobodys(&mut self) -> NobodysCells {
        let fault = Fault::UnknownPath;
        let labels = request(NONE, NONE, outcome_of(fault), fault.name());
        NobodysCells {
            requests: self.cell(&families::REQUESTS, labels),
            duration: self.cell(&families::REQUEST_DURATION, vec![("route", NONE.to_owned())]),
        }
    }
}

/// The labels of every way that a call may end, in the order of their cells.
fn endings(route: &str, operation: &str) -> impl Iterator<Item = Labels> {
    let faults = Fault::ALL.iter().map(|fault| (outcome_of(*fault), fault.name()));
    let all = faults.chain(OUTCOMES.map(|outcome| (outcome, NONE)));
    all.map(move |(outcome, fault)| request(route, operation, outcome, fault))
}

fn request(route: &str, operation: &str, outcome: Outcome, fault: &str) -> Labels {
    vec![
        ("route", route.to_owned()),
        ("operation", operation.to_owned()),
        ("outcome", outcome.name().to_owned()),
        ("fault", fault.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::CallId;

    #[test]
    fn every_ending_has_the_cell_of_its_labels() {
        let labels: Vec<Labels> = endings("main", "change_status").collect();
        assert_eq!(labels.len(), ENDINGS);
        let faults = Fault::ALL.iter().map(|fault| (Some(*fault), outcome_of(*fault)));
        for (fault, outcome) in faults.chain(OUTCOMES.map(|outcome| (None, outcome))) {
            let record = CallRecord { fault, outcome, ..CallRecord::begun(CallId::random()) };
            let name = fault.map_or(NONE, Fault::name);
            let wanted = request("main", "change_status", outcome, name);
            assert_eq!(labels[ending(&record)], wanted);
        }
        for (index, translation) in Translation::ALL.into_iter().enumerate() {
            assert_eq!(translation as usize, index);
        }
    }
}
