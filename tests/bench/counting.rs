//! What it costs to count a call and to log it.
//!
//! `a_tally_each` is how workers count; `one_for_all` is the same with the counters of all threads on the
//! same cache lines. The log goes to stderr: `cargo bench --bench counting 2>/dev/null`.

#![allow(missing_docs, reason = "a benchmark is no library")]

use std::path::Path;
use std::sync::{LazyLock, Once};
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use latimer::app::{self, Shared};
use latimer::call::{CallLine, CallRecord, Outcome, Services};
use latimer::config::{Access, Log, LogFormat};
use latimer::ident::CallId;
use latimer::telemetry;

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/minimal.yaml");
    let environment = [("HELPDESK_TOKEN", "t"), ("ACME_KEY", "k")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = app::load(&path, environment.into_iter());
    let (_, plan, _) = loaded.unwrap_or_else(|error| panic!("{error:?}"));
    Shared::new(plan, app::Outliving::default()).unwrap_or_else(|error| panic!("{error:?}"))
});
static ONE: LazyLock<Services> = LazyLock::new(|| SHARED.services());

thread_local! {
    static OWN: Services = SHARED.services();
}

fn main() {
    divan::main();
    telemetry::end();
}

/// The usual call.
fn record() -> CallRecord {
    let mut record = CallRecord::begun(CallId::random());
    record.route = Some(0);
    record.consumer = Some(0);
    record.operation = Some(0);
    record.line = Some(CallLine::Operation(0));
    record.decision = Some(Ok(()));
    record.status = 200;
    record.outcome = Outcome::Yes;
    record.dropped =
        ONE.plan.routes[0].pairs[0].iter().flat_map(|pair| pair.dropped.clone()).collect();
    record.duration = Duration::from_micros(730);
    record.spent.time = Duration::from_micros(650);
    record.spent.tries = 1;
    record.spent.endpoint = Some(0);
    (record.bytes_in, record.bytes_out) = (60, 90);
    record
}

/// Calls in a row, so that two threads are at it at the same time.
const CALLS: usize = 20_000;

#[divan::bench(threads = [1, 2], sample_count = 50, sample_size = 1)]
fn a_tally_each(bencher: Bencher<'_, '_>) {
    let bencher = bencher.counter(ItemsCount::new(CALLS)).with_inputs(record);
    bencher.bench_refs(|record| {
        OWN.with(|own| (0..CALLS).for_each(|_| own.tally.count(black_box(record))));
    });
}

#[divan::bench(threads = [1, 2], sample_count = 50, sample_size = 1)]
fn one_for_all(bencher: Bencher<'_, '_>) {
    let one = &*ONE;
    let bencher = bencher.counter(ItemsCount::new(CALLS)).with_inputs(record);
    bencher.bench_refs(|record| (0..CALLS).for_each(|_| one.tally.count(black_box(record))));
}

fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        let log = Log { format: LogFormat::Json, access: Access::Sampled };
        telemetry::start(&log).unwrap_or_else(|error| panic!("{error}"));
    });
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn a_line_that_is_not_wanted(bencher: Bencher<'_, '_>) {
    start_log();
    let plan = &ONE.plan;
    let record = || loop {
        let record = record();
        // Of calls that took effect one in a hundred is told of.
        if !record.call.is_one_in(100) {
            return record;
        }
    };
    let bencher = bencher.counter(ItemsCount::new(CALLS)).with_inputs(record);
    bencher.bench_refs(|record| {
        (0..CALLS).for_each(|_| telemetry::log_call(plan, black_box(record)));
    });
}

/// Fewer than there is room for while they wait.
const LINES: usize = 1_000;

#[divan::bench(sample_count = 50, sample_size = 1)]
fn a_line(bencher: Bencher<'_, '_>) {
    start_log();
    let plan = &ONE.plan;
    let eventful = || CallRecord { outcome: Outcome::No, ..record() };
    let bencher = bencher.counter(ItemsCount::new(LINES)).with_inputs(eventful);
    bencher.bench_refs(|record| {
        (0..LINES).for_each(|_| telemetry::log_call(plan, black_box(record)));
    });
}

#[divan::bench]
fn the_page(bencher: Bencher<'_, '_>) {
    bencher.bench(|| SHARED.metrics().text().map(|text| text.len()));
}
