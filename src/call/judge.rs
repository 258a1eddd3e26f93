//! What an upstream's answer, or the lack of one, means.

use http::HeaderMap;

use crate::call::Stop;
use crate::mapping::model::{Operation, OperationKind, Vocabulary};
use crate::mapping::run::{AnswerHead, Reading, read_answer, read_public_answer};
use crate::plan::{Route, Upstream};
use crate::upstream::{BrokenBody, Reply, ReplyBody, SendError};
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
}

/// Judges what came back.
pub fn judge(
    vocabulary: &Vocabulary,
    route: &Route,
    upstream: &Upstream,
    operation: &Operation,
    request: &Record<'_>,
    sent: Result<Reply, SendError>,
) -> Verdict {
    let verdict = match sent {
        Ok(reply) => judge_reply(vocabulary, route, upstream, operation, request, reply),
        Err(error) => judge_error(&error),
    };
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

fn stopped(fault: Fault, cause: impl Into<std::borrow::Cow<'static, str>>) -> Verdict {
    Verdict::Stopped(Box::new(Stop::new(fault).caused(cause)))
}

fn judge_error(error: &SendError) -> Verdict {
    stopped(fault_of_error(error), error.to_string())
}

/// What the lack of an answer means.
pub(super) fn fault_of_error(error: &SendError) -> Fault {
    match error {
        SendError::Unreachable { .. } => Fault::UpstreamUnreachable,
        SendError::TimedOutBeforeSend => Fault::UpstreamTimeout,
        SendError::Lost { .. } => Fault::OutcomeUnknown,
    }
}

fn judge_reply(
    vocabulary: &Vocabulary,
    route: &Route,
    upstream: &Upstream,
    operation: &Operation,
    request: &Record<'_>,
    reply: Reply,
) -> Verdict {
    let status = reply.head.status.as_u16();
    let headers: &HeaderMap = &reply.head.headers;
    let whole = match &reply.body {
        ReplyBody::Whole(bytes) => bytes,
        ReplyBody::Broken(broken) => {
            return without_row(status, why_broken(*broken).to_owned());
        }
    };
    let head = AnswerHead { status, headers };
    // What is private to one vendor is never shown to the client of another one.
    let read = if route.same_vendor { read_answer } else { read_public_answer };
    let reading =
        read(vocabulary, &upstream.mapping, operation, head, whole, &upstream.settings, request);
    match reading {
        Reading::Yes { record, unreadable } => {
            Verdict::Yes { record: record.into_owned(), unreadable }
        }
        Reading::No { fault, message, .. } => {
            let seen = as_seen_by_client(fault);
            let mut stop =
                Stop::new(seen).caused(format!("the upstream answered {status}: {fault}"));
            stop.credential_refused = seen != fault;
            stop.upstream_text = message.map(std::borrow::Cow::into_owned);
            Verdict::Stopped(Box::new(stop))
        }
        Reading::Nothing(mismatch) => without_row(status, mismatch.to_string()),
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
    }
}

fn without_row(status: u16, why: String) -> Verdict {
    stopped(fault_of_status(status), format!("the upstream answered {status}: {why}"))
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
}
