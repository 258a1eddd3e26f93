//! One connection, made anew whenever it is lost, and what waits for answers on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, RedisResult, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::connect::{Connected, Server};
use super::error::{Fault, Reason};
use crate::bounds;

/// Time before the server is tried again after the first failure; it doubles up to a bound.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);

/// How a lane stands.
#[derive(Clone)]
pub(super) enum State {
    /// It connects for the first time.
    Begun,
    Up(Arc<Link>),
    /// Why there is no connection; another one is being made.
    Down(Fault),
}

/// A connection, with a count of what waits on it.
pub(super) struct Link {
    connection: MultiplexedConnection,
    most: usize,
    in_flight: AtomicUsize,
    /// Those among them for whose answers nobody waits any more.
    left: AtomicUsize,
    look: Notify,
}

/// A place among those that wait. Whoever goes before the answer leaves it taken until that has come: nothing else
/// says how much the connection still holds.
struct Place<'l> {
    link: &'l Link,
    answered: bool,
}

/// Keeps a connection, until the task is dropped.
pub(super) async fn keep(server: Arc<Server>, state: watch::Sender<State>, most: usize) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let fault = match server.connect().await {
            Ok(Connected { connection, driver }) => {
                back_off = BACK_OFF_MIN;
                let link = Arc::new(Link::new(connection, most));
                state.send_replace(State::Up(Arc::clone(&link)));
                tokio::select! {
                    () = driver => Fault::new(Reason::Unreachable),
                    () = link.until_it_hangs() => Fault::new(Reason::Late),
                }
            }
            Err(fault) => fault,
        };
        state.send_replace(State::Down(fault));
        sleep(back_off).await;
        back_off = (back_off * 2).min(bounds::LIMIT_STORE_BACK_OFF_MAX);
    }
}

impl Link {
    fn new(connection: MultiplexedConnection, most: usize) -> Self {
        let (in_flight, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { connection, most, in_flight, left, look: Notify::new() }
    }

    /// Sends a command, if there is a place for it, and waits for its answer.
    pub(super) async fn send(&self, command: &Cmd) -> Result<RedisResult<Value>, Fault> {
        let mut place = Place::take(self).ok_or_else(|| Fault::new(Reason::Overloaded))?;
        let answer = command.query_async(&mut self.connection.clone()).await;
        place.answered = true;
        Ok(answer)
    }

    /// Done when the server does not answer any more. It answers in order: what comes after says that all that was
    /// before has come.
    async fn until_it_hangs(&self) {
        loop {
            self.look.notified().await;
            let left = self.left.swap(0, Ordering::Relaxed);
            let (ping, mut connection) = (cmd("PING"), self.connection.clone());
            let answer = ping.query_async::<Value>(&mut connection);
            match timeout(bounds::LIMIT_STORE_PATIENCE, answer).await {
                Ok(Ok(_)) => self.in_flight.fetch_sub(left, Ordering::Relaxed),
                Ok(Err(_)) | Err(_) => return,
            };
        }
    }
}

impl<'l> Place<'l> {
    fn take(link: &'l Link) -> Option<Self> {
        if link.in_flight.fetch_add(1, Ordering::Relaxed) >= link.most {
            link.in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { link, answered: false })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.answered {
            self.link.in_flight.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.link.left.fetch_add(1, Ordering::Relaxed);
            self.link.look.notify_one();
        }
    }
}
