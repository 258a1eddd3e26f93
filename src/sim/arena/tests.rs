//! Arena over a socket: the page's exchange to the letter, each refusal, each place of the session.

use serde_json::Value;

use crate::sim::tests::client::{Reply, send, start, start_with};
use crate::sim::{Options, Seed, Simulator, Vendor};

/// The page's answer with its guid and status left open, members in the page's order.
const ANSWER: &str = concat!(
    r#"{"additionalAttributes":[{"apiName":"5N7Q9M7YLO5N6P8RATF6","fieldType":"SINGLE_LINE_TEXT","#,
    r#""guid":"5N7Q9M7YLO5N6P8RATF6","name":"Labels","value":"Model 20000"},"#,
    r#"{"apiName":"6O8RAN8ZMP6O7Q9SBUGT","fieldType":"SINGLE_LINE_TEXT","#,
    r#""guid":"6O8RAN8ZMP6O7Q9SBUGT","name":"Components","value":"Model 3000"}],"#,
    r#""assignee":{"email":"hwalker@everyroadgps.com","fullName":"Heidi Walker","guid":"WEYH0DYPCFWFYH0JSIPD"},"#,
    r#""creationDateTime":"2021-09-07T05:24:08Z","#,
    r#""creator":{"email":"hwalker@everyroadgps.com","fullName":"Heidi Walker","guid":"WEYH0DYPCFWFYH0JSIPD"},"#,
    r#""description":"","fixVersion":"3.0","foundOn":"2.0","guid":"GUID","#,
    r#""modifyDateTime":"2021-09-07T06:13:33Z","title":"Paint chipping on new Model 3000","#,
    r#""number":"DEF-000004","priority":"Critical","status":{"guid":"STATUS_GUID","value":"STATUS"},"#,
    r#""template":{"guid":"8QATCPA1OR83M5O7Q967","name":"Defects"}}"#,
);

const SAMPLE: &str = "1J3M5I3UHK1GZI1K31L4";

fn answer(guid: &str, status_guid: &str, status: &str) -> String {
    ANSWER
        .replace("STATUS_GUID", status_guid)
        .replace("STATUS", status)
        .replace("\"GUID\"", &format!("\"{guid}\""))
}

fn error(status: u16, code: u16, message: &str) -> (u16, String) {
    let message = Value::from(message);
    (status, format!(r#"{{"status":{status},"errors":[{{"code":{code},"message":{message}}}]}}"#))
}

async fn post(simulator: &Simulator, body: &str) -> Reply {
    let request = format!(
        "POST /v1/tickets/statuschanges HTTP/1.1\nHost: sim\narena_session_id: sim-arena-token\n\
         Content-Type: application/json\n\n{body}"
    );
    send(simulator, &request).await
}

async fn change(simulator: &Simulator, guid: &str, status: &str) -> (u16, String) {
    let body = format!(r#"{{"ticket":{{"guid":"{guid}"}},"status":"{status}"}}"#);
    post(simulator, &body).await.seen()
}

#[tokio::test]
async fn the_pages_exchange() {
    let simulator = start(Vendor::Arena).await;
    let request = "POST /tickets/statuschanges HTTP/1.1\nHost: sim\n\
        arena_session_id: sim-arena-token\ncontent-type: application/json\n\n\
        {\n   \"ticket\": {\n       \"guid\": \"1J3M5I3UHK1GZI1K31L4\"\n    },\n    \
        \"status\": \"IN_PROGRESS\"\n}";
    let reply = send(&simulator, request).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.text(), answer(SAMPLE, "R9TCV8TK7ARN6P8RATDZ", "In Progress"));
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "Content-Length",
        "Content-Type",
        "Date",
        "Server",
        "X-Arena-Next-Request-Limit-Reset",
        "X-Arena-Requests-Remaining",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("server"), Some("ArenaSolutions"));
    assert_eq!(reply.header("x-arena-requests-remaining"), Some("24999"));
    assert_eq!(simulator.status(SAMPLE).as_deref(), Some("IN_PROGRESS"));
    simulator.stop().await;
}

#[tokio::test]
async fn every_answer_tells_the_days_quota() {
    let options = Options { requests_per_day: 3, ..Options::default() };
    let simulator = start_with(Vendor::Arena, options).await;
    let form = regex::Regex::new(
        r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d-[A-Z][a-z][a-z]-\d{4} 00:00:00 GMT-0[78]00 \(P[DS]T\)$",
    )
    .unwrap();
    let mut left = Vec::new();
    for line in ["GET /nowhere", "GET /tickets/x", "PUT /tickets/statuschanges", "GET /x"] {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        let reset = reply.header("x-arena-next-request-limit-reset").unwrap();
        assert!(form.is_match(reset), "{reset}");
        assert_eq!(reply.header("server"), Some("ArenaSolutions"));
        let remaining = reply.header("x-arena-requests-remaining").unwrap().to_owned();
        left.push((reply.status, remaining));
    }
    let left: Vec<(u16, &str)> =
        left.iter().map(|(status, left)| (*status, left.as_str())).collect();
    assert_eq!(left, [(404, "2"), (401, "1"), (405, "0"), (429, "0")]);
    let refused = change(&simulator, SAMPLE, "COMPLETE").await;
    assert_eq!(refused, error(429, 429, "Too Many Requests"));
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn the_session_stands_in_a_header_or_a_cookie() {
    let token = Some("LABS-1|".to_owned());
    let simulator = start_with(Vendor::Arena, Options { token, ..Options::default() }).await;
    for (line, status) in [
        ("arena_session_id: LABS-1|", 200),
        ("Cookie: arena_session_id=LABS-1|", 200),
        ("Cookie: a=b; arena_session_id=LABS-1%7C; c=d", 200),
        ("Cookie: a=b\nCookie: arena_session_id=LABS-1%7C", 200),
        ("arena_session_id: LABS-1%7C", 401),
        ("arena_session_id: wrong\nCookie: arena_session_id=LABS-1|", 401),
        ("Cookie: arena_session_id=LABS-1", 401),
        ("Accept: */*", 401),
    ] {
        let request = format!("GET /tickets/{SAMPLE} HTTP/1.1\nHost: sim\n{line}\n\n");
        let reply = send(&simulator, &request).await;
        assert_eq!(reply.status, status, "{line}");
        if status == 401 {
            let text = "There is no access token associated with this request or the access token is not valid.";
            assert_eq!(reply.seen(), error(401, 401, text));
        }
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_is_read_with_or_without_the_prefix_and_with_a_body() {
    let tickets = vec![Seed::new("AAAAAAAAAAAAAAAAAAA1", "COMPLETE")];
    let simulator = start_with(Vendor::Arena, Options { tickets, ..Options::default() }).await;
    for prefix in ["", "/v1"] {
        // A real client sends `{}` with every GET.
        let request = format!(
            "GET {prefix}/tickets/{SAMPLE} HTTP/1.1\nHost: sim\narena_session_id: sim-arena-token\n\n{{}}"
        );
        let reply = send(&simulator, &request).await;
        assert_eq!(reply.seen(), (200, answer(SAMPLE, "Q8SBU7SJ69QM5O7Q9SCG", "Not Started")));
    }
    let request = "GET /tickets/AAAAAAAAAAAAAAAAAAA1 HTTP/1.1\nHost: sim\n\
        arena_session_id: sim-arena-token\n\n";
    let reply = send(&simulator, request).await;
    let complete = answer("AAAAAAAAAAAAAAAAAAA1", "S0UDW9UL8BSO7Q9SBUEA", "Complete");
    assert_eq!(reply.seen(), (200, complete));
    simulator.stop().await;
}

#[tokio::test]
async fn a_complete_ticket_stays_complete() {
    let simulator = start(Vendor::Arena).await;
    for status in ["IN_PROGRESS", "NOT_STARTED", "IN_PROGRESS", "COMPLETE"] {
        assert_eq!(change(&simulator, SAMPLE, status).await.0, 201, "{status}");
    }
    for status in ["NOT_STARTED", "IN_PROGRESS", "COMPLETE"] {
        let refused = change(&simulator, SAMPLE, status).await;
        let text = "Ticket cannot be edited when status is Complete.";
        assert_eq!(refused, error(400, 3090, text), "{status}");
    }
    let held = &simulator.tickets()[0];
    assert_eq!((held.status.as_str(), held.changes), ("COMPLETE", 4));
    simulator.stop().await;
}

#[tokio::test]
async fn each_wrong_request_has_its_number() {
    let simulator = start(Vendor::Arena).await;
    let syntax = "The format of the request is not valid. Please check the syntax.";
    let null = "Guid in the request is either null or empty.";
    for (body, wanted) in [
        ("", error(400, 400, syntax)),
        ("{", error(400, 400, syntax)),
        ("[]", error(400, 400, syntax)),
        ("{}", error(400, 3001, "The attribute \"ticket\" is required.")),
        (
            r#"{"ticket":{"guid":"1J3M5I3UHK1GZI1K31L4"}}"#,
            error(400, 3001, "The attribute \"status\" is required."),
        ),
        (r#"{"ticket":{},"status":"COMPLETE"}"#, error(400, 3098, null)),
        (r#"{"ticket":{"guid":null},"status":"COMPLETE"}"#, error(400, 3098, null)),
        (r#"{"ticket":{"guid":""},"status":"COMPLETE"}"#, error(400, 3098, null)),
        (
            r#"{"ticket":{"guid":"DEF-000004"},"status":"COMPLETE"}"#,
            error(400, 3011, "The guid \"DEF-000004\" is not valid."),
        ),
        (
            r#"{"ticket":{"guid":7},"status":"COMPLETE"}"#,
            error(400, 3011, "The guid \"7\" is not valid."),
        ),
        (
            r#"{"ticket":{"guid":"ZZZZZZZZZZZZZZZZZZZZ"},"status":"COMPLETE"}"#,
            error(
                400,
                3012,
                "The requested object with guid \"ZZZZZZZZZZZZZZZZZZZZ\" is not found.",
            ),
        ),
        (
            r#"{"ticket":{"guid":"1J3M5I3UHK1GZI1K31L4"},"status":"Complete"}"#,
            error(400, 3083, "Invalid status."),
        ),
        (
            r#"{"ticket":{"guid":"1J3M5I3UHK1GZI1K31L4"},"status":null}"#,
            error(400, 3083, "Invalid status."),
        ),
    ] {
        assert_eq!(post(&simulator, body).await.seen(), wanted, "{body}");
    }
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_path_method_or_type_is_refused() {
    let simulator = start(Vendor::Arena).await;
    let nothing = "No resource has been found.";
    for line in
        ["GET /", "GET /v1", "POST /v2/tickets/statuschanges", "GET /tickets/a/b", "GET /tickets/"]
    {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(reply.seen(), error(404, 404, nothing), "{line}");
    }
    for (line, allowed) in [("PUT /v1/tickets/statuschanges", "POST"), ("POST /tickets/x", "GET")] {
        let reply = send(&simulator, &format!("{line} HTTP/1.1\nHost: sim\n\n")).await;
        assert_eq!(reply.seen(), error(405, 405, "The method is not allowed."), "{line}");
        assert_eq!(reply.header("allow"), Some(allowed));
    }
    for line in ["Content-Type: text/plain", "Accept: */*"] {
        let request = format!(
            "POST /tickets/statuschanges HTTP/1.1\nHost: sim\narena_session_id: sim-arena-token\n{line}\n\n{{}}"
        );
        let reply = send(&simulator, &request).await;
        assert_eq!(reply.seen(), error(415, 415, "Unsupported Media Type"), "{line}");
    }
    simulator.stop().await;
}
