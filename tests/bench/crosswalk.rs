//! What the crosswalk costs a call, and an import a gateway: `cargo bench --bench crosswalk [PAIRS]`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../support/configuration.rs"]
mod configuration;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::bounds;
use latimer::config::StateConfig;
use latimer::crosswalk::{Crosswalk, Followed, Known};
use latimer::plan::Way;
use latimer::store::crosswalk::{Pair, SystemId};
use latimer::store::{self, NewSession, Session, Store};
use latimer::value::IdKind;

/// Pairs in the file, unless said otherwise.
const PAIRS: u32 = 200_000;
/// Pairs that are imported beside the gateway.
const IMPORTED: u32 = 50_000;
const LOOK_UPS: u32 = 20_000;
const HITS: u32 = 5_000_000;
/// Ids that the hits go round.
const KNOWN: u32 = 10_000;
const WRITES: usize = 500;

/// In no order, as ids of another system are.
fn theirs(number: u32) -> String {
    format!("TICKET-{:010}-ABCD", number.wrapping_mul(2_654_435_761))
}

fn own(number: u32) -> String {
    format!("1J3M5I3UHK1G{number:08}")
}

async fn fill(store: &Store, count: u32) -> Duration {
    let begun = Instant::now();
    let numbers: Vec<u32> = (0..count).collect();
    for numbers in numbers.chunks(bounds::CROSSWALK_BATCH_MAX) {
        let pair = |number: &u32| Pair {
            kind: IdKind::Ticket,
            ids: [SystemId::new("arena", own(*number)), SystemId::new("series", theirs(*number))],
            note: None,
        };
        let pairs: Vec<Pair> = numbers.iter().map(pair).collect();
        store.link_crosswalk(&pairs, "a bench", 1).await.unwrap();
    }
    begun.elapsed()
}

/// Half of them and 99 of 100 are below these; and the longest.
fn shown(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    format!("{:?} (99 %: {:?}, at most {:?})", at(50), at(99), times[times.len() - 1])
}

async fn look_up(store: &Store, pairs: u32) {
    let (kind, from, to) = (IdKind::Ticket, "arena".to_owned(), "series".to_owned());
    let ways = vec![Way { kind, from, to, asked: None }];
    let followed = Arc::new(Followed::begin(store.clone(), ways).await.unwrap());
    let crosswalk = Crosswalk::new(Arc::clone(&followed));
    let following = tokio::spawn(async move { followed.follow().await });
    while crosswalk.known(0, &own(0)).is_none() {
        crosswalk.find(0, &own(0)).await.unwrap();
    }
    let mut times = Vec::new();
    for number in 1..=LOOK_UPS {
        let number = number.wrapping_mul(7919) % pairs;
        let id = own(number);
        let begun = Instant::now();
        let found = crosswalk.find(0, &id).await.unwrap();
        times.push(begun.elapsed());
        assert_eq!(found, Known::Linked(theirs(number)));
    }
    println!("asked of the file: {}", shown(times));
    let ids: Vec<String> = (0..KNOWN).map(own).collect();
    for id in &ids {
        crosswalk.find(0, id).await.unwrap();
    }
    let begun = Instant::now();
    for number in 0..HITS {
        let id = &ids[(number.wrapping_mul(7919) % KNOWN) as usize];
        assert!(black_box(crosswalk.known(0, black_box(id))).is_some());
    }
    println!("known to the worker: {:?}", begun.elapsed() / HITS);
    following.abort();
}

/// How long a change of the gateway's waits to be kept.
async fn writes(store: &Store, until: &mut impl FnMut(usize) -> bool) -> String {
    let mut times = Vec::new();
    while !until(times.len()) {
        let mut token = [0x5a; 32];
        token[..8].copy_from_slice(&(times.len() as u64).to_be_bytes());
        let session = Session {
            consumer: "acme".to_owned(),
            realm: "zstack".to_owned(),
            user: format!("user-{}", times.len() % 100),
            csrf: None,
            created: 1_000,
            expires: 2_000,
            slides_ms: None,
        };
        let begun = Instant::now();
        store.add_session(&NewSession { token, session }).await.unwrap();
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    format!("{} in {} changes", shown(times.clone()), times.len())
}

/// The program, importing beside the gateway.
fn import(folder: &Path, first: u32) -> Child {
    let mut text = "kind,arena,series\n".to_owned();
    for number in first..first + IMPORTED {
        writeln!(text, "ticket,{},{}", own(number), theirs(number)).unwrap();
    }
    std::fs::write(folder.join("pairs.csv"), text).unwrap();
    configuration::write(folder, "");
    configuration::program(folder)
        .args(["crosswalk", "import", "pairs.csv", "--config", "latimer.yaml"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn main() {
    let pairs = std::env::args().filter_map(|one| one.parse().ok()).next().unwrap_or(PAIRS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&StateConfig::Sqlite(folder.path().join("latimer.sqlite"))).unwrap();
    runtime.block_on(async {
        println!("{pairs} pairs in {:?}", fill(&store, pairs).await);
        look_up(&store, pairs).await;
        println!("a change by itself: {}", writes(&store, &mut |count| count >= WRITES).await);
        let begun = Instant::now();
        let mut importing = import(folder.path(), pairs);
        let mut is_over = |_| importing.try_wait().unwrap().is_some();
        println!("while {IMPORTED} pairs are imported: {}", writes(&store, &mut is_over).await);
        println!("the import took {:?}", begun.elapsed());
        store.close().await;
    });
}
