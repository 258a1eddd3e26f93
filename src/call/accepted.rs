//! Calls that are answered before they are over, as their vendor's clients expect: the answer says where to ask,
//! and what comes of the call is kept for whoever does.
//!
//! What is wrong with a request is answered at once where the vendor says it in the answer to the call; what its
//! system says of the call, and what an upstream says, is told to whoever asks. A job is its consumer's alone. It
//! is kept before anything is sent, so that a call whose process dies is known to be one that nobody knows the
//! outcome of.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, DATE, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;

use crate::call::forward::Forwarded;
use crate::call::identity::{self, unavailable};
use crate::call::respond::{Learned, OUTCOME, Responder};
use crate::call::send::REQUEST_ID;
use crate::call::{CallRecord, Outcome, Stop, admit};
use crate::codec::percent;
use crate::ident::CallId;
use crate::mapping::model::{Accepted, Body, JobId, Pattern, Poll};
use crate::mapping::run::{Gateway, RequestParts, WrittenAnswer, write_body_answer};
use crate::plan::Target;
use crate::store::{AddedJob, Job, JobAnswer, NewJob, Store};
use crate::value::{Fault, Record};
use crate::{bounds, clock};

/// What is told at once of a call that goes on.
pub type Early<'e> = &'e mut (dyn FnMut(Response<Full<Bytes>>) + Send);

/// A job that was begun, and whose outcome is to be kept.
#[derive(Debug)]
pub(super) struct Open {
    consumer: String,
    id: [u8; 16],
}

/// Begins the job of a call, and gives the answer that says where to ask.
///
/// # Errors
/// If it cannot be one: its id was used before, too many are under way, or it could not be kept.
pub(super) async fn begin(
    responder: &Responder<'_>,
    (poll, accepted): (&Poll, &Accepted),
    learned: &mut Learned,
) -> Result<Response<Full<Bytes>>, Stop> {
    let Responder { services, route, .. } = *responder;
    let id = id_of(responder, accepted)?;
    let store = services.jobs.as_ref().ok_or_else(|| Stop::new(Fault::Overloaded))?;
    let consumer = learned.consumer.map(|index| services.plan.consumers[index].clone());
    let consumer = consumer.ok_or_else(|| Stop::new(Fault::Unauthenticated))?;
    let created = clock::now();
    let time = clock::milliseconds(route.deadline);
    let deadline = created.saturating_add(time);
    let call = responder.call.bytes();
    let job = NewJob { consumer: consumer.clone(), id, call, created, deadline };
    match store.add_job(&job).await.map_err(|error| unavailable(&error))? {
        AddedJob::Added => {}
        AddedJob::Exists => {
            let reason = "the job's id was used before";
            return Err(Stop::because(Fault::InvalidRequest, reason));
        }
        AddedJob::Full => {
            let stop = Stop::new(Fault::Overloaded).caused("too many unfinished jobs");
            return Err(Stop { retry_after: Some(1), ..stop });
        }
    }
    learned.job = Some(Open { consumer, id });
    Ok(answer(responder, (poll, accepted), id, learned))
}

/// The answer in place of a refusal that belongs to whoever asks; `None` if it belongs to the call's own answer.
/// Of a client that is nobody's no job is kept: whoever asks is refused the same.
pub(super) async fn refused(
    responder: &Responder<'_>,
    (poll, accepted): (&Poll, &Accepted),
    (stop, response): (&Stop, &Response<Full<Bytes>>),
    learned: &mut Learned,
) -> Option<Response<Full<Bytes>>> {
    let belongs = poll.done.contains(&response.status().as_u16())
        && !matches!(stop.fault, Fault::Overloaded | Fault::RateLimited);
    if !belongs || stop.close {
        return None;
    }
    if learned.consumer.is_some() {
        return begin(responder, (poll, accepted), learned).await.ok();
    }
    let id = id_of(responder, accepted).ok()?;
    Some(answer(responder, (poll, accepted), id, learned))
}

/// Times to wait before a store that did not take the outcome of a job is told again.
const SETTLE_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Keeps what came of a job. It is told a few times, if need be: whoever asks waits for it.
pub(super) async fn settle(store: &Store, job: &Open, response: &Response<Full<Bytes>>) {
    let ours = [VIA, REQUEST_ID, CONNECTION, DATE];
    let headers = response.headers().iter().filter(|(name, _)| !ours.contains(name));
    let headers = headers.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let body = response.body().clone();
    let body = http_body_util::BodyExt::collect(body).await;
    let answer = JobAnswer {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: body.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
    };
    let mut waits = SETTLE_AGAIN.into_iter();
    loop {
        let expires = clock::now().saturating_add(clock::milliseconds(bounds::JOB_KEPT));
        match store.finish_job(&job.consumer, job.id, &answer, expires).await {
            Ok(_) => return,
            Err(error) => {
                tracing::error!(target: "latimer::state", %error, "what came of a job is not kept");
            }
        }
        let Some(wait) = waits.next() else { return };
        tokio::time::sleep(wait).await;
    }
}

/// Answers the question after a call.
pub(super) async fn asked(
    responder: &Responder<'_>,
    target: &Target,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<Forwarded, Stop> {
    let Responder { services, route, head, .. } = *responder;
    let operation = &route.client.operations[target.operation];
    let (poll, accepted) = route.accepts(operation).ok_or_else(|| Stop::new(Fault::UnknownPath))?;
    learned.operation = Some(target.operation);
    let caller = identity::find_caller(services, route, target, head).await?;
    admit::know(caller.known.consumer, learned, record);
    let consumer = &services.plan.consumers[caller.known.consumer];
    let path = admit::request_head(head, target).path;
    let unknown = || Stop::new(Fault::UnknownJob);
    let id = in_path(&accepted.question.segments, path).ok_or_else(unknown)?;
    let store = services.jobs.as_ref().ok_or_else(unknown)?;
    let now = clock::now();
    let job = store.job(consumer, id, now).await.map_err(|error| unavailable(&error))?;
    match job.ok_or_else(unknown)? {
        Job { answer: Some(answer), .. } => Ok(replayed(answer)),
        Job { deadline, .. } if now < deadline.saturating_add(GRACE_MS) => {
            let gateway = Gateway::default();
            let answer = written(responder, poll.running, &accepted.pending, &gateway, learned);
            Ok(Forwarded { answer, outcome: Outcome::Unknown, cause: None })
        }
        Job { call, .. } => {
            let stop = Stop::new(Fault::OutcomeUnknown);
            Err(stop.caused(format!("call {} was never over", &*CallId::of_bytes(call).digits())))
        }
    }
}

/// How long after its deadline a call is waited for: its last words take a moment.
const GRACE_MS: i64 = 10_000;

/// What was kept, as it would have been answered.
fn replayed(answer: JobAnswer) -> Forwarded {
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            headers.append(name, value);
        }
    }
    let outcome = match headers.get(OUTCOME).map(HeaderValue::as_bytes) {
        Some(b"yes") => Outcome::Yes,
        Some(b"no") => Outcome::No,
        _ => Outcome::Unknown,
    };
    let answer = WrittenAnswer { status: answer.status, headers, body: answer.body };
    Forwarded { answer, outcome, cause: None }
}

/// The answer to a call that goes on.
fn answer(
    responder: &Responder<'_>,
    (poll, accepted): (&Poll, &Accepted),
    id: [u8; 16],
    learned: &Learned,
) -> Response<Full<Bytes>> {
    let location = location(responder, accepted, id);
    let time = u64::try_from(responder.route.deadline.as_millis()).unwrap_or(u64::MAX);
    let gateway = Gateway { job: Some((&location, time)), ..Gateway::default() };
    let answer = written(responder, poll.code, &accepted.answer, &gateway, learned);
    responder.finish(answer, Outcome::Unknown, learned)
}

fn written(
    responder: &Responder<'_>,
    status: u16,
    bodies: &[Body],
    gateway: &Gateway<'_>,
    learned: &Learned,
) -> WrittenAnswer {
    let record = Record::new();
    let sources = responder.sources(&record, gateway, learned);
    let wanted = RequestParts { headers: &responder.head.headers, kind: None };
    // What it has is known to be there; without a body a client can go on by the id that it chose.
    write_body_answer(status, bodies, sources, wanted).unwrap_or_else(|_| WrittenAnswer {
        status,
        headers: HeaderMap::new(),
        body: Vec::new(),
    })
}

/// Where to ask: an absolute URL, on the scheme and host that the client used.
fn location(responder: &Responder<'_>, accepted: &Accepted, id: [u8; 16]) -> String {
    let Responder { services, route, head, .. } = *responder;
    let scheme = if services.plan.listens_by_tls { "https" } else { "http" };
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| head.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
    let prefix = route.client.prefixes.first().map_or("", String::as_str);
    let mut url = format!("{scheme}://{host}{}{prefix}", route.path_prefix);
    let digits = CallId::of_bytes(id).digits();
    for segment in &accepted.question.segments {
        url.push('/');
        match segment.as_literal() {
            Some(literal) => url.push_str(literal),
            None => url.push_str(&digits),
        }
    }
    url
}

/// The id by which the client knows its call: its own, where it has sent one, or ours.
fn id_of(responder: &Responder<'_>, accepted: &Accepted) -> Result<[u8; 16], Stop> {
    let Some(JobId { header, member }) = &accepted.id else { return Ok(responder.call.bytes()) };
    let Some(value) = responder.head.headers.get(header) else {
        return Ok(responder.call.bytes());
    };
    let wrong = || Stop {
        field: member.clone(),
        ..Stop::because(Fault::InvalidRequest, "a job's id is 32 hexadecimal digits")
    };
    value.to_str().ok().and_then(bytes_of).ok_or_else(wrong)
}

/// The id in the path of a question.
fn in_path(segments: &[Pattern], path: &str) -> Option<[u8; 16]> {
    let place = segments.iter().position(|segment| segment.as_literal().is_none())?;
    let segment = path.strip_prefix('/')?.split('/').nth(place)?;
    bytes_of(&percent::decode_segment(segment)?)
}

fn bytes_of(digits: &str) -> Option<[u8; 16]> {
    CallId::parse(digits).map(CallId::bytes)
}
