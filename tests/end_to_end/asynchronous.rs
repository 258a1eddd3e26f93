//! ZStack's asynchronous protocol, towards its clients: 202 with where to ask, 202 while the work goes on, then
//! 200 or 503 (FACTS §1.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::sim::{Options, Simulator, Vendor, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Answer, Gateway, Home, KEY, PATIENCE, upstream};
use crate::vendors::{crosswalk, fresh, ticket, told};

const AUTHORIZED: (&str, &str) = ("Authorization", "OAuth test-key-0123456789");
const JSON: (&str, &str) = ("Content-Type", "application/json;charset=UTF-8");

struct Desk {
    home: Arc<Home>,
    gateway: Gateway,
    simulator: Simulator,
}

impl Desk {
    async fn open(vendor: Vendor, fault: Option<&str>, route: &str) -> Self {
        let status = fresh(vendor, "");
        let tickets = (1..=9).map(|number| format!("{}={status}", ticket(vendor, number)));
        let options = Options {
            tickets: tickets.map(|seed| seed.parse().unwrap()).collect(),
            faults: fault.iter().map(|fault| fault.parse().unwrap()).collect(),
            ..Options::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = serve(vendor, listener, options).unwrap();
        let pairs = crosswalk(Vendor::Zstack, vendor, 1..=9);
        let text = format!(
            "upstreams:\n{}routes:\n  main:\n    client: zstack\n    upstream: {vendor}\n    \
             consumers: [tester, other]\n    ids: {{ticket: {{file: pairs.csv}}}}\n    async: jobs\n{route}",
            upstream(vendor, &simulator.url())
        );
        let home = Home::new("127.0.0.1:0", "mappings", &text, &[("pairs.csv".to_owned(), pairs)]);
        let gateway = Gateway::launch(&home, home.command()).await;
        Self { home, gateway, simulator }
    }

    /// The page's request.
    async fn put(&self, number: usize, event: &str, headers: &[(&str, &str)]) -> Answer {
        let ticket = ticket(Vendor::Zstack, number);
        let body = format!(r#"{{"changeTicketStatus":{{"statusEvent":"{event}"}}}}"#);
        let line = format!("PUT /zstack/v1/tickets/{ticket}/actions");
        self.gateway.call(&line, headers, &body).await
    }

    async fn ask(&self, location: &str, headers: &[(&str, &str)]) -> Answer {
        let path = location.strip_prefix("http://gateway.test").unwrap_or(location);
        self.gateway.call(&format!("GET {path}"), headers, "").await
    }

    /// Asks until the work is over.
    async fn outcome(&self, location: &str) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.ask(location, &[AUTHORIZED]).await;
            if answer.status != 202 {
                return answer;
            }
            assert_eq!(answer.body, "{}", "while it goes on");
            assert!(began.elapsed() < PATIENCE, "it is over in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn restarted(self, stop: impl AsyncFnOnce(Gateway)) -> Self {
        let Self { home, gateway, simulator } = self;
        stop(gateway).await;
        let gateway = Gateway::launch(&home, home.command()).await;
        Self { home, gateway, simulator }
    }
}

/// Where an accepted call says that its outcome is.
fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("content-type"), None, "their server sends none: {answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("unknown"), "{answer:?}");
    answer.json()["location"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// What a client is told in the words of the REST layer.
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), None, "{answer:?}");
    assert!(answer.body.contains(text) && !answer.body.starts_with('{'), "{text}: {answer:?}");
}

#[tokio::test]
async fn every_upstreams_outcome_is_there_for_whoever_asks() {
    for vendor in Vendor::ALL {
        let desk = Desk::open(vendor, None, "").await;
        // Arena has no word for an approval.
        let (event, word) = match told(vendor, "approved") {
            Some((_, word)) => ("approve", word),
            None => ("reopen", told(vendor, "open").unwrap().1),
        };
        let accepted = desk.put(1, event, &[AUTHORIZED, JSON]).await;
        let place = location(&accepted);
        let id = accepted.header("x-request-id").unwrap();
        assert_eq!(place, format!("http://gateway.test/zstack/v1/api-jobs/{id}"));
        assert_eq!(accepted.json(), json!({"location": place, "apiTimeout": 30_000}));
        let answer = desk.outcome(&place).await;
        assert_eq!(answer.status, 200, "{vendor}: {answer:?}");
        assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{vendor}");
        let wanted = crate::vendors::answered(Vendor::Zstack, word);
        let inventory = &answer.json()["inventory"];
        assert_eq!(inventory["uuid"], ticket(Vendor::Zstack, 1), "{vendor}");
        assert_eq!(inventory["status"], wanted, "{vendor}: {answer:?}");
        assert_eq!(desk.ask(&place, &[AUTHORIZED]).await.body, answer.body, "as often as asked");
        desk.gateway.terminate().await;
    }
}

/// FACTS §1.3: the client's own id names the job, works once, and has its form.
#[tokio::test]
async fn a_clients_own_id_names_its_job_once() {
    let desk = Desk::open(Vendor::Thalamus, None, "").await;
    let id = "6e5b8f8b2a4a4e0c9a4bd4a3a1b1c0de";
    let named = [AUTHORIZED, JSON, ("X-Job-UUID", id)];
    let accepted = desk.put(1, "approve", &named).await;
    let place = location(&accepted);
    assert!(place.ends_with(&format!("/zstack/v1/api-jobs/{id}")), "{place}");
    assert_eq!(desk.outcome(&place).await.status, 200);
    let seen = desk.simulator.log().len();
    is_text(&desk.put(1, "cancel", &named).await, 400, "used before");
    for wrong in ["6e5b8f8b2a4a4e0c9a4bd4a3a1b1c0d", "zz5b8f8b2a4a4e0c9a4bd4a3a1b1c0de", ""] {
        let refused = desk.put(2, "approve", &[AUTHORIZED, JSON, ("X-Job-UUID", wrong)]).await;
        is_text(&refused, 400, "32 hexadecimal digits");
    }
    assert_eq!(desk.simulator.log().len(), seen, "nothing was sent");
    // Another consumer's id is another job, and this one's is nobody else's business.
    let other = ("Authorization", "OAuth another-key");
    is_text(&desk.ask(&place, &[other, JSON]).await, 404, "the job has been expired");
    let theirs = desk.put(3, "approve", &[other, JSON, ("X-Job-UUID", id)]).await;
    assert_eq!(location(&theirs), place);
    assert_eq!(
        desk.ask("/v1/api-jobs/6e5b8f8b2a4a4e0c9a4bd4a3a1b1c0de", &[AUTHORIZED]).await.status,
        200
    );
    is_text(
        &desk.ask("/zstack/v1/api-jobs/00000000000000000000000000000000", &[AUTHORIZED]).await,
        404,
        "the job has been expired",
    );
    is_text(
        &desk.ask("/zstack/v1/api-jobs/none", &[AUTHORIZED]).await,
        404,
        "the job has been expired",
    );
    let posted = desk.gateway.call("POST /zstack/v1/api-jobs/none", &[AUTHORIZED], "").await;
    is_text(&posted, 405, "");
    assert_eq!(posted.header("allow"), Some("GET"));
    desk.gateway.terminate().await;
}

/// Their SDKs read an error only where they ask: on the first answer a 503 is any failure to them.
#[tokio::test]
async fn what_the_system_refuses_is_told_to_whoever_asks() {
    let desk = Desk::open(Vendor::Arena, None, "").await;
    let nowhere = "f4483251fdfd48cdae0dbb966a2652c9";
    let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
    let line = format!("PUT /zstack/v1/tickets/{nowhere}/actions");
    let place = location(&desk.gateway.call(&line, &[AUTHORIZED, JSON], body).await);
    let answer = desk.outcome(&place).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!("SYS.1003")));
    assert_eq!(answer.header("x-latimer-fault"), Some("not_found"));
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"));
    let place = location(&desk.put(1, "solve", &[AUTHORIZED, JSON]).await);
    let answer = desk.outcome(&place).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!("SYS.1007")));

    // Nobody's session is accepted too, and keeps nothing.
    let stranger = ("Authorization", "OAuth 0123456789abcdef0123456789abcdef");
    let place = location(&desk.put(1, "approve", &[stranger, JSON]).await);
    let answer = desk.ask(&place, &[stranger]).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!("ID.1001")));
    is_text(&desk.ask(&place, &[AUTHORIZED]).await, 404, "the job has been expired");

    // What the REST layer refuses is told at once.
    is_text(&desk.put(1, "approve", &[JSON]).await, 400, "missing header 'Authorization'");
    let line = format!("PUT /v1/tickets/{}/actions", ticket(Vendor::Zstack, 1));
    is_text(&desk.gateway.call(&line, &[AUTHORIZED, JSON], "{").await, 400, "");
    let hooked = [AUTHORIZED, JSON, ("X-Web-Hook", "http://127.0.0.1:1/hook")];
    is_text(&desk.put(1, "approve", &hooked).await, 400, "nobody is called back");
    assert!(desk.simulator.log().is_empty(), "nothing was sent");
    desk.gateway.terminate().await;
}

/// The client's connection is its own again while the work goes on, and the work goes on without it.
#[tokio::test]
async fn a_client_goes_on_while_its_call_does() {
    let desk = Desk::open(Vendor::Thalamus, Some("latency=700ms"), "").await;
    let mut stream = TcpStream::connect(&desk.gateway.address).await.unwrap();
    let mut answers = Vec::new();
    for number in 1..=3 {
        let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
        let request = format!(
            "PUT /v1/tickets/{}/actions HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: OAuth {KEY}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            ticket(Vendor::Zstack, number),
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            let mut buffer = [0; 1024];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
            let read = read.expect("it is accepted in time").unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..read]);
        }
        answers.push(Answer::parse(&seen));
    }
    assert_eq!(desk.ask(&location(&answers[2]), &[AUTHORIZED]).await.status, 202, "it goes on");
    drop(stream);
    for answer in &answers {
        assert_eq!(desk.outcome(&location(answer)).await.status, 200);
    }
    // One line for each, of the whole call.
    let log = desk.gateway.terminate().await;
    let done = log
        .iter()
        .filter(|line| line.contains("status=200 outcome=\"yes\"") && line.contains("tries=1"));
    assert_eq!(done.count(), 3, "{log:#?}");
}

#[tokio::test]
async fn an_outcome_outlives_the_process() {
    let desk = Desk::open(Vendor::Thalamus, Some("latency=1s"), "").await;
    let place = location(&desk.put(1, "approve", &[AUTHORIZED, JSON]).await);
    // Told to stop in the midst of it: what was accepted is seen through.
    let desk = desk
        .restarted(async |gateway| {
            gateway.terminate().await;
        })
        .await;
    let answer = desk.ask(&place, &[AUTHORIZED]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(desk.simulator.status(&ticket(Vendor::Thalamus, 1)).as_deref(), Some("resolved"));
    desk.gateway.terminate().await;
}

/// Killed in the midst of it: nobody knows, and that is said once nobody can know any more.
#[tokio::test]
async fn a_call_that_was_cut_off_is_one_whose_outcome_nobody_knows() {
    let desk = Desk::open(Vendor::Thalamus, Some("latency=5s"), "    deadline: 1s\n").await;
    let place = location(&desk.put(1, "approve", &[AUTHORIZED, JSON]).await);
    let desk = desk.restarted(async |gateway| gateway.stop().await).await;
    let answer = desk.outcome(&place).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!("SYS.1001")));
    assert_eq!(answer.header("x-latimer-outcome"), Some("unknown"), "{answer:?}");
    desk.gateway.terminate().await;
}

/// What the upstream's answer leaves out is read before the outcome is kept, and a read that failed is told too.
#[tokio::test]
async fn what_was_read_after_the_write_is_there_for_whoever_asks() {
    let desk = Desk::open(Vendor::Akana, None, "    enrich: on\n").await;
    let accepted = desk.put(1, "approve", &[AUTHORIZED, JSON]).await;
    let outcome = desk.outcome(&location(&accepted)).await;
    assert_eq!(outcome.status, 200, "{outcome:?}");
    let inventory = json!({
        "uuid": ticket(Vendor::Zstack, 1), "name": "Simulated ticket", "description": "",
        "status": "FinalApproved",
    });
    assert_eq!(outcome.json(), json!({"inventory": inventory}));
    assert_eq!(outcome.header("x-latimer-partial"), None, "{outcome:?}");
    assert_eq!(desk.simulator.log().len(), 2, "the write, and the read");
    desk.gateway.stop().await;
    // Every second answer is garbage, which is the read's.
    let desk = Desk::open(Vendor::Akana, Some("garbage,every=2"), "    enrich: on\n").await;
    let accepted = desk.put(1, "approve", &[AUTHORIZED, JSON]).await;
    let outcome = desk.outcome(&location(&accepted)).await;
    assert_eq!((outcome.status, outcome.header("x-latimer-outcome")), (200, Some("yes")));
    assert_eq!(outcome.header("x-latimer-partial"), Some("title, description"), "{outcome:?}");
    desk.gateway.stop().await;
}
