//! `actor`: whose name a call bears at the upstream.

use latimer::sim::Vendor;
use serde_json::{Value, json};

use crate::harness::{Gateway, KEY, upstream};
use crate::scripted::{Scripted, message};

/// The body that Series gets of this body of a client's, by a route with these keys.
async fn sent(client: Vendor, keys: &str, request: (&str, &str)) -> String {
    sent_by("", client, keys, request).await
}

/// The same with consumers of the test's own.
async fn sent_by(
    consumers: &str,
    client: Vendor,
    keys: &str,
    (line, body): (&str, &str),
) -> String {
    let yes = r#"{"success":true,"data":{"message":"Status changed to open"}}"#;
    let scripted = Scripted::start(message("200 OK", "application/json", yes)).await;
    let text = format!(
        "{consumers}upstreams:\n{}routes:\n  main:\n    client: {client}\n    upstream: series\n    \
         consumers: [tester]\n{keys}",
        upstream(Vendor::Series, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let session = format!("OAuth {KEY}");
    let headers =
        [("apikey", KEY), ("Authorization", &*session), ("Content-Type", "application/json")];
    let got = gateway.call(line, &headers, body).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.header("x-latimer-dropped"), None, "the route says so itself: {got:?}");
    gateway.stop().await;
    scripted.take_seen()[0].split_once("\r\n\r\n").unwrap().1.to_owned()
}

const SERIES: (&str, &str) =
    ("POST /tickets/T-1/status", r#"{ "staffUserId":7,"more":1, "status":"open"}"#);

/// Nobody is named here.
const ZSTACK: (&str, &str) = (
    "PUT /v1/tickets/e9377476db3f375bbff78dc3b9200001/actions",
    r#"{"changeTicketStatus":{"statusEvent":"reopen"}}"#,
);

#[tokio::test]
async fn by_default_the_client_says_who_it_is() {
    for keys in ["", "    actor: client\n"] {
        // Between two of a kind the bytes pass.
        assert_eq!(sent(Vendor::Series, keys, SERIES).await, SERIES.1);
    }
}

#[tokio::test]
async fn a_route_may_give_every_call_one_name() {
    let keys = "    actor: $staff_user\n    dropped_fields: refuse\n";
    let body: Value = serde_json::from_str(&sent(Vendor::Series, keys, SERIES).await).unwrap();
    // The upstream's setting, and nothing else of the client's own body.
    assert_eq!(body, json!({"status": "open", "staffUserId": 987654321}));
    // One that names nobody.
    let body: Value = serde_json::from_str(&sent(Vendor::Zstack, keys, ZSTACK).await).unwrap();
    assert_eq!(body, json!({"status": "open", "staffUserId": 987654321}));
}

/// A consumer's own setting of that name goes before the upstream's.
#[tokio::test]
async fn a_consumer_may_have_a_name_of_its_own() {
    let consumers = "consumers:\n  tester: {key: {env: TEST_KEY}, settings: {staff_user: 5}}\n";
    for keys in ["    actor: $staff_user\n", "    actor: client\n"] {
        let body = sent_by(consumers, Vendor::Zstack, keys, ZSTACK).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({"status": "open", "staffUserId": 5}), "{keys}");
    }
}
