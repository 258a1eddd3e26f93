//! What a call is told of its limits.

use smallvec::SmallVec;

use crate::limit::bucket::Room;
use crate::limit::limits::UNAUTHENTICATED;
use crate::limit::single::Decision;
use crate::plan::{OWN, Plan};

/// What was decided for a call, and how its limits stand after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Each limit that the call counts towards.
    pub standings: SmallVec<[Standing; 2]>,
    /// Index of the standing that refused, if one did: then none of them was charged.
    pub refused: Option<usize>,
}

/// What came of charging a call.
#[derive(Clone, Debug)]
pub enum Charged {
    /// By its route's only limit.
    Alone(Decision),
    /// By all limits that its route names.
    Together(Box<Verdict>),
    /// It was not looked at: too many calls from where it comes show no key that is good. For so many seconds.
    Shut(u64),
}

/// Which limit refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuser {
    /// The route's only one.
    Own,
    /// The one with this index in the plan.
    Named(usize),
    /// That for calls without a key that is good.
    Unauthenticated,
    /// What may be sent to the upstream.
    Upstream,
    /// The upstream's own word that it wants to be left alone.
    UpstreamStop,
}

/// What clients are told where no room came in time in what may be sent to the upstream. No name of a limit has a dot.
const UPSTREAM: &str = "upstream.limit";
/// The same where the upstream wants to be left alone.
const UPSTREAM_STOP: &str = "upstream.stop";

impl Charged {
    /// The limit that refused; none if the call may pass.
    pub fn refuser(&self) -> Option<Refuser> {
        match self {
            Self::Alone(Decision::Admitted { .. }) => None,
            Self::Alone(Decision::Refused { .. }) => Some(Refuser::Own),
            Self::Together(verdict) => {
                Some(Refuser::Named(verdict.standings.get(verdict.refused?)?.rule))
            }
            Self::Shut(_) => Some(Refuser::Unauthenticated),
        }
    }

    /// Whole seconds to wait, rounded up and at least 1; none if the call may pass.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Alone(decision) => decision.retry_after_seconds(),
            Self::Together(verdict) => verdict.retry_after_seconds(),
            Self::Shut(seconds) => Some(*seconds),
        }
    }
}

impl Refuser {
    /// What it is called.
    pub fn name(self, plan: &Plan) -> &str {
        match self {
            Self::Own => OWN,
            Self::Named(index) => plan.limits.get(index).map_or(OWN, |limit| &limit.name),
            Self::Unauthenticated => UNAUTHENTICATED,
            Self::Upstream => UPSTREAM,
            Self::UpstreamStop => UPSTREAM_STOP,
        }
    }
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Index of the rule.
    pub rule: usize,
    /// What it has room for.
    pub room: Room,
}

impl Verdict {
    /// Decides by what all of them have room for, before any is charged. Of several that refuse it is the one that
    /// does so longest: who waits for that one will pass.
    pub fn of(standings: SmallVec<[Standing; 2]>) -> Self {
        let refusing = standings.iter().enumerate().filter(|(_, one)| one.room.free_after > 0);
        let refused = refusing.max_by_key(|(index, one)| (one.room.free_after, usize::MAX - index));
        let refused = refused.map(|(index, _)| index);
        Self { standings, refused }
    }

    /// The limit that refused, or the one with the fewest calls left, and of several the one that is whole latest.
    pub fn tightest(&self) -> Option<&Standing> {
        match self.refused {
            Some(index) => self.standings.get(index),
            None => {
                let least = |one: &&Standing| (one.room.calls, u64::MAX - one.room.whole_after);
                self.standings.iter().min_by_key(least)
            }
        }
    }

    /// Whole seconds to wait, rounded up and at least 1; none if the call may pass.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let standing = self.standings.get(self.refused?)?;
        Some(standing.room.free_after.div_ceil(1_000_000).max(1))
    }
}
