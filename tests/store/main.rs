//! The store: one suite of behaviours and one model for both databases, and what each of them has of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../end_to_end/authority.rs"]
mod authority;
mod behaviours;
mod crosswalk;
mod crosswalk_model;
mod journal;
mod model;
mod postgres;
#[path = "../support/process.rs"]
mod process;
mod random;
#[path = "../support/postgres.rs"]
mod server;
mod sqlite;

use std::pin::Pin;
use std::time::Duration;

use latimer::config::StateConfig;
use latimer::store::{self, JobAnswer, NewJob, NewSession, Session, Store};

/// Whatever gives a store with nothing in it, as often as it is asked.
pub(crate) trait Fresh {
    fn store(&mut self) -> Store;
}

pub(crate) fn open(config: &StateConfig) -> Store {
    store::open_within(config, Duration::from_secs(10)).unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A hash that is another one for each number.
pub(crate) fn hash(number: u32) -> [u8; 32] {
    let mut hash = [0xa5; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

pub(crate) fn id(number: u32) -> [u8; 16] {
    let mut id = [0x5a; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

/// From 1000 to 2000, of one user.
pub(crate) fn session(number: u32) -> NewSession {
    NewSession {
        token: hash(number),
        session: Session {
            consumer: "acme".to_owned(),
            realm: "zstack".to_owned(),
            user: "admin".to_owned(),
            csrf: None,
            created: 1000,
            expires: 2000,
            slides_ms: None,
        },
    }
}

/// The same but for what is changed of it.
pub(crate) fn session_with(number: u32, change: impl FnOnce(&mut Session)) -> NewSession {
    let mut new = session(number);
    change(&mut new.session);
    new
}

/// From 1000 to 2000.
pub(crate) fn job(number: u32) -> NewJob {
    NewJob {
        consumer: "acme".to_owned(),
        id: id(number),
        call: id(!number),
        created: 1000,
        deadline: 2000,
    }
}

pub(crate) fn answer(status: u16) -> JobAnswer {
    JobAnswer {
        status,
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Odd".to_owned(), "\"\\\u{1}é".to_owned()),
        ],
        body: vec![0, 255, 1, b'{'],
    }
}

/// So many at once that a slow machine has done them before their time is over.
const AT_ONCE: usize = 64;

/// Many at once; their answers in their order.
pub(crate) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|one| (Box::pin(one), None)).collect();
    for together in waiting.chunks_mut(AT_ONCE) {
        finish(together).await;
    }
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

async fn finish<T>(waiting: &mut [(Pin<Box<impl Future<Output = T>>>, Option<T>)]) {
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => *done = Some(output),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}
