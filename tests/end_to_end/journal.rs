//! The journal: what is written down of a call before it is sent, and what comes of it.

mod kills;
mod linked;
mod outages;

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::enrich::akanas;
use crate::harness::{Answer, Gateway, Home, KEY, PATIENCE, upstream};
use crate::metrics::scrape;
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{crosswalk, reading, request, ticket};

/// What `latimer journal export` prints, also beside a gateway that runs.
pub(super) async fn export(home: &Home, more: &[&str]) -> Vec<Value> {
    let arguments = [&["journal", "export"], more].concat();
    let done = home.command_for(&arguments).output().await.unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{told}");
    let lines = String::from_utf8(done.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same once nothing is open any more.
pub(super) async fn until_settled(home: &Home) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let open = export(home, &["--outcome", "open"]).await;
        if open.is_empty() {
            return export(home, &[]).await;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "it is settled in time: {open:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Clients of one vendor in front of an Akana that does as it is told.
struct Stage {
    client: Vendor,
    scripted: Scripted,
    home: Arc<Home>,
    gateway: Gateway,
}

impl Stage {
    async fn open(client: Vendor, top: &str, keys: &str) -> Self {
        let scripted = Scripted::start(Act::Wait).await;
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        let text = format!(
            "{top}upstreams:\n{}routes:\n  main:\n    client: {client}\n    upstream: akana\n    \
             consumers: [tester]\n    settings: {settings}\n    ids: {{ticket: {{file: ids.csv}}}}\n{keys}",
            upstream(Vendor::Akana, &scripted.url)
        );
        let files = [("ids.csv".to_owned(), crosswalk(client, Vendor::Akana, [1]))];
        let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
        let gateway = Gateway::launch(&home, home.command()).await;
        Self { client, scripted, home, gateway }
    }

    /// A change, to these acts of the upstream.
    async fn change(&self, wire: &str, acts: Vec<Act>) -> Answer {
        self.scripted.act(Act::InTurn(acts));
        send(&self.gateway, self.client, wire).await
    }

    /// The last record of so many.
    async fn last(&self, count: usize) -> Value {
        let records = until_settled(&self.home).await;
        assert_eq!(records.len(), count, "{records:#?}");
        records[count - 1].clone()
    }
}

async fn send(gateway: &Gateway, client: Vendor, wire: &str) -> Answer {
    let request = request(client, &ticket(client, 1), wire, KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

/// A call of which nobody waits for the answer.
async fn begun(gateway: &Gateway) -> TcpStream {
    let change = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let mut text = format!("{} HTTP/1.1\r\nHost: gateway.test\r\n", change.line);
    for (name, value) in &change.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{}", change.body.len(), change.body));
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Waits until the upstream has been sent something.
async fn until_sent(scripted: &Scripted) {
    let began = Instant::now();
    while scripted.seen_count() == 0 {
        assert!(began.elapsed() < PATIENCE, "it is sent in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The client's words for resolved.
const CLIENTS: [(Vendor, &str); 4] = [
    (Vendor::Arena, "COMPLETE"),
    (Vendor::Series, "resolved"),
    (Vendor::Thalamus, "RESOLVED"),
    (Vendor::Akana, "ticket.action.resolve"),
];

fn yes() -> Act {
    message("200 OK", "text/plain", "RESOLVED")
}

/// Akana's page: 404 with a fault body for a ticket that is not there.
fn gone() -> Act {
    let body = r#"{"faultcode":"Client","faultstring":"Not Found"}"#;
    message("404 Not Found", "application/json", body)
}

/// Every outcome, with whoever said it and the status that was read for it.
#[tokio::test]
async fn a_change_is_written_down_with_what_came_of_it() {
    for (client, wire) in CLIENTS {
        let stage = Stage::open(client, "journal: full\n", "").await;
        let state = |word: &str| akanas(&format!(r#""Title":"x","State":"{word}""#));
        let cases = [
            (vec![yes()], "yes", "answered", json!(null), json!(null)),
            (vec![gone()], "no", "answered", json!("not_found"), json!(null)),
            (
                vec![Act::Reset, state("RESOLVED")],
                "yes",
                "read_back",
                json!(null),
                json!("resolved"),
            ),
            (
                vec![Act::Reset, state("OPEN")],
                "no",
                "read_back",
                json!("upstream_failed"),
                json!("open"),
            ),
            (
                vec![Act::Reset, gone()],
                "unknown",
                "answered",
                json!("outcome_unknown"),
                json!(null),
            ),
        ];
        for (index, (acts, outcome, by, fault, read)) in cases.into_iter().enumerate() {
            let got = stage.change(wire, acts).await;
            let record = stage.last(index + 1).await;
            assert_eq!(got.header("x-latimer-outcome"), Some(outcome), "{client}: {got:?}");
            let (time, settled) = (record["time"].as_str(), record["settled"].as_str());
            assert!(time.unwrap() <= settled.unwrap() && time.unwrap().ends_with('Z'), "{record}");
            let wanted = json!({
                "call": got.header("x-request-id"), "time": time, "route": "main", "consumer": "tester",
                "operation": "change_status", "client_ticket": ticket(client, 1),
                "upstream_ticket": ticket(Vendor::Akana, 1), "from": null, "to": "resolved",
                "outcome": outcome, "fault": fault, "upstream": "akana", "settled": settled, "by": by,
                "read": read, "why": null
            });
            assert_eq!(record, wanted, "{client}");
        }
        let text = scrape(&stage.gateway).await;
        for line in [
            "journal_intents_total 5",
            "journal_refused_total 0",
            "journal_settled_total{outcome=\"yes\"} 2",
            "journal_settled_total{outcome=\"no\"} 2",
            "journal_settled_total{outcome=\"unknown\"} 1",
            "journal_open 0",
        ] {
            assert!(text.lines().any(|known| known == format!("latimer_{line}")), "{line}: {text}");
        }
        stage.gateway.terminate().await;
    }
}

/// What is refused before it is sent is no change, and neither is a read.
#[tokio::test]
async fn what_is_refused_or_read_is_not_written_down() {
    let stage = Stage::open(Vendor::Series, "journal: full\n", "    limit: {rate: 3/h}\n").await;
    let read = reading(Vendor::Series, &ticket(Vendor::Series, 1), KEY);
    stage.scripted.act(akanas(r#""State":"OPEN""#));
    let headers: Vec<(&str, &str)> =
        read.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(stage.gateway.call(&read.line, &headers, &read.body).await.status, 200);
    assert_eq!(stage.scripted.take_seen().len(), 1);
    let other = request(Vendor::Series, &ticket(Vendor::Series, 2), "resolved", KEY);
    let refused = [
        (request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", "wrong"), 401),
        (request(Vendor::Series, &ticket(Vendor::Series, 1), "nonsense", KEY), 400),
        // It is not in the file of ids.
        (other, 404),
        (request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY), 429),
    ];
    for (request, status) in refused {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let got = stage.gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(got.status, status, "{got:?}");
    }
    assert_eq!(stage.scripted.seen_count(), 0);
    assert_eq!(export(&stage.home, &[]).await, [] as [Value; 0]);
    stage.gateway.terminate().await;
}

/// One in sixteen, by the call's id, whoever looks; and a route's own word goes before that of all.
#[tokio::test]
async fn a_route_has_all_some_or_none_of_its_changes_written_down() {
    const CALLS: usize = 200;
    let scripted = Scripted::start(yes()).await;
    let mut text = format!(
        "journal: sampled\nupstreams:\n{}routes:\n",
        upstream(Vendor::Akana, &scripted.url)
    );
    for (name, more) in
        [("some", ""), ("none", ", journal: off"), ("all", ", journal: {records: full}")]
    {
        text.push_str(&format!(
            "  {name}: {{client: series, upstream: akana, consumers: [tester], limit: none, \
             match: {{host: {name}.test}}, ids: {{ticket: {{file: ids.csv}}}}{more}}}\n"
        ));
    }
    let files = [("ids.csv".to_owned(), crosswalk(Vendor::Series, Vendor::Akana, [1]))];
    let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
    let gateway = Gateway::launch(&home, home.command()).await;
    let change = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let mut wanted: Vec<(String, String)> = Vec::new();
    for (route, calls) in [("some", CALLS), ("none", 20), ("all", 20)] {
        let host = format!("{route}.test");
        let mut headers = vec![("Host", host.as_str())];
        headers.extend(change.headers.iter().map(|(name, value)| (*name, value.as_str())));
        for _ in 0..calls {
            let got = gateway.call(&change.line, &headers, &change.body).await;
            assert_eq!(got.status, 200, "{got:?}");
            let call = got.header("x-request-id").unwrap().to_owned();
            let half = u64::from_str_radix(&call[..16], 16).unwrap();
            if route == "all" || (route == "some" && half.is_multiple_of(16)) {
                wanted.push((route.to_owned(), call));
            }
        }
    }
    let records = until_settled(&home).await;
    let told = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let found: Vec<(String, String)> =
        records.iter().map(|record| (told(record, "route"), told(record, "call"))).collect();
    assert_eq!(found, wanted);
    assert!((20 + 1..20 + CALLS / 4).contains(&found.len()), "{}", found.len());
    gateway.terminate().await;
}

/// The ticket is read before it is changed; a call does not fail because that cannot be.
#[tokio::test]
async fn the_status_that_a_ticket_had_is_read_before() {
    let stage =
        Stage::open(Vendor::Series, "journal: {records: full, from: read, keep: 30d}\n", "").await;
    for (read, from) in [
        (akanas(r#""Title":"x","State":"OPEN""#), json!("open")),
        (akanas(r#""Title":"x","State":"CLOSED""#), json!("closed")),
        (message("503 Service Unavailable", "text/html", "<html>"), json!(null)),
        (gone(), json!(null)),
    ] {
        let count = export(&stage.home, &[]).await.len() + 1;
        let got = stage.change("resolved", vec![read, yes()]).await;
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
        let seen = stage.scripted.take_seen();
        assert!(seen.len() == 2 && seen[0].starts_with("GET /api/tickets/ticket1."), "{seen:?}");
        let record = stage.last(count).await;
        assert_eq!((&record["from"], &record["to"]), (&from, &json!("resolved")), "{record}");
    }
    stage.gateway.terminate().await;
}

/// Nothing leaves before the intent is kept, so that it is there while the upstream has not answered yet.
#[tokio::test]
async fn a_change_is_open_until_its_client_gone_or_not_the_upstream_has_answered() {
    let stage = Stage::open(Vendor::Series, "journal: full\n", "").await;
    let told = Arc::new(Notify::new());
    let Act::Say(bytes) = yes() else { unreachable!() };
    stage.scripted.act(Act::Hold(Arc::clone(&told), bytes));
    let stream = begun(&stage.gateway).await;
    until_sent(&stage.scripted).await;
    let records = export(&stage.home, &[]).await;
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("open")), "{records:#?}");
    assert_eq!(records[0]["settled"], json!(null));
    drop(stream);
    told.notify_one();
    assert_eq!(stage.last(1).await["outcome"], "yes");
    stage.gateway.terminate().await;
}

/// A gateway that ends before its upstream has answered says that nobody knows.
#[tokio::test]
async fn a_call_that_is_cut_off_is_in_doubt() {
    let stage = Stage::open(Vendor::Series, "journal: full\ndrain: 100ms\n", "").await;
    stage.scripted.act(Act::Wait);
    let _stream = begun(&stage.gateway).await;
    until_sent(&stage.scripted).await;
    stage.gateway.terminate().await;
    let records = export(&stage.home, &["--in-doubt"]).await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(
        (&records[0]["outcome"], &records[0]["by"]),
        (&json!("unknown"), &json!("given_up"))
    );
}

/// A ZStack client is answered before its call is over; its change is settled with the call.
#[tokio::test]
async fn a_call_that_finishes_later_is_settled_then() {
    let keys = "    async: jobs\n";
    let stage = Stage::open(Vendor::Zstack, "journal: full\n", keys).await;
    let got = stage.change("approve", vec![yes()]).await;
    assert_eq!(got.status, 202, "{got:?}");
    let began = Instant::now();
    let record = loop {
        let records = export(&stage.home, &["--outcome", "yes"]).await;
        if let [record] = &records[..] {
            break record.clone();
        }
        assert!(began.elapsed() < PATIENCE, "it is settled in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&record["to"], &record["by"]),
        (&json!("approved"), &json!("answered")),
        "{record}"
    );
    stage.gateway.terminate().await;
}

/// What somebody at a terminal sees, beside a gateway that runs.
#[tokio::test]
async fn the_commands_show_changes_as_they_are() {
    let stage = Stage::open(Vendor::Series, "journal: {records: full, from: read}\n", "").await;
    let none = stage.home.command_for(&["journal", "find", "--in-doubt"]).output().await.unwrap();
    assert_eq!(
        (none.status.code(), &none.stdout[..]),
        (Some(1), &b"there is no such change\n"[..])
    );
    let mut following = stage.home.command_for(&["journal", "tail", "--follow", "--json"]);
    let following = following.stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let mut following = following.unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();

    let open = || akanas(r#""State":"OPEN""#);
    stage.change("resolved", vec![open(), yes()]).await;
    let got = stage.change("resolved", vec![open(), Act::Reset, gone()]).await;
    let call = got.header("x-request-id").unwrap();
    let record = stage.last(2).await;
    let (time, settled) = (record["time"].as_str().unwrap(), record["settled"].as_str().unwrap());
    let wanted = format!(
        "{time}  unknown  TICKET-1234567890-0001  open -> resolved\n  change_status by tester on main\n  \
         ticket1.acmepaymentscorp of akana\n  answered {settled}, fault outcome_unknown\n  call {call}\n"
    );
    for arguments in [
        &["journal", "tail", "-n", "1"][..],
        &["journal", "find", "--call", call],
        &["journal", "find", "--in-doubt", "--ticket", "ticket1.acmepaymentscorp"],
        &["journal", "find", "--since", time, "--outcome", "unknown", "--route", "main"],
    ] {
        let done = stage.home.command_for(arguments).output().await.unwrap();
        let (shown, told) = (String::from_utf8(done.stdout), String::from_utf8(done.stderr));
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {told:?}");
        assert_eq!(shown.unwrap(), wanted, "{arguments:?}");
    }
    let both =
        export(&stage.home, &["--consumer", "tester", "--until", "2100-01-01T00:00:00Z"]).await;
    assert_eq!((both.len(), &both[1]), (2, &record));

    // Each as it comes, and once more when it is settled if it was open.
    let mut last = Vec::new();
    while last.iter().filter(|seen: &&Value| seen["outcome"] != "open").count() < 2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        last.push(serde_json::from_str(&line.expect("in time").unwrap().unwrap()).unwrap());
    }
    assert_eq!(last.last(), Some(&record));
    following.kill().await.unwrap();
    stage.gateway.terminate().await;
}
