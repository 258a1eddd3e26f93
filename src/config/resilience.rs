//! What an upstream's section says of its endpoints: how one is chosen, when one is left alone, how many calls
//! and further tries there may be, and how often one.
//!
//! The structures are plain values, all within their ranges; `crate::upstream` runs on them.

use std::time::Duration;

use super::form::{self, net, quote};
use super::gateway::{CONCURRENCY_LIMIT, TIMEOUT};
use super::limits::{self, UpstreamLimit};
use super::section::{Reader, Section, shown_duration};
use super::tree::{Kind, Spanned};
use super::{codes, schema};
use crate::bounds;
use crate::diag::Diagnostic;

/// The least and the most that a number of calls or checks may be.
const COUNT: (u32, u32) = (1, 1_000_000);
/// Tries per second beside the share; none at all is a choice.
const PER_SECOND: (u32, u32) = (0, 1_000_000);
/// A share of retries. More than one further try a call, over all calls, is a storm and no budget.
const RETRY_PERCENT: (u32, u32) = (0, 100);
/// A share of failures.
const FAILURE_PERCENT: (u32, u32) = (1, 100);
/// Below a second a share is taken of next to nothing, and above an hour of what is long past.
const WINDOW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// Time that a breaker stays open.
const OPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));
/// Time between two health checks: more often would be a load of its own.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));
/// The word that switches a part off.
const OFF: &str = "off";

/// How an upstream's endpoints are chosen and left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resilience {
    /// Which endpoint comes first.
    pub balance: Balance,
    /// Calls in flight, all endpoints together.
    pub concurrency_max: usize,
    /// How much is sent to all endpoints together; `None` for as much as anybody likes.
    pub limit: Option<UpstreamLimit>,
    /// How many further tries there may be.
    pub retry_budget: RetryBudget,
    /// When an endpoint is left alone because its calls fail; `None` for never.
    pub breaker: Option<Breaker>,
    /// How an endpoint is asked whether it is well; `None` if it is not asked.
    pub health: Option<Health>,
}

/// Which endpoint comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The first of the list that may be called; the others stand by.
    Failover,
}

/// At most `calls × ratio + per_second × window` further tries, over [`bounds::RETRY_WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Share of the calls, in percent, 0 to 100.
    pub ratio_percent: u32,
    /// Tries beside the share, so that few calls have some too.
    pub per_second: u32,
}

/// When an endpoint is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row, at least 1.
    pub failures: u32,
    /// Share of failures among the calls of the window, in percent, 1 to 100.
    pub ratio_percent: u32,
    /// Calls in the window below which the share does not count.
    pub calls_min: u32,
    /// Time over which the share is taken.
    pub window: Duration,
    /// Time that it stays open at first.
    pub open: Duration,
    /// The same after repeated openings at most; not below `open`.
    pub open_max: Duration,
}

/// How an endpoint is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Path and query that are asked for, from the host's root: the base path is not put before it.
    pub target: String,
    /// Time from one check to the next.
    pub every: Duration,
    /// Time for one check, not above `every`.
    pub timeout: Duration,
    /// Good checks in a row that bring an endpoint back.
    pub healthy_after: u32,
    /// Bad checks in a row that take it out.
    pub unhealthy_after: u32,
    /// Statuses of a good check, at least one.
    pub expect: Vec<u16>,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            concurrency_max: bounds::UPSTREAM_CONCURRENCY_MAX,
            limit: None,
            retry_budget: RetryBudget::default(),
            breaker: Some(Breaker::default()),
            health: None,
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { ratio_percent: bounds::RETRY_RATIO_PERCENT, per_second: bounds::RETRIES_PER_SECOND }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: bounds::BREAKER_FAILURES,
            ratio_percent: bounds::BREAKER_RATIO_PERCENT,
            calls_min: bounds::BREAKER_CALLS_MIN,
            window: bounds::BREAKER_WINDOW,
            open: bounds::BREAKER_OPEN,
            open_max: bounds::BREAKER_OPEN_MAX,
        }
    }
}

/// The part of an upstream's section that speaks of this.
pub(super) fn read(reader: &mut Reader<'_>, upstream: &Section<'_>) -> Resilience {
    let default = Resilience::default();
    let balance = [("round_robin", Balance::RoundRobin), ("failover", Balance::Failover)];
    let concurrency = reader.leaf(upstream, "concurrency_max", form::count_to(CONCURRENCY_LIMIT));
    Resilience {
        balance: reader.word(upstream, "balance", &balance, default.balance),
        concurrency_max: concurrency
            .and_then(|count| usize::try_from(count.value).ok())
            .unwrap_or(default.concurrency_max),
        limit: limits::of_upstream(reader, upstream),
        retry_budget: retry_budget(reader, upstream),
        breaker: breaker(reader, upstream),
        health: health(reader, upstream),
    }
}

fn retry_budget(reader: &mut Reader<'_>, upstream: &Section<'_>) -> RetryBudget {
    let RetryBudget { ratio_percent, per_second } = RetryBudget::default();
    let Some(section) = reader.subsection(upstream, "retry_budget", schema::RETRY_BUDGET) else {
        return RetryBudget::default();
    };
    RetryBudget {
        ratio_percent: reader.percent(&section, "ratio", RETRY_PERCENT, ratio_percent),
        per_second: reader.count(&section, "per_second", PER_SECOND, per_second),
    }
}

fn breaker(reader: &mut Reader<'_>, upstream: &Section<'_>) -> Option<Breaker> {
    let default = Breaker::default();
    if is_off(reader, upstream, "breaker", "{failures: 5, ratio: 50%}") {
        return None;
    }
    let Some(section) = &reader.subsection(upstream, "breaker", schema::BREAKER) else {
        return Some(default);
    };
    let (open, open_max) = open(reader, section, &default);
    Some(Breaker {
        failures: reader.count(section, "failures", COUNT, default.failures),
        ratio_percent: reader.percent(section, "ratio", FAILURE_PERCENT, default.ratio_percent),
        calls_min: reader.count(section, "calls_min", COUNT, default.calls_min),
        window: reader.duration(section, "window", WINDOW, default.window),
        open,
        open_max,
    })
}

/// `open` and `open_max`, which must not be below it; left out, it is not.
fn open(reader: &mut Reader<'_>, section: &Section<'_>, default: &Breaker) -> (Duration, Duration) {
    let found = reader.findings.len();
    let open = reader.duration(section, "open", OPEN, default.open);
    let open_max = reader.duration(section, "open_max", OPEN, default.open_max.max(open));
    // What could not be read contradicts nothing.
    if open_max < open && reader.findings.len() == found {
        let message = format!(
            "`breaker.open_max` is less than `breaker.open`, which is {}",
            shown_duration(open)
        );
        contradict(reader, section, ("open_max", "open"), message, "write at least as much");
    }
    (open, open_max)
}

fn health(reader: &mut Reader<'_>, upstream: &Section<'_>) -> Option<Health> {
    upstream.get("health")?;
    if is_off(reader, upstream, "health", "{path: /health}") {
        return None;
    }
    let section = &reader.subsection(upstream, "health", schema::HEALTH)?;
    let target = reader
        .required(section, "path", "add `path:` with what to ask for, such as `/health`")
        .and_then(|item| reader.parsed(item, &section.path("path"), net::request_target));
    let (every, timeout) = every(reader, section);
    Some(Health {
        every,
        timeout,
        healthy_after: reader.count(section, "healthy_after", COUNT, bounds::HEALTHY_AFTER),
        unhealthy_after: reader.count(section, "unhealthy_after", COUNT, bounds::UNHEALTHY_AFTER),
        expect: expect(reader, section),
        target: target?.value,
    })
}

/// `every` and `timeout`, which must not be above it; left out, it is not.
fn every(reader: &mut Reader<'_>, section: &Section<'_>) -> (Duration, Duration) {
    let found = reader.findings.len();
    let every = reader.duration(section, "every", EVERY, bounds::HEALTH_EVERY);
    let timeout = reader.duration(section, "timeout", TIMEOUT, bounds::HEALTH_TIMEOUT.min(every));
    if timeout > every && reader.findings.len() == found {
        let message = format!(
            "`health.timeout` is more than `health.every`, which is {}",
            shown_duration(every)
        );
        contradict(reader, section, ("timeout", "every"), message, "write at most as much");
    }
    (every, timeout)
}

fn expect(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<u16> {
    let Some(list) = section.get("expect") else { return bounds::HEALTH_EXPECT.to_vec() };
    let items = reader.list(section, "expect");
    if items.is_empty() && matches!(list.kind, Kind::List(_)) {
        let message = "`health.expect` is empty, so no endpoint would be healthy";
        reader.error(codes::FORM, &list.at, message, "write a list such as `[200, 204]`");
    }
    let mut statuses: Vec<Spanned<u16>> = Vec::new();
    for item in items {
        let Some(status) = reader.parsed(item, "health.expect", form::status) else { continue };
        if statuses.iter().any(|other| other.value == status.value) {
            let message = format!("`health.expect` names {} twice", status.value);
            reader.error(codes::CONFLICT, &status.at, message, "once is enough");
        }
        statuses.push(status);
    }
    statuses.into_iter().map(|status| status.value).collect()
}

/// True if `off` is written in place of a map, or another text, which is reported.
fn is_off(reader: &mut Reader<'_>, upstream: &Section<'_>, key: &str, example: &str) -> bool {
    let Some(item) = upstream.get(key) else { return false };
    let Kind::Text(text) = &item.kind else { return false };
    if text != OFF {
        let message = format!("`{key}`: {} is neither `{OFF}` nor a map", quote(text));
        let hint = format!("write `{example}` or `{OFF}`");
        reader.error(codes::FORM, &item.at, message, hint);
    }
    true
}

/// Reports a value that is on the wrong side of another one, which may be a default.
fn contradict(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    (key, other): (&str, &str),
    message: String,
    label: &str,
) {
    let at = |key: &str| section.get(key).map(|item| item.at.clone());
    let here = at(key).unwrap_or_else(|| section.at.clone());
    let mut finding = Diagnostic::error(codes::CONFLICT, here, message).label(label);
    if let Some(there) = at(other) {
        finding = finding.also(there, "the other one");
    }
    reader.findings.push(finding);
}
