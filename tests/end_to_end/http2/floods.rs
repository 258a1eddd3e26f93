//! Clients that mean harm: what they lose is their connection, and nobody else's.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Client;
use super::frames::{CONTINUATION, END_HEADERS, GOAWAY, HEAD, HEADERS, RST_STREAM, frame, preface};
use super::{in_time, right, series, simulated};
use crate::harness::Gateway;
use crate::scripted::{Act, Scripted};

/// RFC 9113 section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// The reason of the GOAWAY that came, if one did before the end.
async fn goodbye(stream: &mut TcpStream) -> Option<u32> {
    let mut told = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut told).await;
    let mut rest = &told[..];
    let mut reason = None;
    while rest.len() >= 9 {
        let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest[3] == GOAWAY && rest.len() >= 17 {
            reason = Some(u32::from_be_bytes(rest[13..17].try_into().unwrap()));
        }
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    reason
}

#[tokio::test]
async fn a_rapid_reset_ends_its_connection_and_nothing_else() {
    let simulator = simulated().await;
    let gateway = Gateway::start(&series(&simulator.url(), "", ""), &[]).await;
    let mut friend = Client::plain(&gateway.address).await;
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let mut bytes = preface();
    for number in 0..1_000 {
        let id = 2 * number + 1;
        bytes.extend(frame(HEADERS, END_HEADERS, id, HEAD));
        bytes.extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes()));
    }
    // The gateway may hang up before it has taken all of it.
    let _ = stream.write_all(&bytes).await;
    let reason = in_time(goodbye(&mut stream)).await;
    assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{reason:?}");
    let answer = in_time(friend.call("a.test", &right())).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(simulator.log().len(), 1, "nothing of the flood went on");
    gateway.stop().await;
    simulator.stop().await;
}

/// The slow form: every call is taken before it is reset.
#[tokio::test]
async fn a_client_that_resets_call_after_call_loses_its_connection() {
    let scripted = Scripted::start(Act::Wait).await;
    let text = series(&scripted.url, "", ", limit: none");
    let gateway = Gateway::start(&text, &[]).await;
    let mut client = Client::plain(&gateway.address).await;
    let mut resets = 0;
    in_time(async {
        // No body comes, so that the call waits for one.
        while let Ok(answering) = client.begin_open("a.test", &right()).await {
            // The answer to a ping says that the call was taken.
            if client.ping().await.is_err() {
                break;
            }
            answering.reset();
            resets += 1;
            assert!(resets < 200, "it goes on and on");
        }
    })
    .await;
    assert!(resets > 100, "{resets}");
    gateway.until_logged("resets the streams").await;
    let mut friend = Client::plain(&gateway.address).await;
    in_time(friend.until_settings()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn headers_that_go_on_and_on_end_their_connection() {
    let simulator = simulated().await;
    let gateway = Gateway::start(&series(&simulator.url(), "", ""), &[]).await;
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(&preface()).await.unwrap();
    stream.write_all(&frame(HEADERS, 0, 1, HEAD)).await.unwrap();
    // A literal field of 10 KiB in each, and no end.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x4f];
    field.resize(field.len() + 10 * 1024, b'y');
    for _ in 0..5_000 {
        if stream.write_all(&frame(CONTINUATION, 0, 1, &field)).await.is_err() {
            break;
        }
    }
    in_time(goodbye(&mut stream)).await;
    let mut friend = Client::plain(&gateway.address).await;
    assert_eq!(in_time(friend.call("a.test", &right())).await.unwrap().status, 200);
    gateway.stop().await;
    simulator.stop().await;
}
