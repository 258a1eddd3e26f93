//! The names of everything that `/metrics` shows. `docs/metrics.md` has the same table, which a test
//! holds against what is shown.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// A family of series.
#[derive(Debug)]
pub(super) struct Family {
    /// Without its unit, and without the `_total` or `_info` that follows from the kind.
    pub(super) name: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    pub(super) fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

const fn family(kind: Kind, name: &'static str, help: &'static str) -> Family {
    Family { name, unit: None, kind, help }
}

const fn seconds(kind: Kind, name: &'static str, help: &'static str) -> Family {
    Family { name, unit: Some(Unit::Seconds), kind, help }
}

const fn bytes(kind: Kind, name: &'static str, help: &'static str) -> Family {
    Family { name, unit: Some(Unit::Bytes), kind, help }
}

pub(super) static REQUESTS: Family =
    family(Kind::Counter, "latimer_requests", "Calls by how they ended");
pub(super) static REQUEST_DURATION: Family = seconds(
    Kind::Histogram,
    "latimer_request_duration",
    "Time from a request's head to its answer",
);
pub(super) static GATEWAY_DURATION: Family = seconds(
    Kind::Histogram,
    "latimer_gateway_duration",
    "The gateway's own share of that: all but the time spent on the upstream, or waiting for room there",
);
pub(super) static UPSTREAM_DURATION: Family = seconds(
    Kind::Histogram,
    "latimer_upstream_duration",
    "Time that a call spent on its upstream, connecting, look-ups and waiting for a job included",
);
pub(super) static REQUEST_BODY: Family =
    bytes(Kind::Counter, "latimer_request_body", "Bodies of requests that were read");
pub(super) static RESPONSE_BODY: Family =
    bytes(Kind::Counter, "latimer_response_body", "Bodies of answers to clients");
pub(super) static LIMIT_DECISIONS: Family = family(
    Kind::Counter,
    "latimer_limit_decisions",
    "Calls that the route's limits admitted and refused",
);
pub(super) static LIMIT_REFUSALS: Family = family(
    Kind::Counter,
    "latimer_limit_refusals",
    "Calls that were refused, by the limit that did",
);
pub(super) static TRANSLATION_FAULTS: Family = family(
    Kind::Counter,
    "latimer_translation_faults",
    "Calls that ended because a mapping could not read or write a message",
);
pub(super) static UNREADABLE: Family = family(
    Kind::Counter,
    "latimer_answer_unreadable",
    "Fields of an upstream's success that could not be read and counted as absent",
);
pub(super) static DROPPED: Family = family(
    Kind::Counter,
    "latimer_fields_dropped",
    "Fields of requests that were left out because the upstream has no place for them",
);
pub(super) static READ_BACKS: Family = family(
    Kind::Counter,
    "latimer_read_backs",
    "Tickets that were to be read after a write, by whether they could be",
);
pub(super) static LOOK_UPS: Family = family(
    Kind::Counter,
    "latimer_crosswalk_lookups",
    "Ids that the crosswalk was to translate, by how they were looked up",
);
pub(super) static MISSING: Family = family(
    Kind::Counter,
    "latimer_crosswalk_missing",
    "Ids that the crosswalk has no counterpart of, whatever became of them then",
);
pub(super) static CONNECTIONS: Family =
    family(Kind::Gauge, "latimer_connections", "Open connections of clients");
pub(super) static CONNECTIONS_ACCEPTED: Family = family(
    Kind::Counter,
    "latimer_connections_accepted",
    "Connections of clients that were accepted",
);
pub(super) static IN_FLIGHT: Family =
    family(Kind::Gauge, "latimer_requests_in_flight", "Calls that are under way");
pub(super) static SHEDS: Family = family(
    Kind::Counter,
    "latimer_sheds",
    "Calls refused because as many as there may be were under way",
);
pub(super) static UPSTREAM_IN_FLIGHT: Family = family(
    Kind::Gauge,
    "latimer_upstream_requests_in_flight",
    "Requests that are under way to an upstream",
);
pub(super) static UPSTREAM_SHEDS: Family = family(
    Kind::Counter,
    "latimer_upstream_sheds",
    "Requests not sent because as many as there may be were under way to the upstream",
);
pub(super) static UPSTREAM_WAITED: Family = seconds(
    Kind::Histogram,
    "latimer_upstream_waited",
    "Time that calls waited for room in what may be sent to the upstream, of those that did",
);
pub(super) static UPSTREAM_WAITING: Family = family(
    Kind::Gauge,
    "latimer_upstream_requests_waiting",
    "Requests that wait for room in what may be sent to the upstream",
);
pub(super) static UPSTREAM_TURNS_REFUSED: Family = family(
    Kind::Counter,
    "latimer_upstream_turns_refused",
    "Requests not sent because there was no room in time in what may be sent to the upstream",
);
pub(super) static UPSTREAM_STOPS: Family = family(
    Kind::Counter,
    "latimer_upstream_stops",
    "How often the upstream said that it wants no requests for a while",
);
pub(super) static UPSTREAM_RETRIES: Family = family(
    Kind::Counter,
    "latimer_upstream_retries",
    "Further tries of requests of which nothing had been sent",
);
pub(super) static UPSTREAM_RETRIES_REFUSED: Family = family(
    Kind::Counter,
    "latimer_upstream_retries_refused",
    "Further tries that the retry budget did not allow",
);
pub(super) static UPSTREAM_OPEN: Family = family(
    Kind::Gauge,
    "latimer_upstream_connections",
    "Open connections to an endpoint, idle ones too",
);
pub(super) static UPSTREAM_IDLE: Family = family(
    Kind::Gauge,
    "latimer_upstream_connections_idle",
    "Connections to an endpoint that are kept without a call",
);
pub(super) static UPSTREAM_OPENED: Family = family(
    Kind::Counter,
    "latimer_upstream_connections_opened",
    "Connections to an endpoint that were opened",
);
pub(super) static BREAKER_STATE: Family = family(
    Kind::Gauge,
    "latimer_upstream_breaker_state",
    "1 for the state that the endpoint's breaker is in",
);
pub(super) static BREAKER_OPENINGS: Family = family(
    Kind::Counter,
    "latimer_upstream_breaker_openings",
    "How often the endpoint's breaker opened out of the closed state",
);
pub(super) static HEALTHY: Family = family(
    Kind::Gauge,
    "latimer_upstream_healthy",
    "1 for an endpoint that its health checks find well, or that has none",
);
pub(super) static JOURNAL_INTENTS: Family = family(
    Kind::Counter,
    "latimer_journal_intents",
    "Changes that were written down before they were sent",
);
pub(super) static JOURNAL_REFUSED: Family = family(
    Kind::Counter,
    "latimer_journal_refused",
    "Calls that were refused because their change could not be written down",
);
pub(super) static JOURNAL_SETTLED: Family = family(
    Kind::Counter,
    "latimer_journal_settled",
    "Changes of this gateway's that were settled by their calls",
);
pub(super) static JOURNAL_RECOVERED: Family = family(
    Kind::Counter,
    "latimer_journal_recovered",
    "Changes that were left open and were settled by reading the ticket, or are in doubt",
);
pub(super) static JOURNAL_LOST: Family = family(
    Kind::Counter,
    "latimer_journal_lost",
    "Outcomes of changes for which there was no room; they are looked into later",
);
pub(super) static JOURNAL_OPEN: Family = family(
    Kind::Gauge,
    "latimer_journal_open",
    "Changes of this gateway's that are written down and not settled",
);
pub(super) static LOG_LINES_DROPPED: Family = family(
    Kind::Counter,
    "latimer_log_lines_dropped",
    "Log lines given up because they were not taken fast enough",
);
pub(super) static BUILD: Family = family(Kind::Info, "latimer_build", "The running program");
pub(super) static START_TIME: Family =
    seconds(Kind::Gauge, "process_start_time", "When the program started, since 1970");
