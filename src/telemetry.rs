//! What the program says of itself: one log line per call.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::call::{CallRecord, Outcome};
use crate::config::{Access, Log, LogFormat};
use crate::value::Fault;

/// Starts logging to stderr. Does nothing if a subscriber is there already, as in tests.
pub fn start(log: &Log) {
    let access = match log.access {
        Access::Off => "latimer::access=off",
        Access::Sampled | Access::Full => "latimer::access=info",
    };
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
pub fn log_call(record: &CallRecord) {
    // Whole microseconds: what stands behind them is noise of the clock and of the arithmetic.
    let duration_ms = (record.duration.as_secs_f64() * 1e6).round() / 1e3;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    tracing::info!(
        target: "latimer::access",
        call = %record.call,
        route = text(&record.route),
        consumer = text(&record.consumer),
        operation = text(&record.operation),
        path = text(&record.pattern),
        status = record.status,
        outcome = record.outcome.name(),
        fault = record.fault.map_or("-", Fault::name),
        duration_ms,
        "call"
    );
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
