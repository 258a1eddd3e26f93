//! Quotas over restarts: what was used before a stop is used after it, whatever kind of stop it was.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use latimer::config::PostgresConfig;
use latimer::sim::{Simulator, Vendor};
use rusqlite::{Connection, OpenFlags};

use crate::fleet::postgres::Server;
use crate::harness::{Answer, Gateway, Home, KEY, OTHER_KEY, PATIENCE, simulator, upstream};
use crate::vendors::{request, ticket};

/// More than the second within which gateways on one database know of each other's calls, on a machine that has other work.
const AGREED: Duration = Duration::from_secs(4);

async fn series() -> Simulator {
    simulator(Vendor::Series, &[(ticket(Vendor::Series, 1), "open")]).await
}

/// Midnight is half a day from now, and the same for all gateways of a test: a minute later it would be another limit.
static DAILY: LazyLock<String> = LazyLock::new(|| {
    let begins = Timestamp::now() + 12.hours();
    begins.strftime("%H:%M UTC").to_string()
});

/// Five calls for each consumer.
fn configuration(resets: &str, url: &str) -> String {
    format!(
        "limits:\n  named:\n    five: {{per: consumer, quota: 5/day, resets: \"{resets}\"}}\n\
         upstreams:\n{}routes:\n  main: {{client: series, upstream: series, consumers: all, limits: [five]}}\n",
        upstream(Vendor::Series, url)
    )
}

fn home(text: &str) -> Arc<Home> {
    Home::new("127.0.0.1:0", "mappings", text, &[])
}

async fn call_with(gateway: &Gateway, key: &str) -> Answer {
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "open", key);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

/// Calls that are left after a call that passes.
async fn left(gateway: &Gateway) -> u64 {
    let answer = call_with(gateway, KEY).await;
    assert_ne!(answer.status, 429, "{answer:?}");
    let told = answer.header("ratelimit").unwrap_or_else(|| panic!("{answer:?}"));
    let left = told.split(';').find_map(|part| part.strip_prefix("r="));
    left.unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

async fn check_refused(gateway: &Gateway) {
    let answer = call_with(gateway, KEY).await;
    let body = r#"{"success":false,"error":{"code":429,"message":"Too many requests"}}"#;
    assert_eq!((answer.status, answer.body.as_str()), (429, body), "{answer:?}");
    assert_eq!(answer.header("x-latimer-limit"), Some("five"), "{answer:?}");
}

fn file(home: &Home) -> PathBuf {
    home.path("latimer.sqlite")
}

/// Waits until so many calls are in the file.
async fn until_written(home: &Home, calls: i64) {
    let beside = Connection::open_with_flags(file(home), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let began = Instant::now();
    loop {
        let sum = "SELECT coalesce(sum(calls), 0) FROM limit_uses";
        let written: i64 = beside.query_row(sum, [], |row| row.get(0)).unwrap();
        if written == calls {
            return;
        }
        assert!(began.elapsed() < AGREED, "{written} of {calls} are written in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_used_before_a_stop_is_used_after_it() {
    let system = series().await;
    for resets in [&**DAILY, "sliding"] {
        for is_killed in [false, true] {
            let home = home(&configuration(resets, &system.url()));
            let gateway = Gateway::launch(&home, home.command()).await;
            for expected in [4, 3, 2] {
                assert_eq!(left(&gateway).await, expected);
            }
            if is_killed {
                until_written(&home, 3).await;
                gateway.stop().await;
            } else {
                gateway.terminate().await;
            }
            let gateway = Gateway::launch(&home, home.command()).await;
            assert_eq!(left(&gateway).await, 1, "{resets}, killed: {is_killed}");
            assert_eq!(left(&gateway).await, 0);
            check_refused(&gateway).await;
            assert_ne!(call_with(&gateway, OTHER_KEY).await.status, 429, "another consumer");
            // What is refused is not used, before a stop or after it.
            gateway.terminate().await;
            until_written(&home, 6).await;
            let gateway = Gateway::launch(&home, home.command()).await;
            check_refused(&gateway).await;
            gateway.terminate().await;
        }
    }
    system.stop().await;
}

/// The clock is turned forward by turning back what the file says.
#[tokio::test]
async fn a_day_that_began_while_it_was_stopped_has_all_its_calls() {
    let system = series().await;
    for resets in [&**DAILY, "sliding"] {
        let home = home(&configuration(resets, &system.url()));
        let gateway = Gateway::launch(&home, home.command()).await;
        for expected in (0..5).rev() {
            assert_eq!(left(&gateway).await, expected);
        }
        gateway.terminate().await;
        let beside = Connection::open(file(&home)).unwrap();
        let earlier =
            "UPDATE limit_uses SET start = start - 90000000000, expires = expires - 90000000";
        assert_eq!(beside.execute(earlier, []).unwrap(), 1);
        drop(beside);
        let gateway = Gateway::launch(&home, home.command()).await;
        assert_eq!(left(&gateway).await, 4, "{resets}");
        gateway.terminate().await;
    }
    system.stop().await;
}

/// The same with `state: memory`, and where there are only rates: nobody makes a file that nobody needs.
#[tokio::test]
async fn nothing_is_written_that_nobody_asked_for() {
    let system = series().await;
    let quota = configuration("sliding", &system.url());
    let rate = quota.replace("quota: 5/day, resets: \"sliding\"", "rate: 1/day, burst: 5");
    assert_ne!(quota, rate);
    for text in [format!("state: memory\n{quota}"), rate] {
        let home = home(&text);
        let gateway = Gateway::launch(&home, home.command()).await;
        assert_eq!(left(&gateway).await, 4);
        gateway.terminate().await;
        assert!(!file(&home).exists(), "{text}");
    }
    system.stop().await;
}

fn on_postgres(at: &PostgresConfig, url: &str) -> Arc<Home> {
    let state = format!(
        "state: {{url: \"postgres://{}@{}:{}/{}\", password: {{env: STATE_PASSWORD}}}}\n",
        at.user, at.host, at.port, at.database
    );
    home(&(state + &configuration(&DAILY, url)))
}

async fn launch(home: &Arc<Home>, at: &PostgresConfig) -> Gateway {
    let mut command = home.command();
    command.env("STATE_PASSWORD", at.password.as_ref().unwrap().expose());
    Gateway::launch(home, command).await
}

/// Calls until it is refused; gives how many passed.
async fn passed_until_refused(gateway: &Gateway) -> usize {
    let (began, mut passed) = (Instant::now(), 0);
    while call_with(gateway, KEY).await.status != 429 {
        passed += 1;
        assert!(began.elapsed() < AGREED, "it is refused in time");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    passed
}

/// Outside a runtime, for the server is started and stopped by what waits for it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn gateways_on_one_database_agree() {
    let server = Server::start();
    let at = server.database();
    runtime().block_on(async {
        let system = series().await;
        let homes = [(); 2].map(|()| on_postgres(&at, &system.url()));
        let [one, other] = [launch(&homes[0], &at).await, launch(&homes[1], &at).await];
        for expected in [4, 3, 2] {
            assert_eq!(left(&one).await, expected);
        }
        // Between two writes each counts by itself: a call that passes tells it of the others'.
        assert!(passed_until_refused(&other).await <= 4, "of two that are left");
        assert!(passed_until_refused(&one).await <= 2, "of none that is left");
        // One that comes later, or again, knows at once.
        let late_home = on_postgres(&at, &system.url());
        check_refused(&launch(&late_home, &at).await).await;
        one.terminate().await;
        check_refused(&launch(&homes[0], &at).await).await;
        other.terminate().await;
        system.stop().await;
    });
}

#[test]
fn a_state_that_is_away_stops_no_call_and_loses_none() {
    let mut server = Server::start_own();
    let at = server.database();
    let runtime = runtime();
    let (system, home, gateway) = runtime.block_on(async {
        let system = series().await;
        let home = on_postgres(&at, &system.url());
        let gateway = launch(&home, &at).await;
        assert_eq!(left(&gateway).await, 4);
        (system, home, gateway)
    });
    server.stop();
    runtime.block_on(async {
        for expected in [3, 2, 1] {
            let began = Instant::now();
            assert_eq!(left(&gateway).await, expected);
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        gateway.until_logged("calls of quotas cannot be written down").await;
        tokio::time::sleep(AGREED).await;
    });
    server.start_again();
    let log = runtime.block_on(async {
        gateway.until_logged("calls of quotas are written down again").await;
        gateway.signal("KILL").await;
        gateway.ended().await.1
    });
    let told = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("cannot be written down"), 1, "{log:#?}");
    runtime.block_on(async {
        let gateway = launch(&home, &at).await;
        assert_eq!(left(&gateway).await, 0, "four were used");
        check_refused(&gateway).await;
        let began = Instant::now();
        gateway.terminate().await;
        assert!(began.elapsed() < PATIENCE);
        system.stop().await;
    });
}
