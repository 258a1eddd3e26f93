//! A request that the client's mapping does not know, on a route with `unmapped: forward`.
//!
//! Client and upstream are of one vendor, so nothing is translated: path, query and body go on as they
//! came. The head is ours all the same. The client's key is demanded where the mapping's operations
//! have it, never goes on, and the upstream's own credential stands in its place; of the header fields
//! of both sides only those pass that describe a body.

mod path;

use http::header::{
    ACCEPT, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, DATE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    RETRY_AFTER,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;

pub(super) use path::{Unmapped, take};

use crate::call::identity::{self, Caller};
use crate::call::judge::{fault_of_status, seen_of_body, stop_of_error, why_broken};
use crate::call::respond::{Learned, Responder, outcome_of};
use crate::call::send::Visit;
use crate::call::sign::{Signed, sign};
use crate::call::{CallRecord, Outcome, Services, Stop, hop, outgoing, trace};
use crate::mapping::model::Operation;
use crate::mapping::run::{
    AnswerHead, Gateway, Outgoing, Presented, Reading, WrittenAnswer, read_answer, read_secrets,
    read_standing, split_query, standing_headers, write_standing,
};
use crate::plan::{Pair, Route, Upstream};
use crate::upstream::turns::Rank;
use crate::upstream::{Answered, ReplyBody, SendError};
use crate::value::{Fault, Record};

/// What describes a body and passes both ways. A `Content-Location` is a location.
const OF_A_BODY: [HeaderName; 7] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// What the upstream said.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// Its answer, with what may pass of its header fields.
    pub(super) answer: WrittenAnswer,
    /// Whether the call took effect.
    pub(super) outcome: Outcome,
    /// Why that is not certain, for the log.
    pub(super) cause: Option<String>,
}

/// Finds the consumer by all that the client presents.
pub(super) async fn find_caller(
    services: &Services,
    route: &Route,
    unmapped: &Unmapped,
    head: &Parts,
) -> Result<Caller, Stop> {
    let query = known_query(services, route, head);
    let (presented, operation) = presented(services, route, unmapped, head, &query)?;
    let known = identity::know_by(services, route, &presented, head).await?;
    Ok(Caller { known, operation })
}

/// The same by the key alone, for `explain`, which asks no store.
pub(super) fn find_key(
    services: &Services,
    route: &Route,
    unmapped: &Unmapped,
    head: &Parts,
) -> Result<Caller, Stop> {
    let query = known_query(services, route, head);
    let (presented, operation) = presented(services, route, unmapped, head, &query)?;
    let key = identity::presented_key(&services.plan, &presented);
    let key = key.ok_or_else(|| Stop::new(Fault::CredentialsMissing))?;
    Ok(Caller { known: identity::consumer_of(&services.plan, route, key)?, operation })
}

/// What the client presents in the places of the first operation that has a key or a token there.
fn presented<'h>(
    services: &Services,
    route: &Route,
    unmapped: &Unmapped,
    head: &'h Parts,
    query: &'h str,
) -> Result<(Presented<'h>, usize), Stop> {
    let plan = &services.plan;
    let request_head = unmapped.head(head, query);
    for (operation, mapped) in route.client.operations.iter().enumerate() {
        let request = &mapped.request;
        let settings = &route.settings;
        match read_secrets(&plan.vocabulary, &route.client, request, &request_head, settings) {
            Ok(presented) if identity::presented_key(plan, &presented).is_some() => {
                return Ok((presented, operation));
            }
            Ok(_) => {}
            Err(refusal) if refusal.fault == Fault::CredentialsMissing => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(Stop::because(Fault::CredentialsMissing, "the credentials are missing"))
}

/// The pairs of the query that the mapping reads. What else stands there is not looked at.
fn known_query(services: &Services, route: &Route, head: &Parts) -> String {
    let query = head.uri.query().unwrap_or_default();
    split_query(&services.plan.vocabulary, &route.client, &route.settings, query).known
}

/// Writes the request: the client's line and body, our own head.
pub(super) fn write(
    services: &Services,
    route: &Route,
    (unmapped, caller): (&Unmapped, Caller),
    signed: &Signed<'_>,
    head: &Parts,
    body: Vec<u8>,
) -> Result<Outgoing, Stop> {
    let (vocabulary, client) = (&services.plan.vocabulary, &route.client);
    let upstream = &services.plan.upstreams[route.upstream];
    let settings = route.settings_for(Some(caller.known.consumer));
    let known = known_query(services, route, head);
    let operation = &client.operations[caller.operation];
    // Where a client may say it, its own word goes before the upstream's setting, as in a mapped call.
    let record =
        read_standing(vocabulary, client, operation, &unmapped.head(head, &known), settings)?;
    let gateway = Gateway::default();
    let sources = outgoing::sources(services, (upstream, signed), &record, &gateway, &[]);
    let (ours, mut headers) = write_standing(counterpart(route, upstream, caller)?, sources)?;
    let passing = head
        .uri
        .query()
        .and_then(|query| split_query(vocabulary, client, &route.settings, query).passing);
    for name in OF_A_BODY.iter().chain([&ACCEPT]) {
        pass(name, &head.headers, &mut headers);
    }
    trace::pass(&head.headers, &mut headers);
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let mut target = unmapped.path(head).to_owned();
    if target.is_empty() && upstream.url.base_path.is_empty() {
        target.push('/');
    }
    let ours = (!ours.is_empty()).then_some(ours);
    let pairs: Vec<String> = passing.into_iter().chain(ours).collect();
    if !pairs.is_empty() {
        target.push('?');
        target.push_str(&pairs.join("&"));
    }
    Ok(Outgoing { method: head.method.clone(), target, headers, body, lossy: Vec::new() })
}

/// A write under a condition would be one without: the condition does not go on, so the write does not.
fn refuse_conditions(head: &Parts) -> Result<(), Stop> {
    let conditions = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    if is_read(&head.method) || !conditions.iter().any(|name| head.headers.contains_key(name)) {
        return Ok(());
    }
    Err(Stop::because(Fault::InvalidRequest, "a condition on a write is not carried on"))
}

/// The upstream's side of the operation that lends its places.
fn counterpart<'u>(
    route: &Route,
    upstream: &'u Upstream,
    caller: Caller,
) -> Result<&'u Operation, Stop> {
    let pair: Option<&Pair> = route.pairs.get(caller.operation).and_then(Option::as_ref);
    let operation = pair.and_then(|pair| upstream.mapping.operations.get(pair.upstream));
    // One vendor has one set of operations on both sides.
    operation.ok_or_else(|| Stop::new(Fault::UpstreamFailed).caused("no operation of the upstream"))
}

fn pass(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    if hop::ends_here(from, name) {
        return;
    }
    for value in from.get_all(name) {
        to.append(name.clone(), value.clone());
    }
}

/// Sends the request on and judges what comes back.
pub(super) async fn forward(
    responder: &Responder<'_>,
    (unmapped, caller): (&Unmapped, Caller),
    body: Vec<u8>,
    deadline: Instant,
    learned: &Learned,
    record: &mut CallRecord,
) -> Result<Forwarded, Stop> {
    let Responder { services, route, head, call, .. } = *responder;
    refuse_conditions(head)?;
    let upstream = (route.upstream, &services.plan.upstreams[route.upstream]);
    let departure = &responder.departure;
    let spent = &mut record.spent;
    let (consumer, rank) = (Some(caller.known.consumer), Rank::Fresh);
    let mut visit =
        Visit { services, upstream, call, head, departure, deadline, consumer, rank, spent };
    let credential = route.credential_for(upstream.1, Some(caller.known.consumer));
    // Only who logs in may have to send it again.
    let mut again = credential.log_in.is_some().then(|| body.clone());
    let mut body = body;
    loop {
        let signed = sign(&mut visit, credential).await?;
        let request = write(services, route, (unmapped, caller), &signed, head, body)?;
        let sent = visit.send(request, deadline).await;
        let judged = judge(responder, caller, sent, learned);
        // Who is refused for a session that is over has done nothing.
        let is_over = judged.as_ref().is_err_and(|stop| stop.credential_refused)
            && signed.has_expired(services, route.upstream);
        match again.take() {
            Some(bytes) if is_over => body = bytes,
            Some(_) | None => return judged,
        }
    }
}

/// Says what the answer, or the lack of one, means: no row of the mapping knows it, so the status
/// decides. Status and body pass as they are, unless what they say is not for the client.
pub(super) fn judge(
    responder: &Responder<'_>,
    caller: Caller,
    sent: Result<Answered<'_>, SendError>,
    learned: &Learned,
) -> Result<Forwarded, Stop> {
    let method = &responder.head.method;
    let stop = |fault, cause: String| Stop::new(as_read(method, fault)).caused(cause);
    let mut answered = sent.map_err(|error| {
        let stop = stop_of_error(&error);
        Stop { fault: as_read(method, stop.fault), ..stop }
    })?;
    answered.saw(seen_of_body(&answered.reply.body));
    let reply = answered.reply;
    let status = reply.head.status;
    let said =
        |why: &str| format!("the upstream answered {status}: {why}", status = status.as_u16());
    let fault = fault_of_status(status.as_u16());
    let body = match &reply.body {
        ReplyBody::Whole(body) => body,
        ReplyBody::Broken(broken) => return Err(stop(fault, said(why_broken(*broken)))),
    };
    if status.is_success() {
        let answer = answer(responder, caller, &reply.head, body, learned);
        return Ok(Forwarded { answer, outcome: Outcome::Yes, cause: None });
    }
    if !status.is_client_error() && !status.is_server_error() {
        // Where it points to is a place of the upstream's, and the client must not go there.
        return Err(stop(fault, said("this is not passed on")));
    }
    // The body passes as it is, and is read without its codings.
    let decoded =
        reply.decoded(responder.services.plan.upstreams[responder.route.upstream].reply_bytes_max);
    let plain = match &decoded {
        Some(ReplyBody::Whole(plain)) => plain,
        Some(ReplyBody::Broken(_)) | None => body,
    };
    if is_our_credential(responder, caller, &reply.head, plain)? {
        let refused = Stop::new(Fault::UpstreamFailed).caused(said("unauthenticated"));
        return Err(Stop { credential_refused: true, ..refused });
    }
    let outcome = outcome_of(as_read(method, fault));
    let answer = answer(responder, caller, &reply.head, body, learned);
    Ok(Forwarded { answer, outcome, cause: Some(said("passed on")) })
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A read that came to nothing has changed nothing.
fn as_read(method: &Method, fault: Fault) -> Fault {
    match fault {
        Fault::OutcomeUnknown if is_read(method) => Fault::UpstreamFailed,
        other => other,
    }
}

/// True if the upstream speaks of our credential, which is not the client's business.
fn is_our_credential(
    responder: &Responder<'_>,
    caller: Caller,
    head: &http::response::Parts,
    body: &[u8],
) -> Result<bool, Stop> {
    if matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
        return Ok(true);
    }
    let Responder { services, route, .. } = *responder;
    let upstream = &services.plan.upstreams[route.upstream];
    let operation = counterpart(route, upstream, caller)?;
    let (vocabulary, mapping) = (&services.plan.vocabulary, &upstream.mapping);
    let answer = AnswerHead { status: head.status.as_u16(), headers: &head.headers };
    let settings = &route.credential_for(upstream, Some(caller.known.consumer)).settings;
    let nothing = Record::new();
    let reading = read_answer(vocabulary, mapping, operation, answer, body, settings, &nothing);
    Ok(matches!(
        reading,
        Reading::No { fault: Fault::Unauthenticated | Fault::CredentialsMissing, .. }
    ))
}

/// The answer as it passes, with what the vendor's every answer has.
fn answer(
    responder: &Responder<'_>,
    caller: Caller,
    head: &http::response::Parts,
    body: &[u8],
    learned: &Learned,
) -> WrittenAnswer {
    let client = &responder.route.client;
    let operation = &client.operations[caller.operation];
    let named = match head.status.is_success() {
        true => &operation.success.headers,
        false => &operation.faults.headers,
    };
    let (record, gateway) = (Record::new(), Gateway::default());
    let mut headers = standing_headers(named, responder.sources(&record, &gateway, learned));
    for name in OF_A_BODY.iter().chain([&DATE, &RETRY_AFTER]) {
        pass(name, &head.headers, &mut headers);
    }
    // Of a body that does not come the length is all that is told; of another one it is counted.
    if responder.head.method == Method::HEAD {
        pass(&CONTENT_LENGTH, &head.headers, &mut headers);
    }
    let limits = head.headers.keys().filter(|name| name.as_str().starts_with("ratelimit"));
    limits.for_each(|name| pass(name, &head.headers, &mut headers));
    WrittenAnswer { status: head.status.as_u16(), headers, body: body.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::mapping::run::Settings;

    #[test]
    fn a_secret_is_taken_out_of_a_query_and_the_rest_stays_as_it_is() {
        let catalog = Catalog::shipped();
        let mapping = catalog.mapping("thalamus").unwrap();
        for (query, known, passing) in [
            ("a=1&token=k&b=%2f", "token=k", Some("a=1&b=%2f")),
            ("token=k", "token=k", None),
            ("tok%65n=k&%zz=1", "tok%65n=k", Some("%zz=1")),
            ("token=%zz&token", "token=%zz&token", None),
            ("touchpoint=web&b", "touchpoint=web", Some("touchpoint=web&b")),
            ("Token=k&tokens=k&x=token", "", Some("Token=k&tokens=k&x=token")),
            ("a=1&a=2&&", "", Some("a=1&a=2&&")),
            ("", "", Some("")),
        ] {
            let split = split_query(&catalog.vocabulary, mapping, &Settings::default(), query);
            let wanted = (known, passing);
            assert_eq!((split.known.as_str(), split.passing.as_deref()), wanted, "{query}");
        }
    }
}
