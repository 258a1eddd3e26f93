//! What the answer to a log-in at an upstream says, in the forms that the vendors' pages and clients attest.

use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, Home, KEY};
use crate::scripted::{Act, Scripted, answer, field, message};
use crate::vendors::ticket;

/// A Series client in front of a scripted system that is logged in to.
async fn start(vendor: Vendor, scripted: &Scripted) -> Gateway {
    let settings = if vendor == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    start_with(vendor, &scripted.url, settings).await
}

/// The same at a place and with settings of the test's own.
async fn start_with(vendor: Vendor, url: &str, settings: &str) -> Gateway {
    // Thalamus wants its API's own token beside the operator's session.
    let token = if vendor == Vendor::Thalamus { "token: {env: THALAMUS_TOKEN}, " } else { "" };
    let text = format!(
        "upstreams:\n  desk:\n    vendor: {vendor}\n    url: {url}\n    settings: {settings}\n    breaker: off\n    \
         credential: {{{token}user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\nroutes:\n  main:\n    \
         client: series\n    upstream: desk\n    consumers: [tester]\n    ids: {{ticket: {{file: pairs.csv}}}}\n"
    );
    let (ours, theirs) = (ticket(Vendor::Series, 1), ticket(vendor, 1));
    let files = [("pairs.csv".to_owned(), format!("client_id,upstream_id\n{ours},{theirs}\n"))];
    launch(&text, &files).await
}

async fn launch(text: &str, files: &[(String, String)]) -> Gateway {
    let home = Home::new("127.0.0.1:0", "mappings", text, files);
    let mut command = home.command();
    command.env("DESK_USER", "jo@example.com").env("DESK_PASSWORD", "the-upstreams-password");
    Gateway::launch(&home, command).await
}

async fn change(gateway: &Gateway) -> Answer {
    let line = format!("POST /tickets/{}/status", ticket(Vendor::Series, 1));
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    gateway.call(&line, &headers, r#"{"status":"resolved","staffUserId":7}"#).await
}

/// What no mapping knows goes on as it came, also by a new session where the first one is over; and no third time.
#[tokio::test]
async fn a_forwarded_call_comes_once_more_by_a_new_session() {
    let given = |number: usize| {
        let body = format!(r#"{{"arenaSessionId":"LABS-{number}|","workspaceId":200002}}"#);
        message("200 OK", "application/json", &body)
    };
    let over = || message("401 Unauthorized", "application/json", r#"{"status":401,"errors":[]}"#);
    for (last, status, outcome) in [
        (message("200 OK", "text/plain", "done"), 200, "yes"),
        // The client hears nothing of our credential.
        (over(), 502, "no"),
    ] {
        let scripted = Scripted::start(Act::InTurn(vec![given(1), over(), given(2), last])).await;
        let text = format!(
            "upstreams:\n  desk:\n    vendor: arena\n    url: {}\n    breaker: off\n    \
             credential: {{user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\nroutes:\n  main:\n    \
             client: arena\n    upstream: desk\n    consumers: [tester]\n    unmapped: forward\n    \
             ids: {{ticket: same}}\n",
            scripted.url
        );
        let gateway = launch(&text, &[]).await;
        let got = gateway.call("POST /v1/items", &[("arena_session_id", KEY)], "as it is").await;
        assert_eq!(
            (got.status, got.header("x-latimer-outcome")),
            (status, Some(outcome)),
            "{got:?}"
        );
        let seen = scripted.take_seen();
        let lines: Vec<&str> = seen.iter().filter_map(|seen| seen.split(' ').nth(1)).collect();
        assert_eq!(lines, ["/login", "/items", "/login", "/items"], "{seen:#?}");
        for (seen, session) in [(&seen[1], "LABS-1|"), (&seen[3], "LABS-2|")] {
            assert!(seen.contains(session) && seen.ends_with("as it is"), "{seen}");
        }
        gateway.stop().await;
    }
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

/// A log-in as a vendor's page has it.
struct LogIn {
    vendor: Vendor,
    /// What stands behind the upstream's host, and the settings.
    below: &'static str,
    settings: &'static str,
    line: &'static str,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

/// FACTS §1.2 and §1.3: the clients' name of the action.
const ZSTACK: LogIn = LogIn {
    vendor: Vendor::Zstack,
    below: "",
    settings: "{}",
    line: "PUT /v1/accounts/login HTTP/1.1",
    body: r#"{"logInByAccount":{"accountName":"jo@example.com","password":"the-upstreams-password"}}"#,
    headers: &[("content-type", "application/json")],
};

const LOG_INS: [LogIn; 6] = [
    // FACTS §2: the base URL ends in /v1; the workspace is a number, and may be left out.
    LogIn {
        vendor: Vendor::Arena,
        below: "/v1",
        settings: "{}",
        line: "POST /v1/login HTTP/1.1",
        body: r#"{"email":"jo@example.com","password":"the-upstreams-password"}"#,
        headers: &[("content-type", "application/json")],
    },
    LogIn {
        vendor: Vendor::Arena,
        below: "/v1",
        settings: "{workspace: 200002}",
        line: "POST /v1/login HTTP/1.1",
        body: r#"{"email":"jo@example.com","password":"the-upstreams-password","workspaceId":200002}"#,
        headers: &[("content-type", "application/json")],
    },
    // With the servlet's context and without it.
    ZSTACK,
    LogIn { below: "/zstack", line: "PUT /zstack/v1/accounts/login HTTP/1.1", ..ZSTACK },
    // FACTS §4: both types are JSON.
    LogIn {
        vendor: Vendor::Akana,
        below: "",
        settings: "{tenant: acmepaymentscorp}",
        line: "POST /api/login HTTP/1.1",
        body: r#"{"email":"jo@example.com","password":"the-upstreams-password"}"#,
        headers: &[("content-type", "application/json"), ("accept", "application/json")],
    },
    // FACTS §5: token and touchpoint stand beside the operator.
    LogIn {
        vendor: Vendor::Thalamus,
        below: "",
        settings: "{touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}",
        line: "POST /api/v4/login HTTP/1.1",
        body: r#"{"principal":"jo@example.com","password":"the-upstreams-password"}"#,
        headers: &[
            ("content-type", "application/json"),
            ("thalamus-token", "sim-thalamus-token"),
            ("thalamus-touchpoint", "web"),
        ],
    },
];

#[tokio::test]
async fn a_log_in_is_that_of_the_vendors_page() {
    for log_in in LOG_INS {
        let LogIn { vendor, below, settings, line, body, headers } = log_in;
        let scripted = Scripted::start(message("500 Internal Server Error", "", "")).await;
        let gateway = start_with(vendor, &format!("{}{below}", scripted.url), settings).await;
        let got = change(&gateway).await;
        assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{vendor}: {got:?}");
        let seen = scripted.take_seen();
        let [only] = &seen[..] else { panic!("{vendor}: a log-in and nothing else: {seen:#?}") };
        let (head, said) = only.split_once("\r\n\r\n").unwrap();
        assert_eq!((head.lines().next().unwrap(), said), (line, body), "{vendor}");
        for (name, value) in headers {
            assert_eq!(field(only, name), Some(*value), "{vendor}: {only}");
        }
        // Nobody is known yet.
        for name in ["authorization", "cookie", "arena_session_id"] {
            assert_eq!(field(only, name), None, "{vendor}: {only}");
        }
        gateway.stop().await;
    }
}
