//! HTTP/2 to upstreams: what each end of a stream means to the client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::Reason;
use latimer::sim::Vendor;
use latimer::tls::{Identity, Offer, Server, ServerSettings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{call_http1, in_time, right, series};
use crate::harness::{Answer, Gateway, KEY};
use crate::scripted::{Scripted, message};
use crate::secured::Stage;
use crate::vendors::{request, ticket};

const OK: &str = r#"{"success": true, "data": {"message": "Status changed to resolved"}}"#;

/// What an upstream does with a stream.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    Reset(Reason),
    /// Resets it the first time, and answers then.
    ResetOnce(Reason),
    Wait,
}

/// An upstream that speaks HTTP/2.
struct Peer {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// Method and path, the host, the names of the fields, and the body.
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Seen {
    line: String,
    host: String,
    fields: Vec<String>,
    body: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    async fn start(tls: Option<Server>, act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::default()));
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (tls, log) = (tls.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), act, log).await,
                        None => serve(stream, act, log).await,
                    }
                });
            }
        });
        Self { port, connections, seen, task }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve<S>(stream: S, act: Act, log: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let (head, mut incoming) = request.into_parts();
            let mut body = Vec::new();
            while let Some(Ok(data)) = incoming.data().await {
                body.extend_from_slice(&data);
            }
            let count = {
                let mut log = log.lock().unwrap();
                log.push(Seen {
                    line: format!("{} {}", head.method, head.uri.path()),
                    host: head.uri.authority().unwrap().to_string(),
                    fields: head.headers.keys().map(ToString::to_string).collect(),
                    body: String::from_utf8(body).unwrap(),
                });
                log.len()
            };
            match act {
                Act::Reset(reason) => return respond.send_reset(reason),
                Act::ResetOnce(reason) if count == 1 => return respond.send_reset(reason),
                Act::Wait => return std::future::pending().await,
                Act::Answer | Act::ResetOnce(_) => {}
            }
            let head = http::Response::builder().header("content-type", "application/json");
            let mut sending = respond.send_response(head.body(()).unwrap(), false).unwrap();
            sending.send_data(Bytes::from_static(OK.as_bytes()), true).unwrap();
        });
    }
}

async fn gateway(url: &str, more: &str, route: &str) -> Gateway {
    let text =
        series(url, "", route).replace("breaker: off\n", &format!("breaker: off\n    {more}\n"));
    assert!(text.contains(more), "{text}");
    Gateway::start(&text, &[]).await
}

#[tokio::test]
async fn calls_go_over_one_connection_by_prior_knowledge() {
    let peer = Peer::start(None, Act::Answer).await;
    let gateway = gateway(&format!("http://127.0.0.1:{}", peer.port), "http: 2", "").await;
    for _ in 0..3 {
        let answer = call_http1(&gateway).await;
        assert_eq!((answer.status, answer.header("x-latimer-outcome")), (200, Some("yes")));
    }
    let seen = peer.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].line, right().line);
    assert_eq!(seen[0].host, format!("127.0.0.1:{}", peer.port));
    assert_eq!(seen[0].body, right().body);
    for field in ["apikey", "content-type", "content-length", "user-agent", "via", "x-request-id"] {
        assert!(seen[0].fields.iter().any(|seen| seen == field), "{field}: {seen:?}");
    }
    assert!(!seen[0].fields.iter().any(|field| field == "host"), "{seen:?}");
    // Each worker has its own.
    let workers = std::thread::available_parallelism().unwrap().get();
    assert!(peer.connections.load(Ordering::Relaxed) <= workers);
    gateway.stop().await;
}

#[tokio::test]
async fn over_tls_the_version_is_agreed_on() {
    let stage = Stage::new();
    let identity =
        Identity::read(stage.issued("upstream", &stage.ours.issue("localhost"))).unwrap();
    let settings = ServerSettings { identity, client_ca: None };
    for (version, offer, works) in [
        ("auto", Offer::Http2AndHttp1, true),
        ("2", Offer::Http2AndHttp1, true),
        ("2", Offer::Http1, false),
    ] {
        let peer = Peer::start(Some(Server::new(&settings, offer).unwrap()), Act::Answer).await;
        let more = format!("http: {version}\n    ca: {}", stage.path("ours.pem"));
        let gateway = gateway(&format!("https://localhost:{}", peer.port), &more, "").await;
        let answer = call_http1(&gateway).await;
        if works {
            assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{version}: {answer:?}");
        } else {
            is_told(&answer, "upstream_unreachable", "no");
        }
        assert_eq!(peer.seen().len(), usize::from(works), "{version}");
        gateway.stop().await;
    }
}

fn is_told(answer: &Answer, fault: &str, outcome: &str) {
    assert_eq!(answer.header("x-latimer-fault"), Some(fault), "{answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some(outcome), "{answer:?}");
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_and_another_end_is_not() {
    for (act, requests, outcome) in [
        (Act::ResetOnce(Reason::REFUSED_STREAM), 2, "yes"),
        (Act::ResetOnce(Reason::INTERNAL_ERROR), 1, "unknown"),
        (Act::Reset(Reason::REFUSED_STREAM), 2, "no"),
        (Act::Wait, 1, "unknown"),
    ] {
        let peer = Peer::start(None, act).await;
        let url = format!("http://127.0.0.1:{}", peer.port);
        let gateway = gateway(&url, "http: 2", ", deadline: 500ms, read_back: off").await;
        let answer = in_time(call_http1(&gateway)).await;
        assert_eq!(answer.header("x-latimer-outcome"), Some(outcome), "{answer:?}");
        assert_eq!(peer.seen().len(), requests, "{outcome}");
        gateway.stop().await;
    }
}

/// An upstream of HTTP/1.1 that was said to speak HTTP/2: it is a mistake, and nothing was sent.
#[tokio::test]
async fn an_upstream_without_http2_is_unreachable_in_it() {
    let scripted = Scripted::start(message("400 Bad Request", "", "")).await;
    let gateway = gateway(&scripted.url, "http: 2\n    connect_timeout: 500ms", "").await;
    is_told(&call_http1(&gateway).await, "upstream_unreachable", "no");
    gateway.stop().await;
}

/// Both sides at once: a client's streams become an upstream's.
#[tokio::test]
async fn streams_become_streams() {
    let peer = Peer::start(None, Act::Answer).await;
    let url = format!("http://127.0.0.1:{}", peer.port);
    let gateway = gateway(&url, "http: 2", ", limit: none").await;
    let client = super::Client::plain(&gateway.address).await;
    let calls: Vec<_> = (1..=50)
        .map(|number| {
            let mut client = client.clone();
            let request = request(Vendor::Series, &ticket(Vendor::Series, number), "resolved", KEY);
            tokio::spawn(async move { client.call("a.test", &request).await.unwrap() })
        })
        .collect();
    for call in calls {
        let answer = in_time(call).await.unwrap();
        assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{answer:?}");
    }
    assert_eq!((peer.seen().len(), peer.connections.load(Ordering::Relaxed)), (50, 1));
    gateway.stop().await;
}
