//! An operation that no shipped mapping has, between two invented vendors: YAML alone.

use crate::harness::{Answer, Gateway, KEY};
use crate::scripted::{Act, Scripted, message};

/// Basic of `joe@x.y/token:test-key-0123456789`, as Orbit's clients send it.
const JOE: &str = "Basic am9lQHgueS90b2tlbjp0ZXN0LWtleS0wMTIzNDU2Nzg5";

/// Both vendors in front of each other, by host.
struct Desks {
    gateway: Gateway,
    orbit: Scripted,
    relay: Scripted,
}

impl Desks {
    async fn start() -> Self {
        let orbit = Scripted::start(Act::Wait).await;
        let relay = Scripted::start(Act::Wait).await;
        let text = format!(
            "upstreams:\n  orbit:\n    vendor: orbit\n    url: {}/rest\n    \
             settings: {{zone: eu, staff: 7, close_code: fixed}}\n    \
             credential: {{token: {{env: ARENA_TOKEN}}, user: {{env: ORBIT_USER}}}}\n  relay:\n    \
             vendor: relay\n    url: {}\n    settings: {{bot: latimer}}\n    \
             credential: {{token: {{env: ARENA_TOKEN}}}}\n\
             routes:\n  to-orbit:\n    client: relay\n    upstream: orbit\n    consumers: [tester]\n    \
             match: {{host: to-orbit.test}}\n    ids: {{ticket: {{file: to-orbit.csv}}}}\n  \
             to-relay:\n    client: orbit\n    upstream: relay\n    consumers: [tester]\n    \
             match: {{host: to-relay.test}}\n    settings: {{zone: us, staff: 7}}\n    \
             ids: {{ticket: {{file: to-relay.csv}}}}\n",
            orbit.url, relay.url
        );
        let files = [
            ("to-orbit.csv".to_owned(), "client_id,upstream_id\n17,acme#4\n".to_owned()),
            ("to-relay.csv".to_owned(), "client_id,upstream_id\nours#1,99\n".to_owned()),
        ];
        let gateway = Gateway::start_with("tests/mappings/sixth", &text, &files).await;
        Self { gateway, orbit, relay }
    }

    /// A client of Relay's comments a ticket of Orbit's.
    async fn note(&self, body: &str) -> Answer {
        let headers =
            [("Host", "to-orbit.test"), ("X-Relay-Key", KEY), ("Content-Type", "application/json")];
        self.gateway.call("PUT /items/17/notes", &headers, body).await
    }

    /// A client of Orbit's comments an item of Relay's.
    async fn comment(&self, body: &str) -> Answer {
        let headers = [
            ("Host", "to-relay.test"),
            ("Authorization", JOE),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let line = "POST /rest/v2/us/projects/ours/issues/1/comments";
        self.gateway.call(line, &headers, body).await
    }
}

/// The only request that an upstream got: line and header fields, those in order, and the body.
fn only(scripted: &Scripted) -> (Vec<String>, String) {
    let seen = scripted.take_seen();
    let [only] = &seen[..] else { panic!("one request is to come, not {seen:?}") };
    let (head, body) = only.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    // A trace that begins here has another parent each time: 8 bytes before the flags.
    for line in lines.iter_mut().filter(|line| line.starts_with("traceparent: ")) {
        line.replace_range(line.len() - "0000000000000000-00".len().., "PARENT-00");
    }
    lines[1..].sort();
    (lines, body.to_owned())
}

/// The head that is to be there, besides the fields of every call.
fn head(
    line: &str,
    fields: &[&str],
    scripted: &Scripted,
    answer: &Answer,
    body: &str,
) -> Vec<String> {
    let mut lines: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    lines.extend([
        "accept: */*".to_owned(),
        format!("content-length: {}", body.len()),
        format!("host: {}", scripted.url.trim_start_matches("http://")),
        format!("traceparent: 00-{}-PARENT-00", answer.header("x-request-id").unwrap()),
        format!("user-agent: latimer/{}", env!("CARGO_PKG_VERSION")),
        "via: 1.1 latimer".to_owned(),
        format!("x-request-id: {}", answer.header("x-request-id").unwrap()),
    ]);
    lines.sort();
    lines.insert(0, format!("{line} HTTP/1.1"));
    lines
}

#[tokio::test]
async fn a_comment_goes_from_json_to_a_form_and_comes_back_from_xml() {
    let desks = Desks::start().await;
    let xml = "<?xml version=\"1.0\"?>\n<Comment xmlns=\"urn:orbit:desk\" state=\"2\">\
               <Number>acme#4</Number></Comment>";
    desks.orbit.act(message("201 Created", "application/xml", xml));
    let got = desks
        .note(r#"{ "note": { "body": "a & b\nGröße <c> 100%", "by": "joe", "public": false } }"#)
        .await;
    let (lines, body) = only(&desks.orbit);
    assert_eq!(body, "text=a+%26+b%0AGr%C3%B6%C3%9Fe+%3Cc%3E+100%25&author=joe");
    let fields = [
        // Of `desk@x.y/token:sim-arena-token`.
        "authorization: Basic ZGVza0B4LnkvdG9rZW46c2ltLWFyZW5hLXRva2Vu",
        "content-type: application/x-www-form-urlencoded",
    ];
    let line = "POST /rest/v2/eu/projects/acme/issues/4/comments";
    assert_eq!(lines, head(line, &fields, &desks.orbit, &got, &body));
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"item":17,"phase":"busy"}"#), "{got:?}");
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"));
    desks.gateway.stop().await;
}

#[tokio::test]
async fn a_comment_goes_from_a_form_to_json_and_comes_back_as_xml() {
    let desks = Desks::start().await;
    for (answered, attribute) in
        [(r#"{"item": 99, "phase": "done"}"#, " state=\"6\""), (r#"{"item": 99}"#, "")]
    {
        desks.relay.act(message("200 OK", "application/json", answered));
        let got = desks.comment("text=%22Gel%C3%B6st%22+%26+zu%0D%0A").await;
        let (lines, body) = only(&desks.relay);
        // Nobody said who it was, so it is the upstream's own bot.
        let wanted = r#"{"note":{"body":"\"Gelöst\" & zu\r\n","by":"latimer","public":false}}"#;
        assert_eq!(body, wanted);
        let fields = ["content-type: application/json", "x-relay-key: sim-arena-token"];
        assert_eq!(lines, head("PUT /items/99/notes", &fields, &desks.relay, &got, &body));
        let wanted = format!(
            "<o:Comment xmlns:o=\"urn:orbit:desk\"{attribute}><o:Number>ours#1</o:Number></o:Comment>"
        );
        assert_eq!((got.status, got.body), (201, wanted), "{answered}");
    }
    desks.gateway.stop().await;
}

#[tokio::test]
async fn faults_of_the_operation_are_those_of_its_own_rows() {
    let desks = Desks::start().await;
    // Orbit tells those of a comment as a text, and of a change as a list of errors.
    desks.relay.act(message("404 Gone", "application/json", r#"{"problem":"gone"}"#));
    let got = desks.comment("text=x").await;
    assert_eq!((got.status, got.body.as_str()), (404, "The ticket does not exist"), "{got:?}");
    assert_eq!(got.header("x-latimer-fault"), Some("not_found"));
    desks.orbit.act(message("422 Unprocessable", "text/plain", "the comment is too long"));
    let got = desks.note(r#"{"note":{"body":"x","by":"joe","public":false}}"#).await;
    let wanted =
        r#"{"problem":"bad","text":"The request is not valid: the ticket system refused it"}"#;
    assert_eq!((got.status, got.body.as_str()), (400, wanted), "{got:?}");
    assert_eq!(got.header("x-latimer-fault"), Some("invalid_request"));
    for upstream in [&desks.relay, &desks.orbit] {
        assert_eq!(upstream.take_seen().len(), 1);
    }
    // Without a comment there is nothing to send.
    let got = desks.comment("author=joe").await;
    let wanted = "A required member is missing: text";
    assert_eq!((got.status, got.body.as_str()), (422, wanted), "{got:?}");
    assert_eq!(got.header("x-latimer-fault"), Some("missing_field"));
    assert!(desks.relay.take_seen().is_empty());
    desks.gateway.stop().await;
}
