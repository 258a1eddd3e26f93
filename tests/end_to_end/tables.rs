//! Words of an instance's own: the configuration replaces a table of its upstream's mapping.

use std::process::{Output, Stdio};

use latimer::sim::Vendor;
use tokio::process::Command;

use crate::harness::{Gateway, KEY, PATIENCE, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{request, ticket};

/// What a Spanish Thalamus calls its statuses.
const TABLE: &str = "    tables:\n      status:\n        Abierto: open\n        \
                     En curso: in_progress <- on_hold\n        Resuelto: resolved <- approved\n        \
                     Cerrado ✓: closed <- cancelled, rejected\n";

async fn gateway(url: &str) -> Gateway {
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Thalamus, url));
    text.push_str(TABLE);
    text.push_str("routes:\n");
    let mut files = Vec::new();
    for client in Vendor::ALL {
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        // The Thalamus client's ids are the upstream's own.
        let ids = if client == Vendor::Thalamus {
            "same".to_owned()
        } else {
            format!("{{file: {client}.csv}}")
        };
        text.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    \
             match: {{host: {client}.test}}\n    settings: {settings}\n    ids: {{ticket: {ids}}}\n"
        ));
        let pair = format!("client_id,upstream_id\n{},10\n", ticket(client, 1));
        files.push((format!("{client}.csv"), pair));
    }
    Gateway::start(&text, &files).await
}

#[tokio::test]
async fn an_instances_words_are_written_and_read() {
    let scripted = Scripted::start(Act::Wait).await;
    let gateway = gateway(&scripted.url).await;
    // What the client says, what the instance is sent, what it answers, what the client gets.
    let cases = [
        (Vendor::Arena, "NOT_STARTED", "Abierto", "Abierto", "Not Started"),
        (Vendor::Series, "in-progress", "En curso", "En curso", "in-progress"),
        (Vendor::Akana, "ticket.action.resolve", "Resuelto", "Resuelto", "RESOLVED"),
        (Vendor::Zstack, "cancel", "Cerrado ✓", "Cerrado ✓", "Cancelled"),
        // Another status than the one that was asked for; in other letters.
        (Vendor::Series, "closed", "Cerrado ✓", "RESUELTO", "resolved"),
        // The mapping's own words are not the instance's any more: what was asked for stands.
        (Vendor::Series, "open", "Abierto", "closed", "open"),
        // Of one vendor as well: this client speaks the mapping's words.
        (Vendor::Thalamus, "In progress", "En curso", "En curso", "in_progress"),
        (Vendor::Thalamus, "resolved", "Resuelto", "Cerrado ✓", "closed"),
    ];
    for (client, says, sent, answered, told) in cases {
        let what = format!("{client} says {says}");
        let body = format!(r#"{{"context":{{}},"case":{{"id":10,"status":"{answered}"}}}}"#);
        scripted.act(message("201 Created", "application/json", &body));
        let ours = if client == Vendor::Thalamus { "10".to_owned() } else { ticket(client, 1) };
        let request = request(client, &ours, says, KEY);
        let host = format!("{client}.test");
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("Host", &host));
        let got = gateway.call(&request.line, &headers, &request.body).await;
        let seen = scripted.take_seen();
        assert_eq!(seen.len(), 1, "{what}: {got:?}");
        let wanted = format!("\r\n\r\n{{\"statusName\":\"{sent}\"}}");
        assert!(seen[0].ends_with(&wanted), "{what}: {}", seen[0]);
        let (status, body) = match client {
            Vendor::Arena => (201, format!(r#"{{"guid":"{ours}","status":{{"value":"{told}"}}}}"#)),
            Vendor::Series => {
                let data = format!(r#"{{"message":"Status changed to {told}"}}"#);
                (200, format!(r#"{{"success":true,"data":{data}}}"#))
            }
            Vendor::Akana => (200, told.to_owned()),
            Vendor::Thalamus => {
                (201, format!(r#"{{"context":{{}},"case":{{"id":10,"status":"{told}"}}}}"#))
            }
            Vendor::Zstack => {
                (200, format!(r#"{{"inventory":{{"uuid":"{ours}","status":"{told}"}}}}"#))
            }
        };
        assert_eq!((got.status, got.body.as_str()), (status, body.as_str()), "{what}: {got:?}");
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}");
    }
    // A word of the instance's is none of the client's mapping.
    let request = request(Vendor::Thalamus, "10", "Resuelto", KEY);
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", "thalamus.test"));
    let got = gateway.call(&request.line, &headers, &request.body).await;
    assert_eq!(got.header("x-latimer-fault"), Some("invalid_status"), "{got:?}");
    assert!(scripted.take_seen().is_empty(), "nothing may be sent");
    gateway.stop().await;
}

/// Runs a command on a configuration whose line 7 is `tables:`, with these lines below.
async fn run(arguments: &[&str], tables: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latimer.yaml");
    let mappings = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings");
    let text = format!(
        "mappings: {mappings}\nupstreams:\n  desk:\n    vendor: thalamus\n    \
         url: http://127.0.0.1:7004\n    settings: {{touchpoint: web}}\n    tables:\n{tables}    \
         credential: {{token: {{env: TEST_TOKEN}}}}\nconsumers:\n  tester: {{key: {{env: TEST_KEY}}}}\n\
         routes:\n  main: {{client: series, upstream: desk, consumers: [tester]}}\n\
         listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
    command.args(arguments).arg("--config").arg(&path);
    command.env("TEST_TOKEN", "token").env("TEST_KEY", KEY);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    // A program that starts after all would never end by itself.
    tokio::time::timeout(PATIENCE, output).await.expect("the program ends in time").unwrap()
}

const RIGHT: &str = "      status:\n        Abierto: open\n        En curso: in_progress <- on_hold\n        \
                     Resuelto: resolved <- approved\n        Cerrado: closed <- cancelled, rejected\n";

#[tokio::test]
async fn a_broken_table_is_refused_where_it_stands() {
    let spoilt = |from: &str, to: &str| {
        assert!(RIGHT.contains(from), "{from}");
        RIGHT.replacen(from, to, 1)
    };
    let cases = [
        ("M001", "9:18", "a table row", spoilt("Abierto: open", "Abierto: [open]")),
        ("M002", "9:18", "`opened`", spoilt("Abierto: open", "Abierto: opened")),
        ("M003", "8:7", "`state`", spoilt("status:", "state:")),
        (
            "M005",
            "10:9",
            "`open`",
            spoilt("in_progress <- on_hold", "in_progress <- open, on_hold"),
        ),
        (
            "M006",
            "12:9",
            "`ABIERTO`",
            spoilt("status:", "status:\n        ignore_case: true").replace("Resuelto", "ABIERTO"),
        ),
        ("M016", "8:7", "rejected", spoilt("cancelled, rejected", "cancelled")),
        (
            "M002",
            "9:46",
            "`nobody`",
            spoilt("Abierto: open", "Abierto: {means: open, with: {note: <nobody>}}"),
        ),
    ];
    for (code, place, names, tables) in cases {
        for arguments in [&["serve"][..], &["serve", "--check"], &["check"]] {
            let what = format!("{arguments:?} of\n{tables}");
            let output = run(arguments, &tables).await;
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
            assert!(said.contains(&format!("error[{code}]")), "{what}: {said}");
            assert!(said.contains(&format!("latimer.yaml:{place}\n")), "{what}: {said}");
            assert!(said.contains(names), "{what}: {said}");
        }
    }
    let output = run(&["serve", "--check"], RIGHT).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
