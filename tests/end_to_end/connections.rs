//! What a connection may cost, and what is told to a client that speaks no HTTP or speaks it too slowly.

use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, simulator, upstream};
use crate::vendors::{request, ticket};

/// A Series client in front of Series, with little patience.
async fn gateway() -> (Gateway, Simulator) {
    let tickets = [(ticket(Vendor::Series, 1), "open")];
    let simulator = simulator(Vendor::Series, &tickets).await;
    let text = format!(
        "bounds: {{header_timeout: 300ms, idle_timeout: 600ms, head_bytes_max: 8KiB}}\nupstreams:\n{}\
         routes:\n  series: {{client: series, upstream: series, consumers: [tester]}}\n",
        upstream(Vendor::Series, &simulator.url())
    );
    (Gateway::start(&text, &[]).await, simulator)
}

/// A whole request, to be answered on a kept connection.
fn right() -> Vec<u8> {
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let mut message = format!("{} HTTP/1.1\r\nHost: gateway.test\r\n", request.line);
    for (name, value) in &request.headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str(&format!("Content-Length: {}\r\n\r\n{}", request.body.len(), request.body));
    message.into_bytes()
}

#[tokio::test]
async fn what_is_no_http_request_gets_a_bare_status_and_the_end() {
    let (gateway, simulator) = gateway().await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(16 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let cases: [(&[u8], u16); 7] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"not HTTP at all\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nna me: x\r\n\r\n", 400),
        (large.as_bytes(), 431),
        (many.as_bytes(), 431),
    ];
    for (bytes, status) in cases {
        let answer = Answer::parse(&exchange(&gateway.address, bytes).await);
        let what = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{what}: {answer:?}");
    }
    assert!(simulator.log().is_empty(), "nothing may be sent");
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_told_so() {
    let (gateway, simulator) = gateway().await;
    let whole = right();
    for part in [&b"POST /tick"[..], &whole[..whole.len() / 2]] {
        let head_ends = part.windows(4).any(|window| window == b"\r\n\r\n");
        assert!(!head_ends, "only a part of the head");
        let began = Instant::now();
        let answer = Answer::parse(&exchange(&gateway.address, part).await);
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert!(began.elapsed() >= Duration::from_millis(300), "not before its time");
    }
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn an_idle_connection_ends_without_a_word_and_a_second_head_has_its_time() {
    let (gateway, simulator) = gateway().await;
    let work = async {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(&right()).await.unwrap();
        let mut told = Vec::new();
        let began = Instant::now();
        stream.read_to_end(&mut told).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(600), "not before its time");
        let answer = Answer::parse(&told);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");

        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        let mut message = right();
        message.extend_from_slice(b"POST /tickets/");
        stream.write_all(&message).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    };
    tokio::time::timeout(PATIENCE, work).await.expect("it ends in time");
    gateway.stop().await;
    simulator.stop().await;
}
