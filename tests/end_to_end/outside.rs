//! What is seen from outside a call: headers that move and headers that do not, and the log.

use latimer::sim::Vendor;

use crate::harness::{Gateway, KEY, simulator, upstream};
use crate::scripted::{Scripted, answer};
use crate::vendors::ticket;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a client may send along, none of which is the upstream's business but the trace.
const ALONG: [(&str, &str); 15] = [
    ("Cookie", "session=private-cookie"),
    ("Authorization", "Bearer private-bearer"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Request-Ip", "192.0.2.1"),
    ("X-Web-Hook", "http://192.0.2.1/"),
    ("Proxy-Authorization", "Basic private-proxy"),
    ("X-Anything", "else"),
    ("X-Request-Id", "private-id"),
    ("Forwarded", "for=192.0.2.1"),
    ("Via", "1.0 private-proxy"),
    ("User-Agent", "private-agent"),
    ("Accept", "private/type"),
    ("Accept-Encoding", "gzip"),
    ("traceparent", TRACE),
    ("tracestate", "of=theirs"),
];

#[tokio::test]
async fn only_what_belongs_crosses_and_no_secret_is_logged() {
    let theirs = ticket(Vendor::Thalamus, 1);
    let simulator = simulator(Vendor::Thalamus, &[(theirs.clone(), "open")]).await;
    let mut text = "log: {format: json, access: full}\nupstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Thalamus, &simulator.url()));
    text.push_str(
        "routes:\n  desk:\n    client: series\n    upstream: thalamus\n    consumers: [tester]\n    \
         ids: {ticket: {file: ids.csv}}\n",
    );
    let ours = ticket(Vendor::Series, 1);
    let files = [("ids.csv".to_owned(), format!("client_id,upstream_id\n{ours},{theirs}\n"))];
    let gateway = Gateway::start(&text, &files).await;
    let line = format!("POST /tickets/{ours}/status");
    let mut headers = vec![("apikey", KEY), ("Content-Type", "application/json")];
    headers.extend(ALONG);
    let body = r#"{"status":"resolved","staffUserId":7}"#;
    let got = gateway.call(&line, &headers, body).await;
    assert_eq!(got.status, 200, "{got:?}");
    let wrong = [("apikey", "a-wrong-key-of-somebody"), ("Content-Type", "application/json")];
    assert_eq!(gateway.call(&line, &wrong, body).await.status, 401);

    let seen = &simulator.log()[0];
    let mut names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let wanted = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "thalamus-token",
        "thalamus-touchpoint",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-request-id",
    ];
    assert_eq!(names, wanted);
    let value = |name: &str| {
        let found = seen.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!((value("traceparent"), value("tracestate")), (TRACE, "of=theirs"));
    assert_eq!(value("via"), "1.1 latimer");
    assert_eq!(value("user-agent"), concat!("latimer/", env!("CARGO_PKG_VERSION")));
    assert_eq!(Some(value("x-request-id")), got.header("x-request-id"));
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("private")), "{seen:?}");
    let mut names: Vec<String> = got.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort_unstable();
    let wanted = [
        "connection",
        "content-length",
        "content-type",
        "date",
        "ratelimit",
        "ratelimit-policy",
        "via",
        "x-latimer-dropped",
        "x-latimer-outcome",
        "x-request-id",
    ];
    assert_eq!(names, wanted);

    let call_id = got.header("x-request-id").unwrap().to_owned();
    check_log(&gateway.terminate().await, &call_id, &ours);
    simulator.stop().await;
}

#[tokio::test]
async fn of_an_upstreams_yes_no_header_field_is_seen() {
    let private = "Server: theirs\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic\r\nLocation: /x\r\n\
                   Access-Control-Allow-Origin: *\r\nRetry-After: 9\r\nRateLimit-Remaining: 3\r\n\
                   X-Request-Id: theirs\r\nX-Latimer-Outcome: theirs\r\nVia: 1.0 theirs\r\n\
                   ETag: \"1\"\r\nX-Anything: else\r\nContent-Type: application/json\r\n";
    let case = r#"{"context":{},"case":{"id":10,"status":"open"}}"#;
    let scripted = Scripted::start(answer("201 Created", private, case)).await;
    let text = format!(
        "upstreams:\n{}routes:\n  desk: {{client: series, upstream: thalamus, consumers: [tester]}}\n",
        upstream(Vendor::Thalamus, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let body = r#"{"status":"open","staffUserId":7}"#;
    let got = gateway.call("POST /tickets/10/status", &headers, body).await;
    assert_eq!(got.status, 200, "{got:?}");
    let mut names: Vec<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    // In title case, as the vendors' pages write them.
    let wanted = [
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Ratelimit",
        "Ratelimit-Policy",
        "Via",
        "X-Latimer-Dropped",
        "X-Latimer-Outcome",
        "X-Request-Id",
    ];
    assert_eq!(names, wanted);
    assert!(!got.headers.iter().any(|(_, value)| value.contains("theirs")), "{got:?}");
    gateway.stop().await;
}

/// One line per call, with what an operator looks for and nothing that must stay hidden.
fn check_log(log: &[String], call_id: &str, ours: &str) {
    let calls: Vec<serde_json::Value> = log
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["target"] == "latimer::access")
        .collect();
    assert_eq!(calls.len(), 2, "one line per call: {log:?}");
    let first = &calls[0];
    assert_eq!(first["call"], call_id);
    assert_eq!(first["route"], "desk");
    assert_eq!(first["consumer"], "tester");
    assert_eq!(first["operation"], "change_status");
    assert_eq!(first["path"], "/tickets/<ticket>/status");
    assert_eq!(first["outcome"], "yes");
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0);
    let digits = first["duration_ms"].to_string();
    assert!(digits.split('.').nth(1).is_none_or(|part| part.len() <= 3), "{digits}");
    assert_eq!(
        (&calls[1]["outcome"], &calls[1]["fault"]),
        (&"no".into(), &"unauthenticated".into())
    );
    let log = log.join("\n");
    let token = Vendor::Thalamus.default_token();
    for secret in [KEY, "a-wrong-key-of-somebody", "private-", &token, ours] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}
