//! What a decision about limits costs, in this process and in Redis: `cargo bench --bench limits`.
//!
//! The last part wants a `redis-server`, as the tests do, or one that `LATIMER_TEST_REDIS` names; without either it is
//! left out. Memory is what the process has grown by while a million callers were counted.

#![allow(missing_docs, reason = "a benchmark is no library")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../end_to_end/authority.rs"]
mod authority;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/redis.rs"]
mod redis;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use latimer::config::RedisConfig;
use latimer::limit::memory::Memory;
use latimer::limit::{Charge, Form, Limiter, Now, Pace, Quota, Redis, Rule, Scope, Span, Subject};
use tokio::task::JoinSet;

const KEYS: [u64; 3] = [1, 1_000, 1_000_000];
/// Has the program count a million callers by the rule of that index, and nothing else.
const COUNT: &str = "LATIMER_BENCH_COUNT";
const DAY: u64 = 86_400_000_000;
/// Some time in 2023.
const THEN: u64 = 1_700_000_000_000_000;

fn main() {
    // One that has nothing else in its memory.
    if let Some(rule) = std::env::var(COUNT).ok().and_then(|rule| rule.parse().ok()) {
        return million(rule);
    }
    divan::main();
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for rule in 0..3 {
        let program = std::env::current_exe().unwrap();
        let counted = std::process::Command::new(program).env(COUNT, rule.to_string()).status();
        assert!(counted.unwrap().success());
    }
    if std::env::var_os("LATIMER_TEST_REDIS").is_some() || has_server() {
        in_redis();
    }
}

fn has_server() -> bool {
    let asked = std::process::Command::new("redis-server").arg("--version").output();
    asked.is_ok_and(|said| said.status.success())
}

fn rate(name: &str) -> Rule {
    let per = Duration::from_secs(1);
    let form = Form::Rate { pace: Pace::new(1_000_000, per, 1_000_000), per };
    Rule { name: name.into(), scope: Scope::Consumer, form }
}

fn quota(name: &str, span: Span) -> Rule {
    let form = Form::Quota(Quota { calls: u64::from(u32::MAX), span });
    Rule { name: name.into(), scope: Scope::Consumer, form }
}

/// A rate, a day of Pacific time, any hour.
fn three() -> Vec<Rule> {
    let zone = jiff::tz::TimeZone::get("America/Los_Angeles").unwrap();
    let day = Span::Day { begins: jiff::civil::Time::midnight(), zone };
    vec![rate("rate"), quota("day", day), quota("hour", Span::Sliding(DAY / 24))]
}

fn charges<const LIMITS: usize>(subject: u64) -> [Charge; LIMITS] {
    std::array::from_fn(|rule| Charge { rule, subject: Subject(subject) })
}

fn at(call: u64) -> Now {
    Now { steady: call, wall: THEN + call }
}

/// A caller's number, by a hash's beginning as in the gateway; one after the other in no order.
fn subject(call: u64, keys: u64) -> u64 {
    let number = call.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    (number % keys).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn counted<const LIMITS: usize>(rules: Vec<Rule>, keys: u64) -> Memory {
    let memory = Memory::new(rules.into());
    for key in 0..keys {
        let subject = key.wrapping_mul(0xd6e8_feb8_6659_fd93);
        memory.charge(&charges::<LIMITS>(subject), at(0));
    }
    memory
}

#[divan::bench(args = KEYS)]
fn governor(bencher: Bencher<'_, '_>, keys: u64) {
    let limiter: Limiter<_, u64> = Limiter::new(1_000_000, Duration::from_secs(1), 1_000_000);
    for key in 0..keys {
        limiter.check(key.wrapping_mul(0xd6e8_feb8_6659_fd93));
    }
    let mut call = 0;
    bencher.bench_local(|| {
        call += 1;
        black_box(limiter.check(subject(call, keys)))
    });
}

#[divan::bench(args = KEYS)]
fn memory_of_one(bencher: Bencher<'_, '_>, keys: u64) {
    let memory = counted::<1>(vec![rate("rate")], keys);
    let mut call = 0;
    bencher.bench_local(|| {
        call += 1;
        black_box(memory.charge(&charges::<1>(subject(call, keys)), at(call)))
    });
}

#[divan::bench(args = KEYS)]
fn memory_of_three(bencher: Bencher<'_, '_>, keys: u64) {
    let memory = counted::<3>(three(), keys);
    let mut call = 0;
    bencher.bench_local(|| {
        call += 1;
        black_box(memory.charge(&charges::<3>(subject(call, keys)), at(call)))
    });
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) * 1_024
}

fn million(rule: usize) {
    let name = ["a rate", "a day", "any hour"][rule];
    let before = resident();
    let memory = counted::<1>(vec![three().remove(rule)], 1_000_000);
    let grown = resident().saturating_sub(before) / 1_000_000;
    println!("{name}: {} callers in {grown} MB", memory.callers(0));
}

fn in_redis() {
    let server = redis::Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, rules) in [("one limit", vec![rate("rate")]), ("three limits", three())] {
        for together in [1, 16, 256] {
            let settings: RedisConfig = server.settings();
            let redis = Arc::new(Redis::new(&settings, rules.clone().into()).unwrap());
            let limits = rules.len();
            let figures = runtime.block_on(checks(redis, limits, together));
            println!("Redis, {name}, {together} in flight: {figures}");
        }
    }
}

/// Two seconds of checks by so many callers.
async fn checks(redis: Arc<Redis>, limits: usize, together: u64) -> String {
    const TIME: Duration = Duration::from_secs(2);
    redis.charge(&[Charge { rule: 0, subject: Subject(0) }], None).await.unwrap();
    let (begun, calls) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for caller in 0..together {
        let (redis, calls) = (Arc::clone(&redis), Arc::clone(&calls));
        callers.spawn(async move {
            let mut times = Vec::new();
            let all: Vec<Charge> = charges::<3>(caller).into_iter().take(limits).collect();
            while begun.elapsed() < TIME {
                let asked = Instant::now();
                assert!(redis.charge(&all, None).await.unwrap().refused.is_none());
                times.push(asked.elapsed());
                calls.fetch_add(1, Ordering::Relaxed);
            }
            times
        });
    }
    let mut times: Vec<Duration> = callers.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let rate = calls.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    format!("p50 {half:?}, p99 {most:?}, {rate:.0}/s")
}
