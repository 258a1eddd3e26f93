//! What a client says besides a status: ZStack's and Akana's may, and only these two systems have a place for it
//! (FACTS §6). Where there is none, the client is told.

use latimer::sim::{Simulator, Vendor};

use crate::harness::{Gateway, every_pair, simulator};
use crate::vendors::{fresh, request, seen_line, ticket, told};

/// A body with a comment, of that type, and what the comment is.
struct Said {
    client: Vendor,
    media_type: &'static str,
    body: &'static str,
    comment: &'static str,
}

/// FACTS §1.1 and §4: a text; a list of texts, of which samples have one as it is; and an element for each.
const SAID: [Said; 4] = [
    Said {
        client: Vendor::Zstack,
        media_type: "application/json",
        body: r#"{"changeTicketStatus":{"statusEvent":"approve","comment":"Bug is fixed.\nResolving."}}"#,
        comment: "Bug is fixed.\nResolving.",
    },
    Said {
        client: Vendor::Akana,
        media_type: "application/json",
        body: r#"{"ActionName":"ticket.action.resolve","Comments":"Bug is fixed. Resolving."}"#,
        comment: "Bug is fixed. Resolving.",
    },
    Said {
        client: Vendor::Akana,
        media_type: "application/vnd.soa.v81+json",
        body: r#"{"ActionName":"ticket.action.resolve","Comments":["Bug is fixed.","Resolving."]}"#,
        comment: "Bug is fixed.\nResolving.",
    },
    Said {
        client: Vendor::Akana,
        media_type: "application/xml",
        body: "<a:Action xmlns:a=\"urn:x\"><a:ActionName>ticket.action.resolve</a:ActionName>\
               <a:Comments>Bug is fixed.</a:Comments><a:Comments>Resolving.</a:Comments></a:Action>",
        comment: "Bug is fixed.\nResolving.",
    },
];

async fn systems() -> Vec<Simulator> {
    let mut systems = Vec::new();
    for vendor in Vendor::ALL {
        let tickets = (1..=9).map(|number| (ticket(vendor, number), fresh(vendor, "")));
        systems.push(simulator(vendor, &tickets.collect::<Vec<_>>()).await);
    }
    systems
}

#[tokio::test]
async fn a_comment_comes_along_or_the_client_is_told_that_it_did_not() {
    let systems = systems().await;
    let urls: Vec<_> = systems.iter().map(|system| (system.vendor(), system.url())).collect();
    let (text, files) = every_pair(&urls, "", |client, upstream| {
        (1..=9).map(|number| (ticket(client, number), ticket(upstream, number))).collect()
    });
    let gateway = Gateway::start(&text, &files).await;
    for system in &systems {
        let upstream = system.vendor();
        for (number, said) in (1..).zip(SAID) {
            let client = said.client;
            // Arena has no word for an approval.
            if client == upstream
                || client == Vendor::Zstack && told(upstream, "approved").is_none()
            {
                continue;
            }
            let what = format!("{client} as {} to {upstream}", said.media_type);
            let page = request(client, &ticket(client, number), "", crate::harness::KEY);
            let host = format!("{client}-{upstream}.test");
            let mut headers = vec![("Host", host.as_str()), ("Content-Type", said.media_type)];
            let others = page.headers.iter().filter(|(name, _)| *name != "Content-Type");
            headers.extend(others.map(|(name, value)| (*name, value.as_str())));
            let got = gateway.call(&page.line, &headers, said.body).await;
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
            let log = system.log();
            let sent = log.last().unwrap();
            let line = seen_line(upstream, &ticket(upstream, number));
            assert!(line.ends_with(&sent.target), "{what}: {sent:?}");
            let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
            let (place, dropped) = match upstream {
                Vendor::Zstack => (Some(&body["changeTicketStatus"]["comment"]), None),
                Vendor::Akana => (Some(&body["Comments"]), None),
                _ => (None, Some("comment")),
            };
            assert_eq!(got.header("x-latimer-dropped"), dropped, "{what}: {got:?}");
            match place {
                // A list has a line in each of its texts.
                Some(serde_json::Value::Array(lines)) => {
                    let lines: Vec<&str> = lines.iter().filter_map(|line| line.as_str()).collect();
                    assert_eq!(lines.join("\n"), said.comment, "{what}: {body}");
                }
                Some(text) => assert_eq!(text, said.comment, "{what}: {body}"),
                None => assert!(!sent.body.contains("Bug is fixed."), "{what}: {body}"),
            }
        }
    }
    gateway.stop().await;
}
