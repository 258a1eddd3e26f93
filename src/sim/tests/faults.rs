//! Every fault switch, at the bytes.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::CHANGE;
use super::client::{connect, send, start_with, wire};
use crate::sim::{Options, Simulator, Vendor};

const CHANGED: &str = r#"{"success":true,"data":{"message":"Status changed to resolved"}}"#;

/// A simulated Series with these faults.
async fn faulty(faults: &[&str]) -> Simulator {
    let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
    start_with(Vendor::Series, Options { faults, ..Options::default() }).await
}

/// All bytes up to the end of the connection, or the error that ended it.
async fn bytes(simulator: &Simulator) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(simulator).await;
    stream.write_all(&wire(CHANGE, false)).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// How many changes were applied, and what the log says of the last request.
fn applied(simulator: &Simulator) -> (u64, Option<u16>, Option<String>) {
    let last = simulator.log().pop().unwrap();
    (simulator.tickets()[0].changes, last.status, last.fault)
}

#[tokio::test]
async fn reset_sends_a_reset_before_any_byte() {
    let simulator = faulty(&["reset"]).await;
    assert_eq!(bytes(&simulator).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(applied(&simulator), (1, None, Some("reset".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn empty_ends_the_connection_in_order() {
    let simulator = faulty(&["empty"]).await;
    assert_eq!(bytes(&simulator).await.unwrap(), b"");
    assert_eq!(applied(&simulator), (1, None, Some("empty".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn garbage_is_no_http() {
    let simulator = faulty(&["garbage"]).await;
    let bytes = bytes(&simulator).await.unwrap();
    assert!(!bytes.is_empty() && !bytes.starts_with(b"HTTP/"), "{bytes:?}");
    assert_eq!(applied(&simulator), (1, None, Some("garbage".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn truncate_promises_more_than_it_sends() {
    let simulator = faulty(&["truncate"]).await;
    let text = String::from_utf8(bytes(&simulator).await.unwrap()).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n\
         {\"success\":true,\"data\":{\"message"
    );
    assert_eq!(applied(&simulator), (1, Some(200), Some("truncate".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn html_is_a_page_and_the_vendor_never_sees_the_request() {
    let simulator = faulty(&["html"]).await;
    let reply = send(&simulator, CHANGE).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html")));
    assert!(reply.text().starts_with("<html>"));
    assert_eq!(applied(&simulator), (0, Some(200), Some("html".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn redirect_points_to_another_path() {
    let simulator = faulty(&["redirect"]).await;
    let reply = send(&simulator, CHANGE).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), Some("/elsewhere/tickets/TICKET-1234567890-ABCD/status"));
    assert_eq!(applied(&simulator), (0, Some(302), Some("redirect".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn huge_is_the_right_body_and_five_mebibytes_of_blanks() {
    let simulator = faulty(&["huge"]).await;
    let reply = send(&simulator, CHANGE).await;
    assert_eq!((reply.status, reply.body.len()), (200, 64 + 5_242_880));
    assert_eq!(reply.text().trim_end(), CHANGED);
    assert_eq!(applied(&simulator), (1, Some(200), Some("huge".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn type_changes_the_type_and_nothing_else() {
    let simulator = faulty(&["type=text/html"]).await;
    let reply = send(&simulator, CHANGE).await;
    assert_eq!(reply.seen(), (200, CHANGED.to_owned()));
    let types: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .collect();
    assert_eq!(types, [&("Content-Type".to_owned(), "text/html".to_owned())]);
    assert_eq!(applied(&simulator), (1, Some(200), Some("type=text/html".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn latency_holds_the_answer_back() {
    let simulator = faulty(&["latency=50ms"]).await;
    let before = Instant::now();
    let reply = send(&simulator, CHANGE).await;
    assert_eq!(reply.seen(), (200, CHANGED.to_owned()));
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert_eq!(applied(&simulator), (1, Some(200), Some("latency=50ms".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn latency_goes_with_another_fault() {
    let simulator = faulty(&["latency=50ms", "http=503"]).await;
    let before = Instant::now();
    let reply = send(&simulator, CHANGE).await;
    assert_eq!(reply.status, 503);
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert_eq!(applied(&simulator), (0, Some(503), Some("latency=50ms http=503".to_owned())));
    simulator.stop().await;
}

#[tokio::test]
async fn every_nth_request_and_no_other() {
    let simulator = faulty(&["http=500,every=3"]).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(send(&simulator, CHANGE).await.status);
        // The simulator's own pages do not count.
        send(&simulator, "GET /_sim/tickets HTTP/1.1\nHost: sim\n\n").await;
    }
    assert_eq!(statuses, [200, 200, 500, 200, 200, 500]);
    simulator.stop().await;
}

#[tokio::test]
async fn faults_can_be_changed_while_it_runs() {
    let simulator = faulty(&[]).await;
    assert_eq!(send(&simulator, CHANGE).await.status, 200);
    simulator.set_faults(vec!["empty".parse().unwrap()]);
    assert_eq!(bytes(&simulator).await.unwrap(), b"");
    let page = send(&simulator, "GET /_sim/log HTTP/1.1\nHost: sim\n\n").await;
    assert_eq!(page.status, 200);
    simulator.set_faults(Vec::new());
    assert_eq!(send(&simulator, CHANGE).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn http_speaks_in_the_vendors_shape_or_in_a_balancers() {
    let balancer = |title: &str| {
        format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
             <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        )
    };
    let expired =
        "There is no access token associated with this request or the access token is not valid.";
    let arena_401 = format!(r#"{{"status":401,"errors":[{{"code":401,"message":"{expired}"}}]}}"#);
    let bad_gateway = balancer("502 Bad Gateway");
    let internal = balancer("500 Internal Server Error");
    for (vendor, status, body) in [
        (Vendor::Arena, 401, arena_401.as_str()),
        (
            Vendor::Arena,
            503,
            r#"{"status":503,"errors":[{"code":503,"message":"The service is currently unavailable."}]}"#,
        ),
        (Vendor::Arena, 500, &internal),
        (
            Vendor::Series,
            403,
            r#"{"success":false,"error":{"code":403,"message":"Tickets module requires a Premium or Enterprise subscription"}}"#,
        ),
        (
            Vendor::Series,
            500,
            r#"{"success":false,"error":{"code":500,"message":"Internal server error"}}"#,
        ),
        (Vendor::Series, 502, &bad_gateway),
        (
            Vendor::Akana,
            500,
            r#"{"faultcode":"Server","faultstring":"An error occurred processing the call."}"#,
        ),
        (Vendor::Akana, 502, &bad_gateway),
        (Vendor::Thalamus, 400, r#"{"errors":{"request":"InvalidJson"}}"#),
        (Vendor::Thalamus, 500, &internal),
        (
            Vendor::Zstack,
            503,
            r#"{"error":{"code":"SYS.1000","description":"An internal error happened in system","details":"simulated failure"}}"#,
        ),
        (Vendor::Zstack, 500, "Internal Server Error"),
        (Vendor::Zstack, 502, &bad_gateway),
        (Vendor::Zstack, 204, ""),
    ] {
        let faults = vec![format!("http={status}").parse().unwrap()];
        let simulator = start_with(vendor, Options { faults, ..Options::default() }).await;
        let reply = send(&simulator, "GET /any HTTP/1.1\nHost: sim\n\n").await;
        assert_eq!(reply.seen(), (status, body.to_owned()), "{vendor}");
        simulator.stop().await;
    }
}

#[tokio::test]
async fn a_refusal_is_truncated_as_well() {
    let faults = vec!["truncate".parse().unwrap()];
    let simulator = start_with(Vendor::Zstack, Options { faults, ..Options::default() }).await;
    let mut stream = connect(&simulator).await;
    stream.write_all(b"GET /v1/x HTTP/1.1\r\nHost: sim\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "HTTP/1.1 404 Not Found\r\ncontent-length: 23\r\n\r\nno api mapp");
    simulator.stop().await;
}
