//! One upstream: its endpoints, their connections, and what is known of a request that did not come back.
//!
//! What a failed call means hangs on one question: had a byte of the request left? Every connection
//! knows, and it is sound because a connection writes only while its call polls it (see `connection`).
//! In HTTP/2, where calls share connections, streams know (see `http2`).
//!
//! ```text
//! turns (requests in time) ─▶ gate (calls in flight) ─▶ endpoints (breaker, health, turn) ─▶ pool (this worker's) ─▶ connection
//!                               ▲ another one, if nothing was sent and the budget allows it
//! ```
//!
//! Further tries are made here and nowhere else, and only of a request of which nothing was sent.

pub mod breaker;
pub mod budget;
mod connection;
pub mod endpoints;
pub mod gate;
pub mod health;
mod http2;
mod meter;
mod pool;
mod reply;
mod request;
mod spent;
#[cfg(test)]
mod tests;
pub mod turns;
mod watch;
mod window;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use meter::Connections;
pub use reply::{BrokenBody, Reply, ReplyBody};
pub use request::{Departure, Request};
pub use spent::Spent;
pub use watch::watch;

use crate::config::{Http, Resilience};
use crate::tls;
use budget::Budget;
use endpoints::{Endpoints, Pick, Seen, Tried};
use gate::Gate;
use meter::Meters;
use pool::Pool;
use turns::{NoTurn, Turns};

/// What an endpoint's connections are made and kept with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The same as requests name them: without the port where it is the scheme's own.
    pub authority: String,
    /// What connections are secured with; none for plain ones.
    pub tls: Option<tls::Client>,
    /// The version of HTTP.
    pub http: Http,
    /// Time for a connection, its handshake included.
    pub connect_timeout: Duration,
    /// Idle connections that are kept.
    pub idle_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Bytes that an answer's body may have.
    pub reply_bytes_max: usize,
}

/// What all workers know of an upstream.
#[derive(Debug)]
pub struct Shared {
    /// Which of its endpoints may be called.
    pub endpoints: Endpoints,
    /// Further tries that there may be.
    pub budget: Budget,
    /// Calls in flight.
    pub gate: Gate,
    /// How much may be sent, and whether the upstream wants it.
    pub turns: Turns,
    /// Connections, by endpoint.
    meters: Box<[Meters]>,
}

/// One upstream, as one worker reaches it.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    /// By endpoint.
    pools: Vec<Pool>,
}

/// An answer, and whom to tell what it was worth.
#[derive(Debug)]
pub struct Answered<'u> {
    /// The answer.
    pub reply: Reply,
    /// Whom to tell, and when the answer was there.
    pick: Option<(Pick<'u>, Instant)>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// No connection, or one that closed before a byte was written: nothing was sent.
    Unreachable {
        /// What failed.
        cause: String,
    },
    /// Every endpoint is left alone for now: nothing was sent.
    Unavailable {
        /// Time until another call may be worth it.
        retry_after: Duration,
    },
    /// There is no room in what may be sent, or the upstream wants no request: nothing was sent.
    NoTurn(NoTurn),
    /// As many calls as there may be are in flight: nothing was sent.
    Overloaded,
    /// The deadline passed before a byte was written: nothing was sent.
    TimedOutBeforeSend,
    /// Bytes were written, and no full head came: nobody knows.
    Lost {
        /// What failed.
        cause: String,
        /// True if it was the deadline.
        late: bool,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { cause } => write!(f, "the upstream cannot be reached: {cause}"),
            Self::Unavailable { .. } => f.write_str("the upstream is left alone for a while"),
            Self::NoTurn(NoTurn { is_stopped: true, .. }) => {
                f.write_str("the upstream has said that it wants no requests for a while")
            }
            Self::NoTurn(_) => f.write_str("as much as may be is sent to the upstream"),
            Self::Overloaded => f.write_str("the upstream has as many calls as it may have"),
            Self::TimedOutBeforeSend => f.write_str("the deadline passed before a byte was sent"),
            Self::Lost { cause, .. } => write!(f, "sent, and no answer came: {cause}"),
        }
    }
}

impl std::error::Error for SendError {}

impl Shared {
    /// An upstream of which only good is known.
    pub fn new(endpoints: usize, rules: &Resilience) -> Self {
        let now = Instant::now();
        Self {
            endpoints: Endpoints::new(endpoints, rules, now),
            budget: Budget::new(rules.retry_budget, now),
            gate: Gate::new(rules.concurrency_max),
            turns: Turns::new(rules.limit, now),
            meters: (0..endpoints).map(|_| Meters::default()).collect(),
        }
    }

    /// Connections to each endpoint, of all workers, in the order of the configuration.
    pub fn connections(&self) -> impl Iterator<Item = Connections> {
        self.meters.iter().map(Meters::sum)
    }
}

impl Upstream {
    /// An upstream without connections yet, by the settings of each of its endpoints.
    pub fn new(shared: Arc<Shared>, endpoints: impl IntoIterator<Item = Settings>) -> Self {
        let endpoints = endpoints.into_iter().zip(&shared.meters);
        let pools = endpoints.map(|(settings, meters)| Pool::new(settings, meters.add())).collect();
        Self { shared, pools }
    }

    /// How much may be sent: whoever sends a request has a turn before.
    pub fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    /// Sends a request and reads the answer, all within the deadline; notes what that took.
    ///
    /// If the future is dropped the connection is closed with it, or the stream is reset.
    ///
    /// # Errors
    /// If no full head came back; the error tells whether anything was sent.
    pub async fn send(
        &self,
        request: &Request,
        deadline: Instant,
        spent: &mut Spent,
    ) -> Result<Answered<'_>, SendError> {
        self.send_first(request, Tries::default(), deadline, spent).await
    }

    /// The same to one of its endpoints, by its place in the configuration, and to no other.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_to(
        &self,
        endpoint: usize,
        request: &Request,
        deadline: Instant,
        spent: &mut Spent,
    ) -> Result<Answered<'_>, SendError> {
        let tries = Tries { tried: Tried::all_but(endpoint), ..Tries::default() };
        self.send_first(request, tries, deadline, spent).await
    }

    async fn send_first(
        &self,
        request: &Request,
        tries: Tries,
        deadline: Instant,
        spent: &mut Spent,
    ) -> Result<Answered<'_>, SendError> {
        let Some(_place) = Gate::enter(&self.shared.gate) else {
            return Err(SendError::Overloaded);
        };
        if !request.has_sound_target() {
            return Err(SendError::Unreachable { cause: "the target is no path".to_owned() });
        }
        let now = Instant::now();
        self.shared.budget.deposit(now);
        spent.begin(now);
        let sent = self.send_in_turn(request, tries, now, deadline, spent).await;
        spent.end();
        sent
    }

    /// Tries endpoints until one has answered, or the request may not be sent again.
    async fn send_in_turn(
        &self,
        request: &Request,
        mut tries: Tries,
        mut now: Instant,
        deadline: Instant,
        spent: &mut Spent,
    ) -> Result<Answered<'_>, SendError> {
        loop {
            if now >= deadline {
                return Err(SendError::TimedOutBeforeSend);
            }
            let pick = tries.pick(&self.shared.endpoints, now)?;
            let pool = &self.pools[pick.index()];
            spent.tried(pick.index());
            let failed = match pool.send(request, now, deadline).await {
                Ok((reply, came)) => {
                    spent.until(came);
                    return Ok(Answered { reply, pick: Some((pick, came)) });
                }
                Err(failed) => failed,
            };
            now = Instant::now();
            spent.until(now);
            pick.saw(seen_of(&failed), now);
            let nothing_sent = matches!(failed, SendError::Unreachable { .. });
            if !nothing_sent || now >= deadline || !tries.may_go_on(self, now) {
                return Err(failed);
            }
            tries.failed = Some(failed);
        }
    }

    /// Closes connections that are not needed any more.
    pub fn sweep(&self) {
        self.pools.iter().for_each(Pool::sweep);
    }
}

/// The tries of one call.
#[derive(Default)]
struct Tries {
    tried: Tried,
    /// Whoever has one endpoint only may try it twice.
    again: bool,
    failed: Option<SendError>,
}

impl Tries {
    fn pick<'e>(&mut self, endpoints: &'e Endpoints, now: Instant) -> Result<Pick<'e>, SendError> {
        endpoints.pick(&mut self.tried, now).map_err(|unavailable| {
            let retry_after = unavailable.retry_after.unwrap_or_default();
            self.failed.take().unwrap_or(SendError::Unavailable { retry_after })
        })
    }

    /// True if there is another try, which is paid for then.
    fn may_go_on(&mut self, upstream: &Upstream, now: Instant) -> bool {
        if upstream.pools.len() == 1 {
            if self.again {
                return false;
            }
            (self.again, self.tried) = (true, Tried::default());
        } else if self.tried.count() as usize >= upstream.pools.len() {
            return false;
        }
        upstream.shared.budget.withdraw(now)
    }
}

/// What a failure says of its endpoint.
fn seen_of(failed: &SendError) -> Seen {
    match failed {
        SendError::Lost { late: false, .. } => Seen::Lost,
        SendError::Lost { late: true, .. } => Seen::Late,
        SendError::Unreachable { .. }
        | SendError::TimedOutBeforeSend
        | SendError::Unavailable { .. }
        | SendError::NoTurn(_)
        | SendError::Overloaded => Seen::ConnectFailed,
    }
}

impl Answered<'_> {
    /// Tells the endpoint what its answer was worth. Untold, it speaks neither for nor against it.
    pub fn saw(&mut self, seen: Seen) {
        if let Some((pick, came)) = self.pick.take() {
            pick.saw(seen, came);
        }
    }
}

impl From<Reply> for Answered<'_> {
    /// An answer that came from nowhere: from a file, say.
    fn from(reply: Reply) -> Self {
        Self { reply, pick: None }
    }
}
