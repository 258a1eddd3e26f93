//! Asking endpoints whether they are well.

use std::sync::Arc;

use http::{HeaderMap, Method};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Health;
use crate::ident::CallId;
use crate::upstream::health::{first_check, is_good};
use crate::upstream::meter::Meter;
use crate::upstream::pool::Pool;
use crate::upstream::request::{Departure, Request};
use crate::upstream::{Settings, Shared};

/// Bytes of an answer to a check: only its status counts.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks every endpoint at intervals, until told to stop.
pub async fn watch(
    name: String,
    shared: Arc<Shared>,
    endpoints: Vec<Settings>,
    rules: Health,
    mut stop: Receiver<bool>,
) {
    let count = endpoints.len();
    let mut asking = JoinSet::new();
    for (index, settings) in endpoints.into_iter().enumerate() {
        let (name, shared, rules) = (name.clone(), Arc::clone(&shared), rules.clone());
        asking.spawn(async move {
            let first = Instant::now() + first_check(&rules, index, count);
            let mut ticks = tokio::time::interval_at(first, rules.every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // It tells what the endpoint is worth, so it waits for nobody, but is counted.
                shared.turns.charge(Instant::now());
                let good = is_good(&rules, ask(&settings, &rules).await);
                if shared.endpoints.checked(index, good) {
                    tell(&name, &settings.authority, good);
                }
            }
        });
    }
    // The sender is gone only if the gateway is.
    let _ = stop.wait_for(|stop| *stop).await;
    asking.shutdown().await;
}

/// The status of the answer, on a connection of its own; none if no answer came in time.
async fn ask(settings: &Settings, rules: &Health) -> Option<u16> {
    let now = Instant::now();
    let settings = Settings { reply_bytes_max: ANSWER_BYTES_MAX, ..settings.clone() };
    // Nobody counts it: it is no call's.
    let pool = Pool::new(settings, Arc::new(Meter::default()));
    let request = Request {
        method: Method::GET,
        target: rules.target.clone(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        call: CallId::random(),
        departure: Departure::default(),
    };
    let asked = pool.send(&request, now, now + rules.timeout).await;
    asked.ok().map(|(reply, _)| reply.head.status.as_u16())
}

fn tell(upstream: &str, endpoint: &str, good: bool) {
    if good {
        tracing::info!(target: "latimer::upstream", upstream, endpoint, "the endpoint is well again");
    } else {
        tracing::warn!(target: "latimer::upstream", upstream, endpoint, "the endpoint fails its health checks");
    }
}
