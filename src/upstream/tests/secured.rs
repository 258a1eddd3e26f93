//! The same over TLS.

use tokio::io::AsyncWrite;

use super::*;
use crate::tls::tests::stage::{HOST, Stage};
use crate::tls::{Server, ServerStream};
use crate::upstream::connection::Connection;

type Secured = ServerStream<TcpStream>;

/// An upstream over TLS with little patience for a handshake.
fn secured(stage: &Stage, roots: &str, port: u16) -> Arc<Pool> {
    let settings = upstream("127.0.0.1", port).settings.clone();
    let tls = Some(stage.client(roots, HOST, None));
    Arc::new(Pool::new(Settings { tls, connect_timeout: SECOND, ..settings }, Arc::default()))
}

/// Plays its part on each connection that shakes hands; tells how many did.
async fn server<F: Future<Output = ()>>(
    tls: Server,
    parts: usize,
    part: impl Fn(Secured) -> F,
) -> (u16, impl Future<Output = usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = async move {
        let mut shaken = 0;
        for _ in 0..parts {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = tls.accept(stream).await {
                shaken += 1;
                part(stream).await;
            }
        }
        shaken
    };
    (port, serving)
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &[u8]) -> bool {
    if !read_request(stream).await {
        return false;
    }
    stream.write_all(answer).await.unwrap();
    stream.flush().await.unwrap();
    true
}

#[tokio::test]
async fn a_hundred_calls_shake_hands_once() {
    let stage = Stage::new();
    let tls = stage.server(&stage.ours.issue(HOST), None);
    let (port, serving) =
        server(tls, 1, async |mut stream| while answer(&mut stream, OK).await {}).await;
    let upstream = secured(&stage, "ours.pem", port);
    let calling = async {
        for call in 0..100 {
            let reply = send(&upstream, 5_000).await.unwrap();
            assert!(matches!(reply.body, ReplyBody::Whole(bytes) if bytes == "ok"), "{call}");
        }
        upstream.idle().clear();
    };
    assert_eq!(tokio::join!(serving, calling).0, 1);
}

#[tokio::test]
async fn a_kept_connection_that_tls_ended_is_replaced() {
    let stage = Stage::new();
    let tls = stage.server(&stage.ours.issue(HOST), None);
    let (port, serving) = server(tls, 2, async |mut stream| {
        assert!(answer(&mut stream, OK).await);
        stream.shutdown().await.unwrap();
    })
    .await;
    let upstream = secured(&stage, "ours.pem", port);
    let calling = async {
        for _ in 0..2 {
            assert!(send(&upstream, 5_000).await.is_ok());
            // Until the end has come.
            while upstream.idle().first().is_some_and(|kept| kept.connection.is_silent(SECOND)) {
                tokio::task::yield_now().await;
            }
        }
    };
    assert_eq!(tokio::join!(serving, calling).0, 2);
}

/// What came behind an answer belongs to no request, wherever it is kept.
#[tokio::test]
async fn more_than_one_answer_ends_a_connection() {
    let stage = Stage::new();
    let tls = stage.server(&stage.ours.issue(HOST), None);
    // The head alone fills what is read at a time, so that the rest stays with TLS.
    let filler = "x".repeat(4096 - OK.len() - "X: \r\n".len());
    let text = std::str::from_utf8(OK).unwrap();
    let exact = text.replacen("\r\n", &format!("\r\nX: {filler}\r\n"), 1);
    assert_eq!(exact.len(), 4096);
    let twice = format!("{exact}{text}").into_bytes();
    let (port, serving) =
        server(tls, 1, async |mut stream| assert!(answer(&mut stream, &twice).await)).await;
    let upstream = secured(&stage, "ours.pem", port);
    let (_, reply) = tokio::join!(serving, send(&upstream, 5_000));
    assert!(matches!(reply.unwrap().body, ReplyBody::Whole(bytes) if bytes == "ok"));
    assert_eq!(upstream.idle().len(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_not_the_one_gets_nothing() {
    let stage = Stage::new();
    let cases = [
        (stage.ours.issue(HOST), "other.pem", "UnknownIssuer"),
        (stage.ours.issue("elsewhere.example"), "ours.pem", "not valid for name"),
        (stage.ours.issue_for(HOST, (2000, 2001)), "ours.pem", "expired"),
    ];
    for (issued, roots, wanted) in cases {
        let tls = stage.server(&issued, None);
        let (port, serving) = server(tls, 1, async |_| panic!("it shook hands")).await;
        let upstream = secured(&stage, roots, port);
        let (shaken, sent) = tokio::join!(serving, send(&upstream, 5_000));
        assert_eq!(shaken, 0, "{wanted}");
        let Err(SendError::Unreachable { cause }) = &sent else { panic!("{wanted}: {sent:?}") };
        assert!(cause.contains(wanted), "{cause}");
    }
}

/// With TLS 1.3 the request has left by then; the upstream has looked at our certificate before it.
#[tokio::test]
async fn an_upstream_that_refuses_our_certificate_has_taken_nothing() {
    let stage = Stage::new();
    let tls = stage.server(&stage.ours.issue(HOST), Some("other.pem"));
    let wrong = stage.ours.issue("gateway");
    for shown in [None, Some(&wrong)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = secured(&stage, "ours.pem", port).settings.clone();
        let client = Some(stage.client("ours.pem", HOST, shown));
        let upstream = Arc::new(Pool::new(Settings { tls: client, ..settings }, Arc::default()));
        let refusing = async {
            let (stream, _) = listener.accept().await.unwrap();
            // Held open, for a reset could overtake what is said.
            let (held, stream) = duplicate(stream);
            assert!(tls.accept(stream).await.is_err());
            held
        };
        let (_held, sent) = tokio::join!(refusing, send(&upstream, 5_000));
        let Err(SendError::Unreachable { cause }) = &sent else { panic!("{sent:?}") };
        assert!(cause.contains("alert"), "{cause}");
    }
}

/// Another handle of a socket.
fn duplicate(stream: TcpStream) -> (Std, TcpStream) {
    let stream = stream.into_std().unwrap();
    (stream.try_clone().unwrap(), TcpStream::from_std(stream).unwrap())
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_connection() {
    let stage = Stage::new();
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = secured(&stage, "ours.pem", deaf.local_addr().unwrap().port()).settings.clone();
    let connect_timeout = Duration::from_millis(100);
    let upstream = Arc::new(Pool::new(Settings { connect_timeout, ..settings }, Arc::default()));
    let sent = send(&upstream, 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    assert_eq!(send(&upstream, 50).await.unwrap_err(), SendError::TimedOutBeforeSend);
}

#[tokio::test]
async fn what_left_after_the_handshake_and_was_not_answered_is_lost() {
    let stage = Stage::new();
    let answers: [&[u8]; 2] = [b"", b"HTTP/1.1 200 OK\r\nContent-"];
    for said in answers {
        let tls = stage.server(&stage.ours.issue(HOST), None);
        let (port, serving) =
            server(tls, 1, async |mut stream| assert!(answer(&mut stream, said).await)).await;
        let upstream = secured(&stage, "ours.pem", port);
        let (_, sent) = tokio::join!(serving, send(&upstream, 5_000));
        assert!(matches!(sent, Err(SendError::Lost { .. })), "{sent:?}");
    }
}

/// A stream that ends without TLS's own end may have been cut by anybody (RFC 9112 section 9.8).
#[tokio::test]
async fn a_body_that_ends_with_the_stream_wants_the_end_of_tls() {
    let stage = Stage::new();
    for whole in [true, false] {
        let tls = stage.server(&stage.ours.issue(HOST), None);
        let (port, serving) = server(tls, 1, async |mut stream| {
            assert!(answer(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nok").await);
            if whole {
                stream.shutdown().await.unwrap();
            }
        })
        .await;
        let upstream = secured(&stage, "ours.pem", port);
        let body = tokio::join!(serving, send(&upstream, 5_000)).1.unwrap().body;
        match body {
            ReplyBody::Whole(bytes) => assert!(whole && bytes == "ok"),
            ReplyBody::Broken(broken) => assert!(!whole && broken == BrokenBody::Truncated),
        }
    }
}

/// TLS takes a part of what it is given and writes it when it is asked to: all of it arrives.
#[tokio::test]
async fn a_large_request_arrives_whole() {
    const BYTES: usize = 8 << 20;
    let stage = Stage::new();
    let tls = stage.server(&stage.ours.issue(HOST), None);
    let (port, serving) = server(tls, 1, async |mut stream| {
        let (mut read, mut tail, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
        while !tail.ends_with(b"xyz") {
            let more = stream.read(&mut buffer).await.unwrap();
            read += more;
            tail.extend_from_slice(&buffer[..more]);
            tail.drain(..tail.len().saturating_sub(3));
        }
        assert!(read > BYTES, "{read}");
        stream.write_all(OK).await.unwrap();
        stream.flush().await.unwrap();
        // Until the other side has gone.
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let upstream = secured(&stage, "ours.pem", port);
    let mut body = vec![b'x'; BYTES];
    body.extend(b"xyz");
    let large = Request { method: Method::POST, body, ..request() };
    let calling = async {
        let now = Instant::now();
        let (reply, _) = upstream.send(&large, now, now + 10 * SECOND).await.unwrap();
        assert_eq!(reply.head.status, 200);
        assert_eq!(upstream.idle().len(), 1, "it is kept");
        upstream.idle().clear();
    };
    tokio::join!(serving, calling);
}

/// A connection of an upstream over TLS that is kept, and the other end of it.
async fn kept(stage: &Stage) -> (Arc<Pool>, Connection, Secured) {
    let tls = stage.server(&stage.ours.issue(HOST), None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = secured(stage, "ours.pem", listener.local_addr().unwrap().port());
    let serving = async {
        let mut stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        assert!(answer(&mut stream, OK).await);
        stream
    };
    let (stream, sent) = tokio::join!(serving, send(&upstream, 5_000));
    assert!(sent.is_ok());
    let kept = upstream.checkout(Instant::now()).unwrap();
    (upstream, kept, stream)
}

/// TLS has taken the request and the socket has not: it has not left.
#[tokio::test]
async fn what_tls_keeps_was_not_sent() {
    let stage = Stage::new();
    let (upstream, kept, _stream) = kept(&stage).await;
    let filler = vec![0; 64 * 1024];
    while SockRef::from(kept.socket()).send(&filler).is_ok() {}
    let message = request().encode(&upstream.preamble);
    let deadline = Instant::now() + Duration::from_millis(100);
    let exchanged = upstream.exchange(kept, &message, &request(), deadline).await;
    assert!(matches!(exchanged, Err(Unanswered::NothingSent(Failure::Deadline))), "{exchanged:?}");
}

/// Bytes of the handshake and of calls before do not count for a request.
#[tokio::test]
async fn a_reset_before_the_first_byte_is_known_over_tls_too() {
    let stage = Stage::new();
    let (upstream, kept, stream) = kept(&stage).await;
    SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let (message, deadline) = (request().encode(&upstream.preamble), Instant::now() + SECOND);
    let exchanged = upstream.exchange(kept, &message, &request(), deadline).await;
    assert!(matches!(exchanged, Err(Unanswered::NothingSent(Failure::Io(_)))), "{exchanged:?}");
}
