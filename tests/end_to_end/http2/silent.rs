//! Clients that say nothing any more: who does not answer either is gone, whatever its system says.

use std::time::{Duration, Instant};

use latimer::bounds::{HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_TAKE_TIMEOUT};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::client::{self, Client};
use super::frames::{ACK, GOAWAY, PING, frame, next, preface, request_on};
use super::{right, series, simulated};
use crate::harness::{Gateway, PATIENCE};
use crate::metrics::shows;
use crate::scripted::{Act, Scripted};
use crate::secured::Stage;

/// Nothing but its silence ends a connection here.
const PATIENT: &str = "bounds: {idle_timeout: 1h}\n";
const SILENCE: Duration = HTTP2_PING_INTERVAL.saturating_add(HTTP2_PING_TIMEOUT);

/// A client that has said this reads on and says nothing more, until it is hung up on.
async fn falls_silent<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, said: Vec<u8>) -> Duration {
    let began = Instant::now();
    stream.write_all(&said).await.unwrap();
    stream.flush().await.unwrap();
    let mut asked = false;
    while let Ok(frame) = next(&mut stream).await {
        asked |= frame.kind == PING;
    }
    assert!(asked, "it was asked whether it is there");
    began.elapsed()
}

/// A client that wants answers and takes none, until it is hung up on: what the gateway would say to it finds no
/// room, a goodbye no more than a question.
async fn reads_nothing(address: &str) -> Duration {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let began = Instant::now();
    stream.write_all(&preface()).await.unwrap();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1_000);
    while stream.write_all(&pings).await.is_ok() {}
    began.elapsed()
}

#[tokio::test]
async fn a_client_that_falls_silent_is_found_out() {
    let (scripted, stage) = (Scripted::start(Act::Wait).await, Stage::new());
    let text = series(&scripted.url, PATIENT, ", limit: none, deadline: 10m");
    let plain = Gateway::start(&text, &[]).await;
    let secured = Gateway::start_on(&stage.listen(None), "mappings", &text, &[]).await;
    // This one does nothing either, but answers.
    let mut there = Client::plain(&plain.address).await;
    let connect = || async { TcpStream::connect(&plain.address).await.unwrap() };
    let (idle, calling, deaf) = (connect().await, connect().await, &plain.address);
    let over_tls = client::shake_hands(&secured.address, &stage).await;
    let mut asks = preface();
    asks.extend(request_on(1, &right()));
    let silent = async {
        tokio::join!(
            falls_silent(idle, preface()),
            falls_silent(calling, asks),
            falls_silent(over_tls, preface()),
            reads_nothing(deaf),
        )
    };
    let took = timeout(SILENCE.max(HTTP2_TAKE_TIMEOUT) + PATIENCE, silent).await;
    let (idle, calling, over_tls, deaf) = took.expect("each of them is hung up on in time");
    assert!(idle >= SILENCE && calling >= SILENCE && over_tls >= SILENCE, "not before its time");
    assert!(deaf >= HTTP2_TAKE_TIMEOUT, "not before its time: {deaf:?}");
    assert_eq!(scripted.seen_count(), 1, "one was in the middle of a call");
    shows(&plain, "latimer_connections 1").await;
    shows(&secured, "latimer_connections 0").await;
    timeout(PATIENCE, there.ping()).await.expect("who answers stays").unwrap();
    timeout(PATIENCE, there.begin("a.test", &right())).await.unwrap().unwrap();
    plain.stop().await;
    secured.stop().await;
}

/// To answer is to be there, and not to call.
#[tokio::test]
async fn a_client_that_only_answers_is_idle() {
    let simulator = simulated().await;
    let limit = HTTP2_PING_INTERVAL + Duration::from_secs(4);
    let bounds = format!("bounds: {{idle_timeout: {}s}}\n", limit.as_secs());
    let gateway = Gateway::start(&series(&simulator.url(), &bounds, ""), &[]).await;
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(&preface()).await.unwrap();
    let told = timeout(limit + PATIENCE, async {
        let mut answers = 0;
        loop {
            let came = next(&mut stream).await.unwrap();
            if came.kind == GOAWAY {
                return (came, answers);
            }
            if came.kind == PING && came.flags & ACK == 0 {
                stream.write_all(&frame(PING, ACK, 0, &came.payload)).await.unwrap();
                answers += 1;
            }
        }
    });
    let (goodbye, answers) = told.await.expect("it is told in time");
    assert!(began.elapsed() >= limit, "not before its time: {:?}", began.elapsed());
    assert_eq!(answers, 1, "asked once, as it had been silent for long enough once");
    // NO_ERROR (RFC 9113 section 7).
    assert_eq!(goodbye.number_at(4), 0, "{goodbye:?}");
    // It has nothing to wait for.
    timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("the end comes").unwrap();
    gateway.stop().await;
    simulator.stop().await;
}
