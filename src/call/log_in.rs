//! Calls that the gateway answers itself: its clients log in to it, prolong their sessions and end them, in the
//! way of their own vendor's API. No upstream hears of it.
//!
//! A log-in is not charged to its consumer's limit, because before it there is no consumer; it is counted by its
//! account and by the address that it comes from.

use bytes::Bytes;
use http_body::Body;

use crate::call::address::client_address;
use crate::call::identity::Known;
use crate::call::identity::{self, known_by, refused, unavailable};
use crate::call::respond::{Learned, Responder};
use crate::call::{CallRecord, Stop, Translation, admit, body};
use crate::limit::Subject;
use crate::mapping::model::{Operation, OperationKind, Session, Slot};
use crate::mapping::run::{
    Gateway, Presented, ReadOptions, RequestParts, Secrets, SessionFacts, Sources, WrittenAnswer,
    read_credentials, render_pattern, write_answer,
};
use crate::plan::Target;
use crate::secret::{Secret, hexadecimal};
use crate::session::{Attempt, LogIns, hash_token};
use crate::store::{self, NewSession};
use crate::value::{Fault, Record};
use crate::{bounds, clock};

/// What a client is given, and told of it.
#[derive(Default)]
struct Given {
    facts: SessionFacts,
    secrets: Secrets,
}

/// Answers a call of one of the kinds that are ours.
pub(super) async fn answer<B>(
    responder: &Responder<'_>,
    target: &Target,
    incoming: B,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<WrittenAnswer, Stop>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let Responder { services, route, head, .. } = *responder;
    let operation = &route.client.operations[target.operation];
    if operation.kind == OperationKind::LogIn {
        count_address(responder, record)?;
    }
    let bounds = &services.plan.bounds;
    let most = bounds.body_bytes_max.min(bounds::LOG_IN_BYTES_MAX);
    let codings = body::codings(&head.headers)?;
    let deadline = record.began + route.deadline;
    let bytes =
        body::read_body(&head.headers, incoming, most, bounds.body_timeout, deadline).await?;
    record.bytes_in = bytes.len() as u64;
    let bytes = body::decode(&codings, bytes, most)?;
    let options = ReadOptions { depth_max: bounds.depth_max, refuse_unknown: false };
    let (vocabulary, settings) = (&services.plan.vocabulary, &route.settings);
    let line = admit::request_head(head, target);
    let read =
        read_credentials(vocabulary, &route.client, operation, &line, &bytes, settings, options);
    let (request, presented, _) =
        read.map_err(|refusal| Stop::from(refusal).at(Translation::ReadRequest))?;
    let desk = Desk { responder, operation, target, presented: &presented };
    let given = match operation.kind {
        OperationKind::LogIn if desk.has_place("auth.password") => {
            desk.log_in(learned, record).await?
        }
        OperationKind::LogIn => desk.check_key(learned, record).await?,
        OperationKind::Renew => desk.renew(learned, record).await?,
        OperationKind::LogOut => desk.log_out(learned, record).await?,
        OperationKind::Write | OperationKind::Read => return Err(Stop::new(Fault::UnknownPath)),
    };
    desk.write(&request, &given, learned)
}

/// Counts a log-in by where it comes from, before anything of it is read.
fn count_address(responder: &Responder<'_>, record: &CallRecord) -> Result<(), Stop> {
    let Responder { services, head, .. } = *responder;
    let (Some(log_ins), Some(peer)) = (&services.log_ins, record.peer) else { return Ok(()) };
    let address = client_address(peer, &head.headers, &services.plan.trusted_proxies);
    match log_ins.attempts.count(Attempt::from(address)).retry_after_seconds() {
        None => Ok(()),
        Some(seconds) => {
            let stop = Stop::new(Fault::RateLimited).caused("too many log-ins from one address");
            Err(Stop { retry_after: Some(seconds), close: true, ..stop })
        }
    }
}

/// One call with what its client showed.
struct Desk<'d, 'r, 'p> {
    responder: &'d Responder<'r>,
    operation: &'d Operation,
    target: &'d Target,
    presented: &'d Presented<'p>,
}

impl Desk<'_, '_, '_> {
    /// True if a request of this operation has a place for the secret.
    fn has_place(&self, secret: &str) -> bool {
        let secret = self.responder.services.plan.vocabulary.secret(secret).map(Slot::Secret);
        self.operation.request.holes().any(|hole| Some(hole.slot) == secret)
    }

    fn shown(&self, secret: &str) -> Option<&str> {
        let secret = self.responder.services.plan.vocabulary.secret(secret)?;
        self.presented.get(secret)
    }

    /// The consumer whose key was shown.
    fn by_key(&self) -> Result<Known, Stop> {
        let Responder { services, route, .. } = *self.responder;
        let key = self.shown("auth.token").ok_or_else(|| Stop::new(Fault::CredentialsMissing))?;
        identity::consumer_of(&services.plan, route, key).map_err(Stop::from)
    }

    /// Charges a call of a known consumer.
    async fn charge(
        &self,
        known: &Known,
        learned: &mut Learned,
        record: &mut CallRecord,
    ) -> Result<(), Stop> {
        admit::charge(self.responder, self.target.route, known, learned, record).await
    }

    async fn log_in(&self, learned: &mut Learned, record: &mut CallRecord) -> Result<Given, Stop> {
        let Responder { services, route, .. } = *self.responder;
        // Where a key stands beside the log-in, it says whose users these are.
        let holder = if self.has_place("auth.token") { Some(self.by_key()?) } else { None };
        let (Some(user), Some(password)) = (self.shown("auth.user"), self.shown("auth.password"))
        else {
            return Err(log_in_refused(refused("a log-in without a user or a password")));
        };
        let Some(log_ins) = services.log_ins.as_deref() else {
            return Err(log_in_refused(refused("nobody logs in here")));
        };
        let log_in = services.plan.log_ins.find(user);
        identity::check_password(log_ins, log_in, user, password).await.map_err(log_in_refused)?;
        let consumer = log_in.map(|log_in| log_in.consumer).filter(|consumer| {
            route.admits(*consumer) && holder.is_none_or(|holder| holder.consumer == *consumer)
        });
        let consumer =
            consumer.ok_or_else(|| log_in_refused(refused("a user of another consumer")))?;
        admit::know(consumer, learned, record);
        // A log-in counts towards no limit; its answer tells how they stand.
        let known = Known { consumer, key: Subject::named(user) };
        admit::look(self.responder, self.target.route, &known, learned, record).await;
        self.begin(log_ins, consumer, user).await
    }

    /// A key that holds is shown to whoever has it; it begins no session.
    async fn check_key(
        &self,
        learned: &mut Learned,
        record: &mut CallRecord,
    ) -> Result<Given, Stop> {
        let known = self.by_key().map_err(log_in_refused)?;
        self.charge(&known, learned, record).await?;
        let user = self.responder.services.plan.consumers[known.consumer].clone();
        let facts = SessionFacts { account: account(&user), user, ..SessionFacts::default() };
        Ok(Given { facts, ..Given::default() })
    }

    /// The session goes on under a new token; the old one holds until its own end, for calls that are
    /// under way with it.
    async fn renew(&self, learned: &mut Learned, record: &mut CallRecord) -> Result<Given, Stop> {
        let (log_ins, token) = self.session_token()?;
        let Responder { services, route, .. } = *self.responder;
        let (live, known) = identity::session(services, log_ins, route, token).await?;
        self.charge(&known, learned, record).await?;
        self.begin(log_ins, known.consumer, &live.user).await
    }

    async fn log_out(&self, learned: &mut Learned, record: &mut CallRecord) -> Result<Given, Stop> {
        let Responder { services, route, .. } = *self.responder;
        // Who came with a key has no session to end, and need not know that.
        if let Ok(known) = self.by_key()
            && self.known_by_token()
        {
            self.charge(&known, learned, record).await?;
            return Ok(Given::default());
        }
        let (log_ins, token) = self.session_token()?;
        let (_, known) = identity::session(services, log_ins, route, token).await?;
        self.charge(&known, learned, record).await?;
        let ended = log_ins.sessions.end(&hash_token(token)).await;
        ended.map_err(|error| unavailable(&error))?;
        Ok(Given::default())
    }

    fn known_by_token(&self) -> bool {
        let Responder { services, route, .. } = *self.responder;
        known_by(route) == services.plan.vocabulary.secret("auth.token")
    }

    /// What a session is known by, as the client shows it.
    fn session_token(&self) -> Result<(&LogIns, &str), Stop> {
        let Responder { services, route, .. } = *self.responder;
        let token = known_by(route).and_then(|secret| self.presented.get(secret));
        let token = token.ok_or_else(|| Stop::new(Fault::CredentialsMissing))?;
        let log_ins = services.log_ins.as_deref();
        Ok((log_ins.ok_or_else(|| refused("nobody logs in here"))?, token))
    }

    /// Begins a session and keeps it, before its client hears of it.
    async fn begin(&self, log_ins: &LogIns, consumer: usize, user: &str) -> Result<Given, Stop> {
        let Responder { services, route, .. } = *self.responder;
        let terms = route.client.session.as_ref().ok_or_else(|| Stop::new(Fault::UnknownPath))?;
        // Clients are told whole seconds, and must not be told more than there is.
        let created = clock::now() / 1_000 * 1_000;
        let life = clock::milliseconds(terms.life.length);
        let expires = created.saturating_add(life);
        let facts = SessionFacts {
            user: user.to_owned(),
            account: account(user),
            created: moment(created),
            expires: moment(expires),
            random: String::new(),
        };
        let secrets = self.make_secrets(terms, &facts)?;
        let of = |wanted: Option<u8>| {
            let found = secrets.iter().find(|(secret, _)| Some(*secret) == wanted);
            found.map(|(_, text)| hash_token(text.expose()))
        };
        let token = of(known_by(route)).ok_or_else(|| Stop::new(Fault::UnknownPath))?;
        let session = NewSession {
            token,
            session: store::Session {
                consumer: services.plan.consumers[consumer].clone(),
                realm: route.realm.clone(),
                user: user.to_owned(),
                csrf: of(services.plan.vocabulary.secret("auth.csrf")),
                created,
                expires,
                slides_ms: terms.life.slides.then(|| life.unsigned_abs()),
            },
        };
        log_ins.sessions.begin(session).await.map_err(|error| unavailable(&error))?;
        let names = &services.plan.vocabulary.secrets;
        let named = secrets.into_iter().map(|(id, text)| (names[usize::from(id)].clone(), text));
        Ok(Given { facts, secrets: Secrets::of(&services.plan.vocabulary, named) })
    }

    /// Secrets in the vendor's own form, each with 128 bits that nobody can guess.
    fn make_secrets(
        &self,
        terms: &Session,
        facts: &SessionFacts,
    ) -> Result<Vec<(u8, Secret)>, Stop> {
        let mut secrets = Vec::new();
        for (secret, form) in &terms.gives {
            let facts = SessionFacts { random: random()?, ..facts.clone() };
            let gateway = Gateway { session: Some(&facts), ..Gateway::default() };
            let record = Record::new();
            let sources = self.responder.sources(&record, &gateway, &Learned::default());
            let text = render_pattern(sources, form).ok().flatten();
            let text = text.ok_or_else(|| {
                Stop::new(Fault::UpstreamFailed).caused("a session's secret cannot be written")
            })?;
            secrets.push((*secret, Secret::new(text)));
        }
        Ok(secrets)
    }

    fn write(
        &self,
        request: &Record<'_>,
        given: &Given,
        learned: &Learned,
    ) -> Result<WrittenAnswer, Stop> {
        let head = self.responder.head;
        let told = self.responder.told(learned);
        let reset = told.and_then(|told| told.reset());
        let gateway = Gateway {
            call: &self.responder.digits,
            rate_remaining: told.map(|told| told.remaining),
            rate_reset: reset.as_deref(),
            rate_limit: told.map(|told| told.calls),
            limit: told.map(|told| told.tightest),
            session: Some(&given.facts),
            ..Gateway::default()
        };
        let answer = Record::new();
        let sources = Sources {
            request: Some(request),
            secrets: Some(&given.secrets),
            ..self.responder.sources(&answer, &gateway, learned)
        };
        let kind = super::decode::body_kind(self.operation, head);
        let wanted = RequestParts { headers: &head.headers, kind };
        write_answer(self.operation, sources, wanted).map_err(|refusal| {
            let cause = format!("the answer cannot be written: {}", refusal.reason);
            Stop::new(Fault::UpstreamFailed).caused(cause).at(Translation::WriteAnswer)
        })
    }
}

/// Who is refused a log-in is told so in its vendor's words for that.
fn log_in_refused(stop: Stop) -> Stop {
    match stop.fault {
        Fault::Unauthenticated => Stop { fault: Fault::LogInRefused, ..stop },
        _ => stop,
    }
}

/// A name as 32 hexadecimal digits that stay the same.
fn account(name: &str) -> String {
    let hash = hash_token(&format!("account {name}"));
    hexadecimal(&hash[..16])
}

fn random() -> Result<String, Stop> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Stop::new(Fault::Overloaded).caused(format!("no random numbers: {error}"))
    })?;
    Ok(hexadecimal(&bytes))
}

/// `YYYY-MM-DDTHH:MM:SSZ`
fn moment(milliseconds: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
