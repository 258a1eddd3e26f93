//! What became of a call whose answer did not say it.
//!
//! An upstream may answer that the work goes on, and name an address to ask at. Or the request has left and
//! nothing came back that means anything, and its vendor can be asked by the call's own id. Questions read, so
//! they may be repeated, within the call's deadline; the call itself is never sent again.
//!
//! What a question comes to is a yes or a no only if the mapping knows the answer of a job that is over. Of
//! all else the outcome stays unknown: the status of whoever stands before the system speaks of the question,
//! and not of the call.

use tokio::time::Instant;

use crate::bounds;
use crate::call::judge::{Judged, Verdict, for_kind, judge_sent, seen_of_body};
use crate::call::send::Visit;
use crate::call::{Stop, location, trace};
use crate::mapping::model::{Operation, Poll};
use crate::mapping::run::{Outgoing, Sources, read_location, write_ask, write_poll};
use crate::plan::{Credential, Route, Upstream};
use crate::upstream::endpoints::Seen;
use crate::upstream::{Answered, Departure, Reply, ReplyBody, Request, SendError};
use crate::value::Fault;

/// A call that may have to be asked after.
pub(super) struct Job<'j> {
    pub(super) route: &'j Route,
    /// The upstream's.
    pub(super) operation: &'j Operation,
    pub(super) poll: &'j Poll,
    pub(super) credential: &'j Credential,
    /// What the call is written from, and its questions.
    pub(super) sources: Sources<'j>,
}

/// A question, and the one endpoint that it is for.
struct Question {
    endpoint: usize,
    request: Request,
}

/// What came of a question.
enum Heard {
    /// The last word.
    Settled(Verdict),
    /// Nothing that would be the last word, and why.
    Again(String),
}

impl Job<'_> {
    /// Sends the call, and asks what became of it if its answer does not say so.
    pub(super) async fn run(self, visit: &mut Visit<'_, '_>, call: Outgoing) -> Verdict {
        let until = self.time_for_answer(visit.deadline);
        let mut sent = visit.send(call, until).await;
        let accepted = self.take_acceptance(visit.upstream.1, &mut sent);
        let is_lost = accepted.is_none();
        let judged = self.judge(visit, sent, false);
        let verdict = match self.question(visit, &judged, accepted) {
            Ok(Some(question)) if is_lost => {
                after_loss(judged.verdict, self.ask(visit, question).await)
            }
            Ok(Some(question)) => self.ask(visit, question).await,
            Ok(None) => judged.verdict,
            Err(cause) => unknown(cause),
        };
        for_kind(self.operation, verdict)
    }

    /// Where the vendor can be asked, some of the time is kept for that: an answer that is late would
    /// else be one that nobody asks for.
    fn time_for_answer(&self, deadline: Instant) -> Instant {
        if self.poll.ask.is_none() {
            return deadline;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        deadline - (left / 4).min(bounds::ASK_RESERVE_MAX)
    }

    /// If the answer says that the work goes on: the address that it names, or none.
    fn take_acceptance(
        &self,
        upstream: &Upstream,
        sent: &mut Result<Answered<'_>, SendError>,
    ) -> Option<Option<String>> {
        let reply = &mut sent.as_mut().ok()?.reply;
        if reply.head.status.as_u16() != self.poll.code {
            return None;
        }
        reply.decode(upstream.reply_bytes_max);
        Some(accepted_at(self.operation, reply))
    }

    fn judge(
        &self,
        visit: &Visit<'_, '_>,
        sent: Result<Answered<'_>, SendError>,
        asked: bool,
    ) -> Judged {
        let (vocabulary, upstream) = (self.sources.vocabulary, (visit.upstream.1, self.credential));
        let operation = (self.operation, asked);
        judge_sent(vocabulary, self.route, upstream, operation, self.sources.record, sent)
    }

    /// The question that the answer leaves; `None` if it leaves none, or there is nobody to ask.
    fn question(
        &self,
        visit: &Visit<'_, '_>,
        judged: &Judged,
        accepted: Option<Option<String>>,
    ) -> Result<Option<Question>, String> {
        match &judged.verdict {
            Verdict::Stopped(stop) if stop.fault == Fault::OutcomeUnknown && !judged.is_known => {}
            Verdict::Stopped(_) | Verdict::Expired(_) | Verdict::Yes { .. } => return Ok(None),
        }
        let endpoints = &visit.upstream.1.endpoints;
        let named = accepted.as_ref().map(|address| match address {
            Some(address) => location::find(address, endpoints)
                .map_err(|why| format!("the work goes on, and {why}")),
            None => Err("the work goes on, and the answer names no address to ask at".to_owned()),
        });
        let (endpoint, written) = match (named, &self.poll.ask, visit.spent.endpoint) {
            (Some(Ok((endpoint, target))), _, _) => {
                (endpoint, write_poll(self.operation, target, self.sources))
            }
            // Behind a balancer an upstream may name itself as nobody else knows it. Whoever knows the job by
            // the call's id needs no address.
            (unnamed, Some(segments), Some(endpoint)) => {
                if let Some(Err(why)) = unnamed {
                    let call = visit.call;
                    tracing::debug!(target: "latimer::call", %call, "asked for by the call's id: {why}");
                }
                let written = write_ask(self.operation, segments, self.sources);
                let below = |outgoing: Outgoing| Outgoing {
                    target: visit.below_base(outgoing.target),
                    ..outgoing
                };
                (endpoint, written.map(below))
            }
            (Some(Err(why)), _, _) => return Err(why),
            (None, _, _) => return Ok(None),
        };
        let mut outgoing = written
            .map_err(|refusal| format!("the outcome cannot be asked for: {}", refusal.reason))?;
        trace::pass(&visit.head.headers, &mut outgoing.headers);
        // It is the call that must be seen through; a question alone may be given up.
        let request = visit.request(outgoing, Departure::default());
        Ok(Some(Question { endpoint, request }))
    }

    /// Asks until there is a last word, or no time for another question.
    async fn ask(&self, visit: &mut Visit<'_, '_>, question: Question) -> Verdict {
        let mut why = "there was no time to ask".to_owned();
        while self.wait(visit).await {
            let left = visit.deadline.saturating_duration_since(Instant::now());
            // One that hangs leaves time for another one.
            let time = (left / 2).clamp(bounds::POLL_INTERVAL_MIN, bounds::POLL_TIMEOUT);
            let until = visit.deadline.min(Instant::now() + time);
            let sent = visit.ask(question.endpoint, &question.request, until).await;
            match self.hear(visit, sent) {
                Heard::Settled(verdict) => return verdict,
                Heard::Again(reason) => why = reason,
            }
        }
        unknown(format!("asked for until the deadline: {why}"))
    }

    /// Waits for the time of the next question; false if there is none. Near the deadline it comes
    /// earlier, and each time is at least half of the one before, so that they are few.
    async fn wait(&self, visit: &mut Visit<'_, '_>) -> bool {
        let now = Instant::now();
        let left = visit.deadline.saturating_duration_since(now);
        let wait = self.poll.every.min(left / 2);
        if wait < bounds::POLL_INTERVAL_MIN {
            return false;
        }
        // It is the upstream that is waited for.
        visit.spent.begin(now);
        tokio::time::sleep(wait).await;
        visit.spent.until(Instant::now());
        visit.spent.end();
        true
    }

    fn hear(&self, visit: &Visit<'_, '_>, sent: Result<Answered<'_>, SendError>) -> Heard {
        let mut answered = match sent {
            Ok(answered) => answered,
            Err(error) => return Heard::Again(error.to_string()),
        };
        let status = answered.reply.head.status.as_u16();
        let seen = seen_of_body(&answered.reply.body);
        if self.poll.done.contains(&status) {
            let came = matches!(seen, Seen::Answered);
            return heard_of(self.judge(visit, Ok(answered), true), came && status < 500);
        }
        let unavailable = matches!(status, 502..=504);
        answered.saw(if unavailable { Seen::Unavailable } else { seen });
        if status == self.poll.running {
            return Heard::Again("the work goes on".to_owned());
        }
        match status {
            404 => Heard::Settled(unknown("asked for it, the upstream knows no such job")),
            500.. => Heard::Again(format!("the question was answered {status}")),
            _ => Heard::Settled(unknown(format!("the question was answered {status}"))),
        }
    }
}

/// The address that an answer names to ask at, if it says that the work goes on.
pub(super) fn accepted_at(operation: &Operation, reply: &Reply) -> Option<String> {
    let poll = operation.poll.as_ref()?;
    match &reply.body {
        ReplyBody::Whole(body) if reply.head.status.as_u16() == poll.code => {
            read_location(poll, body)
        }
        ReplyBody::Whole(_) | ReplyBody::Broken(_) => None,
    }
}

/// What the answer of a job that is over comes to. One that the mapping does not know says nothing of the
/// call, whatever its status says elsewhere.
fn heard_of(judged: Judged, is_last: bool) -> Heard {
    match judged {
        Judged { verdict, is_known: true } => Heard::Settled(verdict),
        Judged { verdict: Verdict::Stopped(stop), .. } if is_last => {
            Heard::Settled(Verdict::Stopped(Box::new(Stop {
                fault: Fault::OutcomeUnknown,
                ..*stop
            })))
        }
        Judged { verdict: Verdict::Stopped(stop), .. } => {
            Heard::Again(stop.cause.unwrap_or_default().into_owned())
        }
        // A yes is always the mapping's, and so is the end of a session.
        Judged { verdict: verdict @ (Verdict::Yes { .. } | Verdict::Expired(_)), .. } => {
            Heard::Settled(verdict)
        }
    }
}

/// What is still unknown has two causes: why the answer was lost, and why asking did not help.
fn after_loss(lost: Verdict, mut asked: Verdict) -> Verdict {
    if let (Verdict::Stopped(lost), Verdict::Stopped(asked)) = (lost, &mut asked)
        && asked.fault == Fault::OutcomeUnknown
        && let (Some(first), Some(second)) = (lost.cause, &mut asked.cause)
    {
        *second = format!("{first}; {second}").into();
    }
    asked
}

fn unknown(cause: impl Into<std::borrow::Cow<'static, str>>) -> Verdict {
    Verdict::Stopped(Box::new(Stop::new(Fault::OutcomeUnknown).caused(cause)))
}
