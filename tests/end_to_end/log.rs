//! The log: what it tells of calls, what it never tells, and what happens when nobody reads it.

use latimer::sim::Vendor;
use serde_json::Value;

use crate::harness::{Answer, Gateway, KEY, exchange, upstream};
use crate::scripted::{Act, Scripted, answer, message};
use crate::vendors::ticket;

const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"resolved"}}"#;
const BODY: &str = r#"{"status":"resolved","staffUserId":7}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// Stands in everything that a client or an upstream says in a hostile session.
const MARK: &str = "zqx";

/// Series clients in front of a scripted Thalamus, by a route of that name.
async fn gateway(log: &str, route: &str, url: &str) -> Gateway {
    let (ours, theirs) = (ticket(Vendor::Series, 1), ticket(Vendor::Thalamus, 1));
    let text = format!(
        "log: {log}\nlimits: {{unauthenticated: none}}\nupstreams:\n{}routes:\n  {route}: {{client: series, upstream: thalamus, consumers: [tester], \
         limit: none, read_back: off, ids: {{ticket: {{file: ids.csv}}}}}}\n",
        upstream(Vendor::Thalamus, url)
    );
    let pairs = format!("client_id,upstream_id\n{ours},{theirs}\n");
    Gateway::start(&text, &[("ids.csv".to_owned(), pairs)]).await
}

fn line() -> String {
    format!("POST /tickets/{}/status", ticket(Vendor::Series, 1))
}

async fn call(gateway: &Gateway, key: &str) -> Answer {
    let headers = [("apikey", key), ("Content-Type", "application/json"), ("traceparent", TRACE)];
    gateway.call(&line(), &headers, BODY).await
}

fn good() -> Act {
    message("201 Created", "application/json", CASE)
}

/// The lines that tell of calls.
fn access(log: &[String]) -> Vec<Value> {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "latimer::access").collect()
}

#[tokio::test]
async fn a_line_tells_of_both_sides_of_a_call() {
    let scripted = Scripted::start(good()).await;
    let gateway = gateway("{format: json, access: full}", "desk", &scripted.url).await;
    let got = call(&gateway, KEY).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(call(&gateway, "a-wrong-key").await.status, 401);
    let calls = access(&gateway.terminate().await);
    let [yes, refused] = &calls[..] else { panic!("one line per call: {calls:#?}") };
    for (field, wanted) in [
        ("call", Value::from(got.header("x-request-id"))),
        ("status", 200.into()),
        ("outcome", "yes".into()),
        ("fault", "-".into()),
        ("endpoint", scripted.url.strip_prefix("http://").into()),
        ("tries", 1.into()),
        ("bytes_in", BODY.len().into()),
        ("bytes_out", got.body.len().into()),
        ("trace", TRACE[3..35].into()),
    ] {
        assert_eq!(yes[field], wanted, "{field}: {yes}");
    }
    let time = |field: &str| yes[field].as_f64().unwrap();
    assert!(0.0 < time("upstream_ms") && time("upstream_ms") < time("duration_ms"), "{yes}");
    for (field, wanted) in [
        ("fault", Value::from("unauthenticated")),
        ("endpoint", "-".into()),
        ("tries", 0.into()),
        ("bytes_in", 0.into()),
        ("upstream_ms", 0.0.into()),
    ] {
        assert_eq!(refused[field], wanted, "{field}: {refused}");
    }
}

/// Line, header fields, body.
type Said = (String, Vec<(&'static str, String)>, String);

/// What a client can say where.
fn hostile() -> Vec<Said> {
    let mark = |text: &str| format!("{MARK}-{text}");
    let key = || ("apikey", KEY.to_owned());
    let json = || ("Content-Type", "application/json".to_owned());
    let status = |word: &str| format!(r#"{{"status":"{word}","staffUserId":7}}"#);
    let ours = line();
    vec![
        (ours.clone(), vec![key(), json(), ("Cookie", mark("cookie"))], BODY.to_owned()),
        (ours.clone(), vec![("apikey", mark("key")), json()], BODY.to_owned()),
        (ours.clone(), vec![("apikey", format!("{KEY}{MARK}")), json()], BODY.to_owned()),
        (ours.clone(), vec![key(), json(), ("traceparent", mark("trace"))], status(&mark("word"))),
        (ours.clone(), vec![key(), json()], format!("{MARK} no json")),
        (
            ours.clone(),
            vec![key(), json()],
            format!(r#"{{"status":"open","{MARK}":1,"{MARK}":2}}"#),
        ),
        (ours.clone(), vec![key(), ("Content-Type", mark("type"))], BODY.to_owned()),
        (ours.clone(), vec![key(), json(), ("Content-Encoding", mark("coding"))], BODY.to_owned()),
        (ours.clone(), vec![key(), json(), ("Accept", mark("accept"))], BODY.to_owned()),
        (format!("{ours}?{MARK}={MARK}"), vec![key(), json()], BODY.to_owned()),
        (format!("POST /tickets/{MARK}/status"), vec![key(), json()], BODY.to_owned()),
        (format!("POST /tickets/%2e%2e%2f{MARK}/status"), vec![key(), json()], BODY.to_owned()),
        (
            format!("POST /tickets/TICKET-1234567890-{MARK}/status"),
            vec![key(), json()],
            BODY.to_owned(),
        ),
        (
            "POST /tickets/TICKET-7777777777-ZQXZ/status".to_owned(),
            vec![key(), json()],
            BODY.to_owned(),
        ),
        (format!("POST /{MARK}/../{MARK}"), vec![key(), json()], BODY.to_owned()),
        (format!("{} /tickets", MARK.to_uppercase()), vec![key()], String::new()),
        (ours.clone(), vec![key(), json(), ("Host", format!("{MARK}.test"))], BODY.to_owned()),
        (ours, vec![key(), json(), ("Host", format!("{MARK} {MARK}"))], BODY.to_owned()),
    ]
}

#[tokio::test]
async fn nothing_of_a_hostile_session_is_in_the_log() {
    let private =
        format!("X-{MARK}: {MARK}\r\nSet-Cookie: {MARK}\r\nContent-Type: application/json\r\n");
    let acts = [
        answer("201 Created", &private, CASE),
        answer("200 OK", &private, &format!("<{MARK}>")),
        answer(
            "201 Created",
            &private,
            &format!(r#"{{"case":{{"id":"{MARK}","status":"{MARK}"}}}}"#),
        ),
        answer("400 Bad Request", &private, &format!(r#"{{"errors":{{"{MARK}":"{MARK}"}}}}"#)),
        answer("400 Bad Request", &private, r#"{"errors":{"token":"InvalidToken"}}"#),
        answer(&format!("502 {MARK}"), &private, MARK),
        answer("302 Found", &format!("Location: http://{MARK}.test/{MARK}\r\n"), MARK),
        Act::Say(format!("{MARK} {MARK}\r\n{MARK}\r\n\r\n").into_bytes()),
        Act::Say(format!("HTTP/1.1 200 OK\r\nContent-Length: {MARK}\r\n\r\n").into_bytes()),
        Act::Say(format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{MARK}").into_bytes()),
        Act::Reset,
    ];
    for format in ["json", "text"] {
        let scripted = Scripted::start(good()).await;
        let log = format!("{{format: {format}, access: full}}");
        let gateway = gateway(&log, "desk", &scripted.url).await;
        for (line, headers, body) in hostile() {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            gateway.call(&line, &headers, body).await;
        }
        for act in &acts {
            scripted.act(act.clone());
            call(&gateway, KEY).await;
        }
        for broken in [format!("{MARK}\r\n\r\n"), format!("GET / HTTP/1.1\r\n{MARK}\r\n\r\n")] {
            exchange(&gateway.address, broken.as_bytes()).await;
        }
        let log = gateway.terminate().await.join("\n");
        let lines = log.lines().filter(|line| line.contains("latimer::access")).count();
        assert!(lines > 20, "{lines} lines:\n{log}");
        assert!(log.contains("the upstream refused our credential"), "{log}");
        let (ours, theirs) = (ticket(Vendor::Series, 1), ticket(Vendor::Thalamus, 1));
        let token = Vendor::Thalamus.default_token();
        for secret in [KEY, "another-key", &token, &ours, &theirs, MARK, "ZQX", "7777777777"] {
            let found = log.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "`{secret}` is in the log");
        }
    }
}

#[tokio::test]
async fn a_sample_has_every_call_that_did_not_take_effect() {
    let scripted = Scripted::start(good()).await;
    let gateway = gateway("{format: json, access: sampled}", "desk", &scripted.url).await;
    for number in 0..200 {
        let (key, status) = if number % 20 == 0 { ("a-wrong-key", 401) } else { (KEY, 200) };
        assert_eq!(call(&gateway, key).await.status, status);
    }
    let calls = access(&gateway.terminate().await);
    let (yes, no): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call["outcome"] == "yes");
    assert_eq!(no.len(), 10, "{calls:#?}");
    assert!(yes.len() < 30, "one in a hundred of 190: {}", yes.len());
}

#[tokio::test]
async fn without_an_access_log_only_what_went_wrong_behind_us_is_told() {
    let scripted = Scripted::start(good()).await;
    let gateway = gateway("{format: json, access: off}", "desk", &scripted.url).await;
    assert_eq!(call(&gateway, KEY).await.status, 200);
    assert_eq!(call(&gateway, "a-wrong-key").await.status, 401);
    scripted.act(Act::Reset);
    let lost = call(&gateway, KEY).await;
    let refused = r#"{"errors":{"token":"InvalidToken"}}"#;
    scripted.act(message("400 Bad Request", "application/json", refused));
    let credential = call(&gateway, KEY).await;
    let log = gateway.terminate().await;
    let said: Vec<(Value, Value)> = log
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "latimer::call")
        .map(|line| (line["level"].clone(), line["call"].clone()))
        .collect();
    assert_eq!(access(&log).len(), 0, "{log:#?}");
    let of = |level: &str, call: &Answer| (level.into(), call.header("x-request-id").into());
    assert_eq!(said, [of("WARN", &lost), of("ERROR", &credential)], "{log:#?}");
}

/// A pipe that nobody reads is full after 64 KiB.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let scripted = Scripted::start(good()).await;
    // Every line has the route's name, so that fewer calls fill what there is.
    let route = "a".repeat(latimer::bounds::NAME_BYTES_MAX);
    let gateway = gateway("{format: text, access: full}", &route, &scripted.url).await;
    gateway.stop_reading();
    for _ in 0..8_000 {
        assert_eq!(call(&gateway, "a-wrong-key").await.status, 401);
    }
    assert_eq!(call(&gateway, KEY).await.status, 200);
    let asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let page = Answer::parse(&exchange(&gateway.admin, asked).await).body;
    let dropped =
        page.lines().find_map(|line| line.strip_prefix("latimer_log_lines_dropped_total "));
    assert!(dropped.unwrap().parse::<u32>().unwrap() > 0, "{dropped:?} lines were given up");
    // It ends all the same, and whoever reads again gets whole lines.
    let log = gateway.terminate().await;
    assert!(log.len() < 8_000, "{} lines", log.len());
}
