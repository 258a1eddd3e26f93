use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What the scripted server does with one connection: answers, one per request, then closes.
type Script = Vec<Vec<&'static [u8]>>;

/// A server that plays its script and then counts what it saw: requests per connection.
async fn scripted(script: Script) -> (u16, tokio::task::JoinHandle<Vec<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answers in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut requests = 0;
            for answer in answers {
                if !read_request(&mut stream).await {
                    break;
                }
                requests += 1;
                stream.write_all(answer).await.unwrap();
            }
            seen.push(requests);
        }
        seen
    });
    (port, server)
}

async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
    }
    true
}

fn upstream(host: &str, port: u16) -> Arc<Upstream> {
    Upstream::new(Settings {
        host: host.to_owned(),
        port,
        connect_timeout: Duration::from_secs(2),
        idle_max: 4,
        idle_timeout: Duration::from_secs(30),
        reply_bytes_max: 16,
    })
}

async fn send(upstream: &Upstream, millis: u64) -> Result<Reply, SendError> {
    let request = Request::builder().uri("/x").header("host", "h").body(Full::default()).unwrap();
    upstream.send(request, Instant::now() + Duration::from_millis(millis)).await
}

#[tokio::test]
async fn a_kept_connection_is_used_again() {
    let (port, server) = scripted(vec![vec![OK, OK]]).await;
    let upstream = upstream("127.0.0.1", port);
    for _ in 0..2 {
        let reply = send(&upstream, 5_000).await.unwrap();
        assert!(matches!(reply.body, ReplyBody::Whole(bytes) if bytes == "ok"));
    }
    assert_eq!(server.await.unwrap(), [2]);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once() {
    let (port, server) = scripted(vec![vec![OK], vec![OK]]).await;
    let upstream = upstream("127.0.0.1", port);
    assert!(send(&upstream, 5_000).await.is_ok());
    assert!(send(&upstream, 5_000).await.is_ok());
    assert_eq!(server.await.unwrap(), [1, 1], "each request was sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_one_after_another_share_one_connection() {
    let (port, server) = scripted(vec![vec![OK; 100]]).await;
    let upstream = upstream("127.0.0.1", port);
    for call in 0..100 {
        let reply = send(&upstream, 5_000).await;
        assert!(reply.is_ok(), "call {call}: {reply:?}");
    }
    assert_eq!(server.await.unwrap(), [100]);
}

#[tokio::test]
async fn a_server_that_will_say_no_more_gets_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        assert!(read_request(&mut first).await);
        first.write_all(OK).await.unwrap();
        // Its write side is closed, and it goes on reading: what is written here would be lost.
        first.shutdown().await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(read_request(&mut second).await);
        second.write_all(OK).await.unwrap();
        let mut more = Vec::new();
        first.read_to_end(&mut more).await.unwrap();
        more
    });
    let upstream = upstream("127.0.0.1", port);
    for _ in 0..2 {
        assert!(send(&upstream, 5_000).await.is_ok());
    }
    assert_eq!(server.await.unwrap(), b"", "not a byte on the connection that was over");
}

#[tokio::test]
async fn what_was_not_asked_for_ends_a_connection() {
    let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
    let (port, server) = scripted(vec![vec![twice], vec![OK]]).await;
    let upstream = upstream("127.0.0.1", port);
    for _ in 0..2 {
        let reply = send(&upstream, 5_000).await.unwrap();
        assert!(matches!(reply.body, ReplyBody::Whole(bytes) if bytes == "ok"));
    }
    assert_eq!(server.await.unwrap(), [1, 1], "a second answer is nobody's");
}

#[tokio::test]
async fn a_deadline_during_the_connect_is_told_from_a_slow_upstream() {
    // Nobody accepts, and the queue is full: a connect waits.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        queued.push(connected.unwrap());
        assert!(queued.len() < 100, "the queue never fills");
    }
    let patient = upstream("127.0.0.1", address.port());
    assert_eq!(send(&patient, 150).await.unwrap_err(), SendError::TimedOutBeforeSend);
    let settings =
        Settings { connect_timeout: Duration::from_millis(100), ..patient.settings.clone() };
    let hasty = Upstream::new(settings);
    let sent = send(&hasty, 10_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
}

#[tokio::test]
async fn nobody_listening_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sent = send(&upstream("127.0.0.1", port), 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    let sent = send(&upstream("host.invalid", 80), 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_lost() {
    for answer in [&b""[..], b"not HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"] {
        let (port, _server) = scripted(vec![vec![answer]]).await;
        let sent = send(&upstream("127.0.0.1", port), 5_000).await;
        assert!(matches!(sent, Err(SendError::Lost { .. })), "{answer:?}: {sent:?}");
    }
}

#[tokio::test]
async fn a_late_head_is_lost_and_a_late_start_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream("127.0.0.1", listener.local_addr().unwrap().port());
    let sent = send(&upstream, 150).await;
    assert!(matches!(sent, Err(SendError::Lost { .. })), "{sent:?}");
    assert_eq!(send(&upstream, 0).await.unwrap_err(), SendError::TimedOutBeforeSend);
}

#[tokio::test]
async fn bodies_are_whole_or_broken() {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    let large = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n12345678901234567";
    let cases: [(&'static [u8], BrokenBody); 2] =
        [(truncated, BrokenBody::Truncated), (large, BrokenBody::TooLarge)];
    for (answer, wanted) in cases {
        let (port, _server) = scripted(vec![vec![answer]]).await;
        let reply = send(&upstream("127.0.0.1", port), 5_000).await.unwrap();
        assert!(matches!(reply.body, ReplyBody::Broken(broken) if broken == wanted), "{wanted:?}");
    }
}
