//! Routes whose ids the crosswalk translates: all 25 pairs of vendors, with other ids on both sides.

mod after;
mod away;
mod fleet;
mod lives;
mod missing;
mod people;

use latimer::sim::{Seen, Simulator, Vendor};

use crate::harness::{Answer, Gateway, Home, KEY, every_pair, simulator};
use crate::vendors::{
    Request, answer, answered, fresh, reading, request, sayable, seen_line, sent, ticket, told,
};

/// The callers' number of a ticket and the upstream's: no text of one is in the other.
const APART: usize = 4_000;

/// A ticket's id as the vendor's page has it.
fn of_page(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Arena => "1J3M5I3UHK1GZI1K31L4",
        Vendor::Series => "TICKET-1234567890-ABCD",
        Vendor::Akana => "ticket25687.acmepaymentscorp",
        Vendor::Thalamus => "10",
        Vendor::Zstack => "e9377476db3f375bbff78dc3b9204f00",
    }
}

/// A pair of tickets, as a line of NDJSON.
fn line(client: Vendor, own: &str, upstream: Vendor, theirs: &str) -> String {
    format!(
        "{{\"kind\": \"ticket\", \"{client}-callers\": \"{own}\", \"{upstream}-desk\": \"{theirs}\"}}\n"
    )
}

/// Every pair of vendors, with the crosswalk between them.
struct Stage {
    simulators: Vec<Simulator>,
    gateway: Gateway,
}

impl Stage {
    /// With the tickets that each vendor has, and the pairs that are linked.
    async fn start(tickets: impl Fn(Vendor) -> Vec<(String, &'static str)>, pairs: &str) -> Self {
        let (mut simulators, mut urls) = (Vec::new(), Vec::new());
        for vendor in Vendor::ALL {
            let simulator = simulator(vendor, &tickets(vendor)).await;
            urls.push((vendor, simulator.url()));
            simulators.push(simulator);
        }
        let (mut text, _) = every_pair(&urls, "", |_, _| Vec::new());
        for client in Vendor::ALL {
            for upstream in Vendor::ALL {
                let ids = match client == upstream {
                    true => "{ticket: same}".to_owned(),
                    false => format!("{{ticket: {{file: {client}-{upstream}.csv}}}}"),
                };
                let systems = format!("{{client: {client}-callers, upstream: {upstream}-desk}}");
                let (before, route) =
                    text.split_once(&format!("  {client}-{upstream}:\n")).unwrap();
                let by = format!("ids: {{ticket: crosswalk, systems: {systems}}}");
                let route = route.replacen(&format!("ids: {ids}"), &by, 1);
                text = format!("{before}  {client}-{upstream}:\n{route}");
            }
        }
        let files = [("pairs.ndjson".to_owned(), pairs.to_owned())];
        let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
        let (code, told) = home.crosswalk(&["import", "pairs.ndjson"]).await;
        assert_eq!(code, Some(0), "{told}");
        let gateway = Gateway::launch(&home, home.command()).await;
        Self { simulators, gateway }
    }

    fn simulator(&self, vendor: Vendor) -> &Simulator {
        self.simulators.iter().find(|simulator| simulator.vendor() == vendor).unwrap()
    }

    /// One call, and what the upstream saw of it.
    async fn send(
        &self,
        client: Vendor,
        upstream: Vendor,
        request: &Request,
    ) -> (Answer, Vec<Seen>) {
        let simulator = self.simulator(upstream);
        simulator.clear_log();
        let answer = send(&self.gateway, &format!("{client}-{upstream}.test"), request).await;
        (answer, simulator.log())
    }

    async fn stop(self) {
        self.gateway.stop().await;
        for simulator in self.simulators {
            simulator.stop().await;
        }
    }
}

async fn send(gateway: &Gateway, host: &str, request: &Request) -> Answer {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", host));
    gateway.call(&request.line, &headers, &request.body).await
}

/// Neither the head nor the body has a text.
#[track_caller]
fn lacks(answer: &Answer, text: &str, what: &str) {
    let is_there =
        answer.body.contains(text) || answer.headers.iter().any(|(_, value)| value.contains(text));
    assert!(!is_there, "{what}: {text} is in {answer:?}");
}

/// A path, query, header field or body that was sent has a text.
fn has(seen: &Seen, text: &str) -> bool {
    seen.target.contains(text)
        || seen.body.contains(text)
        || seen.headers.iter().any(|(_, value)| value.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_changes_a_ticket_that_has_another_id_in_every_upstream() {
    let mut cases = Vec::new();
    for client in Vendor::ALL {
        for upstream in Vendor::ALL {
            for says in sayable(client) {
                cases.push((client, upstream, *says));
            }
        }
    }
    let numbered = || (1..).zip(&cases);
    let tickets = |vendor| {
        let own = numbered().filter(|(_, (_, upstream, _))| *upstream == vendor);
        let tickets = own.map(|(number, (_, _, (_, word)))| {
            let wire = told(vendor, word).map_or("", |(wire, _)| wire);
            (ticket(vendor, number + APART), fresh(vendor, wire))
        });
        tickets.collect()
    };
    let mut pairs = String::new();
    for (number, (client, upstream, _)) in numbered() {
        let (own, theirs) = (ticket(*client, number), ticket(*upstream, number + APART));
        pairs.push_str(&line(*client, &own, *upstream, &theirs));
    }
    let stage = Stage::start(tickets, &pairs).await;
    for (number, (client, upstream, (says, word))) in numbered() {
        let (client, upstream) = (*client, *upstream);
        let what = format!("{client} says {says} to {upstream}");
        let (own, theirs) = (ticket(client, number), ticket(upstream, number + APART));
        let said = request(client, &own, says, KEY);
        let (got, seen) = stage.send(client, upstream, &said).await;
        lacks(&got, &theirs, &what);
        let Some((wire, word)) = told(upstream, word) else {
            assert!(seen.is_empty(), "{what}: nothing may be sent, sent {seen:?}");
            assert_eq!(got.header("x-latimer-fault"), Some("invalid_status"), "{what}: {got:?}");
            continue;
        };
        assert_eq!(seen.len(), 1, "{what}: one request goes upstream: {got:?}");
        assert!(has(&seen[0], &theirs) && !has(&seen[0], &own), "{what}: {seen:?}");
        let line = format!("{} {}", seen[0].method, seen[0].target);
        assert_eq!(line, seen_line(upstream, &theirs), "{what}");
        if (client, upstream) == (Vendor::Series, Vendor::Series) {
            // Whom its own callers name is not the upstream's setting.
            assert_eq!(seen[0].body, format!(r#"{{"status":"{wire}","staffUserId":123}}"#));
        } else {
            assert_eq!(seen[0].body, sent(upstream, &theirs, wire, client), "{what}");
        }
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
        let (status, wanted) = answer(client, upstream, &own, word);
        assert_eq!(got.status, status, "{what}: {got:?}");
        let body = match client {
            Vendor::Akana => serde_json::json!(got.body),
            _ => got.json(),
        };
        if client == upstream {
            check_own(client, &body, &own, word, &what);
        } else {
            assert_eq!(body, wanted, "{what}");
        }
    }
    stage.stop().await;
}

/// Between two of a kind there is more that both have a word for; the id and the status are what was asked for.
fn check_own(vendor: Vendor, body: &serde_json::Value, own: &str, word: &str, what: &str) {
    // Which ids stand in what is private to the vendor nobody can tell.
    for private in
        [&body["assignee"], &body["inventory"]["request"], &body["context"]["simpleProfile"]]
    {
        assert!(private.is_null(), "{what}: {body}");
    }
    let status = answered(vendor, word);
    let (id, told) = match vendor {
        Vendor::Arena => (body["guid"].clone(), body["status"]["value"].clone()),
        Vendor::Zstack => (body["inventory"]["uuid"].clone(), body["inventory"]["status"].clone()),
        Vendor::Thalamus => (body["case"]["id"].to_string().into(), body["case"]["status"].clone()),
        Vendor::Series => {
            let message = format!("Status changed to {status}");
            assert_eq!(body["data"]["message"], message, "{what}");
            return;
        }
        Vendor::Akana => return assert_eq!(body, status, "{what}"),
    };
    assert_eq!((id, told), (own.into(), status.into()), "{what}");
}

/// The page's own id is the callers', and what the upstream has is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_reads_a_ticket_that_has_another_id_in_every_upstream() {
    let theirs = |upstream: Vendor, client: usize| ticket(upstream, client + APART);
    let mut pairs = String::new();
    for (index, client) in (0..).zip(Vendor::ALL) {
        for upstream in Vendor::ALL {
            pairs.push_str(&line(client, of_page(client), upstream, &theirs(upstream, index)));
        }
    }
    let tickets = |vendor| (0..5).map(|one| (theirs(vendor, one), fresh(vendor, ""))).collect();
    let stage = Stage::start(tickets, &pairs).await;
    for (index, client) in (0..).zip(Vendor::ALL) {
        for upstream in Vendor::ALL {
            let what = format!("{client} reads of {upstream}");
            let theirs = theirs(upstream, index);
            // What is known is answered like what is not.
            for _ in 0..2 {
                let said = reading(client, of_page(client), KEY);
                let (got, seen) = stage.send(client, upstream, &said).await;
                assert_eq!(seen.len(), 1, "{what}: one request goes upstream: {got:?}");
                let asked = reading(upstream, &theirs, "").line;
                assert_eq!(format!("{} {}", seen[0].method, seen[0].target), asked, "{what}");
                assert_eq!(
                    (got.status, got.header("x-latimer-outcome")),
                    (200, Some("yes")),
                    "{what}"
                );
                lacks(&got, &theirs, &what);
                let body = got.json();
                let id = match client {
                    Vendor::Arena => &body["guid"],
                    Vendor::Series => &body["data"]["Ticket"]["TicketId"],
                    Vendor::Akana => &body["TicketID"],
                    Vendor::Thalamus => &body["case"]["id"],
                    Vendor::Zstack => &body["inventories"][0]["uuid"],
                };
                let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                assert_eq!(id, of_page(client), "{what}");
            }
        }
    }
    stage.stop().await;
}
