//! `enrich: on`: what the answer of a write leaves out is read from the ticket.

use std::path::Path;
use std::time::Instant;

use latimer::sim::Vendor;
use serde_json::json;

use crate::harness::{Answer, Gateway, KEY, every_pair, exchange, simulator, upstream};
use crate::scripted::{Act, Scripted, answer as reply, message};
use crate::vendors::{answer, fresh, reading, request, sayable, ticket, told};

/// The fields that the client's vendor has a place for in its answer, that the upstream's answer leaves out, and
/// that its ticket may have.
fn is_read(client: Vendor, upstream: Vendor) -> bool {
    matches!(client, Vendor::Arena | Vendor::Zstack)
        && matches!(upstream, Vendor::Series | Vendor::Akana)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_misses_is_read_and_nothing_else_is() {
    let says = |client, upstream| {
        let mut sayable = sayable(client).iter();
        sayable.find_map(|(wire, word)| Some((*wire, told(upstream, word)?))).unwrap()
    };
    let number = |client: Vendor| Vendor::ALL.iter().position(|known| *known == client).unwrap();
    let (mut simulators, mut urls) = (Vec::new(), Vec::new());
    for upstream in Vendor::ALL {
        let tickets: Vec<(String, &str)> = Vendor::ALL
            .iter()
            .map(|client| {
                let (_, (wire, _)) = says(*client, upstream);
                (ticket(upstream, number(*client)), fresh(upstream, wire))
            })
            .collect();
        let simulator = simulator(upstream, &tickets).await;
        urls.push((upstream, simulator.url()));
        simulators.push(simulator);
    }
    let (text, files) = every_pair(&urls, "    enrich: on\n", |client, upstream| {
        vec![(ticket(client, number(client)), ticket(upstream, number(client)))]
    });
    let gateway = Gateway::start(&text, &files).await;
    for client in Vendor::ALL {
        for simulator in &simulators {
            let upstream = simulator.vendor();
            let what = format!("{client} of {upstream}");
            simulator.clear_log();
            let (wire, (_, word)) = says(client, upstream);
            let ours = ticket(client, number(client));
            let got =
                send(&gateway, &format!("{client}-{upstream}.test"), client, &ours, wire).await;
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
            assert_eq!(got.header("x-latimer-partial"), None, "{what}: {got:?}");
            let seen = simulator.log();
            assert_eq!(seen.len(), 1 + usize::from(is_read(client, upstream)), "{what}: {seen:?}");
            let theirs = ticket(upstream, number(client));
            if let Some(read) = seen.get(1) {
                let asked = reading(upstream, &theirs, &upstream.default_token());
                assert_eq!(format!("{} {}", read.method, read.target), asked.line, "{what}");
                for (name, value) in &asked.headers {
                    let has = |(known, sent): &(String, String)| {
                        known.eq_ignore_ascii_case(name) && sent == value
                    };
                    assert!(read.headers.iter().any(has), "{what}: {name}: {read:?}");
                }
                assert_eq!(read.body, "", "{what}");
            }
            if client == upstream || client == Vendor::Akana {
                continue;
            }
            let (status, mut wanted) = answer(client, upstream, &ours, word);
            // What the simulated ticket has besides. That of Series has nothing.
            match (client, upstream) {
                (Vendor::Arena, Vendor::Akana) => {
                    wanted["title"] = json!("Simulated ticket");
                    wanted["description"] = json!("");
                }
                (Vendor::Zstack, Vendor::Akana) => {
                    wanted["inventory"]["name"] = json!("Simulated ticket");
                    wanted["inventory"]["description"] = json!("");
                }
                _ => {}
            }
            assert_eq!((got.status, got.json()), (status, wanted), "{what}");
        }
    }
    gateway.stop().await;
    for simulator in simulators {
        simulator.stop().await;
    }
}

/// A change as the client's page has it.
async fn send(gateway: &Gateway, host: &str, client: Vendor, id: &str, wire: &str) -> Answer {
    let request = request(client, id, wire, KEY);
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", host));
    gateway.call(&request.line, &headers, &request.body).await
}

/// Clients of one vendor in front of an upstream that does as it is told.
pub(crate) struct Stage {
    client: Vendor,
    pub(crate) scripted: Scripted,
    pub(crate) gateway: Gateway,
}

impl Stage {
    async fn start(client: Vendor, vendor: Vendor, keys: &str) -> Self {
        Self::start_with("mappings", client, vendor, &format!("    enrich: on\n{keys}")).await
    }

    pub(crate) async fn start_with(
        mappings: &str,
        client: Vendor,
        vendor: Vendor,
        keys: &str,
    ) -> Self {
        let scripted = Scripted::start(Act::Wait).await;
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        let text = format!(
            "log: {{format: json, access: full}}\nupstreams:\n{}routes:\n  main:\n    client: {client}\n    \
             upstream: {vendor}\n    consumers: [tester]\n    limit: none\n    settings: {settings}\n    \
             ids: {{ticket: {{file: ids.csv}}}}\n{keys}",
            upstream(vendor, &scripted.url)
        );
        let pairs = format!("client_id,upstream_id\n{},{}\n", ticket(client, 1), ticket(vendor, 2));
        let files = [("ids.csv".to_owned(), pairs)];
        let gateway = Gateway::start_with(mappings, &text, &files).await;
        Self { client, scripted, gateway }
    }

    /// One change, to these acts of the upstream; and how many requests it got.
    pub(crate) async fn change(&self, wire: &str, acts: Vec<Act>) -> (Answer, Vec<String>) {
        self.scripted.act(Act::InTurn(acts));
        let id = ticket(self.client, 1);
        let got = send(&self.gateway, "gateway.test", self.client, &id, wire).await;
        (got, self.scripted.take_seen())
    }

    pub(crate) async fn metric(&self, result: &str) -> u64 {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let text = exchange(&self.gateway.admin, request.as_bytes()).await;
        let text = String::from_utf8(text).unwrap();
        let series = format!("latimer_read_backs_total{{route=\"main\",result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).trim().parse().unwrap()
    }
}

fn resolved() -> Act {
    message("200 OK", "text/plain", "RESOLVED")
}

pub(crate) fn akanas(members: &str) -> Act {
    message("200 OK", "application/json", &format!("{{{members}}}"))
}

/// Whatever becomes of the read, the write has taken effect, and that is what the client is told.
#[tokio::test]
async fn a_read_that_fails_leaves_the_yes_and_marks_it_partial() {
    let stage = Stage::start(Vendor::Arena, Vendor::Akana, "").await;
    let fault = r#"{"faultcode":"Client","faultstring":"no"}"#;
    let failures = [
        Act::Reset,
        Act::Say(Vec::new()),
        Act::Say(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
                .into(),
        ),
        message("200 OK", "application/json", "<html>"),
        message("200 OK", "text/html", "<html>"),
        // Without a status it is no ticket; and this one is none that the mapping knows.
        akanas(r#""Title":"x""#),
        akanas(r#""Title":"x","State":"PARKED""#),
        message("404 Not Found", "application/json", fault),
        message("403 Forbidden", "application/json", fault),
        message("401 Unauthorized", "application/json", fault),
        message("429 Too Many Requests", "application/json", fault),
        message("500 Internal Server Error", "application/json", fault),
        message("502 Bad Gateway", "text/html", "<html>"),
        reply("302 Found", "Location: http://192.0.2.1/\r\n", ""),
    ];
    let count = failures.len();
    for (index, failure) in failures.into_iter().enumerate() {
        let (got, seen) = stage.change("COMPLETE", vec![resolved(), failure]).await;
        let what = format!("failure {index}: {got:?}");
        assert_eq!(seen.len(), 2, "{what}");
        assert!(
            seen[1].starts_with("GET /api/tickets/ticket2.acmepaymentscorp HTTP/1.1\r\n"),
            "{what}"
        );
        assert_eq!(got.status, 201, "{what}");
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}");
        assert_eq!(got.header("x-latimer-fault"), None, "{what}");
        assert_eq!(got.header("x-latimer-partial"), Some("title, description"), "{what}");
        let thin = json!({"guid": ticket(Vendor::Arena, 1), "status": {"value": "Complete"}});
        assert_eq!(got.json(), thin, "{what}");
    }
    assert_eq!((stage.metric("read").await, stage.metric("failed").await), (0, count as u64));
    let log = stage.gateway.terminate().await;
    let told = |level: &str| {
        let lines = log.iter().filter_map(|line| serde_json::from_str(line).ok());
        let of_level = |line: &serde_json::Value| line["level"] == level;
        lines.filter(of_level).collect::<Vec<serde_json::Value>>()
    };
    assert_eq!(told("WARN").len(), count - 1, "{log:#?}");
    for line in told("WARN") {
        assert_eq!(line["message"], "the ticket could not be read after the write", "{line}");
        assert!(!line["cause"].as_str().unwrap().is_empty(), "{line}");
    }
    // Of our credential an operator has to hear.
    let [error] = &told("ERROR")[..] else { panic!("{log:#?}") };
    assert!(error["cause"].as_str().unwrap().ends_with(": unauthenticated"), "{error}");
}

#[tokio::test]
async fn a_read_that_hangs_ends_with_the_calls_deadline() {
    let stage = Stage::start(Vendor::Arena, Vendor::Akana, "    deadline: 400ms\n").await;
    let began = Instant::now();
    let (got, seen) = stage.change("COMPLETE", vec![resolved(), Act::Wait]).await;
    // Alone it would have 5 s.
    assert!(began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
    assert_eq!((got.status, seen.len()), (201, 2), "{got:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(got.header("x-latimer-partial"), Some("title, description"), "{got:?}");
    assert_eq!(stage.metric("failed").await, 1);
    stage.gateway.stop().await;
}

#[tokio::test]
async fn what_the_writes_own_answer_says_stays() {
    let stage = Stage::start(Vendor::Arena, Vendor::Zstack, "").await;
    let id = ticket(Vendor::Zstack, 2);
    let written = |more: &str| {
        let body = format!(
            r#"{{"inventory":{{"uuid":"{id}","name":"of the write"{more},"status":"Pending"}}}}"#
        );
        message("200 OK", "", &body)
    };
    let read = r#"{"inventories":[{"uuid":"UUID","name":"of the read","description":"all of it","status":"FinalApproved"}]}"#
        .replace("UUID", &id);
    let (got, seen) =
        stage.change("NOT_STARTED", vec![written(""), message("200 OK", "", &read)]).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    let whole = json!({
        "guid": ticket(Vendor::Arena, 1), "title": "of the write", "description": "all of it",
        "status": {"value": "Not Started"},
    });
    assert_eq!(got.json(), whole, "{got:?}");
    assert_eq!(got.header("x-latimer-partial"), None);
    assert_eq!((stage.metric("read").await, stage.metric("failed").await), (1, 0));
    // Nothing is missing here: a number is none of ZStack's.
    let (got, seen) = stage.change("NOT_STARTED", vec![written(r#","description":"""#)]).await;
    assert_eq!((seen.len(), &got.json()["description"]), (1, &json!("")), "{got:?}");
    stage.gateway.stop().await;
}

#[tokio::test]
async fn series_members_are_read_where_they_are() {
    let stage = Stage::start(Vendor::Zstack, Vendor::Series, "").await;
    let yes = r#"{"success":true,"data":{"message":"Status changed to open"}}"#;
    let read = r#"{"success":true,"data":{"Ticket":{"TicketId":"other","Title":"Lag","Description":"Since noon","Status":"closed"}}}"#;
    let acts = [yes, read].map(|body| message("200 OK", "application/json", body));
    let (got, seen) = stage.change("reopen", acts.into()).await;
    assert!(
        seen[1].starts_with("GET /tickets/get/TICKET-1234567890-0002 HTTP/1.1\r\n"),
        "{seen:?}"
    );
    let inventory = json!({
        "uuid": ticket(Vendor::Zstack, 1), "name": "Lag", "description": "Since noon", "status": "Pending",
    });
    assert_eq!(got.json(), json!({"inventory": inventory}), "{got:?}");
    stage.gateway.stop().await;
}

#[tokio::test]
async fn after_a_no_and_after_a_read_nothing_is_read() {
    let stage = Stage::start(Vendor::Arena, Vendor::Akana, "").await;
    let no = r#"{"faultcode":"Client","faultstring":"no"}"#;
    for status in ["404 Not Found", "403 Forbidden", "400 Bad Request"] {
        let (got, seen) =
            stage.change("COMPLETE", vec![message(status, "application/json", no)]).await;
        assert_eq!((seen.len(), got.header("x-latimer-outcome")), (1, Some("no")), "{got:?}");
    }
    stage.scripted.act(akanas(r#""State":"OPEN""#));
    let headers = [("arena_session_id", KEY)];
    let line = format!("GET /tickets/{}", ticket(Vendor::Arena, 1));
    let got = stage.gateway.call(&line, &headers, "").await;
    let thin = json!({"guid": ticket(Vendor::Arena, 1), "status": {"value": "Not Started"}});
    assert_eq!((got.status, got.json()), (200, thin), "{got:?}");
    assert_eq!(got.header("x-latimer-partial"), None, "it is as whole as it can be");
    assert_eq!(stage.scripted.take_seen().len(), 1);
    assert_eq!((stage.metric("read").await, stage.metric("failed").await), (0, 0));
    stage.gateway.stop().await;
}

/// What was read is only told where it can be: it must not cost the client the yes.
#[tokio::test]
async fn what_the_client_cannot_be_told_leaves_the_yes() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let own = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&shipped).unwrap() {
        let path = entry.unwrap().path();
        let (server, mut text) =
            ("      Server: <- ArenaSolutions\n", std::fs::read_to_string(&path).unwrap());
        if path.ends_with("arena.yaml") {
            // A place that takes no line end.
            text = text.replacen(server, &format!("{server}      X-Title: <title or none>\n"), 1);
        }
        std::fs::write(own.path().join(path.file_name().unwrap()), text).unwrap();
    }
    let mappings = own.path().to_str().unwrap();
    let stage = Stage::start_with(mappings, Vendor::Arena, Vendor::Akana, "    enrich: on\n").await;
    let titled =
        |title: &str| vec![resolved(), akanas(&format!(r#""Title":"{title}","State":"RESOLVED""#))];
    let (got, _) = stage.change("COMPLETE", titled("one line")).await;
    assert_eq!((got.status, got.header("x-title")), (201, Some("one line")), "{got:?}");
    let (got, _) = stage.change("COMPLETE", titled(r"two\nlines")).await;
    assert_eq!((got.status, got.header("x-title")), (201, None), "{got:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    assert_eq!(got.header("x-latimer-partial"), Some("title, description"), "{got:?}");
    assert_eq!((stage.metric("read").await, stage.metric("failed").await), (1, 1));
    stage.gateway.stop().await;
}

/// A call that is cut off while its ticket is read has taken effect all the same, and the log says so.
#[tokio::test]
async fn what_is_cut_off_while_it_reads_is_a_yes_in_the_log() {
    let stage = Stage::start(Vendor::Arena, Vendor::Akana, "    deadline: 1h\n").await;
    stage.scripted.act(Act::InTurn(vec![resolved(), Act::Wait]));
    let request = request(Vendor::Arena, &ticket(Vendor::Arena, 1), "COMPLETE", KEY);
    let cut_off = async {
        while stage.scripted.seen_count() < 2 {
            tokio::task::yield_now().await;
        }
        stage.gateway.signal("TERM").await;
        stage.gateway.until_logged("told to stop: calls in flight may end").await;
        stage.gateway.signal("INT").await;
    };
    let headers: String =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let message = format!(
        "{} HTTP/1.1\r\nHost: gateway.test\r\n{headers}Content-Length: {}\r\n\r\n{}",
        request.line,
        request.body.len(),
        request.body
    );
    let (answer, ()) = tokio::join!(exchange(&stage.gateway.address, message.as_bytes()), cut_off);
    assert_eq!(answer, b"", "nothing is made up");
    let (_, log) = stage.gateway.ended().await;
    let lines = log.iter().filter_map(|line| serde_json::from_str(line).ok());
    let mut calls = lines.filter(|line: &serde_json::Value| line["message"] == "call");
    let call = calls.next().unwrap_or_else(|| panic!("{log:#?}"));
    assert_eq!((&call["outcome"], &call["status"]), (&json!("yes"), &json!(499)), "{call}");
}
