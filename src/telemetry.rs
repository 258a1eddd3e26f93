//! What the program says of itself: one log line per call, and what went wrong behind it.

mod queue;

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::bounds;
use crate::call::{CallLine, CallRecord, Outcome, ReadBack};
use crate::config::{Access, Log, LogFormat, Url};
use crate::plan::Plan;
use crate::value::Fault;
use queue::{Lines, Queue};

/// What leads to stderr, once the log was started.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// Starts logging to stderr. Does nothing if a subscriber is there already, as in tests.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(log: &Log) -> io::Result<()> {
    let queue = Queue::start(io::stderr())?;
    let access = match log.access {
        Access::Off => LevelFilter::OFF,
        Access::Sampled | Access::Full => LevelFilter::INFO,
    };
    SAMPLED.store(log.access == Access::Sampled, Ordering::Relaxed);
    let filter =
        Targets::new().with_default(LevelFilter::INFO).with_target("latimer::access", access);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = Arc::clone(&queue);
    let form = tracing_subscriber::fmt::layer()
        .with_writer(move || Lines(Arc::clone(&lines)))
        .with_ansi(io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => registry.with(form).try_init(),
        LogFormat::Json => registry.with(form.json().flatten_event(true)).try_init(),
    };
    // A second start in one process keeps the first one's form.
    if started.is_ok() && QUEUE.set(queue).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

/// Writes what is still to be written, as far as there is time.
pub fn end() {
    if let Some(queue) = QUEUE.get() {
        queue.end(bounds::LOG_END);
    }
}

/// Log lines that were given up because nobody took them fast enough.
pub fn lines_dropped() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped())
}

/// The usual hook writes to stderr itself, where it may be stopped. What a panic says may hold any text
/// that the program had in its hands, so only its place is told.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "latimer::panic", place, "this is a defect, please report it");
}

/// The line of one call. It holds no secret, no body and no raw target.
pub fn log_call(plan: &Plan, record: &CallRecord) {
    if tracing::enabled!(target: "latimer::access", tracing::Level::INFO) && is_sampled(record) {
        log_access(plan, record);
    }
    log_cause(record);
    log_read_back(record);
}

/// True if of calls that took effect only a sample is told of.
static SAMPLED: AtomicBool = AtomicBool::new(false);
/// One in how many that is.
const SAMPLE: u64 = 100;
/// What the log has in place of what is not known, and of a path that no mapping has: the path itself
/// may hold anything.
const NOTHING: &str = "-";
const UNMAPPED: &str = "(unmapped)";

fn is_sampled(record: &CallRecord) -> bool {
    let eventful = record.fault.is_some() || record.outcome != Outcome::Yes;
    // By the call's id, so that no two workers share a counter.
    eventful || !SAMPLED.load(Ordering::Relaxed) || record.call.is_one_in(SAMPLE)
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
    let upstream = route.and_then(|route| plan.upstreams.get(route.upstream));
    let endpoint = record.spent.endpoint.and_then(|index| upstream?.endpoints.get(index));
    let endpoint = endpoint.map(Url::host_and_port);
    let refuser = record.decision.and_then(Result::err);
    let trace = record.trace.as_ref().map_or(&NOTHING as &dyn Display, |trace| trace);
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
        duration_ms = milliseconds(record.duration),
        upstream_ms = milliseconds(record.spent.time),
        waited_ms = milliseconds(record.spent.waited),
        endpoint = endpoint.as_deref().unwrap_or(NOTHING),
        tries = record.spent.tries,
        limit = refuser.map_or(NOTHING, |refuser| refuser.name(plan)),
        bytes_in = record.bytes_in,
        bytes_out = record.bytes_out,
        trace = %trace,
        "call"
    );
}

/// Whole microseconds: what stands behind them is noise of the clock and of the arithmetic.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
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

/// The call itself is well, or its own line says how it is; only its answer has less in it.
fn log_read_back(record: &CallRecord) {
    let Some(ReadBack::Failed { cause, credential_refused }) = &record.read_back else { return };
    if *credential_refused {
        tracing::error!(target: "latimer::call", call = %record.call, %cause, "the upstream refused our credential for a read after a write");
    } else {
        tracing::warn!(target: "latimer::call", call = %record.call, %cause, "the ticket could not be read after the write");
    }
}
