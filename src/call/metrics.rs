//! What is counted of calls, for `/metrics`.
//!
//! Labels are names of the configuration, of the mappings and of closed sets; nothing that a client
//! sends becomes one. Every series is made at the start and shown from then on, with 0: an alert on
//! `outcome="unknown"` must not miss the first one. A call only adds to atomics that stand at an index:
//! it takes no lock, hashes no label and makes no text. The families keep their series, so that a new
//! plan goes on counting where the old one was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::call::respond::outcome_of;
use crate::call::{CallRecord, Outcome};
use crate::plan::{Plan, Route};
use crate::value::Fault;

/// Where there is no route, operation or fault. No name can be so, and the log writes the same.
const NONE: &str = "-";

/// Upper ends of the histogram's buckets, in seconds: from what the gateway itself takes to the
/// deadline that routes have by default.
const BUCKETS_SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The series of a plan.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// By index of the route.
    routes: Vec<RouteMetrics>,
    /// Requests that no route takes.
    nobodys: RouteMetrics,
    connections: Gauge,
}

/// One route's series.
#[derive(Debug)]
struct RouteMetrics {
    /// By operation of the client's mapping; the last is for calls that did not come so far.
    calls: Vec<Calls>,
    duration: Histogram,
    unreadable: Counter,
    /// By name of the field. There are a few at most, so looking through them is quickest.
    dropped: Vec<(String, Counter)>,
}

/// One counter per way that a call may end: by index of its fault, and behind those the outcomes of
/// calls without one. What is forwarded may be a no without a fault of ours.
#[derive(Debug)]
struct Calls(Vec<Counter>);

/// The outcomes of calls without a fault, in the order of their counters.
const OUTCOMES: [Outcome; 3] = [Outcome::Yes, Outcome::No, Outcome::Unknown];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    route: String,
    operation: String,
    outcome: &'static str,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MappingLabel {
    mapping: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FieldLabels {
    route: String,
    field: String,
}

/// The families that a plan's series are made in.
#[derive(Default)]
struct Families {
    calls: Family<CallLabels, Counter>,
    duration: Family<RouteLabel, Histogram>,
    unreadable: Family<MappingLabel, Counter>,
    dropped: Family<FieldLabels, Counter>,
}

/// An open connection, as long as it lives.
#[derive(Debug)]
pub struct Connection(Gauge);

impl Metrics {
    /// The series of a plan, all at 0.
    pub fn new(plan: &Plan) -> Self {
        let families = Families::default();
        let connections = Gauge::default();
        let mut registry = Registry::default();
        families.register(&mut registry);
        registry.register(
            "latimer_connections",
            "Open connections of clients",
            connections.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("latimer_build", "The running program", build);
        let routes = plan.routes.iter().map(|route| families.route(plan, route)).collect();
        Self { routes, nobodys: families.nobodys(), connections, registry }
    }

    /// Counts a call that has ended.
    pub fn count(&self, record: &CallRecord) {
        let route = record.route.and_then(|index| self.routes.get(index));
        let route = route.unwrap_or(&self.nobodys);
        let (none, known) = match route.calls.split_last() {
            Some(split) => split,
            None => return,
        };
        let calls = record.operation.and_then(|index| known.get(index)).unwrap_or(none);
        calls.of(record.fault, record.outcome).inc();
        route.duration.observe(record.duration);
        if record.unreadable > 0 {
            route.unreadable.inc_by(u64::from(record.unreadable));
        }
        for field in &record.dropped {
            if let Some((_, counter)) = route.dropped.iter().find(|(name, _)| name == field) {
                counter.inc();
            }
        }
    }

    /// Counts a connection until the value is dropped, however the connection ends.
    pub fn connection(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    /// All of it, as OpenMetrics text 1.0.0.
    ///
    /// # Errors
    /// If a series cannot be written, which is a defect.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Families {
    /// Names without their ending: the counters' `_total` comes with the text.
    fn register(&self, registry: &mut Registry) {
        registry.register("latimer_calls", "Calls by how they ended", self.calls.clone());
        registry.register(
            "latimer_call_duration_seconds",
            "Time from a request's head to its answer",
            self.duration.clone(),
        );
        registry.register(
            "latimer_answer_unreadable",
            "Fields of an upstream's success that could not be read and counted as absent",
            self.unreadable.clone(),
        );
        registry.register(
            "latimer_fields_dropped",
            "Fields of requests that were left out because the upstream has no place for them",
            self.dropped.clone(),
        );
    }

    fn route(&self, plan: &Plan, route: &Route) -> RouteMetrics {
        let operations = route.client.operations.iter().map(|operation| operation.name.as_str());
        let fields = route.client.operations.iter().zip(&route.pairs).flat_map(|(said, pair)| {
            let names = &plan.vocabulary.operations[said.id].request;
            let dropped = pair.iter().flat_map(|pair| &pair.dropped);
            dropped.map(|field| names[usize::from(*field)].name.clone())
        });
        let mut dropped: Vec<(String, Counter)> = Vec::new();
        for field in fields {
            if dropped.iter().all(|(known, _)| *known != field) {
                let labels = FieldLabels { route: route.name.clone(), field: field.clone() };
                dropped.push((field, self.dropped.get_or_create_owned(&labels)));
            }
        }
        let mapping = plan.upstreams[route.upstream].mapping.vendor.clone();
        RouteMetrics {
            calls: operations.chain([NONE]).map(|name| self.calls(&route.name, name)).collect(),
            duration: self.duration.get_or_create_owned(&RouteLabel { route: route.name.clone() }),
            unreadable: self.unreadable.get_or_create_owned(&MappingLabel { mapping }),
            dropped,
        }
    }

    fn nobodys(&self) -> RouteMetrics {
        let labels = CallLabels::of_fault(NONE, NONE, Fault::UnknownPath);
        let counter = self.calls.get_or_create_owned(&labels);
        RouteMetrics {
            // A request that is nobody's ends in one way only.
            calls: vec![Calls(vec![counter; Fault::ALL.len() + OUTCOMES.len()])],
            duration: self.duration.get_or_create_owned(&RouteLabel { route: NONE.to_owned() }),
            unreadable: Counter::default(),
            dropped: Vec::new(),
        }
    }

    fn calls(&self, route: &str, operation: &str) -> Calls {
        let faults = Fault::ALL.iter().map(|fault| CallLabels::of_fault(route, operation, *fault));
        let outcomes =
            OUTCOMES.iter().map(|outcome| CallLabels::new(route, operation, *outcome, NONE));
        let series = faults.chain(outcomes);
        Calls(series.map(|labels| self.calls.get_or_create_owned(&labels)).collect())
    }
}

impl CallLabels {
    fn new(route: &str, operation: &str, outcome: Outcome, fault: &'static str) -> Self {
        let (route, operation) = (route.to_owned(), operation.to_owned());
        Self { route, operation, outcome: outcome.name(), fault }
    }

    fn of_fault(route: &str, operation: &str, fault: Fault) -> Self {
        Self::new(route, operation, outcome_of(fault), fault.name())
    }
}

impl Calls {
    fn of(&self, fault: Option<Fault>, outcome: Outcome) -> &Counter {
        let without_fault = match outcome {
            Outcome::Yes => 0,
            Outcome::No => 1,
            Outcome::Unknown => 2,
        };
        &self.0[fault.map_or(Fault::ALL.len() + without_fault, Fault::index)]
    }
}

/// A histogram without the lock that the crate's own takes for each value.
#[derive(Clone, Debug, Default)]
struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// The last is for what is over all bounds.
    counts: [AtomicU64; BUCKETS_SECONDS.len() + 1],
    sum_nanoseconds: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS_SECONDS.partition_point(|bound| *bound < seconds);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.sum_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BUCKETS_SECONDS.into_iter().chain([f64::INFINITY]);
        let counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // Summed here, so that the count is always that of the last bucket.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum_nanoseconds.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(histogram: &Histogram) -> String {
        let mut registry = Registry::default();
        registry.register("took", "Time", histogram.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_bucket_takes_what_is_up_to_its_bound() {
        let histogram = Histogram::default();
        for took in [0, 500, 501, 30_000_000, 30_000_001] {
            histogram.observe(Duration::from_micros(took));
        }
        let text = shown(&histogram);
        for line in [
            "# TYPE took histogram",
            "took_count 5",
            "took_bucket{le=\"0.0005\"} 2",
            "took_bucket{le=\"0.001\"} 3",
            "took_bucket{le=\"10.0\"} 3",
            "took_bucket{le=\"30.0\"} 4",
            "took_bucket{le=\"+Inf\"} 5",
            "took_sum 60.001002",
        ] {
            assert!(text.lines().any(|known| known == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn every_ending_has_a_counter_of_its_own() {
        let families = Families::default();
        let calls = families.calls("main", "change_status");
        let faults = Fault::ALL.iter().map(|fault| (Some(*fault), outcome_of(*fault)));
        let endings: Vec<_> = faults.chain(OUTCOMES.map(|outcome| (None, outcome))).collect();
        for (times, (fault, outcome)) in (1..).zip(&endings) {
            calls.of(*fault, *outcome).inc_by(times);
        }
        for (times, (fault, outcome)) in (1u64..).zip(&endings) {
            let fault = fault.map_or(NONE, Fault::name);
            let labels = CallLabels::new("main", "change_status", *outcome, fault);
            let counter = families.calls.get_or_create_owned(&labels);
            assert_eq!(counter.get(), times, "{fault} {outcome:?}");
        }
    }

    #[test]
    fn a_connection_counts_as_long_as_it_lives() {
        let metrics = Metrics {
            registry: Registry::default(),
            routes: Vec::new(),
            nobodys: Families::default().nobodys(),
            connections: Gauge::default(),
        };
        let (one, two) = (metrics.connection(), metrics.connection());
        assert_eq!(metrics.connections.get(), 2);
        drop(one);
        assert_eq!(metrics.connections.get(), 1);
        drop(two);
        assert_eq!(metrics.connections.get(), 0);
    }
}
