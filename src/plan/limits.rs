//! Which limits the calls of a route count towards.

use rustc_hash::FxHashMap;

use crate::config::{Config, Limit, LimitForm, LimitScope, LimitStore};

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
