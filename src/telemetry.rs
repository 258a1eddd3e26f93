//! What the program says of itself: one log line per call.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing_subscriber::EnvFilter;

use crate::call::{CallLine, CallRecord, Outcome};
use crate::config::{Access, Log, LogFormat};
use crate::plan::Plan;
use crate::value::Fault;

/// Starts logging to stderr. Does nothing if a subscriber is there already, as in tests.
pub fn start(log: &Log) {
    let access = match log.access {
        Access::Off => "latimer::access=off",
        Access::Sampled | Access::Full => "latimer::access=info",
    };
    ONE_IN.store(if log.access == Access::Sampled { SAMPLE } else { 0 }, Ordering::Relaxed);
    let filter = EnvFilter::new(format!("info,{access}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second start in one process keeps the first one's form.
    drop(started);
}

/// The line of one call. It holds no secret, no body and no raw target.
pub fn log_call(plan: &Plan, record: &CallRecord) {
    if tracing::enabled!(target: "latimer::access", tracing::Level::INFO) && is_sampled(record) {
        log_access(plan, record);
    }
    log_cause(record);
}

/// Of calls that took effect only one in so many is told of; 0 for all.
static ONE_IN: AtomicU32 = AtomicU32::new(0);
/// Such calls so far.
static UNEVENTFUL: AtomicU32 = AtomicU32::new(0);
/// One in how many, where not all are.
const SAMPLE: u32 = 100;
/// What the log has in place of what is not known, and of a path that no mapping has: the path itself
/// may hold anything.
const NOTHING: &str = "-";
const UNMAPPED: &str = "(unmapped)";

fn is_sampled(record: &CallRecord) -> bool {
    let one_in = ONE_IN.load(Ordering::Relaxed);
    let eventful = record.fault.is_some() || record.outcome != Outcome::Yes;
    one_in == 0 || eventful || UNEVENTFUL.fetch_add(1, Ordering::Relaxed).is_multiple_of(one_in)
}

fn log_access(plan: &Plan, record: &CallRecord) {
    let route = record.route.and_then(|index| plan.routes.get(index));
    let consumer = record.consumer.and_then(|index| plan.consumers.get(index));
    let operation = |index: usize| route?.client.operations.get(index);
    let path = match record.line {
        Some(CallLine::Operation(index)) => operation(index).map(|known| &*known.request.pattern),
        Some(CallLine::Unmapped) => Some(UNMAPPED),
        None => None,
    };
    // Whole microseconds: what stands behind them is noise of the clock and of the arithmetic.
    let duration_ms = (record.duration.as_secs_f64() * 1e6).round() / 1e3;
    tracing::info!(
        target: "latimer::access",
        call = %record.call,
        route = route.map_or(NOTHING, |route| &route.name),
        consumer = consumer.map_or(NOTHING, |name| name),
        operation = record.operation.and_then(operation).map_or(NOTHING, |known| &known.name),
        path = path.unwrap_or(NOTHING),
        status = record.status,
        outcome = record.outcome.name(),
        fault = record.fault.map_or(NOTHING, Fault::name),
        duration_ms,
        "call"
    );
}

fn log_cause(record: &CallRecord) {
    let Some(cause) = &record.cause else { return };
    if record.credential_refused {
        // Every call to this upstream ends so until an operator gives us another credential.
        tracing::error!(target: "latimer::call", call = %record.call, %cause, "the upstream refused our credential");
        return;
    }
    if record.is_abandoned() {
        tracing::warn!(target: "latimer::call", call = %record.call, %cause, "abandoned");
        return;
    }
    let ours = matches!(
        record.fault,
        Some(
            Fault::UpstreamFailed
                | Fault::UpstreamUnreachable
                | Fault::UpstreamTimeout
                | Fault::OutcomeUnknown
        )
    );
    if ours || record.outcome == Outcome::Unknown {
        tracing::warn!(target: "latimer::call", call = %record.call, %cause, "the upstream failed");
    } else {
        tracing::debug!(target: "latimer::call", call = %record.call, %cause, "refused");
    }
}
