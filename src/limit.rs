//! How much may be called: rates and quotas, by consumer, key, route, upstream or address.
//!
//! A route with one rate per consumer, which most have, is counted by governor (`single`). Several limits of one
//! call are checked together before any is charged, which governor cannot do: those are ours ([`bucket`], [`quota`]),
//! held by one process ([`memory`]), or by a store that a fleet of gateways shares ([`redis`], [`shared`]). The cores
//! take the time as an argument and ask no clock.
//!
//! What is counted of quotas outlives the process, where the configuration names a state (`ledger`).
//!
//! What a call may learn of its limits is in the [`Verdict`]; how a vendor tells its client is the mapping's business.

pub mod bucket;
mod ledger;
mod limits;
pub mod memory;
mod overview;
pub mod quota;
pub mod redis;
mod rule;
pub mod shared;
mod single;
mod verdict;

pub use self::redis::{Redis, Unavailable};
pub use bucket::{Pace, Room};
pub use ledger::Ledger;
pub use limits::{Caller, Charges, Limits, UNAUTHENTICATED};
pub use memory::{Keep, Memory};
pub use overview::{Counted, Overview};
pub use quota::{Quota, Span};
pub use rule::{Charge, Form, Now, Rule, Scope, Subject};
pub use shared::Shared;
pub use single::{Decision, Limiter};
pub use verdict::{Charged, Refuser, Standing, Verdict};
