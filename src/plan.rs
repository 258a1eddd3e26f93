//! The configuration and the catalog as one immutable value that calls run on.
//!
//! Plain data: which routes there are, what each needs, how a path finds its route. Live things
//! (connections, limiters) are named here by index and held elsewhere, so that a new plan keeps what
//! did not change. Building a plan is where configuration and mappings are checked against each
//! other.

mod build;
mod callers;
mod credentials;
mod identity;
mod ids;
mod keys;
mod limits;
mod logins;
mod routing;

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

pub use build::{Problem, build};
pub use ids::{Asking, CarriedId, Carrying, Way};
pub use keys::{KeyRefused, Keys};
pub use limits::{CountedLimit, OWN, OwnLimit};
pub use logins::{LogIn, LogIns};
pub use routing::{Found, Routing, Target};

use crate::bounds;
use crate::config::pairs::Pairs;
use crate::config::{
    Answers, Bounds, Cidr, Http, Limit, LimitForm, Messages, Policy, Resilience, Unmapped, Url,
};
use crate::diag::Diagnostic;
use crate::ident::CallId;
use crate::mapping::check::unverified;
use crate::mapping::model::{Accepted, Mapping, Operation, OperationKind, Poll, Vocabulary};
use crate::mapping::run::{Secrets, Settings};
use crate::secret::{KeyHash, Secret};
use crate::tls::ClientSettings;
use crate::value::{FieldId, Record, SettingId, WordId};

/// Everything that calls run on.
#[derive(Debug)]
pub struct Plan {
    /// The vocabulary.
    pub vocabulary: Arc<Vocabulary>,
    /// Bounds of the client's side.
    pub bounds: Bounds,
    /// True if clients speak TLS to us.
    pub listens_by_tls: bool,
    /// The routes.
    pub routes: Vec<Route>,
    /// The upstreams.
    pub upstreams: Vec<Upstream>,
    /// The consumers' names; a name's index is the consumer's id.
    pub consumers: Vec<String>,
    /// How a path finds its route.
    pub routing: Routing,
    /// Who may log in.
    pub log_ins: LogIns,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Limits that are counted together with others.
    pub limits: Vec<CountedLimit>,
    /// What calls ask the crosswalk; nothing if no route has its ids from there.
    pub ways: Vec<Way>,
    /// Calls from one address without a key that is good.
    pub unauthenticated: Limit,
    keys: Keys,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The mapping that its callers speak.
    pub client: Arc<Mapping>,
    /// Settings of the client's side.
    pub settings: Settings,
    /// Settings of consumers that have their own, by consumer.
    pub consumer_settings: FxHashMap<usize, Settings>,
    /// Index of its upstream.
    pub upstream: usize,
    /// Consumers that have a credential of their own there, with its index.
    pub credentials: FxHashMap<usize, usize>,
    /// Its consumers; `None` for all.
    pub consumers: Option<FxHashSet<usize>>,
    /// The limit per consumer, if it is the only one; what is counted together with others is in `limits`.
    pub limit: Limit,
    /// What every answer tells of that one.
    pub own_limit: Option<OwnLimit>,
    /// Indexes of the limits that its calls count towards, in ascending order.
    pub limits: Vec<usize>,
    /// How ids of tickets are translated by a file of pairs; `None` if they are not.
    pub ids: Option<Arc<Pairs>>,
    /// Time for one call.
    pub deadline: Duration,
    /// What to do about fields that the upstream cannot carry.
    pub dropped_fields: Policy,
    /// What to do about words that are lost on the way.
    pub lossy_words: Policy,
    /// What to do about members that the mapping does not know.
    pub unknown_members: Policy,
    /// Whose text a fault carries.
    pub messages: Messages,
    /// What happens to a path that the client's mapping does not know.
    pub unmapped: Unmapped,
    /// Whether clients are answered at once whose vendor has them ask.
    pub answers: Answers,
    /// True if reads are forwarded too. They lose nothing there, where a mapping knows only some of a ticket's
    /// members.
    pub forwards_reads: bool,
    /// What is taken off a path before the client's lines are tried; empty for nothing.
    pub path_prefix: String,
    /// What the sessions of its clients are good for: the vendor's API, and of several tenants of it this one.
    pub realm: String,
    /// True if what is private to a vendor passes: client and upstream are of the same one, and the crosswalk
    /// translates nothing. Which ids stand in there nobody can tell.
    pub passes_raw: bool,
    /// Which changes are written down before they are sent; none if none are.
    pub journal: Option<Journaled>,
    /// Per operation of the client's mapping: the upstream's operation and the fields that get lost.
    pub pairs: Vec<Option<Pair>>,
}

/// Which changes of a route are written down before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journaled {
    /// True if only one in [`bounds::JOURNAL_SAMPLED_ONE_IN`] is.
    pub sampled: bool,
    /// True if the ticket is read before, for the status that it had.
    pub reads_before: bool,
}

/// An operation of a route, on both sides.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Index of the operation in the upstream's mapping.
    pub upstream: usize,
    /// Request fields that clients can say and the upstream has no place for.
    pub dropped: Vec<u8>,
    /// Index of the request field that is translated by the route's `ids`.
    pub ticket: Option<u8>,
    /// The request field that says who the call is from, and the upstream's setting that it says of every
    /// call; none where it is what the client says.
    pub actor: Option<(u8, SettingId)>,
    /// What the crosswalk translates of it; none where the route has no ids from there.
    pub crosswalk: Option<Box<Carrying>>,
    /// How the ticket is read after a write; none where it is not.
    pub read_back: Option<Box<ReadBack>>,
}

/// How a ticket is read after a write, by the operation that reads one.
#[derive(Clone, Debug)]
pub struct ReadBack {
    /// The operation, as the upstream has it.
    pub pair: Pair,
    /// Request fields of the write, each with that of the read.
    pub asks: Vec<(u8, u8)>,
    /// Answer fields of the write that the client has a place for, each with that of the read.
    pub fills: Vec<(u8, u8)>,
    /// The status in the write's answer and in the read's.
    pub status: Option<(u8, u8)>,
    /// True if the read fills in what the answer to the write does not say.
    pub enriches: bool,
    /// How the read settles an outcome of which nobody knows; none where it is not read for that.
    pub settles: Option<Settles>,
}

impl Pair {
    /// True if nothing in a body has to be another one between two systems of one vendor, ids of a file apart.
    pub fn passes_bytes(&self) -> bool {
        self.actor.is_none() && self.crosswalk.is_none()
    }

    /// An operation that the gateway itself asks for, in the upstream's terms.
    fn of(upstream: usize) -> Self {
        Self {
            upstream,
            dropped: Vec::new(),
            ticket: None,
            actor: None,
            crosswalk: None,
            read_back: None,
        }
    }
}

impl ReadBack {
    /// All that an answer to the write can say after a read: its fields, each with that of the read.
    pub fn told(&self) -> Vec<(u8, u8)> {
        let status = self.status.filter(|status| !self.fills.contains(status));
        self.fills.iter().copied().chain(status).collect()
    }
}

/// What the status of a ticket says of a write that was to change it.
#[derive(Clone, Debug)]
pub struct Settles {
    /// The status in the write's request.
    pub wanted: FieldId,
    /// By word, the status that a ticket reads as once it was given that one; none where the upstream has no
    /// such status.
    pub becomes: Vec<Option<WordId>>,
    /// Fields that the write carries and no read tells: with one of them the status does not say that all was
    /// done.
    pub untold: Vec<FieldId>,
    /// True if the upstream may take a write and do it later, so that another status is no *no*.
    pub is_deferred: bool,
}

impl Settles {
    /// True if a ticket with that status is as it was asked for.
    pub fn is_reached(&self, is: WordId, wanted: WordId) -> bool {
        is == wanted || self.becomes(wanted) == Some(is)
    }

    /// True if the status tells whether all of a write was done, which is in the upstream's terms.
    pub fn tells(&self, written: &Record<'_>) -> bool {
        self.untold.iter().all(|field| written.get(*field).is_none())
    }

    /// The status that a ticket reads as once it was given that one.
    pub fn becomes(&self, wanted: WordId) -> Option<WordId> {
        self.becomes.get(usize::from(wanted)).copied().flatten()
    }
}

/// An upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its vendor's mapping, with the tables of the configuration.
    pub mapping: Arc<Mapping>,
    /// By what we are known there: the upstream's own credential first, then those of consumers that have one
    /// of their own.
    pub credentials: Vec<Credential>,
    /// Where it is: the first of its endpoints.
    pub url: Url,
    /// Everywhere that it is, at least one place: all of one base path, no two alike.
    pub endpoints: Vec<Url>,
    /// How its endpoints are chosen and left alone.
    pub resilience: Resilience,
    /// What those of `https` have to show and what they are shown; none if there are none.
    pub tls: Option<ClientSettings>,
    /// The version of HTTP.
    pub http: Http,
    /// What an answer may have at most.
    pub reply_bytes_max: usize,
    /// Time for a connection.
    pub connect_timeout: Duration,
}

/// By what we are known to an upstream.
#[derive(Debug)]
pub struct Credential {
    /// Its index among those of its upstream.
    pub index: usize,
    /// Whose it is, if it is a consumer's.
    pub consumer: Option<usize>,
    /// The settings of the upstream's side.
    pub settings: Settings,
    /// What is shown with each call, or what logs in.
    pub secrets: Secrets,
    /// What a log-in shows, if calls show what one has given: who shows the same has the same session.
    pub log_in: Option<Secret>,
}

impl Plan {
    /// What no vendor's page attests of the systems that routes join: M104.
    pub fn unverified(&self) -> Vec<Diagnostic> {
        let clients = self.routes.iter().map(|route| &route.client);
        let upstreams = self.routes.iter().map(|route| &self.upstreams[route.upstream].mapping);
        clients.chain(upstreams).flat_map(|mapping| unverified(mapping)).collect()
    }

    /// The consumer whose key that is, and the key's hash.
    ///
    /// # Errors
    /// If nobody has it, or it has expired.
    pub fn consumer(&self, key: &str) -> Result<(usize, KeyHash), KeyRefused> {
        self.keys.owner(key)
    }

    /// True if a call counts towards a quota.
    pub fn has_quotas(&self) -> bool {
        let mut limits = self.routes.iter().flat_map(|route| &route.limits);
        limits.any(|limit| !matches!(self.limits[*limit].form, LimitForm::Rate { .. }))
    }

    /// True if changes are written down before they are sent.
    pub fn has_journal(&self) -> bool {
        self.routes.iter().any(|route| route.journal.is_some())
    }

    /// True if calls are answered before they are over, and what comes of them is kept.
    pub fn has_jobs(&self) -> bool {
        self.routes.iter().any(|route| {
            let mut operations = route.client.operations.iter();
            operations.any(|operation| route.accepts(operation).is_some())
        })
    }
}

impl Journaled {
    /// True if the change of that call is written down.
    pub fn takes(self, call: CallId) -> bool {
        !self.sampled || call.is_one_in(bounds::JOURNAL_SAMPLED_ONE_IN)
    }
}

impl Upstream {
    /// Its own credential.
    pub fn own(&self) -> &Credential {
        &self.credentials[0]
    }
}

impl Route {
    /// How clients are answered whose call of that operation goes on; `None` if they wait for its end.
    pub fn accepts<'o>(&self, operation: &'o Operation) -> Option<(&'o Poll, &'o Accepted)> {
        let poll = operation.poll.as_ref().filter(|_| self.answers == Answers::Jobs)?;
        Some((poll, poll.accepted.as_ref()?))
    }

    /// By what a consumer's calls are known to the upstream.
    pub fn credential_for<'u>(
        &self,
        upstream: &'u Upstream,
        consumer: Option<usize>,
    ) -> &'u Credential {
        // Most routes have none besides the upstream's own.
        let index = match self.credentials.is_empty() {
            true => 0,
            false => consumer.and_then(|one| self.credentials.get(&one)).copied().unwrap_or(0),
        };
        &upstream.credentials[index]
    }

    /// True if the operation's line is the mapping's to read.
    pub fn maps(&self, operation: &Operation) -> bool {
        !(self.forwards_reads && operation.kind == OperationKind::Read)
    }

    /// The settings that hold for a consumer.
    pub fn settings_for(&self, consumer: Option<usize>) -> &Settings {
        consumer
            .and_then(|consumer| self.consumer_settings.get(&consumer))
            .unwrap_or(&self.settings)
    }

    /// True if the consumer may use the route.
    pub fn admits(&self, consumer: usize) -> bool {
        self.consumers.as_ref().is_none_or(|allowed| allowed.contains(&consumer))
    }
}
