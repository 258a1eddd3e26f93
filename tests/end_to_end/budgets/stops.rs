//! An upstream that says that it wants no requests for a while.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use tokio::task::JoinSet;

use super::{call, case, gateway, is_yes, refused};
use crate::harness::KEY;
use crate::metrics::shows;
use crate::scripted::{Act, Scripted, answer};
use crate::vendors::ticket;

/// The row of Thalamus' mapping, and header lines.
fn too_many(headers: &str) -> Act {
    let json = "Content-Type: application/json\r\n";
    let body = r#"{"errors":{"token":"TooManyRequests"}}"#;
    answer("429 Too Many Requests", &format!("{json}{headers}"), body)
}

/// On connections of their own, so that every worker has some.
async fn several(address: &str, client: Vendor) -> Vec<crate::harness::Answer> {
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        calls.spawn(call(address.to_owned(), client, KEY));
    }
    calls.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_wait_as_long_as_an_upstream_says_and_go_on_then() {
    for limit in ["", "    limit: {rate: 500/s, wait: 1s}\n"] {
        let acts = Act::InTurn(vec![too_many("Retry-After: 2\r\n"), case()]);
        let scripted = Scripted::start(acts).await;
        let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, limit).await;
        let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
        let told = (got.status, got.header("retry-after"), got.header("x-latimer-limit"));
        assert_eq!(told, (429, Some("2"), None), "{got:?}");
        let told = Instant::now();
        let answers = several(&gateway.address, Vendor::Series).await;
        if told.elapsed() < Duration::from_millis(900) {
            // None waits that could not have a turn in time.
            for got in &answers {
                assert!((1..=2).contains(&refused(got, "upstream.stop")), "{got:?}");
            }
            assert_eq!(scripted.seen_count(), 1, "{limit}");
            shows(&gateway, "latimer_upstream_stops_total{upstream=\"thalamus\"} 1").await;
        }
        // From a second before its end on, calls wait for it.
        tokio::time::sleep_until((told + Duration::from_millis(1_400)).into()).await;
        let answers = several(&gateway.address, Vendor::Series).await;
        assert!(answers.iter().all(is_yes), "{answers:?}");
        let times = scripted.times();
        assert!(times[1] - times[0] >= Duration::from_secs(2), "{:?}", times[1] - times[0]);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_429_that_names_no_time_stops_nothing() {
    let acts = Act::InTurn(vec![too_many(""), too_many("Retry-After: soon\r\n"), case()]);
    let scripted = Scripted::start(acts).await;
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, "").await;
    for _ in 0..2 {
        assert_eq!(call(gateway.address.clone(), Vendor::Series, KEY).await.status, 429);
    }
    assert!(is_yes(&call(gateway.address.clone(), Vendor::Series, KEY).await));
    gateway.stop().await;
}

/// Years ahead: a client is sent away for an hour at most.
#[tokio::test]
async fn an_absurd_time_is_told_as_an_hour() {
    let scripted =
        Scripted::start(too_many("Retry-After: Tue, 31 Dec 2199 23:59:59 GMT\r\n")).await;
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, "").await;
    assert_eq!(call(gateway.address.clone(), Vendor::Series, KEY).await.status, 429);
    let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
    assert!((3_590..=3_600).contains(&refused(&got, "upstream.stop")), "{got:?}");
    assert_eq!(scripted.seen_count(), 1);
    gateway.stop().await;
}

/// A date as Arena writes it, so many seconds from now.
fn arenas_date(seconds: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let at = at.in_tz("America/Los_Angeles").unwrap();
    at.strftime("%a, %d-%b-%Y %H:%M:%S GMT%z (%Z)").to_string()
}

/// Arena's success, and what it says of its quota.
fn changed(left: &str, reset: &str) -> Act {
    let headers = format!(
        "Content-Type: application/json\r\nX-Arena-Requests-Remaining: {left}\r\n\
         X-Arena-Next-Request-Limit-Reset: {reset}\r\n"
    );
    let id = ticket(Vendor::Arena, 1);
    let body = format!(r#"{{"guid":"{id}","status":{{"guid":"x","value":"Complete"}}}}"#);
    answer("201 Created", &headers, &body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arena_without_calls_left_is_left_alone_until_its_reset() {
    for client in [Vendor::Zstack, Vendor::Series] {
        // Two seconds at least: what is behind a whole one is cut off.
        let reset = jiff::Timestamp::now().as_second() + 3;
        let acts = vec![changed("0", &arenas_date(3)), changed("24999", &arenas_date(80_000))];
        let scripted = Scripted::start(Act::InTurn(acts)).await;
        let gateway = gateway(
            client,
            Vendor::Arena,
            &scripted.url,
            "    limit: {rate: 500/s, wait: 100ms}\n",
        )
        .await;
        let began = Instant::now();
        let first = call(gateway.address.clone(), client, KEY).await;
        assert!(is_yes(&first), "{client}: {first:?}");
        let mut refusals = 0;
        loop {
            let got = call(gateway.address.clone(), client, KEY).await;
            if is_yes(&got) {
                break;
            }
            assert!((1..=3).contains(&refused(&got, "upstream.stop")), "{client}: {got:?}");
            refusals += 1;
            assert!(began.elapsed() < Duration::from_secs(20), "{client}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(refusals > 0, "{client}");
        let times = scripted.times();
        assert_eq!(times.len(), 2, "{client}: what is refused is not sent");
        assert!(jiff::Timestamp::now().as_second() >= reset, "{client}");
        // Calls that are left stop nobody.
        assert!(is_yes(&call(gateway.address.clone(), client, KEY).await), "{client}");
        gateway.stop().await;
    }
}

/// A reset that has passed, one that cannot be read, and one without a count.
#[tokio::test]
async fn what_arena_does_not_say_clearly_stops_nothing() {
    let passed = changed("0", &arenas_date(-5));
    let unreadable = changed("0", "tomorrow");
    let uncounted = changed("none", &arenas_date(3_600));
    let scripted = Scripted::start(Act::InTurn(vec![passed, unreadable, uncounted])).await;
    let gateway = gateway(Vendor::Series, Vendor::Arena, &scripted.url, "").await;
    for _ in 0..4 {
        let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
        assert!(is_yes(&got), "{got:?}");
    }
    shows(&gateway, "latimer_upstream_stops_total{upstream=\"arena\"} 0").await;
    gateway.stop().await;
}
