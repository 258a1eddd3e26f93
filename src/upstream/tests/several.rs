//! Several endpoints, and what a call may do with them.

use super::*;
use crate::config::{Balance, Breaker, RetryBudget};

const UNUSED: RetryBudget = RetryBudget { ratio_percent: 0, per_second: 0 };

/// A port that nobody listens on.
async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn over(ports: &[u16], rules: Resilience) -> Upstream {
    let shared = Arc::new(Shared::new(ports.len(), &rules));
    Upstream::new(shared, ports.iter().map(|port| settings("127.0.0.1", *port)))
}

fn failover() -> Resilience {
    Resilience { balance: Balance::Failover, ..Resilience::default() }
}

async fn call(upstream: &Upstream) -> Result<u16, SendError> {
    let mut answered =
        upstream.send(&request(), Instant::now() + 5 * SECOND, &mut Spent::default()).await?;
    answered.saw(Seen::Answered);
    Ok(answered.reply.head.status.as_u16())
}

#[tokio::test]
async fn what_was_not_sent_goes_to_the_next_endpoint() {
    let (port, server) = scripted(vec![vec![OK, OK]]).await;
    let upstream = over(&[nobody().await, port], failover());
    for _ in 0..2 {
        assert_eq!(call(&upstream).await, Ok(200));
    }
    assert_eq!(server.await.unwrap(), [2]);
}

#[tokio::test]
async fn what_was_sent_goes_nowhere_else() {
    let (first, seen_first) = scripted(vec![vec![b""]]).await;
    let (second, _unused) = scripted(vec![vec![OK]]).await;
    let upstream = over(&[first, second], failover());
    let lost = call(&upstream).await;
    assert!(matches!(lost, Err(SendError::Lost { late: false, .. })), "{lost:?}");
    assert_eq!(seen_first.await.unwrap(), [1]);
    assert_eq!(upstream.pools[1].idle().len(), 0, "nobody spoke to it");
}

#[tokio::test]
async fn a_try_without_a_budget_is_the_last() {
    let (port, server) = scripted(vec![vec![OK]]).await;
    let rules = Resilience { retry_budget: UNUSED, ..failover() };
    let upstream = over(&[nobody().await, port], rules);
    let failed = call(&upstream).await;
    assert!(matches!(failed, Err(SendError::Unreachable { .. })), "{failed:?}");
    assert_eq!(upstream.shared.budget.refused(), 1);
    server.abort();
}

/// Two tries of one endpoint that is not there, and no third one.
#[tokio::test]
async fn one_endpoint_is_tried_twice() {
    let breaker = Breaker { failures: 100, calls_min: 100, ..Breaker::default() };
    let rules = Resilience { breaker: Some(breaker), ..Resilience::default() };
    let budget = RetryBudget { ratio_percent: 0, per_second: 1 };
    let upstream = over(&[nobody().await], Resilience { retry_budget: budget, ..rules });
    // Over its window the budget has ten tries; the eleventh call has none.
    for _ in 0..11 {
        let failed = call(&upstream).await;
        assert!(matches!(failed, Err(SendError::Unreachable { .. })), "{failed:?}");
    }
    assert_eq!(upstream.shared.budget.refused(), 1);
}

#[tokio::test]
async fn each_has_its_turn() {
    let (first, seen_first) = scripted(vec![vec![OK, OK]]).await;
    let (second, seen_second) = scripted(vec![vec![OK, OK]]).await;
    let upstream = over(&[first, second], Resilience::default());
    for _ in 0..4 {
        assert_eq!(call(&upstream).await, Ok(200));
    }
    assert_eq!((seen_first.await.unwrap(), seen_second.await.unwrap()), (vec![2], vec![2]));
}

#[tokio::test]
async fn a_broken_upstream_is_left_alone_and_probed() {
    let port = nobody().await;
    let open = Duration::from_millis(100);
    let breaker = Breaker { failures: 2, open, open_max: open, ..Breaker::default() };
    let rules = Resilience { breaker: Some(breaker), ..Resilience::default() };
    let upstream = over(&[port], rules);
    // Two tries of one call open it.
    let failed = call(&upstream).await;
    assert!(matches!(failed, Err(SendError::Unreachable { .. })), "{failed:?}");
    let Err(SendError::Unavailable { retry_after }) = call(&upstream).await else {
        panic!("it is open")
    };
    assert!(retry_after <= open && retry_after > Duration::ZERO, "{retry_after:?}");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while read_request(&mut stream).await {
            stream.write_all(OK).await.unwrap();
        }
    });
    tokio::time::sleep(retry_after).await;
    for _ in 0..3 {
        assert_eq!(call(&upstream).await, Ok(200));
    }
    server.abort();
}

#[tokio::test]
async fn past_the_cap_nobody_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rules = Resilience { concurrency_max: 1, ..Resilience::default() };
    let upstream = Arc::new(over(&[port], rules));
    let slow = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { call(&upstream).await }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(call(&upstream).await, Err(SendError::Overloaded));
    assert!(read_request(&mut stream).await);
    stream.write_all(OK).await.unwrap();
    assert_eq!(slow.await.unwrap(), Ok(200));
    assert_eq!(upstream.shared.gate.shed(), 1);
}

#[tokio::test]
async fn a_target_that_is_no_path_goes_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = over(&[listener.local_addr().unwrap().port()], Resilience::default());
    let sly = Request { target: "/x HTTP/1.1\r\nHost: other\r\n\r\n".to_owned(), ..request() };
    let sent = upstream.send(&sly, Instant::now() + SECOND, &mut Spent::default()).await;
    assert!(matches!(sent, Err(SendError::Unreachable { .. })), "{sent:?}");
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err());
}

#[tokio::test]
async fn an_endpoint_that_fails_its_checks_is_passed_over() {
    let health = crate::config::Health {
        target: "/health".to_owned(),
        every: Duration::from_millis(20),
        timeout: Duration::from_millis(20),
        healthy_after: 1,
        unhealthy_after: 1,
        expect: vec![200],
    };
    let ill = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (first, _first) = scripted(vec![vec![&ill[..]]; 1_000]).await;
    let (second, _second) = scripted(vec![vec![OK]; 1_000]).await;
    let rules = Resilience { health: Some(health.clone()), ..failover() };
    let shared = Arc::new(Shared::new(2, &rules));
    let endpoints = [first, second].map(|port| settings("127.0.0.1", port));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let name = "desk".to_owned();
    let watching =
        tokio::spawn(watch(name, Arc::clone(&shared), endpoints.to_vec(), health, stopped));
    let mut waits = 0;
    while shared.endpoints.shown(Instant::now()).next().unwrap().is_healthy {
        waits += 1;
        assert!(waits < 500, "it is asked every 20 ms");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let upstream = Upstream::new(shared, endpoints);
    assert_eq!(call(&upstream).await, Ok(200), "the second one, though the first comes first");
    stop.send(true).unwrap();
    watching.await.unwrap();
}
