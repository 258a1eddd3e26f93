//! Series over a socket: the page's exchange, each refusal, each place of the key; the limit on a clock
//! of its own.

use super::*;
use crate::sim::tests::client::{Reply, send, start, start_with};
use crate::sim::{Seed, Simulator, Vendor};

fn error(code: u16, message: &str) -> (u16, String) {
    (code, format!(r#"{{"success":false,"error":{{"code":{code},"message":"{message}"}}}}"#))
}

async fn post(simulator: &Simulator, id: &str, body: &str) -> Reply {
    let request = format!(
        "POST /tickets/{id}/status HTTP/1.1\nHost: sim\napikey: sim-series-token\n\
         Content-Type: application/json; charset=utf-8\n\n{body}"
    );
    send(simulator, &request).await
}

async fn change(simulator: &Simulator, status: &str) -> (u16, String) {
    let body = format!(r#"{{"status":"{status}","staffUserId":987654321}}"#);
    post(simulator, SAMPLE_TICKET, &body).await.seen()
}

#[tokio::test]
async fn the_pages_exchange() {
    let simulator = start(Vendor::Series).await;
    let request = "POST /tickets/TICKET-1234567890-ABCD/status HTTP/1.1\nHost: sim\n\
        apikey: sim-series-token\nContent-Type: application/json\n\n\
        {\n    \"status\": \"resolved\",\n    \"staffUserId\": 987654321\n  }";
    let reply = send(&simulator, request).await;
    assert_eq!(
        reply.seen(),
        (200, r#"{"success":true,"data":{"message":"Status changed to resolved"}}"#.to_owned())
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(simulator.status("TICKET-1234567890-ABCD").as_deref(), Some("resolved"));
    simulator.stop().await;
}

#[tokio::test]
async fn any_status_may_follow_any_other() {
    let simulator = start(Vendor::Series).await;
    for status in ["in-progress", "resolved", "closed", "closed", "open", "resolved", "open"] {
        let message =
            format!(r#"{{"success":true,"data":{{"message":"Status changed to {status}"}}}}"#);
        assert_eq!(change(&simulator, status).await, (200, message));
        assert_eq!(simulator.status(SAMPLE_TICKET).as_deref(), Some(status));
    }
    simulator.stop().await;
}

#[tokio::test]
async fn the_key_stands_in_either_header() {
    let simulator = start(Vendor::Series).await;
    for (line, wanted) in [
        ("apikey: sim-series-token", 200),
        ("x-api-key: sim-series-token", 200),
        ("apikey: wrong", 401),
        ("apikey: wrong\nx-api-key: sim-series-token", 401),
        ("Authorization: sim-series-token", 401),
    ] {
        let request =
            format!("GET /tickets/get/TICKET-1234567890-ABCD HTTP/1.1\nHost: sim\n{line}\n\n");
        let reply = send(&simulator, &request).await;
        assert_eq!(reply.status, wanted, "{line}");
        if wanted == 401 {
            assert_eq!(reply.seen(), error(401, "Invalid API key"));
        }
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_is_read() {
    let tickets = vec![Seed::new("T-2", "in-progress")];
    let simulator = start_with(Vendor::Series, Options { tickets, ..Options::default() }).await;
    let get = |id: &str| {
        format!("GET /tickets/get/{id} HTTP/1.1\nHost: sim\napikey: sim-series-token\n\n")
    };
    let reply = send(&simulator, &get("T-2")).await;
    let body = r#"{"success":true,"data":{"Ticket":{"TicketId":"T-2","Status":"in-progress"}}}"#;
    assert_eq!(reply.seen(), (200, body.to_owned()));
    assert_eq!(send(&simulator, &get("T-3")).await.seen(), error(404, "Ticket not found"));
    simulator.stop().await;
}

#[tokio::test]
async fn each_wrong_request_is_refused() {
    let simulator = start(Vendor::Series).await;
    let invalid = "Invalid status. Must be one of: open, in-progress, resolved, closed";
    for (body, wanted) in [
        ("{", error(400, "Invalid JSON")),
        ("{}", error(400, "status is required")),
        (r#"{"status":"in_progress","staffUserId":1}"#, error(400, invalid)),
        (r#"{"status":null,"staffUserId":1}"#, error(400, invalid)),
        (r#"{"status":"open"}"#, error(400, "staffUserId is required")),
        (r#"{"status":"open","staffUserId":"1"}"#, error(400, "staffUserId must be an integer")),
        (r#"{"status":"open","staffUserId":1.5}"#, error(400, "staffUserId must be an integer")),
    ] {
        assert_eq!(post(&simulator, SAMPLE_TICKET, body).await.seen(), wanted, "{body}");
    }
    let unknown = post(&simulator, "T-9", r#"{"status":"open","staffUserId":1}"#).await;
    assert_eq!(unknown.seen(), error(404, "Ticket not found"));
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_path_method_or_type_is_refused() {
    let simulator = start(Vendor::Series).await;
    for line in ["GET /", "POST /v1/tickets/T/status", "POST /tickets//status", "GET /tickets/T"] {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(reply.seen(), error(404, "Not found"), "{line}");
    }
    for (line, allowed) in [("PUT /tickets/T/status", "POST"), ("POST /tickets/get/T", "GET")] {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(reply.seen(), error(405, "Method not allowed"), "{line}");
        assert_eq!(reply.header("allow"), Some(allowed));
    }
    let request = "POST /tickets/TICKET-1234567890-ABCD/status HTTP/1.1\nHost: sim\n\
        apikey: sim-series-token\n\n{\"status\":\"open\",\"staffUserId\":1}";
    assert_eq!(send(&simulator, request).await.seen(), error(415, "Unsupported Media Type"));
    simulator.stop().await;
}

#[tokio::test]
async fn the_limit_answers_429_and_changes_nothing() {
    let options = Options { requests_per_second: Some(0), ..Options::default() };
    let simulator = start_with(Vendor::Series, options).await;
    assert_eq!(change(&simulator, "closed").await, error(429, "Rate limit exceeded"));
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[test]
fn a_key_has_twenty_five_requests_in_any_second() {
    let limit = Options::default().requests_per_second.map(|limit| limit as usize);
    let mut window = Window { requests_max: limit, taken: VecDeque::new() };
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    assert!(window.take(start));
    assert!((0..24).all(|_| window.take(after(500))));
    assert!(!window.take(after(500)));
    assert!(!window.take(after(999)));
    assert!(window.take(after(1_000)));
    assert!(!window.take(after(1_001)));
    assert!((0..24).all(|_| window.take(after(1_500))));
    assert!(!window.take(after(1_500)));
}

#[test]
fn no_limit_takes_everything() {
    let mut window = Window { requests_max: None, taken: VecDeque::new() };
    let now = Instant::now();
    assert!((0..1_000).all(|_| window.take(now)));
    assert!(window.taken.is_empty());
}
