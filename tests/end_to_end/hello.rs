//! What an upstream is told before anything is secret: the first message of TLS, byte by byte.

use latimer::sim::Vendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::harness::{Gateway, KEY, PATIENCE, upstream};
use crate::wire::ASKED;

/// RFC 6066 section 3, RFC 8446 section 4.2.1.
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;
/// A server that knows no newer version than 1.1 chooses it (RFC 4346 section 7.4.1.3): a record of 1.1 with a
/// ServerHello of 1.1, 32 random bytes, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
const OLD_HELLO: [u8; 15] = [22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 7, 7, 7, 7];

/// The bytes of an extension of a ClientHello (RFC 8446 section 4.1.2).
fn extension(hello: &[u8], wanted: u16) -> Option<&[u8]> {
    let number = |at: usize, bytes: usize| {
        hello[at..at + bytes].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    // Behind the headers of record and message, the version and 32 random bytes.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + number(at, 1);
    at += 2 + number(at, 2);
    at += 1 + number(at, 1);
    let end = at + 2 + number(at, 2);
    at += 2;
    while at < end {
        let (kind, length) = (number(at, 2), number(at + 2, 2));
        if kind == usize::from(wanted) {
            return Some(&hello[at + 4..at + 4 + length]);
        }
        at += 4 + length;
    }
    None
}

/// The first record of a call to an upstream by that name, answered like this.
async fn first_record(host: &str, answer: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!(
        "upstreams:\n{}routes:\n  desk: {{client: series, upstream: thalamus, consumers: [tester]}}\n",
        upstream(Vendor::Thalamus, &format!("https://{host}:{port}"))
    );
    let gateway = Gateway::start(&text, &[]).await;
    let headers = [("apikey", KEY), ("Content-Type", "application/json")];
    let seen = tokio::sync::watch::Sender::new(Vec::new());
    let answering = async {
        // As often as it is tried.
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).await.unwrap();
            let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            stream.read_exact(&mut record).await.unwrap();
            seen.send_replace([&head[..], &record].concat());
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0; 64]).await;
        }
    };
    let got = tokio::select! {
        got = gateway.call("POST /tickets/10/status", &headers, ASKED) => got,
        () = answering => unreachable!(),
    };
    let told = (got.header("x-latimer-fault"), got.header("x-latimer-outcome"));
    assert_eq!(told, (Some("upstream_unreachable"), Some("no")), "{got:?}");
    gateway.stop().await;
    seen.borrow().clone()
}

#[tokio::test]
async fn an_upstream_is_asked_by_its_name_and_for_nothing_older_than_tls_1_2() {
    // No certificate can be shown under 1.1, so nothing was sent.
    let old = [&OLD_HELLO[..], &[7; 28], &[0, 0, 47, 0]].concat();
    assert_eq!(old.len(), 5 + 42);
    let hello = timeout(PATIENCE, first_record("localhost", &old)).await.unwrap();
    // A list of one name, of the kind host_name.
    let name = [&[0, 12, 0, 0, 9][..], b"localhost"].concat();
    assert_eq!(extension(&hello, SERVER_NAME), Some(&name[..]));
    assert_eq!(extension(&hello, SUPPORTED_VERSIONS), Some(&[4, 3, 4, 3, 3][..]));
    // An address is no name (RFC 6066 section 3).
    let hello = timeout(PATIENCE, first_record("127.0.0.1", &old)).await.unwrap();
    assert_eq!(extension(&hello, SERVER_NAME), None);
}
