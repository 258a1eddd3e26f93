//! Several endpoints, breakers, caps and budgets, as a client sees them.

use std::time::Duration;

use latimer::sim::Vendor;
use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, KEY, simulator};
use crate::metrics::shows;
use crate::scripted::{Act, Scripted, message};

const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"resolved"}}"#;

/// A Series client in front of a Thalamus whose section has these lines besides.
async fn gateway(bounds: &str, upstream: &str) -> Gateway {
    let text = format!(
        "{bounds}upstreams:\n  desk:\n    vendor: thalamus\n    settings: {{touchpoint: web}}\n    \
         credential: {{token: {{env: THALAMUS_TOKEN}}}}\n{upstream}routes:\n  main: {{client: series, \
         upstream: desk, consumers: [tester], deadline: 2s, limit: none, read_back: off}}\n"
    );
    Gateway::start(&text, &[]).await
}

async fn open(gateway: &Gateway) -> Answer {
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let body = r#"{"status":"resolved","staffUserId":7}"#;
    gateway.call("POST /tickets/100001/status", &headers, body).await
}

fn told(got: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (got.status, got.header("x-latimer-outcome"), got.header("x-latimer-fault"))
}

const YES: (u16, Option<&str>, Option<&str>) = (200, Some("yes"), None);

/// An address that nobody listens on.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_call_goes_to_the_endpoint_that_is_there() {
    let tickets = [("100001".to_owned(), "open")];
    let there = simulator(Vendor::Thalamus, &tickets).await;
    for balance in ["round_robin", "failover"] {
        let urls = format!("    urls: [{}, {}]\n", nobody().await, there.url());
        let gateway = gateway("", &format!("{urls}    balance: {balance}\n")).await;
        for _ in 0..6 {
            let got = open(&gateway).await;
            assert_eq!(told(&got), YES, "{balance}: {got:?}");
        }
        if balance == "failover" {
            // Five failures open the first one's breaker, and the last call does not try it.
            shows(&gateway, "latimer_upstream_retries_total{upstream=\"desk\"} 5").await;
        }
        gateway.stop().await;
    }
    assert_eq!(there.log().len(), 12, "each call once");
}

/// A write whose bytes have left is nobody else's, even if somebody else is there.
#[tokio::test]
async fn a_write_is_never_sent_twice() {
    for act in [Act::Reset, Act::Say(Vec::new()), Act::Wait] {
        let (first, second) = (Scripted::start(act).await, Scripted::start(Act::Wait).await);
        let urls = format!("    urls: [{}, {}]\n    balance: failover\n", first.url, second.url);
        let gateway = gateway("", &urls).await;
        let got = open(&gateway).await;
        assert_eq!(told(&got), (504, Some("unknown"), Some("outcome_unknown")), "{got:?}");
        let call = got.header("x-request-id").unwrap();
        let text = format!("do not repeat it before reading the ticket. Call {call}.");
        assert!(got.body.contains(&text), "{got:?}");
        assert_eq!((first.take_seen().len(), second.take_seen().len()), (1, 0));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_breaker_opens_and_a_probe_closes_it() {
    let balancer = message("503 Service Unavailable", "text/html", "<html>away</html>");
    let scripted = Scripted::start(balancer).await;
    let breaker = "    breaker: {failures: 3, open: 300ms, open_max: 300ms}\n";
    let gateway = gateway("", &format!("    url: {}\n{breaker}", scripted.url)).await;
    for _ in 0..3 {
        let got = open(&gateway).await;
        assert_eq!(got.header("x-latimer-fault"), Some("upstream_failed"), "{got:?}");
    }
    let got = open(&gateway).await;
    assert_eq!(told(&got), (502, Some("no"), Some("upstream_unreachable")), "{got:?}");
    assert_eq!(got.header("retry-after"), Some("1"), "{got:?}");
    assert_eq!(scripted.take_seen().len(), 3, "nothing was sent while it was open");
    scripted.act(message("201 Created", "application/json", CASE));
    let mut waits = 0;
    while open(&gateway).await.status != 200 {
        waits += 1;
        assert!(waits < 100, "it is open for 300 ms");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..3 {
        assert_eq!(told(&open(&gateway).await), YES);
    }
    assert_eq!(scripted.take_seen().len(), 4);
    gateway.stop().await;
}

/// Half of the calls fail, and never two in a row.
#[tokio::test]
async fn a_breaker_opens_by_the_share_of_failures() {
    let good = || message("201 Created", "application/json", CASE);
    let bad = || message("503 Service Unavailable", "text/html", "<html>away</html>");
    let turns = vec![good(), bad(), good(), bad(), good()];
    let scripted = Scripted::start(Act::InTurn(turns)).await;
    let breaker = "    breaker: {failures: 1000, ratio: 50%, calls_min: 4, open: 1m}\n";
    let gateway = gateway("", &format!("    url: {}\n{breaker}", scripted.url)).await;
    let mut faults = Vec::new();
    for _ in 0..5 {
        faults.push(open(&gateway).await.header("x-latimer-fault").map(str::to_owned));
    }
    let (failed, away) = (Some("upstream_failed"), Some("upstream_unreachable"));
    let faults: Vec<Option<&str>> = faults.iter().map(Option::as_deref).collect();
    assert_eq!(faults, [None, failed, None, failed, away], "one of two is no half of four calls");
    assert_eq!(scripted.take_seen().len(), 4, "nothing was sent once it was open");
    gateway.stop().await;
}

/// A kept connection that the upstream has closed without a word costs nobody anything.
#[tokio::test]
async fn a_connection_that_ended_between_two_calls_is_replaced() {
    let head = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}",
        CASE.len()
    );
    let scripted = Scripted::start(Act::Say(format!("{head}\r\n\r\n{CASE}").into_bytes())).await;
    let gateway = gateway("", &format!("    url: {}\n", scripted.url)).await;
    for _ in 0..4 {
        assert_eq!(told(&open(&gateway).await), YES);
        // Until its end has come.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scripted.take_seen().len(), 4, "each call once");
    shows(&gateway, "latimer_upstream_retries_total{upstream=\"desk\"} 0").await;
    gateway.stop().await;
}

/// A vendor that says no in its own words is well: ZStack says everything with 503.
#[tokio::test]
async fn a_vendors_own_no_opens_nothing() {
    let refused = r#"{"errors":{"caseInstanceId":"invalidId"}}"#;
    let scripted = Scripted::start(message("400 Bad Request", "application/json", refused)).await;
    let breaker = "    breaker: {failures: 1, calls_min: 1}\n";
    let gateway = gateway("", &format!("    url: {}\n{breaker}", scripted.url)).await;
    for _ in 0..5 {
        assert_eq!(told(&open(&gateway).await), (404, Some("no"), Some("not_found")));
    }
    gateway.stop().await;
}

/// Past either cap a call is refused at once, in the client's own shape, and nothing is sent.
#[tokio::test]
async fn past_a_cap_nobody_waits() {
    for (bounds, upstream, counted) in [
        ("bounds: {concurrency_max: 1}\n", "", "latimer_sheds_total 20"),
        ("", "    concurrency_max: 1\n", "latimer_upstream_sheds_total{upstream=\"desk\"} 20"),
    ] {
        let scripted = Scripted::start(Act::Wait).await;
        let gateway = gateway(bounds, &format!("    url: {}\n{upstream}", scripted.url)).await;
        let shed = async {
            let mut waits = 0;
            while scripted.seen_count() < 1 {
                waits += 1;
                assert!(waits < 500, "a call is on its way");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let mut refused = Vec::new();
            for _ in 0..20 {
                refused.push(open(&gateway).await);
            }
            shows(&gateway, counted).await;
            shows(&gateway, "latimer_requests_in_flight 1").await;
            shows(&gateway, "latimer_upstream_requests_in_flight{upstream=\"desk\"} 1").await;
            refused
        };
        let (_, refused) = tokio::join!(open(&gateway), shed);
        for got in refused {
            assert_eq!(told(&got), (503, Some("no"), Some("overloaded")), "{got:?}");
            assert_eq!(got.header("retry-after"), Some("1"), "{got:?}");
            assert_eq!(got.json()["success"], false, "{got:?}");
            assert_eq!(got.json()["error"]["code"], 503, "{got:?}");
        }
        assert_eq!(scripted.take_seen().len(), 1);
        gateway.stop().await;
    }
}
