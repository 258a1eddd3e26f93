//! HTTP/2 from clients: by prior knowledge and by ALPN, and what one of them may cost.

pub(crate) mod client;
mod floods;
pub(crate) mod frames;
mod silent;
mod upstreams;

use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::client::Client;
use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, simulator, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::secured::Stage;
use crate::vendors::{Request, answer, request, sent, ticket, told};

/// A client of one vendor, what it says and means, and the vendor behind.
const PAIRS: [(Vendor, (&str, &str), Vendor); 3] = [
    (Vendor::Arena, ("COMPLETE", "resolved"), Vendor::Thalamus),
    (Vendor::Series, ("resolved", "resolved"), Vendor::Akana),
    (Vendor::Zstack, ("cancel", "cancelled"), Vendor::Series),
];

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it ends in time")
}

/// A Series client in front of a Series, by the lines of the gateway and of the route.
pub(super) fn series(url: &str, gateway: &str, route: &str) -> String {
    format!(
        "{gateway}upstreams:\n{}routes:\n  series: {{client: series, upstream: series, \
         consumers: [tester]{route}}}\n",
        upstream(Vendor::Series, url)
    )
}

pub(super) async fn simulated() -> Simulator {
    simulator(Vendor::Series, &[(ticket(Vendor::Series, 1), "open")]).await
}

/// A right request of a Series client.
pub(super) fn right() -> Request {
    request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY)
}

/// The same in HTTP/1.1.
async fn call_http1(gateway: &Gateway) -> Answer {
    let request = right();
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

#[tokio::test]
async fn clients_change_tickets_of_other_vendors() {
    let mut simulators = Vec::new();
    let (mut upstreams, mut routes, mut files) = (String::new(), String::new(), Vec::new());
    for (client, _, behind) in PAIRS {
        let fresh = if behind == Vendor::Akana { "OPEN" } else { "open" };
        let tickets = [1, 2].map(|number| (ticket(behind, number), fresh));
        let simulator = simulator(behind, &tickets).await;
        upstreams.push_str(&upstream(behind, &simulator.url()));
        simulators.push(simulator);
        routes.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: {behind}\n    consumers: [tester]\n    \
             match: {{host: {client}.test}}\n    ids: {{ticket: {{file: {client}.csv}}}}\n"
        ));
        let pairs = [1, 2].map(|n| format!("{},{}\n", ticket(client, n), ticket(behind, n)));
        files.push((format!("{client}.csv"), format!("client_id,upstream_id\n{}", pairs.concat())));
    }
    let text = format!("upstreams:\n{upstreams}routes:\n{routes}");
    let stage = Stage::new();
    for (number, listen) in [(1, "127.0.0.1:0".to_owned()), (2, stage.listen(None))] {
        let gateway = Gateway::start_on(&listen, "mappings", &text, &files).await;
        let mut clients = if number == 1 {
            Client::plain(&gateway.address).await
        } else {
            Client::secured(&gateway.address, &stage).await
        };
        for ((client, (says, means), behind), simulator) in PAIRS.into_iter().zip(&simulators) {
            simulator.clear_log();
            let (ours, theirs) = (ticket(client, number), ticket(behind, number));
            let request = request(client, &ours, says, KEY);
            let got = clients.call(&format!("{client}.test"), &request).await.unwrap();
            let (wire, word) = told(behind, means).unwrap();
            let (status, body) = answer(client, behind, &ours, word);
            assert_eq!((got.status, got.json()), (status, body), "{client}: {got:?}");
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
            assert!(got.headers.iter().all(|(name, _)| *name == name.to_lowercase()), "{got:?}");
            assert_eq!(simulator.log()[0].body, sent(behind, &theirs, wire, client));
        }
        gateway.stop().await;
    }
    for simulator in simulators {
        simulator.stop().await;
    }
}

#[tokio::test]
async fn a_listener_speaks_both_or_the_old_one_alone() {
    let (simulator, stage) = (simulated().await, Stage::new());
    let text = series(&simulator.url(), "", "");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    assert_eq!(in_time(client.call("a.test", &right())).await.unwrap().status, 200);
    assert_eq!(call_http1(&gateway).await.status, 200);
    gateway.stop().await;

    let gateway =
        Gateway::start_on("{addr: 127.0.0.1:0, http2: off}", "mappings", &text, &[]).await;
    let told = exchange(&gateway.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    assert_eq!(call_http1(&gateway).await.status, 200);
    gateway.stop().await;

    let listen = stage.listen(None).replace("{addr", "{http2: off, addr");
    for (listen, agreed) in [(stage.listen(None), &b"h2"[..]), (listen, b"http/1.1")] {
        let gateway = Gateway::start_on(&listen, "mappings", &text, &[]).await;
        let stream = client::shake_hands(&gateway.address, &stage).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
        gateway.stop().await;
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_preface_may_come_in_pieces_and_has_to_come_in_time() {
    let simulator = simulated().await;
    let text = series(&simulator.url(), "bounds: {header_timeout: 1s}\n", "");
    let gateway = Gateway::start(&text, &[]).await;
    in_time(async {
        // With the empty SETTINGS that has to follow.
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut told = [0; 9];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told[3], 4, "SETTINGS: {told:?}");

        let began = Instant::now();
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        assert!(began.elapsed() >= Duration::from_secs(1), "not before its time");
        assert!(!told.starts_with(b"HTTP/1.1 2"), "{told:?}");

        // A method that begins in the same way is one of HTTP/1.1.
        let answer = exchange(
            &gateway.address,
            b"PROPFIND / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(Answer::parse(&answer.await).status, 404);
    })
    .await;
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn over_tls_the_preface_has_to_come_in_time_too() {
    let (simulator, stage) = (simulated().await, Stage::new());
    let text = series(&simulator.url(), "bounds: {header_timeout: 400ms}\n", "");
    let gateway = Gateway::start_on(&stage.listen(None), "mappings", &text, &[]).await;
    in_time(async {
        let began = Instant::now();
        let mut stream = client::shake_hands(&gateway.address, &stage).await;
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        assert!(began.elapsed() >= Duration::from_millis(400), "not before its time");
    })
    .await;
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_are_many_calls_under_one_limit() {
    let simulator = simulated().await;
    let text = series(&simulator.url(), "", ", limit: {rate: 1/h, burst: 25}");
    let gateway = Gateway::start(&text, &[]).await;
    let client = Client::plain(&gateway.address).await;
    let calls = (0..60).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.call("gateway.test", &right()).await.unwrap() })
    });
    let calls: Vec<_> = calls.collect();
    let (mut passed, mut limited) = (0, 0);
    for call in calls {
        let answer = in_time(call).await.unwrap();
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            limited += 1;
        } else {
            assert_ne!(answer.header("x-latimer-fault"), Some("rate_limited"), "{answer:?}");
            passed += 1;
        }
    }
    assert_eq!((passed, limited), (25, 35));
    assert_eq!(simulator.log().len(), 25);
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn as_many_streams_as_the_configuration_says_are_open_at_a_time() {
    let scripted = Scripted::start(Act::Wait).await;
    let text = series(&scripted.url, "bounds: {streams_max: 3}\n", ", limit: none");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    in_time(client.until_settings()).await;
    assert_eq!(client.streams_max(), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn the_host_is_named_once() {
    let simulator = simulated().await;
    let gateway = Gateway::start(&series(&simulator.url(), "", ""), &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    for (authority, host, status) in [
        ("a.test", None, 200),
        ("a.test", Some("a.test"), 200),
        ("a.test", Some("b.test"), 400),
        ("user@a.test", None, 400),
    ] {
        let mut request = right();
        request.headers.extend(host.map(|host| ("Host", host.to_owned())));
        let answer = in_time(client.call(authority, &request)).await.unwrap();
        assert_eq!(answer.status, status, "{authority} {host:?}: {answer:?}");
    }
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_header_list_is_bounded() {
    let simulator = simulated().await;
    let text = series(&simulator.url(), "bounds: {head_bytes_max: 8KiB}\n", "");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    in_time(async {
        let mut large = right();
        large.headers.push(("x-large", "x".repeat(9 * 1024)));
        assert_eq!(client.call("a.test", &large).await.unwrap().status, 431);
        let mut many = right();
        many.headers.extend((0..120).map(|_| ("x", "y".to_owned())));
        assert_eq!(client.call("a.test", &many).await.unwrap().status, 431);
        // The connection goes on.
        assert_eq!(client.call("a.test", &right()).await.unwrap().status, 200);
    })
    .await;
    assert_eq!(simulator.log().len(), 1);
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_body_is_bounded() {
    let simulator = simulated().await;
    let text = series(&simulator.url(), "bounds: {body_bytes_max: 1KiB}\n", "");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    let mut large = right();
    large.body = format!("{}{}", large.body, " ".repeat(600 * 1024));
    let answer = in_time(client.call("a.test", &large)).await.unwrap();
    assert_eq!(answer.header("x-latimer-fault"), Some("too_large"), "{answer:?}");
    assert_eq!(in_time(client.call("a.test", &right())).await.unwrap().status, 200);
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_told_goodbye() {
    let simulator = simulated().await;
    let text = series(&simulator.url(), "bounds: {idle_timeout: 500ms}\n", "");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    assert_eq!(in_time(client.call("a.test", &right())).await.unwrap().status, 200);
    let began = Instant::now();
    // Without an error, as GOAWAY(NO_ERROR) has it, though the client would have gone on.
    in_time(client.over()).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(4), "{took:?}");
    assert!(in_time(client.call("a.test", &right())).await.is_err());
    gateway.stop().await;
    simulator.stop().await;
}

/// A gateway in front of a scripted Series, with a call in HTTP/2 that has reached the upstream.
async fn in_flight(
    scripted: &Scripted,
    drain: &str,
    deadline: &str,
) -> (Gateway, Client, client::Answering) {
    let route = format!(", deadline: {deadline}");
    let text = series(&scripted.url, &format!("drain: {drain}\n"), &route);
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    let answering = client.begin("a.test", &right()).await.unwrap();
    in_time(async {
        while scripted.seen_count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (gateway, client, answering)
}

#[tokio::test]
async fn a_call_in_flight_is_answered_while_the_gateway_drains() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, mut client, answering) = in_flight(&scripted, "2s", "700ms").await;
    scripted.act(message("200 OK", "application/json", "{}"));
    let (log, answer) = tokio::join!(gateway.terminate(), in_time(answering.answer()));
    let answer = answer.unwrap();
    assert_eq!(answer.header("x-latimer-outcome"), Some("unknown"), "{answer:?}");
    assert!(log.iter().any(|line| line.contains("status=504")), "{log:#?}");
    in_time(client.over()).await.unwrap();
}

#[tokio::test]
async fn a_call_whose_stream_was_reset_is_told_of() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, mut client, answering) = in_flight(&scripted, "2s", "700ms").await;
    answering.reset();
    // The connection goes on for other calls.
    scripted.act(message("200 OK", "application/json", "{}"));
    let answer = in_time(client.call("a.test", &right())).await.unwrap();
    assert!(answer.status < 600, "{answer:?}");
    let log = gateway.terminate().await;
    let lines: Vec<_> = log.iter().filter(|line| line.contains("latimer::access")).collect();
    assert_eq!(lines.len(), 2, "{log:#?}");
    assert!(lines[0].contains("outcome=\"unknown\""), "a write was on its way: {lines:#?}");
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_told_of() {
    let scripted = Scripted::start(Act::Wait).await;
    let (gateway, _client, answering) = in_flight(&scripted, "500ms", "10s").await;
    let log = gateway.terminate().await;
    let lines: Vec<_> = log.iter().filter(|line| line.contains("latimer::access")).collect();
    assert_eq!(lines.len(), 1, "{log:#?}");
    assert!(
        lines[0].contains("status=499") && lines[0].contains("outcome=\"unknown\""),
        "{lines:#?}"
    );
    assert!(in_time(answering.answer()).await.is_err(), "nothing is made up");
}

#[tokio::test]
async fn a_client_that_was_accepted_before_a_stop_is_answered() {
    let (simulator, stage) = (simulated().await, Stage::new());
    let gateway =
        Gateway::start_on(&stage.listen(None), "mappings", &series(&simulator.url(), "", ""), &[])
            .await;
    let stream = client::shake_hands(&gateway.address, &stage).await;
    let (_, answer) = tokio::join!(gateway.terminate(), async {
        // The gateway has heard of its end by then, and nothing of a preface.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut client = Client::on("https", stream).await;
        in_time(client.call("a.test", &right())).await
    });
    assert_eq!(answer.unwrap().status, 200);
    simulator.stop().await;
}
