use proptest::prelude::*;

use super::*;

fn head(text: &str) -> Result<Option<Head>, BadHead> {
    take_head(&mut BytesMut::from(text), &Method::PUT)
}

fn framed(method: &Method, text: &str) -> Framing {
    take_head(&mut BytesMut::from(text), method).unwrap().unwrap().framing
}

/// An answer's body, all of whose bytes are there, and no more will come.
fn body(text: &str, bytes_max: usize) -> Result<Progress, BrokenBody> {
    let mut received = BytesMut::from(text);
    let mut head = take_head(&mut received, &Method::PUT).unwrap().unwrap();
    head.framing.take_body(&mut received, bytes_max, true)
}

fn whole(text: &'static str) -> Result<Progress, BrokenBody> {
    Ok(Progress::Whole(Bytes::from_static(text.as_bytes())))
}

#[test]
fn a_head_that_has_not_come_whole_is_waited_for() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n";
    for end in 0..text.len() {
        assert!(head(&text[..end]).unwrap().is_none(), "{end}");
    }
    let head = head(text).unwrap().unwrap();
    assert_eq!(head.parts.status, 200);
    assert_eq!(head.parts.headers["x-a"], "b");
}

#[test]
fn what_is_no_head() {
    for text in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSpace : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNul: \0\r\n\r\n",
    ] {
        assert_eq!(head(text).unwrap_err(), BadHead::NotHttp, "{text:?}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(bounds::HEADERS_MAX + 1));
    assert_eq!(head(&many).unwrap_err(), BadHead::TooLarge);
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(bounds::REPLY_HEAD_BYTES_MAX));
    assert_eq!(head(&long).unwrap_err(), BadHead::TooLarge);
    assert_eq!(head("HTTP/1.1 101 Go\r\n\r\n").unwrap_err(), BadHead::Switched);
}

#[test]
fn interim_answers_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    assert!(head(text).unwrap().is_none());
    let head = head(&format!("{text}HTTP/1.1 201 Created\r\n\r\n")).unwrap().unwrap();
    assert_eq!((head.parts.status.as_u16(), head.parts.headers.len()), (201, 0));
}

/// RFC 9112 section 6.3, in its order.
#[test]
fn how_a_body_ends() {
    let with = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    assert!(matches!(framed(&Method::HEAD, &with("Content-Length: 9")), Framing::Length(0)));
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n");
        assert!(matches!(framed(&Method::PUT, &text), Framing::Length(0)), "{status}");
    }
    for lines in ["Transfer-Encoding: chunked", "transfer-encoding: CHUNKED"] {
        assert!(matches!(framed(&Method::PUT, &with(lines)), Framing::Chunked(_)), "{lines}");
    }
    for lines in
        ["Content-Length: 9", "Content-Length: 9\r\nContent-Length: 9", "content-length: 009"]
    {
        assert!(matches!(framed(&Method::PUT, &with(lines)), Framing::Length(9)), "{lines}");
    }
    assert!(matches!(framed(&Method::PUT, "HTTP/1.1 200 OK\r\n\r\n"), Framing::ToEnd));
    for lines in [
        "Transfer-Encoding: chunked\r\nContent-Length: 9",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: ",
        "Content-Length: 9\r\nContent-Length: 8",
        "Content-Length: 9, 9",
        "Content-Length: +9",
        "Content-Length: -1",
        "Content-Length: 0x9",
        "Content-Length: ",
        "Content-Length: 99999999999999999999",
    ] {
        assert!(matches!(framed(&Method::PUT, &with(lines)), Framing::Unclear), "{lines}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(matches!(framed(&Method::PUT, old), Framing::Unclear));
}

/// RFC 9112 section 9.3.
#[test]
fn which_connections_stay() {
    for (text, stays) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\nConnection: Close\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\nConnection: x, close\r\n\r\n", false),
        ("HTTP/1.0 204 No Content\r\n\r\n", false),
        ("HTTP/1.0 204 No Content\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false),
    ] {
        assert_eq!(head(text).unwrap().unwrap().keeps_alive, stays, "{text:?}");
    }
}

#[test]
fn bodies_are_whole_or_say_why_not() {
    let length = |length: u64, text: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}")
    };
    assert_eq!(body(&length(2, "ok"), 2), whole("ok"));
    assert_eq!(body(&length(0, ""), 0), whole(""));
    assert_eq!(body(&length(3, "ok"), 3), Err(BrokenBody::Truncated));
    assert_eq!(body(&length(3, "ok"), 2), Err(BrokenBody::TooLarge));
    assert_eq!(body(&length(u64::MAX, "ok"), 2), Err(BrokenBody::TooLarge));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nok", 2), whole("ok"));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nokay", 2), Err(BrokenBody::TooLarge));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    assert_eq!(body(&format!("{chunked}\r\n"), 2), whole("ok"));
    assert_eq!(body(chunked, 2), Err(BrokenBody::Truncated));
    let unclear = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok";
    assert_eq!(body(unclear, 2), Err(BrokenBody::Malformed));
}

proptest! {
    #[test]
    fn nothing_that_comes_panics(
        text in "(HTTP/1.[01] [0-9]{3} ?[a-z]{0,3}\r\n)?((Content-Length|Transfer-Encoding|A): ?\\PC{0,9}\r\n){0,4}(\r\n)?\\PC{0,20}"
    ) {
        let mut received = BytesMut::from(text.as_str());
        if let Ok(Some(mut head)) = take_head(&mut received, &Method::GET) {
            let body = head.framing.take_body(&mut received, 10, true);
            prop_assert!(!matches!(body, Ok(Progress::More)));
        }
    }
}
