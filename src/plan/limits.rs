//! Which limits the calls of a route count towards.

use http::HeaderValue;
use rustc_hash::FxHashMap;

use crate::config::{Config, Limit, LimitForm, LimitScope, LimitStore};
use crate::mapping::model::Named;
use crate::mapping::run::{LimitFacts, lasting_limit_headers};

/// A limit that calls are counted towards.
#[derive(Clone, Debug)]
pub struct CountedLimit {
    /// What it is counted under: its name, or that of the route that it belongs to.
    pub key: String,
    /// What it is called: its name under `limits.named`, or [`OWN`] for a route's own.
    pub name: String,
    /// Whose calls are counted together.
    pub scope: LimitScope,
    /// How.
    pub form: LimitForm,
}

/// How clients are told of a route's own limit.
pub const OWN: &str = "default";

/// What every answer tells of a route's own limit.
#[derive(Debug)]
pub struct OwnLimit {
    /// Calls that it takes.
    pub calls: u64,
    /// In how many seconds.
    pub window: u64,
    /// The header fields of the client's `limits:` that say no more than that.
    pub headers: Vec<Option<HeaderValue>>,
}

impl OwnLimit {
    /// Of a limit that is a route's only one, as a client's mapping tells of it.
    pub(super) fn of(limit: &Limit, told: &[Named]) -> Option<Self> {
        let Limit::Bucket { rate, burst } = limit else { return None };
        let calls = u64::from(*burst);
        let whole = rate.per.as_micros() * u128::from(*burst) / u128::from(rate.count.max(1));
        let window = u64::try_from(whole.div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
        let facts = LimitFacts { name: OWN, calls, window, remaining: 0, seconds: 0 };
        Some(Self { calls, window, headers: lasting_limit_headers(told, &facts) })
    }
}

/// All limits that are counted together with others, and for each route those of its calls, in ascending order. A
/// route with a limit of its own and none besides has none here, unless a fleet counts together.
pub(super) fn of(config: &Config) -> (Vec<CountedLimit>, Vec<Vec<usize>>) {
    let mut all: Vec<CountedLimit> = Vec::new();
    let mut indexes: FxHashMap<&str, usize> = FxHashMap::default();
    for limit in &config.limits.named {
        indexes.insert(&limit.name.value, all.len());
        let (name, form) = (limit.name.value.clone(), limit.form.clone());
        all.push(CountedLimit { key: name.clone(), name, scope: limit.scope, form });
    }
    // What a fleet counts together no process counts by itself.
    let shared = matches!(config.limits.store, LimitStore::Redis(_));
    let mut by_route = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let named = route.limits.iter().filter_map(|name| indexes.get(name.value.as_str()));
        let mut limits: Vec<usize> = named.copied().collect();
        let is_alone = limits.is_empty() && !shared;
        if let (false, Limit::Bucket { rate, burst }) = (is_alone, route.limit) {
            limits.push(all.len());
            let form = LimitForm::Rate { rate, burst };
            // No name has a dot.
            let key = format!("{}.{OWN}", route.name.value);
            all.push(CountedLimit { key, name: OWN.to_owned(), scope: LimitScope::Consumer, form });
        }
        limits.sort_unstable();
        by_route.push(limits);
    }
    (all, by_route)
}
