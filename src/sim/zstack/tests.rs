//! ZStack over a socket: the page's exchange, the workflow, each refusal, jobs and their polling.

use super::*;
use crate::sim::tests::client::{Reply, send, start, start_with};
use crate::sim::{Seed, Simulator, Vendor};

const SESSION: &str = "Authorization: OAuth sim-zstack-token";

/// The page's inventory with its uuid and status left open, members in the page's order.
const INVENTORY: &str = concat!(
    r#"{"uuid":"UUID","name":"ticket","description":"ticket description","status":"STATUS","#,
    r#""request":[{"requestName":"create vm","apiName":"org.zstack.header.vm.APICreateVmInstanceMsg","#,
    r#""executeTimes":1.0,"apiBody":{"name":"vm name","#,
    r#""instanceOfferingUuid":"e539401d4cf74a6c93b173b9fa01d4e6","#,
    r#""imageUuid":"16e0a61a2ca145eaaae6c7e9ef72ae31","#,
    r#""l3NetworkUuids":["0fbf9d6545e6480790ee9b2f7da59f65"],"strategy":"InstantStart","#,
    r#""timeout":-1.0,"headers":{},"id":"3f1b84f2f3ca453caf3086625d57eff5","#,
    r#""createdTime":1.56402555717E12}}],"accountSystemType":"iam2","#,
    r#""ticketTypeUuid":"3b933e9aaf2d49b9a3dcf0c92867790f","#,
    r#""accountSystemContext":{"projectUuid":"21423d5537cc4891b33745b3ad9045f8","#,
    r#""virtualIDUuid":"1470a380fe454b4298ba178245aa499c"},"#,
    r#""flowCollectionUuid":"6aa051e47de74658885bca987b9c4a35"}"#,
);

const JOB: &str = "00112233445566778899aabbccddeeff";

fn inventory(uuid: &str, status: &str) -> String {
    INVENTORY.replace("UUID\"", &format!("{uuid}\"")).replace("STATUS", status)
}

fn changed(status: &str) -> (u16, String) {
    (200, format!(r#"{{"inventory":{}}}"#, inventory(SAMPLE_TICKET, status)))
}

fn failed(code: &str, description: &str, details: &str) -> (u16, String) {
    let error = format!(
        r#"{{"error":{{"code":"{code}","description":"{description}","details":"{details}"}}}}"#
    );
    (503, error)
}

fn illegal(event: &str, status: &str) -> (u16, String) {
    let details =
        format!("ticket[uuid:{SAMPLE_TICKET}] in status[{status}] takes no event[{event}]");
    failed("SYS.1005", "Failed to change the state", &details)
}

fn expired() -> (u16, String) {
    failed("ID.1001", "Invalid session", "Session expired")
}

async fn put(simulator: &Simulator, headers: &str, body: &str) -> Reply {
    let request = format!(
        "PUT /zstack/v1/tickets/{SAMPLE_TICKET}/actions HTTP/1.1\nHost: sim:8080\n{headers}\n\n{body}"
    );
    send(simulator, &request).await
}

async fn event(simulator: &Simulator, event: &str) -> (u16, String) {
    let body = format!(r#"{{"changeTicketStatus":{{"statusEvent":"{event}"}}}}"#);
    put(simulator, SESSION, &body).await.seen()
}

async fn get(simulator: &Simulator, path: &str) -> Reply {
    send(simulator, &format!("GET {path} HTTP/1.1\nHost: sim:8080\n\n")).await
}

async fn asynchronous() -> Simulator {
    start_with(Vendor::Zstack, Options { asynchronous: true, ..Options::default() }).await
}

#[tokio::test]
async fn the_pages_exchange() {
    let simulator = start(Vendor::Zstack).await;
    let request = "PUT /zstack/v1/tickets/e9377476db3f375bbff78dc3b9204f00/actions HTTP/1.1\n\
        Host: localhost:8080\nContent-Type: application/json;charset=UTF-8\n\
        Authorization: OAuth sim-zstack-token\n\n\
        {\"changeTicketStatus\":{\"statusEvent\":\"approve\",\"comment\":\"this is the comment for change status operation\"},\
        \"systemTags\":[],\"userTags\":[]}";
    let reply = send(&simulator, request).await;
    assert_eq!(reply.seen(), changed("IntermediateApproved"));
    assert_eq!(reply.header("content-type"), None);
    simulator.stop().await;
}

#[tokio::test]
async fn the_workflow() {
    let simulator = start(Vendor::Zstack).await;
    for (name, wanted) in [
        ("open", changed("Pending")),
        ("reopen", changed("Pending")),
        ("approve", changed("IntermediateApproved")),
        ("open", illegal("open", "IntermediateApproved")),
        ("approve", changed("FinalApproved")),
        ("approve", illegal("approve", "FinalApproved")),
        ("cancel", illegal("cancel", "FinalApproved")),
        ("reopen", changed("Pending")),
        ("cancel", changed("Cancelled")),
        ("open", illegal("open", "Cancelled")),
        ("approve", illegal("approve", "Cancelled")),
        ("reject", illegal("reject", "Cancelled")),
        ("cancel", illegal("cancel", "Cancelled")),
        ("reopen", changed("Pending")),
        ("approve", changed("IntermediateApproved")),
        ("reject", changed("Rejected")),
        ("approve", illegal("approve", "Rejected")),
        ("reject", illegal("reject", "Rejected")),
        ("reopen", changed("Pending")),
    ] {
        assert_eq!(event(&simulator, name).await, wanted, "{name}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn the_session_is_oauth() {
    let simulator = start(Vendor::Zstack).await;
    let body = r#"{"changeTicketStatus":{"statusEvent":"open"}}"#;
    for (line, wanted) in [
        (SESSION, changed("Pending")),
        ("Authorization: OAuth   sim-zstack-token", changed("Pending")),
        ("X-None: 1", (400, "missing header 'Authorization'".to_owned())),
        ("Authorization: Bearer x", (400, "Authorization type must be 'OAuth'".to_owned())),
        ("Authorization: OAuth wrong", expired()),
    ] {
        let reply = put(&simulator, line, body).await;
        assert_eq!(reply.seen(), wanted, "{line}");
        assert_eq!(reply.header("content-type"), None, "{line}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn what_the_rest_layer_refuses_is_plain_text() {
    let simulator = start(Vendor::Zstack).await;
    let no_action = "the body doesn't contain action mapping to the \
        URL[/v1/tickets/e9377476db3f375bbff78dc3b9204f00/actions]";
    for (body, text) in [
        ("", "the body is not a valid JSON object"),
        ("{", "the body is not a valid JSON object"),
        ("{}", no_action),
        ("[]", no_action),
        (r#"{"updateTicketRequest":{}}"#, no_action),
        (r#"{"changeTicketStatus":7}"#, "the field[changeTicketStatus] must be a map"),
        (r#"{"changeTicketStatus":{}}"#, "field[statusEvent] is mandatory, it must not be null"),
        (r#"{"changeTicketStatus":{"statusEvent":7}}"#, "the field[statusEvent] must be a string"),
        (
            r#"{"changeTicketStatus":{"statusEvent":"open","comment":7}}"#,
            "the field[comment] must be a string",
        ),
        (
            r#"{"changeTicketStatus":{"statusEvent":"open"},"systemTags":"a"}"#,
            "the field[systemTags] must be a list of strings",
        ),
        (
            r#"{"changeTicketStatus":{"statusEvent":"open","userTags":[7]}}"#,
            "the field[userTags] must be a list of strings",
        ),
    ] {
        assert_eq!(put(&simulator, SESSION, body).await.seen(), (400, text.to_owned()), "{body}");
    }
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn what_the_system_refuses_is_a_503() {
    let simulator = start(Vendor::Zstack).await;
    let wrong = "invalid field[statusEvent], its value must be one of [open, approve, cancel, reject, reopen]";
    let argument = "One or more API argument is invalid";
    assert_eq!(event(&simulator, "close").await, failed("SYS.1007", argument, wrong));
    let long = "x".repeat(65_536);
    let body = format!(r#"{{"changeTicketStatus":{{"statusEvent":"open","comment":"{long}"}}}}"#);
    let details = "field[comment] exceeds the max length of 65535";
    assert_eq!(put(&simulator, SESSION, &body).await.seen(), failed("SYS.1007", argument, details));
    let unknown = send(
        &simulator,
        &format!(
            "PUT /v1/tickets/00000000000000000000000000000000/actions HTTP/1.1\nHost: sim\n{SESSION}\n\n\
             {{\"changeTicketStatus\":{{\"statusEvent\":\"open\"}}}}"
        ),
    )
    .await;
    let details = "no ticket[uuid:00000000000000000000000000000000] found";
    assert_eq!(unknown.seen(), failed("SYS.1003", "Resource cannot be found", details));
    simulator.stop().await;
}

#[tokio::test]
async fn sdk_members_are_tolerated() {
    let simulator = start(Vendor::Zstack).await;
    // The Python SDK repeats the uuid and puts the tags inside; the URL wins.
    let body = r#"{"changeTicketStatus":{"uuid":"other","statusEvent":"cancel","systemTags":[],"userTags":["a"]}}"#;
    assert_eq!(put(&simulator, SESSION, body).await.seen(), changed("Cancelled"));
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_path_or_method_is_plain_text() {
    let simulator = start(Vendor::Zstack).await;
    for (path, shown) in [
        ("/", "/"),
        ("/v1/volumes", "/v1/volumes"),
        ("/zstack/v1/volumes", "/v1/volumes"),
        ("/v2/tickets/x", "/v2/tickets/x"),
    ] {
        let reply = get(&simulator, path).await;
        assert_eq!(reply.seen(), (404, format!("no api mapping to {shown}")));
        assert_eq!(reply.header("content-type"), None);
    }
    for (line, path, allowed) in
        [("PATCH", "/v1/tickets/x/actions", "PUT"), ("POST", "/v1/tickets/x", "GET")]
    {
        let reply = send(&simulator, &format!("{line} {path} HTTP/1.1\nHost: sim\n\n")).await;
        let text = format!("The method[{line}] is not allowed for the path[{path}]");
        assert_eq!(reply.seen(), (405, text));
        assert_eq!(reply.header("allow"), Some(allowed));
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_is_queried() {
    let uuid = "11111111111111111111111111111111";
    let tickets = vec![Seed::new(uuid, "FinalApproved")];
    let simulator = start_with(Vendor::Zstack, Options { tickets, ..Options::default() }).await;
    let query = |uuid: &str, session: &str| {
        format!("GET /v1/tickets/{uuid} HTTP/1.1\nHost: sim\n{session}\n\n")
    };
    let reply = send(&simulator, &query(uuid, SESSION)).await;
    let found = format!(r#"{{"inventories":[{}]}}"#, inventory(uuid, "FinalApproved"));
    assert_eq!(reply.seen(), (200, found));
    assert_eq!(reply.header("content-type"), None);
    let reply = send(&simulator, &query("none", SESSION)).await;
    assert_eq!(reply.seen(), (200, r#"{"inventories":[]}"#.to_owned()));
    let reply = send(&simulator, &query(uuid, "Authorization: OAuth wrong")).await;
    assert_eq!(reply.seen(), expired());
    simulator.stop().await;
}

#[tokio::test]
async fn a_job_runs_for_two_polls_and_then_stays_finished() {
    let simulator = asynchronous().await;
    let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
    let accepted = put(&simulator, &format!("{SESSION}\nX-Job-UUID: {JOB}"), body).await;
    let location = format!("http://sim:8080/zstack/v1/api-jobs/{JOB}");
    let wanted = format!(r#"{{"location":"{location}","apiTimeout":1800000}}"#);
    assert_eq!(accepted.seen(), (202, wanted));
    assert_eq!(accepted.header("content-type"), None);
    // Either prefix, and no session.
    for (prefix, wanted) in [
        ("/zstack", (202, "{}".to_owned())),
        ("", (202, "{}".to_owned())),
        ("/zstack", changed("IntermediateApproved")),
        ("", changed("IntermediateApproved")),
    ] {
        let reply = get(&simulator, &format!("{prefix}/v1/api-jobs/{JOB}")).await;
        assert_eq!(reply.seen(), wanted);
        assert_eq!(reply.header("content-type"), None);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_failed_job_is_a_503_at_its_last_poll() {
    let simulator = asynchronous().await;
    for (session, name, wanted) in [
        ("Authorization: OAuth wrong", "approve", expired()),
        (SESSION, "cancel", changed("Cancelled")),
        (SESSION, "approve", illegal("approve", "Cancelled")),
    ] {
        let body = format!(r#"{{"changeTicketStatus":{{"statusEvent":"{name}"}}}}"#);
        let accepted = put(&simulator, session, &body).await;
        assert_eq!(accepted.status, 202);
        let accepted: Value = serde_json::from_slice(&accepted.body).unwrap();
        let location = accepted["location"].as_str().unwrap().to_owned();
        let path = location.strip_prefix("http://sim:8080").unwrap();
        for _ in 0..2 {
            assert_eq!(get(&simulator, path).await.seen(), (202, "{}".to_owned()));
        }
        assert_eq!(get(&simulator, path).await.seen(), wanted);
    }
    // The REST layer refuses at once, job or no job.
    assert_eq!(put(&simulator, "X-None: 1", "{}").await.status, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn a_job_uuid_works_once() {
    for simulator in [start(Vendor::Zstack).await, asynchronous().await] {
        let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
        let headers = format!("{SESSION}\nX-Job-UUID: {JOB}");
        assert!(put(&simulator, &headers, body).await.status < 300);
        let again = put(&simulator, &headers, body).await;
        assert_eq!(again.seen(), (400, format!("Duplicate job uuid[{JOB}]")));
        let short = put(&simulator, &format!("{SESSION}\nX-Job-UUID: 1"), body).await;
        let text = "Invalid header[X-Job-UUID], it must be a UUID with '-' stripped";
        assert_eq!(short.seen(), (400, text.to_owned()));
        let changes: u64 = simulator.tickets().iter().map(|ticket| ticket.changes).sum();
        assert_eq!(changes, 1);
        simulator.stop().await;
    }
}

#[tokio::test]
async fn a_job_that_nobody_knows_has_expired() {
    let simulator = asynchronous().await;
    let reply = get(&simulator, &format!("/v1/api-jobs/{JOB}")).await;
    assert_eq!(reply.seen(), (404, "the job has been expired".to_owned()));
    let request = format!("PUT /v1/api-jobs/{JOB} HTTP/1.1\nHost: sim\n\n");
    let reply = send(&simulator, &request).await;
    assert_eq!(
        reply.seen(),
        (405, "only GET method is allowed for querying job status".to_owned())
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_location_without_a_host_header_names_the_listener() {
    let simulator = asynchronous().await;
    let request = format!(
        "PUT /v1/tickets/{SAMPLE_TICKET}/actions HTTP/1.0\n{SESSION}\nX-Job-UUID: {JOB}\n\n\
         {{\"changeTicketStatus\":{{\"statusEvent\":\"open\"}}}}"
    );
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = crate::sim::tests::client::connect(&simulator).await;
    stream.write_all(&crate::sim::tests::client::wire(&request, true)).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let location = format!("http://{}/zstack/v1/api-jobs/{JOB}", simulator.addr());
    assert!(text.contains(&location), "{text}");
    simulator.stop().await;
}
