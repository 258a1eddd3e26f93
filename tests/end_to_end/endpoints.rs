//! Endpoints that come and go: by their health checks, by their names, by their breakers.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, Home, KEY};
use crate::metrics::shows;
use crate::scripted::{Act, Scripted, message};

const CASE: &str = r#"{"context":{},"case":{"id":100001,"status":"resolved"}}"#;

/// A Series client in front of a Thalamus whose section has these lines besides.
fn configuration(lines: &str) -> String {
    format!(
        "upstreams:\n  desk:\n    vendor: thalamus\n    settings: {{touchpoint: web}}\n    credential: \
         {{token: {{env: THALAMUS_TOKEN}}}}\n{lines}routes:\n  main: {{client: series, upstream: desk, \
         consumers: [tester], deadline: 10s, limit: none}}\n"
    )
}

async fn call(gateway: &Gateway) -> Answer {
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let body = r#"{"status":"resolved","staffUserId":7}"#;
    gateway.call("POST /tickets/100001/status", &headers, body).await
}

/// Requests but for those of health checks; and of those, how many.
fn calls(scripted: &Scripted) -> (usize, usize) {
    let seen = scripted.take_seen();
    let (checks, calls): (Vec<_>, Vec<_>) =
        seen.iter().partition(|request| request.starts_with("GET /well?deep=1 HTTP/1.1\r\n"));
    let secret = latimer::sim::Vendor::Thalamus.default_token();
    assert!(!checks.iter().any(|check| check.contains(&*secret)), "without a credential");
    (calls.len(), checks.len())
}

#[tokio::test]
async fn an_endpoint_that_fails_its_checks_is_left_out_until_it_passes_them() {
    let well = message("201 Created", "application/json", CASE);
    let ill = message("503 Service Unavailable", "text/html", "<html>away</html>");
    let (first, second) =
        (Scripted::start(well.clone()).await, Scripted::start(well.clone()).await);
    let text = configuration(&format!(
        "    urls: [{}, {}]\n    balance: failover\n    breaker: off\n    health: {{path: /well?deep=1, \
         every: 100ms, timeout: 100ms, healthy_after: 2, unhealthy_after: 2, expect: [201]}}\n",
        first.url, second.url
    ));
    let gateway = Gateway::start(&text, &[]).await;
    let address = first.url.strip_prefix("http://").unwrap();
    let healthy = |value: u8| {
        format!("latimer_upstream_healthy{{upstream=\"desk\",endpoint=\"{address}\"}} {value}")
    };
    for (act, value, of_first) in
        [(well.clone(), 1, 3), (ill, 0, 0), (Act::Reset, 0, 0), (well, 1, 3)]
    {
        first.act(act);
        shows(&gateway, &healthy(value)).await;
        // What came before the checks had turned it.
        calls(&first);
        calls(&second);
        for _ in 0..3 {
            assert_eq!(call(&gateway).await.status, 200);
        }
        assert_eq!((calls(&first).0, calls(&second).0), (of_first, 3 - of_first));
    }
    // A check that nobody answers is a bad one.
    first.act(Act::Wait);
    shows(&gateway, &healthy(0)).await;
    let log = gateway.terminate().await;
    let told = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("the endpoint fails its health checks"), 2, "{log:#?}");
    assert_eq!(told("the endpoint is well again"), 1, "{log:#?}");
}

/// One call probes, and the rest do not wait for what comes of it.
#[tokio::test]
async fn a_half_open_breaker_lets_one_call_through() {
    let scripted = Scripted::start(message("503 Away", "text/html", "<html>away</html>")).await;
    let breaker = "    breaker: {failures: 2, open: 200ms, open_max: 200ms}\n";
    let text = configuration(&format!("    url: {}\n{breaker}", scripted.url));
    let gateway = Gateway::start(&text, &[]).await;
    let address = scripted.url.strip_prefix("http://").unwrap();
    let state = |state: &str| {
        format!(
            "latimer_upstream_breaker_state{{upstream=\"desk\",endpoint=\"{address}\",state=\"{state}\"}} 1"
        )
    };
    shows(&gateway, &state("closed")).await;
    for _ in 0..2 {
        assert_eq!(call(&gateway).await.header("x-latimer-fault"), Some("upstream_failed"));
    }
    shows(&gateway, &state("open")).await;
    assert_eq!(scripted.take_seen().len(), 2);
    let told = std::sync::Arc::new(tokio::sync::Notify::new());
    let Act::Say(case) = message("201 Created", "application/json", CASE) else { unreachable!() };
    scripted.act(Act::Hold(std::sync::Arc::clone(&told), case));
    let probing = async {
        let mut got = call(&gateway).await;
        while got.header("x-latimer-fault") == Some("upstream_unreachable") {
            tokio::time::sleep(Duration::from_millis(10)).await;
            got = call(&gateway).await;
        }
        got
    };
    let others = async {
        shows(&gateway, &state("half_open")).await;
        while scripted.seen_count() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            let got = call(&gateway).await;
            assert_eq!(got.header("x-latimer-fault"), Some("upstream_unreachable"), "{got:?}");
        }
        assert_eq!(scripted.seen_count(), 1, "one probe at a time");
        told.notify_one();
    };
    let (got, ()) = tokio::join!(probing, others);
    assert_eq!(got.status, 200, "{got:?}");
    shows(&gateway, &state("closed")).await;
    gateway.stop().await;
}

/// The program in a name space of its own, where `/etc/hosts` is a file of the test.
const WITH_HOSTS: &str =
    r#"exec unshare -rm sh -c 'mount --bind "$HOSTS" /etc/hosts && exec "$0" "$@"' "$0" "$@""#;

/// True where the system lets a program have such a name space.
fn has_name_spaces() -> bool {
    let tried = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount --bind /etc/hosts /etc/hosts"])
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// A name is looked up for each new connection.
#[tokio::test]
async fn a_name_that_points_elsewhere_is_followed() {
    if !has_name_spaces() {
        eprintln!("not tried: no name spaces here");
        return;
    }
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let there = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
    let case = message("201 Created", "application/json", CASE);
    let (one, other) =
        (Scripted::start_on(listener, case.clone()), Scripted::start_on(there, case));
    let text = configuration(&format!("    url: http://desk.test:{port}\n    plaintext: allow\n"));
    let hosts = |address: &str| format!("{address} desk.test\n");
    let files = [("hosts".to_owned(), hosts("127.0.0.2"))];
    let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
    let mut command = home.command_by(WITH_HOSTS);
    command.env("HOSTS", home.path("hosts"));
    let gateway = Gateway::launch(&home, command).await;
    for (address, seen) in [("127.0.0.2", (2, 0)), ("127.0.0.3", (0, 2)), ("127.0.0.2", (2, 0))] {
        std::fs::write(home.path("hosts"), hosts(address)).unwrap();
        for _ in 0..2 {
            let got = call(&gateway).await;
            assert_eq!(got.status, 200, "{address}: {got:?}");
        }
        assert_eq!((one.take_seen().len(), other.take_seen().len()), seen, "{address}");
    }
    gateway.stop().await;
}
