//! The same for a client that reads: nothing it is told is unknown, and ZStack has rows of its own.

use super::*;
use crate::vendors::reading;

/// What it is told by, of what the upstream is understood to say of a change.
fn of_a_read(said: &Said) -> &'static str {
    match (said.vendor, said.reads) {
        // What is said of our credential is not the client's business; and a read changes nothing.
        (_, "unauthenticated" | "outcome_unknown") => "upstream_failed",
        // Of a query ZStack's codes of changes say less, and answers that no row has are a failure.
        (Vendor::Zstack, "invalid_status") => "invalid_request",
        (
            Vendor::Zstack,
            "conflict" | "method_not_allowed" | "too_large" | "unsupported_media_type",
        ) => "upstream_failed",
        (_, reads) => reads,
    }
}

fn told_of_a_read(client: Client, fault: &str, path: &str) -> Told {
    let text =
        |fault| Told { body: told::own(fault).to_owned(), ..told(client, "invalid_request", path) };
    match (client, fault) {
        (Client::Zstack, "not_found" | "invalid_id") => {
            Told { status: 200, media_type: "", body: r#"{"inventories":[]}"#.to_owned() }
        }
        // Told as the general fault, in words of its own.
        (
            Client::Zstack,
            "invalid_status"
            | "conflict"
            | "already_closed"
            | "method_not_allowed"
            | "too_large"
            | "unsupported_media_type",
        ) => text(fault),
        _ => told(client, fault, path),
    }
}

fn request(client: Client) -> Request {
    let vendor = client.vendor();
    let mut request = reading(vendor, &ticket(vendor, 1), KEY);
    if client == Client::AkanaXml {
        request.headers.retain(|(name, _)| *name != "Accept");
        request.headers.push(("Accept", "application/xml".to_owned()));
    }
    request
}

#[tokio::test]
async fn every_fault_of_every_upstream_that_is_read_from() {
    let mut upstreams = Vec::new();
    for vendor in Vendor::ALL {
        upstreams.push((vendor, Scripted::start(Act::Wait).await));
    }
    let gateway = gateway("", &upstreams).await;
    let mut wrong = Vec::new();
    let everything = everything();
    for said in &everything {
        let (_, scripted) = upstreams.iter().find(|(vendor, _)| *vendor == said.vendor).unwrap();
        let fault = of_a_read(said);
        for client in Client::ALL {
            let request = request(client);
            scripted.act(act(said));
            let got = call(&gateway, client, said.vendor, &request).await;
            let what =
                format!("{client:?} of {}, which says {} {}", said.vendor, said.status, said.body);
            assert_eq!(scripted.take_seen().len(), 1, "{what}");
            let path = request.line.split_once(' ').unwrap().1;
            let told = told_of_a_read(client, fault, path);
            // The methods of a path are told where the fault has a row of its own.
            let difference = difference(&got, &told, client, fault, &[]);
            wrong.extend(difference.map(|difference| format!("{what}:\n{difference}")));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    gateway.stop().await;
}
