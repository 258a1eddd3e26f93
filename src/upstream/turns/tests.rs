use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::*;
use crate::config::Rate;

const SECOND: Duration = Duration::from_secs(1);

fn turns(count: u32, wait: Duration) -> Turns {
    let rate = Rate { count, per: SECOND };
    Turns::new(Some(UpstreamLimit { rate, burst: 1, wait }), Instant::now())
}

fn later(time: Duration) -> Instant {
    Instant::now() + time
}

/// A turn of somebody who has much time.
async fn turn(turns: &Turns, consumer: usize) -> Result<(), NoTurn> {
    match turns.ask(Some(consumer), Rank::Fresh, later(100 * SECOND))? {
        // Whoever is forgotten is told of by the test's own timer.
        Some(waiting) => timeout(200 * SECOND, waiting.turn()).await.expect("nobody is forgotten"),
        None => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_has_a_turn_when_there_is_room() {
    let turns = turns(10, 2 * SECOND);
    let began = Instant::now();
    let waiting = (0..15).map(|_| turn(&turns, 1));
    let told = futures_in_order(waiting).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    let took = began.elapsed();
    assert!((1_400..1_450).contains(&took.as_millis()), "{took:?}");
    assert_eq!((turns.waiting(), turns.refused()), (0, 0));
}

/// All at the same time, on one task.
async fn futures_in_order<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        match futures.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_cannot_come_in_time_is_refused_at_once() {
    let turns = turns(10, 200 * Duration::from_millis(1));
    turn(&turns, 1).await.unwrap();
    let _waiting: Vec<_> =
        (0..2).map(|_| turns.ask(Some(1), Rank::Fresh, later(SECOND)).unwrap()).collect();
    let now = Instant::now();
    let refused = turn(&turns, 1).await.unwrap_err();
    assert_eq!(now.elapsed(), Duration::ZERO);
    let retry_after = Duration::from_millis(300);
    assert_eq!(refused, NoTurn { retry_after, is_stopped: false });
    // Another consumer's would come after one of these.
    assert!(turns.ask(Some(2), Rank::Fresh, later(SECOND)).unwrap().is_some());
    assert_eq!(turns.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_others_have_taken_meanwhile_is_refused_when_the_time_is_over() {
    let turns = turns(1, 2 * SECOND);
    turn(&turns, 1).await.unwrap();
    let began = Instant::now();
    let first = turn(&turns, 1);
    let second = turn(&turns, 1);
    let log_in = async {
        tokio::task::yield_now().await;
        turns.ask(None, Rank::LogIn, later(10 * SECOND)).unwrap().unwrap().turn().await
    };
    let (first, second, log_in) = tokio::join!(first, second, log_in);
    assert_eq!((first, log_in), (Ok(()), Ok(())));
    assert_eq!(second, Err(NoTurn { retry_after: SECOND, is_stopped: false }));
    assert!(began.elapsed() < Duration::from_millis(2_050), "{:?}", began.elapsed());
    assert_eq!(turns.waiting(), 0);
}

/// The first of them has the timer.
#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_the_turn_and_the_timer_to_the_next() {
    let turns = turns(1, 10 * SECOND);
    turn(&turns, 1).await.unwrap();
    let began = Instant::now();
    let gone = timeout(SECOND / 2, turn(&turns, 1));
    let ((), gone) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            turn(&turns, 1).await.unwrap();
        },
        gone
    );
    assert!(gone.is_err());
    assert!(began.elapsed() < Duration::from_millis(1_050), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_only_the_upstream_itself_stops_anybody() {
    let turns = Turns::new(None, Instant::now());
    for _ in 0..1_000 {
        turn(&turns, 1).await.unwrap();
    }
    assert!(turns.stop(Instant::now(), SECOND / 2));
    assert!(!turns.stop(Instant::now(), SECOND / 2), "that is known");
    let began = Instant::now();
    turn(&turns, 1).await.unwrap();
    assert!(began.elapsed() >= SECOND / 2, "{:?}", began.elapsed());
    turn(&turns, 1).await.unwrap();
    assert!(!turns.may_be_stopped.load(Ordering::Relaxed), "nobody has to ask any more");
    assert!(turns.stop(Instant::now(), 100_000 * SECOND), "and so on");
    let refused = turn(&turns, 1).await.unwrap_err();
    assert_eq!(refused, NoTurn { retry_after: bounds::RETRY_AFTER_MAX, is_stopped: true });
    tokio::time::advance(bounds::UPSTREAM_STOP_MAX).await;
    turn(&turns, 1).await.unwrap();
    assert_eq!((turns.stops(), turns.refused()), (2, 1));
}

/// Workers have runtimes of their own, and end one after the other.
#[test]
fn nobody_hangs_when_the_worker_ends_that_has_the_timer() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let turns = Arc::new(turns(1, 10 * SECOND));
    let first = runtime();
    let leading = Arc::clone(&turns);
    first.block_on(async {
        turn(&leading, 1).await.unwrap();
        tokio::spawn(async move { turn(&leading, 1).await });
        tokio::task::yield_now().await;
        assert_eq!(turns.waiting(), 1);
    });
    let other = std::thread::spawn({
        let turns = Arc::clone(&turns);
        move || runtime().block_on(async { timeout(5 * SECOND, turn(&turns, 1)).await })
    });
    // On a machine that is too busy it is over before both wait.
    while turns.waiting() < 2 && !other.is_finished() {
        std::thread::yield_now();
    }
    drop(first);
    other.join().unwrap().expect("it is not forgotten").unwrap();
}

/// Many threads at once: no more turns than there are, and nobody is forgotten.
#[test]
fn workers_share_the_turns() {
    let turns = Arc::new(turns(200, 10 * SECOND));
    let began = std::time::Instant::now();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let turns = Arc::clone(&turns);
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let all = futures_in_order((0..25).map(|_| turn(&turns, worker)));
                runtime.block_on(async { timeout(10 * SECOND, all).await }).expect("nobody hangs")
            })
        })
        .collect();
    let all: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    assert!(all.len() == 100 && all.iter().all(Result::is_ok), "{all:?}");
    // 99 of them waited for 5 ms each.
    assert!(began.elapsed() >= Duration::from_millis(495), "{:?}", began.elapsed());
}
