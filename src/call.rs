//! One call, stage by stage.
//!
//! ```text
//! http::Request → Matched (route) → Known (consumer) → Admitted (limit) → Decoded (body, operation)
//!   → Record → Outgoing → Reply → Verdict → http::Response        + one CallRecord
//! ```
//!
//! A request that the mapping does not know goes another way from the body on, where the route says so:
//! `forward` sends it on as it came.
//!
//! Each stage is a plain function that takes the value of the stage before it, so that a thing exists
//! only from the stage that learns it. A stage that cannot go on gives a [`Stop`], and
//! `respond` alone turns it into what the client sees: causes go to the log, never to the client.

mod accepted;
mod address;
mod admit;
mod body;
mod crosswalk;
mod decode;
mod enrich;
mod exchange;
mod explain;
mod forward;
mod hop;
mod identity;
mod job;
mod journal;
mod judge;
mod location;
mod log_in;
mod metrics;
mod outgoing;
mod path;
mod record;
mod recovery;
mod respond;
mod route;
mod send;
mod sign;
mod told;
mod trace;

use std::borrow::Cow;
use std::sync::Arc;

pub use accepted::Early;
pub use explain::{Line, Stage, explain};
pub use judge::{Verdict, judge};
pub use metrics::{Connection, Metrics, Observed, Tally};
pub use path::handle;
pub use record::{CallLine, CallRecord, DroppedFields, Looked, ReadBack, Translation};
pub use recovery::{Recovered, UPSTREAM_AWAY, recover};
pub use respond::nobody_knows;
pub use trace::TraceId;

use crate::credential::Keeper;
use crate::credential::shared::Fleet;
use crate::crosswalk::Crosswalk;
use crate::journal::Journal;
use crate::limit::{Limits, Refuser};
use crate::mapping::run::Refusal;
use crate::plan::Plan;
use crate::session::LogIns;
use crate::store::Store;
use crate::upstream::{self, gate::Gate};
use crate::value::Fault;

/// The plan with the live things that it names by index. Each worker has one of its own: connections are
/// the worker's, the rest is everybody's.
#[derive(Debug)]
pub struct Services {
    /// What calls run on.
    pub plan: Arc<Plan>,
    /// Connections, by upstream.
    pub upstreams: Vec<Arc<upstream::Upstream>>,
    /// How much may be called.
    pub limits: Arc<Limits>,
    /// What is counted of this worker's calls.
    pub tally: Tally,
    /// Calls in flight.
    pub gate: Arc<Gate>,
    /// Sessions at upstreams, by upstream and credential; none where nothing logs in.
    pub keepers: Arc<Vec<Vec<Option<Arc<Keeper>>>>>,
    /// The sessions at upstreams that a fleet shares; none for a gateway by itself.
    pub fleet: Option<Arc<Fleet>>,
    /// Where the outcomes of calls are kept that are answered before they are over; none if there are none.
    pub jobs: Option<Store>,
    /// Where changes are written down; none if none are.
    pub journal: Option<Journal>,
    /// Clients that log in; none if nobody does.
    pub log_ins: Option<Arc<LogIns>>,
    /// The crosswalk, as this worker asks it; none if no route does.
    pub crosswalk: Option<Crosswalk>,
}

impl Services {
    /// Closes connections to upstreams that are not needed any more.
    pub fn sweep_upstreams(&self) {
        self.upstreams.iter().for_each(|upstream| upstream.sweep());
    }
}

/// Whether a call took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// Nobody knows.
    Unknown,
}

/// Why a call goes no further.
#[derive(Debug)]
pub struct Stop {
    /// What the client is told.
    pub fault: Fault,
    /// The client's own name of the member that is wrong.
    pub field: String,
    /// Why, in words that hold nothing secret; for the client and the log.
    pub reason: Cow<'static, str>,
    /// Why, for the log only.
    pub cause: Option<Cow<'static, str>>,
    /// The upstream's own text.
    pub upstream_text: Option<String>,
    /// True if the upstream refused our own credential, which an operator has to mend.
    pub credential_refused: bool,
    /// True if what was sent may still be under way, so that it may take effect later.
    pub under_way: bool,
    /// The translation that failed, if one did.
    pub translation: Option<Translation>,
    /// How long to wait.
    pub retry_after: Option<u64>,
    /// What refused it of all that bounds calls to the upstream, if that did.
    pub refuser: Option<Refuser>,
    /// The methods that the path has.
    pub allow: String,
    /// True if it is a content coding that is not read; the answer names those that are.
    pub unread_coding: bool,
    /// True if the request's body was left unread, so that the connection cannot go on.
    pub close: bool,
}

impl Outcome {
    /// The word in `X-Latimer-Outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl Stop {
    /// A stop with nothing but its fault.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            field: String::new(),
            reason: Cow::Borrowed(""),
            cause: None,
            upstream_text: None,
            credential_refused: false,
            under_way: false,
            translation: None,
            retry_after: None,
            refuser: None,
            allow: String::new(),
            unread_coding: false,
            close: false,
        }
    }

    /// A stop with a reason that the client may read.
    pub fn because(fault: Fault, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), ..Self::new(fault) }
    }

    /// A stop with a cause for the log.
    #[must_use]
    pub fn caused(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// A stop because a translation failed.
    #[must_use]
    pub fn at(mut self, translation: Translation) -> Self {
        self.translation = Some(translation);
        self
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self { field: refusal.field, ..Self::because(refusal.fault, refusal.reason) }
    }
}
