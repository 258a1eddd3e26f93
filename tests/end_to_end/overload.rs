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

use self::lines::{Message, Wire};
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
/// How long each load lasts.
const LASTS: Duration = Duration::from_millis(2_500);
/// A body that would be felt if it were kept for a call that is refused: 270 of them are 67 MiB.
const BODY_BYTES: usize = 256 * 1024;
/// What memory may grow by: a connection's own, 24 KiB for each of the 270 more, and as much again for what the
/// allocator keeps.
const ALLOWED_KIB: u64 = 13 * 1024;
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

/// Memory of the program that is in use, in KiB.
fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What a load came to.
#[derive(Default)]
struct Load {
    /// How long each call took that was answered, and each that was refused.
    answered: Vec<Duration>,
    refused: Vec<Duration>,
    /// The most memory that was seen.
    resident_kib: u64,
}

/// So many clients that call again and again; one that is refused waits for a while, but not as it was told.
async fn load(gateway: &Gateway, wire: &Wire, clients: usize) -> Load {
    let message = Arc::new(Message::large(BODY_BYTES));
    let (over, is_over) = watch::channel(false);
    let mut calling = JoinSet::new();
    let mut shared = None;
    for client in 0..clients {
        if wire.streams() > 0 && client % wire.streams() == 0 {
            shared = Some(wire.connect(&gateway.address).await);
        }
        let (message, is_over) = (Arc::clone(&message), is_over.clone());
        let (wire, kept, address) = (wire.clone(), shared.clone(), gateway.address.clone());
        calling.spawn(async move {
            let mut load = Load::default();
            while !*is_over.borrow() {
                let call = async {
                    let line = match &kept {
                        Some(line) => line.clone(),
                        None => wire.connect(&address).await,
                    };
                    let began = Instant::now();
                    (line.call(&message).await, began.elapsed())
                };
                let (answer, took) =
                    timeout(PATIENCE, call).await.expect("the answer comes in time");
                if answer.status == 200 {
                    load.answered.push(took);
                    continue;
                }
                is_refused_as_series_does(&answer);
                load.refused.push(took);
                sleep(LATENCY).await;
            }
            load
        });
    }
    let mut all = Load::default();
    let began = Instant::now();
    while began.elapsed() < LASTS {
        all.resident_kib = all.resident_kib.max(resident_kib(gateway));
        sleep(Duration::from_millis(20)).await;
    }
    over.send(true).unwrap();
    for load in calling.join_all().await {
        all.answered.extend(load.answered);
        all.refused.extend(load.refused);
    }
    all
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
    let once = load(&gateway, &wire, CAPACITY).await;
    let many = load(&gateway, &wire, TIMES * CAPACITY).await;
    assert!(
        many.resident_kib <= once.resident_kib + allowed_kib,
        "{} KiB at the capacity, {} KiB at ten times",
        once.resident_kib,
        many.resident_kib
    );
    // It went on answering, and refused the rest without waiting for the upstream. On a busy machine every
    // call takes its time to come, so the two are held against each other.
    assert!(many.answered.len() >= UPSTREAM, "{}", many.answered.len());
    assert!(many.refused.len() > TIMES * CAPACITY / 2, "{}", many.refused.len());
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
    stays_the_same(Wire::secured(), ALLOWED_KIB).await;
}

/// Ten calls at a time on each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity_in_http2() {
    stays_the_same(Wire::plain().with_streams(TIMES), ALLOWED_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_at_ten_times_the_capacity_in_http2_over_tls() {
    stays_the_same(Wire::secured().with_streams(TIMES), ALLOWED_KIB).await;
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
