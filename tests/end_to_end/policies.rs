//! What a route may forbid: dropped fields, lossy words, unknown members; and whose text is told.

use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, KEY, simulator, upstream};
use crate::scripted::{Scripted, message};
use crate::vendors::ticket;

/// A ZStack client in front of Series.hr under one policy; the answer, and what was sent.
async fn under(policy: &str, id: &str, body: &str) -> (Answer, usize) {
    let simulator = simulator(Vendor::Series, &[("TICKET-1".to_owned(), "open")]).await;
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Series, &simulator.url()));
    text.push_str(&format!(
        "routes:\n  main:\n    client: zstack\n    upstream: series\n    consumers: [tester]\n    \
         ids: {{ticket: {{file: ids.csv}}}}\n    {policy}\n"
    ));
    let (known, gone) = (ticket(Vendor::Zstack, 1), ticket(Vendor::Zstack, 2));
    let pairs = format!("client_id,upstream_id\n{known},TICKET-1\n{gone},TICKET-2\n");
    let gateway = Gateway::start(&text, &[("ids.csv".to_owned(), pairs)]).await;
    let session = format!("OAuth {KEY}");
    let headers = [("Authorization", session.as_str()), ("Content-Type", "application/json")];
    let got = gateway.call(&format!("PUT /v1/tickets/{id}/actions"), &headers, body).await;
    let sent = simulator.log().len();
    gateway.stop().await;
    simulator.stop().await;
    (got, sent)
}

const COMMENT: &str = r#"{"changeTicketStatus":{"statusEvent":"reopen","comment":"x"}}"#;
const LOSSY: &str = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
const UNKNOWN: &str = r#"{"changeTicketStatus":{"statusEvent":"reopen","extra":1}}"#;

#[tokio::test]
async fn by_default_losses_pass_and_are_said() {
    let id = ticket(Vendor::Zstack, 1);
    for (body, dropped) in [(COMMENT, Some("comment")), (LOSSY, None), (UNKNOWN, None)] {
        let (got, sent) = under("deadline: 10s", &id, body).await;
        assert_eq!((got.status, sent), (200, 1), "{body}: {got:?}");
        assert_eq!(got.header("x-latimer-dropped"), dropped, "{body}");
    }
}

#[tokio::test]
async fn a_route_may_refuse_losses() {
    let id = ticket(Vendor::Zstack, 1);
    for (policy, body, fault, status) in [
        ("dropped_fields: refuse", COMMENT, "invalid_request", 400),
        ("lossy_words: refuse", LOSSY, "invalid_status", 503),
        ("unknown_members: refuse", UNKNOWN, "invalid_request", 400),
    ] {
        let (got, sent) = under(policy, &id, body).await;
        assert_eq!(got.header("x-latimer-fault"), Some(fault), "{policy}: {got:?}");
        assert_eq!((got.status, sent), (status, 0), "{policy}");
    }
}

#[tokio::test]
async fn the_text_is_ours_unless_the_route_says_otherwise() {
    let gone = ticket(Vendor::Zstack, 2);
    let body = r#"{"changeTicketStatus":{"statusEvent":"reopen"}}"#;
    let (own, _) = under("messages: own", &gone, body).await;
    let (theirs, _) = under("messages: upstream", &gone, body).await;
    for got in [&own, &theirs] {
        assert_eq!(got.header("x-latimer-fault"), Some("not_found"), "{got:?}");
        assert_eq!((got.status, &got.json()["error"]["code"]), (503, &"SYS.1003".into()));
    }
    // The text of Series' page.
    assert_eq!(theirs.json()["error"]["details"], "Ticket not found");
    assert_ne!(own.json()["error"]["details"], "Ticket not found");
}

/// What a Series in a route with these settings is sent for a Series client's body.
async fn sent_on(settings: &str, body: &str) -> String {
    let yes = r#"{"success":true,"data":{"message":"Status changed to open"}}"#;
    let scripted = Scripted::start(message("200 OK", "application/json", yes)).await;
    let mut text = format!("upstreams:\n{}", upstream(Vendor::Series, &scripted.url));
    text.push_str(&format!(
        "routes:\n  main: {{client: series, upstream: series, consumers: [tester], settings: {settings}}}\n"
    ));
    let gateway = Gateway::start(&text, &[]).await;
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let got = gateway.call("POST /tickets/T-1/status", &headers, body).await;
    assert_eq!(got.status, 200, "{got:?}");
    gateway.stop().await;
    let seen = scripted.take_seen();
    seen[0].split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_body_passes_as_it_came_unless_a_setting_says_what_it_leaves_out() {
    let own = r#"{ "staffUserId":7,"more":1, "status":"open"}"#;
    assert_eq!(sent_on("{}", own).await, own);
    // It says the same as the setting does, and says it by itself.
    assert_eq!(sent_on("{staff_user: 7}", own).await, own);
    assert_eq!(sent_on("{staff_user: 8}", own).await, own);
    // The page calls staffUserId required.
    let short = r#"{"more":1,"status":"open"}"#;
    let whole = r#"{"status":"open","staffUserId":7}"#;
    assert_eq!(sent_on("{staff_user: 7}", short).await, whole);
}
