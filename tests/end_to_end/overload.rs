//! Ten times as many clients as there may be: the excess is refused or waits, and costs next to nothing. In
//! HTTP/1.1 and HTTP/2, plain and in TLS.

mod lines;
mod streams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::sim::{Options, Simulator, Vendor, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::lines::{Line, Message, Wire};
use crate::harness::{Answer, Gateway, PATIENCE, upstream};
use crate::metrics::shows;
use crate::vendors::ticket;

/// Calls that the gateway takes at a time, and connections in the other test.
const CAPACITY: usize = 30;
/// Calls that the upstream takes at a time.
const UPSTREAM: usize = 20;
const TIMES: usize = 10;
/// Time for an upstream's answer.
const LATENCY: Duration = Duration::from_millis(400);
/// How long a load may last: some seconds, but each of its calls may be slow on a busy machine.
const LASTS_MAX: Duration = Duration::from_secs(120);
/// A body that would be felt if it were kept for a call that is refused: 270 of them are 67 MiB.
const BODY_BYTES: usize = 256 * 1024;
/// What memory may grow by: for each of the 270 connections more 32 KiB, to which its buffer may grow, and 8 KiB of its
/// own; and as much again for what the allocator keeps. Up to 11 MiB were seen on a busy machine.
const ALLOWED_KIB: u64 = 2 * 270 * (32 + 8);
/// The same in TLS: besides, a record that comes and one that goes, 16 KiB each. Up to 18 MiB were seen.
const ALLOWED_TLS_KIB: u64 = 2 * 270 * (32 + 8 + 32);
/// The same in HTTP/2 with ten calls on each of 27 more connections, in TLS or not: each may send 256 KiB before
/// anybody has looked at it, and does on a busy machine. Up to 13 MiB were seen.
const ALLOWED_SHARED_KIB: u64 = 2 * 27 * (32 + 8 + 32 + 256);
/// The same where each of the 270 is a connection in HTTP/2: its stream sends 64 KiB before anybody has looked at it.
/// Bodies that were kept would still be felt.
const ALLOWED_HTTP2_KIB: u64 = 2 * 270 * (24 + 64);
/// The same for connections that wait to be accepted: they are the system's.
const ALLOWED_WAITING_KIB: u64 = 2 * 1024;

async fn slow(latency: Duration) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        tickets: vec![format!("{}=open", ticket(Vendor::Series, 1)).parse().unwrap()],
        requests_per_second: None,
        faults: vec![format!("latency={}ms", latency.as_millis()).parse().unwrap()],
        ..Options::default()
    };
    serve(Vendor::Series, listener, options).unwrap()
}

/// A Series client in front of Series, with caps.
async fn gateway(wire: &Wire, bounds: &str, more: &str, simulator: &Simulator) -> Gateway {
    let text = format!(
        "log: {{access: off}}\nbounds: {{{bounds}}}\nupstreams:\n{}{more}\
         routes:\n  series: {{client: series, upstream: series, consumers: [tester], limit: none}}\n",
        upstream(Vendor::Series, &simulator.url())
    );
    Gateway::start_on(&wire.listen(), "mappings", &text, &[]).await
}

fn status_kib(gateway: &Gateway, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Memory of the program that is in use, in KiB.
fn resident_kib(gateway: &Gateway) -> u64 {
    status_kib(gateway, "VmRSS:")
}

/// The most memory that the program ever had in use, in KiB. The system keeps it, so that no peak is missed however
/// seldom this is asked.
fn peak_kib(gateway: &Gateway) -> u64 {
    status_kib(gateway, "VmHWM:")
}

/// What a load came to.
#[derive(Default)]
struct Load {
    /// How long each call took that was answered, and each that was refused.
    answered: Vec<Duration>,
    refused: Vec<Duration>,
}

/// When a load has shown what it is there for: so many calls that were answered, and so many that were refused.
#[derive(Clone, Copy)]
struct Enough {
    answered: usize,
    refused: usize,
}

/// So many clients that call again and again; one that is refused waits for a while, but not as it was told.
/// However slow the machine is, each of them calls, and they go on until it is enough.
async fn load(gateway: &Gateway, wire: &Wire, clients: usize, enough: Enough) -> Load {
    let message = Arc::new(Message::large(BODY_BYTES));
    let (told, mut telling) = watch::channel((0, 0));
    let mut calling = JoinSet::new();
    let mut shared = None;
    for client in 0..clients {
        if wire.streams() > 0 && client % wire.streams() == 0 {
            shared = Some(wire.connect(&gateway.address).await);
        }
        let (message, told) = (Arc::clone(&message), told.clone());
        let (wire, kept, address) = (wire.clone(), shared.clone(), gateway.address.clone());
        calling.spawn(async move {
            let mut load = Load::default();
            loop {
                let (answer, took) = call(&wire, kept.as_ref(), &address, &message).await;
                if answer.status == 200 {
                    load.answered.push(took);
                    told.send_modify(|(answered, _)| *answered += 1);
                } else {
                    is_refused_as_series_does(&answer);
                    load.refused.push(took);
                    told.send_modify(|(_, refused)| *refused += 1);
                    sleep(LATENCY).await;
                }
                let (answered, refused) = *told.borrow();
                if answered >= enough.answered && refused >= enough.refused {
                    return load;
                }
            }
        });
    }
    drop(told);
    let came = timeout(LASTS_MAX, calling.join_all()).await;
    let came = came.unwrap_or_else(|_| {
        let (answered, refused) = *telling.borrow_and_update();
        panic!("{answered} calls were answered and {refused} refused in {LASTS_MAX:?}")
    });
    let mut all = Load::default();
    for load in came {
        all.answered.extend(load.answered);
        all.refused.extend(load.refused);
    }
    all
}

/// One call, on the connection that is kept or on one of its own, and how long its answer took.
async fn call(
    wire: &Wire,
    kept: Option<&Line>,
    address: &str,
    message: &Message,
) -> (Answer, Duration) {
    let line = match kept {
        Some(line) => line.clone(),
        None => wire.connect(address).await,
    };
    let began = Instant::now();
    (line.call(message).await, began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The shape of the vendor's page, and when to come again (RFC 9110 section 10.2.3).
fn is_refused_as_series_does(answer: &Answer) {
    let told = (answer.status, answer.header("x-latimer-fault"), answer.header("retry-after"));
    assert_eq!(told, (503, Some("overloaded"), Some("1")), "{answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"), "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["success"], &body["error"]["code"]), (&false.into(), &503.into()));
}

async fn stays_the_same(wire: Wire, allowed_kib: u64) {
    let simulator = slow(LATENCY).await;
    let gateway = gateway(
        &wire,
        &format!("concurrency_max: {CAPACITY}"),
        &format!("    concurrency_max: {UPSTREAM}\n"),
        &simulator,
    )
    .await;
    // Many rounds of as many as there may be, so that its peak has been there.
    load(&gateway, &wire, CAPACITY, Enough { answered: 3 * CAPACITY, refused: 0 }).await;
    let once = peak_kib(&gateway);
    // It goes on answering, and refuses the rest.
    let enough = Enough { answered: CAPACITY, refused: TIMES * CAPACITY };
    let many = load(&gateway, &wire, TIMES * CAPACITY, enough).await;
    let peak = peak_kib(&gateway);
    assert!(
        peak <= once + allowed_kib,
        "{once} KiB at the capacity, {peak} KiB at ten times: {} KiB more, allowed: {allowed_kib}",
        peak - once
    );
    // Refusing does not wait for the upstream. On a busy machine every call takes its time to come, so the two are
    // held against each other.
    let (answered, refused) = (median(many.answered), median(many.refused));
    assert!(refused < answered, "{refused:?} to be refused, {answered:?} to be answered");
    // Afterwards it is as if nothing had been.
    shows(&gateway, "latimer_requests_in_flight 0").await;
    let message = Message::large(BODY_BYTES);
    for _ in 0..3 {
        let call = async { wire.connect(&gateway.address).await.call(&message).await };
        assert_eq!(timeout(PATIENCE, call).await.unwrap().status, 200);
    }
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity() {
    stays_the_same(Wire::plain(), ALLOWED_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity_over_tls() {
    stays_the_same(Wire::secured(), ALLOWED_TLS_KIB).await;
}

/// Ten calls at a time on each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity_in_http2() {
    stays_the_same(Wire::plain().with_streams(TIMES), ALLOWED_SHARED_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity_in_http2_over_tls() {
    stays_the_same(Wire::secured().with_streams(TIMES), ALLOWED_SHARED_KIB).await;
}

/// One call at a time on each connection, so that there are ten times as many of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_in_http2_cost_what_their_streams_may_send_unasked() {
    stays_the_same(Wire::plain().with_streams(1), ALLOWED_HTTP2_KIB).await;
}

/// One more than may be connected waits with the system until another one has gone.
async fn wait_for_room(wire: Wire) {
    let simulator = slow(Duration::ZERO).await;
    let gateway = gateway(&wire, &format!("connections_max: {CAPACITY}"), "", &simulator).await;
    let answered = watch::Sender::new(0);
    let go = Arc::new(Semaphore::new(0));
    let connect = |clients: usize| {
        let mut connecting = JoinSet::new();
        for _ in 0..clients {
            let (address, answered) = (gateway.address.clone(), answered.clone());
            let (wire, go) = (wire.clone(), Arc::clone(&go));
            connecting.spawn(async move {
                let line = wire.connect(&address).await;
                let status = line.call(&Message::small()).await.status;
                answered.send_modify(|count| *count += 1);
                let _ = go.acquire().await.unwrap();
                status
            });
        }
        connecting
    };
    let mut first = connect(CAPACITY);
    let mut counted = answered.subscribe();
    let full = counted.wait_for(|count| *count == CAPACITY);
    timeout(PATIENCE, full).await.expect("as many as may be connected are answered").unwrap();
    let before = resident_kib(&gateway);
    let mut rest = connect((TIMES - 1) * CAPACITY);
    for _ in 0..20 {
        shows(&gateway, &format!("latimer_connections {CAPACITY}")).await;
        shows(&gateway, &format!("latimer_connections_accepted_total {CAPACITY}")).await;
        sleep(Duration::from_millis(10)).await;
    }
    let after = resident_kib(&gateway);
    assert!(after <= before + ALLOWED_WAITING_KIB, "{before} KiB, then {after} KiB");
    assert_eq!(*answered.borrow(), CAPACITY, "the others wait");
    // Each that goes makes room for the next one.
    go.add_permits(TIMES * CAPACITY);
    for waiting in [&mut first, &mut rest] {
        while let Some(status) = timeout(PATIENCE, waiting.join_next()).await.unwrap() {
            assert_eq!(status.unwrap(), 200);
        }
    }
    assert_eq!(*answered.borrow(), TIMES * CAPACITY);
    shows(&gateway, "latimer_connections 0").await;
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn connections_past_their_cap_wait_and_cost_nothing() {
    wait_for_room(Wire::plain()).await;
}

#[tokio::test]
async fn connections_past_their_cap_wait_over_tls_and_in_http2() {
    wait_for_room(Wire::secured()).await;
    wait_for_room(Wire::plain().with_streams(1)).await;
    wait_for_room(Wire::secured().with_streams(1)).await;
}

/// What a client sends before it has its answer stays with the system once the buffer of a head is full.
#[tokio::test]
async fn requests_that_come_together_are_not_all_kept() {
    const CLIENTS: usize = 20;
    const PIECES: usize = 256;
    let simulator = slow(Duration::from_secs(60)).await;
    let gateway = gateway(&Wire::plain(), "concurrency_max: 100", "", &simulator).await;
    let before = resident_kib(&gateway);
    // 32 KiB of requests, as often as it is taken: 8 MiB from each client if nothing held them up.
    let one = Message::small();
    let piece: Arc<[u8]> = one.bytes().repeat(32 * 1024 / one.bytes().len()).into();
    let mut sending = JoinSet::new();
    for _ in 0..CLIENTS {
        let (address, piece) = (gateway.address.clone(), Arc::clone(&piece));
        sending.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut taken = 0;
            // The system takes some of it, so that the end is seen by nothing more being taken.
            let still = Duration::from_millis(300);
            while taken < PIECES && timeout(still, stream.write_all(&piece)).await.is_ok() {
                taken += 1;
            }
            (stream, taken)
        });
    }
    let held = sending.join_all().await;
    let after = resident_kib(&gateway);
    shows(&gateway, &format!("latimer_requests_in_flight {CLIENTS}")).await;
    assert_eq!(simulator.log().len(), CLIENTS, "one after the other");
    // Twice the buffer of a head for each, and what a first call makes the program touch.
    let allowed = CLIENTS as u64 * 2 * 32 + 4 * 1024;
    let taken: usize = held.iter().map(|(_, taken)| taken).sum();
    assert!(after <= before + allowed, "{before} KiB, then {after} KiB; taken: {taken} x 32 KiB");
    drop(held);
    gateway.stop().await;
}
