//! What is refused: in the client's own shape, and with nothing sent.

use latimer::sim::{Simulator, Vendor};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, KEY, exchange, simulator, upstream};
use crate::vendors::{Request, request, ticket};

/// A client of each vendor in front of Thalamus, by host.
struct Front {
    gateway: Gateway,
    simulator: Simulator,
}

impl Front {
    async fn start() -> Self {
        let tickets = [(ticket(Vendor::Thalamus, 1), "open")];
        let simulator = simulator(Vendor::Thalamus, &tickets).await;
        // Room for 200,000 levels of XML, so that it is the depth that is refused.
        let mut text = "bounds: {body_bytes_max: 2MiB}\nupstreams:\n".to_owned();
        text.push_str(&upstream(Vendor::Thalamus, &simulator.url()));
        text.push_str("routes:\n");
        let mut files = Vec::new();
        for client in Vendor::ALL {
            let settings =
                if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
            text.push_str(&format!(
                "  {client}:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    \
                 match: {{host: {client}.test}}\n    limit: none\n    settings: {settings}\n    \
                 ids: {{ticket: {{file: {client}.csv}}}}\n"
            ));
            let (ours, theirs) = (ticket(client, 1), ticket(Vendor::Thalamus, 1));
            let pair = format!("client_id,upstream_id\n{ours},{theirs}\n");
            files.push((format!("{client}.csv"), pair));
        }
        Self { gateway: Gateway::start(&text, &files).await, simulator }
    }

    async fn send(&self, client: Vendor, request: &Request) -> Answer {
        self.send_body(client, request, request.body.as_bytes()).await
    }

    /// The request with another body, which need not be text.
    async fn send_body(&self, client: Vendor, request: &Request, body: &[u8]) -> Answer {
        let host = format!("{client}.test");
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("Host", &host));
        self.gateway.call(&request.line, &headers, body).await
    }

    /// Ends both; whatever a test refused, nothing may have been sent.
    async fn end_unsent(self) {
        let seen = self.simulator.log();
        assert!(seen.is_empty(), "nothing may be sent, sent {seen:?}");
        self.gateway.stop().await;
        self.simulator.stop().await;
    }
}

/// A right request, which a test then spoils.
fn right(client: Vendor) -> Request {
    let wire = crate::vendors::sayable(client)[0].0;
    request(client, &ticket(client, 1), wire, KEY)
}

/// The vendor's own code in an answer (LANGUAGE §8).
fn native(client: Vendor, answer: &Answer) -> Value {
    match client {
        Vendor::Arena => answer.json()["errors"][0]["code"].clone(),
        Vendor::Series => answer.json()["error"]["code"].clone(),
        Vendor::Akana => {
            let body = answer.json();
            assert!(body["faultstring"].is_string(), "{answer:?}");
            Value::Null
        }
        Vendor::Thalamus => answer.json()["errors"].clone(),
        Vendor::Zstack if answer.status == 503 => answer.json()["error"]["code"].clone(),
        Vendor::Zstack => json!(answer.body),
    }
}

/// Status and native code that each vendor's client is to see for one spoilt request.
async fn all(
    spoil: impl Fn(Vendor, &mut Request),
    fault: &str,
    wanted: impl Fn(Vendor) -> (u16, Value),
) {
    let front = Front::start().await;
    for client in Vendor::ALL {
        let mut request = right(client);
        spoil(client, &mut request);
        let got = front.send(client, &request).await;
        assert_eq!(got.header("x-latimer-fault"), Some(fault), "{client}: {got:?}");
        assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{client}: {got:?}");
        let (status, code) = wanted(client);
        assert_eq!(got.status, status, "{client}: {got:?}");
        if !code.is_null() {
            assert_eq!(native(client, &got), code, "{client}: {got:?}");
        }
    }
    front.end_unsent().await;
}

#[tokio::test]
async fn an_unknown_status() {
    let spoil = |client, request: &mut Request| {
        let wire = crate::vendors::sayable(client)[0].0;
        request.body = request.body.replace(wire, "no such status");
    };
    all(spoil, "invalid_status", |client| match client {
        Vendor::Arena => (400, json!(3083)),
        Vendor::Series => (400, json!(400)),
        Vendor::Akana => (500, Value::Null),
        Vendor::Thalamus => (400, json!({"statusName": "invalid"})),
        Vendor::Zstack => (503, json!("SYS.1007")),
    })
    .await;
}

#[tokio::test]
async fn no_key() {
    let spoil = |_, request: &mut Request| {
        request.headers.retain(|(name, _)| {
            !["arena_session_id", "apikey", "Cookie", "Thalamus-Token", "Authorization"]
                .contains(name)
        });
    };
    all(spoil, "credentials_missing", |client| match client {
        Vendor::Arena => (401, json!(401)),
        Vendor::Series => (401, json!(401)),
        Vendor::Akana => (401, Value::Null),
        Vendor::Thalamus => (400, json!({"token": "InvalidToken"})),
        Vendor::Zstack => (400, json!("missing header 'Authorization'")),
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key() {
    let spoil = |_, request: &mut Request| {
        for (_, value) in &mut request.headers {
            *value = value.replace(KEY, "not-a-key-of-anybody");
        }
    };
    all(spoil, "unauthenticated", |client| match client {
        Vendor::Arena | Vendor::Series => (401, json!(401)),
        Vendor::Akana => (401, Value::Null),
        Vendor::Thalamus => (400, json!({"token": "InvalidToken"})),
        Vendor::Zstack => (503, json!("ID.1001")),
    })
    .await;
}

#[tokio::test]
async fn a_key_of_another_consumer() {
    let spoil = |_, request: &mut Request| {
        for (_, value) in &mut request.headers {
            *value = value.replace(KEY, "another-key");
        }
    };
    all(spoil, "unauthenticated", |client| match client {
        Vendor::Arena | Vendor::Series => (401, json!(401)),
        Vendor::Akana => (401, Value::Null),
        Vendor::Thalamus => (400, json!({"token": "InvalidToken"})),
        Vendor::Zstack => (503, json!("ID.1001")),
    })
    .await;
}

#[tokio::test]
async fn a_missing_member() {
    let spoil = |_, request: &mut Request| {
        for member in ["status\"", "ActionName\"", "statusName\"", "statusEvent\""] {
            let other = format!("other_{member}");
            request.body = request.body.replacen(&format!("\"{member}"), &format!("\"{other}"), 1);
        }
    };
    all(spoil, "missing_field", |client| match client {
        Vendor::Arena => (400, json!(3001)),
        Vendor::Series => (400, json!(400)),
        Vendor::Akana => (400, Value::Null),
        Vendor::Thalamus => (400, json!({"statusName": "Required"})),
        Vendor::Zstack => (400, Value::Null),
    })
    .await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(128), "]".repeat(128));
    let bodies: [&[u8]; 6] = [
        b"{\"status\": ",
        b"not json",
        b"{\"a\":1,\"a\":2}",
        deep.as_bytes(),
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
    ];
    let front = Front::start().await;
    for client in Vendor::ALL {
        let right = right(client);
        for body in bodies {
            let got = front.send_body(client, &right, body).await;
            let what = format!("{client} {:?}", String::from_utf8_lossy(body));
            assert_eq!(got.header("x-latimer-fault"), Some("invalid_request"), "{what}: {got:?}");
            assert_eq!(got.status, 400, "{what}");
        }
    }
    front.end_unsent().await;
}

#[tokio::test]
async fn numbers_of_the_wrong_kind() {
    let front = Front::start().await;
    for number in ["\"x\"", "1e400", "1180591620717411303424", "1.5", "true", "[1]", "{}", "-0"] {
        let mut request = right(Vendor::Series);
        request.body = request.body.replace("123", number);
        let got = front.send(Vendor::Series, &request).await;
        assert_eq!(got.header("x-latimer-fault"), Some("invalid_request"), "{number}: {got:?}");
        assert_eq!(got.status, 400, "{number}");
    }
    front.end_unsent().await;
}

#[tokio::test]
async fn a_wrong_media_type() {
    let spoil = |_, request: &mut Request| {
        request.headers.retain(|(name, _)| *name != "Content-Type");
        request.headers.push(("Content-Type", "text/csv".to_owned()));
    };
    all(spoil, "unsupported_media_type", |client| match client {
        Vendor::Arena => (415, json!(415)),
        Vendor::Series => (415, json!(415)),
        Vendor::Akana => (404, Value::Null),
        Vendor::Thalamus => (400, json!({"request": "UnsupportedMediaType"})),
        Vendor::Zstack => (415, Value::Null),
    })
    .await;
}

#[tokio::test]
async fn a_content_coding_that_is_not_read() {
    for coding in ["zstd", "compress", "gzip, dcb"] {
        let spoil = |_, request: &mut Request| {
            request.headers.push(("Content-Encoding", coding.to_owned()));
        };
        all(spoil, "unsupported_media_type", |client| match client {
            Vendor::Arena => (415, json!(415)),
            Vendor::Series => (415, json!(415)),
            Vendor::Akana => (404, Value::Null),
            Vendor::Thalamus => (400, json!({"request": "UnsupportedMediaType"})),
            Vendor::Zstack => (415, Value::Null),
        })
        .await;
    }
}

/// ZStack has a second action on the line of the first; the body's key tells which (FACTS: ZStack, actions).
#[tokio::test]
async fn another_action_on_the_same_line() {
    let front = Front::start().await;
    let mut request = right(Vendor::Zstack);
    for key in ["updateTicketRequest", "changeTicketstatus", "x"] {
        request.body = format!(r#"{{"{key}":{{"statusEvent":"open"}},"systemTags":[]}}"#);
        let got = front.send(Vendor::Zstack, &request).await;
        let fault = got.header("x-latimer-fault");
        assert_eq!((got.status, fault), (400, Some("invalid_request")), "{key}: {got:?}");
        // Plain text, and no Content-Type on any of its answers.
        assert_eq!(got.header("content-type"), None, "{key}: {got:?}");
        let text = "the body doesn't contain action mapping to the URL";
        assert!(got.body.contains(text), "{key}: {got:?}");
    }
    front.end_unsent().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let front = Front::start().await;
    for client in Vendor::ALL {
        let mut request = right(client);
        let (method, path) = request.line.split_once(' ').unwrap();
        let method = method.to_owned();
        request.line = format!("DELETE {path}");
        let got = front.send(client, &request).await;
        // RFC 9110 section 15.5.6.
        assert_eq!((got.status, got.header("allow")), (405, Some(&*method)), "{client}: {got:?}");
    }
    front.end_unsent().await;
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path() {
    let method = |_, request: &mut Request| {
        let (_, path) = request.line.split_once(' ').unwrap();
        request.line = format!("PATCH {path}");
    };
    all(method, "method_not_allowed", |_| (405, Value::Null)).await;
    let path = |_, request: &mut Request| request.line.push_str("/more");
    all(path, "unknown_path", |client| match client {
        Vendor::Arena => (404, json!(404)),
        Vendor::Series => (404, json!(404)),
        Vendor::Akana | Vendor::Thalamus | Vendor::Zstack => (404, Value::Null),
    })
    .await;
}

#[tokio::test]
async fn an_id_that_nobody_has() {
    let spoil = |client, request: &mut Request| {
        let (known, unknown) = (ticket(client, 1), ticket(client, 2));
        request.line = request.line.replace(&known, &unknown);
        request.body = request.body.replace(&known, &unknown);
    };
    all(spoil, "not_found", |client| match client {
        Vendor::Arena => (400, json!(3012)),
        Vendor::Series => (404, json!(404)),
        Vendor::Akana => (404, Value::Null),
        Vendor::Thalamus => (400, json!({"caseInstanceId": "invalidId"})),
        Vendor::Zstack => (503, json!("SYS.1003")),
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_cap_ends_the_connection() {
    let front = Front::start().await;
    for client in Vendor::ALL {
        let right = right(client);
        let mut head = format!("{} HTTP/1.1\r\nHost: {client}.test\r\n", right.line);
        for (name, value) in &right.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Content-Length: 20000000\r\n\r\n");
        let mut message = head.into_bytes();
        // What follows must never be taken for a second request.
        message.extend_from_slice(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        message.resize(message.len() + 100_000, b' ');
        let answer = exchange(&front.gateway.address, &message).await;
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{client}: {text}");
        let got = Answer::parse(&answer);
        assert_eq!(
            (got.status, got.header("x-latimer-fault")),
            (413, Some("too_large")),
            "{client}"
        );
    }
    front.end_unsent().await;
}

/// Akana's client may speak XML; its faults are then XML too, unless it accepts something else.
async fn akana_xml(front: &Front, accept: &str, body: impl AsRef<[u8]>) -> Answer {
    let line = format!("POST /api/tickets/{}/actions", ticket(Vendor::Akana, 1));
    let cookie = format!("AtmoAuthToken_acmepaymentscorp={KEY}");
    let headers = [
        ("Host", "akana.test"),
        ("Accept", accept),
        ("Cookie", &cookie),
        ("Content-Type", "application/vnd.soa.v81+xml; charset=UTF-8"),
    ];
    front.gateway.call(&line, &headers, body).await
}

#[tokio::test]
async fn xml_is_read_and_hostile_xml_is_refused() {
    let front = Front::start().await;
    let right = "<Action xmlns=\"urn:x\"><ActionName>ticket.action.resolve</ActionName>\
                 <Comments>one</Comments><Comments>two</Comments></Action>";
    let got = akana_xml(&front, "*/*", right).await;
    assert_eq!((got.status, got.body.as_str()), (200, "RESOLVED"), "{got:?}");
    assert_eq!(got.header("x-latimer-dropped"), Some("comment"), "Thalamus has no place for it");
    assert_eq!(front.simulator.log()[0].body, r#"{"statusName":"resolved"}"#);
    front.simulator.clear_log();

    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><Action>&b;</Action>";
    let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
    let named = "<Action><ActionName>&nobody;</ActionName></Action>";
    let twice = "<Action><ActionName>ticket.action.resolve</ActionName>\
                 <ActionName>ticket.action.close</ActionName></Action>";
    for body in [bomb, &deep, named, twice, "<Action>", "<Other/>", "not XML", "<Action/><Action/>"]
    {
        let got = akana_xml(&front, "*/*", body).await;
        let what = body.chars().take(60).collect::<String>();
        let fault = got.header("x-latimer-fault");
        assert_eq!(fault, Some("invalid_request"), "{what}: {got:?}");
        assert_eq!(got.status, 400, "{what}");
        assert_eq!(got.header("content-type"), Some("application/xml"), "{what}");
        assert!(got.body.contains("<faultcode>Client</faultcode>"), "{what}: {got:?}");
    }
    let got = akana_xml(&front, "text/plain, application/json", "<Action>").await;
    assert_eq!(got.header("content-type"), Some("application/json"), "{got:?}");
    assert!(got.json()["faultstring"].is_string(), "{got:?}");
    front.end_unsent().await;
}

#[tokio::test]
async fn akana_answers_404_for_a_wrong_accept() {
    let front = Front::start().await;
    let got = akana_xml(&front, "application/json", "<Action/>").await;
    // The body is looked at first: it is the record's member that is missing.
    assert_eq!(got.header("x-latimer-fault"), Some("missing_field"), "{got:?}");
    let right = "<Action><ActionName>ticket.action.resolve</ActionName></Action>";
    let got = akana_xml(&front, "application/json", right).await;
    assert_eq!(got.header("x-latimer-fault"), Some("not_acceptable"), "{got:?}");
    assert_eq!(got.status, 404);
    front.end_unsent().await;
}

#[tokio::test]
async fn hostile_ids_never_move_an_upstreams_path() {
    let front = Front::start().await;
    let long = "x".repeat(4_096);
    let ids = [
        "..",
        "../x",
        "..%2fx",
        "%2e%2e",
        "%252e%252e",
        "..\\x",
        "a?b",
        "a#b",
        "a;b",
        "%ed%a0%80",
        "a%2Fb",
        "a%3Fb",
        "a%23b",
        "a%5Cb",
        "%00",
        "a%0d%0aX:1",
        "%ff",
        "%zz",
        "%",
        "",
        "a%20b",
        &long,
    ];
    for client in [Vendor::Series, Vendor::Akana, Vendor::Thalamus, Vendor::Zstack] {
        for id in ids {
            let mut request = right(client);
            request.line = request.line.replace(&ticket(client, 1), id);
            let got = front.send(client, &request).await;
            let what = format!("{client} {id:.40}: {got:?}");
            let fault = got.header("x-latimer-fault").unwrap_or_default();
            let wanted = ["invalid_id", "not_found", "unknown_path", "missing_field"];
            // Cut off there, the path of some vendors is that of a ticket, which can be read and not written to.
            let is_cut = id.contains(['?', '#']) && fault == "method_not_allowed";
            assert!(wanted.contains(&fault) || is_cut, "{what}");
            assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{what}");
        }
    }
    // An Arena client names its ticket in the body.
    for id in [
        "",
        "..",
        "../x",
        "%2e%2e",
        "a/b",
        "a?b",
        "a#b",
        "a\\\\b",
        "\\u0000",
        "a\\r\\nX: 1",
        "\\ud800",
        "x\\udc00",
        "a b",
        &long,
    ] {
        let mut request = right(Vendor::Arena);
        request.body = request.body.replace(&ticket(Vendor::Arena, 1), id);
        let got = front.send(Vendor::Arena, &request).await;
        let fault = got.header("x-latimer-fault").unwrap_or_default();
        let wanted = if id.contains("\\ud") { "invalid_request" } else { "invalid_id" };
        assert_eq!(
            (fault, got.header("x-latimer-outcome")),
            (wanted, Some("no")),
            "{id:.40}: {got:?}"
        );
    }
    front.end_unsent().await;
}
