//! What an upstream's answer, or the lack of one, means.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::bounds;
use crate::call::{Stop, Translation};
use crate::limit::Refuser;
use crate::mapping::codecs::Codec;
use crate::mapping::model::{Operation, OperationKind, Vocabulary};
use crate::mapping::run::{AnswerHead, Reading, has_expired, read_answer, read_public_answer};
use crate::plan::{Credential, Route, Upstream};
use crate::upstream::endpoints::Seen;
use crate::upstream::turns::NoTurn;
use crate::upstream::{Answered, BrokenBody, Reply, ReplyBody, SendError};
use crate::value::{Fault, Record};

/// What the upstream said.
#[derive(Debug)]
pub enum Verdict {
    /// Yes.
    Yes {
        /// What it said besides.
        record: Record<'static>,
        /// Fields that could not be read.
        unreadable: u32,
    },
    /// No, or nobody knows; the fault tells which.
    Stopped(Box<Stop>),
    /// No, because our session is over; the stop is for when there is no other one to be had.
    Expired(Box<Stop>),
}

/// A verdict, and what it rests on.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// True if the mapping knows the answer; else its status has decided, or that there is none.
    pub(super) is_known: bool,
}

/// Judges what came back.
pub fn judge(
    vocabulary: &Vocabulary,
    route: &Route,
    upstream: (&Upstream, &Credential),
    operation: &Operation,
    request: &Record<'_>,
    sent: Result<Answered<'_>, SendError>,
) -> Verdict {
    let judged = judge_sent(vocabulary, route, upstream, (operation, false), request, sent);
    for_kind(operation, judged.verdict)
}

/// The same of any operation, and whether the mapping knows the answer; `asked` for that to a question after
/// the outcome.
pub(super) fn judge_sent(
    vocabulary: &Vocabulary,
    route: &Route,
    upstream: (&Upstream, &Credential),
    (operation, asked): (&Operation, bool),
    request: &Record<'_>,
    sent: Result<Answered<'_>, SendError>,
) -> Judged {
    match sent {
        Ok(mut answered) => {
            answered.reply.decode(upstream.0.reply_bytes_max);
            let reply = &answered.reply;
            let operation = (operation, asked);
            let (judged, seen) =
                judge_reply(vocabulary, route, upstream, operation, request, reply);
            answered.saw(seen);
            judged
        }
        Err(error) => Verdict::Stopped(Box::new(stop_of_error(&error))).guessed(),
    }
}

/// What the verdict is of an operation of this kind.
pub(super) fn for_kind(operation: &Operation, verdict: Verdict) -> Verdict {
    match verdict {
        // A read that came to nothing has changed nothing.
        Verdict::Stopped(mut stop)
            if stop.fault == Fault::OutcomeUnknown && operation.kind == OperationKind::Read =>
        {
            stop.fault = Fault::UpstreamFailed;
            Verdict::Stopped(stop)
        }
        verdict => verdict,
    }
}

/// What the lack of an answer means.
pub(super) fn stop_of_error(error: &SendError) -> Stop {
    let (fault, retry_after, refuser) = match error {
        SendError::Unreachable { .. } => (Fault::UpstreamUnreachable, None, None),
        SendError::Unavailable { retry_after } => {
            (Fault::UpstreamUnreachable, Some(whole_seconds(*retry_after)), None)
        }
        SendError::NoTurn(NoTurn { retry_after, is_stopped }) => {
            let refuser = if *is_stopped { Refuser::UpstreamStop } else { Refuser::Upstream };
            (Fault::RateLimited, Some(whole_seconds(*retry_after)), Some(refuser))
        }
        SendError::Overloaded => (Fault::Overloaded, Some(1), None),
        SendError::TimedOutBeforeSend => (Fault::UpstreamTimeout, None, None),
        SendError::Lost { .. } => (Fault::OutcomeUnknown, None, None),
    };
    let under_way = matches!(error, SendError::Lost { late: true, .. });
    Stop { retry_after, refuser, under_way, ..Stop::new(fault).caused(error.to_string()) }
}

/// For `Retry-After`: rounded up, and one at least.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// When the upstream would have its caller come again: in so many seconds, or at a date (RFC 9110 section
/// 10.2.3). It is the upstream's word for our calls, so it is held to a bound before a client sleeps by it.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is more than the bound anyway.
        text.parse().unwrap_or(u64::MAX)
    } else {
        let at: jiff::Timestamp = Codec::HttpDate.read(text)?.parse().ok()?;
        let at = SystemTime::from(at);
        // A date that has passed means now.
        whole_seconds(at.duration_since(now).unwrap_or_default())
    };
    Some(seconds.clamp(1, bounds::RETRY_AFTER_MAX.as_secs()))
}

/// What an answer says of the endpoint that it came from.
pub(super) fn seen_of_body(body: &ReplyBody) -> Seen {
    match body {
        ReplyBody::Whole(_) | ReplyBody::Broken(BrokenBody::TooLarge | BrokenBody::Undecodable) => {
            Seen::Answered
        }
        ReplyBody::Broken(BrokenBody::TimedOut) => Seen::Late,
        ReplyBody::Broken(BrokenBody::Truncated | BrokenBody::Malformed) => Seen::Lost,
    }
}

fn judge_reply(
    vocabulary: &Vocabulary,
    route: &Route,
    (upstream, credential): (&Upstream, &Credential),
    (operation, asked): (&Operation, bool),
    request: &Record<'_>,
    reply: &Reply,
) -> (Judged, Seen) {
    let status = reply.head.status.as_u16();
    let headers: &HeaderMap = &reply.head.headers;
    let whole = match &reply.body {
        ReplyBody::Whole(bytes) => bytes,
        ReplyBody::Broken(broken) => {
            let why = why_broken(*broken).to_owned();
            return (without_row(status, why).guessed(), seen_of_body(&reply.body));
        }
    };
    let head = AnswerHead { status, headers };
    let settings = &credential.settings;
    if credential.log_in.is_some()
        && has_expired(vocabulary, &upstream.mapping, operation, (head, whole), settings, asked)
    {
        let stop = Stop::new(Fault::UpstreamFailed)
            .caused(format!("the upstream answered {status}: the session is over"));
        let stop = Box::new(Stop { credential_refused: true, ..stop });
        return (Judged { verdict: Verdict::Expired(stop), is_known: true }, Seen::Answered);
    }
    // What is private to one vendor is never shown to the client of another one.
    let read = if route.passes_raw { read_answer } else { read_public_answer };
    let reading = read(vocabulary, &upstream.mapping, operation, head, whole, settings, request);
    let verdict = match reading {
        Reading::Yes { record, unreadable } => {
            Verdict::Yes { record: record.into_owned(), unreadable }
        }
        Reading::No { fault, message, .. } => {
            let seen = as_seen_by_client(fault);
            let mut stop =
                Stop::new(seen).caused(format!("the upstream answered {status}: {fault}"));
            stop.credential_refused = seen != fault;
            if matches!(fault, Fault::RateLimited | Fault::Overloaded) {
                stop.retry_after = retry_after(headers, SystemTime::now());
            }
            stop.upstream_text = message.map(std::borrow::Cow::into_owned);
            Verdict::Stopped(Box::new(stop))
        }
        Reading::Nothing(mismatch) => {
            // Whoever stands before the system says that it is not there; the system itself says so in
            // words that the mapping knows.
            let why = mismatch.to_string();
            if matches!(status, 502..=504) {
                return (without_row(status, why).guessed(), Seen::Unavailable);
            }
            let stop = stop_without_row(status, why).at(Translation::ReadAnswer);
            return (Verdict::Stopped(Box::new(stop)).guessed(), Seen::Answered);
        }
    };
    (Judged { verdict, is_known: true }, Seen::Answered)
}

impl Verdict {
    /// A verdict that no success and no row of the mapping has given.
    fn guessed(self) -> Judged {
        Judged { verdict: self, is_known: false }
    }
}

/// What the upstream says of our credential is not the client's business.
fn as_seen_by_client(fault: Fault) -> Fault {
    match fault {
        Fault::Unauthenticated | Fault::CredentialsMissing => Fault::UpstreamFailed,
        other => other,
    }
}

/// Why a body did not come whole.
pub(super) fn why_broken(broken: BrokenBody) -> &'static str {
    match broken {
        BrokenBody::Truncated => "the answer's body ended early",
        BrokenBody::TooLarge => "the answer's body is over the cap",
        BrokenBody::Malformed => "where the answer's body ends cannot be told",
        BrokenBody::TimedOut => "the answer's body did not come in time",
        BrokenBody::Undecodable => {
            "the answer's body is not what a content coding that is read says"
        }
    }
}

fn without_row(status: u16, why: String) -> Verdict {
    Verdict::Stopped(Box::new(stop_without_row(status, why)))
}

fn stop_without_row(status: u16, why: String) -> Stop {
    let stop = Stop::new(fault_of_status(status));
    // RFC 9110 sections 15.3.3 and 15.6.5: somebody may still be at it.
    let under_way = matches!(status, 202 | 504);
    Stop { under_way, ..stop }.caused(format!("the upstream answered {status}: {why}"))
}

/// An answer that no row of the mapping knows: whether the call may have taken effect hangs on the
/// status alone.
pub(super) fn fault_of_status(status: u16) -> Fault {
    let certain_no = match status {
        303 | 408 => false,
        300..=499 | 501 | 503 | 505 => true,
        _ => false,
    };
    if certain_no { Fault::UpstreamFailed } else { Fault::OutcomeUnknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_answers_without_a_row() {
        let unknown = [200, 201, 303, 408, 500, 502, 504, 507];
        let no = [301, 302, 307, 400, 404, 418, 429, 501, 503, 505];
        for (statuses, wanted) in
            [(&unknown[..], Fault::OutcomeUnknown), (&no[..], Fault::UpstreamFailed)]
        {
            for status in statuses {
                assert_eq!(fault_of_status(*status), wanted, "{status}");
            }
        }
    }

    /// The forms of RFC 9110 section 10.2.3, with its own examples, and what is none of them.
    #[test]
    fn an_upstreams_retry_after_is_read_and_bounded() {
        let date = |text: &str| text.to_owned();
        // Two minutes before the date of the RFC's example.
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_679);
        for (value, wanted) in [
            (date("120"), Some(120)),
            (date(" 7 "), Some(7)),
            (date("0"), Some(1)),
            (date("3601"), Some(3_600)),
            (date("99999999999999999999999999"), Some(3_600)),
            (date("Fri, 31 Dec 1999 23:59:59 GMT"), Some(120)),
            (date("Fri, 31 Dec 1999 23:00:00 GMT"), Some(1)),
            (date("Sat, 01 Jan 2050 00:00:00 GMT"), Some(3_600)),
            (date("-1"), None),
            (date("1.5"), None),
            (date("soon"), None),
            (date(""), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, then), wanted, "{value:?}");
            headers.append(RETRY_AFTER, "9".parse().unwrap());
            assert_eq!(retry_after(&headers, then), None, "two of them say nothing");
        }
        assert_eq!(retry_after(&HeaderMap::new(), then), None);
    }
}
