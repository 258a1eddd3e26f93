//! The ways in which real clients of one vendor differ: places of the key, prefixes, media types.

use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, KEY, simulator, upstream};
use crate::vendors::ticket;

/// One request that is right in its own way.
struct Way {
    client: Vendor,
    line: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Way {
    fn new(client: Vendor, line: &str, headers: &[(&'static str, &str)], body: &str) -> Self {
        let id = ticket(client, 1);
        let fill = |text: &str| text.replace("ID", &id).replace("KEY", KEY);
        Self {
            client,
            line: fill(line),
            headers: headers.iter().map(|(name, value)| (*name, fill(value))).collect(),
            body: fill(body),
        }
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn arena_series_thalamus() -> Vec<Way> {
    let arena = r#"{"ticket":{"guid":"ID"},"status":"COMPLETE"}"#;
    let series = r#"{"status":"resolved","staffUserId":1}"#;
    let case = "PUT /api/v4/cases/ID/transitions";
    let thalamus = r#"{"statusName":"resolved"}"#;
    let (token, touchpoint) = (("Thalamus-Token", "KEY"), ("Thalamus-Touchpoint", "web"));
    vec![
        Way::new(
            Vendor::Arena,
            "POST /tickets/statuschanges",
            &[("arena_session_id", "KEY"), JSON],
            arena,
        ),
        Way::new(
            Vendor::Arena,
            "POST /v1/tickets/statuschanges",
            &[("ARENA_SESSION_ID", "KEY"), JSON],
            arena,
        ),
        Way::new(
            Vendor::Arena,
            "POST /tickets/statuschanges",
            &[("Cookie", "a=b; arena_session_id=KEY"), JSON],
            arena,
        ),
        Way::new(Vendor::Series, "POST /tickets/ID/status", &[("x-api-key", "KEY"), JSON], series),
        Way::new(
            Vendor::Series,
            "POST /tickets/ID/status",
            &[("apikey", "KEY"), ("x-api-key", "KEY")],
            series,
        ),
        Way::new(Vendor::Thalamus, &format!("{case}?token=KEY&touchpoint=web"), &[JSON], thalamus),
        Way::new(Vendor::Thalamus, &format!("{case}?touchpoint=web"), &[token, JSON], thalamus),
        Way::new(
            Vendor::Thalamus,
            case,
            &[token, touchpoint, JSON, ("Authorization", "Basic b3A6cHc=")],
            thalamus,
        ),
    ]
}

fn zstack() -> Vec<Way> {
    let session = ("Authorization", "OAuth KEY");
    let bodies = [
        r#"{"changeTicketStatus":{"statusEvent":"approve","comment":"x"},"systemTags":[],"userTags":[]}"#,
        r#"{"changeTicketStatus":{"uuid":"ID","statusEvent":"approve","systemTags":["a::b"],"userTags":[]}}"#,
        r#"{"changeTicketStatus":{"statusEvent":"approve","comment":null,"requestIp":"127.0.0.1"}}"#,
    ];
    let mut ways = Vec::new();
    for prefix in ["/zstack", ""] {
        for body in bodies {
            let line = format!("PUT {prefix}/v1/tickets/ID/actions");
            let typed = ("Content-Type", "application/json; charset=utf-8");
            ways.push(Way::new(Vendor::Zstack, &line, &[session, typed], body));
        }
    }
    ways
}

fn akana() -> Vec<Way> {
    let line = "POST /api/tickets/ID/actions";
    let cookie = ("Cookie", "AtmoAuthToken_acmepaymentscorp=KEY");
    let mut ways = Vec::new();
    for family in ["application", "vnd.soa.v71", "vnd.soa.v72", "vnd.soa.v80", "vnd.soa.v81"] {
        for (kind, body) in [
            ("json", r#"{"ActionName":"ticket.action.resolve","Comments":["one","two"]}"#),
            ("xml", "<Action><ActionName>ticket.action.resolve</ActionName></Action>"),
        ] {
            let media_type = match family {
                "application" => format!("application/{kind}"),
                family => format!("application/{family}+{kind}; charset=UTF-8"),
            };
            ways.push(Way::new(
                Vendor::Akana,
                line,
                &[cookie, ("Content-Type", &media_type)],
                body,
            ));
        }
    }
    let csrf = ("X-Csrf-Token_acmepaymentscorp", "TokenID%3Dx");
    let body = r#"{"ActionName":"ticket.action.resolve","Comments":"a text"}"#;
    ways.push(Way::new(
        Vendor::Akana,
        line,
        &[cookie, csrf, JSON, ("Accept", "text/*;q=0.5")],
        body,
    ));
    ways
}

async fn send(gateway: &Gateway, way: &Way) -> Answer {
    let host = format!("{}.test", way.client);
    let mut headers: Vec<(&str, &str)> =
        way.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", &host));
    gateway.call(&way.line, &headers, &way.body).await
}

#[tokio::test]
async fn every_way_of_a_real_client_is_understood() {
    let simulator = simulator(Vendor::Series, &[("TICKET-1".to_owned(), "open")]).await;
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Series, &simulator.url()));
    text.push_str("routes:\n");
    let mut files = Vec::new();
    for client in Vendor::ALL {
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        text.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: series\n    consumers: [tester]\n    \
             match: {{host: {client}.test}}\n    limit: none\n    settings: {settings}\n    \
             ids: {{ticket: {{file: {client}.csv}}}}\n"
        ));
        let pair = format!("client_id,upstream_id\n{},TICKET-1\n", ticket(client, 1));
        files.push((format!("{client}.csv"), pair));
    }
    let gateway = Gateway::start(&text, &files).await;
    let ways = arena_series_thalamus().into_iter().chain(zstack()).chain(akana());
    let mut count = 0;
    for way in ways {
        simulator.clear_log();
        let got = send(&gateway, &way).await;
        let what = format!("{} {} {:?} {}", way.client, way.line, way.headers, way.body);
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
        let seen = simulator.log();
        assert_eq!(seen.len(), 1, "{what}");
        assert_eq!(seen[0].target, "/tickets/TICKET-1/status", "{what}");
        assert!(
            seen[0].body.starts_with(r#"{"status":"resolved","staffUserId":"#),
            "{what}: {seen:?}"
        );
        count += 1;
    }
    assert_eq!(count, 8 + 6 + 11);

    // Two keys that differ are no key at all.
    let two = [("apikey", KEY), ("x-api-key", "another-key"), JSON, ("Host", "series.test")];
    let line = format!("POST /tickets/{}/status", ticket(Vendor::Series, 1));
    let got = gateway.call(&line, &two, r#"{"status":"resolved","staffUserId":1}"#).await;
    assert_eq!(got.header("x-latimer-fault"), Some("unauthenticated"), "{got:?}");
    // Another action on the same line is another operation.
    let line = format!("PUT /v1/tickets/{}/actions", ticket(Vendor::Zstack, 1));
    let session = format!("OAuth {KEY}");
    let headers = [("Authorization", session.as_str()), JSON, ("Host", "zstack.test")];
    let got = gateway.call(&line, &headers, r#"{"updateTicketRequest":{"x":1}}"#).await;
    assert_eq!(
        (got.status, got.header("x-latimer-fault")),
        (400, Some("invalid_request")),
        "{got:?}"
    );
    assert_eq!(got.header("content-type"), None);
    gateway.stop().await;
    simulator.stop().await;
}
