//! More streams on a connection in HTTP/2 than there may be: refused one by one, and at last with the connection.

use std::ops::Range;
use std::time::Duration;

use latimer::bounds;
use latimer::sim::Simulator;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lines::Wire;
use super::{ALLOWED_WAITING_KIB, CAPACITY, TIMES, gateway, resident_kib, slow};
use crate::harness::{Gateway, PATIENCE};
use crate::http2::client::Client;
use crate::http2::frames::{END_HEADERS, END_STREAM, GOAWAY, HEAD, HEADERS, RST_STREAM};
use crate::http2::frames::{frame, next, preface, request_on};
use crate::http2::right;
use crate::metrics::shows;

/// RFC 9113 section 7.
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The id of a client's stream, by its place in their order.
fn id(at: usize) -> u32 {
    u32::try_from(2 * at + 1).unwrap()
}

/// Streams that are opened, without a body.
fn heads(these: Range<usize>) -> Vec<u8> {
    these.flat_map(|at| frame(HEADERS, END_HEADERS | END_STREAM, id(at), HEAD)).collect()
}

/// An upstream that answers none of this, a gateway, and a connection with as many calls on it as there may be.
async fn full() -> (Simulator, Gateway, TcpStream) {
    let simulator = slow(Duration::from_secs(60)).await;
    let bounds = format!("streams_max: {CAPACITY}");
    let gateway = gateway(&Wire::plain(), &bounds, "", &simulator).await;
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(&preface()).await.unwrap();
    let asks: Vec<u8> = (0..CAPACITY).flat_map(|at| request_on(id(at), &right())).collect();
    stream.write_all(&asks).await.unwrap();
    until_asked(&simulator, CAPACITY).await;
    shows(&gateway, &format!("latimer_requests_in_flight {CAPACITY}")).await;
    (simulator, gateway, stream)
}

async fn until_asked(simulator: &Simulator, times: usize) {
    let asked = async {
        while simulator.log().len() < times {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.expect("it is asked in time");
}

/// What is refused was not looked at, and may be sent again (RFC 9113 sections 5.1.2 and 8.7).
#[tokio::test]
async fn streams_past_their_cap_are_refused_and_the_connection_goes_on() {
    let (simulator, gateway, mut stream) = full().await;
    let more = CAPACITY..3 * CAPACITY;
    stream.write_all(&heads(more.clone())).await.unwrap();
    let mut refused = Vec::new();
    let refusals = async {
        while refused.len() < more.len() {
            let came = next(&mut stream).await.unwrap();
            assert_ne!(came.kind, GOAWAY, "{came:?}");
            if came.kind == RST_STREAM {
                assert_eq!(came.number_at(0), REFUSED_STREAM, "{came:?}");
                refused.push(came.stream);
            }
        }
    };
    timeout(PATIENCE, refusals).await.expect("each is refused in time");
    assert_eq!(refused, more.clone().map(id).collect::<Vec<_>>(), "each of them once");
    assert_eq!(simulator.log().len(), CAPACITY, "nothing of what was refused went on");
    // One that ends makes room for another.
    stream.write_all(&frame(RST_STREAM, 0, id(0), &CANCEL.to_be_bytes())).await.unwrap();
    stream.write_all(&request_on(id(more.end), &right())).await.unwrap();
    until_asked(&simulator, CAPACITY + 1).await;
    gateway.stop().await;
}

/// With ten times as many as it was told of, a client is at fault too often.
#[tokio::test]
async fn a_client_that_opens_ten_times_its_streams_loses_its_connection() {
    let (simulator, gateway, mut stream) = full().await;
    let before = resident_kib(&gateway);
    // The gateway may hang up before it has taken all of it.
    let _ = stream.write_all(&heads(CAPACITY..TIMES * CAPACITY)).await;
    let (mut refused, mut reason) = (0, None);
    let end = async {
        while let Ok(came) = next(&mut stream).await {
            match came.kind {
                RST_STREAM => {
                    assert_eq!(came.number_at(0), REFUSED_STREAM, "{came:?}");
                    refused += 1;
                }
                GOAWAY => reason = Some(came.number_at(4)),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, end).await.expect("its connection ends in time");
    // A reset may have overtaken what was said.
    assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{reason:?}");
    assert!(refused <= bounds::HTTP2_ERROR_RESETS_MAX, "{refused}");
    shows(&gateway, "latimer_connections 0").await;
    let after = resident_kib(&gateway);
    assert!(after <= before + ALLOWED_WAITING_KIB, "{before} KiB, then {after} KiB");
    assert_eq!(simulator.log().len(), CAPACITY, "nothing of what was refused went on");
    let mut friend = Client::plain(&gateway.address).await;
    let _asks = friend.begin("a.test", &right()).await.unwrap();
    until_asked(&simulator, CAPACITY + 1).await;
    gateway.stop().await;
}
