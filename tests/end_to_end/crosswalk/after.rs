//! What comes after a write: reading its ticket, and asking for its outcome.

use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use serde_json::json;

use crate::crosswalk::{has, lacks, of_page, send};
use crate::harness::{Answer, Gateway, Home, KEY, PATIENCE, simulator, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{request, ticket};

/// A client's gateway in front of one upstream, with the page's ticket linked to this one.
async fn gateway(client: Vendor, desk: (Vendor, &str), theirs: &str, more: &str) -> Gateway {
    let (vendor, url) = desk;
    let text = format!(
        "upstreams:\n{}routes:\n  main:\n    client: {client}\n    upstream: {vendor}\n    consumers: [tester]\n    \
         ids: {{ticket: crosswalk}}\n{more}",
        upstream(vendor, url)
    );
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let ids = [format!("{client}={}", of_page(client)), format!("{vendor}={theirs}")];
    let (code, told) = home.crosswalk(&["link", &ids[0], &ids[1]]).await;
    assert_eq!(code, Some(0), "{told}");
    Gateway::launch(&home, home.command()).await
}

async fn change(gateway: &Gateway, client: Vendor, wire: &str) -> Answer {
    send(gateway, "gateway.test", &request(client, of_page(client), wire, KEY)).await
}

#[tokio::test]
async fn the_ticket_that_is_read_for_more_is_the_upstreams_and_is_told_as_the_clients() {
    let theirs = ticket(Vendor::Akana, 7);
    let desk: Simulator = simulator(Vendor::Akana, &[(theirs.clone(), "RESOLVED")]).await;
    let url = desk.url();
    let more = "    enrich: on\n";
    let gateway = gateway(Vendor::Arena, (Vendor::Akana, &url), &theirs, more).await;
    let got = change(&gateway, Vendor::Arena, "NOT_STARTED").await;
    let seen = desk.log();
    assert_eq!(seen.len(), 2, "{got:?}");
    assert!(seen.iter().all(|seen| has(seen, &theirs)), "{seen:?}");
    let body = got.json();
    assert_eq!(body["guid"], of_page(Vendor::Arena), "{got:?}");
    assert_eq!(body["title"], "Simulated ticket", "{got:?}");
    lacks(&got, &theirs, "enriched");
    gateway.stop().await;
    desk.stop().await;
}

#[tokio::test]
async fn a_write_of_which_nobody_knows_is_settled_by_the_upstreams_ticket() {
    let case = r#"{"context":{},"case":{"id":4711,"status":"resolved"}}"#;
    let read = message("200 OK", "application/json", case);
    let desk = Scripted::start(Act::InTurn(vec![Act::Reset, read])).await;
    let gateway = gateway(Vendor::Arena, (Vendor::Thalamus, &desk.url), "4711", "").await;
    let got = change(&gateway, Vendor::Arena, "COMPLETE").await;
    let seen = desk.take_seen();
    assert_eq!(seen.len(), 2, "{got:?}");
    assert!(seen[1].starts_with("GET /api/v4/cases/4711 "), "{seen:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(
        got.json(),
        json!({"guid": of_page(Vendor::Arena), "status": {"value": "Complete"}})
    );
    lacks(&got, "4711", "settled");
    gateway.stop().await;
}

/// ZStack's clients are answered before it is over, and ask then.
#[tokio::test]
async fn a_job_has_the_clients_id_when_it_is_asked_for() {
    let theirs = ticket(Vendor::Thalamus, 7);
    let desk = simulator(Vendor::Thalamus, &[(theirs.clone(), "open")]).await;
    let (client, more, url) = (Vendor::Zstack, "    async: jobs\n", desk.url());
    let gateway = gateway(client, (Vendor::Thalamus, &url), &theirs, more).await;
    let outcome = async |ticket: &str| {
        let said = request(client, ticket, "approve", KEY);
        let got = send(&gateway, "gateway.test", &said).await;
        assert_eq!(got.status, 202, "{got:?}");
        lacks(&got, &theirs, "accepted");
        let place = got.json()["location"].as_str().unwrap().to_owned();
        let path = place.strip_prefix("http://gateway.test").unwrap().to_owned();
        let session = format!("OAuth {KEY}");
        let begun = Instant::now();
        loop {
            let headers = [("Authorization", session.as_str())];
            let answer = gateway.call(&format!("GET {path}"), &headers, "").await;
            if answer.status != 202 {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "it is over in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let got = outcome(of_page(client)).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(got.json()["inventory"]["uuid"], of_page(client), "{got:?}");
    lacks(&got, &theirs, "over");
    assert!(has(&desk.log()[0], &theirs));
    desk.clear_log();
    // One that nobody has linked: whoever asks learns that it is not there.
    let got = outcome(&ticket(client, 9)).await;
    assert_eq!(got.header("x-latimer-fault"), Some("not_found"), "{got:?}");
    assert!(desk.log().is_empty(), "nothing is sent");
    gateway.stop().await;
    desk.stop().await;
}
