//! What sessions have in common: they outlive the process, are bound to whom they were given, and nobody may try
//! passwords for long.

use latimer::sim::Vendor;
use serde_json::json;

use super::{Desk, SHA512, cookie, is_hexadecimal, start};
use crate::harness::KEY;
use crate::vendors::ticket;

#[tokio::test]
async fn a_session_outlives_the_process_and_is_not_in_its_file() {
    let mut desk = Desk::open("").await;
    let answer = desk.log_in(Vendor::Zstack, "admin", SHA512).await;
    let token = answer.json()["inventory"]["uuid"].as_str().unwrap().to_owned();
    assert!(is_hexadecimal(&token));
    let Desk { home, gateway, system } = desk;
    gateway.terminate().await;
    for entry in std::fs::read_dir(home.path("")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&token), "the token is in {}", path.display());
    }
    let gateway = start(&home).await;
    desk = Desk { home, gateway, system };
    assert_eq!(desk.change(Vendor::Zstack, &token, &[]).await.status, 200);
    // Killed, not ended.
    let Desk { home, gateway, system } = desk;
    gateway.stop().await;
    let gateway = start(&home).await;
    desk = Desk { home, gateway, system };
    assert_eq!(desk.change(Vendor::Zstack, &token, &[]).await.status, 200);
    desk.stop().await;
}

#[tokio::test]
async fn a_session_is_good_where_it_was_made() {
    let desk = Desk::open("").await;
    let answer = desk.log_in(Vendor::Zstack, "admin", SHA512).await;
    let token = answer.json()["inventory"]["uuid"].as_str().unwrap().to_owned();
    for client in [Vendor::Arena, Vendor::Akana] {
        let refused = desk.change(client, &token, &[]).await;
        assert_eq!(refused.status, 401, "{client}: {refused:?}");
    }
    assert_eq!(desk.change(Vendor::Zstack, &token, &[]).await.status, 200);
    desk.stop().await;
}

/// A tenant's cookies are named after it. Whoever renames one has no session of the other tenant.
#[tokio::test]
async fn a_session_of_one_tenant_is_none_of_another() {
    let Desk { home, gateway, system } = Desk::open("").await;
    gateway.stop().await;
    let path = home.path("latimer.yaml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(
        "  globex:\n    client: akana\n    upstream: thalamus\n    consumers: [tester]\n    match: {host: globex.test}\n    \
         settings: {tenant: globex}\n    ids: {ticket: {file: akana.csv}}\n",
    );
    std::fs::write(&path, text).unwrap();
    let gateway = start(&home).await;
    let desk = Desk { home, gateway, system };
    let answer = desk.log_in(Vendor::Akana, "jo@example.com", "password").await;
    let (token, _) = cookie(&answer, "AtmoAuthToken_acmepaymentscorp");
    let (csrf, _) = cookie(&answer, "Csrf-Token_acmepaymentscorp");
    let line = format!("POST /api/tickets/{}/actions", ticket(Vendor::Akana, 1));
    let action = r#"{"ActionName":"ticket.action.resolve"}"#;
    for (host, tenant, status) in
        [("akana.test", "acmepaymentscorp", 200), ("globex.test", "globex", 401)]
    {
        let shown = format!("AtmoAuthToken_{tenant}={token}");
        let header = format!("X-Csrf-Token_{tenant}");
        let headers = [
            ("Host", host),
            ("Cookie", &shown),
            (&header, csrf),
            ("Content-Type", "application/json"),
            ("Accept", "text/plain"),
        ];
        let got = desk.gateway.call(&line, &headers, action).await;
        assert_eq!(got.status, status, "{host}: {got:?}");
    }
    desk.stop().await;
}

/// What the mapping does not know goes on as it is, and for nobody else than what it knows.
#[tokio::test]
async fn a_forwarded_path_asks_for_as_much_as_a_mapped_one() {
    let Desk { home, gateway, system } = Desk::open("").await;
    gateway.stop().await;
    let path = home.path("latimer.yaml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(
        "  forwarded:\n    client: thalamus\n    upstream: thalamus\n    consumers: [tester, keyed]\n    \
         match: {host: forwarded.test}\n    unmapped: forward\n    ids: {ticket: same}\n    \
         settings: {touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}\n",
    );
    std::fs::write(&path, text).unwrap();
    let gateway = start(&home).await;
    let desk = Desk { home, gateway, system };
    let answer = desk.log_in(Vendor::Thalamus, "hashed@example.com", "password").await;
    let (session, _) = cookie(&answer, "JSESSIONID");
    let shown = format!("JSESSIONID={session}");
    let line = "DELETE /api/v4/cases/100001";
    let host = ("Host", "forwarded.test");
    let forwarded = || desk.system.log().iter().filter(|seen| seen.method == "DELETE").count();
    let refused = desk.gateway.call(line, &[host, ("Thalamus-Token", KEY)], "").await;
    assert_eq!(refused.header("x-latimer-fault"), Some("unauthenticated"), "{refused:?}");
    assert_eq!(forwarded(), 0, "a key alone, of a consumer whose operators log in");
    let headers = [host, ("Thalamus-Token", KEY), ("Cookie", &shown)];
    desk.gateway.call(line, &headers, "").await;
    assert_eq!(forwarded(), 1, "{:#?}", desk.system.log());
    desk.gateway.call(line, &[host, ("Thalamus-Token", "keyed-key")], "").await;
    assert_eq!(forwarded(), 2, "who has no operators needs none");
    desk.stop().await;
}

/// Who may not log in any more is logged out.
#[tokio::test]
async fn a_session_ends_with_its_log_in() {
    let desk = Desk::open("").await;
    let answer = desk.log_in(Vendor::Zstack, "admin", SHA512).await;
    let token = answer.json()["inventory"]["uuid"].as_str().unwrap().to_owned();
    let Desk { home, gateway, system } = desk;
    gateway.terminate().await;
    let path = home.path("latimer.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let without = text.replace("- {user: admin, password: {env: SHA512}}", "");
    assert_ne!(text, without);
    std::fs::write(&path, without).unwrap();
    let gateway = start(&home).await;
    let desk = Desk { home, gateway, system };
    let refused = desk.change(Vendor::Zstack, &token, &[]).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], "ID.1001");
    desk.stop().await;
}

#[tokio::test]
async fn nobody_may_try_passwords_for_long() {
    let desk = Desk::open("").await;
    let (mut refused, mut limited) = (0, 0);
    // Ten a minute; the right one comes too late.
    for attempt in 0..14 {
        let password = if attempt == 13 { "password" } else { "the-wrong-one" };
        let answer = desk.log_in(Vendor::Arena, "jo@example.com", password).await;
        match answer.status {
            400 => refused += 1,
            429 => {
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{answer:?}");
                assert_eq!(answer.json()["errors"][0]["code"], 429);
                limited += 1;
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    // One comes back every six seconds.
    assert!((10..=12).contains(&refused) && limited >= 2, "{refused} refused, {limited} limited");
    assert_eq!(desk.log_in(Vendor::Arena, "nobody", "the-wrong-one").await.status, 400);
    assert_eq!(desk.change(Vendor::Arena, KEY, &[]).await.status, 201, "keys are not counted");
    desk.stop().await;
}

/// By address, and behind a proxy that is trusted by the address that it tells.
#[tokio::test]
async fn an_address_may_try_many_accounts_as_often() {
    let desk = Desk::open("trusted_proxies: [127.0.0.0/8]\n").await;
    let json = ("Content-Type", "application/json");
    let attempt = |user: String, from: &'static str| {
        let desk = &desk;
        async move {
            let body = json!({"email": user, "password": ""}).to_string();
            let headers = [json, ("X-Forwarded-For", from)];
            desk.call(Vendor::Arena, "POST /v1/login", &headers, &body).await.status
        }
    };
    let mut limited = 0;
    // An empty password is refused at once, so that this takes no minute.
    for number in 0..80 {
        let status = attempt(format!("user{number}"), "192.0.2.1").await;
        assert!([400, 429].contains(&status), "{status}");
        limited += usize::from(status == 429);
    }
    assert!(limited >= 10, "{limited}");
    assert_eq!(attempt("another".to_owned(), "192.0.2.2").await, 400, "another client");
    desk.stop().await;
}

#[tokio::test]
async fn a_log_in_that_cannot_be_read_is_refused_in_its_vendors_words() {
    let desk = Desk::open("").await;
    let json = ("Content-Type", "application/json");
    let arena = Vendor::Arena;
    let answer = desk.call(arena, "POST /v1/login", &[json], "{").await;
    assert_eq!((answer.status, answer.json()["errors"][0]["code"].clone()), (400, json!(400)));
    let answer = desk.call(arena, "POST /v1/login", &[("Content-Type", "text/plain")], "{}").await;
    assert_eq!(answer.status, 415, "{answer:?}");
    let answer =
        desk.call(arena, "POST /v1/login", &[json], r#"{"email": "jo@example.com"}"#).await;
    assert_eq!(answer.json()["errors"][0]["code"], 4001, "{answer:?}");
    let answer = desk.call(arena, "GET /v1/login", &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{answer:?}");
    let large = format!(r#"{{"email": "jo@example.com", "password": "{}"}}"#, "x".repeat(70_000));
    let answer = desk.call(arena, "POST /v1/login", &[json], &large).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(ticket(arena, 1).len(), 20);
    desk.stop().await;
}
