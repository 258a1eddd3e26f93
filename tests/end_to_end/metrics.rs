//! What the program counts, as a scraper sees it.

use std::collections::BTreeSet;

use latimer::sim::Vendor;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

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
             match: {{host: {route}.test}}\n    limit: {limit}\n    read_back: off\n    ids: {{ticket: {{file: ids.csv}}}}\n"
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

pub(crate) async fn scrape(gateway: &Gateway) -> String {
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
    assert_eq!(counted(&scrape(&gateway).await, "latimer_requests_total"), BTreeSet::new());
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
            "latimer_requests_total{{route=\"{route}\",operation=\"{operation}\",\
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
    assert_eq!(counted(&text, "latimer_requests_total"), wanted, "{text}");
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
            "latimer_request_duration_seconds_count",
            &[
                "latimer_request_duration_seconds_count{route=\"main\"} 7",
                "latimer_request_duration_seconds_count{route=\"narrow\"} 2",
                "latimer_request_duration_seconds_count{route=\"-\"} 1",
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
        "# TYPE latimer_requests counter",
        "# TYPE latimer_request_duration_seconds histogram",
        "# UNIT latimer_request_duration_seconds seconds",
        "# TYPE latimer_answer_unreadable counter",
        "# TYPE latimer_fields_dropped counter",
        "# TYPE latimer_connections gauge",
        "latimer_request_duration_seconds_bucket{le=\"+Inf\",route=\"main\"} 7",
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
    let all: u64 = counted(&text, "latimer_requests_total")
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert!(all > calls / 2, "{all} of {calls} calls were counted:\n{text}");
    // A clean bound: 23 faults and three outcomes without one, for each route with each of its three operations
    // and without one.
    let lines = before.iter().filter(|line| line.starts_with("latimer_requests_total{")).count();
    assert_eq!(lines, (23 + 3) * 2 * 4 + 1);
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
pub(crate) async fn shows(gateway: &Gateway, line: &str) {
    let work = async {
        while !scrape(gateway).await.lines().any(|known| known == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("never: {line}"));
}

/// An address that nobody listens on.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Two endpoints of which the first is tried first, no further tries, and a narrow limit.
async fn astray(first: &str, second: &str) -> Gateway {
    let text = format!(
        "upstreams:\n  desk:\n    vendor: thalamus\n    settings: {{touchpoint: web}}\n    credential: \
         {{token: {{env: THALAMUS_TOKEN}}}}\n    urls: [http://{first}, http://{second}]\n    balance: failover\n    \
         breaker: {{failures: 2}}\n    retry_budget: {{ratio: 0%, per_second: 0}}\nroutes:\n  main: {{client: \
         series, upstream: desk, consumers: [tester], read_back: off, limit: {{rate: 1/m, burst: 6}}}}\n"
    );
    Gateway::start(&text, &[]).await
}

/// Where calls go astray: an endpoint that is not there before one that is, a narrow limit, a mapping that
/// does not fit.
#[tokio::test]
async fn what_upstreams_limits_and_mappings_did_is_shown() {
    let scripted = Scripted::start(message("201 Created", "application/json", CASE)).await;
    let (first, second) = (nobody().await, scripted.url.strip_prefix("http://").unwrap());
    let gateway = astray(&first, second).await;
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let good = r#"{"status":"resolved","staffUserId":7}"#;
    let page = message("200 OK", "text/html", PAGE);
    let case = message("201 Created", "application/json", CASE);
    let mut bytes_out = 0;
    for (act, body, status) in [
        // The first endpoint is not there, and no further try is allowed.
        (&case, good, 502),
        (&case, good, 502),
        // Its breaker is open by now.
        (&case, good, 200),
        (&page, good, 504),
        (&case, r#"{"status":"resolved"}"#, 400),
        (&case, "no json", 400),
        (&case, good, 429),
    ] {
        scripted.act(act.clone());
        let got = gateway.call("POST /tickets/100001/status", &headers, body).await;
        assert_eq!(got.status, status, "{got:?}");
        bytes_out += got.body.len();
    }
    let text = scrape(&gateway).await;
    let at =
        |endpoint: &str, rest: &str| format!("{{upstream=\"desk\",endpoint=\"{endpoint}\"{rest}}}");
    for (name, labels, value) in [
        ("limit_decisions_total", "{route=\"main\",decision=\"admitted\"}".to_owned(), 6),
        ("limit_decisions_total", "{route=\"main\",decision=\"refused\"}".to_owned(), 1),
        ("translation_faults_total", "{mapping=\"series\",stage=\"read_request\"}".to_owned(), 2),
        ("translation_faults_total", "{mapping=\"thalamus\",stage=\"read_answer\"}".to_owned(), 1),
        (
            "translation_faults_total",
            "{mapping=\"thalamus\",stage=\"write_request\"}".to_owned(),
            0,
        ),
        ("translation_faults_total", "{mapping=\"series\",stage=\"write_answer\"}".to_owned(), 0),
        ("upstream_retries_total", "{upstream=\"desk\"}".to_owned(), 0),
        ("upstream_retries_refused_total", "{upstream=\"desk\"}".to_owned(), 2),
        ("upstream_breaker_openings_total", at(&first, ""), 1),
        ("upstream_breaker_openings_total", at(second, ""), 0),
        ("upstream_breaker_state", at(&first, ",state=\"open\""), 1),
        ("upstream_breaker_state", at(&first, ",state=\"closed\""), 0),
        ("upstream_breaker_state", at(second, ",state=\"closed\""), 1),
        ("upstream_healthy", at(&first, ""), 1),
        ("upstream_connections_opened_total", at(&first, ""), 0),
        ("upstream_connections_opened_total", at(second, ""), 2),
        ("upstream_connections", at(second, ""), 0),
        ("upstream_connections_idle", at(second, ""), 0),
        ("upstream_duration_seconds_count", "{upstream=\"desk\"}".to_owned(), 4),
        ("gateway_duration_seconds_count", "{route=\"main\"}".to_owned(), 7),
        ("request_body_bytes_total", "{route=\"main\"}".to_owned(), 4 * good.len() + 28),
        ("response_body_bytes_total", "{route=\"main\"}".to_owned(), bytes_out),
        ("requests_in_flight", String::new(), 0),
        ("upstream_requests_in_flight", "{upstream=\"desk\"}".to_owned(), 0),
        ("connections_accepted_total", String::new(), 7),
        ("sheds_total", String::new(), 0),
        ("upstream_sheds_total", "{upstream=\"desk\"}".to_owned(), 0),
        ("log_lines_dropped_total", String::new(), 0),
    ] {
        let line = format!("latimer_{name}{labels} {value}");
        assert!(text.lines().any(|known| known == line), "no `{line}` in\n{text}");
    }
    gateway.stop().await;
}

/// The shares of a call's time add up, and the upstream's is the upstream's.
#[tokio::test]
async fn a_slow_upstream_is_not_the_gateways_own_time() {
    let theirs = ticket(Vendor::Thalamus, 1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = latimer::sim::Options {
        tickets: vec![format!("{theirs}=open").parse().unwrap()],
        faults: vec!["latency=200ms".parse().unwrap()],
        ..latimer::sim::Options::default()
    };
    let simulator = latimer::sim::serve(Vendor::Thalamus, listener, options).unwrap();
    let gateway = gateway(&simulator.url()).await;
    let got = call(&gateway, "main.test", "POST", KEY).await;
    assert_eq!(got.status, 200, "{got:?}");
    let text = scrape(&gateway).await;
    let sum = |name: &str| {
        let prefix = format!("latimer_{name}_duration_seconds_sum{{");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    let (whole, own, upstream) = (sum("request"), sum("gateway"), sum("upstream"));
    assert!(upstream >= 0.2 && own < 0.2, "{whole} = {own} + {upstream}");
    assert!((whole - own - upstream).abs() < 1e-6, "{whole} = {own} + {upstream}");
    shows(
        &gateway,
        &format!(
            "latimer_upstream_connections_idle{{upstream=\"thalamus\",endpoint=\"{}\"}} 1",
            simulator.url().trim_start_matches("http://")
        ),
    )
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_documentation_has_every_metric_as_it_is_shown() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = gateway(&scripted.url).await;
    let text = scrape(&gateway).await;
    let shown = shown(&text);
    let page = include_str!("../../docs/metrics.md");
    let documented: BTreeSet<Documented> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, kind, unit, labels, meaning, ""] = cells[..] else { return None };
            let labels = labels.split(", ").filter(|label| !label.is_empty());
            Some(Documented {
                name: name.trim_end_matches('`').to_owned(),
                kind: kind.to_owned(),
                unit: unit.to_owned(),
                labels: labels.map(|label| label.trim_matches('`').to_owned()).collect(),
                meaning: meaning.to_owned(),
            })
        })
        .collect();
    assert_eq!(documented, shown);
    // Alerts and the README speak of metrics and labels that there are.
    let readme = include_str!("../../README.md");
    let names = [page, readme].into_iter().flat_map(|text| {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        text.match_indices("latimer_").map(move |(at, _)| text[at..].split(ends).next().unwrap())
    });
    for name in names {
        let base = name.trim_end_matches("_bucket");
        assert!(shown.iter().any(|known| known.name == base), "there is no {name}");
    }
    gateway.stop().await;
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Documented {
    name: String,
    kind: String,
    unit: String,
    labels: BTreeSet<String>,
    meaning: String,
}

/// The families of a page, by what it says of them and by their series.
fn shown(text: &str) -> BTreeSet<Documented> {
    let said = |what: &str, family: &str| {
        let prefix = format!("# {what} {family} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_default().to_owned()
    };
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let family = |(family, kind): (&str, &str)| {
        let name = match kind {
            "counter" => format!("{family}_total"),
            "info" => format!("{family}_info"),
            _ => family.to_owned(),
        };
        let sample = if kind == "histogram" { format!("{name}_count") } else { name.clone() };
        let of = |line: &&str| {
            line.strip_prefix(&*sample).is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let series: Vec<&str> = text.lines().filter(of).collect();
        assert!(!series.is_empty(), "{name} is there from the start:\n{text}");
        let labels =
            series.iter().filter_map(|line| line.split_once('{')).flat_map(|(_, labels)| {
                labels.split("\",").map(|label| label.split('=').next().unwrap().to_owned())
            });
        let (unit, meaning) = (said("UNIT", family), said("HELP", family));
        Documented { name, kind: kind.to_owned(), unit, labels: labels.collect(), meaning }
    };
    families.map(family).collect()
}
