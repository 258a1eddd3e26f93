//! Thalamus over a socket: the page's exchange, each refusal, each place of token and touchpoint.

use super::*;
use crate::sim::tests::client::{Reply, send, start, start_with};
use crate::sim::{Seed, Simulator, Vendor};

const KEYS: &str = "Thalamus-Token: sim-thalamus-token\nThalamus-Touchpoint: web";

fn error(name: &str, code: &str) -> (u16, String) {
    (400, format!(r#"{{"errors":{{"{name}":"{code}"}}}}"#))
}

fn shown(id: &str, status: &str) -> String {
    format!(
        "{{\"context\":{{\"simpleProfile\":{{\"firstname\":\"test\",\"email\":\"test@test.com\"}}}},\
         \"case\":{{\"id\":{id},\"categoryCode\":\"Reclamo\",\"typeCode\":\"Telefonico\",\
         \"status\":\"{status}\",\"resolution\":\"Tecnica\"}}}}"
    )
}

async fn put(simulator: &Simulator, id: &str, headers: &str, body: &str) -> Reply {
    let request = format!(
        "PUT /api/v4/cases/{id}/transitions HTTP/1.1\nHost: sim\n{headers}\n\
         Content-Type: application/json\n\n{body}"
    );
    send(simulator, &request).await
}

async fn change(simulator: &Simulator, id: &str, status: &str) -> (u16, String) {
    put(simulator, id, KEYS, &format!(r#"{{"statusName":"{status}"}}"#)).await.seen()
}

#[tokio::test]
async fn the_pages_exchange() {
    let simulator = start(Vendor::Thalamus).await;
    let reply = put(&simulator, "10", KEYS, "{ \n    \"statusName\": \"resolved\"  \n}").await;
    assert_eq!(reply.seen(), (201, shown("10", "resolved")));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(simulator.status("10").as_deref(), Some("resolved"));
    simulator.stop().await;
}

#[tokio::test]
async fn a_closed_case_stays_closed() {
    let simulator = start(Vendor::Thalamus).await;
    for (name, status) in [
        ("in_progress", "in_progress"),
        ("In progress", "in_progress"),
        ("Resolved", "resolved"),
        ("open", "open"),
        ("CLOSED", "closed"),
    ] {
        assert_eq!(change(&simulator, "10", name).await, (201, shown("10", status)), "{name}");
    }
    for name in ["open", "resolved", "closed"] {
        let refused = change(&simulator, "10", name).await;
        assert_eq!(refused, error("statusName", "statusIsAlreadyClose"), "{name}");
    }
    let held = &simulator.tickets()[0];
    assert_eq!((held.status.as_str(), held.changes), ("closed", 5));
    simulator.stop().await;
}

#[tokio::test]
async fn token_and_touchpoint_stand_in_headers_or_in_the_query() {
    let touchpoint = Some("web".to_owned());
    let simulator =
        start_with(Vendor::Thalamus, Options { touchpoint, ..Options::default() }).await;
    let query = "?touchpoint=web&token=sim-thalamus-token";
    for (query, headers, wanted) in [
        ("", KEYS, None),
        (query, "Accept: */*", None),
        ("?token=sim-thalamus-token", "Thalamus-Touchpoint: web", None),
        ("?token=sim%2Dthalamus-token", "Thalamus-Touchpoint: web", None),
        ("", "Thalamus-Touchpoint: web", Some(error("token", "InvalidToken"))),
        ("?touchpoint=web&token=wrong", "Accept: */*", Some(error("token", "InvalidToken"))),
        (query, "Thalamus-Token: wrong", Some(error("token", "InvalidToken"))),
        ("?token=sim-thalamus-token", "Accept: */*", Some(error("touchpoint", "Required"))),
        (
            "?touchpoint=app&token=sim-thalamus-token",
            "Accept: */*",
            Some(error("touchpoint", "InvalidCode")),
        ),
    ] {
        let request = format!("GET /api/v4/cases/10{query} HTTP/1.1\nHost: sim\n{headers}\n\n");
        let wanted = wanted.unwrap_or_else(|| (200, shown("10", "open")));
        assert_eq!(send(&simulator, &request).await.seen(), wanted, "{query} {headers}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn an_operator_logs_in_by_password_or_by_cookie() {
    let operator =
        Operator { user: "ana".to_owned(), password: "s:1".to_owned(), session: "S-1".to_owned() };
    let options = Options { operator: Some(operator), ..Options::default() };
    let simulator = start_with(Vendor::Thalamus, options).await;
    for (line, taken) in [
        // ana:s:1
        ("Authorization: Basic YW5hOnM6MQ==", true),
        ("Cookie: JSESSIONID=S-1", true),
        // ana:s:2
        ("Authorization: Basic YW5hOnM6Mg==", false),
        ("Cookie: JSESSIONID=S-2", false),
        ("Accept: */*", false),
    ] {
        let headers = format!("{KEYS}\n{line}");
        let reply = put(&simulator, "10", &headers, r#"{"statusName":"resolved"}"#).await;
        let wanted = if taken {
            (201, shown("10", "resolved"))
        } else {
            error("caseInstanceId", "invalidId")
        };
        assert_eq!(reply.seen(), wanted, "{line}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn each_wrong_request_is_refused() {
    let simulator = start(Vendor::Thalamus).await;
    for (body, wanted) in [
        ("{", error("request", "InvalidJson")),
        ("{}", error("statusName", "Required")),
        (r#"{"statusName":null}"#, error("statusName", "Required")),
        (r#"{"statusName":"rejected"}"#, error("statusName", "invalid")),
        (r#"{"statusName":7}"#, error("statusName", "invalid")),
    ] {
        assert_eq!(put(&simulator, "10", KEYS, body).await.seen(), wanted, "{body}");
    }
    for id in ["11", "abc", "1%2F0"] {
        assert_eq!(change(&simulator, id, "closed").await, error("caseInstanceId", "invalidId"));
    }
    let request = format!(
        "PUT /api/v4/cases/10/transitions HTTP/1.1\nHost: sim\n{KEYS}\nContent-Type: text/plain\n\n{{}}"
    );
    let reply = send(&simulator, &request).await;
    assert_eq!(reply.seen(), error("request", "UnsupportedMediaType"));
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_path_or_method_is_refused() {
    let simulator = start(Vendor::Thalamus).await;
    for line in ["GET /", "PUT /cases/10/transitions", "PUT /api/v3/cases/10/transitions"] {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(
            reply.seen(),
            (404, r#"{"errors":{"request":"NotFound"}}"#.to_owned()),
            "{line}"
        );
    }
    for (line, allowed) in
        [("POST /api/v4/cases/10/transitions", "PUT"), ("PUT /api/v4/cases/10", "GET")]
    {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(reply.status, 405, "{line}");
        assert_eq!(reply.text(), r#"{"errors":{"request":"MethodNotAllowed"}}"#);
        assert_eq!(reply.header("allow"), Some(allowed));
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_case_and_the_statuses_are_read() {
    let tickets = vec![Seed::new("12", "In progress")];
    let simulator = start_with(Vendor::Thalamus, Options { tickets, ..Options::default() }).await;
    let get = |path: &str| format!("GET /api/v4/cases/{path} HTTP/1.1\nHost: sim\n{KEYS}\n\n");
    assert_eq!(send(&simulator, &get("12")).await.seen(), (200, shown("12", "in_progress")));
    assert_eq!(send(&simulator, &get("13")).await.seen(), error("caseInstanceId", "invalidId"));
    let statuses = concat!(
        r#"{"caseStatuses":[{"statusName":"Open","initial":true,"finalState":false},"#,
        r#"{"statusName":"In progress","initial":false,"finalState":false},"#,
        r#"{"statusName":"Resolved","initial":false,"finalState":false},"#,
        r#"{"statusName":"Closed","initial":false,"finalState":true}]}"#,
    );
    assert_eq!(send(&simulator, &get("status")).await.seen(), (200, statuses.to_owned()));
    simulator.stop().await;
}
