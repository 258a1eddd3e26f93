//! By what a call is known to its upstream: a credential that always holds, or a session that is logged in to
//! first.

use std::sync::Arc;

use http::HeaderValue;
use http::header::ACCEPT;
use tokio::time::{Instant, timeout_at};

use crate::bounds;
use crate::call::judge::{seen_of_body, stop_of_error};
use crate::call::send::Visit;
use crate::call::{Services, Stop, Translation};
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
        let session = credential.logs_in.then(|| {
            let secrets = Secrets::of_nobody(&services.plan.vocabulary);
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
            Next::LogIn(work) => return log_in(visit, credential, work).await,
            Next::Renew(work, session) => {
                return Ok(renew(visit, credential, work, &session).await.unwrap_or(session));
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

/// Logs in. Whatever keeps it from that is told to the operator: all calls wait for it.
async fn log_in(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    work: Work,
) -> Result<Session, Stop> {
    let Some(log_in) = log_in_of(visit.upstream.1) else {
        return Err(Stop::new(Fault::UpstreamFailed));
    };
    let name = &visit.upstream.1.name;
    match ask(visit, credential, &credential.secrets, (&log_in.request, log_in)).await {
        Ok(secrets) => {
            tracing::info!(target: "latimer::session", upstream = %name, "logged in");
            Ok(work.succeeded(Arc::new(secrets), Instant::now()))
        }
        Err(stop) => {
            let why = stop.cause.clone().unwrap_or_default();
            tracing::error!(target: "latimer::session", upstream = %name, "cannot log in: {why}");
            work.failed(&*why, Instant::now());
            Err(stop)
        }
    }
}

/// Prolongs a session that still holds; `None` if that failed, and it goes on to hold.
async fn renew(
    visit: &mut Visit<'_, '_>,
    credential: &Credential,
    work: Work,
    session: &Session,
) -> Option<Session> {
    let log_in = log_in_of(visit.upstream.1)?;
    let request = log_in.renew.as_ref()?;
    match ask(visit, credential, &session.secrets, (request, log_in)).await {
        Ok(secrets) => Some(work.succeeded(Arc::new(secrets), Instant::now())),
        Err(stop) => {
            let (name, why) = (&visit.upstream.1.name, stop.cause.unwrap_or_default());
            tracing::warn!(target: "latimer::session", upstream = %name, "cannot prolong: {why}");
            work.failed(&*why, Instant::now());
            None
        }
    }
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
    let mut answered = visit.send_beside(outgoing, until).await.map_err(|error| {
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
        let why = "the log-in was answered with no token: its user may have something to do first";
        failed(why.to_owned(), true)
    })?;
    Ok(with(visit, shown, taken))
}

/// What was shown, with what was given in its place.
fn with(visit: &Visit<'_, '_>, shown: &Secrets, taken: Vec<(u8, Secret)>) -> Secrets {
    let vocabulary = &visit.services.plan.vocabulary;
    let all = (0u8..).zip(&vocabulary.secrets).filter_map(|(id, name)| {
        let given = taken.iter().find(|(secret, _)| *secret == id).map(|(_, text)| text);
        let secret = given.or_else(|| shown.get(id))?;
        Some((name.clone(), secret.clone()))
    });
    Secrets::of(vocabulary, all)
}
