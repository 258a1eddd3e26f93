//! The page that `/metrics` shows: what workers have counted, and what is looked up while it is written.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use tokio::time::Instant;

use crate::call::metrics::families::{self, Family, Kind};
use crate::call::metrics::layout::{Counted, Layout};
use crate::call::metrics::shard::{BUCKETS_NANOSECONDS, HISTOGRAM_CELLS, Shard};
use crate::journal::{Figures, Journal};
use crate::store::journal::Outcome;
use crate::telemetry;
use crate::upstream::breaker::State;
use crate::upstream::endpoints::Shown;
use crate::upstream::gate::Gate;
use crate::upstream::{self, Connections};

const BREAKER_STATES: [State; 3] = [State::Closed, State::Open, State::HalfOpen];

/// What knows by itself how much there is of it, and is only looked at.
#[derive(Debug)]
pub struct Observed {
    /// Calls in flight.
    pub gate: Arc<Gate>,
    /// With their names and their endpoints' `host:port`, in the order of the plan.
    pub upstreams: Vec<(String, Vec<String>, Arc<upstream::Shared>)>,
    /// Changes that are written down; none if none are.
    pub journal: Option<Journal>,
}

/// Everything that the page is written from.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) layout: Layout,
    /// By worker.
    pub(super) shards: Mutex<Vec<Arc<Shard>>>,
    pub(super) observed: Observed,
    pub(super) started: SystemTime,
}

/// A family, and how its value is read off something.
type Reading<T> = (&'static Family, fn(&T) -> u64);

/// One endpoint at one moment.
struct Seen<'p> {
    upstream: &'p str,
    endpoint: &'p str,
    shown: Shown,
    connections: Connections,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sum = |cell: usize| shards.iter().map(|shard| shard.get(cell)).sum::<u64>();
        for counted in &self.layout.counted {
            write_counted(&mut encoder, counted, sum)?;
        }
        let closed = sum(self.layout.closed);
        let open = sum(self.layout.accepted).saturating_sub(closed);
        write(&mut encoder, &families::CONNECTIONS, [([], open)])?;
        self.write_gates(&mut encoder)?;
        self.write_endpoints(&mut encoder)?;
        self.write_journal(&mut encoder)?;
        write(&mut encoder, &families::LOG_LINES_DROPPED, [([], telemetry::lines_dropped())])?;
        self.write_process(encoder)
    }
}

impl Page {
    fn write_gates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Observed { gate, upstreams, .. } = &self.observed;
        write(encoder, &families::IN_FLIGHT, [([], gate.inside() as u64)])?;
        write(encoder, &families::SHEDS, [([], gate.shed())])?;
        let each: [Reading<upstream::Shared>; 7] = [
            (&families::UPSTREAM_IN_FLIGHT, |shared| shared.gate.inside() as u64),
            (&families::UPSTREAM_SHEDS, |shared| shared.gate.shed()),
            (&families::UPSTREAM_WAITING, |shared| shared.turns.waiting() as u64),
            (&families::UPSTREAM_TURNS_REFUSED, |shared| shared.turns.refused()),
            (&families::UPSTREAM_STOPS, |shared| shared.turns.stops()),
            (&families::UPSTREAM_RETRIES, |shared| shared.budget.taken()),
            (&families::UPSTREAM_RETRIES_REFUSED, |shared| shared.budget.refused()),
        ];
        for (family, value) in each {
            let series = upstreams.iter();
            let series = series.map(|(name, _, shared)| ([("upstream", &**name)], value(shared)));
            write(encoder, family, series)?;
        }
        Ok(())
    }

    fn write_endpoints(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = Instant::now();
        let seen: Vec<Seen<'_>> =
            self.observed.upstreams.iter().flat_map(|one| see(one, now)).collect();
        let each: [Reading<Seen<'_>>; 5] = [
            (&families::UPSTREAM_OPEN, |seen| seen.connections.open),
            (&families::UPSTREAM_IDLE, |seen| seen.connections.idle as u64),
            (&families::UPSTREAM_OPENED, |seen| seen.connections.opened),
            (&families::BREAKER_OPENINGS, |seen| seen.shown.openings),
            (&families::HEALTHY, |seen| u64::from(seen.shown.is_healthy)),
        ];
        for (family, value) in each {
            write(encoder, family, seen.iter().map(|seen| (seen.labels(), value(seen))))?;
        }
        let states = seen.iter().flat_map(|seen| {
            // An endpoint without a breaker is called whatever happens, like one whose breaker is closed.
            let is = seen.shown.breaker.unwrap_or(State::Closed);
            BREAKER_STATES.map(|state| {
                let [upstream, endpoint] = seen.labels();
                ([upstream, endpoint, ("state", state.name())], u64::from(state == is))
            })
        });
        write(encoder, &families::BREAKER_STATE, states)
    }

    fn write_journal(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counted = self.observed.journal.as_ref().map(Journal::counted).unwrap_or_default();
        let Figures { intents, refused, settled, recovered, lost, open } = counted;
        write(encoder, &families::JOURNAL_INTENTS, [([], intents)])?;
        write(encoder, &families::JOURNAL_REFUSED, [([], refused)])?;
        for (family, counts) in
            [(&families::JOURNAL_SETTLED, settled), (&families::JOURNAL_RECOVERED, recovered)]
        {
            let series = Outcome::ALL.iter().zip(counts);
            let series = series.filter(|(outcome, _)| **outcome != Outcome::Open);
            write(encoder, family, series.map(|(one, count)| ([("outcome", one.name())], count)))?;
        }
        write(encoder, &families::JOURNAL_LOST, [([], lost)])?;
        write(encoder, &families::JOURNAL_OPEN, [([], open)])
    }

    fn write_process(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let build = &families::BUILD;
        let kind = build.kind.metric_type();
        encoder
            .encode_descriptor(build.name, build.help, None, kind)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let since = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        describe(&mut encoder, &families::START_TIME)?.encode_gauge(&since.as_secs_f64())
    }
}

impl<'p> Seen<'p> {
    fn labels(&self) -> [(&'p str, &'p str); 2] {
        [("upstream", self.upstream), ("endpoint", self.endpoint)]
    }
}

fn see(
    (upstream, endpoints, shared): &(String, Vec<String>, Arc<upstream::Shared>),
    now: Instant,
) -> impl Iterator<Item = Seen<'_>> {
    let both = shared.endpoints.shown(now).zip(shared.connections());
    endpoints.iter().zip(both).map(move |(endpoint, (shown, connections))| Seen {
        upstream,
        endpoint,
        shown,
        connections,
    })
}

fn describe<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    family: &'static Family,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    let kind = family.kind.metric_type();
    encoder.encode_descriptor(family.name, family.help, family.unit.as_ref(), kind)
}

/// Writes a family of whole numbers.
fn write<'l, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    family: &'static Family,
    series: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
) -> fmt::Result {
    let mut metric = describe(encoder, family)?;
    for (labels, value) in series {
        match labels.is_empty() {
            true => write_value(&mut metric, family.kind, value)?,
            false => write_value(&mut metric.encode_family(&labels)?, family.kind, value)?,
        }
    }
    Ok(())
}

fn write_value(metric: &mut MetricEncoder<'_>, kind: Kind, value: u64) -> fmt::Result {
    match kind {
        Kind::Counter => metric.encode_counter::<NoLabelSet, u64, f64>(&value, None),
        Kind::Gauge => metric.encode_gauge(&value),
        // Neither is a number.
        Kind::Histogram | Kind::Info => Err(fmt::Error),
    }
}

fn write_counted(
    encoder: &mut DescriptorEncoder<'_>,
    counted: &Counted,
    sum: impl Fn(usize) -> u64,
) -> fmt::Result {
    let family = counted.family;
    let mut metric = describe(encoder, family)?;
    for (labels, first) in &counted.series {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if family.kind == Kind::Histogram {
            write_histogram(&mut metric.encode_family(&labels)?, *first, &sum)?;
        } else if labels.is_empty() {
            write_value(&mut metric, family.kind, sum(*first))?;
        } else {
            write_value(&mut metric.encode_family(&labels)?, family.kind, sum(*first))?;
        }
    }
    Ok(())
}

fn write_histogram(
    metric: &mut MetricEncoder<'_>,
    first: usize,
    sum: impl Fn(usize) -> u64,
) -> fmt::Result {
    let seconds = |nanoseconds| Duration::from_nanos(nanoseconds).as_secs_f64();
    let bounds = BUCKETS_NANOSECONDS.into_iter().map(seconds).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip((first..).map(&sum)).collect();
    // Summed here, so that the count is always that of the last bucket.
    let count = buckets.iter().map(|(_, count)| count).sum();
    let total = seconds(sum(first + HISTOGRAM_CELLS - 1));
    metric.encode_histogram::<NoLabelSet>(total, count, &buckets, None)
}
