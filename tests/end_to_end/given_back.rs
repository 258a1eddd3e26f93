//! `latimer limits`: how the limits of a running gateway stand, and giving calls back.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use latimer::sim::{Simulator, Vendor};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Answer, Gateway, Home, KEY, OTHER_KEY, exchange, simulator, upstream};
use crate::vendors::{request, ticket};

const TOKEN: &str = "the-operators-token-0123";

/// A gateway with limits of every kind, and its operator at a terminal.
struct Desk {
    home: Arc<Home>,
    gateway: Gateway,
    system: Simulator,
}

impl Desk {
    async fn open() -> Self {
        let system = simulator(Vendor::Series, &[(ticket(Vendor::Series, 1), "open")]).await;
        let text = format!(
            "trusted_proxies: [127.0.0.1]\nlimits:\n  unauthenticated: {{rate: 1/day, burst: 5}}\n  named:\n    \
             five: {{per: consumer, quota: 5/day, resets: sliding}}\n    \
             places: {{per: address, rate: 1/day, burst: 3}}\n    \
             shown: {{per: key, quota: 100/day, resets: sliding}}\n    \
             all: {{per: route, quota: 100/day, resets: sliding}}\n    \
             desk: {{per: upstream, rate: 1/day, burst: 100}}\nupstreams:\n{}routes:\n  \
             main: {{client: series, upstream: series, consumers: all, limits: [five, places, shown, all, desk]}}\n  \
             alone: {{client: series, upstream: series, consumers: all, match: {{host: alone.test}}}}\n",
            upstream(Vendor::Series, &system.url())
        );
        let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
        let token = home.path("admin.token");
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let gateway = Self::launch(&home).await;
        Self { home, gateway, system }
    }

    async fn launch(home: &Arc<Home>) -> Gateway {
        let mut command = home.command();
        command.env("LATIMER__ADMIN__TOKEN__FILE", "admin.token");
        Gateway::launch(home, command).await
    }

    async fn call(&self, key: &str, address: &str) -> Answer {
        let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "open", key);
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("X-Forwarded-For", address));
        self.gateway.call(&request.line, &headers, &request.body).await
    }

    /// What the operator's command says: its exit code, its result, its messages.
    async fn command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
        command.arg("limits").args(arguments).arg("--config").arg(self.home.path("latimer.yaml"));
        command.env("LATIMER__ADMIN__LISTEN", &self.gateway.admin);
        command.env("LATIMER__ADMIN__TOKEN__FILE", "admin.token");
        let done = command.output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }

    async fn told(&self, arguments: &[&str]) -> String {
        let (code, told, messages) = self.command(arguments).await;
        assert_eq!((code, messages.as_str()), (Some(0), ""), "{arguments:?}");
        told
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let (code, told, messages) = self.command(arguments).await;
        assert_eq!((code, told.as_str()), (Some(2), ""), "{arguments:?}: {messages}");
        messages
    }

    async fn shown(&self) -> Value {
        serde_json::from_str(&self.told(&["show", "--json"]).await).unwrap()
    }

    /// A request to the admin listener.
    async fn admin(&self, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let fields: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let message = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.gateway.admin,
            body.len()
        );
        Answer::parse(&exchange(&self.gateway.admin, message.as_bytes()).await)
    }
}

/// Who is counted by a limit, and what they have used and have left.
fn callers(shown: &Value, limit: &str) -> Vec<(String, u64, u64)> {
    let limits = shown["limits"].as_array().unwrap();
    let found = limits.iter().find(|one| one["limit"] == limit).unwrap();
    let callers = found["callers"].as_array().unwrap().iter();
    let number = |value: &Value| value.as_u64().unwrap();
    callers
        .map(|one| {
            (one["who"].as_str().unwrap().to_owned(), number(&one["used"]), number(&one["left"]))
        })
        .collect()
}

fn who(name: &str, used: u64, left: u64) -> (String, u64, u64) {
    (name.to_owned(), used, left)
}

#[tokio::test]
async fn an_operator_sees_whom_limits_count_and_what_is_left() {
    let desk = Desk::open().await;
    assert_eq!(callers(&desk.shown().await, "five"), []);
    for (key, address) in
        [(KEY, "192.0.2.1"), (KEY, "192.0.2.1"), (KEY, "2001:db8::1"), (OTHER_KEY, "2001:db8::2")]
    {
        assert_ne!(desk.call(key, address).await.status, 429);
    }
    let nobody = desk.call("nobodys-key", "192.0.2.9").await;
    assert_eq!(nobody.header("x-latimer-fault"), Some("unauthenticated"), "{nobody:?}");
    let shown = desk.shown().await;
    assert_eq!(callers(&shown, "five"), [who("tester", 3, 2), who("other", 1, 4)]);
    let mut places = callers(&shown, "places");
    places.sort();
    assert_eq!(places, [who("192.0.2.1", 2, 1), who("2001:db8::/64", 2, 1)]);
    assert_eq!(callers(&shown, "all"), [who("main", 4, 96)]);
    assert_eq!(callers(&shown, "desk"), [who("series", 4, 96)]);
    assert_eq!(callers(&shown, "unauthenticated"), [who("192.0.2.9", 1, 4)]);
    assert_eq!(shown["routes_unseen"], json!(["alone"]));
    let keys = callers(&shown, "shown");
    assert_eq!(keys.iter().map(|(_, used, _)| *used).collect::<Vec<_>>(), [3, 1]);
    for (key, ..) in &keys {
        let digits = key.strip_suffix('…').unwrap();
        assert!(digits.len() == 12 && digits.chars().all(|one| one.is_ascii_hexdigit()), "{key}");
    }
    let day = 24 * 60 * 60;
    for one in shown["limits"][0]["callers"].as_array().unwrap() {
        let resets: jiff::Timestamp = one["resets"].as_str().unwrap().parse().unwrap();
        let left = resets.as_second() - jiff::Timestamp::now().as_second();
        assert!(left > day && left <= day + day / 24 + 1, "{left} s");
    }

    let told = desk.told(&["show", "--limit", "five"]).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "five: quota of 5 calls, whole again in 86400 s, per consumer");
    assert!(lines[1].starts_with("  tester  used 3, left 2, resets 20"), "{told}");
    assert!(lines[2].starts_with("  other   used 1, left 4, resets 20"), "{told}");
    assert_eq!(lines.len(), 3, "{told}");
    let told = desk.told(&["show", "--consumer", "other"]).await;
    assert_eq!(told.lines().filter(|line| line.starts_with("  ")).count(), 1, "{told}");
    assert!(told.contains("  other  used 1, left 4"), "{told}");
    assert!(told.ends_with("cannot be looked at: alone\n"), "{told}");
    assert_eq!(callers(&desk.shown().await, "five")[0], who("tester", 3, 2), "looking is free");
    desk.gateway.terminate().await;
    desk.system.stop().await;
}

#[tokio::test]
async fn calls_are_given_back_to_one_or_to_all() {
    let desk = Desk::open().await;
    for number in 0..5 {
        assert_ne!(desk.call(KEY, &format!("192.0.2.{number}")).await.status, 429);
    }
    assert_ne!(desk.call(OTHER_KEY, "192.0.2.1").await.status, 429);
    assert_eq!(desk.call(KEY, "192.0.2.1").await.status, 429);
    let told = desk.told(&["reset", "--limit", "five", "--consumer", "tester"]).await;
    assert_eq!(told, "`five` is reset for tester\n");
    let told = desk.told(&["reset", "--limit", "five", "--consumer", "tester"]).await;
    assert_eq!(told, "`five`: nothing was counted of tester\n");
    assert_eq!(callers(&desk.shown().await, "five"), [who("other", 1, 4)], "nobody else");
    assert_ne!(desk.call(KEY, "192.0.2.1").await.status, 429);
    // It is forgotten in the state, too.
    let Desk { home, gateway, system } = desk;
    gateway.terminate().await;
    let desk = Desk { gateway: Desk::launch(&home).await, home, system };
    let both = [who("other", 1, 4), who("tester", 1, 4)];
    let mut found = callers(&desk.shown().await, "five");
    found.sort();
    assert_eq!(found, both);
    let told = desk.told(&["reset", "--limit", "five", "--all"]).await;
    assert_eq!(told, "`five` is reset for all; 2 were counted\n");
    assert_eq!(callers(&desk.shown().await, "five"), []);
    assert_eq!(callers(&desk.shown().await, "all"), [who("main", 7, 93)], "no other limit");

    for _ in 0..3 {
        assert_ne!(desk.call(OTHER_KEY, "2001:db8::1").await.status, 429);
    }
    assert_eq!(desk.call(OTHER_KEY, "2001:db8::1").await.status, 429);
    let told = desk.told(&["reset", "--limit", "places", "--address", "2001:db8::9"]).await;
    assert_eq!(told, "`places` is reset for 2001:db8::/64\n");
    assert_ne!(desk.call(OTHER_KEY, "2001:db8::1").await.status, 429);
    desk.gateway.terminate().await;
    desk.system.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let desk = Desk::open().await;
    for (arguments, told) in [
        (&["reset", "--limit", "five"][..], "say whose: --consumer NAME, --address ADDR or --all"),
        (&["reset", "--limit", "fife", "--all"], "no limit `fife`; did you mean `five`?"),
        (
            &["reset", "--limit", "five", "--consumer", "testre"],
            "no consumer `testre`; did you mean `tester`?",
        ),
        (&["reset", "--limit", "five", "--address", "::1"], "the limit counts per consumer"),
        (&["reset", "--limit", "all", "--consumer", "tester"], "the limit counts per route"),
        (&["show", "--limit", "fife"], "no limit `fife`; did you mean `five`?"),
        (&["show", "--consumer", "testre"], "no consumer `testre`; did you mean `tester`?"),
    ] {
        let messages = desk.refused(arguments).await;
        assert!(messages.contains(told), "{arguments:?}: {messages}");
    }
    std::fs::write(desk.home.path("admin.token"), "another-one\n").unwrap();
    let messages = desk.refused(&["reset", "--limit", "five", "--all"]).await;
    assert!(
        messages.contains("the token is not that of the gateway's `admin.token`"),
        "{messages}"
    );
    assert!(!messages.contains("another-one"), "{messages}");
    std::fs::remove_file(desk.home.path("admin.token")).unwrap();
    let messages = desk.refused(&["reset", "--limit", "five", "--all"]).await;
    assert!(messages.contains("cannot read") && messages.contains("admin.token"), "{messages}");
    desk.gateway.signal("TERM").await;
    let Desk { home, gateway, system } = desk;
    let admin = gateway.admin.clone();
    gateway.ended().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
    command.args(["limits", "show", "--config"]).arg(home.path("latimer.yaml"));
    let done = command.env("LATIMER__ADMIN__LISTEN", &admin).output().await.unwrap();
    let messages = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{messages}");
    assert!(messages.contains(&format!("no gateway answers at {admin}")), "{messages}");
    system.stop().await;
}

/// Who changes something shows the token, and is no page that somebody looks at.
#[tokio::test]
async fn nobody_changes_anything_without_the_token_or_from_a_page() {
    let desk = Desk::open().await;
    assert_ne!(desk.call(KEY, "192.0.2.1").await.status, 429);
    let (bearer, all) = (format!("Bearer {TOKEN}"), r#"{"limit":"five","all":true}"#);
    let own = ("Authorization", bearer.as_str());
    let json = ("Content-Type", "application/json");
    let line = "POST /limits/reset";
    for (fields, body, status) in [
        (vec![json], all, 401),
        (vec![json, ("Authorization", "Bearer x")], all, 401),
        (vec![json, ("Authorization", TOKEN)], all, 401),
        (vec![own, json, ("Origin", "http://127.0.0.1:9901")], all, 403),
        (vec![own, json, ("Sec-Fetch-Site", "cross-site")], all, 403),
        (vec![own, json, ("Sec-Fetch-Site", "same-origin")], all, 403),
        (vec![own], all, 415),
        (
            vec![own, ("Content-Type", "application/x-www-form-urlencoded")],
            "limit=five&all=true",
            415,
        ),
        (vec![own, json], "{", 400),
        (vec![own, json], r#"{"limit":"five"}"#, 400),
        (vec![own, json], r#"{"limit":"five","all":false}"#, 400),
        (vec![own, json], r#"{"limit":"five","all":true,"consumer":"tester"}"#, 400),
        (vec![own, json], r#"{"all":true}"#, 400),
        (vec![own, json], &format!("{:5000}", all), 400),
    ] {
        let answer = desk.admin(line, &fields, body).await;
        assert_eq!(answer.status, status, "{fields:?} {body}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{answer:?}");
    }
    assert_eq!(desk.admin("GET /limits/reset", &[own], "").await.status, 405);
    assert_eq!(desk.admin("POST /limits", &[own, json], all).await.status, 405);
    assert_eq!(desk.admin("GET /limits?limits=five", &[], "").await.status, 400);
    let foreign = b"GET /limits HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = Answer::parse(&exchange(&desk.gateway.admin, foreign).await);
    assert_eq!(answer.status, 403);
    assert_eq!(callers(&desk.shown().await, "five"), [who("tester", 1, 4)], "nothing was changed");
    let answer = desk.admin(line, &[own, json], all).await;
    assert_eq!((answer.status, answer.json()["callers"].as_u64()), (200, Some(1)));
    assert_eq!(callers(&desk.shown().await, "five"), []);
    desk.gateway.terminate().await;

    // A gateway without a token takes nothing.
    let gateway = Gateway::launch(&desk.home, desk.home.command()).await;
    let desk = Desk { gateway, ..desk };
    let answer = desk.admin(line, &[own, json], all).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("has no `admin.token`"), "{answer:?}");
    assert_eq!(desk.admin("GET /limits", &[], "").await.status, 200);
    desk.gateway.terminate().await;
    desk.system.stop().await;
}
