//! Akana over a socket: the page's exchange, the workflow, each refusal, JSON and XML.

use super::action::{JSON_TYPES, XML_TYPES};
use super::*;
use crate::sim::tests::client::{Reply, send, start, start_with};
use crate::sim::{Seed, Simulator, Vendor};

const COOKIE: &str = "Cookie: AtmoAuthToken_acmepaymentscorp=sim-akana-token";

async fn post(simulator: &Simulator, headers: &str, body: &str) -> Reply {
    let request = format!(
        "POST /api/tickets/ticket25687.acmepaymentscorp/actions HTTP/1.1\nHost: sim\n{headers}\n\n{body}"
    );
    send(simulator, &request).await
}

async fn act(simulator: &Simulator, action: &str) -> (u16, String) {
    let body = format!(r#"{{"ActionName":"ticket.action.{action}","Comments":"c"}}"#);
    post(simulator, &format!("{COOKIE}\nContent-Type: application/json"), &body).await.seen()
}

fn fault(status: u16, code: &str, text: &str) -> (u16, String) {
    (status, format!(r#"{{"faultcode":"{code}","faultstring":"{text}"}}"#))
}

fn illegal(action: &str, state: &str) -> (u16, String) {
    let text = format!("Action ticket.action.{action} is not valid in state {state}");
    fault(500, "Server", &text)
}

#[tokio::test]
async fn the_pages_exchange() {
    let csrf = Some("TokenID%3D8ed70a13-8469-11e8-b37a-b155e4eabeb8".to_owned());
    let simulator = start_with(Vendor::Akana, Options { csrf, ..Options::default() }).await;
    let request = "POST /api/tickets/ticket25687.acmepaymentscorp/actions HTTP/1.1\nHost: sim\n\
        Accept: */*\nContent-Type: application/json; charset=UTF-8\n\
        Cookie: AtmoAuthToken_acmepaymentscorp=sim-akana-token\n\
        X-Csrf-Token_acmepaymentscorp: TokenID%3D8ed70a13-8469-11e8-b37a-b155e4eabeb8\n\n\
        { \"ActionName\":\"ticket.action.resolve\", \"Comments\":\"Bug is fixed. Resolving this ticket.\" }";
    let reply = send(&simulator, request).await;
    assert_eq!(reply.seen(), (200, "RESOLVED".to_owned()));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    assert!(reply.header("date").is_some());
    assert_eq!(simulator.status(SAMPLE_TICKET).as_deref(), Some("RESOLVED"));
    simulator.stop().await;
}

#[tokio::test]
async fn the_workflow() {
    let simulator = start(Vendor::Akana).await;
    let ok = |state: &str| (200, state.to_owned());
    for (action, wanted) in [
        ("reopen", illegal("reopen", "OPEN")),
        ("modify", illegal("modify", "OPEN")),
        ("resolve", ok("RESOLVED")),
        ("resolve", illegal("resolve", "RESOLVED")),
        ("reopen", ok("REOPEN")),
        ("reopen", illegal("reopen", "REOPEN")),
        ("resolve", ok("RESOLVED")),
        ("close", ok("CLOSED")),
        ("resolve", illegal("resolve", "CLOSED")),
        ("close", illegal("close", "CLOSED")),
        ("reopen", ok("REOPEN")),
        ("close", ok("CLOSED")),
    ] {
        assert_eq!(act(&simulator, action).await, wanted, "{action}");
    }
    assert_eq!(simulator.tickets()[0].changes, 6);
    simulator.stop().await;
}

#[tokio::test]
async fn the_cookie_is_demanded_and_its_name_carries_the_tenant() {
    let token = Some("TokenID=1,sig=2".to_owned());
    let options = Options { token, tenant: "other".to_owned(), ..Options::default() };
    let simulator = start_with(Vendor::Akana, options).await;
    for (line, status) in [
        ("Cookie: AtmoAuthToken_other=TokenID%3D1%2Csig%3D2", 200),
        ("Cookie: a=b; AtmoAuthToken_other=TokenID=1,sig=2", 200),
        ("Cookie: AtmoAuthToken_acmepaymentscorp=TokenID%3D1%2Csig%3D2", 401),
        ("Cookie: AtmoAuthToken_other=TokenID%3D1", 401),
        ("Authorization: TokenID=1,sig=2", 401),
    ] {
        let request = format!(
            "GET /api/tickets/ticket25687.acmepaymentscorp HTTP/1.1\nHost: sim\n{line}\n\n"
        );
        assert_eq!(send(&simulator, &request).await.status, status, "{line}");
    }
    let refused = post(&simulator, "Content-Type: application/json", "{}").await;
    assert_eq!(refused.seen(), fault(401, "Client", "Unauthorized"));
    simulator.stop().await;
}

#[tokio::test]
async fn the_csrf_header_is_demanded_of_a_write_if_it_is_on() {
    let csrf = Some("c-1".to_owned());
    let simulator = start_with(Vendor::Akana, Options { csrf, ..Options::default() }).await;
    let body = r#"{"ActionName":"ticket.action.resolve"}"#;
    for (line, wanted) in [
        ("Accept: */*", fault(401, "Client", "Unauthorized")),
        ("X-Csrf-Token_acmepaymentscorp: wrong", fault(401, "Client", "Unauthorized")),
        ("X-Csrf-Token_other: c-1", fault(401, "Client", "Unauthorized")),
        ("X-Csrf-Token_acmepaymentscorp: c-1", (200, "RESOLVED".to_owned())),
    ] {
        let headers = format!("{COOKIE}\n{line}\nContent-Type: application/json");
        assert_eq!(post(&simulator, &headers, body).await.seen(), wanted, "{line}");
    }
    let read =
        format!("GET /api/tickets/ticket25687.acmepaymentscorp HTTP/1.1\nHost: sim\n{COOKIE}\n\n");
    assert_eq!(send(&simulator, &read).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn all_ten_media_types_are_taken() {
    let simulator = start(Vendor::Akana).await;
    let json = r#"{"ActionName":"ticket.action.NAME","Comments":["one","two"]}"#;
    let xml =
        "<Action><ActionName>ticket.action.NAME</ActionName><Comments>one</Comments></Action>";
    for (types, body) in [(JSON_TYPES, json), (XML_TYPES, xml)] {
        for media_type in types {
            for name in ["resolve", "reopen"] {
                let headers = format!("{COOKIE}\nContent-Type: {media_type}; charset=UTF-8");
                let reply = post(&simulator, &headers, &body.replace("NAME", name)).await;
                // The ticket is open at first and reopened after that.
                let state = if name == "resolve" { "RESOLVED" } else { "REOPEN" };
                assert_eq!(reply.seen(), (200, state.to_owned()), "{media_type}");
            }
        }
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_type_accept_verb_path_or_id_finds_nothing() {
    let simulator = start(Vendor::Akana).await;
    let body = r#"{"ActionName":"ticket.action.resolve"}"#;
    for headers in [
        "Content-Type: text/plain",
        "Content-Type: application/vnd.soa.v70+json",
        "X-None: 1",
        "Content-Type: application/json\nAccept: application/json",
        "Content-Type: application/json\nAccept: text/plain;q=0, */*",
    ] {
        let reply = post(&simulator, &format!("{COOKIE}\n{headers}"), body).await;
        assert_eq!(reply.seen(), fault(404, "Client", "Not Found"), "{headers}");
    }
    for line in [
        "PUT /api/tickets/ticket25687.acmepaymentscorp/actions",
        "GET /api/tickets/ticket25687.acmepaymentscorp/actions",
        "POST /tickets/ticket25687.acmepaymentscorp/actions",
        "POST /api/tickets/ticket1.acmepaymentscorp/actions",
        "GET /api/tickets/ticket1.acmepaymentscorp",
        "GET /",
    ] {
        let request = format!(
            "{line} HTTP/1.1\nHost: sim\n{COOKIE}\nContent-Type: application/json\n\n{body}"
        );
        let reply = send(&simulator, &request).await;
        assert_eq!(reply.seen(), fault(404, "Client", "Not Found"), "{line}");
    }
    assert_eq!(simulator.tickets()[0].changes, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn a_malformed_body_is_400() {
    let simulator = start(Vendor::Akana).await;
    let headers = |form: &str| format!("{COOKIE}\nContent-Type: application/{form}");
    let reply = post(&simulator, &headers("json"), "{").await;
    assert_eq!(reply.seen(), fault(400, "Client", "The body is not JSON"));
    let reply = post(&simulator, &headers("json"), "{}").await;
    assert_eq!(reply.seen(), fault(400, "Client", "ActionName is required"));
    let reply = post(&simulator, &headers("xml"), "<!DOCTYPE Action><Action/>").await;
    let body = "<Fault><faultcode>Client</faultcode><faultstring>The body is not XML</faultstring></Fault>";
    assert_eq!(reply.seen(), (400, body.to_owned()));
    assert_eq!(reply.header("content-type"), Some("application/xml"));
    simulator.stop().await;
}

#[tokio::test]
async fn a_fault_is_written_as_it_is_accepted() {
    let simulator = start(Vendor::Akana).await;
    let xml = "<Action><ActionName>a&amp;b</ActionName></Action>";
    let json = r#"{"ActionName":"a&b"}"#;
    let xml_fault = "<Fault><faultcode>Server</faultcode>\
        <faultstring>Action a&amp;b is not valid in state OPEN</faultstring></Fault>";
    let json_fault =
        r#"{"faultcode":"Server","faultstring":"Action a&b is not valid in state OPEN"}"#;
    for (form, accept, wanted) in [
        ("json", "*/*", json_fault),
        ("xml", "*/*", xml_fault),
        ("json", "text/plain, application/xml", xml_fault),
        ("xml", "text/plain, application/json", json_fault),
        ("xml", "text/plain, application/xml;q=0.5, application/json;q=0.6", json_fault),
        ("json", "text/plain, application/vnd.soa.v81+xml", xml_fault),
    ] {
        let body = if form == "xml" { xml } else { json };
        let headers = format!("{COOKIE}\nContent-Type: application/{form}\nAccept: {accept}");
        let reply = post(&simulator, &headers, body).await;
        assert_eq!(reply.seen(), (500, wanted.to_owned()), "{form}, {accept}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_is_read() {
    let tickets = vec![Seed::new("ticket7.acmepaymentscorp", "CLOSED")];
    let simulator = start_with(Vendor::Akana, Options { tickets, ..Options::default() }).await;
    let request = |accept: &str| {
        format!(
            "GET /api/tickets/ticket7.acmepaymentscorp HTTP/1.1\nHost: sim\n{COOKIE}\nAccept: {accept}\n\n"
        )
    };
    let reply = send(&simulator, &request("application/vnd.soa.v81+json")).await;
    let body = r#"{"TicketID":"ticket7.acmepaymentscorp","Title":"Simulated ticket","Description":"","State":"CLOSED","Comments":0}"#;
    assert_eq!(reply.seen(), (200, body.to_owned()));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let reply = send(&simulator, &request("application/json;q=0.5, application/xml")).await;
    let body = "<Ticket><TicketID>ticket7.acmepaymentscorp</TicketID><Title>Simulated ticket</Title>\
                <Description/><State>CLOSED</State><Comments>0</Comments></Ticket>";
    assert_eq!(reply.seen(), (200, body.to_owned()));
    assert_eq!(reply.header("content-type"), Some("application/xml"));
    assert_eq!(send(&simulator, &request("text/plain")).await.status, 404);
    simulator.stop().await;
}
