//! Consumers' keys: several, hashed, with an end, disabled.

use latimer::sim::Vendor;

use crate::harness::{Gateway, KEY, simulator, upstream};
use crate::vendors::{request, ticket};

/// A Series client's answers to a change with each of the keys.
#[tokio::test]
async fn each_key_lets_its_consumer_in_for_as_long_as_it_holds() {
    let thalamus = simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await;
    let url = format!("http://{}", thalamus.addr());
    // printf %s abc | openssl dgst -sha256 -hmac JefeJefeJefeJefeJefeJefeJefeJefe
    let hash = "hmac-sha256:b04890c58ed13d7e19fd44636fdb146f5d6b071e2c0f497638d7f56dc9bdce3e";
    let text = format!(
        "pepper: {{env: TEST_PEPPER}}\nconsumers:\n  acme:\n    keys:\n      \
         - {{hash: \"{hash}\", expires: 2100-01-01T00:00:00Z}}\n      - {{env: TEST_KEY}}\n      \
         - {{env: OTHER_KEY, expires: 2020-01-01T00:00:00Z}}\n  \
         gone: {{key: {{env: ARENA_TOKEN}}, disabled: true}}\n\
         upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: thalamus\n    consumers: all\n",
        upstream(Vendor::Thalamus, &url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    for (key, wanted) in [
        ("abc", 200),
        (KEY, 200),
        ("another-key", 401),
        (&Vendor::Arena.default_token(), 401),
        (hash, 401),
        ("abcd", 401),
    ] {
        let ticket = ticket(Vendor::Thalamus, 1);
        let request = request(Vendor::Series, &ticket, "in-progress", key);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(answer.status, wanted, "{key}: {answer:?}");
    }
    let log = gateway.terminate().await;
    for secret in ["another-key", "abcd", KEY] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{secret} is logged: {log:#?}");
    }
}
