//! By what a call is known to its upstream: a credential that always holds, or a session that is logged in to
//! first.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::bounds;
use crate::call::identity::unavailable;
use crate::call::judge::{seen_of_body, stop_of_error};
use crate::call::send::Visit;
use crate::call::{Services, Stop, Translation};
use crate::clock::now;
use crate::credential::shared::{Fleet, Shared};
use crate::credential::{Keeper, Next, Session, Work};
use crate::mapping::model::{LogIn, Request};
use crate::mapping::run::{Gateway, Secrets, Settings, Sources, read_taken, write_bare_request};
use crate::plan::{Credential, Upstream};
use crate::secret::Secret;
use crate::upstream::ReplyBody;
use crate::value::{Fault, Record};

/// What a call shows to its upstream.
#[derive(Debug)]
pub(super) struct Signed<'s> {
    pub(super) credential: &'s Credential,
    /// The session, if the credential logs in.
    session: Option<Session>,
}

impl<'s> Signed<'s> {
    /// What a call shows that is only explained: nobody logs in for it.
    pub(super) fn explained(services: &Services, credential: &'s Credential) -> Self {
        let session = credential.log_in.as_ref().map(|_| {
            let vocabulary = &services.plan.vocabulary;
            let secrets = Secrets::of_nobody(vocabulary).without(vocabulary.secret(PASSWORD));
            Session { secrets: Arc::new(secrets), generation: 0 }
        });
        Self { credential, session }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.credential.settings
    }

    pub(super) fn secrets(&self) -> &Secrets {
        self.session.as_ref().map_or(&self.credential.secrets, |session| &session.secrets)
    }

    /// Says that the session turned out to be over; false if there was none.
    pub(super) fn has_expired(&self, services: &Services, upstream: usize) -> bool {
        let keeper = keeper(services, upstream, self.credential);
        match (keeper, &self.session) {
            (Some(keeper), Some(session)) => {
                keeper.expired(session.generation);
                true
            }
            _ => false,
        }
    }
}

fn keeper<'s>(
    services: &'s Services,
    upstream: usize,
    credential: &Credential,
) -> Option<&'s Arc<Keeper>> {
    services.keepers.get(upstream)?.get(credential.index)?.as_ref()
}

/// Finds out what the call shows, within its deadline. Nothing of the call itself has left by then.
pub(super) async fn sign<'s>(
    visit: &mut Visit<'s, '_>,
    credential: &'s Credential,
) -> Result<Signed<'s>, Stop> {
    let Some(keeper) = keeper(visit.services, visit.upstream.0, credential) else {
        return Ok(Signed { credential, session: None });
    };
    // Most upstreams have no sessions, and need no room for them.
    let session = Box::pin(session(visit, credential, keeper)).await?;
    Ok(Signed { credential, session: Some(session) })
}

async fn session(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    keeper: &Arc<Keeper>,
) -> Result<Session, Stop> {
    loop {
        match keeper.next(Instant::now()) {
            Next::Use(session) => return Ok(session),
            Next::LogIn(work) => return obtain(visit, credential, work, None).await,
            Next::Renew(work, session) => {
                let renewed = obtain(visit, credential, work, Some(&session)).await;
                // It still holds.
                return Ok(renewed.unwrap_or(session));
            }
            Next::Wait(mut ends) => {
                let waited = timeout_at(visit.deadline, ends.changed()).await;
                if waited.is_err() {
                    let stop = Stop::new(Fault::UpstreamTimeout);
                    return Err(stop.caused("the log-in to the upstream took too long"));
                }
            }
            Next::Rest(why) => {
                let stop = Stop::new(Fault::UpstreamFailed);
                return Err(stop.caused(format!("no log-in for a while: {why}")));
            }
        }
    }
}

fn log_in_of(upstream: &Upstream) -> Option<&LogIn> {
    upstream.mapping.session.as_ref()?.upstream.as_ref()
}

/// Gets a session: that of the fleet, or one that is made now.
async fn obtain(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    work: Work,
    held: Option<&Session>,
) -> Result<Session, Stop> {
    let services = visit.services;
    let (Some(fleet), Some(log_in)) = (services.fleet.as_deref(), &credential.log_in) else {
        let made = make(visit, credential, held).await;
        return match made {
            Ok(secrets) => Ok(work.succeeded(Arc::new(secrets), Instant::now())),
            Err(stop) => Err(failed(visit, work, stop)),
        };
    };
    let key = fleet.key(&visit.upstream.1.name, log_in);
    loop {
        let mut found = of_fleet(fleet, key, &work).await?;
        if found.is_none() && fleet.lease(key, now()).await.map_err(|error| unavailable(&error))? {
            // Whoever had the lease may have put one after the look, and a second log-in may end that one.
            let second = of_fleet(fleet, key, &work).await;
            if let Ok(None) = second {
                return lead(visit, credential, (fleet, key), work, held).await;
            }
            fleet.release(key).await;
            found = second?;
        }
        if let Some(shared) = found {
            let since = since(&shared, &work);
            let secrets = Arc::new(completed(visit, &credential.secrets, shared.secrets));
            return Ok(work.given(secrets, since, Some(shared.generation), Instant::now()));
        }
        // Another gateway logs in.
        let until = visit.deadline.min(Instant::now() + LOOK_AGAIN);
        sleep_until(until).await;
        if until == visit.deadline {
            let stop = Stop::new(Fault::UpstreamTimeout);
            return Err(stop.caused("the log-in by another gateway took too long"));
        }
    }
}

/// How long a gateway waits for another one before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The session of the fleet, if it is of use.
async fn of_fleet(fleet: &Fleet, key: [u8; 32], work: &Work) -> Result<Option<Shared>, Stop> {
    let found = fleet.find(key).await.map_err(|error| unavailable(&error))?;
    Ok(found.filter(|shared| is_of_use(shared, work)))
}

/// True if the fleet's session is one that this gateway does not know to be over, or to be too old.
fn is_of_use(shared: &Shared, work: &Work) -> bool {
    let (over, held) = work.known();
    let newer = held.is_none_or(|held| shared.generation > held);
    // What others' use has done to the end of one that slides is known to the upstream alone.
    let slides = work.life().is_some_and(|life| life.slides);
    Some(shared.generation) != over && newer && (slides || shared.expires > now())
}

/// When a session of the fleet was made, as this process counts time.
fn since(shared: &Shared, work: &Work) -> Instant {
    let left = u64::try_from(shared.expires.saturating_sub(now())).unwrap_or(0);
    let length = work.life().map(|life| life.length).unwrap_or_default();
    let age = length.saturating_sub(Duration::from_millis(left));
    let now = Instant::now();
    now.checked_sub(age).unwrap_or(now)
}

/// Logs in for the fleet.
async fn lead(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    (fleet, key): (&Fleet, [u8; 32]),
    work: Work,
    held: Option<&Session>,
) -> Result<Session, Stop> {
    let secrets = match make(visit, credential, held).await {
        Ok(secrets) => secrets,
        Err(stop) => {
            fleet.release(key).await;
            return Err(failed(visit, work, stop));
        }
    };
    let vocabulary = &visit.services.plan.vocabulary;
    let taken = log_in_of(visit.upstream.1).map(|log_in| &log_in.takes[..]).unwrap_or_default();
    let named = taken.iter().filter_map(|(id, _)| {
        Some((vocabulary.secrets[usize::from(*id)].clone(), secrets.get(*id)?.clone()))
    });
    let named: Vec<(String, Secret)> = named.collect();
    let life = work.life().map_or(0, |life| i64::try_from(life.length.as_millis()).unwrap_or(0));
    let put = fleet.put(key, &named, now().saturating_add(life)).await;
    let number = put.unwrap_or_else(|error| {
        tracing::error!(target: "latimer::state", %error, "a session is this gateway's alone");
        None
    });
    let now = Instant::now();
    Ok(work.given(Arc::new(secrets), now, number, now))
}

/// Tells the operator: all calls wait for a session.
fn failed(visit: &Visit<'_, '_>, work: Work, stop: Stop) -> Stop {
    if stop.refuser.is_some() {
        // Nobody was asked: whoever comes next may try.
        return stop;
    }
    let (name, why) = (&visit.upstream.1.name, stop.cause.clone().unwrap_or_default());
    tracing::error!(target: "latimer::session", upstream = %name, "cannot log in: {why}");
    work.failed(&*why, Instant::now());
    stop
}

/// Makes a session, or prolongs the one that is held.
async fn make(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    held: Option<&Session>,
) -> Result<Secrets, Stop> {
    let upstream = visit.upstream.1;
    let log_in = log_in_of(upstream).ok_or(Stop::new(Fault::UpstreamFailed))?;
    let renewing = held.and_then(|held| Some((held, log_in.renew.as_ref()?)));
    let renewed = match renewing {
        Some((held, request)) => {
            match ask(visit, credential, &held.secrets, (request, log_in)).await {
                // Over before its time: the password may hold all the same.
                Err(stop) if stop.credential_refused => None,
                renewed => Some(renewed?),
            }
        }
        None => None,
    };
    let secrets = match renewed {
        Some(secrets) => secrets,
        None => ask(visit, credential, &credential.secrets, (&log_in.request, log_in)).await?,
    };
    tracing::info!(target: "latimer::session", upstream = %upstream.name, "logged in");
    Ok(secrets)
}

/// What gets a session, and is shown for nothing else.
const PASSWORD: &str = "auth.password";

/// The credential with what a session has in its place, and without its password.
fn completed(visit: &Visit<'_, '_>, shown: &Secrets, mut given: Vec<(String, Secret)>) -> Secrets {
    let vocabulary = &visit.services.plan.vocabulary;
    for (id, name) in (0u8..).zip(&vocabulary.secrets) {
        if let Some(secret) = shown.get(id)
            && !given.iter().any(|(known, _)| known == name)
        {
            given.push((name.clone(), secret.clone()));
        }
    }
    Secrets::of(vocabulary, given).without(vocabulary.secret(PASSWORD))
}

/// Sends what gets a session, and takes it out of the answer.
async fn ask(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    shown: &Secrets,
    (request, log_in): (&Request, &LogIn),
) -> Result<Secrets, Stop> {
    let upstream = visit.upstream.1;
    let (record, gateway) = (Record::new(), Gateway::default());
    let sources = Sources {
        vocabulary: &visit.services.plan.vocabulary,
        mapping: &upstream.mapping,
        settings: &credential.settings,
        record: &record,
        request: None,
        secrets: Some(shown),
        gateway: &gateway,
        steps: &[],
        parts: &[],
    };
    let mut outgoing = write_bare_request(request, sources)
        .map_err(|refusal| Stop::from(refusal).at(Translation::WriteRequest))?;
    outgoing.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let until = visit.deadline.min(Instant::now() + bounds::UPSTREAM_LOG_IN_TIMEOUT);
    let mut answered = visit.send_log_in(outgoing, until).await.map_err(|error| {
        let stop = stop_of_error(&error);
        match stop.fault {
            // Nothing of the call itself has left: nobody need be in doubt.
            Fault::OutcomeUnknown => Stop { fault: Fault::UpstreamTimeout, ..stop },
            _ => stop,
        }
    })?;
    answered.saw(seen_of_body(&answered.reply.body));
    let mut reply = answered.reply;
    reply.decode(upstream.reply_bytes_max);
    let status = reply.head.status;
    let failed = |why: String, refused| {
        let stop = Stop::new(Fault::UpstreamFailed).caused(why);
        Stop { credential_refused: refused, ..stop }
    };
    let ReplyBody::Whole(body) = &reply.body else {
        return Err(failed("the answer to the log-in did not come whole".to_owned(), false));
    };
    if !status.is_success() {
        // What the answer says is not repeated: it may name the user.
        return Err(failed(format!("the log-in was answered {}", status.as_u16()), true));
    }
    let taken = read_taken(log_in, &reply.head.headers, body, sources).ok_or_else(|| {
        let why = "the log-in was answered with no token, or with something that its user has to do first";
        failed(why.to_owned(), true)
    })?;
    let names = &visit.services.plan.vocabulary.secrets;
    let taken = taken.into_iter().map(|(id, secret)| (names[usize::from(id)].clone(), secret));
    Ok(completed(visit, shown, taken.collect()))
}
