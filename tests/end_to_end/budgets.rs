//! What is sent to an upstream stays inside what it allows, whoever calls; and when it says that it wants no requests it
//! gets none.
//!
//! Times are those at which requests arrive there. On a busy machine one may be late, so that the next one seems to
//! come too early: [`LATE`] is what is allowed for that.

mod charged;
mod stops;

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::harness::{Answer, Gateway, KEY, OTHER_KEY, upstream};
use crate::http2::client::Client;
use crate::metrics::shows;
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{crosswalk, request, sayable, ticket};

/// How late a request may be.
const LATE: Duration = Duration::from_millis(250);

/// Thalamus' success.
const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"open"}}"#;

fn case() -> Act {
    message("201 Created", "application/json", CASE)
}

/// Clients of one vendor, with either key, in front of a system at this address.
async fn gateway(client: Vendor, vendor: Vendor, url: &str, of_upstream: &str) -> Gateway {
    let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    let text = format!(
        "workers: 2\nlog: {{format: json, access: full}}\nupstreams:\n{}{of_upstream}routes:\n  main:\n    client: \
         {client}\n    upstream: {vendor}\n    consumers: [tester, other]\n    limit: none\n    read_back: off\n    \
         settings: {settings}\n    ids: {{ticket: {{file: ids.csv}}}}\n",
        upstream(vendor, url)
    );
    let files = [("ids.csv".to_owned(), crosswalk(client, vendor, 1..=9))];
    Gateway::start(&text, &files).await
}

/// The bytes of a change that every upstream can be told.
fn change(client: Vendor, key: &str) -> Vec<u8> {
    let request = request(client, &ticket(client, 1), sayable(client)[0].0, key);
    let mut head = format!("{} HTTP/1.1\r\nHost: gateway.test\r\n", request.line);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = request.body.len();
    format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{}", request.body)
        .into_bytes()
}

async fn call(address: String, client: Vendor, key: &'static str) -> Answer {
    Answer::parse(&crate::harness::exchange(&address, &change(client, key)).await)
}

/// Refused, and by whom; and in how many seconds to come again.
fn refused(answer: &Answer, by: &str) -> u64 {
    let told =
        (answer.status, answer.header("x-latimer-fault"), answer.header("x-latimer-outcome"));
    assert_eq!(told, (429, Some("rate_limited"), Some("no")), "{answer:?}");
    assert_eq!(answer.header("x-latimer-limit"), Some(by), "{answer:?}");
    answer.header("retry-after").unwrap().parse().unwrap()
}

fn is_yes(answer: &Answer) -> bool {
    answer.header("x-latimer-outcome") == Some("yes")
}

/// At most `burst + rate × t` in any time t, but for what is late.
fn is_within(times: &[Instant], rate: f64, burst: f64) {
    for (first, start) in times.iter().enumerate() {
        for (index, end) in times.iter().enumerate().skip(first) {
            let most = burst + rate * (*end - *start + LATE).as_secs_f64();
            let count = (index - first + 1) as f64;
            assert!(count <= most, "{count} within {:?}", *end - *start);
        }
    }
}

/// What the log says of a consumer's calls.
fn logged<'l>(log: &'l [String], consumer: &'l str) -> impl Iterator<Item = Value> + 'l {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(move |line| line["target"] == "latimer::access" && line["consumer"] == consumer)
}

/// 200 calls at once of one consumer, and meanwhile one after the other of another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_gets_what_the_upstream_allows_and_delays_others_by_a_turn() {
    const RATE: f64 = 20.0;
    const TURN_MS: f64 = 50.0;
    let scripted = Scripted::start(case()).await;
    let limit = "    limit: {rate: 20/s, wait: 2s}\n";
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, limit).await;
    let began = Instant::now();
    let mut flood = JoinSet::new();
    for _ in 0..200 {
        flood.spawn(call(gateway.address.clone(), Vendor::Series, KEY));
    }
    shows_waiting(&gateway).await;
    let mut quiet = 0;
    while began.elapsed() < Duration::from_millis(1_500) {
        let got = call(gateway.address.clone(), Vendor::Series, OTHER_KEY).await;
        assert!(is_yes(&got), "{got:?}");
        quiet += 1;
    }
    assert!(quiet >= 5, "{quiet} in 1.5 s, of 15");
    let flood = flood.join_all().await;
    let took = began.elapsed();
    let passed = flood.iter().filter(|answer| is_yes(answer)).count();
    flood.iter().filter(|answer| !is_yes(answer)).for_each(|answer| {
        let wait = refused(answer, "upstream.limit");
        assert!((1..=3).contains(&wait), "{answer:?}");
    });
    let times = scripted.times();
    assert_eq!(times.len(), passed + quiet, "what is refused is not sent");
    is_within(&times, RATE, 1.0);
    // All of the time somebody waits, so it is used, but for what timers cost.
    let least = 0.7 * RATE * (took.min(Duration::from_secs(2))).as_secs_f64();
    assert!(times.len() as f64 >= least, "{} requests in {took:?}", times.len());
    assert!(passed < 100, "{passed} passed");
    let log = gateway.terminate().await;
    // By the gateway's own clock. A turn of the other's, its own, and what is late: a machine may stall for some
    // tenths of a second, and the flood has waited for more than that.
    let mut waits: Vec<f64> =
        logged(&log, "other").map(|line| line["waited_ms"].as_f64().unwrap()).collect();
    waits.sort_unstable_by(f64::total_cmp);
    assert_eq!(waits.len(), quiet);
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(median <= 2.0 * TURN_MS + 25.0, "{waits:?}");
    assert!(longest <= 2.0 * TURN_MS + 600.0, "{waits:?}");
    let longest = logged(&log, "tester").map(|line| line["waited_ms"].as_f64().unwrap());
    assert!(longest.fold(0.0, f64::max) >= 1_000.0, "the flood has waited");
}

/// Until somebody waits.
async fn shows_waiting(gateway: &Gateway) {
    let none = "latimer_upstream_requests_waiting{upstream=\"thalamus\"} 0";
    let work = async {
        while crate::metrics::scrape(gateway).await.lines().any(|line| line == none) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, work).await.expect("somebody waits in time");
}

/// The body of each vendor's own 429.
fn too_many(client: Vendor) -> &'static str {
    match client {
        Vendor::Arena => r#"{"status":429,"errors":[{"code":429,"message":"Too many requests"}]}"#,
        Vendor::Series => r#"{"success":false,"error":{"code":429,"message":"Too many requests"}}"#,
        Vendor::Akana => r#"{"faultcode":"Client","faultstring":"Too many requests"}"#,
        Vendor::Thalamus => r#"{"errors":{"request":"TooManyRequests"}}"#,
        Vendor::Zstack => {
            r#"{"error":{"code":"SYS.1006","description":"Too many requests","details":"Too many requests"}}"#
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_in_time_is_refused_in_each_clients_own_words() {
    for client in Vendor::ALL {
        let scripted = Scripted::start(case()).await;
        let limit = "    limit: {rate: 1/h, wait: 300ms}\n";
        let gateway = gateway(client, Vendor::Thalamus, &scripted.url, limit).await;
        let first = call(gateway.address.clone(), client, KEY).await;
        assert!(is_yes(&first), "{client}: {first:?}");
        for key in [KEY, OTHER_KEY] {
            let got = call(gateway.address.clone(), client, key).await;
            let wait = refused(&got, "upstream.limit");
            assert!((3_590..=3_600).contains(&wait), "{client}: {got:?}");
            assert_eq!(got.body, too_many(client), "{client}: {got:?}");
        }
        assert_eq!(scripted.seen_count(), 1, "{client}: nothing is sent");
        let by = "latimer_limit_refusals_total{route=\"main\",limit=\"upstream.limit\"} 2";
        shows(&gateway, by).await;
        shows(&gateway, "latimer_upstream_turns_refused_total{upstream=\"thalamus\"} 2").await;
        let log = gateway.terminate().await;
        let limits: Vec<Value> = logged(&log, "tester").map(|line| line["limit"].clone()).collect();
        assert_eq!(limits, ["-", "upstream.limit"], "{client}");
    }
}

/// The second one's turn would have come in time, but another consumer's comes before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_waited_in_vain_is_refused_when_the_wait_is_over() {
    let scripted = Scripted::start(case()).await;
    let limit = "    limit: {rate: 1/s, wait: 2500ms}\n";
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, limit).await;
    assert!(is_yes(&call(gateway.address.clone(), Vendor::Series, KEY).await));
    let (mut calls, began) = (JoinSet::new(), Instant::now());
    for (number, key) in [(1, KEY), (2, KEY), (3, OTHER_KEY)] {
        calls.spawn(call(gateway.address.clone(), Vendor::Series, key));
        let waiting =
            format!("latimer_upstream_requests_waiting{{upstream=\"thalamus\"}} {number}");
        shows(&gateway, &waiting).await;
    }
    // If it takes that long until all of them wait, there is nothing to be seen.
    let is_slow = began.elapsed() > Duration::from_millis(500);
    let answers = calls.join_all().await;
    let took = began.elapsed();
    let refusals: Vec<&Answer> = answers.iter().filter(|answer| !is_yes(answer)).collect();
    assert!(is_slow || refusals.len() == 1, "{answers:?}");
    refusals.iter().for_each(|answer| assert_eq!(refused(answer, "upstream.limit"), 1));
    assert!(is_slow || took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(scripted.seen_count(), 4 - refusals.len());
    gateway.stop().await;
}

/// In HTTP/2, where a client tells that it wants no answer. In HTTP/1.1 nobody hears of it in the middle of a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_gives_its_turn_up() {
    let waiting = |number: u32| {
        format!("latimer_upstream_requests_waiting{{upstream=\"thalamus\"}} {number}")
    };
    let scripted = Scripted::start(case()).await;
    let limit = "    limit: {rate: 20/m, wait: 20s}\n";
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, limit).await;
    assert!(is_yes(&call(gateway.address.clone(), Vendor::Series, KEY).await));
    let change =
        request(Vendor::Series, &ticket(Vendor::Series, 1), sayable(Vendor::Series)[0].0, KEY);
    // By single calls and by their connections; the first one is the one with the timer.
    let (mut one, mut other) =
        (Client::plain(&gateway.address).await, Client::plain(&gateway.address).await);
    let mut answering = Vec::new();
    for _ in 0..3 {
        answering.push(one.begin("gateway.test", &change).await.unwrap());
        answering.push(other.begin("gateway.test", &change).await.unwrap());
    }
    // No turn of theirs comes before three seconds are over, and the last one's after eighteen.
    shows(&gateway, &waiting(6)).await;
    answering.into_iter().for_each(|answering| answering.reset());
    shows(&gateway, &waiting(0)).await;
    let began = Instant::now();
    let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
    assert!(is_yes(&got), "{got:?}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(scripted.seen_count(), 2, "those who had gone had no turns");
    let log = gateway.terminate().await;
    let gone: Vec<Value> = logged(&log, "tester").filter(|line| line["status"] == 499).collect();
    assert!(gone.len() == 6 && gone.iter().all(|line| line["outcome"] == "no"), "{gone:?}");
}
