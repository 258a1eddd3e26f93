//! The sixth vendor behind the program: a look-up before the call, an id split over two places.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Gateway, Home, KEY};
use crate::scripted::{Act, Scripted, message};

/// An Orbit desk that answers the look-up and takes the change; gives what it was sent.
async fn desk(listener: TcpListener, transitions: &'static str) -> Vec<String> {
    let mut seen = Vec::new();
    let (mut stream, _) = listener.accept().await.unwrap();
    loop {
        let mut message = vec![0; 8192];
        let read = stream.read(&mut message).await.unwrap_or(0);
        if read == 0 {
            return seen;
        }
        let text = String::from_utf8_lossy(&message[..read]).into_owned();
        let answer = if text.starts_with("GET ") {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{transitions}",
                transitions.len()
            )
        } else {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        };
        seen.push(text);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn change(transitions: &'static str) -> (crate::harness::Answer, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let desk = tokio::spawn(desk(listener, transitions));
    let text = format!(
        "upstreams:\n  desk:\n    vendor: orbit\n    url: http://{address}/rest\n    \
         settings: {{zone: eu, staff: 7, close_code: fixed}}\n    \
         credential: {{token: {{env: ARENA_TOKEN}}, user: {{env: ORBIT_USER}}}}\n\
         routes:\n  main:\n    client: orbit\n    upstream: desk\n    consumers: [tester]\n    \
         settings: {{zone: us, staff: 7}}\n    ids: {{ticket: {{file: ids.csv}}}}\n"
    );
    let files = [("ids.csv".to_owned(), "client_id,upstream_id\nours#1,acme#17\n".to_owned())];
    let gateway = Gateway::start_with("tests/mappings/sixth", &text, &files).await;
    // Basic of `joe@x.y/token:` and the key.
    let basic = latimer::mapping::codecs::Codec::Basic
        .write(&format!("joe@x.y/token:{KEY}"))
        .unwrap()
        .into_owned();
    let headers = [("Authorization", basic.as_str()), ("Content-Type", "application/json")];
    let body = r#"{"transition":{"state":"6"},"comments":[{"text":"done"}],"kind":"transition"}"#;
    let line = "POST /rest/v2/us/projects/ours/issues/1/transitions";
    let got = gateway.call(line, &headers, body).await;
    gateway.stop().await;
    (got, desk.await.unwrap())
}

#[tokio::test]
async fn a_look_up_comes_before_the_call() {
    let (got, seen) =
        change(r#"{"transitions":[{"id":21,"to":{"state":"2"}},{"id":"31","to":{"state":"6"}}]}"#)
            .await;
    assert_eq!((got.status, got.header("x-latimer-outcome")), (204, Some("yes")), "{got:?}");
    assert_eq!(seen.len(), 2, "{seen:#?}");
    let path = "/rest/v2/eu/projects/acme/issues/17/transitions";
    assert!(seen[0].starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{}", seen[0]);
    assert!(seen[0].to_lowercase().contains("authorization: basic "), "{}", seen[0]);
    assert!(
        seen[1].starts_with(&format!("POST {path}?notify=false&as_user=7 HTTP/1.1\r\n")),
        "{}",
        seen[1]
    );
    let body = r#"{"transition":{"id":"31","state":"6"},"fields":{"resolution":{"name":"fixed"},"close_notes":"done"},"comments":[{"text":"done"}],"kind":"transition"}"#;
    assert!(seen[1].ends_with(body), "{}", seen[1]);
}

#[tokio::test]
async fn a_look_up_that_finds_nothing_sends_nothing() {
    let (got, seen) = change(r#"{"transitions":[{"id":"21","to":{"state":"2"}}]}"#).await;
    assert_eq!(got.header("x-latimer-fault"), Some("invalid_status"), "{got:?}");
    assert_eq!((got.header("x-latimer-outcome"), seen.len()), (Some("no"), 1), "{seen:?}");
}

/// How one logs in to an Orbit desk, which the mapping of the other tests leaves out.
const SESSION: &str = "
session:
  log_in:
    line: POST /v2/sessions
    json: {name: <auth.user>, password: <auth.password>}
    token: {json: $.token}
  lives: 1h fixed
  expired: [{http: 401, native: login}]
";

/// Of the call itself nothing was sent, so all of it may come again, once.
#[tokio::test]
async fn a_look_up_finds_out_that_the_session_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mappings = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings/sixth");
    for name in ["orbit.yaml", "vocabulary.yaml"] {
        let mut text = std::fs::read_to_string(mappings.join(name)).unwrap();
        if name == "orbit.yaml" {
            text.push_str(SESSION);
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let json = "application/json";
    let given =
        |number: usize| message("200 OK", json, &format!(r#"{{"token":"token-{number}"}}"#));
    let over = || message("401 Unauthorized", json, r#"{"errors":[{"code":"LOGIN"}]}"#);
    let found = message("200 OK", json, r#"{"transitions":[{"id":"31","to":{"state":"6"}}]}"#);
    let done = message("204 No Content", "", "");
    for (acts, outcome, steps) in [
        (
            vec![given(1), over(), given(2), found, done],
            "yes",
            "log in, look 1, log in, look 2, change 2",
        ),
        (vec![given(1), over(), given(2), over()], "no", "log in, look 1, log in, look 2"),
    ] {
        let scripted = Scripted::start(Act::InTurn(acts)).await;
        let text = format!(
            "upstreams:\n  desk:\n    vendor: orbit\n    url: {}\n    breaker: off\n    \
             settings: {{zone: eu, staff: 7, close_code: fixed}}\n    \
             credential: {{user: {{env: ORBIT_USER}}, password: {{env: ARENA_TOKEN}}}}\n\
             routes:\n  main:\n    client: orbit\n    upstream: desk\n    consumers: [tester]\n    \
             settings: {{zone: us, staff: 7}}\n    ids: {{ticket: same}}\n",
            scripted.url
        );
        let home = Home::new("127.0.0.1:0", folder.path().to_str().unwrap(), &text, &[]);
        let gateway = Gateway::launch(&home, home.command()).await;
        let shown = |token: &str| {
            let basic = latimer::mapping::codecs::Codec::Basic;
            basic.write(&format!("desk@x.y/token:{token}")).unwrap().into_owned()
        };
        let basic = shown(KEY);
        let headers = [("Authorization", basic.as_str()), ("Content-Type", json)];
        let body = r#"{"transition":{"state":"6"},"kind":"transition"}"#;
        let line = "POST /v2/us/projects/acme/issues/17/transitions";
        let got = gateway.call(line, &headers, body).await;
        assert_eq!(got.header("x-latimer-outcome"), Some(outcome), "{got:?}");
        let told = scripted.take_seen().into_iter().map(|seen| {
            if seen.starts_with("POST /v2/sessions ") {
                return "log in".to_owned();
            }
            let what = if seen.starts_with("GET ") { "look" } else { "change" };
            let number = (1..=2).find(|number| seen.contains(&shown(&format!("token-{number}"))));
            format!("{what} {}", number.unwrap_or_else(|| panic!("{seen}")))
        });
        assert_eq!(told.collect::<Vec<_>>().join(", "), steps);
        gateway.stop().await;
    }
}
