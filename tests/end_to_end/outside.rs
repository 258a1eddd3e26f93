//! What is seen from outside a call: headers that move and headers that do not, and the log.

use latimer::sim::Vendor;

use crate::harness::{Gateway, KEY, simulator, upstream};
use crate::vendors::ticket;

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
    let headers = [
        ("apikey", KEY),
        ("Content-Type", "application/json"),
        ("Cookie", "session=private-cookie"),
        ("Authorization", "Bearer private-bearer"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Request-Ip", "192.0.2.1"),
        ("X-Web-Hook", "http://192.0.2.1/"),
        ("Proxy-Authorization", "Basic private-proxy"),
        ("X-Anything", "else"),
    ];
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
        "user-agent",
        "via",
        "x-request-id",
    ];
    assert_eq!(names, wanted);
    let mut names: Vec<String> = got.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort_unstable();
    let wanted = [
        "connection",
        "content-length",
        "content-type",
        "date",
        "via",
        "x-latimer-dropped",
        "x-latimer-outcome",
        "x-request-id",
    ];
    assert_eq!(names, wanted);

    let call_id = got.header("x-request-id").unwrap().to_owned();
    check_log(&gateway.stop().await, &call_id, &ours);
    simulator.stop().await;
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
