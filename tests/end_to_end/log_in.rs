//! Clients that log in to the gateway, each in the way of its own vendor's API.

mod clients;
mod lives;
mod pairs;
mod sessions;

use std::sync::Arc;

use latimer::sim::{Simulator, Vendor};
use serde_json::json;

use crate::harness::{
    ACCOUNT_PASSWORD, ACCOUNT_USER, Answer, Gateway, Home, KEY, simulator, upstream,
};
use crate::vendors::{crosswalk, request, ticket};

/// `printf %s password | sha512sum`, which is what ZStack's clients send for it.
pub(crate) const SHA512: &str = "b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb\
                      980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86";

/// The consumer's users: a password is `password`, by its Argon2id hash (RFC 9106's reference implementation,
/// test.c) or from the environment.
fn consumers() -> String {
    let hash =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    format!(
        "consumers:\n  tester:\n    key: {{env: TEST_KEY}}\n    logins:\n      \
         - {{user: jo@example.com, password: {{env: PASSWORD}}}}\n      \
         - {{user: hashed@example.com, password: {{hash: \"{hash}\"}}}}\n      \
         - {{user: admin, password: {{env: SHA512}}}}\n  \
         other:\n    key: {{env: OTHER_KEY}}\n    logins: [{{user: al@example.com, password: {{env: PASSWORD}}}}]\n  \
         keyed: {{key: {{env: KEYED_KEY}}}}\n"
    )
}

/// A gateway with a route for each vendor's clients, by host, all in front of one system.
struct Desk {
    home: Arc<Home>,
    gateway: Gateway,
    system: Simulator,
}

impl Desk {
    async fn open(more: &str) -> Self {
        Self::open_with("mappings", more).await
    }

    /// The same with mappings of another folder.
    async fn open_with(mappings: &str, more: &str) -> Self {
        let tickets: Vec<_> =
            (1..=9).map(|number| (ticket(Vendor::Thalamus, number), "open")).collect();
        let thalamus = simulator(Vendor::Thalamus, &tickets).await;
        let lines = upstream(Vendor::Thalamus, &thalamus.url());
        Self::before(thalamus, &lines, (mappings, more)).await
    }

    /// In front of that system, whose section of the configuration has these lines.
    async fn before(system: Simulator, lines: &str, (mappings, more): (&str, &str)) -> Self {
        let mut text = format!("{more}{}upstreams:\n{lines}routes:\n", consumers());
        let upstream = system.vendor();
        let mut files = Vec::new();
        for client in Vendor::ALL {
            let settings = match client {
                Vendor::Arena => "{workspace: 200002, workspace_name: Labs}",
                Vendor::Akana => "{tenant: acmepaymentscorp}",
                Vendor::Thalamus => {
                    "{touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}"
                }
                Vendor::Series | Vendor::Zstack => "{}",
            };
            text.push_str(&format!(
                "  {client}:\n    client: {client}\n    upstream: {upstream}\n    \
                 consumers: [tester, other, keyed]\n    match: {{host: {client}.test}}\n    \
                 ids: {{ticket: {{file: {client}.csv}}}}\n    settings: {settings}\n"
            ));
            files.push((format!("{client}.csv"), crosswalk(client, upstream, 1..=10)));
        }
        let home = Home::new("127.0.0.1:0", mappings, &text, &files);
        let gateway = start(&home).await;
        Self { home, gateway, system }
    }

    async fn call(
        &self,
        client: Vendor,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let host = format!("{client}.test");
        let mut all = vec![("Host", host.as_str())];
        all.extend_from_slice(headers);
        self.gateway.call(line, &all, body).await
    }

    /// A change of a ticket's status with another credential, and more header fields.
    async fn change(&self, client: Vendor, key: &str, more: &[(&str, &str)]) -> Answer {
        let wire = match client {
            Vendor::Arena => "IN_PROGRESS",
            Vendor::Series => "in-progress",
            Vendor::Akana => "ticket.action.resolve",
            Vendor::Thalamus => "in_progress",
            Vendor::Zstack => "approve",
        };
        self.change_to(client, (1, wire), key, more).await
    }

    /// The same of any ticket, to any word of the client's.
    async fn change_to(
        &self,
        client: Vendor,
        (number, wire): (usize, &str),
        key: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let request = request(client, &ticket(client, number), wire, key);
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend_from_slice(more);
        self.call(client, &request.line, &headers, &request.body).await
    }

    async fn log_in(&self, client: Vendor, user: &str, password: &str) -> Answer {
        let json = ("Content-Type", "application/json");
        let mail = json!({"email": user, "password": password}).to_string();
        match client {
            Vendor::Arena => self.call(client, "POST /v1/login", &[json], &mail).await,
            Vendor::Akana => {
                let accept = ("Accept", "application/json");
                self.call(client, "POST /api/login", &[json, accept], &mail).await
            }
            Vendor::Zstack => {
                let account = json!({"accountName": user, "password": password});
                let body = json!({"logInByAccount": account}).to_string();
                self.call(client, "PUT /zstack/v1/accounts/login", &[json], &body).await
            }
            Vendor::Thalamus => {
                let body = json!({"principal": user, "password": password}).to_string();
                let token = ("Thalamus-Token", KEY);
                self.call(client, "POST /api/v4/login", &[json, token], &body).await
            }
            Vendor::Series => panic!("its clients do not log in"),
        }
    }

    async fn stop(self) {
        let log = self.gateway.terminate().await;
        for secret in ["the-wrong-one", "LABS-", SHA512, "TokenID", "password\"", KEY] {
            assert!(!log.iter().any(|line| line.contains(secret)), "{secret} is logged: {log:#?}");
        }
    }
}

async fn start(home: &Arc<Home>) -> Gateway {
    let mut command = home.command();
    command.env("PASSWORD", "password").env("SHA512", SHA512).env("KEYED_KEY", "keyed-key");
    command.env("DESK_USER", ACCOUNT_USER).env("DESK_PASSWORD", ACCOUNT_PASSWORD);
    Gateway::launch(home, command).await
}

/// The value of a cookie that an answer sets, and what stands behind it.
fn cookie<'a>(answer: &'a Answer, name: &str) -> (&'a str, &'a str) {
    let lines = answer.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case("set-cookie"));
    let found = lines.filter_map(|(_, line)| line.strip_prefix(name)?.strip_prefix('=')).next();
    found.and_then(|line| line.split_once("; ")).unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}

fn is_hexadecimal(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// FACTS §2: both spellings, the id ends in a pipe, a bad login is 400/4001, log-out is a PUT with a body.
#[tokio::test]
async fn an_arena_client() {
    let desk = Desk::open("").await;
    let arena = Vendor::Arena;
    let wrong = desk.log_in(arena, "jo@example.com", "the-wrong-one").await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert_eq!(wrong.json()["status"], 400);
    assert_eq!(wrong.json()["errors"][0]["code"], 4001);
    assert_eq!(wrong.header("x-latimer-fault"), Some("log_in_refused"));

    let answer = desk.log_in(arena, "jo@example.com", "password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let token = body["arenaSessionId"].as_str().unwrap().to_owned();
    let random = token.strip_prefix("LABS-").and_then(|rest| rest.strip_suffix('|'));
    assert!(random.is_some_and(is_hexadecimal), "{token}");
    let wanted = json!({
        "arenaSessionId": token, "arena_session_id": token, "workspaceId": 200002,
        "workspaceName": "Labs", "workspaceRequestLimit": 25
    });
    assert_eq!(body, wanted);
    assert_eq!(answer.header("x-arena-requests-remaining"), Some("25"), "a log-in does not count");
    assert_eq!(answer.header("server"), Some("ArenaSolutions"));

    let named = json!({"email": "jo@example.com", "password": "password", "workspaceId": 7});
    let json = ("Content-Type", "application/json");
    let other = desk.call(arena, "POST /login", &[json], &named.to_string()).await;
    assert_eq!(other.json()["workspaceId"], 7, "{other:?}");

    let changed = desk.change(arena, &token, &[]).await;
    assert_eq!(changed.status, 201, "{changed:?}");
    assert_eq!(changed.header("x-arena-requests-remaining"), Some("24"));
    // As a cookie the pipe is %7C.
    let cookie = format!("arena_session_id={}", token.replace('|', "%7C"));
    let body = format!(r#"{{"ticket":{{"guid":"{}"}},"status":"COMPLETE"}}"#, ticket(arena, 1));
    let line = "POST /tickets/statuschanges";
    let changed = desk.call(arena, line, &[("Cookie", &cookie), json], &body).await;
    assert_eq!(changed.status, 201, "{changed:?}");

    let out = desk.call(arena, "PUT /v1/logout", &[("arena_session_id", &token), json], "{}").await;
    assert_eq!((out.status, out.body.as_str()), (200, ""), "{out:?}");
    let after = desk.change(arena, &token, &[]).await;
    assert_eq!(after.status, 401, "{after:?}");
    assert_eq!(after.json()["errors"][0]["code"], 401);
    let again = desk.call(arena, "PUT /v1/logout", &[("arena_session_id", &token), json], "").await;
    assert_eq!(again.status, 401, "{again:?}");
    // A key has no end, and goes on to hold.
    let keyed = desk.call(arena, "PUT /v1/logout", &[("arena_session_id", KEY), json], "").await;
    assert_eq!(keyed.status, 200, "{keyed:?}");
    assert_eq!(desk.change(arena, KEY, &[]).await.status, 201);
    desk.stop().await;
}

/// FACTS §1.2: both names of the action, 32 hexadecimal digits, two hours from the log-in.
#[tokio::test]
async fn a_zstack_client() {
    let desk = Desk::open("").await;
    let zstack = Vendor::Zstack;
    let wrong = desk.log_in(zstack, "admin", "the-wrong-one").await;
    assert_eq!(wrong.status, 503, "{wrong:?}");
    assert_eq!(wrong.json()["error"]["code"], "ID.1000");

    let answer = desk.log_in(zstack, "admin", SHA512).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), None, "their server sends none");
    let inventory = &answer.json()["inventory"];
    let token = inventory["uuid"].as_str().unwrap().to_owned();
    assert!(is_hexadecimal(&token), "{token}");
    assert!(is_hexadecimal(inventory["accountUuid"].as_str().unwrap()), "{answer:?}");
    let date = |name: &str| {
        let text = inventory[name].as_str().unwrap();
        let form = jiff::fmt::strtime::parse("%b %d, %Y %I:%M:%S %p", text).unwrap();
        form.to_datetime().unwrap()
    };
    let life = date("expiredDate").since(date("createDate")).unwrap();
    assert_eq!(life.total(jiff::Unit::Second).unwrap(), 7_200.0, "{answer:?}");

    let account = json!({"logIn": {"accountName": "admin", "password": SHA512}}).to_string();
    let json = ("Content-Type", "application/json");
    let other = desk.call(zstack, "PUT /v1/accounts/login", &[json], &account).await;
    let second = other.json()["inventory"]["uuid"].as_str().unwrap().to_owned();
    assert_ne!(second, token, "each log-in has a session of its own");
    assert_eq!(other.json()["inventory"]["accountUuid"], inventory["accountUuid"]);

    assert_eq!(desk.change(zstack, &token, &[]).await.status, 200);
    let line = format!("DELETE /zstack/v1/accounts/sessions/{token}");
    let authorization = format!("OAuth {token}");
    let out = desk.call(zstack, &line, &[("Authorization", &authorization)], "").await;
    assert_eq!((out.status, out.body.as_str()), (200, "{}"), "{out:?}");
    let after = desk.change(zstack, &token, &[]).await;
    assert_eq!(after.status, 503, "{after:?}");
    assert_eq!(after.json()["error"]["code"], "ID.1001");
    assert_eq!(desk.change(zstack, &second, &[]).await.status, 200, "the other one holds");
    desk.stop().await;
}

/// FACTS §4: the token in a cookie, a CSRF token that writes have to show, 30 minutes, and a renewal.
#[tokio::test]
async fn an_akana_client() {
    let desk = Desk::open("").await;
    let akana = Vendor::Akana;
    let wrong = desk.log_in(akana, "jo@example.com", "the-wrong-one").await;
    assert_eq!(wrong.status, 401, "{wrong:?}");
    let answer = desk.log_in(akana, "jo@example.com", "password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["userName"], "jo@example.com");
    let (token, behind) = cookie(&answer, "AtmoAuthToken_acmepaymentscorp");
    assert_eq!(behind, "Path=/; HttpOnly");
    let (csrf, behind) = cookie(&answer, "Csrf-Token_acmepaymentscorp");
    assert_eq!(behind, "Path=/", "scripts read it");
    assert_ne!(token, csrf);
    for value in [token, csrf] {
        let rest = value.strip_prefix("TokenID%3D").unwrap();
        let (random, expires) = rest.split_once("%2CexpirationTime%3D").unwrap();
        assert!(is_hexadecimal(random), "{value}");
        let expires: i64 = expires.parse().unwrap();
        let left = expires - jiff::Timestamp::now().as_millisecond();
        assert!((1_700_000..=1_800_000).contains(&left), "{left} ms of 30 minutes");
        let told: jiff::Timestamp =
            answer.json()["authTokenValidUntil"].as_str().unwrap().parse().unwrap();
        assert_eq!(told.as_millisecond(), expires);
    }

    let header = "X-Csrf-Token_acmepaymentscorp";
    assert_eq!(desk.change(akana, token, &[(header, csrf)]).await.status, 200);
    for more in [&[][..], &[(header, "another")], &[(header, token)]] {
        let refused = desk.change(akana, token, more).await;
        assert_eq!(refused.status, 401, "{more:?} {refused:?}");
    }
    // A key is no log-in's.
    assert_eq!(desk.change(akana, KEY, &[]).await.status, 200);

    let shown =
        format!("AtmoAuthToken_acmepaymentscorp={token}; Csrf-Token_acmepaymentscorp={csrf}");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let line = "POST /api/login/renewToken";
    let renewed = desk.call(akana, line, &[("Cookie", &shown), form], "").await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let (new_token, _) = cookie(&renewed, "AtmoAuthToken_acmepaymentscorp");
    let (new_csrf, _) = cookie(&renewed, "Csrf-Token_acmepaymentscorp");
    assert_ne!(new_token, token);
    assert_eq!(desk.change(akana, new_token, &[(header, new_csrf)]).await.status, 200);
    assert_eq!(desk.change(akana, new_token, &[(header, csrf)]).await.status, 401);
    let nobody = ("Cookie", "AtmoAuthToken_acmepaymentscorp=x");
    let nobody = desk.call(akana, line, &[nobody, form], "").await;
    assert_eq!(nobody.status, 401);
    desk.stop().await;
}

/// FACTS §5: a token and, for whoever has operators, one of them, by session or by name.
#[tokio::test]
async fn a_thalamus_client() {
    let desk = Desk::open("").await;
    let thalamus = Vendor::Thalamus;
    let answer = desk.log_in(thalamus, "hashed@example.com", "password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (session, _) = cookie(&answer, "JSESSIONID");
    assert!(is_hexadecimal(session), "{session}");
    let shown = format!("JSESSIONID={session}");
    assert_eq!(desk.change(thalamus, KEY, &[("Cookie", &shown)]).await.status, 201);
    // aG… is `hashed@example.com:password` in base64.
    let basic = ("Authorization", "Basic aGFzaGVkQGV4YW1wbGUuY29tOnBhc3N3b3Jk");
    for _ in 0..20 {
        let changed = desk.change(thalamus, KEY, &[basic]).await;
        assert_eq!(changed.status, 201, "not each call is an attempt: {changed:?}");
    }
    let wrong = ("Authorization", "Basic aGFzaGVkQGV4YW1wbGUuY29tOnRoZS13cm9uZy1vbmU=");
    for (key, more) in [
        (KEY, &[][..]),
        (KEY, &[wrong]),
        (KEY, &[("Cookie", "JSESSIONID=0123456789abcdef0123456789abcdef")]),
        // Another consumer's operator, and an operator without a key.
        ("another-key", &[("Cookie", shown.as_str())]),
        ("nobodys-key", &[("Cookie", shown.as_str())]),
        (session, &[]),
    ] {
        let refused = desk.change(thalamus, key, more).await;
        assert_eq!(refused.status, 400, "{more:?} {refused:?}");
        assert_eq!(refused.json()["errors"]["token"], "InvalidToken", "{refused:?}");
    }
    // Who has no operators needs none.
    assert_eq!(desk.change(thalamus, "keyed-key", &[]).await.status, 201);
    // The log-in stands at its own path and at no other: all of them have as many segments.
    let good = r#"{"principal":"hashed@example.com","password":"password"}"#;
    let headers = [("Thalamus-Token", KEY), ("Content-Type", "application/json")];
    let elsewhere = desk.call(thalamus, "POST /api/v4/elsewhere", &headers, good).await;
    assert_eq!(elsewhere.header("x-latimer-fault"), Some("unknown_path"), "{elsewhere:?}");
    let foreign = desk.log_in(thalamus, "al@example.com", "password").await;
    assert_eq!(foreign.status, 400, "the key is another consumer's: {foreign:?}");
    desk.stop().await;
}

/// FACTS §3: the question is always answered 200; what is left of the limit is told with it.
#[tokio::test]
async fn a_series_client_asks_after_its_key() {
    let desk = Desk::open("").await;
    let series = Vendor::Series;
    let good = desk.call(series, &format!("GET /basic/check-key/{KEY}"), &[], "").await;
    assert_eq!(good.status, 200, "{good:?}");
    assert_eq!(good.header("x-latimer-outcome"), Some("yes"));
    let mut body = good.json();
    assert!(body["data"]["rateLimitReset"].as_str().unwrap().ends_with('Z'), "{body}");
    body["data"]["rateLimitReset"] = json!(null);
    let data = json!({
        "valid": true, "workspaceName": "tester", "status": "active", "rateLimitRemaining": 24,
        "rateLimitReset": null
    });
    assert_eq!(body, json!({"success": true, "data": data}));
    let bad = desk.call(series, "GET /basic/check-key/the-wrong-one", &[], "").await;
    assert_eq!(bad.status, 200, "{bad:?}");
    assert_eq!(bad.header("x-latimer-outcome"), Some("no"));
    let data = json!({"valid": false, "status": "inactive", "message": "The API key is not valid"});
    assert_eq!(bad.json(), json!({"success": true, "data": data}));
    assert_eq!(desk.system.log().len(), 0, "no upstream hears of it");
    desk.stop().await;
}
