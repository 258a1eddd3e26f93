//! ZStack's jobs: an outcome that comes later is asked for, and one that got lost is asked for by the job's
//! own id. Statuses, bodies and codes are those of ZStack's page and of what is known of its REST server:
//! 202 with a location, 202 `{}` while a job runs, 200 with the result, 503 with the error, and 404 in plain
//! text for a job that it does not know. Whatever happens, there is one PUT.

mod forms;
mod lost;
mod pinned;
mod streams;

use std::time::{Duration, Instant};

use latimer::sim::{Options, Simulator, Vendor, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::edited::Edited;
use crate::harness::{Answer, Gateway, KEY, upstream};
use crate::scripted::{Act, Scripted, field, message};
use crate::vendors::{answer, crosswalk, request, sayable, ticket, told};

/// What a job that went well answers.
const DONE: &str =
    r#"{"inventory":{"uuid":"e9377476db3f375bbff78dc3b9200001","status":"IntermediateApproved"}}"#;
const EXPIRED: &str = "the job has been expired";

/// The shipped mappings, but with jobs that are asked after every 50 ms.
struct Impatient(Edited);

impl Impatient {
    fn new() -> Self {
        Self::edited("", "")
    }

    /// The same, but without a path to ask by, which its clients then cannot be told either.
    fn without_asking() -> Self {
        let mapping = include_str!("../../mappings/zstack.yaml");
        let from = mapping.find("    ask: GET").unwrap();
        let to = from + mapping[from..].find("\n\n").unwrap() + 1;
        Self::edited(&mapping[from..to], "")
    }

    /// The same, but with ZStack's jobs as another vendor might have them.
    fn edited(from: &str, to: &str) -> Self {
        Self(Edited::new(&[("zstack", "every: 1s", "every: 50ms"), ("zstack", from, to)]))
    }

    /// A client of the vendor in front of a ZStack at this address.
    async fn gateway(&self, client: Vendor, url: &str, deadline: &str) -> Gateway {
        let (text, files) = configuration(client, &upstream(Vendor::Zstack, url), deadline);
        Gateway::start_with(self.0.path(), &text, &files).await
    }
}

fn configuration(
    client: Vendor,
    upstream: &str,
    deadline: &str,
) -> (String, Vec<(String, String)>) {
    let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    let text = format!(
        "upstreams:\n{upstream}routes:\n  main:\n    client: {client}\n    upstream: zstack\n    \
         consumers: [tester]\n    settings: {settings}\n    deadline: {deadline}\n    limit: none\n    read_back: off\n    \
         ids: {{ticket: {{file: ids.csv}}}}\n"
    );
    (text, vec![("ids.csv".to_owned(), crosswalk(client, Vendor::Zstack, 1..=9))])
}

/// A change of the client's that ZStack can be told, of the ticket with this number.
fn change(client: Vendor) -> (&'static str, &'static str) {
    let told = |(_, word): &&(&str, &str)| told(Vendor::Zstack, word).is_some();
    *sayable(client).iter().rev().find(told).unwrap()
}

async fn call(gateway: &Gateway, client: Vendor, number: usize, wire: &str) -> Answer {
    let request = request(client, &ticket(client, number), wire, KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

/// A call of a Series client, who says that ticket 1 is resolved.
async fn resolve(gateway: &Gateway) -> Answer {
    call(gateway, Vendor::Series, 1, "resolved").await
}

fn outcome(got: &Answer) -> (Option<&str>, Option<&str>) {
    (got.header("x-latimer-outcome"), got.header("x-latimer-fault"))
}

const YES: (Option<&str>, Option<&str>) = (Some("yes"), None);
const UNKNOWN: (Option<&str>, Option<&str>) = (Some("unknown"), Some("outcome_unknown"));

fn no(fault: &str) -> (Option<&str>, Option<&str>) {
    (Some("no"), Some(fault))
}

/// The 202 with a location at this address.
fn accepted(location: &str) -> Act {
    let body = format!(r#"{{"location":"{location}","apiTimeout":1800000}}"#);
    message("202 Accepted", "", &body)
}

fn running() -> Act {
    message("202 Accepted", "", "{}")
}

fn done() -> Act {
    message("200 OK", "", DONE)
}

fn failed(code: &str) -> Act {
    let body = format!(
        r#"{{"error":{{"code":"{code}","description":"it failed","details":"it failed"}}}}"#
    );
    message("503 Service Unavailable", "", &body)
}

fn expired() -> Act {
    message("404 Not Found", "", EXPIRED)
}

/// One write, and these questions behind it.
fn asked(seen: &[String], wanted: &[&str]) {
    let lines: Vec<&str> = seen.iter().map(|message| message.lines().next().unwrap()).collect();
    let writes = lines.iter().filter(|line| line.starts_with("PUT ")).count();
    assert_eq!(writes, 1, "one write: {lines:#?}");
    assert!(lines[0].starts_with("PUT /v1/tickets/"), "{lines:#?}");
    let wanted: Vec<String> = wanted.iter().map(|path| format!("GET {path} HTTP/1.1")).collect();
    assert_eq!(lines[1..], wanted, "{lines:#?}");
}

async fn asynchronous(tickets: &[(String, &str)]) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tickets = tickets.iter().map(|(id, status)| format!("{id}={status}").parse().unwrap());
    let tickets = tickets.collect();
    let options = Options { tickets, asynchronous: true, ..Options::default() };
    serve(Vendor::Zstack, listener, options).unwrap()
}

#[tokio::test]
async fn every_client_gets_the_outcome_of_the_job() {
    let impatient = Impatient::new();
    for client in Vendor::ALL {
        let finished = ticket(Vendor::Zstack, 2);
        let tickets = [(ticket(Vendor::Zstack, 1), "Pending"), (finished, "FinalApproved")];
        let sim = asynchronous(&tickets).await;
        let gateway = impatient.gateway(client, &sim.url(), "30s").await;
        let (wire, word) = change(client);
        let (event, became) = told(Vendor::Zstack, word).unwrap();
        let got = call(&gateway, client, 1, wire).await;
        assert_eq!(outcome(&got), YES, "{client}: {got:?}");
        let (status, body) = answer(client, Vendor::Zstack, &ticket(client, 1), became);
        assert_eq!(got.status, status, "{client}: {got:?}");
        match client {
            Vendor::Akana => assert_eq!(got.body, body.as_str().unwrap()),
            // The client's own page has more members, which come from the same vendor.
            Vendor::Zstack => {
                assert_eq!(got.json()["inventory"]["uuid"], body["inventory"]["uuid"]);
                assert_eq!(got.json()["inventory"]["status"], body["inventory"]["status"]);
            }
            Vendor::Arena | Vendor::Series | Vendor::Thalamus => assert_eq!(got.json(), body),
        }
        let log = sim.log();
        let lines: Vec<String> =
            log.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        let job = log[0].header("x-job-uuid").unwrap();
        assert_eq!(job, got.header("x-request-id").unwrap(), "{client}");
        assert!(log[0].body.contains(event), "{client}: {:?}", log[0]);
        let asked = format!("GET /zstack/v1/api-jobs/{job}");
        let written = format!("PUT /zstack/v1/tickets/{}/actions", ticket(Vendor::Zstack, 1));
        // The simulator's jobs are over at the third question.
        assert_eq!(lines, [written, asked.clone(), asked.clone(), asked], "{client}");
        for question in &log[1..] {
            assert_eq!(question.header("authorization"), Some("OAuth sim-zstack-token"));
            assert_eq!(question.header("x-job-uuid"), None, "{client}: a question begins no job");
        }
        // A ticket that is finished takes no approval, and one that does not exist none either; the sixth
        // has an id for us and none for them.
        for (number, fault) in [(2, "conflict"), (6, "not_found")] {
            let wire = if client == Vendor::Zstack { "approve" } else { wire };
            let reopens = event == "reopen" && number == 2;
            let got = call(&gateway, client, number, wire).await;
            let wanted = if reopens { YES } else { no(fault) };
            assert_eq!(outcome(&got), wanted, "{client} {number}: {got:?}");
        }
        gateway.stop().await;
    }
}

/// What each client is told of each fault (LANGUAGE §8).
const TOLD: [(&str, &str, [u16; 5]); 8] = [
    ("SYS.1007", "invalid_status", [400, 400, 500, 400, 503]),
    ("SYS.1003", "not_found", [400, 404, 404, 400, 503]),
    ("SYS.1005", "conflict", [409, 400, 500, 400, 503]),
    // Our own credential: the job refuses what the PUT has taken.
    ("ID.1001", "upstream_failed", [502, 500, 500, 502, 503]),
    ("ID.1002", "forbidden", [403, 403, 403, 400, 503]),
    ("SYS.1010", "overloaded", [503, 503, 503, 503, 503]),
    ("SYS.1000", "upstream_failed", [502, 500, 500, 502, 503]),
    ("SYS.1001", "outcome_unknown", [504, 504, 504, 504, 503]),
];

#[tokio::test]
async fn every_fault_of_a_job_is_told_to_every_client() {
    let clients = [Vendor::Arena, Vendor::Series, Vendor::Akana, Vendor::Thalamus, Vendor::Zstack];
    let impatient = Impatient::new();
    for (index, client) in clients.into_iter().enumerate() {
        let scripted = Scripted::start(Act::Reset).await;
        let gateway = impatient.gateway(client, &scripted.url, "10s").await;
        for (code, fault, statuses) in TOLD {
            let location = accepted(&format!("{}/zstack/v1/api-jobs/1f", scripted.url));
            scripted.act(Act::InTurn(vec![location, running(), failed(code)]));
            let got = call(&gateway, client, 1, change(client).0).await;
            let wanted = if fault == "outcome_unknown" { UNKNOWN } else { no(fault) };
            assert_eq!(outcome(&got), wanted, "{client} {code}: {got:?}");
            assert_eq!(got.status, statuses[index], "{client} {code}: {got:?}");
            asked(&scripted.take_seen(), &["/zstack/v1/api-jobs/1f"; 2]);
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_job_that_outlasts_the_deadline_is_unknown_to_every_client() {
    let impatient = Impatient::new();
    for client in Vendor::ALL {
        let scripted = Scripted::start(Act::Reset).await;
        let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
        scripted.act(Act::InTurn(vec![location, running()]));
        let gateway = impatient.gateway(client, &scripted.url, "600ms").await;
        let began = Instant::now();
        let got = call(&gateway, client, 1, change(client).0).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{client}: {:?}", began.elapsed());
        assert_eq!(outcome(&got), UNKNOWN, "{client}: {got:?}");
        let status = if client == Vendor::Zstack { 503 } else { 504 };
        assert_eq!(got.status, status, "{client}: {got:?}");
        if client != Vendor::Thalamus {
            let text = "do not repeat it before reading the ticket";
            assert!(got.body.contains(text), "{client}: {got:?}");
        }
        let seen = scripted.take_seen();
        let questions = seen.len() - 1;
        assert!((2..=13).contains(&questions), "{client}: {questions} in 600 ms, one in 50 ms");
        asked(&seen, &vec!["/v1/api-jobs/1f"; questions]);
        let log = gateway.terminate().await;
        let said = log.iter().any(|line| line.contains("the work goes on"));
        assert!(said, "{client}: {log:#?}");
    }
}

/// A question may be asked again, whatever became of it.
#[tokio::test]
async fn a_question_that_fails_is_asked_again() {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"inv".to_vec();
    let balancer = |status| message(status, "text/html", "<html>away</html>");
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "2s").await;
    for (what, act) in [
        ("a reset", Act::Reset),
        ("nothing", Act::Say(Vec::new())),
        ("garbage", Act::Say(b"\x00\x01 this is not HTTP\r\n\r\n".to_vec())),
        ("a truncated body", Act::Say(truncated)),
        ("an answer that does not come", Act::Wait),
        ("a balancer's 502", balancer("502 Bad Gateway")),
        // The status of a job that is over, and yet not the job's answer.
        ("a balancer's 503", balancer("503 Service Unavailable")),
    ] {
        let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
        scripted.act(Act::InTurn(vec![location, act, running(), done()]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), YES, "{what}: {got:?}");
        asked(&scripted.take_seen(), &["/v1/api-jobs/1f"; 3]);
    }
    gateway.stop().await;
}

/// What neither goes on nor is over, nobody can know; least of all does a balancer's 503 say no.
#[tokio::test]
async fn an_answer_that_says_nothing_of_the_job_leaves_it_unknown() {
    let html = |status| message(status, "text/html", "<html>away</html>");
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "600ms").await;
    for (what, act, cause, once) in [
        ("no such job", expired(), "knows no such job", true),
        ("a 401", html("401 Unauthorized"), "was answered 401", true),
        ("a 429", html("429 Too Many Requests"), "was answered 429", true),
        ("a redirect", html("302 Found"), "was answered 302", true),
        ("HTML as a success", html("200 OK"), "answered 200", true),
        ("a balancer's 503", html("503 Service Unavailable"), "answered 503", false),
        ("a 500", html("500 Oops"), "answered 500", false),
    ] {
        let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
        scripted.act(Act::InTurn(vec![location, act]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), UNKNOWN, "{what}: {got:?}");
        gateway.until_logged(cause).await;
        let seen = scripted.take_seen();
        assert_eq!(seen.len() == 2, once, "{what}: {} requests", seen.len());
        asked(&seen, &vec!["/v1/api-jobs/1f"; seen.len() - 1]);
    }
    gateway.stop().await;
}

/// Answers of jobs are held to the same bounds as others, and may be coded as others may.
#[tokio::test]
async fn a_jobs_answer_is_read_like_any_other() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let small = format!("{}    reply_bytes_max: 1KiB\n", upstream(Vendor::Zstack, &scripted.url));
    let (text, files) = configuration(Vendor::Series, &small, "1s");
    let folder = impatient.0.path();
    let gateway = Gateway::start_with(folder, &text, &files).await;
    let long = format!(r#"{{"inventory":{{"name":"{}"}}}}"#, "x".repeat(2_000));
    let coded = {
        use std::io::Write;
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(DONE.as_bytes()).unwrap();
        let body = coder.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Act::Say([head.into_bytes(), body].concat())
    };
    for (act, wanted) in [(message("200 OK", "", &long), UNKNOWN), (coded, YES), (done(), YES)] {
        let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
        scripted.act(Act::InTurn(vec![location, act]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), wanted, "{got:?}");
        asked(&scripted.take_seen(), &["/v1/api-jobs/1f"]);
    }
    gateway.stop().await;
}

/// The mapping as it is shipped, and a client's own job id, which is another matter than ours.
#[tokio::test]
async fn a_clients_own_job_id_is_not_the_upstreams() {
    let sim = asynchronous(&[(ticket(Vendor::Zstack, 1), "Pending")]).await;
    let (text, files) = configuration(Vendor::Zstack, &upstream(Vendor::Zstack, &sim.url()), "30s");
    let gateway = Gateway::start(&text, &files).await;
    let own = "6e5b8f8b2a4a4e0c9a4bd4a3a1b1c0de";
    for wire in ["approve", "approve"] {
        let request = request(Vendor::Zstack, &ticket(Vendor::Zstack, 1), wire, KEY);
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("X-Job-UUID", own));
        let got = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(outcome(&got), YES, "{got:?}");
    }
    let log = sim.log();
    let jobs: Vec<&str> = log.iter().filter_map(|seen| seen.header("x-job-uuid")).collect();
    assert_eq!(jobs.len(), 2, "one write for each call");
    assert!(!jobs.contains(&own) && jobs[0] != jobs[1], "{jobs:?}");
    assert_eq!(sim.status(&ticket(Vendor::Zstack, 1)).as_deref(), Some("FinalApproved"));
    gateway.stop().await;
}

/// The write has left, so it is seen through: its client may be gone before the job is over.
#[tokio::test]
async fn a_job_is_asked_after_though_its_client_goes_away() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
    scripted.act(Act::InTurn(vec![location, running()]));
    let (text, files) =
        configuration(Vendor::Series, &upstream(Vendor::Zstack, &scripted.url), "10s");
    let text = format!("log: {{format: json, access: full}}\n{text}");
    let folder = impatient.0.path();
    let gateway = Gateway::start_with(folder, &text, &files).await;
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let mut message = format!("{} HTTP/1.1\r\nHost: gateway.test\r\n", request.line);
    for (name, value) in &request.headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str(&format!("Content-Length: {}\r\n\r\n{}", request.body.len(), request.body));
    let mut client = TcpStream::connect(&gateway.address).await.unwrap();
    client.write_all(message.as_bytes()).await.unwrap();
    let mut waits = 0;
    while scripted.seen_count() < 3 {
        waits += 1;
        assert!(waits < 1_000, "the job is asked after");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    while scripted.seen_count() < 6 {
        waits += 1;
        assert!(waits < 1_000, "it is asked after without a client");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scripted.act(done());
    gateway.until_logged("\"outcome\":\"yes\"").await;
    let seen = scripted.take_seen();
    asked(&seen, &vec!["/v1/api-jobs/1f"; seen.len() - 1]);
    let log = gateway.terminate().await;
    let line = log.iter().find(|line| line.contains("\"outcome\":\"yes\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    // Each question is a try, and waiting for a job is the upstream's time and not ours.
    assert_eq!(line["tries"], seen.len(), "{line}");
    let upstream_ms = line["upstream_ms"].as_f64().unwrap();
    assert!(upstream_ms >= 50.0 * (seen.len() - 1) as f64, "{line}");
}

/// A 409 says no to a write. To a question it says nothing of the write, unless the mapping knows what.
#[tokio::test]
async fn the_status_of_a_job_that_is_over_says_nothing_alone() {
    let impatient = Impatient::edited("done: [200, 503]", "done: [200, 409, 503]");
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "2s").await;
    let known = r#"{"error":{"code":"SYS.1005","description":"no","details":"no"}}"#;
    for (body, wanted) in [("<html>busy</html>", UNKNOWN), (known, no("conflict"))] {
        let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
        scripted.act(Act::InTurn(vec![location, message("409 Conflict", "", body)]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), wanted, "{got:?}");
        asked(&scripted.take_seen(), &["/v1/api-jobs/1f"]);
    }
    gateway.stop().await;
}
