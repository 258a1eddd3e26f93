mod secured;

use std::future::pending;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod several;

use http::Method;

use super::connection::{Failure, Unanswered};
use super::pool::Pool;
use super::*;
use crate::bounds;
use crate::ident::CallId;

type Std = std::net::TcpStream;

const SECOND: Duration = Duration::from_secs(1);
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

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> bool {
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

fn upstream(host: &str, port: u16) -> Arc<Pool> {
    Arc::new(Pool::new(settings(host, port), Arc::default()))
}

fn settings(host: &str, port: u16) -> Settings {
    Settings {
        host: host.to_owned(),
        port,
        authority: "h".to_owned(),
        tls: None,
        http: crate::config::Http::Auto,
        connect_timeout: Duration::from_secs(2),
        idle_max: 4,
        idle_timeout: Duration::from_secs(30),
        reply_bytes_max: 16,
    }
}

fn request() -> Request {
    let (method, call) = (Method::GET, CallId::random());
    let headers = http::HeaderMap::new();
    let departure = Departure::default();
    Request { method, target: "/x".to_owned(), headers, body: Vec::new(), call, departure }
}

async fn send(upstream: &Pool, millis: u64) -> Result<Reply, SendError> {
    let now = Instant::now();
    let sent = upstream.send(&request(), now, now + Duration::from_millis(millis)).await;
    sent.map(|(reply, _)| reply)
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

/// Answers one request from a thread of its own, and hands the connection over.
fn answering_once(listener: std::net::TcpListener) -> std::thread::JoinHandle<Std> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !seen.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(OK).unwrap();
        stream
    })
}

/// An upstream with a listener that no task stands behind: the runtime is alone with the call.
fn unattended() -> (Arc<Pool>, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    (upstream("127.0.0.1", listener.local_addr().unwrap().port()), listener)
}

async fn one_connection_for_a_hundred_calls() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n";
    let answers: Vec<&'static [u8]> = [OK, chunked].into_iter().cycle().take(100).collect();
    let (port, server) = scripted(vec![answers]).await;
    let upstream = upstream("127.0.0.1", port);
    for call in 0..100 {
        let reply = send(&upstream, 5_000).await.unwrap();
        assert!(matches!(reply.body, ReplyBody::Whole(bytes) if bytes == "ok"), "{call}");
    }
    assert_eq!(server.await.unwrap(), [100]);
}

#[tokio::test]
async fn a_hundred_calls_use_one_connection() {
    one_connection_for_a_hundred_calls().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_use_one_connection_on_more_threads() {
    let calls = tokio::spawn(one_connection_for_a_hundred_calls());
    calls.await.unwrap();
}

/// Under load an answer may be read to its end on one thread while another still tidies up after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_in_parallel_use_a_connection_each() {
    const CALLERS: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = upstream("127.0.0.1", listener.local_addr().unwrap().port()).settings.clone();
    let upstream = Arc::new(Pool::new(Settings { idle_max: CALLERS, ..settings }, Arc::default()));
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                while read_request(&mut stream).await {
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move {
                for _ in 0..250 {
                    assert!(send(&upstream, 5_000).await.is_ok());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let opened = opened.load(Ordering::Relaxed);
    assert!(opened <= CALLERS, "{opened} connections for {CALLERS} callers");
    server.abort();
}

/// What is not polled cannot write: "nothing was sent" stays true after it was said.
#[tokio::test]
async fn nothing_of_a_call_runs_on_after_it() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (upstream, listener) = unattended();
    let sent = send(&upstream, 150).await;
    assert!(matches!(sent, Err(SendError::Lost { .. })), "{sent:?}");
    assert_eq!(tasks(), 0, "after a deadline");
    drop(listener);
    let (upstream, listener) = unattended();
    let server = answering_once(listener);
    assert!(send(&upstream, 5_000).await.is_ok());
    assert_eq!((upstream.idle().len(), tasks()), (1, 0), "beside a kept connection");
    drop(server.join().unwrap());
}

/// The kernel knows what became of the connection; the runtime has had no chance to hear of it.
#[tokio::test]
async fn a_kept_connection_is_looked_at_before_it_is_written_to() {
    let closed: fn(Std) -> Option<Std> = |_| None;
    let half_closed: fn(Std) -> Option<Std> = |stream| {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        Some(stream)
    };
    let spoke: fn(Std) -> Option<Std> = |mut stream| {
        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").unwrap();
        Some(stream)
    };
    for (what, meddle) in [("closed", closed), ("half closed", half_closed), ("spoke", spoke)] {
        let (upstream, listener) = unattended();
        let first = answering_once(listener.try_clone().unwrap());
        assert!(send(&upstream, 5_000).await.is_ok(), "{what}");
        let first = first.join().unwrap();
        let second = answering_once(listener);
        let kept_open = meddle(first);
        let reply = send(&upstream, 5_000).await;
        assert!(matches!(&reply, Ok(reply) if reply.head.status == 200), "{what}: {reply:?}");
        if let Some(mut first) = kept_open {
            let mut rest = Vec::new();
            // A reset ends it as well.
            let _ = first.read_to_end(&mut rest);
            assert!(rest.is_empty(), "{what}: a request was written to it");
        }
        drop(second.join().unwrap());
    }
}

/// Between the look and the first byte it ended: the same request goes to a fresh one, whole.
#[tokio::test]
async fn a_request_that_was_not_touched_is_sent_anew() {
    let (upstream, listener) = unattended();
    let server = answering_once(listener);
    assert!(send(&upstream, 5_000).await.is_ok());
    let kept = upstream.checkout(Instant::now()).unwrap();
    let stream = server.join().unwrap();
    // A reset, which the next write finds out before the kernel takes a byte.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let (message, deadline) = (request().encode(&upstream.preamble), Instant::now() + SECOND);
    let exchanged = upstream.exchange(kept, &message, &request(), deadline).await;
    let untouched = matches!(exchanged, Err(Unanswered::NothingSent(Failure::Io(_))));
    assert!(untouched, "{exchanged:?}");
}

/// A server that has read enough of a request says so, and does not read the rest.
#[tokio::test]
async fn an_answer_may_come_before_the_request_has_left() {
    let (upstream, listener) = unattended();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(answer).unwrap();
        stream
    });
    let large = Request { method: Method::POST, body: vec![b'x'; 32 << 20], ..request() };
    let (reply, _) =
        upstream.send(&large, Instant::now(), Instant::now() + 5 * SECOND).await.unwrap();
    assert_eq!(reply.head.status, 413);
    assert!(matches!(reply.body, ReplyBody::Whole(bytes) if bytes == "no"));
    assert_eq!(upstream.idle().len(), 0, "half a request stands on it");
    drop(server.join().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_connect_and_the_deadline_are_told_apart() {
    let open = async |deadline: u64| {
        let deaf = tower::service_fn(|_| pending::<std::io::Result<TcpStream>>());
        let settings = upstream("192.0.2.1", 1).settings.clone();
        assert_eq!(settings.connect_timeout, Duration::from_secs(2));
        connection::open(deaf, &settings, Instant::now() + Duration::from_millis(deadline)).await
    };
    for deadline in [0, 1_999, 2_000] {
        let opened = open(deadline).await;
        assert!(matches!(opened, Err(SendError::TimedOutBeforeSend)), "{deadline}: {opened:?}");
    }
    let opened = open(2_001).await;
    assert!(matches!(opened, Err(SendError::Unreachable { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_sweep_closes_what_is_old_or_was_closed() {
    let (upstream, listener) = unattended();
    let server = answering_once(listener.try_clone().unwrap());
    assert!(send(&upstream, 5_000).await.is_ok());
    let first = server.join().unwrap();
    upstream.sweep();
    assert_eq!(upstream.idle().len(), 1, "it is good");
    drop(first);
    upstream.sweep();
    assert_eq!(upstream.idle().len(), 0, "it was closed");
    let server = answering_once(listener);
    assert!(send(&upstream, 5_000).await.is_ok());
    let mut second = server.join().unwrap();
    tokio::time::pause();
    tokio::time::advance(upstream.settings.idle_timeout).await;
    upstream.sweep();
    assert_eq!(upstream.idle().len(), 0, "it is old");
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
}

/// A name may point elsewhere by then, so it has to be looked up now and then, however busy a connection is.
#[tokio::test]
async fn a_connection_is_not_used_for_ever() {
    let step = Duration::from_secs(20);
    let calls = usize::try_from(bounds::CONNECTION_AGE_MAX.as_secs() / step.as_secs()).unwrap();
    let (port, server) = scripted(vec![vec![OK; 2 * calls], vec![OK]]).await;
    let upstream = upstream("127.0.0.1", port);
    for _ in 0..=calls {
        assert!(send(&upstream, 5_000).await.is_ok());
        tokio::time::pause();
        tokio::time::advance(step).await;
        tokio::time::resume();
    }
    // If the first connection is kept, it waits on that one.
    let seen = tokio::time::timeout(5 * SECOND, server).await.expect("the first one is closed");
    assert_eq!(seen.unwrap(), [calls, 1]);
}
