//! What a connection may cost, and what is told to a client that speaks no HTTP or speaks it too slowly.

use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, simulator, upstream};
use crate::scripted::{Act, Scripted, message};
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
pub(crate) fn right() -> Vec<u8> {
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
    // RFC 9112 sections 6.1 and 6.3: where such a message ends, two servers in a row may not agree.
    let both = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let same = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na";
    let coded = |codings: &str, version: &str| {
        format!(
            "POST /x HTTP/{version}\r\nHost: a\r\nTransfer-Encoding: {codings}\r\n\r\n0\r\n\r\n"
        )
    };
    let (twice, packed) = (coded("chunked, chunked", "1.1"), coded("gzip, chunked", "1.1"));
    let (itself, old) = (coded("identity, chunked", "1.1"), coded("chunked", "1.0"));
    let cases: [(&[u8], u16); 18] = [
        (both, 400),
        (same, 400),
        (twice.as_bytes(), 501),
        (packed.as_bytes(), 501),
        (itself.as_bytes(), 501),
        (old.as_bytes(), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"not HTTP at all\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nna me: x\r\n\r\n", 400),
        // RFC 9112 section 3.2.
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
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
async fn a_head_may_have_what_the_configuration_says_and_no_more() {
    let scripted = Scripted::start(Act::Reset).await;
    let text = format!(
        "bounds: {{head_bytes_max: 32KiB}}\nupstreams:\n{}routes:\n  series: {{client: series, \
         upstream: series, consumers: [tester]}}\n",
        upstream(Vendor::Series, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    for (bytes, status) in [(32 * 1024, 404), (32 * 1024 + 1, 431), (40 * 1024, 431)] {
        let rest = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \r\n\r\n".len();
        let filling = "x".repeat(bytes - rest);
        let head =
            format!("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {filling}\r\n\r\n");
        // In one piece, which hyper reads before it looks at its own bound.
        let answer = Answer::parse(&exchange(&gateway.address, head.as_bytes()).await);
        assert_eq!(answer.status, status, "{bytes}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{bytes}: {answer:?}");
    }
    gateway.stop().await;
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
    // A byte now and then does not help.
    let began = Instant::now();
    let (mut reading, mut writing) =
        TcpStream::connect(&gateway.address).await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        for byte in whole.iter().cycle() {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut told = [0; 12];
    let read = tokio::time::timeout(PATIENCE, reading.read_exact(&mut told)).await;
    read.expect("it is told in time").unwrap();
    assert_eq!(&told, b"HTTP/1.1 408");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
    dripping.abort();
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

/// A gateway in front of a scripted Series, with a call that has reached the upstream.
pub(crate) async fn in_flight(scripted: &Scripted, more: &str) -> (Gateway, TcpStream) {
    let text = format!(
        "drain: 1s\nupstreams:\n{}routes:\n  series: {{client: series, upstream: series, \
         consumers: [tester]{more}}}\n",
        upstream(Vendor::Series, &scripted.url)
    );
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = TcpStream::connect(&gateway.address).await.unwrap();
    client.write_all(&right()).await.unwrap();
    let arrived = async {
        while scripted.take_seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.expect("the call arrives in time");
    (gateway, client)
}

/// The one line of the access log.
pub(crate) fn access_line(log: &[String]) -> &str {
    let lines: Vec<_> = log.iter().filter(|line| line.contains("latimer::access")).collect();
    assert_eq!(lines.len(), 1, "{log:#?}");
    lines[0]
}

#[tokio::test]
async fn a_call_whose_client_went_away_is_seen_through() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, client) = in_flight(&scripted, ", deadline: 500ms").await;
    client.set_zero_linger().unwrap();
    drop(client);
    // The answer would have no reader, but what became of the write is known and told.
    let log = gateway.terminate().await;
    let line = access_line(&log);
    assert!(line.contains("outcome=\"unknown\""), "{line}");
    assert!(line.contains("fault=\"outcome_unknown\""), "{line}");
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_told_of() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, mut client) = in_flight(&scripted, "").await;
    let log = gateway.terminate().await;
    let line = access_line(&log);
    assert!(line.contains("status=499") && line.contains("outcome=\"unknown\""), "{line}");
    assert!(line.contains("consumer=\"tester\""), "whose write it was: {line}");
    assert!(log.iter().any(|line| line.contains("abandoned")), "{log:#?}");
    let mut told = Vec::new();
    let _ = client.read_to_end(&mut told).await;
    assert!(told.is_empty(), "nothing is made up: {told:?}");
}

#[tokio::test]
async fn a_call_in_flight_is_answered_while_the_gateway_drains() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, mut client) = in_flight(&scripted, ", deadline: 500ms").await;
    scripted.act(message("200 OK", "application/json", "{}"));
    let (log, answer) = tokio::join!(gateway.terminate(), async {
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        Answer::parse(&told)
    });
    assert_eq!(answer.header("x-latimer-outcome"), Some("unknown"), "{answer:?}");
    assert!(access_line(&log).contains("status=504"), "{log:#?}");
}
