//! Forms of a job's answers that the guide has and the server, or the other way round (FACTS §1.4 and §1.5).

use serde_json::{Value, json};

use super::*;

/// The server sends an empty object while a job runs; the guide repeats the location.
#[tokio::test]
async fn a_job_runs_whatever_the_body_says() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "5s").await;
    let location = format!("{}/v1/api-jobs/1f", scripted.url);
    let elsewhere = format!("{}/v1/api-jobs/2e", scripted.url);
    for body in [
        "{}".to_owned(),
        format!(r#"{{"location":"{location}"}}"#),
        // Where it was first said to be, it is.
        format!(r#"{{"location":"{elsewhere}","apiTimeout":1800000}}"#),
        String::new(),
    ] {
        let runs = message("202 Accepted", "", &body);
        scripted.act(Act::InTurn(vec![accepted(&location), runs.clone(), runs, done()]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), YES, "{body}: {got:?}");
        asked(&scripted.take_seen(), &["/v1/api-jobs/1f"; 3]);
    }
    gateway.stop().await;
}

/// An error object with all of its members. What it was caused by is another error, with a code of its own.
fn whole_error(code: &str, causes: Value) -> Act {
    let mut error = json!({
        "code": code,
        "description": "Failed to change state",
        "details": "cannot change the status of the ticket",
        "elaboration": "the ticket is in a state that has no such event",
        "location": "TicketManagerImpl.java:112",
        "cost": "3ms",
        "opaque": {"ticketUuid": ticket(Vendor::Zstack, 1), "code": "SYS.1003"},
    });
    let members = error.as_object_mut().unwrap();
    members.extend(causes.as_object().unwrap().clone());
    message("503 Service Unavailable", "", &json!({ "error": error }).to_string())
}

#[tokio::test]
async fn the_outermost_code_counts() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "5s").await;
    // Neither a session that is over nor a ticket that is not there.
    let inner =
        json!({"code": "ID.1001", "description": "Invalid session", "cause": {"code": "SYS.1003"}});
    for causes in
        [json!({}), json!({"cause": inner}), json!({"cause": null, "causes": [inner, inner]})]
    {
        for (code, wanted) in [
            ("SYS.1005", no("conflict")),
            ("SYS.1007", no("invalid_status")),
            ("ID.1002", no("forbidden")),
        ] {
            let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
            scripted.act(Act::InTurn(vec![location, whole_error(code, causes.clone())]));
            let got = resolve(&gateway).await;
            assert_eq!(outcome(&got), wanted, "{code} {causes}: {got:?}");
            asked(&scripted.take_seen(), &["/v1/api-jobs/1f"]);
        }
    }
    gateway.stop().await;
}
