//! What the program does when it is told to stop, to stop again, and to hang up.

use std::sync::Arc;

use latimer::sim::{Simulator, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::connections::{access_line, in_flight, right};
use crate::harness::{Answer, Gateway, KEY, PATIENCE, exchange, simulator, upstream};
use crate::scripted::{Act, Scripted};
use crate::vendors::{request, ticket};

/// A Series client in front of Series, with limits of the test's own.
pub(crate) async fn series(more: &str) -> (String, Simulator) {
    let simulator = simulator(Vendor::Series, &[(ticket(Vendor::Series, 1), "open")]).await;
    let text = format!(
        "{more}\nupstreams:\n{}routes:\n  series: {{client: series, upstream: series, \
         consumers: [tester], limit: none}}\n",
        upstream(Vendor::Series, &simulator.url())
    );
    (text, simulator)
}

/// Asks the operator's side until it answers with the status.
async fn until_answered(gateway: &Gateway, path: &str, status: u16, containing: &str) {
    let message = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let asking = async {
        loop {
            let answer = Answer::parse(&exchange(&gateway.admin, message.as_bytes()).await);
            if answer.status == status && answer.body.contains(containing) {
                return;
            }
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{path} says {status} in time"));
}

async fn until_refused(address: &str) {
    let trying = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, trying).await.expect("the listener is closed in time");
}

/// The rest of what the connection says.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut told = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut told)).await;
    // A reset is an end too.
    let _ = read.expect("the connection ends in time");
    told
}

#[tokio::test]
async fn a_stop_refuses_what_is_new_and_answers_what_is_there() {
    for signal in ["TERM", "INT"] {
        let scripted = Scripted::start(Act::Wait).await;
        let told = Arc::new(Notify::new());
        let body = r#"{"success":true,"data":{"message":"Status changed to resolved"}}"#;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
        let said = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        scripted.act(Act::Hold(Arc::clone(&told), said.into_bytes()));
        let (gateway, mut client) = in_flight(&scripted, "").await;
        until_answered(&gateway, "/ready", 200, "").await;
        gateway.signal(signal).await;
        gateway.until_logged("told to stop: calls in flight may end").await;
        until_answered(&gateway, "/ready", 503, "").await;
        until_answered(&gateway, "/live", 200, "").await;
        until_refused(&gateway.address).await;
        told.notify_one();
        let answer = Answer::parse(&rest(&mut client).await);
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        // Before that the gateway could not know that the answer has been read.
        drop(client);
        let (code, log) = gateway.ended().await;
        assert_eq!(code, Some(0), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("cut off")), "{log:#?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_says_what_it_cut_off() {
    let scripted = Scripted::start(Act::Wait).await;
    // Longer than the test waits for anything.
    let (gateway, mut client) = in_flight(&scripted, ", deadline: 1h").await;
    gateway.signal("TERM").await;
    gateway.until_logged("told to stop: calls in flight may end").await;
    gateway.signal("INT").await;
    assert_eq!(rest(&mut client).await, b"", "nothing is made up");
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(2), "{log:#?}");
    let told = |text: &str| log.iter().any(|line| line.contains(text));
    assert!(told("told to stop again: ends at once"), "{log:#?}");
    assert!(told("what is still open is cut off: told to stop at once"), "{log:#?}");
    assert!(told("connections=1"), "{log:#?}");
    let line = access_line(&log);
    assert!(line.contains("outcome=\"unknown\""), "the write has left: {line}");
}

#[tokio::test]
async fn a_hangup_is_said_to_do_nothing() {
    let (text, simulator) = series("").await;
    let gateway = Gateway::start(&text, &[]).await;
    for _ in 0..2 {
        gateway.signal("HUP").await;
        gateway.until_logged("SIGHUP").await;
    }
    let right = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let headers: Vec<_> = right.headers.iter().map(|(name, value)| (*name, &**value)).collect();
    assert_eq!(gateway.call(&right.line, &headers, &right.body).await.status, 200);
    let log = gateway.terminate().await;
    let said = "ignored: the configuration is read at the start only";
    assert!(log.iter().any(|line| line.contains(said)), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn a_first_request_has_more_time_than_a_next_one() {
    let (text, simulator) = series("").await;
    let gateway = Gateway::start(&text, &[]).await;
    let mut silent = TcpStream::connect(&gateway.address).await.unwrap();
    let mut kept = TcpStream::connect(&gateway.address).await.unwrap();
    kept.write_all(&right()).await.unwrap();
    until_answered(&gateway, "/metrics", 200, "latimer_connections 2\n").await;
    gateway.signal("TERM").await;
    gateway.until_logged("told to stop").await;
    // The one that has had its call is let go of first.
    let answer = Answer::parse(&rest(&mut kept).await);
    assert_eq!(answer.status, 200, "{answer:?}");
    silent.write_all(&right()).await.unwrap();
    let answer = Answer::parse(&rest(&mut silent).await);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn who_says_nothing_does_not_use_up_the_time_to_drain() {
    let (text, simulator) = series("bounds: {header_timeout: 1h}\ndrain: 1h").await;
    let gateway = Gateway::start(&text, &[]).await;
    let mut silent = TcpStream::connect(&gateway.address).await.unwrap();
    until_answered(&gateway, "/metrics", 200, "latimer_connections 1\n").await;
    gateway.terminate().await;
    assert_eq!(rest(&mut silent).await, b"");
    simulator.stop().await;
}

/// Without a socket that somebody else holds, what waits in the queue has nobody else.
#[tokio::test]
async fn what_has_connected_before_a_stop_is_answered() {
    const CALLERS: usize = 200;
    let (text, simulator) = series("log: {access: off}").await;
    let gateway = Gateway::start(&text, &[]).await;
    // While it does not run, the system takes connections for it.
    gateway.signal("STOP").await;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let mut caller = TcpStream::connect(&gateway.address).await.unwrap();
        caller.write_all(&right()).await.unwrap();
        callers.push(caller);
    }
    gateway.signal("TERM").await;
    gateway.signal("CONT").await;
    for caller in &mut callers {
        let answer = Answer::parse(&rest(caller).await);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{answer:?}");
    }
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn a_stop_under_load_loses_no_call_that_was_accepted() {
    const CALLERS: usize = 50;
    let (text, simulator) = series("log: {access: off}").await;
    let gateway = Gateway::start(&text, &[]).await;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(TcpStream::connect(&gateway.address).await.unwrap());
    }
    let open = format!("latimer_connections {CALLERS}\n");
    until_answered(&gateway, "/metrics", 200, &open).await;
    // Each calls again and again, until an answer is said to be the last.
    let callers = callers.into_iter().map(|mut caller| async move {
        let mut calls = 0;
        loop {
            caller.write_all(&right()).await.unwrap();
            calls += 1;
            let mut told = Vec::new();
            while !told.ends_with(b"}") {
                let read = caller.read_buf(&mut told).await.unwrap();
                assert!(read > 0, "call {calls} got {:?}", String::from_utf8_lossy(&told));
            }
            let answer = Answer::parse(&told);
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.header("connection") == Some("close") {
                return calls;
            }
        }
    });
    let calling = callers.collect::<tokio::task::JoinSet<usize>>();
    while simulator.log().len() < 2 * CALLERS {
        tokio::task::yield_now().await;
    }
    gateway.signal("TERM").await;
    let calls = timeout(PATIENCE, calling.join_all()).await.expect("each is told in time");
    assert!(calls.iter().sum::<usize>() >= 2 * CALLERS, "{calls:?}");
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    simulator.stop().await;
}
