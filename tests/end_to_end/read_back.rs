//! What is read after a write of which nobody knows, and what that settles.

use latimer::sim::Vendor;
use serde_json::json;

use crate::enrich::{Stage, akanas};
use crate::harness::{Answer, Gateway, KEY, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{answer, ticket};

/// Each client's word for resolved, and how its answers say what was read.
const CLIENTS: [(Vendor, &str, &str); 5] = [
    (Vendor::Arena, "COMPLETE", "Complete"),
    (Vendor::Series, "resolved", "resolved"),
    (Vendor::Thalamus, "resolved", "resolved"),
    (Vendor::Zstack, "approve", "FinalApproved"),
    (Vendor::Akana, "ticket.action.resolve", "RESOLVED"),
];

async fn stage(client: Vendor, keys: &str) -> Stage {
    Stage::start_with("mappings", client, Vendor::Akana, keys).await
}

fn outcome(got: &Answer) -> (Option<&str>, Option<&str>) {
    (got.header("x-latimer-outcome"), got.header("x-latimer-read"))
}

/// What came back, and of which nobody can tell what became of the write.
fn lost() -> [Act; 2] {
    [Act::Reset, message("502 Bad Gateway", "text/html", "<html>")]
}

/// The ticket is as it was asked for: the client gets its vendor's own yes.
#[tokio::test]
async fn a_ticket_that_is_as_it_was_asked_for_is_a_yes() {
    for (client, wire, word) in CLIENTS {
        let stage = stage(client, "").await;
        for lost in lost() {
            let read = akanas(r#""Title":"x","State":"RESOLVED""#);
            let (got, seen) = stage.change(wire, vec![lost, read]).await;
            assert_eq!(seen.len(), 2, "{client}: the write is never sent again: {seen:?}");
            assert!(seen[1].starts_with("GET /api/tickets/ticket2."), "{client}: {seen:?}");
            assert_eq!(outcome(&got), (Some("yes"), Some(word)), "{client}: {got:?}");
            assert_eq!(got.header("x-latimer-fault"), None, "{client}");
            if client == Vendor::Akana {
                assert_eq!((got.status, got.body.as_str()), (200, "RESOLVED"), "{got:?}");
                continue;
            }
            let (status, mut wanted) =
                answer(client, Vendor::Akana, &ticket(client, 1), "resolved");
            match client {
                Vendor::Arena => wanted["title"] = json!("x"),
                Vendor::Zstack => wanted["inventory"]["name"] = json!("x"),
                _ => {}
            }
            assert_eq!((got.status, got.json()), (status, wanted), "{client}");
        }
        assert_eq!((stage.metric("read").await, stage.metric("failed").await), (2, 0));
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_ticket_that_is_not_as_it_was_asked_for_is_a_no() {
    for (client, wire, _) in CLIENTS {
        let stage = stage(client, "").await;
        for lost in lost() {
            let (got, seen) = stage.change(wire, vec![lost, akanas(r#""State":"OPEN""#)]).await;
            assert_eq!(seen.len(), 2, "{client}: {seen:?}");
            assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{client}: {got:?}");
            assert_eq!(got.header("x-latimer-fault"), Some("upstream_failed"), "{client}");
            assert!(got.header("x-latimer-read").is_some(), "{client}: {got:?}");
        }
        stage.gateway.stop().await;
    }
}

/// What the read does not tell stays unknown.
#[tokio::test]
async fn what_the_ticket_does_not_tell_stays_unknown() {
    for (client, wire, _) in CLIENTS {
        let stage = stage(client, "").await;
        let gone = r#"{"faultcode":"Client","faultstring":"Not Found"}"#;
        for read in [
            message("404 Not Found", "application/json", gone),
            message("503 Service Unavailable", "text/html", "<html>"),
            akanas(r#""State":"WAITING""#),
            akanas(r#""Title":"x""#),
            Act::Reset,
        ] {
            let (got, seen) = stage.change(wire, vec![Act::Reset, read]).await;
            assert_eq!(seen.len(), 2, "{client}: {seen:?}");
            assert_eq!(outcome(&got), (Some("unknown"), None), "{client}: {got:?}");
            assert_eq!(got.header("x-latimer-fault"), Some("outcome_unknown"), "{client}");
        }
        // Somebody may still be at it, so that another status is no no.
        for status in ["504 Gateway Timeout", "202 Accepted"] {
            let lost = || message(status, "text/html", "<html>");
            let (got, _) = stage.change(wire, vec![lost(), akanas(r#""State":"OPEN""#)]).await;
            assert_eq!(got.header("x-latimer-outcome"), Some("unknown"), "{client}: {got:?}");
            let (got, _) = stage.change(wire, vec![lost(), akanas(r#""State":"RESOLVED""#)]).await;
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{client}: {got:?}");
        }
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_read_where_the_route_says_so() {
    let stage = stage(Vendor::Series, "    read_back: off\n").await;
    let (got, seen) = stage.change("resolved", vec![Act::Reset, Act::Wait]).await;
    assert_eq!((seen.len(), outcome(&got)), (1, (Some("unknown"), None)), "{got:?}");
    stage.gateway.stop().await;
}

/// What can be asked for by the call's id is asked for first, and only then read. A system of jobs may do the
/// work later, so of it only a yes is settled.
#[tokio::test]
async fn where_the_outcome_is_found_out_nothing_is_read() {
    let keys = "    deadline: 2s\n";
    let stage = Stage::start_with("mappings", Vendor::Series, Vendor::Zstack, keys).await;
    let id = ticket(Vendor::Zstack, 2);
    let job =
        message("200 OK", "", &format!(r#"{{"inventory":{{"uuid":"{id}","status":"Rejected"}}}}"#));
    let (got, seen) = stage.change("closed", vec![Act::Reset, job]).await;
    assert_eq!((got.status, seen.len()), (200, 2), "{got:?}");
    for (status, wanted, word) in [("Cancelled", "yes", "closed"), ("Pending", "unknown", "open")] {
        let no_job = message("404 Not Found", "", "the job has been expired");
        let read = format!(r#"{{"inventories":[{{"uuid":"{id}","status":"{status}"}}]}}"#);
        let (got, seen) =
            stage.change("closed", vec![Act::Reset, no_job, message("200 OK", "", &read)]).await;
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen[1].starts_with("GET /v1/api-jobs/"), "{seen:?}");
        assert!(seen[2].starts_with(&format!("GET /v1/tickets/{id} HTTP/1.1\r\n")), "{seen:?}");
        assert_eq!(outcome(&got), (Some(wanted), Some(word)), "{got:?}");
    }
    stage.gateway.stop().await;
}

/// A comment goes with the status, and no read tells of it: that the ticket has the status, which it may have had
/// before, does not say that the comment is there. One that the upstream has no place for was not sent, and the
/// answer says so.
#[tokio::test]
async fn what_no_read_tells_of_leaves_the_yes_open() {
    for (vendor, comment, wanted) in [
        (Vendor::Zstack, r#","comment":"by hand""#, "unknown"),
        (Vendor::Zstack, "", "yes"),
        (Vendor::Arena, r#","comment":"by hand""#, "yes"),
    ] {
        let scripted = Scripted::start(Act::Wait).await;
        let text = format!(
            "upstreams:\n{}routes:\n  main: {{client: zstack, upstream: {vendor}, consumers: [tester], \
             ids: {{ticket: {{file: ids.csv}}}}, deadline: 2s}}\n",
            upstream(vendor, &scripted.url)
        );
        let (ours, theirs) = (ticket(Vendor::Zstack, 1), ticket(vendor, 2));
        let pairs = format!("client_id,upstream_id\n{ours},{theirs}\n");
        let gateway = Gateway::start(&text, &[("ids.csv".to_owned(), pairs)]).await;
        let read = match vendor {
            Vendor::Arena => format!(r#"{{"guid":"{theirs}","status":{{"value":"Not Started"}}}}"#),
            _ => format!(r#"{{"inventories":[{{"uuid":"{theirs}","status":"Pending"}}]}}"#),
        };
        let no_job = (vendor == Vendor::Zstack).then(|| message("404 Not Found", "", "no job"));
        let read = [message("200 OK", "application/json", &read)];
        scripted.act(Act::InTurn([Act::Reset].into_iter().chain(no_job).chain(read).collect()));
        let authorization = format!("OAuth {KEY}");
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = format!(r#"{{"changeTicketStatus":{{"statusEvent":"reopen"{comment}}}}}"#);
        let line = format!("PUT /v1/tickets/{ours}/actions");
        let got = gateway.call(&line, &headers, &body).await;
        assert_eq!(got.header("x-latimer-outcome"), Some(wanted), "{vendor} {comment}: {got:?}");
        let is_dropped = vendor == Vendor::Arena;
        assert_eq!(got.header("x-latimer-dropped").is_some(), is_dropped, "{got:?}");
        assert_eq!(scripted.take_seen().len(), if is_dropped { 2 } else { 3 });
        gateway.stop().await;
    }
}

/// Past the deadline there is no time to read.
#[tokio::test]
async fn a_write_that_takes_all_the_time_is_not_read_after() {
    let stage = stage(Vendor::Arena, "    deadline: 300ms\n").await;
    let (got, seen) = stage.change("COMPLETE", vec![Act::Wait]).await;
    assert_eq!((seen.len(), got.header("x-latimer-outcome")), (1, Some("unknown")), "{got:?}");
    assert_eq!(got.header("x-latimer-read"), None);
    assert_eq!((stage.metric("read").await, stage.metric("failed").await), (0, 0));
    stage.gateway.stop().await;
}

/// What the client said of itself goes with the read too.
#[tokio::test]
async fn the_read_says_what_the_write_said() {
    let scripted = Scripted::start(Act::InTurn(vec![Act::Reset, Act::Wait])).await;
    let text = format!(
        "upstreams:\n{}routes:\n  main: {{client: thalamus, upstream: thalamus, consumers: [tester], \
         enrich: on, deadline: 2s}}\n",
        upstream(Vendor::Thalamus, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let case = r#"{"context":{"simpleProfile":{}},"case":{"id":10,"status":"In progress"}}"#;
    scripted.act(Act::InTurn(vec![Act::Reset, message("200 OK", "application/json", case)]));
    let headers = [
        ("Thalamus-Token", KEY),
        ("Thalamus-Touchpoint", "kiosk"),
        ("Content-Type", "application/json"),
    ];
    let got = gateway
        .call("PUT /api/v4/cases/10/transitions", &headers, r#"{"statusName":"closed"}"#)
        .await;
    assert_eq!(got.header("x-latimer-read"), Some("in_progress"), "{got:?}");
    let seen = scripted.take_seen();
    assert!(seen[1].starts_with("GET /api/v4/cases/10 HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[1].to_lowercase().contains("thalamus-touchpoint: kiosk\r\n"), "{seen:?}");
    assert!(!seen[1].contains(KEY), "{seen:?}");
    gateway.stop().await;
}
