//! Sending a request to the upstream, and the look-ups before it.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::HeaderName;
use http::request::Parts;
use tokio::time::Instant;

use crate::call::judge::{retry_after, stop_of_error};
use crate::call::outgoing::sources;
use crate::call::sign::Signed;
use crate::call::{Services, Stop, Translation, trace};
use crate::ident::CallId;
use crate::mapping::model::{Operation, Step};
use crate::mapping::run::{
    AnswerHead, Gateway, Outgoing, has_expired, read_step, spent_until, write_step,
};
use crate::plan::Upstream;
use crate::upstream::endpoints::Seen;
use crate::upstream::turns::Rank;
use crate::upstream::{Answered, Departure, ReplyBody, Request, SendError, Spent};
use crate::value::{Fault, Record};

/// RFC 9110 section 7.6.3.
pub(super) const VIA_LATIMER: &str = "1.1 latimer";
/// The call's id, towards both sides.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One call at its upstream.
#[derive(Debug)]
pub(super) struct Visit<'s, 'r> {
    pub(super) services: &'s Services,
    /// With its index in the plan.
    pub(super) upstream: (usize, &'s Upstream),
    pub(super) call: CallId,
    /// The head of the client's request.
    pub(super) head: &'s Parts,
    /// Told once a byte of the call itself may have left; what has left of a look-up is nothing to wait for.
    pub(super) departure: &'s Departure,
    pub(super) deadline: Instant,
    /// Whose turn it is that the upstream's requests take.
    pub(super) consumer: Option<usize>,
    /// What its next request is to others that want a turn.
    pub(super) rank: Rank,
    /// What it costs, for the record.
    pub(super) spent: &'r mut Spent,
}

impl<'s> Visit<'s, '_> {
    /// Sends the call itself, whose answer is waited for until then.
    pub(super) async fn send(
        &mut self,
        outgoing: Outgoing,
        until: Instant,
    ) -> Result<Answered<'s>, SendError> {
        let departure = self.departure.clone();
        self.send_watched(outgoing, departure, self.rank, until).await
    }

    /// Sends what comes before the call, and is nothing to wait for.
    pub(super) async fn send_beside(
        &mut self,
        outgoing: Outgoing,
        until: Instant,
    ) -> Result<Answered<'s>, SendError> {
        self.send_watched(outgoing, Departure::default(), self.rank, until).await
    }

    /// Sends what gets a session: others wait for it, so it goes before them.
    pub(super) async fn send_log_in(
        &mut self,
        outgoing: Outgoing,
        until: Instant,
    ) -> Result<Answered<'s>, SendError> {
        self.send_watched(outgoing, Departure::default(), Rank::LogIn, until).await
    }

    async fn send_watched(
        &mut self,
        mut outgoing: Outgoing,
        departure: Departure,
        rank: Rank,
        until: Instant,
    ) -> Result<Answered<'s>, SendError> {
        outgoing.target = self.below_base(outgoing.target);
        let request = self.request(outgoing, departure);
        let upstream = &self.services.upstreams[self.upstream.0];
        self.take_turn(rank, until).await?;
        let answered = upstream.send(&request, until, self.spent).await?;
        self.heed(&answered);
        Ok(answered)
    }

    /// Every request has a turn before it leaves. Nothing of it has left if there is none.
    async fn take_turn(&mut self, rank: Rank, until: Instant) -> Result<(), SendError> {
        let turns = self.services.upstreams[self.upstream.0].turns();
        if let Some(waiting) = turns.ask(self.consumer, rank, until).map_err(SendError::NoTurn)? {
            self.spent.wait(Instant::now());
            // On the heap: most have not to wait, and need no room for it.
            let turn = Box::pin(waiting.turn()).await;
            self.spent.until(Instant::now());
            self.spent.end();
            turn.map_err(SendError::NoTurn)?;
        }
        if rank == Rank::Fresh {
            self.rank = Rank::Begun;
        }
        Ok(())
    }

    /// Has all workers leave the upstream alone if it says so.
    fn heed(&self, answered: &Answered<'_>) {
        let (status, headers) = (answered.reply.head.status, &answered.reply.head.headers);
        let limits = &self.upstream.1.mapping.limits;
        // Asked only where somebody tells a time.
        let now = SystemTime::now;
        let told = match status {
            StatusCode::TOO_MANY_REQUESTS => retry_after(headers, now()).map(Duration::from_secs),
            _ => None,
        };
        let told = told.or_else(|| {
            let reset = spent_until(limits, headers)?;
            SystemTime::from(reset).duration_since(now()).ok()
        });
        let Some(told) = told else { return };
        if self.services.upstreams[self.upstream.0].turns().stop(Instant::now(), told) {
            let (upstream, seconds) = (&self.upstream.1.name, told.as_secs_f64().round());
            tracing::warn!(target: "latimer::upstream", upstream, seconds, "the upstream wants no requests for a while");
        }
    }

    /// Asks one endpoint for something, as a read that nobody has to wait for.
    pub(super) async fn ask(
        &mut self,
        endpoint: usize,
        request: &Request,
        until: Instant,
    ) -> Result<Answered<'s>, SendError> {
        let upstream = &self.services.upstreams[self.upstream.0];
        self.take_turn(Rank::After, until).await?;
        let answered = upstream.send_to(endpoint, request, until, self.spent).await?;
        self.heed(&answered);
        Ok(answered)
    }

    /// The target as the upstream knows it.
    pub(super) fn below_base(&self, target: String) -> String {
        match self.upstream.1.url.base_path.as_str() {
            "" => target,
            base => format!("{base}{target}"),
        }
    }

    pub(super) fn request(&self, outgoing: Outgoing, departure: Departure) -> Request {
        let Outgoing { method, target, headers, body, .. } = outgoing;
        Request { method, target, headers, body, call: self.call, departure }
    }

    /// Runs the look-ups that the operation has before its call. They read, so a failure says no.
    pub(super) async fn look_up(
        &mut self,
        operation: &Operation,
        record: &Record<'_>,
        signed: &Signed<'_>,
    ) -> Result<Vec<Vec<String>>, Stop> {
        let mut found: Vec<Vec<String>> = Vec::new();
        for step in &operation.steps {
            let values = self.look_up_one((operation, step), record, signed, &found).await?;
            found.push(values);
        }
        Ok(found)
    }

    async fn look_up_one(
        &mut self,
        (operation, step): (&Operation, &Step),
        record: &Record<'_>,
        signed: &Signed<'_>,
        found: &[Vec<String>],
    ) -> Result<Vec<String>, Stop> {
        let gateway = Gateway::default();
        let sources = sources(self.services, (self.upstream.1, signed), record, &gateway, found);
        let mut outgoing = write_step(operation, step, sources)
            .map_err(|refusal| Stop::from(refusal).at(Translation::WriteRequest))?;
        trace::pass(&self.head.headers, &mut outgoing.headers);
        let failed = |cause: String| Stop::new(Fault::UpstreamFailed).caused(cause);
        let sent = self.send_beside(outgoing, self.deadline).await;
        let mut answered = sent.map_err(|error| match stop_of_error(&error) {
            // A look-up changes nothing, so that nobody need be in doubt.
            Stop { fault: Fault::OutcomeUnknown, cause, .. } => {
                Stop { cause, ..Stop::new(Fault::UpstreamTimeout) }
            }
            stop => stop,
        })?;
        let whole = matches!(answered.reply.body, ReplyBody::Whole(_));
        answered.saw(if whole { Seen::Answered } else { Seen::Lost });
        let mut reply = answered.reply;
        reply.decode(self.upstream.1.reply_bytes_max);
        let status = reply.head.status;
        if status == http::StatusCode::NOT_FOUND {
            return Err(Stop::new(Fault::NotFound).caused("the look-up answered 404"));
        }
        match reply.body {
            ReplyBody::Whole(body) if status.is_success() => {
                read_step(step, &body, sources).map_err(|refusal| match refusal.fault {
                    Fault::UpstreamFailed => Stop::from(refusal).at(Translation::ReadAnswer),
                    // It was read, and what is looked for is not there.
                    _ => refusal.into(),
                })
            }
            ReplyBody::Whole(body) => {
                let head = AnswerHead { status: status.as_u16(), headers: &reply.head.headers };
                let (vocabulary, mapping) =
                    (&self.services.plan.vocabulary, &self.upstream.1.mapping);
                let settings = &signed.credential.settings;
                let refused = signed.credential.log_in.is_some()
                    && has_expired(vocabulary, mapping, operation, (head, &body), settings, false);
                let stop = failed(format!("the look-up answered {status}"));
                Err(Stop { credential_refused: refused, ..stop })
            }
            ReplyBody::Broken(_) => {
                Err(failed("the look-up's answer did not come whole".to_owned()))
            }
        }
    }
}
