//! What holds while Redis is away: it is stopped, hangs, comes back with nothing in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::bounds;
use latimer::config::{OnStoreFailure, RedisConfig};
use latimer::limit::redis::Reason;
use latimer::limit::shared::Clock;
use latimer::limit::{Charge, Redis, Rule, Shared, Unavailable, Verdict};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::server::{Server, nowhere};
use crate::{DAY, HOUR, THEN, charge, now, open, rate, runtime, sliding};

const DEADLINE: Duration = Duration::from_millis(300);
/// What a slow machine may take for itself.
const SLACK: Duration = Duration::from_millis(900);
const POLICIES: [OnStoreFailure; 3] =
    [OnStoreFailure::Local, OnStoreFailure::Open, OnStoreFailure::Closed];

fn settings(server: &Server) -> RedisConfig {
    RedisConfig { timeout: DEADLINE, ..server.settings() }
}

fn rules() -> Vec<Rule> {
    vec![sliding("any", 10, DAY)]
}

const ONE: [Charge; 1] = [Charge { rule: 0, subject: latimer::limit::Subject(1) }];

fn shared(settings: &RedisConfig, on_failure: OnStoreFailure) -> Shared {
    let redis = Redis::new(settings, rules().into()).unwrap();
    Shared::new(redis, on_failure, 2).with_clock(Clock::Caller)
}

async fn ask(shared: &Shared) -> Result<Verdict, Unavailable> {
    shared.charge(&ONE, now(THEN)).await
}

/// Calls that are left, by what answers now.
async fn left(shared: &Shared) -> Option<u64> {
    ask(shared).await.unwrap().standings.first().map(|one| one.room.calls)
}

/// Asks again and again until it is well; what it said then.
async fn until_well(shared: &Shared) -> Verdict {
    let mut ticks = interval(Duration::from_millis(20));
    let begun = Instant::now();
    loop {
        ticks.tick().await;
        let answer = ask(shared).await;
        if shared.is_well() {
            return answer.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{answer:?}");
    }
}

/// What holds without the store: five of ten for each of two gateways, all, or none. Never later than the deadline.
async fn holds_alone(shared: &Shared, on_failure: OnStoreFailure, deadline: Duration) {
    let began = Instant::now();
    for call in 0..7 {
        let answer = ask(shared).await;
        match on_failure {
            OnStoreFailure::Local => {
                let verdict = answer.unwrap();
                assert_eq!(verdict.refused.is_none(), call < 5, "{call}");
                assert_eq!(verdict.standings[0].room.calls, 4u64.saturating_sub(call));
            }
            OnStoreFailure::Open => assert_eq!(answer.unwrap(), Verdict::default()),
            OnStoreFailure::Closed => {
                let reason = answer.unwrap_err().reason();
                assert!(matches!(reason, Reason::Unreachable | Reason::Late), "{reason:?}");
            }
        }
    }
    assert!(!shared.is_well());
    let passed = began.elapsed();
    assert!(passed < deadline + SLACK, "one of them waited, and not all: {passed:?}");
}

#[test]
fn a_server_that_is_stopped_and_started_in_mid_run() {
    for on_failure in POLICIES {
        let mut server = Server::start_own();
        // A check whose answer is lost as the server goes away waits for it until then.
        let deadline = 20 * DEADLINE;
        let shared = shared(&RedisConfig { timeout: deadline, ..server.settings() }, on_failure);
        runtime().block_on(async {
            for calls in (7..10).rev() {
                assert_eq!(left(&shared).await, Some(calls));
            }
            server.stop();
            holds_alone(&shared, on_failure, deadline).await;
            server.start_again();
            let first = until_well(&shared).await;
            assert_eq!(first.standings[0].room.calls, 9, "with nothing in it");
            assert_eq!(left(&shared).await, Some(8));
        });
    }
}

#[test]
fn a_server_that_hangs() {
    for on_failure in POLICIES {
        let mut server = Server::start_own();
        let settings = RedisConfig { timeout: 20 * DEADLINE, ..server.settings() };
        runtime().block_on(async {
            // Connected before it must be quick.
            drop(shared(&settings, on_failure).charge(&ONE, now(THEN)).await.unwrap());
            let shared = shared(&RedisConfig { timeout: DEADLINE, ..settings }, on_failure);
            until_well(&shared).await;
            server.pause();
            holds_alone(&shared, on_failure, DEADLINE).await;
            server.resume();
            until_well(&shared).await;
        });
    }
}

/// All that wait at that time, too: none waits longer than the deadline.
#[test]
fn many_calls_at_once_find_a_server_that_hangs() {
    let mut server = Server::start_own();
    let shared = Arc::new(shared(&settings(&server), OnStoreFailure::Open));
    runtime().block_on(async {
        until_well(&shared).await;
        server.pause();
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..500 {
            let shared = Arc::clone(&shared);
            calls.spawn(async move { ask(&shared).await });
        }
        let answers = calls.join_all().await;
        assert!(answers.iter().all(|one| one.as_ref().is_ok_and(|v| *v == Verdict::default())));
        assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
        server.resume();
    });
}

/// More than may wait are told at once; when the server goes on there is room for as many again, though nobody waited
/// for those that were before.
#[test]
fn a_server_that_hangs_has_no_more_than_so_many_wait() {
    let mut server = Server::start_own();
    let most = bounds::LIMIT_STORE_IN_FLIGHT_MAX;
    let timeout = Duration::from_millis(1_500);
    let redis = Arc::new(open(&RedisConfig { timeout, ..server.settings() }, rules()));
    let ask = |number: usize| {
        let mut calls = JoinSet::new();
        for _ in 0..number {
            let redis = Arc::clone(&redis);
            calls.spawn(async move {
                redis.charge(&ONE, Some(THEN)).await.map_or_else(|one| Some(one.reason()), |_| None)
            });
        }
        calls.join_all()
    };
    runtime().block_on(async {
        assert_eq!(ask(1).await, [None]);
        server.pause();
        let answers = ask(most + 100).await;
        let count = |reason| answers.iter().filter(|one| **one == Some(reason)).count();
        assert_eq!((count(Reason::Overloaded), count(Reason::Late)), (100, most));
        server.resume();
        let mut ticks = interval(Duration::from_millis(20));
        let begun = Instant::now();
        while ask(most / 2).await.iter().any(Option::is_some) {
            ticks.tick().await;
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
    });
}

/// Nobody is there, from the start: who asks is told when that is known, and not at the deadline.
#[test]
fn a_server_that_is_not_there() {
    let settings = RedisConfig { timeout: Duration::from_secs(20), ..nowhere() };
    for on_failure in POLICIES {
        let shared = shared(&settings, on_failure);
        runtime().block_on(holds_alone(&shared, on_failure, DEADLINE));
    }
    let redis = open(&settings, rules());
    let error = runtime().block_on(redis.charge(&ONE, None)).unwrap_err();
    assert_eq!(error.to_string(), "the limits in Redis at 127.0.0.1:1: it cannot be reached");
    assert!(
        std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("refused"))
    );
}

/// Counts begin anew, and nothing breaks.
#[test]
fn a_server_that_is_started_anew_counts_anew() {
    let mut server = Server::start_own();
    let rules = vec![rate("rate", 1, 3_600, 5), sliding("any", 5, HOUR)];
    let redis = open(&server.settings(), rules);
    let both = [charge(0, 1), charge(1, 1)];
    runtime().block_on(async {
        for round in 0..3 {
            for left in (0..5).rev() {
                let verdict = redis.charge(&both, Some(THEN)).await.unwrap();
                assert_eq!(verdict.standings[0].room.calls, left, "{round}");
            }
            assert!(redis.charge(&both, Some(THEN)).await.unwrap().refused.is_some());
            server.stop();
            assert!(redis.charge(&both, Some(THEN)).await.is_err());
            server.start_again();
            let mut ticks = interval(Duration::from_millis(20));
            let begun = Instant::now();
            while redis.look(both[0], Some(THEN)).await.is_err() {
                ticks.tick().await;
                assert!(begun.elapsed() < Duration::from_secs(20), "{round}");
            }
        }
    });
}

/// It answers, and not with a decision: it has no memory left, or only reads.
#[test]
fn a_server_that_takes_no_writes_is_one_that_is_away() {
    let server = Server::start_own();
    let settings = server.settings();
    let shared = shared(&settings, OnStoreFailure::Closed);
    let mut beside = server.beside();
    let mut configure = |setting: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(&mut beside).unwrap();
    };
    runtime().block_on(async {
        until_well(&shared).await;
        configure("maxmemory", "1");
        assert_eq!(ask(&shared).await.unwrap_err().reason(), Reason::Unfit);
        configure("maxmemory", "0");
        until_well(&shared).await;
    });
}
