//! Who asks: by a key, by a session, or by a key and an operator besides.
//!
//! A key costs a hash and a look-up. What is no key may be the token of a session, which is known at once if it
//! was used lately, and is else asked for in the store.

use std::sync::Arc;

use http::request::Parts;

use crate::call::admit::request_head;
use crate::call::{Services, Stop};
use crate::clock::now;
use crate::limit::Subject;
use crate::mapping::run::{Presented, read_secrets};
use crate::plan::{KeyRefused, LogIn, Plan, Route, Target};
use crate::session::{Attempt, Live, LogIns, Unchecked, hash_token};
use crate::store::StoreError;
use crate::value::{Fault, SecretId};

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The consumer.
    pub(super) consumer: usize,
    /// The key, or who logged in, as limits count them.
    pub(super) key: Subject,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// Whose call it is.
    pub(super) known: Known,
    /// Index of the operation in whose places the key was found.
    pub(super) operation: usize,
}

/// Finds the consumer by the secrets that the client's vendor has places for.
pub(super) async fn find_caller(
    services: &Services,
    route: &Route,
    target: &Target,
    head: &Parts,
) -> Result<Caller, Stop> {
    let presented = presented(services, route, target, head)?;
    let known = know_by(services, route, &presented, head).await?;
    Ok(Caller { known, operation: target.operation })
}

/// Whose call it is, by all that it presented.
pub(super) async fn know_by(
    services: &Services,
    route: &Route,
    presented: &Presented<'_>,
    head: &Parts,
) -> Result<Known, Stop> {
    let known = match key_of(&services.plan, route, presented)? {
        Some(known) => known,
        // Most calls come with a key and need no room for this.
        None => Box::pin(by_session(services, route, presented, head)).await?,
    };
    if let Some(log_ins) = operators(services, route) {
        Box::pin(operator(services, log_ins, route, presented, known.consumer)).await?;
    }
    Ok(known)
}

/// The same by the key alone, for `explain`, which asks no store.
pub(super) fn find_key(
    services: &Services,
    route: &Route,
    target: &Target,
    head: &Parts,
) -> Result<Caller, Stop> {
    let presented = presented(services, route, target, head)?;
    let key = presented_key(&services.plan, &presented);
    let key = key.ok_or_else(|| Stop::new(Fault::CredentialsMissing))?;
    Ok(Caller { known: consumer_of(&services.plan, route, key)?, operation: target.operation })
}

/// The secrets in the head.
fn presented<'h>(
    services: &Services,
    route: &Route,
    target: &Target,
    head: &'h Parts,
) -> Result<Presented<'h>, Stop> {
    let request = &route.client.operations[target.operation].request;
    let (vocabulary, head) = (&services.plan.vocabulary, request_head(head, target));
    Ok(read_secrets(vocabulary, &route.client, request, &head, &route.settings)?)
}

/// The consumer whose key was presented; `None` if what was presented may be the token of a session.
fn key_of(plan: &Plan, route: &Route, presented: &Presented<'_>) -> Result<Option<Known>, Stop> {
    let key = presented_key(plan, presented).ok_or_else(|| Stop::new(Fault::CredentialsMissing))?;
    match consumer_of(plan, route, key) {
        Err(stop) if stop.is_unknown_key && has_sessions(plan, route, "auth.token") => Ok(None),
        Err(stop) => Err(stop.stop),
        Ok(known) => Ok(Some(known)),
    }
}

/// The key among the secrets that a client presented.
pub(super) fn presented_key<'p>(plan: &Plan, presented: &'p Presented<'_>) -> Option<&'p str> {
    plan.vocabulary.secret("auth.token").and_then(|token| presented.get(token))
}

/// Why a key lets nobody in.
pub(super) struct KeyStop {
    stop: Stop,
    is_unknown_key: bool,
}

impl From<KeyStop> for Stop {
    fn from(stop: KeyStop) -> Self {
        stop.stop
    }
}

/// The consumer with that key, if it may use the route.
pub(super) fn consumer_of(plan: &Plan, route: &Route, key: &str) -> Result<Known, KeyStop> {
    let refused = |cause: &'static str, is_unknown_key| KeyStop {
        stop: Stop::new(Fault::Unauthenticated).caused(cause),
        is_unknown_key,
    };
    match plan.consumer(key) {
        Ok((consumer, hash)) if route.admits(consumer) => {
            Ok(Known { consumer, key: Subject::hash(&hash.0) })
        }
        // A key that is good elsewhere is told nothing that a wrong key is not told.
        Ok(_) => Err(refused("not a consumer of this route", false)),
        Err(KeyRefused::Unknown) => Err(refused("no consumer has this key", true)),
        Err(KeyRefused::Expired) => Err(refused("the key has expired", false)),
    }
}

/// True if the route's clients log in, and their sessions are known by that secret.
fn has_sessions(plan: &Plan, route: &Route, secret: &str) -> bool {
    !plan.log_ins.is_empty() && known_by(route) == plan.vocabulary.secret(secret)
}

/// The secret that sessions of the route's clients are known by.
pub(super) fn known_by(route: &Route) -> Option<SecretId> {
    route.client.session.as_ref()?.gives.first().map(|(secret, _)| *secret)
}

async fn by_session(
    services: &Services,
    route: &Route,
    presented: &Presented<'_>,
    head: &Parts,
) -> Result<Known, Stop> {
    let plan = &services.plan;
    let log_ins = services.log_ins.as_deref().ok_or_else(|| Stop::new(Fault::Unauthenticated))?;
    let token = presented_key(plan, presented).unwrap_or("");
    let (live, known) = session(services, log_ins, route, token).await?;
    let writes = !head.method.is_safe();
    match live.csrf {
        Some(csrf) if writes => {
            let shown = plan.vocabulary.secret("auth.csrf").and_then(|id| presented.get(id));
            match shown {
                Some(shown) if hash_token(shown) == csrf => Ok(known),
                Some(_) => Err(refused("another CSRF token than the session's")),
                None => Err(refused("a write without the session's CSRF token")),
            }
        }
        Some(_) | None => Ok(known),
    }
}

/// The session of a token, and whom it speaks for now.
pub(super) async fn session(
    services: &Services,
    log_ins: &LogIns,
    route: &Route,
    token: &str,
) -> Result<(Arc<Live>, Known), Stop> {
    let plan = &services.plan;
    let (hash, now) = (hash_token(token), now());
    let found = log_ins.sessions.find(&hash, now).await.map_err(|error| unavailable(&error))?;
    let live = found.ok_or_else(|| refused("no key and no session that holds"))?;
    if live.realm != route.realm {
        return Err(refused("a session of another vendor's API, or of another tenant"));
    }
    // Who may not log in any more is logged out.
    let consumer = plan.log_ins.find(&live.user).map(|log_in| log_in.consumer);
    let consumer = consumer.filter(|consumer| plan.consumers[*consumer] == live.consumer);
    let consumer = consumer.ok_or_else(|| refused("a session of a log-in that is no more"))?;
    if !route.admits(consumer) {
        return Err(refused("not a consumer of this route"));
    }
    log_ins.sessions.used(&hash, &live, now);
    // A session is as good as another one of the same user.
    let key = Subject::named(&live.user);
    Ok((live, Known { consumer, key }))
}

/// Where a session stands beside the key: the route's vendor asks for an operator as well.
fn operators<'s>(services: &'s Services, route: &Route) -> Option<&'s LogIns> {
    let log_ins = services.log_ins.as_deref()?;
    has_sessions(&services.plan, route, "auth.session").then_some(log_ins)
}

/// The operator behind a key, by a session or by name and password. A consumer without log-ins has none.
async fn operator(
    services: &Services,
    log_ins: &LogIns,
    route: &Route,
    presented: &Presented<'_>,
    consumer: usize,
) -> Result<(), Stop> {
    let plan = &services.plan;
    if !plan.log_ins.has(consumer) {
        return Ok(());
    }
    let shown = |name| plan.vocabulary.secret(name).and_then(|secret| presented.get(secret));
    let owner = match (shown("auth.session"), shown("auth.user"), shown("auth.password")) {
        (Some(token), _, _) => session(services, log_ins, route, token).await?.1.consumer,
        (None, Some(user), Some(password)) => {
            let now = now();
            let log_in = plan.log_ins.find(user);
            if !log_ins.passwords.was_right(user, password, now) {
                check_password(log_ins, log_in, user, password).await?;
                log_ins.passwords.note_right(user, password, now);
            }
            let gone = || refused("an operator who is no more");
            log_in.map(|log_in| log_in.consumer).ok_or_else(gone)?
        }
        (None, _, _) => return Err(refused("a key alone, of a consumer whose operators log in")),
    };
    if owner == consumer { Ok(()) } else { Err(refused("another consumer's operator")) }
}

/// Checks a user's password, as often as that may be tried.
pub(super) async fn check_password(
    log_ins: &LogIns,
    log_in: Option<&LogIn>,
    user: &str,
    password: &str,
) -> Result<(), Stop> {
    let decision = log_ins.attempts.count(Attempt::Account(user.into()));
    if let Some(seconds) = decision.retry_after_seconds() {
        let stop = Stop::new(Fault::RateLimited).caused("too many log-ins of one account");
        return Err(Stop { retry_after: Some(seconds), ..stop });
    }
    let known = log_in.map(|log_in| &log_in.password);
    match log_ins.passwords.check(known, password).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused("no user of that name and password")),
        Err(Unchecked::TooMany) => {
            let stop = Stop::new(Fault::Overloaded).caused("too many passwords wait to be checked");
            Err(Stop { retry_after: Some(1), ..stop })
        }
    }
}

pub(super) fn refused(cause: &'static str) -> Stop {
    Stop::new(Fault::Unauthenticated).caused(cause)
}

/// Nobody is told no because the state cannot be asked.
pub(super) fn unavailable(error: &StoreError) -> Stop {
    tracing::error!(target: "latimer::state", %error, "the state cannot be asked");
    let stop = Stop::new(Fault::Overloaded).caused(error.to_string());
    Stop { retry_after: Some(1), ..stop }
}
