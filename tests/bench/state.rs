//! What the state costs: `cargo bench --bench state`. It wants PostgreSQL's programs, as the tests do.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../end_to_end/authority.rs"]
mod authority;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/process.rs"]
mod process;

use std::time::{Duration, Instant};

use latimer::config::StateConfig;
use latimer::store::{self, NewSession, Session, Store};
use tokio::task::JoinSet;

use postgres::{Server, state};

const SESSIONS: u32 = 20_000;
const LOOK_UPS: u32 = 20_000;
/// Callers at a time.
const CALLERS: u32 = 64;

fn hash(number: u32) -> [u8; 32] {
    let mut hash = [0xa5; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

fn session(number: u32) -> NewSession {
    NewSession {
        token: hash(number),
        session: Session {
            consumer: "acme".to_owned(),
            realm: "zstack".to_owned(),
            user: format!("user-{}", number % 1000),
            csrf: None,
            created: 1000,
            expires: 2000,
            slides_ms: None,
        },
    }
}

/// Time for all of them, by so many callers.
async fn together<F>(count: u32, one: impl Fn(u32) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let work: Vec<F> = (caller..count).step_by(CALLERS as usize).map(&one).collect();
        callers.spawn(async move {
            for one in work {
                one.await;
            }
        });
    }
    callers.join_all().await;
    begun.elapsed()
}

async fn of(store: Store) -> String {
    let adding = |number| {
        let store = store.clone();
        async move { store.add_session(&session(number)).await.unwrap() }
    };
    let added = together(SESSIONS, adding).await;
    let begun = Instant::now();
    for number in 0..200 {
        adding(SESSIONS + number).await;
    }
    let alone = begun.elapsed() / 200;
    let looking = |number: u32| {
        let store = store.clone();
        async move {
            let token = hash(number.wrapping_mul(7919) % SESSIONS);
            assert!(store.session(token, 1500).await.unwrap().is_some());
        }
    };
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..LOOK_UPS {
        let begun = Instant::now();
        looking(number).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let found = together(LOOK_UPS, looking).await;
    format!(
        "{:.0} sessions/s together, {alone:?} for one alone; a look-up {half:?} (99 %: {most:?}), {:.0}/s together",
        f64::from(SESSIONS) / added.as_secs_f64(),
        f64::from(LOOK_UPS) / found.as_secs_f64(),
    )
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let file = StateConfig::Sqlite(folder.path().join("a.sqlite"));
    let postgres = state(&server.database());
    for (name, at) in [("memory", StateConfig::Memory), ("file", file), ("postgres", postgres)] {
        let store = store::open(&at).unwrap();
        println!("{name:>8}: {}", runtime.block_on(of(store)));
    }
}
