//! The limit of a route, in real time: what it lets through, and what it says of itself.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod fleet;
mod named;
#[path = "../support/redis.rs"]
mod redis;

use crate::harness::{Answer, Gateway, KEY, PATIENCE, simulator, upstream};
use crate::vendors::{Request, request, ticket};

/// The default of a route (CONTRACT §7).
const RATE: f64 = 25.0;
const BURST: f64 = 25.0;

/// How long a client sends as fast as it can.
const WINDOW: Duration = Duration::from_secs(3);

/// Arena and Series clients in front of Thalamus, by host.
async fn gateway(url: &str, limit: &str) -> Gateway {
    let mut text = "upstreams:\n".to_owned();
    text.push_str(&upstream(Vendor::Thalamus, url));
    text.push_str("routes:\n");
    let mut files = Vec::new();
    for client in [Vendor::Arena, Vendor::Series] {
        text.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: thalamus\n    consumers: [tester]\n    \
             match: {{host: {client}.test}}\n    ids: {{ticket: {{file: {client}.csv}}}}\n{limit}"
        ));
        let (ours, theirs) = (ticket(client, 1), ticket(Vendor::Thalamus, 1));
        files.push((format!("{client}.csv"), format!("client_id,upstream_id\n{ours},{theirs}\n")));
    }
    Gateway::start(&text, &files).await
}

/// The request's bytes, for a connection that is kept.
fn bytes(client: Vendor, request: &Request) -> Vec<u8> {
    let mut head = format!("{} HTTP/1.1\r\nHost: {client}.test\r\n", request.line);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}Content-Length: {}\r\n\r\n{}", request.body.len(), request.body).into_bytes()
}

/// Sends on one kept connection until the time is over; gives the answers.
async fn hammer(address: String, message: Vec<u8>, began: Instant) -> Vec<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = Vec::new();
    while began.elapsed() < WINDOW {
        stream.write_all(&message).await.unwrap();
        answers.push(read_answer(&mut stream).await);
    }
    answers
}

async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
        let read = read.expect("the answer comes in time").unwrap();
        assert_ne!(read, 0, "the connection is kept: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
        if !seen.windows(4).any(|four| four == b"\r\n\r\n") {
            continue;
        }
        let answer = Answer::parse(&seen);
        let length = answer.header("content-length").unwrap().parse::<usize>().unwrap();
        if answer.body.len() >= length {
            assert_eq!(answer.body.len(), length, "one answer at a time");
            return answer;
        }
    }
}

/// A date as Arena writes it, by its shape: `Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)`.
fn is_arenas_date(text: &str) -> bool {
    let shape = |text: &str| {
        let letter = |letter: char| match letter {
            '0'..='9' => '0',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            other => other,
        };
        text.chars().map(letter).collect::<String>()
    };
    shape(text) == shape("Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)")
}

/// The moment that such a date names.
fn seconds(date: &str) -> i64 {
    let read = latimer::mapping::codecs::Codec::ArenaDate.read(date).unwrap();
    read.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn check_refused(client: Vendor, answer: &Answer) {
    let body = match client {
        Vendor::Arena => r#"{"status":429,"errors":[{"code":429,"message":"Too many requests"}]}"#,
        _ => r#"{"success":false,"error":{"code":429,"message":"Too many requests"}}"#,
    };
    assert_eq!((answer.status, answer.body.as_str()), (429, body), "{client}");
    assert_eq!(answer.header("x-latimer-fault"), Some("rate_limited"), "{client}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"), "{client}");
    // A cell is free again after 40 ms, which is a second when it is said in seconds.
    assert_eq!(answer.header("retry-after"), Some("1"), "{client}");
}

fn check_quota(client: Vendor, answer: &Answer) {
    let left = answer.header("x-arena-requests-remaining");
    let reset = answer.header("x-arena-next-request-limit-reset");
    if client != Vendor::Arena {
        assert_eq!((left, reset), (None, None), "{answer:?}");
        return;
    }
    let left: u32 = left.unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap();
    assert!(left < 25, "{answer:?}");
    assert!(answer.status != 429 || left == 0, "{answer:?}");
    assert!(reset.is_some_and(is_arenas_date), "{answer:?}");
}

/// Both clients at once, each on two connections: two routes, so two limits of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_a_hurry_gets_what_the_limit_gives_and_no_more() {
    let simulator = simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await;
    let gateway = gateway(&simulator.url(), "").await;
    let began = Instant::now();
    let mut hammering = Vec::new();
    for client in [Vendor::Arena, Vendor::Series] {
        for _ in 0..2 {
            let wire = crate::vendors::sayable(client)[0].0;
            let message = bytes(client, &request(client, &ticket(client, 1), wire, KEY));
            hammering.push((client, tokio::spawn(hammer(gateway.address.clone(), message, began))));
        }
    }
    let mut answers = Vec::new();
    for (client, hammering) in hammering {
        answers.extend(hammering.await.unwrap().into_iter().map(|answer| (client, answer)));
    }
    // From before the first request to after the last answer.
    let most = BURST + RATE * began.elapsed().as_secs_f64();
    // The clients never stopped asking until here.
    let least = 0.9 * (BURST + RATE * WINDOW.as_secs_f64());
    let mut let_through = 0;
    for client in [Vendor::Arena, Vendor::Series] {
        let own: Vec<&Answer> = answers
            .iter()
            .filter(|(other, _)| *other == client)
            .map(|(_, answer)| answer)
            .collect();
        own.iter().for_each(|answer| check_quota(client, answer));
        let (refused, admitted): (Vec<&Answer>, Vec<&Answer>) =
            own.iter().copied().partition(|answer| answer.status == 429);
        refused.iter().for_each(|answer| check_refused(client, answer));
        for answer in &admitted {
            assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{client}: {answer:?}");
        }
        assert!(!refused.is_empty(), "{client} was in no hurry: {}", own.len());
        let count = f64::from(u32::try_from(admitted.len()).unwrap());
        assert!(count <= most, "{client}: {count} of at most {most}");
        assert!(count >= least, "{client}: {count} of at least {least}");
        let_through += admitted.len();
    }
    assert_eq!(simulator.log().len(), let_through, "what is refused is not sent");
    gateway.stop().await;
    simulator.stop().await;
}

/// One call of each kind; the bucket does not fill again while the test runs.
#[tokio::test]
async fn arenas_headers_stand_on_every_answer() {
    let simulator = simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await;
    let gateway = gateway(&simulator.url(), "    limit: {rate: 1/day, burst: 4}\n").await;
    let right = || request(Vendor::Arena, &ticket(Vendor::Arena, 1), "NOT_STARTED", KEY);
    let spoilt = |from: &str, to: &str| {
        let mut request = right();
        request.line = request.line.replace(from, to);
        request.body = request.body.replace(from, to);
        for (_, value) in &mut request.headers {
            *value = value.replace(from, to);
        }
        request
    };
    let cases = [
        // Nobody is known yet: as many as anybody could have.
        (spoilt("tickets/statuschanges", "others"), Some("unknown_path"), "4"),
        (spoilt("POST", "GET"), Some("method_not_allowed"), "4"),
        (spoilt(KEY, "nobody's"), Some("unauthenticated"), "4"),
        // From here on each call is charged, wrong ones too.
        (spoilt("NOT_STARTED", "LATER"), Some("invalid_status"), "3"),
        (spoilt("ABCDEFGHIJKLMNOP0001", "ABCDEFGHIJKLMNOP0002"), Some("not_found"), "2"),
        (spoilt("\"status\"", "status"), Some("invalid_request"), "1"),
        (right(), None, "0"),
        (right(), Some("rate_limited"), "0"),
        (spoilt("NOT_STARTED", "LATER"), Some("rate_limited"), "0"),
        (spoilt(KEY, "nobody's"), Some("unauthenticated"), "4"),
    ];
    let mut full = None;
    for (request, fault, left) in cases {
        let mut headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("Host", "arena.test"));
        let got = gateway.call(&request.line, &headers, &request.body).await;
        assert_eq!(got.header("x-latimer-fault"), fault, "{got:?}");
        assert_eq!(got.header("x-arena-requests-remaining"), Some(left), "{got:?}");
        let reset = got.header("x-arena-next-request-limit-reset");
        assert!(reset.is_some_and(is_arenas_date), "{got:?}");
        // A refusal does not fill the bucket sooner than the call that emptied it left it.
        let reset = seconds(reset.unwrap());
        if left == "0" {
            assert!((reset - *full.get_or_insert(reset)).abs() < 60, "{got:?}");
        }
    }
    assert_eq!(simulator.log().len(), 1);
    gateway.stop().await;
    simulator.stop().await;
}
