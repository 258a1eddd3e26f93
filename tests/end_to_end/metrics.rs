//! What the program counts, as a scraper sees it.

use std::collections::BTreeSet;

use latimer::sim::Vendor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{request, ticket};

const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"resolved"}}"#;
const ODD_CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"no such status"}}"#;
const PAGE: &str = "<html><body>Bad Gateway</body></html>";

/// Series clients in front of a scripted Thalamus: one route with room, one for a single call.
async fn gateway(url: &str) -> Gateway {
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Thalamus, url));
    text.push_str("routes:\n");
    for (route, limit) in [("main", "none"), ("narrow", "{rate: 1/m, burst: 1}")] {
        text.push_str(&format!(
            "  {route}:\n    client: series\n    upstream: thalamus\n    consumers: [tester]\n    \
             match: {{host: {route}.test}}\n    limit: {limit}\n    ids: {{ticket: {{file: ids.csv}}}}\n"
        ));
    }
    let (ours, theirs) = (ticket(Vendor::Series, 1), ticket(Vendor::Thalamus, 1));
    let pairs = format!("client_id,upstream_id\n{ours},{theirs}\n");
    Gateway::start(&text, &[("ids.csv".to_owned(), pairs)]).await
}

async fn call(gateway: &Gateway, host: &str, method: &str, key: &str) -> Answer {
    let sent = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", key);
    let line = sent.line.replacen("POST", method, 1);
    let mut headers: Vec<(&str, &str)> =
        sent.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", host));
    gateway.call(&line, &headers, &sent.body).await
}

async fn ask(gateway: &Gateway, method: &str, host: &str) -> Answer {
    let head = format!("{method} /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    Answer::parse(&exchange(&gateway.admin, head.as_bytes()).await)
}

async fn scrape(gateway: &Gateway) -> String {
    let got = ask(gateway, "GET", "localhost").await;
    assert_eq!(got.status, 200, "{got:?}");
    got.body
}

/// Lines of a metric that are not 0.
fn counted<'a>(text: &'a str, name: &str) -> BTreeSet<&'a str> {
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(of).filter(|line| !line.ends_with(" 0")).collect()
}

#[tokio::test]
async fn every_way_that_a_call_ends_is_counted_where_it_belongs() {
    let scripted = Scripted::start(message("201 Created", "application/json", CASE)).await;
    let gateway = gateway(&scripted.url).await;
    assert_eq!(counted(&scrape(&gateway).await, "latimer_calls_total"), BTreeSet::new());
    for (act, outcome) in [
        (message("201 Created", "application/json", CASE), "yes"),
        (message("201 Created", "application/json", CASE), "yes"),
        (message("201 Created", "application/json", ODD_CASE), "yes"),
        (Act::Reset, "unknown"),
        (message("404 Not Found", "text/html", PAGE), "no"),
    ] {
        scripted.act(act);
        let got = call(&gateway, "main.test", "POST", KEY).await;
        assert_eq!(got.header("x-latimer-outcome"), Some(outcome), "{got:?}");
    }
    scripted.act(message("201 Created", "application/json", CASE));
    for (host, method, key, status) in [
        ("main.test", "POST", "a-wrong-key", 401),
        ("main.test", "DELETE", KEY, 405),
        ("nobodys.test", "POST", KEY, 404),
        ("narrow.test", "POST", KEY, 200),
        ("narrow.test", "POST", KEY, 429),
    ] {
        let got = call(&gateway, host, method, key).await;
        assert_eq!(got.status, status, "{host} {method} {key}: {got:?}");
    }

    let text = scrape(&gateway).await;
    let line = |route: &str, operation: &str, outcome: &str, fault: &str, count: u32| {
        format!(
            "latimer_calls_total{{route=\"{route}\",operation=\"{operation}\",\
             outcome=\"{outcome}\",fault=\"{fault}\"}} {count}"
        )
    };
    let wanted = [
        line("main", "change_status", "yes", "-", 3),
        line("main", "change_status", "unknown", "outcome_unknown", 1),
        line("main", "change_status", "no", "upstream_failed", 1),
        line("main", "change_status", "no", "unauthenticated", 1),
        line("main", "-", "no", "method_not_allowed", 1),
        line("-", "-", "no", "unknown_path", 1),
        line("narrow", "change_status", "yes", "-", 1),
        line("narrow", "change_status", "no", "rate_limited", 1),
    ];
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    assert_eq!(counted(&text, "latimer_calls_total"), wanted, "{text}");
    for (name, wanted) in [
        // A refused call sent nothing, so it dropped nothing.
        (
            "latimer_fields_dropped_total",
            &[
                "latimer_fields_dropped_total{route=\"main\",field=\"actor\"} 5",
                "latimer_fields_dropped_total{route=\"narrow\",field=\"actor\"} 1",
            ][..],
        ),
        (
            "latimer_answer_unreadable_total",
            &["latimer_answer_unreadable_total{mapping=\"thalamus\"} 1"],
        ),
        (
            "latimer_call_duration_seconds_count",
            &[
                "latimer_call_duration_seconds_count{route=\"main\"} 7",
                "latimer_call_duration_seconds_count{route=\"narrow\"} 2",
                "latimer_call_duration_seconds_count{route=\"-\"} 1",
            ],
        ),
    ] {
        let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
        assert_eq!(counted(&text, name), wanted, "{text}");
    }
    check_form(&text);
    gateway.stop().await;
}

/// What a scraper needs besides the series.
fn check_form(text: &str) {
    let version = format!("latimer_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    for line in [
        "# TYPE latimer_calls counter",
        "# TYPE latimer_call_duration_seconds histogram",
        "# TYPE latimer_answer_unreadable counter",
        "# TYPE latimer_fields_dropped counter",
        "# TYPE latimer_connections gauge",
        "latimer_call_duration_seconds_bucket{le=\"+Inf\",route=\"main\"} 7",
        &version,
    ] {
        assert!(text.lines().any(|known| known == line), "no `{line}` in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

/// The series, without their values.
fn series(text: &str) -> BTreeSet<String> {
    text.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn nothing_that_a_client_sends_becomes_a_label() {
    let scripted = Scripted::start(message("201 Created", "application/json", CASE)).await;
    let gateway = gateway(&scripted.url).await;
    let before = series(&scrape(&gateway).await);
    let mut calls = 0;
    for number in 0..120 {
        let odd = format!("odd{number}");
        let host = ["main.test", "narrow.test", &odd][number % 3];
        let path = [
            format!("/tickets/{odd}/status"),
            format!("/{odd}\"}}\\n/../{number}"),
            format!("/tickets/TICKET-1234567890-0001/status?{odd}={odd}"),
        ][number / 3 % 3]
            .clone();
        let key = [KEY, &odd][number / 9 % 2];
        let method = ["POST", "PUT", &odd.to_uppercase()][number / 18 % 3].to_owned();
        let headers = [
            ("Host", host),
            ("apikey", key),
            ("Content-Type", "application/json"),
            ("User-Agent", &odd),
            (&odd, &odd),
        ];
        let body = format!(r#"{{"status":"{odd}","staffUserId":{number},"{odd}":1}}"#);
        gateway.call(&format!("{method} {path}"), &headers, body).await;
        calls += 1;
    }
    let text = scrape(&gateway).await;
    assert_eq!(series(&text), before, "the same series as before the first call");
    assert!(!text.contains("odd"), "{text}");
    let all: u64 = counted(&text, "latimer_calls_total")
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert!(all > calls / 2, "{all} of {calls} calls were counted:\n{text}");
    // A clean bound: 21 faults and three outcomes without one, for each route with its operation and
    // without one.
    let lines = before.iter().filter(|line| line.starts_with("latimer_calls_total{")).count();
    assert_eq!(lines, (21 + 3) * 2 * 2 + 1);
    gateway.stop().await;
}

#[tokio::test]
async fn the_admin_listener_gives_them_to_local_names_only() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = gateway(&scripted.url).await;
    let got = ask(&gateway, "GET", "localhost").await;
    let head = ask(&gateway, "HEAD", "localhost").await;
    assert_eq!((got.status, head.status), (200, 200));
    for answer in [&got, &head] {
        let wanted = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(wanted), "{answer:?}");
        let length = got.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{answer:?}");
    }
    assert_eq!(head.body, "");
    let foreign = ask(&gateway, "GET", "evil.example").await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    assert!(!foreign.body.contains("latimer_"), "{foreign:?}");
    assert_eq!(ask(&gateway, "POST", "localhost").await.status, 405);
    gateway.stop().await;
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = gateway(&scripted.url).await;
    shows(&gateway, "latimer_connections 0").await;
    let mut one = TcpStream::connect(&gateway.address).await.unwrap();
    let two = TcpStream::connect(&gateway.address).await.unwrap();
    shows(&gateway, "latimer_connections 2").await;
    drop(two);
    shows(&gateway, "latimer_connections 1").await;
    // The gateway closes what is no HTTP.
    one.write_all(b"\x00\r\n\r\n").await.unwrap();
    shows(&gateway, "latimer_connections 0").await;
    gateway.stop().await;
}

/// Scrapes until the line is there: the gateway learns of a connection in its own time.
async fn shows(gateway: &Gateway, line: &str) {
    let work = async {
        while !scrape(gateway).await.lines().any(|known| known == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("never: {line}"));
}
