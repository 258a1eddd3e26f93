//! What the vendors' own clients send and rely on, from the log-in to the log-out (FACTS: the notes on real clients).

use latimer::sim::Vendor;
use serde_json::{Value, json};

use super::{Desk, SHA512, cookie};
use crate::harness::{Answer, PATIENCE};
use crate::vendors::ticket;

/// Calls of ZStack's clients are jobs here, as their SDKs have them.
const JOBS: &str = "# async: jobs\n";

/// One of ZStack's SDKs.
struct Sdk {
    /// Context path, host and port as it was set up.
    context: &'static str,
    host: &'static str,
    /// Header fields of every call, without the session's.
    headers: &'static [(&'static str, &'static str)],
    /// Header fields of a call by a session, in which `SESSION` stands for it.
    shows: &'static [(&'static str, &'static str)],
    job: Option<&'static str>,
    log_in: Value,
    change: Value,
}

/// FACTS §1.2 and §1.3: the classes of the public Java SDK, its Python core, the Go client.
fn sdks() -> [Sdk; 3] {
    let uuid = ticket(Vendor::Zstack, 1);
    let java = Sdk {
        context: "",
        host: "zstack.test:8080",
        headers: &[
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-JSON-Schema", "true"),
            ("X-API-Timeout", "1800000"),
            ("X-Request-Ip", "192.0.2.7"),
        ],
        shows: &[("Authorization", "OAuth SESSION")],
        job: Some("0f6e0d3c5a7b4c5d9e8f7a6b5c4d3e2f"),
        log_in: json!({"accountName": "admin", "password": SHA512, "accountType": "account",
                       "captchaUuid": "c", "verifyCode": "1234", "clientInfo": {"ip": "192.0.2.7"}}),
        change: json!({"statusEvent": "approve", "comment": "fine", "systemTags": ["a::b"],
                       "userTags": [], "requestIp": "192.0.2.7"}),
    };
    let python = Sdk {
        context: "",
        host: "zstack.test:8080",
        headers: &[("Content-Type", "application/json")],
        shows: &[("Authorization", "OAuth SESSION")],
        job: Some("1f6e0d3c5a7b4c5d9e8f7a6b5c4d3e2f"),
        log_in: json!({"accountName": "admin", "password": SHA512}),
        // The variables of the path are in the body too.
        change: json!({"uuid": uuid, "statusEvent": "approve", "comment": null}),
    };
    let go = Sdk {
        context: "/zstack",
        host: "zstack.test:8080",
        headers: &[("Content-Type", "application/json")],
        shows: &[("Authorization", "OAuth SESSION"), ("x-session-id", "SESSION")],
        job: None,
        log_in: json!({"accountName": "admin", "password": SHA512}),
        change: json!({"statusEvent": "approve"}),
    };
    [java, python, go]
}

impl Sdk {
    async fn call(&self, desk: &Desk, line: &str, session: &str, body: &Value) -> Answer {
        let shows = self.shows.iter().filter(|_| !session.is_empty());
        let shows: Vec<(&str, String)> =
            shows.map(|(name, value)| (*name, value.replace("SESSION", session))).collect();
        let mut headers = vec![("Host", self.host)];
        headers.extend(self.headers);
        headers.extend(shows.iter().map(|(name, value)| (*name, value.as_str())));
        headers.extend(self.job.filter(|_| line.contains("/actions")).map(|id| ("X-Job-UUID", id)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        desk.gateway.call(line, &headers, &body).await
    }

    /// Asks at the place that it was told, as it was told it, and takes 200, 202 and 503 alone.
    async fn poll(&self, desk: &Desk, location: &str, session: &str) -> Answer {
        let path = location.strip_prefix(&format!("http://{}", self.host)).unwrap();
        let polling = async {
            loop {
                let answer = self.call(desk, &format!("GET {path}"), session, &Value::Null).await;
                match answer.status {
                    202 => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                    200 | 503 => return answer,
                    _ => panic!("sdk.1000: {answer:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, polling).await.expect("it is over in time")
    }
}

#[tokio::test]
async fn zstacks_sdks() {
    for (number, sdk) in sdks().into_iter().enumerate() {
        let desk = Desk::open(JOBS).await;
        let line = format!("PUT {}/v1/accounts/login", sdk.context);
        let given = sdk.call(&desk, &line, "", &json!({"logInByAccount": sdk.log_in})).await;
        assert_eq!(given.status, 200, "{number}: {given:?}");
        let session = given.json()["inventory"]["uuid"].as_str().unwrap().to_owned();

        let line = format!("PUT {}/v1/tickets/{}/actions", sdk.context, ticket(Vendor::Zstack, 1));
        let body = json!({"changeTicketStatus": sdk.change});
        let accepted = sdk.call(&desk, &line, &session, &body).await;
        assert_eq!(accepted.status, 202, "{number}: {accepted:?}");
        // Java and Go look for their own host and port in it, and cut it at this path.
        let location = accepted.json()["location"].as_str().unwrap().to_owned();
        let place = format!("http://{}/zstack/v1/api-jobs/", sdk.host);
        let id = location.strip_prefix(&place).unwrap_or_else(|| panic!("{accepted:?}"));
        assert!(sdk.job.is_none_or(|job| job == id), "its own id names the job: {location}");
        assert!(accepted.json()["apiTimeout"].is_u64(), "{accepted:?}");
        let done = sdk.poll(&desk, &location, &session).await;
        assert_eq!(done.status, 200, "{number}: {done:?}");
        assert_eq!(done.json()["inventory"]["uuid"], ticket(Vendor::Zstack, 1), "{done:?}");

        let log = desk.system.log();
        let [change] = &log[..] else { panic!("{number}: one change: {log:#?}") };
        assert_eq!(change.body, r#"{"statusName":"resolved"}"#, "{number}");
        let names = change.headers.iter().map(|(name, _)| name.as_str());
        let crossed: Vec<&str> =
            names.filter(|name| name.starts_with("x-") && *name != "x-request-id").collect();
        assert!(crossed.is_empty(), "{number}: {crossed:?}");

        let line = format!("DELETE {}/v1/accounts/sessions/{session}", sdk.context);
        let out = sdk.call(&desk, &line, &session, &Value::Null).await;
        assert_eq!(out.status, 200, "{number}: {out:?}");
        desk.stop().await;
    }
}

/// What ZStack has and the gateway has not is refused by the REST layer: in plain text, before any job.
#[tokio::test]
async fn other_ways_into_zstack_are_refused_in_plain_text() {
    let desk = Desk::open(JOBS).await;
    let json = ("Content-Type", "application/json");
    let change = format!("PUT /zstack/v1/tickets/{}/actions", ticket(Vendor::Zstack, 1));
    let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
    // An access key with its signature; a scheme that is none; and no session behind the right one.
    for authorization in ["ZStack 0123456789:c2lnbmF0dXJl", "Basic YTpi", "OAuth", "x"] {
        let date = ("Date", "Sat, 21 Nov 2026 19:00:00 GMT");
        let headers = [("Authorization", authorization), date, json];
        let answer = desk.call(Vendor::Zstack, &change, &headers, body).await;
        is_text(&answer, 400, "missing header 'Authorization'");
    }
    // A user of an account, and the older way of remote calls.
    let user = r#"{"logInByUser":{"accountName":"admin","userName":"jo","password":"x"}}"#;
    let call = r#"{"org.zstack.header.identity.APILogInByAccountMsg":{"accountName":"admin"}}"#;
    for (method, path, body) in [
        ("PUT", "/zstack/v1/accounts/users/login", user),
        ("POST", "/zstack/api/", call),
        ("GET", "/zstack/api/result/0123456789abcdef0123456789abcdef", ""),
    ] {
        let answer = desk.call(Vendor::Zstack, &format!("{method} {path}"), &[json], body).await;
        is_text(&answer, 404, &format!("no api mapping to {path}"));
    }
    assert_eq!(desk.system.log().len(), 0, "nothing was sent");
    desk.stop().await;
}

/// FACTS §1.5: what the REST layer refuses is plain text, and it sends no type.
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, text), "{answer:?}");
    assert_eq!(answer.header("content-type"), None, "{answer:?}");
}

/// FACTS §2, pyrena 1.4.3: a body with every call, one member of the log-in, a count after each call, and of every
/// refusal the first error's code and message.
#[tokio::test]
async fn arenas_pyrena() {
    let desk = Desk::open("").await;
    let arena = Vendor::Arena;
    let own = [
        ("User-Agent", "python-requests/2.32.3"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
    ];
    let body = json!({"email": "jo@example.com", "password": "password"}).to_string();
    let given = desk.call(arena, "POST /v1/login", &own, &body).await;
    assert_eq!(given.status, 200, "{given:?}");
    let session = given.json()["arenaSessionId"].as_str().unwrap().to_owned();
    let limit = given.json()["workspaceRequestLimit"].as_i64().unwrap();
    let mut headers = own.to_vec();
    headers.push(("arena_session_id", &session));

    let guid = ticket(arena, 1);
    let whole = format!("GET /v1/tickets/{guid}");
    let change = json!({"ticket": {"guid": guid}, "status": "IN_PROGRESS"}).to_string();
    let wrong = json!({"ticket": {"guid": "no guid"}, "status": "IN_PROGRESS"}).to_string();
    let unknown = json!({"ticket": {"guid": guid}, "status": "SOLVED"}).to_string();
    for (line, body, status) in [
        (whole.as_str(), "{}", 200),
        ("POST /v1/tickets/statuschanges", change.as_str(), 201),
        ("POST /v1/tickets/statuschanges", wrong.as_str(), 400),
        ("POST /v1/tickets/statuschanges", unknown.as_str(), 400),
        ("POST /v1/tickets/statuschanges", "{", 400),
        ("GET /v1/tickets/ABCDEFGHIJKLMNOP9999", "{}", 400),
        // A number is no id.
        ("GET /v1/tickets/DEF-000004", "{}", 400),
        ("GET /v1/items", "{}", 404),
        ("DELETE /v1/tickets/statuschanges", "{}", 405),
        ("PUT /v1/logout", "{}", 200),
        (whole.as_str(), "{}", 401),
    ] {
        let answer = desk.call(arena, line, &headers, body).await;
        assert_eq!(answer.status, status, "{line} {body}: {answer:?}");
        // It reads this after each call, and sends no more once it is 0.
        let remaining = answer.header("x-arena-requests-remaining");
        let remaining: i64 = remaining.unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap();
        assert!(remaining > 0, "{line}: {answer:?}");
        // What is refused before anybody is known is nobody's.
        if matches!(status, 200 | 201 | 400) {
            assert!(remaining < limit, "{line}: {answer:?}");
        }
        if status >= 400 {
            let told = answer.json();
            assert_eq!(told["status"], status, "{answer:?}");
            assert!(told["errors"][0]["code"].is_i64(), "{answer:?}");
            assert!(told["errors"][0]["message"].is_string(), "{answer:?}");
        }
    }
    desk.stop().await;
}

/// FACTS §4, atmotool: the header's name is that of the cookie behind `X-`, its value the cookie's; and the type is
/// that of the platform's version.
#[tokio::test]
async fn akanas_atmotool() {
    let desk = Desk::open("").await;
    let akana = Vendor::Akana;
    let json = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let body = json!({"email": "jo@example.com", "password": "password"}).to_string();
    let given = desk.call(akana, "POST /api/login", &json, &body).await;
    assert_eq!(given.status, 200, "{given:?}");
    let names = ["AtmoAuthToken_acmepaymentscorp", "Csrf-Token_acmepaymentscorp"];
    let jar = names.map(|name| format!("{name}={}", cookie(&given, name).0)).join("; ");
    let csrf = cookie(&given, names[1]).0;
    let header = format!("X-{}", names[1]);
    let headers = [
        ("Content-Type", "application/vnd.soa.v81+json"),
        ("Accept", "text/plain, application/vnd.soa.v81+json"),
        ("Cookie", &jar),
        (&header, csrf),
    ];
    let line = format!("POST /api/tickets/{}/actions", ticket(akana, 1));
    let action = r#"{"ActionName":"ticket.action.resolve","Comments":["fixed"]}"#;
    let changed = desk.call(akana, &line, &headers, action).await;
    assert_eq!((changed.status, changed.body.as_str()), (200, "RESOLVED"), "{changed:?}");
    assert_eq!(changed.header("content-type"), Some("text/plain"), "{changed:?}");
    // A write without it is not told apart from one without a session.
    let without = desk.call(akana, &line, &headers[..3], action).await;
    assert_eq!(without.status, 401, "{without:?}");
    desk.stop().await;
}
