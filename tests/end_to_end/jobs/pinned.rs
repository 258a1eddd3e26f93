//! Where a question goes: to the upstream and nowhere else, whatever its answer says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A listener that counts who comes.
async fn elsewhere() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((_stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (authority, count)
}

#[tokio::test]
async fn a_location_that_is_not_the_upstreams_is_not_asked() {
    let (elsewhere, count) = elsewhere().await;
    let scripted = Scripted::start(Act::Reset).await;
    let impatient = Impatient::without_asking();
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "5s").await;
    let shipped = Impatient::new();
    let asking = shipped.gateway(Vendor::Series, &scripted.url, "5s").await;
    let own = scripted.url.strip_prefix("http://").unwrap();
    let port = elsewhere.rsplit_once(':').unwrap().1;
    for (location, cause) in [
        (format!("http://{elsewhere}/v1/api-jobs/1f"), "is not the upstream's"),
        (format!("https://{elsewhere}/v1/api-jobs/1f"), "is not the upstream's"),
        (format!("http://localhost:{port}/v1/api-jobs/1f"), "is not the upstream's"),
        (format!("http://{own}@{elsewhere}/v1/api-jobs/1f"), "names a user"),
        (format!("http://me@{own}/v1/api-jobs/1f"), "names a user"),
        (format!("http://{own}"), "has no path"),
        (format!("http://{own}?x=/v1"), "has no path"),
        ("/v1/api-jobs/1f".to_owned(), "is no URL"),
        (format!("//{elsewhere}/v1"), "is no URL"),
        (format!("ftp://{own}/v1"), "is no URL"),
        (format!("http://{own}\\\\@{elsewhere}/v1"), "has characters that no address has"),
        (format!(r"http://{own}/v1\r\nX-Evil: 1"), "has characters that no address has"),
        (format!("http://{own}/{}", "x".repeat(2048)), "is too long"),
    ] {
        scripted.act(Act::InTurn(vec![accepted(&location), done()]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), UNKNOWN, "{location}: {got:?}");
        asked(&scripted.take_seen(), &[]);
        gateway.until_logged(&format!("the work goes on, and the address to ask at {cause}")).await;
        // Whoever can be asked by the call's id is asked where the call went.
        scripted.act(Act::InTurn(vec![accepted(&location), done()]));
        let got = resolve(&asking).await;
        assert_eq!(outcome(&got), YES, "{location}: {got:?}");
        let id = got.header("x-request-id").unwrap();
        asked(&scripted.take_seen(), &[&format!("/v1/api-jobs/{id}")]);
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "nobody came elsewhere");
    gateway.stop().await;
    asking.stop().await;
}

/// The scheme is what whoever stands before the upstream has made of it.
#[tokio::test]
async fn the_path_is_taken_as_it_is() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let url = format!("{}/base", scripted.url);
    let gateway = impatient.gateway(Vendor::Series, &url, "5s").await;
    let secure = scripted.url.replace("http://", "https://");
    for location in
        [format!("{}/zstack/v1/j?a=%20b", scripted.url), format!("{secure}/zstack/v1/j?a=%20b")]
    {
        scripted.act(Act::InTurn(vec![accepted(&location), done()]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), YES, "{location}: {got:?}");
        let seen = scripted.take_seen();
        assert!(seen[0].starts_with("PUT /base/v1/tickets/"), "{seen:#?}");
        assert!(seen[1].starts_with("GET /zstack/v1/j?a=%20b HTTP/1.1\r\n"), "{seen:#?}");
        assert_eq!(field(&seen[1], "host"), field(&seen[0], "host"));
        assert_eq!(field(&seen[1], "authorization"), Some("OAuth sim-zstack-token"));
        assert_eq!(field(&seen[1], "x-request-id"), field(&seen[0], "x-request-id"));
        assert_eq!(seen.len(), 2);
    }
    gateway.stop().await;
}

/// Of several endpoints the one that the location names is asked, and no other.
#[tokio::test]
async fn a_job_is_asked_for_where_it_is() {
    let impatient = Impatient::new();
    let (first, second) = (Scripted::start(Act::Reset).await, Scripted::start(Act::Reset).await);
    let one = upstream(Vendor::Zstack, &first.url);
    let both = one.replace(
        &format!("url: {}\n", first.url),
        &format!("urls: [{}, {}]\n    balance: failover\n", first.url, second.url),
    );
    let (text, files) = configuration(Vendor::Series, &both, "5s");
    let folder = impatient.0.path();
    let gateway = Gateway::start_with(folder, &text, &files).await;
    first.act(accepted(&format!("{}/v1/api-jobs/1f", second.url)));
    second.act(Act::InTurn(vec![Act::Reset, running(), done()]));
    let got = resolve(&gateway).await;
    assert_eq!(outcome(&got), YES, "{got:?}");
    asked(&first.take_seen(), &[]);
    let seen = second.take_seen();
    let lines: Vec<&str> = seen.iter().map(|message| message.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /v1/api-jobs/1f HTTP/1.1"; 3]);
    assert_eq!(field(&seen[0], "host"), second.url.strip_prefix("http://"));
    gateway.stop().await;
}
