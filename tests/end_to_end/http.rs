//! HTTP/1 as a proxy has to speak it (RFC 9110, RFC 9112), one behaviour per case.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, upstream};
use crate::scripted::{Act, Scripted, answer, message};
use crate::wire::{ASKED, CASE, Wire, head, right};

const LINE: &str = "POST /tickets/10/status HTTP/1.1";

/// A Series client in front of a scripted desk of Thalamus that says yes.
async fn start(bounds: &str, route: &str) -> (Gateway, Scripted) {
    let scripted = Scripted::start(message("201 Created", "application/json", CASE)).await;
    let text = format!(
        "bounds: {{{bounds}}}\nupstreams:\n{}routes:\n  desk: {{client: series, upstream: thalamus, \
         consumers: [tester], limit: none{route}}}\n",
        upstream(Vendor::Thalamus, &scripted.url)
    );
    (Gateway::start(&text, &[]).await, scripted)
}

/// The same in front of a scripted Series, with paths that nobody looks into.
async fn start_forwarding() -> (Gateway, Scripted) {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let text = format!(
        "upstreams:\n{}routes:\n  desk: {{client: series, upstream: series, consumers: [tester], \
         limit: none, unmapped: forward, deadline: 5s}}\n",
        upstream(Vendor::Series, &scripted.url)
    );
    (Gateway::start(&text, &[]).await, scripted)
}

/// Everything that comes back on a connection that the gateway closes.
async fn ask(gateway: &Gateway, message: impl AsRef<[u8]>) -> Answer {
    let came = exchange(&gateway.address, message.as_ref()).await;
    let text = String::from_utf8_lossy(&came);
    assert_eq!(text.matches("HTTP/1.").count(), 1, "one answer: {text}");
    Answer::parse(&came)
}

/// RFC 9110 section 7.6.1.
#[tokio::test]
async fn what_belongs_to_one_connection_never_crosses() {
    let hops = "Keep-Alive: timeout=9\r\nTE: trailers\r\nTrailer: X-T\r\nUpgrade: websocket\r\n\
                Proxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\nX-Named: private\r\n";
    let (gateway, scripted) = start("", "").await;
    let theirs = format!("Connection: x-named, Content-Language\r\nContent-Language: de\r\n{hops}");
    scripted.act(answer(
        "201 Created",
        &format!("Content-Type: application/json\r\n{theirs}"),
        CASE,
    ));
    let ours = format!(
        "Connection: close, x-named, upgrade, traceparent, content-language\r\n{hops}\
         traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
         Content-Language: en\r\nContent-Length: {}\r\n\r\n{ASKED}",
        ASKED.len()
    );
    let mapped = ask(&gateway, head(LINE, &ours)).await;
    assert_eq!(mapped.status, 200, "{mapped:?}");
    let mapped = (mapped, scripted.take_seen().concat().to_lowercase());
    gateway.stop().await;

    let (gateway, scripted) = start_forwarding().await;
    scripted.act(answer("200 OK", &theirs, "well"));
    let forwarded = ask(&gateway, head("POST /x HTTP/1.1", &ours)).await;
    assert_eq!((forwarded.status, forwarded.body.as_str()), (200, "well"), "{forwarded:?}");
    let forwarded = (forwarded, scripted.take_seen().concat().to_lowercase());
    gateway.stop().await;

    for (got, seen) in [mapped, forwarded] {
        let names = [
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "proxy-connection",
            "proxy-authenticate",
            "x-named",
            "content-language",
        ];
        for name in names {
            assert!(!seen.contains(&format!("\r\n{name}:")), "{name}: {seen}");
            assert_eq!(got.header(name), None, "{name}: {got:?}");
        }
        assert!(!seen.contains("\r\nconnection:"), "{seen}");
        assert!(!seen.contains("0af7651916cd43dd8448eb211c80319c"), "{seen}");
        assert_eq!(got.header("connection"), Some("close"), "our own: {got:?}");
    }
}

/// RFC 9112 section 7.1.
#[tokio::test]
async fn a_chunked_body_is_read_with_extensions_and_trailers() {
    let (gateway, scripted) = start("", "").await;
    let (first, second) = ASKED.split_at(5);
    let message = format!(
        "{}\r\n5;a=\"b;\\\"c\";d\r\n{first}\r\n{:X} ;e\r\n{second}\r\n00;f\r\nX-Trailer: private\r\n\
         apikey: other\r\n\r\n",
        head(LINE, "Transfer-Encoding: chunked\r\n"),
        second.len()
    );
    let mut wire = Wire::open(&gateway.address).await;
    // In one piece, and byte by byte; what follows is the next request.
    wire.say(format!("{message}{}", right(11))).await;
    for _ in 0..2 {
        assert_eq!(wire.answer().await.status, 200);
    }
    for byte in message.as_bytes().chunks(1) {
        wire.say(byte).await;
    }
    assert_eq!(wire.answer().await.status, 200);
    for seen in scripted.take_seen() {
        assert!(seen.ends_with("content-length: 21\r\n\r\n{\"statusName\":\"open\"}"), "{seen}");
        assert!(!seen.contains("private") && !seen.contains("chunked"), "{seen}");
    }
    gateway.stop().await;
}

/// RFC 9112 sections 7.1 and 11.2: where such a body ends, two servers in a row may not agree.
#[tokio::test]
async fn a_chunk_that_is_none_ends_the_connection() {
    let (gateway, scripted) = start("", "").await;
    let next = right(12);
    for chunks in [
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno trailer\0\r\n\r\n",
    ] {
        let message = format!("{}\r\n{chunks}{next}", head(LINE, "Transfer-Encoding: chunked\r\n"));
        let got = ask(&gateway, message).await;
        assert!(matches!(got.status, 400 | 413), "{chunks:?}: {got:?}");
        assert_eq!(got.header("connection"), Some("close"), "{chunks:?}: {got:?}");
        assert_eq!(scripted.seen_count(), 0, "{chunks:?}: nothing may be sent");
    }
    gateway.stop().await;
}

/// RFC 9112 section 9.3, RFC 9110 section 10.1.1.
#[tokio::test]
async fn an_old_client_keeps_its_connection_if_it_asks() {
    let (gateway, scripted) = start("", "").await;
    let old = right(10).replace("HTTP/1.1", "HTTP/1.0");
    let came = exchange(&gateway.address, old.as_bytes()).await;
    let got = Answer::parse(&came);
    assert_eq!((got.status, got.header("transfer-encoding")), (200, None), "{got:?}");
    let mut wire = Wire::open(&gateway.address).await;
    let kept = old.replace("apikey", "Connection: keep-alive\r\nExpect: 100-continue\r\napikey");
    for _ in 0..2 {
        wire.say(&kept).await;
        // It does not know an interim answer.
        let got = wire.answer().await;
        let told = (got.status, got.header("connection").map(str::to_lowercase));
        assert_eq!(told, (200, Some("keep-alive".to_owned())), "{got:?}");
    }
    wire.say(&old).await;
    assert_eq!(wire.answer().await.status, 200);
    assert_eq!(wire.rest().await, "");
    assert_eq!(scripted.take_seen().len(), 4);
    gateway.stop().await;
}

/// RFC 9110 sections 9.3.2, 9.3.6 to 9.3.8 and 15.5.6.
#[tokio::test]
async fn methods_that_a_line_does_not_have() {
    for (forwards, (gateway, scripted)) in
        [(false, start("", "").await), (true, start_forwarding().await)]
    {
        // What is not forwarded for its method is told so; what has no path has no route.
        let by_method = if forwards { 405 } else { 404 };
        for (line, status) in [
            ("OPTIONS * HTTP/1.1", 404),
            ("CONNECT gateway.test:443 HTTP/1.1", by_method),
            ("TRACE /tickets/10/status HTTP/1.1", 405),
            ("TRACE / HTTP/1.1", by_method),
        ] {
            let mut message = head(line, "Connection: close\r\n\r\n");
            if line.starts_with("CONNECT") {
                message = message.replace("Host: gateway.test", "Host: gateway.test:443");
            }
            let got = ask(&gateway, message).await;
            assert_eq!(got.status, status, "{line}: {got:?}");
            assert!(!got.body.contains(KEY) && !got.body.contains("token"), "{line}: {got:?}");
            assert_eq!(scripted.seen_count(), 0, "{line}: nothing may be sent");
        }
        gateway.stop().await;
    }
    let (gateway, scripted) = start("", "").await;
    let mut wire = Wire::open(&gateway.address).await;
    // Behind the head of an answer to HEAD nothing comes but the next answer.
    wire.say(head("HEAD /tickets/10/status HTTP/1.1", "\r\n")).await;
    let told = Answer::parse(wire.head().await.as_bytes());
    assert_eq!((told.status, told.header("allow")), (405, Some("POST")), "{told:?}");
    wire.say(head("GET /tickets/10/status HTTP/1.1", "\r\n")).await;
    let got = wire.answer().await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")), "{got:?}");
    assert_eq!(told.header("content-length"), got.header("content-length"), "{told:?}");
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

/// RFC 9112 section 3.2.2.
#[tokio::test]
async fn a_target_may_be_absolute() {
    let (gateway, scripted) = start("", "").await;
    for scheme in ["http", "HTTP", "https"] {
        let line = format!("POST {scheme}://gateway.test/tickets/10/status");
        let got = ask(
            &gateway,
            right(10)
                .replace("POST /tickets/10/status", &line)
                .replace("apikey", "Connection: close\r\napikey"),
        )
        .await;
        assert_eq!(got.status, 200, "{scheme}: {got:?}");
        let seen = scripted.take_seen().concat();
        assert!(seen.starts_with("PUT /") || seen.starts_with("POST /"), "{seen}");
        assert!(!seen.contains("gateway.test"), "{seen}");
    }
    gateway.stop().await;
}

/// RFC 9110 section 10.1.1.
#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_once_its_key_is_right() {
    let (gateway, scripted) = start("", "").await;
    let length = format!("Content-Length: {}\r\n", ASKED.len());
    for expect in ["100-continue", "100-Continue"] {
        let mut wire = Wire::open(&gateway.address).await;
        wire.say(head(LINE, &format!("{length}Expect: {expect}\r\n\r\n"))).await;
        assert_eq!(wire.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        wire.say(ASKED).await;
        assert_eq!(wire.answer().await.status, 200, "{expect}");
    }
    assert_eq!(scripted.take_seen().len(), 2);
    for (spoil, status) in [
        (head(LINE, &length).replace(KEY, "wrong"), 401),
        (head(LINE, "Content-Length: 9999999\r\n"), 413),
        (head(LINE, &format!("{length}Content-Encoding: zstd\r\n")), 415),
        (head("POST /nowhere HTTP/1.1", &length), 404),
    ] {
        // Nothing of the body is ever sent, and the answer comes all the same.
        let mut wire = Wire::open(&gateway.address).await;
        wire.say(format!("{spoil}Expect: 100-continue\r\n\r\n")).await;
        let got = wire.answer().await;
        assert_eq!(got.status, status, "no interim answer: {got:?}");
        assert_eq!(wire.rest().await, "", "a body that was not read may still come");
    }
    // A server may ignore what it does not know (417 is only a MAY), and the call is right otherwise.
    let mut wire = Wire::open(&gateway.address).await;
    wire.say(head(LINE, &format!("{length}Expect: 200-maybe\r\n\r\n{ASKED}"))).await;
    assert_eq!(wire.answer().await.status, 200);
    gateway.stop().await;
}

/// RFC 9112 section 9.3.2.
#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let (gateway, scripted) = start("", "").await;
    let wrong = right(12).replace("\"open\"", "\"oben\"");
    let mut wire = Wire::open(&gateway.address).await;
    let last = right(14);
    let (begun, rest) = last.split_at(20);
    wire.say(format!("{}{wrong}{}{begun}", right(11), right(13))).await;
    for status in [200, 400, 200] {
        assert_eq!(wire.answer().await.status, status);
    }
    wire.say(rest).await;
    assert_eq!(wire.answer().await.status, 200);
    let seen = scripted.take_seen();
    let tickets: Vec<bool> = seen
        .iter()
        .zip(["/11/", "/13/", "/14/"])
        .map(|(seen, ticket)| seen.lines().next().unwrap().contains(ticket))
        .collect();
    assert_eq!(tickets, [true; 3], "{seen:?}");

    // One after the other: as long as the first is not answered the second is not begun.
    scripted.act(Act::Wait);
    wire.say(format!("{}{}", right(15), right(16))).await;
    while scripted.seen_count() == 0 {
        tokio::task::yield_now().await;
    }
    let client = std::mem::replace(&mut wire, Wire::open(&gateway.address).await);
    wire.say(wrong).await;
    assert_eq!(wire.answer().await.status, 400, "others go on meanwhile");
    assert_eq!(scripted.seen_count(), 1, "the second has to wait");
    drop(client);
    gateway.stop().await;
}

/// RFC 9112 section 6.3, RFC 9110 sections 15.2, 15.3.5 and 15.4.5.
#[tokio::test]
async fn answers_without_a_body_and_answers_before_the_answer() {
    let raw = |text: &str| Act::Say(text.as_bytes().to_vec());
    let (gateway, scripted) = start_forwarding().await;
    for body in ["", "Content-Length: 5\r\n"] {
        scripted.act(raw(&format!("HTTP/1.1 204 No Content\r\n{body}\r\nhello")));
        let got = ask(&gateway, head("POST /x HTTP/1.1", "Connection: close\r\n\r\n")).await;
        let told = (got.status, got.header("content-length"), got.header("transfer-encoding"));
        assert_eq!((told, got.body.as_str()), ((204, None, None), ""), "{got:?}");
    }
    scripted.act(raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"));
    let got = ask(&gateway, head("GET /x HTTP/1.1", "Connection: close\r\n\r\n")).await;
    assert_eq!(got.header("x-latimer-fault"), Some("upstream_failed"), "nobody asked: {got:?}");
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";
    scripted.act(raw(&format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </private>\r\n\r\n{last}"
    )));
    let got = ask(&gateway, head("GET /x HTTP/1.1", "Connection: close\r\n\r\n")).await;
    assert_eq!((got.status, got.body.as_str(), got.header("link")), (200, "well", None), "{got:?}");
    scripted
        .act(raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"));
    let got = ask(&gateway, head("POST /x HTTP/1.1", "Connection: close\r\n\r\n")).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("unknown"), "{got:?}");
    gateway.stop().await;

    let (gateway, scripted) = start("", "").await;
    let message = right(10).replace("apikey", "Connection: close\r\napikey");
    for (status, outcome) in [("204 No Content", "unknown"), ("304 Not Modified", "no")] {
        scripted.act(raw(&format!("HTTP/1.1 {status}\r\n\r\n")));
        let got = ask(&gateway, &message).await;
        assert_eq!(got.header("x-latimer-outcome"), Some(outcome), "{status}: {got:?}");
        assert!(got.json().is_object(), "it is told in the client's own shape: {got:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answer() {
    let (gateway, _scripted) = start("", "").await;
    let mut wire = Wire::open(&gateway.address).await;
    wire.say(right(10)).await;
    wire.stream.shutdown().await.unwrap();
    assert_eq!(wire.answer().await.status, 200);
    assert_eq!(wire.rest().await, "");
    gateway.stop().await;
}

/// What a client hears that goes on sending, 8 MiB, whatever it is told.
async fn overflow(gateway: &Gateway, framing: &str) -> Answer {
    let wire = Wire::open(&gateway.address).await;
    let (mut reading, mut writing) = wire.stream.into_split();
    let mut message = head(LINE, &format!("{framing}\r\n\r\n")).into_bytes();
    let piece = match framing.ends_with("chunked") {
        true => format!("8000\r\n{:32768}\r\n", ""),
        false => format!("{:32768}", ""),
    };
    message.extend_from_slice(piece.repeat(256).as_bytes());
    let sending = tokio::spawn(async move {
        let _ = writing.write_all(&message).await;
        writing
    });
    let mut came = Vec::new();
    let read = reading.read_to_end(&mut came);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("it ends in time");
    drop(sending.await.unwrap());
    Answer::parse(&came)
}

/// RFC 9110 section 8.6, RFC 9112 section 9.6.
#[tokio::test]
async fn a_length_that_nobody_could_send_is_refused_at_once() {
    let (gateway, scripted) = start("", "").await;
    let (large, larger) = ("4611686018427387904", "1000000000000000000000000000000");
    for (length, statuses) in [(large, 413..=413), (larger, 400..=400), ("-1", 400..=400)] {
        let mut wire = Wire::open(&gateway.address).await;
        wire.say(head(LINE, &format!("Content-Length: {length}\r\n\r\n"))).await;
        let got = wire.answer().await;
        assert!(statuses.contains(&got.status), "{length}: {got:?}");
        assert_eq!(wire.rest().await, "", "{length}: the connection ends");
    }
    for framing in ["Content-Length: 8388608", "Transfer-Encoding: chunked"] {
        assert_eq!(overflow(&gateway, framing).await.status, 413, "{framing}");
    }
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_has_the_time_of_its_call_and_less_between_two_pieces() {
    let (gateway, scripted) = start("body_timeout: 400ms", ", deadline: 900ms").await;
    let begun = head(LINE, "Content-Length: 33\r\n\r\n{");
    let mut wire = Wire::open(&gateway.address).await;
    let began = Instant::now();
    wire.say(&begun).await;
    let got = wire.answer().await;
    let took = began.elapsed();
    assert_eq!((got.status, got.header("connection")), (400, Some("close")), "{got:?}");
    assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(900), "{took:?}");

    // Each piece is in time, and all of them are not.
    let mut wire = Wire::open(&gateway.address).await;
    let began = Instant::now();
    wire.say(&begun).await;
    let (mut reading, mut writing) = wire.stream.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut came = [0; 12];
    let read = tokio::time::timeout(PATIENCE, reading.read_exact(&mut came)).await;
    read.expect("it is told in time").unwrap();
    assert_eq!(&came, b"HTTP/1.1 400");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    dripping.abort();
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

/// RFC 9110 sections 5.5 and 15.5.21 (RFC 6585 section 5).
#[tokio::test]
async fn heads_that_are_too_much_or_no_text() {
    let (gateway, scripted) = start("", "").await;
    let fields = |count: usize| "X: y\r\n".repeat(count);
    for (fields, status) in [
        // Host, key, type and end are fields too.
        (fields(96), 405),
        (fields(97), 431),
        ("X: a\0b\r\n".to_owned(), 400),
        ("X: a\rb\r\n".to_owned(), 400),
        ("X: a\nb\r\n".to_owned(), 400),
        ("X : a\r\n".to_owned(), 400),
        (": a\r\n".to_owned(), 400),
    ] {
        let got = ask(
            &gateway,
            head("GET /tickets/10/status HTTP/1.1", &format!("Connection: close\r\n{fields}\r\n")),
        )
        .await;
        assert_eq!(got.status, status, "{fields:.40?}: {got:?}");
    }
    // The vendors' pages write names like that, and some clients look for them like that.
    let message = head("GET / HTTP/1.1", "Connection: close\r\n\r\n");
    let came = exchange(&gateway.address, message.as_bytes());
    let came = String::from_utf8(came.await).unwrap();
    for name in ["X-Request-Id", "Content-Type", "Content-Length", "Date", "X-Latimer-Outcome"] {
        assert!(came.contains(&format!("\r\n{name}: ")), "{name}: {came}");
    }
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

/// RFC 9110 section 5.5: whatever an upstream says, it stays one answer.
#[tokio::test]
async fn an_answer_is_never_split() {
    let (gateway, scripted) = start("", ", messages: upstream").await;
    let evil = r"x\r\nX-Evil: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let refused = format!(r#"{{"errors":{{"caseInstanceId":"invalidId","message":"{evil}"}}}}"#);
    let made = CASE.replace("open", evil);
    let message_ = right(10).replace("apikey", "Connection: close\r\napikey");
    let json = "application/json";
    for act in [message("400 Bad Request", json, &refused), message("201 Created", json, &made)] {
        scripted.act(act);
        let got = ask(&gateway, &message_).await;
        assert_eq!(got.header("x-evil"), None, "{got:?}");
    }
    gateway.stop().await;
    let (gateway, scripted) = start_forwarding().await;
    for field in ["Content-Language: a\rX-Evil: 1", "Content-Language: a\0X-Evil: 1"] {
        scripted.act(answer("200 OK", &format!("{field}\r\n"), "well"));
        let got = ask(&gateway, head("POST /x HTTP/1.1", "Connection: close\r\n\r\n")).await;
        let told = (got.header("x-latimer-outcome"), got.header("x-evil"));
        assert_eq!(told, (Some("unknown"), None), "{field:?}: {got:?}");
    }
    gateway.stop().await;
}
