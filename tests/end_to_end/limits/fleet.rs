//! Gateways that count in one Redis: together they admit what one would, and what holds while it is away.

use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{bytes, read_answer, redis};
use crate::harness::{Answer, Gateway, KEY, exchange, simulator, upstream};
use crate::vendors::{crosswalk, request, sayable, ticket};

/// Calls a second, and at once.
const RATE: f64 = 100.0;
const BURST: f64 = 50.0;
/// How long clients send as fast as they can.
const WINDOW: Duration = Duration::from_secs(5);
/// When the second gateway is killed, and when another one is started in its place.
const KILLED: Duration = Duration::from_millis(1_500);
const STARTED: Duration = Duration::from_secs(2);

async fn thalamus() -> Simulator {
    simulator(Vendor::Thalamus, &[(ticket(Vendor::Thalamus, 1), "open")]).await
}

/// A Series client in front of it, whose calls are counted there.
async fn gateway(thalamus: &Simulator, server: &redis::Server, limit: &str, more: &str) -> Gateway {
    let settings = server.settings();
    let text = format!(
        "limits: {{store: \"redis://{}:{}\", gateways: 2, {more}}}\nupstreams:\n{}routes:\n  main:\n    client: series\n    \
         upstream: thalamus\n    consumers: [tester]\n    limit: {limit}\n    ids: {{ticket: {{file: series.csv}}}}\n",
        settings.host,
        settings.port,
        upstream(Vendor::Thalamus, &thalamus.url())
    );
    let files = [("series.csv".to_owned(), crosswalk(Vendor::Series, Vendor::Thalamus, 1..=1))];
    Gateway::start(&text, &files).await
}

async fn call(gateway: &Gateway) -> Answer {
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "in-progress", KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

/// Sends until the time is over or the gateway is gone; gives how many calls were let through.
async fn hammer(address: String, began: Instant, until: Duration) -> usize {
    let request =
        request(Vendor::Series, &ticket(Vendor::Series, 1), sayable(Vendor::Series)[0].0, KEY);
    let message = bytes(Vendor::Series, &request);
    let Ok(mut stream) = TcpStream::connect(address).await else { return 0 };
    stream.set_nodelay(true).unwrap();
    let mut admitted = 0;
    while began.elapsed() < until {
        if stream.write_all(&message).await.is_err() {
            break;
        }
        let Some(answer) = read_answer_if_any(&mut stream).await else { break };
        admitted += usize::from(answer.status == 200);
        if answer.status == 429 {
            sleep(Duration::from_millis(2)).await;
        }
    }
    admitted
}

/// None if the other side is gone.
async fn read_answer_if_any(stream: &mut TcpStream) -> Option<Answer> {
    let mut first = [0; 1];
    match stream.peek(&mut first).await {
        Ok(1) => Some(read_answer(stream).await),
        Ok(_) | Err(_) => None,
    }
}

/// One is killed in the middle and another one comes: what it had counted is in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_admit_together_what_one_would() {
    let (thalamus, server) = (thalamus().await, redis::Server::start_own());
    let limit = format!("{{rate: {RATE}/s, burst: {BURST}}}");
    let one = gateway(&thalamus, &server, &limit, "").await;
    let other = gateway(&thalamus, &server, &limit, "").await;
    let began = Instant::now();
    let mut hammering = JoinSet::new();
    for gateway in [&one, &one, &other, &other] {
        hammering.spawn(hammer(gateway.address.clone(), began, WINDOW));
    }
    sleep(KILLED).await;
    other.signal("KILL").await;
    sleep(STARTED - KILLED).await;
    let next = gateway(&thalamus, &server, &limit, "").await;
    for _ in 0..2 {
        hammering.spawn(hammer(next.address.clone(), began, WINDOW));
    }
    let admitted: usize = hammering.join_all().await.into_iter().sum();
    let (least, most) =
        (BURST + RATE * WINDOW.as_secs_f64(), BURST + RATE * began.elapsed().as_secs_f64());
    // What was let through as a gateway was killed may not have been answered, of two clients each one call.
    let seen = thalamus.log().len();
    assert!(seen >= admitted && seen <= admitted + 2, "{seen} were sent, {admitted} answered");
    let admitted = f64::from(u32::try_from(seen).unwrap());
    assert!(admitted <= most + 1.0, "{admitted} of at most {most}");
    assert!(admitted >= 0.99 * least - 1.0, "{admitted} of at least {least}");
    one.stop().await;
    next.stop().await;
    let (code, _) = other.ended().await;
    assert_eq!(code, None, "it was killed");
    thalamus.stop().await;
}

/// What is counted there is shown, and given back, by whichever gateway is asked.
#[tokio::test]
async fn an_operator_sees_what_the_fleet_has_counted() {
    let (thalamus, server) = (thalamus().await, redis::Server::start_own());
    let more = "named: {from: {per: address, rate: 9/h}, day: {per: consumer, quota: 3/day, resets: sliding}}";
    let one = gateway(&thalamus, &server, "none\n    limits: [from, day]", more).await;
    let other = gateway(&thalamus, &server, "none\n    limits: [from, day]", more).await;
    for gateway in [&one, &other, &one] {
        assert_eq!(call(gateway).await.status, 200);
    }
    assert_eq!(call(&other).await.header("x-latimer-limit"), Some("day"));
    let ask = b"GET /limits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for gateway in [&one, &other] {
        let told = Answer::parse(&exchange(&gateway.admin, ask).await).json();
        let limits = told["limits"].as_array().unwrap();
        let limit = |name: &str| limits.iter().find(|limit| limit["limit"] == name).unwrap();
        assert_eq!(
            (&limit("day")["callers"][0]["who"], &limit("day")["callers"][0]["used"]),
            (&json!("tester"), &json!(3))
        );
        assert_eq!(limit("day")["callers"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(
            (&limit("from")["listed"], &limit("day")["listed"]),
            (&json!(false), &json!(true))
        );
    }
    one.stop().await;
    other.stop().await;
    thalamus.stop().await;
}

/// How a gateway goes on while the store is away, until it is back.
#[tokio::test]
async fn what_holds_while_the_store_is_away_is_what_was_said() {
    for policy in ["local", "open", "closed"] {
        let (thalamus, mut server) = (thalamus().await, redis::Server::start_own());
        let more = format!("on_store_failure: {policy}");
        let gateway = gateway(&thalamus, &server, "{rate: 1/day, burst: 5}", &more).await;
        for left in [4, 3] {
            let got = call(&gateway).await;
            assert_eq!(got.status, 200, "{policy}: {got:?}");
            let told = got.header("ratelimit").unwrap();
            assert!(told.starts_with(&format!(r#""default";r={left};"#)), "{policy}: {told}");
        }
        server.stop();
        let began = Instant::now();
        let mut statuses = Vec::new();
        for _ in 0..6 {
            let got = call(&gateway).await;
            statuses.push(got.status);
            match got.status {
                200 if policy == "open" => {
                    assert_eq!(got.header("ratelimit"), None, "nothing is known")
                }
                200 => assert_eq!(got.header("x-latimer-outcome"), Some("yes")),
                429 => assert_eq!(got.header("x-latimer-limit"), Some("default"), "{got:?}"),
                _ => {
                    assert_eq!(got.header("x-latimer-fault"), Some("overloaded"), "{got:?}");
                    assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{got:?}");
                    assert_eq!(got.header("retry-after"), Some("1"), "{got:?}");
                    assert_eq!(got.json()["success"], false, "{got:?}");
                }
            }
        }
        assert!(began.elapsed() < Duration::from_secs(5), "not each call waits for it");
        // A burst of five is two for each of two gateways.
        let wanted = match policy {
            "local" => [200, 200, 429, 429, 429, 429],
            "open" => [200; 6],
            _ => [503; 6],
        };
        assert_eq!(statuses, wanted, "{policy}");
        gateway.until_logged("the limits are not counted in Redis").await;
        server.start_again();
        // Its memory was its only one: it begins anew.
        let back = timeout(Duration::from_secs(20), async {
            loop {
                let got = call(&gateway).await;
                let told = got.header("ratelimit").unwrap_or_default().to_owned();
                if got.status == 200 && told.starts_with(r#""default";r=4;"#) {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        back.await.unwrap_or_else(|_| panic!("{policy}: it is counted there again in time"));
        gateway.until_logged("the limits are counted in Redis again").await;
        gateway.stop().await;
        thalamus.stop().await;
    }
}
