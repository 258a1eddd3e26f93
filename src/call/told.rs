//! What a client is told of its limits, on every answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use crate::call::Services;
use crate::limit::{Charged, Decision, Room, Standing, UNAUTHENTICATED, Verdict};
use crate::mapping::run::LimitFacts;
use crate::plan::{OWN, OwnLimit, Route};

/// What a client is told of its limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'p> {
    /// The limit that refused, or the one that is closest to it.
    pub(super) tightest: LimitFacts<'p>,
    /// Calls that there may be at most, by the vendor's own numbers: those of the quota, where there is one.
    pub(super) calls: u64,
    /// Calls that are left of them.
    pub(super) remaining: u64,
    /// Header fields that say the same on every answer, where they were made before.
    pub(super) lasting: &'p [Option<HeaderValue>],
    /// Time until all of them are there again.
    reset_after: Duration,
}

/// How a limit stands as far as is known.
struct Stands<'p> {
    name: &'p str,
    calls: u64,
    window: u64,
    room: Room,
}

impl<'p> Told<'p> {
    /// What is known of the limits of a route's call; none if it has none. Before the consumer is known it is told
    /// what it could have.
    pub(super) fn of(
        services: &'p Services,
        route: &'p Route,
        charged: Option<&Charged>,
    ) -> Option<Self> {
        match (charged, &route.own_limit) {
            (Some(Charged::Shut(seconds)), _) => Some(Self::shut(*seconds)),
            (Some(Charged::Together(verdict)), _) => Self::together(services, verdict),
            (None, _) if !route.limits.is_empty() => {
                let verdict = services.limits.untouched(&route.limits);
                Self::together(services, &verdict)
            }
            (_, None) => None,
            (decision, Some(OwnLimit { calls, window, headers })) => {
                let decision = match decision {
                    Some(Charged::Alone(decision)) => Some(decision),
                    Some(_) | None => None,
                };
                let (calls, window) = (*calls, *window);
                let stands = Stands { name: OWN, calls, window, room: alone(decision, calls) };
                Some(Self { lasting: headers, ..Self::new(&stands, &stands) })
            }
        }
    }

    fn new(tightest: &Stands<'p>, vendors: &Stands<'p>) -> Self {
        let Stands { name, calls, window, room } = *tightest;
        // Who was refused is told when a call would pass, and who was not when it has all calls again.
        let wait = if room.free_after > 0 { room.free_after } else { room.whole_after };
        let facts =
            LimitFacts { name, calls, window, remaining: room.calls, seconds: seconds(wait) };
        let reset_after = Duration::from_micros(vendors.room.whole_after);
        let (calls, remaining) = (vendors.calls, vendors.room.calls);
        Self { tightest: facts, calls, remaining, lasting: &[], reset_after }
    }

    fn together(services: &'p Services, verdict: &Verdict) -> Option<Self> {
        let stands = |standing: &Standing| {
            let rule = &services.limits.rules()[standing.rule];
            let name = services.plan.limits[standing.rule].name.as_str();
            Stands { name, calls: rule.calls(), window: rule.seconds(), room: standing.room }
        };
        let tightest = verdict.tightest()?;
        let is_quota = |one: &&Standing| services.limits.rules()[one.rule].is_quota();
        // Of several quotas the one with the fewest calls left.
        let quotas = verdict.standings.iter().filter(is_quota);
        let quota = quotas.min_by_key(|one| one.room.calls).unwrap_or(tightest);
        Some(Self::new(&stands(tightest), &stands(quota)))
    }

    fn shut(seconds: u64) -> Self {
        let free_after = seconds.saturating_mul(1_000_000);
        let room = Room { calls: 0, whole_after: free_after, free_after };
        let stands = Stands { name: UNAUTHENTICATED, calls: 0, window: seconds, room };
        Self::new(&stands, &stands)
    }

    /// When all calls are there again.
    pub(super) fn reset(&self) -> Option<String> {
        let at = SystemTime::now() + self.reset_after;
        // Rounded up, so that nobody comes a fraction of a second too early.
        let seconds = at.duration_since(UNIX_EPOCH).ok()?.as_secs() + 1;
        let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

/// How a route's only limit stands.
fn alone(decision: Option<&Decision>, calls: u64) -> Room {
    match decision {
        None => Room { calls, whole_after: 1_000_000, free_after: 0 },
        Some(Decision::Admitted { remaining, reset_after }) => Room {
            calls: u64::from(*remaining),
            whole_after: micros(reset_after.as_micros()),
            free_after: 0,
        },
        Some(Decision::Refused { retry_after, reset_after }) => Room {
            calls: 0,
            whole_after: micros(reset_after.as_micros()),
            free_after: micros(retry_after.as_micros()).max(1),
        },
    }
}

fn micros(micros: u128) -> u64 {
    u64::try_from(micros).unwrap_or(u64::MAX)
}

fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}
