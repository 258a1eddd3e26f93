//! Ids that nobody has linked, by each `missing`.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;

use crate::crosswalk::{of_page, send};
use crate::harness::{Answer, Gateway, Home, KEY, upstream};
use crate::metrics::scrape;
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{reading, request};

const CHANGED: &str = r#"{"context":{},"case":{"id":4711,"status":"resolved"}}"#;
/// FACTS: what Thalamus says of a case that it does not have.
const NONE: &str = r#"{"errors":{"caseInstanceId":"invalidId"}}"#;

/// Series' clients in front of a scripted Thalamus: a route by each policy, on its host. One worker, as each
/// remembers what it has asked itself.
struct Stage {
    gateway: Gateway,
    home: std::sync::Arc<Home>,
    desk: Scripted,
}

impl Stage {
    async fn start() -> Self {
        let desk = Scripted::start(changed()).await;
        let mut text =
            format!("workers: 1\nupstreams:\n{}routes:\n", upstream(Vendor::Thalamus, &desk.url));
        for missing in ["refuse", "pass", "ask_upstream"] {
            text.push_str(&format!(
                "  {missing}:\n    client: series\n    upstream: thalamus\n    consumers: [tester]\n    \
                 match: {{host: {missing}.test}}\n    limit: none\n    \
                 ids: {{ticket: crosswalk, missing: {missing}}}\n"
            ));
        }
        let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
        let gateway = Gateway::launch(&home, home.command()).await;
        Self { gateway, home, desk }
    }

    async fn change(&self, missing: &str, ticket: &str) -> (Answer, Vec<String>) {
        let said = request(Vendor::Series, ticket, "resolved", KEY);
        let got = send(&self.gateway, &format!("{missing}.test"), &said).await;
        let lines = self.desk.take_seen();
        let line = |seen: &String| seen.split(" HTTP").next().unwrap_or_default().to_owned();
        (got, lines.iter().map(line).collect())
    }

    async fn link(&self, own: &str, theirs: &str) {
        let (own, theirs) = (format!("series={own}"), format!("thalamus={theirs}"));
        let (code, told) = self.home.crosswalk(&["link", &own, &theirs]).await;
        assert_eq!(code, Some(0), "{told}");
    }
}

fn changed() -> Act {
    message("201 Created", "application/json", CHANGED)
}

fn found() -> Act {
    message("200 OK", "application/json", CHANGED)
}

fn none() -> Act {
    message("400 Bad Request", "application/json", NONE)
}

#[track_caller]
fn refused(got: &Answer, fault: &str) {
    assert_eq!(got.header("x-latimer-fault"), Some(fault), "{got:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{got:?}");
}

/// As Series' own page has it.
#[track_caller]
fn not_found(got: &Answer) {
    refused(got, "not_found");
    let error = serde_json::json!({"code": 404, "message": "Ticket not found"});
    let body = serde_json::json!({"success": false, "error": error});
    assert_eq!((got.status, got.json()), (404, body));
}

#[tokio::test]
async fn by_default_a_ticket_that_is_not_linked_is_not_found_and_nothing_is_sent() {
    let stage = Stage::start().await;
    for _ in 0..2 {
        let (got, seen) = stage.change("refuse", of_page(Vendor::Series)).await;
        not_found(&got);
        assert!(seen.is_empty(), "{seen:?}");
    }
    let said = reading(Vendor::Series, of_page(Vendor::Series), KEY);
    let got = send(&stage.gateway, "refuse.test", &said).await;
    not_found(&got);
    assert_eq!(stage.desk.seen_count(), 0);
    stage.gateway.stop().await;
}

#[tokio::test]
async fn it_may_pass_as_it_is() {
    let stage = Stage::start().await;
    let (got, seen) = stage.change("pass", "4711").await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(seen, ["PUT /api/v4/cases/4711/transitions"]);
    // What the upstream's ids cannot be is not there.
    let (got, seen) = stage.change("pass", of_page(Vendor::Series)).await;
    not_found(&got);
    assert!(seen.is_empty(), "{seen:?}");
    // One that is linked is what it is linked with.
    stage.link("4712", "815").await;
    assert_eq!(stage.change("pass", "4712").await.1, ["PUT /api/v4/cases/815/transitions"]);
    stage.gateway.stop().await;
}

#[tokio::test]
async fn the_upstream_is_asked_once_whether_it_has_that_very_ticket() {
    let stage = Stage::start().await;
    stage.desk.act(Act::InTurn(vec![found(), changed()]));
    let (got, seen) = stage.change("ask_upstream", "4711").await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(seen, ["GET /api/v4/cases/4711", "PUT /api/v4/cases/4711/transitions"]);
    // That is remembered, also when the crosswalk was asked anew whether somebody has linked it.
    for wait in [0, 600] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (_, seen) = stage.change("ask_upstream", "4711").await;
        assert_eq!(seen, ["PUT /api/v4/cases/4711/transitions"], "{wait}");
    }
    // And it is nobody else's: on another route nothing is linked.
    not_found(&stage.change("refuse", "4711").await.0);
    // Once it is linked, that counts.
    stage.link("4711", "815").await;
    let begun = Instant::now();
    while stage.change("ask_upstream", "4711").await.1 != ["PUT /api/v4/cases/815/transitions"] {
        assert!(begun.elapsed() < Duration::from_secs(1), "within a second");
    }
    stage.gateway.stop().await;
}

#[tokio::test]
async fn a_ticket_that_the_upstream_does_not_have_is_not_asked_for_again_at_once() {
    let stage = Stage::start().await;
    stage.desk.act(none());
    let (got, seen) = stage.change("ask_upstream", "4711").await;
    not_found(&got);
    assert_eq!(seen, ["GET /api/v4/cases/4711"]);
    let (got, seen) = stage.change("ask_upstream", "4711").await;
    not_found(&got);
    assert!(seen.is_empty(), "{seen:?}");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(stage.change("ask_upstream", "4711").await.1, ["GET /api/v4/cases/4711"]);
    // One that its ids cannot be need not be asked for.
    let (got, seen) = stage.change("ask_upstream", of_page(Vendor::Series)).await;
    not_found(&got);
    assert!(seen.is_empty(), "{seen:?}");
    stage.gateway.stop().await;
}

/// What became of the question decides that nothing is written, and nothing more.
#[tokio::test]
async fn a_question_that_fails_is_a_no_and_is_not_remembered() {
    let stage = Stage::start().await;
    for (act, fault) in [
        (message("502 Bad Gateway", "text/html", "<html>"), "upstream_failed"),
        (Act::Reset, "upstream_failed"),
        (message("403 Forbidden", "application/json", "{}"), "upstream_failed"),
    ] {
        stage.desk.act(act);
        let (got, seen) = stage.change("ask_upstream", "4711").await;
        refused(&got, fault);
        assert_eq!(seen, ["GET /api/v4/cases/4711"]);
    }
    stage.desk.act(Act::InTurn(vec![found(), changed()]));
    let (got, seen) = stage.change("ask_upstream", "4711").await;
    assert_eq!((got.header("x-latimer-outcome"), seen.len()), (Some("yes"), 2), "{got:?}");
    stage.gateway.stop().await;
}

#[tokio::test]
async fn ids_are_counted_by_how_they_were_looked_up() {
    let stage = Stage::start().await;
    stage.link("4711", "815").await;
    for ticket in ["4711", "4711", "4711", "4712"] {
        stage.change("refuse", ticket).await;
    }
    let page = scrape(&stage.gateway).await;
    for (series, count) in [
        ("lookups_total{route=\"refuse\",result=\"cached\"}", 2),
        ("lookups_total{route=\"refuse\",result=\"asked\"}", 2),
        ("lookups_total{route=\"refuse\",result=\"failed\"}", 0),
        ("missing_total{route=\"refuse\"}", 1),
        ("missing_total{route=\"pass\"}", 0),
    ] {
        let line = format!("latimer_crosswalk_{series} {count}");
        assert!(page.lines().any(|known| known == line), "no {line} in\n{page}");
    }
    stage.gateway.stop().await;
}
