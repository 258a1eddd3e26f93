use std::sync::atomic::AtomicU32;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::ident::CallId;
use crate::upstream::Departure;
use crate::upstream::meter::Meters;
use crate::upstream::pool::Pool;
use crate::upstream::reply::{BrokenBody, ReplyBody};

/// Types of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const MAX_CONCURRENT_STREAMS: u8 = 3;
/// RFC 9113 section 7.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// What the other side does once it has a request's head.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// `200` with these bytes.
    Answers(&'static [u8]),
    /// The same, and closes.
    AnswersAndCloses,
    /// `200` with a field of so many bytes.
    AnswersWithField(usize),
    /// A head without its body.
    BeginsToAnswer,
    Resets(u32),
    /// GOAWAY with this last stream and reason, and closes.
    SaysGoodbye(u32, u32),
    Closes,
    Nothing,
}

/// A peer that speaks HTTP/2 frame by frame.
struct Peer {
    port: u16,
    connections: Arc<AtomicU32>,
    /// Type, stream, and the reason of a reset.
    seen: Arc<Mutex<Vec<(u8, u32, u32)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// By the connection's number and the stream's id.
    async fn start(streams_max: u32, does: fn(u32, u32) -> Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::default()));
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    // It ends when the other side does.
                    let _ = speak(stream, streams_max, &log, |stream| does(number, stream)).await;
                });
            }
        });
        Self { port, connections, seen, task }
    }

    fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|(kind, _, _)| *kind == HEADERS).count()
    }

    async fn until_seen(&self, wanted: (u8, u32, u32)) {
        let seen = async {
            while !self.seen.lock().unwrap().contains(&wanted) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.expect("it comes in time");
    }

    fn pool(&self) -> Pool {
        pooled(settings(self.port))
    }
}

async fn speak(
    mut stream: TcpStream,
    streams_max: u32,
    log: &Mutex<Vec<(u8, u32, u32)>>,
    does: impl Fn(u32) -> Does,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let mut setting = vec![0, MAX_CONCURRENT_STREAMS];
    setting.extend(streams_max.to_be_bytes());
    stream.write_all(&frame(SETTINGS, 0, 0, &setting)).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        let reason = match head[3] {
            RST_STREAM => u32::from_be_bytes(payload[..4].try_into().unwrap()),
            SETTINGS if head[4] == 0 => {
                stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?;
                0
            }
            _ => 0,
        };
        log.lock().unwrap().push((head[3], id, reason));
        if head[3] == HEADERS && !answer(&mut stream, id, does(id)).await? {
            return Ok(());
        }
    }
}

/// False if the connection ends.
async fn answer(stream: &mut TcpStream, id: u32, does: Does) -> std::io::Result<bool> {
    // `:status: 200` by the static table (RFC 7541 appendix A).
    let ok = frame(HEADERS, 4, id, &[0x88]);
    match does {
        Does::Nothing => {}
        Does::Closes => return Ok(false),
        Does::Answers(body) => {
            stream.write_all(&ok).await?;
            stream.write_all(&frame(DATA, 1, id, body)).await?;
        }
        Does::AnswersAndCloses => {
            stream.write_all(&ok).await?;
            stream.write_all(&frame(DATA, 1, id, b"ok")).await?;
            return Ok(false);
        }
        Does::AnswersWithField(bytes) => {
            // In pieces of what one literal without an index, and its frame, can hold.
            let mut block = vec![0x88];
            for _ in 0..bytes / 100 {
                block.extend([0x00, 1, b'x', 100]);
                block.extend([b'y'; 100]);
            }
            let (first, rest) = block.split_at(1);
            stream.write_all(&frame(HEADERS, 0, id, first)).await?;
            let chunks: Vec<_> = rest.chunks(16_000).collect();
            for (index, chunk) in chunks.iter().enumerate() {
                let last = if index + 1 == chunks.len() { 4 } else { 0 };
                stream.write_all(&frame(9, last, id, chunk)).await?;
            }
        }
        Does::BeginsToAnswer => {
            stream.write_all(&ok).await?;
            return Ok(false);
        }
        Does::Resets(reason) => {
            stream.write_all(&frame(RST_STREAM, 0, id, &reason.to_be_bytes())).await?;
        }
        Does::SaysGoodbye(last, reason) => {
            let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
            stream.write_all(&frame(GOAWAY, 0, 0, &payload)).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn settings(port: u16) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port,
        authority: "h".to_owned(),
        tls: None,
        http: Http::Two,
        connect_timeout: Duration::from_secs(2),
        idle_max: 4,
        idle_timeout: Duration::from_secs(30),
        reply_bytes_max: 16,
    }
}

fn pooled(settings: Settings) -> Pool {
    Pool::new(settings, Meters::default().add())
}

async fn send(pool: &Pool, millis: u64) -> Result<Reply, SendError> {
    let headers = http::HeaderMap::new();
    let (target, body) = ("/x".to_owned(), b"{}".to_vec());
    let departure = Departure::default();
    let request =
        Request { method: Method::PUT, target, headers, body, call: CallId::random(), departure };
    let now = Instant::now();
    let sent = pool.send(&request, now, now + Duration::from_millis(millis)).await;
    sent.map(|(reply, _)| reply)
}

fn is_lost<T>(sent: &Result<T, SendError>) -> bool {
    matches!(sent, Err(SendError::Lost { late: false, .. }))
}

fn is_ok(sent: &Result<Reply, SendError>) -> bool {
    matches!(sent, Ok(Reply { body: ReplyBody::Whole(body), .. }) if body == "ok")
}

#[tokio::test]
async fn calls_share_a_connection() {
    let peer = Peer::start(100, |_, _| Does::Answers(b"ok")).await;
    let pool = peer.pool();
    let at_once = tokio::join!(send(&pool, 5_000), send(&pool, 5_000), send(&pool, 5_000));
    assert!(is_ok(&at_once.0) && is_ok(&at_once.1) && is_ok(&at_once.2), "{at_once:?}");
    assert!(is_ok(&send(&pool, 5_000).await));
    assert_eq!((peer.connections(), peer.requests()), (1, 4));
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open_and_while_they_rest() {
    let peer = Peer::start(100, |_, stream| match stream {
        1 => Does::Answers(b"ok"),
        _ => Does::SaysGoodbye(0, NO_ERROR),
    })
    .await;
    let meters = Meters::default();
    let pool = Pool::new(settings(peer.port), meters.add());
    assert!(is_ok(&send(&pool, 5_000).await));
    let sum = meters.sum();
    assert_eq!((sum.opened, sum.open, sum.idle), (1, 1, 1));
    // It says goodbye to the next call, which a new one takes.
    assert!(is_ok(&send(&pool, 5_000).await));
    let closed = async {
        while meters.sum().open > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), closed).await.expect("the first closes");
    assert_eq!((meters.sum().opened, meters.sum().idle), (2, 1));
    drop(pool);
    assert_eq!(meters.sum().idle, 0);
}

#[tokio::test]
async fn more_connections_are_opened_where_one_takes_few_streams() {
    let peer = Peer::start(1, |_, _| Does::Nothing).await;
    let pool = peer.pool();
    let calls = tokio::join!(send(&pool, 400), send(&pool, 400), send(&pool, 400));
    for call in [calls.0, calls.1, calls.2] {
        assert!(matches!(call, Err(SendError::Lost { late: true, .. })), "{call:?}");
    }
    assert_eq!((peer.connections(), peer.requests()), (3, 3));
    // What nobody listens on is not used again.
    pool.sweep();
    assert_eq!(pool.sessions.count(), 0);
}

#[tokio::test]
async fn a_refused_stream_was_not_sent() {
    let peer = Peer::start(100, |_, stream| match stream {
        1 => Does::Resets(REFUSED_STREAM),
        _ => Does::Answers(b"ok"),
    })
    .await;
    let pool = peer.pool();
    let refused = send(&pool, 5_000).await;
    assert!(matches!(refused, Err(SendError::Unreachable { .. })), "{refused:?}");
    assert!(is_ok(&send(&pool, 5_000).await));
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn any_other_reset_tells_nothing() {
    for reason in [NO_ERROR, INTERNAL_ERROR, CANCEL, 0xd, 0xb] {
        let sent = match reason {
            NO_ERROR => Peer::start(100, |_, _| Does::Resets(NO_ERROR)).await,
            INTERNAL_ERROR => Peer::start(100, |_, _| Does::Resets(INTERNAL_ERROR)).await,
            CANCEL => Peer::start(100, |_, _| Does::Resets(CANCEL)).await,
            0xd => Peer::start(100, |_, _| Does::Resets(0xd)).await,
            _ => Peer::start(100, |_, _| Does::Resets(0xb)).await,
        };
        let lost = send(&sent.pool(), 5_000).await;
        assert!(is_lost(&lost), "{reason}: {lost:?}");
    }
}

#[tokio::test]
async fn a_goodbye_below_our_stream_moves_the_call_to_another_connection() {
    let peer = Peer::start(100, |connection, _| match connection {
        0 => Does::SaysGoodbye(0, NO_ERROR),
        _ => Does::Answers(b"ok"),
    })
    .await;
    assert!(is_ok(&send(&peer.pool(), 5_000).await));
    assert_eq!((peer.connections(), peer.requests()), (2, 2));

    // One that only says so is not tried for ever.
    let peer = Peer::start(100, |_, _| Does::SaysGoodbye(0, NO_ERROR)).await;
    let sent = send(&peer.pool(), 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn a_goodbye_at_our_stream_tells_nothing() {
    for does in [
        (|_, _| Does::SaysGoodbye(1, NO_ERROR)) as fn(u32, u32) -> Does,
        |_, _| Does::SaysGoodbye(1, INTERNAL_ERROR),
        |_, _| Does::SaysGoodbye(u32::MAX >> 1, NO_ERROR),
        |_, _| Does::Closes,
    ] {
        let peer = Peer::start(100, does).await;
        let lost = send(&peer.pool(), 5_000).await;
        assert!(is_lost(&lost), "{lost:?}");
        assert_eq!((peer.connections(), peer.requests()), (1, 1), "it is not sent twice");
    }
}

#[tokio::test]
async fn a_connection_is_not_used_for_ever() {
    let peer = Peer::start(100, |_, _| Does::Answers(b"ok")).await;
    let pool = peer.pool();
    let step = Duration::from_secs(20);
    for passed in (0..).map(|count| step * count) {
        assert!(is_ok(&send(&pool, 5_000).await));
        let is_over = passed >= crate::bounds::CONNECTION_AGE_MAX;
        assert_eq!(peer.connections(), 1 + u32::from(is_over), "{passed:?}");
        if is_over {
            break;
        }
        tokio::time::pause();
        tokio::time::advance(step).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_connection_that_closed_while_it_stood_idle_costs_nothing() {
    let peer = Peer::start(100, |_, _| Does::AnswersAndCloses).await;
    let pool = peer.pool();
    for connections in 1..=3 {
        assert!(is_ok(&send(&pool, 5_000).await));
        assert_eq!(peer.connections(), connections);
        // Longer than it counts as open without a look.
        tokio::time::sleep(TRUSTED * 10).await;
    }
}

#[tokio::test]
async fn what_does_not_speak_http2_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pooled(settings(listener.local_addr().unwrap().port()));
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 24];
        stream.read_exact(&mut seen).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // A reset ends it as well.
        let _ = stream.read_to_end(&mut seen).await;
        seen
    });
    let sent = send(&pool, 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    drop(pool);
    let seen = timeout(Duration::from_secs(10), answering).await.unwrap().unwrap();
    let mut rest = &seen[24..];
    while rest.len() >= 9 {
        assert_ne!(rest[3], HEADERS, "no request left");
        rest = &rest[9 + u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize..];
    }
}

#[tokio::test]
async fn many_wait_for_one_connection_and_hear_that_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pool = pooled(settings(port));
    let sent = tokio::join!(send(&pool, 5_000), send(&pool, 5_000));
    for sent in [sent.0, sent.1] {
        assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    }
    assert_eq!(pool.sessions.count(), 1, "one try for both");
}

#[tokio::test]
async fn a_peer_that_says_nothing_has_the_time_of_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let limit = Duration::from_millis(200);
    let pool = pooled(Settings { connect_timeout: limit, ..settings(port) });
    let sent = send(&pool, 100).await;
    assert!(matches!(sent, Err(SendError::TimedOutBeforeSend)), "{sent:?}");
    let sent = send(&pool, 5_000).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
}

#[tokio::test]
async fn a_call_that_ends_early_resets_its_stream_and_nothing_else() {
    let peer = Peer::start(100, |connection, stream| match (connection, stream) {
        (0, 1 | 5) => Does::Nothing,
        _ => Does::Answers(b"ok"),
    })
    .await;
    let pool = peer.pool();
    // Dropped in the middle.
    assert!(timeout(Duration::from_millis(100), send(&pool, 5_000)).await.is_err());
    peer.until_seen((RST_STREAM, 1, CANCEL)).await;
    assert!(is_ok(&send(&pool, 5_000).await));
    let late = send(&pool, 300).await;
    assert!(matches!(late, Err(SendError::Lost { late: true, .. })), "{late:?}");
    peer.until_seen((RST_STREAM, 5, CANCEL)).await;
    assert_eq!(peer.connections(), 1);
    // Nothing came on it for a whole call, so the next one goes elsewhere.
    assert!(is_ok(&send(&pool, 5_000).await));
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn an_answer_is_bounded_and_has_to_come_whole() {
    for (does, wanted) in [
        (
            (|_, _| Does::Answers(b"12345678901234567")) as fn(u32, u32) -> Does,
            BrokenBody::TooLarge,
        ),
        (|_, _| Does::BeginsToAnswer, BrokenBody::Truncated),
    ] {
        let peer = Peer::start(100, does).await;
        let reply = send(&peer.pool(), 5_000).await.unwrap();
        assert!(matches!(reply.body, ReplyBody::Broken(broken) if broken == wanted), "{reply:?}");
    }
    // Its head as well: too many bytes, or too many fields.
    for does in [(|_, _| Does::AnswersWithField(80_000)) as fn(u32, u32) -> Does, |_, _| {
        Does::AnswersWithField(11_000)
    }] {
        let peer = Peer::start(100, does).await;
        let lost = send(&peer.pool(), 5_000).await;
        assert!(is_lost(&lost), "{lost:?}");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_pool() {
    let peer = Peer::start(100, |_, _| Does::Answers(b"ok")).await;
    let pool = peer.pool();
    assert!(is_ok(&send(&pool, 5_000).await));
    drop(pool);
    peer.until_seen((GOAWAY, 0, 0)).await;
}

/// A failed connection of which no byte was taken since: what is still kept may not leave after all.
#[tokio::test]
async fn what_was_cut_never_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let wire = Wire::open(("127.0.0.1".to_owned(), port), None).await.unwrap();
    let tap = Arc::new(Tap::default());
    let mut tapped = Tapped::new(wire, Arc::clone(&tap));
    tapped.write_all(b"before").await.unwrap();
    let before = tap.written();
    tapped.write_all(b"x").await.unwrap();
    assert!(!tap.cut_if_untouched(before), "a byte has left");
    tapped.write_all(b"y").await.unwrap();
    assert!(tap.cut_if_untouched(tap.written()));
    assert!(tapped.write_all(b"z").await.is_err());
    drop(tapped);
    let (mut far, _) = listener.accept().await.unwrap();
    let mut seen = String::new();
    far.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen, "beforexy");
}
