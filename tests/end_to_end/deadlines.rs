//! One deadline for all of a call: whatever its time goes to, it ends with it.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::{Gateway, upstream};
use crate::wire::{ASKED, CASE, Wire, head};

const DEADLINE: Duration = Duration::from_millis(1_000);
/// What a busy machine may add.
const LATE: Duration = Duration::from_millis(700);
/// Between two bytes: far less than the deadline.
const DRIP: Duration = Duration::from_millis(50);

/// What an upstream does on every connection.
#[derive(Clone, Copy)]
enum Slow {
    /// Takes it and says nothing.
    Silent,
    /// Sends this at once, and then blanks, one by one.
    Drips(&'static str),
}

async fn slow(how: Slow) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_slowly(stream, how));
        }
    });
    (address, task)
}

async fn answer_slowly(mut stream: TcpStream, how: Slow) {
    let mut came = [0; 4096];
    match how {
        Slow::Silent => while stream.read(&mut came).await.is_ok_and(|read| read > 0) {},
        Slow::Drips(said) => {
            let _ = stream.read(&mut came).await;
            let _ = stream.write_all(said.as_bytes()).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(DRIP).await;
            }
        }
    }
}

/// Calls with a body that takes a while to come; gives what was told, and when.
async fn call(lines: &str, body_takes: Duration) -> (u16, String, String, Duration) {
    let section = upstream(Vendor::Thalamus, "http://replaced");
    let section = section.replace("    url: http://replaced\n", lines);
    let text = format!(
        "upstreams:\n{section}routes:\n  desk: {{client: series, upstream: thalamus, consumers: [tester], \
         limit: none, deadline: {}ms}}\n",
        DEADLINE.as_millis()
    );
    let gateway = Gateway::start(&text, &[]).await;
    let mut wire = Wire::open(&gateway.address).await;
    let length = format!("Content-Length: {}\r\n\r\n", ASKED.len());
    let began = Instant::now();
    wire.say(head("POST /tickets/10/status HTTP/1.1", &length)).await;
    tokio::time::sleep(body_takes).await;
    wire.say(ASKED).await;
    let got = wire.answer().await;
    let took = began.elapsed();
    gateway.stop().await;
    let header = |name: &str| got.header(name).unwrap().to_owned();
    (got.status, header("x-latimer-outcome"), header("x-latimer-fault"), took)
}

/// CONTRACT section 6: before a byte was written it is a no, afterwards nobody knows.
async fn ends_with_the_deadline(what: &str, lines: String, body_takes: Duration, fault: &str) {
    let outcome = if fault == "outcome_unknown" { "unknown" } else { "no" };
    let (status, told, named, took) = call(&lines, body_takes).await;
    assert_eq!((status, told.as_str(), named.as_str()), (504, outcome, fault), "{what}");
    assert!(took >= DEADLINE - Duration::from_millis(20), "{what}: not before its time: {took:?}");
    assert!(took < DEADLINE + LATE, "{what}: {took:?}");
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_whatever_takes_the_time() {
    let (silent, _silent) = slow(Slow::Silent).await;
    let (other, _other) = slow(Slow::Silent).await;
    let (head_drips, _head) = slow(Slow::Drips("HTTP/1.1 201 Created\r\nX: ")).await;
    let (body_drips, _body) = slow(Slow::Drips(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{",
    ))
    .await;
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 201 Created\r\nX: ";
    let (interim_first, _interim) = slow(Slow::Drips(interim)).await;
    let url = |scheme: &str, address: &str| format!("    url: {scheme}://{address}\n");
    let secured = "    connect_timeout: 700ms\n";
    let several = format!("    urls: [https://{silent}, https://{other}]\n{secured}");
    let (none, most) = (Duration::ZERO, Duration::from_millis(800));
    let (unknown, late) = ("outcome_unknown", "upstream_timeout");
    tokio::join!(
        ends_with_the_deadline("no first byte", url("http", &silent), none, unknown),
        ends_with_the_deadline("a head in drops", url("http", &head_drips), none, unknown),
        ends_with_the_deadline("a body in drops", url("http", &body_drips), none, unknown),
        ends_with_the_deadline(
            "an interim answer, and a head in drops",
            url("http", &interim_first),
            none,
            unknown
        ),
        // The client has taken most of it. Each by itself would be in time.
        ends_with_the_deadline("a late body", url("http", &silent), most, unknown),
    );
    let one = format!("{}{secured}", url("https", &silent));
    tokio::join!(
        // Two tries of 700 ms each.
        ends_with_the_deadline("no handshake, twice", one.clone(), none, late),
        ends_with_the_deadline("no handshake at two places", several, none, late),
        ends_with_the_deadline("a late body and no handshake", one.clone(), most, late),
    );
}

/// What came in time is a yes, however slowly.
#[tokio::test]
async fn an_answer_in_drops_that_ends_in_time_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = [0; 4096];
        assert!(stream.read(&mut came).await.unwrap() > 0);
        let length = CASE.len();
        let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ";
        for byte in format!("{head}{length}\r\n\r\n{CASE}").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Open until the gateway has read it all.
        let _ = stream.read(&mut came).await;
    });
    let text = format!(
        "upstreams:\n{}routes:\n  desk: {{client: series, upstream: thalamus, consumers: [tester]}}\n",
        upstream(Vendor::Thalamus, &format!("http://{address}"))
    );
    let gateway = Gateway::start(&text, &[]).await;
    let mut wire = Wire::open(&gateway.address).await;
    wire.say(crate::wire::right(10)).await;
    assert_eq!(wire.answer().await.status, 200);
    gateway.stop().await;
    served.await.unwrap();
}
