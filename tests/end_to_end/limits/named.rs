//! Limits by name: whose calls they count, and what clients are told of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::{is_arenas_date, read_answer, seconds};
use crate::harness::{Answer, Gateway, KEY, simulator, upstream};
use crate::vendors::{crosswalk, reading, request, sayable, ticket};

const OTHER: &str = "another-key";

/// One consumer with two keys and one with another, on two routes to Thalamus and one to Arena.
async fn open(limits: &str, names: &str) -> Gateway {
    let urls =
        [Vendor::Thalamus, Vendor::Arena].map(|vendor| upstream(vendor, "http://127.0.0.1:9"));
    let mut text = format!(
        "pepper: {{env: TEST_PEPPER}}\ntrusted_proxies: [127.0.0.1/32]\n\
         consumers:\n  tester: {{keys: [{{env: TEST_KEY}}, {{env: SERIES_TOKEN}}]}}\n  other: {{key: {{env: OTHER_KEY}}}}\n\
         limits: {limits}\nupstreams:\n{}{}routes:\n",
        urls[0], urls[1]
    );
    for (route, upstream) in [("one", "thalamus"), ("two", "thalamus"), ("three", "arena")] {
        text.push_str(&format!(
            "  {route}:\n    client: series\n    upstream: {upstream}\n    consumers: all\n    limits: {names}\n    \
             match: {{host: {route}.test}}\n    ids: {{ticket: {{file: pairs.csv}}}}\n"
        ));
    }
    let pairs = ("pairs.csv".to_owned(), "client_id,upstream_id\n".to_owned());
    Gateway::start(&text, &[pairs]).await
}

/// A read of a ticket that there is not, by a route, with a key and from an address: nothing is sent, and it counts.
async fn call(gateway: &Gateway, route: &str, key: &str, address: &str) -> Answer {
    let reading = reading(Vendor::Series, &ticket(Vendor::Series, 1), key);
    let host = format!("{route}.test");
    let mut headers = vec![("Host", host.as_str()), ("X-Forwarded-For", address)];
    headers.extend(reading.headers.iter().map(|(name, value)| (*name, value.as_str())));
    gateway.call(&reading.line, &headers, "").await
}

#[tokio::test]
async fn a_limit_counts_those_together_that_it_says() {
    let second = &Vendor::Series.default_token();
    let (here, there) = ("192.0.2.1", "192.0.2.2");
    // The first call, and which of the others are of the same count.
    let calls = [
        ("one", KEY, here),
        ("one", second.as_str(), here),
        ("one", OTHER, here),
        ("two", KEY, here),
        ("three", KEY, here),
        ("one", KEY, there),
    ];
    for (per, together) in [
        ("consumer", [true, true, false, true, true, true]),
        ("key", [true, false, false, true, true, true]),
        ("route", [true, true, true, false, false, true]),
        ("upstream", [true, true, true, true, false, true]),
        ("address", [true, true, true, true, true, false]),
    ] {
        for ((route, key, address), is_counted) in calls.into_iter().zip(together) {
            let gateway =
                open(&format!("{{named: {{some: {{per: {per}, rate: 1/day}}}}}}"), "[some]").await;
            let (first, _, _) = calls[0];
            assert_eq!(call(&gateway, first, KEY, here).await.status, 404, "per {per}");
            let got = call(&gateway, route, key, address).await;
            let status = if is_counted { 429 } else { 404 };
            assert_eq!(got.status, status, "per {per}: {route} {key} {address}: {got:?}");
            gateway.stop().await;
        }
    }
}

/// Whoever has an address of IPv6 has its network.
#[tokio::test]
async fn a_network_of_ipv6_is_one_address() {
    let gateway = open("{named: {some: {per: address, rate: 1/day}}}", "[some]").await;
    assert_eq!(call(&gateway, "one", KEY, "2001:db8:0:1::1").await.status, 404);
    assert_eq!(call(&gateway, "one", KEY, "2001:db8:0:1:ffff::2").await.status, 429);
    assert_eq!(call(&gateway, "one", KEY, "2001:db8:0:2::1").await.status, 404);
    gateway.stop().await;
}

/// The fields are of the newest draft, draft-ietf-httpapi-ratelimit-headers-11, sections 3.1 and 4.1: a policy's quota
/// and window, what is left of it and after how long there is more. By its section 6 `Retry-After` is not before that.
#[tokio::test]
async fn every_client_is_refused_in_its_own_way_and_told_by_what() {
    let thalamus = simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await;
    let mut text = format!(
        "limits:\n  named:\n    rare: {{per: consumer, rate: 2/h, burst: 2}}\nupstreams:\n{}routes:\n",
        upstream(Vendor::Thalamus, &thalamus.url())
    );
    let mut files = Vec::new();
    for client in Vendor::ALL {
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        text.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    limits: [rare]\n    \
             match: {{host: {client}.test}}\n    settings: {settings}\n    ids: {{ticket: {{file: {client}.csv}}}}\n"
        ));
        files.push((format!("{client}.csv"), crosswalk(client, Vendor::Thalamus, 1..=1)));
    }
    // Each client has a gateway to itself, so that each is told the same.
    for (client, body) in [
        (
            Vendor::Arena,
            json!({"status": 429, "errors": [{"code": 429, "message": "Too many requests"}]}),
        ),
        (
            Vendor::Series,
            json!({"success": false, "error": {"code": 429, "message": "Too many requests"}}),
        ),
        (Vendor::Akana, json!({"faultcode": "Client", "faultstring": "Too many requests"})),
        (Vendor::Thalamus, json!({"errors": {"request": "TooManyRequests"}})),
        (
            Vendor::Zstack,
            json!({"error": {"code": "SYS.1006", "description": "Too many requests", "details": "Too many requests"}}),
        ),
    ] {
        let gateway = Gateway::start(&text, &files).await;
        let request = request(client, &ticket(client, 1), sayable(client)[0].0, KEY);
        let host = format!("{client}.test");
        let mut headers = vec![("Host", host.as_str())];
        headers.extend(request.headers.iter().map(|(name, value)| (*name, value.as_str())));
        // With one left it is whole after half an hour, and with none there is one after as long.
        for (left, back) in [(1, 1_800), (0, 1_800)] {
            let got = gateway.call(&request.line, &headers, &request.body).await;
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{client}: {got:?}");
            assert_eq!(got.header("ratelimit-policy"), Some(r#""rare";q=2;w=3600"#), "{client}");
            let told = format!(r#""rare";r={left};t={back}"#);
            assert_eq!(got.header("ratelimit"), Some(told.as_str()), "{client}");
            assert_eq!(got.header("x-latimer-limit"), None);
        }
        let got = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(got.status, 429, "{client}: {got:?}");
        assert_eq!(got.json(), body, "{client}");
        assert_eq!(got.header("x-latimer-fault"), Some("rate_limited"));
        assert_eq!(got.header("x-latimer-outcome"), Some("no"));
        assert_eq!(got.header("x-latimer-limit"), Some("rare"));
        let wait: u64 = got.header("retry-after").unwrap().parse().unwrap();
        assert!((1_790..=1_800).contains(&wait), "{client}: {wait}");
        let told = format!(r#""rare";r=0;t={wait}"#);
        assert_eq!(got.header("ratelimit"), Some(told.as_str()), "{client}: {got:?}");
        let line = format!("latimer_limit_refusals_total{{route=\"{client}\",limit=\"rare\"}} 1");
        crate::metrics::shows(&gateway, &line).await;
        let log = gateway.terminate().await;
        assert!(log.iter().any(|line| line.contains("limit=\"rare\"")), "{log:#?}");
    }
    assert_eq!(thalamus.log().len(), 2 * Vendor::ALL.len(), "what is refused is not sent");
    thalamus.stop().await;
}

/// FACTS §2: so many requests a day, until midnight Pacific; the log-in does not count, and its answer tells how many.
#[tokio::test]
async fn an_arena_clients_numbers_are_those_of_its_quota() {
    let thalamus = simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await;
    let text = format!(
        "consumers:\n  tester:\n    key: {{env: TEST_KEY}}\n    \
         logins: [{{user: jo@example.com, password: {{env: OTHER_KEY}}}}]\n\
         limits:\n  named:\n    day: {{per: consumer, quota: 25000/day, resets: 00:00 America/Los_Angeles}}\n\
         upstreams:\n{}routes:\n  main:\n    client: arena\n    upstream: thalamus\n    consumers: [tester]\n    \
         limit: {{rate: 1/h, burst: 4}}\n    limits: [day]\n    settings: {{workspace: 200002, workspace_name: Labs}}\n    \
         ids: {{ticket: {{file: arena.csv}}}}\n",
        upstream(Vendor::Thalamus, &thalamus.url())
    );
    let files = [("arena.csv".to_owned(), crosswalk(Vendor::Arena, Vendor::Thalamus, 1..=1))];
    let gateway = Gateway::start(&text, &files).await;
    let left = |answer: &Answer| {
        let date = answer.header("x-arena-next-request-limit-reset").unwrap().to_owned();
        assert!(is_arenas_date(&date), "{date}");
        // The reset is rounded up by a second, so that nobody comes too early.
        let reset = jiff::Timestamp::from_second(seconds(&date) - 1).unwrap();
        let reset = reset.in_tz("America/Los_Angeles").unwrap();
        assert!((reset.hour(), reset.minute()) == (0, 0) || reset.hour() == 23, "{reset}");
        let ahead = reset.timestamp().as_second() - jiff::Timestamp::now().as_second();
        assert!((-5..=25 * 3_600).contains(&ahead), "the next one: {reset}");
        answer.header("x-arena-requests-remaining").unwrap().to_owned()
    };
    let json = [("Content-Type", "application/json")];
    let log_in = json!({"email": "jo@example.com", "password": OTHER}).to_string();
    let answer = gateway.call("POST /v1/login", &json, &log_in).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (left(&answer).as_str(), &answer.json()["workspaceRequestLimit"]),
        ("25000", &json!(25_000))
    );
    let session = answer.json()["arenaSessionId"].as_str().unwrap().to_owned();
    for (call, wire) in ["COMPLETE", "LATER", "IN_PROGRESS"].into_iter().enumerate() {
        let request = request(Vendor::Arena, &ticket(Vendor::Arena, 1), wire, &session);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(left(&answer), (24_999 - call).to_string(), "failures count: {answer:?}");
        // The burst is what comes to its end first.
        let tightest = answer.header("ratelimit").unwrap();
        assert!(tightest.starts_with(&format!(r#""default";r={};"#, 3 - call)), "{tightest}");
    }
    let answer = gateway.call("POST /v1/login", &json, &log_in).await;
    assert_eq!(left(&answer), "24997", "a log-in does not count: {answer:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_one_limit_refuses_costs_the_others_nothing() {
    let limits = "{named: {rare: {per: consumer, rate: 1/day}, wide: {per: consumer, rate: 1/day, burst: 5}, \
                  day: {per: route, quota: 9/day, resets: sliding}}}";
    let gateway = open(limits, "[day, wide, rare]").await;
    assert_eq!(call(&gateway, "one", KEY, "192.0.2.1").await.status, 404);
    for _ in 0..20 {
        let got = call(&gateway, "one", KEY, "192.0.2.1").await;
        assert_eq!((got.status, got.header("x-latimer-limit")), (429, Some("rare")), "{got:?}");
    }
    assert_eq!(call(&gateway, "one", OTHER, "192.0.2.1").await.status, 404);
    gateway.stop().await;

    let gateway = open(limits, "[day, wide]").await;
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    for key in [KEY; 8].into_iter().chain([OTHER; 8]) {
        let got = call(&gateway, "one", key, "192.0.2.1").await;
        let limit = got.header("x-latimer-limit").unwrap_or("none");
        *refusals.entry(limit.to_owned()).or_default() += 1;
    }
    // Five of the first consumer's calls pass, three do not and cost the route nothing; four are left for the other.
    let wanted = [("day", 4), ("none", 9), ("wide", 3)];
    assert_eq!(refusals, wanted.map(|(name, count)| (name.to_owned(), count)).into());
    gateway.stop().await;
}

/// Above that nobody from there is let in, with whatever key: none of them is looked up.
#[tokio::test]
async fn calls_without_a_good_key_are_limited_by_where_they_come_from() {
    let limits =
        "{named: {some: {per: address, rate: 1000/s}}, unauthenticated: {rate: 1/day, burst: 3}}";
    let gateway = open(limits, "[some]").await;
    let (bad, good) = ("192.0.2.66", "192.0.2.1");
    for _ in 0..3 {
        assert_eq!(call(&gateway, "one", "a-wrong-key", bad).await.status, 401);
        assert_eq!(call(&gateway, "one", KEY, good).await.status, 404);
    }
    for key in ["a-wrong-key", KEY] {
        let got = call(&gateway, "one", key, bad).await;
        assert_eq!((got.status, got.header("x-latimer-limit")), (429, Some("unauthenticated")));
        let wait: u32 = got.header("retry-after").unwrap().parse().unwrap();
        assert!((86_390..=86_400).contains(&wait), "{wait}");
        let error: Value = got.json();
        assert_eq!(
            error,
            json!({"success": false, "error": {"code": 429, "message": "Too many requests"}})
        );
    }
    assert_eq!(call(&gateway, "one", KEY, good).await.status, 404, "nobody else is shut out");
    gateway.stop().await;
}

/// Calls a second, and as many at once.
const RATE: f64 = 200.0;

/// In real time, with twice as many calls as there may be for ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_twice_the_rate_the_rate_is_let_through_within_one_percent() {
    let gateway = open("{named: {busy: {per: consumer, rate: 200/s}}}", "[busy]").await;
    let (began, window) = (Instant::now(), Duration::from_secs(10));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let address = gateway.address.clone();
        clients.spawn(async move {
            let reading = reading(Vendor::Series, &ticket(Vendor::Series, 1), KEY);
            let mut head = format!("{} HTTP/1.1\r\nHost: one.test\r\n", reading.line);
            for (name, value) in &reading.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let message = format!("{head}\r\n").into_bytes();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            // Late ones are made up for.
            let mut ticks = interval(Duration::from_millis(10));
            let (mut sent, mut admitted) = (0, 0);
            while began.elapsed() < window {
                ticks.tick().await;
                stream.write_all(&message).await.unwrap();
                let answer = read_answer(&mut stream).await;
                sent += 1;
                admitted += u32::from(answer.status == 404);
                assert!(matches!(answer.status, 404 | 429), "{answer:?}");
            }
            (sent, admitted)
        });
    }
    let counts = clients.join_all().await;
    let sent = f64::from(counts.iter().map(|(sent, _)| sent).sum::<u32>());
    let admitted = f64::from(counts.iter().map(|(_, admitted)| admitted).sum::<u32>());
    let (least, most) =
        (RATE * (1.0 + window.as_secs_f64()), RATE * (1.0 + began.elapsed().as_secs_f64()));
    assert!(sent > 1.8 * RATE * window.as_secs_f64(), "{sent} were sent");
    assert!(admitted <= most + 1.0, "{admitted} of at most {most}");
    assert!(admitted >= 0.99 * least, "{admitted} of {least}");
    gateway.stop().await;
}
