//! Reading a ticket: all 25 pairs, every status that the upstream has; and what is refused.

use latimer::sim::{Simulator, Vendor};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, KEY, every_pair, simulator, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{Request, answered, reading, ticket};

/// The statuses that a ticket of the vendor may have: the name on the wire, and the word that it means
/// (LANGUAGE §7).
fn statuses(upstream: Vendor) -> &'static [(&'static str, &'static str)] {
    match upstream {
        Vendor::Arena => {
            &[("NOT_STARTED", "open"), ("IN_PROGRESS", "in_progress"), ("COMPLETE", "resolved")]
        }
        Vendor::Series => &[
            ("open", "open"),
            ("in-progress", "in_progress"),
            ("resolved", "resolved"),
            ("closed", "closed"),
        ],
        Vendor::Akana => {
            &[("OPEN", "open"), ("REOPEN", "open"), ("RESOLVED", "resolved"), ("CLOSED", "closed")]
        }
        Vendor::Thalamus => &[
            ("open", "open"),
            ("in_progress", "in_progress"),
            ("resolved", "resolved"),
            ("closed", "closed"),
        ],
        Vendor::Zstack => &[
            ("Pending", "open"),
            ("IntermediateApproved", "in_progress"),
            ("FinalApproved", "approved"),
            ("Cancelled", "cancelled"),
            ("Rejected", "rejected"),
        ],
    }
}

/// What else is known of a ticket of the simulated vendor: title, number, description.
fn known(upstream: Vendor) -> [Option<&'static str>; 3] {
    match upstream {
        // The objects of the vendors' pages.
        Vendor::Arena => [Some("Paint chipping on new Model 3000"), Some("DEF-000004"), Some("")],
        Vendor::Zstack => [Some("ticket"), None, Some("ticket description")],
        Vendor::Akana => [Some("Simulated ticket"), None, Some("")],
        Vendor::Series | Vendor::Thalamus => [None, None, None],
    }
}

/// The answer that a client gets, where another vendor is behind: exactly what is known.
fn wanted(client: Vendor, upstream: Vendor, ticket: &str, word: &str) -> Value {
    let status = answered(client, word);
    let [title, number, description] = known(upstream);
    let with = |mut object: Value, names: [&str; 3]| {
        for (name, value) in names.into_iter().zip([title, number, description]) {
            if let Some(value) = value.filter(|_| !name.is_empty()) {
                object[name] = json!(value);
            }
        }
        object
    };
    match client {
        Vendor::Arena => with(
            json!({"guid": ticket, "status": {"value": status}}),
            ["title", "number", "description"],
        ),
        Vendor::Series => {
            let ticket = json!({"TicketId": ticket, "Status": status});
            let ticket = with(ticket, ["Title", "", "Description"]);
            json!({"success": true, "data": {"Ticket": ticket}})
        }
        Vendor::Akana => {
            with(json!({"TicketID": ticket, "State": status}), ["Title", "", "Description"])
        }
        Vendor::Thalamus => {
            let id: u64 = ticket.parse().unwrap();
            json!({"context": {}, "case": {"id": id, "status": status}})
        }
        Vendor::Zstack => {
            let inventory = json!({"uuid": ticket, "status": status});
            json!({"inventories": [with(inventory, ["name", "", "description"])]})
        }
    }
}

/// Every upstream's tickets: one of each status, and a last one that nobody has.
struct Stage {
    simulators: Vec<Simulator>,
    gateway: Gateway,
}

/// The number of the ticket that every file of pairs has, and no upstream.
const GONE: usize = 9;

impl Stage {
    async fn start() -> Self {
        let (mut simulators, mut urls) = (Vec::new(), Vec::new());
        for vendor in Vendor::ALL {
            let tickets: Vec<(String, &str)> = (0..)
                .zip(statuses(vendor))
                .map(|(number, (wire, _))| (ticket(vendor, number), *wire))
                .collect();
            let simulator = simulator(vendor, &tickets).await;
            urls.push((vendor, simulator.url()));
            simulators.push(simulator);
        }
        let (text, files) = every_pair(&urls, "", |client, upstream| {
            (0..=GONE).map(|number| (ticket(client, number), ticket(upstream, number))).collect()
        });
        Self { simulators, gateway: Gateway::start(&text, &files).await }
    }

    async fn send(&self, client: Vendor, upstream: Vendor, request: &Request) -> Answer {
        let host = format!("{client}-{upstream}.test");
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("Host", &host));
        self.gateway.call(&request.line, &headers, &request.body).await
    }

    fn simulator(&self, vendor: Vendor) -> &Simulator {
        self.simulators.iter().find(|simulator| simulator.vendor() == vendor).unwrap()
    }

    async fn stop(self) {
        self.gateway.stop().await;
        for simulator in self.simulators {
            simulator.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_reads_a_ticket_of_every_upstream() {
    let stage = Stage::start().await;
    for client in Vendor::ALL {
        for upstream in Vendor::ALL {
            for (number, (wire, word)) in (0..).zip(statuses(upstream)) {
                let what = format!("{client} reads {wire} of {upstream}");
                let (ours, theirs) = (ticket(client, number), ticket(upstream, number));
                let simulator = stage.simulator(upstream);
                simulator.clear_log();
                let got = stage.send(client, upstream, &reading(client, &ours, KEY)).await;
                let seen = simulator.log();
                assert_eq!(seen.len(), 1, "{what}: one request goes upstream: {got:?}");
                let asked = reading(upstream, &theirs, &upstream.default_token());
                assert_eq!(format!("{} {}", seen[0].method, seen[0].target), asked.line, "{what}");
                assert_eq!(seen[0].body, "", "{what}");
                for (name, value) in &asked.headers {
                    let has = |(known, sent): &(String, String)| {
                        known.eq_ignore_ascii_case(name) && sent == value
                    };
                    assert!(seen[0].headers.iter().any(has), "{what}: {name}: {seen:?}");
                }
                assert_eq!(got.status, 200, "{what}: {got:?}");
                assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}");
                let whole: Value = if client == upstream {
                    // Between two of a kind what is private to the vendor passes too.
                    let body = seen[0].answer_body.as_str();
                    // One that was opened again is open: the two are one word.
                    serde_json::from_str(&body.replace("\"REOPEN\"", "\"OPEN\"")).unwrap()
                } else {
                    wanted(client, upstream, &ours, word)
                };
                assert_eq!(got.json(), whole, "{what}");
                let typed = (client != Vendor::Zstack).then_some("application/json");
                assert_eq!(got.header("content-type"), typed, "{what}");
                assert_eq!(simulator.status(&theirs).as_deref(), Some(*wire), "{what}: unchanged");
            }
        }
    }
    stage.stop().await;
}

/// What a client is told of a ticket that the upstream does not have: status, body.
fn gone(client: Vendor) -> (u16, Value) {
    match client {
        Vendor::Arena => {
            let error = json!({"code": 3012, "message": "The ticket does not exist"});
            (400, json!({"status": 400, "errors": [error]}))
        }
        Vendor::Series => {
            let error = json!({"code": 404, "message": "Ticket not found"});
            (404, json!({"success": false, "error": error}))
        }
        Vendor::Akana => (404, json!({"faultcode": "Client", "faultstring": "Not Found"})),
        Vendor::Thalamus => (400, json!({"errors": {"caseInstanceId": "invalidId"}})),
        // A query that finds nothing.
        Vendor::Zstack => (200, json!({"inventories": []})),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_the_upstream_does_not_have() {
    let stage = Stage::start().await;
    for client in Vendor::ALL {
        for upstream in Vendor::ALL {
            let what = format!("{client} of {upstream}");
            let request = reading(client, &ticket(client, GONE), KEY);
            let got = stage.send(client, upstream, &request).await;
            assert_eq!((got.status, got.json()), gone(client), "{what}");
            assert_eq!(got.header("x-latimer-fault"), Some("not_found"), "{what}");
            assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{what}");
            assert_eq!(stage.simulator(upstream).log().len(), 1, "{what}: it was asked for");
            stage.simulator(upstream).clear_log();
        }
        // One that the file of pairs does not have is asked for nowhere.
        let other = Vendor::ALL[usize::from(client == Vendor::ALL[0])];
        let got = stage.send(client, other, &reading(client, &ticket(client, 77), KEY)).await;
        assert_eq!((got.status, got.json()), gone(client), "{client}");
        assert_eq!(got.header("x-latimer-fault"), Some("not_found"), "{client}");
        assert!(stage.simulator(other).log().is_empty(), "{client}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_read_is_told_so_in_its_own_words() {
    let stage = Stage::start().await;
    for client in Vendor::ALL {
        let upstream = Vendor::ALL[usize::from(client == Vendor::ALL[0])];
        let id = ticket(client, 0);
        let keyless = |header: &str| {
            let mut request = reading(client, &id, KEY);
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header));
            request
        };
        let header = reading(client, &id, KEY).headers.into_iter().find(|(_, v)| v.contains(KEY));
        for (request, fault) in [
            (reading(client, &id, "nobody's"), "unauthenticated"),
            (keyless(header.unwrap().0), "credentials_missing"),
        ] {
            let got = stage.send(client, upstream, &request).await;
            let status = match (client, fault) {
                (Vendor::Arena | Vendor::Series | Vendor::Akana, _) => 401,
                (Vendor::Thalamus, _) | (Vendor::Zstack, "credentials_missing") => 400,
                (Vendor::Zstack, _) => 503,
            };
            assert_eq!(got.header("x-latimer-fault"), Some(fault), "{client}: {got:?}");
            assert_eq!((got.status, got.header("x-latimer-outcome")), (status, Some("no")));
        }
        assert!(stage.simulator(upstream).log().is_empty(), "{client}: nothing is sent");
    }
    stage.stop().await;
}

/// No page tells of HEAD.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_verb_is_refused_and_the_right_one_named() {
    let stage = Stage::start().await;
    for client in Vendor::ALL {
        let upstream = Vendor::ALL[usize::from(client == Vendor::ALL[0])];
        for verb in ["HEAD", "DELETE", "PATCH"] {
            let mut request = reading(client, &ticket(client, 0), KEY);
            request.line = request.line.replacen("GET", verb, 1);
            let got = stage.send(client, upstream, &request).await;
            assert_eq!(got.status, 405, "{client} {verb}: {got:?}");
            assert_eq!(got.header("allow"), Some("GET"), "{client} {verb}");
            assert_eq!(got.header("x-latimer-fault"), Some("method_not_allowed"), "{client}");
            assert_eq!(got.body.is_empty(), verb == "HEAD", "{client} {verb}: {got:?}");
        }
        assert!(stage.simulator(upstream).log().is_empty(), "{client}: nothing is sent");
    }
    stage.stop().await;
}

#[tokio::test]
async fn akana_is_read_as_xml_where_the_client_wants_it() {
    let stage = Stage::start().await;
    let id = ticket(Vendor::Akana, 2);
    let mut request = reading(Vendor::Akana, &id, KEY);
    request.headers.retain(|(name, _)| *name != "Accept");
    request.headers.push(("Accept", "application/json;q=0.5, application/xml".to_owned()));
    let xml = |members: &str| format!("<Ticket><TicketID>{id}</TicketID>{members}</Ticket>");
    for (upstream, members) in [
        (Vendor::Thalamus, "<State>RESOLVED</State>"),
        (
            Vendor::Akana,
            "<Title>Simulated ticket</Title><Description></Description><State>RESOLVED</State>",
        ),
    ] {
        let got = stage.send(Vendor::Akana, upstream, &request).await;
        assert_eq!((got.status, got.body.as_str()), (200, xml(members).as_str()), "{upstream}");
        assert_eq!(got.header("content-type"), Some("application/xml"), "{upstream}");
    }
    // A change is answered with a text, a ticket is not.
    request.headers.retain(|(name, _)| *name != "Accept");
    request.headers.push(("Accept", "text/plain".to_owned()));
    let got = stage.send(Vendor::Akana, Vendor::Series, &request).await;
    assert_eq!(got.header("x-latimer-fault"), Some("not_acceptable"), "{got:?}");
    assert_eq!(got.status, 404);
    stage.stop().await;
}

/// Real clients of Arena send `{}` with every GET; and one of ZStack may know no context.
#[tokio::test]
async fn what_clients_in_use_send_is_read() {
    let stage = Stage::start().await;
    let id = ticket(Vendor::Arena, 1);
    let mut request = reading(Vendor::Arena, &id, KEY);
    request.headers.push(("Content-Type", "application/json".to_owned()));
    request.body = "{}".to_owned();
    let got = stage.send(Vendor::Arena, Vendor::Series, &request).await;
    assert_eq!(got.json(), json!({"guid": id, "status": {"value": "In Progress"}}), "{got:?}");
    let id = ticket(Vendor::Zstack, 1);
    let mut request = reading(Vendor::Zstack, &id, KEY);
    request.line = request.line.replace("/zstack", "");
    let got = stage.send(Vendor::Zstack, Vendor::Series, &request).await;
    let inventory = json!({"uuid": id, "status": "IntermediateApproved"});
    assert_eq!(got.json(), json!({"inventories": [inventory]}), "{got:?}");
    stage.stop().await;
}

/// Where a route forwards, a ticket keeps what no mapping knows of it.
#[tokio::test]
async fn a_route_that_forwards_forwards_reads() {
    let body = r#"{ "success": true, "data": {"Ticket": {"Status":"open", "Mood": "calm"}} }"#;
    let scripted = Scripted::start(message("200 OK", "application/json", body)).await;
    for (keys, passes) in [("    unmapped: forward\n", true), ("    unmapped: refuse\n", false)] {
        let text = format!(
            "upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: series\n    \
             consumers: [tester]\n{keys}",
            upstream(Vendor::Series, &scripted.url)
        );
        let gateway = Gateway::start(&text, &[]).await;
        let got = gateway.call("GET /tickets/get/T-1", &[("apikey", KEY)], "").await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body == body, passes, "{got:?}");
        assert_eq!(got.json()["data"]["Ticket"]["Status"], "open");
        gateway.stop().await;
    }
}

/// ZStack's answer to a query says that there is no ticket only where its list is empty.
#[tokio::test]
async fn what_a_query_finds_and_nobody_can_read_is_not_taken_for_nothing() {
    let scripted = Scripted::start(Act::Wait).await;
    let text = format!(
        "upstreams:\n{}routes:\n  main: {{client: series, upstream: zstack, consumers: [tester]}}\n",
        upstream(Vendor::Zstack, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let id = ticket(Vendor::Zstack, 1);
    let parked = format!(r#"{{"inventories":[{{"uuid":"{id}","status":"Parked"}}]}}"#);
    for (body, fault) in [
        (r#"{"inventories":[]}"#, "not_found"),
        ("{\n  \"inventories\": [ ],\n  \"total\": 0\n}", "not_found"),
        (&parked, "upstream_failed"),
        (r#"{"inventories":[{}]}"#, "upstream_failed"),
        (r#"{"inventories":null}"#, "upstream_failed"),
        (r#"{"inventories":{}}"#, "upstream_failed"),
        ("{}", "upstream_failed"),
        ("", "upstream_failed"),
    ] {
        scripted.act(message("200 OK", "", body));
        let line = format!("GET /tickets/get/{id}");
        let got = gateway.call(&line, &[("apikey", KEY)], "").await;
        assert_eq!(got.header("x-latimer-fault"), Some(fault), "{body}: {got:?}");
        assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{body}");
    }
    gateway.stop().await;
}
