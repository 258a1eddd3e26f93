//! Ids of people, and ids in answers.

use latimer::sim::Vendor;
use serde_json::{Value, json};

use crate::crosswalk::{lacks, send};
use crate::harness::{Answer, Gateway, Home, KEY, upstream};
use crate::metrics::scrape;
use crate::scripted::{Scripted, message};
use crate::vendors::{Request, crosswalk, request, ticket};

const YES: &str = r#"{"success":true,"data":{"message":"Status changed to open"}}"#;

/// The answer to a client of Series' in front of another Series, and what that was sent.
async fn changed(keys: &str, link: &[&str]) -> (Answer, Option<Value>) {
    let desk = Scripted::start(message("200 OK", "application/json", YES)).await;
    let text = format!(
        "upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: series\n    consumers: [tester]\n{keys}",
        upstream(Vendor::Series, &desk.url)
    );
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    if !link.is_empty() {
        let (code, told) = home.crosswalk(&[&["link"], link].concat()).await;
        assert_eq!(code, Some(0), "{told}");
    }
    let gateway = Gateway::launch(&home, home.command()).await;
    let said = request(Vendor::Series, &ticket(Vendor::Series, 1), "open", KEY);
    let got = send(&gateway, "any.test", &said).await;
    gateway.stop().await;
    let seen = desk.take_seen();
    let body =
        seen.first().map(|seen| serde_json::from_str(seen.split_once("\r\n\r\n").unwrap().1));
    (got, body.map(Result::unwrap))
}

/// The client's `staffUserId` is 123, and the upstream's setting 987654321.
#[tokio::test]
async fn a_person_is_known_to_each_system_by_its_own_id() {
    const SYSTEMS: &str = "systems: {client: hr, upstream: desk}";
    let link = ["--kind", "user", "hr=123", "desk=777"];
    let keys = format!("    ids: {{user: crosswalk, {SYSTEMS}}}\n");
    let (got, body) = changed(&keys, &link).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(body, Some(json!({"status": "open", "staffUserId": 777})));

    // A ticket of that id is no person of it.
    let tickets = ["hr=123", "desk=777"];
    let (got, body) = changed(&keys, &tickets).await;
    assert_eq!(got.header("x-latimer-fault"), Some("invalid_request"), "{got:?}");
    assert_eq!((got.status, got.header("x-latimer-outcome")), (400, Some("no")));
    assert!(got.body.contains("staffUserId"), "by the client's own name: {got:?}");
    assert_eq!(body, None, "nothing is sent");

    let keys = format!("    ids: {{user: crosswalk, missing: pass, {SYSTEMS}}}\n");
    assert_eq!(changed(&keys, &[]).await.1, Some(json!({"status": "open", "staffUserId": 123})));

    // Whom a setting names is the upstream's own, and nobody asks who that is.
    let keys = format!("    actor: $staff_user\n    ids: {{user: crosswalk, {SYSTEMS}}}\n");
    let (_, body) = changed(&keys, &[]).await;
    assert_eq!(body, Some(json!({"status": "open", "staffUserId": 987654321})));
}

#[tokio::test]
async fn people_go_by_the_crosswalk_where_tickets_go_by_a_file() {
    let desk = Scripted::start(message("200 OK", "application/json", YES)).await;
    let text = format!(
        "upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: series\n    consumers: [tester]\n    \
         ids: {{ticket: {{file: pairs.csv}}, user: crosswalk, systems: {{client: hr, upstream: desk}}}}\n",
        upstream(Vendor::Series, &desk.url)
    );
    let pairs = crosswalk(Vendor::Series, Vendor::Series, [1]).replace(",TICKET", ",THEIRS");
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[("pairs.csv".to_owned(), pairs)]);
    let (code, told) = home.crosswalk(&["link", "--kind", "user", "hr=123", "desk=777"]).await;
    assert_eq!(code, Some(0), "{told}");
    let gateway = Gateway::launch(&home, home.command()).await;
    let said = request(Vendor::Series, &ticket(Vendor::Series, 1), "open", KEY);
    send(&gateway, "any.test", &said).await;
    let seen = desk.take_seen();
    assert!(seen[0].starts_with("POST /tickets/THEIRS-1234567890-0001/status "), "{seen:?}");
    assert!(seen[0].ends_with(r#"{"status":"open","staffUserId":777}"#), "{seen:?}");
    gateway.stop().await;
}

/// A member that the upstream has no place for is not held against anybody.
#[tokio::test]
async fn a_person_whom_the_upstream_is_not_told_of_need_not_be_known() {
    let case = r#"{"context":{},"case":{"id":100001,"status":"open"}}"#;
    let desk = Scripted::start(message("201 Created", "application/json", case)).await;
    let text = format!(
        "upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: thalamus\n    consumers: [tester]\n    \
         ids: {{user: crosswalk}}\n",
        upstream(Vendor::Thalamus, &desk.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let said = request(Vendor::Series, "100001", "open", KEY);
    let got = send(&gateway, "any.test", &said).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(got.header("x-latimer-dropped"), Some("actor"), "{got:?}");
    gateway.stop().await;
}

/// Also where one of them is known and another one has to be asked for.
#[tokio::test]
async fn each_id_of_a_request_is_counted_once() {
    let desk = Scripted::start(message("200 OK", "application/json", YES)).await;
    let text = format!(
        "workers: 1\nupstreams:\n{}routes:\n  main:\n    client: series\n    upstream: series\n    \
         consumers: [tester]\n    ids: {{ticket: crosswalk, user: crosswalk, missing: pass, \
         systems: {{client: hr, upstream: desk}}}}\n",
        upstream(Vendor::Series, &desk.url)
    );
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let own = ticket(Vendor::Series, 1);
    let (code, told) = home.crosswalk(&["link", &format!("hr={own}"), "desk=THEIRS"]).await;
    assert_eq!(code, Some(0), "{told}");
    let gateway = Gateway::launch(&home, home.command()).await;
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    for person in [7, 8] {
        let body = json!({"status": "open", "staffUserId": person}).to_string();
        let got = gateway.call(&format!("POST /tickets/{own}/status"), &headers, &body).await;
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    }
    let page = scrape(&gateway).await;
    for (result, count) in [("cached", 1), ("asked", 3), ("failed", 0)] {
        let line = format!(
            "latimer_crosswalk_lookups_total{{route=\"main\",result=\"{result}\"}} {count}"
        );
        assert!(page.lines().any(|known| known == line), "no {line} in\n{page}");
    }
    gateway.stop().await;
}

/// Two invented vendors whose answers name people and other tickets. What each client calls them is its own.
struct Desks {
    gateway: Gateway,
    desk: Scripted,
}

const TICKET: &str = r#"{"key":"D-1","state":"open","owner":"d-ann","parent":"D-9","child":"D-8"}"#;

impl Desks {
    async fn start(missing: &str) -> Self {
        let desk = Scripted::start(message("200 OK", "application/json", TICKET)).await;
        let text = format!(
            "upstreams:\n  desk:\n    vendor: north\n    url: {}\n    \
             credential: {{token: {{env: ARENA_TOKEN}}}}\n\
             routes:\n  main:\n    client: south\n    upstream: desk\n    consumers: [tester]\n    \
             ids: {{ticket: crosswalk, user: crosswalk, missing: {missing}}}\n",
            desk.url
        );
        let pairs = "kind,south,desk\nticket,S1,D-1\nticket,S9,D-9\nuser,bob,d-bob\n";
        let files = [("pairs.csv".to_owned(), pairs.to_owned())];
        let home = Home::new("127.0.0.1:0", "tests/mappings/people", &text, &files);
        let (code, told) = home.crosswalk(&["import", "pairs.csv"]).await;
        assert_eq!(code, Some(0), "{told}");
        Self { gateway: Gateway::launch(&home, home.command()).await, desk }
    }

    async fn read(&self) -> Answer {
        let headers = vec![("X-South-Key", KEY.to_owned())];
        let said = Request { line: "GET /tasks/S1".to_owned(), headers, body: String::new() };
        send(&self.gateway, "any.test", &said).await
    }
}

#[tokio::test]
async fn ids_in_answers_are_the_clients_own_or_not_there() {
    for missing in ["refuse", "{ticket: ask_upstream, user: refuse}"] {
        let desks = Desks::start(missing).await;
        for round in 0..2 {
            let got = desks.read().await;
            assert_eq!(got.status, 200, "{got:?}");
            // The parent is linked; nobody has linked the child, nor the owner.
            assert_eq!(
                got.json(),
                json!({"task": "S1", "phase": "todo", "above": "S9"}),
                "{round}"
            );
            for theirs in ["D-1", "D-9", "D-8", "d-ann"] {
                lacks(&got, theirs, missing);
            }
        }
        let seen = desks.desk.take_seen();
        assert!(seen.iter().all(|seen| seen.starts_with("GET /issues/D-1 ")), "{seen:?}");
        desks.gateway.stop().await;
    }
}

#[tokio::test]
async fn ids_in_answers_that_nobody_has_linked_may_pass() {
    let desks = Desks::start("pass").await;
    let got = desks.read().await;
    let whole =
        json!({"task": "S1", "phase": "todo", "above": "S9", "below": "D-8", "who": "d-ann"});
    assert_eq!(got.json(), whole);
    desks.gateway.stop().await;
}
