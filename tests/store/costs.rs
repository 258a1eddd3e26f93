//! What the store costs, to be looked at and not asserted:
//! `cargo test --release --test store costs -- --ignored --nocapture`

use std::time::{Duration, Instant};

use latimer::config::StateConfig;
use latimer::store::{NewSession, Store};

use crate::server::{Server, state};
use crate::{all, hash, open, runtime, session};

const SESSIONS: u32 = 20_000;
const LOOK_UPS: u32 = 20_000;

fn new(number: u32) -> NewSession {
    NewSession { user: format!("user-{}", number % 1000), ..session(number) }
}

/// Time for so many, in groups of so many at once.
async fn add(store: &Store, from: u32, count: u32) -> Duration {
    let sessions: Vec<NewSession> = (from..from + count).map(new).collect();
    let begun = Instant::now();
    for added in all(sessions.iter().map(|one| store.add_session(one)).collect()).await {
        added.unwrap();
    }
    begun.elapsed()
}

fn of(store: &Store) -> String {
    runtime().block_on(async {
        let together = add(store, 0, SESSIONS).await;
        let begun = Instant::now();
        for number in 0..200 {
            store.add_session(&new(SESSIONS + number)).await.unwrap();
        }
        let alone = begun.elapsed() / 200;
        let mut times: Vec<Duration> = Vec::new();
        for number in 0..LOOK_UPS {
            let begun = Instant::now();
            let token = hash(number.wrapping_mul(7919) % SESSIONS);
            assert!(store.session(token, 1500).await.unwrap().is_some());
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let half = times[times.len() / 2];
        let most = times[times.len() * 99 / 100];
        let begun = Instant::now();
        let tokens: Vec<_> = (0..LOOK_UPS).map(hash).collect();
        all(tokens.iter().map(|token| store.session(*token, 1500)).collect()).await;
        format!(
            "{:.0} sessions/s together, {alone:?} for one alone; a look-up {half:?} (99 %: {most:?}), {:.0}/s together",
            f64::from(SESSIONS) / together.as_secs_f64(),
            f64::from(LOOK_UPS) / begun.elapsed().as_secs_f64(),
        )
    })
}

#[test]
#[ignore = "measures and asserts nothing"]
fn of_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    println!("memory:   {}", of(&open(&StateConfig::Memory)));
    let file = StateConfig::Sqlite(folder.path().join("a.sqlite"));
    println!("file:     {}", of(&open(&file)));
    let server = Server::start();
    println!("postgres: {}", of(&open(&state(&server.database()))));
}
