//! All 25 pairs, every status that the client can say.

use latimer::sim::Vendor;

use crate::harness::{Gateway, KEY, every_pair, simulator};
use crate::vendors::{answer, fresh, request, sayable, seen_line, sent, ticket, told};

/// One call of the matrix.
struct Case {
    client: Vendor,
    upstream: Vendor,
    /// What the client says, and the word that it means.
    says: (&'static str, &'static str),
    number: usize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for client in Vendor::ALL {
        for upstream in Vendor::ALL {
            for says in sayable(client) {
                cases.push(Case { client, upstream, says: *says, number: cases.len() + 1 });
            }
        }
    }
    cases
}

impl Case {
    /// Between two of a kind the ids are the same, so that the body's bytes can pass.
    fn ids(&self) -> (String, String) {
        (ticket(self.client, self.number), ticket(self.upstream, self.number))
    }
}

/// The ids of the cases of one pair.
fn ids(cases: &[Case], client: Vendor, upstream: Vendor) -> Vec<(String, String)> {
    let own = cases.iter().filter(|case| case.client == client && case.upstream == upstream);
    own.map(Case::ids).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_changes_a_ticket_of_every_upstream() {
    let cases = cases();
    let mut simulators = Vec::new();
    let mut urls = Vec::new();
    for vendor in Vendor::ALL {
        let tickets: Vec<(String, &str)> = cases
            .iter()
            .filter(|case| case.upstream == vendor)
            .map(|case| {
                let wire = told(vendor, case.says.1).map_or("", |(wire, _)| wire);
                (case.ids().1, fresh(vendor, wire))
            })
            .collect();
        let simulator = simulator(vendor, &tickets).await;
        urls.push((vendor, simulator.url()));
        simulators.push(simulator);
    }
    let (text, files) = every_pair(&urls, "", |client, upstream| ids(&cases, client, upstream));
    let gateway = Gateway::start(&text, &files).await;
    for case in &cases {
        let simulator = simulators.iter().find(|s| s.vendor() == case.upstream).unwrap();
        simulator.clear_log();
        check(case, &gateway, simulator).await;
    }
    gateway.stop().await;
    for simulator in simulators {
        simulator.stop().await;
    }
}

async fn check(case: &Case, gateway: &Gateway, simulator: &latimer::sim::Simulator) {
    let (client, upstream) = (case.client, case.upstream);
    let what = format!("{client} says {} to {upstream}", case.says.0);
    let (ours, theirs) = case.ids();
    let request = request(client, &ours, case.says.0, KEY);
    let host = format!("{client}-{upstream}.test");
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", &host));
    let got = gateway.call(&request.line, &headers, &request.body).await;
    let seen = simulator.log();
    let Some((wire, word)) = told(upstream, case.says.1) else {
        assert!(seen.is_empty(), "{what}: nothing may be sent, sent {seen:?}");
        assert_eq!(got.header("x-latimer-fault"), Some("invalid_status"), "{what}: {got:?}");
        assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{what}");
        return;
    };
    assert_eq!(seen.len(), 1, "{what}: one request goes upstream: {got:?}");
    let line = format!("{} {}", seen[0].method, seen[0].target);
    assert_eq!(line, seen_line(upstream, &theirs), "{what}");
    if client == upstream {
        assert_eq!(seen[0].body, request.body, "{what}: the client's bytes pass");
    } else {
        assert_eq!(seen[0].body, sent(upstream, &theirs, wire, client), "{what}");
    }
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
    let (status, wanted) = answer(client, upstream, &ours, word);
    assert_eq!(got.status, status, "{what}: {got:?}");
    if client == Vendor::Akana {
        assert_eq!(got.header("content-type"), Some("text/plain"), "{what}");
        assert_eq!(serde_json::json!(got.body), wanted, "{what}");
    } else if client == upstream {
        check_own(client, &got.json(), &wanted, &what);
    } else {
        assert_eq!(got.json(), wanted, "{what}");
    }
    let typed = got.header("content-type");
    match client {
        Vendor::Zstack => assert_eq!(typed, None, "{what}"),
        Vendor::Akana => {}
        Vendor::Arena | Vendor::Series | Vendor::Thalamus => {
            assert_eq!(typed, Some("application/json"), "{what}");
        }
    }
    if client == Vendor::Arena {
        assert_eq!(got.header("server"), Some("ArenaSolutions"), "{what}");
    }
}

/// Between two of a kind what is private to the vendor passes too.
fn check_own(vendor: Vendor, got: &serde_json::Value, wanted: &serde_json::Value, what: &str) {
    match vendor {
        Vendor::Arena => {
            assert_eq!(got["guid"], wanted["guid"], "{what}");
            assert_eq!(got["status"]["value"], wanted["status"]["value"], "{what}");
            assert_eq!(got["template"]["name"], "Defects", "{what}");
            assert_eq!(got["assignee"]["fullName"], "Heidi Walker", "{what}");
        }
        Vendor::Zstack => {
            let inventory = &got["inventory"];
            assert_eq!(inventory["uuid"], wanted["inventory"]["uuid"], "{what}");
            assert_eq!(inventory["status"], wanted["inventory"]["status"], "{what}");
            assert_eq!(inventory["request"][0]["requestName"], "create vm", "{what}");
        }
        Vendor::Thalamus => {
            assert_eq!(got["case"]["id"], wanted["case"]["id"], "{what}");
            assert_eq!(got["case"]["status"], wanted["case"]["status"], "{what}");
            assert_eq!(got["context"]["simpleProfile"]["firstname"], "test", "{what}");
        }
        Vendor::Series | Vendor::Akana => assert_eq!(got, wanted, "{what}"),
    }
}
