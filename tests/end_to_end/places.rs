//! Whose client it is that asks for a path which no mapping knows: that of the longest prefix.

use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, KEY, upstream};
use crate::scripted::{Act, Scripted, message};

/// Series at `/`, Thalamus at `/b/c`, Arena at `/b/c` of one host, and two that share `/shared`.
const ROUTES: &str = "routes:
  series: {client: series, upstream: thalamus, consumers: [tester]}
  thalamus: {client: thalamus, upstream: thalamus, consumers: [tester], match: {path_prefix: /b/c}}
  arena: {client: arena, upstream: thalamus, consumers: [tester], match: {host: arena.test, path_prefix: /b/c}}
  shared-one: {client: series, upstream: thalamus, consumers: [tester], match: {path_prefix: /shared}}
  shared-two: {client: arena, upstream: thalamus, consumers: [tester], match: {path_prefix: /shared}}
";

/// By what its page shows of a fault (Arena: `errors`, a list; Thalamus: `errors`, a map; Series: `error`).
fn whose(answer: &Answer) -> &'static str {
    if answer.header("content-type") == Some("application/problem+json") {
        return "nobody";
    }
    let body = answer.json();
    match (&body["errors"], &body["error"]) {
        (serde_json::Value::Array(_), _) => "arena",
        (serde_json::Value::Object(_), _) => "thalamus",
        (_, serde_json::Value::Object(_)) => "series",
        _ => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_by_the_longest_prefix() {
    let scripted = Scripted::start(Act::Reset).await;
    let text = format!("upstreams:\n{}{ROUTES}", upstream(Vendor::Thalamus, &scripted.url));
    let gateway = Gateway::start(&text, &[]).await;
    for (host, path, wanted) in [
        ("gateway.test", "/nowhere", "series"),
        ("gateway.test", "/b/nowhere", "series"),
        // Whole segments only.
        ("gateway.test", "/b/cd/nowhere", "series"),
        ("gateway.test", "/b/c", "thalamus"),
        ("gateway.test", "/b/c/nowhere", "thalamus"),
        ("arena.test:8080", "/b/c/nowhere", "arena"),
        ("arena.test", "/nowhere", "series"),
        // Two of one place: nobody can tell.
        ("gateway.test", "/shared/nowhere", "nobody"),
    ] {
        let got = gateway.call(&format!("GET {path}"), &[("Host", host)], "").await;
        assert_eq!((got.status, whose(&got)), (404, wanted), "{host}{path}: {got:?}");
        assert_eq!(got.header("x-latimer-fault"), Some("unknown_path"), "{host}{path}: {got:?}");
    }
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

/// A route that forwards takes what lies below its own prefix, and no more.
#[tokio::test]
async fn a_route_forwards_below_its_own_prefix() {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let text = format!(
        "upstreams:\n{}routes:\n  all: {{client: series, upstream: series, consumers: [tester]}}\n  \
         below: {{client: series, upstream: series, consumers: [tester], match: {{path_prefix: /below}}, \
         unmapped: forward}}\n",
        upstream(Vendor::Series, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let key = [("apikey", KEY)];
    let got = gateway.call("GET /below/anything", &key, "").await;
    assert_eq!((got.status, got.body.as_str()), (200, "well"), "{got:?}");
    assert!(scripted.take_seen().concat().starts_with("GET /anything "), "stripped");
    let got = gateway.call("GET /anything", &key, "").await;
    assert_eq!((got.status, got.header("x-latimer-fault")), (404, Some("unknown_path")), "{got:?}");
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}
