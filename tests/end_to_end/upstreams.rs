//! What an upstream's behaviour means for a write (CONTRACT §6), as each client sees it.

use std::time::Duration;

use latimer::sim::Vendor;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Answer, Gateway, KEY, upstream};
use crate::scripted::{Act, Scripted, answer, message};
use crate::vendors::{request, sayable, ticket};

/// A client of the vendor in front of a Thalamus at this address.
async fn call(client: Vendor, url: &str) -> Answer {
    let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Thalamus, url));
    text.push_str(&format!(
        "routes:\n  main:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    \
         settings: {settings}\n    deadline: 400ms\n    ids: {{ticket: {{file: ids.csv}}}}\n"
    ));
    let (ours, theirs) = (ticket(client, 1), ticket(Vendor::Thalamus, 1));
    let files = [("ids.csv".to_owned(), format!("client_id,upstream_id\n{ours},{theirs}\n"))];
    let gateway = Gateway::start(&text, &files).await;
    let request = request(client, &ours, sayable(client)[0].0, KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let got = gateway.call(&request.line, &headers, &request.body).await;
    gateway.stop().await;
    got
}

const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"open"}}"#;
const PAGE: &str = "<html><body>Bad Gateway</body></html>";

/// One behaviour, and what it comes to.
async fn comes_to(what: &str, act: Act, outcome: &str, fault: Option<&str>) {
    let scripted = Scripted::start(act).await;
    let got = call(Vendor::Series, &scripted.url).await;
    assert_eq!(got.header("x-latimer-outcome"), Some(outcome), "{what}: {got:?}");
    assert_eq!(got.header("x-latimer-fault"), fault, "{what}: {got:?}");
}

#[tokio::test]
async fn answers_and_what_they_mean() {
    let unknown = ("unknown", Some("outcome_unknown"));
    let failed = ("no", Some("upstream_failed"));
    let truncated = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"con";
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    let cases = [
        ("a success", message("201 Created", "application/json", CASE), ("yes", None)),
        ("a reset", Act::Reset, unknown),
        ("nothing", Act::Say(Vec::new()), unknown),
        ("garbage", Act::Say(b"\x00\x01 this is not HTTP\r\n\r\n".to_vec()), unknown),
        ("a truncated body", Act::Say(truncated.to_vec()), unknown),
        ("late", Act::Wait, unknown),
        ("HTML as a success", message("200 OK", "text/html", PAGE), unknown),
        ("the wrong media type", message("201 Created", "text/html", CASE), unknown),
        ("a body that is no JSON", message("201 Created", "application/json", "{"), unknown),
        ("5 MB", message("201 Created", "application/json", &huge), unknown),
        ("a redirect", message("302 Found", "text/html", PAGE), failed),
        ("see other", message("303 See Other", "text/html", PAGE), unknown),
        ("a balancer's 500", message("500 Oops", "text/html", PAGE), unknown),
        ("a balancer's 502", message("502 Bad Gateway", "text/html", PAGE), unknown),
        ("a balancer's 503", message("503 Unavailable", "text/html", PAGE), failed),
        ("a balancer's 504", message("504 Timeout", "text/html", PAGE), unknown),
        ("a balancer's 404", message("404 Not Found", "text/html", PAGE), failed),
        ("a 408", message("408 Request Timeout", "text/html", PAGE), unknown),
    ];
    for (what, act, (outcome, fault)) in cases {
        comes_to(what, act, outcome, fault).await;
    }
}

/// A Series client in front of a Thalamus at this address, without a limit and without patience.
async fn gateway_to(url: &str) -> Gateway {
    let text = format!(
        "upstreams:\n{}routes:\n  main: {{client: series, upstream: thalamus, consumers: [tester], \
         deadline: 400ms, limit: none}}\n",
        upstream(Vendor::Thalamus, url)
    );
    Gateway::start(&text, &[]).await
}

async fn open_10(gateway: &Gateway) -> Answer {
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let body = r#"{"status":"open","staffUserId":7}"#;
    gateway.call("POST /tickets/10/status", &headers, body).await
}

#[tokio::test]
async fn a_status_without_a_row_says_by_itself_what_became_of_the_call() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = gateway_to(&scripted.url).await;
    let (unknown, failed) = (("unknown", "outcome_unknown"), ("no", "upstream_failed"));
    let no = [300, 301, 302, 304, 307, 308, 402, 405, 409, 418, 422, 451, 499, 501, 503, 505];
    let nobody_knows = [200, 202, 204, 206, 303, 408, 500, 502, 504, 507, 511, 520, 599];
    let cases = no.map(|status| (status, failed)).into_iter();
    for (status, (outcome, fault)) in cases.chain(nobody_knows.map(|status| (status, unknown))) {
        for (media_type, body) in
            [("text/html", PAGE), ("application/json", r#"{"message":"x"}"#), ("", "")]
        {
            scripted.act(message(&format!("{status} Status"), media_type, body));
            let got = open_10(&gateway).await;
            let told = (got.header("x-latimer-outcome"), got.header("x-latimer-fault"));
            assert_eq!(told, (Some(outcome), Some(fault)), "{status} {media_type}: {got:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_deadline_before_a_byte_was_written_is_a_no() {
    // Nobody accepts, and the queue is full: the connection never comes about.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100, "the queue is never full");
    }
    let gateway = gateway_to(&format!("http://{address}")).await;
    let got = open_10(&gateway).await;
    assert_eq!(got.header("x-latimer-fault"), Some("upstream_timeout"), "{got:?}");
    assert_eq!((got.status, got.header("x-latimer-outcome")), (504, Some("no")));
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_outcome_is_said_to_every_client() {
    for client in Vendor::ALL {
        let scripted = Scripted::start(Act::Reset).await;
        let got = call(client, &scripted.url).await;
        assert_eq!(got.header("x-latimer-outcome"), Some("unknown"), "{client}: {got:?}");
        let call_id = got.header("x-request-id").unwrap();
        let text = format!(
            "The outcome of this call is not known; do not repeat it before reading the ticket. \
             Call {call_id}."
        );
        let (status, said): (u16, Option<Value>) = match client {
            Vendor::Arena => (504, Some(got.json()["errors"][0]["message"].clone())),
            Vendor::Series => (504, Some(got.json()["error"]["message"].clone())),
            Vendor::Akana => (504, Some(got.json()["faultstring"].clone())),
            // Thalamus tells codes only.
            Vendor::Thalamus => (504, None),
            Vendor::Zstack => (503, Some(got.json()["error"]["details"].clone())),
        };
        assert_eq!(got.status, status, "{client}: {got:?}");
        if let Some(said) = said {
            assert_eq!(said, json!(text), "{client}");
        }
    }
}

#[tokio::test]
async fn nobody_listening_is_a_no() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let got = call(Vendor::Arena, &url).await;
    assert_eq!(got.header("x-latimer-fault"), Some("upstream_unreachable"), "{got:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("no"));
    assert_eq!((got.status, &got.json()["errors"][0]["code"]), (502, &json!(3000)));
}

#[tokio::test]
async fn past_the_limit_a_client_is_told_when_to_come_again() {
    let sim = crate::harness::simulator(Vendor::Thalamus, &[]).await;
    for client in Vendor::ALL {
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        let mut text = "upstreams:\n".to_owned();
        text.push_str(&upstream(Vendor::Thalamus, &sim.url()));
        text.push_str(&format!(
            "routes:\n  main:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    \
             settings: {settings}\n    limit: {{rate: 1/h, burst: 1}}\n    \
             ids: {{ticket: {{file: ids.csv}}}}\n"
        ));
        let ours = ticket(client, 1);
        let files = [("ids.csv".to_owned(), format!("client_id,upstream_id\n{ours},10\n"))];
        let gateway = Gateway::start(&text, &files).await;
        let request = request(client, &ours, "no such status", KEY);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // A refused body is charged too.
        let first = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(first.header("x-latimer-fault"), Some("invalid_status"), "{client}: {first:?}");
        let second = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(second.status, 429, "{client}: {second:?}");
        assert_eq!(second.header("x-latimer-fault"), Some("rate_limited"), "{client}");
        let wait: u64 = second.header("retry-after").unwrap().parse().unwrap();
        assert!((3_590..=3_600).contains(&wait), "{client}: {wait}");
        for answer in [&first, &second] {
            let left = answer.header("x-arena-requests-remaining");
            let reset = answer.header("x-arena-next-request-limit-reset");
            if client == Vendor::Arena {
                assert_eq!(left, Some("0"), "{answer:?}");
                assert!(reset.unwrap().contains(" GMT-0"), "{answer:?}");
            } else {
                assert_eq!((left, reset), (None, None), "{client}");
            }
        }
        gateway.stop().await;
    }
    assert!(sim.log().is_empty(), "nothing may be sent");
    tokio::time::timeout(Duration::from_secs(5), sim.stop()).await.unwrap();
}

/// RFC 9110 section 10.2.3: an upstream that says when to come again says it to the client.
#[tokio::test]
async fn when_an_upstream_would_be_called_again_is_passed_on() {
    let scripted = Scripted::start(Act::Reset).await;
    // The row of the mapping: 429 with this code.
    let limited = r#"{"errors":{"token":"TooManyRequests"}}"#;
    let json = "Content-Type: application/json\r\n";
    for (said, wanted) in [
        ("Retry-After: 7\r\n", Some("7")),
        ("Retry-After: 0\r\n", Some("1")),
        // Nobody is sent away for longer than an hour.
        ("Retry-After: 86400\r\n", Some("3600")),
        ("Retry-After: Tue, 31 Dec 2199 23:59:59 GMT\r\n", Some("3600")),
        ("Retry-After: later\r\n", None),
        ("", None),
    ] {
        scripted.act(answer("429 Too Many Requests", &format!("{json}{said}"), limited));
        // One of its own each time: it leaves the upstream alone from then on.
        let gateway = gateway_to(&scripted.url).await;
        let got = open_10(&gateway).await;
        gateway.stop().await;
        let told = (got.status, got.header("x-latimer-fault"), got.header("x-latimer-outcome"));
        assert_eq!(told, (429, Some("rate_limited"), Some("no")), "{said:?}: {got:?}");
        assert_eq!(got.header("retry-after"), wanted, "{said:?}: {got:?}");
    }
    // Of another fault it says nothing that is for the client.
    let gateway = gateway_to(&scripted.url).await;
    let refused = r#"{"errors":{"caseInstanceId":"invalidId"}}"#;
    scripted.act(answer("400 Bad Request", &format!("{json}Retry-After: 7\r\n"), refused));
    let got = open_10(&gateway).await;
    assert_eq!((got.status, got.header("retry-after")), (404, None), "{got:?}");
    gateway.stop().await;
}
