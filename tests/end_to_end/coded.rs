//! Content codings (RFC 9110 section 8.4): taken off on either side where a body is translated, left on where
//! it is not.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use latimer::sim::Vendor;

use crate::harness::{Answer, Gateway, KEY, upstream};
use crate::scripted::{Act, Scripted, message};

/// What the simulated desk says when it has done it, and what a client asks for.
const CASE: &str = r#"{"context":{},"case":{"id":10,"status":"open"}}"#;
const ASKED: &str = r#"{"status":"open","staffUserId":7}"#;
const LINE: &str = "POST /tickets/10/status";

/// `ASKED` by Google's encoder.
const ASKED_BROTLI: &[u8] = b"\x0b\x10\x80{\"status\":\"open\",\"staffUserId\":7}\x03";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes of an answer with header lines, each with its line end.
fn answer(status: &str, headers: &str, body: &[u8]) -> Act {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Connection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    Act::Say([head.as_bytes(), body].concat())
}

/// A Series client in front of a scripted upstream of the vendor.
async fn start(vendor: Vendor, scripted: &Scripted, route: &str) -> Gateway {
    let text = format!(
        "bounds: {{body_bytes_max: 64KiB}}\nupstreams:\n{}    reply_bytes_max: 64KiB\nroutes:\n  desk: \
         {{client: series, upstream: {vendor}, consumers: [tester], read_back: off{route}}}\n",
        upstream(vendor, &scripted.url)
    );
    Gateway::start(&text, &[]).await
}

async fn call(gateway: &Gateway, line: &str, coding: &str, body: &[u8]) -> Answer {
    let mut headers = vec![("apikey", KEY), ("Content-Type", "application/json")];
    if !coding.is_empty() {
        headers.push(("Content-Encoding", coding));
    }
    gateway.call(line, &headers, body).await
}

#[tokio::test]
async fn a_clients_body_is_read_without_its_codings() {
    let scripted = Scripted::start(message("201 Created", "application/json", CASE)).await;
    let gateway = start(Vendor::Thalamus, &scripted, "").await;
    let asked = ASKED.as_bytes();
    for (coding, body) in [
        ("identity", asked.to_vec()),
        ("gzip", gzip(asked)),
        ("X-GZip", gzip(asked)),
        ("deflate", zlib(asked)),
        ("deflate", deflate(asked)),
        ("br", ASKED_BROTLI.to_vec()),
        ("deflate, identity , gzip", gzip(&zlib(asked))),
        ("br,gzip", gzip(ASKED_BROTLI)),
    ] {
        let got = call(&gateway, LINE, coding, &body).await;
        assert_eq!((got.status, got.header("content-encoding")), (200, None), "{coding}: {got:?}");
        let seen = scripted.take_seen().concat().to_lowercase();
        assert!(
            seen.ends_with("\r\ncontent-length: 21\r\n\r\n{\"statusname\":\"open\"}"),
            "{seen}"
        );
        assert!(!seen.contains("encoding"), "{seen}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_client_codes_wrongly_or_too_large_is_refused() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = start(Vendor::Thalamus, &scripted, "").await;
    let packed = gzip(ASKED.as_bytes());
    let short = &packed[..packed.len() - 1];
    let long = [&packed[..], b"x"].concat();
    let mut damaged = packed.clone();
    damaged[packed.len() - 6] ^= 1;
    let (fits, bomb) = (gzip(&vec![b' '; 64 * 1024]), gzip(&vec![b' '; 64 * 1024 + 1]));
    let huge = gzip(&vec![0; 16 << 20]).repeat(3);
    assert!(huge.len() < 64 * 1024, "it is the decoded size that is refused");
    for (coding, body, status, fault) in [
        ("gzip", short, 400, "invalid_request"),
        ("gzip", &long, 400, "invalid_request"),
        ("gzip", &damaged, 400, "invalid_request"),
        ("gzip", ASKED.as_bytes(), 400, "invalid_request"),
        ("br", &packed, 400, "invalid_request"),
        // It is empty to JSON, but not too large.
        ("gzip", &fits, 400, "invalid_request"),
        ("gzip", &bomb, 413, "too_large"),
        ("gzip, identity", &huge, 413, "too_large"),
        ("zstd", &packed, 415, "unsupported_media_type"),
        ("gzip, zstd", &packed, 415, "unsupported_media_type"),
        ("gzip, gzip, gzip, gzip, gzip", &packed, 415, "unsupported_media_type"),
    ] {
        let began = Instant::now();
        let got = call(&gateway, LINE, coding, body).await;
        let told = (got.status, got.header("x-latimer-fault"), got.header("x-latimer-outcome"));
        assert_eq!(told, (status, Some(fault), Some("no")), "{coding}: {got:?}");
        // RFC 9110 section 15.5.16.
        let accepted = (status == 415).then_some("gzip, deflate, br");
        assert_eq!(got.header("accept-encoding"), accepted, "{coding}: {got:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{coding}: {:?}", began.elapsed());
    }
    // Another kind of wrong media type has nothing to do with codings.
    let headers = [("apikey", KEY), ("Content-Type", "text/csv")];
    let got = gateway.call(LINE, &headers, ASKED).await;
    assert_eq!((got.status, got.header("accept-encoding")), (415, None), "{got:?}");
    assert_eq!(scripted.seen_count(), 0, "nothing may be sent");
    gateway.stop().await;
}

#[tokio::test]
async fn an_upstreams_answer_is_read_without_its_codings() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = start(Vendor::Thalamus, &scripted, "").await;
    let case = CASE.as_bytes();
    let refused = br#"{"errors":{"caseInstanceId":"invalidId"}}"#;
    let bomb = gzip(&vec![b' '; 64 * 1024 + 1]);
    let (yes, no, unknown) = ("201 Created", "400 Bad Request", Some("outcome_unknown"));
    for (status, coding, body, outcome, fault) in [
        (yes, "gzip", gzip(case), "yes", None),
        (yes, "deflate", zlib(case), "yes", None),
        (yes, "identity", case.to_vec(), "yes", None),
        (yes, "deflate, gzip", gzip(&zlib(case)), "yes", None),
        (no, "gzip", gzip(refused), "no", Some("not_found")),
        (yes, "gzip", case.to_vec(), "unknown", unknown),
        (yes, "gzip", bomb.clone(), "unknown", unknown),
        (yes, "zstd", case.to_vec(), "unknown", unknown),
        (no, "gzip", bomb, "no", Some("upstream_failed")),
        (no, "zstd", refused.to_vec(), "no", Some("upstream_failed")),
    ] {
        scripted.act(answer(status, &format!("Content-Encoding: {coding}\r\n"), &body));
        let got = call(&gateway, LINE, "", ASKED.as_bytes()).await;
        let told = (got.header("x-latimer-outcome"), got.header("x-latimer-fault"));
        assert_eq!(told, (Some(outcome), fault), "{status} {coding}: {got:?}");
        assert_eq!(got.header("content-encoding"), None, "{coding}: {got:?}");
        assert!(got.json().is_object(), "{got:?}");
        let seen = scripted.take_seen().concat().to_lowercase();
        assert!(!seen.contains("accept-encoding"), "none is asked for: {seen}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn between_two_of_a_kind_the_decoded_bytes_pass() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = start(Vendor::Series, &scripted, "").await;
    // With the client's own white space.
    let asked = "{ \"status\" : \"open\",  \"staffUserId\":7 }";
    let line = "POST /tickets/TICKET-1234567890-0001/status";
    call(&gateway, line, "gzip", &gzip(asked.as_bytes())).await;
    let seen = scripted.take_seen().concat();
    assert!(
        seen.ends_with(&format!("\r\ncontent-length: {}\r\n\r\n{asked}", asked.len())),
        "{seen}"
    );
    assert!(!seen.contains("content-encoding"), "{seen}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_forwarded_keeps_its_codings() {
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = start(Vendor::Series, &scripted, ", unmapped: forward").await;
    // Nobody looks into it, so nobody need know its coding.
    for (coding, body) in [("gzip", gzip(b"any")), ("zstd", b"any".to_vec())] {
        scripted.act(answer("200 OK", &format!("Content-Encoding: {coding}\r\n"), b"packed"));
        let got = call(&gateway, "POST /anything", coding, &body).await;
        let told = (got.status, got.header("content-encoding"), got.body.as_str());
        assert_eq!(told, (200, Some(coding), "packed"), "{got:?}");
        let seen = scripted.take_seen().concat();
        assert!(seen.contains(&format!("content-encoding: {coding}\r\n")), "{seen}");
        assert!(seen.ends_with(&*String::from_utf8_lossy(&body)), "{seen}");
    }
    gateway.stop().await;
}
