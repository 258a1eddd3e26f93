//! What the client sees: the one place where answers and faults become HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, RETRY_AFTER, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::bounds;
use crate::call::accepted::Open;
use crate::call::journal::Change;
use crate::call::send::{REQUEST_ID, VIA_LATIMER};
use crate::call::told::Told;
use crate::call::{DroppedFields, Looked, Outcome, ReadBack, Services, Stop};
use crate::codec::coding;
use crate::config::Messages;
use crate::ident::{CallDigits, CallId};
use crate::limit::Charged;
use crate::mapping::model::{BodyKind, FaultMap, GatewayField, Hole, Slot};
use crate::mapping::run::{
    FaultText, Gateway, RequestParts, Settings, Sources, WrittenAnswer, limit_headers, write_fault,
};
use crate::plan::Route;
use crate::upstream::Departure;
use crate::value::{Fault, FieldId, Record, WordId};

pub(super) const OUTCOME: HeaderName = HeaderName::from_static("x-latimer-outcome");
const FAULT: HeaderName = HeaderName::from_static("x-latimer-fault");
const DROPPED: HeaderName = HeaderName::from_static("x-latimer-dropped");
const PARTIAL: HeaderName = HeaderName::from_static("x-latimer-partial");
const READ: HeaderName = HeaderName::from_static("x-latimer-read");
const LIMIT: HeaderName = HeaderName::from_static("x-latimer-limit");

/// What every answer of a call is written from.
pub(super) struct Responder<'a> {
    pub(super) services: &'a Services,
    pub(super) route: &'a Route,
    pub(super) head: &'a Parts,
    pub(super) call: CallId,
    /// The call's id, written.
    pub(super) digits: CallDigits,
    /// True if the client has a trace of its own.
    pub(super) is_traced: bool,
    pub(super) departure: Departure,
}

/// What was learned of a call by the time it is answered.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// The consumer.
    pub(super) consumer: Option<usize>,
    /// Index of the operation in the client's mapping.
    pub(super) operation: Option<usize>,
    /// What its limits said.
    pub(super) charged: Option<Charged>,
    /// The job that the call is, once it was begun.
    pub(super) job: Option<Open>,
    /// Fields that the upstream could not carry.
    pub(super) dropped: DroppedFields,
    /// What came of reading the ticket after a write; on the heap, because it seldom is.
    pub(super) read_after: Option<Box<ReadAfter>>,
    /// Ids that the crosswalk was to translate.
    pub(super) looked: Looked,
    /// The change that is written down, until it is settled.
    pub(super) change: Option<Box<Change>>,
}

/// What came of reading the ticket after a write.
#[derive(Debug, Default)]
pub(super) struct ReadAfter {
    /// For the call's record.
    pub(super) read_back: ReadBack,
    /// Fields of the answer that it was to be read for, and could not be.
    pub(super) partial: Vec<String>,
    /// The status that was read after a write of which nobody knows, in the client's own words.
    pub(super) status: Option<String>,
    /// The same as the vocabulary has it.
    pub(super) word: Option<WordId>,
}

/// Whether a call with this fault took effect.
pub(super) fn outcome_of(fault: Fault) -> Outcome {
    match fault {
        Fault::OutcomeUnknown => Outcome::Unknown,
        Fault::InvalidRequest
        | Fault::MissingField
        | Fault::InvalidStatus
        | Fault::MethodNotAllowed
        | Fault::NotAcceptable
        | Fault::UnsupportedMediaType
        | Fault::TooLarge
        | Fault::Conflict
        | Fault::AlreadyClosed
        | Fault::NotFound
        | Fault::InvalidId
        | Fault::UnknownPath
        | Fault::UnknownJob
        | Fault::Unauthenticated
        | Fault::LogInRefused
        | Fault::CredentialsMissing
        | Fault::Forbidden
        | Fault::RateLimited
        | Fault::Overloaded
        | Fault::UpstreamFailed
        | Fault::UpstreamUnreachable
        | Fault::UpstreamTimeout => Outcome::No,
    }
}

impl Responder<'_> {
    /// The answer that says yes.
    pub(super) fn yes(&self, answer: WrittenAnswer, learned: &Learned) -> Response<Full<Bytes>> {
        let mut response = self.finish(answer, Outcome::Yes, learned);
        let headers = response.headers_mut();
        put(headers, DROPPED, &self.dropped_names(learned));
        if let Some(after) = &learned.read_after {
            put(headers, PARTIAL, &after.partial.join(", "));
            put(headers, READ, after.status.as_deref().unwrap_or_default());
        }
        response
    }

    /// The vocabulary's names of the fields that the upstream could not carry, as a list.
    pub(super) fn dropped_names(&self, learned: &Learned) -> Cow<'_, str> {
        let Some(operation) = learned.operation else { return Cow::Borrowed("") };
        let operation = self.route.client.operations[operation].id;
        let fields = &self.services.plan.vocabulary.operations[operation].request;
        let name = |field: &FieldId| fields[usize::from(*field)].name.as_str();
        match &learned.dropped[..] {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(name(one)),
            several => Cow::Owned(several.iter().map(name).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The answer of a fault, in the client vendor's own shape.
    pub(super) fn fault(&self, stop: &Stop, learned: &Learned) -> Response<Full<Bytes>> {
        let answer = self.with_fault(stop, learned, |faults, text, sources, wanted| {
            write_fault(faults, stop.fault, text, sources, wanted)
        });
        let mut response = self.finish(answer, outcome_of(stop.fault), learned);
        let headers = response.headers_mut();
        put(headers, FAULT, stop.fault.name());
        if let Some(after) = &learned.read_after {
            put(headers, READ, after.status.as_deref().unwrap_or_default());
        }
        if let Some(seconds) = stop.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let refuser = learned.charged.as_ref().and_then(Charged::refuser);
        if let Some(refuser) = refuser.or(stop.refuser) {
            put(headers, LIMIT, refuser.name(&self.services.plan));
        }
        if stop.unread_coding {
            // RFC 9110 section 15.5.16.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
        }
        if stop.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Gives what a fault is written from.
    pub(super) fn with_fault<T>(
        &self,
        stop: &Stop,
        learned: &Learned,
        write: impl FnOnce(&FaultMap, FaultText<'_>, Sources<'_>, RequestParts<'_>) -> T,
    ) -> T {
        let operation = learned.operation.and_then(|index| self.route.client.operations.get(index));
        let faults = operation.map_or(&self.route.client.faults, |operation| &operation.faults);
        let theirs = match (self.route.messages, &stop.upstream_text) {
            (Messages::Upstream, Some(text)) => Some(printable(text)),
            (Messages::Upstream, None) | (Messages::Own, _) => None,
        };
        let text = theirs.as_deref().map_or(FaultText::Own, FaultText::Upstream);
        let path = printable_path(self.head.uri.path());
        // The clock and the calendar are asked only where somebody is told.
        let tells = !self.route.client.limits.is_empty();
        let told = tells.then(|| self.told(learned)).flatten();
        let reset = told.and_then(|told| told.reset());
        let gateway = Gateway {
            path: &path,
            call: &self.digits,
            allow: &stop.allow,
            field: &stop.field,
            reason: &stop.reason,
            retry_after: stop.retry_after,
            rate_remaining: told.map(|told| told.remaining),
            rate_reset: reset.as_deref(),
            rate_limit: told.map(|told| told.calls),
            limit: told.map(|told| told.tightest),
            job: None,
            session: None,
            http: 0,
        };
        let record = Record::new();
        let sources = self.sources(&record, &gateway, learned);
        let kind: Option<&BodyKind> = operation
            .or(self.route.client.operations.first())
            .and_then(|operation| super::decode::body_kind(operation, self.head));
        let wanted = RequestParts { headers: &self.head.headers, kind };
        write(faults, text, sources, wanted)
    }

    /// Where values of an answer come from.
    pub(super) fn sources<'s>(
        &'s self,
        record: &'s Record<'s>,
        gateway: &'s Gateway<'s>,
        learned: &Learned,
    ) -> Sources<'s> {
        let settings: &Settings = self.route.settings_for(learned.consumer);
        Sources {
            vocabulary: &self.services.plan.vocabulary,
            mapping: &self.route.client,
            settings,
            record,
            request: None,
            secrets: None,
            gateway,
            steps: &[],
            parts: &[],
        }
    }

    /// An answer with what every answer of ours has.
    pub(super) fn finish(
        &self,
        answer: WrittenAnswer,
        outcome: Outcome,
        learned: &Learned,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        *headers = answer.headers;
        if !self.route.client.limits.is_empty() {
            self.tell_limits(learned, headers);
        }
        headers.insert(VIA, HeaderValue::from_static(VIA_LATIMER));
        put(headers, REQUEST_ID, &self.digits);
        headers.insert(OUTCOME, HeaderValue::from_static(outcome.name()));
        response
    }

    /// What the client is told of its limits; none if it has none.
    pub(super) fn told(&self, learned: &Learned) -> Option<Told<'_>> {
        Told::of(self.services, self.route, learned.charged.as_ref())
    }

    /// The header fields that stand on every answer.
    fn tell_limits(&self, learned: &Learned, headers: &mut HeaderMap) {
        let Some(told) = self.told(learned) else { return };
        let limits = &self.route.client.limits;
        // The calendar is asked only where somebody is told a date.
        let is_reset = |hole: &Hole| hole.slot == Slot::Gateway(GatewayField::RateReset);
        let tells_reset = limits.iter().any(|named| named.place.content.holes().any(is_reset));
        let reset = if tells_reset { told.reset() } else { None };
        let gateway = Gateway {
            rate_remaining: Some(told.remaining),
            rate_reset: reset.as_deref(),
            rate_limit: Some(told.calls),
            limit: Some(told.tightest),
            ..Gateway::default()
        };
        let record = Record::new();
        let sources = self.sources(&record, &gateway, learned);
        limit_headers(limits, told.lasting, sources, headers);
    }
}

/// The answer to a request that is nobody's.
pub(super) fn nobodys(call: CallId) -> Response<Full<Bytes>> {
    let detail = "no route takes this host and path";
    problem(StatusCode::NOT_FOUND, detail, call, (Outcome::No, Fault::UnknownPath))
}

/// The answer to a call that was lost in here: whose client it was need not be known any more.
pub fn nobody_knows(call: CallId) -> Response<Full<Bytes>> {
    let detail = format!(
        "The outcome of this call is not known; do not repeat it before reading the ticket. Call {call}."
    );
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    problem(status, &detail, call, (Outcome::Unknown, Fault::OutcomeUnknown))
}

/// An answer in no vendor's shape (RFC 9457). The detail has nothing in it that JSON would want escaped.
fn problem(
    status: StatusCode,
    detail: &str,
    call: CallId,
    (outcome, fault): (Outcome, Fault),
) -> Response<Full<Bytes>> {
    let (number, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{number},"detail":"{detail}"}}"#
    );
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    put(headers, REQUEST_ID, &call.to_string());
    put(headers, OUTCOME, outcome.name());
    put(headers, FAULT, fault.name());
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if value.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An upstream's text, cut and without anything that is not printable.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(bounds::MESSAGE_CHARS_MAX).collect()
}

/// The path as it may be repeated: cut, and without what a browser could take for markup.
fn printable_path(path: &str) -> String {
    path.chars()
        .filter(|letter| letter.is_ascii_graphic() && !"<>&\"'".contains(*letter))
        .take(bounds::MESSAGE_CHARS_MAX)
        .collect()
}
