//! What the answer to a log-in at an upstream says, in the forms that the vendors' pages and clients attest.

use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, Home, KEY};
use crate::scripted::{Act, Scripted, answer, field, message};
use crate::vendors::ticket;

/// A Series client in front of a scripted system that is logged in to.
async fn start(vendor: Vendor, scripted: &Scripted) -> Gateway {
    let settings = if vendor == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    let text = format!(
        "upstreams:\n  desk:\n    vendor: {vendor}\n    url: {}\n    settings: {settings}\n    breaker: off\n    \
         credential: {{user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\nroutes:\n  main:\n    \
         client: series\n    upstream: desk\n    consumers: [tester]\n    ids: {{ticket: {{file: pairs.csv}}}}\n",
        scripted.url
    );
    let (ours, theirs) = (ticket(Vendor::Series, 1), ticket(vendor, 1));
    let files = [("pairs.csv".to_owned(), format!("client_id,upstream_id\n{ours},{theirs}\n"))];
    let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
    let mut command = home.command();
    command.env("DESK_USER", "jo@example.com").env("DESK_PASSWORD", "the-upstreams-password");
    Gateway::launch(&home, command).await
}

async fn change(gateway: &Gateway) -> Answer {
    let line = format!("POST /tickets/{}/status", ticket(Vendor::Series, 1));
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    gateway.call(&line, &headers, r#"{"status":"resolved","staffUserId":7}"#).await
}

/// FACTS §2: the page's sample has one spelling and the clients in use read the other; a back accepts both.
#[tokio::test]
async fn arenas_session_id_is_read_in_both_spellings() {
    for member in ["arenaSessionId", "arena_session_id"] {
        let given = format!(r#"{{"{member}":"LABS-0123456789|","workspaceId":200002}}"#);
        let changed = format!(
            r#"{{"ticket":{{"guid":"{}"}},"status":"COMPLETE"}}"#,
            ticket(Vendor::Arena, 1)
        );
        let scripted = Scripted::start(Act::InTurn(vec![
            message("200 OK", "application/json", &given),
            message("201 Created", "application/json", &changed),
        ]))
        .await;
        let gateway = start(Vendor::Arena, &scripted).await;
        let got = change(&gateway).await;
        assert_eq!(got.status, 200, "{member}: {got:?}");
        let seen = scripted.take_seen();
        assert!(seen[0].starts_with("POST /login HTTP/1.1\r\n"), "{seen:?}");
        assert!(
            seen[1].to_lowercase().contains("arena_session_id: labs-0123456789|\r\n"),
            "{seen:?}"
        );
        gateway.stop().await;
    }
}

/// The page of `GET /api/login/status`, whose answer is that of a log-in: a user may have something to do first. What
/// cookie came with it is of no use.
#[tokio::test]
async fn an_akana_user_with_pending_tasks_is_not_logged_in() {
    let cookies = "Set-Cookie: AtmoAuthToken_acmepaymentscorp=TokenID%3Dx; Path=/\r\n";
    let log_in = |body: &str, cookies: &str| {
        let length = body.len();
        Act::Say(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{cookies}Content-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    };
    for said in [
        log_in(r#"{"pendingTasks":["2fa.required"]}"#, cookies),
        log_in(r#"{"pendingTasks":["2fa.required"]}"#, ""),
        log_in(r#"{"userName":"jo","pendingTasks":[]}"#, ""),
    ] {
        let scripted = Scripted::start(said).await;
        let gateway = start(Vendor::Akana, &scripted).await;
        for _ in 0..3 {
            let got = change(&gateway).await;
            assert_eq!(got.header("x-latimer-fault"), Some("upstream_failed"), "{got:?}");
            assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{got:?}");
        }
        let seen = scripted.take_seen();
        assert_eq!(seen.len(), 1, "one attempt, and nothing else was sent: {seen:?}");
        gateway.until_logged("something that its user has to do first").await;
        gateway.stop().await;
    }
    let scripted = Scripted::start(Act::InTurn(vec![
        log_in(r#"{"userName":"jo","pendingTasks":[]}"#, cookies),
        message("200 OK", "text/plain", "RESOLVED"),
    ]))
    .await;
    let gateway = start(Vendor::Akana, &scripted).await;
    let got = change(&gateway).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    gateway.stop().await;
}

/// FACTS §4: the token is long, coded as in a URL, and tells its end inside; it is shown as it came. Without a CSRF
/// cookie the platform has that protection off, and no header is due.
#[tokio::test]
async fn akanas_token_is_shown_as_it_came() {
    let token = format!(
        "TokenID%3D8ed70a13-8469-11e8-b37a-b155e4eabeb8%2Cclaimed_id%3Durn%3Aatmosphere%3Auser%3A{}\
         %2CissueTime%3D1531251800000%2CexpirationTime%3D1531253600000%2CAttributesIncluded%3Dfalse\
         %2CUserName%3Djo%40example.com%2Csig%3D{}%3D%3D",
        "a".repeat(120),
        "Zm9v".repeat(43)
    );
    assert!(token.len() > 400);
    for csrf in [None, Some("TokenID%3D8ed70a13%2CexpirationTime%3D1531253600000%2Csig%3DZm9v%2F")]
    {
        let mut cookies = format!(
            "Content-Type: application/json\r\n\
             Set-Cookie: AtmoAuthToken_acmepaymentscorp={token}; Path=/; Secure; HttpOnly\r\n"
        );
        if let Some(csrf) = csrf {
            cookies
                .push_str(&format!("Set-Cookie: Csrf-Token_acmepaymentscorp={csrf}; Path=/\r\n"));
        }
        let scripted = Scripted::start(Act::InTurn(vec![
            answer("200 OK", &cookies, r#"{"userName":"jo","loginState":"OK"}"#),
            message("200 OK", "text/plain", "RESOLVED"),
        ]))
        .await;
        let gateway = start(Vendor::Akana, &scripted).await;
        let got = change(&gateway).await;
        assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
        let seen = scripted.take_seen();
        let shown = format!("AtmoAuthToken_acmepaymentscorp={token}");
        assert_eq!(field(&seen[1], "cookie"), Some(shown.as_str()), "{seen:#?}");
        assert_eq!(field(&seen[1], "x-csrf-token_acmepaymentscorp"), csrf, "{seen:#?}");
        gateway.stop().await;
    }
}
