//! Clients that go away in the middle of a call: what has left is seen through, what has not is not sent.

use std::time::Duration;

use latimer::sim::Vendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Gateway, PATIENCE, exchange, upstream};
use crate::wire::{ASKED, head};

/// An upstream that a test plays itself, and a gateway in front of it.
async fn start(vendor: Vendor) -> (Gateway, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let text = format!(
        "bounds: {{body_timeout: 1s}}\nupstreams:\n{}routes:\n  desk: \
         {{client: {vendor}, upstream: {vendor}, consumers: [tester], limit: none, unmapped: forward}}\n",
        upstream(vendor, &url)
    );
    (Gateway::start(&text, &[]).await, listener)
}

/// The next request that comes to the upstream, on a connection of its own.
async fn next(listener: &TcpListener) -> (TcpStream, String) {
    let work = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = Vec::new();
        while !came.windows(4).any(|window| window == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0, "{came:?}");
        }
        (stream, String::from_utf8_lossy(&came).into_owned())
    };
    tokio::time::timeout(PATIENCE, work).await.expect("a request comes in time")
}

/// Waits until the gateway has noticed that no client is there any more.
async fn until_alone(gateway: &Gateway) {
    let ask =
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", gateway.admin);
    let work = async {
        loop {
            let text = String::from_utf8(exchange(&gateway.admin, ask.as_bytes()).await).unwrap();
            if text.contains("\nlatimer_connections 0\n") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("it is noticed in time");
}

fn reset(client: TcpStream) {
    client.set_zero_linger().unwrap();
    drop(client);
}

/// The access log's line of a path that is no line of the mapping, the last one.
fn last_line(log: &[String]) -> &str {
    log.iter().rfind(|line| line.contains("latimer::access")).unwrap()
}

/// A client that has sent this.
async fn client(gateway: &Gateway, message: &str) -> TcpStream {
    let mut client = TcpStream::connect(&gateway.address).await.unwrap();
    client.write_all(message.as_bytes()).await.unwrap();
    client
}

#[tokio::test]
async fn a_write_that_has_left_is_seen_through() {
    for how in [drop::<TcpStream>, reset] {
        let (gateway, listener) = start(Vendor::Series).await;
        let length = format!("Content-Length: {}\r\n\r\n{ASKED}", ASKED.len());
        let client = client(&gateway, &head("POST /write HTTP/1.1", &length)).await;
        let (mut stream, request) = next(&listener).await;
        assert!(request.starts_with("POST /write "), "{request}");
        how(client);
        // The upstream takes its time, and is heard.
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        until_alone(&gateway).await;
        let log = gateway.terminate().await;
        let line = last_line(&log);
        assert!(line.contains("status=201") && line.contains("outcome=\"yes\""), "{line}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_whole_sends_nothing() {
    for how in [drop::<TcpStream>, reset] {
        let (gateway, listener) = start(Vendor::Series).await;
        let half = head("POST /write HTTP/1.1", "Content-Length: 9999\r\n\r\nhalf");
        how(client(&gateway, &half).await);
        until_alone(&gateway).await;
        let log = gateway.terminate().await;
        // A reset may have come before the head was read; then there was no call.
        for line in log.iter().filter(|line| line.contains("latimer::access")) {
            assert!(line.contains("outcome=\"no\""), "{line}");
        }
        let came = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(came.is_err(), "nothing may be sent");
    }
}
