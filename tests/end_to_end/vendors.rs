//! The vendors as their pages have them: requests, words, answers. Written by hand.

use latimer::sim::Vendor;
use serde_json::{Value, json};

use crate::harness::KEY;

/// What a client can say: the text on the wire and the canonical word (LANGUAGE §7).
pub(crate) fn sayable(client: Vendor) -> &'static [(&'static str, &'static str)] {
    match client {
        Vendor::Arena => {
            &[("NOT_STARTED", "open"), ("IN_PROGRESS", "in_progress"), ("COMPLETE", "resolved")]
        }
        Vendor::Series => &[
            ("open", "open"),
            ("in-progress", "in_progress"),
            ("resolved", "resolved"),
            ("closed", "closed"),
        ],
        Vendor::Akana => &[
            ("ticket.action.resolve", "resolved"),
            ("ticket.action.close", "closed"),
            ("ticket.action.reopen", "open"),
        ],
        Vendor::Thalamus => &[
            ("open", "open"),
            ("In progress", "in_progress"),
            ("RESOLVED", "resolved"),
            ("closed", "closed"),
        ],
        Vendor::Zstack => &[
            ("reopen", "open"),
            ("open", "open"),
            ("approve", "approved"),
            ("cancel", "cancelled"),
            ("reject", "rejected"),
        ],
    }
}

/// What an upstream is told for a word, and the word that its answer then means; `None` where it
/// cannot be told.
pub(crate) fn told(upstream: Vendor, word: &str) -> Option<(&'static str, &'static str)> {
    Some(match (upstream, word) {
        (Vendor::Arena, "open") => ("NOT_STARTED", "open"),
        (Vendor::Arena, "in_progress") => ("IN_PROGRESS", "in_progress"),
        (Vendor::Arena, "resolved" | "closed") => ("COMPLETE", "resolved"),
        (Vendor::Series, "open") => ("open", "open"),
        (Vendor::Series, "in_progress") => ("in-progress", "in_progress"),
        (Vendor::Series | Vendor::Thalamus, "resolved" | "approved") => ("resolved", "resolved"),
        (Vendor::Series | Vendor::Thalamus, "closed" | "cancelled" | "rejected") => {
            ("closed", "closed")
        }
        (Vendor::Thalamus, "open") => ("open", "open"),
        (Vendor::Thalamus, "in_progress") => ("in_progress", "in_progress"),
        (Vendor::Akana, "resolved" | "approved") => ("ticket.action.resolve", "resolved"),
        (Vendor::Akana, "closed" | "cancelled" | "rejected") => ("ticket.action.close", "closed"),
        (Vendor::Akana, "open") => ("ticket.action.reopen", "open"),
        // A first approval is not the last one: a second approver may still refuse.
        (Vendor::Zstack, "approved" | "resolved") => ("approve", "in_progress"),
        (Vendor::Zstack, "cancelled" | "closed") => ("cancel", "cancelled"),
        (Vendor::Zstack, "rejected") => ("reject", "rejected"),
        (Vendor::Zstack, "open") => ("reopen", "open"),
        _ => return None,
    })
}

/// The status in an answer to a client, for a word.
pub(crate) fn answered(client: Vendor, word: &str) -> &'static str {
    match (client, word) {
        (Vendor::Arena, "open") => "Not Started",
        (Vendor::Arena, "in_progress") => "In Progress",
        (Vendor::Arena, _) => "Complete",
        (Vendor::Series, "in_progress") => "in-progress",
        (Vendor::Thalamus, "in_progress") => "in_progress",
        (Vendor::Series | Vendor::Thalamus, "open") => "open",
        (Vendor::Series | Vendor::Thalamus, "resolved" | "approved") => "resolved",
        (Vendor::Series | Vendor::Thalamus, _) => "closed",
        (Vendor::Akana, "open" | "in_progress") => "OPEN",
        (Vendor::Akana, "resolved" | "approved") => "RESOLVED",
        (Vendor::Akana, _) => "CLOSED",
        (Vendor::Zstack, "open") => "Pending",
        (Vendor::Zstack, "in_progress") => "IntermediateApproved",
        (Vendor::Zstack, "approved" | "resolved") => "FinalApproved",
        (Vendor::Zstack, "cancelled" | "closed") => "Cancelled",
        (Vendor::Zstack, _) => "Rejected",
    }
}

/// A ticket's id in a vendor's own form, by number.
pub(crate) fn ticket(vendor: Vendor, number: usize) -> String {
    match vendor {
        Vendor::Arena => format!("ABCDEFGHIJKLMNOP{number:04}"),
        Vendor::Series => format!("TICKET-1234567890-{number:04}"),
        Vendor::Akana => format!("ticket{number}.acmepaymentscorp"),
        Vendor::Thalamus => format!("{}", 100_000 + number),
        Vendor::Zstack => format!("e9377476db3f375bbff78dc3b920{number:04}"),
    }
}

/// The file of the ids that two systems have for the same tickets.
pub(crate) fn crosswalk(
    client: Vendor,
    upstream: Vendor,
    numbers: impl IntoIterator<Item = usize>,
) -> String {
    let mut pairs = "client_id,upstream_id\n".to_owned();
    for number in numbers {
        pairs.push_str(&format!("{},{}\n", ticket(client, number), ticket(upstream, number)));
    }
    pairs
}

/// The status that a fresh ticket has so that the upstream can be told this.
pub(crate) fn fresh(upstream: Vendor, wire: &str) -> &'static str {
    match upstream {
        Vendor::Arena => "NOT_STARTED",
        Vendor::Series | Vendor::Thalamus => "open",
        Vendor::Akana if wire == "ticket.action.reopen" => "RESOLVED",
        Vendor::Akana => "OPEN",
        Vendor::Zstack => "Pending",
    }
}

/// A request as the page has it: line, header fields, body.
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// What a client of the vendor sends.
pub(crate) fn request(vendor: Vendor, ticket: &str, wire: &str, key: &str) -> Request {
    let json = ("Content-Type", "application/json".to_owned());
    let (line, headers, body) = match vendor {
        Vendor::Arena => (
            "POST /v1/tickets/statuschanges".to_owned(),
            vec![("arena_session_id", key.to_owned()), json],
            format!(r#"{{ "ticket": {{ "guid": "{ticket}" }}, "status": "{wire}" }}"#),
        ),
        Vendor::Series => (
            format!("POST /tickets/{ticket}/status"),
            vec![("apikey", key.to_owned()), json],
            format!(r#"{{ "status": "{wire}", "staffUserId": 123 }}"#),
        ),
        Vendor::Akana => (
            format!("POST /api/tickets/{ticket}/actions"),
            vec![
                ("Accept", "*/*".to_owned()),
                ("Cookie", format!("AtmoAuthToken_acmepaymentscorp={key}")),
                ("Content-Type", "application/json; charset=UTF-8".to_owned()),
            ],
            format!(r#"{{ "ActionName": "{wire}" }}"#),
        ),
        Vendor::Thalamus => (
            format!("PUT /api/v4/cases/{ticket}/transitions"),
            vec![
                ("Thalamus-Token", key.to_owned()),
                ("Thalamus-Touchpoint", "web".to_owned()),
                json,
            ],
            format!(r#"{{ "statusName": "{wire}" }}"#),
        ),
        Vendor::Zstack => (
            format!("PUT /zstack/v1/tickets/{ticket}/actions"),
            vec![("Authorization", format!("OAuth {key}")), json],
            format!(r#"{{ "changeTicketStatus": {{ "statusEvent": "{wire}" }} }}"#),
        ),
    };
    Request { line, headers, body }
}

/// What a client of the vendor sends to read a ticket.
pub(crate) fn reading(vendor: Vendor, ticket: &str, key: &str) -> Request {
    let (line, headers) = match vendor {
        Vendor::Arena => {
            (format!("GET /v1/tickets/{ticket}"), vec![("arena_session_id", key.to_owned())])
        }
        Vendor::Series => (format!("GET /tickets/get/{ticket}"), vec![("apikey", key.to_owned())]),
        Vendor::Akana => (
            format!("GET /api/tickets/{ticket}"),
            vec![
                ("Accept", "application/json".to_owned()),
                ("Cookie", format!("AtmoAuthToken_acmepaymentscorp={key}")),
            ],
        ),
        Vendor::Thalamus => (
            format!("GET /api/v4/cases/{ticket}"),
            vec![("Thalamus-Token", key.to_owned()), ("Thalamus-Touchpoint", "web".to_owned())],
        ),
        Vendor::Zstack => (
            format!("GET /zstack/v1/tickets/{ticket}"),
            vec![("Authorization", format!("OAuth {key}"))],
        ),
    };
    Request { line, headers, body: String::new() }
}

/// The body that an upstream is sent.
pub(crate) fn sent(upstream: Vendor, ticket: &str, wire: &str, client: Vendor) -> String {
    match upstream {
        Vendor::Arena => format!(r#"{{"ticket":{{"guid":"{ticket}"}},"status":"{wire}"}}"#),
        Vendor::Series => {
            assert_ne!(client, Vendor::Series, "between two of a kind the bytes pass");
            format!(r#"{{"status":"{wire}","staffUserId":987654321}}"#)
        }
        Vendor::Akana => format!(r#"{{"ActionName":"{wire}"}}"#),
        Vendor::Thalamus => format!(r#"{{"statusName":"{wire}"}}"#),
        Vendor::Zstack => format!(r#"{{"changeTicketStatus":{{"statusEvent":"{wire}"}}}}"#),
    }
}

/// The request line that an upstream sees.
pub(crate) fn seen_line(upstream: Vendor, ticket: &str) -> String {
    match upstream {
        Vendor::Arena => "POST /v1/tickets/statuschanges".to_owned(),
        _ => request(upstream, ticket, "", KEY).line,
    }
}

/// The answer that a client gets, where another vendor is behind: exactly what is known.
pub(crate) fn answer(client: Vendor, upstream: Vendor, ticket: &str, word: &str) -> (u16, Value) {
    let status = answered(client, word);
    match client {
        Vendor::Arena => {
            let mut body = json!({"guid": ticket, "status": {"value": status}});
            if upstream == Vendor::Zstack {
                body["title"] = json!("ticket");
                body["description"] = json!("ticket description");
            }
            (201, body)
        }
        Vendor::Series => {
            let message = format!("Status changed to {status}");
            (200, json!({"success": true, "data": {"message": message}}))
        }
        Vendor::Akana => (200, json!(status)),
        Vendor::Thalamus => {
            let id: u64 = ticket.parse().unwrap();
            (201, json!({"context": {}, "case": {"id": id, "status": status}}))
        }
        Vendor::Zstack => {
            let mut body = json!({"inventory": {"uuid": ticket, "status": status}});
            if upstream == Vendor::Arena {
                body["inventory"]["name"] = json!("Paint chipping on new Model 3000");
                body["inventory"]["description"] = json!("");
            }
            (200, body)
        }
    }
}
