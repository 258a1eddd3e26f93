//! What all simulators share: the server, its own pages, the fault switches. Each vendor's rules are
//! tested beside the vendor.

pub(super) mod client;
mod faults;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Options, Seed, Vendor, serve};
use client::{Reply, connect, listener, send, start, start_with};

/// A change of Series' sample ticket.
const CHANGE: &str = "POST /tickets/TICKET-1234567890-ABCD/status HTTP/1.1\n\
    Host: sim\napikey: sim-series-token\nContent-Type: application/json\n\n\
    {\"status\":\"resolved\",\"staffUserId\":1}";

#[test]
fn a_vendor_is_read_by_its_name() {
    for vendor in Vendor::ALL {
        assert_eq!(vendor.to_string().parse(), Ok(vendor));
    }
    let error = "jira".parse::<Vendor>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no vendor is named `jira`; there are arena, series, akana, thalamus, zstack"
    );
    assert_eq!(Vendor::Akana.default_token(), "sim-akana-token");
}

#[tokio::test]
async fn every_vendor_starts_with_its_sample_ticket_and_stops() {
    for (vendor, status) in [
        (Vendor::Arena, "NOT_STARTED"),
        (Vendor::Series, "open"),
        (Vendor::Akana, "OPEN"),
        (Vendor::Thalamus, "open"),
        (Vendor::Zstack, "Pending"),
    ] {
        let simulator = start(vendor).await;
        assert_eq!(simulator.vendor(), vendor);
        assert_eq!(simulator.status(vendor.sample_ticket()).as_deref(), Some(status));
        assert_eq!(simulator.status("none"), None);
        let address = simulator.addr();
        let base = simulator.url().replace(&format!("http://{address}"), "");
        assert_eq!(base, vendor.base_path());
        simulator.stop().await;
        assert!(TcpStream::connect(address).await.is_err(), "{vendor} still listens");
    }
}

#[tokio::test]
async fn a_seed_joins_the_samples_or_replaces_one() {
    let tickets = vec![Seed::new("T-2", "closed"), Seed::new("TICKET-1234567890-ABCD", "resolved")];
    let options = Options { tickets, ..Options::default() };
    let simulator = start_with(Vendor::Series, options).await;
    assert_eq!(simulator.status("T-2").as_deref(), Some("closed"));
    assert_eq!(simulator.status("TICKET-1234567890-ABCD").as_deref(), Some("resolved"));
    simulator.stop().await;
}

#[tokio::test]
async fn a_seed_with_a_foreign_status_is_refused() {
    let options = Options { tickets: vec![Seed::new("T-2", "COMPLETE")], ..Options::default() };
    let error = serve(Vendor::Series, listener().await, options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ticket `T-2`: no status `COMPLETE`; there are open, in-progress, resolved, closed"
    );
}

#[tokio::test]
async fn another_token_takes_the_place_of_the_default_one() {
    let options = Options { token: Some("k-1".to_owned()), ..Options::default() };
    let simulator = start_with(Vendor::Series, options).await;
    assert_eq!(send(&simulator, CHANGE).await.status, 401);
    let other = CHANGE.replace("sim-series-token", "k-1");
    assert_eq!(send(&simulator, &other).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn what_is_seen_stands_in_the_log() {
    let simulator = start(Vendor::Series).await;
    send(&simulator, CHANGE).await;
    send(&simulator, "GET /nowhere?x=%20y HTTP/1.1\nHost: sim\n\n").await;

    let log = simulator.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[0].header("apikey"), Some("sim-series-token"));
    assert_eq!(log[0].header("cookie"), None);

    let page = send(&simulator, "GET /_sim/log HTTP/1.1\nHost: sim\n\n").await;
    assert_eq!(page.header("content-type"), Some("application/x-ndjson"));
    let text = page.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({
                "seq": 1,
                "method": "POST",
                "target": "/tickets/TICKET-1234567890-ABCD/status",
                "headers": [
                    ["host", "sim"],
                    ["apikey", "sim-series-token"],
                    ["content-type", "application/json"],
                    ["connection", "close"],
                    ["content-length", "37"],
                ],
                "body": "{\"status\":\"resolved\",\"staffUserId\":1}",
                "status": 200,
                "fault": null,
            }),
            json!({
                "seq": 2,
                "method": "GET",
                "target": "/nowhere?x=%20y",
                "headers": [["host", "sim"], ["connection", "close"]],
                "body": "",
                "status": 404,
                "fault": null,
            }),
        ]
    );

    simulator.clear_log();
    assert!(simulator.log().is_empty());
    send(&simulator, CHANGE).await;
    assert_eq!(simulator.log()[0].seq, 3);
    simulator.stop().await;
}

#[tokio::test]
async fn the_tickets_page_shows_the_state() {
    let simulator = start(Vendor::Series).await;
    send(&simulator, CHANGE).await;
    let page = send(&simulator, "GET /_sim/tickets HTTP/1.1\nHost: sim\n\n").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.text(), r#"[{"id":"TICKET-1234567890-ABCD","status":"resolved","changes":1}]"#);
    let page = send(&simulator, "POST /_sim/tickets HTTP/1.1\nHost: sim\n\n").await;
    assert_eq!((page.status, page.header("allow")), (405, Some("GET")));
    let page = send(&simulator, "GET /_sim/other HTTP/1.1\nHost: sim\n\n").await;
    assert_eq!(page.status, 404);
    assert_eq!(simulator.log().len(), 1);
    simulator.stop().await;
}

#[tokio::test]
async fn the_log_forgets_the_oldest() {
    let simulator = start(Vendor::Series).await;
    let mut stream = connect(&simulator).await;
    for _ in 0..8_198 {
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: sim\r\n\r\n").await.unwrap();
        assert_eq!(Reply::read(&mut stream).await.status, 404);
    }
    let log = simulator.log();
    assert_eq!(log.len(), 8_192);
    assert_eq!((log[0].seq, log[8_191].seq), (7, 8_198));
    simulator.stop().await;
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_pipelines() {
    let simulator = start(Vendor::Series).await;
    let mut stream = connect(&simulator).await;
    let request = client::wire(CHANGE, false);
    stream.write_all(&[request.as_slice(), request.as_slice()].concat()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    // An idle connection does not hold up the end.
    simulator.stop().await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_body_over_the_cap_is_413_in_the_vendors_shape() {
    for (vendor, line, body) in [
        (
            Vendor::Arena,
            "POST /tickets/statuschanges",
            r#"{"status":413,"errors":[{"code":413,"message":"Payload Too Large"}]}"#,
        ),
        (
            Vendor::Series,
            "POST /tickets/T/status",
            r#"{"success":false,"error":{"code":413,"message":"Payload Too Large"}}"#,
        ),
        (
            Vendor::Akana,
            "POST /api/tickets/T/actions",
            r#"{"faultcode":"Client","faultstring":"Payload Too Large"}"#,
        ),
        (
            Vendor::Thalamus,
            "PUT /api/v4/cases/10/transitions",
            r#"{"errors":{"request":"TooLarge"}}"#,
        ),
        (Vendor::Zstack, "PUT /v1/tickets/T/actions", "Payload Too Large"),
    ] {
        let simulator = start(vendor).await;
        let request = format!("{line} HTTP/1.1\nHost: sim\n\n{}", " ".repeat(1_048_577));
        let reply = send(&simulator, &request).await;
        assert_eq!((reply.status, reply.text().as_str()), (413, body), "{vendor}");
        let log = simulator.log();
        assert_eq!((log[0].status, log[0].body.as_str()), (Some(413), ""), "{vendor}");
        simulator.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_changes_nothing() {
    let simulator = start(Vendor::Series).await;
    let mut stream = connect(&simulator).await;
    let whole = client::wire(CHANGE, true);
    stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(simulator.tickets()[0].changes, 0);
    assert!(simulator.log().is_empty());
    simulator.stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_in_hand_finish() {
    let faults = vec!["latency=50ms".parse().unwrap()];
    let simulator = start_with(Vendor::Series, Options { faults, ..Options::default() }).await;
    let mut stream = connect(&simulator).await;
    stream.write_all(&client::wire(CHANGE, false)).await.unwrap();
    while simulator.log().is_empty() {
        tokio::task::yield_now().await;
    }
    let (reply, ()) = tokio::join!(Reply::read(&mut stream), simulator.stop());
    assert_eq!(reply.status, 200);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_dropped_simulator_ends_as_well() {
    let simulator = start(Vendor::Series).await;
    let mut stream = connect(&simulator).await;
    stream.write_all(&client::wire(CHANGE, false)).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    drop(simulator);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}
